//! Environment: one environment, kept as git says. A pass observes, decides and takes one step; passes repeat.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use manifest::ObjectId;
use tokio::sync::Notify;

use super::Shared;
use super::feed::{Head, HeadError, head_at};
use super::gate::{self, GateError};
use super::promotion::{self, Promoted, gates_hash};
use crate::apply::prune::{self, Verdict as PruneVerdict};
use crate::apply::waves;
use crate::config::repository::{Environment, Promotion};
use crate::desired::Desired;
use crate::desired::tree::{Rendered, render};
use crate::diff::Change;
use crate::diff::fields;
use crate::live::Inventory;
use crate::model::{EnvName, Revision};
use crate::problem::{Problem, Problems, chain};
use crate::promote::decide::{Candidate, Due, Situation, Step, decide};
use crate::promote::proof::Proof;
use crate::record::{EvidenceKey, Phase, Record, Status, Synced, Verdict, Verification};
use crate::verify::health::{self, Health};
use crate::world::cluster::connect::{ConnectError, connect};
use crate::world::cluster::observe::Observation;
use crate::world::cluster::records::Stored;
use crate::world::cluster::watch::Watches;
use crate::world::cluster::{Cluster, ClusterError, FIELD_MANAGER};
use crate::world::git::GitError;

/// How soon a rollout is looked at again when no watch says anything.
const ROLLOUT_INTERVAL: Duration = Duration::from_secs(2);

/// How long a void verification rests before the next try.
const VOID_PAUSE: Duration = Duration::from_secs(5);

/// How often drift may come back at once before gitsync stops fighting and waits for the interval.
const QUICK_HEALS: u32 = 5;

/// One environment.
pub struct Reconciler {
    shared: Shared,
    name: EnvName,
    options: Options,
    cluster: Option<Arc<Cluster>>,
    stored: Option<Stored>,
    watches: Watches,
    changed: Arc<Notify>,
    heals: u32,
    due: Option<DueAnswer>,
    rendered: Option<Rendered>,
}

/// Whether a promotion is due, as it was found out for one commit and one key.
struct DueAnswer {
    revision: Revision,
    key: EvidenceKey,
    due: Due,
    /// When to find out again although nothing changed; an attempt that failed may succeed then.
    expires: Option<Instant>,
}

/// What a reconciler may do.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether it verifies and promotes, or only syncs.
    pub promotes: bool,
    /// Whether kinds that need a confirmation are pruned.
    pub confirm_prune: bool,
    /// Verifications that failed before this time are run again; a person asked for it.
    pub retry_failed_before: Option<Timestamp>,
}

/// What a pass came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The step that was taken.
    pub step: Step,
    /// What the environment is doing now.
    pub phase: Phase,
    /// One sentence.
    pub message: String,
    /// When to look again at the latest.
    pub again: Duration,
}

/// Why a pass did not come to an end.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// No client can be made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The cluster did not do what was asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Git did not give what was asked.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A commit cannot be used.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The overlay is wrong, and there is no earlier state to go on from.
    #[error("{0}")]
    Render(Problems),
    /// A gate did not come to an end.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// Git does not hold the environment.
    #[error("git holds no environment `{0}`")]
    Unknown(EnvName),
}

/// All that a pass knows before it decides.
struct View<'a> {
    head: &'a Head,
    environment: &'a Environment,
    desired: Desired,
    /// What is wrong with HEAD, when an earlier state stays in force.
    problems: Vec<Problem>,
    observation: Observation,
    health: Health,
}

// === impl Reconciler ===

impl Reconciler {
    /// A reconciler of the environment called `name`.
    #[must_use]
    pub fn new(shared: Shared, name: EnvName, options: Options) -> Self {
        Self {
            shared,
            name,
            options,
            cluster: None,
            stored: None,
            watches: Watches::default(),
            changed: Arc::new(Notify::new()),
            heals: 0,
            due: None,
            rendered: None,
        }
    }

    /// Notified whenever something of the environment changes in its cluster.
    #[must_use]
    pub fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    /// Observes, decides, and takes one step.
    ///
    /// # Errors
    ///
    /// When something outside did not do what was asked. Nothing is half done in a way that the next pass does not
    /// see and finish.
    pub async fn pass(&mut self, head: &Head) -> Result<Outcome, PassError> {
        let result = self.try_pass(head).await;
        if let Err(error) = &result {
            self.recover_from(error).await;
        }
        result
    }

    async fn try_pass(&mut self, head: &Head) -> Result<Outcome, PassError> {
        let environment = head
            .config
            .environments
            .get(&self.name)
            .ok_or_else(|| PassError::Unknown(self.name.clone()))?;
        let cluster = self.cluster(environment).await?;
        let mut stored = match self.stored.take() {
            Some(stored) => stored,
            None => cluster.read_record(&self.name).await?,
        };
        let (desired, problems) = self.desired(head, environment, &stored.record).await?;
        let observation = match cluster
            .observe(&self.name, &desired.objects, &stored.record.inventory)
            .await
        {
            Ok(observation) => observation,
            Err(error) => {
                self.stored = Some(stored);
                return Err(error.into());
            }
        };
        self.watches.follow(&cluster, &observation.objects, &self.changed);
        let health = self
            .health(&cluster, environment, &observation, &stored.record)
            .await?;
        let view = View {
            head,
            environment,
            desired,
            problems,
            observation,
            health,
        };
        let step = self.decide(&view, &stored.record).await?;
        let outcome = self.take(&step, &view, &cluster, &mut stored).await?;
        self.tell(&view, &outcome, &cluster, &mut stored).await?;
        self.stored = Some(stored);
        Ok(outcome)
    }

    async fn cluster(&mut self, environment: &Environment) -> Result<Arc<Cluster>, PassError> {
        if let Some(cluster) = &self.cluster {
            return Ok(Arc::clone(cluster));
        }
        let cluster = Arc::new(connect(&environment.spec, self.shared.kubeconfig.as_deref()).await?);
        self.cluster = Some(Arc::clone(&cluster));
        Ok(cluster)
    }

    /// Forgets the connection, so that the next pass reads the kubeconfig and its credentials again.
    pub fn disconnect(&mut self) {
        self.cluster = None;
        self.watches = Watches::default();
    }

    /// What git asks for; when HEAD is wrong, what it asked for when it was last synced, and what is wrong.
    async fn desired(
        &mut self,
        head: &Head,
        environment: &Environment,
        record: &Record,
    ) -> Result<(Desired, Vec<Problem>), PassError> {
        let problems = match self.render(head, environment).await? {
            Ok(desired) => return Ok((desired, head.troubles.clone())),
            Err(problems) => problems,
        };
        let Some(synced) = &record.synced else {
            return Err(PassError::Render(problems));
        };
        let good = head_at(&self.shared.remote, &synced.revision).await?;
        let Some(before) = good.config.environments.get(&self.name) else {
            return Err(PassError::Render(problems));
        };
        match self.render(&good, before).await? {
            Ok(desired) if desired.hash == synced.objects => Ok((desired, problems.0)),
            _ => Err(PassError::Render(problems)),
        }
    }

    /// Renders an environment; a tree that did not change is not rendered again.
    async fn render(
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

    async fn health(
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
            .map(|observed| (&observed.id, observed.live.as_ref()));
        Ok(health::judge(
            objects,
            &troubles,
            waited,
            environment.spec.sync.timeout.get(),
        ))
    }

    async fn decide(&mut self, view: &View<'_>, record: &Record) -> Result<Step, PassError> {
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
            let due = self.due(view, promotion, gates, record, last).await?;
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
        Ok(decide(&Situation {
            desired: &view.desired.hash,
            synced: record.synced.as_ref().map(|synced| synced.objects.as_str()),
            differs,
            prunes: view.environment.spec.sync.prune && self.has_prunes(view, &record.inventory),
            self_heal: view.environment.spec.sync.self_heal,
            health: view.health.clone(),
            promotions: candidates,
        }))
    }

    /// Whether promoting the last verification would change anything. Asked only of what passed, and once per commit.
    async fn due(
        &mut self,
        view: &View<'_>,
        promotion: &Promotion,
        gates: &str,
        record: &Record,
        last: Option<&Verification>,
    ) -> Result<Due, PassError> {
        let (Some(last), Some(synced)) = (last, &record.synced) else {
            return Ok(Due::No);
        };
        let key = EvidenceKey {
            objects: synced.objects.clone(),
            gates: gates.to_owned(),
        };
        let Some(proof) = Proof::of(last, &key) else {
            return Ok(Due::No);
        };
        let revision = view.head.snapshot.revision();
        if let Some(known) = self.due.as_ref().filter(|known| known.answers(revision, &key)) {
            return Ok(known.due.clone());
        }
        let (due, expires) = match promotion::due(&self.shared.remote, view.head, promotion, proof).await {
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
        Ok(due)
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

    fn prune_verdict(&self, live: &serde_json::Value) -> PruneVerdict {
        prune::judge(live, &self.name, self.options.confirm_prune)
    }

    async fn take(
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
        if drifted {
            self.heals += 1;
            tell_drift(&self.name, &view.observation);
        } else {
            self.heals = 0;
        }
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
        cluster.apply(&desired.objects, &view.observation, &waves).await?;
        let synced = Synced {
            revision: desired.revision.clone(),
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
                }
                PruneVerdict::Release(why) => {
                    tracing::warn!(env = %self.name, object = %leftover.id, why, "not pruned")
                }
                PruneVerdict::Keep(why) => {
                    tracing::warn!(env = %self.name, object = %leftover.id, why, "not pruned yet");
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
        tracing::info!(env = %self.name, promotion = name, "verification begins");
        let subject = gate::Subject {
            environment: &self.name,
            desired: &view.desired,
            inventory: &stored.record.inventory,
            synced: stored.record.synced.as_ref(),
        };
        let verification = gate::verify(&self.shared, cluster, &view.head.config, promotion, subject).await?;
        let reason = verification.reason.clone();
        match verification.verdict {
            Verdict::Passed => {
                tracing::info!(env = %self.name, promotion = name, %reason, "verification passed")
            }
            Verdict::Failed => {
                tracing::error!(env = %self.name, promotion = name, %reason, "verification failed")
            }
            Verdict::Void => {
                tracing::warn!(env = %self.name, promotion = name, %reason, "verification is void")
            }
        }
        let mut record = stored.record.clone();
        record.verifications.insert(name.to_owned(), verification);
        cluster.write_record(&self.name, stored, record).await?;
        self.due = None;
        Ok(reason)
    }

    /// Promotes what was proved. A failure blocks nothing but this promotion, and that only for an interval: a newer
    /// commit is synced meanwhile.
    async fn promote(&mut self, view: &View<'_>, name: &str, stored: &Stored) -> (Phase, String) {
        let Some(promotion) = view.head.config.promotions.get(name) else {
            return (Phase::Held, String::new());
        };
        let key = stored.record.synced.as_ref().map(|synced| EvidenceKey {
            objects: synced.objects.clone(),
            gates: gates_hash(promotion, &view.head.config),
        });
        let last = stored.record.verifications.get(name);
        let Some((key, proof)) = key
            .zip(last)
            .and_then(|(key, last)| Proof::of(last, &key).map(|proof| (key, proof)))
        else {
            return (Phase::Held, "the proof is gone".to_owned());
        };
        let promoted = promotion::promote(&self.shared, promotion, proof).await;
        self.due = None;
        self.shared.feed.poke();
        match promoted {
            Ok(Promoted::Pushed(revision)) => {
                tracing::info!(env = %self.name, to = %promotion.to, revision = revision.short(), "promoted");
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

    /// Writes down what people should know, if it is something new.
    async fn tell(
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
    async fn recover_from(&mut self, error: &PassError) {
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

// === impl DueAnswer ===

impl DueAnswer {
    fn answers(&self, revision: &Revision, key: &EvidenceKey) -> bool {
        self.revision == *revision
            && self.key == *key
            && self.expires.is_none_or(|expires| Instant::now() < expires)
    }
}

// === impl PassError ===

impl PassError {
    /// Whether the same pass may succeed later without anybody doing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Cluster(error) => error.is_transient(),
            Self::Git(error) | Self::Head(HeadError::Git(error)) => error.retryable(),
            Self::Gate(_) => true,
            Self::Connect(_) | Self::Head(_) | Self::Render(_) | Self::Unknown(_) => false,
        }
    }

    /// What to do next, where that can be said.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Connect(error) => Some(error.hint()),
            Self::Cluster(error) => error.hint(),
            _ => None,
        }
    }
}

/// Everything that is wrong, as far as the error holds single problems.
#[must_use]
pub fn problems_of(error: &PassError) -> Vec<Problem> {
    match error {
        PassError::Render(problems)
        | PassError::Cluster(ClusterError::Objects(problems))
        | PassError::Head(HeadError::Config { problems, .. }) => problems.0.clone(),
        _ => Vec::new(),
    }
}

/// One sentence for an error whose problems are told beside it.
#[must_use]
pub fn summary(error: &PassError) -> String {
    let problems = problems_of(error);
    match (error, problems.len()) {
        (_, 0) => chain(error),
        (PassError::Cluster(_), count) => format!(
            "the cluster refuses {}; nothing was applied",
            plural(count, "object field")
        ),
        (_, count) => format!("git holds {}; nothing was applied", plural(count, "problem")),
    }
}

/// `1 thing`, `2 things`.
#[must_use]
pub fn plural(count: usize, thing: &str) -> String {
    if count == 1 {
        format!("1 {thing}")
    } else {
        format!("{count} {thing}s")
    }
}

fn inventory_of(observation: &Observation) -> Inventory {
    let mut inventory = Inventory::default();
    for observed in &observation.objects {
        inventory.insert(observed.id.clone(), observed.gvk.version.clone());
    }
    inventory
}

/// Says which fields drifted and who wrote them; "drift" alone helps nobody.
fn tell_drift(environment: &EnvName, observation: &Observation) {
    let lives: BTreeMap<_, _> = observation
        .objects
        .iter()
        .map(|observed| (&observed.id, observed.live.as_ref()))
        .collect();
    for object in observation.diff.changed() {
        match &object.change {
            Change::Create(_) => {
                tracing::warn!(env = %environment, object = %object.id, "drift: the object was deleted; putting it back")
            }
            Change::Update { before, after } => {
                let live = lives.get(&object.id).copied().flatten();
                for field in fields::changed(before, after) {
                    let writers = live
                        .map(|live| fields::writers(live, &field, FIELD_MANAGER))
                        .unwrap_or_default();
                    let who = writers
                        .first()
                        .map_or("unknown", |writer| writer.manager.as_str());
                    tracing::warn!(env = %environment, object = %object.id, field = field.path, by = who, "drift: putting the field back");
                }
            }
            Change::Prune(_) | Change::Same => {}
        }
    }
}
