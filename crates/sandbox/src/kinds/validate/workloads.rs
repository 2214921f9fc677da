//! What is wrong with what makes pods: Deployments and their kin, Jobs, autoscalers and budgets.

use serde_json::{Value, json};

use super::check::{Check, IMMUTABLE};
use super::pods;
use super::text;
use crate::controllers::Schedule;
use crate::kinds::fields::{entries, is_empty, items, number, selects, some, text as text_of};

pub fn deployment(object: &Value, old: Option<&Value>, check: &mut Check) {
    let spec = &object["spec"];
    check.not_negative(spec, "spec", "replicas");
    selector(spec, "deployment", check);
    if matches(spec, check) {
        pods::lasting_template(&spec["template"], "spec.template", "ReplicaSet", check);
    }
    strategy(&spec["strategy"], check);
    check.not_negative(spec, "spec", "minReadySeconds");
    check.not_negative(spec, "spec", "revisionHistoryLimit");
    check.not_negative(spec, "spec", "progressDeadlineSeconds");
    let deadline = number(spec, "progressDeadlineSeconds");
    if some(spec, "progressDeadlineSeconds") && deadline <= number(spec, "minReadySeconds") {
        check.invalid(
            "spec.progressDeadlineSeconds",
            deadline,
            "must be greater than minReadySeconds",
        );
    }
    if let Some(old) = old {
        check.immutable(spec, &old["spec"], "spec", "selector");
    }
}

pub fn replica_set(object: &Value, old: Option<&Value>, check: &mut Check) {
    let spec = &object["spec"];
    check.not_negative(spec, "spec", "replicas");
    check.not_negative(spec, "spec", "minReadySeconds");
    selector(spec, "replicaset", check);
    if matches(spec, check) {
        pods::lasting_template(&spec["template"], "spec.template", "ReplicaSet", check);
    }
    if let Some(old) = old {
        check.immutable(spec, &old["spec"], "spec", "selector");
    }
}

pub fn replication_controller(object: &Value, _: Option<&Value>, check: &mut Check) {
    let spec = &object["spec"];
    check.not_negative(spec, "spec", "minReadySeconds");
    if is_empty(spec, "selector") {
        check.required("spec.selector", "");
    }
    check.not_negative(spec, "spec", "replicas");
    if !some(spec, "template") {
        return check.required("spec.template", "");
    }
    let labels = &spec["template"]["metadata"]["labels"];
    if !selects(&json!({"matchLabels": spec["selector"]}), labels) {
        let why = "`selector` does not match template `labels`";
        check.invalid("spec.template.metadata.labels", labels.clone(), why);
    }
    pods::lasting_template(&spec["template"], "spec.template", "ReplicationController", check);
}

pub fn stateful_set(object: &Value, old: Option<&Value>, check: &mut Check) {
    let spec = &object["spec"];
    let policy = text_of(spec, "podManagementPolicy");
    if !matches!(policy, "OrderedReady" | "Parallel") {
        check.invalid(
            "spec.podManagementPolicy",
            policy,
            "must be 'OrderedReady' or 'Parallel'",
        );
    }
    let kind = text_of(&spec["updateStrategy"], "type");
    if !matches!(kind, "RollingUpdate" | "OnDelete") {
        check.invalid(
            "spec.updateStrategy",
            spec["updateStrategy"].clone(),
            "must be 'RollingUpdate' or 'OnDelete'",
        );
    }
    check.not_negative(
        &spec["updateStrategy"]["rollingUpdate"],
        "spec.updateStrategy.rollingUpdate",
        "partition",
    );
    check.not_negative(spec, "spec", "replicas");
    check.not_negative(spec, "spec", "minReadySeconds");
    let service = text_of(spec, "serviceName");
    if !service.is_empty() {
        check.text("spec.serviceName", service, text::label(service));
    }
    selector(spec, "statefulset", check);
    if matches(spec, check) {
        let mut template = spec["template"].clone();
        for claim in items(spec, "volumeClaimTemplates") {
            let name = text_of(&claim["metadata"], "name");
            let volume = json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
            match template["spec"]["volumes"].as_array_mut() {
                Some(volumes) => {
                    volumes.retain(|one| text_of(one, "name") != name);
                    volumes.push(volume);
                }
                None => template["spec"]["volumes"] = json!([volume]),
            }
        }
        pods::lasting_template(&template, "spec.template", "StatefulSet", check);
    }
    if let Some(old) = old {
        for field in [
            "selector",
            "volumeClaimTemplates",
            "serviceName",
            "podManagementPolicy",
        ] {
            check.immutable(spec, &old["spec"], "spec", field);
        }
    }
}

pub fn daemon_set(object: &Value, old: Option<&Value>, check: &mut Check) {
    let spec = &object["spec"];
    if some(spec, "selector") {
        check.selector(&spec["selector"], "spec.selector");
    }
    if matches(spec, check) {
        if some(spec, "selector") && is_blank(&spec["selector"]) {
            check.invalid(
                "spec.selector",
                spec["selector"].clone(),
                "empty selector is invalid for daemonset",
            );
        }
        pods::lasting_template(&spec["template"], "spec.template", "DaemonSet", check);
    }
    check.not_negative(spec, "spec", "minReadySeconds");
    let kind = text_of(&spec["updateStrategy"], "type");
    if !matches!(kind, "RollingUpdate" | "OnDelete") {
        check.unsupported("spec.updateStrategy.type", kind, &["RollingUpdate", "OnDelete"]);
    }
    check.not_negative(spec, "spec", "revisionHistoryLimit");
    if let Some(old) = old {
        check.immutable(spec, &old["spec"], "spec", "selector");
    }
}

fn is_blank(selector: &Value) -> bool {
    entries(selector, "matchLabels").count() == 0 && items(selector, "matchExpressions").is_empty()
}

fn selector(spec: &Value, kind: &str, check: &mut Check) {
    if !some(spec, "selector") {
        return check.required("spec.selector", "");
    }
    check.selector(&spec["selector"], "spec.selector");
    if is_blank(&spec["selector"]) {
        let why = format!("empty selector is invalid for {kind}");
        check.invalid("spec.selector", spec["selector"].clone(), why);
    }
}

/// Whether the template can be looked at; without a selector nothing matches, which is told too.
fn matches(spec: &Value, check: &mut Check) -> bool {
    let labels = &spec["template"]["metadata"]["labels"];
    let is_matched = some(spec, "selector") && selects(&spec["selector"], labels);
    if !is_matched {
        let why = "`selector` does not match template `labels`";
        check.invalid("spec.template.metadata.labels", labels.clone(), why);
    }
    true
}

fn strategy(strategy: &Value, check: &mut Check) {
    let path = "spec.strategy.rollingUpdate";
    let rolling = &strategy["rollingUpdate"];
    match text_of(strategy, "type") {
        "Recreate" if some(strategy, "rollingUpdate") => {
            check.forbidden(path, "may not be specified when strategy `type` is 'Recreate'");
        }
        "Recreate" => {}
        "RollingUpdate" => {
            let is_nothing = |value: &Value| *value == 0 || *value == "0%";
            check.count_or_percent(&format!("{path}.maxUnavailable"), &rolling["maxUnavailable"]);
            check.count_or_percent(&format!("{path}.maxSurge"), &rolling["maxSurge"]);
            if is_nothing(&rolling["maxUnavailable"]) && is_nothing(&rolling["maxSurge"]) {
                let value = rolling["maxUnavailable"].clone();
                check.invalid(
                    format!("{path}.maxUnavailable"),
                    value,
                    "may not be 0 when `maxSurge` is 0",
                );
            }
        }
        _ => {
            let internal = json!({"Type": strategy["type"], "RollingUpdate": strategy["rollingUpdate"]});
            check.unsupported("spec.strategy", internal, &["Recreate", "RollingUpdate"]);
        }
    }
}

pub fn job(object: &Value, old: Option<&Value>, check: &mut Check) {
    let spec = &object["spec"];
    job_spec(spec, "spec", check);
    if !some(spec, "selector") {
        check.required("spec.selector", "");
    }
    let Some(old) = old.map(|old| &old["spec"]) else {
        return;
    };
    if text_of(spec, "completionMode") != "Indexed" {
        check.immutable(spec, old, "spec", "completions");
    }
    check.immutable(spec, old, "spec", "selector");
    if spec["template"] != old["template"] && !old["suspend"].as_bool().unwrap_or_default() {
        // The server tells the whole template, as its own memory has it.
        check.invalid("spec.template", spec["template"].clone(), IMMUTABLE);
    }
    check.immutable(spec, old, "spec", "completionMode");
}

fn job_spec(spec: &Value, path: &str, check: &mut Check) {
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
    ] {
        check.not_negative(spec, path, field);
    }
    if text_of(spec, "completionMode") == "Indexed" && !some(spec, "completions") {
        let why = "when completion mode is Indexed";
        check.required(format!("{path}.completions"), why);
    }
    pods::template(&spec["template"], &format!("{path}.template"), check);
    let policy = text_of(&spec["template"]["spec"], "restartPolicy");
    if !matches!(policy, "OnFailure" | "Never") {
        let field = format!("{path}.template.spec.restartPolicy");
        check.errors.retain(|error| error.field != field);
        match policy {
            "Always" => check.required(field, "valid values: \"OnFailure\", \"Never\""),
            other => check.unsupported(field, other, &["OnFailure", "Never"]),
        }
    }
}

pub fn cron_job(object: &Value, _: Option<&Value>, check: &mut Check) {
    let spec = &object["spec"];
    match text_of(spec, "schedule") {
        "" => check.required("spec.schedule", ""),
        schedule => {
            if let Err(why) = Schedule::parse(schedule) {
                check.invalid("spec.schedule", schedule, why);
            }
        }
    }
    check.not_negative(spec, "spec", "startingDeadlineSeconds");
    check.one_of(spec, "spec", "concurrencyPolicy", &["Allow", "Forbid", "Replace"]);
    let template = &spec["jobTemplate"]["spec"];
    job_spec(template, "spec.jobTemplate.spec", check);
    check.not_negative(spec, "spec", "successfulJobsHistoryLimit");
    check.not_negative(spec, "spec", "failedJobsHistoryLimit");
}

pub fn autoscaler(object: &Value, _: Option<&Value>, check: &mut Check) {
    let spec = &object["spec"];
    let least = spec["minReplicas"].as_i64();
    let most = number(spec, "maxReplicas");
    if let Some(least) = least.filter(|least| *least < 1) {
        check.invalid("spec.minReplicas", least, "must be greater than or equal to 1");
    }
    if most < 1 {
        check.invalid("spec.maxReplicas", most, "must be greater than 0");
    }
    if least.is_some_and(|least| most < least) {
        check.invalid(
            "spec.maxReplicas",
            most,
            "must be greater than or equal to `minReplicas`",
        );
    }
    for field in ["kind", "name"] {
        if is_empty(&spec["scaleTargetRef"], field) {
            check.required(format!("spec.scaleTargetRef.{field}"), "");
        }
    }
    let version = text_of(&spec["scaleTargetRef"], "apiVersion");
    if !version.contains('/') && text_of(&spec["scaleTargetRef"], "kind") != "ReplicationController" {
        check.invalid(
            "spec.scaleTargetRef.apiVersion",
            version,
            "apiVersion must specify API group",
        );
    }
}

pub fn budget(object: &Value, _: Option<&Value>, check: &mut Check) {
    let spec = &object["spec"];
    if some(spec, "minAvailable") && some(spec, "maxUnavailable") {
        let internal = json!({
            "MinAvailable": spec["minAvailable"], "Selector": spec["selector"],
            "MaxUnavailable": spec["maxUnavailable"], "UnhealthyPodEvictionPolicy": spec["unhealthyPodEvictionPolicy"],
        });
        check.invalid(
            "spec",
            internal,
            "minAvailable and maxUnavailable cannot be both set",
        );
    }
    for field in ["minAvailable", "maxUnavailable"] {
        if some(spec, field) {
            check.count_or_percent(&format!("spec.{field}"), &spec[field]);
        }
    }
    check.selector(&spec["selector"], "spec.selector");
}
