//! Daemon: one task per environment, each on its own, so that a slow or dead cluster holds back nobody else.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::environment::error::{PassError, problems_of, summary};
use super::environment::{Options, Reconciler};
use super::feed::Poller;
use crate::model::EnvName;
use crate::promote::decide::Step;
use crate::world::wake;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Changes in a cluster come in bursts; one look after the burst is enough.
const SETTLE: Duration = Duration::from_millis(150);

/// Runs until cancelled: polls git, and keeps every environment of the repository as git says.
pub async fn run(shared: Shared, poller: Poller) {
    let mut tasks: BTreeMap<EnvName, CancellationToken> = BTreeMap::new();
    let mut running = JoinSet::new();
    running.spawn(poller.run(shared.cancel.clone()));
    let mut feed = shared.feed.clone();
    loop {
        if let Some(head) = feed.take() {
            let wanted = &head.config.environments;
            tasks.retain(|name, cancel| {
                if !wanted.contains_key(name) {
                    tracing::info!(env = %name, "git no longer holds the environment; its objects stay");
                    cancel.cancel();
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
                running.spawn(keep(shared.clone(), name.clone(), cancel.clone()));
                tasks.insert(name, cancel);
            }
        }
        tokio::select! {
            () = shared.cancel.cancelled() => break,
            _ = feed.changed() => {}
        }
    }
    while running.join_next().await.is_some() {}
}

/// Keeps one environment until cancelled.
async fn keep(shared: Shared, name: EnvName, cancel: CancellationToken) {
    let mut feed = shared.feed.clone();
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
    while !cancel.is_cancelled() {
        let Some(head) = feed.take() else { return };
        let again = match reconciler.pass(&head).await {
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
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = feed.changed() => {}
            () = changed.notified() => tokio::time::sleep(SETTLE).await,
            () = kubeconfig.changed() => reconciler.disconnect(),
            () = tokio::time::sleep(again) => {}
        }
    }
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
        Step::Rest => tracing::info!(env = %name, "{message}"),
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
