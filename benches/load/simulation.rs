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

/// True 90th percentiles in milliseconds; the bound is 600.
const TRUTHS: [f64; 5] = [540.0, 590.0, 600.0, 610.0, 660.0];
/// Those among them that are so near to the bound that a run cannot tell.
const NEAR: [f64; 3] = [590.0, 600.0, 610.0];

/// How often each rule came to each verdict.
#[derive(Default)]
struct Tally {
    k6_passes: u64,
    passes: u64,
    fails: u64,
    unclear: u64,
    /// Runs of the plan that were made until there was a verdict.
    runs: u64,
}

/// Prints how often each rule was wrong: with one run for both, and with as much time for k6 as gitsync may take.
pub fn print() {
    let text = format!(
        "target: {{url: 'http://a'}}\nvus: {VUS}\nduration: 10s\nthresholds: {{http_req_duration: ['p(90)<600']}}\n"
    );
    let spec: LoadCheckSpec = serde_yaml::from_str(&text).expect("because the text is a load check");
    let mut plan = spec.compile().expect("because the load check is right");
    for repetitions in [0, plan.strict.max_extend] {
        plan.strict.max_extend = repetitions;
        let seconds = SECONDS * f64::from(repetitions + 1);
        println!(
            "\n### Verdicts of {RUNS} simulated runs, `p(90)<600`, {VUS} virtual users, {seconds} s for k6 and up to \
             {seconds} s for gitsync\n\n\
             | true p(90) | k6 passes | k6 blocks | gitsync passes | gitsync fails | stays inconclusive (blocks) | \
             seconds on average |\n|--:|--:|--:|--:|--:|--:|--:|"
        );
        let tallies = TRUTHS.map(|truth| (truth, tally(&plan, truth)));
        for (truth, tally) in &tallies {
            let Tally {
                k6_passes,
                passes,
                fails,
                unclear,
                runs,
            } = tally;
            let (blocks, mean) = (RUNS - k6_passes, *runs as f64 * SECONDS / RUNS as f64);
            println!("| {truth} ms | {k6_passes} | {blocks} | {passes} | {fails} | {unclear} | {mean:.0} |");
        }
        print_wrong(&tallies);
    }
}

/// Sums up what was wrong near the bound.
fn print_wrong(tallies: &[(f64, Tally)]) {
    let near = tallies.iter().filter(|(truth, _)| NEAR.contains(truth));
    let (mut promoted, mut blocked, mut failed) = ([0, 0], [0, 0], 0);
    for (truth, tally) in near {
        if *truth < 600.0 {
            blocked[0] += RUNS - tally.k6_passes;
            blocked[1] += RUNS - tally.passes;
            failed += tally.fails;
        } else {
            promoted[0] += tally.k6_passes;
            promoted[1] += tally.passes;
        }
    }
    println!(
        "\n| at 590, 600 and 610 ms | wrong promotions | wrong blocks | of these, said to be too slow | wrong of {} |\n\
         |---|--:|--:|--:|--:|",
        RUNS * NEAR.len() as u64
    );
    for (name, rule, failed) in [("k6", 0, blocked[0]), ("gitsync", 1, failed)] {
        let all = promoted[rule] + blocked[rule];
        println!(
            "| {name} | {} | {} | {failed} | {all} |",
            promoted[rule], blocked[rule]
        );
    }
}

fn tally(plan: &Plan, truth: f64) -> Tally {
    let looks = plan.strict.max_extend + 1;
    let mut tally = Tally::default();
    for seed in 0..RUNS {
        let mut dice = Dice(seed * 7919 + truth as u64);
        let mut samples = run(plan, truth, &mut dice);
        let mut verdict = judge(plan, &samples, looks);
        let mut outcome = None;
        for look in 1..=looks {
            if look > 1 {
                samples.extend(run(plan, truth, &mut dice));
                verdict = judge(plan, &samples, looks);
            }
            if outcome.is_none() && (verdict.outcome != LoadOutcome::Inconclusive || look == looks) {
                outcome = Some(verdict.outcome);
                tally.runs += u64::from(look);
            }
        }
        // k6 has no early end: it judges everything.
        tally.k6_passes += u64::from(verdict.thresholds.iter().all(|threshold| threshold.k6_passes));
        match outcome {
            Some(LoadOutcome::Pass) => tally.passes += 1,
            Some(LoadOutcome::Fail) => tally.fails += 1,
            _ => tally.unclear += 1,
        }
    }
    tally
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
