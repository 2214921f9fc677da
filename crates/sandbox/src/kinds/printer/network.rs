//! The tables of Services and of what else has to do with the network.

use serde_json::Value;

use super::text::{AGE, NAME, NONE, balancer, first, labels, port, selector};
use crate::kinds::fields::{is_empty, items, number, text};
use crate::registry::Cell;

/// How many endpoints are shown.
const SHOWN: usize = 3;

pub const SERVICE: [Cell; 7] = [
    NAME,
    Cell::new("Type", "string", |object, _| object["spec"]["type"].clone()),
    Cell::new("Cluster-IP", "string", |object, _| {
        object["spec"]["clusterIPs"][0].as_str().unwrap_or(NONE).into()
    }),
    Cell::new("External-IP", "string", |object, _| external(object).into()),
    Cell::new("Port(s)", "string", |object, _| {
        let ports: Vec<String> = items(&object["spec"], "ports").iter().map(port).collect();
        if ports.is_empty() {
            NONE.into()
        } else {
            ports.join(",").into()
        }
    }),
    AGE,
    Cell::wide("Selector", "string", |object, _| {
        labels(&object["spec"], "selector").into()
    }),
];

pub const ENDPOINTS: [Cell; 3] = [
    NAME,
    Cell::new("Endpoints", "string", |object, _| endpoints(object).into()),
    AGE,
];

pub const SLICE: [Cell; 5] = [
    NAME,
    Cell::new("AddressType", "string", |object, _| object["addressType"].clone()),
    Cell::new("Ports", "string", |object, _| {
        let port = |port: &Value| match port["port"].as_i64() {
            Some(number) => number.to_string(),
            None => port["name"].as_str().unwrap_or("*").to_owned(),
        };
        let ports: Vec<String> = items(object, "ports").iter().map(port).collect();
        or_unset(&ports).into()
    }),
    Cell::new("Endpoints", "string", |object, _| {
        let addresses = items(object, "endpoints")
            .iter()
            .flat_map(|endpoint| items(endpoint, "addresses"));
        let all: Vec<String> = addresses.filter_map(Value::as_str).map(str::to_owned).collect();
        or_unset(&all).into()
    }),
    AGE,
];

pub const INGRESS: [Cell; 6] = [
    NAME,
    Cell::new("Class", "string", |object, _| {
        object["spec"]["ingressClassName"].as_str().unwrap_or(NONE).into()
    }),
    Cell::new("Hosts", "string", |object, _| hosts(object).into()),
    Cell::new("Address", "string", |object, _| {
        balancer(&object["status"]).into()
    }),
    Cell::new("Ports", "string", |object, _| {
        if is_empty(&object["spec"], "tls") {
            "80"
        } else {
            "80, 443"
        }
        .into()
    }),
    AGE,
];

pub const INGRESS_CLASS: [Cell; 4] = [
    NAME,
    Cell::new("Controller", "string", |object, _| {
        object["spec"]["controller"].clone()
    }),
    Cell::new("Parameters", "string", |object, _| {
        let parameters = &object["spec"]["parameters"];
        if parameters.is_null() {
            return NONE.into();
        }
        let group = text(parameters, "apiGroup");
        let dot = if group.is_empty() { "" } else { "." };
        format!(
            "{}{dot}{group}/{}",
            text(parameters, "kind"),
            text(parameters, "name")
        )
        .into()
    }),
    AGE,
];

pub const POLICY: [Cell; 3] = [
    NAME,
    Cell::new("Pod-Selector", "string", |object, _| {
        selector(&object["spec"]["podSelector"]).into()
    }),
    AGE,
];

fn external(service: &Value) -> String {
    let spec = &service["spec"];
    let own: Vec<&str> = items(spec, "externalIPs")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let own = own.join(",");
    match text(spec, "type") {
        "ExternalName" => text(spec, "externalName").to_owned(),
        "LoadBalancer" => match (balancer(&service["status"]), own) {
            (given, own) if given.is_empty() && own.is_empty() => "<pending>".to_owned(),
            (given, own) if own.is_empty() => given,
            (given, own) if given.is_empty() => own,
            (given, own) => format!("{given},{own}"),
        },
        _ if own.is_empty() => NONE.to_owned(),
        _ => own,
    }
}

fn endpoints(object: &Value) -> String {
    let of_subset = |subset: &Value| -> Vec<String> {
        let addresses = || {
            items(subset, "addresses")
                .iter()
                .map(|address| text(address, "ip"))
        };
        let ports = items(subset, "ports");
        if ports.is_empty() {
            return addresses().map(str::to_owned).collect();
        }
        ports
            .iter()
            .flat_map(|port| addresses().map(|ip| format!("{ip}:{}", number(port, "port"))))
            .collect()
    };
    let subsets = items(object, "subsets");
    let all: Vec<String> = subsets.iter().flat_map(of_subset).collect();
    if all.is_empty() && !subsets.is_empty() {
        String::new()
    } else {
        first(&all, SHOWN)
    }
}

fn or_unset(all: &[String]) -> String {
    if all.is_empty() {
        "<unset>".to_owned()
    } else {
        first(all, SHOWN)
    }
}

fn hosts(ingress: &Value) -> String {
    let rules = items(&ingress["spec"], "rules").iter();
    let named: Vec<String> = rules
        .map(|rule| text(rule, "host"))
        .filter(|host| !host.is_empty())
        .map(str::to_owned)
        .collect();
    if named.is_empty() {
        "*".to_owned()
    } else {
        first(&named, SHOWN)
    }
}
