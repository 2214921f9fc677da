//! Defaults of what makes pods: Deployments and their kin, Jobs, autoscalers.

use serde_json::{Value, json};

use super::pods;
use crate::kinds::fields::{default_to, entries, is_empty, items_mut, some_mut, text};

pub fn deployment(object: &mut Value) {
    let spec = &mut object["spec"];
    pods::template(&mut spec["template"]);
    default_to(spec, "replicas", 1);
    let strategy = &mut spec["strategy"];
    default_to(strategy, "type", "RollingUpdate");
    if text(strategy, "type") == "RollingUpdate" {
        let rolling = &mut strategy["rollingUpdate"];
        default_to(rolling, "maxUnavailable", "25%");
        default_to(rolling, "maxSurge", "25%");
    }
    default_to(spec, "revisionHistoryLimit", 10);
    default_to(spec, "progressDeadlineSeconds", 600);
}

pub fn replica_set(object: &mut Value) {
    let spec = &mut object["spec"];
    if some_mut(spec, "template").is_some() {
        pods::template(&mut spec["template"]);
    }
    default_to(spec, "replicas", 1);
}

pub fn replication_controller(object: &mut Value) {
    replica_set(object);
    let labels = object["spec"]["template"]["metadata"]["labels"].clone();
    if !labels.is_null() {
        if is_empty(&object["spec"], "selector") {
            object["spec"]["selector"] = labels.clone();
        }
        if is_empty(&object["metadata"], "labels") {
            object["metadata"]["labels"] = labels;
        }
    }
}

pub fn stateful_set(object: &mut Value) {
    let spec = &mut object["spec"];
    pods::template(&mut spec["template"]);
    for claim in items_mut(spec, "volumeClaimTemplates") {
        default_to(claim, "apiVersion", "v1");
        default_to(claim, "kind", "PersistentVolumeClaim");
        default_to(&mut claim["spec"], "volumeMode", "Filesystem");
        default_to(&mut claim["status"], "phase", "Pending");
    }
    default_to(spec, "podManagementPolicy", "OrderedReady");
    let strategy = &mut spec["updateStrategy"];
    if is_empty(strategy, "type") {
        strategy["type"] = "RollingUpdate".into();
        default_to(strategy, "rollingUpdate", json!({}));
    }
    if text(strategy, "type") == "RollingUpdate"
        && let Some(rolling) = some_mut(strategy, "rollingUpdate")
    {
        default_to(rolling, "partition", 0);
        default_to(rolling, "maxUnavailable", 1);
    }
    let policy = &mut spec["persistentVolumeClaimRetentionPolicy"];
    default_to(policy, "whenDeleted", "Retain");
    default_to(policy, "whenScaled", "Retain");
    default_to(spec, "replicas", 1);
    default_to(spec, "revisionHistoryLimit", 10);
}

pub fn daemon_set(object: &mut Value) {
    let spec = &mut object["spec"];
    pods::template(&mut spec["template"]);
    let strategy = &mut spec["updateStrategy"];
    default_to(strategy, "type", "RollingUpdate");
    if text(strategy, "type") == "RollingUpdate" {
        let rolling = &mut strategy["rollingUpdate"];
        default_to(rolling, "maxUnavailable", 1);
        default_to(rolling, "maxSurge", 0);
    }
    default_to(spec, "revisionHistoryLimit", 10);
}

pub fn job(object: &mut Value) {
    job_spec(&mut object["spec"]);
    if is_empty(&object["metadata"], "labels")
        && entries(&object["spec"]["template"]["metadata"], "labels").count() > 0
    {
        object["metadata"]["labels"] = object["spec"]["template"]["metadata"]["labels"].clone();
    }
}

fn job_spec(spec: &mut Value) {
    pods::template(&mut spec["template"]);
    if spec["completions"].is_null() && spec["parallelism"].is_null() {
        spec["completions"] = 1.into();
    }
    default_to(spec, "parallelism", 1);
    let limit = if spec["backoffLimitPerIndex"].is_null() {
        6
    } else {
        i32::MAX
    };
    default_to(spec, "backoffLimit", limit);
    default_to(spec, "completionMode", "NonIndexed");
    default_to(spec, "suspend", false);
    let replacement = if spec["podFailurePolicy"].is_null() {
        "TerminatingOrFailed"
    } else {
        "Failed"
    };
    default_to(spec, "podReplacementPolicy", replacement);
    default_to(spec, "manualSelector", false);
    if let Some(map) = spec.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
}

pub fn cron_job(object: &mut Value) {
    let spec = &mut object["spec"];
    pods::template(&mut spec["jobTemplate"]["spec"]["template"]);
    default_to(spec, "concurrencyPolicy", "Allow");
    default_to(spec, "suspend", false);
    default_to(spec, "successfulJobsHistoryLimit", 3);
    default_to(spec, "failedJobsHistoryLimit", 1);
}

pub fn autoscaler(object: &mut Value) {
    let is_v1 = text(object, "apiVersion") == "autoscaling/v1";
    let spec = &mut object["spec"];
    default_to(spec, "minReplicas", 1);
    if is_v1 {
        default_to(spec, "targetCPUUtilizationPercentage", 80);
        return;
    }
    if is_empty(spec, "metrics") {
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        spec["metrics"] = json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]);
    }
    if let Some(behavior) = some_mut(spec, "behavior") {
        let up = json!([
            {"type": "Pods", "value": 4, "periodSeconds": 15},
            {"type": "Percent", "value": 100, "periodSeconds": 15},
        ]);
        let down = json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]);
        default_to(&mut behavior["scaleUp"], "stabilizationWindowSeconds", 0);
        for (name, policies) in [("scaleUp", up), ("scaleDown", down)] {
            let rules = &mut behavior[name];
            default_to(rules, "selectPolicy", "Max");
            if rules["policies"].is_null() {
                rules["policies"] = policies;
            }
        }
    }
}
