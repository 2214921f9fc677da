//! Store: the objects at every revision that is still kept, and who waits for the next one.
//!
//! ```text
//! collection "pods"   objects   key "web/a" → Arc<Stored>          the newest state
//!                     log       rev 7 added a, rev 9 modified a…   what led to it, as far as it is kept
//! ```
//!
//! An object is kept as the bytes of its JSON, which take a tenth of the tree's memory and go over the wire as they
//! are. A former state is the newest one with the log undone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use crate::status::Status;

/// How many changes of one resource are kept for watches and for lists in pieces.
const KEPT: usize = 2_000;

/// One object at one revision.
#[derive(Clone, Debug)]
pub struct Stored {
    /// `namespace/name`, or the name alone: the order of a list.
    pub key: Box<str>,
    /// The `metadata.resourceVersion`.
    pub revision: u64,
    /// The object as JSON.
    pub json: Bytes,
}

/// A change of one object.
#[derive(Clone, Debug)]
pub struct Change {
    /// The revision that it made.
    pub revision: u64,
    /// The object before; none if it was added.
    pub old: Option<Arc<Stored>>,
    /// The object after; none if it was removed. A removed object has a last state of its own.
    pub new: Option<Arc<Stored>>,
    /// The last state of a removed object, with the revision of its removal.
    pub last: Option<Arc<Stored>>,
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The revision of the whole store for which it holds.
    pub revision: u64,
    /// The objects in the order of their keys.
    pub objects: Vec<Arc<Stored>>,
}

/// The objects of a cluster.
#[derive(Debug)]
pub struct Store {
    inner: Mutex<Inner>,
    revision: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    revision: u64,
    collections: BTreeMap<String, Collection>,
    /// Changes up to this revision are gone everywhere.
    compacted: u64,
}

#[derive(Debug, Default)]
struct Collection {
    objects: BTreeMap<Box<str>, Arc<Stored>>,
    log: VecDeque<Change>,
    /// Changes up to this revision are gone here.
    compacted: u64,
}

// === impl Stored ===

impl Stored {
    /// The object as a tree.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.json).expect("because the store writes the bytes itself")
    }
}

// === impl Store ===

impl Store {
    /// An empty store.
    pub fn new() -> Self {
        let inner = Inner {
            revision: 1,
            ..Inner::default()
        };
        Self {
            inner: Mutex::new(inner),
            revision: watch::Sender::new(1),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The revision of the last change.
    pub fn revision(&self) -> u64 {
        self.lock().revision
    }

    /// An object as it is now.
    pub fn get(&self, resource: &str, key: &str) -> Option<Arc<Stored>> {
        self.lock().collections.get(resource)?.objects.get(key).cloned()
    }

    /// All objects of a resource whose key begins with a prefix, as they are now.
    pub fn list(&self, resource: &str, prefix: &str) -> Snapshot {
        let inner = self.lock();
        let objects = inner
            .collections
            .get(resource)
            .map(|one| one.objects_below(prefix));
        Snapshot {
            revision: inner.revision,
            objects: objects.unwrap_or_default(),
        }
    }

    /// The same as it was after a revision.
    ///
    /// # Errors
    /// 410 if that is too long ago, 504 if it is still to come.
    pub fn list_at(&self, resource: &str, prefix: &str, revision: u64) -> Result<Snapshot, Status> {
        let inner = self.lock();
        if revision > inner.revision {
            return Err(too_large(revision, inner.revision));
        }
        let Some(collection) = inner.collections.get(resource) else {
            return Ok(Snapshot {
                revision,
                objects: Vec::new(),
            });
        };
        if revision < collection.compacted.max(inner.compacted) {
            return Err(Status::expired(
                "The provided resource version is too old and can no longer be served.",
            ));
        }
        let mut objects: BTreeMap<&str, Arc<Stored>> = collection
            .objects_below(prefix)
            .into_iter()
            .filter_map(|object| Some((collection.objects.get_key_value(&object.key)?.0.as_ref(), object)))
            .collect();
        for change in collection
            .log
            .iter()
            .rev()
            .take_while(|change| change.revision > revision)
        {
            let (Some(of), old) = (change.new.as_ref().or(change.old.as_ref()), change.old.as_ref()) else {
                continue;
            };
            match old {
                Some(old) if old.key.starts_with(prefix) => {
                    objects.insert(&old.key, Arc::clone(old));
                }
                _ => {
                    objects.remove(of.key.as_ref());
                }
            }
        }
        Ok(Snapshot {
            revision,
            objects: objects.into_values().collect(),
        })
    }

    /// The changes of a resource after a revision, and the revision up to which they are complete.
    ///
    /// # Errors
    /// 410 if they are no longer kept.
    pub fn changes(&self, resource: &str, after: u64) -> Result<(Vec<Change>, u64), Status> {
        let inner = self.lock();
        let Some(collection) = inner.collections.get(resource) else {
            return Ok((Vec::new(), inner.revision));
        };
        let kept = collection.compacted.max(inner.compacted);
        if after < kept {
            return Err(Status::expired(format!(
                "too old resource version: {after} ({kept})"
            )));
        }
        let from = collection.log.partition_point(|change| change.revision <= after);
        Ok((collection.log.range(from..).cloned().collect(), inner.revision))
    }

    /// Says when the revision moves.
    pub fn watch_revision(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Writes an object if it is still as it was when it was read. `make` gets the new revision.
    ///
    /// # Errors
    /// The object that is there instead.
    pub fn put(
        &self,
        resource: &str,
        key: &str,
        read: Option<u64>,
        make: impl FnOnce(u64) -> Bytes,
    ) -> Result<Arc<Stored>, Option<Arc<Stored>>> {
        let mut inner = self.lock();
        let revision = inner.revision + 1;
        let collection = inner.collections.entry(resource.to_owned()).or_default();
        let old = collection.objects.get(key).cloned();
        if old.as_ref().map(|old| old.revision) != read {
            return Err(old);
        }
        let stored = Arc::new(Stored {
            key: key.into(),
            revision,
            json: make(revision),
        });
        collection.objects.insert(key.into(), Arc::clone(&stored));
        collection.record(Change {
            revision,
            old,
            new: Some(Arc::clone(&stored)),
            last: None,
        });
        self.publish(inner, revision);
        Ok(stored)
    }

    /// Removes an object if it is still as it was when it was read. `last` makes its last state.
    ///
    /// # Errors
    /// The object that is there instead.
    pub fn remove(
        &self,
        resource: &str,
        key: &str,
        read: u64,
        last: impl FnOnce(u64) -> Bytes,
    ) -> Result<Arc<Stored>, Option<Arc<Stored>>> {
        let mut inner = self.lock();
        let revision = inner.revision + 1;
        let collection = inner.collections.entry(resource.to_owned()).or_default();
        let old = collection.objects.get(key).cloned();
        if old.as_ref().map(|old| old.revision) != Some(read) {
            return Err(old);
        }
        collection.objects.remove(key);
        let last = Arc::new(Stored {
            key: key.into(),
            revision,
            json: last(revision),
        });
        collection.record(Change {
            revision,
            old,
            new: None,
            last: Some(Arc::clone(&last)),
        });
        self.publish(inner, revision);
        Ok(last)
    }

    /// Forgets every change up to now, as the compaction of a real store does after five minutes.
    pub fn compact(&self) {
        let mut inner = self.lock();
        inner.compacted = inner.revision;
        for collection in inner.collections.values_mut() {
            collection.log.clear();
        }
    }

    fn publish(&self, mut inner: MutexGuard<'_, Inner>, revision: u64) {
        inner.revision = revision;
        // Still under the lock, so that the revisions are told in their order.
        self.revision.send_replace(revision);
        drop(inner);
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Collection ===

impl Collection {
    fn objects_below(&self, prefix: &str) -> Vec<Arc<Stored>> {
        let from = self.objects.range(Box::<str>::from(prefix)..);
        let below = from.take_while(|(key, _)| key.starts_with(prefix));
        below.map(|(_, object)| Arc::clone(object)).collect()
    }

    fn record(&mut self, change: Change) {
        self.log.push_back(change);
        if self.log.len() > KEPT
            && let Some(gone) = self.log.pop_front()
        {
            self.compacted = gone.revision;
        }
    }
}

fn too_large(asked: u64, now: u64) -> Status {
    let message = format!("Timeout: Too large resource version: {asked}, current: {now}");
    let mut status = Status::new(504, "Timeout", message);
    status.details = Some(Box::new(serde_json::json!({
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    })));
    status
}
