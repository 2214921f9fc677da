//! Script plan: what the options of a k6 script mean, with every default filled in.
//!
//! [`options::read`] takes the layers from which k6 takes its options (the script, the environment, the command line)
//! and reports what k6 would refuse, and what this program cannot do, before a request is sent.

use std::collections::BTreeMap;
use std::time::Duration;

use super::load_check::metric::Kind;
use super::load_check::plan::Plan;
use super::load_check::threshold::Threshold;

pub mod bundle;
pub mod options;
pub mod rules;
pub mod scan;
mod scenarios;

/// A k6 script that can be run.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptPlan {
    /// When iterations start, and how certain the verdict has to be. It has no requests and no rules of its own.
    pub load: Plan,
    /// What the iterations of each scenario are, by index of the plan's scenarios.
    pub work: Vec<Work>,
    /// The bounds, those of the script before the implicit one.
    pub rules: Vec<ScriptRule>,
    /// How requests are made.
    pub http: HttpOptions,
    /// Tags of every sample.
    pub tags: BTreeMap<String, String>,
    /// How long `setup()` may take.
    pub setup_timeout: Duration,
    /// How long `teardown()` may take.
    pub teardown_timeout: Duration,
    /// The least time that an iteration takes; a shorter one waits.
    pub min_iteration: Duration,
    /// The figures of trends in the summary.
    pub trend_stats: Vec<String>,
    /// What is odd about the options, and does no harm.
    pub warnings: Vec<String>,
    /// The consolidated options, as `handleSummary()` and `exec.test.options` show them.
    pub options: serde_json::Value,
}

/// What an iteration of a scenario does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Work {
    /// The name of the executor, as the script writes it.
    pub executor: String,
    /// The exported function.
    pub exec: String,
    /// Variables beside those of the script.
    pub env: BTreeMap<String, String>,
    /// Tags of its samples.
    pub tags: BTreeMap<String, String>,
}

/// How requests are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOptions {
    /// Redirects that are followed.
    pub max_redirects: u32,
    /// Requests of a batch that are under way at the same time.
    pub batch: usize,
    /// The same to one host.
    pub batch_per_host: usize,
    /// Whether bodies are thrown away unless a request asks for its own.
    pub discard_bodies: bool,
    /// Whether a connection serves one request only.
    pub no_reuse: bool,
    /// Whether a connection ends with its iteration.
    pub no_vu_reuse: bool,
    /// Whether cookies stay from one iteration to the next.
    pub keep_cookies: bool,
    /// Whether a request that fails throws.
    pub throw: bool,
    /// The header `User-Agent`; `None` for that of this program.
    pub user_agent: Option<String>,
}

/// A metric of a script: one that k6 has, or one that the script made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// The name.
    pub name: String,
    /// What kind of number it is.
    pub kind: Kind,
    /// What it counts.
    pub contains: Contains,
}

/// What a metric counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Contains {
    /// Plain numbers.
    #[default]
    Plain,
    /// Times in milliseconds.
    Time,
    /// Bytes.
    Data,
}

/// A bound on a metric of a script.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptRule {
    /// The metric and its selector, as the script writes them.
    pub name: String,
    /// Index of the declared metric.
    pub metric: usize,
    /// The tags that a sample must have.
    pub tags: Vec<(String, String)>,
    /// The bound.
    pub threshold: Threshold,
    /// The expression as it was written.
    pub source: String,
    /// Whether gitsync added it.
    pub implicit: bool,
    /// Whether the run ends as soon as it is crossed, looked at from this time on.
    pub abort_after: Option<Duration>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            max_redirects: 10,
            batch: 20,
            batch_per_host: 6,
            discard_bodies: false,
            no_reuse: false,
            no_vu_reuse: false,
            keep_cookies: false,
            throw: false,
            user_agent: None,
        }
    }
}

impl Contains {
    /// The word that k6 has for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "default",
            Self::Time => "time",
            Self::Data => "data",
        }
    }
}
