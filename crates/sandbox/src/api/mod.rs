//! Api: what a request does to the store, without HTTP.
//!
//! A write reads the object, computes the new one by the steps that [`crate::registry`] lists, and stores it if
//! nothing has changed meanwhile, else it begins anew. All writes are one after the other, so hooks may allocate.

mod delete;
mod evict;
mod fields;
mod metadata;
mod scale;
mod write;

use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::client::Client;
use crate::clock::Clock;
use crate::pods::Host;
use crate::registry::{Context, Kind, Registry};
use crate::status::Status;
use crate::store::{Store, Stored};

pub(crate) use scale::scale_of;

/// The state of a cluster's API.
#[derive(Debug)]
pub struct Api {
    /// The objects.
    pub store: Store,
    /// The kinds.
    pub registry: Registry,
    /// The time.
    pub clock: Clock,
    /// The node that pods run on.
    pub host: Arc<Host>,
    /// Held while an object is computed and stored.
    writing: Mutex<()>,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user's name.
    pub user: String,
    /// The groups that the user is in.
    pub groups: Vec<String>,
    /// The name of a field manager where the request tells none: the first part of the user agent.
    pub manager: String,
}

/// Which object or collection is meant.
#[derive(Clone, Debug)]
pub struct Target {
    /// The kind.
    pub kind: Arc<Kind>,
    /// The namespace; empty for a cluster-scoped kind.
    pub namespace: String,
    /// The name; empty where the object tells it.
    pub name: String,
    /// `status`, `scale`; empty for the object itself.
    pub subresource: String,
}

/// How an object is written.
#[derive(Clone, Debug)]
pub enum Operation {
    /// It must not be there yet.
    Create(Value),
    /// It is replaced as a whole.
    Update(Value),
    /// It is changed.
    Patch(Patch),
}

/// A change of an object.
#[derive(Clone, Debug)]
pub enum Patch {
    /// RFC 6902.
    Json(Value),
    /// RFC 7386.
    Merge(Value),
    /// A merge by the merge keys of the builtin types.
    Strategic(Value),
    /// The fields that a manager wants to own, and whether it takes them from others.
    Apply {
        /// The object with these fields alone.
        object: Value,
        /// Who wants them; empty is refused.
        manager: String,
        /// Whether a conflict is won.
        force: bool,
    },
}

/// What is done with fields that no schema knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validation {
    /// They are dropped.
    Ignore,
    /// They are dropped, and the answer warns.
    #[default]
    Warn,
    /// The request is refused.
    Strict,
}

/// The query of a write.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// Everything happens but the storing.
    pub dry_run: bool,
    /// The manager's name; the caller's if it is none.
    pub manager: Option<String>,
    /// What is done with unknown fields.
    pub validation: Validation,
}

/// The outcome of a write.
#[derive(Clone, Debug)]
pub struct Written {
    /// The object as it is now, or would be.
    pub object: Value,
    /// Whether it is new.
    pub created: bool,
    /// What the answer warns of.
    pub warnings: Vec<String>,
}

/// How the objects are treated that an object owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted afterwards.
    #[default]
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay.
    Orphan,
}

/// The options of a deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// How long a pod may take to end, in seconds; none for what the pod says.
    pub grace_seconds: Option<i64>,
    /// What happens to what it owns; none for what the kind does by itself.
    pub propagation: Option<Propagation>,
    /// The uid that the object must have.
    pub uid: Option<String>,
    /// The resource version that the object must have.
    pub resource_version: Option<String>,
    /// Everything happens but the deletion.
    pub dry_run: bool,
}

/// The outcome of a deletion.
#[derive(Clone, Debug)]
pub struct Deleted {
    /// The last state of the object, or its state while finalizers hold it.
    pub object: Value,
    /// Whether it is gone.
    pub gone: bool,
}

// === impl Api ===

impl Api {
    /// The API of an empty cluster.
    pub fn new(registry: Registry, clock: Clock, host: Arc<Host>) -> Self {
        Self {
            store: Store::new(),
            registry,
            clock,
            host,
            writing: Mutex::new(()),
        }
    }

    /// Reads an object.
    ///
    /// # Errors
    /// 404 if there is none.
    pub fn read(&self, kind: &Kind, namespace: &str, name: &str) -> Result<Arc<Stored>, Status> {
        let key = key(kind, namespace, name);
        let found = self.store.get(&kind.resource(), &key);
        found.ok_or_else(|| Status::not_found(&kind.resource(), name))
    }
}

/// A text that nobody can guess.
pub(crate) fn random_id() -> String {
    metadata::uid()
}

/// What hooks may know.
pub(crate) fn context(api: &Arc<Api>, caller: &Caller) -> Context {
    Context {
        client: Client::new(Arc::clone(api), Arc::new(caller.clone())),
        clock: api.clock.clone(),
    }
}

/// Under what the store knows an object.
pub(crate) fn key(kind: &Kind, namespace: &str, name: &str) -> String {
    if kind.namespaced {
        format!("{namespace}/{name}")
    } else {
        name.to_owned()
    }
}

// === impl Caller ===

impl Caller {
    /// A part of the cluster itself, which may do anything.
    pub fn system(manager: &str) -> Self {
        Self {
            user: format!("system:{manager}"),
            groups: vec!["system:masters".to_owned(), "system:authenticated".to_owned()],
            manager: manager.to_owned(),
        }
    }
}
