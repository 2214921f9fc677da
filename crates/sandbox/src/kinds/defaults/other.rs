//! Defaults of configuration, storage, access and admission.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::pods::resource_list;
use crate::kinds::fields::{default_to, is_empty, items_mut, map_mut, remove, some_mut, text};

/// The group of roles and of their users.
const RBAC: &str = "rbac.authorization.k8s.io";

pub fn secret(object: &mut Value) {
    let plain = object["stringData"].take();
    remove(object, "stringData");
    for (key, value) in plain.as_object().into_iter().flatten() {
        if let (Some(data), Some(text)) = (map_mut(object, "data"), value.as_str()) {
            data.insert(key.clone(), STANDARD.encode(text).into());
        }
    }
    default_to(object, "type", "Opaque");
}

pub fn namespace(object: &mut Value) {
    let name = text(&object["metadata"], "name").to_owned();
    if !name.is_empty()
        && let Some(labels) = map_mut(&mut object["metadata"], "labels")
    {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name.into());
    }
    default_to(&mut object["status"], "phase", "Active");
}

pub fn node(object: &mut Value) {
    let status = &mut object["status"];
    for name in ["capacity", "allocatable"] {
        if let Some(list) = some_mut(status, name) {
            resource_list(list);
        }
    }
    if status["allocatable"].is_null() && !status["capacity"].is_null() {
        status["allocatable"] = status["capacity"].clone();
    }
    remove_null(status, "allocatable");
}

pub fn limit_range(object: &mut Value) {
    for item in items_mut(&mut object["spec"], "limits").filter(|item| text(item, "type") == "Container") {
        for (from, to) in [
            ("max", "default"),
            ("default", "defaultRequest"),
            ("min", "defaultRequest"),
        ] {
            let source = item[from].as_object().cloned().unwrap_or_default();
            if source.is_empty() {
                remove_null(item, from);
                continue;
            }
            for (name, amount) in source {
                if let Some(target) = map_mut(item, to) {
                    target.entry(name).or_insert(amount);
                }
            }
        }
    }
}

pub fn volume(object: &mut Value) {
    default_to(&mut object["status"], "phase", "Pending");
    let spec = &mut object["spec"];
    default_to(spec, "persistentVolumeReclaimPolicy", "Retain");
    default_to(spec, "volumeMode", "Filesystem");
    if let Some(path) = some_mut(spec, "hostPath")
        && path["type"].is_null()
    {
        path["type"] = "".into();
    }
}

pub fn claim(object: &mut Value) {
    default_to(&mut object["status"], "phase", "Pending");
    default_to(&mut object["spec"], "volumeMode", "Filesystem");
}

pub fn storage_class(object: &mut Value) {
    default_to(object, "reclaimPolicy", "Delete");
    default_to(object, "volumeBindingMode", "Immediate");
}

pub fn priority_class(object: &mut Value) {
    default_to(object, "preemptionPolicy", "PreemptLowerPriority");
}

pub fn role_binding(object: &mut Value) {
    default_to(&mut object["roleRef"], "apiGroup", RBAC);
    for subject in items_mut(object, "subjects") {
        if matches!(text(subject, "kind"), "User" | "Group") {
            default_to(subject, "apiGroup", RBAC);
        }
    }
}

pub fn validating_webhooks(object: &mut Value) {
    for hook in items_mut(object, "webhooks") {
        webhook(hook);
    }
}

pub fn mutating_webhooks(object: &mut Value) {
    for hook in items_mut(object, "webhooks") {
        webhook(hook);
        default_to(hook, "reinvocationPolicy", "Never");
    }
}

fn webhook(hook: &mut Value) {
    matching(hook);
    default_to(hook, "failurePolicy", "Fail");
    default_to(hook, "timeoutSeconds", 10);
    for rule in items_mut(hook, "rules") {
        default_to(rule, "scope", "*");
    }
    if let Some(service) = some_mut(&mut hook["clientConfig"], "service") {
        default_to(service, "port", 443);
    }
}

pub fn admission_policy(object: &mut Value) {
    let spec = &mut object["spec"];
    default_to(spec, "failurePolicy", "Fail");
    if let Some(constraints) = some_mut(spec, "matchConstraints") {
        match_resources(constraints);
    }
}

pub fn admission_binding(object: &mut Value) {
    let spec = &mut object["spec"];
    if let Some(resources) = some_mut(spec, "matchResources") {
        match_resources(resources);
    }
}

fn match_resources(resources: &mut Value) {
    matching(resources);
    for rules in ["resourceRules", "excludeResourceRules"] {
        for rule in items_mut(resources, rules) {
            default_to(rule, "scope", "*");
        }
    }
}

fn matching(value: &mut Value) {
    default_to(value, "matchPolicy", "Equivalent");
    for selector in ["namespaceSelector", "objectSelector"] {
        default_to(value, selector, json!({}));
    }
}

fn remove_null(value: &mut Value, key: &str) {
    if is_empty(value, key) {
        remove(value, key);
    }
}
