//! Cluster: a Kubernetes API server, and what gitsync asks of it.

pub mod connect;
pub mod endpoints;
pub mod error;
pub mod events;
pub mod execute;
#[cfg(test)]
pub mod fake_socket;
pub mod family;
pub mod forward;
pub mod hooks;
mod in_use;
pub mod install;
pub mod known;
pub mod logs;
pub mod observe;
mod read;
pub mod records;
pub mod service;
pub mod troubles;
pub mod watch;

use std::future::Future;
use std::time::Duration;

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::discovery::{Discovery, Scope};
use manifest::Gvk;
use tokio::sync::RwLock;

pub use error::ClusterError;

/// The name under which gitsync owns the fields that it applies.
pub const FIELD_MANAGER: &str = "gitsync";

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How many requests are under way to one cluster at once.
const CONCURRENCY: usize = 16;

/// One cluster.
pub struct Cluster {
    client: Client,
    name: String,
    default_namespace: String,
    discovery: RwLock<Option<Discovery>>,
}

/// A kind as the API server serves it.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Its names and version.
    pub api: ApiResource,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

// === impl Cluster ===

impl Cluster {
    /// A cluster behind `client`; `name` is how people know it (the context).
    #[must_use]
    pub fn new(client: Client, name: String, default_namespace: String) -> Self {
        Self {
            client,
            name,
            default_namespace,
            discovery: RwLock::new(None),
        }
    }

    /// How people know the cluster.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace of objects that do not name one.
    #[must_use]
    pub fn default_namespace(&self) -> &str {
        &self.default_namespace
    }

    /// The client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Runs one request with a deadline and classifies its error.
    async fn request<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Result<T, ClusterError> {
        self.bounded(REQUEST_TIMEOUT, request).await
    }

    /// Runs one request that may take at most `limit`, and classifies its error.
    pub(in crate::world) async fn bounded<T>(
        &self,
        limit: Duration,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, ClusterError> {
        match tokio::time::timeout(limit, request).await {
            Ok(result) => result.map_err(|error| ClusterError::from_kube(&self.name, error)),
            Err(_) => Err(ClusterError::timeout(&self.name, limit)),
        }
    }

    /// How the API server serves a kind; `None` when it does not.
    ///
    /// What the server serves is remembered and asked for again when a kind is missing, because a CRD may have
    /// come since.
    ///
    /// # Errors
    ///
    /// When the server cannot be asked.
    pub async fn resource(&self, gvk: &Gvk) -> Result<Option<Resource>, ClusterError> {
        let wanted = GroupVersionKind::gvk(&gvk.group, &gvk.version, &gvk.kind);
        if let Some(discovery) = self.discovery.read().await.as_ref()
            && let Some(found) = resolve(discovery, &wanted)
        {
            return Ok(Some(found));
        }
        let mut slot = self.discovery.write().await;
        let fresh = self
            .request(Discovery::new(self.client.clone()).run_aggregated())
            .await?;
        let found = resolve(&fresh, &wanted);
        *slot = Some(fresh);
        Ok(found)
    }

    fn api(&self, resource: &Resource, namespace: &str) -> Api<DynamicObject> {
        if resource.namespaced {
            Api::namespaced_with(self.client.clone(), namespace, &resource.api)
        } else {
            Api::all_with(self.client.clone(), &resource.api)
        }
    }
}

fn resolve(discovery: &Discovery, wanted: &GroupVersionKind) -> Option<Resource> {
    let (api, capabilities) = discovery.resolve_gvk(wanted)?;
    Some(Resource {
        api,
        namespaced: capabilities.scope == Scope::Namespaced,
    })
}
