//! JSON of a load check: gitsync's own, with the verdict and its evidence, and the object that k6's
//! `--summary-export` writes, for tools that read that.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{Figures, Line, histogram, lines, plot};
use crate::config::load_check::metric::Kind;
use crate::config::load_check::plan::Plan;
use crate::verify::exchange::millis;
use crate::verify::judge::{LoadOutcome, LoadVerdict};
use crate::verify::samples::{Ended, Samples};
use crate::verify::trend::TrendSummary;

/// The whole result. `repetitions` is how often the run was repeated, and `exit_code` what the process answers.
#[must_use]
pub fn json(
    plan: &Plan,
    url: &str,
    samples: &Samples,
    verdict: &LoadVerdict,
    repetitions: u32,
    exit_code: u8,
) -> Value {
    let metrics: Map<String, Value> = lines(plan, samples)
        .iter()
        .map(|line| (line.selection.to_string(), metric(line)))
        .collect();
    let ended = match samples.ended {
        Ended::Completed => "completed",
        Ended::Interrupted => "interrupted",
        Ended::Aborted(_) => "abortedByThreshold",
    };
    json!({
        "schema": 1,
        "verdict": verdict.outcome,
        "reason": verdict.reason,
        "exitCode": exit_code,
        "target": {"url": url},
        "durationMs": millis(samples.elapsed),
        "ended": ended,
        "repetitions": repetitions,
        "thresholds": verdict.thresholds,
        "checks": verdict.checks,
        "metrics": metrics,
        "histograms": {
            "encoding": "HdrHistogram V2 compressed, base64",
            "unit": "us",
            "http_req_duration": histogram::encode(&samples.trend(plan, &plot::durations())),
        },
        "generator": {"lagP99Ms": samples.lag.percentile(99.0)},
    })
}

fn metric(line: &Line) -> Value {
    let kind = match line.selection.metric.kind() {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Rate => "rate",
        Kind::Trend => "trend",
    };
    let values = match line.figures {
        Figures::Counter { count, rate } => json!({"count": count, "rate": rate}),
        Figures::Gauge { value, min, max } => json!({"value": value, "min": min, "max": max}),
        Figures::Rate { part, all } => json!({"rate": share(part, all), "passes": part, "fails": all - part}),
        Figures::Trend(trend) => trend_values(trend),
    };
    json!({"type": kind, "values": values})
}

fn trend_values(trend: TrendSummary) -> Value {
    let TrendSummary {
        avg,
        min,
        med,
        max,
        p90,
        p95,
    } = trend;
    json!({"avg": avg, "min": min, "med": med, "max": max, "p(90)": p90, "p(95)": p95})
}

/// The object that k6 writes with `--summary-export`.
///
/// Mind that there `true` beside a threshold means that it was crossed, and that the `passes` of `http_req_failed`
/// are the failed requests.
#[must_use]
pub fn summary_export(plan: &Plan, samples: &Samples, verdict: &LoadVerdict) -> Value {
    let mut metrics = Map::new();
    for line in lines(plan, samples) {
        let mut values = match line.figures {
            Figures::Counter { count, rate } => json!({"count": count, "rate": rate}),
            Figures::Gauge { value, min, max } => json!({"value": value, "min": min, "max": max}),
            Figures::Rate { part, all } => {
                json!({"passes": part, "fails": all - part, "value": share(part, all)})
            }
            Figures::Trend(trend) => trend_values(trend),
        };
        let crossed: Map<String, Value> = plan
            .rules
            .iter()
            .zip(&verdict.thresholds)
            .filter(|(rule, _)| rule.selection == line.selection && !rule.implicit)
            .map(|(rule, threshold)| (rule.source.clone(), json!(threshold.outcome != LoadOutcome::Pass)))
            .collect();
        if !crossed.is_empty() {
            values["thresholds"] = Value::Object(crossed);
        }
        metrics.insert(line.selection.to_string(), values);
    }
    let checks: Map<String, Value> = verdict
        .checks
        .iter()
        .map(|check| {
            let path = format!("::{}", check.name);
            let value = json!({
                "name": check.name,
                "path": path,
                "id": id(&path),
                "passes": check.passes,
                "fails": check.fails,
            });
            (check.name.clone(), value)
        })
        .collect();
    json!({
        "metrics": metrics,
        "root_group": {"name": "", "path": "", "id": id(""), "groups": {}, "checks": checks},
    })
}

/// An identifier of 32 hexadecimal digits. k6 takes the MD5 sum of the path; readers use it as an opaque key.
fn id(path: &str) -> String {
    Sha256::digest(path.as_bytes())
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn share(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::load_check::LoadCheckSpec;
    use crate::verify::exchange::{Protocol, SeriesKey, Timings};
    use crate::verify::judge::judge;

    fn mk_results() -> (Plan, Samples, LoadVerdict) {
        let text = "target: {url: 'http://a'}\nchecks: {ok: status == 200}\n\
                    thresholds: {http_req_duration: ['p(90)<600', 'max<5'], 'http_reqs{status:200}': [count>1]}\n";
        let plan = serde_yaml::from_str::<LoadCheckSpec>(text)
            .unwrap()
            .compile()
            .unwrap();
        let mut samples = Samples::new(&plan);
        samples.elapsed = Duration::from_secs(2);
        let key = SeriesKey {
            scenario: 0,
            request: 0,
            status: 200,
            error: None,
            hop: false,
            expected: true,
            protocol: Protocol::Http1,
        };
        for i in 0..40 {
            let timings = Timings {
                waiting: Duration::from_millis(10),
                ..Timings::default()
            };
            samples.add_request(&plan, key, Duration::from_millis(i * 50), Some(timings));
            samples.add_check(&plan, 0, 0, Duration::ZERO, true);
        }
        let verdict = judge(&plan, &samples, 1);
        (plan, samples, verdict)
    }

    #[test]
    fn the_export_has_k6s_shape() {
        let (plan, samples, verdict) = mk_results();
        let export = summary_export(&plan, &samples, &verdict);
        let duration = &export["metrics"]["http_req_duration"];
        assert_eq!(duration["p(90)"], json!(10.0));
        assert_eq!(duration["thresholds"], json!({"p(90)<600": false, "max<5": true}));
        assert_eq!(
            export["metrics"]["http_req_failed"],
            json!({"passes": 0, "fails": 40, "value": 0.0})
        );
        assert_eq!(
            export["metrics"]["http_reqs{status:200}"]["thresholds"],
            json!({"count>1": false})
        );
        assert_eq!(
            export["metrics"]["http_reqs"],
            json!({"count": 40.0, "rate": 20.0})
        );
        let check = &export["root_group"]["checks"]["ok"];
        assert_eq!(
            (&check["path"], &check["passes"], &check["fails"]),
            (&json!("::ok"), &json!(40), &json!(0))
        );
    }

    #[test]
    fn the_json_has_the_verdict_and_its_evidence() {
        let (plan, samples, verdict) = mk_results();
        let json = json(&plan, "http://a", &samples, &verdict, 0, 99);
        assert_eq!(
            (&json["verdict"], &json["exitCode"]),
            (&json!("fail"), &json!(99))
        );
        let threshold = &json["thresholds"][0];
        assert_eq!(
            (&threshold["outcome"], &threshold["value"]),
            (&json!("pass"), &json!(10.0))
        );
        assert_eq!(
            (
                &threshold["evidence"]["samples"],
                &threshold["evidence"]["broken"]
            ),
            (&json!(40), &json!(0))
        );
        assert_eq!(json["metrics"]["http_req_duration"]["type"], json!("trend"));
        assert_eq!(json["checks"][0]["passes"], json!(40));
        let histogram = json["histograms"]["http_req_duration"].as_str().unwrap();
        assert!(histogram.starts_with("HISTFAAA"), "{histogram}");
    }
}
