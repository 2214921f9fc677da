//! Simulation: runs of ten virtual users against a service whose true 90th percentile is known, judged by both rules.

use std::time::Duration;

use gitsync::config::load_check::LoadCheckSpec;
use gitsync::config::load_check::plan::Plan;
use gitsync::verify::exchange::{Protocol, SeriesKey, Timings};
use gitsync::verify::judge::{LoadOutcome, judge};
use gitsync::verify::samples::Samples;

const RUNS: u64 = 200;
const VUS: u32 = 10;
const SECONDS: f64 = 10.0;
/// The spread of the logarithm of a latency.
const SIGMA: f64 = 0.35;
/// The 90th percentile of the standard normal distribution.
const Z90: f64 = 1.281_551_565_544_6;

/// Prints how often each rule was wrong.
pub fn print() {
    println!(
        "### Verdicts of {RUNS} simulated runs, `p(90)<600`, {VUS} virtual users, {SECONDS} s\n\n\
         | true p(90) | k6 passes | k6 blocks | gitsync passes | gitsync fails | stays inconclusive (blocks) | \
         runs repeated |\n|--:|--:|--:|--:|--:|--:|--:|"
    );
    let text = format!(
        "target: {{url: 'http://a'}}\nvus: {VUS}\nduration: 10s\nthresholds: {{http_req_duration: ['p(90)<600']}}\n"
    );
    let spec: LoadCheckSpec = serde_yaml::from_str(&text).expect("because the text is a load check");
    let plan = spec.compile().expect("because the load check is right");
    for truth in [540.0, 590.0, 600.0, 610.0, 660.0] {
        let (mut k6, mut passes, mut fails, mut unclear, mut repeated) = (0, 0, 0, 0, 0);
        for seed in 0..RUNS {
            let mut dice = Dice(seed * 7919 + truth as u64);
            let looks = plan.strict.max_extend + 1;
            let mut samples = run(&plan, truth, &mut dice);
            let first = judge(&plan, &samples, looks);
            k6 += u32::from(first.thresholds.iter().all(|threshold| threshold.k6_passes));
            let mut outcome = first.outcome;
            for _ in 0..plan.strict.max_extend {
                if outcome == LoadOutcome::Inconclusive {
                    repeated += 1;
                    samples.extend(run(&plan, truth, &mut dice));
                    outcome = judge(&plan, &samples, looks).outcome;
                }
            }
            match outcome {
                LoadOutcome::Pass => passes += 1,
                LoadOutcome::Fail => fails += 1,
                LoadOutcome::Inconclusive | LoadOutcome::Void => unclear += 1,
            }
        }
        let blocked = RUNS - u64::from(k6);
        println!("| {truth} ms | {k6} | {blocked} | {passes} | {fails} | {unclear} | {repeated} |");
    }
}

fn run(plan: &Plan, truth: f64, dice: &mut Dice) -> Samples {
    let key = SeriesKey {
        scenario: 0,
        request: 0,
        status: 200,
        error: None,
        hop: false,
        expected: true,
        protocol: Protocol::Http1,
    };
    let mut samples = Samples::new(plan);
    for _ in 0..VUS {
        let mut at = 0.0;
        while at < SECONDS {
            let millis = truth * (SIGMA * (dice.normal() - Z90)).exp();
            let timings = Timings {
                waiting: Duration::from_secs_f64(millis / 1000.0),
                ..Timings::default()
            };
            samples.add_request(plan, key, Duration::from_secs_f64(at), Some(timings));
            at += millis / 1000.0;
        }
    }
    samples.elapsed = Duration::from_secs_f64(SECONDS);
    samples
}

/// Numbers that look random and are the same in every run (SplitMix64, by Sebastiano Vigna).
struct Dice(u64);

impl Dice {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A standard normal number (Box and Muller).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}
