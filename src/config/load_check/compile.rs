//! Compiling: from what was typed to what it means, with every problem at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration as Span;

use super::expression::Expression;
use super::metric::Metric;
use super::plan::{Base, Executor, Plan, Request, Rule, Scenario, Stage, Strict};
use super::threshold::{Selection, Threshold, ThresholdError};
use super::{
    ExecutorName, Invalid, LoadCheckSpec, RequestSpec, ScenarioSpec, StageSpec, StatusSpec, TargetSpec,
};
use crate::config::duration::Duration;

/// More virtual users than this need more sockets than a process usually may open.
const MAX_VUS: u32 = 5_000;

/// More iterations a second than one machine can start on time.
const MAX_RATE: f64 = 100_000.0;

/// Longer than a gate can reasonably hold a promotion.
const MAX_DURATION: Span = Span::from_secs(24 * 3600);

const DEFAULT_GRACE: Duration = Duration::from_secs(30);
const DEFAULT_MAX_DURATION: Duration = Duration::from_secs(600);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
const DEFAULT_MAX_REDIRECTS: u32 = 10;

impl LoadCheckSpec {
    /// What the specification means.
    ///
    /// # Errors
    ///
    /// Every problem that the schema cannot say, in the order of the specification's fields.
    pub fn compile(&self) -> Result<Plan, Vec<Invalid>> {
        let mut problems = Problems::default();
        let (base, path) = target(&self.target, &mut problems);
        let mut checks = CheckNames::default();
        let requests = self.requests(&path, &mut checks, &mut problems);
        let scenarios = self.workloads(&requests, &mut problems);
        let rules = self.rules(&mut problems);
        let strict = self.strict(&scenarios, &mut problems);
        check_selectors(&rules, &scenarios, &requests, &checks.names, &mut problems);
        let plan = Plan {
            base,
            wait_ready: self.target.wait_ready.timeout.get(),
            scenarios,
            requests,
            checks: checks.names,
            rules,
            strict,
        };
        problems.bound_total(&plan);
        if problems.0.is_empty() {
            Ok(plan)
        } else {
            Err(problems.0)
        }
    }

    fn requests(&self, path: &str, checks: &mut CheckNames, problems: &mut Problems) -> Vec<Request> {
        let common = checks.read("/checks", &self.checks, problems);
        let implied = [RequestSpec::default()];
        let specs = if self.http.is_empty() {
            &implied[..]
        } else {
            &self.http[..]
        };
        let mut names = BTreeSet::new();
        let mut requests = Vec::with_capacity(specs.len());
        for (i, spec) in specs.iter().enumerate() {
            let at = format!("/http/{i}");
            let mut request = request(spec, &at, path, problems);
            request.checks = common.clone();
            request
                .checks
                .extend(checks.read(&format!("{at}/checks"), &spec.checks, problems));
            if !names.insert(request.name.clone()) {
                let hint = "give each request a name of its own";
                problems.add(
                    &at,
                    format!("a request named `{}` stands above", request.name),
                    hint,
                );
            }
            requests.push(request);
        }
        requests
    }

    fn workloads(&self, requests: &[Request], problems: &mut Problems) -> Vec<Scenario> {
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

    fn rules(&self, problems: &mut Problems) -> Vec<Rule> {
        let mut rules = Vec::new();
        for (metric, thresholds) in &self.thresholds {
            let at = format!("/thresholds/{}", escape(metric));
            let selection = match metric.parse::<Selection>() {
                Ok(selection) => Some(selection),
                Err(error) => {
                    problems.threshold(&at, error);
                    None
                }
            };
            if thresholds.is_empty() {
                problems.add(
                    &at,
                    format!("{metric} has no threshold"),
                    "write one, for example p(90)<600",
                );
            }
            for (i, spec) in thresholds.iter().enumerate() {
                let at = format!("{at}/{i}");
                let threshold = spec.threshold.parse::<Threshold>().and_then(|threshold| {
                    let metric = selection.as_ref().map(|selection| selection.metric);
                    metric
                        .map_or(Ok(()), |metric| threshold.check(metric))
                        .map(|()| threshold)
                });
                if spec.delay_abort_eval.is_some() && !spec.abort_on_fail {
                    let message = "delayAbortEval has no effect without abortOnFail".to_owned();
                    problems.add(&format!("{at}/delayAbortEval"), message, "set abortOnFail: true");
                }
                match (threshold, &selection) {
                    (Err(error), _) => problems.threshold(&at, error),
                    (Ok(_), None) => {}
                    (Ok(threshold), Some(selection)) => rules.push(Rule {
                        selection: selection.clone(),
                        threshold,
                        source: spec.threshold.trim().to_owned(),
                        implicit: false,
                        abort_after: spec
                            .abort_on_fail
                            .then(|| spec.delay_abort_eval.unwrap_or_default().get()),
                    }),
                }
            }
        }
        let failed =
            |rule: &Rule| rule.selection.metric == Metric::HttpReqFailed && rule.selection.tags.is_empty();
        if !rules.iter().any(failed) {
            rules.push(implicit_rule());
        }
        rules
    }

    fn strict(&self, scenarios: &[Scenario], problems: &mut Problems) -> Strict {
        let spec = &self.strict;
        if !(spec.confidence > 0.5 && spec.confidence < 1.0) {
            let message = format!("a confidence of {} is not between 0.5 and 1", spec.confidence);
            problems.add("/strict/confidence", message, "95 per cent is 0.95");
        }
        if spec.max_extend > 10 {
            let message = format!("{} repetitions are too many", spec.max_extend);
            problems.add(
                "/strict/maxExtend",
                message,
                "10 is the most; a longer duration tells more",
            );
        }
        let longest = scenarios
            .iter()
            .map(|scenario| scenario.start + scenario.executor.duration())
            .max();
        if longest.is_some_and(|longest| longest > Span::ZERO && spec.warmup.get() >= longest) {
            let message = format!(
                "the warm-up of {} leaves nothing of the run to count",
                spec.warmup
            );
            problems.add("/strict/warmup", message, "make it shorter than the duration");
        }
        Strict {
            confidence: spec.confidence,
            max_extend: spec.max_extend,
            warmup: spec.warmup.get(),
            fail_on_checks: spec.fail_on_checks,
        }
    }
}

/// The rule that stands in when none is set on `http_req_failed`.
fn implicit_rule() -> Rule {
    let source = "rate<0.01";
    Rule {
        selection: Selection {
            metric: Metric::HttpReqFailed,
            tags: Vec::new(),
        },
        threshold: source.parse().expect("because the text is a threshold"),
        source: source.to_owned(),
        implicit: true,
        abort_after: None,
    }
}

/// A tag value that nothing in the plan can have is a spelling mistake that would end as a failed check.
fn check_selectors(
    rules: &[Rule],
    scenarios: &[Scenario],
    requests: &[Request],
    checks: &[String],
    problems: &mut Problems,
) {
    for rule in rules {
        for (tag, value) in &rule.selection.tags {
            let known: Vec<&str> = match tag.as_str() {
                "scenario" => scenarios.iter().map(|scenario| scenario.name.as_str()).collect(),
                "name" => requests.iter().map(|request| request.name.as_str()).collect(),
                "method" => requests.iter().map(|request| request.method.as_str()).collect(),
                "check" => checks.iter().map(String::as_str).collect(),
                "expected_response" => vec!["true", "false"],
                _ => continue,
            };
            if !known.contains(&value.as_str()) {
                let pointer = format!("/thresholds/{}", escape(&rule.selection.to_string()));
                let message = format!("nothing in this check has the {tag} `{value}`");
                problems.add(&pointer, message, &format!("there is {}", known.join(", ")));
            }
        }
    }
}

/// The base and the path of the target; a wrong one gives a placeholder beside the problem.
fn target(spec: &TargetSpec, problems: &mut Problems) -> (Base, String) {
    let path = spec.path.clone().unwrap_or_else(|| "/".to_owned());
    if let Some(problem) = path_problem(&path) {
        problems.add("/target/path", problem, "write it as /health?full=1");
    }
    match (&spec.service, &spec.url) {
        (Some(service), None) => {
            if service.name.is_empty() {
                problems.add(
                    "/target/service",
                    "the Service has no name".into(),
                    "write its metadata.name",
                );
            }
            (Base::Service(service.clone()), path)
        }
        (None, Some(url)) => match split_url(url) {
            Ok((_, inside)) if inside != "/" && spec.path.is_some() => {
                let message = format!("the url has the path {inside} already");
                problems.add("/target/path", message, "keep one of them");
                (Base::Origin(url.clone()), path)
            }
            Ok((origin, inside)) => {
                let path = if inside == "/" { path } else { inside };
                (Base::Origin(origin), path)
            }
            Err(message) => {
                problems.add("/target/url", message, "write it as http://host:port/path");
                (Base::Origin(url.clone()), path)
            }
        },
        (Some(service), Some(_)) => {
            problems.add(
                "/target",
                "both service and url are set".into(),
                "keep one of them",
            );
            (Base::Service(service.clone()), path)
        }
        (None, None) => {
            problems.add(
                "/target",
                "neither service nor url is set".into(),
                "write for example service: my-service",
            );
            (Base::Origin(String::new()), path)
        }
    }
}

/// A URL as its origin (`http://host:port`) and its path with query.
fn split_url(url: &str) -> Result<(String, String), String> {
    let quoted = |problem: &str| format!("`{url}` {problem}");
    let (scheme, rest) = url.split_once("://").ok_or_else(|| quoted("has no scheme"))?;
    if !matches!(scheme, "http" | "https") {
        return Err(quoted("is neither http nor https"));
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        // The URL is not quoted: what stands before the @ is a credential.
        return Err("the url has a user in it; send an Authorization header instead".to_owned());
    }
    let host =
        authority.rsplit_once(':').map_or(
            authority,
            |(host, port)| {
                if port.contains(']') { authority } else { host }
            },
        );
    // `undefined` and `null` are what an unset variable becomes in the script that wrote the URL.
    if matches!(host, "" | "undefined" | "null" | "<pending>" | "<none>") {
        return Err(quoted("has no host: is the variable that should give it empty?"));
    }
    let port = authority[host.len()..].strip_prefix(':');
    if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return Err(quoted("has a port that is not a number from 1 to 65535"));
    }
    if path.contains('#') {
        return Err(quoted("has a fragment, which is never sent"));
    }
    let path = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    };
    if let Some(problem) = path_problem(&path) {
        return Err(problem);
    }
    if authority.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(quoted("has blanks in it"));
    }
    Ok((format!("{scheme}://{authority}"), path))
}

fn path_problem(path: &str) -> Option<String> {
    if !path.starts_with('/') {
        return Some(format!("the path `{path}` does not begin with a slash"));
    }
    let wrong = |c: char| c.is_whitespace() || c.is_control() || !c.is_ascii() || c == '#';
    path.contains(wrong)
        .then(|| format!("the path `{path}` has a character in it that must be percent-encoded"))
}

fn request(spec: &RequestSpec, at: &str, path: &str, problems: &mut Problems) -> Request {
    let method = spec.method.clone().unwrap_or_else(|| "GET".to_owned());
    if !matches!(
        method.as_str(),
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS"
    ) {
        let hint = "the methods are GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS";
        problems.add(
            &format!("{at}/method"),
            format!("`{method}` is not a method"),
            hint,
        );
    }
    let path = spec.path.clone().unwrap_or_else(|| path.to_owned());
    if let Some(problem) = spec.path.as_deref().and_then(path_problem) {
        problems.add(&format!("{at}/path"), problem, "write it as /health?full=1");
    }
    for (name, value) in &spec.headers {
        let pointer = format!("{at}/headers/{}", escape(name));
        if let Some(problem) = header_problem(name, value) {
            problems.add(&pointer, problem, "a header is a name and one line of text");
        }
    }
    let timeout = spec.timeout.unwrap_or(DEFAULT_TIMEOUT);
    if timeout.get() < Span::from_millis(1) {
        problems.add(
            &format!("{at}/timeout"),
            "no answer can come in that time".into(),
            "write for example 10s",
        );
    }
    let expected = match spec.expected_status.as_slice() {
        [] => vec![StatusSpec { min: 200, max: 399 }],
        some => some.to_vec(),
    };
    Request {
        name: spec.name.clone().unwrap_or_else(|| format!("{method} {path}")),
        method,
        path,
        headers: spec
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        body: spec.body.clone(),
        timeout: timeout.get(),
        expected,
        max_redirects: spec.max_redirects.unwrap_or(DEFAULT_MAX_REDIRECTS),
        checks: Vec::new(),
        sleep: spec.sleep.unwrap_or_default().get(),
    }
}

fn header_problem(name: &str, value: &str) -> Option<String> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        return Some(format!("`{name}` is not a header name"));
    }
    // The engine frames the message; a second opinion about its length would desynchronise the connection.
    let framing = ["content-length", "transfer-encoding", "connection", "upgrade"];
    if framing.contains(&name.to_ascii_lowercase().as_str()) {
        return Some(format!("{name} is set by the connection itself"));
    }
    // The value is not quoted: it may be a credential.
    value
        .contains(|c: char| c.is_control() && c != '\t')
        .then(|| format!("the value of {name} has a line break or control character"))
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

/// The names of checks, each once, in the order of their first use.
#[derive(Default)]
struct CheckNames {
    names: Vec<String>,
}

impl CheckNames {
    fn read(
        &mut self,
        at: &str,
        checks: &BTreeMap<String, String>,
        problems: &mut Problems,
    ) -> Vec<(usize, Expression)> {
        let mut read = Vec::with_capacity(checks.len());
        for (name, text) in checks {
            let index = self
                .names
                .iter()
                .position(|known| known == name)
                .unwrap_or_else(|| {
                    self.names.push(name.clone());
                    self.names.len() - 1
                });
            match text.parse::<Expression>() {
                Ok(expression) => read.push((index, expression)),
                Err(error) => problems.0.push(Invalid {
                    pointer: format!("{at}/{}", escape(name)),
                    message: error.to_string(),
                    hint: error.hint,
                }),
            }
        }
        read
    }
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

/// What was found wrong so far.
#[derive(Default)]
struct Problems(Vec<Invalid>);

impl Problems {
    fn add(&mut self, pointer: &str, message: String, hint: &str) {
        self.0.push(Invalid {
            pointer: pointer.to_owned(),
            message,
            hint: Some(hint.to_owned()),
        });
    }

    fn threshold(&mut self, pointer: &str, error: ThresholdError) {
        self.0.push(Invalid {
            pointer: pointer.to_owned(),
            message: error.problem,
            hint: error.hint,
        });
    }

    fn vus(&mut self, pointer: &str, vus: u32) -> u32 {
        if !(1..=MAX_VUS).contains(&vus) {
            self.add(
                pointer,
                format!("{vus} virtual users cannot be run"),
                &format!("write 1 to {MAX_VUS}"),
            );
        }
        vus.clamp(1, MAX_VUS)
    }

    fn duration(&mut self, pointer: &str, duration: Duration) -> Span {
        if duration.get() < Span::from_secs(1) {
            let message = format!("a duration of {duration} is too short to measure anything");
            self.add(pointer, message, "1s is the least");
        }
        duration.get()
    }

    fn shared(&mut self, pointer: &str, vus: u32, iterations: u64) {
        if iterations < u64::from(vus) {
            let message = format!("{iterations} iterations are too few for {vus} virtual users");
            self.add(pointer, message, "each virtual user needs at least one");
        }
    }

    fn stages(&mut self, pointer: &str, stages: &[StageSpec], most: Option<u32>) -> Vec<Stage> {
        if stages.is_empty() {
            self.add(
                pointer,
                "there are no stages".into(),
                "write for example [{duration: 10s, target: 5}]",
            );
        }
        for (i, stage) in stages.iter().enumerate() {
            if most.is_some_and(|most| stage.target > most) {
                let message = format!("{} virtual users cannot be run", stage.target);
                self.add(
                    &format!("{pointer}/{i}/target"),
                    message,
                    &format!("{MAX_VUS} is the most"),
                );
            }
        }
        let total: Span = stages.iter().map(|stage| stage.duration.get()).sum();
        if !stages.is_empty() && total < Span::from_secs(1) {
            let message = "the stages are too short to measure anything".to_owned();
            self.add(pointer, message, "1s is the least for all of them");
        }
        stages
            .iter()
            .map(|stage| Stage {
                duration: stage.duration.get(),
                target: stage.target,
            })
            .collect()
    }

    fn bound_total(&mut self, plan: &Plan) {
        if plan.max_vus() > MAX_VUS {
            let message = format!("the scenarios have {} virtual users together", plan.max_vus());
            self.add("/scenarios", message, &format!("{MAX_VUS} is the most"));
        }
        if plan.longest() > MAX_DURATION {
            let message = "the check takes longer than a day".to_owned();
            self.add(
                "",
                message,
                "shorten the duration, the stages or the start of a scenario",
            );
        }
    }
}

/// A key as a JSON pointer has it (RFC 6901).
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_spec(text: &str) -> LoadCheckSpec {
        serde_yaml::from_str(text).unwrap()
    }

    #[test]
    fn shortcuts_mean_what_they_mean_in_k6() {
        let constant = |vus, seconds| Executor::ConstantVus {
            vus,
            duration: Span::from_secs(seconds),
        };
        let shared = |vus, iterations, seconds| Executor::SharedIterations {
            vus,
            iterations,
            max_duration: Span::from_secs(seconds),
        };
        for (text, want) in [
            ("", shared(1, 1, 600)),
            ("vus: 3", shared(3, 3, 600)),
            ("vus: 3\nduration: 5s", constant(3, 5)),
            ("duration: 5s", constant(1, 5)),
            ("vus: 2\niterations: 9", shared(2, 9, 600)),
            ("vus: 2\niterations: 9\nduration: 7s", shared(2, 9, 7)),
        ] {
            let plan = mk_spec(&format!("target: {{url: 'http://a'}}\n{text}\n"))
                .compile()
                .unwrap();
            assert_eq!(plan.scenarios[0].executor, want, "{text}");
            assert_eq!(plan.scenarios[0].graceful_stop, Span::from_secs(30));
            assert_eq!(plan.requests[0].name, "GET /");
        }
    }

    #[test]
    fn failed_requests_have_a_bound_unless_one_is_set() {
        let implicit = |text: &str| {
            let plan = mk_spec(&format!("target: {{url: 'http://a'}}\nthresholds: {text}\n"))
                .compile()
                .unwrap();
            plan.rules.iter().filter(|rule| rule.implicit).count()
        };
        assert_eq!(implicit("{}"), 1);
        assert_eq!(implicit("{http_req_duration: ['p(90)<600']}"), 1);
        assert_eq!(implicit("{'http_req_failed{name:GET /}': ['rate<0.5']}"), 1);
        assert_eq!(implicit("{http_req_failed: ['rate<0.5']}"), 0);
    }

    #[test]
    fn every_problem_is_said_with_its_place() {
        let spec = mk_spec(
            "target: {service: web, url: 'http://a', path: x}\n\
             vus: 0\n\
             duration: 500ms\n\
             checks: {'a/b': 'latency < 3'}\n\
             thresholds: {latency: ['p(90)<1'], http_req_duration: ['rate<1', 'p90<5', {threshold: 'p(90)<5', delayAbortEval: 1s}]}\n\
             http: [{method: FETCH, path: b, headers: {'a b': c, Content-Length: '3'}, timeout: 0s}]\n\
             strict: {confidence: 95}\n",
        );
        let found: Vec<_> = spec
            .validate()
            .into_iter()
            .map(|problem| problem.pointer)
            .collect();
        let want = [
            "/target/path",
            "/target",
            "/checks/a~1b",
            "/http/0/method",
            "/http/0/path",
            "/http/0/headers/Content-Length",
            "/http/0/headers/a b",
            "/http/0/timeout",
            "/vus",
            "/duration",
            "/thresholds/http_req_duration/0",
            "/thresholds/http_req_duration/1",
            "/thresholds/http_req_duration/2/delayAbortEval",
            "/thresholds/latency",
            "/strict/confidence",
        ];
        assert_eq!(found, want);
    }

    #[test]
    fn dead_addresses_are_refused_before_any_load() {
        for (url, says) in [
            ("http://undefined:5000/", "no host"),
            ("http://:5000/", "no host"),
            ("http:///", "no host"),
            ("http://<pending>/", "no host"),
            ("", "no scheme"),
            ("shop.example", "no scheme"),
            ("ftp://a/", "neither http"),
            ("http://a:0/", "port"),
            ("http://a:http/", "port"),
            ("http://user:secret@a/", "Authorization"),
            ("http://a/b c", "percent-encoded"),
            ("http://a/#b", "fragment"),
        ] {
            let problems = LoadCheckSpec::for_url(url).validate();
            assert!(problems[0].message.contains(says), "{url}: {problems:?}");
            assert!(!problems[0].message.contains("secret"));
        }
        for url in [
            "http://a",
            "https://a:8443/x?y=1",
            "http://[::1]:80/",
            "http://[::1]",
            "http://a?q=1",
        ] {
            assert_eq!(LoadCheckSpec::for_url(url).validate(), [], "{url}");
        }
    }

    #[test]
    fn scenarios_have_the_fields_of_their_executor() {
        for (scenario, pointers) in [
            ("{executor: constant-vus, duration: 5s, vus: 2}", &[][..]),
            ("{executor: constant-vus}", &["/scenarios/a"][..]),
            (
                "{executor: constant-vus, duration: 5s, rate: 3}",
                &["/scenarios/a/rate"],
            ),
            (
                "{executor: constant-arrival-rate, rate: 10, duration: 5s, preAllocatedVUs: 2}",
                &[],
            ),
            (
                "{executor: constant-arrival-rate, rate: 10, duration: 5s}",
                &["/scenarios/a"],
            ),
            (
                "{executor: constant-arrival-rate, rate: 10, duration: 5s, preAllocatedVUs: 5, maxVUs: 2}",
                &["/scenarios/a/maxVUs"],
            ),
            (
                "{executor: ramping-arrival-rate, preAllocatedVUs: 2, stages: [{duration: 5s, target: 5}]}",
                &[],
            ),
            ("{executor: ramping-vus}", &["/scenarios/a/stages"]),
            (
                "{executor: ramping-vus, stages: [{duration: 5s, target: 9999999}]}",
                &["/scenarios/a/stages/0/target", "/scenarios"],
            ),
            (
                "{executor: shared-iterations, vus: 3, iterations: 2}",
                &["/scenarios/a/iterations"],
            ),
            (
                "{executor: per-vu-iterations, vus: 3, iterations: 2, requests: [nope]}",
                &["/scenarios/a/requests/0"],
            ),
        ] {
            let spec = mk_spec(&format!(
                "target: {{url: 'http://a'}}\nscenarios: {{a: {scenario}}}\n"
            ));
            let found: Vec<_> = spec
                .validate()
                .into_iter()
                .map(|problem| problem.pointer)
                .collect();
            assert_eq!(found, pointers, "{scenario}");
        }
        let both =
            mk_spec("target: {url: 'http://a'}\nvus: 1\nscenarios: {a: {executor: shared-iterations}}\n");
        assert_eq!(both.validate()[0].pointer, "/vus");
    }

    #[test]
    fn a_selector_that_nothing_can_match_is_refused() {
        let spec = mk_spec(
            "target: {url: 'http://a'}\nhttp: [{name: home}]\n\
             thresholds: {'http_req_duration{name:hom}': ['p(90)<1'], 'http_req_duration{status:200}': ['p(90)<1']}\n",
        );
        let problems = spec.validate();
        assert_eq!(problems.len(), 1);
        assert!(problems[0].message.contains("`hom`"), "{problems:?}");
        assert_eq!(problems[0].hint.as_deref(), Some("there is home"));
    }
}
