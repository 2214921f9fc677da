//! Progress of a load check: the counters of a run that goes on.

use std::time::Duration;

/// Where a load check stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// Since the start.
    pub elapsed: Duration,
    /// When the last iteration may start.
    pub duration: Duration,
    /// How often the run was repeated already because its verdict was unclear.
    pub repetition: u32,
    /// Requests that were answered or failed.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// Each scenario, in the order of the plan.
    pub scenarios: Vec<ScenarioProgress>,
}

/// Where a scenario stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScenarioProgress {
    /// The name.
    pub name: String,
    /// Since its start; zero before.
    pub elapsed: Duration,
    /// When its last iteration may start, from its start.
    pub duration: Duration,
    /// Virtual users that work.
    pub vus: u32,
    /// The most that there can be.
    pub max_vus: u32,
    /// Iterations that were completed.
    pub iterations: u64,
    /// Iterations that it has to do, when it counts them.
    pub of_iterations: Option<u64>,
    /// Iterations that were due with no virtual user free.
    pub dropped: u64,
    /// Iterations that were cut off.
    pub interrupted: u64,
}

impl Progress {
    /// Virtual users that work, of how many at most.
    #[must_use]
    pub fn vus(&self) -> (u32, u32) {
        let each = self.scenarios.iter();
        each.fold((0, 0), |(now, most), scenario| {
            (now + scenario.vus, most + scenario.max_vus)
        })
    }

    /// Iterations that were completed, and that were cut off.
    #[must_use]
    pub fn iterations(&self) -> (u64, u64) {
        let each = self.scenarios.iter();
        each.fold((0, 0), |(done, cut), scenario| {
            (done + scenario.iterations, cut + scenario.interrupted)
        })
    }
}

impl ScenarioProgress {
    /// How much is done, between 0 and 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        let part = |done: f64, all: f64| {
            if all > 0.0 {
                (done / all).clamp(0.0, 1.0)
            } else {
                0.0
            }
        };
        match self.of_iterations {
            Some(all) => part(self.iterations as f64, all as f64),
            None => part(self.elapsed.as_secs_f64(), self.duration.as_secs_f64()),
        }
    }
}
