//! Daemon: one task per environment, each on its own, so that a slow or dead cluster holds back nobody else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::Shared;
use super::board;
use super::election;
use super::environment::error::{PassError, problems_of, summary};
use super::environment::{Options, Reconciler};
use super::feed::{Head, Poller};
use crate::model::EnvName;
use crate::promote::decide::Step;
use crate::world::cluster::watch;
use crate::world::wake;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// How long a step without a load check may take.
const LONGEST_STEP: Duration = Duration::from_secs(600);

/// How late a loop may be.
pub(super) const GRACE: Duration = Duration::from_secs(60);

const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Runs until cancelled: polls git, and keeps every environment of the repository as git says.
pub async fn run(shared: Shared, poller: Poller) {
    let mut tasks: BTreeMap<EnvName, CancellationToken> = BTreeMap::new();
    let mut running = JoinSet::new();
    shared.hub.count_git(shared.remote.requests());
    running.spawn(poller.run(shared.hub.clone(), shared.cancel.clone()));
    running.spawn(super::orders::serve(shared.clone()));
    let mut feed = shared.feed.clone();
    let mut followed = None;
    loop {
        // What wakes this loop is not always a new head, and each is followed once.
        let news = feed.take().filter(|head| is_new(head, &mut followed));
        if let Some(head) = news {
            board::follow(&shared.hub, &shared.remote, &head);
            let past = board::remember(shared.hub.clone(), shared.remote.clone(), head.clone());
            running.spawn(past);
            let wanted = &head.config.environments;
            tasks.retain(|name, cancel| {
                if !wanted.contains_key(name) {
                    tracing::info!(env = %name, "git no longer holds the environment; its objects stay");
                    cancel.cancel();
                    shared.hub.forget(name);
                }
                wanted.contains_key(name)
            });
            for name in wanted
                .keys()
                .filter(|name| !tasks.contains_key(*name))
                .cloned()
                .collect::<Vec<_>>()
            {
                let cancel = shared.cancel.child_token();
                running.spawn(election::take_turns(shared.clone(), name.clone(), cancel.clone()));
                tasks.insert(name, cancel);
            }
        }
        tokio::select! {
            () = shared.cancel.cancelled() => break,
            _ = feed.changed() => {}
            // What has ended, as the reading of history, must not be kept.
            Some(_) = running.join_next() => {}
        }
    }
    while running.join_next().await.is_some() {}
}

/// Whether a head is another one than the last that was asked about.
fn is_new(head: &Arc<Head>, last: &mut Option<Arc<Head>>) -> bool {
    let known = last.replace(Arc::clone(head));
    known.is_none_or(|known| !Arc::ptr_eq(&known, head))
}

/// Keeps one environment until cancelled.
pub(super) async fn keep(shared: Shared, name: EnvName, cancel: CancellationToken) {
    let mut feed = shared.feed.clone();
    let (hub, desk) = (shared.hub.clone(), shared.hub.desk(&name));
    let kubeconfig = wake::on_files(super::kubeconfig_files(&shared));
    let options = Options {
        promotes: true,
        confirm_prune: false,
        retry_failed_before: None,
    };
    let mut reconciler = Reconciler::new(shared, name.clone(), options);
    let changed = reconciler.changed();
    let mut told = String::new();
    let mut pause = FIRST_PAUSE;
    let mut number = 0_u64;
    while !cancel.is_cancelled() {
        let Some(head) = feed.take() else { return };
        if desk.take_verify() {
            reconciler.retry_failed_before(Timestamp::now());
        }
        hub.beat(name.as_str(), longest_pass(&head));
        let begun = Instant::now();
        number += 1;
        let span = tracing::info_span!(target: "gitsync::span", "pass", env = %name, pass = number);
        let result = reconciler.pass(&head).instrument(span).await;
        hub.count(|counters| {
            let passes = &mut counters.passes;
            passes.entry(name.to_string()).or_default().add(begun.elapsed());
        });
        let again = match result {
            Ok(outcome) => {
                pause = FIRST_PAUSE;
                tracing::debug!(env = %name, step = ?outcome.step, "pass ended");
                tell(&name, &mut told, &outcome.step, &outcome.message);
                outcome.again
            }
            Err(error) => {
                tell_error(&name, &mut told, &error);
                pause = (pause * 2).min(LONGEST_PAUSE);
                pause
            }
        };
        hub.beat(name.as_str(), again + GRACE);
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = feed.changed() => {}
            () = desk.asked() => {}
            () = watch::burst(&changed) => {}
            () = kubeconfig.changed() => reconciler.disconnect(),
            () = tokio::time::sleep(again) => {}
        }
    }
}

/// By when a pass has ended, unless its loop hangs: after its rollouts and every repetition of its load checks.
fn longest_pass(head: &Head) -> Duration {
    let checks = head.config.load_checks.values();
    let each = checks.filter_map(|spec| spec.compile().ok()).map(|plan| {
        let once = plan.wait_ready + plan.duration() + GRACE;
        once.saturating_mul(plan.strict.max_extend + 1)
    });
    each.sum::<Duration>() + LONGEST_STEP
}

/// Logs what an environment waits for, once.
fn tell(name: &EnvName, told: &mut String, step: &Step, message: &str) {
    if *told == message {
        return;
    }
    message.clone_into(told);
    match step {
        Step::Hold(_) => tracing::error!(env = %name, "{message}"),
        Step::Await(_) => tracing::info!(env = %name, "waiting: {message}"),
        Step::Wait(_) => tracing::warn!(env = %name, "held: {message}"),
        Step::Rest => tracing::info!(env = %name, "{message}"),
        Step::RollBack(_) => tracing::error!(env = %name, "{message}"),
        Step::Hook(_) => tracing::info!(env = %name, "{message}"),
        Step::Sync | Step::Prune | Step::Verify(_) | Step::Promote(_) => {}
    }
}

fn tell_error(name: &EnvName, told: &mut String, error: &PassError) {
    let message = summary(error);
    if *told == message {
        return;
    }
    message.clone_into(told);
    match error.hint() {
        Some(hint) => tracing::error!(env = %name, hint, "{message}"),
        None => tracing::error!(env = %name, "{message}"),
    }
    for problem in problems_of(error) {
        tracing::error!(env = %name, "{problem}");
    }
}
