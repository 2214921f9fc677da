//! Sink: what is kept of a metric's samples, by what kind of number it is.

use crate::config::load_check::metric::Kind;
use crate::config::load_check::threshold::Method;
use crate::verify::trend::Trend;

/// The samples of a metric.
#[derive(Debug, Clone, PartialEq)]
pub enum Sink {
    /// A sum, and how many samples it has.
    Counter {
        /// The sum.
        sum: f64,
        /// Samples.
        samples: u64,
    },
    /// The last, lowest and highest value.
    Gauge {
        /// The last.
        last: f64,
        /// The lowest.
        min: f64,
        /// The highest.
        max: f64,
        /// Samples.
        samples: u64,
    },
    /// How many of how many.
    Rate {
        /// Samples that are not zero.
        part: u64,
        /// Samples.
        all: u64,
    },
    /// The distribution.
    Trend(Box<Trend>),
}

impl Sink {
    /// No samples yet.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter { sum: 0.0, samples: 0 },
            Kind::Gauge => Self::Gauge {
                last: 0.0,
                min: 0.0,
                max: 0.0,
                samples: 0,
            },
            Kind::Rate => Self::Rate { part: 0, all: 0 },
            Kind::Trend => Self::Trend(Box::default()),
        }
    }

    /// Adds a sample.
    pub fn add(&mut self, value: f64) {
        match self {
            Self::Counter { sum, samples } => (*sum, *samples) = (*sum + value, *samples + 1),
            Self::Gauge {
                last,
                min,
                max,
                samples,
            } => {
                *last = value;
                *min = if *samples == 0 { value } else { min.min(value) };
                *max = if *samples == 0 { value } else { max.max(value) };
                *samples += 1;
            }
            Self::Rate { part, all } => {
                *part += u64::from(value != 0.0);
                *all += 1;
            }
            Self::Trend(trend) => trend.add(value),
        }
    }

    /// Adds the samples of another one of the same kind.
    pub fn merge(&mut self, other: Self) {
        match (self, other) {
            (
                Self::Counter { sum, samples },
                Self::Counter {
                    sum: more,
                    samples: count,
                },
            ) => {
                (*sum, *samples) = (*sum + more, *samples + count);
            }
            (
                gauge @ Self::Gauge { .. },
                Self::Gauge {
                    last,
                    min,
                    max,
                    samples,
                },
            ) if samples > 0 => {
                let before = gauge.count();
                [min, max, last].into_iter().for_each(|value| gauge.add(value));
                if let Self::Gauge { samples: sum, .. } = gauge {
                    *sum = before as u64 + samples;
                }
            }
            (
                Self::Rate { part, all },
                Self::Rate {
                    part: more,
                    all: count,
                },
            ) => {
                (*part, *all) = (*part + more, *all + count);
            }
            (Self::Trend(trend), Self::Trend(other)) => trend.merge(&other),
            _ => {}
        }
    }

    /// The number of samples; of a counter, their sum.
    #[must_use]
    pub fn count(&self) -> f64 {
        match self {
            Self::Counter { sum, .. } => *sum,
            Self::Gauge { samples, .. } => *samples as f64,
            Self::Rate { all, .. } => *all as f64,
            Self::Trend(trend) => trend.count() as f64,
        }
    }

    /// Whether there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Counter { samples, .. } => *samples == 0,
            _ => self.count() == 0.0,
        }
    }

    /// The figure that a threshold compares, of a run of so many seconds; `None` without samples.
    #[must_use]
    pub fn figure(&self, method: Method, seconds: f64) -> Option<f64> {
        if self.is_empty() {
            return None;
        }
        match (self, method) {
            (Self::Counter { sum, .. }, Method::Count) => Some(*sum),
            (Self::Counter { sum, .. }, Method::Rate) => (seconds > 0.0).then(|| sum / seconds),
            (Self::Gauge { last, .. }, _) => Some(*last),
            (Self::Rate { part, all }, _) => Some(*part as f64 / *all as f64),
            (Self::Trend(trend), Method::Avg) => trend.avg(),
            (Self::Trend(trend), Method::Min) => trend.min(),
            (Self::Trend(trend), Method::Max) => trend.max(),
            (Self::Trend(trend), Method::Med) => trend.percentile(50.0),
            (Self::Trend(trend), Method::P(rank)) => trend.percentile(rank),
            _ => None,
        }
    }
}
