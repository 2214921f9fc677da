//! Labels transformer: sets labels in metadata, templates and selectors.

use std::collections::BTreeMap;

use manifest::{Node, Style, yaml};

use crate::build::Context;
use crate::error::Result;
use crate::fieldspec::FieldSpec;
use crate::resource::{ResMap, Resource};
use crate::walk::{Create, propagate, visit};

/// Labels and the fields that get them.
pub(crate) struct Labels {
    pub labels: BTreeMap<String, String>,
    pub fields: Vec<FieldSpec>,
}

impl Labels {
    pub(crate) fn run(&self, context: &Context<'_>, resources: &mut ResMap) -> Result<()> {
        set_everywhere(context, resources, &self.labels, &self.fields)
    }
}

/// Sets entries in the mappings that field specs name, on all resources.
pub(crate) fn set_everywhere(
    context: &Context<'_>,
    resources: &mut ResMap,
    entries: &BTreeMap<String, String>,
    fields: &[FieldSpec],
) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    resources.each(context, |resource| set_entries(resource, entries, fields))
}

/// Sets entries in all fields of one resource.
///
/// The reference puts one and the same node into every mapping that lacks the entry, so that a later
/// change of one of them changes all. Such nodes get a common link.
pub(crate) fn set_entries(
    resource: &mut Resource,
    entries: &BTreeMap<String, String>,
    fields: &[FieldSpec],
) -> std::result::Result<(), String> {
    let matching: Vec<&FieldSpec> = fields
        .iter()
        .filter(|spec| spec.matches(&resource.node))
        .collect();
    for (key, value) in entries {
        resource.last_link += 1;
        let mut node = Node::string(value.as_str());
        node.link = resource.last_link;
        if !value.is_empty() && !yaml::is_string_1_1(value) {
            node.style = Style::DoubleQuoted;
        }
        for spec in &matching {
            let mut written = Vec::new();
            let create = spec.create.then_some(Create::Mapping);
            visit(&mut resource.node, &spec.path, create, &mut |mapping| {
                set_entry(mapping, key, &node, &mut written)
            })?;
            for node in &written {
                propagate(&mut resource.node, node);
            }
        }
    }
    Ok(())
}

fn set_entry(
    mapping: &mut Node,
    key: &str,
    value: &Node,
    written: &mut Vec<Node>,
) -> std::result::Result<(), String> {
    if mapping.is_null() {
        // A null that is not to be made stays one.
        return Ok(());
    }
    if let Some(have) = mapping.get_mut(key) {
        let same = have.as_str() == value.as_str() && have.tag == value.tag;
        let (style, tagged, link, place) = (have.style, have.tagged, have.link, have.place);
        *have = Node {
            style,
            tagged,
            link,
            place,
            ..value.clone()
        };
        if link != 0 && !same {
            written.push(have.clone());
        }
        return Ok(());
    }
    match mapping.entries_mut() {
        Some(entries) => {
            entries.push((Node::scalar(key), value.clone()));
            Ok(())
        }
        None => Err(format!("expected a mapping to set {key} in")),
    }
}
