//! Client: the API for code in the same process. It is synchronous and skips HTTP, and nothing else: requests are
//! defaulted, validated and refused as those of a remote client are.
//!
//! A resource is written with its group, as `pods` or `deployments.apps`, and is served in its preferred version.
//! The namespace is empty for cluster-scoped objects.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use crate::api::{Api, Caller, DeleteOptions, Operation, Patch, Target, WriteOptions};
use crate::clock::Clock;
use crate::pods::Host;
use crate::registry::{Kind, Verbs};
use crate::selector::Selector;
use crate::status::Status;
use crate::store::Stored;

/// A user of the API in the same process. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Client {
    api: Arc<Api>,
    caller: Arc<Caller>,
}

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It is new.
    Added,
    /// It has changed.
    Modified,
    /// It is gone; the event has its last state.
    Deleted,
}

/// A change of an object.
#[derive(Clone, Debug)]
pub struct Event {
    /// The resource, as it was subscribed to.
    pub resource: Arc<str>,
    /// What became of the object.
    pub kind: EventKind,
    object: Arc<Stored>,
}

/// A stream of changes of some resources, from the moment of its making.
#[derive(Debug)]
pub struct Subscription {
    api: Arc<Api>,
    resources: Vec<Arc<str>>,
    seen: u64,
    revision: watch::Receiver<u64>,
}

// === impl Client ===

impl Client {
    pub(crate) const fn new(api: Arc<Api>, caller: Arc<Caller>) -> Self {
        Self { api, caller }
    }

    /// The same API under another manager's name, which is what `metadata.managedFields` will tell.
    #[must_use = "the client is given back"]
    pub fn named(&self, manager: &str) -> Self {
        Self {
            api: Arc::clone(&self.api),
            caller: Arc::new(Caller {
                manager: manager.to_owned(),
                ..Caller::clone(&self.caller)
            }),
        }
    }

    /// The cluster's clock.
    pub fn clock(&self) -> &Clock {
        &self.api.clock
    }

    /// The node that pods run on.
    pub(crate) fn host(&self) -> Arc<Host> {
        Arc::clone(&self.api.host)
    }

    /// All resources that are served and kept, each written with its group.
    pub(crate) fn resources(&self) -> Vec<String> {
        let kinds = self.api.registry.all();
        let kept = kinds.iter().filter(|kind| kind.verbs != Verbs::Create);
        let mut names: Vec<String> = kept.map(|kind| kind.resource()).collect();
        names.dedup();
        names
    }

    /// The revision of the last change of anything.
    pub fn revision(&self) -> u64 {
        self.api.store.revision()
    }

    /// Reads an object.
    ///
    /// # Errors
    /// 404 if there is none.
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Result<Value, Status> {
        let kind = self.kind(resource)?;
        Ok(self.api.read(&kind, namespace, name)?.value())
    }

    /// All objects of a resource in the order of a list; none if there is no such resource.
    pub fn list(&self, resource: &str, namespace: Option<&str>) -> Vec<Value> {
        self.select(resource, namespace, &Selector::everything())
    }

    /// The objects of a resource whose labels match.
    pub fn select(&self, resource: &str, namespace: Option<&str>, labels: &Selector) -> Vec<Value> {
        let Ok(kind) = self.kind(resource) else {
            return Vec::new();
        };
        let prefix = namespace
            .filter(|_| kind.namespaced)
            .map(|namespace| format!("{namespace}/"));
        let snapshot = self
            .api
            .store
            .list(resource, prefix.as_deref().unwrap_or_default());
        let objects = snapshot.objects.iter().map(|object| object.value());
        objects.filter(|object| labels.matches_object(object)).collect()
    }

    /// Creates an object in the namespace that its metadata names.
    ///
    /// # Errors
    /// 409 if the name is taken, 422 if the object is wrong.
    pub fn create(&self, resource: &str, object: Value) -> Result<Value, Status> {
        let target = self.target_of(resource, &object, "")?;
        self.write(&target, Operation::Create(object))
    }

    /// Replaces an object. With a `metadata.resourceVersion`, only if it is still that one.
    ///
    /// # Errors
    /// 404 if there is none, 409 if it has changed meanwhile, 422 if the new object is wrong.
    pub fn update(&self, resource: &str, object: Value) -> Result<Value, Status> {
        let target = self.target_of(resource, &object, "")?;
        self.write(&target, Operation::Update(object))
    }

    /// Replaces the status of an object, and nothing else of it.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub fn update_status(&self, resource: &str, object: Value) -> Result<Value, Status> {
        let target = self.target_of(resource, &object, "status")?;
        self.write(&target, Operation::Update(object))
    }

    /// Changes an object by a patch.
    ///
    /// # Errors
    /// 404 if there is none, 409 for the conflicts of an apply, 422 if the outcome is wrong.
    pub fn patch(&self, resource: &str, namespace: &str, name: &str, patch: Patch) -> Result<Value, Status> {
        let target = self.target(resource, namespace, name, "")?;
        self.write(&target, Operation::Patch(patch))
    }

    /// Changes the status of an object by a patch.
    ///
    /// # Errors
    /// As [`Self::patch`].
    pub fn patch_status(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        patch: Patch,
    ) -> Result<Value, Status> {
        let target = self.target(resource, namespace, name, "status")?;
        self.write(&target, Operation::Patch(patch))
    }

    /// Deletes an object, or marks it as deleted if finalizers stand in the way.
    ///
    /// # Errors
    /// 404 if there is none, 409 if a precondition fails.
    pub fn delete(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<(), Status> {
        let target = self.target(resource, namespace, name, "")?;
        self.api.delete(&target, options).map(drop)
    }

    /// Follows the changes of some resources from now on.
    pub fn subscribe(&self, resources: &[&str]) -> Subscription {
        let revision = self.api.store.watch_revision();
        Subscription {
            api: Arc::clone(&self.api),
            resources: resources.iter().map(|&resource| resource.into()).collect(),
            seen: self.api.store.revision(),
            revision,
        }
    }

    fn kind(&self, resource: &str) -> Result<Arc<Kind>, Status> {
        self.api
            .registry
            .resource(resource)
            .ok_or_else(Status::no_such_resource)
    }

    fn target(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        subresource: &str,
    ) -> Result<Target, Status> {
        Ok(Target {
            kind: self.kind(resource)?,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: subresource.to_owned(),
        })
    }

    fn target_of(&self, resource: &str, object: &Value, subresource: &str) -> Result<Target, Status> {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        self.target(resource, &text("namespace"), &text("name"), subresource)
    }

    fn write(&self, target: &Target, operation: Operation) -> Result<Value, Status> {
        let options = WriteOptions::default();
        self.api
            .write(target, operation, &options, &self.caller)
            .map(|written| written.object)
    }
}

// === impl Event ===

impl Event {
    /// The object after the change, or its last state.
    pub fn object(&self) -> Value {
        self.object.value()
    }

    /// `namespace/name`, or the name alone.
    pub fn key(&self) -> &str {
        &self.object.key
    }
}

// === impl Subscription ===

impl Subscription {
    /// Waits until something has been written, which need not be of these resources; at once if it has been already.
    pub async fn changed(&mut self) {
        // The sender lives in the API, which this subscription keeps alive.
        let seen = self.seen;
        let _ = self.revision.wait_for(|revision| *revision > seen).await;
    }

    /// What has changed since the last call, in order.
    ///
    /// # Errors
    /// 410 if so much has changed that the changes are no longer kept; the next call goes on from now, and the
    /// caller reads everything anew.
    pub fn take(&mut self) -> Result<Vec<Event>, Status> {
        let after = self.seen;
        self.seen = self.api.store.revision();
        let mut events = Vec::new();
        for resource in &self.resources {
            let (changes, _) = self.api.store.changes(resource, after)?;
            for change in changes
                .into_iter()
                .take_while(|change| change.revision <= self.seen)
            {
                let (kind, object) = match (change.old, change.new, change.last) {
                    (None, Some(new), _) => (EventKind::Added, new),
                    (Some(_), Some(new), _) => (EventKind::Modified, new),
                    (_, None, Some(last)) => (EventKind::Deleted, last),
                    (_, None, None) => continue,
                };
                events.push((
                    change.revision,
                    Event {
                        resource: Arc::clone(resource),
                        kind,
                        object,
                    },
                ));
            }
        }
        events.sort_by_key(|(revision, _)| *revision);
        Ok(events.into_iter().map(|(_, event)| event).collect())
    }
}
