//! ReplicaSets and ReplicationControllers: as many pods of one template as are wanted.

use serde_json::{Value, json};

use super::Plain;
use super::conditions::{self, Condition};
use super::decision::{Decision, Write};
use super::deployments::owner_of;
use super::template::{self, available_at, deletion_rank, is_active, is_available, is_finished, is_ready};
use super::view::{Place, View, controller_of, is_leaving};
use crate::kinds::fields::{entries, items, number, selects, text};

const SETS: &str = "replicasets.apps";
const CONTROLLERS: &str = "replicationcontrollers";

/// How many pods one look makes or ends at most.
const BURST: usize = 500;

pub const CONTROLLER: Plain = Plain {
    manager: "replicaset-controller",
    concerns,
    decide,
};

fn concerns(view: &View, place: &Place, object: &Value) -> Vec<Place> {
    match &*place.resource {
        SETS | CONTROLLERS => vec![place.clone()],
        "pods" => match controller_of(object) {
            Some(owner) if text(owner, "kind") == "ReplicationController" => {
                owner_of(view, object, CONTROLLERS, "ReplicationController")
            }
            _ => owner_of(view, object, SETS, "ReplicaSet"),
        },
        _ => Vec::new(),
    }
}

fn decide(view: &View, place: &Place) -> Decision {
    let Some(set) = view.at(place) else {
        return Decision::nothing();
    };
    let resource = if *place.resource == *SETS {
        SETS
    } else {
        CONTROLLERS
    };
    let mut decision = adopt(view, set);
    if !decision.writes.is_empty() {
        return decision;
    }
    let pods = view.controlled("pods", set);
    let active: Vec<&Value> = pods.iter().copied().filter(|pod| is_active(pod)).collect();
    if !is_leaving(set) {
        resize(&mut decision, set, &active);
    }
    let leaving = pods
        .iter()
        .filter(|pod| is_leaving(pod) && !is_finished(pod))
        .count();
    let status = status(set, &active, leaving, view, &mut decision);
    decision.status(resource, set, status);
    decision
}

/// The selector as ReplicaSets have it.
fn selector(set: &Value) -> Value {
    match text(set, "kind") {
        "ReplicationController" => json!({"matchLabels": set["spec"]["selector"]}),
        _ => set["spec"]["selector"].clone(),
    }
}

/// Takes the pods that match and have no controller.
fn adopt(view: &View, set: &Value) -> Decision {
    let mut decision = Decision::nothing();
    let selector = selector(set);
    if is_leaving(set)
        || items(&selector, "matchExpressions").is_empty() && entries(&selector, "matchLabels").count() == 0
    {
        return decision;
    }
    for pod in view.within("pods", text(&set["metadata"], "namespace")) {
        if controller_of(pod).is_none() && is_active(pod) && selects(&selector, &pod["metadata"]["labels"]) {
            let mut pod = pod.clone();
            let reference = template::owner_reference(set);
            match pod["metadata"]["ownerReferences"].as_array_mut() {
                Some(list) => list.push(reference),
                None => pod["metadata"]["ownerReferences"] = json!([reference]),
            }
            decision.push(Write::Update("pods".to_owned(), pod));
        }
    }
    decision
}

fn resize(decision: &mut Decision, set: &Value, active: &[&Value]) {
    let component = if text(set, "kind") == "ReplicaSet" {
        "replicaset-controller"
    } else {
        "replication-controller"
    };
    let wanted = usize::try_from(number(&set["spec"], "replicas")).unwrap_or_default();
    for _ in active.len()..wanted.min(active.len() + BURST) {
        let mut pod = template::pod(set, &set["spec"]["template"]);
        // The name is needed for the event, and a name of the server's choice is not known yet.
        let name = format!("{}-{}", text(&set["metadata"], "name"), super::hash::suffix());
        pod["metadata"]["name"] = name.clone().into();
        decision.push(Write::Create("pods", pod));
        decision.tell(component, set, "SuccessfulCreate", format!("Created pod: {name}"));
    }
    let mut ranked: Vec<&Value> = active.to_vec();
    ranked.sort_by_cached_key(|pod| deletion_rank(pod));
    for pod in ranked
        .into_iter()
        .take(active.len().saturating_sub(wanted))
        .take(BURST)
    {
        decision.delete("pods", pod);
        let message = format!("Deleted pod: {}", text(&pod["metadata"], "name"));
        decision.tell(component, set, "SuccessfulDelete", message);
    }
}

fn status(set: &Value, active: &[&Value], leaving: usize, view: &View, decision: &mut Decision) -> Value {
    let delay = number(&set["spec"], "minReadySeconds");
    let template_labels = json!({"matchLabels": set["spec"]["template"]["metadata"]["labels"]});
    let count = |counts: &dyn Fn(&Value) -> bool| active.iter().filter(|pod| counts(pod)).count();
    let mut status = json!({
        "replicas": active.len(),
        "fullyLabeledReplicas": count(&|pod| selects(&template_labels, &pod["metadata"]["labels"])),
        "readyReplicas": count(&is_ready),
        "availableReplicas": count(&|pod| is_available(pod, delay, view.now)),
        "observedGeneration": set["metadata"]["generation"],
    });
    if let Some(map) = status.as_object_mut() {
        map.retain(|name, count| name == "replicas" || *count != 0);
    }
    if text(set, "kind") == "ReplicaSet" {
        status["terminatingReplicas"] = leaving.into();
    }
    if delay > 0 {
        let coming = active.iter().filter_map(|pod| available_at(pod, delay));
        if let Some(next) = coming.filter(|time| *time > view.now).min() {
            decision.look_at(next);
        }
    }
    let mut kept = json!({"conditions": items(&set["status"], "conditions")});
    let is_short = i64::try_from(active.len()).unwrap_or(i64::MAX) < number(&set["spec"], "replicas");
    if !is_short {
        conditions::remove(&mut kept, "ReplicaFailure");
    }
    if !items(&kept, "conditions").is_empty() {
        status["conditions"] = kept["conditions"].take();
    }
    status
}

/// What to tell when the API refuses a pod of an owner, with the words of the refusal.
pub fn refused(view: &View, place: &Place, message: &str) -> Decision {
    let mut decision = Decision::nothing();
    let Some(owner) = view.at(place) else {
        return decision;
    };
    decision.warn(
        "replicaset-controller",
        owner,
        "FailedCreate",
        format!("Error creating: {message}"),
    );
    if *place.resource == *SETS {
        let mut status = owner["status"].clone();
        let condition = Condition {
            kind: "ReplicaFailure",
            status: "True",
            reason: "FailedCreate",
            message,
        };
        conditions::set(&mut status, condition, view.now);
        decision.status(SETS, owner, status);
    }
    decision
}
