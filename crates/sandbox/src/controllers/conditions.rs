//! Conditions: the entries of `status.conditions`, with the times of their changes.

use serde_json::{Value, json};

use crate::clock::stamp;
use crate::kinds::fields::{items, text};
use jiff::Timestamp;

/// A condition as a controller finds it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition<'a> {
    /// The type.
    pub kind: &'a str,
    /// `True`, `False` or `Unknown`.
    pub status: &'a str,
    /// The machine's word.
    pub reason: &'a str,
    /// The sentence.
    pub message: &'a str,
}

/// The condition of a type.
pub fn find<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    items(status, "conditions")
        .iter()
        .find(|one| text(one, "type") == kind)
}

/// Whether the condition of a type has a status.
pub fn is(status: &Value, kind: &str, wanted: &str) -> bool {
    find(status, kind).is_some_and(|one| text(one, "status") == wanted)
}

/// Sets a condition, whose transition time changes with its status alone.
pub fn set(status: &mut Value, condition: Condition<'_>, now: Timestamp) {
    let since = match find(status, condition.kind) {
        Some(old) if text(old, "status") == condition.status => old["lastTransitionTime"].clone(),
        _ => stamp(now).into(),
    };
    let new = json!({
        "type": condition.kind,
        "status": condition.status,
        "lastTransitionTime": since,
        "reason": condition.reason,
        "message": condition.message,
    });
    put(status, condition.kind, new);
}

/// Puts a condition in, at the end unless there was one of its type.
pub fn put(status: &mut Value, kind: &str, condition: Value) {
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    let Some(list) = status["conditions"].as_array_mut() else {
        return;
    };
    match list.iter_mut().find(|one| text(one, "type") == kind) {
        Some(old) => *old = condition,
        None => list.push(condition),
    }
}

/// Takes a condition out.
pub fn remove(status: &mut Value, kind: &str) {
    if let Some(list) = status["conditions"].as_array_mut() {
        list.retain(|one| text(one, "type") != kind);
    }
}
