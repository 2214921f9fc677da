//! Virtual user: the state that a script's functions and its requests share.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

pub use super::super::worker::LiveScenario;
use super::cookies::Jar;
use super::source::Script;
use crate::config::script::{Declared, ScriptPlan};
use crate::verify::script::catalog::{Catalog, Tags, builtin};
use crate::verify::script::{Measured, Proof, Sample};

/// The state of a virtual user.
pub struct Vu {
    /// What it runs.
    pub script: Arc<Script>,
    /// The metrics, once they are known.
    pub catalog: Arc<Catalog>,
    /// Where it puts what it measures.
    pub measured: Rc<RefCell<Measured>>,
    /// Counters that all virtual users share.
    pub live: Arc<Live>,
    /// The start of the run.
    pub origin: Cell<Instant>,
    /// How late the iteration began; its first request is that much later for whoever waits for it.
    pub late: Cell<Duration>,
    /// Samples before this time after the start are not counted.
    pub warmup: Duration,
    /// What part of the script runs.
    pub stage: Cell<Stage>,
    /// Its number, from 1; 0 in what runs once for all.
    pub number: u32,
    /// The iteration under way.
    pub iteration: RefCell<Iteration>,
    /// The group that was entered last.
    pub group: RefCell<Arc<str>>,
    /// Tags that the script gave to all samples of this user.
    pub tags: RefCell<BTreeMap<String, String>>,
    /// Cookies.
    pub jar: RefCell<Jar>,
    /// Statuses that are no failure; `None` when nothing is.
    pub expected: RefCell<Option<Statuses>>,
    /// Whether the step under way is over for it.
    pub cancelled: Cell<bool>,
    /// When JavaScript last went on.
    pub since: Cell<Instant>,
    /// Metrics that the script made while it was loaded.
    pub declared: RefCell<Vec<Declared>>,
    /// Why the script ended the run.
    pub aborted: RefCell<Option<String>>,
}

/// What part of a script runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It is being loaded.
    Init,
    /// `setup()`, `teardown()` or `handleSummary()`.
    Once,
    /// An iteration.
    Iteration,
}

/// The iteration under way.
#[derive(Debug, Clone, Default)]
pub struct Iteration {
    /// Index of the scenario.
    pub scenario: usize,
    /// Of this virtual user, from 0.
    pub own: u64,
    /// Of this virtual user in its scenario, from 0.
    pub in_scenario: u64,
    /// Of the scenario, from 0.
    pub of_scenario: u64,
}

/// Statuses that are no failure, as ranges.
pub type Statuses = Vec<(u16, u16)>;

/// k6's default for [`Vu::expected`].
pub const EXPECTED: (u16, u16) = (200, 399);

/// Counters that all virtual users share.
#[derive(Default)]
pub struct Live {
    /// Requests that were answered or failed.
    pub requests: AtomicU64,
    /// Those that failed.
    pub failed: AtomicU64,
    /// Whether the script said that the test has failed.
    pub failed_test: AtomicBool,
    /// By index of the plan's scenarios.
    pub scenarios: Vec<LiveScenario>,
}

/// A sample's tags: its own, then those of its virtual user, its scenario and the run.
pub struct VuTags<'a, T> {
    own: &'a T,
    vu: Option<&'a Vu>,
    plan: Option<&'a ScriptPlan>,
    scenario: Option<usize>,
}

/// No tags.
static NONE: OwnTags = OwnTags(Vec::new());

// === impl Vu ===

impl Vu {
    /// A virtual user that has not begun.
    #[must_use]
    pub fn new(
        script: Arc<Script>,
        catalog: Arc<Catalog>,
        measured: Rc<RefCell<Measured>>,
        live: Arc<Live>,
        origin: Instant,
        number: u32,
    ) -> Self {
        let warmup = script
            .plan()
            .map_or(Duration::ZERO, |plan| plan.load.strict.warmup);
        Self {
            script,
            catalog,
            measured,
            live,
            origin: Cell::new(origin),
            late: Cell::default(),
            warmup,
            stage: Cell::new(Stage::Init),
            number,
            iteration: RefCell::default(),
            group: RefCell::new("".into()),
            tags: RefCell::default(),
            jar: RefCell::default(),
            expected: RefCell::new(Some(vec![EXPECTED])),
            cancelled: Cell::new(false),
            since: Cell::new(origin),
            declared: RefCell::default(),
            aborted: RefCell::default(),
        }
    }

    /// Adds a sample of a metric, which says what its value says.
    pub fn add(&self, metric: usize, value: f64, own: &impl Tags) {
        self.add_sample(metric, value, self.origin.get().elapsed(), Proof::Value, own);
    }

    /// Adds a sample.
    pub fn add_sample(&self, metric: usize, value: f64, at: Duration, proof: Proof, own: &impl Tags) {
        if at < self.warmup || self.cancelled.get() {
            return;
        }
        let sample = Sample {
            metric,
            value,
            at,
            proof,
        };
        let tags = VuTags::new(self, own);
        self.measured.borrow_mut().add(&self.catalog, sample, &tags);
    }

    /// Notes a request that the end of the run cut off: it is slower than any bound, and counted nowhere else.
    pub fn add_cut(&self, at: Duration, own: &impl Tags) {
        let sample = Sample {
            metric: builtin::HTTP_REQ_DURATION,
            value: 0.0,
            at,
            proof: Proof::Broken,
        };
        let tags = VuTags::new(self, own);
        self.measured.borrow_mut().prove(&self.catalog, sample, &tags);
    }

    /// Notes whether a check held.
    pub fn check(&self, name: &str, held: bool, own: &impl Tags) {
        if self.cancelled.get() {
            return;
        }
        let group = self.group.borrow().clone();
        if self.origin.get().elapsed() >= self.warmup {
            self.measured.borrow_mut().groups.check(&group, name, held);
        }
        self.add(builtin::CHECKS, f64::from(u8::from(held)), own);
    }

    /// Counts bytes on the wire.
    pub fn add_bytes(&self, sent: u64, received: u64) {
        let own = OwnTags::default();
        self.add(builtin::DATA_SENT, sent as f64, &own);
        self.add(builtin::DATA_RECEIVED, received as f64, &own);
    }

    /// Leaves all groups.
    pub fn leave_groups(&self) {
        let mut group = self.group.borrow_mut();
        if !group.is_empty() {
            *group = "".into();
        }
    }

    /// Enters a group inside of the present one, which it returns.
    pub fn enter(&self, name: &str) -> Arc<str> {
        let inner: Arc<str> = format!("{}::{name}", self.group.borrow()).into();
        self.measured.borrow_mut().groups.enter(&inner);
        self.group.replace(inner)
    }
}

// === impl tags ===

impl Live {
    /// Counters of a run with so many scenarios.
    #[must_use]
    pub fn new(scenarios: usize) -> Self {
        Self {
            scenarios: std::iter::repeat_with(LiveScenario::default)
                .take(scenarios)
                .collect(),
            ..Self::default()
        }
    }
}

impl<'a, T: Tags> VuTags<'a, T> {
    fn new(vu: &'a Vu, own: &'a T) -> Self {
        Self {
            own,
            vu: Some(vu),
            plan: vu.script.plan(),
            scenario: (vu.stage.get() == Stage::Iteration).then(|| vu.iteration.borrow().scenario),
        }
    }
}

impl<'a> VuTags<'a, OwnTags> {
    /// The tags of what belongs to no scenario.
    #[must_use]
    pub fn global(plan: &'a ScriptPlan) -> Self {
        Self {
            own: &NONE,
            vu: None,
            plan: Some(plan),
            scenario: None,
        }
    }

    /// The tags of what belongs to no virtual user.
    #[must_use]
    pub fn of_scenario(plan: &'a ScriptPlan, scenario: usize) -> Self {
        Self {
            scenario: Some(scenario),
            ..Self::global(plan)
        }
    }
}

impl<T: Tags> Tags for VuTags<'_, T> {
    fn is(&self, tag: &str, value: &str) -> bool {
        if self.own.is(tag, value) {
            return true;
        }
        if let Some(vu) = self.vu {
            if let Some(own) = vu.tags.borrow().get(tag) {
                return own == value;
            }
            if tag == "group" {
                return **vu.group.borrow() == *value;
            }
        }
        let Some(plan) = self.plan else { return false };
        match (tag, self.scenario) {
            ("scenario", Some(scenario)) => plan.load.scenarios[scenario].name == value,
            (_, scenario) => {
                let of_scenario = scenario.and_then(|scenario| plan.work[scenario].tags.get(tag));
                of_scenario
                    .or(plan.tags.get(tag))
                    .is_some_and(|known| known == value)
            }
        }
    }
}

/// Tags that a script gives to a single sample.
#[derive(Debug, Clone, Default)]
pub struct OwnTags(pub Vec<(String, String)>);

impl Tags for OwnTags {
    fn is(&self, tag: &str, value: &str) -> bool {
        self.0.iter().any(|(name, own)| name == tag && own == value)
    }
}

/// The tags of a check.
pub struct CheckTags<'a> {
    /// Its name.
    pub check: &'a str,
    /// What the script adds.
    pub own: &'a OwnTags,
}

impl Tags for CheckTags<'_> {
    fn is(&self, tag: &str, value: &str) -> bool {
        tag == "check" && value == self.check || self.own.is(tag, value)
    }
}
