//! Telling: what a pass came to, written into the record for people to read.

use std::collections::BTreeMap;
use std::time::Instant;

use jiff::Timestamp;
use manifest::ObjectId;

use super::error::{PassError, problems_of, summary};
use super::steps::ROLLOUT_INTERVAL;
use super::{Outcome, Reconciler, View};
use crate::desired::hooks::Phase as HookPhase;
use crate::diff::drift::Drift;
use crate::problem::chain;
use crate::promote::decide::Step;
use crate::record::{Phase, Record, Status};
use crate::verify::health::Health;
use crate::world::cluster::events::Reason;
use crate::world::cluster::records::Stored;
use crate::world::cluster::{Cluster, ClusterError};
use crate::world::git::PushError;

impl Reconciler {
    /// Tells the cluster's Events what happened.
    pub(super) fn notice(&self, reason: Reason, note: impl Into<String>) {
        if let Some(notices) = &self.notices {
            notices.tell(reason, note);
        }
    }

    /// What tells of pushes that somebody else was faster than.
    pub(super) fn conflicts(&self) -> impl Fn(&PushError) + use<> {
        let notices = self.notices.clone();
        move |conflict| {
            if let Some(notices) = &notices {
                notices.tell(Reason::PushConflict, chain(conflict));
            }
        }
    }

    /// Tells what drifted: the objects and fields by their names, and never their values.
    pub(super) fn notice_drift(&self, drifts: &[Drift]) {
        let mut objects: BTreeMap<&ObjectId, Vec<&str>> = BTreeMap::new();
        for drift in drifts {
            objects.entry(&drift.object).or_default().push(&drift.field);
        }
        for (object, fields) in objects {
            let what = match fields[..] {
                [""] => "was deleted".to_owned(),
                _ => format!("differs in {}", fields.join(", ")),
            };
            self.notice(Reason::DriftDetected, format!("{object} {what}"));
        }
    }

    /// Writes down `record`, which came of a step, with what people should know of it, if anything of that is new.
    ///
    /// How far a rollout is may change many times a second. So as long as nothing else is new, it is told every two
    /// seconds at most; a pass follows by then.
    pub(super) async fn tell(
        &mut self,
        view: &View<'_>,
        outcome: &Outcome,
        record: Record,
        cluster: &Cluster,
        stored: &mut Stored,
    ) -> Result<(), PassError> {
        let before = stored.record.status.clone();
        let phase = if view.problems.is_empty() {
            outcome.phase
        } else {
            Phase::Failed
        };
        let mut status = Status {
            phase,
            message: outcome.message.clone(),
            revision: Some(view.desired.revision.clone()),
            images: view.desired.images().into_iter().collect(),
            problems: view.problems.clone(),
            since: Timestamp::now(),
        };
        if let (Health::Failed(why), true) = (&view.health, phase == Phase::Failed)
            && before
                .as_ref()
                .is_none_or(|before| before.message != status.message)
        {
            self.notice(Reason::HealthCheckFailed, why.clone());
        }
        if let Some(before) =
            before.filter(|before| (before.phase, &before.message) == (phase, &status.message))
        {
            status.since = before.since;
        }
        // As far as a step was decided on that nothing takes before everything is healthy.
        let healthy = matches!(
            outcome.step,
            Step::Rest | Step::Prune | Step::Verify(_) | Step::Hook(HookPhase::PostSync)
        );
        let record = Record {
            status: Some(status),
            healthy: match healthy {
                true => Some(view.desired.hash.clone()),
                false => record.healthy.clone(),
            },
            ..record
        };
        let is_told = |told: &Instant| told.elapsed() < ROLLOUT_INTERVAL;
        if matches!(outcome.step, Step::Await(_))
            && self.told.as_ref().is_some_and(is_told)
            && is_same_but_for_the_words(&stored.record, &record)
        {
            return Ok(());
        }
        cluster.write_record(&self.name, stored, record).await?;
        self.told = Some(Instant::now());
        Ok(())
    }

    /// Says in the record what went wrong, as far as the cluster can be reached, and drops what may be stale.
    pub(super) async fn recover_from(&mut self, error: &PassError) {
        let cluster = self.cluster.clone();
        match error {
            PassError::Connect(_)
            | PassError::Cluster(ClusterError::Unauthorized { .. } | ClusterError::Unreachable { .. }) => {
                self.stored = None;
                self.disconnect();
                return;
            }
            PassError::Cluster(ClusterError::Lost(_)) => {
                self.stored = None;
                return;
            }
            _ => {}
        }
        let Some(cluster) = cluster else { return };
        let Ok(mut stored) = cluster.read_record(&self.name).await else {
            return;
        };
        let status = Status {
            phase: Phase::Failed,
            message: summary(error),
            revision: stored
                .record
                .status
                .as_ref()
                .and_then(|status| status.revision.clone()),
            images: stored
                .record
                .status
                .as_ref()
                .map(|status| status.images.clone())
                .unwrap_or_default(),
            problems: problems_of(error),
            since: Timestamp::now(),
        };
        let same = stored
            .record
            .status
            .as_ref()
            .is_some_and(|before| before.message == status.message && before.problems == status.problems);
        if !same {
            let record = Record {
                status: Some(status),
                ..stored.record.clone()
            };
            if let Err(error) = cluster.write_record(&self.name, &mut stored, record).await {
                tracing::debug!(%error, "the status could not be written");
            }
        }
        self.stored = Some(stored);
    }
}

/// Whether all that a record would say anew is in other words how far something is.
fn is_same_but_for_the_words(before: &Record, after: &Record) -> bool {
    let mut reworded = before.clone();
    if let (Some(status), Some(new)) = (&mut reworded.status, &after.status) {
        status.message.clone_from(&new.message);
        status.since = new.since;
    }
    reworded == *after
}
