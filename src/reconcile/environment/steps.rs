//! Steps: what a pass does once it has decided.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::error::PassError;
use super::situation::{DueAnswer, WAIT_INTERVAL, inventory_of};
use super::{Outcome, Reconciler, View};
use crate::apply::prune::Verdict as PruneVerdict;
use crate::apply::waves;
use crate::config::repository::Config;
use crate::diff::{Change, fields};
use crate::model::{EnvName, Revision};
use crate::problem::chain;
use crate::promote::decide::{Due, Step};
use crate::promote::proof::Proof;
use crate::reconcile::gate;
use crate::reconcile::promotion::{self, Promoted, gates_hash};
use crate::record::{Phase, Record, Synced, Verdict};
use crate::report::board::HealView;
use crate::world::cluster::events::Reason;
use crate::world::cluster::observe::Observation;
use crate::world::cluster::records::Stored;
use crate::world::cluster::{Cluster, FIELD_MANAGER};

/// How soon a rollout is looked at again when no watch says anything.
const ROLLOUT_INTERVAL: Duration = Duration::from_secs(2);

/// How often drift may come back at once before gitsync stops fighting and waits for the interval.
const QUICK_HEALS: u32 = 5;

impl Reconciler {
    pub(super) async fn take(
        &mut self,
        step: &Step,
        view: &View<'_>,
        cluster: &Cluster,
        stored: &mut Stored,
    ) -> Result<Outcome, PassError> {
        let interval = view.environment.spec.sync.interval.get();
        let outcome = |phase, message: String, again| Outcome {
            step: step.clone(),
            phase,
            message,
            again,
        };
        Ok(match step {
            Step::Sync => {
                let again = self.sync(view, cluster, stored).await?;
                outcome(
                    Phase::Progressing,
                    format!("applied {}", view.desired.revision.short()),
                    again,
                )
            }
            Step::Await(why) => outcome(Phase::Progressing, why.clone(), ROLLOUT_INTERVAL),
            Step::Prune => {
                self.prune(view, cluster, stored).await?;
                outcome(
                    Phase::Progressing,
                    "pruned what git no longer has".to_owned(),
                    Duration::ZERO,
                )
            }
            Step::Verify(promotion) => {
                let message = self.verify(view, promotion, cluster, stored).await?;
                outcome(Phase::Verifying, message, Duration::ZERO)
            }
            Step::Promote(promotion) => {
                let (phase, message) = self.promote(view, promotion, stored).await;
                outcome(phase, message, Duration::ZERO)
            }
            Step::Hold(why) => outcome(Phase::Failed, why.clone(), interval.min(ROLLOUT_INTERVAL * 5)),
            Step::Wait(why) => outcome(Phase::Held, why.clone(), interval.min(WAIT_INTERVAL)),
            Step::Rest => {
                self.heals = 0;
                outcome(Phase::Synced, "in sync and healthy".to_owned(), interval)
            }
        })
    }

    /// Applies what git asks for. The inventory of what is about to be is written first, so that an object that was
    /// created is known even if nothing after it happens.
    async fn sync(
        &mut self,
        view: &View<'_>,
        cluster: &Cluster,
        stored: &mut Stored,
    ) -> Result<Duration, PassError> {
        let desired = &view.desired;
        let record = &stored.record;
        let drifted = record
            .synced
            .as_ref()
            .is_some_and(|synced| synced.objects == desired.hash);
        let drifts = if drifted {
            self.heals += 1;
            self.notice_drift(&view.observation);
            drifts(&view.observation)
        } else {
            self.heals = 0;
            Vec::new()
        };
        tell_drifts(&self.name, &drifts);
        let intent = record.inventory.union(&inventory_of(&view.observation));
        cluster
            .write_record(
                &self.name,
                stored,
                Record {
                    inventory: intent,
                    ..stored.record.clone()
                },
            )
            .await?;
        let waves = waves(&view.observation.diff);
        let known = self.watches.known();
        cluster
            .apply(&desired.objects, &view.observation, &waves, known)
            .await?;
        self.publish_healed(drifts);
        let synced = Synced {
            revision: desired.revision.clone(),
            shared: desired.shared.clone(),
            objects: desired.hash.clone(),
            time: Timestamp::now(),
        };
        cluster
            .write_record(
                &self.name,
                stored,
                Record {
                    synced: Some(synced),
                    ..stored.record.clone()
                },
            )
            .await?;
        let counts = view.observation.diff.counts();
        tracing::info!(env = %self.name, revision = desired.revision.short(), created = counts.create, updated = counts.update, "applied");
        let applied = format!(
            "{}: {} created, {} updated",
            desired.revision.short(),
            counts.create,
            counts.update
        );
        self.notice(
            if drifted {
                Reason::DriftCorrected
            } else {
                Reason::Applied
            },
            applied,
        );
        // Something that writes back at once is not fought over: from the fifth time on, the interval is kept.
        Ok(if self.heals > QUICK_HEALS {
            view.environment.spec.sync.interval.get()
        } else {
            Duration::ZERO
        })
    }

    async fn prune(&self, view: &View<'_>, cluster: &Cluster, stored: &mut Stored) -> Result<(), PassError> {
        let mut inventory = inventory_of(&view.observation);
        for leftover in &view.observation.leftovers {
            match self.prune_verdict(&leftover.live) {
                PruneVerdict::Delete => {
                    cluster.prune(leftover).await?;
                    tracing::info!(env = %self.name, object = %leftover.id, "pruned");
                    self.notice(Reason::Pruned, leftover.id.to_string());
                }
                PruneVerdict::Release(why) => {
                    tracing::warn!(env = %self.name, object = %leftover.id, why, "not pruned")
                }
                PruneVerdict::Keep(why) => {
                    tracing::warn!(env = %self.name, object = %leftover.id, why, "not pruned yet");
                    self.notice(Reason::PruneBlocked, format!("{}: {why}", leftover.id));
                    inventory.insert(leftover.id.clone(), leftover.resource.api.version.clone());
                }
            }
        }
        let record = Record {
            inventory,
            ..stored.record.clone()
        };
        Ok(cluster.write_record(&self.name, stored, record).await?)
    }

    async fn verify(
        &mut self,
        view: &View<'_>,
        name: &str,
        cluster: &Cluster,
        stored: &mut Stored,
    ) -> Result<String, PassError> {
        let Some(promotion) = view.head.config.promotions.get(name) else {
            return Ok(String::new());
        };
        let verifying = Outcome {
            step: Step::Verify(name.to_owned()),
            phase: Phase::Verifying,
            message: format!("running the gates of {name}: {}", promotion.gates.join(", ")),
            again: Duration::ZERO,
        };
        self.tell(view, &verifying, cluster, stored).await?;
        self.publish_outcome(&verifying, &stored.record);
        tracing::info!(env = %self.name, promotion = name, "verification begins");
        let environment = self.name.clone();
        let subject = gate::Subject {
            environment: &environment,
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
                return Ok(format!("gave up the gates of {name}: commit {newer} asks for something else"));
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
        record.verifications.insert(name.to_owned(), verification);
        cluster.write_record(&self.name, stored, record).await?;
        self.due = None;
        Ok(reason)
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
    async fn promote(&mut self, view: &View<'_>, name: &str, stored: &Stored) -> (Phase, String) {
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
        let promoted = promotion::promote(&self.shared, promotion, proof).await;
        self.count_promotion(&promoted);
        self.due = None;
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
                self.due = Some(DueAnswer {
                    revision,
                    key,
                    due: Due::Refused(why.clone()),
                    expires,
                });
                (Phase::Held, why)
            }
        }
    }
}

/// Which fields drifted, and who wrote them.
fn drifts(observation: &Observation) -> Vec<HealView> {
    let lives: BTreeMap<_, _> = observation
        .objects
        .iter()
        .map(|observed| (&observed.id, observed.live.as_ref()))
        .collect();
    let time = Timestamp::now().to_string();
    let mut found = Vec::new();
    for object in observation.diff.changed() {
        let drift = |field: String, by: String| HealView {
            time: time.clone(),
            object: object.id.to_string(),
            field,
            by,
        };
        match &object.change {
            Change::Create(_) => found.push(drift(String::new(), String::new())),
            Change::Update { before, after } => {
                let live = lives.get(&object.id).copied().flatten();
                for field in fields::changed(before, after) {
                    let writers = live
                        .map(|live| fields::writers(live, &field, FIELD_MANAGER))
                        .unwrap_or_default();
                    let by = writers.into_iter().next().map(|writer| writer.manager);
                    found.push(drift(field.path, by.unwrap_or_default()));
                }
            }
            Change::Prune(_) | Change::Same => {}
        }
    }
    found
}

/// Says which fields drifted and who wrote them; "drift" alone helps nobody.
fn tell_drifts(environment: &EnvName, drifts: &[HealView]) {
    for HealView {
        object, field, by, ..
    } in drifts
    {
        if field.is_empty() {
            tracing::warn!(env = %environment, %object, "drift: the object was deleted; putting it back");
            continue;
        }
        let by = if by.is_empty() { "unknown" } else { by };
        tracing::warn!(env = %environment, %object, field, by, "drift: putting the field back");
    }
}
