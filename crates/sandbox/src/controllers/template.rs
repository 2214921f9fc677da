//! Template: how a pod comes from the template of its controller, and what a controller counts of its pods.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::conditions;
use super::view::{is_leaving, time};
use crate::kinds::fields::{items, text};

/// The reference by which an object owns another one and controls it.
pub fn owner_reference(owner: &Value) -> Value {
    json!({
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// A pod from a template, named by the server with the owner's name at its beginning.
pub fn pod(owner: &Value, template: &Value) -> Value {
    let metadata = &template["metadata"];
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": format!("{}-", text(&owner["metadata"], "name")),
            "namespace": owner["metadata"]["namespace"],
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": template["spec"],
    });
    for field in ["labels", "annotations", "finalizers"] {
        if !metadata[field].is_null() {
            pod["metadata"][field] = metadata[field].clone();
        }
    }
    pod
}

/// Whether a pod counts for its controller: it has not ended and nobody has deleted it.
pub fn is_active(pod: &Value) -> bool {
    !is_leaving(pod) && !is_finished(pod)
}

/// Whether all containers of a pod have ended for good.
pub fn is_finished(pod: &Value) -> bool {
    matches!(text(&pod["status"], "phase"), "Succeeded" | "Failed")
}

/// Whether a pod answers requests.
pub fn is_ready(pod: &Value) -> bool {
    conditions::is(&pod["status"], "Ready", "True")
}

/// When a pod has been ready for so many seconds; none if it is not ready.
pub fn available_at(pod: &Value, seconds: i64) -> Option<Timestamp> {
    let ready = conditions::find(&pod["status"], "Ready").filter(|one| text(one, "status") == "True")?;
    time(ready, "lastTransitionTime")?
        .checked_add(SignedDuration::from_secs(seconds))
        .ok()
}

/// Whether a pod has been ready for so many seconds.
pub fn is_available(pod: &Value, seconds: i64, now: Timestamp) -> bool {
    available_at(pod, seconds).is_some_and(|time| seconds == 0 || time <= now)
}

/// How a pod ranks for deletion: the smallest goes first. The order is that of a real cluster's ReplicaSets.
pub fn deletion_rank(pod: &Value) -> impl Ord {
    let status = &pod["status"];
    let phase = match text(status, "phase") {
        "Pending" => 0,
        "Unknown" | "" => 1,
        _ => 2,
    };
    let cost = &pod["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"];
    let cost: i64 = cost
        .as_str()
        .and_then(|cost| cost.parse().ok())
        .unwrap_or_default();
    let restarts = items(status, "containerStatuses")
        .iter()
        .map(|one| one["restartCount"].as_i64());
    let restarts = restarts.flatten().max().unwrap_or_default();
    let ready_since = available_at(pod, 0);
    // Whoever is younger goes before the older.
    let age = std::cmp::Reverse(time(&pod["metadata"], "creationTimestamp"));
    (
        !text(&pod["spec"], "nodeName").is_empty(),
        phase,
        ready_since.is_some(),
        cost,
        std::cmp::Reverse(ready_since),
        std::cmp::Reverse(restarts),
        age,
        text(&pod["metadata"], "name").to_owned(),
    )
}
