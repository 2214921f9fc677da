//! A snapshot: the names of all objects of a cluster, to which it can be brought back.
//!
//! A cluster takes seconds to start and is emptied in about one, so scenarios share clusters. Bringing one back deletes
//! every object that was not there before, of every kind that the API server then knows, and waits until they are gone.
//! Objects that were there and were changed stay changed; no scenario changes those.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, PartialObjectMeta};
use kube::discovery::{Discovery, Scope, verbs};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use tokio::time::Instant;

/// How long a cluster may take to become what it was.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long controllers may take to let go of an object before its finalizers are removed.
const PATIENCE: Duration = Duration::from_secs(3);

/// Kinds that come and go with others or with time.
const EPHEMERAL: [&str; 9] = [
    "Event",
    "Lease",
    "Endpoints",
    "EndpointSlice",
    "IPAddress",
    "ServiceCIDR",
    "ComponentStatus",
    "ControllerRevision",
    "PodMetrics",
];

/// The names of all objects of a cluster that do not come and go by themselves.
#[derive(Debug, Clone, Default)]
pub struct Snapshot(BTreeSet<Name>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    /// `group/Kind`, without the version: the same object is served in several.
    kind: String,
    namespace: String,
    name: String,
}

/// An object, its name, and how to ask for it.
struct Found {
    name: Name,
    resource: ApiResource,
    scope: Scope,
    meta: PartialObjectMeta<DynamicObject>,
}

// === impl Snapshot ===

impl Snapshot {
    /// Takes the names of all objects.
    ///
    /// # Errors
    ///
    /// When the API server does not answer.
    pub async fn take(client: &Client) -> kube::Result<Self> {
        let found = find(client).await?;
        Ok(Self(found.into_iter().map(|found| found.name).collect()))
    }

    /// Deletes every object that is not in the snapshot, and waits until it is gone.
    ///
    /// # Errors
    ///
    /// What could not be listed, or is still there at the deadline.
    pub async fn restore(&self, client: &Client) -> Result<(), String> {
        let start = Instant::now();
        loop {
            let rest = self.added(client).await.map_err(|error| error.to_string())?;
            if rest.is_empty() {
                return Ok(());
            }
            if start.elapsed() > DEADLINE {
                let names: Vec<String> = rest.iter().map(|found| format!("{:?}", found.name)).collect();
                return Err(format!("still there after {DEADLINE:?}:\n{}", names.join("\n")));
            }
            let force = start.elapsed() > PATIENCE;
            // Namespaces go first: nothing new appears in one that is terminating.
            let (namespaces, others): (Vec<&Found>, Vec<&Found>) =
                rest.iter().partition(|found| found.is_namespace());
            each(&namespaces, |found| found.delete(client, false)).await;
            each(&others, |found| found.delete(client, force)).await;
            let emptied: Vec<&Found> = namespaces
                .into_iter()
                .filter(|namespace| namespace.is_terminating())
                .filter(|namespace| {
                    others
                        .iter()
                        .all(|other| other.name.namespace != namespace.name.name)
                })
                .collect();
            each(&emptied, |found| found.finalize(client)).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn added(&self, client: &Client) -> kube::Result<Vec<Found>> {
        let found = find(client).await?;
        Ok(found
            .into_iter()
            .filter(|found| !self.0.contains(&found.name) && !found.name.is_of_every_cluster())
            .collect())
    }
}

// === impl Name ===

impl Name {
    /// Whether a controller makes the object in every namespace or cluster, perhaps after the snapshot.
    fn is_of_every_cluster(&self) -> bool {
        self.namespace.starts_with("kube-")
            || matches!(
                (self.kind.as_str(), self.name.as_str()),
                (
                    "/Namespace",
                    "kube-system" | "kube-public" | "kube-node-lease" | "default"
                )
            )
            || (self.namespace == "default"
                && matches!(
                    (self.kind.as_str(), self.name.as_str()),
                    ("/ServiceAccount", "default")
                        | ("/ConfigMap", "kube-root-ca.crt")
                        | ("/Service", "kubernetes")
                ))
    }
}

// === impl Found ===

impl Found {
    fn is_namespace(&self) -> bool {
        self.name.kind == "/Namespace"
    }

    fn is_terminating(&self) -> bool {
        self.meta.metadata.deletion_timestamp.is_some()
    }

    /// Deletes the object at once; with `force`, takes away its finalizers.
    async fn delete(&self, client: &Client, force: bool) {
        let api: Api<DynamicObject> = match self.scope {
            Scope::Namespaced => Api::namespaced_with(client.clone(), &self.name.namespace, &self.resource),
            Scope::Cluster => Api::all_with(client.clone(), &self.resource),
        };
        // What fails here is found again in the next round, and named at the deadline.
        if force && self.meta.metadata.finalizers.is_some() {
            let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
            drop(
                api.patch_metadata(&self.name.name, &PatchParams::default(), &patch)
                    .await,
            );
        }
        if !self.is_terminating() {
            drop(
                api.delete(&self.name.name, &DeleteParams::background().grace_period(0))
                    .await,
            );
        }
    }

    /// Does at once to an empty namespace what the namespace controller does five seconds later.
    async fn finalize(&self, client: &Client) {
        let name = &self.name.name;
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {"finalizers": []}});
        let request = hyper::http::Request::put(format!("/api/v1/namespaces/{name}/finalize"))
            .header("content-type", "application/json")
            .body(body.to_string().into_bytes())
            .expect("because the name is a legal path segment");
        drop(client.request::<serde_json::Value>(request).await);
    }
}

/// Every object of every kind that can be listed and deleted.
async fn find(client: &Client) -> kube::Result<Vec<Found>> {
    let discovery = Discovery::new(client.clone()).run_aggregated().await?;
    let kinds: Vec<_> = discovery
        .groups()
        .flat_map(|group| group.recommended_resources())
        .filter(|(resource, capabilities)| {
            capabilities.supports_operation(verbs::LIST)
                && capabilities.supports_operation(verbs::DELETE)
                && !EPHEMERAL.contains(&resource.kind.as_str())
        })
        .collect();
    let lists: Vec<kube::Result<Vec<Found>>> = stream::iter(kinds)
        .map(|(resource, capabilities)| list(client, resource, capabilities.scope))
        .buffer_unordered(8)
        .collect()
        .await;
    Ok(lists
        .into_iter()
        .collect::<kube::Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect())
}

async fn list(client: &Client, resource: ApiResource, scope: Scope) -> kube::Result<Vec<Found>> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let list = match api.list_metadata(&ListParams::default()).await {
        Ok(list) => list.items,
        // A kind whose definition was just deleted.
        Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(list
        .into_iter()
        .map(|meta| Found {
            name: Name {
                kind: format!("{}/{}", resource.group, resource.kind),
                namespace: meta.namespace().unwrap_or_default(),
                name: meta.name_any(),
            },
            resource: resource.clone(),
            scope: scope.clone(),
            meta,
        })
        .collect())
}

async fn each<'a, F: Future<Output = ()>>(found: &[&'a Found], act: impl Fn(&'a Found) -> F) {
    stream::iter(found.iter().copied())
        .map(act)
        .buffer_unordered(8)
        .collect::<()>()
        .await;
}
