//! Rollout: has an object become what was asked for? The rules are kstatus's, so that `kubectl wait`, Flux and gitsync agree.
//!
//! Source of the rules: the kstatus library of the Kubernetes cli-utils project; for Jobs, Flux's stricter
//! reading (a Job is current when it completed, not when it started). A condition of the *previous* rollout
//! never counts: an `observedGeneration` behind the object's generation is always "in progress".

use serde_json::Value;

/// How far an object is on the way to what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The object is what was asked for.
    Current,
    /// It is on the way; the text says what is missing.
    InProgress(String),
    /// It will not get there by itself; the text says why.
    Failed(String),
    /// It is being deleted.
    Terminating,
}

/// The progress of one live object.
#[must_use]
pub fn progress(object: &Value) -> Progress {
    if let Some(early) = early(object).or_else(|| stalled(object)) {
        return early;
    }
    let kind = object["kind"].as_str().unwrap_or_default();
    let group = object["apiVersion"]
        .as_str()
        .and_then(|v| v.split_once('/'))
        .map_or("", |(group, _)| group);
    match (group, kind) {
        ("apps", "Deployment") => deployment(object),
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps", "DaemonSet") => daemon_set(object),
        ("apps", "ReplicaSet") => replica_set(object),
        ("batch", "Job") => job(object),
        ("", "Pod") => pod(object),
        ("", "PersistentVolumeClaim") => phase_is(object, "Bound"),
        ("", "Service") => service(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => custom_resource_definition(object),
        ("policy", "PodDisruptionBudget") => Progress::Current,
        _ => ready_condition(object),
    }
}

/// What decides before any rule of a kind: the object goes, or its controller has not seen what was asked for.
#[must_use]
pub(super) fn early(object: &Value) -> Option<Progress> {
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        return Some(Progress::Terminating);
    }
    generation(object)
}

fn in_progress(text: impl Into<String>) -> Progress {
    Progress::InProgress(text.into())
}

fn generation(object: &Value) -> Option<Progress> {
    let observed = object.pointer("/status/observedGeneration")?.as_i64()?;
    let wanted = object.pointer("/metadata/generation")?.as_i64()?;
    (observed < wanted).then(|| {
        in_progress(format!(
            "generation {wanted} is not observed yet, the controller is at {observed}"
        ))
    })
}

fn stalled(object: &Value) -> Option<Progress> {
    if let Some(found) = condition(object, "Stalled").filter(|c| c.is("True")) {
        return Some(Progress::Failed(found.text()));
    }
    condition(object, "Reconciling")
        .filter(|c| c.is("True"))
        .map(|c| in_progress(c.text()))
}

fn deployment(object: &Value) -> Progress {
    if let Some(failed) = condition(object, "Progressing").filter(|c| c.reason == "ProgressDeadlineExceeded")
    {
        return Progress::Failed(failed.text());
    }
    if let Some(failed) = condition(object, "ReplicaFailure").filter(|c| c.is("True")) {
        return Progress::Failed(failed.text());
    }
    if object.pointer("/status/observedGeneration").is_none() {
        return in_progress("the Deployment controller has not seen it yet");
    }
    let wanted = count(object, "/spec/replicas", 1);
    let status = |field: &str| count(object, &format!("/status/{field}"), 0);
    let (all, updated, ready, available) = (
        status("replicas"),
        status("updatedReplicas"),
        status("readyReplicas"),
        status("availableReplicas"),
    );
    if updated < wanted {
        return in_progress(format!("{updated} of {wanted} replicas updated"));
    }
    if all > wanted {
        return in_progress(format!("{} old replicas still running", all - wanted));
    }
    if available < wanted {
        return in_progress(format!("{available} of {wanted} replicas available"));
    }
    if ready < wanted {
        return in_progress(format!("{ready} of {wanted} replicas ready"));
    }
    Progress::Current
}

fn stateful_set(object: &Value) -> Progress {
    if object
        .pointer("/spec/updateStrategy/type")
        .and_then(Value::as_str)
        == Some("OnDelete")
    {
        return Progress::Current;
    }
    if object.pointer("/status/observedGeneration").is_none() {
        return in_progress("the StatefulSet controller has not seen it yet");
    }
    let wanted = count(object, "/spec/replicas", 1);
    let status = |field: &str| count(object, &format!("/status/{field}"), 0);
    let ready = status("readyReplicas");
    if ready < wanted {
        return in_progress(format!("{ready} of {wanted} replicas ready"));
    }
    if let Some(partition) = object
        .pointer("/spec/updateStrategy/rollingUpdate/partition")
        .and_then(Value::as_i64)
    {
        let due = (wanted - partition).max(0);
        let updated = status("updatedReplicas");
        return if updated < due {
            in_progress(format!("{updated} of {due} replicas of the partition updated"))
        } else {
            Progress::Current
        };
    }
    if status("replicas") > wanted {
        return in_progress(format!("{} replicas too many", status("replicas") - wanted));
    }
    let revision = |field: &str| {
        object
            .pointer(&format!("/status/{field}"))
            .and_then(Value::as_str)
    };
    if revision("currentRevision") != revision("updateRevision") {
        return in_progress(format!(
            "{} of {wanted} replicas updated",
            status("updatedReplicas")
        ));
    }
    Progress::Current
}

fn daemon_set(object: &Value) -> Progress {
    if object.pointer("/status/observedGeneration").is_none() {
        return in_progress("the DaemonSet controller has not seen it yet");
    }
    let status = |field: &str| count(object, &format!("/status/{field}"), 0);
    let wanted = status("desiredNumberScheduled");
    for (field, word) in [
        ("updatedNumberScheduled", "updated"),
        ("numberAvailable", "available"),
        ("numberReady", "ready"),
    ] {
        let have = status(field);
        if have < wanted {
            return in_progress(format!("{have} of {wanted} pods {word}"));
        }
    }
    Progress::Current
}

fn replica_set(object: &Value) -> Progress {
    if let Some(failed) = condition(object, "ReplicaFailure").filter(|c| c.is("True")) {
        return Progress::Failed(failed.text());
    }
    let (wanted, available) = (
        count(object, "/spec/replicas", 1),
        count(object, "/status/availableReplicas", 0),
    );
    if available < wanted {
        return in_progress(format!("{available} of {wanted} replicas available"));
    }
    Progress::Current
}

fn job(object: &Value) -> Progress {
    if let Some(failed) = condition(object, "Failed").filter(|c| c.is("True")) {
        return Progress::Failed(failed.text());
    }
    if condition(object, "Complete").is_some_and(|c| c.is("True")) {
        return Progress::Current;
    }
    if object.pointer("/spec/suspend").and_then(Value::as_bool) == Some(true) {
        return Progress::Current;
    }
    in_progress(format!(
        "{} pods succeeded, not complete yet",
        count(object, "/status/succeeded", 0)
    ))
}

fn pod(object: &Value) -> Progress {
    match object
        .pointer("/status/phase")
        .and_then(Value::as_str)
        .unwrap_or("Pending")
    {
        "Succeeded" => Progress::Current,
        "Failed" => Progress::Failed(
            object
                .pointer("/status/message")
                .and_then(Value::as_str)
                .unwrap_or("the pod failed")
                .to_owned(),
        ),
        "Running" if condition(object, "Ready").is_some_and(|c| c.is("True")) => Progress::Current,
        phase => in_progress(format!("the pod is {phase}, not ready")),
    }
}

fn phase_is(object: &Value, wanted: &str) -> Progress {
    match object.pointer("/status/phase").and_then(Value::as_str) {
        Some(phase) if phase == wanted => Progress::Current,
        phase => in_progress(format!(
            "phase is {}, waiting for {wanted}",
            phase.unwrap_or("not set")
        )),
    }
}

fn service(object: &Value) -> Progress {
    if object.pointer("/spec/type").and_then(Value::as_str) != Some("LoadBalancer") {
        return Progress::Current;
    }
    let ingress = object
        .pointer("/status/loadBalancer/ingress")
        .and_then(Value::as_array);
    if ingress.is_some_and(|list| !list.is_empty()) {
        return Progress::Current;
    }
    in_progress(
        "the LoadBalancer has no address yet (EXTERNAL-IP pending): the cloud provider has not given one",
    )
}

fn custom_resource_definition(object: &Value) -> Progress {
    if let Some(refused) = condition(object, "NamesAccepted").filter(|c| c.is("False")) {
        return Progress::Failed(refused.text());
    }
    if condition(object, "Established").is_some_and(|c| c.is("True")) {
        return Progress::Current;
    }
    in_progress("the API server does not serve it yet")
}

fn ready_condition(object: &Value) -> Progress {
    match condition(object, "Ready") {
        Some(ready) if ready.is("False") || ready.is("Unknown") => in_progress(ready.text()),
        _ => Progress::Current,
    }
}

fn count(object: &Value, pointer: &str, default: i64) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(default)
}

struct Condition<'a> {
    status: &'a str,
    reason: &'a str,
    message: &'a str,
}

fn condition<'a>(object: &'a Value, name: &str) -> Option<Condition<'a>> {
    let list = object.pointer("/status/conditions")?.as_array()?;
    let found = list.iter().find(|c| c["type"] == name)?;
    let text = |field: &str| found[field].as_str().unwrap_or_default();
    Some(Condition {
        status: text("status"),
        reason: text("reason"),
        message: text("message"),
    })
}

// === impl Condition ===

impl Condition<'_> {
    fn is(&self, status: &str) -> bool {
        self.status == status
    }

    fn text(&self) -> String {
        match (self.reason, self.message) {
            (reason, "") => reason.to_owned(),
            ("", message) => message.to_owned(),
            (reason, message) => format!("{reason}: {message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mk_deployment(status: Value) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "generation": 2},
            "spec": {"replicas": 3}, "status": status,
        })
    }

    #[test]
    fn a_deployment_is_current_only_when_its_new_replicas_alone_are_available() {
        let done = json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3});
        let with = |field: &str, value: Value| {
            let mut status = done.clone();
            status[field] = value;
            mk_deployment(status)
        };
        assert_eq!(progress(&mk_deployment(done.clone())), Progress::Current);
        for (name, object, missing) in [
            (
                "the previous rollout is complete",
                with("observedGeneration", json!(1)),
                "generation 2",
            ),
            ("old pods remain", with("replicas", json!(4)), "1 old replicas"),
            (
                "not all updated",
                with("updatedReplicas", json!(1)),
                "1 of 3 replicas updated",
            ),
            (
                "not all available",
                with("availableReplicas", json!(2)),
                "2 of 3 replicas available",
            ),
            ("never seen", mk_deployment(json!({})), "not seen it yet"),
        ] {
            match progress(&object) {
                Progress::InProgress(text) => assert!(text.contains(missing), "{name}: {text}"),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_deployment_past_its_deadline_failed() {
        let object = mk_deployment(json!({"observedGeneration": 2, "conditions": [
            {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}]}));
        assert_eq!(
            progress(&object),
            Progress::Failed("ProgressDeadlineExceeded: timed out".into())
        );
    }

    #[test]
    fn other_kinds_follow_kstatus() {
        let object = |api: &str, kind: &str, rest: Value| {
            let mut value = json!({"apiVersion": api, "kind": kind, "metadata": {"name": "x"}});
            for (key, part) in rest.as_object().unwrap() {
                value[key] = part.clone();
            }
            value
        };
        let current = [
            object("v1", "ConfigMap", json!({})),
            object("v1", "Service", json!({"spec": {"type": "ClusterIP"}})),
            object(
                "v1",
                "Service",
                json!({"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": [{"hostname": "lb"}]}}}),
            ),
            object(
                "batch/v1",
                "Job",
                json!({"status": {"conditions": [{"type": "Complete", "status": "True"}]}}),
            ),
            object(
                "v1",
                "PersistentVolumeClaim",
                json!({"status": {"phase": "Bound"}}),
            ),
            object(
                "example.com/v1",
                "Thing",
                json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
            ),
            object(
                "apps/v1",
                "StatefulSet",
                json!({"spec": {"replicas": 1}, "status": {"observedGeneration": 1, "replicas": 1,
                "readyReplicas": 1, "currentRevision": "a", "updateRevision": "a"}}),
            ),
        ];
        for value in &current {
            assert_eq!(progress(value), Progress::Current, "{value}");
        }
        let waiting = [
            object(
                "v1",
                "Service",
                json!({"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {}}}),
            ),
            object("batch/v1", "Job", json!({"status": {"active": 1}})),
            object(
                "v1",
                "PersistentVolumeClaim",
                json!({"status": {"phase": "Pending"}}),
            ),
            object(
                "example.com/v1",
                "Thing",
                json!({"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "No"}]}}),
            ),
            object(
                "apps/v1",
                "StatefulSet",
                json!({"spec": {"replicas": 1}, "status": {"observedGeneration": 1, "replicas": 1,
                "readyReplicas": 1, "currentRevision": "a", "updateRevision": "b"}}),
            ),
            object(
                "apps/v1",
                "DaemonSet",
                json!({"status": {"observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 1}}),
            ),
        ];
        for value in &waiting {
            assert!(matches!(progress(value), Progress::InProgress(_)), "{value}");
        }
        let gone = object(
            "v1",
            "ConfigMap",
            json!({"metadata": {"name": "x", "deletionTimestamp": "2026-01-01T00:00:00Z"}}),
        );
        assert_eq!(progress(&gone), Progress::Terminating);
    }
}
