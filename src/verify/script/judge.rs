//! Judgement of a script's run: k6's verdict to the letter, or the strict one.

use super::Measured;
use super::catalog::{Catalog, builtin, limit};
use super::sink::Sink;
use crate::config::load_check::metric::Kind;
use crate::config::load_check::plan::{Executor, Strict};
use crate::config::load_check::threshold::{Method, Operator};
use crate::config::load_check::{FailOnChecks, Mode};
use crate::config::script::{Contains, ScriptPlan, ScriptRule};
use crate::verify::judge::{
    CheckVerdict, EvidenceFigures, LoadOutcome, LoadVerdict, ThresholdVerdict, milliseconds, percent,
};
use crate::verify::proportion::Evidence;
use crate::verify::samples::Ended;
use crate::verify::sequential::level;

/// Judges what a script measured. `looks` is how often the same samples may be judged, repetitions included.
#[must_use]
pub fn judge(
    plan: &ScriptPlan,
    catalog: &Catalog,
    measured: &Measured,
    mode: Mode,
    looks: u32,
) -> LoadVerdict {
    let judge = Judge {
        catalog,
        measured,
        strict: &plan.load.strict,
        alpha: level(1.0 - plan.load.strict.confidence, looks),
        mode,
    };
    let thresholds: Vec<_> = (0..catalog.rules.len()).map(|index| judge.rule(index)).collect();
    let checks = judge.checks();
    let (outcome, reason) = match mode {
        Mode::K6 => judge.as_k6(&thresholds),
        Mode::Strict => judge.overall(plan, &thresholds, &checks),
    };
    LoadVerdict {
        outcome,
        reason,
        thresholds,
        checks,
    }
}

/// The first rule with `abortOnFail` that is crossed at this moment; no samples decide nothing.
#[must_use]
pub fn crossed(plan: &ScriptPlan, catalog: &Catalog, measured: &Measured, mode: Mode) -> Option<usize> {
    let judge = Judge {
        catalog,
        measured,
        strict: &plan.load.strict,
        alpha: 1.0 - plan.load.strict.confidence,
        mode,
    };
    let due = |rule: &ScriptRule| rule.abort_after.is_some_and(|delay| measured.elapsed >= delay);
    (0..catalog.rules.len()).find(|index| {
        let rule = &catalog.rules[*index];
        due(rule) && !judge.sink(rule).is_empty() && judge.rule(*index).outcome == LoadOutcome::Fail
    })
}

/// A generator that is later than this, in milliseconds, cannot say that a service is slow.
const LAG_LIMIT_MS: f64 = 50.0;

struct Judge<'a> {
    catalog: &'a Catalog,
    measured: &'a Measured,
    strict: &'a Strict,
    alpha: f64,
    mode: Mode,
}

impl Judge<'_> {
    fn sink(&self, rule: &ScriptRule) -> &Sink {
        match self.catalog.selection_of(rule) {
            Some(selection) => &self.measured.narrowed[selection],
            None => &self.measured.sinks[rule.metric],
        }
    }

    fn rule(&self, index: usize) -> ThresholdVerdict {
        let rule = &self.catalog.rules[index];
        let kind = self.catalog.metrics[rule.metric].kind;
        let value = self
            .sink(rule)
            .figure(rule.threshold.method, self.measured.seconds());
        let holds = |value| rule.threshold.operator.holds(value, rule.threshold.bound);
        // k6 skips a rate without samples, and takes everything else for 0.
        let k6_passes = value.map_or_else(|| kind == Kind::Rate || holds(0.0), holds);
        let evidence = limit(rule, kind)
            .filter(|_| !rule.implicit)
            .map(|limit| Evidence::new(&self.measured.broken[index], limit, self.alpha));
        let (strict, reason) = match (&evidence, value) {
            (Some(evidence), _) => self.by_share(rule, kind, value, evidence),
            (None, None) if kind == Kind::Counter => self.by_value(rule, 0.0, holds(0.0)),
            (None, None) => (LoadOutcome::Fail, Some("nothing was measured".to_owned())),
            (None, Some(value)) => self.by_value(rule, value, holds(value)),
        };
        let (outcome, reason) = match self.mode {
            Mode::Strict => (strict, reason),
            Mode::K6 => as_k6_judges(k6_passes, strict, reason),
        };
        ThresholdVerdict {
            comparison: None,
            metric: rule.name.clone(),
            threshold: rule.source.clone(),
            implicit: rule.implicit,
            value,
            outcome,
            k6_passes,
            evidence: evidence.map(EvidenceFigures::from),
            reason,
        }
    }

    fn by_share(
        &self,
        rule: &ScriptRule,
        kind: Kind,
        value: Option<f64>,
        evidence: &Evidence,
    ) -> (LoadOutcome, Option<String>) {
        let Some(share) = evidence.share() else {
            return (LoadOutcome::Fail, Some("nothing was measured".to_owned()));
        };
        let figure =
            value.map(|value| format!("{} is {}: ", rule.threshold.method, self.figure(rule, value)));
        let what = match kind {
            Kind::Trend => format!(
                "were {} or more, or failed",
                self.figure(rule, rule.threshold.bound)
            ),
            _ => "were on the wrong side".to_owned(),
        };
        let seen = format!(
            "{}{} of {} samples {what}, {} are allowed",
            figure.unwrap_or_default(),
            percent(share),
            evidence.samples,
            percent(evidence.limit)
        );
        let certainty = percent(self.strict.confidence);
        match evidence.holds {
            Some(true) => (LoadOutcome::Pass, None),
            Some(false) => (LoadOutcome::Fail, Some(seen)),
            None if evidence.effective < evidence.needed => {
                let needed = format!("{} at least are needed to be {certainty} sure", evidence.needed);
                (LoadOutcome::Inconclusive, Some(format!("{seen}; {needed}")))
            }
            None => {
                let range = format!("between {} and {}", percent(evidence.low), percent(evidence.high));
                (
                    LoadOutcome::Inconclusive,
                    Some(format!("{seen}; {certainty} sure is only {range}")),
                )
            }
        }
    }

    fn by_value(&self, rule: &ScriptRule, value: f64, holds: bool) -> (LoadOutcome, Option<String>) {
        let largest = matches!(rule.threshold.method, Method::Max | Method::P(_));
        let below = matches!(rule.threshold.operator, Operator::Less | Operator::LessOrEqual);
        let of_requests = (builtin::HTTP_REQ_DURATION..builtin::DATA_SENT).contains(&rule.metric);
        if holds && largest && below && of_requests && self.measured.failures > 0 {
            let reason = format!(
                "{} requests failed, which is slower than any bound",
                self.measured.failures
            );
            return (LoadOutcome::Fail, Some(reason));
        }
        if holds {
            return (LoadOutcome::Pass, None);
        }
        let reason = format!("{} is {}", rule.threshold.method, self.figure(rule, value));
        (LoadOutcome::Fail, Some(reason))
    }

    /// A figure in the unit of the rule's metric.
    fn figure(&self, rule: &ScriptRule, value: f64) -> String {
        let metric = &self.catalog.metrics[rule.metric];
        match (metric.kind, metric.contains) {
            (Kind::Rate, _) => percent(value),
            (_, Contains::Time) => milliseconds(value),
            _ => format!("{}", (value * 100.0).round() / 100.0),
        }
    }

    fn checks(&self) -> Vec<CheckVerdict> {
        let checks = self.measured.groups.checks.iter();
        checks
            .map(|check| {
                let count = check.count;
                let fails = match self.strict.fail_on_checks {
                    _ if self.mode == Mode::K6 => false,
                    FailOnChecks::NeverPassed => count.passes == 0,
                    FailOnChecks::All => count.fails > 0,
                    FailOnChecks::Off => false,
                };
                let group = check.group.trim_start_matches("::").replace("::", " > ");
                CheckVerdict {
                    name: if group.is_empty() {
                        check.name.to_string()
                    } else {
                        format!("{group} > {}", check.name)
                    },
                    passes: count.passes,
                    fails: count.fails,
                    outcome: if fails {
                        LoadOutcome::Fail
                    } else {
                        LoadOutcome::Pass
                    },
                }
            })
            .collect()
    }

    fn as_k6(&self, thresholds: &[ThresholdVerdict]) -> (LoadOutcome, String) {
        if self.measured.ended == Ended::Interrupted {
            return (LoadOutcome::Void, "the check was interrupted".to_owned());
        }
        let crossed: Vec<String> = thresholds
            .iter()
            .filter(|threshold| threshold.outcome == LoadOutcome::Fail)
            .map(|threshold| format!("{}: {}", threshold.metric, threshold.threshold))
            .collect();
        if crossed.is_empty() {
            (
                LoadOutcome::Pass,
                "no threshold is crossed, as k6 judges".to_owned(),
            )
        } else {
            (LoadOutcome::Fail, format!("crossed: {}", crossed.join("; ")))
        }
    }

    fn overall(
        &self,
        plan: &ScriptPlan,
        thresholds: &[ThresholdVerdict],
        checks: &[CheckVerdict],
    ) -> (LoadOutcome, String) {
        let measured = self.measured;
        if measured.ended == Ended::Interrupted {
            return (LoadOutcome::Void, "the check was interrupted".to_owned());
        }
        if measured.requests(self.catalog) == 0 {
            return (LoadOutcome::Fail, "no request was sent".to_owned());
        }
        let of = |outcome| {
            thresholds
                .iter()
                .filter(move |threshold| threshold.outcome == outcome)
        };
        let mut failed: Vec<String> = of(LoadOutcome::Fail).map(ToString::to_string).collect();
        let failed_checks = checks.iter().filter(|check| check.outcome == LoadOutcome::Fail);
        failed.extend(failed_checks.map(ToString::to_string));
        if let Some(exception) = measured.exceptions.first() {
            let first = exception.lines().next().unwrap_or_default();
            failed.push(format!(
                "{} iterations threw, the first: {first}",
                measured.thrown
            ));
        }
        if !failed.is_empty() {
            return (LoadOutcome::Fail, failed.join("; "));
        }
        let on_schedule = |executor: &Executor| matches!(executor, Executor::ArrivalRate { .. });
        let lag = measured.lag.percentile(99.0).unwrap_or_default();
        if lag > LAG_LIMIT_MS
            && plan
                .load
                .scenarios
                .iter()
                .any(|scenario| on_schedule(&scenario.executor))
        {
            let reason = format!("the load generator could not keep its schedule: it was {lag:.0} ms late");
            return (LoadOutcome::Void, reason);
        }
        let unclear: Vec<String> = of(LoadOutcome::Inconclusive).map(ToString::to_string).collect();
        if !unclear.is_empty() {
            return (LoadOutcome::Inconclusive, unclear.join("; "));
        }
        let requests = measured.requests(self.catalog);
        let bounds = thresholds.len();
        let plural = if bounds == 1 {
            "threshold holds"
        } else {
            "thresholds hold"
        };
        (
            LoadOutcome::Pass,
            format!("{bounds} {plural} over {requests} requests"),
        )
    }
}

/// k6's answer, with a word where the strict one differs.
fn as_k6_judges(
    k6_passes: bool,
    strict: LoadOutcome,
    reason: Option<String>,
) -> (LoadOutcome, Option<String>) {
    match (k6_passes, strict) {
        (true, LoadOutcome::Pass) => (LoadOutcome::Pass, None),
        (true, other) => {
            let reason = reason.unwrap_or_default();
            (
                LoadOutcome::Pass,
                Some(format!("mode strict says {other}: {reason}")),
            )
        }
        (false, LoadOutcome::Fail) => (LoadOutcome::Fail, reason),
        (false, other) => (LoadOutcome::Fail, Some(format!("mode strict says {other}"))),
    }
}
