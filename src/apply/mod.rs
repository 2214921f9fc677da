//! Apply plan: what to do to a cluster, and in which order.
//!
//! The order follows Flux's: what others need to exist comes first (CRDs, namespaces, cluster roles, classes),
//! webhooks come last because they could refuse everything before them. Within a wave the order does not matter
//! and objects are applied side by side.

pub mod prune;
pub mod references;
pub mod wave;

use std::collections::BTreeSet;

use manifest::ObjectId;

use crate::diff::{Change, Diff};

/// Objects that may be applied side by side: indices into the diff's objects.
pub type Wave = Vec<usize>;

/// The waves in which the changed objects of `diff` are applied. Unchanged and pruned objects are in none, and those
/// that are `left` alone neither.
#[must_use]
pub fn waves(diff: &Diff, left: &BTreeSet<ObjectId>) -> Vec<Wave> {
    let changed = |change: &Change| matches!(change, Change::Create(_) | Change::Update { .. });
    let mut ranked: Vec<(u8, usize)> = diff
        .objects
        .iter()
        .enumerate()
        .filter(|(_, object)| changed(&object.change) && !left.contains(&object.id))
        .map(|(index, object)| (rank(&object.id), index))
        .collect();
    ranked.sort_unstable();
    let mut waves: Vec<Wave> = Vec::new();
    let mut last = None;
    for (rank, index) in ranked {
        if last != Some(rank) {
            waves.push(Wave::new());
            last = Some(rank);
        }
        if let Some(wave) = waves.last_mut() {
            wave.push(index);
        }
    }
    waves
}

/// When an object's turn comes: lower ranks first.
#[must_use]
pub fn rank(id: &ObjectId) -> u8 {
    match (id.group.as_str(), id.kind.as_str()) {
        ("apiextensions.k8s.io", "CustomResourceDefinition") | ("", "Namespace") => 0,
        (
            _,
            "ClusterRole" | "StorageClass" | "PriorityClass" | "IngressClass" | "RuntimeClass"
            | "GatewayClass",
        ) => 1,
        ("", "ServiceAccount" | "ResourceQuota" | "LimitRange") => 2,
        (_, "Role" | "ClusterRoleBinding" | "RoleBinding") => 3,
        ("", "ConfigMap" | "Secret" | "PersistentVolume" | "PersistentVolumeClaim") => 4,
        ("", "Service") | ("networking.k8s.io", "NetworkPolicy") => 5,
        ("admissionregistration.k8s.io" | "apiregistration.k8s.io", _) => 9,
        _ => 6,
    }
}

#[cfg(test)]
mod tests {
    use manifest::Gvk;
    use serde_json::json;

    use super::*;
    use crate::diff::ObjectDiff;

    fn mk(group: &str, kind: &str, change: Change) -> ObjectDiff {
        let id = ObjectId {
            group: group.into(),
            kind: kind.into(),
            namespace: String::new(),
            name: "x".into(),
        };
        ObjectDiff {
            id,
            gvk: Gvk {
                group: group.into(),
                version: "v1".into(),
                kind: kind.into(),
            },
            origin: None,
            change,
        }
    }

    #[test]
    fn what_others_need_comes_first_and_webhooks_last() {
        let create = || Change::Create(json!({}));
        let diff = Diff {
            objects: vec![
                mk(
                    "admissionregistration.k8s.io",
                    "ValidatingWebhookConfiguration",
                    create(),
                ),
                mk("apps", "Deployment", create()),
                mk("example.com", "Widget", create()),
                mk("", "ConfigMap", Change::Same),
                mk("", "Namespace", create()),
                mk("", "Secret", Change::Prune(json!({}))),
            ],
        };
        assert_eq!(waves(&diff, &BTreeSet::new()), [vec![4], vec![1, 2], vec![0]]);
        let left = BTreeSet::from([diff.objects[1].id.clone()]);
        assert_eq!(waves(&diff, &left), [vec![4], vec![2], vec![0]]);
    }
}
