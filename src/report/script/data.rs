//! Data: the objects that k6 hands to `handleSummary()` and writes with `--summary-export`.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{lines, per_second, share, trend_values};
use crate::config::load_check::metric::Kind;
use crate::config::script::ScriptPlan;
use crate::verify::exchange::millis;
use crate::verify::judge::{LoadOutcome, LoadVerdict};
use crate::verify::script::Measured;
use crate::verify::script::catalog::Catalog;
use crate::verify::script::sink::Sink;

/// The argument of `handleSummary()`.
#[must_use]
pub fn summary_data(
    plan: &ScriptPlan,
    catalog: &Catalog,
    measured: &Measured,
    verdict: &LoadVerdict,
    setup_data: Option<Value>,
    terminal: bool,
) -> Value {
    let seconds = measured.seconds();
    let metrics: Map<String, Value> = lines(catalog, measured)
        .into_iter()
        .map(|(name, metric, sink)| {
            let declared = &catalog.metrics[metric];
            let mut value = json!({
                "type": kind(declared.kind),
                "contains": declared.contains.name(),
                "values": values(sink, &plan.trend_stats, seconds),
            });
            let marks = marks(catalog, verdict, name, |passes| json!({"ok": passes}));
            if !marks.is_empty() {
                value["thresholds"] = Value::Object(marks);
            }
            (name.to_owned(), value)
        })
        .collect();
    let mut data = json!({
        "root_group": group(measured, "", "", &|checks| Value::Array(checks.into_iter().map(|(_, check)| check).collect())),
        "options": {"summaryTrendStats": plan.trend_stats, "summaryTimeUnit": "", "noColor": !terminal},
        "state": {"isStdOutTTY": terminal, "isStdErrTTY": terminal, "testRunDurationMs": millis(measured.elapsed)},
        "metrics": metrics,
    });
    if let Some(setup_data) = setup_data {
        data["setup_data"] = setup_data;
    }
    data
}

/// The object that k6 writes with `--summary-export`.
///
/// Mind that there `true` beside a threshold means that it was crossed, and that the `passes` of `http_req_failed`
/// are the failed requests.
#[must_use]
pub fn summary_export(
    plan: &ScriptPlan,
    catalog: &Catalog,
    measured: &Measured,
    verdict: &LoadVerdict,
) -> Value {
    let seconds = measured.seconds();
    let metrics: Map<String, Value> = lines(catalog, measured)
        .into_iter()
        .map(|(name, _, sink)| {
            let mut value = match sink {
                Sink::Rate { part, all } => {
                    json!({"passes": part, "fails": all - part, "value": share(*part, *all)})
                }
                _ => Value::Object(values(sink, &plan.trend_stats, seconds)),
            };
            let marks = marks(catalog, verdict, name, |passes| json!(!passes));
            if !marks.is_empty() {
                value["thresholds"] = Value::Object(marks);
            }
            (name.to_owned(), value)
        })
        .collect();
    let root = group(measured, "", "", &|checks| {
        Value::Object(checks.into_iter().collect())
    });
    json!({"metrics": metrics, "root_group": root})
}

/// What became of the thresholds on a metric, by expression.
fn marks(
    catalog: &Catalog,
    verdict: &LoadVerdict,
    name: &str,
    mark: impl Fn(bool) -> Value,
) -> Map<String, Value> {
    let rules = catalog.rules.iter().zip(&verdict.thresholds);
    rules
        .filter(|(rule, _)| rule.name == name && !rule.implicit)
        .map(|(rule, threshold)| (rule.source.clone(), mark(threshold.outcome == LoadOutcome::Pass)))
        .collect()
}

fn values(sink: &Sink, stats: &[String], seconds: f64) -> Map<String, Value> {
    let value = match sink {
        Sink::Counter { sum, .. } => json!({"count": sum, "rate": per_second(*sum, seconds)}),
        Sink::Gauge { last, min, max, .. } => json!({"value": last, "min": min, "max": max}),
        Sink::Rate { part, all } => json!({"rate": share(*part, *all), "passes": part, "fails": all - part}),
        Sink::Trend(_) => return trend_values(sink, stats),
    };
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Rate => "rate",
        Kind::Trend => "trend",
    }
}

/// A group with what is in it; the two objects differ only in how they list things.
fn group(measured: &Measured, path: &str, name: &str, list: &dyn Fn(Vec<(String, Value)>) -> Value) -> Value {
    let groups = measured.groups.children(path);
    let groups = groups
        .map(|(path, name)| (name.to_owned(), group(measured, path, name, list)))
        .collect();
    let checks = measured.groups.checks_of(path).map(|check| {
        let at = format!("{path}::{}", check.name);
        let value = json!({
            "name": &*check.name,
            "path": at,
            "id": id(&at),
            "passes": check.count.passes,
            "fails": check.count.fails,
        });
        (check.name.to_string(), value)
    });
    json!({"name": name, "path": path, "id": id(path), "groups": list(groups), "checks": list(checks.collect())})
}

/// An identifier of 32 hexadecimal digits. k6 takes the MD5 sum of the path; readers use it as an opaque key.
fn id(path: &str) -> String {
    let digest = Sha256::digest(path.as_bytes());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
