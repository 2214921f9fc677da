//! Revisions: the numbers of a Deployment's ReplicaSets, and the annotations in which they are kept.

use serde_json::Value;

use super::rolling::Limits;
use crate::kinds::fields::{entries, map_mut, text};

/// The number of a revision.
pub const REVISION: &str = "deployment.kubernetes.io/revision";
/// The numbers that a ReplicaSet had before, when it is taken up again.
pub const HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// How many pods the Deployment wanted when the ReplicaSet was last scaled.
pub const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
/// How many pods the Deployment allowed at most when the ReplicaSet was last scaled.
pub const MAXIMUM: &str = "deployment.kubernetes.io/max-replicas";

/// Annotations of a Deployment that its ReplicaSets do not get.
const OWN: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAXIMUM,
    "deprecated.deployment.rollback.to",
];

/// The number in an annotation.
pub fn number_of(object: &Value, annotation: &str) -> Option<i64> {
    object["metadata"]["annotations"][annotation]
        .as_str()?
        .parse()
        .ok()
}

/// Writes an annotation.
pub fn annotate(object: &mut Value, annotation: &str, value: String) {
    if let Some(annotations) = map_mut(&mut object["metadata"], "annotations") {
        annotations.insert(annotation.to_owned(), value.into());
    }
}

/// The number of the revision that comes after these ReplicaSets.
pub fn next<'a>(old: impl Iterator<Item = &'a &'a Value>) -> i64 {
    old.filter_map(|set| number_of(set, REVISION))
        .max()
        .unwrap_or_default()
        + 1
}

/// Brings the annotations of the ReplicaSet of the present template up to date.
pub fn mark(set: &mut Value, deployment: &Value, revision: i64, is_new: bool) {
    for (key, value) in entries(&deployment["metadata"], "annotations") {
        if !OWN.contains(&key.as_str()) {
            annotate(set, key, value.as_str().unwrap_or_default().to_owned());
        }
    }
    let former = number_of(set, REVISION);
    if former.unwrap_or_default() < revision {
        annotate(set, REVISION, revision.to_string());
        if let Some(former) = former {
            let history = text(&set["metadata"]["annotations"], HISTORY);
            let comma = if history.is_empty() { "" } else { "," };
            let history = format!("{history}{comma}{former}");
            annotate(set, HISTORY, history);
        }
    }
    if is_new {
        mark_size(set, &Limits::of(deployment));
    }
}

/// Notes what the Deployment wants at the moment of a scaling.
pub fn mark_size(set: &mut Value, limits: &Limits) {
    annotate(set, DESIRED, limits.replicas.to_string());
    annotate(set, MAXIMUM, limits.most().to_string());
}
