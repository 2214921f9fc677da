//! Defaults of pods and of the templates that pods are made from.

use serde_json::{Value, json};

use crate::kinds::fields::{default_to, flag, items_mut, map_mut, number, some_mut, text};
use crate::kinds::quantity::Quantity;

/// What only a pod itself gets, and no template.
pub fn pod(object: &mut Value) {
    spec(&mut object["spec"]);
    let spec = &mut object["spec"];
    if spec["terminationGracePeriodSeconds"]
        .as_i64()
        .is_some_and(|seconds| seconds < 0)
    {
        spec["terminationGracePeriodSeconds"] = 1.into();
    }
    let host_network = flag(spec, "hostNetwork");
    for list in ["containers", "initContainers"] {
        for container in items_mut(spec, list) {
            requests_from_limits(&mut container["resources"]);
            for port in items_mut(container, "ports").filter(|_| host_network) {
                default_to(port, "hostPort", number(port, "containerPort"));
            }
        }
    }
    default_to(spec, "enableServiceLinks", true);
    let status = &mut object["status"];
    let (ip, ips) = (
        text(status, "podIP").to_owned(),
        status["podIPs"][0]["ip"].clone(),
    );
    if !ip.is_empty() && ips != ip.as_str() {
        status["podIPs"] = json!([{"ip": ip}]);
    } else if ip.is_empty() && ips.is_string() {
        status["podIP"] = ips;
    }
}

/// A template of pods.
pub fn template(template: &mut Value) {
    if template.is_object() {
        spec(&mut template["spec"]);
    }
}

fn spec(spec: &mut Value) {
    let account = match text(spec, "serviceAccountName") {
        "" => text(spec, "serviceAccount"),
        name => name,
    };
    if !account.is_empty() {
        let account = account.to_owned();
        spec["serviceAccount"] = account.clone().into();
        spec["serviceAccountName"] = account.into();
    }
    default_to(spec, "restartPolicy", "Always");
    default_to(spec, "terminationGracePeriodSeconds", 30);
    default_to(spec, "dnsPolicy", "ClusterFirst");
    default_to(spec, "securityContext", json!({}));
    default_to(spec, "schedulerName", "default-scheduler");
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        items_mut(spec, list).for_each(container);
    }
    items_mut(spec, "volumes").for_each(volume);
    resource_list(&mut spec["overhead"]);
    for spread in items_mut(spec, "topologySpreadConstraints") {
        default_to(spread, "whenUnsatisfiable", "DoNotSchedule");
    }
    // Indexing has made places for what is not there.
    if let Some(map) = spec.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
}

fn container(container: &mut Value) {
    let policy = if is_latest(text(container, "image")) {
        "Always"
    } else {
        "IfNotPresent"
    };
    default_to(container, "imagePullPolicy", policy);
    default_to(container, "terminationMessagePath", "/dev/termination-log");
    default_to(container, "terminationMessagePolicy", "File");
    for port in items_mut(container, "ports") {
        default_to(port, "protocol", "TCP");
    }
    for variable in items_mut(container, "env") {
        if let Some(field) = variable
            .get_mut("valueFrom")
            .and_then(|from| some_mut(from, "fieldRef"))
        {
            default_to(field, "apiVersion", "v1");
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(found) = some_mut(container, name) {
            probe(found);
        }
    }
    if let Some(lifecycle) = some_mut(container, "lifecycle") {
        for name in ["postStart", "preStop"] {
            if let Some(handler) = some_mut(lifecycle, name) {
                http_get(handler);
            }
        }
    }
    for name in ["limits", "requests"] {
        if let Some(list) = container
            .get_mut("resources")
            .and_then(|resources| some_mut(resources, name))
        {
            resource_list(list);
        }
    }
}

fn probe(probe: &mut Value) {
    for (name, value) in [
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ] {
        default_to(probe, name, value);
    }
    http_get(probe);
    if let Some(grpc) = some_mut(probe, "grpc")
        && grpc["service"].is_null()
    {
        grpc["service"] = "".into();
    }
}

fn http_get(handler: &mut Value) {
    if let Some(get) = some_mut(handler, "httpGet") {
        default_to(get, "path", "/");
        default_to(get, "scheme", "HTTP");
    }
}

fn volume(volume: &mut Value) {
    let has_source = volume
        .as_object()
        .is_some_and(|map| map.iter().any(|(name, value)| name != "name" && !value.is_null()));
    if !has_source {
        volume["emptyDir"] = json!({});
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = some_mut(volume, source) {
            default_to(source, "defaultMode", 0o644);
            field_refs(source);
        }
    }
    if let Some(path) = some_mut(volume, "hostPath")
        && path["type"].is_null()
    {
        path["type"] = "".into();
    }
    if let Some(projected) = some_mut(volume, "projected") {
        for source in items_mut(projected, "sources") {
            if let Some(token) = some_mut(source, "serviceAccountToken") {
                default_to(token, "expirationSeconds", 3600);
            }
            if let Some(downward) = some_mut(source, "downwardAPI") {
                field_refs(downward);
            }
        }
    }
    if let Some(claim) = volume
        .get_mut("ephemeral")
        .and_then(|source| some_mut(source, "volumeClaimTemplate"))
    {
        default_to(&mut claim["spec"], "volumeMode", "Filesystem");
    }
    if let Some(image) = some_mut(volume, "image") {
        let policy = if is_latest(text(image, "reference")) {
            "Always"
        } else {
            "IfNotPresent"
        };
        default_to(image, "pullPolicy", policy);
    }
}

fn field_refs(source: &mut Value) {
    for item in items_mut(source, "items") {
        if let Some(field) = some_mut(item, "fieldRef") {
            default_to(field, "apiVersion", "v1");
        }
    }
}

/// Rounds a list of resources up to thousandths.
pub fn resource_list(list: &mut Value) {
    for (_, amount) in list.as_object_mut().into_iter().flatten() {
        if let Some(read) = amount.as_str().and_then(Quantity::parse) {
            *amount = read.round_to_milli().canonical().into();
        }
    }
}

fn requests_from_limits(resources: &mut Value) {
    let limits = resources["limits"].as_object().cloned().unwrap_or_default();
    if limits.is_empty() {
        super::super::fields::remove(resources, "limits");
        return;
    }
    if let Some(requests) = map_mut(resources, "requests") {
        for (name, amount) in limits {
            requests.entry(name).or_insert(amount);
        }
    }
}

/// Whether an image reference means the tag `latest`: it names it, or neither a tag nor a digest.
fn is_latest(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let last = image.rsplit('/').next().unwrap_or_default();
    last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_latest_is_always_pulled() {
        for (image, wanted) in [
            ("app", true),
            ("app:latest", true),
            ("registry:5000/app", true),
            ("registry:5000/app:1.0", false),
            ("app:1.0", false),
            ("app@sha256:aa", false),
        ] {
            assert_eq!(is_latest(image), wanted, "{image}");
        }
    }
}
