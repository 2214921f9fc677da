//! Compiling: from what was typed to what it means, with every problem at once.

use std::time::Duration as Span;

mod request;
mod scenario;
mod target;

use super::metric::Metric;
use super::plan::{Base, Plan, Request, Rule, Scenario, Share, Stage, Strict};
use super::threshold::{Selection, Threshold, ThresholdError};
use super::{Invalid, LoadCheckSpec, Mode, StageSpec};
use crate::config::duration::Duration;
use request::{CheckNames, check_weights};
use target::{split_url, target};

/// More virtual users than this need more sockets than a process usually may open.
const MAX_VUS: u32 = 5_000;

/// More pods than this take too long to start together.
const MAX_PODS: u32 = 100;

/// Longer than a gate can reasonably hold a promotion.
const MAX_DURATION: Span = Span::from_secs(24 * 3600);

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
        check_weights(&scenarios, &requests, &mut problems);
        let rules = if self.script.is_some() {
            Vec::new()
        } else {
            self.rules(&mut problems)
        };
        self.check_script(&mut problems);
        let strict = self.strict(&scenarios, &mut problems);
        check_selectors(&rules, &scenarios, &requests, &checks.names, &mut problems);
        let baseline = self.baseline(&rules, &mut problems);
        self.check_distribution(&scenarios, &mut problems);
        let plan = Plan {
            base,
            baseline,
            share: Share::default(),
            tls: self.target.tls.clone().unwrap_or_default(),
            wait_ready: self.target.wait_ready.timeout.get(),
            scenarios,
            requests,
            checks: checks.names,
            rules,
            strict,
            mode: self.mode,
        };
        problems.bound_total(&plan);
        if problems.0.is_empty() {
            Ok(plan)
        } else {
            Err(problems.0)
        }
    }

    /// What stands beside a script says the same twice, or nothing at all.
    fn check_script(&self, problems: &mut Problems) {
        let beside = match &self.script {
            Some(_) => [
                (
                    "scenarios",
                    !self.scenarios.is_empty(),
                    "the script's options say it",
                ),
                ("http", !self.http.is_empty(), "the script says it"),
                ("checks", !self.checks.is_empty(), "the script says it"),
            ],
            None => [
                (
                    "hosts",
                    !self.hosts.is_empty(),
                    "only a script reaches other hosts than the target",
                ),
                ("script", false, ""),
                ("script", false, ""),
            ],
        };
        for (field, _, why) in beside.into_iter().filter(|(_, set, _)| *set) {
            problems.add(
                &format!("/{field}"),
                format!("{field} has no effect here: {why}"),
                "remove it",
            );
        }
    }

    /// What the target is compared with; that and the rules that compare belong together.
    fn baseline(&self, rules: &[Rule], problems: &mut Problems) -> Option<Base> {
        let compares = rules.iter().find(|rule| rule.threshold.relative);
        let Some(spec) = &self.baseline else {
            if let Some(rule) = compares {
                let pointer = format!("/thresholds/{}", escape(&rule.selection.to_string()));
                let message = format!("{} compares with a baseline, and there is none", rule.source);
                problems.add(&pointer, message, "set baseline: {service: …} or {url: …}");
            }
            return None;
        };
        let effect = match (&self.script, compares) {
            (Some(_), _) => Some("a script says itself where requests go"),
            (None, None) => Some("no threshold compares with it, as p(90)<1.10*baseline does"),
            (None, Some(_)) if self.mode == Mode::K6 => Some("k6 has no such thresholds"),
            (None, Some(_)) => None,
        };
        if let Some(why) = effect {
            problems.add(
                "/baseline",
                format!("baseline has no effect here: {why}"),
                "remove it",
            );
        }
        match (&spec.service, &spec.url) {
            (Some(service), None) if !service.name.is_empty() => Some(Base::Service(service.clone())),
            (None, Some(url)) => match split_url(url) {
                Ok((origin, path)) if path == "/" => Some(Base::Origin(origin)),
                Ok(_) => {
                    let message = "the baseline gets the requests of the target, and has no path of its own";
                    problems.add(
                        "/baseline/url",
                        message.to_owned(),
                        "write it as http://host:port",
                    );
                    None
                }
                Err(message) => {
                    problems.add("/baseline/url", message, "write it as http://host:port");
                    None
                }
            },
            _ => {
                let message = "exactly one of service and url is needed".to_owned();
                problems.add("/baseline", message, "write for example service: my-service");
                None
            }
        }
    }

    /// Every pod has something to do, and does what a single process can do.
    fn check_distribution(&self, scenarios: &[Scenario], problems: &mut Problems) {
        let Some(distribution) = &self.distribution else {
            return;
        };
        if self.script.is_some() {
            let message = "a script runs in one process".to_owned();
            problems.add(
                "/distribution",
                message,
                "write the requests as http, or remove it",
            );
        }
        let pods = distribution.pods;
        if !(1..=MAX_PODS).contains(&pods) {
            let message = format!("{pods} pods cannot be started together");
            problems.add("/distribution/pods", message, &format!("write 1 to {MAX_PODS}"));
        }
        let fewest = scenarios.iter().map(|scenario| scenario.executor.max_vus()).min();
        if let Some(vus) = fewest.filter(|vus| *vus < pods) {
            let message = format!("{pods} pods are more than the {vus} virtual users of a scenario");
            problems.add(
                "/distribution/pods",
                message,
                "each pod needs a virtual user of every scenario",
            );
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
    use crate::config::load_check::plan::Executor;

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
    fn a_baseline_and_what_compares_with_it_belong_together() {
        let compares = "thresholds: {http_req_duration: ['p(90)<1.1*baseline']}";
        for (text, says) in [
            (compares.to_owned(), "there is none"),
            ("baseline: {service: web}".to_owned(), "no threshold compares"),
            (
                format!("baseline: {{service: web}}\nmode: k6\n{compares}"),
                "k6 has no such",
            ),
            (
                format!("baseline: {{url: 'http://b/x'}}\n{compares}"),
                "no path of its own",
            ),
            (format!("baseline: {{}}\n{compares}"), "exactly one"),
            (
                "vus: 2\nduration: 5s\ndistribution: {pods: 3}".to_owned(),
                "more than the 2 virtual users",
            ),
            (
                "vus: 2\nduration: 5s\ndistribution: {pods: 0}".to_owned(),
                "0 pods",
            ),
        ] {
            let problems = mk_spec(&format!("target: {{url: 'http://a'}}\n{text}\n")).validate();
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            assert!(problems[0].message.contains(says), "{text}: {problems:?}");
        }
        let right = format!(
            "target: {{url: 'http://a'}}\nbaseline: {{url: 'http://b'}}\nvus: 4\nduration: 5s\ndistribution: {{pods: 3}}\n{compares}\n"
        );
        assert_eq!(
            mk_spec(&right).compile().unwrap().baseline,
            Some(Base::Origin("http://b".to_owned()))
        );
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
