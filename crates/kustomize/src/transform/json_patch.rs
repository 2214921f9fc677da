//! JSON6902 patch: RFC 6902 operations as the reference applies them.
//!
//! The operations themselves are json-patch's. The reference is laxer in three ways, which are resolved
//! before an operation gets there: negative indexes count from the end, `replace` of a missing key adds it,
//! and removing from a null is found out early.

use json_patch::jsonptr::PointerBuf;
use json_patch::{
    AddOperation, CopyOperation, MoveOperation, Patch, PatchOperation, RemoveOperation, ReplaceOperation,
    TestOperation,
};
use manifest::{Node, Place, Style, Tag, yaml};
use serde_json::{Map, Value};

use crate::error::{BuildError, Result};
use crate::read::{Source, adopt_places};
use crate::resource::Resource;
use crate::walk::refuse_growth;

/// The operations of one patch.
pub(crate) struct Operations {
    list: Vec<Operation>,
    place: Place,
}

struct Operation {
    op: String,
    path: Option<String>,
    from: Option<String>,
    value: Option<Value>,
}

impl Operations {
    /// Reads a patch: JSON when it starts with `[`, else YAML 1.1.
    pub(crate) fn parse(text: &str, source: Source<'_>) -> Result<Self> {
        let located =
            |why: String, line: u32| BuildError::new(why).at(source.file, line + source.line_offset);
        if text.is_empty() {
            return Err(located("empty JSON6902 patch".to_owned(), 0).into());
        }
        let value: Value = if text.starts_with('[') {
            serde_json::from_str(text).map_err(|error| {
                located(error.to_string(), u32::try_from(error.line()).unwrap_or_default())
            })?
        } else {
            let node = yaml::read_first(text, source.file, source.number)?.unwrap_or_else(Node::null);
            node.to_json_1_1()
                .map_err(|error| located(error.message, error.place.line))?
        };
        let items = match value {
            Value::Null => Vec::new(),
            Value::Array(items) => items,
            _ => return Err(located("a JSON6902 patch must be a list of operations".to_owned(), 1).into()),
        };
        let mut list = Vec::with_capacity(items.len());
        for (at, item) in items.into_iter().enumerate() {
            match item {
                Value::Object(map) => list.push(Operation::of(map)),
                Value::Null => list.push(Operation::of(Map::new())),
                _ => return Err(located(format!("operation {at} must be a mapping"), 1).into()),
            }
        }
        Ok(Self {
            list,
            place: Place {
                source: source.number,
                line: source.line_offset + 1,
                column: 1,
            },
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Applies the patch to a resource, which is rebuilt from JSON.
    pub(crate) fn apply(&self, resource: &mut Resource) -> std::result::Result<(), String> {
        let memory = resource.memory.clone();
        resource.marked(|resource| {
            let mut document = resource.node.to_json().map_err(|error| error.to_string())?;
            for operation in &self.list {
                operation.apply(&mut document)?;
                if operation.op == "copy" {
                    refuse_growth(&rebuilt(&document))?;
                }
            }
            if !document.is_object() {
                return Err("the patch does not leave an object".to_owned());
            }
            refuse_tab_block(&document)?;
            let mut node = rebuilt(&document);
            set_places(&mut node, self.place);
            adopt_places(&mut node, &resource.node);
            resource.node = node;
            Ok(())
        })?;
        // The reference puts its own annotations back whatever the patch did.
        resource.memory = memory;
        let annotations = resource.annotations();
        if resource.remembers() || !annotations.is_empty() || resource.node.get("metadata").is_some() {
            resource.set_annotations(&annotations);
        }
        Ok(())
    }
}

/// The reference prints the patched document and reads it again, and cannot read a block that starts with a tab.
fn refuse_tab_block(value: &Value) -> std::result::Result<(), String> {
    match value {
        Value::String(text) if text.starts_with('\t') && yaml::printed_style(text) == Style::Literal => Err(
            format!("text {text:?} has several lines and starts with a tab, which cannot be printed"),
        ),
        Value::Array(items) => items.iter().try_for_each(refuse_tab_block),
        Value::Object(map) => map.values().try_for_each(refuse_tab_block),
        _ => Ok(()),
    }
}

fn set_places(node: &mut Node, place: Place) {
    node.place = place;
    match &mut node.data {
        manifest::Data::Scalar(_) => {}
        manifest::Data::Sequence(items) => items.iter_mut().for_each(|item| set_places(item, place)),
        manifest::Data::Mapping(entries) => entries.iter_mut().for_each(|(key, value)| {
            key.place = place;
            set_places(value, place);
        }),
    }
}

impl Operation {
    fn of(mut map: Map<String, Value>) -> Self {
        let text = |key: &str| match map.get(key) {
            Some(Value::String(text)) => Some(text.clone()),
            _ => None,
        };
        let (op, path, from) = (
            text("op").unwrap_or_else(|| "unknown".to_owned()),
            text("path"),
            text("from"),
        );
        Self {
            op,
            path,
            from,
            value: map.remove("value"),
        }
    }

    fn path(&self) -> std::result::Result<&str, String> {
        self.path
            .as_deref()
            .ok_or_else(|| format!("{} operation misses path", self.op))
    }

    fn from(&self) -> std::result::Result<&str, String> {
        self.from
            .as_deref()
            .ok_or_else(|| format!("{} operation misses from", self.op))
    }

    fn apply(&self, document: &mut Value) -> std::result::Result<(), String> {
        let value = || self.value.clone().unwrap_or(Value::Null);
        let operation = match self.op.as_str() {
            "add" => PatchOperation::Add(AddOperation {
                path: resolve(document, self.path()?, Use::Insert)?,
                value: value(),
            }),
            "remove" => PatchOperation::Remove(RemoveOperation {
                path: resolve(document, self.path()?, Use::Remove)?,
            }),
            "replace" => self.replace(document)?,
            "move" => {
                let from = resolve(document, self.from()?, Use::Read)?;
                let mut rest = document.clone();
                // The destination is looked up when the source is gone.
                run(
                    &mut rest,
                    PatchOperation::Remove(RemoveOperation { path: from.clone() }),
                )?;
                let path = resolve(&rest, self.path()?, Use::Insert)?;
                PatchOperation::Move(MoveOperation { from, path })
            }
            "copy" => PatchOperation::Copy(CopyOperation {
                from: resolve(document, self.from()?, Use::Read)?,
                path: resolve(document, self.path()?, Use::Insert)?,
            }),
            "test" => return self.test(document),
            other => return Err(format!("unexpected kind of operation: {other}")),
        };
        run(document, operation)
    }

    fn replace(&self, document: &Value) -> std::result::Result<PatchOperation, String> {
        let path = self.path()?;
        let value = self.value.clone().unwrap_or(Value::Null);
        if path.is_empty() {
            if !value.is_object() && !value.is_array() {
                return Err("replace operation value must be object or array".to_owned());
            }
            return Ok(PatchOperation::Replace(ReplaceOperation {
                path: PointerBuf::root(),
                value,
            }));
        }
        let path = resolve(document, path, Use::Read)?;
        // A key that is not there is added.
        Ok(if path.resolve(document).is_ok() {
            PatchOperation::Replace(ReplaceOperation { path, value })
        } else {
            PatchOperation::Add(AddOperation { path, value })
        })
    }

    fn test(&self, document: &mut Value) -> std::result::Result<(), String> {
        let path = resolve(document, self.path()?, Use::Read)?;
        let value = self.value.clone().unwrap_or(Value::Null);
        if path.resolve(document).is_err() {
            // A missing key tests as null.
            let failed = format!("testing value {path} failed");
            return if value.is_null() { Ok(()) } else { Err(failed) };
        }
        run(document, PatchOperation::Test(TestOperation { path, value }))
    }
}

fn run(document: &mut Value, operation: PatchOperation) -> std::result::Result<(), String> {
    let shown = serde_json::to_string(&operation).unwrap_or_default();
    json_patch::patch(document, &Patch(vec![operation]))
        .map_err(|error| format!("{} ({shown})", error.kind).to_string())
}

/// What a pointer is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Read,
    Insert,
    Remove,
}

/// The pointer with negative indexes counted from the end.
fn resolve(document: &Value, path: &str, for_what: Use) -> std::result::Result<PointerBuf, String> {
    let missing = || format!("doc is missing path: {path:?}");
    if path.is_empty() && for_what == Use::Read {
        return Ok(PointerBuf::root());
    }
    let mut tokens: Vec<String> = path
        .split('/')
        .skip(1)
        .map(|token| token.replace("~1", "/").replace("~0", "~"))
        .collect();
    let Some(last) = tokens.len().checked_sub(1) else {
        return Err(missing());
    };
    let mut at = document;
    for (position, token) in tokens.iter_mut().enumerate() {
        if let Value::Array(items) = at {
            let room = items.len() + usize::from(position == last && for_what == Use::Insert);
            if !(position == last && for_what == Use::Insert && token == "-") {
                *token = index(token, room)
                    .ok_or_else(|| format!("invalid index {token} in {path:?}"))?
                    .to_string();
            }
        } else if !at.is_object() {
            return Err(missing());
        }
        if position == last {
            break;
        }
        at = match at {
            Value::Array(items) => token.parse::<usize>().ok().and_then(|n| items.get(n)),
            other => other.get(token.as_str()),
        }
        .ok_or_else(missing)?;
    }
    if for_what == Use::Remove && at.as_object().is_some_and(|map| !map.contains_key(&tokens[last])) {
        return Err(format!("unable to remove nonexistent key: {path:?}"));
    }
    Ok(PointerBuf::from_tokens(&tokens))
}

fn index(token: &str, room: usize) -> Option<usize> {
    let number: i64 = token.strip_prefix('+').unwrap_or(token).parse().ok()?;
    let room_i = i64::try_from(room).ok()?;
    let number = if number < 0 { number + room_i } else { number };
    usize::try_from(number).ok().filter(|number| *number < room)
}

/// The node tree that the reference makes of a patched document. All numbers have become floats.
pub(crate) fn rebuilt(value: &Value) -> Node {
    match value {
        Value::Number(number) => {
            let text = number
                .as_f64()
                .map_or_else(|| number.to_string(), yaml::shortest_float);
            Node {
                tag: yaml::resolve_tag(&text),
                ..Node::scalar(text)
            }
        }
        Value::String(text) => string(text),
        Value::Array(items) => Node::sequence(items.iter().map(rebuilt).collect()),
        Value::Object(map) => Node::mapping(
            map.iter()
                .map(|(key, value)| (string(key), rebuilt(value)))
                .collect(),
        ),
        Value::Null | Value::Bool(_) => Node::from_json(value),
    }
}

fn string(text: &str) -> Node {
    Node {
        tag: Tag::Str,
        ..Node::string(text)
    }
    .with_style(yaml::printed_style(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(document: &Value, patch: &str) -> std::result::Result<Value, String> {
        let source = Source {
            text: patch,
            file: "p",
            number: 0,
            line_offset: 0,
        };
        let operations = Operations::parse(patch, source).map_err(|error| error.to_string())?;
        let mut document = document.clone();
        operations
            .list
            .iter()
            .try_for_each(|operation| operation.apply(&mut document))?;
        Ok(document)
    }

    #[test]
    fn the_reference_is_lax() {
        let document = json!({"a": {"b": 1}, "l": [1, 2, 3], "n": null});
        let rows = [
            (
                "- {op: replace, path: /a/c, value: 2}",
                json!({"a": {"b": 1, "c": 2}, "l": [1, 2, 3], "n": null}),
            ),
            (
                "- {op: remove, path: /l/-1}",
                json!({"a": {"b": 1}, "l": [1, 2], "n": null}),
            ),
            (
                "- {op: add, path: /l/-1, value: 9}",
                json!({"a": {"b": 1}, "l": [1, 2, 3, 9], "n": null}),
            ),
            ("- {op: test, path: /missing, value: null}", document.clone()),
            (
                "- {op: move, from: /a/b, path: /l/0}",
                json!({"a": {}, "l": [1, 1, 2, 3], "n": null}),
            ),
            (
                "[{\"op\": \"remove\", \"path\": \"/n\"}]",
                json!({"a": {"b": 1}, "l": [1, 2, 3]}),
            ),
        ];
        for (patch, expected) in rows {
            assert_eq!(patched(&document, patch), Ok(expected), "{patch}");
        }
    }

    #[test]
    fn and_strict() {
        let document = json!({"a": {"b": 1}, "l": [1]});
        let rows = [
            "- {op: add, path: /x/y, value: 1}",
            "- {op: remove, path: /a/c}",
            "- {op: replace, path: /l/1, value: 1}",
            "- {op: test, path: /a/b, value: 2}",
            "- {op: nothing, path: /a}",
            "- {op: add}",
            "- {op: add, path: /l/5, value: 1}",
            "[{op: add, path: /a}]",
            "op: add",
        ];
        for patch in rows {
            assert!(patched(&document, patch).is_err(), "{patch}");
        }
    }
}
