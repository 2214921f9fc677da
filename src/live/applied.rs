//! Applied: whether a live object already is what applying the desired one would make of it, by the live object alone.
//!
//! The API server writes down which fields a manager applied (`metadata.managedFields`, in the format `FieldsV1`). When
//! these are exactly the fields of the desired object, and each holds exactly the desired value, then applying it again
//! changes nothing, and nobody has to ask for a dry-run. The answer "no" only means that it cannot be known from here: a
//! value that the server stores in another form (`0.5` as `500m`), a field of an older version of the API, a missing
//! entry. Whoever gets it asks the server.
//!
//! Source of the format: the `FieldsV1` type of Kubernetes' `meta/v1`, written by the structured-merge-diff library.

use serde_json::{Map, Value};

type Fields = Map<String, Value>;

/// Fields that say which object it is; the server owns them in no manager's name.
const IDENTITY: [&str; 2] = ["name", "namespace"];

/// Whether `manager` applied exactly the fields of `desired` to `live`, and all of them still have the desired values.
#[must_use]
pub fn is_applied(desired: &Value, live: &Value, manager: &str) -> bool {
    let (Some(fields), Some(desired), Some(live)) = (
        applied_fields(desired, live, manager),
        desired.as_object(),
        live.as_object(),
    ) else {
        return false;
    };
    let spoken_for = |key: &str| matches!(key, "apiVersion" | "kind");
    same_keys(fields, desired.keys().filter(|key| !spoken_for(key)))
        && desired
            .iter()
            .filter(|(key, _)| !spoken_for(key))
            .all(|(key, value)| {
                let owned = fields.get(&format!("f:{key}")).and_then(Value::as_object);
                match (owned, live.get(key)) {
                    (Some(owned), Some(live)) if key == "metadata" => metadata(owned, value, live),
                    (Some(owned), Some(live)) => holds(owned, value, live),
                    _ => false,
                }
            })
}

/// The fields that `manager` applied by the desired object's version of the API, if it applied the object once.
fn applied_fields<'a>(desired: &Value, live: &'a Value, manager: &str) -> Option<&'a Fields> {
    let entries = live.pointer("/metadata/managedFields")?.as_array()?;
    let mut own = entries.iter().filter(|entry| {
        entry["manager"] == manager && entry["operation"] == "Apply" && entry.get("subresource").is_none()
    });
    let entry = own
        .next()
        .filter(|entry| entry["apiVersion"] == desired["apiVersion"])?;
    // A second entry of the same manager is of another version of the API: which fields are whose is the server's to say.
    own.next()
        .is_none()
        .then(|| entry["fieldsV1"].as_object())
        .flatten()
}

fn metadata(fields: &Fields, desired: &Value, live: &Value) -> bool {
    let Some(desired) = desired.as_object() else {
        return false;
    };
    let stated = || {
        desired
            .iter()
            .filter(|(key, _)| !IDENTITY.contains(&key.as_str()))
    };
    same_keys(fields, stated().map(|(key, _)| key))
        && stated().all(|(key, value)| {
            let owned = fields.get(&format!("f:{key}")).and_then(Value::as_object);
            owned
                .zip(live.get(key))
                .is_some_and(|(owned, live)| holds(owned, value, live))
        })
}

/// Whether `live` holds `desired` in the fields of `fields`, and `fields` are all that `desired` has.
fn holds(fields: &Fields, desired: &Value, live: &Value) -> bool {
    if fields.keys().all(|key| key == ".") {
        // A leaf: a scalar, an atomic list or map, or an empty one.
        return match desired {
            Value::Object(map) if !map.is_empty() && fields.contains_key(".") => false,
            Value::Null => false,
            _ => desired == live,
        };
    }
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => {
            same_keys(fields, desired.keys())
                && desired.iter().all(|(key, value)| {
                    let owned = fields.get(&format!("f:{key}")).and_then(Value::as_object);
                    owned
                        .zip(live.get(key))
                        .is_some_and(|(owned, live)| holds(owned, value, live))
                })
        }
        (Value::Array(desired), Value::Array(live)) => list_holds(fields, desired, live),
        _ => false,
    }
}

/// Whether the `f:` entries of a map name exactly `keys`.
fn same_keys<'a>(fields: &Fields, keys: impl Iterator<Item = &'a String>) -> bool {
    let owned = fields.keys().filter(|key| *key != ".").count();
    let mut stated = 0;
    let all_owned = keys
        .inspect(|_| stated += 1)
        .all(|key| fields.contains_key(&format!("f:{key}")));
    all_owned && stated == owned
}

/// The same for a list of keyed items (`k:{…}`) or a set (`v:…`): each desired item is owned and live, in its order.
fn list_holds(fields: &Fields, desired: &[Value], live: &[Value]) -> bool {
    let owned: Vec<(&str, &Value)> = fields
        .iter()
        .filter(|(entry, _)| *entry != ".")
        .map(|(entry, inner)| (entry.as_str(), inner))
        .collect();
    if owned.len() != desired.len() {
        return false;
    }
    let mut next = 0;
    desired.iter().all(|item| {
        let mut matching = owned.iter().filter(|(entry, _)| names(entry, item));
        let (Some((entry, inner)), None) = (matching.next(), matching.next()) else {
            return false;
        };
        // The server keeps the order that was applied; an item that comes before the last one was moved.
        let Some(at) = live[next..].iter().position(|live| is_item(entry, live)) else {
            return false;
        };
        let found = &live[next + at];
        next += at + 1;
        match entry.starts_with("v:") {
            true => item == found,
            false => inner.as_object().is_some_and(|inner| holds(inner, item, found)),
        }
    })
}

/// Whether a list entry of `FieldsV1` may be the desired `item`; key fields that the item leaves to the server match.
fn names(entry: &str, item: &Value) -> bool {
    match key_of(entry) {
        Some(Key::Fields(key)) => key
            .iter()
            .all(|(name, value)| item.get(name).is_none_or(|stated| stated == value)),
        Some(Key::Value(value)) => value == *item,
        None => false,
    }
}

/// Whether a list entry of `FieldsV1` is the live `item`.
pub(super) fn is_item(entry: &str, item: &Value) -> bool {
    match key_of(entry) {
        Some(Key::Fields(key)) => key.iter().all(|(name, value)| item.get(name) == Some(value)),
        Some(Key::Value(value)) => value == *item,
        None => false,
    }
}

/// What an entry of a list says of its item.
enum Key {
    Fields(Fields),
    Value(Value),
}

fn key_of(entry: &str) -> Option<Key> {
    let (form, text) = entry.split_once(':')?;
    let value = serde_json::from_str(text).ok()?;
    match (form, value) {
        ("k", Value::Object(fields)) => Some(Key::Fields(fields)),
        ("v", value) => Some(Key::Value(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A desired Deployment, and the same as a server stores it after it was applied.
    fn mk_pair() -> (Value, Value) {
        let desired = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}, "finalizers": ["a.example/x", "b.example/y"]},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": {"spec": {
                "nodeSelector": {}, "containers": [
                    {"name": "web", "image": "web:1", "args": ["-v"], "ports": [{"containerPort": 80}]},
                    {"name": "log", "image": "log:1"}]}}},
        });
        let mut live = desired.clone();
        live["metadata"]["uid"] = json!("1");
        live["metadata"]["labels"]["other"] = json!("theirs");
        live["spec"]["paused"] = json!(false);
        live["spec"]["template"]["spec"]["containers"][0]["ports"][0]["protocol"] = json!("TCP");
        live["spec"]["template"]["spec"]["containers"]
            .as_array_mut()
            .unwrap()
            .insert(1, json!({"name": "injected"}));
        live["metadata"]["managedFields"] = json!([
            {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}},
            {"manager": "gitsync", "operation": "Apply", "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": {
                "f:metadata": {"f:labels": {"f:app": {}}, "f:finalizers": {"v:\"a.example/x\"": {}, "v:\"b.example/y\"": {}}},
                "f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": {"f:spec": {"f:nodeSelector": {}, "f:containers": {
                    "k:{\"name\":\"web\"}": {".": {}, "f:name": {}, "f:image": {}, "f:args": {}, "f:ports": {
                        "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}},
                    "k:{\"name\":\"log\"}": {".": {}, "f:name": {}, "f:image": {}}}}}}}},
        ]);
        (desired, live)
    }

    #[test]
    fn what_was_applied_and_left_alone_is_applied() {
        let (desired, live) = mk_pair();
        assert!(is_applied(&desired, &live, "gitsync"));
        assert!(!is_applied(&desired, &live, "somebody"));
    }

    #[test]
    fn every_difference_in_git_or_in_the_cluster_is_a_no() {
        type Edit = fn(&mut Value, &mut Value);
        let edits: [(&str, Edit); 16] = [
            ("a value in git", |d, _| d["spec"]["replicas"] = json!(4)),
            ("a live value", |_, l| l["spec"]["replicas"] = json!(4)),
            ("a live value that is gone", |_, l| {
                drop(l["spec"].as_object_mut().unwrap().remove("replicas"))
            }),
            ("a field added in git", |d, _| {
                d["spec"]["minReadySeconds"] = json!(1)
            }),
            ("a field added in git that the live object has", |d, _| {
                d["spec"]["paused"] = json!(false)
            }),
            ("a field removed in git", |d, _| {
                drop(d["spec"].as_object_mut().unwrap().remove("replicas"))
            }),
            ("a label in git", |d, _| {
                d["metadata"]["labels"]["app"] = json!("x")
            }),
            ("a label added in git", |d, _| {
                d["metadata"]["labels"]["b"] = json!("x")
            }),
            ("an annotation added in git", |d, _| {
                d["metadata"]["annotations"] = json!({"a": "b"})
            }),
            ("an image", |d, _| {
                d["spec"]["template"]["spec"]["containers"][1]["image"] = json!("log:2")
            }),
            ("an atomic list", |_, l| {
                l["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["-q"])
            }),
            ("a container added in git", |d, _| {
                d["spec"]["template"]["spec"]["containers"]
                    .as_array_mut()
                    .unwrap()
                    .push(json!({"name": "new"}));
            }),
            ("a container that is gone", |_, l| {
                drop(
                    l["spec"]["template"]["spec"]["containers"]
                        .as_array_mut()
                        .unwrap()
                        .remove(2),
                );
            }),
            ("the order in git", |d, _| {
                d["spec"]["template"]["spec"]["containers"]
                    .as_array_mut()
                    .unwrap()
                    .reverse()
            }),
            ("a finalizer that is gone", |_, l| {
                drop(l["metadata"]["finalizers"].as_array_mut().unwrap().remove(0))
            }),
            ("the version of the API", |d, _| {
                d["apiVersion"] = json!("apps/v1beta2")
            }),
        ];
        for (name, edit) in edits {
            let (mut desired, mut live) = mk_pair();
            edit(&mut desired, &mut live);
            assert!(!is_applied(&desired, &live, "gitsync"), "{name}");
        }
    }

    #[test]
    fn what_others_write_does_not_matter() {
        let (desired, mut live) = mk_pair();
        live["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": "3"});
        live["status"] = json!({"replicas": 3});
        live["spec"]["template"]["spec"]["containers"][0]["terminationMessagePath"] =
            json!("/dev/termination-log");
        assert!(is_applied(&desired, &live, "gitsync"));
    }

    #[test]
    fn an_object_that_somebody_else_made_is_not_applied() {
        let (desired, mut live) = mk_pair();
        live["metadata"].as_object_mut().unwrap().remove("managedFields");
        assert!(!is_applied(&desired, &live, "gitsync"));
    }
}
