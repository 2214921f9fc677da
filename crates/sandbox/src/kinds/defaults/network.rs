//! Defaults of Services and of what else has to do with the network.

use serde_json::{Value, json};

use crate::kinds::fields::{default_to, is_empty, items_mut, remove, some_mut, text};

/// How long a client keeps its pod, in seconds, where nothing else is said.
const AFFINITY: i32 = 10_800;

pub fn service(object: &mut Value) {
    let spec = &mut object["spec"];
    default_to(spec, "sessionAffinity", "None");
    match text(spec, "sessionAffinity") {
        "None" => remove(spec, "sessionAffinityConfig"),
        "ClientIP" if spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].is_null() => {
            spec["sessionAffinityConfig"] = json!({"clientIP": {"timeoutSeconds": AFFINITY}});
        }
        _ => {}
    }
    default_to(spec, "type", "ClusterIP");
    for port in items_mut(spec, "ports") {
        default_to(port, "protocol", "TCP");
        if port["targetPort"] == 0 || is_empty(port, "targetPort") {
            port["targetPort"] = port["port"].clone();
        }
    }
    let kind = text(spec, "type").to_owned();
    let is_external = matches!(kind.as_str(), "NodePort" | "LoadBalancer") || has_external_ips(spec, &kind);
    if is_external {
        default_to(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
        default_to(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        default_to(spec, "allocateLoadBalancerNodePorts", true);
        for ingress in items_mut(&mut object["status"]["loadBalancer"], "ingress") {
            if !is_empty(ingress, "ip") {
                default_to(ingress, "ipMode", "VIP");
            }
        }
    }
}

fn has_external_ips(spec: &Value, kind: &str) -> bool {
    kind == "ClusterIP" && !is_empty(spec, "externalIPs")
}

pub fn endpoints(object: &mut Value) {
    for subset in items_mut(object, "subsets") {
        for port in items_mut(subset, "ports") {
            default_to(port, "protocol", "TCP");
        }
    }
}

pub fn endpoint_slice(object: &mut Value) {
    for port in items_mut(object, "ports") {
        if port["name"].is_null() {
            port["name"] = "".into();
        }
        default_to(port, "protocol", "TCP");
    }
}

pub fn network_policy(object: &mut Value) {
    let spec = &mut object["spec"];
    for rules in ["ingress", "egress"] {
        for rule in items_mut(spec, rules) {
            for port in items_mut(rule, "ports") {
                default_to(port, "protocol", "TCP");
            }
        }
    }
    if is_empty(spec, "policyTypes") {
        let mut types = vec!["Ingress"];
        if !is_empty(spec, "egress") {
            types.push("Egress");
        }
        spec["policyTypes"] = types.into();
    }
}

pub fn ingress_class(object: &mut Value) {
    if let Some(parameters) = some_mut(&mut object["spec"], "parameters") {
        default_to(parameters, "scope", "Cluster");
    }
}
