//! Lease: which of several processes keeps an environment, and the proof of it that writing needs.
//!
//! ```text
//! Seat (one Lease of coordination.k8s.io) ──turn──▶ decide (pure) ──▶ create, take, renew, ask, hand over
//!   └──▶ Leader ──▶ every request that changes a cluster, and every push, asks it first
//! ```
//!
//! The Lease of an environment is in that environment's own cluster, beside its record: who cannot reach the cluster
//! cannot lead there. Expiry is judged as client-go does, by how long a Lease did not change while one looked at it, so
//! clocks of different machines are never compared. A leader counts from when it *sent* a renewal and stops at the
//! renew deadline; what it has sent by then is waited for until the lease duration is over, and others begin after it.

mod decide;
mod fence;
mod leader;
mod seat;

pub use decide::{Share, Times, TimesError};
pub use fence::FenceLayer;
pub use leader::{Deposed, Leader};
pub use seat::{Seat, Turn};

/// A name for this process that no other has: the host's, which is the pod's in a cluster, and a random part.
#[must_use]
pub fn identity() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    let named = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    let host = named.or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok());
    let random = RandomState::new().hash_one(std::process::id());
    format!("{}_{random:016x}", host.as_deref().unwrap_or("gitsync").trim())
}
