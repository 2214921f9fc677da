//! Metrics: the board and some counters in the text format of Prometheus (exposition format 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::board::{Board, State};

/// What is counted since the start of the process.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counters {
    /// How long passes took, by environment.
    pub passes: BTreeMap<String, Histogram>,
    /// Promotions by the environment they begin in, and how they ended.
    pub promotions: BTreeMap<(String, &'static str), u64>,
    /// Webhooks, by how they were answered.
    pub hooks: BTreeMap<&'static str, u64>,
    /// How long commits took until they ran, by environment.
    pub leads: BTreeMap<String, Histogram>,
    /// The response times of the last run of each load check in milliseconds, by environment and load check.
    pub latencies: BTreeMap<(String, String), Vec<(Quantile, f64)>>,
    /// What was asked of the remote repository.
    pub git: GitRequests,
}

/// A quantile, as its label has it.
pub type Quantile = &'static str;

/// What was asked of the remote repository since the start of the process.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GitRequests {
    /// By what was done: `poll`, `fetch` or `push`.
    pub operations: BTreeMap<&'static str, GitOperation>,
    /// Pushes that the remote refused, or that came too late.
    pub rejected: u64,
}

/// Requests of one kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GitOperation {
    /// How long they took.
    pub took: Histogram,
    /// How many came to nothing.
    pub failed: u64,
}

/// How often something took how long.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    buckets: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

/// Upper bounds in seconds, from 10 ms to half an hour, each 3.8 times the one before.
const BOUNDS: [f64; 10] = [
    0.01, 0.038, 0.147, 0.566, 2.177, 8.371, 32.19, 123.8, 476.0, 1800.0,
];

/// A metric: its name, its type, its labels, and what it says.
pub struct Family {
    /// The name.
    pub name: &'static str,
    /// `gauge`, `counter` or `histogram`.
    pub kind: &'static str,
    /// The labels, separated by commas.
    pub labels: &'static str,
    /// One sentence; units are in the name.
    pub help: &'static str,
    /// Its samples.
    write: fn(&Board, &Counters, &mut Samples<'_>),
}

/// Every metric, in the order in which they are written.
pub const FAMILIES: [Family; 16] = [
    Family {
        name: "gitsync_build_info",
        kind: "gauge",
        labels: "version",
        help: "Always 1; the label is the version that runs.",
        write: |board, _, samples| samples.add(&[("version", &board.version)], 1.0),
    },
    Family {
        name: "gitsync_reconcile_condition",
        kind: "gauge",
        labels: "env, type, status",
        help: "1 for the status that holds and 0 for the others. Type State has the state's word as its status; type Ready has True, False or Unknown.",
        write: conditions,
    },
    Family {
        name: "gitsync_suspend_status",
        kind: "gauge",
        labels: "env",
        help: "1 for an environment that is suspended, else 0.",
        write: suspensions,
    },
    Family {
        name: "gitsync_reconcile_duration_seconds",
        kind: "histogram",
        labels: "env",
        help: "How long the passes of an environment took, gates included.",
        write: durations,
    },
    Family {
        name: "gitsync_last_success_timestamp_seconds",
        kind: "gauge",
        labels: "env",
        help: "When an environment was last in sync and healthy.",
        write: last_success,
    },
    Family {
        name: "gitsync_commit_to_env_seconds",
        kind: "histogram",
        labels: "env",
        help: "How long it took from a commit until what it changes ran in an environment and was healthy; of a promotion, from the commit that was proved.",
        write: |_, counters, samples| histograms(&counters.leads, "env", samples),
    },
    Family {
        name: "gitsync_env_revision_info",
        kind: "gauge",
        labels: "env, commit, image",
        help: "Always 1; the labels are the commit and the images that an environment should run.",
        write: revisions,
    },
    Family {
        name: "gitsync_drift_fields",
        kind: "gauge",
        labels: "env",
        help: "How many fields of live objects differ from git.",
        write: drift,
    },
    Family {
        name: "gitsync_gate_result",
        kind: "gauge",
        labels: "env, promotion, result",
        help: "1 for how the last verification of a promotion ended; result is passed, failed or void.",
        write: gates,
    },
    Family {
        name: "gitsync_gate_latency_seconds",
        kind: "gauge",
        labels: "env, check, quantile",
        help: "The response times of the last run of a load check.",
        write: latencies,
    },
    Family {
        name: "gitsync_promotion_total",
        kind: "counter",
        labels: "env, result",
        help: "Promotions that this process tried, by the environment they begin in; result is pushed, nothing, refused or error.",
        write: promotions,
    },
    Family {
        name: "gitsync_git_request_total",
        kind: "counter",
        labels: "op, result",
        help: "Requests to the remote repository; op is poll, fetch or push, result is ok or error.",
        write: git_requests,
    },
    Family {
        name: "gitsync_git_request_duration_seconds",
        kind: "histogram",
        labels: "op",
        help: "How long requests to the remote repository took.",
        write: git_durations,
    },
    Family {
        name: "gitsync_git_fetch_fail_total",
        kind: "counter",
        labels: "",
        help: "Looks at the remote repository, and fetches from it, that came to nothing.",
        write: fetch_failures,
    },
    Family {
        name: "gitsync_git_push_rejected_total",
        kind: "counter",
        labels: "",
        help: "Pushes that the remote refused, or that another push was faster than; the latter are tried again.",
        write: |_, counters, samples| samples.add(&[], counters.git.rejected as f64),
    },
    Family {
        name: "gitsync_webhook_total",
        kind: "counter",
        labels: "result",
        help: "Webhooks that arrived; result is accepted, replayed or refused.",
        write: hooks,
    },
];

/// The samples of one metric.
struct Samples<'a> {
    name: &'static str,
    out: &'a mut String,
}

/// All metrics.
#[must_use]
pub fn text(board: &Board, counters: &Counters) -> String {
    let mut out = String::new();
    for family in &FAMILIES {
        let Family { name, kind, help, .. } = family;
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        (family.write)(board, counters, &mut Samples { name, out: &mut out });
    }
    out
}

/// The table of the documentation.
#[must_use]
pub fn table() -> String {
    let mut out = String::from("| metric | type | labels | |\n|---|---|---|---|\n");
    for Family {
        name,
        kind,
        labels,
        help,
        ..
    } in &FAMILIES
    {
        let _ = writeln!(out, "| `{name}` | {kind} | {labels} | {help} |");
    }
    out
}

fn conditions(board: &Board, _: &Counters, samples: &mut Samples<'_>) {
    for environment in &board.environments {
        for state in State::ALL {
            let labels = [
                ("env", environment.name.as_str()),
                ("type", "State"),
                ("status", state.word()),
            ];
            samples.add(&labels, f64::from(u8::from(environment.state == state)));
        }
        for status in ["True", "False", "Unknown"] {
            let labels = [
                ("env", environment.name.as_str()),
                ("type", "Ready"),
                ("status", status),
            ];
            samples.add(&labels, f64::from(u8::from(ready(environment.state) == status)));
        }
    }
}

/// Whether a state is good, as conditions of Kubernetes say it.
fn ready(state: State) -> &'static str {
    match state {
        State::Synced | State::Verifying | State::Promoting => "True",
        State::Failed | State::Unreachable | State::Held => "False",
        State::Unknown | State::Progressing => "Unknown",
    }
}

fn suspensions(board: &Board, _: &Counters, samples: &mut Samples<'_>) {
    for environment in &board.environments {
        let is_suspended = f64::from(u8::from(environment.suspended.is_some()));
        samples.add(&[("env", &environment.name)], is_suspended);
    }
}

fn latencies(_: &Board, counters: &Counters, samples: &mut Samples<'_>) {
    for ((env, check), quantiles) in &counters.latencies {
        for (quantile, millis) in quantiles {
            let labels = [("env", env.as_str()), ("check", check), ("quantile", quantile)];
            samples.add(&labels, millis / 1000.0);
        }
    }
}

fn git_requests(_: &Board, counters: &Counters, samples: &mut Samples<'_>) {
    for (op, operation) in &counters.git.operations {
        let good = operation.took.count - operation.failed;
        samples.add(&[("op", op), ("result", "ok")], good as f64);
        samples.add(&[("op", op), ("result", "error")], operation.failed as f64);
    }
}

fn git_durations(_: &Board, counters: &Counters, samples: &mut Samples<'_>) {
    let operations = counters.git.operations.iter();
    let took = operations.map(|(op, operation)| ((*op).to_owned(), operation.took.clone()));
    histograms(&took.collect(), "op", samples);
}

fn fetch_failures(_: &Board, counters: &Counters, samples: &mut Samples<'_>) {
    let looks = counters.git.operations.iter().filter(|(op, _)| **op != "push");
    let failed: u64 = looks.map(|(_, operation)| operation.failed).sum();
    samples.add(&[], failed as f64);
}

fn durations(_: &Board, counters: &Counters, samples: &mut Samples<'_>) {
    histograms(&counters.passes, "env", samples);
}

fn histograms(histograms: &BTreeMap<String, Histogram>, label: &str, samples: &mut Samples<'_>) {
    for (env, histogram) in histograms {
        let mut below = 0;
        for (bound, count) in BOUNDS.iter().zip(histogram.buckets) {
            below += count;
            samples.part(
                "_bucket",
                &[(label, env), ("le", &bound.to_string())],
                below as f64,
            );
        }
        samples.part("_bucket", &[(label, env), ("le", "+Inf")], histogram.count as f64);
        samples.part("_sum", &[(label, env)], histogram.sum);
        samples.part("_count", &[(label, env)], histogram.count as f64);
    }
}

fn last_success(board: &Board, _: &Counters, samples: &mut Samples<'_>) {
    for environment in &board.environments {
        let good = environment.good.as_ref().and_then(|time| time.parse().ok());
        if let Some(time) = good.map(|time: jiff::Timestamp| time.as_second()) {
            samples.add(&[("env", &environment.name)], time as f64);
        }
    }
}

fn revisions(board: &Board, _: &Counters, samples: &mut Samples<'_>) {
    for environment in &board.environments {
        let Some(commit) = &environment.revision else {
            continue;
        };
        for image in &environment.images {
            samples.add(
                &[("env", &environment.name), ("commit", commit), ("image", image)],
                1.0,
            );
        }
    }
}

fn drift(board: &Board, _: &Counters, samples: &mut Samples<'_>) {
    for environment in &board.environments {
        let fields: usize = environment
            .resources
            .iter()
            .map(|resource| resource.drift.len())
            .sum();
        samples.add(&[("env", &environment.name)], fields as f64);
    }
}

fn gates(board: &Board, _: &Counters, samples: &mut Samples<'_>) {
    for environment in &board.environments {
        for verification in &environment.verifications {
            for result in ["passed", "failed", "void"] {
                let labels = [
                    ("env", environment.name.as_str()),
                    ("promotion", &verification.promotion),
                    ("result", result),
                ];
                samples.add(&labels, f64::from(u8::from(verification.verdict == result)));
            }
        }
    }
}

fn promotions(_: &Board, counters: &Counters, samples: &mut Samples<'_>) {
    for ((env, result), count) in &counters.promotions {
        samples.add(&[("env", env), ("result", result)], *count as f64);
    }
}

fn hooks(_: &Board, counters: &Counters, samples: &mut Samples<'_>) {
    for (result, count) in &counters.hooks {
        samples.add(&[("result", result)], *count as f64);
    }
}

// === impl Samples ===

impl Samples<'_> {
    fn add(&mut self, labels: &[(&str, &str)], value: f64) {
        self.part("", labels, value);
    }

    fn part(&mut self, suffix: &str, labels: &[(&str, &str)], value: f64) {
        let env = labels.iter().find(|(name, _)| *name == "env");
        let app = env
            .and_then(|(_, value)| value.split_once('.'))
            .map(|(_, app)| ("app", app));
        let labels: Vec<String> = labels
            .iter()
            .chain(&app)
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", labels.join(","))
        };
        let _ = writeln!(self.out, "{}{suffix}{labels} {value}", self.name);
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

// === impl Histogram ===

impl Histogram {
    /// Counts one more.
    pub fn add(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.count += 1;
        self.sum += seconds;
        if let Some(index) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.buckets[index] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::report::board::EnvironmentView;

    #[test]
    fn metrics_are_what_prometheus_reads() {
        let environment = EnvironmentView {
            name: "pr\"od".into(),
            state: State::Held,
            good: Some("1970-01-01T00:01:00Z".into()),
            ..EnvironmentView::default()
        };
        let board = Board {
            environments: vec![Arc::new(environment)],
            ..Board::default()
        };
        let mut counters = Counters::default();
        let histogram = counters.passes.entry("prod".into()).or_default();
        histogram.add(Duration::from_millis(20));
        histogram.add(Duration::from_secs(5000));
        let text = text(&board, &counters);
        for line in [
            "# TYPE gitsync_reconcile_duration_seconds histogram",
            "gitsync_reconcile_condition{env=\"pr\\\"od\",type=\"State\",status=\"held\"} 1",
            "gitsync_reconcile_condition{env=\"pr\\\"od\",type=\"State\",status=\"synced\"} 0",
            "gitsync_reconcile_duration_seconds_bucket{env=\"prod\",le=\"0.01\"} 0",
            "gitsync_reconcile_duration_seconds_bucket{env=\"prod\",le=\"1800\"} 1",
            "gitsync_reconcile_duration_seconds_bucket{env=\"prod\",le=\"+Inf\"} 2",
            "gitsync_reconcile_duration_seconds_count{env=\"prod\"} 2",
            "gitsync_last_success_timestamp_seconds{env=\"pr\\\"od\"} 60",
        ] {
            assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
        }
    }

    #[test]
    fn series_of_one_app_of_an_environment_name_the_app_as_well() {
        let environment = EnvironmentView {
            name: "prod.web".into(),
            ..EnvironmentView::default()
        };
        let board = Board {
            environments: vec![Arc::new(environment)],
            ..Board::default()
        };
        let text = text(&board, &Counters::default());
        let line = "gitsync_suspend_status{env=\"prod.web\",app=\"web\"} 0";
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }

    /// A name of ours in an expression, with the labels that it is narrowed by.
    fn named(expression: &str) -> Vec<(String, Vec<String>)> {
        let metric = regex::Regex::new(r"\bgitsync_[a-z_]+").unwrap();
        let label = regex::Regex::new(r#"([a-z_]+)\s*(?:=~|!~|!=|=)\s*""#).unwrap();
        let found = metric.find_iter(expression);
        found
            .map(|name| {
                let rest = &expression[name.end()..];
                let within = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
                let labels = label.captures_iter(within.map_or("", |(within, _)| within));
                let labels = labels.map(|found| found[1].to_owned()).collect();
                (name.as_str().to_owned(), labels)
            })
            .collect()
    }

    /// What is wrong with an expression: a metric that there is not, a label that it does not have, a bracket.
    fn problems_of(expression: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let names = named(expression);
        if names.is_empty() {
            problems.push(format!("no metric in {expression}"));
        }
        let mut known = Vec::new();
        for (name, narrowed) in names {
            let family = FAMILIES.iter().find(|family| {
                let parts = ["_bucket", "_sum", "_count"].map(|part| format!("{}{part}", family.name));
                let is_part = family.kind == "histogram" && parts.contains(&name);
                family.name == name || is_part
            });
            let Some(family) = family else {
                problems.push(format!("no metric {name}"));
                continue;
            };
            known.extend(family.labels.split(", "));
            for label in narrowed.iter().filter(|label| !known.contains(&label.as_str())) {
                problems.push(format!("{name} has no label {label}"));
            }
        }
        let grouped = regex::Regex::new(r"\b(?:by|on) \(([^)]*)\)").unwrap();
        let labels = grouped.captures_iter(expression);
        let labels: Vec<String> = labels
            .flat_map(|found| found[1].split(", ").map(str::to_owned).collect::<Vec<_>>())
            .collect();
        for label in labels.iter().filter(|label| *label != "le") {
            if !known.contains(&label.as_str()) {
                problems.push(format!("nothing in {expression} has the label {label}"));
            }
        }
        for (open, close) in [('(', ')'), ('{', '}'), ('[', ']')] {
            if expression.matches(open).count() != expression.matches(close).count() {
                problems.push(format!("{open} without {close} in {expression}"));
            }
        }
        problems
    }

    #[test]
    fn alerts_and_the_grafana_dashboard_use_metrics_and_labels_that_there_are() {
        let alerts = include_str!("../../deploy/monitoring/alerts.yaml");
        let alerts: serde_json::Value = serde_yaml::from_str(alerts).unwrap();
        let dashboard = include_str!("../../deploy/monitoring/grafana-dashboard.json");
        let dashboard: serde_json::Value = serde_json::from_str(dashboard).unwrap();
        let rules = alerts["groups"][0]["rules"].as_array().unwrap();
        let panels = dashboard["panels"].as_array().unwrap();
        let targets = panels
            .iter()
            .flat_map(|panel| panel["targets"].as_array().unwrap());
        let expressions: Vec<&str> = rules
            .iter()
            .chain(targets)
            .map(|part| part["expr"].as_str().unwrap())
            .collect();
        assert!(expressions.len() > 20, "{}", expressions.len());
        let problems: Vec<String> = expressions
            .iter()
            .flat_map(|expression| problems_of(expression))
            .collect();
        assert!(problems.is_empty(), "{problems:#?}");
        for family in &FAMILIES {
            let is_shown = expressions
                .iter()
                .any(|expression| expression.contains(family.name));
            assert!(is_shown, "nobody looks at {}", family.name);
        }
        for rule in rules {
            let summary = rule["annotations"]["summary"].as_str();
            assert!(summary.is_some(), "{rule}");
        }
        assert_eq!(
            problems_of("sum by (nope) (gitsync_drift_field{env=\"a\"})").len(),
            2
        );
        assert_eq!(problems_of("gitsync_drift_fields{app=\"a\"}").len(), 1);
    }

    #[test]
    fn the_documentation_lists_every_metric() {
        let page = include_str!("../../docs/metrics.md");
        assert!(
            page.contains(&table()),
            "docs/metrics.md has to contain:\n{}",
            table()
        );
    }
}
