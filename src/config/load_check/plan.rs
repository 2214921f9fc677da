//! Plan: what a load check's specification means, with every expression read and every default filled in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::expression::Expression;
use super::threshold::{Selection, Threshold};
use super::{FailOnChecks, Mode, ServiceRef, StatusSpec, TlsSpec};

/// A load check that can be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What the load goes to.
    pub base: Base,
    /// What the same load goes to at the same time, for rules that compare with it.
    pub baseline: Option<Base>,
    /// Which part of the load is sent from here.
    pub share: Share,
    /// Whom to trust over TLS.
    pub tls: TlsSpec,
    /// How long to wait until the target has an address and answers.
    pub wait_ready: Duration,
    /// The workloads; at least one.
    pub scenarios: Vec<Scenario>,
    /// The requests that scenarios name by index; at least one.
    pub requests: Vec<Request>,
    /// The names of the checks, each once.
    pub checks: Vec<String>,
    /// The bounds, those of the specification before the implicit one.
    pub rules: Vec<Rule>,
    /// How certain a verdict has to be.
    pub strict: Strict,
    /// How it is judged.
    pub mode: Mode,
}

/// One of several equal parts of a load, which several processes send together: every `of`th virtual user and every
/// `of`th iteration of an arrival rate, so that all parts are exactly the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Which part, from 0.
    pub index: u32,
    /// How many parts there are; at least 1.
    pub of: u32,
}

/// What the load goes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Base {
    /// A Service that has to be resolved.
    Service(ServiceRef),
    /// The scheme and authority of a URL, for example `http://127.0.0.1:8080`.
    Origin(String),
}

/// A workload.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// The name, also the value of the tag `scenario`.
    pub name: String,
    /// When iterations start.
    pub executor: Executor,
    /// How long after the start of the check it begins.
    pub start: Duration,
    /// How long iterations may go on after the executor's end.
    pub graceful_stop: Duration,
    /// The requests of one iteration, as indices of [`Plan::requests`].
    pub requests: Vec<usize>,
}

/// When iterations start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Executor {
    /// A constant number of virtual users.
    ConstantVus {
        /// How many.
        vus: u32,
        /// How long.
        duration: Duration,
    },
    /// A number of virtual users that follows stages.
    RampingVus {
        /// How many at the beginning.
        start: u32,
        /// The ramp.
        stages: Vec<Stage>,
        /// How long a virtual user that the ramp takes away may finish its iteration.
        graceful_ramp_down: Duration,
    },
    /// A number of iterations that all share.
    SharedIterations {
        /// Virtual users.
        vus: u32,
        /// Iterations of all together.
        iterations: u64,
        /// When iterations stop starting though some are left.
        max_duration: Duration,
    },
    /// A number of iterations for each.
    PerVuIterations {
        /// Virtual users.
        vus: u32,
        /// Iterations of each.
        iterations: u64,
        /// When iterations stop starting though some are left.
        max_duration: Duration,
    },
    /// A rate of iterations that follows stages; a constant rate is one stage that stays where it begins.
    ArrivalRate {
        /// Iterations per time unit at the beginning.
        start: u32,
        /// The unit of the rates.
        time_unit: Duration,
        /// The rates.
        stages: Vec<Stage>,
        /// Virtual users that are made ready beforehand.
        pre_allocated: u32,
        /// The most virtual users.
        max: u32,
    },
}

/// A step of a ramp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// How long it takes; zero jumps.
    pub duration: Duration,
    /// Where it ends.
    pub target: u32,
}

/// One request of an iteration.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The value of the tag `name`.
    pub name: String,
    /// The method.
    pub method: String,
    /// The path with its query, encoded.
    pub path: String,
    /// Headers by name.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<String>,
    /// How long the answer may take.
    pub timeout: Duration,
    /// Statuses that are no failure.
    pub expected: Vec<StatusSpec>,
    /// Redirects that are followed.
    pub max_redirects: u32,
    /// Conditions on the response: the index of the name in [`Plan::checks`], and the expression.
    pub checks: Vec<(usize, Expression)>,
    /// The pause after the answer.
    pub sleep: Duration,
    /// Its part of the sum of weights; `None` where an iteration is every request in its order.
    pub weight: Option<u32>,
}

/// A bound on a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The metric.
    pub selection: Selection,
    /// The bound.
    pub threshold: Threshold,
    /// The expression as it was written.
    pub source: String,
    /// Whether gitsync added it.
    pub implicit: bool,
    /// Whether the run ends as soon as it is crossed, looked at from this time on.
    pub abort_after: Option<Duration>,
}

/// How certain a verdict has to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Strict {
    /// Between 0.5 and 1.
    pub confidence: f64,
    /// How often an unclear run is repeated.
    pub max_extend: u32,
    /// What is not counted after the start.
    pub warmup: Duration,
    /// Which checks fail the verdict.
    pub fail_on_checks: FailOnChecks,
}

// === impl ===

impl Plan {
    /// When the last iteration may start, counted from the start of the check.
    #[must_use]
    pub fn duration(&self) -> Duration {
        let ends = self
            .scenarios
            .iter()
            .map(|scenario| scenario.start + scenario.executor.duration());
        ends.max().unwrap_or_default()
    }

    /// When everything is over, grace included.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.scenarios.iter().map(Scenario::end).max().unwrap_or_default()
    }

    /// The most virtual users that there can be at once, those of a baseline included.
    #[must_use]
    pub fn max_vus(&self) -> u32 {
        let vus: u32 = self
            .scenarios
            .iter()
            .map(|scenario| scenario.executor.max_vus())
            .sum();
        vus * self.sides()
    }

    /// How many services the load goes to: one, or two with a baseline.
    #[must_use]
    pub fn sides(&self) -> u32 {
        1 + u32::from(self.baseline.is_some())
    }
}

impl Default for Share {
    fn default() -> Self {
        Self { index: 0, of: 1 }
    }
}

impl Share {
    /// This part of `all` things of a kind.
    #[must_use]
    pub fn part(self, all: u64) -> u64 {
        let (index, of) = (u64::from(self.index), u64::from(self.of.max(1)));
        all / of + u64::from(index < all % of)
    }
}

impl Scenario {
    /// When its last iteration is cut off, counted from the start of the check.
    #[must_use]
    pub fn end(&self) -> Duration {
        self.start + self.executor.duration() + self.graceful_stop
    }
}

impl Executor {
    /// How long iterations start.
    #[must_use]
    pub fn duration(&self) -> Duration {
        match self {
            Self::ConstantVus { duration, .. } => *duration,
            Self::RampingVus { stages, .. } | Self::ArrivalRate { stages, .. } => {
                stages.iter().map(|stage| stage.duration).sum()
            }
            Self::SharedIterations { max_duration, .. } | Self::PerVuIterations { max_duration, .. } => {
                *max_duration
            }
        }
    }

    /// The most virtual users.
    #[must_use]
    pub fn max_vus(&self) -> u32 {
        match self {
            Self::ConstantVus { vus, .. }
            | Self::SharedIterations { vus, .. }
            | Self::PerVuIterations { vus, .. } => *vus,
            Self::RampingVus { start, stages, .. } => stages
                .iter()
                .map(|stage| stage.target)
                .chain([*start])
                .max()
                .unwrap_or_default(),
            Self::ArrivalRate { max, .. } => *max,
        }
    }

    /// How many iterations it does when nothing holds it up; `None` where only a time bounds it.
    #[must_use]
    pub fn iterations(&self) -> Option<u64> {
        match self {
            Self::SharedIterations { iterations, .. } => Some(*iterations),
            Self::PerVuIterations { vus, iterations, .. } => Some(iterations.saturating_mul(u64::from(*vus))),
            Self::ConstantVus { .. } | Self::RampingVus { .. } | Self::ArrivalRate { .. } => None,
        }
    }
}

impl Request {
    /// Whether `status` is no failure.
    #[must_use]
    pub fn expects(&self, status: u16) -> bool {
        self.expected
            .iter()
            .any(|range| (range.min..=range.max).contains(&status))
    }

    /// Whether a check needs the body's bytes.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        self.checks.iter().any(|(_, expression)| expression.reads_body())
    }

    /// Whether a check needs the headers of an answer.
    #[must_use]
    pub fn reads_headers(&self) -> bool {
        self.checks
            .iter()
            .any(|(_, expression)| expression.reads_headers())
    }
}
