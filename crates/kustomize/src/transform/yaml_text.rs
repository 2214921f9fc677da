//! YAML text inside a string field, printed again after a value in it has changed.
//!
//! The reference prints its parse tree with go-yaml v3, which keeps the order of keys, comments and quotes,
//! and normalises indentation. Trees here have no comments, so they are taken from the original text.

use std::collections::HashMap;

use manifest::{Data, Node, Style, Tag, yaml};

/// Prints a tree in its own order, with the comments of the text that it was read from.
pub(crate) fn print(node: &Node, original: &str) -> String {
    let comments = Comments::of(original);
    let mut printer = Printer {
        text: String::new(),
        comments,
    };
    printer.block(node, 0, false);
    printer.rest();
    printer.text
}

/// The comments of a text: on lines of their own, and at the end of a line.
struct Comments<'t> {
    /// Lines of comments before a line with content, by its number.
    before: HashMap<u32, Vec<&'t str>>,
    after: HashMap<u32, &'t str>,
    last: Vec<&'t str>,
    /// Whether an empty line stands before the last ones.
    last_is_apart: bool,
}

impl<'t> Comments<'t> {
    fn of(text: &'t str) -> Self {
        let mut comments = Self {
            before: HashMap::new(),
            after: HashMap::new(),
            last: Vec::new(),
            last_is_apart: false,
        };
        let mut after_empty = false;
        let mut pending = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let trimmed = line.trim();
            if trimmed.starts_with('#') {
                if pending.is_empty() {
                    comments.last_is_apart = after_empty;
                }
                pending.push(trimmed);
            } else if !trimmed.is_empty() {
                if !pending.is_empty() {
                    comments.before.insert(number, std::mem::take(&mut pending));
                }
                if let Some(comment) = trailing_comment(line) {
                    comments.after.insert(number, comment);
                }
            }
            after_empty = trimmed.is_empty();
        }
        comments.last_is_apart &= !pending.is_empty();
        comments.last = pending;
        comments
    }
}

/// The comment at the end of a line: after ` #` outside of quotes.
fn trailing_comment(line: &str) -> Option<&str> {
    let (mut quote, mut previous) = (None, ' ');
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') if previous == ' ' => return Some(line[at..].trim_end()),
            (None, '\'' | '"') if " [{,:-".contains(previous) => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
        previous = c;
    }
    None
}

struct Printer<'t> {
    text: String,
    comments: Comments<'t>,
}

impl Printer<'_> {
    fn comments_before(&mut self, node: &Node, indent: usize) {
        for comment in self.comments.before.remove(&node.line()).unwrap_or_default() {
            self.pad(indent);
            self.text.push_str(comment);
            self.text.push('\n');
        }
    }

    /// The comments at the end of the text belong to the entry before them, and stay there when one is added.
    fn comments_after_last(&mut self) {
        if !self.comments.last.is_empty() && !self.comments.last_is_apart {
            self.rest();
            self.text.push('\n');
        }
    }

    fn end_line(&mut self, line: u32) {
        if let Some(comment) = self.comments.after.remove(&line) {
            self.text.push(' ');
            self.text.push_str(comment);
        }
        self.text.push('\n');
    }

    fn rest(&mut self) {
        if std::mem::take(&mut self.comments.last_is_apart) {
            self.text.push('\n');
        }
        for comment in std::mem::take(&mut self.comments.last) {
            self.text.push_str(comment);
            self.text.push('\n');
        }
    }

    fn pad(&mut self, indent: usize) {
        self.text.push_str(&" ".repeat(indent));
    }

    /// Prints a node that starts a line, or goes on after `- ` when `inline`.
    fn block(&mut self, node: &Node, indent: usize, inline: bool) {
        match &node.data {
            Data::Mapping(entries) if !entries.is_empty() && node.style != Style::Flow => {
                for (at, (key, value)) in entries.iter().enumerate() {
                    if indent == 0 && at > 0 && key.line() == 0 {
                        self.comments_after_last();
                    }
                    if at > 0 || !inline {
                        self.comments_before(key, indent);
                        self.pad(indent);
                    }
                    self.text.push_str(&flow(key));
                    self.text.push(':');
                    self.value(key, value, indent);
                }
            }
            Data::Sequence(items) if !items.is_empty() && node.style != Style::Flow => {
                for (at, item) in items.iter().enumerate() {
                    if at > 0 || !inline {
                        self.comments_before(item, indent);
                        self.pad(indent);
                    }
                    self.text.push_str("- ");
                    self.block(item, indent + 2, true);
                }
            }
            _ => {
                self.text.push_str(&tagged(node, scalar(node, indent)));
                self.end_line(node.line());
            }
        }
    }

    fn value(&mut self, key: &Node, value: &Node, indent: usize) {
        let is_block = value.style != Style::Flow
            && match &value.data {
                Data::Scalar(_) => false,
                Data::Sequence(items) => !items.is_empty(),
                Data::Mapping(entries) => !entries.is_empty(),
            };
        if is_block {
            self.end_line(key.line());
            let inner = if value.is_sequence() { indent } else { indent + 2 };
            self.block(value, inner, false);
            return;
        }
        let text = tagged(value, scalar(value, indent + 2));
        if !text.is_empty() {
            self.text.push(' ');
            self.text.push_str(&text);
        }
        self.end_line(key.line());
    }
}

/// The printed node after its tag, which is there when the text alone would be of another type.
fn tagged(node: &Node, printed: String) -> String {
    let implied = |text| match node.style.is_quoted() {
        true => Tag::Str,
        false => yaml::resolve_tag(text),
    };
    let says = |text| !matches!(node.tag, Tag::None | Tag::Str) && implied(text) != node.tag;
    match node.as_str() {
        Some(text) if says(text) => format!("{} {printed}", node.tag.as_str()).trim_end().to_owned(),
        _ => printed,
    }
}

/// A scalar or flow collection; block scalars bring their lines, without the last line break.
fn scalar(node: &Node, indent: usize) -> String {
    let Some(text) = node.as_str() else {
        return flow(node);
    };
    let is_block = matches!(node.style, Style::Literal | Style::Folded)
        || (node.style == Style::Plain && text.contains('\n'));
    if !is_block || text.is_empty() {
        return flow(node);
    }
    let mark = if node.style == Style::Folded { '>' } else { '|' };
    let mut printed = String::from(mark);
    if text.starts_with([' ', '\n']) {
        printed.push('2');
    }
    if !text.ends_with('\n') {
        printed.push('-');
    } else if text.len() == 1 || text.ends_with("\n\n") {
        printed.push('+');
    }
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        printed.push('\n');
        if !line.is_empty() {
            printed.push_str(&" ".repeat(indent));
            printed.push_str(line);
        }
    }
    printed
}

/// A node on one line.
fn flow(node: &Node) -> String {
    match &node.data {
        Data::Sequence(items) => format!(
            "[{}]",
            items
                .iter()
                .map(|item| tagged(item, flow(item)))
                .collect::<Vec<_>>()
                .join(", ")
        ),
        Data::Mapping(entries) => {
            let entries: Vec<_> = entries
                .iter()
                .map(|(key, value)| format!("{}: {}", flow(key), tagged(value, flow(value))))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        Data::Scalar(text) => match node.style {
            Style::SingleQuoted => format!("'{}'", text.replace('\'', "''")),
            Style::DoubleQuoted => double_quoted(text),
            _ if node.tag == Tag::Str && yaml::resolve_tag(text) != Tag::Str => double_quoted(text),
            _ => plain(text),
        },
    }
}

fn plain(text: &str) -> String {
    let single = yaml::emit(&serde_json::Value::from(format!("x{text}")));
    let start = text.starts_with(|c: char| "#,[]{}&*!|>'\"%@`".contains(c))
        || text.starts_with("- ")
        || text.starts_with("? ")
        || text.starts_with(": ");
    if start || single.starts_with('\'') {
        format!("'{}'", text.replace('\'', "''"))
    } else {
        text.to_owned()
    }
}

fn double_quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::replace_path::parse;

    #[test]
    fn texts_keep_order_comments_and_quotes() {
        let text =
            "# head\nb: 1 # one\na:\n  - 'x'\n  # inner\n  - \"y\"\nc: {k: v}\nd: |\n  line\ne:\n# tail\n";
        let printed = print(&parse(text).unwrap(), text);
        assert_eq!(
            printed,
            "# head\nb: 1 # one\na:\n- 'x'\n# inner\n- \"y\"\nc: {k: v}\nd: |\n  line\ne:\n# tail\n"
        );
    }
}
