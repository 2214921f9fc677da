//! Catalog: the metrics of a script, and what its thresholds want to know of them.

use std::collections::HashMap;

use crate::config::load_check::metric::Kind;
use crate::config::load_check::threshold::{Method, Operator};
use crate::config::script::{Contains, Declared, ScriptRule};

/// The metrics of a script, and what its thresholds want to know of them.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// The metrics: k6's own, then those of the script.
    pub metrics: Vec<Declared>,
    /// Metrics that a threshold narrows by tags.
    pub selections: Vec<Selection>,
    /// The bounds.
    pub rules: Vec<ScriptRule>,
    /// By metric: the selections that narrow it, and the bounds that its samples can break.
    uses: Vec<(Vec<usize>, Vec<Watch>)>,
}

/// A metric that is narrowed by tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// As the script writes it.
    pub name: String,
    /// Index of the metric.
    pub metric: usize,
    /// The tags that a sample must have.
    pub tags: Vec<(String, String)>,
}

/// A rule that bounds the share of samples that may break it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Watch {
    /// Index of the rule.
    pub rule: usize,
    broken: Broken,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Broken {
    /// A value that is not zero.
    True,
    /// A value of zero.
    False,
    /// A value that does not compare so.
    Beyond(Operator, f64),
}

/// What knows the tags of a sample.
pub trait Tags {
    /// Whether the tag has this value.
    fn is(&self, tag: &str, value: &str) -> bool;

    /// Whether all of `tags` are there.
    fn have(&self, tags: &[(String, String)]) -> bool {
        tags.iter().all(|(tag, value)| self.is(tag, value))
    }
}

/// k6's own metrics that a script can produce here, in the order of their indices.
const BUILTIN: [(&str, Kind, Contains); 19] = [
    ("vus", Kind::Gauge, Contains::Plain),
    ("vus_max", Kind::Gauge, Contains::Plain),
    ("iterations", Kind::Counter, Contains::Plain),
    ("iteration_duration", Kind::Trend, Contains::Time),
    ("dropped_iterations", Kind::Counter, Contains::Plain),
    ("checks", Kind::Rate, Contains::Plain),
    ("group_duration", Kind::Trend, Contains::Time),
    ("http_reqs", Kind::Counter, Contains::Plain),
    ("http_req_failed", Kind::Rate, Contains::Plain),
    ("http_req_duration", Kind::Trend, Contains::Time),
    ("http_req_blocked", Kind::Trend, Contains::Time),
    ("http_req_connecting", Kind::Trend, Contains::Time),
    ("http_req_tls_handshaking", Kind::Trend, Contains::Time),
    ("http_req_sending", Kind::Trend, Contains::Time),
    ("http_req_waiting", Kind::Trend, Contains::Time),
    ("http_req_receiving", Kind::Trend, Contains::Time),
    ("data_sent", Kind::Counter, Contains::Data),
    ("data_received", Kind::Counter, Contains::Data),
    ("ws_sessions", Kind::Counter, Contains::Plain),
];

/// Indices of the metrics that the engine writes.
pub mod builtin {
    #![expect(missing_docs, reason = "the names are those of the metrics")]
    pub const VUS: usize = 0;
    pub const VUS_MAX: usize = 1;
    pub const ITERATIONS: usize = 2;
    pub const ITERATION_DURATION: usize = 3;
    pub const DROPPED_ITERATIONS: usize = 4;
    pub const CHECKS: usize = 5;
    pub const GROUP_DURATION: usize = 6;
    pub const HTTP_REQS: usize = 7;
    pub const HTTP_REQ_FAILED: usize = 8;
    /// The first of the seven times, which stand in the order of `exchange::TIMED`.
    pub const HTTP_REQ_DURATION: usize = 9;
    pub const DATA_SENT: usize = 16;
    pub const DATA_RECEIVED: usize = 17;
}

/// k6's own metrics.
#[must_use]
pub fn builtins() -> Vec<Declared> {
    let declared = |(name, kind, contains): (&str, Kind, Contains)| Declared {
        name: name.to_owned(),
        kind,
        contains,
    };
    BUILTIN.into_iter().map(declared).collect()
}

/// The share of samples that a rule allows to break it, if it bounds one.
#[must_use]
pub fn limit(rule: &ScriptRule, kind: Kind) -> Option<f64> {
    let below = matches!(rule.threshold.operator, Operator::Less | Operator::LessOrEqual);
    let above = matches!(
        rule.threshold.operator,
        Operator::Greater | Operator::GreaterOrEqual
    );
    let bound = rule.threshold.bound;
    let share = match (kind, rule.threshold.method) {
        (Kind::Trend, Method::P(rank)) if below => 1.0 - rank / 100.0,
        (Kind::Trend, Method::Med) if below => 0.5,
        (Kind::Rate, Method::Rate) if below => bound,
        (Kind::Rate, Method::Rate) if above => 1.0 - bound,
        _ => return None,
    };
    (share > 0.0 && share < 1.0).then_some(share)
}

// === impl Catalog ===

impl Catalog {
    /// The catalog of a script with these metrics and bounds.
    #[must_use]
    pub fn new(metrics: Vec<Declared>, rules: Vec<ScriptRule>) -> Self {
        let mut selections: Vec<Selection> = Vec::new();
        // k6 always shows the times of the answers that were expected beside those of all.
        let expected = Selection {
            name: "http_req_duration{expected_response:true}".to_owned(),
            metric: builtin::HTTP_REQ_DURATION,
            tags: vec![("expected_response".to_owned(), "true".to_owned())],
        };
        let narrowed = rules
            .iter()
            .filter(|rule| !rule.tags.is_empty())
            .map(|rule| Selection {
                name: rule.name.clone(),
                metric: rule.metric,
                tags: rule.tags.clone(),
            });
        for selection in narrowed.chain([expected]) {
            let same = |known: &Selection| known.metric == selection.metric && known.tags == selection.tags;
            if !selections.iter().any(same) {
                selections.push(selection);
            }
        }
        let uses = |metric: usize| {
            let of_metric =
                |(index, selection): (usize, &Selection)| (selection.metric == metric).then_some(index);
            let narrowing = selections.iter().enumerate().filter_map(of_metric).collect();
            let watching = rules.iter().enumerate().filter(|(_, rule)| rule.metric == metric);
            let watching = watching.filter_map(|(index, rule)| Watch::new(index, rule, metrics[metric].kind));
            (narrowing, watching.collect())
        };
        let uses = (0..metrics.len()).map(uses).collect();
        Self {
            metrics,
            selections,
            rules,
            uses,
        }
    }

    /// The index of the metric of that name.
    #[must_use]
    pub fn index(&self, name: &str) -> Option<usize> {
        self.metrics.iter().position(|metric| metric.name == name)
    }

    /// The indices of the metrics by name.
    #[must_use]
    pub fn by_name(&self) -> HashMap<String, usize> {
        let indexed = self.metrics.iter().enumerate();
        indexed
            .map(|(index, metric)| (metric.name.clone(), index))
            .collect()
    }

    /// The selections that narrow a metric.
    #[must_use]
    pub fn narrowing(&self, metric: usize) -> &[usize] {
        &self.uses[metric].0
    }

    /// The bounds on a share that samples of a metric can break.
    #[must_use]
    pub fn watching(&self, metric: usize) -> &[Watch] {
        &self.uses[metric].1
    }

    /// The selection of a rule, when it has tags.
    #[must_use]
    pub fn selection_of(&self, rule: &ScriptRule) -> Option<usize> {
        let same = |known: &Selection| known.metric == rule.metric && known.tags == rule.tags;
        self.selections
            .iter()
            .position(same)
            .filter(|_| !rule.tags.is_empty())
    }
}

impl Watch {
    fn new(index: usize, rule: &ScriptRule, kind: Kind) -> Option<Self> {
        limit(rule, kind)?;
        let below = matches!(rule.threshold.operator, Operator::Less | Operator::LessOrEqual);
        let broken = match kind {
            Kind::Rate if below => Broken::True,
            Kind::Rate => Broken::False,
            _ => Broken::Beyond(rule.threshold.operator, rule.threshold.bound),
        };
        Some(Self { rule: index, broken })
    }

    /// Whether a sample of this value breaks the rule.
    #[must_use]
    pub fn broken_by(&self, value: f64) -> bool {
        match self.broken {
            Broken::True => value != 0.0,
            Broken::False => value == 0.0,
            Broken::Beyond(operator, bound) => !operator.holds(value, bound),
        }
    }
}
