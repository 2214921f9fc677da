//! Publishing: what a pass knows, put where readers find it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::error::{PassError, problems_of, summary};
use super::{Outcome, Reconciler, View};
use crate::config::verified::VerifiedImage;
use crate::diff::{Change, ObjectDiff, drift, text};
use crate::reconcile::promotion::{Promoted, PromotionError};
use crate::record::{Phase, Record, Verification};
use crate::report::board::{
    DriftView, EnvironmentView, HealView, Health, ResourceView, State, VerificationView,
};
use crate::verify::rollout::Progress;
use crate::world::cluster::observe::Observed;
use crate::world::cluster::{Cluster, ClusterError, FIELD_MANAGER};

/// The longest difference that is shown, in bytes.
const LONGEST_DIFF: usize = 64 * 1024;

/// The most fields of one object that are listed.
const MOST_FIELDS: usize = 20;

/// How much of what was put back is remembered.
const MOST_HEALED: usize = 20;

impl Reconciler {
    /// Publishes what was observed.
    pub(super) fn publish_view(&self, view: &View<'_>, cluster: &Arc<Cluster>, record: &Record) {
        let observation = &view.observation;
        let resources: Vec<ResourceView> = observation
            .objects
            .iter()
            .zip(&observation.diff.objects)
            .map(|(observed, diff)| resource(observed, diff))
            .collect();
        let differing = observation.diff.changed().count();
        let pending = shortened(text::unified(&observation.diff, text::Style::default()));
        let namespaces: BTreeSet<String> = observation
            .objects
            .iter()
            .map(|observed| observed.id.namespace.clone())
            .filter(|namespace| !namespace.is_empty())
            .collect();
        self.shared
            .hub
            .desk(&self.name)
            .reach(Arc::clone(cluster), namespaces);
        self.shared.hub.environment(&self.name, |board| {
            cluster.name().clone_into(&mut board.cluster);
            leave_rest(board, record, &view.desired.hash);
            board.revision = Some(view.desired.revision.to_string());
            board.shared = Some(view.desired.shared.to_string());
            board.images = view.desired.images().into_iter().collect();
            board.problems = view.problems.iter().map(ToString::to_string).collect();
            board.drift = differing.try_into().unwrap_or(u32::MAX);
            board.resources = resources;
            board.pending = pending;
            remembered(board, record);
        });
    }

    /// Publishes what was done.
    pub(super) fn publish_outcome(&self, outcome: &Outcome, record: &Record) {
        let failed = record
            .status
            .as_ref()
            .is_some_and(|status| status.phase == Phase::Failed);
        self.shared.hub.environment(&self.name, |board| {
            let state = if failed {
                State::Failed
            } else {
                state(outcome.phase)
            };
            let now = Timestamp::now();
            enter(board, state, &outcome.message, now);
            board.hint = None;
            board.until = (outcome.again > Duration::ZERO).then(|| after(now, outcome.again));
            if state == State::Synced {
                board.good = Some(now.to_string());
            }
            remembered(board, record);
        });
    }

    /// Publishes what was put back.
    pub(super) fn publish_healed(&self, healed: Vec<HealView>) {
        self.shared.hub.environment(&self.name, |board| {
            board.healed.splice(..0, healed);
            board.healed.truncate(MOST_HEALED);
        });
    }

    /// Publishes why a pass came to nothing.
    pub(super) fn publish_error(&self, error: &PassError) {
        let state = match error {
            PassError::Connect(_)
            | PassError::Cluster(ClusterError::Unauthorized { .. } | ClusterError::Unreachable { .. }) => {
                State::Unreachable
            }
            _ => State::Failed,
        };
        self.shared.hub.environment(&self.name, |board| {
            enter(board, state, &summary(error), Timestamp::now());
            board.hint = error.hint().map(|hint| hint.to_string());
            board.problems = problems_of(error).iter().map(ToString::to_string).collect();
            board.until = None;
        });
    }

    /// Counts how long a commit took until it ran here, once for each sync that this process made.
    pub(super) async fn count_lead(&mut self, outcome: &Outcome, record: &Record) {
        let Some(synced) = record.synced.as_ref() else {
            return;
        };
        let is_ours = synced.time >= self.shared.hub.begun();
        if outcome.phase != Phase::Synced || !is_ours || self.counted == Some(synced.time) {
            return;
        }
        self.counted = Some(synced.time);
        let Ok(commits) = self.shared.remote.history(&synced.shared, None, 1).await else {
            return;
        };
        let took = commits.first().and_then(|commit| commit.time.elapsed().ok());
        if let Some(took) = took {
            self.shared.hub.count(|counters| {
                let leads = &mut counters.leads;
                leads.entry(self.name.to_string()).or_default().add(took);
            });
        }
    }

    pub(super) fn count_promotion(&self, promoted: &Result<Promoted, PromotionError>) {
        let result = match promoted {
            Ok(Promoted::Pushed(_)) => "pushed",
            Ok(Promoted::Nothing) => "nothing",
            Ok(Promoted::Refused(_)) => "refused",
            Err(_) => "error",
        };
        let key = (self.name.to_string(), result);
        self.shared
            .hub
            .count(|counters| *counters.promotions.entry(key).or_default() += 1);
    }
}

/// Takes back that an environment is synced once git asks for other objects than those it was synced with: the
/// images that are shown with it are the new ones, and nobody may read that they run before they do.
fn leave_rest(board: &mut EnvironmentView, record: &Record, wanted: &str) {
    let is_other = record
        .synced
        .as_ref()
        .is_none_or(|synced| synced.objects != wanted);
    if board.state == State::Synced && is_other {
        enter(
            board,
            State::Progressing,
            "a new revision is to be applied",
            Timestamp::now(),
        );
    }
}

fn enter(board: &mut EnvironmentView, state: State, message: &str, now: Timestamp) {
    if board.since.is_none() || board.state != state || board.message != message {
        board.since = Some(now.to_string());
    }
    board.state = state;
    message.clone_into(&mut board.message);
    board.seen = Some(now.to_string());
}

fn after(now: Timestamp, wait: Duration) -> String {
    let wait = SignedDuration::try_from(wait).unwrap_or_default();
    now.checked_add(wait).unwrap_or(now).to_string()
}

fn state(phase: Phase) -> State {
    match phase {
        Phase::Synced => State::Synced,
        Phase::Progressing => State::Progressing,
        Phase::Verifying => State::Verifying,
        Phase::Promoting => State::Promoting,
        Phase::Held => State::Held,
        Phase::Failed => State::Failed,
    }
}

fn remembered(board: &mut EnvironmentView, record: &Record) {
    board.synced = record.synced.as_ref().map(|synced| synced.revision.to_string());
    if board.since.is_none() {
        board.since = record.status.as_ref().map(|status| status.since.to_string());
    }
    let verifications = record.verifications.iter();
    board.verifications = verifications
        .map(|(name, last)| verification(name, last))
        .collect();
}

fn verification(promotion: &str, last: &Verification) -> VerificationView {
    VerificationView {
        promotion: promotion.to_owned(),
        verdict: last.verdict.word().to_owned(),
        reason: last.reason.clone(),
        figures: last.figures.clone(),
        images: last.images.iter().map(image).collect(),
        revision: last.revision.to_string(),
        started: last.started.to_string(),
        finished: last.finished.to_string(),
    }
}

fn image(image: &VerifiedImage) -> String {
    let tag = image.tag.as_ref().map(|tag| format!(":{tag}"));
    let digest = image.digest.as_ref().map(|digest| format!("@{digest}"));
    let (tag, digest) = (tag.unwrap_or_default(), digest.unwrap_or_default());
    format!("{}{tag}{digest}", image.name)
}

fn resource(observed: &Observed, diff: &ObjectDiff) -> ResourceView {
    let (health, reason) = match &observed.progress {
        None => (Health::Missing, "does not exist yet".to_owned()),
        Some(Progress::Current) => (Health::Healthy, String::new()),
        Some(Progress::InProgress(why)) => (Health::Progressing, why.clone()),
        Some(Progress::Failed(why)) => (Health::Failed, why.clone()),
        Some(Progress::Terminating) => (Health::Progressing, "is being deleted".to_owned()),
    };
    ResourceView {
        kind: observed.id.kind.clone(),
        group: observed.id.group.clone(),
        namespace: observed.id.namespace.clone(),
        name: observed.id.name.clone(),
        health,
        reason,
        drift: drift(observed, diff),
        children: Vec::new(),
    }
}

/// Which fields differ, who wrote them and when.
fn drift(observed: &Observed, diff: &ObjectDiff) -> Vec<DriftView> {
    if !matches!(diff.change, Change::Update { .. }) {
        return Vec::new();
    }
    let drifts = drift::of_object(diff, observed.live.as_deref(), FIELD_MANAGER);
    let view = |drift: drift::Drift| {
        let (by, time) = drift
            .writer
            .map_or_else(Default::default, |writer| (writer.manager, writer.time));
        DriftView {
            field: drift.field,
            by,
            time,
        }
    };
    drifts.into_iter().take(MOST_FIELDS).map(view).collect()
}

pub(super) fn shortened(mut text: String) -> String {
    if text.len() > LONGEST_DIFF {
        let end = text[..text.floor_char_boundary(LONGEST_DIFF)]
            .rfind('\n')
            .unwrap_or_default();
        text.truncate(end);
        text.push_str("\n… the rest is left out; see: gitsync diff\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Synced;

    fn synced_with(objects: &str) -> Record {
        let revision = || "c0ffee0000000000000000000000000000000000".parse().unwrap();
        Record {
            synced: Some(Synced {
                revision: revision(),
                shared: revision(),
                objects: objects.to_owned(),
                time: Timestamp::UNIX_EPOCH,
            }),
            ..Record::default()
        }
    }

    #[test]
    fn an_environment_is_not_shown_as_synced_with_objects_that_were_not_applied_yet() {
        for (before, record, wanted, after) in [
            (State::Synced, synced_with("old"), "old", State::Synced),
            (State::Synced, synced_with("old"), "new", State::Progressing),
            (State::Synced, Record::default(), "new", State::Progressing),
            (State::Held, synced_with("old"), "new", State::Held),
        ] {
            let mut board = EnvironmentView {
                state: before,
                ..EnvironmentView::default()
            };
            leave_rest(&mut board, &record, wanted);
            assert_eq!(board.state, after, "{before:?}, {wanted}");
        }
    }
}
