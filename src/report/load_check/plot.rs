//! Plot: how the latencies of a load check are distributed, as text for a terminal and as SVG for a page.

use std::fmt::Write as _;

use super::format::duration;
use crate::config::load_check::metric::Metric;
use crate::config::load_check::plan::Plan;
use crate::config::load_check::threshold::{Method, Selection};
use crate::verify::judge::{LoadOutcome, LoadVerdict};
use crate::verify::samples::Samples;
use crate::verify::trend::Trend;

/// A distribution of latencies, with the bounds that it is held to.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    latencies: Trend,
    bounds: Vec<Bound>,
}

/// A bound on a percentile.
#[derive(Debug, Clone, PartialEq)]
struct Bound {
    /// The percentile's rank, 0 to 100.
    rank: f64,
    /// The bound in milliseconds.
    millis: f64,
    /// As it was written.
    source: String,
    held: bool,
}

/// The ranks that are drawn: the scale stretches the slow end, where a bound is usually set.
const RANKS: [f64; 6] = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99];
/// Bars of the text.
const ROWS: u32 = 12;
/// Columns of the longest bar.
const COLUMNS: f64 = 50.0;
/// The picture's size and its margins, in pixels.
const SIZE: (f64, f64) = (640.0, 320.0);
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 40.0;

/// The durations of all requests.
pub(super) fn durations() -> Selection {
    Selection {
        metric: Metric::HttpReqDuration,
        tags: Vec::new(),
    }
}

impl Plot {
    /// The durations of all requests, with the bounds on their percentiles.
    #[must_use]
    pub fn new(plan: &Plan, samples: &Samples, verdict: &LoadVerdict) -> Self {
        let rules = plan.rules.iter().zip(&verdict.thresholds);
        let bound = rules.filter(|(rule, _)| rule.selection == durations());
        let bounds = bound.filter_map(|(rule, judged)| {
            let rank = match rule.threshold.method {
                Method::P(rank) => rank,
                Method::Med => 50.0,
                _ => return None,
            };
            Some(Bound {
                rank,
                millis: match judged.comparison {
                    Some(found) => rule.threshold.bound * found.baseline,
                    None => rule.threshold.bound,
                },
                source: rule.source.clone(),
                held: judged.outcome == LoadOutcome::Pass,
            })
        });
        Self {
            latencies: samples.trend(plan, &durations()),
            bounds: bounds.collect(),
        }
    }

    /// Bars, one for each range of latencies; the ranges are equal on a logarithmic scale. Empty without latencies.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let Some((low, high)) = self.range() else {
            return text;
        };
        let ratio = (high / low).powf(1.0 / f64::from(ROWS));
        let mut counts = [0_u64; ROWS as usize];
        for (millis, count) in self.latencies.ascending() {
            let row = (millis.max(low) / low).ln() / ratio.ln();
            counts[(row as usize).min(counts.len() - 1)] += count;
        }
        let most = counts.iter().copied().max().unwrap_or_default().max(1) as f64;
        put(&mut text, format_args!("  █ LATENCIES\n\n"));
        for (row, count) in (0..).zip(counts) {
            let until = duration(low * ratio.powi(row + 1));
            let bar = "▇".repeat((count as f64 / most * COLUMNS).ceil() as usize);
            put(&mut text, format_args!("    ≤ {until:>9} {bar} {count}\n"));
        }
        text.push('\n');
        text
    }

    /// A picture of the percentiles, with a line for each bound: green where it held, red where it did not.
    #[must_use]
    pub fn svg(&self) -> String {
        let (width, height) = SIZE;
        let mut svg = String::new();
        put(
            &mut svg,
            format_args!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
                 aria-label=\"Latency by percentile\" font-family=\"sans-serif\" font-size=\"12\">\n\
                 <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
            ),
        );
        match self.range() {
            Some((_, high)) => {
                let most = self.bounds.iter().map(|bound| bound.millis).fold(high, f64::max) * 1.1;
                self.put_axes(&mut svg, most);
                self.put_curve(&mut svg, most);
                self.put_bounds(&mut svg, most);
            }
            None => put(
                &mut svg,
                format_args!("<text x=\"{LEFT}\" y=\"40\">no request was answered</text>\n"),
            ),
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// The lowest and the highest latency, both above zero and apart.
    fn range(&self) -> Option<(f64, f64)> {
        let low = self.latencies.min()?.max(0.001);
        Some((low, self.latencies.max()?.max(low * 1.01)))
    }

    fn put_axes(&self, svg: &mut String, most: f64) {
        let (right, bottom) = (SIZE.0 - RIGHT, SIZE.1 - BOTTOM);
        for part in 0..=4 {
            let millis = most * f64::from(part) / 4.0;
            let (y, label) = (y(millis, most), duration(millis));
            put(
                svg,
                format_args!(
                    "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#ddd\"/>\
                     <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>\n",
                    LEFT - 6.0,
                    y + 4.0
                ),
            );
        }
        for rank in RANKS {
            let x = x(rank);
            put(
                svg,
                format_args!(
                    "<path d=\"M{x:.1} {TOP}V{bottom}\" stroke=\"#ddd\"/>\
                     <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">p{rank}</text>\n",
                    bottom + 18.0
                ),
            );
        }
    }

    fn put_curve(&self, svg: &mut String, most: f64) {
        let mut path = String::new();
        let last = x(RANKS[RANKS.len() - 1]);
        let steps = 160;
        for step in 0..=steps {
            let x = LEFT + (last - LEFT) * f64::from(step) / f64::from(steps);
            if let Some(millis) = self.latencies.percentile(rank_at(x)) {
                let command = if path.is_empty() { 'M' } else { 'L' };
                put(&mut path, format_args!("{command}{x:.1} {:.1}", y(millis, most)));
            }
        }
        put(
            svg,
            format_args!("<path d=\"{path}\" fill=\"none\" stroke=\"#1f6feb\" stroke-width=\"2\"/>\n"),
        );
    }

    fn put_bounds(&self, svg: &mut String, most: f64) {
        for bound in &self.bounds {
            let (x, y) = (x(bound.rank), y(bound.millis, most));
            let colour = if bound.held { "#1a7f37" } else { "#cf222e" };
            put(
                svg,
                format_args!(
                    "<path d=\"M{LEFT} {y:.1}H{x:.1}V{:.1}\" fill=\"none\" stroke=\"{colour}\" \
                     stroke-dasharray=\"4 3\"/><text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>\n",
                    SIZE.1 - BOTTOM,
                    LEFT + 6.0,
                    y - 5.0,
                    escaped(&bound.source)
                ),
            );
        }
    }
}

/// Where a rank stands: each further nine takes the same width.
fn x(rank: f64) -> f64 {
    let nines = |rank: f64| -(1.0 - rank.min(99.99) / 100.0).log10();
    let part = nines(rank) / nines(RANKS[RANKS.len() - 1]);
    LEFT + part * (SIZE.0 - LEFT - RIGHT)
}

/// The rank that stands at `x`.
fn rank_at(x: f64) -> f64 {
    let part = (x - LEFT) / (SIZE.0 - LEFT - RIGHT);
    100.0 * (1.0 - 10_f64.powf(-4.0 * part))
}

fn y(millis: f64, most: f64) -> f64 {
    SIZE.1 - BOTTOM - millis / most * (SIZE.1 - TOP - BOTTOM)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments)
        .expect("because a String takes all text");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_plot(values: &[f64], held: bool) -> Plot {
        let mut latencies = Trend::default();
        values.iter().for_each(|value| latencies.add(*value));
        let bound = Bound {
            rank: 90.0,
            millis: 600.0,
            source: "p(90)<600".to_owned(),
            held,
        };
        Plot {
            latencies,
            bounds: vec![bound],
        }
    }

    #[test]
    fn the_bars_count_every_latency_once() {
        for values in [&[5.0][..], &[0.0, 0.0, 3.0], &[1.0, 2.0, 4.0, 800.0]] {
            let text = mk_plot(values, true).text();
            let counted = text.lines().filter(|line| line.contains('≤'));
            let sum: usize = counted
                .map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap())
                .sum();
            assert_eq!(sum, values.len(), "{text}");
        }
        assert_eq!(mk_plot(&[], true).text(), "");
    }

    #[test]
    fn the_picture_tells_whether_a_bound_held() {
        for (held, colour) in [(true, "#1a7f37"), (false, "#cf222e")] {
            let svg = mk_plot(&[1.0, 20.0, 700.0], held).svg();
            assert!(
                svg.contains(&format!("fill=\"{colour}\">p(90)&lt;600</text>")),
                "{svg}"
            );
            assert_eq!(
                svg.matches("NaN").count() + svg.matches("inf").count(),
                0,
                "{svg}"
            );
        }
        assert!(mk_plot(&[], true).svg().contains("no request was answered"));
    }

    #[test]
    fn each_further_nine_takes_the_same_width() {
        let widths = [x(90.0) - x(0.0), x(99.0) - x(90.0), x(99.9) - x(99.0)];
        assert!(
            widths.iter().all(|width| (width - widths[0]).abs() < 1e-6),
            "{widths:?}"
        );
        assert!((rank_at(x(90.0)) - 90.0).abs() < 1e-6);
    }
}
