//! Hooks, run: one after the other, as far as the cluster shows them.

use std::time::Duration;

use super::error::PassError;
use super::steps::ROLLOUT_INTERVAL;
use super::{Outcome, Reconciler, View};
use crate::apply::Wave;
use crate::desired::hooks::Phase as HookPhase;
use crate::diff::{Change, ObjectDiff};
use crate::promote::decide::Step;
use crate::record::{Phase, Record};
use crate::world::cluster::Cluster;
use crate::world::cluster::hooks::HookState;
use crate::world::cluster::records::Stored;

impl Reconciler {
    /// Takes the hooks of a phase one step further; once all of them succeeded, that is remembered.
    pub(super) async fn run_hooks(
        &mut self,
        view: &View<'_>,
        phase: HookPhase,
        cluster: &Cluster,
        stored: &mut Stored,
    ) -> Result<Outcome, PassError> {
        if phase == HookPhase::PreSync {
            self.bring_namespaces(view, cluster, stored).await?;
        }
        let environment = view.environment;
        let outcome = |told, message: String, again| Outcome {
            step: Step::Hook(phase),
            phase: told,
            message,
            again,
        };
        for hook in view.desired.hooks_of(phase) {
            let name = format!("{} hook {}", phase.word(), hook.manifest.name());
            match cluster.run_hook(environment, hook, &view.desired.hash).await? {
                HookState::Succeeded => {}
                HookState::Running(why) => {
                    let message = format!("{name}: {why}");
                    return Ok(outcome(Phase::Progressing, message, ROLLOUT_INTERVAL));
                }
                HookState::Failed(why) => {
                    let message = format!(
                        "{name} failed: {why}; it runs again for the next commit, or when its Job is deleted"
                    );
                    return Ok(outcome(
                        Phase::Failed,
                        message,
                        environment.spec.sync.interval.get(),
                    ));
                }
            }
        }
        let record = &stored.record;
        let mut hooks = record.hooks.clone();
        hooks.insert(phase.word().to_owned(), view.desired.hash.clone());
        let record = Record {
            hooks,
            ..record.clone()
        };
        cluster.write_record(&self.name, stored, record).await?;
        for hook in view.desired.hooks_of(phase).filter(|hook| hook.delete_succeeded) {
            cluster.delete_hook(environment, hook).await?;
        }
        tracing::info!(env = %self.name, revision = view.desired.revision.short(), phase = phase.word(), "hooks ran");
        Ok(outcome(
            Phase::Progressing,
            format!("the {} hooks ran", phase.word()),
            Duration::ZERO,
        ))
    }

    /// Applies the namespaces that hooks before a first sync run in; nothing else is applied before them.
    async fn bring_namespaces(
        &self,
        view: &View<'_>,
        cluster: &Cluster,
        stored: &mut Stored,
    ) -> Result<(), PassError> {
        let hooks = || view.desired.hooks_of(HookPhase::PreSync);
        let needed = |object: &ObjectDiff| {
            let is_namespace = object.id.group.is_empty() && object.id.kind == "Namespace";
            let is_new = matches!(object.change, Change::Create(_));
            is_namespace && is_new && hooks().any(|hook| hook.manifest.namespace() == object.id.name)
        };
        let objects = view.observation.diff.objects.iter().enumerate();
        let wave: Wave = objects
            .filter(|(_, object)| needed(object))
            .map(|(index, _)| index)
            .collect();
        if wave.is_empty() {
            return Ok(());
        }
        self.write_intent(view, cluster, stored).await?;
        let known = self.watches.known();
        let desired = &view.desired.objects;
        Ok(cluster.apply(desired, &view.observation, &[wave], known).await?)
    }
}
