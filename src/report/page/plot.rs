//! Plot: response times over the time of a load check, with the bound that decides, as SVG.

use std::fmt::Write as _;

use super::html::text;
use crate::report::board::CheckView;
use crate::report::load_check::format;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 64.0;
const BOTTOM: f64 = 30.0;
const TOP: f64 = 12.0;

/// The plot; its description says the same in words.
pub(super) fn svg(check: &CheckView) -> String {
    let highest = check.latency.iter().map(|point| point.max_millis);
    let ceiling = nice(highest.chain(check.bound_millis).fold(1.0, f64::max) * 1.1);
    let last = check.latency.last().map_or(0.0, |point| point.at_seconds);
    let span = check.duration_seconds.max(last).max(1.0);
    let x = |seconds: f64| LEFT + seconds / span * (WIDTH - LEFT - 8.0);
    let y = |millis: f64| TOP + (1.0 - millis / ceiling) * (HEIGHT - TOP - BOTTOM);
    let line = |value: fn(&crate::report::board::LatencyView) -> f64| {
        let mut points = String::new();
        for point in &check.latency {
            let _ = write!(points, "{:.1},{:.1} ", x(point.at_seconds), y(value(point)));
        }
        points
    };
    let mut marks = String::new();
    for share in [0.0, 0.5, 1.0] {
        let millis = ceiling * share;
        let _ = write!(
            marks,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text x=\"{label}\" y=\"{at:.1}\" text-anchor=\"end\" dominant-baseline=\"middle\">{}</text>",
            text(&format::duration(millis)),
            at = y(millis),
            label = LEFT - 6.0,
        );
    }
    for share in [0.0, 0.5, 1.0] {
        let anchor = if share == 1.0 { "end" } else { "middle" };
        let _ = write!(
            marks,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{:.0}s</text>",
            x(span * share),
            HEIGHT - 3.0,
            span * share
        );
    }
    let is_over = check
        .bound_millis
        .is_some_and(|bound| check.latency.iter().any(|point| point.p90_millis > bound));
    // The label stands where the line of the response times is not.
    let (side, baseline) = if is_over { (4.0, "hanging") } else { (-4.0, "auto") };
    let bound = check
        .bound_millis
        .map(|bound| {
            format!(
                "<line class=\"bound\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text class=\"bound\" x=\"{WIDTH}\" y=\"{beside:.1}\" text-anchor=\"end\" dominant-baseline=\"{baseline}\">limit {}</text>",
                text(&format::duration(bound)),
                at = y(bound),
                beside = y(bound) + side,
            )
        })
        .unwrap_or_default();
    let over = if is_over { " over" } else { "" };
    let limit = check
        .bound_millis
        .map(|_| "<span><span class=\"key limit\" aria-hidden=\"true\"></span>limit</span>")
        .unwrap_or_default();
    format!(
        "<svg class=\"plot{over}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">{marks}\
         <polyline class=\"max\" points=\"{}\"/><polyline class=\"p90\" points=\"{}\"/>{bound}</svg>\
         <p class=\"legend small\"><span><span class=\"key p90\" aria-hidden=\"true\"></span>90th percentile</span>\
         <span><span class=\"key max\" aria-hidden=\"true\"></span>slowest, of each quarter of a second</span>{limit}</p>",
        text(&words(check)),
        line(|point| point.max_millis),
        line(|point| point.p90_millis),
    )
}

fn words(check: &CheckView) -> String {
    let highest = check
        .latency
        .iter()
        .map(|point| point.p90_millis)
        .fold(0.0, f64::max);
    let limit = check
        .bound_millis
        .map(|bound| format!("; the limit is {}", format::duration(bound)))
        .unwrap_or_default();
    format!(
        "Response times of load check {}: the 90th percentile was at most {}{limit}",
        check.name,
        format::duration(highest)
    )
}

/// The next number of the form 1, 2 or 5 times a power of ten.
fn nice(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    steps
        .into_iter()
        .map(|step| step * power)
        .find(|step| *step >= value)
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_ends_at_a_round_number() {
        assert_eq!(
            [0.9, 1.0, 3.0, 660.0, 770.0].map(nice),
            [1.0, 1.0, 5.0, 1000.0, 1000.0]
        );
    }
}
