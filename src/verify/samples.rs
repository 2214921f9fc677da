//! Samples: what a load check measured, as compact distributions by kind of request.
//!
//! Each thread of the generator has samples of its own, and they are merged without a lock. Nothing here grows with
//! the length of a run, except up to the fixed size of a [`Trend`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::baseline::Spread;
use super::exchange::{SeriesKey, TIMED, Timings};
use super::proportion::{Block, Compared, Watch};
use super::trend::Trend;
use crate::config::load_check::metric::Metric;
use crate::config::load_check::plan::Plan;
use crate::config::load_check::threshold::{Method, Selection};

/// Everything that a load check measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// Requests by what tells them apart.
    #[serde(with = "pairs")]
    pub requests: BTreeMap<SeriesKey, Series>,
    /// Checks by scenario and index of [`Plan::checks`].
    #[serde(with = "pairs")]
    pub checks: BTreeMap<(u16, u16), CheckCount>,
    /// Iterations by index of [`Plan::scenarios`].
    pub iterations: Vec<Iterations>,
    /// For each index of [`Plan::rules`], how many of how many requests broke it, by second; empty where the rule
    /// does not bound a share.
    pub broken: Vec<Vec<Block>>,
    /// For each index of [`Plan::rules`] that compares with a baseline, what is compared.
    pub spreads: Vec<Spread>,
    /// What the baseline answered to the same load, where there is one. It is part of no figure.
    pub baseline: Option<Box<Self>>,
    /// Bytes written to sockets.
    pub data_sent: u64,
    /// Bytes read from sockets.
    pub data_received: u64,
    /// How late, in milliseconds, the generator did what it had to do at a set time.
    pub lag: Trend,
    /// Virtual users over time.
    pub vus: Gauge,
    /// How long the check ran.
    pub elapsed: Duration,
    /// Why it ended.
    pub ended: Ended,
}

/// Requests that nothing tells apart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// How many.
    pub count: u64,
    /// Their times in milliseconds, in the order of [`TIMED`].
    pub times: [Trend; TIMED.len()],
    /// The rules that bound a share of them.
    #[serde(skip)]
    watches: Vec<Watch>,
    /// The rules that compare them with a baseline.
    #[serde(skip)]
    compared: Vec<Compared>,
}

/// How often a check held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckCount {
    /// It held.
    pub passes: u64,
    /// It did not.
    pub fails: u64,
}

/// The iterations of a scenario.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Iterations {
    /// Done to their end.
    pub complete: u64,
    /// Cut off at the end of the check.
    pub interrupted: u64,
    /// Due, with no virtual user free.
    pub dropped: u64,
    /// How long complete ones took, in milliseconds.
    pub duration: Trend,
}

/// A number that goes up and down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gauge {
    /// The last value.
    pub last: u32,
    /// The lowest; `None` before the first value.
    pub min: Option<u32>,
    /// The highest.
    pub max: u32,
    /// Virtual users that were made ready.
    pub ready: u32,
}

/// Why a load check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Ended {
    /// It was over.
    #[default]
    Completed,
    /// Somebody cancelled it.
    Interrupted,
    /// The rule of that index of [`Plan::rules`] was crossed and says to stop.
    Aborted(usize),
}

// === impl Samples: recording ===

impl Samples {
    /// No samples of `plan` yet.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let side = || Self {
            iterations: vec![Iterations::default(); plan.scenarios.len()],
            broken: vec![Vec::new(); plan.rules.len()],
            spreads: if plan.baseline.is_some() {
                vec![Spread::default(); plan.rules.len()]
            } else {
                Vec::new()
            },
            ..Self::default()
        };
        Self {
            baseline: plan.baseline.is_some().then(|| Box::new(side())),
            ..side()
        }
    }

    /// Notes a request that was sent at `at` after the start of the check. `timings` is `None` when nothing could be
    /// written: there is no time to speak of then, and zero would be a flattering one.
    pub fn add_request(&mut self, plan: &Plan, key: SeriesKey, at: Duration, timings: Option<Timings>) {
        let series = self.requests.entry(key).or_insert_with(|| Series::new(plan, key));
        series.count += 1;
        if key.hop {
            return;
        }
        let values = timings.map(|timings| timings.millis());
        if let Some(values) = values {
            series
                .times
                .iter_mut()
                .zip(values)
                .for_each(|(trend, value)| trend.add(value));
        }
        let failed = key.failed() || key.cut();
        for watch in &series.watches {
            Block::note(&mut self.broken[watch.rule], at, watch.broken_by(failed, values));
        }
        for Compared { rule, time } in &series.compared {
            let millis = values.filter(|_| !failed).map(|values| values[*time]);
            self.spreads[*rule].note(at, millis);
        }
    }

    /// Notes whether a check held.
    pub fn add_check(&mut self, plan: &Plan, scenario: u16, check: u16, at: Duration, held: bool) {
        let count = self.checks.entry((scenario, check)).or_default();
        if held {
            count.passes += 1;
        } else {
            count.fails += 1;
        }
        for watch in Watch::of_check(plan, scenario, check) {
            Block::note(&mut self.broken[watch.rule], at, !held);
        }
    }

    /// Notes an iteration that nobody was free to run: its requests count as slower than every bound.
    pub fn add_dropped(&mut self, plan: &Plan, scenario: u16, at: Duration) {
        self.iterations[usize::from(scenario)].dropped += 1;
        for watch in Watch::of_dropped(plan, scenario) {
            Block::note(&mut self.broken[watch.rule], at, true);
        }
        for compared in Compared::of_dropped(plan, scenario) {
            self.spreads[compared.rule].note(at, None);
        }
    }

    /// What a side measured: 0 is the target, 1 the baseline.
    pub fn side(&mut self, side: usize) -> &mut Self {
        if side > 0 && self.baseline.is_some() {
            self.baseline.get_or_insert_default()
        } else {
            self
        }
    }

    /// Adds what another thread measured at the same time.
    pub fn merge(&mut self, other: Self) {
        self.merge_after(other, Duration::ZERO);
    }

    /// Adds what a repetition of the check measured afterwards.
    pub fn extend(&mut self, later: Self) {
        let before = self.elapsed;
        self.elapsed += later.elapsed;
        self.ended = later.ended;
        self.merge_after(later, before);
    }

    fn merge_after(&mut self, other: Self, after: Duration) {
        let Self {
            requests,
            checks,
            iterations,
            broken,
            spreads,
            baseline,
            data_sent,
            data_received,
            lag,
            vus,
            ..
        } = other;
        self.spreads
            .resize(self.spreads.len().max(spreads.len()), Spread::default());
        self.spreads
            .iter_mut()
            .zip(spreads)
            .for_each(|(sum, other)| sum.merge(other, after));
        if let Some(baseline) = baseline {
            self.baseline
                .get_or_insert_default()
                .merge_after(*baseline, after);
        }
        for (key, series) in requests {
            self.requests.entry(key).or_default().merge(series);
        }
        for (key, count) in checks {
            let sum = self.checks.entry(key).or_default();
            sum.passes += count.passes;
            sum.fails += count.fails;
        }
        self.iterations
            .resize(self.iterations.len().max(iterations.len()), Iterations::default());
        self.iterations
            .iter_mut()
            .zip(iterations)
            .for_each(|(sum, other)| sum.merge(other));
        self.broken
            .resize(self.broken.len().max(broken.len()), Vec::new());
        self.broken
            .iter_mut()
            .zip(broken)
            .for_each(|(sum, other)| Block::merge(sum, &other, after));
        self.data_sent += data_sent;
        self.data_received += data_received;
        self.lag.merge(&lag);
        self.vus.merge(vus);
    }
}

// === impl Samples: figures ===

impl Samples {
    /// Requests, each hop of a redirect counted.
    #[must_use]
    pub fn request_count(&self) -> u64 {
        self.requests.values().map(|series| series.count).sum()
    }

    /// Requests that failed or were cut off, and all requests, hops left out.
    #[must_use]
    pub fn failures(&self) -> (u64, u64) {
        let ends = self.requests.iter().filter(|(key, _)| !key.hop);
        ends.fold((0, 0), |(failed, all), (key, series)| {
            (
                failed
                    + if key.failed() || key.cut() {
                        series.count
                    } else {
                        0
                    },
                all + series.count,
            )
        })
    }

    /// How often each check of `plan` held.
    #[must_use]
    pub fn check_counts(&self, plan: &Plan) -> Vec<CheckCount> {
        let mut counts = vec![CheckCount::default(); plan.checks.len()];
        for ((_, check), count) in &self.checks {
            counts[usize::from(*check)].passes += count.passes;
            counts[usize::from(*check)].fails += count.fails;
        }
        counts
    }

    /// The distribution of a metric that has one, over all samples that `selection` matches.
    #[must_use]
    pub fn trend(&self, plan: &Plan, selection: &Selection) -> Trend {
        let mut sum = Trend::default();
        self.add_to(&mut sum, plan, selection);
        sum
    }

    /// Adds that distribution to another.
    pub fn add_to(&self, sum: &mut Trend, plan: &Plan, selection: &Selection) {
        if selection.metric == Metric::IterationDuration {
            for (_, iterations) in self.scenarios(plan, selection) {
                sum.merge(&iterations.duration);
            }
        }
        if let Some(index) = TIMED.iter().position(|metric| *metric == selection.metric) {
            for (_, series) in self.series(plan, selection) {
                sum.merge(&series.times[index]);
            }
        }
    }

    /// The figure that a threshold compares; `None` where there is no sample to take it of.
    #[must_use]
    pub fn figure(&self, plan: &Plan, selection: &Selection, method: Method) -> Option<f64> {
        match method {
            Method::Count => self.count(plan, selection).map(|count| count as f64),
            Method::Rate => match selection.metric {
                Metric::HttpReqFailed | Metric::Checks => self.share(plan, selection),
                _ => {
                    let seconds = self.elapsed.as_secs_f64();
                    let count = self.count(plan, selection)? as f64;
                    (seconds > 0.0).then(|| count / seconds)
                }
            },
            Method::Value => self.vus.min.map(|_| match selection.metric {
                Metric::VusMax => f64::from(self.vus.ready),
                _ => f64::from(self.vus.last),
            }),
            Method::Avg => self.trend(plan, selection).avg(),
            Method::Min => self.trend(plan, selection).min(),
            Method::Max => self.trend(plan, selection).max(),
            Method::Med => self.trend(plan, selection).percentile(50.0),
            Method::P(rank) => self.trend(plan, selection).percentile(rank),
        }
    }

    /// A counter's sum; a counter that nothing matches is zero, which is known.
    fn count(&self, plan: &Plan, selection: &Selection) -> Option<u64> {
        let scenarios = || self.scenarios(plan, selection);
        match selection.metric {
            Metric::HttpReqs => Some(
                self.matching(plan, selection)
                    .map(|(_, series)| series.count)
                    .sum(),
            ),
            Metric::Iterations => Some(scenarios().map(|(_, iterations)| iterations.complete).sum()),
            Metric::DroppedIterations => Some(scenarios().map(|(_, iterations)| iterations.dropped).sum()),
            Metric::DataSent => Some(self.data_sent),
            Metric::DataReceived => Some(self.data_received),
            _ => None,
        }
    }

    /// Of a metric that is a rate, how many of how many: failed requests, or checks that held. `None` without
    /// samples.
    #[must_use]
    pub fn part(&self, plan: &Plan, selection: &Selection) -> Option<(u64, u64)> {
        let (part, all) = if selection.metric == Metric::Checks {
            let of_selection =
                |scenario: u16, check: u16| check_matches(plan, scenario, check, &selection.tags);
            let matching = self
                .checks
                .iter()
                .filter(|((scenario, check), _)| of_selection(*scenario, *check));
            matching.fold((0, 0), |(part, all), (_, count)| {
                (part + count.passes, all + count.passes + count.fails)
            })
        } else {
            self.series(plan, selection).filter(|(key, _)| !key.cut()).fold(
                (0, 0),
                |(part, all), (key, series)| {
                    (
                        part + if key.failed() { series.count } else { 0 },
                        all + series.count,
                    )
                },
            )
        };
        (all > 0).then_some((part, all))
    }

    fn share(&self, plan: &Plan, selection: &Selection) -> Option<f64> {
        self.part(plan, selection)
            .map(|(part, all)| part as f64 / all as f64)
    }

    fn matching<'a>(
        &'a self,
        plan: &'a Plan,
        selection: &'a Selection,
    ) -> impl Iterator<Item = (&'a SeriesKey, &'a Series)> {
        self.requests
            .iter()
            .filter(|(key, _)| key.matches(plan, &selection.tags))
    }

    /// The matching requests, hops left out.
    fn series<'a>(
        &'a self,
        plan: &'a Plan,
        selection: &'a Selection,
    ) -> impl Iterator<Item = (&'a SeriesKey, &'a Series)> {
        self.matching(plan, selection).filter(|(key, _)| !key.hop)
    }

    fn scenarios<'a>(
        &'a self,
        plan: &'a Plan,
        selection: &'a Selection,
    ) -> impl Iterator<Item = (usize, &'a Iterations)> {
        let of_scenario = |scenario: usize| scenario_matches(plan, scenario, &selection.tags);
        self.iterations
            .iter()
            .enumerate()
            .filter(move |(scenario, _)| of_scenario(*scenario))
    }
}

/// Whether a scenario has all of `tags`.
pub(super) fn scenario_matches(plan: &Plan, scenario: usize, tags: &[(String, String)]) -> bool {
    tags.iter()
        .all(|(tag, value)| tag == "scenario" && plan.scenarios[scenario].name == *value)
}

/// Whether a check has all of `tags`.
pub(super) fn check_matches(plan: &Plan, scenario: u16, check: u16, tags: &[(String, String)]) -> bool {
    tags.iter().all(|(tag, value)| match tag.as_str() {
        "check" => plan.checks[usize::from(check)] == *value,
        "scenario" => plan.scenarios[usize::from(scenario)].name == *value,
        _ => false,
    })
}

// === impl parts ===

impl Series {
    fn new(plan: &Plan, key: SeriesKey) -> Self {
        Self {
            watches: Watch::of_request(plan, key),
            compared: Compared::of_request(plan, key),
            ..Self::default()
        }
    }

    fn merge(&mut self, other: Self) {
        let Self {
            count,
            times,
            watches,
            compared,
        } = other;
        self.count += count;
        self.times
            .iter_mut()
            .zip(times)
            .for_each(|(trend, other)| trend.merge(&other));
        self.watches = watches;
        self.compared = compared;
    }
}

impl Iterations {
    fn merge(&mut self, other: Self) {
        let Self {
            complete,
            interrupted,
            dropped,
            duration,
        } = other;
        self.complete += complete;
        self.interrupted += interrupted;
        self.dropped += dropped;
        self.duration.merge(&duration);
    }
}

impl Gauge {
    /// Notes how many virtual users there are, of how many made ready.
    pub fn note(&mut self, value: u32, ready: u32) {
        self.last = value;
        self.min = Some(self.min.map_or(value, |min| min.min(value)));
        self.max = self.max.max(value);
        self.ready = self.ready.max(ready);
    }

    fn merge(&mut self, later: Self) {
        let Some(min) = later.min else { return };
        self.min = Some(self.min.map_or(min, |old| old.min(min)));
        self.last = later.last;
        self.max = self.max.max(later.max);
        self.ready = self.ready.max(later.ready);
    }
}

/// Maps whose keys are no texts, as lists of pairs.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub fn deserialize<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<K, V>, D::Error> {
        Vec::deserialize(deserializer).map(|pairs: Vec<(K, V)>| pairs.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::load_check::LoadCheckSpec;
    use crate::verify::exchange::Protocol;
    use crate::verify::judge::judge;

    fn mk_plan() -> Plan {
        let text = "target: {url: 'http://a'}\nbaseline: {url: 'http://b'}\nvus: 2\nduration: 5s\nchecks: {ok: status == 200}\n\
                    thresholds: {http_req_duration: ['p(90)<600', 'p(90)<1.1*baseline'], http_req_failed: [rate<0.2], \
                    checks: [rate>0.5]}\n";
        let spec: LoadCheckSpec = serde_yaml::from_str(text).unwrap();
        spec.compile().unwrap()
    }

    fn add(plan: &Plan, samples: &mut Samples, (side, second, millis, failed): (usize, u64, u32, bool)) {
        let key = SeriesKey {
            scenario: 0,
            request: 0,
            status: if failed { 500 } else { 200 },
            error: None,
            hop: false,
            expected: !failed,
            protocol: Protocol::Http1,
        };
        let timings = Timings {
            waiting: Duration::from_micros(u64::from(millis) * 1003),
            ..Timings::default()
        };
        let at = Duration::from_secs(second);
        let samples = samples.side(side);
        samples.add_request(plan, key, at, Some(timings));
        samples.add_check(plan, 0, 0, at, !failed);
    }

    proptest! {
        /// What several processes measured, each told as text, has the verdict of one that measured everything.
        #[test]
        fn parts_have_the_verdict_of_their_union(
            requests in proptest::collection::vec((0_usize..3, (0_usize..2, 0_u64..5, 1_u32..1000, any::<bool>())), 1..300),
        ) {
            let plan = mk_plan();
            let mut union = Samples::new(&plan);
            let mut parts = vec![Samples::new(&plan); 3];
            for (part, (side, second, millis, slow)) in requests {
                // One in eight fails.
                let request = (side, second, millis, slow && millis % 4 == 0);
                add(&plan, &mut union, request);
                add(&plan, &mut parts[part], request);
            }
            let mut merged = Samples::new(&plan);
            for part in parts {
                let text = serde_json::to_string(&part).unwrap();
                merged.merge(serde_json::from_str(&text).unwrap());
            }
            prop_assert_eq!(judge(&plan, &merged, 1), judge(&plan, &union, 1));
            prop_assert_eq!(merged.request_count(), union.request_count());
            prop_assert_eq!(&merged.broken, &union.broken);
        }
    }
}
