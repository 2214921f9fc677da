//! Progress of a load check: the counters of a run that goes on.

use std::time::Duration;

/// Where a load check stands.
#[derive(Debug, Clone, PartialEq, Default)]
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
    /// The response times so far, oldest first; at most [`LATENCY_POINTS`].
    pub latency: Vec<Latency>,
}

/// How many points of response times are kept; after that, two neighbours become one.
pub const LATENCY_POINTS: usize = 240;

/// The response times of a short while.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Latency {
    /// The end of the while, since the start.
    pub at: Duration,
    /// The 90th percentile in milliseconds; of joined points the larger one.
    pub p90: f64,
    /// The longest in milliseconds.
    pub max: f64,
}

/// Adds a point; when there are too many, each two neighbours become one, so that a long run needs no more memory.
pub fn add_latency(points: &mut Vec<Latency>, point: Latency) {
    points.push(point);
    if points.len() <= LATENCY_POINTS {
        return;
    }
    *points = points
        .chunks(2)
        .map(|pair| {
            pair.iter().fold(Latency::default(), |joined, point| Latency {
                at: point.at,
                p90: joined.p90.max(point.p90),
                max: joined.max.max(point.max),
            })
        })
        .collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_keeps_few_points_and_its_peaks() {
        let mut points = Vec::new();
        for second in 0..10_000 {
            let max = if second == 1234 { 900.0 } else { 10.0 };
            let point = Latency {
                at: Duration::from_secs(second),
                p90: 5.0,
                max,
            };
            add_latency(&mut points, point);
        }
        assert!(points.len() <= LATENCY_POINTS, "{}", points.len());
        assert!(points.iter().any(|point| point.max == 900.0));
        assert!(points.is_sorted_by_key(|point| point.at));
        assert_eq!(points.last().unwrap().at, Duration::from_secs(9_999));
    }
}
