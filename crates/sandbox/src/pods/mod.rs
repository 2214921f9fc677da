//! Pods: a node that pretends to run containers, and real HTTP servers that answer as they would.
//!
//! ```text
//! image ─▶ Runtime ─▶ Behaviour ─▶ Life ─▶ status of the pod      kubelet
//!                         └──────▶ answers behind Services        balancer
//!                                     └─▶ Logs                    `kubectl logs`
//! ```

mod backends;
mod balancer;
mod cloud;
mod image;
mod kubelet;
mod life;
mod log;
mod node;
mod runtime;
mod serve;
mod status;

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _};
use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::Value;

use crate::client::Client;
use crate::controllers::Control;
use crate::kinds::fields::{containers, items, text};
use crate::registry::{Context, LogQuery};
use crate::status::Status;

pub use self::cloud::LoadBalancers;
pub use self::log::Logs;
pub use self::node::NODE;
pub use self::runtime::{Always, Answer, Behaviour, Exit, Runtime};

/// The node of a cluster: what its images do, what its containers have written, and where it is.
#[derive(Debug)]
pub struct Host {
    /// What images do.
    pub runtime: Arc<dyn Runtime>,
    /// What containers have written.
    pub logs: Logs,
    /// The loopback address of the node.
    pub address: Ipv4Addr,
    /// The load balancers in front of it.
    pub balancers: LoadBalancers,
}

impl fmt::Debug for dyn Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runtime")
    }
}

// === impl Host ===

impl Host {
    /// A node with nothing on it.
    pub fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self {
            runtime,
            logs: Logs::default(),
            address: loopback(),
            balancers: LoadBalancers::default(),
        }
    }
}

/// The controllers that are the node, and the load balancer in front of it.
pub(crate) fn controls(client: &Client) -> Vec<Box<dyn Control>> {
    let host = client.host();
    vec![
        Box::new(kubelet::Kubelet::new(Arc::clone(&host))),
        Box::new(balancer::Balancer::new(host, client.clock().clone())),
    ]
}

/// What `/log` of a pod answers.
pub(crate) fn read_log(pod: &Value, query: &LogQuery, context: &Context) -> Result<String, Status> {
    let (metadata, spec) = (&pod["metadata"], &pod["spec"]);
    let name = text(metadata, "name");
    let names: Vec<&str> = containers(spec)
        .map(|(_, _, container)| text(container, "name"))
        .collect();
    let mains: Vec<&str> = items(spec, "containers")
        .iter()
        .map(|container| text(container, "name"))
        .collect();
    let container = match (&query.container, mains.as_slice()) {
        (Some(wanted), _) if names.contains(&wanted.as_str()) => wanted.as_str(),
        (Some(wanted), _) => {
            return Err(Status::bad_request(format!(
                "container {wanted} is not valid for pod {name}"
            )));
        }
        (None, [only]) => only,
        (None, _) => {
            let all = mains.join(" ");
            let message =
                format!("a container name must be specified for pod {name}, choose one of: [{all}]");
            return Err(Status::bad_request(message));
        }
    };
    let statuses = ["containerStatuses", "initContainerStatuses"].into_iter();
    let mut statuses = statuses.flat_map(|list| items(&pod["status"], list));
    let waiting = statuses
        .find(|status| text(status, "name") == container)
        .map(|status| &status["state"]["waiting"]);
    let reason = waiting.map_or("ContainerCreating", |waiting| text(waiting, "reason"));
    let starts = matches!(reason, "ContainerCreating" | "PodInitializing");
    if starts || matches!(reason, "ErrImagePull" | "ImagePullBackOff") {
        let why = if starts {
            format!("is waiting to start: {reason}")
        } else {
            "is waiting to start: trying and failing to pull image".to_owned()
        };
        return Err(Status::bad_request(format!(
            "container {container:?} in pod {name:?} {why}"
        )));
    }
    let host = context.client.host();
    let mut query = query.clone();
    // A container that waits for its restart has nothing of its own, and shows what it has left.
    query.previous |= reason == "CrashLoopBackOff";
    let read = host
        .logs
        .read(text(metadata, "uid"), container, &query, context.clock.now());
    read.ok_or_else(|| {
        let message = format!("previous terminated container {container:?} in pod {name:?} not found");
        Status::bad_request(message)
    })
}

/// An address of this machine alone. All of 127.0.0.0/8 is that on Linux; elsewhere only the first one is.
fn loopback() -> Ipv4Addr {
    if !cfg!(target_os = "linux") {
        return Ipv4Addr::LOCALHOST;
    }
    let bits = RandomState::new().build_hasher().finish().to_be_bytes();
    // Away from the addresses that people and distributions use.
    Ipv4Addr::new(127, 128 | bits[0] & 0x3f, bits[1], bits[2].clamp(1, 254))
}
