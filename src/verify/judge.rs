//! Judgement of a load check: pass, fail, inconclusive or void, each with its reason. What cannot be known never
//! passes.

use std::fmt;

use serde::Serialize;

use super::baseline::{Comparison, compare};
use super::exchange::TIMED;
use super::proportion::{Evidence, limit};
use super::samples::{Ended, Samples};
use super::sequential::level;
use crate::config::load_check::metric::Metric;
use crate::config::load_check::plan::{Executor, Plan, Rule};
use crate::config::load_check::threshold::{Method, Operator};
use crate::config::load_check::{FailOnChecks, Mode};

/// What a load check found out.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadVerdict {
    /// The verdict.
    pub outcome: LoadOutcome,
    /// Why, as one sentence without a full stop.
    pub reason: String,
    /// Each threshold, in the order of [`Plan::rules`].
    pub thresholds: Vec<ThresholdVerdict>,
    /// Each check, in the order of [`Plan::checks`].
    pub checks: Vec<CheckVerdict>,
}

/// The verdict of a load check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LoadOutcome {
    /// Every bound holds, as surely as was asked for.
    Pass,
    /// A bound does not hold.
    Fail,
    /// The samples do not say whether a bound holds.
    Inconclusive,
    /// The measurement was disturbed and says nothing.
    Void,
}

/// What became of a threshold.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ThresholdVerdict {
    /// The metric, with its tags.
    pub metric: String,
    /// The expression as it was written.
    pub threshold: String,
    /// Whether gitsync added it.
    pub implicit: bool,
    /// The figure of the whole run, as k6 computes it; `None` without samples.
    pub value: Option<f64>,
    /// Whether it holds.
    pub outcome: LoadOutcome,
    /// Whether k6 would let it pass.
    pub k6_passes: bool,
    /// What the samples say, where the threshold bounds a share.
    pub evidence: Option<EvidenceFigures>,
    /// How the target compares with the baseline, where the threshold asks for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// Why it does not hold; `None` when it does.
    pub reason: Option<String>,
}

/// The figures of an [`Evidence`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceFigures {
    /// Samples.
    pub samples: u64,
    /// Those that broke the bound, failed requests among them.
    pub broken: u64,
    /// The share that must not be reached.
    pub limit: f64,
    /// How many independent samples these are worth.
    pub effective_samples: f64,
    /// The confidence interval of the true share.
    pub interval: [f64; 2],
    /// The samples that a pass needs at least.
    pub needed_samples: f64,
}

/// What became of a check.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckVerdict {
    /// The name.
    pub name: String,
    /// How often it held.
    pub passes: u64,
    /// How often it did not.
    pub fails: u64,
    /// Whether it fails the load check by itself.
    pub outcome: LoadOutcome,
}

/// A generator that is later than this cannot tell a slow service from a slow self.
const LEAST_LAG_LIMIT_MS: f64 = 5.0;

/// The lag that is allowed, as a share of the tightest bound on a duration.
const LAG_SHARE: f64 = 0.05;

/// Judges what was measured.
///
/// `looks` is how often the same samples may be judged, repetitions included: each look gets its part of the
/// probability to be wrong.
#[must_use]
pub fn judge(plan: &Plan, samples: &Samples, looks: u32) -> LoadVerdict {
    let lag = excess_lag(plan, samples);
    let alpha = level(1.0 - plan.strict.confidence, looks);
    let judge_rule = |(index, rule)| {
        Judge {
            plan,
            samples,
            alpha,
            lag,
        }
        .rule(index, rule)
    };
    let thresholds: Vec<_> = plan.rules.iter().enumerate().map(judge_rule).collect();
    if plan.mode == Mode::K6 {
        return as_k6(plan, samples, thresholds);
    }
    let checks = judge_checks(plan, samples);
    let (outcome, reason) = overall(plan, samples, lag, &thresholds, &checks);
    LoadVerdict {
        outcome,
        reason,
        thresholds,
        checks,
    }
}

/// Whether the rule of that index is crossed already, for `abortOnFail`. Unlike at the end, no samples decide nothing.
#[must_use]
pub fn is_crossed(plan: &Plan, samples: &Samples, index: usize) -> bool {
    let rule = &plan.rules[index];
    let alpha = 1.0 - plan.strict.confidence;
    let verdict = Judge {
        plan,
        samples,
        alpha,
        lag: None,
    }
    .rule(index, rule);
    let crossed = match plan.mode {
        Mode::Strict => verdict.outcome == LoadOutcome::Fail,
        Mode::K6 => !verdict.k6_passes && !verdict.implicit,
    };
    crossed && verdict.value.is_some()
}

/// Judges as k6 does, with a word where the strict judgement differs.
fn as_k6(plan: &Plan, samples: &Samples, mut thresholds: Vec<ThresholdVerdict>) -> LoadVerdict {
    thresholds.retain(|threshold| !threshold.implicit);
    for threshold in &mut thresholds {
        let (strict, reason) = (threshold.outcome, threshold.reason.take());
        let k6 = if threshold.k6_passes {
            LoadOutcome::Pass
        } else {
            LoadOutcome::Fail
        };
        threshold.outcome = k6;
        threshold.reason = match reason {
            Some(reason) if strict != k6 => Some(format!("mode strict says {strict}: {reason}")),
            None if strict != k6 => Some(format!("mode strict says {strict}")),
            reason => reason,
        };
    }
    let mut checks = judge_checks(plan, samples);
    checks
        .iter_mut()
        .for_each(|check| check.outcome = LoadOutcome::Pass);
    let crossed = thresholds
        .iter()
        .filter(|threshold| threshold.outcome == LoadOutcome::Fail);
    let crossed: Vec<String> = crossed
        .map(|threshold| format!("{}: {}", threshold.metric, threshold.threshold))
        .collect();
    let (outcome, reason) = match (samples.ended, crossed.is_empty()) {
        (Ended::Interrupted, _) => (LoadOutcome::Void, "the check was interrupted".to_owned()),
        (_, true) => (
            LoadOutcome::Pass,
            "no threshold is crossed, as k6 judges".to_owned(),
        ),
        (_, false) => (LoadOutcome::Fail, format!("crossed: {}", crossed.join("; "))),
    };
    LoadVerdict {
        outcome,
        reason,
        thresholds,
        checks,
    }
}

// === thresholds ===

struct Judge<'a> {
    plan: &'a Plan,
    samples: &'a Samples,
    alpha: f64,
    lag: Option<f64>,
}

impl Judge<'_> {
    fn rule(&self, index: usize, rule: &Rule) -> ThresholdVerdict {
        let value = self
            .samples
            .figure(self.plan, &rule.selection, rule.threshold.method);
        if rule.threshold.relative {
            return self.by_baseline(index, rule, value);
        }
        let holds = |value| rule.threshold.operator.holds(value, rule.threshold.bound);
        // The rule that gitsync adds is taken at its word: proving it would need 299 requests without a failure.
        let evidence = limit(rule)
            .filter(|_| !rule.implicit)
            .map(|limit| Evidence::new(&self.samples.broken[index], limit, self.alpha));
        let (outcome, reason) = match (evidence, value) {
            (Some(evidence), _) => self.by_share(rule, value, &evidence),
            (None, None) => (LoadOutcome::Fail, Some("nothing was measured".to_owned())),
            (None, Some(value)) => self.by_value(rule, value, holds(value)),
        };
        ThresholdVerdict {
            metric: rule.selection.to_string(),
            threshold: rule.source.clone(),
            implicit: rule.implicit,
            value,
            outcome,
            k6_passes: value.map_or_else(|| passes_empty(rule), holds),
            evidence: evidence.map(EvidenceFigures::from),
            comparison: None,
            reason,
        }
    }

    /// A percentile against that of the baseline.
    fn by_baseline(&self, index: usize, rule: &Rule, value: Option<f64>) -> ThresholdVerdict {
        let share = match rule.threshold.method {
            Method::P(rank) => rank / 100.0,
            _ => 0.5,
        };
        let sides = self.samples.spreads.get(index).zip(
            self.samples
                .baseline
                .as_ref()
                .and_then(|baseline| baseline.spreads.get(index)),
        );
        let unfit = sides.and_then(|(_, baseline)| baseline.unfit());
        let bound = (rule.threshold.operator, rule.threshold.bound);
        let comparison =
            sides.and_then(|(target, baseline)| compare(target, baseline, share, bound, self.alpha));
        let (outcome, reason) = match (unfit, &comparison) {
            (Some(why), _) => (LoadOutcome::Inconclusive, Some(why)),
            (None, None) => (LoadOutcome::Fail, Some("nothing was measured".to_owned())),
            (None, Some(found)) => match found.holds {
                Some(true) => (LoadOutcome::Pass, None),
                Some(false) => (LoadOutcome::Fail, Some(beside(rule, found))),
                None => {
                    let certainty = percent(self.plan.strict.confidence);
                    let range = match found.interval {
                        [low, Some(high)] => {
                            format!(
                                "{certainty} sure is only {:.2} to {high:.2} times",
                                low.unwrap_or_default()
                            )
                        }
                        [_, None] => format!(
                            "{} and {} requests are too few to be {certainty} sure",
                            found.samples, found.baseline_samples
                        ),
                    };
                    (
                        LoadOutcome::Inconclusive,
                        Some(format!("{}; {range}", beside(rule, found))),
                    )
                }
            },
        };
        ThresholdVerdict {
            metric: rule.selection.to_string(),
            threshold: rule.source.clone(),
            implicit: rule.implicit,
            value,
            outcome,
            k6_passes: false,
            evidence: None,
            comparison,
            reason,
        }
    }

    fn by_share(
        &self,
        rule: &Rule,
        value: Option<f64>,
        evidence: &Evidence,
    ) -> (LoadOutcome, Option<String>) {
        let Some(share) = evidence.share() else {
            return (LoadOutcome::Fail, Some("nothing was measured".to_owned()));
        };
        let figure = value.map(|value| format!("{} is {}: ", rule.threshold.method, figure(rule, value)));
        let seen = format!(
            "{}{} of {} {}, {} are allowed",
            figure.unwrap_or_default(),
            percent(share),
            evidence.samples,
            what_broke(rule),
            percent(evidence.limit)
        );
        let certainty = percent(self.plan.strict.confidence);
        match evidence.holds {
            Some(true) => (LoadOutcome::Pass, None),
            Some(false) => self.unless_lagging(rule, value, seen),
            None if evidence.effective < evidence.needed => {
                let seen = if evidence.broken > 0 {
                    format!("{seen}; ")
                } else {
                    String::new()
                };
                let samples = evidence.samples;
                let worth = if evidence.effective + 0.5 < samples as f64 {
                    format!(", worth {:.0} independent ones", evidence.effective)
                } else {
                    String::new()
                };
                let needed = format!(
                    "{} samples at least are needed to be {certainty} sure",
                    evidence.needed
                );
                (
                    LoadOutcome::Inconclusive,
                    Some(format!("{seen}{samples} samples{worth}: {needed}")),
                )
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

    fn by_value(&self, rule: &Rule, value: f64, holds: bool) -> (LoadOutcome, Option<String>) {
        let (failed, all) = self.samples.failures();
        let largest = matches!(rule.threshold.method, Method::Max | Method::P(_));
        let below = matches!(rule.threshold.operator, Operator::Less | Operator::LessOrEqual);
        if holds && largest && below && failed > 0 && TIMED.contains(&rule.selection.metric) {
            let reason =
                format!("{failed} of {all} requests failed or were cut off, which is slower than any bound");
            return (LoadOutcome::Fail, Some(reason));
        }
        if holds {
            return (LoadOutcome::Pass, None);
        }
        self.unless_lagging(
            rule,
            Some(value),
            format!("{} is {}", rule.threshold.method, figure(rule, value)),
        )
    }

    /// A failure, unless the generator's own lateness may be all that crossed the bound.
    fn unless_lagging(
        &self,
        rule: &Rule,
        value: Option<f64>,
        reason: String,
    ) -> (LoadOutcome, Option<String>) {
        let crossed_by = value.map_or(0.0, |value| value - rule.threshold.bound);
        match self.lag {
            Some(lag) if TIMED.contains(&rule.selection.metric) && (0.0..lag).contains(&crossed_by) => {
                let reason = format!("{reason}; but the load generator itself was {lag:.0} ms late");
                (LoadOutcome::Inconclusive, Some(reason))
            }
            _ => (LoadOutcome::Fail, Some(reason)),
        }
    }
}

/// The two percentiles as a sentence has them.
fn beside(rule: &Rule, found: &Comparison) -> String {
    let (method, theirs) = (rule.threshold.method, milliseconds(found.baseline));
    match found.target {
        Some(mine) => format!(
            "{method} is {}, {:.2} times the baseline's {theirs}",
            milliseconds(mine),
            mine / found.baseline
        ),
        None => format!("{method} lies among requests that failed; the baseline's is {theirs}"),
    }
}

/// Whether k6 lets a threshold pass that saw no sample: rates are skipped, everything else counts as 0.
fn passes_empty(rule: &Rule) -> bool {
    matches!(rule.selection.metric, Metric::HttpReqFailed | Metric::Checks)
        || rule.threshold.operator.holds(0.0, rule.threshold.bound)
}

fn what_broke(rule: &Rule) -> String {
    match rule.selection.metric {
        Metric::HttpReqFailed => "requests failed".to_owned(),
        Metric::Checks => "checks did not hold".to_owned(),
        _ => format!(
            "requests took {} or longer, or failed",
            figure(rule, rule.threshold.bound)
        ),
    }
}

/// A figure in the unit of the rule's metric.
fn figure(rule: &Rule, value: f64) -> String {
    match rule.selection.metric {
        Metric::HttpReqFailed | Metric::Checks => percent(value),
        metric if TIMED.contains(&metric) || metric == Metric::IterationDuration => milliseconds(value),
        _ => format!("{value:.2}")
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned(),
    }
}

pub(super) fn milliseconds(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0} ms")
    } else {
        format!("{} ms", (value * 100.0).round() / 100.0)
    }
}

/// A share as per cent, without digits that say nothing.
pub(super) fn percent(share: f64) -> String {
    format!("{} %", (share * 1e4).round() / 1e2)
}

// === checks, lag, the whole ===

fn judge_checks(plan: &Plan, samples: &Samples) -> Vec<CheckVerdict> {
    let counts = samples.check_counts(plan);
    let with_names = plan.checks.iter().zip(counts);
    with_names
        .map(|(name, count)| {
            let fails = match plan.strict.fail_on_checks {
                FailOnChecks::NeverPassed => count.passes == 0,
                FailOnChecks::All => count.passes == 0 || count.fails > 0,
                FailOnChecks::Off => false,
            };
            CheckVerdict {
                name: name.clone(),
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

/// The 99th percentile of the generator's lateness in milliseconds, when it is too much to measure by.
fn excess_lag(plan: &Plan, samples: &Samples) -> Option<f64> {
    let timed = |rule: &&Rule| {
        TIMED.contains(&rule.selection.metric) && rule.threshold.bound > 0.0 && !rule.threshold.relative
    };
    let bounds = plan.rules.iter().filter(timed).map(|rule| rule.threshold.bound);
    let tightest = bounds.fold(f64::INFINITY, f64::min);
    if !tightest.is_finite() {
        return None;
    }
    let lag = samples.lag.percentile(99.0)?;
    (lag > (LAG_SHARE * tightest).max(LEAST_LAG_LIMIT_MS)).then_some(lag)
}

fn overall(
    plan: &Plan,
    samples: &Samples,
    lag: Option<f64>,
    thresholds: &[ThresholdVerdict],
    checks: &[CheckVerdict],
) -> (LoadOutcome, String) {
    if samples.ended == Ended::Interrupted {
        return (LoadOutcome::Void, "the check was interrupted".to_owned());
    }
    if samples.request_count() == 0 {
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
    if !failed.is_empty() {
        failed.extend(samples.commonest_error(plan));
        return (LoadOutcome::Fail, failed.join("; "));
    }
    let on_schedule = |scenario: &crate::config::load_check::plan::Scenario| {
        matches!(scenario.executor, Executor::ArrivalRate { .. })
    };
    if let Some(lag) = lag.filter(|_| plan.scenarios.iter().any(on_schedule)) {
        return (
            LoadOutcome::Void,
            format!("the load generator could not keep its schedule: it was {lag:.0} ms late"),
        );
    }
    let unclear: Vec<String> = of(LoadOutcome::Inconclusive).map(ToString::to_string).collect();
    if !unclear.is_empty() {
        return (LoadOutcome::Inconclusive, unclear.join("; "));
    }
    let bounds = thresholds.len();
    let plural = if bounds == 1 {
        "threshold holds"
    } else {
        "thresholds hold"
    };
    let what = format!("{bounds} {plural} over {} requests", samples.request_count());
    (LoadOutcome::Pass, what)
}

impl Samples {
    /// The failure that most failed requests had, with their number.
    #[must_use]
    pub fn commonest_error(&self, plan: &Plan) -> Option<String> {
        let mut kinds: Vec<(String, u64)> = Vec::new();
        for (key, series) in self
            .requests
            .iter()
            .filter(|(key, _)| (key.failed() || key.cut()) && !key.hop)
        {
            let text = match key.error {
                Some(error) => error.text().to_owned(),
                None => format!("answered with status {}", key.status),
            };
            let name = &plan.requests[usize::from(key.request)].name;
            let text = format!("{name}: {text}");
            match kinds.iter_mut().find(|(known, _)| *known == text) {
                Some((_, count)) => *count += series.count,
                None => kinds.push((text, series.count)),
            }
        }
        let (text, count) = kinds.into_iter().max_by_key(|(_, count)| *count)?;
        Some(format!("{text} ({count} of {} requests)", self.failures().1))
    }
}

// === impl parts ===

impl From<Evidence> for EvidenceFigures {
    fn from(evidence: Evidence) -> Self {
        let Evidence {
            samples,
            broken,
            limit,
            effective,
            low,
            high,
            needed,
            holds: _,
        } = evidence;
        Self {
            samples,
            broken,
            limit,
            effective_samples: effective,
            interval: [low, high],
            needed_samples: needed,
        }
    }
}

impl fmt::Display for ThresholdVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.metric, self.threshold)?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for CheckVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name, passes, fails, ..
        } = self;
        match (passes, passes + fails) {
            (_, 0) => write!(f, "check `{name}` was never made"),
            (0, all) => write!(f, "check `{name}` never held in {all} times"),
            (_, all) => write!(f, "check `{name}` did not hold {fails} of {all} times"),
        }
    }
}

impl fmt::Display for LoadOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
            Self::Void => "void",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::load_check::LoadCheckSpec;
    use crate::verify::exchange::{ErrorKind, Protocol, SeriesKey, Timings};

    fn mk_plan(text: &str) -> Plan {
        let text = format!("target: {{url: 'http://a'}}\nvus: 2\nduration: 5s\n{text}\n");
        serde_yaml::from_str::<LoadCheckSpec>(&text)
            .unwrap()
            .compile()
            .unwrap()
    }

    fn mk_key(status: u16) -> SeriesKey {
        SeriesKey {
            scenario: 0,
            request: 0,
            status,
            error: None,
            hop: false,
            expected: (200..400).contains(&status),
            protocol: Protocol::Http1,
        }
    }

    fn mk_timings(millis: u64) -> Option<Timings> {
        Some(Timings {
            waiting: Duration::from_millis(millis),
            ..Timings::default()
        })
    }

    /// Requests by status, time and number, spread evenly over five seconds.
    fn mk_samples(plan: &Plan, requests: &[(u16, u64, u64)]) -> Samples {
        let mut samples = Samples::new(plan);
        samples.elapsed = Duration::from_secs(5);
        for (status, millis, count) in requests {
            for i in 0..*count {
                let at = Duration::from_millis(i % 5 * 1000);
                samples.add_request(plan, mk_key(*status), at, mk_timings(*millis));
            }
        }
        samples
    }

    #[test]
    fn verdicts_follow_from_what_was_measured() {
        use LoadOutcome::{Fail, Inconclusive, Pass};
        let duration = "thresholds: {http_req_duration: ['p(90)<600']}";
        for (name, spec, requests, outcome, says) in [
            ("fast", duration, &[(200, 50, 100)][..], Pass, "hold"),
            (
                "slow",
                duration,
                &[(200, 700, 100)],
                Fail,
                "100 % of 100 requests took 600 ms or longer",
            ),
            (
                "just in time",
                duration,
                &[(200, 600, 100)],
                Fail,
                "600 ms or longer",
            ),
            (
                "too few to tell",
                duration,
                &[(200, 50, 20)],
                Inconclusive,
                "29 samples at least",
            ),
            (
                "near the bound",
                duration,
                &[(200, 50, 91), (200, 700, 9)],
                Inconclusive,
                "between",
            ),
            (
                "one in fifty slow",
                duration,
                &[(200, 50, 490), (200, 700, 10)],
                Pass,
                "hold",
            ),
            ("all 500 and fast", duration, &[(500, 2, 100)], Fail, "status 500"),
            (
                "two per cent 500",
                duration,
                &[(200, 2, 98), (500, 2, 2)],
                Fail,
                "http_req_failed: rate<0.01",
            ),
            ("no samples", duration, &[], Fail, "no request was sent"),
            ("no thresholds", "", &[(200, 2, 5)], Pass, "1 threshold holds"),
            (
                "max",
                "thresholds: {http_req_duration: [max<600]}",
                &[(200, 5, 999), (200, 601, 1)],
                Fail,
                "max is 601 ms",
            ),
            (
                "max and a failure",
                "thresholds: {http_req_duration: [max<600]}",
                &[(200, 5, 999), (500, 1, 1)],
                Fail,
                "slower than any bound",
            ),
            (
                "avg",
                "thresholds: {http_req_duration: [avg<600]}",
                &[(200, 5, 10)],
                Pass,
                "hold",
            ),
            (
                "nothing has the tag",
                "thresholds: {'http_req_duration{status:503}': ['p(90)<600']}",
                &[(200, 5, 100)],
                Fail,
                "nothing was measured",
            ),
            (
                "a counter of nothing is zero",
                "thresholds: {'http_reqs{status:503}': [count<1]}",
                &[(200, 5, 100)],
                Pass,
                "hold",
            ),
            (
                "count",
                "thresholds: {http_reqs: [count>100]}",
                &[(200, 5, 100)],
                Fail,
                "count is 100",
            ),
            (
                "rate of requests",
                "thresholds: {http_reqs: [rate>=20]}",
                &[(200, 5, 100)],
                Pass,
                "hold",
            ),
            (
                "explicit failure rate, unproved",
                "thresholds: {http_req_failed: [rate<0.01]}",
                &[(200, 5, 100)],
                Inconclusive,
                "299 samples",
            ),
            (
                "explicit failure rate, proved",
                "thresholds: {http_req_failed: [rate<0.01]}",
                &[(200, 5, 300)],
                Pass,
                "hold",
            ),
        ] {
            let plan = mk_plan(spec);
            let verdict = judge(&plan, &mk_samples(&plan, requests), 1);
            assert_eq!(verdict.outcome, outcome, "{name}: {verdict:?}");
            assert!(verdict.reason.contains(says), "{name}: {}", verdict.reason);
        }
    }

    #[test]
    fn a_request_that_was_never_answered_is_slower_than_any_bound() {
        let plan = mk_plan("thresholds: {http_req_duration: ['p(90)<600'], http_req_failed: ['rate<0.9']}");
        let mut samples = mk_samples(&plan, &[(200, 5, 80)]);
        for i in 0..20 {
            let key = SeriesKey {
                status: 0,
                error: Some(ErrorKind::Refused),
                ..mk_key(0)
            };
            samples.add_request(&plan, key, Duration::from_secs(i % 5), None);
        }
        let verdict = judge(&plan, &samples, 1);
        let duration = &verdict.thresholds[0];
        assert_eq!(
            (duration.outcome, duration.k6_passes),
            (LoadOutcome::Fail, true),
            "{verdict:?}"
        );
        assert!(
            verdict.reason.contains("connection refused (20 of 100 requests)"),
            "{}",
            verdict.reason
        );
    }

    #[test]
    fn more_looks_ask_for_more_evidence() {
        let plan = mk_plan("thresholds: {http_req_duration: ['p(90)<600']}");
        let samples = mk_samples(&plan, &[(200, 50, 30)]);
        assert_eq!(judge(&plan, &samples, 1).outcome, LoadOutcome::Pass);
        assert_eq!(judge(&plan, &samples, 3).outcome, LoadOutcome::Inconclusive);
    }

    #[test]
    fn a_check_fails_by_itself_only_as_configured() {
        use LoadOutcome::{Fail, Pass};
        for (mode, passes, fails, outcome) in [
            ("never-passed", 99, 1, Pass),
            ("never-passed", 0, 100, Fail),
            ("never-passed", 0, 0, Fail),
            ("all", 100, 0, Pass),
            ("all", 99, 1, Fail),
            ("off", 0, 100, Pass),
        ] {
            let plan = mk_plan(&format!(
                "checks: {{ok: status == 200}}\nstrict: {{failOnChecks: {mode}}}"
            ));
            let mut samples = mk_samples(&plan, &[(200, 5, 100)]);
            (0..passes).for_each(|_| samples.add_check(&plan, 0, 0, Duration::ZERO, true));
            (0..fails).for_each(|_| samples.add_check(&plan, 0, 0, Duration::ZERO, false));
            assert_eq!(
                judge(&plan, &samples, 1).outcome,
                outcome,
                "{mode}: {passes} and {fails}"
            );
        }
    }

    #[test]
    fn a_late_generator_does_not_condemn_a_service() {
        let plan = mk_plan("thresholds: {http_req_duration: ['p(90)<600']}");
        let lagging = |requests: &[(u16, u64, u64)]| {
            let mut samples = mk_samples(&plan, requests);
            (0..100).for_each(|_| samples.lag.add(200.0));
            judge(&plan, &samples, 1)
        };
        let slow = lagging(&[(200, 700, 100)]);
        assert_eq!(slow.outcome, LoadOutcome::Inconclusive);
        assert!(slow.reason.contains("200 ms late"), "{}", slow.reason);
        // What is slower than the bound and the lag together is slow.
        assert_eq!(lagging(&[(200, 900, 100)]).outcome, LoadOutcome::Fail);
        assert_eq!(lagging(&[(200, 50, 100)]).outcome, LoadOutcome::Pass);
        assert_eq!(lagging(&[(500, 50, 100)]).outcome, LoadOutcome::Fail);
    }

    #[test]
    fn an_interrupted_check_says_nothing() {
        let plan = mk_plan("");
        let mut samples = mk_samples(&plan, &[(200, 5, 100)]);
        samples.ended = Ended::Interrupted;
        assert_eq!(judge(&plan, &samples, 1).outcome, LoadOutcome::Void);
    }

    #[test]
    fn dropped_iterations_are_slow() {
        let text = "target: {url: 'http://a'}\n\
                    scenarios: {a: {executor: constant-arrival-rate, rate: 10, duration: 5s, preAllocatedVUs: 1}}\n\
                    thresholds: {http_req_duration: ['p(90)<600'], dropped_iterations: ['count<1']}\n";
        let plan = serde_yaml::from_str::<LoadCheckSpec>(text)
            .unwrap()
            .compile()
            .unwrap();
        let mut samples = mk_samples(&plan, &[(200, 5, 50)]);
        (0..50).for_each(|i| samples.add_dropped(&plan, 0, Duration::from_millis(i * 100)));
        let verdict = judge(&plan, &samples, 1);
        assert!(
            verdict
                .thresholds
                .iter()
                .take(2)
                .all(|threshold| threshold.outcome == LoadOutcome::Fail),
            "{verdict:?}"
        );
    }
}
