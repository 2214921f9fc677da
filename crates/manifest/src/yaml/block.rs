//! Block reader: the plain form that nearly all manifests have, in one pass over the lines.
//!
//! It takes block mappings and block sequences of plain keys, whose values are on one line or are literal texts, in
//! printable ASCII. Of everything else (anchors, tags, flow mappings, escapes, texts over several lines, a second
//! document, any mistake) it says that it is not of this form, and the reader on the parser's events decides, with its
//! errors. So it has no opinion of its own: what it returns is what the other reader returns, a law that
//! `tests/laws.rs` checks.

use super::read::MAX_DEPTH;
use super::resolve::resolve_tag;
use crate::node::{Data, Node, Place, Style, Tag};

/// Reads a text of one document of the plain form. `None` when it is not of this form.
pub(super) fn read(text: &str, source: u32) -> Option<Node> {
    let is_plain = |chunk: &[u8]| {
        let plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n');
        chunk.iter().fold(true, |all, byte| all & plain(byte))
    };
    if !text.as_bytes().chunks(64).all(is_plain) {
        return None;
    }
    let mut reader = Reader {
        text,
        next: 0,
        row: "",
        line: 0,
        indent: None,
        source,
        depth: 0,
        stack: Vec::new(),
    };
    reader.advance();
    if reader.row == "---" {
        reader.advance();
    }
    let root = reader.collection(reader.indent?)?;
    reader.indent.is_none().then_some(root)
}

struct Reader<'t> {
    text: &'t str,
    /// Where the line after the current one begins.
    next: usize,
    /// The current line, with its indentation, without the line break.
    row: &'t str,
    /// Its number, from 1.
    line: u32,
    /// The spaces before its content; `None` after the last line.
    indent: Option<usize>,
    source: u32,
    depth: usize,
    /// Children of collections that are not complete yet, so that each is allocated once, in its final size.
    stack: Vec<Node>,
}

impl<'t> Reader<'t> {
    /// Goes to the next line, whatever is on it. False at the end of the text.
    fn step(&mut self) -> bool {
        let rest = &self.text[self.next..];
        if rest.is_empty() {
            self.indent = None;
            return false;
        }
        let length = rest.find('\n').unwrap_or(rest.len());
        self.row = &rest[..length];
        self.next = (self.next + length + 1).min(self.text.len());
        self.line += 1;
        true
    }

    /// Goes to the next line with content that is not a comment.
    fn advance(&mut self) {
        while self.step() {
            let indent = spaces(self.row);
            if !matches!(self.row.as_bytes().get(indent), None | Some(b'#')) {
                self.indent = Some(indent);
                return;
            }
        }
    }

    /// The block collection that begins in this column of the current line.
    fn collection(&mut self, column: usize) -> Option<Node> {
        self.depth += 1;
        if self.depth >= MAX_DEPTH {
            return None;
        }
        let node = if is_item(&self.row[column..]) {
            self.sequence(column)
        } else {
            self.mapping(column)
        };
        self.depth -= 1;
        node
    }

    fn sequence(&mut self, column: usize) -> Option<Node> {
        let place = self.place(column);
        let start = self.stack.len();
        loop {
            let after = column + 1;
            let content = after + spaces(&self.row[after..]);
            let text = &self.row[content..];
            // An item on the line after its dash, and a list in a list, are rare.
            if text.is_empty() || text.starts_with('#') || is_item(text) {
                return None;
            }
            let item = if key(text).is_some() {
                self.collection(content)?
            } else {
                self.value(column, content)?
            };
            self.stack.push(item);
            match self.indent {
                Some(indent) if indent == column && is_item(&self.row[column..]) => {}
                // A mapping may go on in the column of its list.
                Some(indent) if indent > column => return None,
                _ => break,
            }
        }
        let items = self.stack.drain(start..).collect();
        Some(Node::sequence(items).with_place(place))
    }

    fn mapping(&mut self, column: usize) -> Option<Node> {
        let place = self.place(column);
        let start = self.stack.len();
        loop {
            let name = key(&self.row[column..])?;
            let name_place = self.place(column);
            self.stack.push(self.plain(name, name_place));
            let after = column + name.len() + 1;
            let content = after + spaces(&self.row[after..]);
            let value = if matches!(self.row.as_bytes().get(content), None | Some(b'#')) {
                self.advance();
                match self.indent {
                    Some(indent) if indent > column => self.collection(indent)?,
                    Some(indent) if indent == column && is_item(&self.row[column..]) => {
                        // The parser's place of such a list is that of what follows its first dash.
                        let after = column + 1;
                        let first = self.place(after + spaces(&self.row[after..]));
                        self.collection(indent)?.with_place(first)
                    }
                    // There is no value.
                    _ => return None,
                }
            } else {
                self.value(column, content)?
            };
            self.stack.push(value);
            match self.indent {
                Some(indent) if indent == column => {}
                Some(indent) if indent > column => return None,
                _ => break,
            }
        }
        let mut children = self.stack.drain(start..);
        let mut entries = Vec::with_capacity(children.len() / 2);
        while let (Some(key), Some(value)) = (children.next(), children.next()) {
            entries.push((key, value));
        }
        drop(children);
        Some(Node::mapping(entries).with_place(place))
    }

    /// The value at `content` of the current line, in a collection that begins in `column`; goes to the line after it.
    fn value(&mut self, column: usize, content: usize) -> Option<Node> {
        let place = self.place(content);
        let text = &self.row[content..];
        match text.as_bytes().first()? {
            quote @ (b'"' | b'\'') => {
                let style = if *quote == b'"' {
                    Style::DoubleQuoted
                } else {
                    Style::SingleQuoted
                };
                let (inner, rest) = text[1..].split_once(char::from(*quote))?;
                // A quote that is doubled, and an escape, are not for here.
                if !is_end(rest) || (style == Style::DoubleQuoted && inner.contains('\\')) {
                    return None;
                }
                self.advance();
                Some(string(inner.to_owned(), style, place))
            }
            b'|' => {
                let strips = match trim_comment(text) {
                    "|" => false,
                    "|-" => true,
                    _ => return None,
                };
                self.literal(column, strips)
            }
            b'[' if trim_comment(text) == "[]" => {
                self.advance();
                let node = Node::sequence(Vec::new()).with_style(Style::Flow);
                Some(node.with_place(place))
            }
            b'{' if trim_comment(text) == "{}" => {
                self.advance();
                let node = Node::mapping(Vec::new()).with_style(Style::Flow);
                Some(node.with_place(place))
            }
            first => {
                let text = trim_comment(text);
                let may_start = match first {
                    b'-' => !is_item(text) && !text.starts_with("---"),
                    _ => !b"?:,[]{}#&*!|>'\"%@`".contains(first),
                };
                if !may_start || text.contains(": ") || text.ends_with(':') {
                    return None;
                }
                self.advance();
                Some(self.plain(text, place))
            }
        }
    }

    /// The lines of a literal text, in a collection that begins in `column`; goes to the line after it.
    fn literal(&mut self, column: usize, strips: bool) -> Option<Node> {
        // How a text ends that the file does not end with a line break is not for here.
        if !self.text.ends_with('\n') {
            return None;
        }
        let mut text = String::new();
        let mut inner = None;
        let mut place = Place::default();
        let mut blank = 0;
        while self.step() {
            let indent = spaces(self.row);
            let is_blank = indent == self.row.len();
            match inner {
                // Before the first line, spaces might be deeper than it.
                None if is_blank && indent == 0 => blank += 1,
                None if is_blank || indent <= column => return None,
                Some(inner) if is_blank && indent <= inner => blank += 1,
                Some(inner) if indent < inner => {
                    self.rest_at(indent);
                    break;
                }
                _ => {
                    let inner = *inner.get_or_insert_with(|| {
                        // The parser's place of such a text is that of its first line.
                        place = self.place(indent);
                        indent
                    });
                    text.extend(std::iter::repeat_n('\n', std::mem::take(&mut blank)));
                    text.push_str(&self.row[inner..]);
                    text.push('\n');
                }
            }
        }
        inner?;
        if strips {
            text.pop();
        }
        Some(string(text, Style::Literal, place))
    }

    /// Goes on with the current line, which has this indentation, or with the next one if it is a comment.
    fn rest_at(&mut self, indent: usize) {
        self.indent = Some(indent);
        if self.row[indent..].starts_with('#') {
            self.advance();
        }
    }

    fn plain(&self, text: &str, place: Place) -> Node {
        let tag = if text == "<<" {
            Tag::Merge
        } else {
            resolve_tag(text)
        };
        scalar(text.to_owned(), Style::Plain, tag, place)
    }

    fn place(&self, column: usize) -> Place {
        Place {
            source: self.source,
            line: self.line,
            column: u32::try_from(column + 1).unwrap_or(u32::MAX),
        }
    }
}

fn scalar(text: String, style: Style, tag: Tag, place: Place) -> Node {
    Node {
        data: Data::Scalar(text),
        tag,
        style,
        tagged: false,
        place,
        link: 0,
    }
}

fn string(text: String, style: Style, place: Place) -> Node {
    scalar(text, style, Tag::Str, place)
}

fn spaces(row: &str) -> usize {
    row.bytes().take_while(|byte| *byte == b' ').count()
}

/// Whether a text begins with the dash of an item.
fn is_item(text: &str) -> bool {
    matches!(text.as_bytes(), [b'-'] | [b'-', b' ', ..])
}

/// The plain key with which a text begins, if it does and the key has a colon.
fn key(text: &str) -> Option<&str> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_./$-".contains(byte);
    let length = text.bytes().take_while(|byte| is_part(byte)).count();
    let is_key = matches!(text.as_bytes()[length..], [b':'] | [b':', b' ', ..]);
    (is_key && length > 0 && !text.starts_with('-')).then(|| &text[..length])
}

/// Whether nothing but a comment follows.
fn is_end(rest: &str) -> bool {
    let trimmed = rest.trim_start_matches(' ');
    trimmed.is_empty() || (trimmed.len() < rest.len() && trimmed.starts_with('#'))
}

/// A text without the comment after it.
fn trim_comment(text: &str) -> &str {
    let end = text.find(" #").unwrap_or(text.len());
    text[..end].trim_end_matches(' ')
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::yaml::read::by_events;

    /// What stands on a line: most of it of the plain form, some of it next to it.
    const CONTENT: [&str; 56] = [
        "a: b",
        "a:",
        "b:",
        "- a",
        "- a: b",
        "- a:",
        "-",
        "- - a",
        "- b:   c  ",
        "a: 'x y'",
        "a: \"x # y\"",
        "a: 'it''s'",
        "a: \"\\n\"",
        "a: 'x' # note",
        "a: 'x'# note",
        "a: x # note",
        "a: x#y",
        "# note",
        "a: |",
        "a: |-",
        "a: |+",
        "a: |2",
        "a: >",
        "- |",
        "- |-",
        "text",
        "text: more",
        "more text:",
        "a: b: c",
        "a: b:",
        "a: []",
        "a: {}",
        "a: [x]",
        "a: {x: y}",
        "- []",
        "- {}",
        "a: [] # note",
        "---",
        "--- # note",
        "...",
        "%YAML 1.2",
        "a: &x y",
        "a: *x",
        "a: !t x",
        "a: -1",
        "a: - b",
        "a: --flag=x",
        "a: 0x1f",
        "a: 2020-01-01",
        "a: ~",
        "a: null",
        "a: true",
        "<<: b",
        "'a': b",
        "a: @b",
        "? a",
    ];

    fn line() -> impl Strategy<Value = String> {
        let plain = (0..4_usize, select(&CONTENT[..]))
            .prop_map(|(depth, text)| format!("{}{text}", "  ".repeat(depth)));
        let odd = (0..7_usize, select(&CONTENT[..]), "[ \t]{0,2}")
            .prop_map(|(n, text, end)| format!("{}{text}{end}", " ".repeat(n)));
        let blank = " {0,6}".prop_map(String::from);
        prop_oneof![8 => plain, 2 => odd, 1 => blank]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_read_here_is_what_the_parser_reads(lines in vec(line(), 1..9), ends in any::<bool>()) {
            let mut text = lines.join("\n");
            if ends {
                text.push('\n');
            }
            if let Some(node) = read(&text, 3) {
                let parsed = by_events(&text, "t.yaml", 3, usize::MAX);
                prop_assert_eq!(parsed, Ok(vec![node]), "{}", text);
            }
        }
    }

    #[test]
    fn the_plain_form_is_taken() {
        let text = "---\n# note\nkind: A # note\nmetadata:\n  name: 'a'\n  labels: {}\nspec:\n  args:\n  - --x=1\n  - \"a b\"\n\n  ports:\n    - \
                    name: http\n      port: 80\n  text: |\n\n    one\n      two\n\n  last: -1\n";
        assert_eq!(Some(vec![read(text, 0).unwrap()]), by_events(text, "", 0, 9).ok());
    }
}
