//! Fields: reading and writing inside of an object whose fields have the right types.

use std::iter;

use serde_json::{Map, Value};

/// The text at a key, or nothing.
pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The integer at a key, or zero.
pub fn number(value: &Value, key: &str) -> i64 {
    value[key].as_i64().unwrap_or_default()
}

/// Whether a key holds true.
pub fn flag(value: &Value, key: &str) -> bool {
    value[key].as_bool().unwrap_or_default()
}

/// The elements of the list at a key.
pub fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// The elements of the list at a key, to be changed.
pub fn items_mut<'a>(value: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    value
        .get_mut(key)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}

/// The entries of the map at a key.
pub fn entries<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value[key].as_object().into_iter().flatten()
}

/// The map at a key, which is made if it is not there.
pub fn map_mut<'a>(value: &'a mut Value, key: &str) -> Option<&'a mut Map<String, Value>> {
    if value[key].is_null() {
        value[key] = Value::Object(Map::new());
    }
    value[key].as_object_mut()
}

/// The value at a key if there is one, to be changed.
pub fn some_mut<'a>(value: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    value.get_mut(key).filter(|value| !value.is_null())
}

/// Sets a key that is absent, null or an empty text.
pub fn default_to(value: &mut Value, key: &str, default: impl Into<Value>) {
    if value[key].is_null() || value[key] == "" {
        value[key] = default.into();
    }
}

/// Takes a key away.
pub fn remove(value: &mut Value, key: &str) {
    if let Some(map) = value.as_object_mut() {
        map.remove(key);
    }
}

/// Whether there is nothing at a key: no value, an empty text, list or map.
pub fn is_empty(value: &Value, key: &str) -> bool {
    match &value[key] {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    }
}

/// Whether a label selector, as workloads have it, selects these labels. An empty selector selects everything.
pub fn selects(selector: &Value, labels: &Value) -> bool {
    let equal = entries(selector, "matchLabels").all(|(key, value)| labels.get(key) == Some(value));
    equal
        && items(selector, "matchExpressions")
            .iter()
            .all(|one| holds(one, labels))
}

fn holds(requirement: &Value, labels: &Value) -> bool {
    let found = labels.get(text(requirement, "key"));
    let is_listed = found.is_some_and(|found| items(requirement, "values").contains(found));
    match text(requirement, "operator") {
        "In" => is_listed,
        "NotIn" => !is_listed,
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        _ => false,
    }
}

/// The containers of a pod with the names of their lists: the ordinary ones last, as a server goes through them.
pub fn containers(spec: &Value) -> impl Iterator<Item = (&'static str, usize, &Value)> {
    let of = |list: &'static str| iter::repeat(list).zip(items(spec, list).iter().enumerate());
    let all = of("initContainers")
        .chain(of("containers"))
        .chain(of("ephemeralContainers"));
    all.map(|(list, (index, container))| (list, index, container))
}

/// Whether there is a value at a key, be it an empty one.
pub fn some(value: &Value, key: &str) -> bool {
    value.get(key).is_some_and(|value| !value.is_null())
}
