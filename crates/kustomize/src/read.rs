//! Resource reader: the objects of a resource or patch file.
//!
//! Documents are split at `---` lines before any of them is parsed, and each part is read up to the end of
//! its first document, as the reference does; so a JSON file with two objects holds one resource.

use std::borrow::Cow;
use std::collections::VecDeque;

use manifest::{Node, Style, Tag, yaml};

use crate::error::{BuildError, Result};
use crate::id::{is_nil_or_empty, meta};
use crate::resource::Resource;
use crate::transform::hash::go_number;
use crate::walk::set_field;

/// A text to read, and what to call it.
#[derive(Clone, Copy)]
pub(crate) struct Source<'t> {
    pub text: &'t str,
    /// The file for errors.
    pub file: &'t str,
    /// The number of the file in the places of nodes.
    pub number: u32,
    /// Lines of the file before the text: that of a text inside a kustomization file.
    pub line_offset: u32,
}

/// Reads the resources of a text, with lists expanded.
///
/// # Errors
///
/// When the text is no YAML, or an object lacks its kind or name.
pub(crate) fn resources(source: Source<'_>) -> Result<Vec<Resource>> {
    let objects = expand_lists(objects(source)?, source)?;
    let resource = |Object { node, lines_before }| Resource {
        lines_before,
        ..Resource::new(node)
    };
    Ok(objects.into_iter().map(resource).collect())
}

/// An object, and the number of lines before its document.
struct Object {
    node: Node,
    lines_before: u32,
}

fn objects(source: Source<'_>) -> Result<Vec<Object>> {
    let text: Cow<'_, str> = if source.text.contains("\r\n") {
        source.text.replace("\r\n", "\n").into()
    } else {
        source.text.into()
    };
    let parts = split_documents(&text).map_err(|(line, why)| error(source, line, why))?;
    let only = parts.len() == 1;
    let has_aliases = !only && text.contains('*');
    let mut values = 0;
    let mut nodes = Vec::with_capacity(parts.len());
    for (line, part) in parts {
        let offset = source.line_offset + line;
        let read = yaml::read_first(part, source.file, source.number).map_err(|mut error| {
            error.line += offset;
            error
        })?;
        let Some(mut node) = read.filter(|node| !node.is_null()) else {
            continue;
        };
        if has_aliases {
            // Every value takes a byte at least, unless an alias stands for it.
            values += yaml::size(&node);
            if values > text.len() + yaml::MAX_ALIASED {
                let why = format!(
                    "aliases of the file expand to more than {} values",
                    yaml::MAX_ALIASED
                );
                return Err(error(source, node.line() + offset, why).into());
            }
        }
        if offset > 0 {
            shift(&mut node, offset);
        }
        let kind = node.get("kind").and_then(Node::as_str).unwrap_or_default();
        if only
            && matches!(kind, "List" | "ResourceList")
            && (node.get("items").is_some() || node.get("functionConfig").is_some())
        {
            let items = node
                .get_mut("items")
                .and_then(Node::items_mut)
                .map(std::mem::take);
            nodes.extend(items.unwrap_or_default().into_iter().map(|node| Object {
                node,
                lines_before: offset,
            }));
        } else {
            nodes.push(Object {
                node,
                lines_before: offset,
            });
        }
    }
    let merges = text.contains("<<");
    for Object { node, .. } in nodes.iter_mut().filter(|_| merges) {
        merge_aliases(node).map_err(|why| error(source, node.line(), why))?;
    }
    checked(nodes, source)
}

fn error(source: Source<'_>, line: u32, why: impl Into<String>) -> BuildError {
    BuildError::new(why).at(source.file, line)
}

/// Moves a tree down by some lines.
fn shift(node: &mut Node, lines: u32) {
    node.place.line += lines;
    match &mut node.data {
        manifest::Data::Scalar(_) => {}
        manifest::Data::Sequence(items) => items.iter_mut().for_each(|item| shift(item, lines)),
        manifest::Data::Mapping(entries) => entries.iter_mut().for_each(|(key, value)| {
            shift(key, lines);
            shift(value, lines);
        }),
    }
}

/// The parts between `---` lines, each with the number of lines before it.
fn split_documents(text: &str) -> std::result::Result<Vec<(u32, &str)>, (u32, String)> {
    let mut parts = Vec::new();
    let (mut start, mut start_line, mut line, mut at) = (0, 0_u32, 0_u32, 0);
    // A separator needs a line break on both sides; the one before it may not belong to another separator.
    let mut after_separator = true;
    while let Some(length) = text[at..].find('\n') {
        let row = &text[at..at + length];
        if row.starts_with("---") && !after_separator {
            let rest = row[3..].trim();
            if !rest.is_empty() && !rest.starts_with('#') {
                return Err((line + 1, format!("invalid document separator: {}", row.trim())));
            }
            parts.push((start_line, &text[start..at]));
            start = at + length + 1;
            start_line = line + 1;
            after_separator = true;
        } else {
            after_separator = false;
        }
        at += length + 1;
        line += 1;
    }
    parts.push((start_line, &text[start..]));
    Ok(parts)
}

/// Applies `<<` entries. Aliases were expanded by the reader.
///
/// Unlike YAML's own rule, of several merged mappings a later one wins when both are in one list only if it
/// comes first in the list, and keys of the mapping itself always win.
fn merge_aliases(node: &mut Node) -> std::result::Result<(), String> {
    match &mut node.data {
        manifest::Data::Scalar(_) => Ok(()),
        manifest::Data::Sequence(items) => items.iter_mut().try_for_each(merge_aliases),
        manifest::Data::Mapping(entries) => {
            let is_merge = |(key, _): &(Node, Node)| key.tag == Tag::Merge;
            if entries.iter().filter(|entry| is_merge(entry)).count() > 1 {
                return Err("duplicate merge key".to_owned());
            }
            let merged = entries
                .iter()
                .find(|entry| is_merge(entry))
                .map(|(_, value)| value.clone());
            // The reference takes away a quoted `<<` as well.
            if let Some(at) = entries.iter().position(|(key, _)| key.as_str() == Some("<<")) {
                entries.remove(at);
            }
            if let Some(value) = merged {
                let own = entries.clone();
                for mapping in merge_values(value)? {
                    set_entries(entries, mapping);
                }
                set_entries(entries, own);
            }
            entries.iter_mut().try_for_each(|(_, value)| merge_aliases(value))
        }
    }
}

/// The mappings that `<<` names, the one that counts least first.
fn merge_values(value: Node) -> std::result::Result<Vec<Vec<(Node, Node)>>, String> {
    match value.data {
        manifest::Data::Mapping(mut entries) => {
            // A merged mapping may itself merge others.
            let mut inner = Node::mapping(std::mem::take(&mut entries));
            merge_aliases(&mut inner)?;
            Ok(vec![inner.entries_mut().map(std::mem::take).unwrap_or_default()])
        }
        manifest::Data::Sequence(items) => {
            let mut all = Vec::new();
            for item in items.into_iter().rev() {
                if item.is_sequence() {
                    return Err("invalid map merge: received a nested sequence".to_owned());
                }
                all.extend(merge_values(item)?);
            }
            Ok(all)
        }
        manifest::Data::Scalar(_) => {
            Err("map merge requires map or sequence of maps as the value".to_owned())
        }
    }
}

/// Sets entries with key and style; duplicates of the source overwrite only the first one.
fn set_entries(entries: &mut Vec<(Node, Node)>, source: Vec<(Node, Node)>) {
    let mut seen: Vec<Option<String>> = Vec::new();
    for (key, value) in source {
        let name = key.as_str().map(str::to_owned);
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        match entries.iter_mut().find(|(have, _)| have.as_str() == key.as_str()) {
            Some(entry) => *entry = (key, value),
            None => entries.push((key, value)),
        }
    }
}

/// Drops empty objects and refuses those without kind or name.
fn checked(nodes: Vec<Object>, source: Source<'_>) -> Result<Vec<Object>> {
    let mut errors = crate::error::BuildErrors::default();
    let mut good = Vec::with_capacity(nodes.len());
    for object in nodes.into_iter().filter(|object| !is_nil_or_empty(&object.node)) {
        match problem(&object.node) {
            Some((why, hint)) => errors.push(error(source, object.node.line(), why).hint(hint)),
            None => good.push(object),
        }
    }
    errors.into_result()?;
    Ok(good)
}

/// Why a node is no object.
pub(crate) fn problem(node: &Node) -> Option<(String, &'static str)> {
    if !node.is_mapping() {
        return Some((
            "a resource must be a mapping".to_owned(),
            "a resource has apiVersion, kind and metadata",
        ));
    }
    let kind = node
        .get("kind")
        .filter(|kind| !is_nil_or_empty(kind))
        .and_then(Node::as_str)
        .unwrap_or_default();
    if kind.is_empty() {
        return Some(("missing kind in object".to_owned(), "every resource needs a kind"));
    }
    if !kind.ends_with("List") && meta(node, "name").is_empty() {
        return Some((
            format!("missing metadata.name in object of kind {kind}"),
            "every resource needs a metadata.name; generateName is not supported",
        ));
    }
    None
}

/// Replaces objects of a kind `…List` by their items.
fn expand_lists(nodes: Vec<Object>, source: Source<'_>) -> Result<Vec<Object>> {
    if !nodes.iter().any(|object| kind_of(&object.node).ends_with("List")) {
        return Ok(nodes);
    }
    let mut queue = VecDeque::from(nodes);
    let mut expanded = Vec::new();
    while let Some(mut object) = queue.pop_front() {
        let node = &mut object.node;
        if !kind_of(node).ends_with("List") {
            expanded.push(object);
            continue;
        }
        node.to_json()
            .map_err(|bad| error(source, bad.place.line, bad.message))?;
        let kind = kind_of(node).to_owned();
        match node.get_mut("items") {
            None => expanded.push(object),
            Some(items) if items.is_null() => {}
            Some(items) if items.is_sequence() => {
                let mut items = items.items_mut().map(std::mem::take).unwrap_or_default();
                items.iter_mut().for_each(through_json);
                let items = items
                    .into_iter()
                    .map(|node| Object {
                        node,
                        lines_before: 0,
                    })
                    .collect();
                queue.extend(checked(items, source)?);
            }
            Some(items) => {
                let why =
                    format!("expected array in {kind}/items, but found a {:?}", items.kind()).to_lowercase();
                return Err(error(source, items.line(), why).into());
            }
        }
    }
    Ok(expanded)
}

fn kind_of(node: &Node) -> &str {
    node.get("kind").and_then(Node::as_str).unwrap_or_default()
}

/// What printing a node as JSON and reading it again does: strings get quotes, everything is in flow style.
fn through_json(node: &mut Node) {
    let Ok(value) = node.to_json() else { return };
    let old = std::mem::replace(node, Node::null());
    *node = from_json_text(&value);
    adopt_places(node, &old);
}

/// The node tree of a JSON text.
fn from_json_text(value: &serde_json::Value) -> Node {
    let text = |text: &str| Node::string(text).with_style(Style::DoubleQuoted);
    match value {
        serde_json::Value::Null | serde_json::Value::Bool(_) => Node::from_json(value),
        serde_json::Value::Number(number) => {
            let text = go_number(number);
            Node {
                tag: yaml::resolve_tag(&text),
                ..Node::scalar(text)
            }
        }
        serde_json::Value::String(string) => text(string),
        serde_json::Value::Array(items) => {
            Node::sequence(items.iter().map(from_json_text).collect()).with_style(Style::Flow)
        }
        serde_json::Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| (text(key), from_json_text(value)));
            Node::mapping(entries.collect()).with_style(Style::Flow)
        }
    }
}

/// Gives the nodes of a rebuilt tree the places that they have in the old one.
pub(crate) fn adopt_places(node: &mut Node, old: &Node) {
    node.place = old.place;
    match &mut node.data {
        manifest::Data::Scalar(_) => {}
        manifest::Data::Sequence(items) => {
            for (item, old) in items.iter_mut().zip(old.items()) {
                adopt_places(item, old);
            }
        }
        manifest::Data::Mapping(entries) => {
            for (key, value) in entries {
                let same = old
                    .entries()
                    .iter()
                    .find(|(have, _)| have.as_str() == key.as_str());
                if let Some((old_key, old_value)) = same {
                    key.place = old_key.place;
                    adopt_places(value, old_value);
                }
            }
        }
    }
}

/// Sets a field of `metadata`, which is made when it is missing.
pub(crate) fn set_metadata(node: &mut Node, field: &str, value: Node) {
    if node.get("metadata").is_none() {
        node.set(
            "metadata",
            Node {
                tag: Tag::None,
                ..Node::mapping(Vec::new())
            },
        );
    }
    if let Some(metadata) = node.get_mut("metadata") {
        // The field is a mapping, it was just made or checked by the reader.
        let _ = set_field(metadata, field, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_source(text: &str) -> Source<'_> {
        Source {
            text,
            file: "f.yaml",
            number: 0,
            line_offset: 0,
        }
    }

    fn names(text: &str) -> Vec<String> {
        resources(mk_source(text))
            .unwrap()
            .iter()
            .map(|r| format!("{}@{}", r.name(), r.place.line))
            .collect()
    }

    const A: &str = "kind: A\nmetadata:\n  name: a\n";

    #[test]
    fn documents_are_split_at_separators() {
        let rows = [
            (format!("{A}---\n{A}"), vec!["a@1", "a@5"]),
            (format!("---\n{A}--- # note\n---\n{A}"), vec!["a@2", "a@7"]),
            (
                "{kind: A, metadata: {name: a}}\n{kind: A, metadata: {name: b}}\n".to_owned(),
                vec!["a@1"],
            ),
            ("# nothing\n".to_owned(), vec![]),
            (format!("{A}\r\n---\r\n{A}"), vec!["a@1", "a@6"]),
        ];
        for (text, expected) in rows {
            assert_eq!(names(&text), expected, "{text}");
        }
        let error = resources(mk_source(&format!("{A}--- x\n{A}"))).unwrap_err();
        assert_eq!(error.to_string(), "f.yaml:4: invalid document separator: --- x");
    }

    #[test]
    fn lists_are_expanded() {
        let list = |kind: &str| {
            format!(
                "kind: {kind}\nitems:\n- {{kind: A, metadata: {{name: a}}}}\n- kind: BList\n  items: []\n"
            )
        };
        assert_eq!(names(&list("List")), ["a@3"]);
        assert_eq!(names(&list("FooList")), ["a@3"]);
        assert_eq!(names("kind: FooList\n"), ["@1"]);
        assert!(resources(mk_source("kind: FooList\nitems: [x]\n")).is_err());
    }

    #[test]
    fn all_broken_objects_are_named() {
        let errors = resources(mk_source("a: 1\n---\nkind: A\n---\n- x\n")).unwrap_err();
        let shown: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 3, "{shown:?}");
        assert_eq!(shown[1], "f.yaml:3: missing metadata.name in object of kind A");
    }

    #[test]
    fn merge_keys_are_applied() {
        let text =
            "kind: A\nmetadata: {name: a}\nx: &x {p: 1, q: 1}\ny: &y {q: 2}\nz:\n  <<: [*x, *y]\n  r: 3\n";
        let resource = resources(mk_source(text)).unwrap().remove(0);
        let json = resource.node.to_json().unwrap();
        assert_eq!(json["z"], serde_json::json!({"p": 1, "q": 1, "r": 3}));
    }
}
