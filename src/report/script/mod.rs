//! The report of a script's run: the end-of-test summary in k6's layout, and the objects that k6 gives to tools.

pub mod data;
pub mod summary;

use serde_json::{Map, Value, json};

use crate::config::load_check::threshold::Method;
use crate::verify::script::Measured;
use crate::verify::script::catalog::Catalog;
use crate::verify::script::sink::Sink;

/// The sinks that have samples, or that a threshold names, sorted by name.
fn lines<'a>(catalog: &'a Catalog, measured: &'a Measured) -> Vec<(&'a str, usize, &'a Sink)> {
    let named = |metric: usize| {
        catalog
            .rules
            .iter()
            .any(|rule| rule.metric == metric && rule.tags.is_empty() && !rule.implicit)
    };
    let whole = catalog.metrics.iter().enumerate().zip(&measured.sinks);
    let whole = whole
        .filter(|((index, _), sink)| !sink.is_empty() || named(*index))
        .map(|((index, metric), sink)| (metric.name.as_str(), index, sink));
    let narrowed = catalog.selections.iter().zip(&measured.narrowed);
    let asked = |name: &str| catalog.rules.iter().any(|rule| rule.name == name);
    let narrowed = narrowed
        .filter(|(selection, sink)| !sink.is_empty() || asked(&selection.name))
        .map(|(selection, sink)| (selection.name.as_str(), selection.metric, sink));
    let mut lines: Vec<_> = whole.chain(narrowed).collect();
    lines.sort_by_key(|(name, ..)| *name);
    lines
}

/// The figures of a trend that are asked for, for example `p(90)`.
fn trend_values(sink: &Sink, stats: &[String]) -> Map<String, Value> {
    let figure = |stat: &str| match stat {
        "count" => sink.count(),
        _ => {
            let method = stat.parse::<Method>().ok();
            method
                .and_then(|method| sink.figure(method, 0.0))
                .unwrap_or_default()
        }
    };
    stats
        .iter()
        .map(|stat| (stat.clone(), json!(figure(stat))))
        .collect()
}

fn share(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}

fn per_second(sum: f64, seconds: f64) -> f64 {
    if seconds > 0.0 { sum / seconds } else { 0.0 }
}
