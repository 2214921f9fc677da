//! Explanation: what a load check would do, and how many requests each threshold needs, told before any is sent.

use std::fmt::Write as _;

use super::format::duration;
use crate::config::duration::Duration;
use crate::config::load_check::metric::Metric;
use crate::config::load_check::plan::{Executor, Plan, Rule, Scenario};
use crate::report::paint::{Paint, Tone};
use crate::verify::exchange::TIMED;
use crate::verify::proportion::limit;
use crate::verify::sequential::level;
use crate::verify::stats::least_trials;

/// The explanation as text; what will be sent, and when, is [`super::progress::header`]'s to tell.
#[must_use]
pub fn explain(plan: &Plan, paint: Paint) -> String {
    let mut text = String::new();
    heading(&mut text, "REQUESTS", paint);
    for request in &plan.requests {
        let expected: Vec<String> = request
            .expected
            .iter()
            .map(|range| match (range.min, range.max) {
                (min, max) if min == max => min.to_string(),
                (min, max) => format!("{min}-{max}"),
            })
            .collect();
        let name = paint.tone(Tone::Strong, &request.name);
        let limit = Duration(request.timeout);
        put(
            &mut text,
            format_args!(
                "    {name}: {} {}, expects {} within {limit}\n",
                request.method,
                request.path,
                expected.join(", ")
            ),
        );
        for (check, _) in &request.checks {
            put(&mut text, format_args!("      ✓ {}\n", plan.checks[*check]));
        }
    }
    text.push('\n');
    heading(&mut text, "THRESHOLDS", paint);
    for rule in &plan.rules {
        let implicit = if rule.implicit {
            "  (always, unless set)"
        } else {
            ""
        };
        put(
            &mut text,
            format_args!("    {}: {}{implicit}\n", rule.selection, rule.source),
        );
        for line in needs(plan, rule) {
            put(&mut text, format_args!("      ↳ {line}\n"));
        }
    }
    text
}

/// What a rule needs for a pass.
fn needs(plan: &Plan, rule: &Rule) -> Vec<String> {
    if rule.threshold.relative {
        return vec![
            "the baseline gets the same load at the same time; a pass is sure that the ratio stays below"
                .to_owned(),
        ];
    }
    let Some(limit) = limit(rule).filter(|_| !rule.implicit) else {
        return vec!["the figure of the run decides, without a margin for chance".to_owned()];
    };
    let looks = plan.strict.max_extend + 1;
    let confidence = 1.0 - level(1.0 - plan.strict.confidence, looks);
    let needed = least_trials(limit, confidence);
    let noun = if rule.selection.metric == Metric::Checks {
        "checks"
    } else {
        "requests"
    };
    let certain = plan.strict.confidence * 100.0;
    let mut lines = vec![format!(
        "a pass needs {needed} {noun} at least when none breaks it, to be {certain} % sure; an unclear run is repeated up \
         to {} times",
        plan.strict.max_extend
    )];
    let slow = TIMED
        .contains(&rule.selection.metric)
        .then_some(rule.threshold.bound);
    if let Some(expected) = expected_requests(plan, slow) {
        let enough = if expected * f64::from(looks) < needed {
            ": too few, raise vus or duration"
        } else {
            ""
        };
        let at = slow
            .map(|bound| format!(" when each takes {}", duration(bound)))
            .unwrap_or_default();
        lines.push(format!(
            "a run sends about {} requests{at}{enough}",
            expected.floor()
        ));
    }
    lines
}

/// How many requests a run sends when each takes `millis`; `None` where that depends on what is not known.
fn expected_requests(plan: &Plan, millis: Option<f64>) -> Option<f64> {
    plan.scenarios
        .iter()
        .map(|scenario| of_scenario(plan, scenario, millis))
        .sum()
}

fn of_scenario(plan: &Plan, scenario: &Scenario, millis: Option<f64>) -> Option<f64> {
    let requests = scenario.requests.len() as f64;
    let length = scenario.executor.duration().as_secs_f64();
    match &scenario.executor {
        Executor::ConstantVus { vus, .. } => {
            let pauses: f64 = scenario
                .requests
                .iter()
                .map(|index| plan.requests[*index].sleep.as_secs_f64())
                .sum();
            let iteration = requests * millis? / 1e3 + pauses;
            (iteration > 0.0).then(|| f64::from(*vus) * (length / iteration).ceil() * requests)
        }
        Executor::RampingVus { .. } => None,
        Executor::SharedIterations { .. } | Executor::PerVuIterations { .. } => scenario
            .executor
            .iterations()
            .map(|iterations| iterations as f64 * requests),
        Executor::ArrivalRate {
            start,
            time_unit,
            stages,
            ..
        } => {
            let mut from = f64::from(*start);
            let mut area = 0.0;
            for stage in stages {
                area += f64::midpoint(from, f64::from(stage.target)) * stage.duration.as_secs_f64();
                from = f64::from(stage.target);
            }
            Some(area / time_unit.as_secs_f64() * requests)
        }
    }
}

fn heading(text: &mut String, name: &str, paint: Paint) {
    put(text, format_args!("  █ {}\n\n", paint.tone(Tone::Strong, name)));
}

fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments)
        .expect("because writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load_check::LoadCheckSpec;

    #[test]
    fn the_needs_of_thresholds_are_told() {
        let text = "target: {url: 'http://a'}\nvus: 10\nduration: 10s\nchecks: {ok: status == 200}\n\
                    thresholds: {http_req_duration: ['p(90)<600', 'p(99.9)<2000', max<9000]}\n";
        let plan = serde_yaml::from_str::<LoadCheckSpec>(text)
            .unwrap()
            .compile()
            .unwrap();
        let found = explain(&plan, Paint::default());
        for line in [
            "    GET /: GET /, expects 200-399 within 1m",
            "      ✓ ok",
            "      ↳ a pass needs 36 requests at least when none breaks it, to be 95 % sure; an unclear run is repeated up to 2 times",
            "      ↳ a run sends about 170 requests when each takes 600ms",
            "      ↳ a run sends about 50 requests when each takes 2s: too few, raise vus or duration",
            "    http_req_duration: max<9000",
            "      ↳ the figure of the run decides, without a margin for chance",
            "    http_req_failed: rate<0.01  (always, unless set)",
        ] {
            assert!(found.lines().any(|found| found == line), "{line}\n{found}");
        }
    }
}
