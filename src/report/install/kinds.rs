//! Kinds: what the API calls the resource of a kind, and whether its objects are in namespaces, without asking a cluster.

use std::collections::BTreeMap;

use manifest::{Gvk, Manifest};

/// The cluster-scoped kinds of Kubernetes itself.
const CLUSTER_SCOPED: [&str; 25] = [
    "APIService",
    "CSIDriver",
    "CSINode",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterTrustBundle",
    "CustomResourceDefinition",
    "DeviceClass",
    "FlowSchema",
    "IngressClass",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "RuntimeClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
];

/// The resource of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its name in URLs and rules.
    pub plural: String,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
    /// Whether that is known, and not guessed from the kind's name.
    pub known: bool,
}

/// The kinds that CRDs of the repository define.
#[derive(Debug, Default)]
pub struct Kinds(BTreeMap<(String, String), Resource>);

// === impl Kinds ===

impl Kinds {
    /// The kinds that `objects` define.
    pub fn of<'a>(objects: impl IntoIterator<Item = &'a Manifest>) -> Self {
        Self(objects.into_iter().filter_map(defined).collect())
    }

    /// The resource of a kind.
    pub fn resource(&self, gvk: &Gvk) -> Resource {
        let defined = self.0.get(&(gvk.group.clone(), gvk.kind.clone()));
        defined.cloned().unwrap_or_else(|| Resource {
            plural: plural(&gvk.kind),
            namespaced: !(is_builtin(&gvk.group) && CLUSTER_SCOPED.contains(&gvk.kind.as_str())),
            known: is_builtin(&gvk.group),
        })
    }
}

fn defined(object: &Manifest) -> Option<((String, String), Resource)> {
    if object.gvk().kind != "CustomResourceDefinition" {
        return None;
    }
    let spec = &object.value()["spec"];
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let resource = Resource {
        plural: text(&spec["names"]["plural"])?,
        namespaced: spec["scope"] != "Cluster",
        known: true,
    };
    Some(((text(&spec["group"])?, text(&spec["names"]["kind"])?), resource))
}

/// Kubernetes' own groups have no dot, or end like this; both are closed to others.
fn is_builtin(group: &str) -> bool {
    !group.contains('.') || group.ends_with(".k8s.io")
}

/// The plural that kubectl guesses for a kind.
fn plural(kind: &str) -> String {
    let lower = kind.to_lowercase();
    if lower == "endpoints" {
        return lower;
    }
    match lower.as_bytes().last() {
        Some(b's' | b'x') => format!("{lower}es"),
        Some(b'h') if lower.ends_with("ch") || lower.ends_with("sh") => format!("{lower}es"),
        Some(b'y') => format!("{}ies", &lower[..lower.len() - 1]),
        _ => format!("{lower}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_the_resources_that_the_api_serves() {
        let crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: x}\n\
                   spec: {group: example.com, scope: Cluster, names: {kind: Fish, plural: fish}}\n";
        let kinds = Kinds::of(&Manifest::parse(crd, "crd.yaml").unwrap());
        for (group, kind, plural, namespaced) in [
            ("apps", "Deployment", "deployments", true),
            ("networking.k8s.io", "Ingress", "ingresses", true),
            ("networking.k8s.io", "NetworkPolicy", "networkpolicies", true),
            ("networking.k8s.io", "IngressClass", "ingressclasses", false),
            ("", "Endpoints", "endpoints", true),
            ("", "Namespace", "namespaces", false),
            ("storage.k8s.io", "StorageClass", "storageclasses", false),
            ("example.com", "Fish", "fish", false),
            ("example.com", "Namespace", "namespaces", true),
        ] {
            let gvk = Gvk {
                group: group.to_owned(),
                version: "v1".to_owned(),
                kind: kind.to_owned(),
            };
            let found = kinds.resource(&gvk);
            assert_eq!(
                (found.plural.as_str(), found.namespaced),
                (plural, namespaced),
                "{kind}"
            );
        }
    }
}
