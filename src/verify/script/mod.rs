//! Script samples: what the virtual users of a k6 script measured.
//!
//! A script names its metrics, tags and checks itself, so samples are told apart when they are added: each is counted
//! once for its metric and once for every narrowed metric of a threshold that its tags match.

pub mod catalog;
pub mod groups;
pub mod judge;
pub mod sink;

use std::time::Duration;

use catalog::{Catalog, Tags};
use groups::Groups;
use sink::Sink;

use super::exchange::millis;
use super::proportion::Block;
use super::samples::Ended;
use super::trend::Trend;

/// Everything that a script measured.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// By index of [`Catalog::metrics`].
    pub sinks: Vec<Sink>,
    /// By index of [`Catalog::selections`].
    pub narrowed: Vec<Sink>,
    /// By index of [`Catalog::rules`]: how many of how many samples broke it, by second.
    pub broken: Vec<Vec<Block>>,
    /// Groups and their checks.
    pub groups: Groups,
    /// How late, in milliseconds, the generator did what it had to do at a set time.
    pub lag: Trend,
    /// Requests that failed.
    pub failures: u64,
    /// What the first iterations threw.
    pub exceptions: Vec<String>,
    /// Iterations that threw.
    pub thrown: u64,
    /// How long the run took.
    pub elapsed: Duration,
    /// Why it ended.
    pub ended: Ended,
}

/// A sample.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Index of [`Catalog::metrics`].
    pub metric: usize,
    /// The value.
    pub value: f64,
    /// When, counted from the start of the run.
    pub at: Duration,
    /// What it proves about a bound.
    pub proof: Proof,
}

/// What a sample proves about a bound on its metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Proof {
    /// What its value says.
    Value,
    /// What another value says: a redirected request takes as long as all of its hops.
    Instead(f64),
    /// It breaks every bound: the request failed.
    Broken,
    /// Nothing: it is part of another one.
    Nothing,
}

/// Exceptions that are kept as text.
const KEPT_EXCEPTIONS: usize = 10;

// === impl Measured ===

impl Measured {
    /// Nothing measured yet.
    #[must_use]
    pub fn new(catalog: &Catalog) -> Self {
        Self {
            sinks: catalog
                .metrics
                .iter()
                .map(|metric| Sink::new(metric.kind))
                .collect(),
            narrowed: catalog
                .selections
                .iter()
                .map(|selection| Sink::new(catalog.metrics[selection.metric].kind))
                .collect(),
            broken: vec![Vec::new(); catalog.rules.len()],
            ..Self::default()
        }
    }

    /// Adds a sample whose tags `tags` knows.
    pub fn add(&mut self, catalog: &Catalog, sample: Sample, tags: &impl Tags) {
        self.sinks[sample.metric].add(sample.value);
        for selection in catalog.narrowing(sample.metric) {
            if tags.have(&catalog.selections[*selection].tags) {
                self.narrowed[*selection].add(sample.value);
            }
        }
        self.prove(catalog, sample, tags);
    }

    /// Adds what a sample proves, without counting it: the request was still under way at the end of the run.
    pub fn prove(&mut self, catalog: &Catalog, sample: Sample, tags: &impl Tags) {
        for watch in catalog.watching(sample.metric) {
            let broken = match sample.proof {
                Proof::Value => watch.broken_by(sample.value),
                Proof::Instead(value) => watch.broken_by(value),
                Proof::Broken => true,
                Proof::Nothing => continue,
            };
            if tags.have(&catalog.rules[watch.rule].tags) {
                Block::note(&mut self.broken[watch.rule], sample.at, broken);
            }
        }
    }

    /// Notes that an iteration threw.
    pub fn note_exception(&mut self, text: &str) {
        self.thrown += 1;
        if self.exceptions.len() < KEPT_EXCEPTIONS && !self.exceptions.iter().any(|known| known == text) {
            self.exceptions.push(text.to_owned());
        }
    }

    /// Adds what another thread measured.
    pub fn merge(&mut self, other: Self) {
        self.merge_after(other, Duration::ZERO);
    }

    /// Adds what a repetition of the run measured.
    pub fn extend(&mut self, later: Self) {
        let before = self.elapsed;
        self.elapsed += later.elapsed;
        self.ended = later.ended;
        self.merge_after(later, before);
    }

    fn merge_after(&mut self, other: Self, after: Duration) {
        let Self {
            sinks,
            narrowed,
            broken,
            groups,
            lag,
            failures,
            exceptions,
            thrown,
            ..
        } = other;
        for (sum, sink) in self.sinks.iter_mut().zip(sinks) {
            sum.merge(sink);
        }
        for (sum, sink) in self.narrowed.iter_mut().zip(narrowed) {
            sum.merge(sink);
        }
        for (sum, blocks) in self.broken.iter_mut().zip(broken) {
            Block::merge(sum, &blocks, after);
        }
        self.groups.merge(groups);
        self.lag.merge(&lag);
        self.failures += failures;
        let before = self.thrown;
        exceptions.iter().for_each(|text| self.note_exception(text));
        self.thrown = before + thrown;
    }

    /// The sink of the metric of that name.
    #[must_use]
    pub fn sink(&self, catalog: &Catalog, name: &str) -> Option<&Sink> {
        self.sinks.get(catalog.index(name)?)
    }

    /// How many requests were sent.
    #[must_use]
    pub fn requests(&self, catalog: &Catalog) -> u64 {
        self.sink(catalog, "http_reqs")
            .map_or(0, |sink| sink.count() as u64)
    }

    /// The run's length in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        millis(self.elapsed) / 1e3
    }
}
