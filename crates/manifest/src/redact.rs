//! Redacted: an object in the only form that may be printed, without the values of Secrets.

use std::fmt;

use serde_json::{Map, Value};

use crate::yaml;

const HIDDEN: &str = "***";
const BEFORE: &str = "*** (before)";
const AFTER: &str = "*** (after)";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An object whose secret values are replaced. `Display` prints it as YAML.
#[derive(Clone, Debug, PartialEq)]
pub struct Redacted(Value);

impl Redacted {
    /// The object as JSON.
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// The object as JSON, owned.
    pub fn into_value(self) -> Value {
        self.0
    }
}

impl fmt::Display for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&yaml::emit(&self.0))
    }
}

/// Hides what an object keeps secret: the values of `data` and `stringData` of a Secret, and the copy of
/// them in its last-applied annotation. Objects inside a `List` are treated alike.
pub fn redact(object: &Value) -> Redacted {
    let mut copy = object.clone();
    hide(&mut copy);
    Redacted(copy)
}

/// Hides the secrets of both sides of a diff, but lets it show which values differ:
/// `*** (before)` against `*** (after)`.
pub fn redact_pair(before: &Value, after: &Value) -> (Redacted, Redacted) {
    let (mut left, mut right) = (before.clone(), after.clone());
    hide(&mut left);
    hide(&mut right);
    if is_secret(before) && is_secret(after) {
        for field in ["data", "stringData"] {
            mark(
                before.get(field),
                after.get(field),
                left.get_mut(field),
                right.get_mut(field),
            );
        }
        let path = "/metadata/annotations";
        mark_key(
            LAST_APPLIED,
            (before.pointer(path), after.pointer(path)),
            (left.pointer_mut(path), right.pointer_mut(path)),
        );
    }
    (Redacted(left), Redacted(right))
}

fn is_secret(object: &Value) -> bool {
    object.get("kind").and_then(Value::as_str) == Some("Secret")
}

fn hide(object: &mut Value) {
    if is_secret(object) {
        for field in ["data", "stringData"] {
            match object.get_mut(field) {
                Some(Value::Object(values)) => values.values_mut().for_each(|v| *v = HIDDEN.into()),
                Some(Value::Null) | None => {}
                Some(other) => *other = HIDDEN.into(),
            }
        }
        if let Some(copy) = object
            .pointer_mut("/metadata/annotations")
            .and_then(|a| a.get_mut(LAST_APPLIED))
        {
            *copy = HIDDEN.into();
        }
    } else if let Some(Value::Array(items)) = object.get_mut("items") {
        items.iter_mut().for_each(hide);
    }
}

/// Marks the values under keys that both sides have and that differ.
fn mark(before: Option<&Value>, after: Option<&Value>, left: Option<&mut Value>, right: Option<&mut Value>) {
    let (Some(before), Some(after), Some(left), Some(right)) = (before, after, left, right) else {
        return;
    };
    match (before, after) {
        (Value::Object(before_map), Value::Object(_)) => {
            for key in before_map.keys() {
                mark_key(
                    key,
                    (Some(before), Some(after)),
                    (Some(&mut *left), Some(&mut *right)),
                );
            }
        }
        _ if before != after => {
            *left = BEFORE.into();
            *right = AFTER.into();
        }
        _ => {}
    }
}

fn mark_key(
    key: &str,
    (before, after): (Option<&Value>, Option<&Value>),
    (left, right): (Option<&mut Value>, Option<&mut Value>),
) {
    let value = |side: Option<&Value>| side.and_then(|v| v.get(key).cloned());
    let (Some(old), Some(new)) = (value(before), value(after)) else {
        return;
    };
    if old == new {
        return;
    }
    for (side, text) in [(left, BEFORE), (right, AFTER)] {
        if let Some(slot) = side
            .and_then(Value::as_object_mut)
            .and_then(|map: &mut Map<_, _>| map.get_mut(key))
        {
            *slot = text.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_hidden_and_others_are_not() {
        let secret = json!({"kind": "Secret", "metadata": {"name": "s", "annotations": {LAST_APPLIED: "{k: hush}", "a": "b"}},
            "data": {"k": "aHVzaA=="}, "stringData": {"j": "hush"}, "type": "Opaque"});
        let text = redact(&secret).to_string();
        assert!(!text.contains("hush") && !text.contains("aHVzaA"), "{text}");
        assert!(
            text.contains("k: '***'") && text.contains("type: Opaque") && text.contains("a: b"),
            "{text}"
        );
        let list = json!({"kind": "List", "items": [secret, {"kind": "ConfigMap", "data": {"a": "seen"}}]});
        let text = redact(&list).to_string();
        assert!(!text.contains("hush") && text.contains("seen"), "{text}");
        let broken = json!({"kind": "Secret", "data": "hush", "stringData": ["hush"]});
        assert!(!redact(&broken).to_string().contains("hush"));
    }

    #[test]
    fn a_diff_shows_which_values_differ() {
        let before = json!({"kind": "Secret", "data": {"same": "x", "changed": "x", "gone": "x"}});
        let after = json!({"kind": "Secret", "data": {"same": "x", "changed": "y", "new": "y"}});
        let (left, right) = redact_pair(&before, &after);
        assert_eq!(
            left.value()["data"],
            json!({"same": HIDDEN, "changed": BEFORE, "gone": HIDDEN})
        );
        assert_eq!(
            right.value()["data"],
            json!({"same": HIDDEN, "changed": AFTER, "new": HIDDEN})
        );
    }

    #[test]
    fn a_secret_against_another_kind_stays_hidden() {
        let before = json!({"kind": "Secret", "data": {"k": "hush"}});
        let after = json!({"kind": "ConfigMap", "data": {"k": "open"}});
        let (left, right) = redact_pair(&before, &after);
        assert_eq!(
            (
                left.value()["data"]["k"].as_str(),
                right.value()["data"]["k"].as_str()
            ),
            (Some(HIDDEN), Some("open"))
        );
    }
}
