//! Onward: the steps on the way to the next environment, verification and promotion, and the one back.

use std::time::{Duration, Instant};

use super::error::PassError;
use super::situation::DueAnswer;
use super::{Outcome, Reconciler, View};
use crate::config::repository::Config;
use crate::model::Revision;
use crate::problem::chain;
use crate::promote::decide::{Due, Step};
use crate::promote::proof::Proof;
use crate::reconcile::gate;
use crate::reconcile::promotion::{self, Promoted, gates_hash};
use crate::reconcile::rollback::{self, RolledBack};
use crate::record::{Phase, Record, Verdict};
use crate::world::cluster::Cluster;
use crate::world::cluster::events::Reason;
use crate::world::cluster::records::Stored;

impl Reconciler {
    pub(super) async fn verify(
        &mut self,
        view: &View<'_>,
        name: &str,
        cluster: &Cluster,
        stored: &mut Stored,
    ) -> Result<(String, Record), PassError> {
        let Some(promotion) = view.head.config.promotions.get(name) else {
            return Ok((String::new(), stored.record.clone()));
        };
        let verifying = Outcome {
            step: Step::Verify(name.to_owned()),
            phase: Phase::Verifying,
            message: format!("running the gates of {name}: {}", promotion.gates.join(", ")),
            again: Duration::ZERO,
        };
        let record = stored.record.clone();
        self.tell(view, &verifying, record, cluster, stored).await?;
        self.publish_outcome(&verifying, &stored.record);
        tracing::info!(env = %self.name, promotion = name, "verification begins");
        let subject = gate::Subject {
            environment: view.environment,
            desired: &view.desired,
            inventory: &stored.record.inventory,
            synced: stored.record.synced.as_ref(),
        };
        let (shared, config) = (self.shared.clone(), &view.head.config);
        let verification = tokio::select! {
            verification = gate::verify(&shared, cluster, config, promotion, subject) => verification?,
            newer = self.superseded(view, name) => {
                let newer = newer.short().to_owned();
                tracing::info!(env = %self.name, promotion = name, revision = newer, "verification given up");
                let message = format!("gave up the gates of {name}: commit {newer} asks for something else");
                return Ok((message, stored.record.clone()));
            }
        };
        let reason = verification.reason.clone();
        match verification.verdict {
            Verdict::Passed => {
                tracing::info!(env = %self.name, promotion = name, %reason, "verification passed");
                self.notice(Reason::GatePassed, format!("{name}: {reason}"));
            }
            Verdict::Failed => {
                tracing::error!(env = %self.name, promotion = name, %reason, "verification failed");
                self.notice(Reason::GateFailed, format!("{name}: {reason}"));
            }
            Verdict::Void => {
                tracing::warn!(env = %self.name, promotion = name, %reason, "verification is void");
                self.notice(Reason::GateInconclusive, format!("{name}: {reason}"));
            }
        }
        let mut record = stored.record.clone();
        // Promotions with the same gates share one run; each has evidence of its own, for it names where it leads.
        for sibling in view.head.config.promotions_from(&self.name) {
            if sibling.gates == promotion.gates {
                let mut verification = verification.clone();
                verification.key.gates = gates_hash(sibling, &view.head.config);
                record.verifications.insert(sibling.name.clone(), verification);
            }
        }
        self.due.clear();
        Ok((reason, record))
    }

    /// Takes back the promotion whose rollout failed. When that is not possible, it is held as any failed rollout.
    pub(super) async fn roll_back(&mut self, view: &View<'_>, why: &str) -> String {
        let taken = rollback::take_back(
            &self.shared,
            &self.name,
            &view.environment.dir,
            why,
            self.conflicts(),
        )
        .await;
        self.shared.feed.poke();
        match taken {
            Ok(RolledBack::Pushed(revision)) => {
                let done = format!("rolled back by commit {}", revision.short());
                tracing::error!(env = %self.name, "{done}: {why}");
                self.notice(Reason::RolledBack, format!("{done}: {why}"));
                format!("{done}: {why}")
            }
            Ok(RolledBack::Left(left)) => format!("{why}; not rolled back: {left}"),
            Err(error) => format!("{why}; not rolled back: {}", chain(&error)),
        }
    }

    /// Waits for a commit after which the verdict of the gates would be of no use: it changes what the environment
    /// has, or the gates. One that does neither, or that cannot be rendered, is no reason to give up.
    async fn superseded(&mut self, view: &View<'_>, name: &str) -> Revision {
        let gates = |config: &Config| {
            let promotion = config.promotions.get(name);
            promotion.map(|promotion| gates_hash(promotion, config))
        };
        let judged = gates(&view.head.config);
        let mut feed = self.shared.feed.clone();
        loop {
            let Some(head) = feed.changed().await else {
                continue;
            };
            let revision = head.snapshot.revision().clone();
            let Some(environment) = head.config.environments.get(&self.name) else {
                return revision;
            };
            if gates(&head.config) != judged {
                return revision;
            }
            if let Ok(Ok(desired)) = self.render(&head, environment).await
                && desired.hash != view.desired.hash
            {
                return revision;
            }
        }
    }

    /// Promotes what was proved. A failure blocks nothing but this promotion, and that only for an interval: a newer
    /// commit is synced meanwhile.
    pub(super) async fn promote(&mut self, view: &View<'_>, name: &str, stored: &Stored) -> (Phase, String) {
        let Some(promotion) = view.head.config.promotions.get(name) else {
            return (Phase::Held, String::new());
        };
        let gates = gates_hash(promotion, &view.head.config);
        let key = stored
            .record
            .synced
            .as_ref()
            .map(|synced| synced.evidence_key(&gates));
        let last = stored.record.verifications.get(name);
        let Some((key, proof)) = key
            .zip(last)
            .and_then(|(key, last)| Proof::of(last, &key).map(|proof| (key, proof)))
        else {
            return (Phase::Held, "the proof is gone".to_owned());
        };
        let answers = std::mem::take(&mut self.due);
        let prepared = answers.get(name).filter(|answer| answer.key == key);
        let prepared = prepared.and_then(|answer| answer.prepared.as_ref());
        let promoted = promotion::promote(&self.shared, promotion, proof, prepared, self.conflicts()).await;
        self.count_promotion(&promoted);
        self.shared.feed.poke();
        match promoted {
            Ok(Promoted::Pushed(revision)) => {
                tracing::info!(env = %self.name, to = %promotion.to, revision = revision.short(), "promoted");
                let note = format!("to {} by commit {}", promotion.to, revision.short());
                self.notice(Reason::PromotionCommitted, note);
                (
                    Phase::Promoting,
                    format!("promoted to {} by commit {}", promotion.to, revision.short()),
                )
            }
            Ok(Promoted::Nothing) => (Phase::Synced, format!("{} already has it", promotion.to)),
            Ok(Promoted::Refused(why)) => (Phase::Held, why),
            Err(error) => {
                let why = chain(&error);
                tracing::error!(env = %self.name, to = %promotion.to, "{why}");
                self.notice(Reason::PromotionFailed, format!("to {}: {why}", promotion.to));
                let expires = Some(Instant::now() + view.environment.spec.sync.interval.get());
                let revision = view.head.snapshot.revision().clone();
                let answer = DueAnswer {
                    revision,
                    key,
                    due: Due::Refused(why.clone()),
                    prepared: None,
                    expires,
                };
                self.due.insert(name.to_owned(), answer);
                (Phase::Held, why)
            }
        }
    }
}
