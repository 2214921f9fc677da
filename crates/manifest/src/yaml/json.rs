//! JSON reading: the JSON value that a node stands for.
//!
//! [`Node::to_json`] gives what the Kubernetes tools get when they print a node with go-yaml v3, read the
//! text again and turn it into JSON; that round trip changes a few values (an empty value inside
//! `{a: }` becomes an empty string), and this module knows which. [`Node::to_json_1_1`] gives what
//! `sigs.k8s.io/yaml` makes of the text.

use base64::Engine as _;
use serde_json::{Map, Number, Value};
use thiserror::Error;

use super::ReadError;
use super::emit::fits_block;
use super::number;
use super::read::read_first;
use super::resolve::{Resolved, Version, resolve, resolve_tag};
use crate::node::{Data, Node, Place, Style, Tag};

/// A node that JSON cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {}: {message}", place.line)]
pub struct JsonError {
    /// Where the node was read.
    pub place: Place,
    /// What is wrong.
    pub message: String,
}

impl JsonError {
    fn at(node: &Node, message: impl Into<String>) -> Self {
        Self {
            place: node.place,
            message: message.into(),
        }
    }

    /// The same error as one of a file.
    pub fn in_file(self, file: &str) -> ReadError {
        let Self { place, message } = self;
        ReadError {
            file: file.into(),
            line: place.line,
            column: place.column,
            message,
        }
    }
}

// === impl Node ===

impl Node {
    /// The value by the rules of go-yaml v3.
    ///
    /// # Errors
    ///
    /// For duplicate keys, keys that are no strings, infinite numbers, and texts that do not fit their tag.
    pub fn to_json(&self) -> Result<Value, JsonError> {
        value(self, false, true)
    }

    /// [`Node::to_json`] without copying texts.
    ///
    /// # Errors
    ///
    /// As [`Node::to_json`].
    pub fn into_json(self) -> Result<Value, JsonError> {
        into_value(self, false, true)
    }

    /// The value by the rules of YAML 1.1 as `sigs.k8s.io/yaml` applies them: `yes` is true, of duplicate
    /// keys the last one counts, a key that is a number or bool becomes its text.
    ///
    /// # Errors
    ///
    /// For null keys, infinite numbers, and texts that do not fit their tag.
    pub fn to_json_1_1(&self) -> Result<Value, JsonError> {
        value_1_1(self)
    }

    /// The node tree of a JSON value. Numbers and bools are plain, strings are tagged as strings.
    pub fn from_json(value: &Value) -> Self {
        match value {
            Value::Null => Self::null(),
            Value::Bool(bool) => Self {
                tag: Tag::Bool,
                ..Self::scalar(bool.to_string())
            },
            Value::Number(number) => {
                let text = number::text(number);
                let tag = resolve_tag(&text);
                Self {
                    tag,
                    ..Self::scalar(text)
                }
            }
            Value::String(text) => Self::string(text.as_str()),
            Value::Array(items) => Self::sequence(items.iter().map(Self::from_json).collect()),
            Value::Object(map) => Self::mapping(
                map.iter()
                    .map(|(k, v)| (Self::string(k.as_str()), Self::from_json(v)))
                    .collect(),
            ),
        }
    }
}

fn value(node: &Node, in_flow: bool, top: bool) -> Result<Value, JsonError> {
    let in_flow = in_flow || node.style == Style::Flow;
    match &node.data {
        Data::Scalar(text) => scalar(node, text, in_flow),
        Data::Sequence(items) => items
            .iter()
            .map(|item| value(item, in_flow, false))
            .collect::<Result<_, _>>()
            .map(Value::Array),
        Data::Mapping(entries) => mapping(entries, in_flow, top).map(Value::Object),
    }
}

fn mapping(entries: &[(Node, Node)], in_flow: bool, top: bool) -> Result<Map<String, Value>, JsonError> {
    let mut map = Map::with_capacity(entries.len());
    let mut merges = Vec::new();
    for (key, node) in entries {
        if is_merge(key) {
            merges.push(node);
            continue;
        }
        let text = key_text(key, top)?;
        if map.contains_key(text.as_ref()) {
            return Err(JsonError::at(
                key,
                format!("mapping key {text:?} already defined"),
            ));
        }
        map.insert(text.into_owned(), value(node, in_flow, false)?);
    }
    for node in merges {
        merge(&mut map, node, in_flow)?;
    }
    Ok(map)
}

fn into_value(mut node: Node, in_flow: bool, top: bool) -> Result<Value, JsonError> {
    let in_flow = in_flow || node.style == Style::Flow;
    match &mut node.data {
        Data::Scalar(text) => {
            let is_text = !text.starts_with('\t')
                && !node.tagged
                && node.tag == Tag::Str
                && (node.style != Style::Folded || in_flow);
            if is_text {
                Ok(Value::String(std::mem::take(text)))
            } else {
                value(&node, in_flow, top)
            }
        }
        Data::Sequence(items) => {
            let items = std::mem::take(items).into_iter();
            items
                .map(|item| into_value(item, in_flow, false))
                .collect::<Result<_, _>>()
                .map(Value::Array)
        }
        Data::Mapping(entries) if entries.iter().any(|(key, _)| is_merge(key)) => value(&node, in_flow, top),
        Data::Mapping(entries) => {
            let entries = std::mem::take(entries);
            let mut map = Map::with_capacity(entries.len());
            for (mut key, node) in entries {
                key_text(&key, top)?;
                let place = key.place;
                let text = match &mut key.data {
                    Data::Scalar(text) => std::mem::take(text),
                    _ => String::new(),
                };
                match map.entry(text) {
                    serde_json::map::Entry::Occupied(entry) => {
                        let message = format!("mapping key {:?} already defined", entry.key());
                        return Err(JsonError { place, message });
                    }
                    serde_json::map::Entry::Vacant(entry) => entry.insert(into_value(node, in_flow, false)?),
                };
            }
            Ok(Value::Object(map))
        }
    }
}

fn is_merge(key: &Node) -> bool {
    key.as_str() == Some("<<") && (key.tag == Tag::Merge || (key.tag == Tag::None && !key.style.is_quoted()))
}

/// Keys below the top must be strings: the reference decodes others into a map that JSON refuses.
fn key_text(key: &Node, top: bool) -> Result<std::borrow::Cow<'_, str>, JsonError> {
    let Some(text) = key.as_str() else {
        return Err(JsonError::at(key, "a mapping or sequence cannot be a key"));
    };
    if top || (key.style.is_quoted() && !key.tagged) {
        return Ok(text.into());
    }
    match key.tag {
        Tag::Str | Tag::Merge => Ok(text.into()),
        Tag::None if resolve(text, Version::V3) == Resolved::Str => Ok(text.into()),
        // An empty plain key is printed as ''.
        Tag::Null if text.is_empty() && !key.tagged => Ok(text.into()),
        _ => Err(JsonError::at(
            key,
            format!("key {text} is not a string: quote it"),
        )),
    }
}

/// Adds what `<<: *other` brings; keys that are there win.
fn merge(map: &mut Map<String, Value>, node: &Node, in_flow: bool) -> Result<(), JsonError> {
    match &node.data {
        Data::Mapping(entries) => {
            for (key, value) in mapping(entries, in_flow, false)? {
                map.entry(key).or_insert(value);
            }
            Ok(())
        }
        Data::Sequence(items) if items.iter().all(Node::is_mapping) => {
            items.iter().try_for_each(|item| merge(map, item, in_flow))
        }
        _ => Err(JsonError::at(
            node,
            "map merge requires map or sequence of maps as the value",
        )),
    }
}

/// A scalar after go-yaml v3 has printed it: a tag is written when it was in the text, or when the text
/// alone would resolve to another one; a string that would not stay one gets quotes.
fn scalar(node: &Node, text: &str, in_flow: bool) -> Result<Value, JsonError> {
    let string = || Ok(Value::String(text.to_owned()));
    refuse_tab(node, text, in_flow)?;
    if node.tagged {
        return by_tag(node, text);
    }
    if node.style.is_quoted() {
        return match node.tag {
            Tag::Str | Tag::None if node.style == Style::Folded && !in_flow => {
                Ok(Value::String(refold(text)))
            }
            Tag::Str | Tag::None => string(),
            ref tag if resolve_tag(text) == *tag => string(),
            _ => by_tag(node, text),
        };
    }
    match node.tag {
        Tag::Str => string(),
        // In flow style an empty plain value is printed as ''.
        Tag::Null | Tag::None if text.is_empty() && in_flow => string(),
        // So is what holds a colon: only a time does, of all that is no string.
        Tag::Timestamp | Tag::None if in_flow && text.contains(':') => string(),
        Tag::None if text.contains('\n') => string(),
        Tag::None => typed(node, text, resolve(text, Version::V3)),
        _ => by_tag(node, text),
    }
}

/// A block text that starts with a tab is printed in a form that go-yaml v3 itself cannot read.
fn refuse_tab(node: &Node, text: &str, in_flow: bool) -> Result<(), JsonError> {
    if !text.starts_with('\t') || in_flow {
        return Ok(());
    }
    let wants_block = match node.style {
        Style::Literal | Style::Folded => true,
        Style::Plain => text.contains('\n'),
        _ => false,
    };
    if wants_block && fits_block(text) {
        return Err(JsonError::at(
            node,
            "found a tab character where an indentation space is expected",
        ));
    }
    Ok(())
}

fn by_tag(node: &Node, text: &str) -> Result<Value, JsonError> {
    let resolved = match &node.tag {
        Tag::Binary => return binary(node, text),
        Tag::Null | Tag::Bool | Tag::Int | Tag::Float | Tag::Timestamp => resolve(text, Version::V3),
        _ => return Ok(Value::String(text.to_owned())),
    };
    let fits = matches!(
        (&node.tag, &resolved),
        (Tag::Null, Resolved::Null)
            | (Tag::Bool, Resolved::Bool(_))
            | (Tag::Int, Resolved::Int(_))
            | (Tag::Float, Resolved::Float(_) | Resolved::Int(_))
            | (Tag::Timestamp, Resolved::Time(_))
    );
    if !fits {
        return Err(JsonError::at(
            node,
            format!("cannot decode {text:?} as {}", node.tag.as_str()),
        ));
    }
    typed(node, text, resolved)
}

fn typed(node: &Node, text: &str, resolved: Resolved) -> Result<Value, JsonError> {
    Ok(match resolved {
        Resolved::Null => Value::Null,
        Resolved::Bool(bool) => Value::Bool(bool),
        Resolved::Int(number) => Value::Number(number),
        Resolved::Float(float) => Value::Number(json_number(node, float)?),
        Resolved::Time(time) => Value::String(time),
        Resolved::Str => Value::String(text.to_owned()),
    })
}

fn json_number(node: &Node, float: f64) -> Result<Number, JsonError> {
    number::integral(float)
        .or_else(|| Number::from_f64(float))
        .ok_or_else(|| {
            JsonError::at(
                node,
                format!("JSON has no number {}", node.as_str().unwrap_or_default()),
            )
        })
}

fn binary(node: &Node, text: &str) -> Result<Value, JsonError> {
    let bad = || JsonError::at(node, "!!binary value contains invalid base64 data");
    let compact: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(compact)
        .map_err(|_| bad())?;
    // Go's JSON encoder puts U+FFFD for what is not UTF-8.
    Ok(Value::String(String::from_utf8_lossy(&bytes).into_owned()))
}

/// What a folded scalar holds after go-yaml v3 has printed it once and read it again: its writer puts an
/// extra break before a more indented line.
fn refold(text: &str) -> String {
    let blank_line = text.split('\n').any(|line| line.starts_with([' ', '\t']));
    let trailing_space = text.ends_with(' ') || text.contains(" \n");
    if !blank_line || trailing_space || text.is_empty() {
        return text.to_owned();
    }
    let mut printed = String::with_capacity(text.len() + 64);
    printed.push_str("a: >");
    if text.starts_with([' ', '\n']) {
        printed.push('2');
    }
    let chomping = if !text.ends_with('\n') {
        "-"
    } else if text.len() == 1 || text.ends_with("\n\n") {
        "+"
    } else {
        ""
    };
    printed.push_str(chomping);
    printed.push('\n');
    // The writer asks for the first character of the whole text where it means the next line.
    let first_is_blank = text.trim_start_matches('\n').starts_with([' ', '\t', '\0'])
        || text.trim_start_matches('\n').is_empty();
    let (mut at_break, mut leading_blank) = (true, true);
    for c in text.chars() {
        if c == '\n' {
            if !at_break && !leading_blank && !first_is_blank {
                printed.push('\n');
            }
            printed.push('\n');
            at_break = true;
        } else {
            if at_break {
                printed.push_str("  ");
                leading_blank = matches!(c, ' ' | '\t');
            }
            printed.push(c);
            at_break = false;
        }
    }
    if !printed.ends_with('\n') {
        printed.push('\n');
    }
    let again = read_first(&printed, "", 0).ok().flatten();
    again
        .and_then(|node| node.get("a")?.as_str().map(str::to_owned))
        .unwrap_or_else(|| text.to_owned())
}

fn value_1_1(node: &Node) -> Result<Value, JsonError> {
    match &node.data {
        Data::Scalar(text) => scalar_1_1(node, text),
        Data::Sequence(items) => items
            .iter()
            .map(value_1_1)
            .collect::<Result<_, _>>()
            .map(Value::Array),
        Data::Mapping(entries) => {
            let mut map = Map::with_capacity(entries.len());
            mapping_1_1(entries, &mut map)?;
            Ok(Value::Object(map))
        }
    }
}

/// Unlike version 3, version 2 applies `<<` in its place, over the keys before it.
fn mapping_1_1(entries: &[(Node, Node)], map: &mut Map<String, Value>) -> Result<(), JsonError> {
    for (key, node) in entries {
        if is_merge(key) {
            match &node.data {
                Data::Mapping(entries) => mapping_1_1(entries, map)?,
                Data::Sequence(items) if items.iter().all(Node::is_mapping) => {
                    items
                        .iter()
                        .rev()
                        .try_for_each(|item| mapping_1_1(item.entries(), map))?;
                }
                _ => {
                    return Err(JsonError::at(
                        node,
                        "map merge requires map or sequence of maps as the value",
                    ));
                }
            }
            continue;
        }
        let text = match value_1_1(key)? {
            Value::String(text) => text,
            Value::Bool(bool) => bool.to_string(),
            Value::Number(number) => number::text(&number),
            Value::Null => return Err(JsonError::at(key, "null cannot be a key")),
            Value::Array(_) | Value::Object(_) => {
                return Err(JsonError::at(key, "a mapping or sequence cannot be a key"));
            }
        };
        map.insert(text, value_1_1(node)?);
    }
    Ok(())
}

fn scalar_1_1(node: &Node, text: &str) -> Result<Value, JsonError> {
    if node.style.is_quoted() && !node.tagged {
        return Ok(Value::String(text.to_owned()));
    }
    if !node.tagged {
        return match resolve(text, Version::V2) {
            Resolved::Time(_) => Ok(Value::String(text.to_owned())),
            resolved => typed(node, text, resolved),
        };
    }
    match (&node.tag, resolve(text, Version::V2)) {
        (Tag::Binary, _) => binary(node, text),
        (Tag::Null, Resolved::Null) => Ok(Value::Null),
        (Tag::Bool, resolved @ Resolved::Bool(_))
        | (Tag::Int, resolved @ Resolved::Int(_))
        | (Tag::Float, resolved @ (Resolved::Float(_) | Resolved::Int(_))) => typed(node, text, resolved),
        (Tag::Null | Tag::Bool | Tag::Int | Tag::Float, _) => Err(JsonError::at(
            node,
            format!("cannot decode {:?} as {}", text, node.tag.as_str()),
        )),
        _ => Ok(Value::String(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::yaml::read;

    fn mk_node(text: &str) -> Node {
        read(text, "t").unwrap().remove(0)
    }

    #[test]
    fn v3_values() {
        let rows = [
            (
                "a: yes\nb: 0644\nc: 2020-01-01\n",
                json!({"a": "yes", "b": 420, "c": "2020-01-01T00:00:00Z"}),
            ),
            (
                "a:\nb: ~\nc: {d: , e}\n",
                json!({"a": null, "b": null, "c": {"d": "", "e": ""}}),
            ),
            (
                "a: 1.0\nb: 1e20\nc: -0\nd: 1.10\n",
                json!({"a": 1, "b": 1e20, "c": 0, "d": 1.1}),
            ),
            (
                "a: !!str 1\nb: !own 1\nc: !!float 1\nd: !!binary aGk=\n",
                json!({"a": "1", "b": "1", "c": 1, "d": "hi"}),
            ),
            (
                "b: &b {x: 1, y: 2}\nc:\n  <<: *b\n  x: 3\n",
                json!({"b": {"x": 1, "y": 2}, "c": {"x": 3, "y": 2}}),
            ),
            (
                "1: top level keys may be numbers\n",
                json!({"1": "top level keys may be numbers"}),
            ),
            ("a: >-\n  one\n  two\n", json!({"a": "one two"})),
        ];
        for (text, expected) in rows {
            assert_eq!(mk_node(text).to_json().unwrap(), expected, "{text}");
            assert_eq!(mk_node(text).into_json().unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn v3_refuses() {
        for text in [
            "a: 1\na: 2\n",
            "a: {1: x}\n",
            "a: {true: x}\n",
            "a: .inf\n",
            "a: !!int x\n",
            "a: !!binary '*'\n",
            "a: |\n  x\nb: |2\n  \tx\n",
        ] {
            assert!(mk_node(text).to_json().is_err(), "{text}");
            assert!(mk_node(text).into_json().is_err(), "{text}");
        }
        assert_eq!(
            mk_node("b: 1\na:\n  c: .nan\n").to_json().unwrap_err().place.line,
            3
        );
    }

    #[test]
    fn yaml_1_1_values() {
        let rows = [
            ("a: yes\non: 1\n1: x\n", json!({"a": true, "true": 1, "1": "x"})),
            (
                "a: 1\na: 2\nb: 2020-01-01\nc: 'no'\n",
                json!({"a": 2, "b": "2020-01-01", "c": "no"}),
            ),
            (
                "b: &b {x: 1, y: 2}\nc:\n  x: 3\n  <<: *b\n",
                json!({"b": {"x": 1, "true": 2}, "c": {"x": 1, "true": 2}}),
            ),
        ];
        for (text, expected) in rows {
            assert_eq!(mk_node(text).to_json_1_1().unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn folded_text_gains_the_break_that_the_reference_adds() {
        let node = mk_node("a: >\n  one\n    more\n  two\n");
        assert_eq!(node.get("a").and_then(Node::as_str), Some("one\n  more\ntwo\n"));
        assert_eq!(node.to_json().unwrap(), json!({"a": "one\n\n  more\ntwo\n"}));
    }

    #[test]
    fn json_round_trips() {
        let value = json!({"a": [1, 2.5, null, true, "x", "1"], "b": {"c": "yes"}});
        assert_eq!(Node::from_json(&value).to_json().unwrap(), value);
    }
}
