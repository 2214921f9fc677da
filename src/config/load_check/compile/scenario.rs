//! The workloads of a load check: its scenarios, or the one that the shortcuts stand for.

use std::time::Duration as Span;

use super::{MAX_VUS, Problems, escape};
use crate::config::duration::Duration;
use crate::config::load_check::plan::{Executor, Request, Scenario, Stage};
use crate::config::load_check::{ExecutorName, LoadCheckSpec, ScenarioSpec};

/// More iterations a second than one machine can start on time.
const MAX_RATE: f64 = 100_000.0;

const DEFAULT_GRACE: Duration = Duration::from_secs(30);
const DEFAULT_MAX_DURATION: Duration = Duration::from_secs(600);

impl LoadCheckSpec {
    pub(super) fn workloads(&self, requests: &[Request], problems: &mut Problems) -> Vec<Scenario> {
        if self.scenarios.is_empty() {
            return vec![self.shortcut(requests.len(), problems)];
        }
        for (field, set) in [
            ("vus", self.vus.is_some()),
            ("duration", self.duration.is_some()),
            ("iterations", self.iterations.is_some()),
            ("stages", !self.stages.is_empty()),
        ] {
            if set {
                let message = format!("{field} cannot stand beside scenarios");
                problems.add(&format!("/{field}"), message, "move it into a scenario");
            }
        }
        let grace = self.graceful_stop.unwrap_or(DEFAULT_GRACE);
        let mut workloads = Vec::with_capacity(self.scenarios.len());
        for (name, spec) in &self.scenarios {
            let at = format!("/scenarios/{}", escape(name));
            workloads.push(Scenario {
                name: name.clone(),
                executor: ScenarioReader {
                    spec,
                    at: &at,
                    problems,
                }
                .executor(),
                start: spec.start_time.unwrap_or_default().get(),
                graceful_stop: spec.graceful_stop.unwrap_or(grace).get(),
                requests: chosen(&spec.requests, requests, &at, problems),
            });
        }
        workloads
    }

    /// The one scenario that the fields `vus`, `duration`, `iterations` and `stages` stand for, as in k6.
    fn shortcut(&self, requests: usize, problems: &mut Problems) -> Scenario {
        let executor = if !self.stages.is_empty() {
            if self.duration.is_some() || self.iterations.is_some() {
                problems.add(
                    "/stages",
                    "stages exclude duration and iterations".into(),
                    "keep one of them",
                );
            }
            Executor::RampingVus {
                start: problems.vus("/vus", self.vus.unwrap_or(1)),
                stages: problems.stages("/stages", &self.stages, Some(MAX_VUS)),
                graceful_ramp_down: DEFAULT_GRACE.get(),
            }
        } else if let Some(iterations) = self.iterations {
            let vus = problems.vus("/vus", self.vus.unwrap_or(1));
            problems.shared("/iterations", vus, iterations);
            let max_duration = problems.duration("/duration", self.duration.unwrap_or(DEFAULT_MAX_DURATION));
            Executor::SharedIterations {
                vus,
                iterations,
                max_duration,
            }
        } else {
            let vus = problems.vus("/vus", self.vus.unwrap_or(1));
            match self.duration {
                Some(duration) => Executor::ConstantVus {
                    vus,
                    duration: problems.duration("/duration", duration),
                },
                None => Executor::SharedIterations {
                    vus,
                    iterations: u64::from(vus),
                    max_duration: DEFAULT_MAX_DURATION.get(),
                },
            }
        };
        Scenario {
            name: "default".to_owned(),
            executor,
            start: Span::ZERO,
            graceful_stop: self.graceful_stop.unwrap_or(DEFAULT_GRACE).get(),
            requests: (0..requests).collect(),
        }
    }
}

/// The indices of the requests that a scenario names.
fn chosen(names: &[String], requests: &[Request], at: &str, problems: &mut Problems) -> Vec<usize> {
    if names.is_empty() {
        return (0..requests.len()).collect();
    }
    let mut indices = Vec::with_capacity(names.len());
    for (i, name) in names.iter().enumerate() {
        match requests.iter().position(|request| request.name == *name) {
            Some(index) => indices.push(index),
            None => {
                let known: Vec<&str> = requests.iter().map(|request| request.name.as_str()).collect();
                let pointer = format!("{at}/requests/{i}");
                problems.add(
                    &pointer,
                    format!("no request is named `{name}`"),
                    &format!("there is {}", known.join(", ")),
                );
            }
        }
    }
    indices
}

/// Reads one scenario by its executor, and refuses the fields that the executor does not have.
struct ScenarioReader<'a> {
    spec: &'a ScenarioSpec,
    at: &'a str,
    problems: &'a mut Problems,
}

impl ScenarioReader<'_> {
    fn executor(&mut self) -> Executor {
        let spec = self.spec;
        self.refuse_foreign();
        match spec.executor {
            ExecutorName::ConstantVus => Executor::ConstantVus {
                vus: self.vus(),
                duration: self.required_duration(),
            },
            ExecutorName::RampingVus => Executor::RampingVus {
                start: spec.start_vus.unwrap_or(1).min(MAX_VUS),
                stages: self
                    .problems
                    .stages(&format!("{}/stages", self.at), &spec.stages, Some(MAX_VUS)),
                graceful_ramp_down: spec.graceful_ramp_down.unwrap_or(DEFAULT_GRACE).get(),
            },
            ExecutorName::SharedIterations => {
                let (vus, iterations) = (self.vus(), spec.iterations.unwrap_or(1));
                self.problems
                    .shared(&format!("{}/iterations", self.at), vus, iterations);
                Executor::SharedIterations {
                    vus,
                    iterations,
                    max_duration: self.max_duration(),
                }
            }
            ExecutorName::PerVuIterations => {
                let (vus, iterations) = (self.vus(), spec.iterations.unwrap_or(1));
                self.problems
                    .shared(&format!("{}/iterations", self.at), 1, iterations);
                Executor::PerVuIterations {
                    vus,
                    iterations,
                    max_duration: self.max_duration(),
                }
            }
            ExecutorName::ConstantArrivalRate => {
                let rate = self.required("rate", spec.rate);
                let stages = vec![Stage {
                    duration: self.required_duration(),
                    target: rate,
                }];
                self.arrivals(rate, stages)
            }
            ExecutorName::RampingArrivalRate => {
                let at = format!("{}/stages", self.at);
                let stages = self.problems.stages(&at, &spec.stages, None);
                self.arrivals(spec.start_rate.unwrap_or(0), stages)
            }
        }
    }

    fn arrivals(&mut self, start: u32, stages: Vec<Stage>) -> Executor {
        let spec = self.spec;
        let time_unit = spec.time_unit.unwrap_or(Duration::from_secs(1)).get();
        let fastest = stages
            .iter()
            .map(|stage| stage.target)
            .chain([start])
            .max()
            .unwrap_or_default();
        if time_unit.is_zero() {
            self.problems.add(
                &format!("{}/timeUnit", self.at),
                "the time unit is zero".into(),
                "write for example 1s",
            );
        } else if f64::from(fastest) / time_unit.as_secs_f64() > MAX_RATE {
            let message = format!("more than {MAX_RATE} iterations a second are too many for one machine");
            self.problems.add(self.at, message, "lower the rate");
        }
        if fastest == 0 {
            self.problems.add(
                self.at,
                "the rate is zero throughout".into(),
                "set a rate above zero",
            );
        }
        let pre_allocated = self.required("preAllocatedVUs", spec.pre_allocated_vus);
        let pre_allocated = self
            .problems
            .vus(&format!("{}/preAllocatedVUs", self.at), pre_allocated);
        let max = self.problems.vus(
            &format!("{}/maxVUs", self.at),
            spec.max_vus.unwrap_or(pre_allocated),
        );
        if max < pre_allocated {
            let message = format!("maxVUs ({max}) is lower than preAllocatedVUs ({pre_allocated})");
            self.problems.add(
                &format!("{}/maxVUs", self.at),
                message,
                "raise it, or leave it out",
            );
        }
        Executor::ArrivalRate {
            start,
            time_unit,
            stages,
            pre_allocated,
            max,
        }
    }

    fn vus(&mut self) -> u32 {
        self.problems
            .vus(&format!("{}/vus", self.at), self.spec.vus.unwrap_or(1))
    }

    fn max_duration(&mut self) -> Span {
        let duration = self.spec.max_duration.unwrap_or(DEFAULT_MAX_DURATION);
        self.problems
            .duration(&format!("{}/maxDuration", self.at), duration)
    }

    fn required_duration(&mut self) -> Span {
        match self.spec.duration {
            Some(duration) => self.problems.duration(&format!("{}/duration", self.at), duration),
            None => {
                self.problems.add(
                    self.at,
                    "duration is missing".into(),
                    "write for example duration: 10s",
                );
                Span::from_secs(1)
            }
        }
    }

    /// The value, or 1 beside the problem that it is missing.
    fn required(&mut self, field: &str, value: Option<u32>) -> u32 {
        value.unwrap_or_else(|| {
            self.problems.add(
                self.at,
                format!("{field} is missing"),
                &format!("write for example {field}: 10"),
            );
            1
        })
    }

    fn refuse_foreign(&mut self) {
        use ExecutorName as E;
        let spec = self.spec;
        let fields: [(&str, bool, &[ExecutorName]); 12] = [
            (
                "vus",
                spec.vus.is_some(),
                &[E::ConstantVus, E::SharedIterations, E::PerVuIterations],
            ),
            (
                "duration",
                spec.duration.is_some(),
                &[E::ConstantVus, E::ConstantArrivalRate],
            ),
            (
                "iterations",
                spec.iterations.is_some(),
                &[E::SharedIterations, E::PerVuIterations],
            ),
            (
                "maxDuration",
                spec.max_duration.is_some(),
                &[E::SharedIterations, E::PerVuIterations],
            ),
            ("startVUs", spec.start_vus.is_some(), &[E::RampingVus]),
            (
                "stages",
                !spec.stages.is_empty(),
                &[E::RampingVus, E::RampingArrivalRate],
            ),
            (
                "gracefulRampDown",
                spec.graceful_ramp_down.is_some(),
                &[E::RampingVus],
            ),
            ("rate", spec.rate.is_some(), &[E::ConstantArrivalRate]),
            ("startRate", spec.start_rate.is_some(), &[E::RampingArrivalRate]),
            (
                "timeUnit",
                spec.time_unit.is_some(),
                &[E::ConstantArrivalRate, E::RampingArrivalRate],
            ),
            (
                "preAllocatedVUs",
                spec.pre_allocated_vus.is_some(),
                &[E::ConstantArrivalRate, E::RampingArrivalRate],
            ),
            (
                "maxVUs",
                spec.max_vus.is_some(),
                &[E::ConstantArrivalRate, E::RampingArrivalRate],
            ),
        ];
        for (field, set, executors) in fields {
            if set && !executors.contains(&spec.executor) {
                let message = format!("{field} has no effect on this executor");
                self.problems.add(
                    &format!("{}/{field}", self.at),
                    message,
                    "remove it, or choose another executor",
                );
            }
        }
    }
}
