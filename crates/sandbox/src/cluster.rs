//! Cluster: one API with its objects, from its making until it is dropped.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::{Api, Caller};
use crate::client::Client;
use crate::clock::Clock;
use crate::kinds;
use crate::pods::{Always, Host, Runtime};
use crate::registry::Registry;

/// The namespaces that every cluster has.
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// How a cluster is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cluster's name, in its kubeconfig and its nodes' names.
    pub name: String,
    /// The time.
    pub clock: Clock,
    /// Whether rollouts, jobs, endpoints and garbage collection happen.
    pub controllers: bool,
    /// What images do.
    pub runtime: Arc<dyn Runtime>,
}

/// A Kubernetes API in this process. Clones share it.
#[derive(Clone, Debug)]
pub struct Cluster {
    api: Arc<Api>,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "sandbox".to_owned(),
            clock: Clock::system(),
            controllers: true,
            runtime: Arc::new(Always),
        }
    }
}

// === impl Cluster ===

impl Cluster {
    /// Makes a cluster with the namespaces that every cluster has. Nothing listens, and no controller runs.
    pub fn new(options: Options) -> Self {
        let api = Arc::new(Api::new(
            Registry::new(kinds::builtin()),
            options.clock,
            Arc::new(Host::new(options.runtime)),
        ));
        let cluster = Self { api };
        let client = cluster.client("kube-apiserver");
        for name in NAMESPACES {
            client
                .create("namespaces", namespace(name))
                .expect("because the cluster is empty and the object is right");
        }
        cluster
    }

    /// A client in this process, which may do anything. The name is that of its field manager.
    pub fn client(&self, manager: &str) -> Client {
        Client::new(Arc::clone(&self.api), Arc::new(Caller::system(manager)))
    }
}

fn namespace(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": { "name": name, "labels": { "kubernetes.io/metadata.name": name } },
        "spec": { "finalizers": ["kubernetes"] },
        "status": { "phase": "Active" },
    })
}
