//! Node: the one node of a sandbox, which says what it is.

use serde_json::{Value, json};

use super::Host;
use crate::clock::stamp;
use crate::controllers::decision::{Decision, Write};
use crate::controllers::view::View;
use crate::kinds::fields::text;

/// The name of the node.
pub const NODE: &str = "sandbox-node-1";

/// The conditions of a node with their well states and reasons.
const CONDITIONS: [(&str, &str, &str, &str); 4] = [
    (
        "MemoryPressure",
        "False",
        "KubeletHasSufficientMemory",
        "kubelet has sufficient memory available",
    ),
    (
        "DiskPressure",
        "False",
        "KubeletHasNoDiskPressure",
        "kubelet has no disk pressure",
    ),
    (
        "PIDPressure",
        "False",
        "KubeletHasSufficientPID",
        "kubelet has sufficient PID available",
    ),
    (
        "Ready",
        "True",
        "KubeletReady",
        "the sandbox is ready; nothing runs here but what it pretends",
    ),
];

/// Makes the node, or its status.
pub fn decide(view: &View, host: &Host) -> Decision {
    let mut decision = Decision::nothing();
    let status = status(host, &stamp(view.now));
    match view.get("nodes", "", NODE) {
        None => {
            let labels = json!({
                "kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
            });
            let node = json!({
                "apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": labels}, "spec": {},
                "status": status,
            });
            decision.push(Write::Create("nodes", node));
        }
        Some(node) if is_blank(node) => decision.status("nodes", node, status),
        Some(_) => {}
    }
    decision
}

fn is_blank(node: &Value) -> bool {
    node["status"]["conditions"].is_null()
}

fn status(host: &Host, now: &str) -> Value {
    let resources = json!({"cpu": "64", "memory": "256Gi", "pods": "2000", "ephemeral-storage": "1Ti"});
    let conditions: Vec<Value> = CONDITIONS
        .iter()
        .map(|(kind, status, reason, message)| {
            json!({
                "type": kind, "status": status, "reason": reason, "message": message,
                "lastHeartbeatTime": now, "lastTransitionTime": now,
            })
        })
        .collect();
    json!({
        "capacity": resources,
        "allocatable": resources,
        "conditions": conditions,
        "addresses": [
            {"type": "InternalIP", "address": host.address.to_string()},
            {"type": "Hostname", "address": NODE},
        ],
        "nodeInfo": {
            "machineID": "sandbox", "systemUUID": "sandbox", "bootID": "sandbox", "kernelVersion": "sandbox",
            "osImage": "Sandbox", "containerRuntimeVersion": format!("sandbox://{}", env!("CARGO_PKG_VERSION")),
            "kubeletVersion": format!("v{}-sandbox", env!("CARGO_PKG_VERSION")), "kubeProxyVersion": "",
            "operatingSystem": "linux", "architecture": "amd64",
        },
    })
}

/// Whether a pod is on this node.
pub fn has(pod: &Value) -> bool {
    text(&pod["spec"], "nodeName") == NODE
}
