//! Reconcile: who calls what, in which order.
//!
//! ```text
//! feed ──▶ Head (a commit and its configuration) ──┬─▶ environment staging ─▶ pass: observe, decide, one step
//!   ▲                                              └─▶ environment prod    ─▶ pass: …
//!   └────────── a promotion pushed a commit ◀─────────── gates, promotion
//! ```
//!
//! Everything is level-triggered: a pass looks at git, at the cluster and at the record, decides one step by a pure
//! function, takes it, and begins again. So after a crash nothing has to be remembered or undone.

pub mod board;
pub mod daemon;
pub mod election;
pub mod environment;
pub mod feed;
pub mod gate;
pub mod hub;
pub mod orders;
pub mod promotion;
pub mod rehearse;
pub mod rollback;

use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::config::load_check::limits::Limits;
use crate::world::git::Identity;
use crate::world::lease::Leader;
use crate::world::remote::Remote;
use crate::world::write_back::Writer;
use election::Election;
use feed::Feed;
use hub::Hub;

/// What all reconcilers share.
#[derive(Clone)]
pub struct Shared {
    /// The repository.
    pub remote: Remote,
    /// The latest commit, as it becomes known.
    pub feed: Feed,
    /// What `--kubeconfig` says.
    pub kubeconfig: Option<PathBuf>,
    /// Who promotions are committed by.
    pub identity: Arc<Identity>,
    /// The most load that a gate sends.
    pub limits: Limits,
    /// Where they leave what they know.
    pub hub: Hub,
    /// How it is decided which replica keeps an environment; without it, this process keeps all.
    pub election: Option<Election>,
    /// The proof that writing needs.
    pub leader: Leader,
    /// Ends everything, between two steps.
    pub cancel: CancellationToken,
}

// === impl Shared ===

impl Shared {
    /// Who writes to git what follows by itself, for which this replica has to lead.
    fn writer(&self) -> Writer<'_> {
        Writer {
            remote: &self.remote,
            identity: &self.identity,
            leader: &self.leader,
        }
    }
}

/// The files that a change of wakes the environments, because credentials come from them.
fn kubeconfig_files(shared: &Shared) -> Vec<PathBuf> {
    crate::world::cluster::connect::kubeconfig_paths(shared.kubeconfig.as_deref())
}
