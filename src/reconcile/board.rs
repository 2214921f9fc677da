//! What the repository puts on the board: its environments in order, its promotions, and what git remembers of them.

use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;

use super::feed::Head;
use super::hub::Hub;
use crate::config::repository::Environment;
use crate::model::trailer;
use crate::report::board::{
    CommitView, EnvironmentView, HistoryView, PromotionView, SuspensionView, TrailerView,
};
use crate::world::git::{Commit, GitError};
use crate::world::remote::Remote;

/// How many commits back the board remembers.
const HISTORY: usize = 500;

/// How many promotions it shows.
const SHOWN: usize = 50;

/// How many commits back the one is looked for that changed an overlay.
const LOOK_BACK: usize = 30;

/// Puts the environments and promotions of a commit on the board; what is known of them stays.
pub fn follow(hub: &Hub, remote: &Remote, head: &Head) {
    let url = remote.git().url().to_string();
    hub.update(|board| {
        board.repository = url;
        remote.git().branch().clone_into(&mut board.branch);
        board.troubles = head.troubles.iter().map(ToString::to_string).collect();
        let environments = head.config.in_order();
        board.environments = environments
            .into_iter()
            .map(|environment| {
                let known = board
                    .environments
                    .iter()
                    .find(|known| known.name == environment.name.as_str());
                let mut view =
                    known.map_or_else(|| unknown(environment), |known| EnvironmentView::clone(known));
                view.suspended = suspension(environment);
                Arc::new(view)
            })
            .collect();
        let promotions = head.config.promotions.values();
        board.promotions = promotions
            .map(|promotion| PromotionView {
                name: promotion.name.clone(),
                from: promotion.from.to_string(),
                to: promotion.to.to_string(),
                gates: promotion.gates.clone(),
                approval: promotion.approval,
                soak_seconds: promotion.soak.as_secs(),
            })
            .collect();
        true
    });
}

fn unknown(environment: &Environment) -> EnvironmentView {
    let cluster = &environment.spec.cluster;
    EnvironmentView {
        name: environment.name.to_string(),
        cluster: cluster.context.clone().unwrap_or_else(|| "in-cluster".to_owned()),
        message: "not looked at yet".to_owned(),
        ..EnvironmentView::default()
    }
}

fn suspension(environment: &Environment) -> Option<SuspensionView> {
    let spec = environment.orders.suspension.as_ref()?;
    environment.orders.suspended(Timestamp::now())?;
    Some(SuspensionView {
        reason: spec.reason.clone(),
        by: spec.by.clone(),
        until: spec.until.map(|until| until.to_string()),
    })
}

/// Puts on the board what git remembers: the promotions, and who changed each overlay last. Nothing waits for it.
pub async fn remember(hub: Hub, remote: Remote, head: Arc<Head>) {
    tracing::debug!(revision = head.snapshot.revision().short(), "reading the history");
    match past(&hub, &remote, &head).await {
        Ok(()) | Err(GitError::Cancelled) => {}
        Err(error) => tracing::warn!(%error, "the history could not be read"),
    }
}

async fn past(hub: &Hub, remote: &Remote, head: &Head) -> Result<(), GitError> {
    let commits = remote.history(head.snapshot.revision(), None, HISTORY).await?;
    let told = told(&commits, |key| key.starts_with(trailer::PREFIX), SHOWN);
    hub.update(|board| {
        board.head = commits.first().map(commit_view);
        board.history = told.into_iter().map(Arc::new).collect();
        true
    });
    for environment in head.config.environments.values() {
        let overlay = format!("{}/kustomization.yaml", environment.dir);
        let changed_by = last_change(remote, &commits, &overlay, LOOK_BACK).await?;
        let changed_by = changed_by.map(commit_view);
        hub.environment(&environment.name, |view| view.changed_by = changed_by);
    }
    Ok(())
}

/// The first `limit` promotions among commits.
#[must_use]
pub fn promotions(commits: &[Commit], limit: usize) -> Vec<HistoryView> {
    told(commits, |key| key == trailer::EVIDENCE, limit)
}

/// The first `limit` commits that have a trailer with such a key.
fn told(commits: &[Commit], is_wanted: impl Fn(&str) -> bool, limit: usize) -> Vec<HistoryView> {
    let is_told = |commit: &&Commit| commit.trailers.iter().any(|(key, _)| is_wanted(key));
    let view = |commit: &Commit| HistoryView {
        commit: commit_view(commit),
        trailers: commit
            .trailers
            .iter()
            .map(|(key, value)| TrailerView {
                key: key.clone(),
                value: value.clone(),
            })
            .collect(),
    };
    commits.iter().filter(is_told).take(limit).map(view).collect()
}

/// Which of `commits`, newest first, last changed a path; only `most` of them are looked at, and the first commit of all
/// changed everything.
pub(super) async fn last_change<'a>(
    remote: &Remote,
    commits: &'a [Commit],
    path: &str,
    most: usize,
) -> Result<Option<&'a Commit>, GitError> {
    let Some(newest) = commits.first() else {
        return Ok(None);
    };
    let now = remote.snapshot(&newest.revision).await?.tree_id(path);
    for (commit, before) in commits.iter().zip(commits.iter().skip(1)).take(most) {
        if remote.snapshot(&before.revision).await?.tree_id(path) != now {
            return Ok(Some(commit));
        }
    }
    Ok(commits.last().filter(|_| commits.len() <= most))
}

/// A commit, for people.
#[must_use]
pub fn commit_view(commit: &Commit) -> CommitView {
    let since = commit
        .time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let time = Timestamp::new(since.as_secs().try_into().unwrap_or_default(), 0);
    CommitView {
        revision: commit.revision.to_string(),
        author: commit.author.clone(),
        time: time.map(|time| time.to_string()).unwrap_or_default(),
        subject: commit.subject.clone(),
    }
}
