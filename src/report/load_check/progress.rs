//! Progress of a load check, as text: what it will do, and where it stands.

use std::fmt::Write as _;
use std::time::Duration;

use super::format::{clock, number};
use crate::config::duration;
use crate::config::load_check::plan::{Executor, Plan, Scenario};
use crate::report::paint::{Paint, Tone};
use crate::verify::progress::{Progress, ScenarioProgress};

/// What will be done, before it begins: the target and each scenario.
#[must_use]
pub fn header(plan: &Plan, url: &str, paint: Paint) -> String {
    let scenarios = plural(plan.scenarios.len() as u64, "scenario");
    let vus = plan.max_vus();
    let mut text = format!("     target: {}\n", paint.tone(Tone::Hunk, url));
    text.push_str(&paint.tone(Tone::Strong, "  scenarios"));
    let longest = span(plan.longest());
    put(
        &mut text,
        format_args!(": {scenarios}, {vus} max VUs, {longest} max duration (incl. graceful stop):\n"),
    );
    for scenario in &plan.scenarios {
        put(
            &mut text,
            format_args!("           * {}: {}\n", scenario.name, describe(scenario)),
        );
    }
    text
}

/// Where the check stands, as one line that fits into `width` columns.
///
/// `rate` is the requests per second of late.
#[must_use]
pub fn live_line(progress: &Progress, rate: f64, width: usize) -> String {
    let (now, most) = progress.vus();
    let done = share(progress);
    let again = match progress.repetition {
        0 => String::new(),
        repetition => format!("repetition {repetition}, "),
    };
    let failed = if progress.failed > 0 {
        format!(", {} failed", progress.failed)
    } else {
        String::new()
    };
    let left = format!("{again}running ({}), {now}/{most} VUs ", clock(progress.elapsed));
    let right = format!(
        " {:>3.0}%  {} requests, {}/s{failed}",
        done * 100.0,
        progress.requests,
        number(rate.round())
    );
    let room = width.saturating_sub(left.chars().count() + right.chars().count() + 1);
    let line = if room >= 7 {
        format!("{left}{}{right}", bar(done, room.min(42)))
    } else {
        format!("{left}{right}")
    };
    line.chars().take(width.saturating_sub(1)).collect()
}

/// Where the check stands, as a line for a log.
#[must_use]
pub fn plain_line(progress: &Progress) -> String {
    let (now, most) = progress.vus();
    let (complete, interrupted) = progress.iterations();
    let clock = clock(progress.elapsed);
    let mut line = format!(
        "running ({clock}), {now}/{most} VUs, {complete} complete and {interrupted} interrupted iterations"
    );
    let dropped: u64 = progress.scenarios.iter().map(|scenario| scenario.dropped).sum();
    for (number, what) in [
        (dropped, "dropped iterations"),
        (progress.failed, "failed requests"),
    ] {
        if number > 0 {
            put(&mut line, format_args!(", {number} {what}"));
        }
    }
    line
}

/// Where one scenario stands, as k6's line for it.
#[must_use]
pub fn scenario_line(scenario: &ScenarioProgress) -> String {
    let done = scenario.share();
    let clock = format!(
        "{}/{}",
        clock(scenario.elapsed.min(scenario.duration)),
        span(scenario.duration)
    );
    let iterations = match scenario.of_iterations {
        Some(all) => format!("  {}/{all} iters", scenario.iterations),
        None => String::new(),
    };
    format!(
        "{} [{:>4.0}% ] {} VUs  {clock}{iterations}",
        scenario.name,
        done * 100.0,
        scenario.vus
    )
}

/// How much is done: the scenario that lags most decides.
fn share(progress: &Progress) -> f64 {
    progress
        .scenarios
        .iter()
        .map(ScenarioProgress::share)
        .fold(1.0, f64::min)
}

fn bar(share: f64, width: usize) -> String {
    let inside = width.saturating_sub(2);
    let full = ((inside as f64) * share) as usize;
    let head = if full > 0 && full < inside { ">" } else { "" };
    let body = "=".repeat(full.saturating_sub(head.len()));
    format!("[{body}{head}{}]", "-".repeat(inside.saturating_sub(full)))
}

/// What a scenario does, in a few words.
fn describe(scenario: &Scenario) -> String {
    let executor = &scenario.executor;
    let time = span(executor.duration());
    let vus = |vus: u32| plural(u64::from(vus), "VU");
    let mut options = Vec::new();
    let work = match executor {
        Executor::ConstantVus { vus: number, .. } => format!("{number} looping VUs for {time}"),
        Executor::RampingVus { stages, .. } => {
            let most = executor.max_vus();
            format!(
                "up to {most} looping VUs for {time} over {}",
                plural(stages.len() as u64, "stage")
            )
        }
        Executor::SharedIterations {
            vus: number,
            iterations,
            ..
        } => {
            options.push(format!("maxDuration: {time}"));
            format!(
                "{} shared among {}",
                plural(*iterations, "iteration"),
                vus(*number)
            )
        }
        Executor::PerVuIterations {
            vus: number,
            iterations,
            ..
        } => {
            options.push(format!("maxDuration: {time}"));
            format!(
                "{} for each of {}",
                plural(*iterations, "iteration"),
                vus(*number)
            )
        }
        Executor::ArrivalRate {
            start,
            time_unit,
            stages,
            pre_allocated,
            max,
        } => {
            options.push(format!("VUs: {pre_allocated}-{max}"));
            let fastest = stages
                .iter()
                .map(|stage| stage.target)
                .chain([*start])
                .max()
                .unwrap_or_default();
            let rate = number(f64::from(fastest) / time_unit.as_secs_f64());
            format!("up to {rate} iterations/s for {time}")
        }
    };
    options.push(format!("gracefulStop: {}", span(scenario.graceful_stop)));
    if !scenario.start.is_zero() {
        options.push(format!("startTime: {}", span(scenario.start)));
    }
    format!("{work} ({})", options.join(", "))
}

fn plural(number: u64, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments)
        .expect("because writing to a String cannot fail");
}

fn span(span: Duration) -> String {
    duration::Duration(span).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load_check::LoadCheckSpec;

    fn mk_progress() -> Progress {
        Progress {
            elapsed: Duration::from_millis(5_000),
            duration: Duration::from_secs(10),
            repetition: 0,
            requests: 5_123,
            failed: 0,
            scenarios: vec![ScenarioProgress {
                name: "default".to_owned(),
                elapsed: Duration::from_millis(5_000),
                duration: Duration::from_secs(10),
                vus: 10,
                max_vus: 10,
                iterations: 5_100,
                ..ScenarioProgress::default()
            }],
            latency: Vec::new(),
        }
    }

    #[test]
    fn the_header_says_what_will_be_done() {
        let spec = "target: {url: 'http://a'}\nvus: 10\nduration: 10s\n";
        let plan = serde_yaml::from_str::<LoadCheckSpec>(spec)
            .unwrap()
            .compile()
            .unwrap();
        assert_eq!(
            header(&plan, "http://a", Paint::default()),
            "     target: http://a\n  scenarios: 1 scenario, 10 max VUs, 40s max duration (incl. graceful stop):\n           \
             * default: 10 looping VUs for 10s (gracefulStop: 30s)\n"
        );
    }

    #[test]
    fn lines_fit_the_terminal() {
        let progress = mk_progress();
        assert_eq!(
            live_line(&progress, 1024.4, 80),
            "running (05.0s), 10/10 VUs [==========>-----------]  50%  5123 requests, 1024/s"
        );
        for width in [1, 20, 40, 60, 80, 200] {
            let line = live_line(
                &Progress {
                    failed: 7,
                    repetition: 2,
                    ..progress.clone()
                },
                3.0,
                width,
            );
            assert!(line.chars().count() < width.max(1), "{width}: {line}");
        }
        assert_eq!(
            plain_line(&progress),
            "running (05.0s), 10/10 VUs, 5100 complete and 0 interrupted iterations"
        );
        assert_eq!(
            scenario_line(&progress.scenarios[0]),
            "default [  50% ] 10 VUs  05.0s/10s"
        );
    }
}
