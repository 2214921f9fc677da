//! Telling: what a pass came to, written into the record for people to read.

use jiff::Timestamp;

use super::error::{PassError, problems_of, summary};
use super::{Outcome, Reconciler, View};
use crate::record::{Phase, Record, Status};
use crate::world::cluster::records::Stored;
use crate::world::cluster::{Cluster, ClusterError};

impl Reconciler {
    /// Writes down what people should know, if it is something new.
    pub(super) async fn tell(
        &self,
        view: &View<'_>,
        outcome: &Outcome,
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
        if let Some(before) =
            before.filter(|before| (before.phase, &before.message) == (phase, &status.message))
        {
            status.since = before.since;
        }
        let record = Record {
            status: Some(status),
            ..stored.record.clone()
        };
        Ok(cluster.write_record(&self.name, stored, record).await?)
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
