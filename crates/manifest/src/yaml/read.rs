//! Reader: YAML text to [`Node`] trees, on the events of a parser that keeps quoting and places.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StructureStyle};
use thiserror::Error;

use super::block;
use super::resolve::resolve_tag;
use crate::node::{Data, Node, Place, Style, Tag};

/// Texts longer than this many bytes are refused.
pub const MAX_BYTES: usize = 128 << 20;
/// Collections nested deeper than this are refused.
pub const MAX_DEPTH: usize = 250;
/// A document may not gain more than this many nodes from its aliases.
pub const MAX_ALIASED: usize = 500_000;

/// A text that is not the YAML that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct ReadError {
    /// The file, as the caller named it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
}

/// Reads all documents of a text. A document without content is a null node.
///
/// `file` is only named in errors.
///
/// # Errors
///
/// When the text is not YAML or is over one of the limits of this module.
pub fn read(text: &str, file: &str) -> Result<Vec<Node>, ReadError> {
    let text = prepare(text, file)?;
    match block::read(&text, 0) {
        Some(node) => Ok(vec![node]),
        None => by_events(&text, file, 0, usize::MAX),
    }
}

/// Reads the first document of a text and ignores what follows, as decoders that are asked for one value
/// do. `source` is stored in the place of every node. `None` when the text has no document.
///
/// # Errors
///
/// When the document is not YAML or is over one of the limits of this module.
pub fn read_first(text: &str, file: &str, source: u32) -> Result<Option<Node>, ReadError> {
    let text = prepare(text, file)?;
    match block::read(&text, source) {
        Some(node) => Ok(Some(node)),
        None => Ok(by_events(&text, file, source, 1)?.pop()),
    }
}

/// Reads at most so many documents by the parser's events, which know all of YAML.
pub(super) fn by_events(text: &str, file: &str, source: u32, most: usize) -> Result<Vec<Node>, ReadError> {
    Reader::new(text, file, source).documents(most)
}

/// Checks the size and makes U+0085 the line break that it is for go-yaml.
fn prepare<'t>(text: &'t str, file: &str) -> Result<Cow<'t, str>, ReadError> {
    if text.len() > MAX_BYTES {
        let message = format!("file of {} bytes is over the limit of {MAX_BYTES}", text.len());
        return Err(ReadError {
            file: file.into(),
            line: 1,
            column: 1,
            message,
        });
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Without a way out in the middle of a chunk, many bytes are compared at once.
    let plain = |byte: u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t' | b'\r');
    let all_plain = |chunk: &[u8]| chunk.iter().fold(true, |all, byte| all & plain(*byte));
    if text.as_bytes().chunks(64).all(all_plain) {
        return Ok(Cow::Borrowed(text));
    }
    if let Some((at, c)) = text.char_indices().find(|(_, c)| !is_allowed(*c)) {
        let before = &text[..at];
        let line = u32::try_from(before.matches('\n').count() + 1).unwrap_or(u32::MAX);
        let column = before.rsplit('\n').next().map_or(0, |row| row.chars().count()) + 1;
        let message = format!("control characters are not allowed: U+{:04X}", u32::from(c));
        let column = u32::try_from(column).unwrap_or(u32::MAX);
        return Err(ReadError {
            file: file.into(),
            line,
            column,
            message,
        });
    }
    Ok(if text.contains('\u{85}') {
        Cow::Owned(text.replace('\u{85}', "\n"))
    } else {
        Cow::Borrowed(text)
    })
}

/// The line and the paragraph separator.
const SEPARATORS: [char; 2] = ['\u{2028}', '\u{2029}'];

/// Whether a YAML text may hold a character as it is.
pub fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..)
}

/// The first escape of a double-quoted text that go-yaml refuses and the parser accepts: `\/`, and the
/// halves of a surrogate pair.
fn bad_escape(source: &str) -> Option<&str> {
    let mut rest = source;
    while let Some(at) = rest.find('\\') {
        rest = &rest[at..];
        let mut after = rest[1..].chars();
        let code = match after.next()? {
            '/' => return rest.get(..2),
            'u' => rest.get(2..6).and_then(|hex| u32::from_str_radix(hex, 16).ok()),
            _ => None,
        };
        if code.is_some_and(|code| (0xd800..=0xdfff).contains(&code)) {
            return rest.get(..6);
        }
        rest = after.as_str();
    }
    None
}

/// A collection that is not closed yet. Its children wait on the reader's stack, so that it is allocated
/// once, in its final size.
struct Open {
    node: Node,
    anchor: usize,
    /// The length of the stack before the first child.
    start: usize,
}

struct Anchored {
    node: Node,
    /// Number of nodes in it, itself included.
    size: usize,
}

struct Reader<'t> {
    parser: Parser<'t, granit_parser::StrInput<'t>>,
    text: &'t str,
    /// Whether there are line separators, which are line breaks for go-yaml.
    has_separators: bool,
    /// Whether an escape may be one that go-yaml refuses.
    has_escapes: bool,
    file: &'t str,
    source: u32,
    open: Vec<Open>,
    /// Children of open collections; keys and values of mappings in turn.
    stack: Vec<Node>,
    anchors: HashMap<usize, Anchored>,
    aliased: usize,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str, file: &'t str, source: u32) -> Self {
        let options = granit_parser::options! {
            block_scalar_eof_without_line_feed: true,
            emit_comments: false,
            flow_nesting_limit: MAX_DEPTH,
            block_nesting_limit: MAX_DEPTH,
        };
        Self {
            parser: Parser::new_from_str_with_options(text, options),
            text,
            has_separators: !text.is_ascii() && text.contains(SEPARATORS),
            has_escapes: text.contains('\\')
                && ["\\/", "\\ud", "\\uD"].iter().any(|escape| text.contains(escape)),
            file,
            source,
            open: Vec::new(),
            stack: Vec::new(),
            anchors: HashMap::new(),
            aliased: 0,
        }
    }

    fn documents(&mut self, most: usize) -> Result<Vec<Node>, ReadError> {
        let mut documents = Vec::new();
        let mut root = None;
        while documents.len() < most {
            let Some(event) = self.parser.next_event() else {
                break;
            };
            let (event, span) = event.map_err(|error| self.scan_error(&error))?;
            match event {
                Event::DocumentStart(..) => {
                    self.anchors.clear();
                    self.aliased = 0;
                }
                Event::DocumentEnd => documents.extend(root.take()),
                other => {
                    if let Some(node) = self.event(other, span)? {
                        root = Some(node);
                    }
                }
            }
        }
        Ok(documents)
    }

    /// Takes one event and returns the root of the document when the event completes it.
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<Option<Node>, ReadError> {
        let place = self.place(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let source = || {
                    span.byte_range()
                        .and_then(|range| self.text.get(range))
                        .unwrap_or_default()
                };
                if self.has_escapes
                    && style == ScalarStyle::DoubleQuoted
                    && let Some(escape) = bad_escape(source())
                {
                    return Err(self.error(place, format!("found unknown escape {escape}")));
                }
                let is_quoted = matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
                if is_quoted && span.start.line() != span.end.line() {
                    self.refuse_at_key(span, place)?;
                }
                let text = if self.has_separators && source().contains(SEPARATORS) {
                    self.refuse_at_key(span, place)?;
                    self.without_separators(text, style, place)?
                } else {
                    text
                };
                let tag = tag.map(|tag| spelling(&tag));
                let is_absent = style == ScalarStyle::Plain && span.is_empty();
                if is_absent && anchor == 0 && tag.is_none() {
                    self.refuse_at_key(span, place)?;
                }
                let node = scalar(text.into_owned(), style, tag.as_deref(), place, is_absent);
                self.complete(node, anchor)
            }
            Event::SequenceStart(style, anchor, tag) => self.begin(
                Node::sequence(Vec::new()),
                style,
                anchor,
                tag.map(|t| spelling(&t)),
                place,
            ),
            Event::MappingStart(style, anchor, tag) => self.begin(
                Node::mapping(Vec::new()),
                style,
                anchor,
                tag.map(|t| spelling(&t)),
                place,
            ),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => {
                    let anchor = open.anchor;
                    let node = self.close(open);
                    self.complete(node, anchor)
                }
                None => Ok(None),
            },
            Event::Alias(id) => {
                let node = self.alias(id, place)?;
                self.complete(node, 0)
            }
            _ => Ok(None),
        }
    }

    /// Refuses a node as a key, unless it stands after a `?`: without one go-yaml wants a key that is there and
    /// on one line.
    fn refuse_at_key(&self, span: Span, place: Place) -> Result<(), ReadError> {
        let in_mapping =
            |open: &Open| open.node.is_mapping() && (self.stack.len() - open.start).is_multiple_of(2);
        let before = span.byte_range().and_then(|range| self.text.get(..range.start));
        let has_mark = before.is_none_or(|before| before.trim_end().ends_with('?'));
        if self.open.last().is_some_and(in_mapping) && !has_mark {
            return Err(self.error(place, "did not find expected key".to_owned()));
        }
        Ok(())
    }

    /// A quoted text with line separators: blanks around a line break are not part of it. Elsewhere the next
    /// line would start in the first column, which no scalar does.
    fn without_separators<'v>(
        &self,
        text: Cow<'v, str>,
        style: ScalarStyle,
        place: Place,
    ) -> Result<Cow<'v, str>, ReadError> {
        if !matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted) {
            return Err(self.error(place, "line separator outside of quotes".to_owned()));
        }
        let mut trimmed = String::with_capacity(text.len());
        for part in text.split_inclusive(SEPARATORS) {
            let part = if trimmed.ends_with(SEPARATORS) {
                part.trim_start_matches(' ')
            } else {
                part
            };
            match part
                .char_indices()
                .next_back()
                .filter(|(_, last)| SEPARATORS.contains(last))
            {
                Some((at, last)) => {
                    trimmed.push_str(part[..at].trim_end_matches(' '));
                    trimmed.push(last);
                }
                None => trimmed.push_str(part),
            }
        }
        Ok(Cow::Owned(trimmed))
    }

    fn begin(
        &mut self,
        node: Node,
        style: StructureStyle,
        anchor: usize,
        tag: Option<String>,
        place: Place,
    ) -> Result<Option<Node>, ReadError> {
        let mut node = node.with_place(place);
        if style == StructureStyle::Flow {
            node.style = Style::Flow;
        }
        if let Some(tag) = tag.filter(|tag| tag != "!") {
            node.tag = Tag::parse(&tag);
            node.tagged = true;
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(self.error(place, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.open.push(Open {
            node,
            anchor,
            start: self.stack.len(),
        });
        Ok(None)
    }

    /// Moves the children of a collection off the stack.
    fn close(&mut self, open: Open) -> Node {
        let Open { mut node, start, .. } = open;
        let mut children = self.stack.drain(start..);
        match &mut node.data {
            Data::Sequence(items) => items.extend(children),
            Data::Mapping(entries) => {
                entries.reserve_exact(children.len() / 2);
                while let (Some(key), Some(value)) = (children.next(), children.next()) {
                    entries.push((key, value));
                }
            }
            Data::Scalar(_) => {}
        }
        node
    }

    fn complete(&mut self, node: Node, anchor: usize) -> Result<Option<Node>, ReadError> {
        if anchor != 0 {
            self.anchors.insert(
                anchor,
                Anchored {
                    size: size(&node),
                    node: node.clone(),
                },
            );
        }
        if self.open.is_empty() {
            return Ok(Some(node));
        }
        self.stack.push(node);
        Ok(None)
    }

    fn alias(&mut self, id: usize, place: Place) -> Result<Node, ReadError> {
        let Some(anchored) = self.anchors.get(&id) else {
            return Err(self.error(place, "an anchor's value contains itself".to_owned()));
        };
        self.aliased = self.aliased.saturating_add(anchored.size);
        if self.aliased > MAX_ALIASED {
            let message = format!("aliases expand to more than {MAX_ALIASED} values");
            return Err(self.error(place, message));
        }
        Ok(anchored.node.clone())
    }

    fn place(&self, span: Span) -> Place {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Place {
            source: self.source,
            line: number(span.start.line()),
            column: number(span.start.col() + 1),
        }
    }

    fn error(&self, place: Place, message: String) -> ReadError {
        ReadError {
            file: self.file.into(),
            line: place.line,
            column: place.column,
            message,
        }
    }

    fn scan_error(&self, error: &ScanError) -> ReadError {
        let marker = *error.marker();
        self.error(self.place(Span::empty(marker)), error.info())
    }
}

/// The number of values in a tree: its collections and scalars, keys too.
pub fn size(node: &Node) -> usize {
    1 + match &node.data {
        Data::Scalar(_) => 0,
        Data::Sequence(items) => items.iter().map(size).sum(),
        Data::Mapping(entries) => entries.iter().map(|(k, v)| size(k) + size(v)).sum(),
    }
}

fn spelling(tag: &granit_parser::Tag) -> String {
    format!("{}{}", tag.handle(), tag.suffix())
}

fn scalar(text: String, style: ScalarStyle, tag: Option<&str>, place: Place, absent: bool) -> Node {
    let style = match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::SingleQuoted,
        ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Folded => Style::Folded,
    };
    // The parser spells a value that is not there "~"; an alias-sized span would hold the character.
    let text = if absent && text == "~" {
        String::new()
    } else {
        text
    };
    let (tag, tagged) = match tag {
        Some(tag) if tag != "!" => (Tag::parse(tag), true),
        _ if style.is_quoted() => (Tag::Str, false),
        _ if text == "<<" => (Tag::Merge, false),
        _ => (resolve_tag(&text), false),
    };
    Node {
        data: Data::Scalar(text),
        tag,
        style,
        tagged,
        place,
        link: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Kind;

    #[test]
    fn nodes_keep_style_tag_and_place() {
        let text = "a: 'x'\nb: [1, !own y]\nc: |\n  z\nd:\n";
        let node = read_first(text, "t.yaml", 7).unwrap().unwrap();
        let a = node.get("a").unwrap();
        assert_eq!(
            (a.style, &a.tag, a.line(), a.column()),
            (Style::SingleQuoted, &Tag::Str, 1, 4)
        );
        assert_eq!(a.place.source, 7);
        let b = node.get("b").unwrap();
        assert_eq!((b.kind(), b.style), (Kind::Sequence, Style::Flow));
        assert_eq!(b.items()[0].tag, Tag::Int);
        assert_eq!(
            (&b.items()[1].tag, b.items()[1].tagged),
            (&Tag::Other("!own".into()), true)
        );
        assert_eq!(node.get("c").and_then(Node::as_str), Some("z\n"));
        assert!(node.get("d").unwrap().is_null());
        assert_eq!(node.get("d").and_then(Node::as_str), Some(""));
    }

    #[test]
    fn aliases_are_copies() {
        let node = read("a: &x {k: v}\nb: *x\n", "t").unwrap().remove(0);
        assert_eq!(node.path(&["b", "k"]).and_then(Node::as_str), Some("v"));
    }

    #[test]
    fn documents_are_counted() {
        let rows = [
            ("", 0),
            ("# only a comment\n", 0),
            ("a", 1),
            ("---\n---\n", 2),
            ("a: 1\n---\nb: 2\n...\n", 2),
        ];
        for (text, count) in rows {
            assert_eq!(read(text, "t").unwrap().len(), count, "{text:?}");
        }
        assert!(
            read_first("{a: 1}\n{b: 2}\n", "t", 0).unwrap().is_some(),
            "the rest is not read"
        );
    }

    #[test]
    fn what_go_yaml_refuses_is_refused() {
        let rows = [
            r#"a: "\/""#,
            r#"{"a": "\ud83d\ude00"}"#,
            "a: \u{7f}",
            "a: 'x\u{1}'",
            "\u{fffe}",
        ];
        for text in rows {
            assert!(read(text, "t").is_err(), "{text}");
        }
        for text in [r#"a: "\\/""#, r#"a: "\u00e9""#, "a: '\\/'", "a: 'x\u{85}b'"] {
            assert!(read(text, "t").is_ok(), "{text}");
        }
    }

    #[test]
    fn errors_have_a_place() {
        let error = read("a: 1\nb: [\n", "t.yaml").unwrap_err();
        assert_eq!(error.file.as_ref(), "t.yaml");
        assert!(error.line >= 2, "{error}");
    }

    #[test]
    fn bombs_are_refused() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for i in 1..30 {
            let list = vec![format!("*a{}", i - 1); 9].join(", ");
            bomb.push_str(&["a", &i.to_string(), ": &a", &i.to_string(), " [", &list, "]\n"].concat());
        }
        assert!(read(&bomb, "t").unwrap_err().message.contains("aliases expand"));
        let deep = "[".repeat(100_000);
        assert!(read(&deep, "t").is_err());
        assert!(read("a: &a [*a]\n", "t").is_err());
    }
}
