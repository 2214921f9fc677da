//! Limits: the most load that a daemon sends, whatever the repository that it follows asks for.

use std::time::Duration;

use super::plan::{Executor, Plan};

/// The most load that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Virtual users at once, each with a connection.
    pub vus: u32,
    /// Iterations that an arrival rate starts per second, of all scenarios together.
    pub rate: u32,
    /// How long one run takes, time of grace included.
    pub duration: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            vus: 500,
            rate: 2_000,
            duration: Duration::from_secs(3600),
        }
    }
}

impl Limits {
    /// What a plan asks for beyond the limits; empty when it may run.
    #[must_use]
    pub fn exceeded_by(&self, plan: &Plan) -> Vec<String> {
        let mut exceeded = Vec::new();
        let vus = plan.max_vus();
        if vus > self.vus {
            exceeded.push(format!(
                "{vus} virtual users are more than the {} of --max-vus",
                self.vus
            ));
        }
        let rates = plan
            .scenarios
            .iter()
            .map(|scenario| highest_rate(&scenario.executor));
        let rate = rates.sum::<f64>() * f64::from(plan.sides());
        if rate > f64::from(self.rate) {
            let most = self.rate;
            exceeded.push(format!(
                "{rate:.0} iterations per second are more than the {most} of --max-rate"
            ));
        }
        let duration = plan.longest();
        if duration > self.duration {
            let most = self.duration;
            exceeded.push(format!(
                "a run of up to {duration:?} is longer than the {most:?} of --max-duration"
            ));
        }
        exceeded
    }
}

/// Iterations per second at the steepest moment; 0 where answers set the pace.
fn highest_rate(executor: &Executor) -> f64 {
    let Executor::ArrivalRate {
        start,
        time_unit,
        stages,
        ..
    } = executor
    else {
        return 0.0;
    };
    let targets = stages.iter().map(|stage| stage.target).chain([*start]);
    f64::from(targets.max().unwrap_or_default()) / time_unit.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load_check::LoadCheckSpec;

    #[test]
    fn each_limit_holds_by_itself() {
        let limits = Limits {
            vus: 10,
            rate: 100,
            duration: Duration::from_secs(60),
        };
        let rate = |fields: &str| {
            format!(
                "scenarios: {{a: {{executor: ramping-arrival-rate, preAllocatedVUs: 1, timeUnit: 1m, {fields}}}}}"
            )
        };
        for (text, says) in [
            ("vus: 10\nduration: 30s", &[][..]),
            ("vus: 11\nduration: 30s", &["11 virtual users"]),
            ("vus: 10\nduration: 31s", &["up to 61s"]),
            ("vus: 11", &["11 virtual users", "up to 630s"]),
            (&rate("startRate: 6000, stages: [{duration: 1s, target: 5}]"), &[]),
            (
                &rate("stages: [{duration: 1s, target: 6060}]"),
                &["101 iterations per second"],
            ),
        ] {
            let spec = format!("target: {{url: 'http://a'}}\n{text}\n");
            let plan = serde_yaml::from_str::<LoadCheckSpec>(&spec)
                .unwrap()
                .compile()
                .unwrap();
            let exceeded = limits.exceeded_by(&plan);
            assert_eq!(exceeded.len(), says.len(), "{text}: {exceeded:?}");
            for (exceeded, says) in exceeded.iter().zip(says) {
                assert!(exceeded.contains(says), "{text}: {exceeded}");
            }
        }
    }
}
