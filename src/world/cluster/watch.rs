//! Watch: the live objects of an environment as they change.
//!
//! What gitsync applied carries the environment's label, so one watch a kind brings exactly that; it goes into
//! [`Known`], and a change wakes the environment's next pass. Of pods only metadata is watched, and nothing of it is
//! kept: they tell that something moves. A lost watch starts again with backoff, and until it has listed everything the
//! pass looks for itself.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kube::Api;
use kube::api::{DynamicObject, PartialObjectMeta};
use kube::runtime::{WatchStreamExt as _, watcher};
use manifest::ObjectId;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::known::Known;
use super::observe::Observed;
use super::read::to_value;
use super::{Cluster, Resource};
use crate::live::ENVIRONMENT_LABEL;
use crate::model::EnvName;

/// What is watched: a kind, and the namespace it is watched in; empty for all of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Scope {
    group: String,
    kind: String,
    version: String,
    namespace: String,
}

/// The watches of one environment. They end when this is dropped.
#[derive(Default)]
pub struct Watches {
    scopes: BTreeSet<Scope>,
    pods: BTreeSet<String>,
    known: Known,
    tasks: JoinSet<()>,
}

/// One watch of what gitsync applied, as its task needs it.
struct Watch {
    number: usize,
    resource: Resource,
    known: Known,
    changed: Arc<Notify>,
}

// === impl Watches ===

impl Watches {
    /// What the watches know.
    #[must_use]
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// Watches the kinds and namespaces of `objects`, and their pods; `changed` is notified of every change.
    ///
    /// Nothing happens when they are the ones that are watched already.
    pub fn follow(
        &mut self,
        cluster: &Cluster,
        environment: &EnvName,
        objects: &[Observed],
        changed: &Arc<Notify>,
    ) {
        let (scopes, pods) = (scopes_of(objects), pods_of(objects));
        let wanted: BTreeSet<Scope> = scopes.keys().cloned().collect();
        if wanted == self.scopes && pods == self.pods {
            return;
        }
        self.tasks = JoinSet::new();
        self.known = Known::default();
        let config = watcher::Config::default().labels(&format!("{ENVIRONMENT_LABEL}={environment}"));
        for (number, (scope, resource)) in scopes.into_iter().enumerate() {
            let api = match scope.namespace.as_str() {
                "" => Api::all_with(cluster.client().clone(), &resource.api),
                namespace => Api::namespaced_with(cluster.client().clone(), namespace, &resource.api),
            };
            let (known, changed) = (self.known.clone(), Arc::clone(changed));
            let watch = Watch {
                number,
                resource,
                known,
                changed,
            };
            self.tasks.spawn(watch.run(api, config.clone()));
        }
        for namespace in &pods {
            let api = Api::namespaced_with(cluster.client().clone(), namespace, &pod_resource());
            self.tasks.spawn(watch_pods(api, Arc::clone(changed)));
        }
        (self.scopes, self.pods) = (wanted, pods);
    }
}

/// One scope a kind: its namespace when all objects are in one, else the whole cluster.
fn scopes_of(objects: &[Observed]) -> BTreeMap<Scope, Resource> {
    let mut kinds: BTreeMap<_, (Resource, BTreeSet<&str>)> = BTreeMap::new();
    for observed in objects {
        if let Some(resource) = &observed.resource {
            let kind = kinds
                .entry(&observed.gvk)
                .or_insert_with(|| (resource.clone(), BTreeSet::new()));
            kind.1.insert(&observed.id.namespace);
        }
    }
    let scope = |(gvk, (resource, namespaces)): (&manifest::Gvk, (Resource, BTreeSet<&str>))| {
        let only = namespaces.first().filter(|_| namespaces.len() == 1).copied();
        let scope = Scope {
            group: gvk.group.clone(),
            kind: gvk.kind.clone(),
            version: gvk.version.clone(),
            namespace: only.unwrap_or_default().to_owned(),
        };
        (scope, resource)
    };
    kinds.into_iter().map(scope).collect()
}

/// The namespaces of everything that has pods.
fn pods_of(objects: &[Observed]) -> BTreeSet<String> {
    let with_pods = |observed: &&Observed| observed.body.pointer("/spec/template/spec/containers").is_some();
    objects
        .iter()
        .filter(with_pods)
        .map(|observed| observed.id.namespace.clone())
        .collect()
}

fn pod_resource() -> kube::api::ApiResource {
    kube::api::ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&())
}

// === impl Watch ===

impl Watch {
    async fn run(self, api: Api<DynamicObject>, config: watcher::Config) {
        let mut events = pin!(watcher(api, config).default_backoff());
        while let Some(event) = events.next().await {
            self.take(event);
        }
    }

    fn take(&self, event: watcher::Result<watcher::Event<DynamicObject>>) {
        match event {
            Ok(watcher::Event::Init) => self.known.begin(self.number),
            Ok(watcher::Event::InitApply(object)) => self.put(object),
            Ok(watcher::Event::InitDone) => {
                self.known.complete(self.number);
                self.changed.notify_one();
            }
            Ok(watcher::Event::Apply(object)) => {
                self.put(object);
                self.changed.notify_one();
            }
            Ok(watcher::Event::Delete(object)) => {
                self.known.remove(&self.id(&object));
                self.changed.notify_one();
            }
            Err(error) => {
                tracing::debug!(%error, kind = self.resource.api.kind, "watch interrupted");
                self.known.lost(self.number);
            }
        }
    }

    fn put(&self, object: DynamicObject) {
        let id = self.id(&object);
        self.known.put(self.number, id, to_value(object, &self.resource));
    }

    fn id(&self, object: &DynamicObject) -> ObjectId {
        ObjectId {
            group: self.resource.api.group.clone(),
            kind: self.resource.api.kind.clone(),
            namespace: object.metadata.namespace.clone().unwrap_or_default(),
            name: object.metadata.name.clone().unwrap_or_default(),
        }
    }
}

/// Changes in a cluster come in bursts. One is over when nothing has changed for this long,
const QUIET: Duration = Duration::from_millis(20);
/// or this long after its first change: a cluster may never be quiet.
const LONGEST_BURST: Duration = Duration::from_millis(150);

/// Waits for a change, and for the end of the burst that it is the first of, so that one look follows all of it.
pub async fn burst(changed: &Notify) {
    changed.notified().await;
    let rest = async { while timeout(QUIET, changed.notified()).await.is_ok() {} };
    let _ = timeout(LONGEST_BURST, rest).await;
}

async fn watch_pods(api: Api<PartialObjectMeta<DynamicObject>>, changed: Arc<Notify>) {
    let mut events = pin!(watcher(api, watcher::Config::default()).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            // The first list says nothing new, and an error is followed by a new list that does.
            Ok(watcher::Event::Apply(_) | watcher::Event::Delete(_) | watcher::Event::InitDone) => {
                changed.notify_one()
            }
            Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => {}
            Err(error) => tracing::debug!(%error, "watch of pods interrupted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_burst_that_does_not_end_is_looked_at_too() {
        let changed = Arc::new(Notify::new());
        let source = Arc::clone(&changed);
        let never_quiet = tokio::spawn(async move {
            loop {
                source.notify_one();
                tokio::task::yield_now().await;
            }
        });
        timeout(DEADLINE, burst(&changed)).await.unwrap();
        never_quiet.abort();
    }

    #[tokio::test]
    async fn no_change_is_lost_between_two_bursts() {
        let changed = Notify::new();
        for _ in 0..2 {
            changed.notify_one();
            timeout(DEADLINE, burst(&changed)).await.unwrap();
        }
        assert!(
            timeout(QUIET, burst(&changed)).await.is_err(),
            "nothing has changed"
        );
    }
}
