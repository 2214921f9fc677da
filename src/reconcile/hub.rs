//! Hub: where reconcilers leave what they know, and readers find it. Nobody waits for anybody.
//!
//! ```text
//! reconcilers ──▶ board (one value per environment, replaced) ──▶ readers
//! load check  ──▶ progress (the latest only)                  ──▶ readers
//! readers     ──▶ asks (a flag and a wake-up per environment) ──▶ reconcilers
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use super::orders::{Carried, Mailbox, Order, OrderError};
use crate::model::EnvName;
use crate::report::board::{ActionView, Board, CheckView, EnvironmentView, LatencyView};
use crate::report::metrics::Counters;
use crate::verify::progress::Progress;
use crate::world::cluster::Cluster;
use crate::world::cluster::family::Family;
use crate::world::remote::Requests;

/// How old what belongs to an environment's objects may be before a reader has it read again.
const FAMILY_AGE: Duration = Duration::from_secs(2);

/// How many actions of people are remembered.
const ACTIONS: usize = 50;

/// How long a reader waits for it.
const FAMILY_TIMEOUT: Duration = Duration::from_secs(3);

/// What all reconcilers and readers share; clones are the same hub.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    board: watch::Sender<Arc<Board>>,
    desks: Mutex<BTreeMap<EnvName, Arc<Desk>>>,
    counters: Mutex<Counters>,
    orders: Mailbox,
    begun: Timestamp,
    git: Mutex<Option<Requests>>,
    /// By when each loop has to be heard of again.
    beats: Mutex<BTreeMap<String, Instant>>,
}

/// What concerns one environment alone.
#[derive(Default)]
pub struct Desk {
    wake: Notify,
    verify: AtomicBool,
    check: Mutex<Option<LiveCheck>>,
    cluster: Mutex<Option<(Arc<Cluster>, BTreeSet<String>)>>,
    read: tokio::sync::Mutex<Option<Instant>>,
    shown: Mutex<Arc<Family>>,
}

/// A load check that runs or ran.
struct LiveCheck {
    view: CheckView,
    progress: watch::Receiver<Progress>,
}

/// What a person may ask of an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Look at git and the cluster now.
    Sync,
    /// Look now, and run a verification that failed once more; what passes is promoted as always.
    Verify,
}

// === impl Hub ===

impl Default for Hub {
    fn default() -> Self {
        let board = Board {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Board::default()
        };
        Self(Arc::new(Inner {
            board: watch::Sender::new(Arc::new(board)),
            desks: Mutex::default(),
            counters: Mutex::default(),
            orders: Mailbox::default(),
            begun: Timestamp::now(),
            git: Mutex::default(),
            beats: Mutex::default(),
        }))
    }
}

impl Hub {
    /// Changes the board; `change` says whether it did.
    pub fn update(&self, change: impl FnOnce(&mut Board) -> bool) {
        self.0
            .board
            .send_if_modified(|board| change(Arc::make_mut(board)));
    }

    /// Puts what is known of an environment on the board. One that git does not hold has no place there.
    pub fn environment(&self, name: &EnvName, change: impl FnOnce(&mut EnvironmentView)) {
        self.update(|board| {
            let mut found = board
                .environments
                .iter_mut()
                .find(|environment| environment.name == name.as_str());
            let Some(place) = found.as_mut() else { return false };
            let mut view = EnvironmentView::clone(place);
            change(&mut view);
            let differs = view != ***place;
            **place = Arc::new(view);
            differs
        });
    }

    /// The board as it is, with what runs at this moment.
    #[must_use]
    pub fn board(&self) -> Board {
        let mut board = Board::clone(&self.0.board.borrow());
        for environment in &mut board.environments {
            let desk = environment
                .name
                .parse()
                .ok()
                .and_then(|name| self.known_desk(&name));
            let Some(desk) = desk else { continue };
            let family = Arc::clone(&lock(&desk.shown));
            let check = desk.check();
            if check.is_none() && *family == Family::default() {
                continue;
            }
            let view = Arc::make_mut(environment);
            view.check = check;
            view.events.clone_from(&family.events);
            for resource in &mut view.resources {
                resource.children = family.of(&resource.kind, &resource.namespace, &resource.name);
            }
        }
        board
    }

    /// Wakes at every change of the board.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Arc<Board>> {
        self.0.board.subscribe()
    }

    /// Whether a load check runs anywhere.
    #[must_use]
    pub fn is_checking(&self) -> bool {
        let desks = lock(&self.0.desks);
        desks.values().any(|desk| {
            let check = lock(&desk.check);
            check.as_ref().is_some_and(|check| check.view.running)
        })
    }

    /// The desk of an environment.
    #[must_use]
    pub fn desk(&self, name: &EnvName) -> Arc<Desk> {
        Arc::clone(lock(&self.0.desks).entry(name.clone()).or_default())
    }

    fn known_desk(&self, name: &EnvName) -> Option<Arc<Desk>> {
        lock(&self.0.desks).get(name).cloned()
    }

    /// Forgets an environment that git no longer holds.
    pub fn forget(&self, name: &EnvName) {
        lock(&self.0.desks).remove(name);
        lock(&self.0.beats).remove(name.as_str());
        let mut counters = lock(&self.0.counters);
        counters.passes.remove(name.as_str());
        counters.leads.remove(name.as_str());
        counters.latencies.retain(|(env, _), _| env != name.as_str());
        counters.promotions.retain(|(env, _), _| env != name.as_str());
    }

    /// Asks something of an environment; false when nobody keeps it.
    #[must_use]
    pub fn ask(&self, name: &str, ask: Ask) -> bool {
        let Some(desk) = name.parse().ok().and_then(|name| self.known_desk(&name)) else {
            return false;
        };
        if ask == Ask::Verify {
            desk.verify.store(true, Ordering::Relaxed);
        }
        desk.wake.notify_one();
        true
    }

    /// Remembers what a person asked for; the oldest make room.
    pub fn note(&self, action: ActionView) {
        self.update(|board| {
            board.actions.insert(0, action);
            board.actions.truncate(ACTIONS);
            true
        });
    }

    /// Where orders are left.
    #[must_use]
    pub fn mailbox(&self) -> &Mailbox {
        &self.0.orders
    }

    /// Leaves an order for the daemon, and waits for what it comes to; `None` when nobody keeps the environment.
    pub async fn order(&self, name: &str, order: Order, by: String) -> Option<Result<Carried, OrderError>> {
        let name: EnvName = name.parse().ok()?;
        self.known_desk(&name)?;
        Some(self.0.orders.send(name, order, by).await)
    }

    /// Reads what belongs to an environment's objects, unless it was read just now. What takes too long is left out.
    pub async fn look(&self, name: &str) {
        let Some(desk) = name.parse().ok().and_then(|name| self.known_desk(&name)) else {
            return;
        };
        if tokio::time::timeout(FAMILY_TIMEOUT, desk.look()).await.is_err() {
            tracing::debug!(
                env = name,
                "what belongs to the objects could not be read in time"
            );
        }
    }

    /// When the process began.
    #[must_use]
    pub fn begun(&self) -> Timestamp {
        self.0.begun
    }

    /// Says where requests to git are counted.
    pub fn count_git(&self, requests: Requests) {
        *lock(&self.0.git) = Some(requests);
    }

    /// Counts something.
    pub fn count(&self, count: impl FnOnce(&mut Counters)) {
        count(&mut lock(&self.0.counters));
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut counters = lock(&self.0.counters).clone();
        counters.git = lock(&self.0.git)
            .as_ref()
            .map(Requests::counted)
            .unwrap_or_default();
        counters
    }

    /// Says that a loop goes on, and will be heard of again within `limit`.
    pub fn beat(&self, name: &str, limit: Duration) {
        lock(&self.0.beats).insert(name.to_owned(), Instant::now() + limit);
    }

    /// The loops that should have been heard of.
    #[must_use]
    pub fn hanging(&self) -> Vec<String> {
        let now = Instant::now();
        let beats = lock(&self.0.beats);
        beats
            .iter()
            .filter(|(_, due)| **due < now)
            .map(|(name, _)| name.clone())
            .collect()
    }
}

// === impl Desk ===

impl Desk {
    /// Waits until somebody asks something.
    pub async fn asked(&self) {
        self.wake.notified().await;
    }

    /// Whether a verification that failed shall run again; asked once.
    pub fn take_verify(&self) -> bool {
        self.verify.swap(false, Ordering::Relaxed)
    }

    /// Says where what belongs to the objects can be read.
    pub fn reach(&self, cluster: Arc<Cluster>, namespaces: BTreeSet<String>) {
        *lock(&self.cluster) = Some((cluster, namespaces));
    }

    /// A load check begins; what it sends to the returned channel is shown.
    pub fn begin_check(&self, view: CheckView) -> watch::Sender<Progress> {
        let (sender, progress) = watch::channel(Progress::default());
        let view = CheckView {
            running: true,
            ..view
        };
        *lock(&self.check) = Some(LiveCheck { view, progress });
        sender
    }

    /// The load check ended.
    pub fn end_check(&self, verdict: &str, reason: &str) {
        if let Some(check) = lock(&self.check).as_mut() {
            check.view.running = false;
            check.view.verdict = Some(verdict.to_owned());
            reason.clone_into(&mut check.view.reason);
        }
    }

    fn check(&self) -> Option<CheckView> {
        let check = lock(&self.check);
        let LiveCheck { view, progress } = check.as_ref()?;
        let progress = progress.borrow();
        let (vus, max_vus) = progress.vus();
        let latency = progress.latency.iter().map(|point| LatencyView {
            at_seconds: point.at.as_secs_f64(),
            p90_millis: point.p90,
            max_millis: point.max,
        });
        Some(CheckView {
            elapsed_seconds: progress.elapsed.as_secs_f64(),
            duration_seconds: progress.duration.as_secs_f64(),
            repetition: progress.repetition,
            requests: progress.requests,
            failed: progress.failed,
            vus,
            max_vus,
            latency: latency.collect(),
            ..view.clone()
        })
    }

    async fn look(&self) {
        // Readers that come meanwhile wait for the same answer.
        let mut slot = self.read.lock().await;
        if slot.is_some_and(|read| read.elapsed() < FAMILY_AGE) {
            return;
        }
        let reach = lock(&self.cluster).clone();
        let Some((cluster, namespaces)) = reach else {
            return;
        };
        match cluster.family(&namespaces).await {
            Ok(family) => {
                *lock(&self.shown) = Arc::new(family);
                *slot = Some(Instant::now());
            }
            Err(error) => tracing::debug!(%error, "what belongs to the objects could not be read"),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
