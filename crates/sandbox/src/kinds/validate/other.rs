//! What is wrong with configuration, storage and access.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::check::{Check, IMMUTABLE};
use super::text;
use crate::kinds::fields::{entries, flag, is_empty, items, number, some, text as text_of};
use crate::kinds::quantity::Quantity;

/// The most bytes that a ConfigMap or a Secret holds.
const LARGEST: usize = 1024 * 1024;

const FROZEN: &str = "field is immutable when `immutable` is set";
const MODES: [&str; 4] = [
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
];

pub fn config_map(object: &Value, old: Option<&Value>, check: &mut Check) {
    frozen(object, old, &["data", "binaryData"], check);
    let mut size = 0;
    for bag in ["data", "binaryData"] {
        for (key, value) in entries(object, bag) {
            let path = format!("{bag}[{key}]");
            check.text(path.clone(), key, text::config_key(key));
            if bag == "data" && some(&object["binaryData"], key) {
                check.invalid(path, key.as_str(), "duplicate of key present in binaryData");
            }
            size += value.as_str().map_or(0, str::len);
        }
    }
    too_large("", size, check);
}

pub fn secret(object: &Value, old: Option<&Value>, check: &mut Check) {
    if let Some(old) = old {
        check_type(object, old, check);
    }
    frozen(object, old, &["data"], check);
    let mut size = 0;
    for (key, value) in entries(object, "data") {
        check.text(format!("data[{key}]"), key, text::config_key(key));
        size += value.as_str().map_or(0, str::len) / 4 * 3;
    }
    too_large("data", size, check);
    let needs = |keys: &[&str], check: &mut Check| {
        for key in keys.iter().filter(|key| !some(&object["data"], key)) {
            check.required(format!("data[{key}]"), "");
        }
    };
    match text_of(object, "type") {
        "kubernetes.io/tls" => needs(&["tls.crt", "tls.key"], check),
        "kubernetes.io/ssh-auth" => needs(&["ssh-privatekey"], check),
        "kubernetes.io/dockerconfigjson" => docker_config(object, check),
        "kubernetes.io/basic-auth" => {
            let has = |key: &str| some(&object["data"], key);
            if !has("username") && !has("password") {
                needs(&["username", "password"], check);
            }
        }
        _ => {}
    }
}

fn check_type(object: &Value, old: &Value, check: &mut Check) {
    if object["type"] != old["type"] {
        check.invalid("type", object["type"].clone(), IMMUTABLE);
    }
}

fn docker_config(object: &Value, check: &mut Check) {
    let key = ".dockerconfigjson";
    let Some(text) = object["data"][key].as_str() else {
        return check.required(format!("data[{key}]"), "");
    };
    let read = STANDARD
        .decode(text)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    if read.is_none() {
        check.invalid(
            format!("data[{key}]"),
            "<secret contents redacted>",
            "invalid character",
        );
    }
}

fn frozen(object: &Value, old: Option<&Value>, bags: &[&str], check: &mut Check) {
    let Some(old) = old.filter(|old| flag(old, "immutable")) else {
        return;
    };
    if !flag(object, "immutable") {
        check.forbidden("immutable", FROZEN);
    }
    for bag in bags.iter().filter(|bag| object[**bag] != old[**bag]) {
        check.forbidden(*bag, FROZEN);
    }
}

fn too_large(path: &str, size: usize, check: &mut Check) {
    if size > LARGEST {
        let why = format!("may not be more than {LARGEST} bytes");
        let kind = crate::status::FieldErrorKind::TooLong;
        check
            .errors
            .push(crate::status::FieldError::new(kind, path, Value::Null, why));
    }
}

pub fn claim(object: &Value, old: Option<&Value>, check: &mut Check) {
    let spec = &object["spec"];
    if is_empty(spec, "accessModes") {
        check.required("spec.accessModes", "at least 1 access mode is required");
    }
    for mode in items(spec, "accessModes") {
        let mode = mode.as_str().unwrap_or_default();
        if !MODES.contains(&mode) {
            check.unsupported("spec.accessModes", mode, &MODES);
        }
    }
    let storage = &spec["resources"]["requests"]["storage"];
    match storage.as_str().and_then(Quantity::parse) {
        None => check.required("spec.resources[storage]", ""),
        Some(amount) if amount.is_negative() || amount.is_zero() => {
            check.invalid(
                "spec.resources[storage]",
                storage.clone(),
                "must be greater than zero",
            );
        }
        Some(_) => {}
    }
    let Some(old) = old.map(|old| &old["spec"]) else {
        return;
    };
    let mut kept = spec.clone();
    for field in ["resources", "volumeName", "volumeAttributesClassName"] {
        if let Some(value) = old.get(field) {
            kept[field] = value.clone();
        } else {
            crate::kinds::fields::remove(&mut kept, field);
        }
    }
    if kept != *old {
        let why = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        check.forbidden("spec", why);
    }
}

pub fn volume(object: &Value, _: Option<&Value>, check: &mut Check) {
    let spec = &object["spec"];
    if is_empty(spec, "accessModes") {
        check.required("spec.accessModes", "");
    }
    if is_empty(spec, "capacity") {
        check.required("spec.capacity", "");
    } else if !some(&spec["capacity"], "storage") {
        let supported = ["storage"];
        check.unsupported("spec.capacity", spec["capacity"].clone(), &supported);
    }
    let plain = [
        "capacity",
        "accessModes",
        "persistentVolumeReclaimPolicy",
        "volumeMode",
        "storageClassName",
        "claimRef",
    ];
    let mut sources = entries(object, "spec").filter(|(key, _)| !plain.contains(&key.as_str()));
    if sources.all(|(key, _)| matches!(key.as_str(), "mountOptions" | "nodeAffinity")) {
        check.required("spec", "must specify a volume type");
    }
}

pub fn storage_class(object: &Value, old: Option<&Value>, check: &mut Check) {
    match text_of(object, "provisioner") {
        "" => check.required("provisioner", ""),
        name => check.text("provisioner", name, text::qualified_name(&name.to_lowercase())),
    }
    let policy = text_of(object, "reclaimPolicy");
    if !matches!(policy, "Delete" | "Retain") {
        check.unsupported("reclaimPolicy", policy, &["Delete", "Retain"]);
    }
    if let Some(old) = old {
        if object["parameters"] != old["parameters"] {
            check.forbidden("parameters", "updates to parameters are forbidden.");
        }
        if object["provisioner"] != old["provisioner"] {
            check.forbidden("provisioner", "updates to provisioner are forbidden.");
        }
    }
}

pub fn priority_class(object: &Value, old: Option<&Value>, check: &mut Check) {
    let most = 1_000_000_000;
    if number(object, "value") > most && !text_of(&object["metadata"], "name").starts_with("system-") {
        let why = format!("maximum allowed value of a user defined priority is {most}");
        check.forbidden("value", &why);
    }
    if let Some(old) = old
        && object["value"] != old["value"]
    {
        check.invalid("value", object["value"].clone(), IMMUTABLE);
    }
}

pub fn role(object: &Value, _: Option<&Value>, check: &mut Check) {
    for (index, rule) in items(object, "rules").iter().enumerate() {
        let path = format!("rules[{index}]");
        if is_empty(rule, "verbs") {
            check.required(format!("{path}.verbs"), "");
        }
        if !is_empty(rule, "nonResourceURLs") {
            if text_of(object, "kind") == "Role" {
                let why = "namespaced rules cannot apply to non-resource URLs";
                check.invalid(
                    format!("{path}.nonResourceURLs"),
                    rule["nonResourceURLs"].clone(),
                    why,
                );
            }
            continue;
        }
        if is_empty(rule, "apiGroups") {
            check.required(
                format!("{path}.apiGroups"),
                "resource rules must supply at least one api group",
            );
        }
        if is_empty(rule, "resources") {
            check.required(
                format!("{path}.resources"),
                "resource rules must supply at least one resource",
            );
        }
    }
}

pub fn role_binding(object: &Value, old: Option<&Value>, check: &mut Check) {
    let role = &object["roleRef"];
    let kinds: &[&str] = match text_of(object, "kind") {
        "ClusterRoleBinding" => &["ClusterRole"],
        _ => &["Role", "ClusterRole"],
    };
    if !kinds.contains(&text_of(role, "kind")) {
        check.unsupported("roleRef.kind", text_of(role, "kind"), kinds);
    }
    if is_empty(role, "name") {
        check.required("roleRef.name", "");
    }
    for (index, subject) in items(object, "subjects").iter().enumerate() {
        let path = format!("subjects[{index}]");
        if is_empty(subject, "name") {
            check.required(format!("{path}.name"), "");
        }
        match text_of(subject, "kind") {
            "ServiceAccount" if is_empty(subject, "namespace") => {
                let is_cluster = text_of(object, "kind") == "ClusterRoleBinding";
                if is_cluster {
                    check.required(format!("{path}.namespace"), "");
                }
            }
            "ServiceAccount" | "User" | "Group" => {}
            other => check.unsupported(
                format!("{path}.kind"),
                other,
                &["ServiceAccount", "User", "Group"],
            ),
        }
    }
    if let Some(old) = old
        && object["roleRef"] != old["roleRef"]
    {
        let role = &object["roleRef"];
        // The server tells it with the names of its own memory.
        let told = json!({"APIGroup": role["apiGroup"], "Kind": role["kind"], "Name": role["name"]});
        check.invalid("roleRef", told, IMMUTABLE);
    }
}
