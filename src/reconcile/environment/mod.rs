//! Environment: one environment, kept as git says. A pass observes, decides and takes one step; passes repeat.

pub mod error;
mod hooks;
mod onward;
mod publish;
mod situation;
mod steps;
mod tell;
mod waits;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use manifest::ObjectId;
use tokio::sync::Notify;

use super::Shared;
use super::feed::Head;
use crate::apply::wave::Plan;
use crate::config::environment::{ClusterSpec, Impersonate};
use crate::config::repository::Environment;
use crate::desired::Desired;
use crate::desired::tree::Rendered;
use crate::diff::drift::{self, Drift};
use crate::diff::stability::Stability;
use crate::model::EnvName;
use crate::problem::Problem;
use crate::promote::decide::Step;
use crate::record::{Phase, Record};
use crate::verify::health::Health;
use crate::world::cluster::connect::connect;
use crate::world::cluster::events::Notices;
use crate::world::cluster::known::Known;
use crate::world::cluster::observe::Observation;
use crate::world::cluster::records::Stored;
use crate::world::cluster::watch::Watches;
use crate::world::cluster::{Cluster, FIELD_MANAGER};
use error::PassError;
use situation::{DueAnswer, PrunePlan, next_wave};
use waits::Previews;

/// How often an environment is looked at as if there were no watches, at least.
const BACKSTOP: Duration = Duration::from_secs(600);

/// By how much more the environments differ in that, so that they do not all look at once.
const BACKSTOP_SPREAD: u64 = 120;

/// One environment.
pub struct Reconciler {
    shared: Shared,
    name: EnvName,
    options: Options,
    cluster: Option<Arc<Cluster>>,
    /// What git says of the cluster and the account, as far as `cluster` was made from it.
    reached_by: Option<(ClusterSpec, Option<Impersonate>)>,
    stored: Option<Stored>,
    watches: Watches,
    /// When the environment was last looked at without the help of the watches.
    looked: Option<Instant>,
    changed: Arc<Notify>,
    stability: Stability,
    /// When the last sync wave of a state was applied, by the hash of the state.
    wave_applied: Option<(String, Instant)>,
    /// ConfigMaps and Secrets that git no longer has and live pods needed, and when that was asked.
    in_use: Option<(Instant, BTreeSet<ObjectId>)>,
    /// When the record was last written with what people should know.
    told: Option<Instant>,
    /// What was warned of, so that it is said once.
    warned: BTreeSet<String>,
    /// Whether each promotion is due, by its name.
    due: BTreeMap<String, DueAnswer>,
    rendered: Option<Rendered>,
    previews: Previews,
    notices: Option<Notices>,
    /// The sync whose way from its commit was counted last.
    counted: Option<Timestamp>,
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

/// All that a pass knows before it decides.
struct View<'a> {
    head: &'a Head,
    environment: &'a Environment,
    desired: Desired,
    /// What is wrong with HEAD, when an earlier state stays in force.
    problems: Vec<Problem>,
    observation: Observation,
    health: Health,
    /// What is applied next.
    plan: Plan,
    /// How the sync waves are that come before it.
    earlier_waves: Health,
    /// What becomes of what git no longer has.
    prune: PrunePlan,
    /// What differs from what git asked for at the last sync already.
    drift: Drifts,
}

/// What drifted, by whether it is put back.
#[derive(Default)]
struct Drifts {
    /// What is put back.
    healed: Vec<Drift>,
    /// What is left alone, because somebody writes it back again and again.
    unstable: Vec<Drift>,
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
            reached_by: None,
            stored: None,
            watches: Watches::default(),
            looked: None,
            changed: Arc::new(Notify::new()),
            stability: Stability::default(),
            wave_applied: None,
            in_use: None,
            told: None,
            warned: BTreeSet::new(),
            due: BTreeMap::new(),
            rendered: None,
            previews: Previews::default(),
            notices: None,
            counted: None,
        }
    }

    /// Notified whenever something of the environment changes in its cluster.
    #[must_use]
    pub fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    /// Runs verifications that failed before this time once more; a person asked for it.
    pub fn retry_failed_before(&mut self, time: Timestamp) {
        self.options.retry_failed_before = Some(time);
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
            self.publish_error(error);
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
        let known = self.known();
        let mut observation = match cluster
            .observe(environment, &desired, &stored.record.inventory, known.as_ref())
            .await
        {
            Ok(observation) => observation,
            Err(error) => {
                self.stored = Some(stored);
                return Err(error.into());
            }
        };
        observation.forget_same();
        self.watches
            .follow(&cluster, &self.name, &observation.objects, &self.changed);
        self.warn(&observation);
        let drift = self.drifts(&desired, &observation, &stored.record);
        let plan = next_wave(&observation, &drift);
        let (health, earlier_waves) = self
            .health(
                &cluster,
                environment,
                &observation,
                &plan,
                &desired,
                &stored.record,
            )
            .await?;
        let prune = self.prune_plan(environment, &observation, &stored.record.inventory);
        let view = View {
            head,
            environment,
            desired,
            problems,
            observation,
            health,
            plan,
            earlier_waves,
            prune,
            drift,
        };
        self.publish_view(&view, &cluster, &stored.record);
        let step = self.decide(&view, &stored.record).await;
        let (outcome, record) = self.take(&step, &view, &cluster, &mut stored).await?;
        self.tell(&view, &outcome, record, &cluster, &mut stored).await?;
        self.publish_outcome(&outcome, &stored.record);
        self.publish_waits(&view, &stored.record).await;
        self.count_lead(&outcome, &stored.record).await;
        self.stored = Some(stored);
        if let (Step::Rest | Step::Hold(_) | Step::Wait(_), Some(rendered)) =
            (&outcome.step, &mut self.rendered)
        {
            rendered.rest();
        }
        Ok(outcome)
    }

    /// Says once what people should know of how the objects are applied.
    fn warn(&mut self, observation: &Observation) {
        for warning in &observation.warnings {
            if self.warned.insert(warning.to_string()) {
                tracing::warn!(env = %self.name, "{warning}");
            }
        }
    }

    /// What drifted. While something new is to be applied there is no drift: git asks for another state.
    fn drifts(&mut self, desired: &Desired, observation: &Observation, record: &Record) -> Drifts {
        if record
            .synced
            .as_ref()
            .is_none_or(|synced| synced.objects != desired.hash)
        {
            return Drifts::default();
        }
        let lives: BTreeMap<_, _> = observation
            .objects
            .iter()
            .map(|observed| (&observed.id, observed.live.as_deref()))
            .collect();
        let changed = observation.diff.changed();
        let found: Vec<Drift> = changed
            .flat_map(|object| {
                let live = lives.get(&object.id).copied().flatten();
                drift::of_object(object, live, FIELD_MANAGER)
            })
            .collect();
        let now = Timestamp::now();
        self.stability.observe(&found, now);
        let (unstable, healed) = found
            .into_iter()
            .partition(|drift| self.stability.is_unstable(drift, now));
        Drifts { healed, unstable }
    }

    async fn cluster(&mut self, environment: &Environment) -> Result<Arc<Cluster>, PassError> {
        let reference = (
            environment.spec.cluster.clone(),
            environment.spec.impersonate.clone(),
        );
        if self.reached_by.as_ref() != Some(&reference) {
            // Git names another cluster or account now: nothing that is known of the old one holds there.
            self.disconnect();
            self.stored = None;
            self.reached_by = Some(reference);
        }
        if let Some(cluster) = &self.cluster {
            return Ok(Arc::clone(cluster));
        }
        let (kubeconfig, leader) = (self.shared.kubeconfig.as_deref(), &self.shared.leader);
        let cluster = Arc::new(connect(&environment.spec, kubeconfig, leader).await?);
        self.cluster = Some(Arc::clone(&cluster));
        self.notices = Some(Notices::of(Arc::clone(&cluster), self.name.clone()));
        Ok(cluster)
    }

    /// What the watches know; nothing once in a while, so that what a watch may have missed is found all the same.
    fn known(&mut self) -> Option<Known> {
        if self
            .looked
            .is_some_and(|looked| looked.elapsed() < backstop(&self.name))
        {
            return Some(self.watches.known().clone());
        }
        self.looked = Some(Instant::now());
        None
    }

    /// Forgets the connection, so that the next pass reads the kubeconfig and its credentials again.
    pub fn disconnect(&mut self) {
        self.cluster = None;
        self.notices = None;
        self.watches = Watches::default();
    }
}

/// The backstop of one environment, the same each time.
fn backstop(name: &EnvName) -> Duration {
    let mut hasher = DefaultHasher::new();
    name.as_str().hash(&mut hasher);
    BACKSTOP + Duration::from_secs(hasher.finish() % BACKSTOP_SPREAD)
}
