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
pub const FAMILIES: [Family; 9] = [
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
        help: "1 for the state that an environment is in and 0 for the others; status is the state's word.",
        write: conditions,
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
        name: "gitsync_promotion_total",
        kind: "counter",
        labels: "env, result",
        help: "Promotions that this process tried, by the environment they begin in; result is pushed, nothing, refused or error.",
        write: promotions,
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
    }
}

fn durations(_: &Board, counters: &Counters, samples: &mut Samples<'_>) {
    for (env, histogram) in &counters.passes {
        let mut below = 0;
        for (bound, count) in BOUNDS.iter().zip(histogram.buckets) {
            below += count;
            samples.part(
                "_bucket",
                &[("env", env), ("le", &bound.to_string())],
                below as f64,
            );
        }
        samples.part("_bucket", &[("env", env), ("le", "+Inf")], histogram.count as f64);
        samples.part("_sum", &[("env", env)], histogram.sum);
        samples.part("_count", &[("env", env)], histogram.count as f64);
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
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let _ = writeln!(self.out, "{}{suffix}{{{}}} {value}", self.name, labels.join(","));
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
    fn the_documentation_lists_every_metric() {
        let page = include_str!("../../docs/metrics.md");
        assert!(
            page.contains(&table()),
            "docs/metrics.md has to contain:\n{}",
            table()
        );
    }
}
