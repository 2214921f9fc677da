//! Fields: which fields of an object differ, and who wrote the live value.
//!
//! A path is written as `kubectl explain` and JSONPath users expect: `.spec.template.spec.containers[name="web"].image`.
//! An element of a list of named things is addressed by its key, so that a path stays true when the order changes.

use serde_json::Value;

use super::align::align;

/// One field that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// The path, for people.
    pub path: String,
    /// The value before; `None` when the field is new.
    pub before: Option<Value>,
    /// The value after; `None` when the field goes away.
    pub after: Option<Value>,
    segments: Vec<Segment>,
}

/// Who wrote a live field, as the API server recorded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// The field manager, for example `kubectl-edit`.
    pub manager: String,
    /// When it wrote last (RFC 3339), if recorded.
    pub time: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum Segment {
    Field(String),
    Keyed(Vec<(&'static str, Value)>),
    Index(usize),
}

/// The keys by which elements of Kubernetes lists are known, in the order of trial.
const LIST_KEYS: [&[&str]; 8] = [
    &["containerPort", "protocol"],
    &["port", "protocol"],
    &["name"],
    &["mountPath"],
    &["devicePath"],
    &["topologyKey", "whenUnsatisfiable"],
    &["type"],
    &["ip"],
];

/// The fields that differ between two objects, in document order.
#[must_use]
pub fn changed(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut out = Vec::new();
    walk(Some(before), Some(after), &mut Vec::new(), &mut out);
    out
}

/// The managers other than `own` that wrote `field` of the live object, latest first.
#[must_use]
pub fn writers(live: &Value, field: &FieldChange, own: &str) -> Vec<Writer> {
    let entries = live.pointer("/metadata/managedFields").and_then(Value::as_array);
    let mut found: Vec<Writer> = entries
        .into_iter()
        .flatten()
        .filter(|entry| entry["manager"] != own && owns(&entry["fieldsV1"], &field.segments))
        .map(|entry| Writer {
            manager: entry["manager"].as_str().unwrap_or("unknown").to_owned(),
            time: entry["time"].as_str().map(str::to_owned),
        })
        .collect();
    found.sort_by(|a, b| b.time.cmp(&a.time));
    found
}

fn walk(before: Option<&Value>, after: Option<&Value>, at: &mut Vec<Segment>, out: &mut Vec<FieldChange>) {
    match (before, after) {
        (Some(a), Some(b)) if a == b => {}
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            for key in keys {
                at.push(Segment::Field(key.clone()));
                walk(a.get(key), b.get(key), at, out);
                at.pop();
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => walk_list(a, b, at, out),
        (before, after) => out.push(FieldChange {
            path: at.iter().map(Segment::to_string).collect(),
            before: before.cloned(),
            after: after.cloned(),
            segments: at.clone(),
        }),
    }
}

fn walk_list(before: &[Value], after: &[Value], at: &mut Vec<Segment>, out: &mut Vec<FieldChange>) {
    let keys = LIST_KEYS
        .iter()
        .find(|keys| is_keyed_by(before, keys) && is_keyed_by(after, keys));
    let Some(keys) = keys else {
        for index in 0..before.len().max(after.len()) {
            at.push(Segment::Index(index));
            walk(before.get(index), after.get(index), at, out);
            at.pop();
        }
        return;
    };
    let added = after.iter().filter(|item| find(before, item, keys).is_none());
    for item in before.iter().chain(added) {
        at.push(Segment::Keyed(key_of(item, keys)));
        walk(find(before, item, keys), find(after, item, keys), at, out);
        at.pop();
    }
}

/// The elements of `after` in the order of `before` where both are lists of keyed things; new ones come last. Any other
/// list is compared by position.
pub(super) fn pair_up(before: &[Value], after: &[Value]) -> Vec<Value> {
    let keys = LIST_KEYS
        .iter()
        .find(|keys| is_keyed_by(before, keys) && is_keyed_by(after, keys));
    let Some(keys) = keys else {
        let aligned = |(index, item): (usize, &Value)| align(before.get(index).unwrap_or(&Value::Null), item);
        return after.iter().enumerate().map(aligned).collect();
    };
    let known = before
        .iter()
        .filter_map(|old| Some(align(old, find(after, old, keys)?)));
    let added = after
        .iter()
        .filter(|new| find(before, new, keys).is_none())
        .cloned();
    known.chain(added).collect()
}

fn is_keyed_by(list: &[Value], keys: &[&'static str]) -> bool {
    let first = keys[0];
    let distinct = |index: usize, item: &Value| {
        !list[..index]
            .iter()
            .any(|other| key_of(other, keys) == key_of(item, keys))
    };
    list.iter()
        .enumerate()
        .all(|(index, item)| item.get(first).is_some() && distinct(index, item))
}

fn key_of(item: &Value, keys: &[&'static str]) -> Vec<(&'static str, Value)> {
    keys.iter()
        .filter_map(|key| Some((*key, item.get(*key)?.clone())))
        .collect()
}

fn find<'a>(list: &'a [Value], item: &Value, keys: &[&'static str]) -> Option<&'a Value> {
    list.iter()
        .find(|other| key_of(other, keys) == key_of(item, keys))
}

/// Whether a `fieldsV1` set holds the field, or a part of it.
fn owns(set: &Value, path: &[Segment]) -> bool {
    let Some((segment, rest)) = path.split_first() else {
        return !set.is_null();
    };
    let Some(map) = set.as_object() else { return false };
    match segment {
        Segment::Field(name) => map
            .get(&format!("f:{name}"))
            .is_some_and(|inner| owns(inner, rest)),
        Segment::Index(_) => true,
        Segment::Keyed(keys) => map.iter().any(|(entry, inner)| {
            let key = entry
                .strip_prefix("k:")
                .and_then(|text| serde_json::from_str::<Value>(text).ok());
            key.is_some_and(|key| {
                keys.iter()
                    .all(|(name, value)| key.get(*name).is_none_or(|v| v == value))
            }) && owns(inner, rest)
        }),
    }
}

// === impl Segment ===

impl std::fmt::Display for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Field(name) if name.contains(['.', '/']) => write!(f, "['{name}']"),
            Self::Field(name) => write!(f, ".{name}"),
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Keyed(keys) => {
                let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                write!(f, "[{}]", keys.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_of_named_things_is_compared_by_name() {
        let before = json!({"spec": {"replicas": 3, "containers": [{"name": "web", "image": "a:1"}, {"name": "log", "image": "l"}]}});
        let after = json!({"spec": {"replicas": 3, "containers": [{"name": "log", "image": "l"}, {"name": "web", "image": "a:2"}]}});
        let found = changed(&before, &after);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, r#".spec.containers[name="web"].image"#);
        assert_eq!(
            (found[0].before.clone(), found[0].after.clone()),
            (Some(json!("a:1")), Some(json!("a:2")))
        );
    }

    #[test]
    fn new_and_removed_fields_are_told_apart() {
        let found = changed(
            &json!({"a": 1, "args": ["x"]}),
            &json!({"b": 2, "args": ["x", "y"]}),
        );
        let told: Vec<_> = found
            .iter()
            .map(|f| (f.path.as_str(), f.before.is_some(), f.after.is_some()))
            .collect();
        assert_eq!(
            told,
            [
                (".a", true, false),
                (".args[1]", false, true),
                (".b", false, true)
            ]
        );
    }

    #[test]
    fn the_writer_of_a_drifted_field_is_found() {
        let live = json!({"metadata": {"managedFields": [
            {"manager": "gitsync", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "kubectl-scale", "time": "2026-01-02T00:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "other", "fieldsV1": {"f:spec": {"f:paused": {}}}}]}, "spec": {"replicas": 5}});
        let found = changed(
            &json!({"spec": {"replicas": 5}}),
            &json!({"spec": {"replicas": 3}}),
        );
        let who = writers(&live, &found[0], "gitsync");
        assert_eq!(
            who,
            [Writer {
                manager: "kubectl-scale".into(),
                time: Some("2026-01-02T00:00:00Z".into())
            }]
        );
    }

    #[test]
    fn the_writer_of_a_container_is_found_by_its_key() {
        let live = json!({"metadata": {"managedFields": [{"manager": "kubectl-set", "fieldsV1":
            {"f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {"f:image": {}}}}}}]}});
        let before = json!({"spec": {"containers": [{"name": "web", "image": "b"}]}});
        let after = json!({"spec": {"containers": [{"name": "web", "image": "a"}]}});
        assert_eq!(writers(&live, &changed(&before, &after)[0], "gitsync").len(), 1);
    }
}
