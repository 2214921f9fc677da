//! Finish: what happens once, to the resources of the outermost layer.

use std::collections::{BTreeMap, HashMap};

use manifest::{Gvk, yaml};
use serde_json::Value;

use crate::args::SortOptions;
use crate::build::Context;
use crate::error::{BuildError, Result};
use crate::fieldspec::{FieldSpec, ORDER_FIRST, ORDER_LAST, type_text};
use crate::id::Id;
use crate::layer::Layer;
use crate::read::problem;
use crate::resource::ResMap;
use crate::schema::Schema;
use crate::transform::labels::set_everywhere;

/// Drops the resources that are only meant for the build.
///
/// # Errors
///
/// When a transformer left a resource without kind or name, or two with one id.
pub(crate) fn drop_local(schema: &Schema, resources: &mut ResMap) -> Result<()> {
    for resource in resources.list() {
        if let Some((why, _)) = problem(&resource.node) {
            return Err(format!("{why} (was {})", resource.original_id(schema)).into());
        }
    }
    let is_local = |value: Option<&String>| value.is_some_and(|value| value != "false");
    resources
        .list_mut()
        .retain(|resource| !is_local(resource.annotations().get("config.kubernetes.io/local-config")));
    // A replacement may have given two of them one name.
    resources.check_ids(schema)?;
    Ok(())
}

/// Sorts as the sort options say; without any in the legacy order.
///
/// # Errors
///
/// When the options contradict each other.
pub(crate) fn sort(schema: &Schema, layer: &Layer<'_, '_>, resources: &mut ResMap) -> Result<()> {
    let error = |why: &str| {
        BuildError {
            field: Some("sortOptions".to_owned()),
            ..BuildError::new(why)
        }
        .at(&layer.path, 0)
    };
    let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let default = || (owned(&ORDER_FIRST), owned(&ORDER_LAST));
    let (first, last) = match &layer.kustomization.sort_options {
        None => default(),
        Some(SortOptions { order, legacy }) => match (order.as_str(), legacy) {
            ("legacy", Some(orders)) => orders.clone(),
            ("legacy", None) => default(),
            ("fifo", None) => return Ok(()),
            ("fifo", Some(_)) => {
                return Err(error("legacySortOptions is set but the order is fifo, not legacy").into());
            }
            _ => return Err(error("order must be one of [fifo, legacy]").into()),
        },
    };
    let mut ranks: HashMap<&str, i64> = HashMap::new();
    let length = i64::try_from(first.len()).unwrap_or(i64::MAX);
    ranks.extend(first.iter().map(String::as_str).zip(-length..));
    ranks.extend(last.iter().map(String::as_str).zip(1..));
    resources
        .list_mut()
        .sort_by_cached_key(|resource| SortKey::of(&resource.id(schema), &ranks));
    Ok(())
}

/// Rank of the kind, then type, then namespace and name, with marks for missing parts.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct SortKey {
    rank: i64,
    /// Core namespaces come before those of other groups, against the order of the text.
    is_other_namespace: bool,
    of_type: String,
    gvk: String,
    namespace: String,
}

impl SortKey {
    fn of(id: &Id, ranks: &HashMap<&str, i64>) -> Self {
        let or = |text: &str, mark: &str| {
            if text.is_empty() {
                mark.to_owned()
            } else {
                text.to_owned()
            }
        };
        let Gvk { group, version, kind } = &id.gvk;
        Self {
            rank: ranks.get(kind.as_str()).copied().unwrap_or_default(),
            is_other_namespace: kind == "Namespace" && !group.is_empty(),
            of_type: type_text(&id.gvk),
            gvk: format!(
                "{}.{}.{}",
                or(kind, "[noKind]"),
                or(version, "[noVer]"),
                or(group, "[noGrp]")
            ),
            namespace: format!("|{}|{}", or(&id.namespace, "~X"), or(&id.name, "~N")),
        }
    }
}

/// What reading the JSON of an object as YAML, the last step of the reference, does to its texts: U+0085 is
/// a line break there, and folds.
///
/// # Errors
///
/// When a text holds a character that YAML does not allow.
pub(crate) fn through_yaml(mut value: Value) -> std::result::Result<Value, String> {
    fold(&mut value)?;
    Ok(value)
}

fn fold(value: &mut Value) -> std::result::Result<(), String> {
    match value {
        Value::String(text) => {
            if let Some(folded) = folded(text)? {
                *text = folded;
            }
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(fold),
        Value::Object(map) => {
            // A key may not span lines.
            if let Some(key) = map.keys().find(|key| !matches!(folded(key), Ok(None))) {
                return Err(format!(
                    "key {key:?} holds a character that YAML does not allow there"
                ));
            }
            map.values_mut().try_for_each(fold)
        }
        _ => Ok(()),
    }
}

fn folded(text: &str) -> std::result::Result<Option<String>, String> {
    if text.bytes().all(|byte| byte < 0x7f) {
        return Ok(None);
    }
    // JSON escapes the control characters of ASCII but for U+007F.
    if let Some(c) = text.chars().find(|c| *c >= '\u{7f}' && !yaml::is_allowed(*c)) {
        return Err(format!(
            "control characters are not allowed: U+{:04X} in {text:?}",
            u32::from(c)
        ));
    }
    if !text.contains('\u{85}') {
        return Ok(None);
    }
    let mut folded = String::with_capacity(text.len());
    let mut parts = text.split('\u{85}').peekable();
    let mut breaks = 0;
    while let Some(part) = parts.next() {
        let part = if breaks > 0 {
            part.trim_start_matches(' ')
        } else {
            part
        };
        let last = parts.peek().is_none();
        let part = if last { part } else { part.trim_end_matches(' ') };
        if !part.is_empty() || last {
            match breaks {
                0 => {}
                1 => folded.push(' '),
                more => folded.extend(std::iter::repeat_n('\n', more - 1)),
            }
            breaks = 0;
        }
        folded.push_str(part);
        breaks += usize::from(!last);
    }
    Ok(Some(folded))
}

/// Adds and removes annotations and labels as `buildMetadata` says.
pub(crate) fn annotate(context: &Context<'_>, layer: &Layer<'_, '_>, resources: &mut ResMap) -> Result<()> {
    let wants = |option: &str| {
        layer
            .kustomization
            .build_metadata
            .iter()
            .any(|wanted| wanted == option)
    };
    let (origin, transformations) = (wants("originAnnotations"), wants("transformerAnnotations"));
    if wants("managedByLabel") {
        let label = (
            "app.kubernetes.io/managed-by".to_owned(),
            format!("kustomize-{}", context.tree.options.version),
        );
        let fields = [FieldSpec::new(Gvk::default(), "metadata/labels", true)];
        set_everywhere(context, resources, &BTreeMap::from([label]), &fields)?;
    }
    resources.each(context, |resource| {
        resource.clean_annotations(origin, transformations);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_lines_fold() {
        let rows = [
            ("plain", None),
            ("é", None),
            ("a\u{85}b", Some("a b")),
            ("a \u{85}  b", Some("a b")),
            ("a\u{85}\u{85}b", Some("a\nb")),
            ("a\u{85} \u{85} \u{85}b\u{85}", Some("a\n\nb ")),
        ];
        for (text, expected) in rows {
            assert_eq!(folded(text).unwrap().as_deref(), expected, "{text:?}");
        }
        assert!(folded("a\u{7f}").is_err() && folded("\u{9f}").is_err() && folded("\u{ffff}").is_err());
    }
}
