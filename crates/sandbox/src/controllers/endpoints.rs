//! Endpoints: which pods stand behind each Service, as EndpointSlices and as the older Endpoints.

use serde_json::{Value, json};

use super::Plain;
use super::decision::{Decision, Write};
use super::template::{is_finished, is_ready, owner_reference};
use super::view::{Place, View, is_leaving};
use crate::kinds::fields::{entries, flag, is_empty, items, number, selects, text};

const SLICES: &str = "endpointslices.discovery.k8s.io";

/// The label by which a slice names its Service.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";

pub const CONTROLLER: Plain = Plain {
    manager: "endpointslice-controller",
    concerns,
    decide,
};

fn concerns(view: &View, place: &Place, object: &Value) -> Vec<Place> {
    match &*place.resource {
        "services" => vec![place.clone()],
        "pods" => {
            let labels = &object["metadata"]["labels"];
            let services = view.within("services", place.namespace());
            let behind = services.filter(|service| is_selected(service, labels));
            // A pod whose labels have changed may have left a Service, which its slices still name.
            let slices = view
                .within(SLICES, place.namespace())
                .filter(|slice| names_pod(slice, place.name()));
            let left = slices.map(|slice| text(&slice["metadata"]["labels"], SERVICE_NAME));
            let place_of = |name: &str| Place {
                resource: "services".into(),
                key: format!("{}/{name}", place.namespace()),
            };
            behind
                .map(|service| Place::of("services", service))
                .chain(left.map(place_of))
                .collect()
        }
        SLICES => match text(&object["metadata"]["labels"], SERVICE_NAME) {
            "" => Vec::new(),
            name => vec![Place {
                resource: "services".into(),
                key: format!("{}/{name}", place.namespace()),
            }],
        },
        _ => Vec::new(),
    }
}

fn is_selected(service: &Value, labels: &Value) -> bool {
    !is_empty(&service["spec"], "selector")
        && selects(&json!({"matchLabels": service["spec"]["selector"]}), labels)
}

fn names_pod(slice: &Value, name: &str) -> bool {
    items(slice, "endpoints")
        .iter()
        .any(|endpoint| text(&endpoint["targetRef"], "name") == name)
}

fn decide(view: &View, place: &Place) -> Decision {
    let Some(service) = view.at(place) else {
        return Decision::nothing();
    };
    if is_leaving(service) || is_empty(&service["spec"], "selector") {
        return Decision::nothing();
    }
    let pods: Vec<&Value> = view
        .within("pods", place.namespace())
        .filter(|pod| is_selected(service, &pod["metadata"]["labels"]))
        .filter(|pod| !text(&pod["status"], "podIP").is_empty() && !is_finished(pod))
        .collect();
    let mut decision = Decision::nothing();
    write_slice(&mut decision, view, service, &pods);
    write_endpoints(&mut decision, view, service, &pods);
    decision
}

fn write_slice(decision: &mut Decision, view: &View, service: &Value, pods: &[&Value]) {
    let publishes = flag(&service["spec"], "publishNotReadyAddresses");
    let endpoint = |pod: &&Value| {
        let (ready, leaving) = (is_ready(pod), is_leaving(pod));
        let mut endpoint = json!({
            "addresses": [pod["status"]["podIP"]],
            "conditions": {"ready": publishes || ready && !leaving, "serving": ready, "terminating": leaving},
            "nodeName": pod["spec"]["nodeName"],
            "targetRef": reference(pod),
        });
        if !is_empty(&pod["spec"], "hostname") && pod["spec"]["subdomain"] == service["metadata"]["name"] {
            endpoint["hostname"] = pod["spec"]["hostname"].clone();
        }
        endpoint
    };
    let endpoints: Vec<Value> = pods.iter().map(endpoint).collect();
    let ports: Vec<Value> = items(&service["spec"], "ports")
        .iter()
        .map(|port| slice_port(port, pods))
        .collect();
    let metadata = &service["metadata"];
    let name = text(metadata, "name");
    let mut labels = metadata["labels"].as_object().cloned().unwrap_or_default();
    labels.insert(
        "endpointslice.kubernetes.io/managed-by".to_owned(),
        "endpointslice-controller.k8s.io".into(),
    );
    labels.insert(SERVICE_NAME.to_owned(), name.into());
    if text(&service["spec"], "clusterIP") == "None" {
        labels.insert("service.kubernetes.io/headless".to_owned(), "".into());
    }
    let found = view.controlled(SLICES, service);
    match found.first() {
        Some(slice) => {
            let mut changed = Value::clone(slice);
            changed["endpoints"] = endpoints.into();
            changed["ports"] = ports.into();
            changed["metadata"]["labels"] = labels.into();
            if is_different(&changed, slice) {
                decision.push(Write::Update(SLICES.to_owned(), changed));
            }
        }
        None => decision.push(Write::Create(
            SLICES,
            json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {
                    "generateName": format!("{name}-"), "namespace": metadata["namespace"], "labels": labels,
                    "ownerReferences": [owner_reference(service)],
                },
                "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
            }),
        )),
    }
}

fn is_different(new: &Value, old: &Value) -> bool {
    let list = |object: &Value, key: &str| json!(items(object, key));
    ["endpoints", "ports"]
        .iter()
        .any(|key| list(new, key) != list(old, key))
        || new["metadata"]["labels"] != old["metadata"]["labels"]
}

fn slice_port(port: &Value, pods: &[&Value]) -> Value {
    let target = pods.iter().find_map(|pod| target_port(port, pod));
    let mut made = json!({"name": text(port, "name"), "protocol": text(port, "protocol")});
    if let Some(number) = target {
        made["port"] = number.into();
    } else if let Some(number) = port["targetPort"].as_i64() {
        made["port"] = number.into();
    }
    if !port["appProtocol"].is_null() {
        made["appProtocol"] = port["appProtocol"].clone();
    }
    made
}

/// The number of the container's port to which a Service's port leads; none if no container has a port of that name.
pub fn target_port(port: &Value, pod: &Value) -> Option<i64> {
    if let Some(number) = port["targetPort"].as_i64() {
        return Some(number);
    }
    let name = text(port, "targetPort");
    let containers = items(&pod["spec"], "containers").iter();
    let mut ports = containers.flat_map(|container| items(container, "ports"));
    ports
        .find(|one| text(one, "name") == name)
        .map(|one| number(one, "containerPort"))
}

fn write_endpoints(decision: &mut Decision, view: &View, service: &Value, pods: &[&Value]) {
    let metadata = &service["metadata"];
    let publishes = flag(&service["spec"], "publishNotReadyAddresses");
    let address = |pod: &&&Value| json!({"ip": pod["status"]["podIP"], "nodeName": pod["spec"]["nodeName"], "targetRef": reference(pod)});
    let serves = |pod: &&&Value| publishes || is_ready(pod) && !is_leaving(pod);
    let ready: Vec<Value> = pods.iter().filter(serves).map(|pod| address(&pod)).collect();
    let others = pods.iter().filter(|pod| !serves(pod) && !is_leaving(pod));
    let others: Vec<Value> = others.map(|pod| address(&pod)).collect();
    let mut subset = json!({});
    for (key, list) in [("addresses", ready), ("notReadyAddresses", others)] {
        if !list.is_empty() {
            subset[key] = list.into();
        }
    }
    let ports: Vec<Value> = items(&service["spec"], "ports")
        .iter()
        .map(|port| endpoints_port(port, pods))
        .collect();
    let subsets = if entries(&json!({"subset": subset}), "subset").count() == 0 {
        json!([])
    } else {
        subset["ports"] = ports.into();
        json!([subset])
    };
    let mut labels = metadata["labels"].as_object().cloned().unwrap_or_default();
    labels.insert(
        "endpoints.kubernetes.io/managed-by".to_owned(),
        "endpoint-controller".into(),
    );
    if text(&service["spec"], "clusterIP") == "None" {
        labels.insert("service.kubernetes.io/headless".to_owned(), "".into());
    }
    let (namespace, name) = (text(metadata, "namespace"), text(metadata, "name"));
    match view.get("endpoints", namespace, name) {
        Some(found) => {
            let mut changed = found.clone();
            changed["subsets"] = subsets;
            if json!(items(&changed, "subsets")) != json!(items(found, "subsets")) {
                decision.push(Write::Update("endpoints".to_owned(), changed));
            }
        }
        None => decision.push(Write::Create(
            "endpoints",
            json!({
                "apiVersion": "v1", "kind": "Endpoints", "subsets": subsets,
                "metadata": {"name": name, "namespace": namespace, "labels": labels},
            }),
        )),
    }
}

fn endpoints_port(port: &Value, pods: &[&Value]) -> Value {
    let mut made = slice_port(port, pods);
    if is_empty(&made, "name") {
        crate::kinds::fields::remove(&mut made, "name");
    }
    made
}

fn reference(pod: &Value) -> Value {
    let metadata = &pod["metadata"];
    json!({"kind": "Pod", "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"]})
}
