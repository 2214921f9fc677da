//! Emitter: JSON values as the YAML text that go-yaml v2 prints, through `sigs.k8s.io/yaml`.
//!
//! Keys are in natural order, sequences are not indented below their key, scalars fold at 80 columns,
//! strings that YAML 1.1 reads as another type are double-quoted, strings with a line break are literal
//! blocks. The state (column, whitespace, indention) is that of libyaml's emitter, whose rules for where a
//! line starts depend on it.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::number;
use super::order::{natural_order, sort};
use super::resolve::is_string_1_1;
use crate::node::Style;

/// Column after which a space becomes a line break.
const WIDTH: usize = 80;
/// Keys over this many bytes are printed in the `? key` form.
const SIMPLE_KEY: usize = 128;

/// Prints a value as one YAML document with a final newline.
pub fn emit(value: &Value) -> String {
    let mut text = String::with_capacity(512);
    emit_into(value, &mut text);
    text
}

/// Appends a value as one YAML document with a final newline.
pub fn emit_into(value: &Value, text: &mut String) {
    let mut emitter = Emitter {
        text,
        column: 0,
        whitespace: true,
        indention: true,
    };
    emitter.node(value, None, false);
    // Other line breaks than `\n` end a block as well, and nothing follows them.
    emitter.indent(0);
}

struct Emitter<'t> {
    text: &'t mut String,
    column: usize,
    /// The last character was whitespace, or nothing is on the line.
    whitespace: bool,
    /// Only indentation and indicators are on the line.
    indention: bool,
}

impl Emitter<'_> {
    fn put(&mut self, c: char) {
        self.text.push(c);
        self.column += 1;
    }

    fn line_break(&mut self, c: char) {
        self.text.push(c);
        self.column = 0;
    }

    /// Starts a line at this indent, unless the current one is just that.
    fn indent(&mut self, indent: usize) {
        if !self.indention || self.column > indent || (self.column == indent && !self.whitespace) {
            self.line_break('\n');
        }
        while self.column < indent {
            self.put(' ');
        }
        self.whitespace = true;
        self.indention = true;
    }

    fn indicator(&mut self, text: &str, is_indention: bool) {
        self.text.push_str(text);
        self.column += text.len();
        self.indention = self.indention && is_indention;
    }

    fn spaced_indicator(&mut self, text: &str, is_indention: bool) {
        if !self.whitespace {
            self.put(' ');
        }
        self.indicator(text, is_indention);
        self.whitespace = false;
    }

    /// `parent` is the indent of the collection around, none at the root.
    fn node(&mut self, value: &Value, parent: Option<usize>, in_mapping: bool) {
        match value {
            Value::Object(map) if map.is_empty() => self.spaced_indicator("{}", false),
            Value::Array(items) if items.is_empty() => self.spaced_indicator("[]", false),
            Value::Object(map) => self.mapping(map, parent.map_or(0, |indent| indent + 2)),
            Value::Array(items) => {
                let indent = match parent {
                    None => 0,
                    Some(indent) if in_mapping && !self.indention => indent,
                    Some(indent) => indent + 2,
                };
                for item in items {
                    self.indent(indent);
                    self.spaced_indicator("-", true);
                    self.node(item, Some(indent), false);
                }
            }
            Value::String(text) => self.string(text, parent.map_or(2, |indent| indent + 2), false),
            Value::Null => self.word("null"),
            Value::Bool(true) => self.word("true"),
            Value::Bool(false) => self.word("false"),
            Value::Number(number) => self.word(&number::text(number)),
        }
    }

    fn mapping(&mut self, map: &Map<String, Value>, indent: usize) {
        let mut entries: Vec<(&str, &Value)> = map.iter().map(|(k, v)| (k.as_str(), v)).collect();
        sort(&mut entries, |a, b| natural_order(a.0, b.0).is_lt());
        for (key, value) in entries {
            self.indent(indent);
            if key.len() <= SIMPLE_KEY && !key.contains(is_break) {
                self.string(key, indent + 2, true);
                self.indicator(":", false);
                self.whitespace = false;
            } else {
                self.spaced_indicator("?", true);
                self.string(key, indent + 2, false);
                self.indent(indent);
                self.spaced_indicator(":", true);
            }
            self.node(value, Some(indent), true);
        }
    }

    /// A plain scalar that needs no look at its characters.
    fn word(&mut self, text: &str) {
        if !self.whitespace {
            self.put(' ');
        }
        self.text.push_str(text);
        self.column += text.len();
        self.whitespace = false;
        self.indention = false;
    }

    fn string(&mut self, text: &str, indent: usize, is_key: bool) {
        match style(text, is_key) {
            Style::Plain if is_key || self.column + text.len() < WIDTH => self.word_or_chars(text),
            Style::Plain => self.flow_text(text, indent, false, true),
            Style::SingleQuoted => self.flow_text(text, indent, true, !is_key),
            Style::DoubleQuoted => self.double_quoted(text, indent, !is_key),
            Style::Literal | Style::Folded | Style::Flow => self.literal(text, indent),
        }
    }

    /// Columns count characters, not bytes.
    fn word_or_chars(&mut self, text: &str) {
        self.word(text);
        if !text.is_ascii() {
            self.column -= text.len() - text.chars().count();
        }
    }

    /// Plain and single-quoted text, folded at spaces unless it is a key.
    fn flow_text(&mut self, text: &str, indent: usize, quoted: bool, fold: bool) {
        if quoted {
            self.spaced_indicator("'", false);
        } else if !self.whitespace {
            self.put(' ');
        }
        let (mut after_space, mut after_break) = (false, false);
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let next = chars.peek().map(|(_, c)| *c);
            if c == ' ' {
                let inner = !quoted || (at > 0 && next.is_some());
                if fold && !after_space && self.column > WIDTH && inner && next != Some(' ') {
                    self.indent(indent);
                } else {
                    self.put(c);
                }
                after_space = true;
            } else if is_break(c) {
                if !after_break && c == '\n' {
                    self.line_break('\n');
                }
                self.line_break(c);
                self.indention = true;
                after_break = true;
            } else {
                if after_break {
                    self.indent(indent);
                }
                if quoted && c == '\'' {
                    self.put(c);
                }
                self.put(c);
                self.indention = false;
                after_space = false;
                after_break = false;
            }
        }
        if quoted {
            self.indicator("'", false);
        }
        self.whitespace = false;
        self.indention = false;
    }

    fn double_quoted(&mut self, text: &str, indent: usize, fold: bool) {
        self.spaced_indicator("\"", false);
        // The reference asks for a byte order mark at the start only, and then escapes everything.
        let escape_all = text.starts_with('\u{feff}');
        let mut after_space = false;
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let next = chars.peek().map(|(_, c)| *c);
            if escape_all || !is_printable(c) || is_break(c) || c == '"' || c == '\\' {
                self.escaped(c);
                after_space = false;
            } else if c == ' ' && fold && !after_space && self.column > WIDTH && at > 0 && next.is_some() {
                self.indent(indent);
                if next == Some(' ') {
                    self.put('\\');
                }
                after_space = true;
            } else {
                self.put(c);
                after_space = c == ' ';
            }
        }
        self.indicator("\"", false);
        self.whitespace = false;
        self.indention = false;
    }

    fn escaped(&mut self, c: char) {
        let before = self.text.len();
        self.text.push('\\');
        let short = match c {
            '\0' => '0',
            '\x07' => 'a',
            '\x08' => 'b',
            '\t' => 't',
            '\n' => 'n',
            '\x0b' => 'v',
            '\x0c' => 'f',
            '\r' => 'r',
            '\x1b' => 'e',
            '"' | '\\' => c,
            '\u{85}' => 'N',
            '\u{a0}' => '_',
            '\u{2028}' => 'L',
            '\u{2029}' => 'P',
            _ => '\0',
        };
        // Writing to a String cannot fail.
        let _ = match (short, u32::from(c)) {
            ('\0', code @ ..=0xff) => write!(self.text, "x{code:02X}"),
            ('\0', code @ ..=0xffff) => write!(self.text, "u{code:04X}"),
            ('\0', code) => write!(self.text, "U{code:08X}"),
            (short, _) => write!(self.text, "{short}"),
        };
        self.column += self.text.len() - before;
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.spaced_indicator("|", false);
        if text.starts_with(|c| c == ' ' || is_break(c)) {
            self.indicator("2", false);
        }
        let mut tail = text.chars().rev();
        match (
            tail.next().is_some_and(is_break),
            tail.next().is_none_or(is_break),
        ) {
            (false, _) => self.indicator("-", false),
            (true, true) => self.indicator("+", false),
            (true, false) => {}
        }
        self.line_break('\n');
        self.indention = true;
        self.whitespace = true;
        let mut after_break = true;
        for c in text.chars() {
            if is_break(c) {
                self.line_break(c);
                self.indention = true;
                after_break = true;
            } else {
                if after_break {
                    self.indent(indent);
                }
                self.put(c);
                self.indention = false;
                after_break = false;
            }
        }
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

pub(super) fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// The style in which go-yaml v3 prints a string as the value of a mapping.
pub fn printed_style(text: &str) -> Style {
    match text.contains('\n') {
        true if fits_block(text) => Style::Literal,
        true => Style::DoubleQuoted,
        false => style(text, false),
    }
}

/// Whether go-yaml v3 prints a text as a block when it is asked to. Version 2 does not when there is a tab.
pub(super) fn fits_block(text: &str) -> bool {
    let special = |c: char| c != '\t' && !is_printable(c);
    let space_break = text.split(is_break).rev().skip(1).any(|line| line.ends_with(' '));
    !text.ends_with(' ') && !space_break && !text.contains(special)
}

/// The style that go-yaml asks for, or the next one that can hold the text.
fn style(text: &str, is_key: bool) -> Style {
    let facts = Facts::of(text);
    let wanted = if text.contains('\n') {
        if is_key || !facts.block {
            Style::DoubleQuoted
        } else {
            Style::Literal
        }
    } else if is_string_1_1(text) {
        Style::Plain
    } else {
        Style::DoubleQuoted
    };
    if is_key && facts.multiline {
        return Style::DoubleQuoted;
    }
    match wanted {
        Style::Plain if facts.plain && !(is_key && text.is_empty()) => Style::Plain,
        Style::Plain if facts.single => Style::SingleQuoted,
        Style::Plain => Style::DoubleQuoted,
        other => other,
    }
}

/// Which styles can hold a text.
struct Facts {
    multiline: bool,
    plain: bool,
    single: bool,
    block: bool,
}

impl Facts {
    fn of(text: &str) -> Self {
        if text.is_empty() {
            return Self {
                multiline: false,
                plain: true,
                single: true,
                block: false,
            };
        }
        let bytes = text.as_bytes();
        if is_simple(bytes) {
            return Self {
                multiline: false,
                plain: true,
                single: true,
                block: true,
            };
        }
        let blank_at = |at: usize| bytes.get(at).is_none_or(|b| matches!(b, b' ' | b'\t'));
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut multiline, mut special, mut break_space, mut space_break) = (false, false, false, false);
        let (mut previous_space, mut previous_break, mut after_blank) = (false, false, true);
        for (at, c) in text.char_indices() {
            indicators |= match c {
                '#' if at == 0 || after_blank => true,
                ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => {
                    at == 0
                }
                '?' | '-' => at == 0 && blank_at(at + 1),
                ':' => blank_at(at + 1),
                _ => false,
            };
            special |= !is_printable(c);
            let (space, line_break) = (c == ' ', is_break(c));
            multiline |= line_break;
            break_space |= space && previous_break;
            space_break |= line_break && previous_space;
            (previous_space, previous_break) = (space, line_break);
            after_blank = space || line_break || matches!(c, '\t' | '\0');
        }
        let edge = |c: Option<char>| c.is_some_and(|c| c == ' ' || is_break(c));
        let blank_edge = edge(text.chars().next()) || edge(text.chars().next_back());
        let unquotable = blank_edge || break_space || space_break || special || multiline || indicators;
        Self {
            multiline,
            plain: !unquotable,
            single: !(break_space || space_break || special),
            block: !(text.ends_with(' ') || space_break || special),
        }
    }
}

/// Whether no character of a text means anything to YAML, as in most names, images and paths.
fn is_simple(text: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-');
    text.first().is_some_and(u8::is_ascii_alphanumeric) && text.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents() {
        let rows = [
            (
                json!({"b": [1, {"c": "x"}, []], "a": {}, "d": null}),
                "a: {}\nb:\n- 1\n- c: x\n- []\nd: null\n",
            ),
            (json!([[1, [2]], {"a": [3]}]), "- - 1\n  - - 2\n- a:\n  - 3\n"),
            (json!("text"), "text\n"),
            (json!({}), "{}\n"),
            (
                json!({"a10": 1, "a2": 2, "B": 3, "_u": 4}),
                "_u: 4\nB: 3\na2: 2\na10: 1\n",
            ),
        ];
        for (value, text) in rows {
            assert_eq!(emit(&value), text);
        }
    }

    #[test]
    fn strings() {
        let rows = [
            ("yes", "\"yes\""),
            ("", "\"\""),
            ("0644", "\"0644\""),
            ("a: b", "'a: b'"),
            ("#x", "'#x'"),
            ("it's", "it's"),
            ("'q'", "'''q'''"),
            (" lead", "' lead'"),
            ("tab\there", "\"tab\\there\""),
            ("\u{1f600}", "\"\\U0001F600\""),
            ("é日本", "é日本"),
            ("a\u{2028}b", "'a\u{2028}  b'"),
            ("-", "'-'"),
            ("-x", "-x"),
            ("---", "'---'"),
            ("<<", "<<"),
        ];
        for (text, printed) in rows {
            assert_eq!(emit(&json!({"k": text})), format!("k: {printed}\n"), "{text:?}");
        }
    }

    #[test]
    fn blocks() {
        let rows = [
            ("a\nb\n", "k: |\n  a\n  b\n"),
            ("a\nb", "k: |-\n  a\n  b\n"),
            ("a\n\n", "k: |+\n  a\n\n"),
            (" a\nb", "k: |2-\n   a\n  b\n"),
            ("\n", "k: |2+\n\n"),
            ("a \nb", "k: \"a \\nb\"\n"),
        ];
        for (text, printed) in rows {
            assert_eq!(emit(&json!({"k": text})), printed, "{text:?}");
        }
    }

    #[test]
    fn long_lines_fold_and_long_keys_are_explicit() {
        let words = ["word"; 20].join(" ");
        let text = emit(&json!({"key": words}));
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.lines().nth(1).unwrap().starts_with("  word"), "{text}");
        let key = "k".repeat(129);
        assert_eq!(emit(&json!({ key.as_str(): 1 })), format!("? {key}\n: 1\n"));
    }
}
