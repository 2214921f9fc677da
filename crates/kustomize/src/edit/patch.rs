//! Patches: the bytes to replace so that a text says what a change wants.

use std::ops::Range;

use granit_parser::ScalarStyle;

use super::EditError;
use super::change::{Change, Value};
use super::scalar;
use super::spans::{Data, Document, Node};

/// Bytes of the text and what replaces them.
#[derive(Debug)]
pub(super) struct Patch {
    pub(super) at: Range<usize>,
    pub(super) with: String,
}

/// Finds what to replace. `exists` says whether the data has such an entry, wherever its name comes from.
pub(super) fn plan(
    document: &Document<'_>,
    change: &Change<'_>,
    exists: bool,
) -> Result<Vec<Patch>, EditError> {
    let Some(section) = document.section(change.section)? else {
        return document.begin_section(change);
    };
    let named = |item: &&Node| document.target(item).get("name").and_then(Node::text) == Some(change.name);
    let hits: Vec<&Node> = section.items().iter().filter(named).collect();
    match hits[..] {
        [] if exists => {
            let reason = format!(
                "an entry of `{}` takes the name `{}` from elsewhere",
                change.section, change.name
            );
            Err(document.unsafe_at(section.span.start, reason))
        }
        [] => document.add_entry(section, change),
        [entry] => document.set_key(entry, change),
        [_, second, ..] => {
            let reason = format!(
                "`{}` is listed more than once in `{}`",
                change.name, change.section
            );
            Err(document.unsafe_at(second.span.start, reason))
        }
    }
}

/// Replaces the bytes; the patches do not overlap.
pub(super) fn splice(text: &str, mut patches: Vec<Patch>) -> String {
    patches.sort_by_key(|patch| patch.at.start);
    let mut edited = String::with_capacity(text.len() + 64);
    let mut rest = 0;
    for Patch { at, with } in patches {
        edited.push_str(text.get(rest..at.start).unwrap_or_default());
        edited.push_str(&with);
        rest = at.end;
    }
    edited.push_str(text.get(rest..).unwrap_or_default());
    edited
}

fn insert(at: usize, with: String) -> Patch {
    Patch { at: at..at, with }
}

impl Change<'_> {
    fn value_text(&self, like: Option<ScalarStyle>, flow: bool) -> String {
        match self.value {
            Value::Text(text) => scalar::write(text, like, flow),
            Value::Count(count) => count.to_string(),
        }
    }

    /// A whole entry on one line, in JSON's spelling where the file uses that.
    fn flow_entry(&self, json: bool) -> String {
        let like = json.then_some(ScalarStyle::DoubleQuoted);
        let name = scalar::write(self.name, like, true);
        let key = |key| scalar::write(key, like, true);
        format!(
            "{{{}: {name}, {}: {}}}",
            key("name"),
            key(self.key),
            self.value_text(like, true)
        )
    }

    /// A whole entry on lines of its own.
    fn block_entry(&self, indent: &str) -> [String; 2] {
        let name = scalar::write(self.name, None, false);
        let value = self.value_text(None, false);
        [
            format!("{indent}- name: {name}"),
            format!("{indent}  {}: {value}", self.key),
        ]
    }
}

impl Document<'_> {
    // --- the section ---

    fn begin_section(&self, change: &Change<'_>) -> Result<Vec<Patch>, EditError> {
        let Some(root) = self.root.as_ref().filter(|root| !root.is_unwritten()) else {
            return Ok(vec![self.append(section_lines(change, ""))]);
        };
        if let Some((key, value)) = root.entry(change.section) {
            return self.fill_section(key, value, change);
        }
        let flow = matches!(root.data, Data::Mapping { flow: true, .. });
        match root.entries().last() {
            Some((key, value)) if flow => {
                let json = is_double_quoted(key);
                let like = json.then_some(ScalarStyle::DoubleQuoted);
                let section = scalar::write(change.section, like, true);
                Ok(vec![insert(
                    self.end(key, value),
                    format!(", {section}: [{}]", change.flow_entry(json)),
                )])
            }
            None => Err(self.unsafe_at(root.span.start, "the kustomization is empty")),
            Some(_) => {
                let indent = self.indent(root.entries()[0].0.span.start)?;
                Ok(vec![self.append(section_lines(change, &indent))])
            }
        }
    }

    /// Gives content to a section whose value is null.
    fn fill_section(&self, key: &Node, value: &Node, change: &Change<'_>) -> Result<Vec<Patch>, EditError> {
        if !value.is_unwritten() {
            return Ok(vec![Patch {
                at: self.written(value),
                with: format!("[{}]", change.flow_entry(false)),
            }]);
        }
        if matches!(
            self.root.as_ref().map(|root| &root.data),
            Some(Data::Mapping { flow: true, .. })
        ) {
            let with = format!(" [{}]", change.flow_entry(is_double_quoted(key)));
            return Ok(vec![insert(self.after_colon(key)?, with)]);
        }
        let indent = self.indent(key.span.start)?;
        Ok(vec![
            self.insert_lines(key.span.end, &change.block_entry(&indent)),
        ])
    }

    // --- the entry ---

    fn add_entry(&self, section: &Node, change: &Change<'_>) -> Result<Vec<Patch>, EditError> {
        let items = section.items();
        if matches!(section.data, Data::Sequence { flow: true, .. }) {
            let json = items
                .last()
                .and_then(|item| item.entries().first())
                .is_some_and(|(key, _)| is_double_quoted(key));
            let entry = change.flow_entry(json);
            return Ok(vec![match items.last() {
                Some(last) => insert(self.written(last).end, format!(", {entry}")),
                None => insert(section.span.start + 1, entry),
            }]);
        }
        let (Some(first), Some(last)) = (items.first(), items.last()) else {
            return Err(self.unsafe_at(section.span.start, format!("`{}` has no entries", change.section)));
        };
        let indent = self.indent(self.dash(first)?)?;
        let end = self.last_byte(last);
        Ok(vec![self.insert_lines(end, &change.block_entry(&indent))])
    }

    /// The dash of the first item. It begins a line, since the list stands below a key; the item's own span
    /// begins after its anchor, tag and comments.
    fn dash(&self, first: &Node) -> Result<usize, EditError> {
        let mut start = self.line_start(first.span.start);
        loop {
            let line = &self.text[start..];
            let blanks = line.len() - line.trim_start_matches(' ').len();
            if line[blanks..].starts_with('-') {
                return Ok(start + blanks);
            }
            if start == 0 {
                return Err(self.unsafe_at(first.span.start, "the list is written in an unusual way"));
            }
            start = self.line_start(start - 1);
        }
    }

    // --- the key ---

    fn set_key(&self, entry: &Node, change: &Change<'_>) -> Result<Vec<Patch>, EditError> {
        let Data::Mapping { entries, flow } = &entry.data else {
            let reason = format!("the entry `{}` is an alias of a value elsewhere", change.name);
            return Err(self.unsafe_at(entry.span.start, reason));
        };
        let dropped = change.drop.and_then(|key| entry.entry(key));
        let Some((key, value)) = entry.entry(change.key) else {
            return match dropped {
                // One line says something else: that is all a reviewer has to read.
                Some((key, value)) => self.rewrite_pair(key, value, change, *flow),
                None => self.insert_key(entry, change, *flow).map(|patch| vec![patch]),
            };
        };
        let mut patches = self.set_value(key, value, change, *flow)?;
        if let Some((key, value)) = dropped {
            patches.push(self.remove_pair(entries, key, value, *flow)?);
        }
        Ok(patches)
    }

    fn set_value(
        &self,
        key: &Node,
        value: &Node,
        change: &Change<'_>,
        flow: bool,
    ) -> Result<Vec<Patch>, EditError> {
        let refuse = |reason: &str| Err(self.unsafe_at(key.span.start, format!("`{}` {reason}", change.key)));
        match &value.data {
            Data::Scalar { .. } if value.is_unwritten() => {
                if value.anchor != 0 {
                    return refuse("has an anchor but no value");
                }
                let with = format!(" {}", change.value_text(None, flow));
                Ok(vec![insert(self.after_colon(key)?, with)])
            }
            Data::Scalar {
                style: ScalarStyle::Literal | ScalarStyle::Folded,
                ..
            } => refuse("is a block of text; write it on one line"),
            Data::Scalar { style, .. } => Ok(vec![Patch {
                at: self.written(value),
                with: change.value_text(Some(*style), flow),
            }]),
            Data::Alias(_) => Ok(vec![Patch {
                at: self.written(value),
                with: change.value_text(None, flow),
            }]),
            Data::Sequence { .. } | Data::Mapping { .. } => refuse("is not a text"),
        }
    }

    /// Makes one pair into the other: `digest: …` into `newTag: …`.
    fn rewrite_pair(
        &self,
        key: &Node,
        value: &Node,
        change: &Change<'_>,
        flow: bool,
    ) -> Result<Vec<Patch>, EditError> {
        let like = is_double_quoted(key).then_some(ScalarStyle::DoubleQuoted);
        let mut patches = self.set_value(key, value, change, flow)?;
        patches.push(Patch {
            at: self.written(key),
            with: scalar::write(change.key, like, flow),
        });
        Ok(patches)
    }

    /// Adds a pair behind the one that comes before it in the usual order.
    fn insert_key(&self, entry: &Node, change: &Change<'_>, flow: bool) -> Result<Patch, EditError> {
        let before = change.keys.iter().take_while(|key| **key != change.key);
        let Some((key, value)) = before.filter_map(|key| entry.entry(key)).last() else {
            return Err(self.unsafe_at(
                entry.span.start,
                format!("the entry `{}` takes its name from elsewhere", change.name),
            ));
        };
        if flow {
            let like = is_double_quoted(key).then_some(ScalarStyle::DoubleQuoted);
            let (name, text) = (
                scalar::write(change.key, like, true),
                change.value_text(like, true),
            );
            return Ok(insert(self.end(key, value), format!(", {name}: {text}")));
        }
        let indent = self.indent(entry.entries()[0].0.span.start)?;
        let line = format!("{indent}{}: {}", change.key, change.value_text(None, false));
        Ok(self.insert_lines(self.last_byte(value).max(key.span.end), &[line]))
    }

    fn remove_pair(
        &self,
        entries: &[(Node, Node)],
        key: &Node,
        value: &Node,
        flow: bool,
    ) -> Result<Patch, EditError> {
        let at = entries
            .iter()
            .position(|(found, _)| found.span == key.span)
            .unwrap_or_default();
        let next = entries.get(at + 1).map(|(key, _)| key.span.start);
        let previous = at
            .checked_sub(1)
            .map(|at| self.end(&entries[at].0, &entries[at].1));
        let end = self.end(key, value);
        let start = self.line_start(key.span.start);
        let alone = self.text[start..key.span.start].bytes().all(|byte| byte == b' ');
        let range = match (flow, previous, next) {
            (true, Some(previous), _) => previous..end,
            (true, None, Some(next)) => key.span.start..next,
            // The pair has lines of its own.
            (false, ..) if alone => start..self.line_end(end),
            // The pair stands behind the dash, where the next one takes its place.
            (false, None, Some(next)) => key.span.start..next,
            _ => return Err(self.unsafe_at(key.span.start, "there is no way to remove a key here")),
        };
        let comment_between = !alone && self.text[end..range.end.max(end)].contains('#');
        if comment_between {
            return Err(self.unsafe_at(key.span.start, "a comment would be lost with the key that goes"));
        }
        Ok(Patch {
            at: range,
            with: String::new(),
        })
    }

    // --- the text ---

    /// The bytes of a node, without blanks at the end.
    fn written(&self, node: &Node) -> Range<usize> {
        let text = self.text.get(node.span.clone()).unwrap_or_default();
        node.span.start..node.span.start + text.trim_end_matches([' ', '\t', '\r', '\n']).len()
    }

    /// Where a pair ends.
    fn end(&self, key: &Node, value: &Node) -> usize {
        if value.is_unwritten() {
            self.after_colon(key).unwrap_or(key.span.end)
        } else {
            self.last_byte(value)
        }
    }

    /// The end of the last written thing in a node.
    fn last_byte(&self, node: &Node) -> usize {
        let below = node.entries().iter().map(|(key, value)| self.end(key, value));
        let below = below.chain(node.items().iter().map(|item| self.last_byte(item)));
        below.fold(self.written(node).end, usize::max)
    }

    fn after_colon(&self, key: &Node) -> Result<usize, EditError> {
        let rest = &self.text[key.span.end..];
        let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        if rest[blanks..].starts_with(':') {
            return Ok(key.span.end + blanks + 1);
        }
        Err(self.unsafe_at(key.span.start, "the key is written in an unusual way"))
    }

    /// As many spaces as stand, or would stand, before a byte of a line.
    fn indent(&self, at: usize) -> Result<String, EditError> {
        let before = &self.text[self.line_start(at)..at];
        if before.contains('\t') || !before.is_ascii() {
            return Err(self.unsafe_at(at, "the indentation is not made of spaces"));
        }
        Ok(" ".repeat(before.len()))
    }

    fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// The beginning of the next line.
    fn line_end(&self, at: usize) -> usize {
        self.text[at..]
            .find('\n')
            .map_or(self.text.len(), |newline| at + newline + 1)
    }

    fn eol(&self) -> &'static str {
        if self.text.contains("\r\n") { "\r\n" } else { "\n" }
    }

    /// Puts lines behind the line of a byte.
    fn insert_lines(&self, at: usize, lines: &[String]) -> Patch {
        self.lines_at(self.line_end(at), lines)
    }

    /// Puts lines at the end of the document.
    fn append(&self, lines: Vec<String>) -> Patch {
        let mut at = 0;
        for line in self.text.split_inclusive('\n') {
            if line.trim_end() == "..." {
                break;
            }
            at += line.len();
        }
        self.lines_at(at, &lines)
    }

    /// A file that ends without a newline goes on to do so.
    fn lines_at(&self, at: usize, lines: &[String]) -> Patch {
        let eol = self.eol();
        let text = lines.join(eol);
        let after_newline = at == 0 || self.text[..at].ends_with('\n');
        insert(
            at,
            if after_newline {
                format!("{text}{eol}")
            } else {
                format!("{eol}{text}")
            },
        )
    }
}

fn section_lines(change: &Change<'_>, indent: &str) -> Vec<String> {
    let mut lines = vec![format!("{indent}{}:", change.section)];
    lines.extend(change.block_entry(indent));
    lines
}

fn is_double_quoted(node: &Node) -> bool {
    matches!(
        node.data,
        Data::Scalar {
            style: ScalarStyle::DoubleQuoted,
            ..
        }
    )
}
