//! Summary: what a load check found, at its end, in k6's layout.

use std::fmt::Write as _;

use super::format::{bytes, duration, number, percent, share_text};
use super::{Figures, Line, lines};
use crate::config::load_check::metric::{Kind, Metric};
use crate::config::load_check::plan::Plan;
use crate::config::load_check::threshold::Selection;
use crate::report::paint::{Paint, Tone};
use crate::verify::baseline::Comparison;
use crate::verify::judge::{CheckVerdict, LoadOutcome, LoadVerdict, ThresholdVerdict};
use crate::verify::samples::Samples;

/// The metrics that a summary leaves out, as k6's compact one does: the parts of a request's time.
const PARTS: [Metric; 6] = [
    Metric::HttpReqBlocked,
    Metric::HttpReqConnecting,
    Metric::HttpReqTlsHandshaking,
    Metric::HttpReqSending,
    Metric::HttpReqWaiting,
    Metric::HttpReqReceiving,
];

/// The sections of metrics, with what they hold.
const SECTIONS: [(&str, &[Metric]); 3] = [
    (
        "HTTP",
        &[Metric::HttpReqDuration, Metric::HttpReqFailed, Metric::HttpReqs],
    ),
    (
        "EXECUTION",
        &[
            Metric::DroppedIterations,
            Metric::IterationDuration,
            Metric::Iterations,
            Metric::Vus,
            Metric::VusMax,
        ],
    ),
    ("NETWORK", &[Metric::DataReceived, Metric::DataSent]),
];

/// The summary as text, ending with the verdict.
#[must_use]
pub fn summary(plan: &Plan, samples: &Samples, verdict: &LoadVerdict, paint: Paint) -> String {
    let mut text = String::new();
    thresholds(&mut text, plan, verdict, paint);
    let lines = lines(plan, samples);
    heading(&mut text, "TOTAL RESULTS", paint);
    checks(&mut text, samples, verdict, paint);
    for (name, metrics) in SECTIONS {
        section(&mut text, name, metrics, &lines, plan, paint);
    }
    errors(&mut text, plan, samples, paint);
    heading(&mut text, "VERDICT", paint);
    let outcome = paint.tone(tone(verdict.outcome), &verdict.outcome.to_string());
    put(&mut text, format_args!("    {outcome}: {}\n\n", verdict.reason));
    text
}

fn thresholds(text: &mut String, plan: &Plan, verdict: &LoadVerdict, paint: Paint) {
    heading(text, "THRESHOLDS", paint);
    let mut last = None;
    for (threshold, rule) in verdict.thresholds.iter().zip(&plan.rules) {
        if last != Some(&threshold.metric) {
            let implicit = if threshold.implicit {
                paint.tone(Tone::Dim, "  (always, unless set)")
            } else {
                String::new()
            };
            put(
                text,
                format_args!("    {}{implicit}\n", paint.tone(Tone::Strong, &threshold.metric)),
            );
            last = Some(&threshold.metric);
        }
        let method = rule.threshold.method;
        let value = match threshold.value {
            Some(value) => value_text(&rule.selection, value),
            None => "no data".to_owned(),
        };
        put(
            text,
            format_args!(
                "    {} '{}' {method}={value}\n",
                mark(threshold.outcome, paint),
                threshold.threshold
            ),
        );
        if let Some(reason) = reason(threshold) {
            put(text, format_args!("      ↳ {reason}\n"));
        } else if let Some(Comparison {
            target: Some(mine),
            baseline,
            interval: [Some(low), Some(high)],
            ..
        }) = threshold.comparison
        {
            let (ratio, theirs) = (mine / baseline, duration(baseline));
            put(
                text,
                format_args!(
                    "      ↳ {ratio:.2} times the baseline's {theirs}, surely {low:.2} to {high:.2} times\n"
                ),
            );
        }
    }
    text.push('\n');
}

/// Why a threshold does not hold, with a word where k6 would have let it pass.
fn reason(threshold: &ThresholdVerdict) -> Option<String> {
    let reason = threshold.reason.as_ref()?;
    Some(if threshold.k6_passes {
        format!("{reason} (k6 would pass it)")
    } else {
        reason.clone()
    })
}

fn checks(text: &mut String, samples: &Samples, verdict: &LoadVerdict, paint: Paint) {
    let (passes, all) = verdict.checks.iter().fold((0, 0), |(passes, all), check| {
        (passes + check.passes, all + check.passes + check.fails)
    });
    if verdict.checks.is_empty() {
        return;
    }
    let seconds = samples.elapsed.as_secs_f64();
    let rate = if seconds > 0.0 { all as f64 / seconds } else { 0.0 };
    put(text, format_args!("    checks_total.......: {all} {rate:.6}/s\n"));
    put(
        text,
        format_args!(
            "    checks_succeeded...: {} {passes} out of {all}\n",
            percent(passes, all)
        ),
    );
    put(
        text,
        format_args!(
            "    checks_failed......: {} {} out of {all}\n\n",
            percent(all - passes, all),
            all - passes
        ),
    );
    verdict.checks.iter().for_each(|one| check(text, one, paint));
    text.push('\n');
}

fn check(text: &mut String, check: &CheckVerdict, paint: Paint) {
    let CheckVerdict {
        name, passes, fails, ..
    } = check;
    if *fails == 0 && *passes > 0 {
        put(text, format_args!("    {} {name}\n", paint.tone(Tone::Good, "✓")));
        return;
    }
    let share = (passes * 100).checked_div(passes + fails).unwrap_or_default();
    put(text, format_args!("    {} {name}\n", paint.tone(Tone::Bad, "✗")));
    put(
        text,
        format_args!("      ↳ {share:>2}% — ✓ {passes} / ✗ {fails}\n"),
    );
}

fn section(text: &mut String, name: &str, metrics: &[Metric], lines: &[Line], plan: &Plan, paint: Paint) {
    let has_rule = |line: &Line| plan.rules.iter().any(|rule| rule.selection == line.selection);
    let shown = |line: &&Line| {
        let metric = line.selection.metric;
        metrics.contains(&metric) || name == "HTTP" && PARTS.contains(&metric) && has_rule(line)
    };
    let chosen: Vec<&Line> = lines.iter().filter(shown).collect();
    if chosen.is_empty() {
        return;
    }
    put(text, format_args!("    {}\n", paint.tone(Tone::Strong, name)));
    let label = |line: &Line| match line.selection.tags.is_empty() {
        true => line.selection.metric.to_string(),
        false => {
            let whole = line.selection.to_string();
            let tags = whole
                .trim_start_matches(line.selection.metric.name())
                .trim_matches(['{', '}'])
                .to_owned();
            format!("  {{ {tags} }}")
        }
    };
    let width = chosen
        .iter()
        .map(|line| label(line).chars().count())
        .max()
        .unwrap_or_default()
        + 3;
    for line in chosen {
        let label = label(line);
        let dots = ".".repeat(width.saturating_sub(label.chars().count()));
        put(
            text,
            format_args!(
                "    {label}{}: {}\n",
                paint.tone(Tone::Dim, &dots),
                figures_text(line)
            ),
        );
    }
    text.push('\n');
}

fn errors(text: &mut String, plan: &Plan, samples: &Samples, paint: Paint) {
    if let Some(error) = samples.commonest_error(plan) {
        put(text, format_args!("    {}\n", paint.tone(Tone::Strong, "ERRORS")));
        put(text, format_args!("    {}\n\n", paint.tone(Tone::Bad, &error)));
    }
}

fn figures_text(line: &Line) -> String {
    match line.figures {
        Figures::Counter { count, rate } if is_data(line.selection.metric) => {
            format!("{} {}/s", bytes(count), bytes(rate))
        }
        Figures::Counter { count, rate } => format!("{count} {rate:.6}/s"),
        Figures::Gauge { value, min, max } => format!("{value} min={min} max={max}"),
        Figures::Rate { part, all } => format!("{} {part} out of {all}", percent(part, all)),
        Figures::Trend(trend) => format!(
            "avg={} min={} med={} max={} p(90)={} p(95)={}",
            duration(trend.avg),
            duration(trend.min),
            duration(trend.med),
            duration(trend.max),
            duration(trend.p90),
            duration(trend.p95)
        ),
    }
}

fn is_data(metric: Metric) -> bool {
    matches!(metric, Metric::DataSent | Metric::DataReceived)
}

fn value_text(selection: &Selection, value: f64) -> String {
    match selection.metric.kind() {
        Kind::Trend => duration(value),
        Kind::Rate => share_text(value),
        Kind::Counter | Kind::Gauge => number(value),
    }
}

/// Adds the heading of a block.
pub fn heading(text: &mut String, name: &str, paint: Paint) {
    put(text, format_args!("  █ {}\n\n", paint.tone(Tone::Strong, name)));
}

/// The mark of a threshold.
#[must_use]
pub fn mark(outcome: LoadOutcome, paint: Paint) -> String {
    let mark = match outcome {
        LoadOutcome::Pass => "✓",
        LoadOutcome::Fail => "✗",
        LoadOutcome::Inconclusive | LoadOutcome::Void => "?",
    };
    paint.tone(tone(outcome), mark)
}

/// The colour of an outcome.
#[must_use]
pub fn tone(outcome: LoadOutcome) -> Tone {
    match outcome {
        LoadOutcome::Pass => Tone::Good,
        LoadOutcome::Fail => Tone::Bad,
        LoadOutcome::Inconclusive | LoadOutcome::Void => Tone::Warn,
    }
}

fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments)
        .expect("because writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::load_check::LoadCheckSpec;
    use crate::verify::exchange::{Protocol, SeriesKey, Timings};
    use crate::verify::judge::judge;

    fn mk_report(status: u16, millis: u64) -> String {
        let text = "target: {url: 'http://a'}\nvus: 10\nduration: 10s\n\
                    checks: {status is 200: status == 200}\nthresholds: {http_req_duration: ['p(90)<600']}\n";
        let plan = serde_yaml::from_str::<LoadCheckSpec>(text)
            .unwrap()
            .compile()
            .unwrap();
        let mut samples = Samples::new(&plan);
        samples.elapsed = Duration::from_secs(10);
        samples.data_sent = 8_000;
        let key = SeriesKey {
            scenario: 0,
            request: 0,
            status,
            error: None,
            hop: false,
            expected: status == 200,
            protocol: Protocol::Http1,
        };
        for i in 0..100 {
            let waiting = Duration::from_millis(millis) + Duration::from_micros(i);
            let at = Duration::from_millis(i * 100);
            samples.add_request(
                &plan,
                key,
                at,
                Some(Timings {
                    waiting,
                    ..Timings::default()
                }),
            );
            samples.add_check(&plan, 0, 0, at, status == 200);
            samples.iterations[0].complete += 1;
            samples.iterations[0].duration.add(waiting.as_secs_f64() * 1e3);
        }
        samples.vus.note(10, 10);
        let verdict = judge(&plan, &samples, 1);
        summary(&plan, &samples, &verdict, Paint::default())
    }

    #[test]
    fn a_passed_check_reads_like_k6s_summary() {
        let want = "  █ THRESHOLDS

    http_req_duration
    ✓ 'p(90)<600' p(90)=52.08ms
    http_req_failed  (always, unless set)
    ✓ 'rate<0.01' rate=0.00%

  █ TOTAL RESULTS

    checks_total.......: 100 10.000000/s
    checks_succeeded...: 100.00% 100 out of 100
    checks_failed......: 0.00% 0 out of 100

    ✓ status is 200

    HTTP
    http_reqs......................: 100 10.000000/s
    http_req_duration..............: avg=52.04ms min=52ms med=52.04ms max=52.09ms p(90)=52.08ms p(95)=52.09ms
      { expected_response:true }...: avg=52.04ms min=52ms med=52.04ms max=52.09ms p(90)=52.08ms p(95)=52.09ms
    http_req_failed................: 0.00% 0 out of 100

    EXECUTION
    iterations...........: 100 10.000000/s
    iteration_duration...: avg=52.04ms min=52ms med=52.04ms max=52.09ms p(90)=52.08ms p(95)=52.09ms
    vus..................: 10 min=10 max=10
    vus_max..............: 10 min=10 max=10

    NETWORK
    data_sent...: 8.0 kB 800 B/s

  █ VERDICT

    pass: 2 thresholds hold over 100 requests

";
        let found = mk_report(200, 52);
        assert_eq!(found, want, "\n{found}");
    }

    #[test]
    fn a_failed_check_says_why_and_what_k6_would_have_said() {
        let found = mk_report(500, 2);
        for line in [
            "    ✗ 'p(90)<600' p(90)=2.08ms",
            "      ↳ p(90) is 2.09 ms: 100 % of 100 requests took 600 ms or longer, or failed, 10 % are allowed (k6 would pass it)",
            "    ✗ status is 200",
            "      ↳  0% — ✓ 0 / ✗ 100",
            "    GET /: answered with status 500 (100 of 100 requests)",
        ] {
            assert!(found.lines().any(|found| found == line), "{line}\n{found}");
        }
        assert!(
            found.contains("    fail: http_req_duration: p(90)<600"),
            "{found}"
        );
    }
}
