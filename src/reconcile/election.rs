//! Election: which replica keeps which environment. Each one is kept by the holder of its Lease, and by nobody else.
//!
//! ```text
//! follow ──lease free──▶ lead: keep the environment ∥ renew ──asked──▶ finish the step, release ──▶ follow
//!   ▲                        │                        └──cancelled──▶ finish the step, release ──▶ end
//!   └────not renewed in time─┘ (what is under way is dropped; the proof is void, so nothing of it is written)
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::daemon::{GRACE, keep};
use crate::config::environment::{ClusterSpec, EnvironmentSpec};
use crate::model::EnvName;
use crate::problem::chain;
use crate::report::board::State;
use crate::world::cluster::connect::{ConnectError, connect};
use crate::world::cluster::{Cluster, ClusterError};
use crate::world::lease::{Leader, Seat, Share, Times, Turn};

/// What the elections of all environments share. Clones are the same.
#[derive(Debug, Clone)]
pub struct Election {
    me: String,
    times: Times,
    ledger: Arc<Mutex<BTreeMap<EnvName, Place>>>,
}

/// What was last seen of one environment's Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    holder: String,
    asking: bool,
}

/// Why a turn came to nothing.
#[derive(Debug, thiserror::Error)]
enum TurnError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("git does not hold the environment")]
    Gone,
}

/// One environment's election: its Lease, and the way to it.
struct Office {
    shared: Shared,
    election: Election,
    name: EnvName,
    seat: Seat,
    cluster: Option<(ClusterSpec, Cluster)>,
    told: String,
}

// === impl Election ===

impl Election {
    /// The elections in which this process is called `me`.
    #[must_use]
    pub fn new(me: String, times: Times) -> Self {
        Self {
            me,
            times,
            ledger: Arc::default(),
        }
    }

    fn share(&self, name: &EnvName) -> Share {
        let ledger = self.ledger();
        let held_by = |holder: &str| ledger.values().filter(|place| place.holder == holder).count();
        let asking = ledger
            .values()
            .any(|place| place.asking && place.holder != self.me);
        let theirs = ledger.get(name).map_or(0, |place| held_by(&place.holder));
        Share {
            mine: held_by(&self.me),
            theirs,
            asking,
        }
    }

    fn note(&self, name: &EnvName, holder: &str, asking: bool) {
        let place = Place {
            holder: holder.to_owned(),
            asking,
        };
        self.ledger().insert(name.clone(), place);
    }

    fn ledger(&self) -> MutexGuard<'_, BTreeMap<EnvName, Place>> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps an environment whenever this replica holds its Lease, until cancelled.
pub async fn take_turns(shared: Shared, name: EnvName, cancel: CancellationToken) {
    let Some(election) = shared.election.clone() else {
        return keep(shared, name, cancel).await;
    };
    let mut office = Office::new(shared, election, name);
    while let Some(leader) = office.follow(&cancel).await {
        office.lead(leader, &cancel).await;
    }
    office.election.ledger().remove(&office.name);
}

// === impl Office ===

impl Office {
    fn new(shared: Shared, election: Election, name: EnvName) -> Self {
        Self {
            seat: Seat::new(name.clone(), election.me.clone(), election.times),
            shared,
            election,
            name,
            cluster: None,
            told: String::new(),
        }
    }

    /// Waits until this replica leads; `None` when cancelled.
    async fn follow(&mut self, cancel: &CancellationToken) -> Option<Leader> {
        loop {
            if cancel.is_cancelled() {
                return None;
            }
            let retry = self.election.times.retry;
            self.shared.hub.beat(self.name.as_str(), retry * 2 + GRACE);
            match self.turn().await {
                Ok(Turn::Leading(leader)) => {
                    tracing::info!(env = %self.name, "this replica keeps the environment");
                    self.told.clear();
                    return Some(leader);
                }
                Ok(Turn::Asked) => {}
                Ok(Turn::Following { holder, .. }) => self.stand_by(&holder),
                Err(error) => self.complain(&error),
            }
            tokio::select! {
                () = cancel.cancelled() => return None,
                () = tokio::time::sleep(jittered(retry)) => {}
            }
        }
    }

    /// Keeps the environment for as long as this replica leads.
    async fn lead(&mut self, leader: Leader, cancel: &CancellationToken) {
        let (term, mut kept) = (cancel.child_token(), JoinSet::new());
        let shared = Shared {
            leader: leader.clone(),
            ..self.shared.clone()
        };
        kept.spawn(keep(shared, self.name.clone(), term.clone()));
        loop {
            tokio::select! {
                // It ends when it is cancelled, and between two steps.
                _ = kept.join_next() => break,
                () = tokio::time::sleep(jittered(self.election.times.retry)) => {}
            }
            match self.turn().await {
                Ok(Turn::Leading(_)) => {}
                Ok(Turn::Asked) => term.cancel(),
                Ok(Turn::Following { .. }) => break,
                Err(TurnError::Gone) => term.cancel(),
                Err(error) => {
                    tracing::warn!(env = %self.name, "the lease was not renewed: {}", chain(&error));
                    self.cluster = None;
                }
            }
            if leader.check().is_err() {
                break;
            }
        }
        // What a deposed leader has under way is dropped; its proof is void already.
        kept.shutdown().await;
        self.step_down(leader.check().is_err()).await;
    }

    async fn step_down(&mut self, deposed: bool) {
        if deposed {
            tracing::warn!(env = %self.name, "this replica does not keep the environment any more: its lease ran out");
            self.seat.abandon();
        } else {
            let released = match self.cluster.take() {
                Some((_, cluster)) => self.seat.release(&cluster).await,
                None => Ok(()),
            };
            self.seat.abandon();
            match released {
                Ok(()) => tracing::info!(env = %self.name, "the lease is released"),
                Err(error) => {
                    tracing::warn!(env = %self.name, "the lease was not released: {}", chain(&error))
                }
            }
        }
        self.election.note(&self.name, "", false);
    }

    async fn turn(&mut self) -> Result<Turn, TurnError> {
        let share = self.election.share(&self.name);
        let result = match self.connect().await {
            Ok(()) => {
                let (_, cluster) = self.cluster.as_ref().ok_or(TurnError::Gone)?;
                self.seat.turn(cluster, share).await.map_err(TurnError::from)
            }
            Err(error) => Err(error),
        };
        match &result {
            Ok(Turn::Leading(_) | Turn::Asked) => self.election.note(&self.name, &self.election.me, false),
            Ok(Turn::Following { holder, asking }) => self.election.note(&self.name, holder, *asking),
            Err(_) => {}
        }
        result
    }

    /// Reaches the cluster that git names now, as gitsync itself and not as the environment's account.
    async fn connect(&mut self) -> Result<(), TurnError> {
        let head = self.shared.feed.latest();
        let environment = head
            .as_ref()
            .and_then(|head| head.config.environments.get(&self.name))
            .ok_or(TurnError::Gone)?;
        let wanted = &environment.spec.cluster;
        match &self.cluster {
            Some((known, _)) if known == wanted => return Ok(()),
            // It moved to another cluster; what was held in the old one ends there by itself.
            Some(_) => self.seat.abandon(),
            None => {}
        }
        let spec = EnvironmentSpec {
            impersonate: None,
            ..environment.spec.clone()
        };
        let kubeconfig = self.shared.kubeconfig.as_deref();
        let cluster = connect(&spec, kubeconfig, &Leader::alone()).await?;
        self.cluster = Some((wanted.clone(), cluster));
        Ok(())
    }

    fn stand_by(&mut self, holder: &str) {
        let message = match holder {
            "" => "waiting for the lease".to_owned(),
            holder => format!("kept by replica {holder}"),
        };
        if self.told != message {
            tracing::info!(env = %self.name, "{message}");
            self.shared.hub.environment(&self.name, |board| {
                board.state = State::Unknown;
                board.message.clone_from(&message);
                board.hint = None;
            });
            self.told = message;
        }
    }

    fn complain(&mut self, error: &TurnError) {
        self.cluster = None;
        let message = chain(error);
        let hint = match error {
            TurnError::Connect(error) => Some(error.hint()),
            TurnError::Cluster(error) => error.hint(),
            TurnError::Gone => None,
        };
        if self.told == message {
            return;
        }
        match &hint {
            Some(hint) => tracing::error!(env = %self.name, hint, "{message}"),
            None => tracing::error!(env = %self.name, "{message}"),
        }
        self.shared.hub.environment(&self.name, |board| {
            board.state = State::Unreachable;
            board.message.clone_from(&message);
            board.hint.clone_from(&hint);
        });
        self.told = message;
    }
}

/// Up to a fifth less, so that replicas that started together do not stay together.
fn jittered(pause: Duration) -> Duration {
    use std::hash::{BuildHasher as _, RandomState};
    let random = RandomState::new().hash_one(0) % 1000;
    pause - pause.mul_f64(random as f64 / 5_000.0)
}
