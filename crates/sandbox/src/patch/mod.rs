//! Patch: the changes of an object that need no owner: RFC 6902, RFC 7386 and the strategic merge.

mod strategic;

use json_patch::{AddOperation, PatchOperation, ReplaceOperation};
use serde_json::Value;

use crate::api::Patch;
use crate::schema::Node;
use crate::status::Status;

/// Changes an object by a patch that is no apply.
///
/// # Errors
/// 400 if the patch cannot be read, 422 if it does not fit the object.
pub(crate) fn patch(object: &Value, patch: Patch, node: Option<Node<'_>>) -> Result<Value, Status> {
    match patch {
        Patch::Json(patch) => json(object, patch),
        Patch::Merge(patch) => {
            let mut changed = object.clone();
            json_patch::merge(&mut changed, &patch);
            Ok(changed)
        }
        Patch::Strategic(patch) => match node {
            Some(node) => strategic::merge(node, object, &patch),
            None => Err(unsupported()),
        },
        Patch::Apply { .. } => Err(unsupported()),
    }
}

fn json(object: &Value, patch: Value) -> Result<Value, Status> {
    let operations = serde_json::from_value::<json_patch::Patch>(patch)
        .map_err(|error| Status::bad_request(error.to_string()))?;
    let mut changed = object.clone();
    for operation in operations.0 {
        let operation = as_the_servers_library_reads_it(&changed, operation);
        // A real server keeps to itself which operation failed.
        json_patch::patch(&mut changed, &[operation]).map_err(|_| {
            let message = "the server rejected our request due to an error in our request";
            let mut status = Status::new(422, "Invalid", message);
            status.details = Some(Box::new(serde_json::json!({})));
            status
        })?;
    }
    Ok(changed)
}

/// The library of a real server, unlike RFC 6902, lets a member be replaced that is not there.
fn as_the_servers_library_reads_it(object: &Value, operation: PatchOperation) -> PatchOperation {
    match operation {
        PatchOperation::Replace(ReplaceOperation { path, value }) if path.resolve(object).is_err() => {
            PatchOperation::Add(AddOperation { path, value })
        }
        other => other,
    }
}

/// 415: nothing is known of this kind of body.
pub(crate) fn unknown_media() -> Status {
    let mut status = Status::new(415, "UnsupportedMediaType", "415: Unsupported Media Type");
    status.details = Some(Box::new(serde_json::json!({})));
    status
}

/// 415: this resource does not know this kind of patch.
pub(crate) fn unsupported() -> Status {
    let message = "the body of the request was in an unknown format - accepted media types include: \
                   application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
    Status::new(415, "UnsupportedMediaType", message)
}

/// A value as Go prints a map of it.
pub(crate) fn go_text(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<(&String, &Value)> = map.iter().collect();
            pairs.sort_by_key(|(key, _)| key.as_str());
            let pairs: Vec<String> = pairs
                .into_iter()
                .map(|(key, value)| format!("{key}:{}", go_text(value)))
                .collect();
            format!("map[{}]", pairs.join(" "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(go_text).collect::<Vec<_>>().join(" ")),
        Value::String(text) => text.clone(),
        Value::Null => "<nil>".to_owned(),
        other => other.to_string(),
    }
}
