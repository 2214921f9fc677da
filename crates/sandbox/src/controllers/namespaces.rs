//! Namespaces: what each one has from its beginning, and how it is emptied at its end.

use serde_json::{Value, json};

use super::Plain;
use super::decision::{Decision, Write};
use super::view::{Place, View, is_leaving};
use crate::kinds::fields::text;

/// The certificate authority that pods find; a sandbox has none to give.
const AUTHORITY: &str = "kube-root-ca.crt";

pub const CONTROLLER: Plain = Plain {
    manager: "namespace-controller",
    concerns,
    decide,
};

fn concerns(_: &View, place: &Place, _: &Value) -> Vec<Place> {
    let namespace = match (&*place.resource, place.namespace()) {
        ("namespaces", _) => place.name(),
        (_, "") => return Vec::new(),
        (_, namespace) => namespace,
    };
    vec![Place {
        resource: "namespaces".into(),
        key: namespace.to_owned(),
    }]
}

fn decide(view: &View, place: &Place) -> Decision {
    let Some(namespace) = view.at(place) else {
        return Decision::nothing();
    };
    if is_leaving(namespace) {
        return empty(view, namespace);
    }
    let mut decision = Decision::nothing();
    let name = place.name();
    if view.get("serviceaccounts", name, "default").is_none() {
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name},
        });
        decision.push(Write::Create("serviceaccounts", account));
    }
    if view.get("configmaps", name, AUTHORITY).is_none() {
        let note = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints \
                    such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across \
                    distributions of Kubernetes clusters.";
        let authority = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": AUTHORITY, "namespace": name, "annotations": {"kubernetes.io/description": note}},
            "data": {"ca.crt": ""},
        });
        decision.push(Write::Create("configmaps", authority));
    }
    decision
}

/// Deletes everything in a namespace, and lets it go once it is empty.
fn empty(view: &View, namespace: &Value) -> Decision {
    let mut decision = Decision::nothing();
    let name = text(&namespace["metadata"], "name");
    let left: Vec<Place> = view.places().filter(|place| place.namespace() == name).collect();
    for place in &left {
        // Events of the end itself go with the rest, and core events are served twice.
        let is_shown_again = &*place.resource == "events.events.k8s.io";
        if let Some(object) = view
            .at(place)
            .filter(|object| !is_leaving(object) && !is_shown_again)
        {
            decision.delete(&place.resource, object);
        }
    }
    let mut status = namespace["status"].clone();
    status["phase"] = "Terminating".into();
    if left.is_empty() {
        let mut freed = namespace.clone();
        freed["spec"] = json!({});
        decision.push(Write::Update("namespaces".to_owned(), freed));
        decision.delete("namespaces", namespace);
        return decision;
    }
    decision.status("namespaces", namespace, status);
    decision
}
