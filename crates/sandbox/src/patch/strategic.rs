//! Strategic: a merge that knows by which key the items of a builtin type's lists are told apart.
//!
//! The semantics, with the directives `$patch`, `$retainKeys`, `$setElementOrder` and `$deleteFromPrimitiveList`, are
//! those of apimachinery's package `strategicpatch`.

use serde_json::{Map, Value};

use crate::schema::Node;
use crate::status::Status;

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE_VALUES: &str = "$deleteFromPrimitiveList/";

/// How the items of a list are told apart.
#[derive(Clone, Copy)]
struct ItemsOf<'a> {
    node: Node<'a>,
    /// The merge key; none for plain values.
    key: Option<&'a str>,
}

// === impl ItemsOf ===

impl ItemsOf<'_> {
    fn is_same(&self, one: &Value, other: &Value) -> bool {
        match self.key {
            Some(key) => one.get(key).is_some() && one.get(key) == other.get(key),
            None => one == other,
        }
    }
}

/// Merges a patch into an object.
///
/// # Errors
/// 400 if a directive is wrong, or an item has no merge key.
pub(super) fn merge(node: Node<'_>, object: &Value, patch: &Value) -> Result<Value, Status> {
    let (Value::Object(object), Value::Object(patch)) = (object, patch) else {
        return Err(Status::bad_request("the patch is no JSON object"));
    };
    merge_map(node, object.clone(), patch).map(Value::Object)
}

fn merge_map(
    node: Node<'_>,
    mut object: Map<String, Value>,
    patch: &Map<String, Value>,
) -> Result<Map<String, Value>, Status> {
    match patch
        .get(DIRECTIVE)
        .map(|directive| directive.as_str().unwrap_or_default())
    {
        Some("replace") => {
            let mut patch = patch.clone();
            patch.shift_remove(DIRECTIVE);
            return Ok(patch);
        }
        Some("delete") => return Ok(Map::new()),
        Some("merge") | None => {}
        Some(other) => return Err(Status::bad_request(format!("unknown patch type: {other}"))),
    }
    retain(&mut object, patch)?;
    for (name, value) in patch.iter().filter(|(name, _)| !name.starts_with('$')) {
        if !patch.contains_key(&format!("{ORDER}{name}")) {
            merge_field(node, &mut object, name, value)?;
        }
    }
    for (directive, values) in patch {
        if let Some(name) = directive.strip_prefix(DELETE_VALUES) {
            delete_values(&mut object, name, values);
        } else if let Some(name) = directive.strip_prefix(ORDER) {
            merge_ordered(node, &mut object, name, patch.get(name), values)?;
        }
    }
    Ok(object)
}

fn retain(object: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), Status> {
    let Some(keys) = patch.get(RETAIN) else {
        return Ok(());
    };
    let wrong = || {
        Status::bad_request("retainKeys directive has a bad format: it has to list every key of the patch")
    };
    let keys = keys.as_array().ok_or_else(wrong)?;
    let kept = |name: &String| keys.iter().any(|key| key == name);
    if patch
        .iter()
        .any(|(name, value)| !value.is_null() && !name.starts_with('$') && !kept(name))
    {
        return Err(wrong());
    }
    object.retain(|name, _| kept(name));
    Ok(())
}

fn merge_field(
    node: Node<'_>,
    object: &mut Map<String, Value>,
    name: &str,
    value: &Value,
) -> Result<(), Status> {
    if value.is_null() {
        object.shift_remove(name);
        return Ok(());
    }
    let below = node.field(name).unwrap_or_else(Node::any);
    let merged = match (object.get(name), value) {
        (Some(Value::Object(old)), Value::Object(new)) => {
            Some(Value::Object(merge_map(below, old.clone(), new)?))
        }
        (Some(Value::Array(old)), Value::Array(new)) => match items_of(node, name) {
            Some(items) => Some(Value::Array(merge_list(items, old, new)?)),
            None => Some(value.clone()),
        },
        _ => without_directives(value),
    };
    match merged {
        Some(merged) => object.insert(name.to_owned(), merged),
        None => object.shift_remove(name),
    };
    Ok(())
}

/// What a list is merged by; none if it is replaced.
fn items_of<'a>(node: Node<'a>, name: &str) -> Option<ItemsOf<'a>> {
    let strategy = node.declared(name)?.merge.as_ref()?;
    Some(ItemsOf {
        node: node.field(name)?.items(),
        key: strategy.key.as_deref(),
    })
}

fn merge_list(items: ItemsOf<'_>, old: &[Value], new: &[Value]) -> Result<Vec<Value>, Status> {
    let Some(key) = items.key else {
        let mut merged = old.to_vec();
        for value in new {
            if !merged.contains(value) {
                merged.push(value.clone());
            }
        }
        return Ok(ordered(items, merged, new, old));
    };
    if new.iter().any(|item| item[DIRECTIVE] == "replace") {
        let rest = new.iter().filter(|item| item.get(DIRECTIVE).is_none());
        return Ok(rest.filter_map(without_directives).collect());
    }
    let mut merged = old.to_vec();
    for item in new {
        let Some(wanted) = item.get(key) else {
            let item = super::go_text(item);
            let message = format!("map: {item} does not contain declared merge key: {key}");
            return Err(Status::new(500, "", message));
        };
        if item[DIRECTIVE] == "delete" {
            merged.retain(|one| one.get(key) != Some(wanted));
            continue;
        }
        let patch = item.as_object().cloned().unwrap_or_default();
        match merged.iter_mut().find(|one| one.get(key) == Some(wanted)) {
            Some(one) => {
                let old = one.as_object().cloned().unwrap_or_default();
                *one = Value::Object(merge_map(items.node, old, &patch)?);
            }
            None => merged.extend(without_directives(item)),
        }
    }
    let kept: Vec<Value> = new
        .iter()
        .filter(|item| item[DIRECTIVE] != "delete")
        .cloned()
        .collect();
    Ok(ordered(items, merged, &kept, old))
}

fn delete_values(object: &mut Map<String, Value>, name: &str, values: &Value) {
    let gone = values.as_array().cloned().unwrap_or_default();
    if let Some(list) = object.get_mut(name).and_then(Value::as_array_mut) {
        list.retain(|value| !gone.contains(value));
    }
}

/// Merges a list and brings its items into the order that the patch tells.
fn merge_ordered(
    node: Node<'_>,
    object: &mut Map<String, Value>,
    name: &str,
    patch: Option<&Value>,
    order: &Value,
) -> Result<(), Status> {
    if patch.is_some_and(Value::is_null) {
        object.shift_remove(name);
        return Ok(());
    }
    let Some(items) = items_of(node, name) else {
        return patch.map_or(Ok(()), |patch| merge_field(node, object, name, patch));
    };
    let order = order.as_array().cloned().unwrap_or_default();
    check_order(items, patch, &order)?;
    let old = object.get(name).and_then(Value::as_array).cloned();
    let merged = match (&old, patch.and_then(Value::as_array)) {
        (None, None) => return Ok(()),
        (Some(old), None) => old.clone(),
        (None, Some(new)) => new.iter().filter_map(without_directives).collect(),
        (Some(old), Some(new)) => merge_list(items, old, new)?,
    };
    let merged = ordered(items, merged, &order, &old.unwrap_or_default());
    object.insert(name.to_owned(), Value::Array(merged));
    Ok(())
}

/// The items of a patch have to be among those of the order, in that order.
fn check_order(items: ItemsOf<'_>, patch: Option<&Value>, order: &[Value]) -> Result<(), Status> {
    let patch = patch.and_then(Value::as_array).cloned().unwrap_or_default();
    let kept: Vec<Value> = patch
        .into_iter()
        .filter(|item| item[DIRECTIVE] != "delete")
        .collect();
    let mut rest = order.iter();
    if kept.iter().all(|item| rest.any(|one| items.is_same(one, item))) {
        return Ok(());
    }
    let told = |list: Vec<Value>| super::go_text(&Value::Array(list));
    let message = format!(
        "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
        told(kept),
        told(order.to_vec())
    );
    Err(Status::new(500, "", message))
}

/// Items that the order names come in that order; the others keep their places relative to the old list.
fn ordered(items: ItemsOf<'_>, merged: Vec<Value>, order: &[Value], old: &[Value]) -> Vec<Value> {
    let place = |list: &[Value], item: &Value| list.iter().position(|one| items.is_same(one, item));
    let (mut named, mut others): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| place(order, item).is_some());
    named.sort_by_key(|item| place(order, item));
    others.sort_by_key(|item| place(old, item));
    let mut result = Vec::new();
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    loop {
        let takes_other = match (others.peek(), named.peek()) {
            (None, None) => return result,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(other), Some(named)) => match (place(old, other), place(old, named)) {
                (Some(other), Some(named)) => other < named,
                _ => false,
            },
        };
        result.extend(if takes_other { others.next() } else { named.next() });
    }
}

/// A value that is new, without nulls and directives; none if it is a deletion.
fn without_directives(value: &Value) -> Option<Value> {
    match value {
        Value::Object(map) => {
            if map.get(DIRECTIVE).is_some_and(|directive| directive == "delete") {
                return None;
            }
            let kept = map
                .iter()
                .filter(|(name, value)| !value.is_null() && !name.starts_with('$'));
            Some(Value::Object(
                kept.filter_map(|(name, value)| Some((name.clone(), without_directives(value)?)))
                    .collect(),
            ))
        }
        Value::Array(items) => Some(Value::Array(
            items.iter().filter_map(without_directives).collect(),
        )),
        other => Some(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::{Schema, Type};

    #[test]
    fn patches_merge_as_a_real_server_merges_them() {
        let schema = Schema::builtin();
        let of = Type::Defined(schema.kinds[&("apps".to_owned(), "v1".to_owned(), "Deployment".to_owned())]);
        let pod = |spec: Value| json!({"spec": {"template": {"spec": spec}}});
        let two = json!([{"name": "a", "image": "1"}, {"name": "b", "image": "2"}]);
        let rows = [
            (
                "merged by key",
                json!({"containers": [{"name": "b", "image": "3"}]}),
                json!(["a:1", "b:3"]),
            ),
            (
                "added",
                json!({"containers": [{"name": "c", "image": "3"}]}),
                json!(["c:3", "a:1", "b:2"]),
            ),
            (
                "deleted",
                json!({"containers": [{"name": "a", "$patch": "delete"}]}),
                json!(["b:2"]),
            ),
            (
                "replaced",
                json!({"containers": [{"$patch": "replace"}, {"name": "z", "image": "9"}]}),
                json!(["z:9"]),
            ),
            (
                "in another order than it says",
                json!({"containers": [{"name": "a"}], "$setElementOrder/containers": [{"name": "b"}]}),
                Value::Null,
            ),
            (
                "ordered",
                json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}),
                json!(["b:2", "a:1"]),
            ),
        ];
        for (name, patch, wanted) in rows {
            let Ok(merged) = merge(
                schema.node(&of),
                &pod(json!({"containers": two.clone()})),
                &pod(patch),
            ) else {
                assert!(wanted.is_null(), "{name}");
                continue;
            };
            let list = merged["spec"]["template"]["spec"]["containers"]
                .as_array()
                .unwrap();
            let found: Vec<String> = list
                .iter()
                .map(|item| {
                    format!(
                        "{}:{}",
                        item["name"].as_str().unwrap(),
                        item["image"].as_str().unwrap()
                    )
                })
                .collect();
            assert_eq!(json!(found), wanted, "{name}");
        }
    }
}
