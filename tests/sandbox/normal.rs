//! Normal: answers without what differs between any two servers, and without the accepted differences.

use serde_json::Value;

use crate::sandbox::differential::Answer;

/// An answer as it is compared.
pub fn normal(answer: &Answer) -> Value {
    let mut body = answer.body.clone();
    clean(&mut body);
    if let Some(status) = body
        .as_object_mut()
        .filter(|body| body.get("kind") == Some(&"Status".into()))
    {
        clean_status(status);
    }
    let mut warnings = answer.warnings.clone();
    // A real server also warns of what is unwise.
    warnings.retain(|warning| warning.contains("unknown field"));
    warnings.sort();
    serde_json::json!({ "code": answer.code, "warnings": warnings, "body": body })
}

fn clean(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                match (key.as_str(), &*value) {
                    ("resourceVersion" | "uid" | "continue", Value::String(text)) if !text.is_empty() => {
                        *value = "…".into();
                    }
                    ("time" | "creationTimestamp" | "deletionTimestamp", Value::String(_)) => {
                        *value = "…".into()
                    }
                    _ => clean(value),
                }
            }
            if let Some(Value::Array(items)) = map.get_mut("items") {
                items.retain(|item| !is_controllers(item));
            }
            if let Some(Value::Array(entries)) = map.get_mut("managedFields") {
                // Entries of the same second come in the order of their names, and the seconds differ.
                entries.sort_by_key(|entry| entry["manager"].to_string() + &entry["operation"].to_string());
            }
            map.sort_keys();
        }
        Value::Array(items) => items.iter_mut().for_each(clean),
        _ => {}
    }
}

/// Whether a controller, which runs beside the control plane alone, has made an object.
fn is_controllers(object: &Value) -> bool {
    object["metadata"]["name"] == "kube-root-ca.crt"
}

/// The sentences that quote a whole object, or that come in any order, are left out.
fn clean_status(status: &mut serde_json::Map<String, Value>) {
    let message = status
        .get("message")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let quotes_object = message.contains("patch: Invalid value");
    let has_uid = message.contains("in the precondition");
    let is_read_error = message.contains("json: cannot unmarshal");
    if quotes_object || has_uid || is_read_error {
        status.insert("message".to_owned(), "…".into());
        status.shift_remove("details");
    }
    // The message says no more than its causes, whose order differs; of a custom kind, some are told several times.
    let causes = status
        .get_mut("details")
        .and_then(|details| details.get_mut("causes"));
    if let Some(Value::Array(causes)) = causes {
        causes.sort_by_key(ToString::to_string);
        causes.dedup();
        status.insert("message".to_owned(), "…".into());
    }
}

/// The lines of a watch, each as it is compared.
pub fn events(text: &str) -> Vec<Value> {
    let mut events = Vec::new();
    for line in text.lines() {
        let mut event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        clean(&mut event);
        if event["type"] != "BOOKMARK" && !is_controllers(&event["object"]) {
            events.push(event);
        }
    }
    events
}
