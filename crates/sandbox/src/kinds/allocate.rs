//! Allocation: the addresses and node ports of Services.
//!
//! Addresses come from 10.96.0.0/16 and node ports from 30000 to 32767, as a cluster has them by default. Writes are one
//! after the other, so what no Service has is free.

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::fields::{default_to, flag, is_empty, items, items_mut, number, remove, text};
use crate::registry::Context;
use crate::status::{FieldError, Status};

/// The first two bytes of all addresses.
const NETWORK: [u8; 2] = [10, 96];

/// The node ports.
const NODE_PORTS: std::ops::RangeInclusive<i64> = 30_000..=32_767;

/// Allocates what a new Service needs.
///
/// # Errors
///
/// When an address or port that it names is taken or of another range.
pub fn new_service(object: &mut Value, context: &Context) -> Result<(), Status> {
    families(&mut object["spec"]);
    allocate(object, context)
}

/// Keeps what a Service has, allocates what it needs now in addition, and gives back what it needs no longer.
///
/// # Errors
///
/// As [`new_service`].
pub fn changed_service(object: &mut Value, old: &Value, context: &Context) -> Result<(), Status> {
    let (spec, before) = (&mut object["spec"], &old["spec"]);
    let (kind, former) = (text(spec, "type").to_owned(), text(before, "type"));
    if kind != "ExternalName" && former != "ExternalName" {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if is_empty(spec, field) && !is_empty(before, field) {
                spec[field] = before[field].clone();
            }
        }
    }
    if has_node_ports(spec) && has_node_ports(before) {
        keep_node_ports(spec, before);
    }
    if kind == "ExternalName" && former != "ExternalName" {
        for field in [
            "clusterIP",
            "clusterIPs",
            "ipFamilies",
            "ipFamilyPolicy",
            "internalTrafficPolicy",
        ] {
            remove(spec, field);
        }
    }
    if !has_node_ports(spec) && has_node_ports(before) {
        for (port, before) in items_mut(spec, "ports").zip(items(before, "ports")) {
            if port["nodePort"] == before["nodePort"] {
                remove(port, "nodePort");
            }
        }
    }
    if kind != "LoadBalancer" && former == "LoadBalancer" {
        remove(spec, "allocateLoadBalancerNodePorts");
        if kind == "ClusterIP" {
            remove(spec, "externalTrafficPolicy");
        }
        object["status"]["loadBalancer"] = json!({});
    }
    families(&mut object["spec"]);
    allocate(object, context)
}

fn keep_node_ports(spec: &mut Value, before: &Value) {
    for port in items_mut(spec, "ports") {
        let is_same = |other: &&Value| other["port"] == port["port"] && other["protocol"] == port["protocol"];
        let kept = items(before, "ports").iter().find(is_same);
        if let Some(kept) = kept
            && number(port, "nodePort") == 0
            && number(kept, "nodePort") != 0
        {
            port["nodePort"] = kept["nodePort"].clone();
        }
    }
}

fn families(spec: &mut Value) {
    if text(spec, "type") == "ExternalName" {
        return;
    }
    default_to(spec, "ipFamilies", json!(["IPv4"]));
    default_to(spec, "ipFamilyPolicy", "SingleStack");
}

fn allocate(object: &mut Value, context: &Context) -> Result<(), Status> {
    let (needs_ip, needs_ports) = (needs_address(&object["spec"]), has_node_ports(&object["spec"]));
    if !needs_ip && !needs_ports {
        return Ok(());
    }
    let (name, namespace) = (
        object["metadata"]["name"].clone(),
        object["metadata"]["namespace"].clone(),
    );
    let is_other = |service: &Value| {
        service["metadata"]["name"] != name || service["metadata"]["namespace"] != namespace
    };
    let mut others = context.client.list("services", None);
    others.retain(is_other);
    let mut errors = Vec::new();
    if needs_ip {
        errors.extend(give_address(&mut object["spec"], &others));
    }
    if needs_ports {
        give_node_ports(&mut object["spec"], &others, &mut errors);
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(
        "",
        "Service",
        name.as_str().unwrap_or_default(),
        &errors,
    ))
}

fn needs_address(spec: &Value) -> bool {
    text(spec, "type") != "ExternalName" && text(spec, "clusterIP") != "None"
        || text(spec, "clusterIP") == "None" && is_empty(spec, "clusterIPs")
}

/// Whether the ports of a Service are open on the nodes too.
pub fn has_node_ports(spec: &Value) -> bool {
    match text(spec, "type") {
        "NodePort" => true,
        "LoadBalancer" => {
            spec["allocateLoadBalancerNodePorts"].is_null() || flag(spec, "allocateLoadBalancerNodePorts")
        }
        _ => false,
    }
}

fn give_address(spec: &mut Value, others: &[Value]) -> Option<FieldError> {
    let wanted = match text(spec, "clusterIP") {
        "" => spec["clusterIPs"][0].as_str().unwrap_or_default().to_owned(),
        wanted => wanted.to_owned(),
    };
    let taken: BTreeSet<&str> = others
        .iter()
        .map(|service| text(&service["spec"], "clusterIP"))
        .collect();
    let address = if wanted.is_empty() {
        free_address(&taken)
    } else if wanted != "None" && taken.contains(wanted.as_str()) {
        let why = format!("failed to allocate IP {wanted}: provided IP is already allocated");
        return Some(FieldError::invalid("spec.clusterIPs", json!([wanted]), why));
    } else if wanted != "None" && is_foreign(&wanted) {
        let why =
            format!("failed to allocate IP {wanted}: the provided network does not match the current range");
        return Some(FieldError::invalid("spec.clusterIPs", json!([wanted]), why));
    } else {
        wanted
    };
    spec["clusterIP"] = address.clone().into();
    if is_empty(spec, "clusterIPs") {
        spec["clusterIPs"] = json!([address]);
    }
    None
}

fn is_foreign(address: &str) -> bool {
    address
        .parse::<Ipv4Addr>()
        .is_ok_and(|address| address.octets()[..2] != NETWORK)
}

fn free_address(taken: &BTreeSet<&str>) -> String {
    let start = random() % 60_000;
    let addresses = (0..65_000_u32).map(|step| {
        let [_, _, third, fourth] = ((start + step) % 65_000 + 256).to_be_bytes();
        Ipv4Addr::new(NETWORK[0], NETWORK[1], third, fourth).to_string()
    });
    let mut free = addresses.filter(|address| !taken.contains(address.as_str()));
    free.next().unwrap_or_default()
}

fn give_node_ports(spec: &mut Value, others: &[Value], errors: &mut Vec<FieldError>) {
    let mut taken: BTreeSet<i64> = others
        .iter()
        .flat_map(|service| items(&service["spec"], "ports"))
        .map(|port| number(port, "nodePort"))
        .collect();
    for (index, port) in items_mut(spec, "ports").enumerate() {
        let wanted = number(port, "nodePort");
        let field = format!("spec.ports[{index}].nodePort");
        if wanted == 0 {
            port["nodePort"] = free_port(&taken).into();
        } else if !NODE_PORTS.contains(&wanted) {
            let why = "provided port is not in the valid range. The range of valid ports is 30000-32767";
            errors.push(FieldError::invalid(field, wanted, why));
        } else if taken.contains(&wanted) {
            errors.push(FieldError::invalid(
                field,
                wanted,
                "provided port is already allocated",
            ));
        }
        taken.insert(number(port, "nodePort"));
    }
}

fn free_port(taken: &BTreeSet<i64>) -> i64 {
    let count = NODE_PORTS.end() - NODE_PORTS.start() + 1;
    let start = i64::from(random()) % count;
    let ports = (0..count).map(|step| NODE_PORTS.start() + (start + step) % count);
    let mut free = ports.filter(|port| !taken.contains(port));
    free.next().unwrap_or_default()
}

/// A random number of 32 bits; each state of the standard library's hasher has keys of its own.
fn random() -> u32 {
    let bits = RandomState::new().build_hasher().finish().to_be_bytes();
    u32::from_be_bytes([bits[0], bits[1], bits[2], bits[3]])
}
