//! Situation: what a pass finds out before it decides.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use manifest::ObjectId;

use super::error::PassError;
use super::{Reconciler, View};
use crate::apply::prune::{self, Verdict as PruneVerdict};
use crate::config::repository::{Environment, Promotion};
use crate::desired::Desired;
use crate::desired::tree::{Rendered, render};
use crate::diff::Change;
use crate::live::Inventory;
use crate::model::Revision;
use crate::problem::{Problem, Problems, chain};
use crate::promote::decide::{Candidate, Due, Situation, Step, decide};
use crate::promote::proof::Proof;
use crate::reconcile::feed::{Head, head_over};
use crate::reconcile::promotion::{self, gates_hash};
use crate::record::{EvidenceKey, Record, Verdict, Verification};
use crate::verify::health::{self, Health};
use crate::world::cluster::Cluster;
use crate::world::cluster::observe::Observation;
use crate::world::git::GitError;

/// How long a void verification rests before the next try.
const VOID_PAUSE: Duration = Duration::from_secs(5);

/// How soon what waits for a person or the clock is looked at again.
pub(super) const WAIT_INTERVAL: Duration = Duration::from_secs(10);

/// Whether a promotion is due, as it was found out for one commit and one key.
pub(super) struct DueAnswer {
    pub(super) revision: Revision,
    pub(super) key: EvidenceKey,
    pub(super) due: Due,
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
            .as_ref()
            .and_then(|known| known.reuse(environment, &head.snapshot, proved.as_ref()));
        if let Some(desired) = known {
            return Ok(Ok(desired));
        }
        let (snapshot, environment) = (head.snapshot.clone(), environment.clone());
        // Rendering keeps a core busy; the other environments go on meanwhile.
        let work = move || {
            let desired = render(&environment, &snapshot, proved.as_ref())?;
            let kept = Rendered::keep(desired.clone(), &environment, &snapshot, proved.as_ref());
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

    pub(super) async fn health(
        &self,
        cluster: &Cluster,
        environment: &Environment,
        observation: &Observation,
        record: &Record,
    ) -> Result<Health, PassError> {
        let troubles = cluster.troubles(&observation.objects).await?;
        let since = record
            .synced
            .as_ref()
            .map_or_else(Timestamp::now, |synced| synced.time);
        let waited = Duration::try_from(Timestamp::now().duration_since(since)).unwrap_or_default();
        let objects = observation
            .objects
            .iter()
            .map(|observed| (&observed.id, observed.progress.as_ref()));
        Ok(health::judge(
            objects,
            &troubles,
            waited,
            environment.spec.sync.timeout.get(),
        ))
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
        let differs = view
            .observation
            .diff
            .changed()
            .any(|object| !matches!(object.change, Change::Prune(_)));
        decide(&Situation {
            desired: &view.desired.hash,
            synced: record.synced.as_ref().map(|synced| synced.objects.as_str()),
            differs,
            prunes: view.environment.spec.sync.prune && self.has_prunes(view, &record.inventory),
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
        if let Some(known) = self.due.as_ref().filter(|known| known.answers(revision, &key)) {
            return known.due.clone();
        }
        let (due, expires) = match promotion::due(&self.shared.remote, view.head, promotion, proof).await {
            // The clock may allow tomorrow what it bars today.
            Ok(due @ Due::Barred(_)) => (due, Some(Instant::now() + WAIT_INTERVAL)),
            Ok(due) => (due, None),
            Err(error) => (
                Due::Refused(chain(&error)),
                Some(Instant::now() + view.environment.spec.sync.interval.get()),
            ),
        };
        self.due = Some(DueAnswer {
            revision: revision.clone(),
            key,
            due: due.clone(),
            expires,
        });
        due
    }

    fn has_prunes(&self, view: &View<'_>, inventory: &Inventory) -> bool {
        let kept = |id: &ObjectId| {
            let found = view
                .observation
                .leftovers
                .iter()
                .find(|leftover| leftover.id == *id);
            found.is_some_and(|found| matches!(self.prune_verdict(&found.live), PruneVerdict::Keep(_)))
        };
        inventory
            .without(&inventory_of(&view.observation))
            .iter()
            .any(|(id, _)| !kept(id))
    }

    pub(super) fn prune_verdict(&self, live: &serde_json::Value) -> PruneVerdict {
        prune::judge(live, &self.name, self.options.confirm_prune)
    }
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
