//! Autoscalers: a HorizontalPodAutoscaler learns how many pods there are, and that nothing measures them.

use serde_json::{Value, json};

use super::Plain;
use super::conditions::{self, Condition};
use super::decision::Decision;
use super::view::{Place, View};
use crate::kinds::fields::{items, number, text};

const AUTOSCALERS: &str = "horizontalpodautoscalers.autoscaling";

pub const CONTROLLER: Plain = Plain {
    manager: "horizontal-pod-autoscaler",
    concerns,
    decide,
};

fn concerns(view: &View, place: &Place, object: &Value) -> Vec<Place> {
    match &*place.resource {
        AUTOSCALERS => vec![place.clone()],
        "deployments.apps" | "statefulsets.apps" | "replicasets.apps" => {
            let name = text(&object["metadata"], "name");
            let targets = |one: &&Value| {
                let target = &one["spec"]["scaleTargetRef"];
                text(target, "name") == name && target["kind"] == object["kind"]
            };
            let all = view.within(AUTOSCALERS, place.namespace());
            all.filter(targets)
                .map(|one| Place::of(AUTOSCALERS, one))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn decide(view: &View, place: &Place) -> Decision {
    let mut decision = Decision::nothing();
    let Some(scaler) = view.at(place) else {
        return decision;
    };
    let target = &scaler["spec"]["scaleTargetRef"];
    let resource = match text(target, "kind") {
        "StatefulSet" => "statefulsets.apps",
        "ReplicaSet" => "replicasets.apps",
        _ => "deployments.apps",
    };
    let found = view.get(resource, place.namespace(), text(target, "name"));
    let replicas = found.map_or(0, |found| number(&found["status"], "replicas"));
    let mut status = json!({
        "desiredReplicas": 0, "currentMetrics": null, "conditions": items(&scaler["status"], "conditions"),
    });
    if replicas > 0 {
        status["currentReplicas"] = replicas.into();
    }
    let able = if found.is_some() {
        (
            "True",
            "SucceededGetScale",
            "the HPA controller was able to get the target's current scale".to_owned(),
        )
    } else {
        let name = text(target, "name");
        let message = format!(
            "the HPA controller was unable to get the target's current scale: {resource} {name:?} not found"
        );
        ("False", "FailedGetScale", message)
    };
    let mut set = |kind: &str, word: &str, reason: &str, message: &str| {
        let condition = Condition {
            kind,
            status: word,
            reason,
            message,
        };
        conditions::set(&mut status, condition, view.now);
    };
    set("AbleToScale", able.0, able.1, &able.2);
    if found.is_some() {
        let message =
            "the HPA was unable to compute the replica count: nothing measures the pods of a sandbox";
        set("ScalingActive", "False", "FailedGetResourceMetric", message);
    }
    decision.status(AUTOSCALERS, scaler, status);
    decision
}
