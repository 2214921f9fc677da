//! Summary: what a script's run found, at its end, in k6's layout.

use std::fmt::{Arguments, Write as _};

use super::{lines, per_second, trend_values};
use crate::config::load_check::metric::Kind;
use crate::config::script::{Contains, Declared, ScriptPlan};
use crate::report::load_check::format::{bytes, duration, number, percent, share_text};
use crate::report::load_check::summary::{heading, mark, tone};
use crate::report::paint::{Paint, Tone};
use crate::verify::judge::{LoadVerdict, ThresholdVerdict};
use crate::verify::script::Measured;
use crate::verify::script::catalog::{Catalog, builtin, limit};
use crate::verify::script::groups::Check;
use crate::verify::script::sink::Sink;
use crate::verify::sequential::level;
use crate::verify::stats::least_trials;

/// The sections of metrics, with what they hold; the first has those of the script.
const SECTIONS: [(&str, &[usize]); 4] = [
    ("CUSTOM", &[]),
    (
        "HTTP",
        &[
            builtin::HTTP_REQ_DURATION,
            builtin::HTTP_REQ_FAILED,
            builtin::HTTP_REQS,
        ],
    ),
    (
        "EXECUTION",
        &[
            builtin::DROPPED_ITERATIONS,
            builtin::ITERATION_DURATION,
            builtin::ITERATIONS,
            builtin::VUS,
            builtin::VUS_MAX,
        ],
    ),
    ("NETWORK", &[builtin::DATA_RECEIVED, builtin::DATA_SENT]),
];

/// The summary as text, ending with the verdict.
#[must_use]
pub fn summary(
    plan: &ScriptPlan,
    catalog: &Catalog,
    measured: &Measured,
    verdict: &LoadVerdict,
    paint: Paint,
) -> String {
    let mut text = String::new();
    if !catalog.rules.is_empty() {
        thresholds(&mut text, catalog, verdict, paint);
    }
    heading(&mut text, "TOTAL RESULTS", paint);
    checks(&mut text, measured, paint);
    for (name, metrics) in SECTIONS {
        section(&mut text, name, metrics, (plan, catalog, measured), paint);
    }
    if !measured.exceptions.is_empty() {
        put(
            &mut text,
            format_args!("    {}\n", paint.tone(Tone::Strong, "EXCEPTIONS")),
        );
        for exception in &measured.exceptions {
            let first = exception.lines().next().unwrap_or_default();
            put(&mut text, format_args!("    {}\n", paint.tone(Tone::Bad, first)));
        }
        text.push('\n');
    }
    heading(&mut text, "VERDICT", paint);
    let outcome = paint.tone(tone(verdict.outcome), &verdict.outcome.to_string());
    put(&mut text, format_args!("    {outcome}: {}\n\n", verdict.reason));
    text
}

/// What each threshold needs for a pass, told before any request is sent.
#[must_use]
pub fn explain(plan: &ScriptPlan, catalog: &Catalog, paint: Paint) -> String {
    let mut text = String::new();
    heading(&mut text, "THRESHOLDS", paint);
    let strict = &plan.load.strict;
    let confidence = 1.0 - level(1.0 - strict.confidence, strict.max_extend + 1);
    for rule in &catalog.rules {
        let implicit = if rule.implicit {
            "  (always, unless set)"
        } else {
            ""
        };
        put(
            &mut text,
            format_args!("    {}: {}{implicit}\n", rule.name, rule.source),
        );
        let share = limit(rule, catalog.metrics[rule.metric].kind).filter(|_| !rule.implicit);
        match share {
            None => put(
                &mut text,
                format_args!("      ↳ the figure of the run decides, without a margin for chance\n"),
            ),
            Some(share) => put(
                &mut text,
                format_args!(
                    "      ↳ a pass needs {} samples at least when none breaks it, to be {} % sure; an unclear run is \
                     repeated up to {} times\n",
                    least_trials(share, confidence),
                    strict.confidence * 100.0,
                    strict.max_extend
                ),
            ),
        }
    }
    text
}

fn thresholds(text: &mut String, catalog: &Catalog, verdict: &LoadVerdict, paint: Paint) {
    heading(text, "THRESHOLDS", paint);
    let mut last = None;
    for (threshold, rule) in verdict.thresholds.iter().zip(&catalog.rules) {
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
            Some(value) => figure(&catalog.metrics[rule.metric], value),
            None => "no data".to_owned(),
        };
        let mark = mark(threshold.outcome, paint);
        put(
            text,
            format_args!("    {mark} '{}' {method}={value}\n", threshold.threshold),
        );
        if let Some(reason) = reason(threshold) {
            put(text, format_args!("      ↳ {reason}\n"));
        }
    }
    text.push('\n');
}

/// Why a threshold does not hold, with a word where k6 would have let it pass.
fn reason(threshold: &ThresholdVerdict) -> Option<String> {
    use crate::verify::judge::LoadOutcome;
    let reason = threshold.reason.as_ref()?;
    let k6_differs = threshold.k6_passes && threshold.outcome != LoadOutcome::Pass;
    Some(if k6_differs {
        format!("{reason} (k6 would pass it)")
    } else {
        reason.clone()
    })
}

fn checks(text: &mut String, measured: &Measured, paint: Paint) {
    let all = &measured.groups.checks;
    if all.is_empty() {
        return;
    }
    let (passes, fails) = all.iter().fold((0, 0), |(passes, fails), check| {
        (passes + check.count.passes, fails + check.count.fails)
    });
    let total = passes + fails;
    let rate = per_second(total as f64, measured.seconds());
    put(
        text,
        format_args!("    checks_total.......: {total} {rate:.6}/s\n"),
    );
    put(
        text,
        format_args!(
            "    checks_succeeded...: {} {passes} out of {total}\n",
            percent(passes, total)
        ),
    );
    put(
        text,
        format_args!(
            "    checks_failed......: {} {fails} out of {total}\n\n",
            percent(fails, total)
        ),
    );
    measured
        .groups
        .checks_of("")
        .for_each(|one| check(text, one, "", paint));
    for path in &measured.groups.paths {
        let mut inside = measured.groups.checks_of(path).peekable();
        if inside.peek().is_some() {
            let name = path.trim_start_matches("::").replace("::", " > ");
            put(text, format_args!("\n    {}\n", paint.tone(Tone::Strong, &name)));
            inside.for_each(|one| check(text, one, "  ", paint));
        }
    }
    text.push('\n');
}

fn check(text: &mut String, check: &Check, indent: &str, paint: Paint) {
    let (passes, fails, name) = (check.count.passes, check.count.fails, &check.name);
    if fails == 0 && passes > 0 {
        put(
            text,
            format_args!("    {indent}{} {name}\n", paint.tone(Tone::Good, "✓")),
        );
        return;
    }
    let share = (passes * 100).checked_div(passes + fails).unwrap_or_default();
    put(
        text,
        format_args!("    {indent}{} {name}\n", paint.tone(Tone::Bad, "✗")),
    );
    put(
        text,
        format_args!("    {indent}  ↳ {share:>2}% — ✓ {passes} / ✗ {fails}\n"),
    );
}

fn section(
    text: &mut String,
    name: &str,
    metrics: &[usize],
    (plan, catalog, measured): (&ScriptPlan, &Catalog, &Measured),
    paint: Paint,
) {
    let own = crate::verify::script::catalog::builtins().len();
    let has_rule = |name: &str| catalog.rules.iter().any(|rule| rule.name == name);
    let is_part = |metric: usize| (builtin::HTTP_REQ_DURATION..builtin::DATA_SENT).contains(&metric);
    let shown = |(line, metric, sink): &(&str, usize, &Sink)| {
        let here = match name {
            "CUSTOM" => *metric >= own,
            "HTTP" => metrics.contains(metric) || is_part(*metric) && has_rule(line),
            _ => metrics.contains(metric),
        };
        here && !sink.is_empty()
    };
    let chosen: Vec<_> = lines(catalog, measured).into_iter().filter(shown).collect();
    if chosen.is_empty() {
        return;
    }
    put(text, format_args!("    {}\n", paint.tone(Tone::Strong, name)));
    let label = |name: &str| match name.split_once('{') {
        None => name.to_owned(),
        Some((_, tags)) => format!("  {{ {} }}", tags.trim_end_matches('}')),
    };
    let width = chosen
        .iter()
        .map(|(name, ..)| label(name).chars().count())
        .max()
        .unwrap_or_default()
        + 3;
    for (name, metric, sink) in chosen {
        let label = label(name);
        let dots = ".".repeat(width.saturating_sub(label.chars().count()));
        let figures = figures(&catalog.metrics[metric], sink, plan, measured.seconds());
        put(
            text,
            format_args!("    {label}{}: {figures}\n", paint.tone(Tone::Dim, &dots)),
        );
    }
    text.push('\n');
}

fn figures(metric: &Declared, sink: &Sink, plan: &ScriptPlan, seconds: f64) -> String {
    match sink {
        Sink::Counter { sum, .. } if metric.contains == Contains::Data => {
            format!("{} {}/s", bytes(*sum), bytes(per_second(*sum, seconds)))
        }
        Sink::Counter { sum, .. } => format!("{sum} {:.6}/s", per_second(*sum, seconds)),
        Sink::Gauge { last, min, max, .. } => format!("{last} min={min} max={max}"),
        Sink::Rate { part, all } => format!("{} {part} out of {all}", percent(*part, *all)),
        Sink::Trend(_) => {
            let values = trend_values(sink, &plan.trend_stats);
            let one = |(stat, value): (&String, &serde_json::Value)| {
                let value = value.as_f64().unwrap_or_default();
                match stat.as_str() {
                    "count" => format!("count={value}"),
                    stat => format!("{stat}={}", figure(metric, value)),
                }
            };
            values.iter().map(one).collect::<Vec<_>>().join(" ")
        }
    }
}

fn figure(metric: &Declared, value: f64) -> String {
    match (metric.kind, metric.contains) {
        (Kind::Rate, _) => share_text(value),
        (Kind::Trend, Contains::Time) => duration(value),
        _ => number(value),
    }
}

fn put(text: &mut String, arguments: Arguments<'_>) {
    text.write_fmt(arguments)
        .expect("because writing to a String cannot fail");
}
