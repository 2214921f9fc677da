//! Generators: ConfigMaps and Secrets out of literals, files and env files.

use std::collections::BTreeMap;

use base64::Engine as _;
use manifest::{Node, Place, Style, Tag, yaml};

use crate::args::{GeneratorArgs, GeneratorOptions};
use crate::error::Result;
use crate::loader::Loader;
use crate::read::set_metadata;
use crate::resource::{Behavior, Resource};
use crate::walk::set_field;

/// What a generator makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    ConfigMap,
    Secret,
}

/// Generates one object. `place` is the generator's, which every field of the object gets.
///
/// # Errors
///
/// When a source is malformed or missing, or a key is repeated.
pub(crate) fn generate(
    loader: &Loader<'_, '_>,
    target: Target,
    args: &GeneratorArgs,
    place: Place,
) -> Result<Resource> {
    if args.name.is_empty() {
        return Err("a generator must have a name".into());
    }
    let data = data(loader, args)?;
    let mut node = base(target, args);
    match target {
        Target::ConfigMap => set_config_map_data(&mut node, &data),
        Target::Secret => set_secret_data(&mut node, data.iter().map(|(k, v)| (k.as_str(), v.as_slice()))),
    }
    if let Some(options) = &args.options {
        set_options(&mut node, options);
    }
    locate(&mut node, place);
    let mut resource = Resource::new(node);
    resource.place = place;
    resource.memory.needs_hash = !args.options.as_ref().is_some_and(|options| options.disable_hash);
    resource.memory.behavior = Some(Behavior::parse(&args.behavior));
    Ok(resource)
}

/// The options of a generator with those of the kustomization: its own texts win, either's `true` wins.
pub(crate) fn merged_options(
    local: Option<&GeneratorOptions>,
    global: Option<&GeneratorOptions>,
) -> Option<GeneratorOptions> {
    let Some(global) = global else {
        return local.cloned();
    };
    let mut merged = local.cloned().unwrap_or_default();
    for (key, value) in &global.labels {
        merged.labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    for (key, value) in &global.annotations {
        merged
            .annotations
            .entry(key.clone())
            .or_insert_with(|| value.clone());
    }
    merged.disable_hash |= global.disable_hash;
    merged.immutable |= global.immutable;
    Some(merged)
}

fn base(target: Target, args: &GeneratorArgs) -> Node {
    let kind = match target {
        Target::ConfigMap => "ConfigMap",
        Target::Secret => "Secret",
    };
    let mut node = Node::mapping(Vec::new());
    node.set("apiVersion", Node::string("v1"));
    node.set("kind", Node::string(kind));
    set_metadata(&mut node, "name", quoted(&args.name));
    if !args.namespace.is_empty() {
        set_metadata(&mut node, "namespace", quoted(&args.namespace));
    }
    if target == Target::Secret {
        let kind = if args.secret_type.is_empty() {
            "Opaque"
        } else {
            &args.secret_type
        };
        node.set("type", quoted(kind));
    }
    node
}

/// A string that is quoted when its text alone would be something else.
fn quoted(text: &str) -> Node {
    let node = Node::string(text);
    if yaml::is_string_1_1(text) || text.is_empty() {
        node
    } else {
        node.with_style(Style::DoubleQuoted)
    }
}

fn locate(node: &mut Node, place: Place) {
    node.place = place;
    match &mut node.data {
        manifest::Data::Scalar(_) => {}
        manifest::Data::Sequence(items) => items.iter_mut().for_each(|item| locate(item, place)),
        manifest::Data::Mapping(entries) => entries.iter_mut().for_each(|(key, value)| {
            locate(key, place);
            locate(value, place);
        }),
    }
}

fn set_options(node: &mut Node, options: &GeneratorOptions) {
    for (field, values) in [("labels", &options.labels), ("annotations", &options.annotations)] {
        for (key, value) in values {
            let metadata = node.get_mut("metadata");
            let Some(metadata) = metadata else { continue };
            if metadata.get(field).is_none() {
                metadata.set(
                    field,
                    Node {
                        tag: Tag::None,
                        ..Node::mapping(Vec::new())
                    },
                );
            }
            if let Some(map) = metadata.get_mut(field) {
                // The mapping was just made.
                let _ = set_field(
                    map,
                    key,
                    Node::string(value.as_str()).with_style(Style::SingleQuoted),
                );
            }
        }
    }
    if options.immutable {
        node.set(
            "immutable",
            Node {
                tag: Tag::Bool,
                ..Node::scalar("true")
            },
        );
    }
}

fn block(text: String) -> Node {
    let literal = text.contains('\n');
    let node = Node::string(text);
    if literal {
        node.with_style(Style::Literal)
    } else {
        node
    }
}

fn set_data_field(node: &mut Node, field: &str, key: &str, value: Node) {
    if node.get(field).is_none() {
        node.set(
            field,
            Node {
                tag: Tag::None,
                ..Node::mapping(Vec::new())
            },
        );
    }
    if let Some(map) = node.get_mut(field) {
        // The mapping was just made.
        let _ = set_field(map, key, value);
    }
}

/// Sets `data`, and `binaryData` for what is no UTF-8.
pub(crate) fn set_config_map_data(node: &mut Node, data: &BTreeMap<String, Vec<u8>>) {
    for (key, value) in data {
        match std::str::from_utf8(value) {
            Ok(text) => set_data_field(node, "data", key, block(text.to_owned())),
            Err(_) => set_data_field(node, "binaryData", key, block(base64_lines(value))),
        }
    }
}

/// Sets `binaryData` to texts that are base64 already.
pub(crate) fn set_binary_data(node: &mut Node, data: &BTreeMap<String, String>) {
    for (key, value) in data {
        set_data_field(node, "binaryData", key, block(value.clone()));
    }
}

/// Sets `data` of a Secret, which is there even when it is empty.
pub(crate) fn set_secret_data<'d>(node: &mut Node, data: impl Iterator<Item = (&'d str, &'d [u8])>) {
    if node.get("data").is_none() {
        node.set(
            "data",
            Node {
                tag: Tag::None,
                ..Node::mapping(Vec::new())
            },
        );
    }
    for (key, value) in data {
        set_data_field(node, "data", key, block(base64_lines(value)));
    }
}

/// Base64 in lines of 70 characters; a single line has no line break.
fn base64_lines(bytes: &[u8]) -> String {
    const LINE: usize = 70;
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    if text.len() < LINE {
        return text;
    }
    let mut lines = String::with_capacity(text.len() + text.len() / LINE + 1);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(LINE.min(rest.len()));
        lines.push_str(line);
        lines.push('\n');
        rest = after;
    }
    lines
}

/// All pairs of a generator: of its env files, then its literals, then its files.
fn data(loader: &Loader<'_, '_>, args: &GeneratorArgs) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut data = BTreeMap::new();
    let mut add = |key: String, value: Vec<u8>| {
        if data.contains_key(&key) {
            return Err(format!(
                "configmap {} illegally repeats the key `{key}`",
                args.name
            ));
        }
        data.insert(key, value);
        Ok(())
    };
    for path in &args.envs {
        let content = loader.load(path)?;
        for (number, line) in content.split(|byte| *byte == b'\n').enumerate() {
            if let Some((key, value)) =
                env_line(line, number == 0).map_err(|why| format!("{path}:{}: {why}", number + 1))?
            {
                add(key, value.into_bytes()).map_err(|why| format!("{path}:{}: {why}", number + 1))?;
            }
        }
    }
    for literal in &args.literals {
        let (key, value) = literal_pair(literal)?;
        add(key.to_owned(), value.as_bytes().to_vec())?;
    }
    for source in &args.files {
        let (key, path) = file_source(source)?;
        add(key.to_owned(), loader.load(path)?.into_owned())?;
    }
    Ok(data)
}

/// One line of an env file; comments and empty lines are none, a line without `=` has an empty value.
fn env_line(line: &[u8], is_first: bool) -> std::result::Result<Option<(String, String)>, String> {
    // A carriage return belongs to the line break.
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = std::str::from_utf8(line).map_err(|_| "line is not UTF-8".to_owned())?;
    let text = if is_first {
        text.strip_prefix('\u{feff}').unwrap_or(text)
    } else {
        text
    };
    let text = text.trim_start();
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    Ok(Some((key.to_owned(), value.to_owned())).filter(|(key, _)| !key.is_empty()))
}

/// `key=value`; one pair of quotes around the value goes.
fn literal_pair(literal: &str) -> std::result::Result<(&str, &str), String> {
    let pair = literal.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = pair.ok_or_else(|| format!("invalid literal source {literal}, expected key=value"))?;
    let inner = ['"', '\''].iter().find_map(|quote| {
        value
            .strip_prefix(*quote)
            .and_then(|rest| rest.strip_suffix(*quote))
    });
    Ok((key, inner.unwrap_or(value)))
}

/// `[key=]path`; without a key it is the file's name.
fn file_source(source: &str) -> std::result::Result<(&str, &str), String> {
    match source.split('=').collect::<Vec<_>>().as_slice() {
        [path] => Ok((
            path.trim_end_matches('/').rsplit('/').next().unwrap_or(path),
            path,
        )),
        ["", path] => Err(format!(
            "missing key name for file path {path:?} in source {source:?}"
        )),
        [key, ""] => Err(format!(
            "missing file path for key name {key:?} in source {source:?}"
        )),
        [key, path] => Ok((key, path)),
        _ => Err(format!("source {source:?} key name or file path contains '='")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_lose_one_pair_of_quotes() {
        let rows = [
            ("a=b", ("a", "b")),
            ("a='b'", ("a", "b")),
            ("a=\"b'", ("a", "\"b'")),
            ("a=", ("a", "")),
            ("a=''x''", ("a", "'x'")),
            ("a=b=c", ("a", "b=c")),
        ];
        for (literal, pair) in rows {
            assert_eq!(literal_pair(literal), Ok(pair), "{literal}");
        }
        assert!(literal_pair("=x").is_err() && literal_pair("x").is_err());
    }

    #[test]
    fn env_lines() {
        let rows: [(&str, Option<(&str, &str)>); 6] = [
            ("A=1", Some(("A", "1"))),
            ("  C = x ", Some(("C ", " x "))),
            ("B", Some(("B", ""))),
            ("# c", None),
            ("", None),
            ("D='q'\r", Some(("D", "'q'"))),
        ];
        for (line, pair) in rows {
            let read = env_line(line.as_bytes(), true).unwrap();
            assert_eq!(
                read.as_ref().map(|(k, v)| (k.as_str(), v.as_str())),
                pair,
                "{line}"
            );
        }
    }

    #[test]
    fn file_sources() {
        assert_eq!(file_source("a/b.txt"), Ok(("b.txt", "a/b.txt")));
        assert_eq!(file_source("k=a/b.txt"), Ok(("k", "a/b.txt")));
        for bad in ["=a", "k=", "a=b=c"] {
            assert!(file_source(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn base64_breaks_at_70() {
        assert_eq!(base64_lines(&[b'x'; 51]).lines().count(), 1);
        assert!(!base64_lines(&[b'x'; 51]).ends_with('\n'));
        assert_eq!(base64_lines(&[b'x'; 54]).lines().count(), 2);
    }
}
