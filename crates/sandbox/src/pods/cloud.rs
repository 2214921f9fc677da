//! Cloud: what a test may know of the load balancers, and do to them, as whoever runs the cloud could.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::controllers::view::Place;

/// The requests that the ports of a Service have had, by the image that answered; the empty text counts those that
/// none could answer.
#[derive(Debug, Default)]
pub struct Counts(Mutex<BTreeMap<String, u64>>);

/// The load balancers of a cluster. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct LoadBalancers(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// By `namespace/name` of the Service.
    counts: Mutex<BTreeMap<String, Arc<Counts>>>,
    held: Mutex<BTreeSet<String>>,
    /// What has been held or released since the controllers last looked.
    changed: Mutex<Vec<Place>>,
    change: Notify,
}

// === impl LoadBalancers ===

impl LoadBalancers {
    /// Keeps a Service pending, as a cloud does that has no address for it; one that it had is taken away.
    pub fn hold(&self, namespace: &str, service: &str) {
        let key = format!("{namespace}/{service}");
        lock(&self.0.held).insert(key.clone());
        self.tell(key);
    }

    /// Gives a Service that was held its address.
    pub fn release(&self, namespace: &str, service: &str) {
        let key = format!("{namespace}/{service}");
        lock(&self.0.held).remove(&key);
        self.tell(key);
    }

    /// The requests that a Service has had at its present address, by the image that answered; the empty text counts
    /// those for which no endpoint was ready.
    pub fn requests(&self, namespace: &str, service: &str) -> BTreeMap<String, u64> {
        let counts = lock(&self.0.counts)
            .get(&format!("{namespace}/{service}"))
            .cloned();
        counts.map_or_else(BTreeMap::new, |counts| lock(&counts.0).clone())
    }

    pub(super) fn is_held(&self, key: &str) -> bool {
        lock(&self.0.held).contains(key)
    }

    /// Begins to count for a Service.
    pub(super) fn open(&self, key: &str) -> Arc<Counts> {
        let counts = Arc::new(Counts::default());
        lock(&self.0.counts).insert(key.to_owned(), Arc::clone(&counts));
        counts
    }

    /// Forgets what a Service has had.
    pub(super) fn close(&self, key: &str) {
        lock(&self.0.counts).remove(key);
    }

    /// Waits until something has been held or released.
    pub(crate) async fn changed(&self) {
        self.0.change.notified().await;
    }

    /// The Services that have been held or released.
    pub(crate) fn take_changed(&self) -> Vec<Place> {
        std::mem::take(&mut *lock(&self.0.changed))
    }

    fn tell(&self, key: String) {
        lock(&self.0.changed).push(Place {
            resource: "services".into(),
            key,
        });
        self.0.change.notify_one();
    }
}

// === impl Counts ===

impl Counts {
    pub fn add(&self, image: &str) {
        let mut counts = lock(&self.0);
        match counts.get_mut(image) {
            Some(count) => *count += 1,
            None => drop(counts.insert(image.to_owned(), 1)),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done inside of a lock here.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
