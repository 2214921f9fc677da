//! The scenarios of a script: those that it names, or the one that its shortcuts stand for.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Work;
use super::options::{Layer, Problems, duration, texts, whole};
use crate::config::load_check::plan::{Executor, Scenario, Stage};

const GRACE: Duration = Duration::from_secs(30);
const MAX_DURATION: Duration = Duration::from_secs(600);

/// k6 refuses scenarios that are shorter.
const LEAST_DURATION: Duration = Duration::from_secs(1);

/// More virtual users than this need more sockets than a process usually may open.
const MAX_VUS: u32 = 5_000;

/// Fields that every executor has.
const COMMON: [&str; 7] = [
    "executor",
    "startTime",
    "gracefulStop",
    "env",
    "exec",
    "tags",
    "options",
];

/// The executors with their own fields.
const EXECUTORS: [(&str, &[&str]); 6] = [
    ("constant-vus", &["vus", "duration"]),
    ("ramping-vus", &["startVUs", "stages", "gracefulRampDown"]),
    ("shared-iterations", &["vus", "iterations", "maxDuration"]),
    ("per-vu-iterations", &["vus", "iterations", "maxDuration"]),
    (
        "constant-arrival-rate",
        &["rate", "timeUnit", "duration", "preAllocatedVUs", "maxVUs"],
    ),
    (
        "ramping-arrival-rate",
        &["startRate", "timeUnit", "stages", "preAllocatedVUs", "maxVUs"],
    ),
];

/// The workloads, and what their iterations do. The options then name the scenario that shortcuts stand for.
pub fn read(options: &mut Layer, exports: &[String], problems: &mut Problems) -> (Vec<Scenario>, Vec<Work>) {
    let (named, shortcut) = match options.get("scenarios") {
        Some(Value::Object(scenarios)) if !scenarios.is_empty() => {
            for field in ["vus", "duration", "iterations", "stages"] {
                let beside = field != "vus" && options.get(field).is_some_and(|value| !value.is_null());
                if beside {
                    problems.add(field, "cannot stand beside scenarios");
                }
            }
            (scenarios.clone(), false)
        }
        None | Some(Value::Null | Value::Object(_)) => {
            let mut one = Map::new();
            one.insert("default".to_owned(), self::shortcut(options, problems));
            (one, true)
        }
        Some(_) => {
            problems.add("scenarios", "an object of scenarios is expected");
            return (Vec::new(), Vec::new());
        }
    };
    let (mut workloads, mut works) = (Vec::new(), Vec::new());
    for (name, fields) in &named {
        let at = if shortcut {
            String::new()
        } else {
            format!("scenarios.{name}")
        };
        let Some(fields) = fields.as_object() else {
            problems.add(&at, "an object is expected");
            continue;
        };
        let mut reader = Reader { at, fields, problems };
        let (scenario, work) = reader.scenario(name, exports);
        workloads.push(scenario);
        works.push(work);
    }
    options.insert("scenarios".to_owned(), Value::Object(named));
    let total: u32 = workloads.iter().map(|scenario| scenario.executor.max_vus()).sum();
    if total > MAX_VUS {
        problems.add("vus", format!("{total} virtual users are more than {MAX_VUS}"));
    }
    (workloads, works)
}

/// The scenario that `vus`, `duration`, `iterations` and `stages` stand for.
fn shortcut(options: &Layer, problems: &mut Problems) -> Value {
    let get = |field: &str| options.get(field).filter(|value| !value.is_null());
    let vus = get("vus").cloned().unwrap_or(json!(1));
    match (get("iterations"), get("duration"), get("stages")) {
        (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
            problems.add("stages", "cannot stand beside duration or iterations");
            json!({"executor": "ramping-vus", "startVUs": vus, "stages": get("stages")})
        }
        (Some(iterations), duration, None) => {
            let mut scenario = json!({"executor": "shared-iterations", "vus": vus, "iterations": iterations});
            if let Some(duration) = duration {
                scenario["maxDuration"] = duration.clone();
            }
            scenario
        }
        (None, Some(duration), None) => {
            json!({"executor": "constant-vus", "vus": vus, "duration": duration})
        }
        (None, None, Some(stages)) => {
            json!({"executor": "ramping-vus", "startVUs": vus, "stages": stages})
        }
        (None, None, None) => {
            let iterations = vus.clone();
            json!({"executor": "shared-iterations", "vus": vus, "iterations": iterations})
        }
    }
}

struct Reader<'a> {
    at: String,
    fields: &'a Map<String, Value>,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn scenario(&mut self, name: &str, exports: &[String]) -> (Scenario, Work) {
        if name.is_empty()
            || !name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
        {
            self.add("", "a name has letters, digits, underscores and dashes only");
        }
        let executor = self
            .fields
            .get("executor")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        self.refuse_foreign(&executor);
        let exec = self.text("exec").unwrap_or_else(|| "default".to_owned());
        if !exports.contains(&exec) {
            self.add("exec", format!("the script exports no function `{exec}`"));
        }
        let work = Work {
            executor: executor.clone(),
            exec,
            env: self.texts("env"),
            tags: self.texts("tags"),
        };
        let scenario = Scenario {
            name: name.to_owned(),
            executor: self.executor(&executor),
            start: self.duration("startTime", Duration::ZERO),
            graceful_stop: self.duration("gracefulStop", GRACE),
            requests: Vec::new(),
        };
        (scenario, work)
    }

    fn executor(&mut self, name: &str) -> Executor {
        match name {
            "constant-vus" => Executor::ConstantVus {
                vus: self.vus("vus", 1),
                duration: self.run_time("duration", None),
            },
            "ramping-vus" => self.ramping_vus(),
            "shared-iterations" => {
                let (vus, iterations) = (self.vus("vus", 1), self.iterations());
                if iterations < u64::from(vus) {
                    self.add(
                        "iterations",
                        format!("{iterations} iterations are too few for {vus} VUs"),
                    );
                }
                Executor::SharedIterations {
                    vus,
                    iterations,
                    max_duration: self.run_time("maxDuration", Some(MAX_DURATION)),
                }
            }
            "per-vu-iterations" => Executor::PerVuIterations {
                vus: self.vus("vus", 1),
                iterations: self.iterations(),
                max_duration: self.run_time("maxDuration", Some(MAX_DURATION)),
            },
            "constant-arrival-rate" => {
                let rate = self.whole("rate").unwrap_or_default();
                if rate <= 0 {
                    self.add("rate", "a number above 0 is expected");
                }
                let rate = u32::try_from(rate).unwrap_or(1);
                let stages = vec![Stage {
                    duration: self.run_time("duration", None),
                    target: rate,
                }];
                self.arrivals(rate, stages)
            }
            "ramping-arrival-rate" => {
                let start = self.number("startRate", 0);
                let stages = self.stages();
                self.arrivals(start, stages)
            }
            other => {
                let known: Vec<&str> = EXECUTORS.iter().map(|(name, _)| *name).collect();
                self.add(
                    "executor",
                    format!("`{other}` is not one of {}", known.join(", ")),
                );
                Executor::SharedIterations {
                    vus: 1,
                    iterations: 1,
                    max_duration: MAX_DURATION,
                }
            }
        }
    }

    fn ramping_vus(&mut self) -> Executor {
        let start = self.number("startVUs", 1);
        let stages = self.stages();
        let most = stages.iter().map(|stage| stage.target).chain([start]).max();
        if most == Some(0) {
            self.add("stages", "there is never a virtual user");
        }
        Executor::RampingVus {
            start,
            stages,
            graceful_ramp_down: self.duration("gracefulRampDown", GRACE),
        }
    }

    fn arrivals(&mut self, start: u32, stages: Vec<Stage>) -> Executor {
        let time_unit = self.duration("timeUnit", Duration::from_secs(1));
        if time_unit.is_zero() {
            self.add("timeUnit", "it is zero");
        }
        let Some(pre_allocated) = self.whole("preAllocatedVUs") else {
            self.add("preAllocatedVUs", "it is missing");
            return Executor::ConstantVus {
                vus: 1,
                duration: LEAST_DURATION,
            };
        };
        let pre_allocated = u32::try_from(pre_allocated).unwrap_or_else(|_| {
            self.add("preAllocatedVUs", "it is below zero");
            1
        });
        let max = self.number("maxVUs", pre_allocated);
        if max < pre_allocated {
            self.add("maxVUs", "it is below preAllocatedVUs");
        } else if max == 0 {
            self.add("maxVUs", "there is never a virtual user");
        }
        Executor::ArrivalRate {
            start,
            time_unit: time_unit.max(Duration::from_nanos(1)),
            stages,
            pre_allocated,
            max,
        }
    }

    fn stages(&mut self) -> Vec<Stage> {
        let Some(list) = self
            .fields
            .get("stages")
            .and_then(Value::as_array)
            .filter(|list| !list.is_empty())
        else {
            self.add("stages", "at least one stage is expected");
            return Vec::new();
        };
        let mut stages = Vec::with_capacity(list.len());
        for (index, stage) in list.iter().enumerate() {
            let at = format!("stages[{index}]");
            let span = stage
                .get("duration")
                .filter(|value| !value.is_null())
                .map(duration);
            let target = stage
                .get("target")
                .filter(|value| !value.is_null())
                .and_then(whole);
            match (span, target.and_then(|target| u32::try_from(target).ok())) {
                (Some(Ok(duration)), Some(target)) => stages.push(Stage { duration, target }),
                (Some(Err(problem)), _) => self.add(&at, problem),
                (None, _) => self.add(&at, "its duration is missing"),
                (_, None) => self.add(&at, "its target is missing or below zero"),
            }
        }
        stages
    }

    fn refuse_foreign(&mut self, executor: &str) {
        let Some((_, own)) = EXECUTORS.iter().find(|(name, _)| *name == executor) else {
            return;
        };
        let foreign: Vec<String> = self
            .fields
            .keys()
            .filter(|field| !COMMON.contains(&field.as_str()) && !own.contains(&field.as_str()))
            .cloned()
            .collect();
        for field in foreign {
            self.add(&field, format!("{executor} has no such field"));
        }
    }

    fn iterations(&mut self) -> u64 {
        let iterations = self.whole("iterations").unwrap_or(1);
        if iterations < 1 {
            self.add("iterations", "at least 1 is expected");
        }
        u64::try_from(iterations).unwrap_or(1).max(1)
    }

    fn vus(&mut self, field: &str, default: u32) -> u32 {
        let vus = self.number(field, default);
        if vus == 0 {
            self.add(field, "at least 1 is expected");
        }
        vus.max(1)
    }

    fn number(&mut self, field: &str, default: u32) -> u32 {
        match self.whole(field) {
            None => default,
            Some(number) => u32::try_from(number).unwrap_or_else(|_| {
                self.add(field, "a number of at least 0 is expected");
                default
            }),
        }
    }

    fn whole(&mut self, field: &str) -> Option<i64> {
        let value = self.fields.get(field).filter(|value| !value.is_null())?;
        let number = whole(value);
        if number.is_none() {
            self.add(field, format!("{value} is not a whole number"));
        }
        number
    }

    /// How long iterations start; k6 takes a second at least.
    fn run_time(&mut self, field: &str, default: Option<Duration>) -> Duration {
        let span = match self.fields.get(field).filter(|value| !value.is_null()) {
            None => default,
            Some(value) => match duration(value) {
                Ok(span) => Some(span),
                Err(problem) => {
                    self.add(field, problem);
                    return LEAST_DURATION;
                }
            },
        };
        match span {
            Some(span) if span >= LEAST_DURATION => span,
            Some(_) => {
                self.add(field, "it is shorter than a second");
                LEAST_DURATION
            }
            None => {
                self.add(field, "it is missing");
                LEAST_DURATION
            }
        }
    }

    fn duration(&mut self, field: &str, default: Duration) -> Duration {
        match self
            .fields
            .get(field)
            .filter(|value| !value.is_null())
            .map(duration)
        {
            None => default,
            Some(Ok(span)) => span,
            Some(Err(problem)) => {
                self.add(field, problem);
                default
            }
        }
    }

    fn text(&mut self, field: &str) -> Option<String> {
        match self.fields.get(field) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(_) => {
                self.add(field, "a text is expected");
                None
            }
        }
    }

    fn texts(&mut self, field: &str) -> std::collections::BTreeMap<String, String> {
        let value = self.fields.get(field).unwrap_or(&Value::Null);
        texts(value).unwrap_or_else(|| {
            self.add(field, "an object of texts is expected");
            Default::default()
        })
    }

    fn add(&mut self, field: &str, problem: impl AsRef<str>) {
        let place = match (self.at.is_empty(), field.is_empty()) {
            (true, _) => field.to_owned(),
            (false, true) => self.at.clone(),
            (false, false) => format!("{}.{field}", self.at),
        };
        self.problems.add(&place, problem);
    }
}
