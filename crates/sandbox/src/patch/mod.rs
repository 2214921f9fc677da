//! Patch: the changes of an object that need no owner: RFC 6902, RFC 7386 and the strategic merge.

mod strategic;

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
    json_patch::patch(&mut changed, &operations).map_err(|error| {
        let message = format!("the server rejected our request due to an error in our request: {error}");
        let mut status = Status::new(422, "Invalid", message);
        status.details = Some(Box::new(serde_json::json!({})));
        status
    })?;
    Ok(changed)
}

/// 415: this resource does not know this kind of patch.
pub(crate) fn unsupported() -> Status {
    let message = "the body of the request was in an unknown format - accepted media types include: \
                   application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
    Status::new(415, "UnsupportedMediaType", message)
}
