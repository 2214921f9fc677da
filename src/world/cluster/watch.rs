//! Watch: a signal whenever something that an environment is about changes in its cluster.
//!
//! Only metadata is watched, and nothing of it is kept: a change wakes the environment's next pass, which looks for
//! itself. A lost watch starts again with backoff; the interval is the backstop.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt as _;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::Cluster;
use super::observe::Observed;

/// What is watched: a kind, and the namespace it is watched in (empty for a cluster-scoped kind).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Scope {
    group: String,
    version: String,
    kind: String,
    plural: String,
    namespace: String,
}

/// The watches of one environment. They end when this is dropped.
#[derive(Default)]
pub struct Watches {
    scopes: BTreeSet<Scope>,
    tasks: JoinSet<()>,
}

// === impl Watches ===

impl Watches {
    /// Watches the kinds and namespaces of `objects`, and their pods; `changed` is notified of every change.
    ///
    /// Nothing happens when they are the ones that are watched already.
    pub fn follow(&mut self, cluster: &Cluster, objects: &[Observed], changed: &Arc<Notify>) {
        let scopes = scopes_of(objects);
        if scopes == self.scopes {
            return;
        }
        self.tasks = JoinSet::new();
        for scope in &scopes {
            self.tasks.spawn(watch(api(cluster, scope), Arc::clone(changed)));
        }
        self.scopes = scopes;
    }
}

fn scopes_of(objects: &[Observed]) -> BTreeSet<Scope> {
    let mut scopes = BTreeSet::new();
    for observed in objects {
        let Some(resource) = &observed.resource else {
            continue;
        };
        scopes.insert(Scope {
            group: resource.api.group.clone(),
            version: resource.api.version.clone(),
            kind: resource.api.kind.clone(),
            plural: resource.api.plural.clone(),
            namespace: observed.id.namespace.clone(),
        });
        if observed.body.pointer("/spec/template/spec/containers").is_some() {
            scopes.insert(Scope {
                group: String::new(),
                version: "v1".to_owned(),
                kind: "Pod".to_owned(),
                plural: "pods".to_owned(),
                namespace: observed.id.namespace.clone(),
            });
        }
    }
    scopes
}

fn api(cluster: &Cluster, scope: &Scope) -> Api<PartialObjectMeta<DynamicObject>> {
    let gvk = kube::core::GroupVersionKind::gvk(&scope.group, &scope.version, &scope.kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, &scope.plural);
    if scope.namespace.is_empty() {
        Api::all_with(cluster.client().clone(), &resource)
    } else {
        Api::namespaced_with(cluster.client().clone(), &scope.namespace, &resource)
    }
}

async fn watch(api: Api<PartialObjectMeta<DynamicObject>>, changed: Arc<Notify>) {
    let mut events = pin!(watcher(api, watcher::Config::default()).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            // The first list says nothing new, and an error is followed by a new list that does.
            Ok(watcher::Event::Apply(_) | watcher::Event::Delete(_) | watcher::Event::InitDone) => {
                changed.notify_one()
            }
            Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => {}
            Err(error) => tracing::debug!(%error, "watch interrupted"),
        }
    }
}
