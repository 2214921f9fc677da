//! Replacements: values copied from a field of one resource into fields of others.

use std::collections::BTreeMap;

use manifest::{Data, Node};
use serde_json::Value;

use super::hash::go_json;
use super::replace_path::{Make, at_mut, find, lookup, parse, split_path};
use crate::args::{FieldOptions, Located, ReplacementArgs, SourceArgs, TargetArgs};
use crate::build::Context;
use crate::decode::LENIENT;
use crate::error::{BuildError, BuildErrors, Result};
use crate::fieldspec::selects;
use crate::id::{Id, is_nil_or_empty};
use crate::kustomization::{self, decode_with};
use crate::loader::Loader;
use crate::resource::{ResMap, Resource};
use crate::schema::Schema;
use crate::selector::Matcher;
use crate::walk::{propagate, refuse_growth};

/// The replacements of one layer.
pub(crate) struct Replacements {
    list: Vec<Replacement>,
    /// The file that configures them.
    file: String,
}

struct Replacement {
    source: SourceOf,
    targets: Vec<Target>,
    /// The field that holds it, and its line.
    field: String,
    line: u32,
}

enum SourceOf {
    Value(String),
    Field(SourceArgs),
}

struct Target {
    select: Matcher,
    reject: Vec<Matcher>,
    paths: Vec<String>,
    options: FieldOptions,
    has_options: bool,
}

const TARGET_HINT: &str = "correct the path; a field that is not there yet needs the option create: true";
const NAME: &str = "metadata.name";

impl Replacements {
    /// The replacements of a file, or of the files that it names.
    ///
    /// # Errors
    ///
    /// For every one that is not complete.
    pub(crate) fn new(
        loader: &Loader<'_, '_>,
        args: &[Located<ReplacementArgs>],
        file: &str,
    ) -> Result<Self> {
        let mut list = Vec::new();
        let mut errors = BuildErrors::default();
        for one in args {
            let read = expand(loader, one);
            let read = read.map_err(|errors| errors.in_field(&one.field).at(file, one.line));
            list.extend(errors.take(read).into_iter().flatten());
        }
        let file = file.to_owned();
        errors.into_result().map(|()| Self { list, file })
    }

    pub(crate) fn run(&self, context: &Context<'_>, resources: &mut ResMap) -> Result<()> {
        for replacement in &self.list {
            replacement.run(context, resources).map_err(|why| {
                BuildErrors::from(why)
                    .in_field(&replacement.field)
                    .at(&self.file, replacement.line)
            })?;
        }
        Ok(())
    }
}

/// The replacement of one entry, or those of the file that it names.
fn expand(loader: &Loader<'_, '_>, entry: &Located<ReplacementArgs>) -> Result<Vec<Replacement>> {
    let args = &entry.value;
    let new = |args: &ReplacementArgs| Replacement::new(args, &entry.field, entry.line).map_err(Into::into);
    if args.path.is_empty() {
        return Ok(vec![new(args)?]);
    }
    if args.source.is_some() || args.targets.as_ref().is_some_and(|targets| !targets.is_empty()) {
        return Err("cannot specify both path and inline replacement".into());
    }
    load(loader, &args.path)?.iter().map(new).collect()
}

/// The value that is copied.
///
/// A value that is not cut out of its field is the field's own node in the reference, so that a replacement
/// that also writes to its source goes on with what it wrote.
enum Copied {
    Fixed(Node),
    Field { at: usize, steps: Vec<usize> },
}

impl Copied {
    fn now(&self, list: &[Resource]) -> Node {
        match self {
            Self::Fixed(node) => node.clone(),
            Self::Field { at, steps } => {
                let root = list.get(*at).map(|resource| &resource.node);
                let node = steps
                    .iter()
                    .try_fold(root, |node, step| Some(node.and_then(|node| child(node, *step))));
                node.flatten().cloned().unwrap_or_else(Node::null)
            }
        }
    }
}

fn child(node: &Node, at: usize) -> Option<&Node> {
    match &node.data {
        Data::Scalar(_) => None,
        Data::Sequence(items) => items.get(at),
        Data::Mapping(entries) => entries.get(at).map(|(_, value)| value),
    }
}

/// Loads a file with one replacement or a list of them.
fn load(loader: &Loader<'_, '_>, path: &str) -> Result<Vec<ReplacementArgs>> {
    let (text, file) = loader.load_text(path)?;
    decode_with(&text, &file, LENIENT, |d, root| match root.value {
        Value::Array(_) => {
            let items = d.items(root);
            items
                .iter()
                .map(|item| kustomization::replacement(d, item))
                .collect()
        }
        Value::Object(_) => vec![kustomization::replacement(d, root)],
        _ => {
            d.error("", "a replacement file must hold a mapping or a list");
            Vec::new()
        }
    })
}

impl Replacement {
    fn new(args: &ReplacementArgs, field: &str, line: u32) -> std::result::Result<Self, String> {
        let source = match (&args.source, &args.source_value) {
            (Some(_), Some(_)) => return Err("sourceValue and source are mutually exclusive".to_owned()),
            (None, Some(value)) => Some(SourceOf::Value(value.clone())),
            (Some(source), None) => Some(SourceOf::Field(source.clone())),
            (None, None) => None,
        };
        let (Some(source), Some(targets)) = (source, &args.targets) else {
            return Err("replacements must specify a source and at least one target".to_owned());
        };
        Ok(Self {
            source,
            targets: targets
                .iter()
                .map(Target::new)
                .collect::<std::result::Result<_, _>>()?,
            field: field.to_owned(),
            line,
        })
    }

    fn run(&self, context: &Context<'_>, resources: &mut ResMap) -> std::result::Result<(), BuildError> {
        let schema = &context.schema;
        let value = self.value(schema, resources).map_err(BuildError::new)?;
        let list = resources.list_mut();
        for target in &self.targets {
            for at in 0..list.len() {
                if target.selects(schema, &list[at]) {
                    target.write(list, at, &value).map_err(|why| {
                        let place = context.located(list[at].place, BuildError::default());
                        let from = match (place.file, place.line) {
                            (Some(file), Some(line)) => format!(" of {file}:{line}"),
                            _ => String::new(),
                        };
                        BuildError::new(format!("{why} {}{from}", list[at].id(schema))).hint(TARGET_HINT)
                    })?;
                }
            }
        }
        Ok(())
    }

    fn value(&self, schema: &Schema, resources: &ResMap) -> std::result::Result<Copied, String> {
        let source = match &self.source {
            SourceOf::Value(value) => return Ok(Copied::Fixed(Node::scalar(value.as_str()))),
            SourceOf::Field(source) => source,
        };
        let at = select_source(schema, resources, source)?;
        let resource = &resources.list()[at].node;
        let path = if source.field_path.is_empty() {
            NAME
        } else {
            &source.field_path
        };
        let parts = split_path(path);
        let found = lookup(resource, &parts)
            .map_err(|why| format!("error looking up replacement source {path}: {why}"))?;
        let node = found.filter(|node| !is_nil_or_empty(node));
        let node = node.ok_or_else(|| {
            format!(
                "fieldPath `{path}` is missing for replacement source {}",
                describe(source)
            )
        })?;
        match source
            .options
            .as_ref()
            .filter(|options| !options.delimiter.is_empty())
        {
            Some(options) => refine(node, options).map(Copied::Fixed),
            None => Ok(match steps_to(resource, &parts) {
                Some(steps) => Copied::Field { at, steps },
                None => Copied::Fixed(node.clone()),
            }),
        }
    }
}

fn describe(source: &SourceArgs) -> String {
    let SourceArgs {
        gvk, name, namespace, ..
    } = source;
    let place = if namespace.is_empty() {
        String::new()
    } else {
        format!("{namespace}/")
    };
    format!("{gvk} {place}{name}").trim().to_owned()
}

/// The current id of a resource and the earlier ones.
fn ids(schema: &Schema, resource: &Resource) -> Vec<Id> {
    let mut ids = vec![resource.id(schema)];
    ids.extend(resource.previous_ids(schema));
    // The reference builds the current id without its scope.
    ids[0].cluster_scoped = false;
    ids
}

fn select_source(
    schema: &Schema,
    resources: &ResMap,
    source: &SourceArgs,
) -> std::result::Result<usize, String> {
    let wanted = Id {
        gvk: source.gvk.clone(),
        name: source.name.clone(),
        namespace: source.namespace.clone(),
        cluster_scoped: false,
    };
    let matches = |id: &Id| {
        (wanted.name.is_empty() || wanted.name == id.name)
            && (wanted.namespace.is_empty() || wanted.effective_namespace() == id.effective_namespace())
            && selects(&wanted.gvk, &id.gvk)
    };
    let list = resources.list().iter().enumerate();
    let mut found = list
        .filter(|(_, resource)| ids(schema, resource).iter().any(matches))
        .map(|(at, _)| at);
    match (found.next(), found.next()) {
        (Some(at), None) => Ok(at),
        (None, _) => Err(format!(
            "nothing selected by {} as replacement source",
            describe(source)
        )),
        (Some(_), Some(_)) => Err(format!(
            "multiple matches for replacement source {}",
            describe(source)
        )),
    }
}

/// The part of a value that the options of its source ask for.
fn refine(node: &Node, options: &FieldOptions) -> std::result::Result<Node, String> {
    let Some(text) = node.as_str() else {
        return Err("delimiter option can only be used with scalar nodes".to_owned());
    };
    let parts: Vec<&str> = text.split(&options.delimiter).collect();
    let part = usize::try_from(options.index)
        .ok()
        .and_then(|index| parts.get(index));
    let part = part.ok_or_else(|| {
        format!(
            "options.index {} is out of bounds for value {text}",
            options.index
        )
    })?;
    let mut refined = node.clone();
    refined.data = Data::Scalar((*part).to_owned());
    Ok(refined)
}

impl Target {
    fn new(args: &TargetArgs) -> std::result::Result<Self, String> {
        let select = args
            .select
            .as_ref()
            .ok_or("target must specify resources to select")?;
        let paths = if args.field_paths.is_empty() {
            vec![NAME.to_owned()]
        } else {
            args.field_paths.clone()
        };
        Ok(Self {
            select: Matcher::new(select)?,
            reject: args
                .reject
                .iter()
                .map(Matcher::new)
                .collect::<std::result::Result<_, _>>()?,
            paths,
            options: args.options.clone().unwrap_or_default(),
            has_options: args.options.is_some(),
        })
    }

    fn selects(&self, schema: &Schema, resource: &Resource) -> bool {
        if !self.select.matches_labels(resource)
            || self
                .reject
                .iter()
                .any(|reject| reject.has_labels && reject.matches_labels(resource))
        {
            return false;
        }
        let ids = ids(schema, resource);
        let rejected = self
            .reject
            .iter()
            .filter(|reject| !reject.has_no_id)
            .any(|reject| ids.iter().any(|id| reject.matches_id(id)));
        !rejected && ids.iter().any(|id| self.select.matches_id(id))
    }

    fn write(&self, list: &mut [Resource], at: usize, copied: &Copied) -> std::result::Result<(), String> {
        for path in &self.paths {
            let value = copied.now(list);
            let make = (self.has_options && self.options.create).then(|| Make::like(&value));
            let parts = split_path(path);
            let attempt = list[at].node.clone();
            match self.write_inside_text(&mut list[at], &parts, &value, make) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(_) => list[at].node = attempt,
            }
            let missing = |why: String| {
                let verb = if make.is_some() { "find or create" } else { "find" };
                let why = if why.is_empty() { why } else { format!(" ({why})") };
                format!("unable to {verb} field {path:?}{why} in replacement target")
            };
            let found = find(&mut list[at].node, &parts, make).map_err(missing)?;
            if found.nodes.is_empty() && found.inside_text == 0 {
                return Err(missing(String::new()));
            }
            for steps in found.nodes {
                let value = copied.now(list);
                let resource = &mut list[at];
                let Some(node) = at_mut(&mut resource.node, &steps) else {
                    continue;
                };
                self.set(node, &value)?;
                if node.link != 0 {
                    let written = node.clone();
                    propagate(&mut resource.node, &written);
                }
                if value.as_str().is_none() || !self.options.delimiter.is_empty() {
                    refuse_growth(&resource.node)?;
                }
            }
        }
        Ok(())
    }

    fn set(&self, node: &mut Node, value: &Node) -> std::result::Result<(), String> {
        let mut value = value.clone();
        let delimiter = &self.options.delimiter;
        if !delimiter.is_empty() {
            let Some(text) = node.as_str() else {
                return Err("delimiter option can only be used with scalar nodes".to_owned());
            };
            let mut parts: Vec<&str> = text.split(delimiter.as_str()).collect();
            let new = if value.is_null() {
                ""
            } else {
                value.as_str().unwrap_or_default()
            };
            match usize::try_from(self.options.index) {
                Err(_) => parts.insert(0, new),
                Ok(index) if index >= parts.len() => parts.push(new),
                Ok(index) => parts[index] = new,
            }
            let joined = parts.join(delimiter);
            value.data = Data::Scalar(joined);
        }
        if node.as_str().is_some() {
            // The type of the target stays: a number written into a string is a string.
            node.data = Data::Scalar(value.as_str().unwrap_or_default().to_owned());
            node.place = if value.place.line == 0 {
                node.place
            } else {
                value.place
            };
        } else {
            let link = node.link;
            *node = Node { link, ..value };
        }
        Ok(())
    }

    /// Writes into JSON or YAML that a string field holds. False when the path leads into no such field.
    fn write_inside_text(
        &self,
        resource: &mut Resource,
        parts: &[String],
        value: &Node,
        make: Option<Make>,
    ) -> std::result::Result<bool, String> {
        for length in 1..parts.len() {
            let Ok(Some(field)) = lookup(&resource.node, &parts[..length]) else {
                continue;
            };
            let Some(text) = field.as_str().map(str::to_owned) else {
                continue;
            };
            let Ok(mut inner) = parse(&text) else { continue };
            let found = find(&mut inner, &parts[length..], make)?;
            if found.nodes.is_empty() && found.inside_text == 0 {
                return Err("unable to find field in structured data".to_owned());
            }
            for steps in &found.nodes {
                if let Some(node) = at_mut(&mut inner, steps) {
                    self.set(node, value)?;
                }
            }
            let printed = print_like(&inner, &text)?;
            let steps = steps_to(&resource.node, &parts[..length]).ok_or("field is gone")?;
            if let Some(node) = at_mut(&mut resource.node, &steps) {
                node.data = Data::Scalar(printed);
            }
            return Ok(true);
        }
        Ok(false)
    }
}

/// The steps of [`lookup`].
pub(super) fn steps_to(node: &Node, parts: &[String]) -> Option<Vec<usize>> {
    let mut steps = Vec::new();
    let mut at = node;
    for part in parts.iter().filter(|part| !part.trim().is_empty()) {
        let next = lookup(at, std::slice::from_ref(part)).ok()??;
        let position = match &at.data {
            Data::Mapping(entries) => entries.iter().position(|(_, value)| std::ptr::eq(value, next))?,
            Data::Sequence(items) => items.iter().position(|item| std::ptr::eq(item, next))?,
            Data::Scalar(_) => return None,
        };
        steps.push(position);
        at = next;
    }
    Some(steps)
}

/// Prints a tree as the text that it was read from: JSON compact or indented, or YAML.
fn print_like(node: &Node, original: &str) -> std::result::Result<String, String> {
    if !original.trim_start().starts_with(['{', '[']) {
        return Ok(super::yaml_text::print(node, original).trim().to_owned());
    }
    let value = node.to_json().map_err(|error| error.to_string())?;
    if original.contains('\n') && original.contains("  ") {
        let mut text = String::new();
        indented(&value, 0, &mut text);
        return Ok(text);
    }
    let mut text = String::new();
    go_json(&value, &mut text);
    Ok(text)
}

/// Go's `MarshalIndent` with two spaces.
fn indented(value: &Value, depth: usize, text: &mut String) {
    let line = |depth: usize, text: &mut String| {
        text.push('\n');
        text.push_str(&"  ".repeat(depth));
    };
    match value {
        Value::Array(items) if !items.is_empty() => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                line(depth + 1, text);
                indented(item, depth + 1, text);
            }
            line(depth, text);
            text.push(']');
        }
        Value::Object(map) if !map.is_empty() => {
            text.push('{');
            let sorted: BTreeMap<_, _> = map.iter().collect();
            for (at, (key, value)) in sorted.into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                line(depth + 1, text);
                go_json(&Value::from(key.as_str()), text);
                text.push_str(": ");
                indented(value, depth + 1, text);
            }
            line(depth, text);
            text.push('}');
        }
        other => go_json(other, text),
    }
}
