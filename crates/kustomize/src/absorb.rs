//! Absorption: a generated ConfigMap or Secret joins the resources, or the one that has its id.

use crate::build::Context;
use crate::generate::{set_binary_data, set_config_map_data, set_secret_data};
use crate::origin;
use crate::resource::{Behavior, ResMap, Resource, texts};

/// Adds a generated resource, or merges it with the one that has its id.
pub(crate) fn absorb(
    context: &Context<'_>,
    all: &mut ResMap,
    mut new: Resource,
) -> std::result::Result<(), String> {
    let schema = &context.schema;
    let id = new.id(schema);
    let behavior = new.memory.behavior.unwrap_or_default();
    let found = all.matching_any(schema, &id.name, |other| id.same(other));
    let at = match found.as_slice() {
        [] if matches!(behavior, Behavior::Merge | Behavior::Replace) => {
            return Err(format!("id {id} does not exist; cannot merge or replace"));
        }
        [] => return all.append(schema, new),
        [at] => *at,
        _ => return Err(format!("found multiple objects that could accept merge of {id}")),
    };
    let old = all.list()[at].clone();
    match behavior {
        Behavior::Replace => copy_metadata(&mut new, &old),
        Behavior::Merge => {
            let old_data = if new.api_version() == "v1" && new.kind() == "Secret" {
                without_string_data(&old)?
            } else {
                old.clone()
            };
            copy_metadata(&mut new, &old);
            merge_data(&mut new, &old_data, "data");
            merge_data(&mut new, &old, "binaryData");
            if let Some(from) = origin::of(&old) {
                origin::set(&mut new, &from);
            }
        }
        Behavior::Create | Behavior::Unspecified => {
            let name = if behavior == Behavior::Create {
                "create"
            } else {
                "unspecified"
            };
            return Err(format!(
                "id {id} exists; can not use behavior: '{name}', behavior must be merge or replace"
            ));
        }
    }
    let id = new.id(schema);
    if id != all.list()[at].id(schema) {
        return Err(format!(
            "cannot find {id} to replace: an earlier patch gave it another kind"
        ));
    }
    all.list_mut()[at] = new;
    Ok(())
}

/// Labels, annotations, name, namespace and memory of the old object; its labels and annotations lose
/// against those of the new one.
fn copy_metadata(new: &mut Resource, old: &Resource) {
    let mut labels = old.labels();
    labels.extend(new.labels());
    new.set_labels(&labels);
    let mut annotations = old.annotations();
    annotations.extend(new.annotations());
    new.set_annotations(&annotations);
    let wanted_hash = new.memory.needs_hash;
    new.memory = old.memory.clone();
    new.memory.needs_hash = wanted_hash && old.memory.needs_hash;
    new.set_name(old.name());
    new.set_namespace(old.namespace());
    new.vars.clone_from(&old.vars);
    new.move_annotations();
}

fn merge_data(new: &mut Resource, old: &Resource, field: &str) {
    let entries = |resource: &Resource| {
        let nodes = resource
            .node
            .get(field)
            .map(manifest::Node::entries)
            .unwrap_or_default();
        let mut values = texts(nodes);
        for (key, _) in nodes.iter().filter(|(_, value)| value.is_null()) {
            values.insert(key.as_str().unwrap_or_default().to_owned(), String::new());
        }
        values
    };
    let mut values = entries(old);
    values.extend(entries(new));
    new.node.remove(field);
    if field == "data" {
        let bytes = values
            .into_iter()
            .map(|(key, value)| (key, value.into_bytes()))
            .collect();
        set_config_map_data(&mut new.node, &bytes);
    } else {
        set_binary_data(&mut new.node, &values);
    }
}

/// A Secret with its `stringData` moved to `data`.
fn without_string_data(secret: &Resource) -> std::result::Result<Resource, String> {
    let mut secret = secret.clone();
    if let Some(data) = secret.node.remove("stringData").filter(|data| !data.is_null()) {
        if let Some((key, _)) = data.entries().iter().find(|(_, value)| value.as_str().is_none()) {
            return Err(format!(
                "stringData value for key {:?} must be a scalar",
                key.as_str().unwrap_or_default()
            ));
        }
        let values = texts(data.entries());
        set_secret_data(
            &mut secret.node,
            values.iter().map(|(key, value)| (key.as_str(), value.as_bytes())),
        );
    }
    Ok(secret)
}
