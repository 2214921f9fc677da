//! Message: what a load check and its workers tell each other, one JSON object in each line.

use serde::{Deserialize, Serialize};

use crate::config::load_check::LoadCheckSpec;
use crate::config::load_check::plan::Share;
use crate::verify::samples::Samples;
use crate::world::load::Origins;

/// To a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ToWorker {
    /// Get ready: the first message, and once.
    Prepare {
        /// The check.
        spec: Box<LoadCheckSpec>,
        /// Where the load goes.
        origins: Origins,
        /// The worker's part of it.
        share: Share,
    },
    /// Send the load now.
    Run,
    /// End the run under way.
    Stop,
}

/// From a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FromWorker {
    /// The target answers.
    Ready,
    /// It does not, or the check is none.
    Unready {
        /// Why.
        reason: String,
    },
    /// Where the run stands.
    Standing(Standing),
    /// What was measured since the last message of this kind.
    Samples(Box<Samples>),
    /// The run is over.
    Done,
    /// The run broke.
    Broken {
        /// Why.
        reason: String,
    },
}

/// The counters of a worker's run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Requests that were answered or failed.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// Each scenario, in the order of the plan.
    pub scenarios: Vec<ScenarioStanding>,
}

/// The counters of a scenario.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScenarioStanding {
    /// Virtual users that work.
    pub vus: u32,
    /// Virtual users that were made ready.
    pub ready: u32,
    /// Iterations that were completed.
    pub complete: u64,
    /// Iterations that were cut off.
    pub interrupted: u64,
    /// Iterations that nobody was free to run.
    pub dropped: u64,
}
