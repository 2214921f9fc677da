//! What is wrong with pods and with the templates that pods are made from.

use serde_json::Value;

use super::check::Check;
use super::containers::containers;
use super::text;
use super::volumes::volumes;
use crate::kinds::fields::{is_empty, items, number, some, text as text_of};

/// What a change of a pod may touch.
const CHANGEABLE: &str = "pod updates may not change fields other than \
                          `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
                          `spec.tolerations` (only additions to existing tolerations),\
                          `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

pub fn pod(object: &Value, old: Option<&Value>, check: &mut Check) {
    spec(&object["spec"], "spec", check);
    if let Some(old) = old {
        update(&object["spec"], &old["spec"], check);
    }
}

/// A template and the pods that come from it, which never end.
pub fn lasting_template(template_: &Value, path: &str, owner: &str, check: &mut Check) {
    template(template_, path, check);
    let policy = text_of(&template_["spec"], "restartPolicy");
    if policy != "Always" {
        check.unsupported(format!("{path}.spec.restartPolicy"), policy, &["Always"]);
    }
    if some(&template_["spec"], "activeDeadlineSeconds") {
        let why = format!("activeDeadlineSeconds in {owner} is not Supported");
        check.forbidden(format!("{path}.spec.activeDeadlineSeconds"), &why);
    }
}

/// A template of pods.
pub fn template(template: &Value, path: &str, check: &mut Check) {
    check.labels(&template["metadata"], "labels", &format!("{path}.labels"));
    spec(&template["spec"], &format!("{path}.spec"), check);
}

fn spec(spec: &Value, path: &str, check: &mut Check) {
    let names = volumes(spec, path, check);
    containers(spec, path, &names, check);
    check.one_of(spec, path, "restartPolicy", &["Always", "OnFailure", "Never"]);
    check.one_of(
        spec,
        path,
        "dnsPolicy",
        &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"],
    );
    check.labels(spec, "nodeSelector", &format!("{path}.nodeSelector"));
    let account = text_of(spec, "serviceAccountName");
    if !account.is_empty() {
        check.text(
            format!("{path}.serviceAccountName"),
            account,
            text::subdomain(account),
        );
    }
    for (index, secret) in items(spec, "imagePullSecrets").iter().enumerate() {
        if is_empty(secret, "name") {
            check.required(format!("{path}.imagePullSecrets[{index}].name"), "");
        }
    }
    let deadline = spec["activeDeadlineSeconds"].as_i64();
    if let Some(deadline) = deadline.filter(|deadline| !(1..=i64::from(i32::MAX)).contains(deadline)) {
        check.invalid(
            format!("{path}.activeDeadlineSeconds"),
            deadline,
            "must be between 1 and 2147483647, inclusive",
        );
    }
    for (index, toleration) in items(spec, "tolerations").iter().enumerate() {
        self::toleration(toleration, &format!("{path}.tolerations[{index}]"), check);
    }
    let hostname = text_of(spec, "hostname");
    if !hostname.is_empty() {
        check.text(format!("{path}.hostname"), hostname, text::label(hostname));
    }
}

fn toleration(toleration: &Value, path: &str, check: &mut Check) {
    let key = text_of(toleration, "key");
    if !key.is_empty() {
        check.text(format!("{path}.key"), key, text::qualified_name(key));
    }
    let operator = text_of(toleration, "operator");
    if key.is_empty() && operator != "Exists" {
        let why =
            "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        check.invalid(format!("{path}.operator"), operator, why);
    }
    if operator == "Exists" && !is_empty(toleration, "value") {
        let why = "value must be empty when `operator` is 'Exists'";
        check.invalid(format!("{path}.operator"), text_of(toleration, "value"), why);
    }
    if !matches!(operator, "" | "Exists" | "Equal" | "Lt" | "Gt") {
        check.unsupported(format!("{path}.operator"), operator, &["Equal", "Exists"]);
    }
    if some(toleration, "tolerationSeconds") && text_of(toleration, "effect") != "NoExecute" {
        let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        check.invalid(format!("{path}.effect"), text_of(toleration, "effect"), why);
    }
}

fn update(new: &Value, old: &Value, check: &mut Check) {
    for list in ["containers", "initContainers"] {
        if items(new, list).len() != items(old, list).len() {
            return check.forbidden(
                format!("spec.{list}"),
                "pod updates may not add or remove containers",
            );
        }
    }
    let mut kept = new.clone();
    for list in ["containers", "initContainers"] {
        for index in 0..items(old, list).len() {
            kept[list][index]["image"] = old[list][index]["image"].clone();
        }
    }
    for field in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        put(&mut kept, old, field);
    }
    // The scheduler's binding comes as an update here.
    if is_empty(old, "nodeName") {
        put(&mut kept, old, "nodeName");
    }
    if number(old, "terminationGracePeriodSeconds") < 0 {
        put(&mut kept, old, "terminationGracePeriodSeconds");
    }
    if kept != *old {
        check.forbidden("spec", CHANGEABLE);
    }
}

fn put(kept: &mut Value, old: &Value, field: &str) {
    match (old.get(field), kept.as_object_mut()) {
        (Some(value), Some(map)) => drop(map.insert(field.to_owned(), value.clone())),
        (None, Some(map)) => drop(map.remove(field)),
        _ => {}
    }
}
