//! Cluster: one API with its objects, from its making until it is dropped.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::api::{Api, Caller};
use crate::audit::{Audit, Request};
use crate::client::Client;
use crate::clock::Clock;
use crate::fault::{Fault, FaultHandle, Faults};
use crate::http::{Service, Shared};
use crate::kubeconfig::{self, Access};
use crate::pods::{Always, Host, LoadBalancers, Runtime};
use crate::registry::Registry;
use crate::server::{Server, StartError};
use crate::tokens::Tokens;
use crate::{controllers, kinds, server};

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
    /// Where the API listens; port 0 for any free one.
    pub address: SocketAddr,
    /// Whether it speaks TLS, with a certificate made at the start.
    pub tls: bool,
}

/// A Kubernetes API in this process. Clones share it.
#[derive(Clone)]
pub struct Cluster {
    name: Arc<str>,
    shared: Arc<Shared>,
    admin: Arc<Caller>,
    token: Arc<str>,
}

/// A cluster that runs: its controllers, and its server. Dropping it ends both.
#[derive(Debug)]
pub struct Handle {
    cluster: Cluster,
    server: Server,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "sandbox".to_owned(),
            clock: Clock::system(),
            controllers: true,
            runtime: Arc::new(Always),
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            tls: true,
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
        let admin = Caller {
            user: "admin".to_owned(),
            groups: vec!["system:masters".to_owned(), "system:authenticated".to_owned()],
            manager: "unknown".to_owned(),
        };
        let token = format!("sandbox-{}", crate::api::random_id());
        let cluster = Self {
            name: options.name.into(),
            shared: Arc::new(Shared {
                api,
                faults: Faults::default(),
                audit: Audit::default(),
                tokens: Tokens::new(token.clone(), admin.clone()),
                stop: CancellationToken::new(),
            }),
            admin: Arc::new(admin),
            token: token.into(),
        };
        let client = cluster.client("kube-apiserver");
        for name in NAMESPACES {
            client
                .create("namespaces", namespace(name))
                .expect("because the cluster is empty and the object is right");
        }
        cluster
    }

    /// Makes a cluster, runs its controllers and listens.
    ///
    /// # Errors
    /// The address cannot be listened on, or no certificate can be made.
    pub async fn start(options: Options) -> Result<Handle, StartError> {
        let (address, tls, runs_controllers) = (options.address, options.tls, options.controllers);
        let cluster = Self::new(options);
        let server = server::start(&cluster, address, tls).await?;
        if runs_controllers {
            let client = cluster.client("kube-controller-manager");
            server.spawn(controllers::run(client, cluster.shared.stop.clone()));
        }
        Ok(Handle { cluster, server })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A client in this process, which may do anything. The name is that of its field manager.
    pub fn client(&self, manager: &str) -> Client {
        Client::new(Arc::clone(&self.shared.api), Arc::new(Caller::system(manager)))
    }

    /// The API over HTTP without a port, as an administrator: `kube::Client::new(cluster.service(), "default")`.
    pub fn service(&self) -> Service {
        Service {
            shared: Arc::clone(&self.shared),
            anonymous: Some(Arc::clone(&self.admin)),
        }
    }

    /// Lets something go wrong for as long as the answer is held.
    pub fn inject(&self, fault: Fault) -> FaultHandle {
        self.shared.faults.inject(fault)
    }

    /// The requests over HTTP after the first `since`, oldest first, and the number that is the next `since`. The last
    /// 100,000 are kept.
    pub fn requests(&self, since: usize) -> (Vec<Request>, usize) {
        self.shared.audit.since(since)
    }

    /// Its load balancers: what they were asked, and those that are to stay without an address.
    pub fn load_balancers(&self) -> LoadBalancers {
        self.shared.api.host.balancers.clone()
    }

    /// Ends every open watch, as a restart of a real server does.
    pub fn drop_watches(&self) {
        self.shared.faults.drop_watches();
    }

    /// Forgets all history: watches and lists of older revisions are refused with 410.
    pub fn compact(&self) {
        self.shared.api.store.compact();
    }

    /// Ends every watch and controller.
    pub(crate) fn stop(&self) {
        self.shared.stop.cancel();
    }

    pub(crate) fn stopping(&self) -> CancellationToken {
        self.shared.stop.clone()
    }

    /// The API over HTTP for whoever has a token.
    pub(crate) fn guarded_service(&self) -> Service {
        Service {
            shared: Arc::clone(&self.shared),
            anonymous: None,
        }
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Its clock.
    pub fn clock(&self) -> &Clock {
        &self.shared.api.clock
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

// === impl Handle ===

impl Handle {
    /// The cluster itself.
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// How an administrator reaches it, for a kubeconfig of several clusters: [`kubeconfig::kubeconfig`].
    pub fn access(&self) -> Access {
        self.server.access.clone()
    }

    /// The text of a kubeconfig with this cluster in it.
    pub fn kubeconfig(&self) -> String {
        kubeconfig::kubeconfig(&[self.access()])
    }

    /// Lets something go wrong for as long as the answer is held.
    pub fn inject(&self, fault: Fault) -> FaultHandle {
        self.cluster.inject(fault)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.cluster.stop();
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
