//! Situation: what a pass finds out before it decides.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use manifest::ObjectId;

use super::error::PassError;
use super::{Drifts, Reconciler, View};
use crate::apply::prune::{self, Verdict as PruneVerdict};
use crate::apply::wave::{self, Plan};
use crate::config::environment::OnFailure;
use crate::config::repository::{Environment, Promotion};
use crate::desired::hooks::Phase;
use crate::desired::tree::{Rendered, render};
use crate::desired::{Desired, policy, waves};
use crate::diff::drift::{Drift, sentence};
use crate::live::Inventory;
use crate::model::Revision;
use crate::problem::{Problem, Problems, chain};
use crate::promote::decide::{Candidate, Due, Situation, Step, decide};
use crate::promote::proof::Proof;
use crate::reconcile::feed::{Head, head_over};
use crate::reconcile::promotion::{self, Prepared, gates_hash};
use crate::record::{EvidenceKey, Record, Verdict, Verification};
use crate::verify::health::{self, Health};
use crate::world::cluster::Cluster;
use crate::world::cluster::observe::Observation;
use crate::world::git::GitError;

/// How long a void verification rests before the next try.
const VOID_PAUSE: Duration = Duration::from_secs(5);

/// How soon what waits for a person or the clock is looked at again.
pub(super) const WAIT_INTERVAL: Duration = Duration::from_secs(10);

/// How long it is believed that live pods need what git no longer has.
const IN_USE_KNOWN: Duration = Duration::from_secs(60);

/// Why a ConfigMap or Secret stays.
pub(super) const STILL_NEEDED: &str = "pods that are still there need it";

/// What becomes of what git no longer has.
pub(super) struct PrunePlan {
    /// The verdict for each leftover of the observation, in their order.
    pub(super) verdicts: Vec<PruneVerdict>,
    /// Why nothing is deleted without a person's word, if that is so.
    pub(super) brake: Option<String>,
    /// Whether anything is to be deleted, or forgotten.
    pub(super) due: bool,
}

/// Whether a promotion is due, as it was found out for one commit and one key.
pub(super) struct DueAnswer {
    pub(super) revision: Revision,
    pub(super) key: EvidenceKey,
    pub(super) due: Due,
    /// What it would commit, when it is due.
    pub(super) prepared: Option<Prepared>,
    /// When to find out again although nothing changed; an attempt that failed may succeed then.
    pub(super) expires: Option<Instant>,
}

impl Reconciler {
    /// What git asks for; when HEAD is wrong, what it asked for when it was last synced, and what is wrong.
    pub(super) async fn desired(
        &mut self,
        head: &Head,
        environment: &Environment,
        record: &Record,
    ) -> Result<(Desired, Vec<Problem>), PassError> {
        let troubles = head.troubles_of(&self.name);
        let problems = if head.broken.contains(&self.name) {
            Problems(troubles)
        } else {
            match self.render(head, environment).await? {
                Ok(desired) => return Ok((desired, troubles)),
                Err(problems) => problems,
            }
        };
        let Some(synced) = &record.synced else {
            return Err(PassError::Render(problems));
        };
        // What another environment's directory was like then is no matter here.
        let good = head_over(self.shared.remote.snapshot(&synced.revision).await?, &head.config);
        let Some(before) = good.config.environments.get(&self.name) else {
            return Err(PassError::Render(problems));
        };
        match self.render(&good, before).await? {
            Ok(desired) if desired.hash == synced.objects => Ok((desired, problems.0)),
            _ => Err(PassError::Render(problems)),
        }
    }

    /// Renders an environment; a tree that did not change is not rendered again.
    pub(super) async fn render(
        &mut self,
        head: &Head,
        environment: &Environment,
    ) -> Result<Result<Desired, Problems>, PassError> {
        let proved = match environment
            .verified
            .as_ref()
            .and_then(|verified| verified.revision().ok())
        {
            Some(revision) => Some(self.shared.remote.snapshot(&revision).await?),
            None => None,
        };
        let known = self
            .rendered
            .as_mut()
            .and_then(|known| known.reuse(environment, &head.snapshot, proved.as_ref()));
        if let Some(desired) = known {
            return Ok(Ok(desired));
        }
        let (snapshot, environment) = (head.snapshot.clone(), environment.clone());
        // Rendering keeps a core busy; the other environments go on meanwhile.
        let work = move || {
            let desired = render(&environment.dir, &snapshot, proved.as_ref())?;
            policy::refuse(&desired.objects)?;
            let kept = Rendered::keep(&desired, &environment, &snapshot, proved.as_ref());
            Ok((desired, kept))
        };
        let rendered = tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| GitError::Cancelled)?;
        Ok(rendered.map(|(desired, kept)| {
            self.rendered = kept;
            desired
        }))
    }

    /// The health of everything, and of the sync waves before the next one to apply.
    pub(super) async fn health(
        &self,
        cluster: &Cluster,
        environment: &Environment,
        observation: &Observation,
        plan: &Plan,
        desired: &Desired,
        record: &Record,
    ) -> Result<(Health, Health), PassError> {
        let troubles = cluster.troubles(&observation.objects).await?;
        let limit = environment.spec.sync.timeout.get();
        let since = record
            .synced
            .as_ref()
            .map_or_else(Timestamp::now, |synced| synced.time);
        let waited = Duration::try_from(Timestamp::now().duration_since(since)).unwrap_or_default();
        let all = observation.objects.iter();
        let all = all.map(|observed| (&observed.id, observed.progress.as_ref()));
        let health = health::judge(all, &troubles, waited, limit);
        // Nearly always no wave is next, and nothing has to be numbered.
        let numbers = plan.number.map(|next| (next, wave_numbers(observation)));
        let earlier = numbers.into_iter().flat_map(|(next, numbers)| {
            let numbered = observation.objects.iter().zip(numbers);
            numbered
                .filter(move |(_, number)| *number < next)
                .map(|(observed, _)| observed)
        });
        let waited = self
            .wave_applied
            .as_ref()
            .filter(|(hash, _)| *hash == desired.hash)
            .map_or(Duration::ZERO, |(_, applied)| applied.elapsed());
        let earlier = earlier.map(|observed| (&observed.id, observed.progress.as_ref()));
        let earlier_waves = health::judge(earlier, &troubles, waited, limit);
        Ok((health, earlier_waves))
    }

    pub(super) async fn decide(&mut self, view: &View<'_>, record: &Record) -> Step {
        let name = self.name.clone();
        let promotions: Vec<(&Promotion, String)> = view
            .head
            .config
            .promotions_from(&name)
            .filter(|_| self.options.promotes)
            .map(|promotion| (promotion, gates_hash(promotion, &view.head.config)))
            .collect();
        let mut candidates = Vec::new();
        for (promotion, gates) in &promotions {
            let asked_again = |last: &&Verification| {
                let before = self.options.retry_failed_before;
                last.verdict == Verdict::Failed && before.is_some_and(|before| last.finished < before)
            };
            let last = record
                .verifications
                .get(&promotion.name)
                .filter(|last| !asked_again(last));
            let due = self.due(view, promotion, gates, record, last).await;
            let rested = |last: &Verification| {
                Timestamp::now().duration_since(last.finished).unsigned_abs() >= VOID_PAUSE
            };
            let backing_off = last.is_some_and(|last| last.verdict == Verdict::Void && !rested(last));
            candidates.push(Candidate {
                name: &promotion.name,
                gates,
                last,
                backing_off,
                due,
            });
        }
        let told = |drifts: &[Drift]| (!drifts.is_empty()).then(|| sentence(drifts));
        decide(&Situation {
            desired: &view.desired.hash,
            synced: record.synced.as_ref().map(|synced| synced.objects.as_str()),
            drift: told(&view.drift.healed),
            unstable: told(&view.drift.unstable),
            pre_hooks: hooks_due(view, record, Phase::PreSync),
            post_hooks: hooks_due(view, record, Phase::PostSync),
            earlier_waves: view.earlier_waves.clone(),
            prunes: view.environment.spec.sync.prune && view.prune.due,
            brake: view.prune.brake.clone(),
            rolls_back: self.rolls_back(view, record),
            self_heal: view.environment.spec.sync.self_heal,
            suspended: view.environment.orders.suspended(Timestamp::now()),
            health: view.health.clone(),
            promotions: candidates,
        })
    }

    /// Whether promoting the last verification would change anything. Asked only of what passed, and once per commit.
    async fn due(
        &mut self,
        view: &View<'_>,
        promotion: &Promotion,
        gates: &str,
        record: &Record,
        last: Option<&Verification>,
    ) -> Due {
        let (Some(last), Some(synced)) = (last, &record.synced) else {
            return Due::No;
        };
        let key = synced.evidence_key(gates);
        let Some(proof) = Proof::of(last, &key) else {
            return Due::No;
        };
        let revision = view.head.snapshot.revision();
        let known = self.due.get(&promotion.name);
        if let Some(known) = known.filter(|known| known.answers(revision, &key)) {
            return known.due.clone();
        }
        let (due, prepared, expires) =
            match promotion::due(&self.shared.remote, view.head, promotion, proof).await {
                // The clock may allow tomorrow what it bars today.
                Ok((due @ Due::Barred(_), _)) => (due, None, Some(Instant::now() + WAIT_INTERVAL)),
                Ok((due, prepared)) => (due, prepared, None),
                Err(error) => (
                    Due::Refused(chain(&error)),
                    None,
                    Some(Instant::now() + view.environment.spec.sync.interval.get()),
                ),
            };
        let answer = DueAnswer {
            revision: revision.clone(),
            key,
            due: due.clone(),
            prepared,
            expires,
        };
        self.due.insert(promotion.name.clone(), answer);
        due
    }

    /// What becomes of what git no longer has.
    pub(super) fn prune_plan(
        &self,
        environment: &Environment,
        observation: &Observation,
        inventory: &Inventory,
    ) -> PrunePlan {
        let confirmed = self.options.confirm_prune;
        let fresh = environment.spec.sync.interval.get().min(IN_USE_KNOWN);
        let in_use = self.in_use.as_ref().filter(|(asked, _)| asked.elapsed() < fresh);
        let needed = |id: &ObjectId| in_use.is_some_and(|(_, needed)| needed.contains(id));
        let leftovers = observation.leftovers.iter();
        let verdicts: Vec<PruneVerdict> = leftovers
            .map(
                |leftover| match prune::judge(&leftover.live, &self.name, confirmed) {
                    PruneVerdict::Delete if needed(&leftover.id) => PruneVerdict::Keep(STILL_NEEDED),
                    verdict => verdict,
                },
            )
            .collect();
        let deletions = verdicts
            .iter()
            .filter(|verdict| **verdict == PruneVerdict::Delete)
            .count();
        let limit = environment.spec.sync.prune_limit.0;
        let brake = prune::brake(deletions, inventory.len(), limit).filter(|_| !confirmed);
        let gone = inventory.without(&inventory_of(observation));
        let kept = |id: &ObjectId| {
            let mut pairs = observation.leftovers.iter().zip(&verdicts);
            let found = pairs.find(|(leftover, _)| leftover.id == *id);
            found.is_some_and(|(_, verdict)| matches!(verdict, PruneVerdict::Keep(_)))
        };
        let due = gone.iter().any(|(id, _)| !kept(id));
        PrunePlan { verdicts, brake, due }
    }

    /// Whether a failed rollout is taken back. What was healthy once and is not any more is no matter of the promotion, and
    /// neither is what a person committed.
    fn rolls_back(&self, view: &View<'_>, record: &Record) -> bool {
        let asked = view.environment.spec.on_failure == OnFailure::Rollback;
        let promoted = view.environment.verified.is_some();
        let never_healthy = record.healthy.as_deref() != Some(view.desired.hash.as_str());
        // Without one good state there is nothing that going back to would be known to help.
        let has_good = record.healthy.is_some();
        self.options.promotes && asked && promoted && never_healthy && has_good
    }
}

/// The lowest sync wave with something to apply.
pub(super) fn next_wave(observation: &Observation, drift: &Drifts) -> Plan {
    // What is fought over is left alone, unless another field of it is to be put back.
    let healed: BTreeSet<_> = drift.healed.iter().map(|drift| &drift.object).collect();
    let unstable = drift.unstable.iter().map(|drift| &drift.object);
    let left = unstable
        .filter(|object| !healed.contains(object))
        .cloned()
        .collect();
    wave::plan(&observation.diff, &wave_numbers(observation), &left)
}

fn wave_numbers(observation: &Observation) -> Vec<i32> {
    let objects = observation.objects.iter();
    waves::numbers(objects.map(|observed| (&observed.id, &observed.body)))
}

/// Whether hooks of a phase have not run for what git asks for.
fn hooks_due(view: &View<'_>, record: &Record, phase: Phase) -> bool {
    let ran = record.hooks.get(phase.word());
    view.desired.hooks_of(phase).next().is_some() && ran != Some(&view.desired.hash)
}

// === impl DueAnswer ===

impl DueAnswer {
    fn answers(&self, revision: &Revision, key: &EvidenceKey) -> bool {
        self.revision == *revision
            && self.key == *key
            && self.expires.is_none_or(|expires| Instant::now() < expires)
    }
}

/// What was applied, or is about to be.
pub(super) fn inventory_of(observation: &Observation) -> Inventory {
    let mut inventory = Inventory::default();
    for observed in &observation.objects {
        inventory.insert(observed.id.clone(), observed.gvk.version.clone());
    }
    inventory
}
