//! What is wrong with Services, Ingresses and NetworkPolicies.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::check::Check;
use super::text;
use crate::kinds::fields::{is_empty, items, number, some, text as text_of};

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];

pub fn service(object: &Value, old: Option<&Value>, check: &mut Check) {
    let spec = &object["spec"];
    let kind = text_of(spec, "type");
    let is_headless = text_of(spec, "clusterIP") == "None";
    if is_empty(spec, "ports") && !is_headless && kind != "ExternalName" {
        check.required("spec.ports", "");
    }
    match kind {
        "LoadBalancer" | "NodePort" if is_headless => {
            let why = format!("may not be set to 'None' for {kind} services");
            check.invalid("spec.clusterIPs[0]", "None", why);
        }
        "ExternalName" => match text_of(spec, "externalName").trim_end_matches('.') {
            "" => check.required("spec.externalName", ""),
            name => check.text("spec.externalName", name, text::subdomain(name)),
        },
        _ => {}
    }
    ports(spec, check);
    check.labels(spec, "selector", "spec.selector");
    check.one_of(spec, "spec", "sessionAffinity", &["ClientIP", "None"]);
    let ip = text_of(spec, "clusterIP");
    if !ip.is_empty() && !is_headless {
        check.text("spec.clusterIPs[0]", ip, text::address(ip));
    }
    check.one_of(spec, "spec", "type", &TYPES);
    for (index, port) in items(spec, "ports").iter().enumerate() {
        if kind == "ClusterIP" && number(port, "nodePort") != 0 {
            check.forbidden(
                format!("spec.ports[{index}].nodePort"),
                "may not be used when `type` is 'ClusterIP'",
            );
        }
    }
    duplicates(spec, check);
    policies(spec, kind, check);
    let former = old.map(|old| &old["spec"]).filter(|old| {
        let has_address =
            |spec: &Value| text_of(spec, "type") != "ExternalName" && !is_empty(spec, "clusterIP");
        has_address(old) && has_address(spec)
    });
    if let Some(former) = former
        && former["clusterIPs"][0] != spec["clusterIPs"][0]
    {
        check.invalid(
            "spec.clusterIPs[0]",
            spec["clusterIPs"].clone(),
            "may not change once set",
        );
    }
}

/// The fields that only some types of Services have.
fn policies(spec: &Value, kind: &str, check: &mut Check) {
    if some(spec, "allocateLoadBalancerNodePorts") && kind != "LoadBalancer" {
        check.forbidden(
            "spec.allocateLoadBalancerNodePorts",
            "may only be used when `type` is 'LoadBalancer'",
        );
    }
    if some(spec, "externalTrafficPolicy") {
        check.one_of(spec, "spec", "externalTrafficPolicy", &["Cluster", "Local"]);
        if matches!(kind, "ClusterIP" | "ExternalName") && is_empty(spec, "externalIPs") {
            let value = text_of(spec, "externalTrafficPolicy");
            let why = "may only be set for externally-accessible services";
            check.invalid("spec.externalTrafficPolicy", value, why);
        }
    }
    if some(spec, "internalTrafficPolicy") {
        check.one_of(spec, "spec", "internalTrafficPolicy", &["Cluster", "Local"]);
    }
}

fn ports(spec: &Value, check: &mut Check) {
    let mut names = BTreeSet::new();
    let list = items(spec, "ports");
    for (index, port) in list.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        match text_of(port, "name") {
            "" if list.len() > 1 => check.required(format!("{path}.name"), ""),
            "" => {}
            name => {
                check.text(format!("{path}.name"), name, text::label(name));
                if !names.insert(name) {
                    check.duplicate(format!("{path}.name"), name);
                }
            }
        }
        check.port(format!("{path}.port"), number(port, "port"));
        check.one_of(port, &path, "protocol", &PROTOCOLS);
        check.port_or_name(format!("{path}.targetPort"), &port["targetPort"]);
    }
}

fn duplicates(spec: &Value, check: &mut Check) {
    let (mut nodes, mut own) = (BTreeSet::new(), BTreeSet::new());
    let list = items(spec, "ports");
    for (index, port) in list.iter().enumerate() {
        let node = number(port, "nodePort");
        if node != 0 && !nodes.insert((text_of(port, "protocol"), node)) {
            check.duplicate(format!("spec.ports[{index}].nodePort"), node);
        }
    }
    for (index, port) in list.iter().enumerate() {
        if !own.insert((text_of(port, "protocol"), number(port, "port"))) {
            let internal = json!({
                "Name": "", "Protocol": port["protocol"], "AppProtocol": null, "Port": port["port"], "TargetPort": 0,
                "NodePort": 0,
            });
            check.duplicate(format!("spec.ports[{index}]"), internal);
        }
    }
}

pub fn ingress(object: &Value, _: Option<&Value>, check: &mut Check) {
    let spec = &object["spec"];
    if is_empty(spec, "rules") && !some(spec, "defaultBackend") {
        let internal = json!({"ingressClassName": spec["ingressClassName"]});
        let why = "either `defaultBackend` or `rules` must be specified";
        check.invalid(
            "spec",
            if internal["ingressClassName"].is_null() {
                json!({})
            } else {
                internal
            },
            why,
        );
    }
    if some(spec, "defaultBackend") {
        backend(&spec["defaultBackend"], "spec.defaultBackend", check);
    }
    for (index, rule) in items(spec, "rules").iter().enumerate() {
        let path = format!("spec.rules[{index}]");
        let host = text_of(rule, "host");
        if !host.is_empty() {
            if host.parse::<std::net::Ipv4Addr>().is_ok() {
                check.invalid(
                    format!("{path}.host"),
                    host,
                    "must be a DNS name, not an IP address",
                );
            }
            check.text(format!("{path}.host"), host, text::host(host));
        }
        if some(rule, "http") && is_empty(&rule["http"], "paths") {
            check.required(format!("{path}.http.paths"), "");
        }
        for (index, one) in items(&rule["http"], "paths").iter().enumerate() {
            ingress_path(one, &format!("{path}.http.paths[{index}]"), check);
        }
    }
}

fn ingress_path(one: &Value, path: &str, check: &mut Check) {
    match text_of(one, "pathType") {
        "" => return check.required(format!("{path}.pathType"), "pathType must be specified"),
        "Exact" | "Prefix" if !text_of(one, "path").starts_with('/') => {
            check.invalid(
                format!("{path}.path"),
                text_of(one, "path"),
                "must be an absolute path",
            );
        }
        "Exact" | "Prefix" | "ImplementationSpecific" => {}
        other => {
            let supported = ["Exact", "ImplementationSpecific", "Prefix"];
            check.unsupported(format!("{path}.pathType"), other, &supported);
        }
    }
    backend(&one["backend"], &format!("{path}.backend"), check);
}

fn backend(backend: &Value, path: &str, check: &mut Check) {
    if some(backend, "resource") {
        return;
    }
    let service = &backend["service"];
    if !some(backend, "service") {
        return check.required(path, "");
    }
    match text_of(service, "name") {
        "" => check.required(format!("{path}.service.name"), ""),
        name => check.text(format!("{path}.service.name"), name, text::label(name)),
    }
    let (name, port) = (
        text_of(&service["port"], "name"),
        number(&service["port"], "number"),
    );
    match (name.is_empty(), port) {
        (true, 0) => check.required(path, "port name or number is required"),
        (false, 0) => check.port_or_name(format!("{path}.service.port.name"), &service["port"]["name"]),
        (true, port) => check.port(format!("{path}.service.port.number"), port),
        (false, _) => check.invalid(
            format!("{path}.service.port"),
            "",
            "cannot set both port name & port number",
        ),
    }
}

pub fn policy(object: &Value, _: Option<&Value>, check: &mut Check) {
    let spec = &object["spec"];
    check.selector(&spec["podSelector"], "spec.podSelector");
    for (index, kind) in items(spec, "policyTypes").iter().enumerate() {
        let kind = kind.as_str().unwrap_or_default();
        if !matches!(kind, "Ingress" | "Egress") {
            check.unsupported(format!("spec.policyTypes[{index}]"), kind, &["Egress", "Ingress"]);
        }
    }
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in items(spec, direction).iter().enumerate() {
            let path = format!("spec.{direction}[{index}]");
            for (index, port) in items(rule, "ports").iter().enumerate() {
                if some(port, "port") {
                    check.port_or_name(format!("{path}.ports[{index}].port"), &port["port"]);
                }
            }
            for (index, peer) in items(rule, peers).iter().enumerate() {
                if peer.as_object().is_none_or(serde_json::Map::is_empty) {
                    check.required(format!("{path}.{peers}[{index}]"), "must specify a peer");
                }
            }
        }
    }
}
