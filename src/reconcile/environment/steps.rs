//! Steps: what a pass does once it has decided.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use manifest::ObjectId;

use super::error::PassError;
use super::situation::{DueAnswer, STILL_NEEDED, WAIT_INTERVAL, inventory_of};
use super::{Outcome, Reconciler, View};
use crate::apply::prune::Verdict as PruneVerdict;
use crate::config::repository::Config;
use crate::diff::drift::Drift;
use crate::model::{EnvName, Revision};
use crate::problem::chain;
use crate::promote::decide::{Due, Step};
use crate::promote::proof::Proof;
use crate::reconcile::gate;
use crate::reconcile::promotion::{self, Promoted, gates_hash};
use crate::reconcile::rollback::{self, RolledBack};
use crate::record::{Phase, Record, Synced, Verdict};
use crate::report::board::HealView;
use crate::world::cluster::Cluster;
use crate::world::cluster::events::Reason;
use crate::world::cluster::records::Stored;

/// How soon a rollout is looked at again when no watch says anything.
pub(super) const ROLLOUT_INTERVAL: Duration = Duration::from_secs(2);

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
                self.sync(view, cluster, stored).await?;
                outcome(Phase::Progressing, applied(view), Duration::ZERO)
            }
            Step::Hook(phase) => self.run_hooks(view, *phase, cluster, stored).await?,
            Step::RollBack(why) => {
                let message = self.roll_back(view, why).await;
                outcome(Phase::Failed, message, interval.min(WAIT_INTERVAL))
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
            Step::Rest => outcome(Phase::Synced, "in sync and healthy".to_owned(), interval),
        })
    }

    /// Applies what git asks for. The inventory of what is about to be is written first, so that an object that was
    /// created is known even if nothing after it happens.
    async fn sync(
        &mut self,
        view: &View<'_>,
        cluster: &Cluster,
        stored: &mut Stored,
    ) -> Result<(), PassError> {
        let desired = &view.desired;
        tell_drift(&self.name, &view.drift.healed);
        self.notice_drift(&view.drift.healed);
        self.stability.heal(&view.drift.healed, Timestamp::now());
        self.write_intent(view, cluster, stored).await?;
        let known = self.watches.known();
        cluster
            .apply(&desired.objects, &view.observation, &view.plan.waves, known)
            .await?;
        self.publish_healed(healed(&view.drift.healed));
        self.wave_applied = Some((desired.hash.clone(), Instant::now()));
        let counts = view.observation.diff.counts();
        let wave = view.plan.number.filter(|_| !view.plan.last);
        tracing::info!(env = %self.name, revision = desired.revision.short(), wave, created = counts.create, updated = counts.update, "applied");
        if !view.plan.last {
            return Ok(());
        }
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
        let reason = match view.drift.healed.is_empty() {
            true => Reason::Applied,
            false => Reason::DriftCorrected,
        };
        let applied = format!(
            "{}: {} created, {} updated",
            desired.revision.short(),
            counts.create,
            counts.update
        );
        self.notice(reason, applied);
        Ok(())
    }

    /// Writes down everything that is about to be applied.
    pub(super) async fn write_intent(
        &self,
        view: &View<'_>,
        cluster: &Cluster,
        stored: &mut Stored,
    ) -> Result<(), PassError> {
        let inventory = stored.record.inventory.union(&inventory_of(&view.observation));
        let record = Record {
            inventory,
            ..stored.record.clone()
        };
        Ok(cluster.write_record(&self.name, stored, record).await?)
    }

    async fn prune(
        &mut self,
        view: &View<'_>,
        cluster: &Cluster,
        stored: &mut Stored,
    ) -> Result<(), PassError> {
        let needed = self.needed(view, cluster).await?;
        let mut inventory = inventory_of(&view.observation);
        for (leftover, verdict) in view.observation.leftovers.iter().zip(&view.prune.verdicts) {
            let verdict = match verdict {
                PruneVerdict::Delete if needed.contains(&leftover.id) => &PruneVerdict::Keep(STILL_NEEDED),
                other => other,
            };
            match verdict {
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
        self.in_use = Some((Instant::now(), needed));
        let record = Record {
            inventory,
            ..stored.record.clone()
        };
        Ok(cluster.write_record(&self.name, stored, record).await?)
    }

    /// The ConfigMaps and Secrets about to be deleted that live pods still need.
    async fn needed(&self, view: &View<'_>, cluster: &Cluster) -> Result<BTreeSet<ObjectId>, PassError> {
        let pairs = view.observation.leftovers.iter().zip(&view.prune.verdicts);
        let config: Vec<&ObjectId> = pairs
            .filter(|(leftover, verdict)| {
                let kind = leftover.id.kind.as_str();
                let is_config = leftover.id.group.is_empty() && matches!(kind, "ConfigMap" | "Secret");
                **verdict == PruneVerdict::Delete && is_config
            })
            .map(|(leftover, _)| &leftover.id)
            .collect();
        let namespaces = config.iter().map(|id| id.namespace.clone()).collect();
        let needed = cluster.config_in_use(&namespaces).await?;
        Ok(config
            .into_iter()
            .filter(|id| needed.contains(id))
            .cloned()
            .collect())
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
        // Promotions with the same gates share one run; each has evidence of its own, for it names where it leads.
        for sibling in view.head.config.promotions_from(&self.name) {
            if sibling.gates == promotion.gates {
                let mut verification = verification.clone();
                verification.key.gates = gates_hash(sibling, &view.head.config);
                record.verifications.insert(sibling.name.clone(), verification);
            }
        }
        cluster.write_record(&self.name, stored, record).await?;
        self.due.clear();
        Ok(reason)
    }

    /// Takes back the promotion whose rollout failed. When that is not possible, it is held as any failed rollout.
    async fn roll_back(&mut self, view: &View<'_>, why: &str) -> String {
        let taken = rollback::take_back(&self.shared, &self.name, &view.environment.dir, why).await;
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
        self.due.clear();
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
                    expires,
                };
                self.due.insert(name.to_owned(), answer);
                (Phase::Held, why)
            }
        }
    }
}

/// What a sync did, in one sentence.
fn applied(view: &View<'_>) -> String {
    let revision = view.desired.revision.short();
    match view.plan.number.filter(|_| !view.plan.last) {
        Some(number) => format!("applied sync wave {number} of {revision}"),
        None => format!("applied {revision}"),
    }
}

/// Says which fields drifted and who wrote them; "drift" alone helps nobody.
fn tell_drift(environment: &EnvName, drifts: &[Drift]) {
    for drift in drifts {
        if drift.field.is_empty() {
            tracing::warn!(env = %environment, object = %drift.object, "drift: the object was deleted; putting it back");
            continue;
        }
        let (by, time) = drift.writer.as_ref().map_or(("unknown", None), |writer| {
            (writer.manager.as_str(), writer.time.as_deref())
        });
        tracing::warn!(env = %environment, object = %drift.object, field = drift.field, by, time, "drift: putting the field back");
    }
}

/// What was put back, as the board shows it.
fn healed(drifts: &[Drift]) -> Vec<HealView> {
    let time = Timestamp::now().to_string();
    let shown = drifts.iter().map(|drift| HealView {
        time: time.clone(),
        object: drift.object.to_string(),
        field: drift.field.clone(),
        by: drift
            .writer
            .as_ref()
            .map(|writer| writer.manager.clone())
            .unwrap_or_default(),
    });
    shown.collect()
}
