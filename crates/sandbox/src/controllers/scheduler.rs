//! Scheduler: which node a pod runs on, or why on none.

use serde_json::{Value, json};

use super::Plain;
use super::conditions::{self, Condition};
use super::decision::{Decision, Write};
use super::template::is_finished;
use super::view::{Place, View, is_leaving};
use crate::kinds::fields::{containers, entries, flag, is_empty, items, text};
use crate::kinds::quantity::Quantity;

const COMPONENT: &str = "default-scheduler";

pub const CONTROLLER: Plain = Plain {
    manager: "kube-scheduler",
    concerns,
    decide,
};

fn concerns(view: &View, place: &Place, object: &Value) -> Vec<Place> {
    let waits = |pod: &&Value| text(&pod["spec"], "nodeName").is_empty();
    match &*place.resource {
        "pods" if waits(&object) => vec![place.clone()],
        // Room on a node, or another node, may let pods in that wait.
        "nodes" | "pods"
            if place.resource.starts_with("nodes") || is_finished(object) || is_leaving(object) =>
        {
            view.all("pods")
                .filter(waits)
                .map(|pod| Place::of("pods", pod))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn decide(view: &View, place: &Place) -> Decision {
    let mut decision = Decision::nothing();
    let Some(pod) = view.at(place) else {
        return decision;
    };
    let spec = &pod["spec"];
    let is_ours = text(spec, "schedulerName") == COMPONENT && items(spec, "schedulingGates").is_empty();
    if !is_ours || !text(spec, "nodeName").is_empty() || is_leaving(pod) || is_finished(pod) {
        return decision;
    }
    let nodes: Vec<&Value> = view.all("nodes").collect();
    let obstacles: Vec<Vec<String>> = nodes.iter().map(|node| obstacles(view, pod, node)).collect();
    let free = nodes
        .iter()
        .zip(&obstacles)
        .find(|(_, obstacles)| obstacles.is_empty());
    match free {
        Some((node, _)) => {
            let name = text(&node["metadata"], "name");
            let mut bound = Value::clone(pod);
            bound["spec"]["nodeName"] = name.into();
            decision.push(Write::Update("pods".to_owned(), bound));
            let message = format!("Successfully assigned {} to {name}", place.key);
            decision.tell(COMPONENT, pod, "Scheduled", message);
        }
        None => {
            let message = explain(&obstacles);
            let mut status = pod["status"].clone();
            let condition = Condition {
                kind: "PodScheduled",
                status: "False",
                reason: "Unschedulable",
                message: &message,
            };
            let told =
                conditions::find(&status, "PodScheduled").is_some_and(|one| text(one, "message") == message);
            conditions::set(&mut status, condition, view.now);
            decision.status("pods", pod, status);
            if !told {
                decision.warn(COMPONENT, pod, "FailedScheduling", message);
            }
        }
    }
    decision
}

/// Why a pod cannot run on a node, in the words of a real scheduler.
fn obstacles(view: &View, pod: &Value, node: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if flag(&node["spec"], "unschedulable")
        && !tolerates(
            pod,
            &json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}),
        )
    {
        found.push("node(s) were unschedulable".to_owned());
    }
    let labels = &node["metadata"]["labels"];
    let misses = |(key, value): (&String, &Value)| labels.get(key) != Some(value);
    if entries(&pod["spec"], "nodeSelector").any(misses) || !fits_affinity(pod, labels) {
        found.push("node(s) didn't match Pod's node affinity/selector".to_owned());
    }
    for taint in items(&node["spec"], "taints") {
        if matches!(text(taint, "effect"), "NoSchedule" | "NoExecute") && !tolerates(pod, taint) {
            found.push(format!(
                "node(s) had untolerated taint(s) {{{}: {}}}",
                text(taint, "key"),
                text(taint, "value")
            ));
        }
    }
    found.extend(shortages(view, pod, node));
    found
}

fn fits_affinity(pod: &Value, labels: &Value) -> bool {
    let required = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let terms = items(required, "nodeSelectorTerms");
    terms.is_empty()
        || terms
            .iter()
            .any(|term| crate::kinds::fields::selects(term, labels))
}

fn tolerates(pod: &Value, taint: &Value) -> bool {
    items(&pod["spec"], "tolerations").iter().any(|one| {
        let key = is_empty(one, "key") || one["key"] == taint["key"];
        let effect = is_empty(one, "effect") || one["effect"] == taint["effect"];
        let value = text(one, "operator") == "Exists" || text(one, "value") == text(taint, "value");
        key && effect && value
    })
}

fn shortages(view: &View, pod: &Value, node: &Value) -> Vec<String> {
    let name = text(&node["metadata"], "name");
    let here = |other: &&Value| text(&other["spec"], "nodeName") == name && !is_finished(other);
    let mut found = Vec::new();
    for resource in ["cpu", "memory", "ephemeral-storage"] {
        let wanted = requested(pod, resource);
        let room = node["status"]["allocatable"][resource]
            .as_str()
            .and_then(Quantity::parse);
        let Some(room) = room.filter(|_| wanted > 0) else {
            continue;
        };
        let used: i128 = view
            .all("pods")
            .filter(here)
            .map(|other| requested(other, resource))
            .sum();
        if used + wanted > room.milli() {
            found.push(format!("Insufficient {resource}"));
        }
    }
    let room = node["status"]["allocatable"]["pods"]
        .as_str()
        .and_then(|pods| pods.parse().ok());
    if room.is_some_and(|room: usize| view.all("pods").filter(here).count() >= room) {
        found.push("Too many pods".to_owned());
    }
    found
}

/// What all containers of a pod ask for, in thousandths.
fn requested(pod: &Value, resource: &str) -> i128 {
    let amount = |container: &Value| {
        let text = container["resources"]["requests"][resource].as_str();
        text.and_then(Quantity::parse)
            .map_or(0, |quantity| quantity.milli())
    };
    containers(&pod["spec"])
        .filter(|(list, _, _)| *list == "containers")
        .map(|(_, _, container)| amount(container))
        .sum()
}

fn explain(obstacles: &[Vec<String>]) -> String {
    let mut reasons: Vec<&String> = obstacles.iter().flatten().collect();
    reasons.sort();
    let mut counted: Vec<(usize, &String)> = Vec::new();
    for reason in reasons {
        match counted.last_mut() {
            Some((count, last)) if *last == reason => *count += 1,
            _ => counted.push((1, reason)),
        }
    }
    let texts: Vec<String> = counted
        .iter()
        .map(|(count, reason)| format!("{count} {reason}"))
        .collect();
    let all = obstacles.len();
    match texts.is_empty() {
        true => "no nodes available to schedule pods".to_owned(),
        false => format!("0/{all} nodes are available: {}.", texts.join(", ")),
    }
}
