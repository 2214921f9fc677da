//! Strategy: what a request may change of an object, and what the server decides itself.
//!
//! A user writes the spec and the server the status; the generation counts the changes of what the user has asked for;
//! some fields are filled by plugins of admission, such as the tolerations of pods.

use serde_json::{Value, json};

use super::allocate;
use super::fields::{default_to, flag, is_empty, items, map_mut, remove, text};
use super::quality::quality_of_service;
use crate::registry::Context;
use crate::status::Status;

/// Kinds with a generation; of each, what is compared to see whether it has grown.
const COUNTED: [(&str, &[&str]); 21] = [
    ("Pod", &["/spec"]),
    ("PodTemplate", &["/template"]),
    ("Deployment", &["/spec", "/metadata/annotations"]),
    ("ReplicaSet", &["/spec"]),
    ("ReplicationController", &["/spec"]),
    ("StatefulSet", &["/spec"]),
    ("DaemonSet", &["/spec"]),
    ("Job", &["/spec"]),
    ("CronJob", &["/spec"]),
    ("Ingress", &["/spec"]),
    ("IngressClass", &["/spec"]),
    ("NetworkPolicy", &["/spec"]),
    ("HorizontalPodAutoscaler", &["/spec"]),
    ("PodDisruptionBudget", &["/spec"]),
    ("PriorityClass", &["/value"]),
    ("EndpointSlice", &["/endpoints", "/ports", "/metadata/labels"]),
    ("ValidatingWebhookConfiguration", &["/webhooks"]),
    ("MutatingWebhookConfiguration", &["/webhooks"]),
    ("ValidatingAdmissionPolicy", &["/spec"]),
    ("ValidatingAdmissionPolicyBinding", &["/spec"]),
    ("APIService", &["/spec"]),
];

/// The annotation in which a DaemonSet counts its templates.
const TEMPLATES: &str = "deprecated.daemonset.template.generation";

/// Kinds whose status a write of the object itself does not touch, with the status of a new one.
fn fresh_status(kind: &str) -> Option<Value> {
    Some(match kind {
        "StatefulSet" => json!({"replicas": 0, "availableReplicas": 0}),
        "Deployment" | "Job" | "CronJob" | "ResourceQuota" | "ValidatingAdmissionPolicy" => {
            json!({})
        }
        "ReplicaSet" | "ReplicationController" => json!({"replicas": 0}),
        "DaemonSet" => json!({
            "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0,
        }),
        "Pod" | "PersistentVolume" | "PersistentVolumeClaim" => json!({"phase": "Pending"}),
        "Namespace" => json!({"phase": "Active"}),
        "Service" | "Ingress" => json!({"loadBalancer": {}}),
        "HorizontalPodAutoscaler" => json!({"desiredReplicas": 0, "currentMetrics": null}),
        "PodDisruptionBudget" => {
            json!({"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0})
        }
        _ => return None,
    })
}

/// Prepares a new object.
///
/// # Errors
///
/// When a plugin of admission refuses it, or an address or port that it wants is taken.
pub fn prepare_for_create(object: &mut Value, context: &Context) -> Result<(), Status> {
    let kind = text(object, "kind").to_owned();
    if let Some(status) = fresh_status(&kind) {
        object["status"] = status;
    }
    if COUNTED.iter().any(|(counted, _)| *counted == kind) {
        object["metadata"]["generation"] = 1.into();
    }
    match kind.as_str() {
        "Pod" => prepare_pod(object, context)?,
        "Service" => allocate::new_service(object, context)?,
        "Namespace" => default_to(&mut object["spec"], "finalizers", json!(["kubernetes"])),
        "Job" => select_own_pods(object),
        "DaemonSet" => count_templates(object, 1),
        "PersistentVolumeClaim" => {
            add_finalizer(object, "kubernetes.io/pvc-protection");
            default_class(object, context);
        }
        "PersistentVolume" => {
            add_finalizer(object, "kubernetes.io/pv-protection");
            object["status"]["lastPhaseTransitionTime"] = context.clock.stamp().into();
        }
        _ => {}
    }
    Ok(())
}

/// Prepares the replacement of an object.
///
/// # Errors
///
/// When an address or port that it wants is taken.
pub fn prepare_for_update(object: &mut Value, old: &Value, context: &Context) -> Result<(), Status> {
    let kind = text(object, "kind").to_owned();
    if fresh_status(&kind).is_some() {
        object["status"] = old["status"].clone();
    }
    if kind == "Service" {
        allocate::changed_service(object, old, context)?;
    }
    if kind == "DaemonSet" {
        let former = text(&old["metadata"]["annotations"], TEMPLATES)
            .parse()
            .unwrap_or(1);
        let has_changed = object["spec"]["template"] != old["spec"]["template"];
        count_templates(object, former + i64::from(has_changed));
    }
    if let Some((_, paths)) = COUNTED.iter().find(|(counted, _)| *counted == kind)
        && paths.iter().any(|path| object.pointer(path) != old.pointer(path))
    {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or_default();
        object["metadata"]["generation"] = (generation + 1).into();
    }
    Ok(())
}

fn prepare_pod(object: &mut Value, context: &Context) -> Result<(), Status> {
    object["status"]["qosClass"] = quality_of_service(&object["spec"]).into();
    prioritise(object, context)?;
    let spec = &mut object["spec"];
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerates = |one: &Value| {
            (text(one, "key") == key || is_empty(one, "key"))
                && matches!(text(one, "effect"), "NoExecute" | "")
        };
        if items(spec, "tolerations").iter().any(tolerates) {
            continue;
        }
        let toleration =
            json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
        if spec["tolerations"].is_null() {
            spec["tolerations"] = json!([]);
        }
        if let Some(list) = spec["tolerations"].as_array_mut() {
            list.push(toleration);
        }
    }
    Ok(())
}

/// Gives a pod the number of its priority class.
fn prioritise(object: &mut Value, context: &Context) -> Result<(), Status> {
    let name = text(&object["spec"], "priorityClassName").to_owned();
    let class = match name.as_str() {
        "" => {
            let classes = context.client.list("priorityclasses.scheduling.k8s.io", None);
            let global = classes.into_iter().find(|class| flag(class, "globalDefault"));
            global.unwrap_or_else(|| json!({"value": 0, "preemptionPolicy": "PreemptLowerPriority"}))
        }
        "system-cluster-critical" => {
            json!({"value": 2_000_000_000, "preemptionPolicy": "PreemptLowerPriority"})
        }
        "system-node-critical" => json!({"value": 2_000_001_000, "preemptionPolicy": "PreemptLowerPriority"}),
        name => {
            let found = context.client.get("priorityclasses.scheduling.k8s.io", "", name);
            found.map_err(|_| {
                let why = format!("no PriorityClass with name {name} was found");
                Status::forbidden("pods", text(&object["metadata"], "name"), &why)
            })?
        }
    };
    if let Some(name) = class["metadata"]["name"].as_str().filter(|_| name.is_empty()) {
        object["spec"]["priorityClassName"] = name.into();
    }
    object["spec"]["priority"] = class["value"].clone();
    default_to(
        &mut object["spec"],
        "preemptionPolicy",
        class["preemptionPolicy"].clone(),
    );
    Ok(())
}

/// Has a Job select its pods by its own uid, unless the user selects them.
fn select_own_pods(object: &mut Value) {
    if flag(&object["spec"], "manualSelector") {
        return;
    }
    let uid = object["metadata"]["uid"].clone();
    let name = object["metadata"]["name"].clone();
    let mut metadata = object["spec"]["template"]["metadata"].take();
    if metadata.is_null() {
        metadata = json!({});
    }
    if let Some(labels) = map_mut(&mut metadata, "labels") {
        for (key, value) in [
            ("batch.kubernetes.io/controller-uid", &uid),
            ("batch.kubernetes.io/job-name", &name),
            ("controller-uid", &uid),
            ("job-name", &name),
        ] {
            labels.insert(key.to_owned(), value.clone());
        }
    }
    object["spec"]["template"]["metadata"] = metadata;
    if is_empty(&object["spec"], "selector") {
        object["spec"]["selector"] = json!({});
    }
    if let Some(labels) = map_mut(&mut object["spec"]["selector"], "matchLabels") {
        labels.insert("batch.kubernetes.io/controller-uid".to_owned(), uid);
    }
    if is_empty(&object["metadata"], "labels") {
        object["metadata"]["labels"] = object["spec"]["template"]["metadata"]["labels"].clone();
    }
}

/// Gives a claim the default storage class if there is one, and the claim says nothing about it.
fn default_class(object: &mut Value, context: &Context) {
    if object["spec"]
        .get("storageClassName")
        .is_some_and(|name| !name.is_null())
    {
        return;
    }
    let classes = context.client.list("storageclasses.storage.k8s.io", None);
    let is_default = |class: &&Value| {
        class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true"
    };
    match classes.iter().find(is_default) {
        Some(class) => object["spec"]["storageClassName"] = class["metadata"]["name"].clone(),
        None => remove(&mut object["spec"], "storageClassName"),
    }
}

fn count_templates(object: &mut Value, count: i64) {
    if let Some(annotations) = map_mut(&mut object["metadata"], "annotations") {
        annotations.insert(TEMPLATES.to_owned(), count.to_string().into());
    }
}

fn add_finalizer(object: &mut Value, finalizer: &str) {
    let list = &mut object["metadata"]["finalizers"];
    match list.as_array_mut() {
        Some(list) if list.iter().any(|one| one == finalizer) => {}
        Some(list) => list.push(finalizer.into()),
        None => *list = json!([finalizer]),
    }
}
