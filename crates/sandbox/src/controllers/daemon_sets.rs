//! DaemonSets: one pod on each node that they fit.

use serde_json::{Value, json};

use super::Plain;
use super::decision::{Decision, Write};
use super::deployments::owner_of;
use super::rolling::resolve;
use super::stateful_sets::{REVISION, revision, revision_name, revision_of};
use super::template::{self, available_at, is_active, is_available, is_finished, is_ready};
use super::view::{Place, View, is_leaving};
use crate::kinds::fields::{entries, items, number, text};

const SETS: &str = "daemonsets.apps";
const REVISIONS: &str = "controllerrevisions.apps";
const COMPONENT: &str = "daemonset-controller";

/// What the pods of DaemonSets endure, as other pods do not.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

pub const CONTROLLER: Plain = Plain {
    manager: COMPONENT,
    concerns,
    decide,
};

fn concerns(view: &View, place: &Place, object: &Value) -> Vec<Place> {
    match &*place.resource {
        SETS => vec![place.clone()],
        "pods" => owner_of(view, object, SETS, "DaemonSet"),
        "nodes" => view.all(SETS).map(|set| Place::of(SETS, set)).collect(),
        _ => Vec::new(),
    }
}

fn decide(view: &View, place: &Place) -> Decision {
    let mut decision = Decision::nothing();
    let Some(set) = view.at(place) else {
        return decision;
    };
    let hash = revision_name(set, &set["spec"]["template"]);
    let nodes: Vec<&str> = view
        .all("nodes")
        .filter(|node| fits(set, node))
        .map(|node| text(&node["metadata"], "name"))
        .collect();
    let pods = view.controlled("pods", set);
    if !is_leaving(set) {
        if view.get(REVISIONS, place.namespace(), &hash).is_none() {
            let newest = view
                .controlled(REVISIONS, set)
                .iter()
                .map(|one| number(one, "revision"))
                .max();
            decision.push(Write::Create(
                REVISIONS,
                revision(set, &hash, newest.unwrap_or_default() + 1),
            ));
        }
        place_pods(&mut decision, set, &nodes, &pods, &hash);
        if text(&set["spec"]["updateStrategy"], "type") == "RollingUpdate" {
            replace_old(&mut decision, set, &pods, &hash, view);
        }
    }
    let status = status(set, &nodes, &pods, &hash, view, &mut decision);
    decision.status(SETS, set, status);
    decision
}

fn fits(set: &Value, node: &Value) -> bool {
    let labels = &node["metadata"]["labels"];
    let mut selector = entries(&set["spec"]["template"]["spec"], "nodeSelector");
    selector.all(|(key, value)| labels.get(key) == Some(value))
}

/// The node that a pod is on, or is meant for.
fn node_of(pod: &Value) -> &str {
    match text(&pod["spec"], "nodeName") {
        "" => {
            let required =
                &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
            required["nodeSelectorTerms"][0]["matchFields"][0]["values"][0]
                .as_str()
                .unwrap_or_default()
        }
        name => name,
    }
}

fn place_pods(decision: &mut Decision, set: &Value, nodes: &[&str], pods: &[&Value], hash: &str) {
    for node in nodes {
        if pods.iter().any(|pod| node_of(pod) == *node && !is_finished(pod)) {
            continue;
        }
        let name = format!("{}-{}", text(&set["metadata"], "name"), super::hash::suffix());
        let mut pod = template::pod(set, &set["spec"]["template"]);
        pod["metadata"]["name"] = name.clone().into();
        pod["metadata"]["labels"][REVISION] = hash.into();
        pod["spec"]["nodeName"] = (*node).into();
        let tolerations =
            TOLERATED.map(|(key, effect)| json!({"key": key, "operator": "Exists", "effect": effect}));
        match pod["spec"]["tolerations"].as_array_mut() {
            Some(list) => list.extend(tolerations),
            None => pod["spec"]["tolerations"] = tolerations.to_vec().into(),
        }
        decision.push(Write::Create("pods", pod));
        decision.tell(COMPONENT, set, "SuccessfulCreate", format!("Created pod: {name}"));
    }
    for pod in pods.iter().filter(|pod| !is_leaving(pod)) {
        if is_finished(pod) || !nodes.contains(&node_of(pod)) {
            decision.delete("pods", pod);
            let message = format!("Deleted pod: {}", text(&pod["metadata"], "name"));
            decision.tell(COMPONENT, set, "SuccessfulDelete", message);
        }
    }
}

/// Ends pods of old revisions, as many as may be missing.
fn replace_old(decision: &mut Decision, set: &Value, pods: &[&Value], hash: &str, view: &View) {
    let total = i64::try_from(pods.len()).unwrap_or(i64::MAX);
    let most = resolve(
        &set["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"],
        total,
        true,
    )
    .max(1);
    let delay = number(&set["spec"], "minReadySeconds");
    let is_missing = |pod: &&&Value| !is_active(pod) || !is_available(pod, delay, view.now);
    let missing = i64::try_from(pods.iter().filter(is_missing).count()).unwrap_or(i64::MAX);
    let mut left = most - missing;
    for pod in pods
        .iter()
        .filter(|pod| is_active(pod) && revision_of(pod) != hash)
    {
        if is_missing(&pod) {
            decision.delete("pods", pod);
        } else if left > 0 {
            left -= 1;
            decision.delete("pods", pod);
        } else {
            continue;
        }
        let message = format!("Deleted pod: {}", text(&pod["metadata"], "name"));
        decision.tell(COMPONENT, set, "SuccessfulDelete", message);
    }
}

fn status(
    set: &Value,
    nodes: &[&str],
    pods: &[&Value],
    hash: &str,
    view: &View,
    decision: &mut Decision,
) -> Value {
    let delay = number(&set["spec"], "minReadySeconds");
    let placed: Vec<&&Value> = pods
        .iter()
        .filter(|pod| nodes.contains(&node_of(pod)) && is_active(pod))
        .collect();
    let count = |counts: &dyn Fn(&Value) -> bool| placed.iter().filter(|pod| counts(pod)).count();
    let available = count(&|pod| is_available(pod, delay, view.now));
    let mut status = json!({
        "currentNumberScheduled": placed.len(),
        "numberMisscheduled": pods.iter().filter(|pod| !nodes.contains(&node_of(pod))).count(),
        "desiredNumberScheduled": nodes.len(),
        "numberReady": count(&is_ready),
        "observedGeneration": set["metadata"]["generation"],
        "updatedNumberScheduled": count(&|pod| revision_of(pod) == hash),
        "numberAvailable": available,
        "numberUnavailable": nodes.len().saturating_sub(available),
    });
    let always = [
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
    ];
    if let Some(map) = status.as_object_mut() {
        map.retain(|name, count| always.contains(&name.as_str()) || *count != 0);
    }
    if !items(&set["status"], "conditions").is_empty() {
        status["conditions"] = set["status"]["conditions"].clone();
    }
    let coming = placed
        .iter()
        .filter_map(|pod| available_at(pod, delay))
        .filter(|time| *time > view.now);
    if let Some(next) = coming.min() {
        decision.look_at(next);
    }
    status
}
