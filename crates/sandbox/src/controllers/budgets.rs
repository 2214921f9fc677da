//! Budgets: how many pods of a PodDisruptionBudget are healthy, and how many may be missing.

use serde_json::{Value, json};

use super::Plain;
use super::conditions::{self, Condition};
use super::decision::Decision;
use super::rolling::resolve;
use super::template::{is_active, is_ready};
use super::view::{Place, View, controller_of};
use crate::kinds::fields::{items, number, selects, text};

const BUDGETS: &str = "poddisruptionbudgets.policy";

pub const CONTROLLER: Plain = Plain {
    manager: "disruption-controller",
    concerns,
    decide,
};

fn concerns(view: &View, place: &Place, object: &Value) -> Vec<Place> {
    match &*place.resource {
        BUDGETS => vec![place.clone()],
        "pods" => {
            let labels = &object["metadata"]["labels"];
            let budgets = view.within(BUDGETS, place.namespace());
            let covers = |budget: &&Value| selects(&budget["spec"]["selector"], labels);
            budgets
                .filter(covers)
                .map(|budget| Place::of(BUDGETS, budget))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn decide(view: &View, place: &Place) -> Decision {
    let mut decision = Decision::nothing();
    let Some(budget) = view.at(place) else {
        return decision;
    };
    let spec = &budget["spec"];
    let covered = |pod: &&Value| {
        spec["selector"].is_object()
            && selects(&spec["selector"], &pod["metadata"]["labels"])
            && is_active(pod)
    };
    let pods: Vec<&Value> = view.within("pods", place.namespace()).filter(covered).collect();
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let healthy = count(pods.iter().filter(|pod| is_ready(pod)).count());
    let scale = expected(view, &pods);
    let (expected, desired) = match (spec.get("maxUnavailable"), spec.get("minAvailable")) {
        (Some(most), _) => (scale, (scale - resolve(most, scale, true)).max(0)),
        (None, Some(least)) if least.is_string() => (scale, resolve(least, scale, true)),
        (None, Some(least)) => (count(pods.len()), resolve(least, scale, true)),
        (None, None) => (count(pods.len()), 1),
    };
    let allowed = if expected > 0 {
        (healthy - desired).max(0)
    } else {
        0
    };
    let (word, reason) = if allowed > 0 {
        ("True", "SufficientPods")
    } else {
        ("False", "InsufficientPods")
    };
    let mut status = json!({
        "observedGeneration": budget["metadata"]["generation"],
        "disruptionsAllowed": allowed,
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
        "conditions": items(&budget["status"], "conditions"),
    });
    let condition = Condition {
        kind: "DisruptionAllowed",
        status: word,
        reason,
        message: "",
    };
    conditions::set(&mut status, condition, view.now);
    if let Some(condition) = status["conditions"]
        .as_array_mut()
        .and_then(|list| list.first_mut())
    {
        condition["observedGeneration"] = budget["metadata"]["generation"].clone();
    }
    decision.status(BUDGETS, budget, status);
    decision
}

/// How many pods the controllers of these pods want in all.
fn expected(view: &View, pods: &[&Value]) -> i64 {
    let mut seen = Vec::new();
    let mut total = 0;
    for pod in pods {
        let Some(owner) = controller_of(pod) else {
            total += 1;
            continue;
        };
        if seen.contains(&text(owner, "uid")) {
            continue;
        }
        seen.push(text(owner, "uid"));
        let resource = match text(owner, "kind") {
            "ReplicaSet" => "replicasets.apps",
            "StatefulSet" => "statefulsets.apps",
            "ReplicationController" => "replicationcontrollers",
            _ => continue,
        };
        let namespace = text(&pod["metadata"], "namespace");
        let found = view.get(resource, namespace, text(owner, "name"));
        // The Deployment above says what is wanted, while an update has pods of two sets.
        let above = found
            .and_then(controller_of)
            .filter(|above| text(above, "kind") == "Deployment");
        let above = above.and_then(|above| view.get("deployments.apps", namespace, text(above, "name")));
        if let Some(above) = above {
            let uid = text(&above["metadata"], "uid");
            if seen.contains(&uid) {
                continue;
            }
            seen.push(uid);
        }
        total += above
            .or(found)
            .map_or(0, |owner| number(&owner["spec"], "replicas"));
    }
    total
}
