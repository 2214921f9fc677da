//! The report of a load check: live progress, the end-of-test summary, JSON. The layout is k6's, so that people
//! recognise it.

use crate::config::load_check::metric::{Kind, Metric};
use crate::config::load_check::plan::Plan;
use crate::config::load_check::threshold::{Method, Selection};
use crate::verify::samples::Samples;
use crate::verify::trend::TrendSummary;

pub mod explain;
pub mod format;
pub mod histogram;
pub mod json;
pub mod plot;
pub mod progress;
pub mod summary;

/// A metric's figures, as a summary lists them.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The metric, with tags where it is narrowed.
    pub selection: Selection,
    /// The figures.
    pub figures: Figures,
}

/// The figures of a metric, by what kind of number it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Figures {
    /// A sum, and the same per second.
    Counter {
        /// The sum.
        count: f64,
        /// Per second.
        rate: f64,
    },
    /// The last, lowest and highest value.
    Gauge {
        /// The last.
        value: f64,
        /// The lowest.
        min: f64,
        /// The highest.
        max: f64,
    },
    /// How many of how many.
    Rate {
        /// Those that count: failed requests, or checks that held.
        part: u64,
        /// All.
        all: u64,
    },
    /// A distribution.
    Trend(TrendSummary),
}

/// The figures of every metric that has samples, and of every narrowed metric that a rule names.
#[must_use]
pub fn lines(plan: &Plan, samples: &Samples) -> Vec<Line> {
    let whole = |metric: Metric| Selection {
        metric,
        tags: Vec::new(),
    };
    let mut selections: Vec<Selection> = Metric::ALL.into_iter().map(whole).collect();
    // k6 always shows the times of the answers that were expected beside those of all.
    let expected = vec![("expected_response".to_owned(), "true".to_owned())];
    selections.push(Selection {
        metric: Metric::HttpReqDuration,
        tags: expected,
    });
    selections.extend(plan.rules.iter().map(|rule| rule.selection.clone()));
    selections.sort();
    selections.dedup();
    let line =
        |selection: Selection| figures(plan, samples, &selection).map(|figures| Line { selection, figures });
    selections.into_iter().filter_map(line).collect()
}

fn figures(plan: &Plan, samples: &Samples, selection: &Selection) -> Option<Figures> {
    let figure = |method| samples.figure(plan, selection, method);
    match selection.metric.kind() {
        Kind::Counter => {
            let count = figure(Method::Count)?;
            (count > 0.0).then(|| Figures::Counter {
                count,
                rate: figure(Method::Rate).unwrap_or_default(),
            })
        }
        Kind::Gauge => {
            let min = samples.vus.min?;
            let value = figure(Method::Value)?;
            let ready = f64::from(samples.vus.ready);
            Some(match selection.metric {
                Metric::VusMax => Figures::Gauge {
                    value,
                    min: ready,
                    max: ready,
                },
                _ => Figures::Gauge {
                    value,
                    min: f64::from(min),
                    max: f64::from(samples.vus.max),
                },
            })
        }
        Kind::Rate => samples
            .part(plan, selection)
            .map(|(part, all)| Figures::Rate { part, all }),
        Kind::Trend => samples.trend(plan, selection).summary().map(Figures::Trend),
    }
}
