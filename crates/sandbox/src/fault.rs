//! Fault: what is done to requests on purpose, so that a client can be seen to bear it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::status::Status;

/// Something that goes wrong, for the requests that match and as often as told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// The HTTP methods that it happens to; none for all. `GET` includes lists and watches.
    pub methods: Vec<String>,
    /// What the path has in it, as `/deployments/web`; empty for every path.
    pub path: String,
    /// How often it happens before it is over; none for until [`FaultHandle`] is dropped.
    pub times: Option<usize>,
}

/// The ways in which a request goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It is answered so much later.
    Latency(Duration),
    /// It is refused with 429, and the seconds after which to try again.
    TooManyRequests(u32),
    /// It is refused with 500.
    InternalError,
    /// It is refused with 503.
    Unavailable,
    /// A write is refused with 409, as if somebody had been faster.
    Conflict,
    /// It is never answered.
    Partition,
}

/// Holds a fault; dropping it ends the fault.
#[must_use = "dropping it ends the fault"]
#[derive(Debug)]
pub struct FaultHandle {
    faults: std::sync::Weak<Inner>,
    id: u64,
}

/// What is to go wrong.
#[derive(Debug, Default)]
pub(crate) struct Faults(std::sync::Arc<Inner>);

#[derive(Debug)]
struct Inner {
    active: Mutex<Active>,
    /// Counts how often watches have been dropped.
    dropped: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Active {
    next: u64,
    faults: Vec<(u64, Fault, usize)>,
}

/// What becomes of a request.
pub(crate) enum Verdict {
    /// It goes on.
    Pass,
    /// It is answered with this.
    Refuse(Status),
    /// It is not answered.
    Hang,
}

// === impl Fault ===

impl Fault {
    /// A fault that happens to every request.
    pub const fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            methods: Vec::new(),
            path: String::new(),
            times: None,
        }
    }

    /// The same for these methods only, as `["PATCH", "PUT"]`.
    #[must_use = "the fault is given back"]
    pub fn methods(mut self, methods: &[&str]) -> Self {
        self.methods = methods.iter().map(|&method| method.to_owned()).collect();
        self
    }

    /// The same for paths only that have a text in them.
    #[must_use = "the fault is given back"]
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// The same, over after so many times.
    #[must_use = "the fault is given back"]
    pub const fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }

    fn hits(&self, method: &Method, path: &str) -> bool {
        let by_method = self.methods.is_empty() || self.methods.iter().any(|one| one == method.as_str());
        let writes =
            self.kind != FaultKind::Conflict || matches!(method.as_str(), "PUT" | "PATCH" | "DELETE");
        by_method && writes && path.contains(&self.path)
    }
}

// === impl FaultHandle ===

impl FaultHandle {
    /// How many requests the fault has hit.
    pub fn hits(&self) -> usize {
        let Some(inner) = self.faults.upgrade() else {
            return 0;
        };
        let active = inner.lock();
        active
            .faults
            .iter()
            .find(|(id, ..)| *id == self.id)
            .map_or(0, |(_, _, hits)| *hits)
    }
}

impl Drop for FaultHandle {
    fn drop(&mut self) {
        if let Some(inner) = self.faults.upgrade() {
            inner.lock().faults.retain(|(id, ..)| *id != self.id);
        }
    }
}

// === impl Faults ===

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Active> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            active: Mutex::default(),
            dropped: watch::Sender::new(0),
        }
    }
}

impl Faults {
    /// Begins a fault.
    pub(crate) fn inject(&self, fault: Fault) -> FaultHandle {
        let mut active = self.0.lock();
        active.next += 1;
        let id = active.next;
        active.faults.push((id, fault, 0));
        FaultHandle {
            faults: std::sync::Arc::downgrade(&self.0),
            id,
        }
    }

    /// Ends every open watch.
    pub(crate) fn drop_watches(&self) {
        self.0.dropped.send_modify(|count| *count += 1);
    }

    /// Waits until watches are dropped.
    pub(crate) async fn watches_dropped(&self) {
        // The sender lives as long as this value does.
        let _ = self.0.dropped.subscribe().changed().await;
    }

    /// What becomes of a request. Waits as long as the latency is.
    pub(crate) async fn judge(&self, method: &Method, path: &str, clock: &Clock) -> Verdict {
        let hit: Vec<FaultKind> = {
            let mut active = self.0.lock();
            let hit = active.faults.iter_mut().filter(|(_, fault, hits)| {
                fault.hits(method, path) && fault.times.is_none_or(|times| *hits < times)
            });
            hit.map(|(_, fault, hits)| {
                *hits += 1;
                fault.kind.clone()
            })
            .collect()
        };
        for kind in hit {
            match kind {
                FaultKind::Latency(time) => clock.sleep(time).await,
                FaultKind::Partition => return Verdict::Hang,
                refused => return Verdict::Refuse(refusal(&refused, path)),
            }
        }
        Verdict::Pass
    }
}

fn refusal(kind: &FaultKind, path: &str) -> Status {
    match kind {
        FaultKind::TooManyRequests(seconds) => {
            let message = "the server has received too many requests and has asked us to try again later";
            let mut status = Status::new(429, "TooManyRequests", message);
            status.details = Some(Box::new(json!({ "retryAfterSeconds": seconds })));
            status
        }
        FaultKind::Conflict => {
            let mut parts = path.rsplit('/');
            let (name, resource) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            Status::modified(resource, name)
        }
        FaultKind::Unavailable => Status::new(
            503,
            "ServiceUnavailable",
            "the server is currently unable to handle the request",
        ),
        _ => Status::internal("a fault was injected"),
    }
}
