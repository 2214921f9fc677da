//! Fields: what a client sent, checked against the types, and the bookkeeping of who wrote it.

use serde_json::Value;

use super::{Target, Validation};
use crate::apply::{Managers, Scope, Set, update};
use crate::registry::{Kind, Subresource};
use crate::schema::{self, Problem};
use crate::status::{FieldError, Status};

/// How a request was sent, which decides how it is refused.
#[derive(Clone, Debug)]
pub(super) enum Sent {
    /// As a whole object.
    Object,
    /// As a patch; its text as Go prints it.
    Patch(String),
}

/// Brings an object into its stored form. Gives warnings about what was dropped.
///
/// # Errors
/// 400 if a value has a wrong type, or if the client is strict and a field is unknown; 422 if it came by a patch.
pub(super) fn check(
    kind: &Kind,
    object: &mut Value,
    validation: Validation,
    sent: &Sent,
) -> Result<Vec<String>, Status> {
    let Some(node) = kind.node() else {
        return Ok(Vec::new());
    };
    let mut problems = schema::check(node, object);
    if kind.structural.is_some() {
        // The values of a custom kind are validated by its schema, not read into types.
        problems.retain(|problem| matches!(problem, Problem::Unknown(_)));
    }
    if let Some(Problem::Type(what)) = problems
        .iter()
        .find(|problem| matches!(problem, Problem::Type(_)))
    {
        return Err(refuse(kind, sent, what));
    }
    let unknown: Vec<String> = problems
        .iter()
        .filter_map(|problem| match problem {
            Problem::Unknown(path) => Some(format!("unknown field {path:?}")),
            Problem::Type(_) => None,
        })
        .collect();
    match validation {
        Validation::Ignore => Ok(Vec::new()),
        Validation::Warn => Ok(unknown),
        Validation::Strict if unknown.is_empty() => Ok(Vec::new()),
        Validation::Strict => Err(refuse(
            kind,
            sent,
            &format!("strict decoding error: {}", unknown.join(", ")),
        )),
    }
}

fn refuse(kind: &Kind, sent: &Sent, what: &str) -> Status {
    match sent {
        Sent::Object => {
            let (name, version) = (&kind.kind, &kind.version);
            Status::bad_request(format!(
                "{name} in version {version:?} cannot be handled as a {name}: {what}"
            ))
        }
        Sent::Patch(text) => {
            let error = FieldError::invalid("patch", text.as_str(), what);
            let mut status = Status::invalid("", "", "", std::slice::from_ref(&error));
            status.message = format!(" \"\" is invalid: {error}");
            status
        }
    }
}

/// What a way of writing cannot change.
pub(super) fn reset_fields(target: &Target) -> Set {
    let has_status = target.kind.subresources.contains(&Subresource::Status);
    match target.subresource.as_str() {
        "status" => Set::of(&[
            &["spec"],
            &["metadata", "labels"],
            &["metadata", "ownerReferences"],
        ]),
        _ if has_status => Set::of(&[&["status"]]),
        _ => Set::default(),
    }
}

/// Gives what an update changed to its manager.
pub(super) fn track(target: &Target, live: Option<&Value>, new: &mut Value, manager: &str, now: &str) {
    let Some(node) = target.kind.node() else {
        return;
    };
    let (version, reset) = (target.kind.api_version(), reset_fields(target));
    let scope = Scope {
        node,
        version: &version,
        subresource: &target.subresource,
        reset: &reset,
        now,
    };
    let sent = new["metadata"]["managedFields"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let is_reset = sent.len() == 1 && sent[0].as_object().is_some_and(serde_json::Map::is_empty);
    let managers = match live {
        _ if is_reset => Managers::default(),
        Some(live) if sent.is_empty() || !target.subresource.is_empty() => Managers::of(live),
        _ => Managers::of(new),
    };
    // An object that nobody has tracked so far is left alone.
    let untracked = live.is_some() && managers == Managers::default();
    let managers = if untracked {
        managers
    } else {
        match live {
            Some(live) => update(&scope, live, new, managers, manager),
            None => {
                let mut empty = scope.empty_object();
                for field in ["apiVersion", "kind"] {
                    empty[field] = new[field].clone();
                }
                update(&scope, &empty, new, managers, manager)
            }
        }
    };
    managers.write(new);
}
