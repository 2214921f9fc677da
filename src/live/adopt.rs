//! Adoption: objects that something else applied before, and the fields that it still owns there.
//!
//! kubectl, Helm, Flux and Argo CD leave their names in `managedFields`. As long as they own a field, taking it out of
//! git would not take it out of the cluster. So the first time that gitsync applies such an object, what they own becomes
//! gitsync's, and applying then removes whatever git does not state. An object that another tool still looks after is not
//! touched before a person says so, because two tools would fight over it.
//!
//! Source of the method: client-go's csaupgrade package, which does it for kubectl's client-side apply.

use serde_json::{Map, Value, json};

use super::environment_of;

/// The annotation in git by which one object may be taken over from another tool.
const ADOPT: &str = "gitsync.dev/adopt";

/// The field managers whose fields are taken over: an exact name, or the beginning of one.
const TAKEN: [&str; 8] = [
    "kubectl",
    "before-first-apply",
    "helm",
    "Helm",
    "kustomize-controller",
    "flux-client-side-apply",
    "argocd-controller",
    "argocd-application-controller",
];

/// Which other tool, or environment, looks after a live object; `None` when nobody does or gitsync already does.
#[must_use]
pub fn owner(live: &Value, environment: &str, manager: &str) -> Option<String> {
    if let Some(other) = environment_of(live).filter(|other| *other != environment) {
        return Some(format!("environment {other} of gitsync"));
    }
    if is_ours(live, manager) {
        return None;
    }
    let (labels, annotations) = (&live["metadata"]["labels"], &live["metadata"]["annotations"]);
    let named = |what: &str, namespace: Option<&str>, name: &str| match namespace {
        Some(namespace) => format!("{what} {namespace}/{name}"),
        None => format!("{what} {name}"),
    };
    if let Some(name) = annotations["meta.helm.sh/release-name"].as_str() {
        let namespace = annotations["meta.helm.sh/release-namespace"].as_str();
        return Some(named("Helm release", namespace, name));
    }
    for (prefix, what) in [
        ("kustomize.toolkit.fluxcd.io", "Flux Kustomization"),
        ("helm.toolkit.fluxcd.io", "Flux HelmRelease"),
    ] {
        if let Some(name) = labels[format!("{prefix}/name")].as_str() {
            let namespace = labels[format!("{prefix}/namespace")].as_str();
            return Some(named(what, namespace, name));
        }
    }
    let tracked = annotations["argocd.argoproj.io/tracking-id"].as_str();
    let tracked = tracked.and_then(|id| id.split(':').next());
    let instance = labels["argocd.argoproj.io/instance"].as_str();
    tracked
        .or(instance)
        .map(|name| named("Argo CD application", None, name))
}

/// Whether git says that an object may be taken over.
#[must_use]
pub fn is_asked_for(desired: &Value) -> bool {
    desired["metadata"]["annotations"][ADOPT] == "true"
}

/// The `managedFields` with which `manager` owns what other tools applied; `None` when there is nothing to take over.
///
/// Nothing is taken from an object that `manager` applied before: whoever wrote there since did so beside it.
#[must_use]
pub fn take_over(live: &Value, api_version: &str, manager: &str) -> Option<Value> {
    if is_ours(live, manager) {
        return None;
    }
    let entries = live.pointer("/metadata/managedFields")?.as_array()?;
    let is_taken = |entry: &&Value| {
        let name = entry["manager"].as_str().unwrap_or_default();
        let known = TAKEN
            .iter()
            .any(|taken| name == *taken || (*taken == "kubectl" && name.starts_with("kubectl-")));
        known && entry["apiVersion"] == api_version && entry.get("subresource").is_none()
    };
    let (taken, mut left): (Vec<&Value>, Vec<&Value>) = entries.iter().partition(is_taken);
    if taken.is_empty() {
        return None;
    }
    let mut fields = Map::new();
    for entry in &taken {
        if let Some(theirs) = entry["fieldsV1"].as_object() {
            unite(&mut fields, theirs);
        }
    }
    let own = json!({
        "manager": manager,
        "operation": "Apply",
        "apiVersion": api_version,
        "time": taken.iter().filter_map(|entry| entry["time"].as_str()).max(),
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    });
    left.push(&own);
    Some(json!(left))
}

/// Whether `manager` applied the object before.
fn is_ours(live: &Value, manager: &str) -> bool {
    let entries = live.pointer("/metadata/managedFields").and_then(Value::as_array);
    entries
        .into_iter()
        .flatten()
        .any(|entry| entry["manager"] == manager && entry["operation"] == "Apply")
}

fn unite(fields: &mut Map<String, Value>, others: &Map<String, Value>) {
    for (key, inner) in others {
        match (fields.get_mut(key), inner) {
            (Some(Value::Object(known)), Value::Object(inner)) => unite(known, inner),
            (Some(_), _) => {}
            (None, inner) => {
                fields.insert(key.clone(), inner.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_looks_after_an_object_is_named() {
        let live = |metadata: Value| json!({"metadata": metadata});
        let ours = json!([{"manager": "gitsync", "operation": "Apply"}]);
        let label = |key: &str, value: &str| json!({"labels": {key: value}});
        for (metadata, wanted) in [
            (json!({}), None),
            (json!({"labels": {"app.kubernetes.io/managed-by": "Helm"}}), None),
            (label("gitsync.dev/environment", "prod"), None),
            (
                label("gitsync.dev/environment", "staging"),
                Some("environment staging of gitsync"),
            ),
            (
                json!({"annotations": {"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "shop"}}),
                Some("Helm release shop/web"),
            ),
            (
                json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}}),
                Some("Flux Kustomization flux-system/apps"),
            ),
            (
                json!({"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/web"}}),
                Some("Argo CD application shop"),
            ),
            (
                label("argocd.argoproj.io/instance", "shop"),
                Some("Argo CD application shop"),
            ),
            (
                json!({"labels": {"argocd.argoproj.io/instance": "shop"}, "managedFields": ours}),
                None,
            ),
        ] {
            let found = owner(&live(metadata.clone()), "prod", "gitsync");
            assert_eq!(found.as_deref(), wanted, "{metadata}");
        }
    }

    fn mk_entry(manager: &str, operation: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    #[test]
    fn what_other_tools_applied_becomes_ours_and_controllers_keep_theirs() {
        let mut status = mk_entry("kube-controller-manager", "Update", json!({"f:status": {}}));
        status["subresource"] = json!("status");
        let mut scale = mk_entry("kubectl", "Update", json!({"f:spec": {"f:replicas": {}}}));
        scale["subresource"] = json!("scale");
        let live = json!({"metadata": {"managedFields": [
            mk_entry("kubectl-client-side-apply", "Update", json!({"f:spec": {"f:a": {}}, "f:metadata": {"f:labels": {"f:x": {}}}})),
            mk_entry("helm", "Update", json!({"f:spec": {"f:b": {}}})),
            status, scale,
            mk_entry("vpa-recommender", "Update", json!({"f:spec": {"f:c": {}}})),
        ]}});
        let after = take_over(&live, "apps/v1", "gitsync").unwrap();
        let managers: Vec<&str> = after
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|entry| entry["manager"].as_str())
            .collect();
        assert_eq!(
            managers,
            ["kube-controller-manager", "kubectl", "vpa-recommender", "gitsync"]
        );
        assert_eq!(
            after[3]["fieldsV1"],
            json!({"f:spec": {"f:a": {}, "f:b": {}}, "f:metadata": {"f:labels": {"f:x": {}}}})
        );
        assert_eq!(after[3]["operation"], "Apply");
    }

    #[test]
    fn nothing_is_taken_twice_or_where_nobody_applied() {
        let ours = json!({"metadata": {"managedFields": [
            mk_entry("gitsync", "Apply", json!({})), mk_entry("kubectl-edit", "Update", json!({"f:spec": {}}))]}});
        assert_eq!(take_over(&ours, "apps/v1", "gitsync"), None);
        let controllers =
            json!({"metadata": {"managedFields": [mk_entry("operator", "Update", json!({"f:spec": {}}))]}});
        assert_eq!(take_over(&controllers, "apps/v1", "gitsync"), None);
        assert_eq!(take_over(&json!({"metadata": {}}), "apps/v1", "gitsync"), None);
    }
}
