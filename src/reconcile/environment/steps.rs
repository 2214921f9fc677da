//! Steps: what a pass does once it has decided.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use manifest::ObjectId;

use super::error::PassError;
use super::situation::{STILL_NEEDED, WAIT_INTERVAL, inventory_of};
use super::{Outcome, Reconciler, View};
use crate::apply::prune::Verdict as PruneVerdict;
use crate::diff::drift::Drift;
use crate::model::EnvName;
use crate::promote::decide::Step;
use crate::record::{Phase, Record, Synced};
use crate::report::board::HealView;
use crate::world::cluster::Cluster;
use crate::world::cluster::events::Reason;
use crate::world::cluster::records::Stored;

/// How soon a rollout is looked at again when no watch says anything.
pub(super) const ROLLOUT_INTERVAL: Duration = Duration::from_secs(2);

impl Reconciler {
    /// Takes a step. The record that comes of it is for the caller to write, together with what is told of the step.
    pub(super) async fn take(
        &mut self,
        step: &Step,
        view: &View<'_>,
        cluster: &Cluster,
        stored: &mut Stored,
    ) -> Result<(Outcome, Record), PassError> {
        let interval = view.environment.spec.sync.interval.get();
        let outcome = |phase, message: String, again| Outcome {
            step: step.clone(),
            phase,
            message,
            again,
        };
        let outcome = match step {
            Step::Sync => {
                let record = self.sync(view, cluster, stored).await?;
                return Ok((outcome(Phase::Progressing, applied(view), Duration::ZERO), record));
            }
            Step::Hook(phase) => self.run_hooks(view, *phase, cluster, stored).await?,
            Step::RollBack(why) => {
                let message = self.roll_back(view, why).await;
                outcome(Phase::Failed, message, interval.min(WAIT_INTERVAL))
            }
            Step::Await(why) => outcome(Phase::Progressing, why.clone(), ROLLOUT_INTERVAL),
            Step::Prune => {
                let record = self.prune(view, cluster, stored).await?;
                let message = "pruned what git no longer has".to_owned();
                return Ok((outcome(Phase::Progressing, message, Duration::ZERO), record));
            }
            Step::Verify(promotion) => {
                let (message, record) = self.verify(view, promotion, cluster, stored).await?;
                return Ok((outcome(Phase::Verifying, message, Duration::ZERO), record));
            }
            Step::Promote(promotion) => {
                let (phase, message) = self.promote(view, promotion, stored).await;
                outcome(phase, message, Duration::ZERO)
            }
            Step::Hold(why) => outcome(Phase::Failed, why.clone(), interval.min(ROLLOUT_INTERVAL * 5)),
            Step::Wait(why) => outcome(Phase::Held, why.clone(), interval.min(WAIT_INTERVAL)),
            Step::Rest => outcome(Phase::Synced, "in sync and healthy".to_owned(), interval),
        };
        Ok((outcome, stored.record.clone()))
    }

    /// Applies what git asks for. The inventory of what is about to be is written first, so that an object that was
    /// created is known even if nothing after it happens.
    async fn sync(
        &mut self,
        view: &View<'_>,
        cluster: &Cluster,
        stored: &mut Stored,
    ) -> Result<Record, PassError> {
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
            return Ok(stored.record.clone());
        }
        let synced = Synced {
            revision: desired.revision.clone(),
            shared: desired.shared.clone(),
            objects: desired.hash.clone(),
            time: Timestamp::now(),
        };
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
        Ok(Record {
            synced: Some(synced),
            ..stored.record.clone()
        })
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
        stored: &Stored,
    ) -> Result<Record, PassError> {
        let needed = self.needed(view, cluster).await?;
        let mut inventory = inventory_of(&view.observation);
        let mut doomed = Vec::new();
        for (leftover, verdict) in view.observation.leftovers.iter().zip(&view.prune.verdicts) {
            let verdict = match verdict {
                PruneVerdict::Delete if needed.contains(&leftover.id) => &PruneVerdict::Keep(STILL_NEEDED),
                other => other,
            };
            match verdict {
                PruneVerdict::Delete => doomed.push(leftover),
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
        let (mut gone, mut first_error) = (Vec::new(), None);
        for (leftover, outcome) in cluster.prune(&doomed).await {
            match outcome {
                Ok(()) => {
                    tracing::info!(env = %self.name, object = %leftover.id, "pruned");
                    gone.push(leftover.id.to_string());
                }
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        if !gone.is_empty() {
            self.notice(Reason::Pruned, gone.join(", "));
        }
        if let Some(error) = first_error {
            return Err(error.into());
        }
        self.in_use = Some((Instant::now(), needed));
        Ok(Record {
            inventory,
            ..stored.record.clone()
        })
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
