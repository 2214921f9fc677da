//! Outcome: how a script ended, and the part of its figures that does not depend on the machine.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::case::Case;
use crate::harness::binaries;
use crate::harness::git::hermetic;
use crate::harness::output::Output;

/// How a script ended.
pub struct Outcome {
    output: Output,
    figures: Option<Value>,
}

/// More than the longest case takes by far.
const DEADLINE: Duration = Duration::from_secs(120);

/// Metrics that depend on time, on sizes, or on how long a run takes.
const UNSTEADY: [&str; 4] = ["vus", "vus_max", "data_sent", "data_received"];

/// Runs a case on k6.
pub fn run_k6(k6: &Path, case: &Case, base: &str) -> Outcome {
    let mut command = Command::new(k6);
    command.args([
        "run",
        "--quiet",
        "--no-color",
        "--address=",
        "--summary-export=summary.json",
    ]);
    run(command, case, base)
}

/// Runs a case on gitsync.
pub fn run_gitsync(case: &Case, base: &str) -> Outcome {
    let mut command = Command::new(binaries::gitsync());
    command.args(["check", "--mode", "k6", "--summary-export", "summary.json"]);
    run(command, case, base)
}

fn run(mut command: Command, case: &Case, base: &str) -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    case.write(directory.path());
    hermetic(&mut command);
    command
        .current_dir(directory.path())
        .env("HOME", directory.path())
        .env("BASE", base)
        .env("NO_COLOR", "1")
        .env("K6_NO_USAGE_REPORT", "true")
        .env("K6_AUTO_EXTENSION_RESOLUTION", "false")
        .envs(case.env.iter().map(|(name, value)| (name, value)))
        .args(&case.args)
        .arg("script.js");
    let output = Output::of(command, DEADLINE);
    let export = std::fs::read_to_string(directory.path().join("summary.json")).ok();
    Outcome {
        output,
        figures: export.map(|text| steady(&serde_json::from_str(&text).unwrap())),
    }
}

impl Outcome {
    /// What was written, for a person who has to find out why.
    pub fn told(&self) -> String {
        self.output.to_string()
    }
}

/// In what two outcomes of a case differ.
pub fn differences(case: &Case, wants: &Outcome, has: &Outcome) -> Vec<String> {
    let mut found = Vec::new();
    if wants.output.code != has.output.code {
        found.push(format!(
            "exit code: k6 {}, gitsync {}",
            wants.output.code, has.output.code
        ));
    }
    let part = |outcome: &Outcome| {
        let figures = outcome.figures.clone().unwrap_or_default();
        if case.only_marks { marks(&figures) } else { figures }
    };
    compare("", &part(wants), &part(has), &mut found);
    if case.stdout && wants.output.stdout != has.output.stdout {
        found.push(format!(
            "stdout: k6 {:?}, gitsync {:?}",
            wants.output.stdout, has.output.stdout
        ));
    }
    found
}

/// The figures of a summary that do not depend on the machine.
fn steady(export: &Value) -> Value {
    let mut metrics = Map::new();
    for (name, values) in export["metrics"].as_object().into_iter().flatten() {
        let bare = name.split('{').next().unwrap_or_default();
        if UNSTEADY.contains(&bare) {
            continue;
        }
        let mut kept = Map::new();
        for field in ["thresholds", "count", "passes", "fails"] {
            if let Some(value) = values.get(field) {
                // One of the two writes whole numbers with a fraction of zero.
                let value = value
                    .as_f64()
                    .map_or_else(|| value.clone(), |number| json!(number));
                kept.insert(field.to_owned(), value);
            }
        }
        metrics.insert(name.clone(), Value::Object(kept));
    }
    json!({"metrics": metrics, "checks": checks(&export["root_group"])})
}

/// The checks of a group by path, those of its groups included.
fn checks(group: &Value) -> Map<String, Value> {
    let mut found = Map::new();
    for check in group["checks"].as_object().into_iter().flat_map(Map::values) {
        let path = check["path"].as_str().unwrap_or_default().to_owned();
        found.insert(path, json!([check["passes"], check["fails"]]));
    }
    for inner in group["groups"].as_object().into_iter().flat_map(Map::values) {
        found.insert(
            inner["path"].as_str().unwrap_or_default().to_owned(),
            json!("group"),
        );
        found.extend(checks(inner));
    }
    found
}

/// Only the thresholds, and whether they were crossed.
fn marks(figures: &Value) -> Value {
    let metrics = figures["metrics"].as_object().into_iter().flatten();
    let marked = metrics.filter_map(|(name, values)| Some((name.clone(), values.get("thresholds")?.clone())));
    Value::Object(marked.collect())
}

fn compare(place: &str, wants: &Value, has: &Value, found: &mut Vec<String>) {
    if let (Some(wants), Some(has)) = (wants.as_object(), has.as_object()) {
        let mut keys: Vec<&String> = wants.keys().chain(has.keys()).collect();
        keys.sort();
        keys.dedup();
        let none = Value::Null;
        for key in keys {
            let inner = format!("{place}/{key}");
            compare(
                &inner,
                wants.get(key).unwrap_or(&none),
                has.get(key).unwrap_or(&none),
                found,
            );
        }
    } else if wants != has {
        found.push(format!("{place}: k6 {wants}, gitsync {has}"));
    }
}
