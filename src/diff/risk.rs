//! Risk: in which order a reviewer should look at changes.

use super::{Change, ObjectDiff};

/// How much can go wrong with a change; the highest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// Something new that stands beside what runs.
    Low,
    /// Something that runs changes.
    Medium,
    /// Access, secrets or the network change, or something goes.
    High,
    /// Data or everything of a kind goes.
    Critical,
}

/// Kinds whose deletion takes other objects or data along.
const HOLDERS: [&str; 4] = [
    "Namespace",
    "CustomResourceDefinition",
    "PersistentVolumeClaim",
    "PersistentVolume",
];

/// Kinds that say who may do what, and what reaches what.
const GUARDS: [&str; 12] = [
    "ClusterRole",
    "ClusterRoleBinding",
    "Ingress",
    "MutatingWebhookConfiguration",
    "NetworkPolicy",
    "Role",
    "RoleBinding",
    "Secret",
    "Service",
    "ServiceAccount",
    "ValidatingAdmissionPolicy",
    "ValidatingWebhookConfiguration",
];

/// The risk of one object's change.
#[must_use]
pub fn of(object: &ObjectDiff) -> Risk {
    let kind = object.id.kind.as_str();
    match &object.change {
        Change::Prune(_) if HOLDERS.contains(&kind) => Risk::Critical,
        Change::Prune(_) => Risk::High,
        Change::Update { .. } if HOLDERS.contains(&kind) || GUARDS.contains(&kind) => Risk::High,
        Change::Create(_) if GUARDS.contains(&kind) && kind != "Service" => Risk::Medium,
        Change::Update { .. } => Risk::Medium,
        Change::Create(_) | Change::Same => Risk::Low,
    }
}

// === impl Risk ===

impl Risk {
    /// The word for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}
