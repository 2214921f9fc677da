//! Cost: what one run of a program takes, and what it asks of the API server.

use std::time::{Duration, Instant};

use crate::fleet::Fleet;

/// A tick of the kernel's clock of CPU time: 100 a second on every architecture of Linux.
const TICK: Duration = Duration::from_millis(10);

/// What one run of a program cost.
pub struct Cost {
    wall: Duration,
    cpu: Duration,
    requests: usize,
}

impl Cost {
    /// Wall time in seconds.
    pub fn seconds(&self) -> f64 {
        self.wall.as_secs_f64()
    }
}

/// Runs some work whose requests are those of the user agent.
pub fn measure(fleet: &Fleet, agent: &str, work: impl FnOnce()) -> Cost {
    let (since, cpu) = (fleet.now(), children());
    let begun = Instant::now();
    work();
    let wall = begun.elapsed();
    Cost {
        wall,
        cpu: children() - cpu,
        requests: fleet.requests(agent, since).len(),
    }
}

/// Prints the medians of some runs as a row.
pub fn row(work: &str, program: &str, costs: &[Cost]) {
    println!(
        "| {work} | {program} | {:.2} s | {:.2} s | {} |",
        median(costs.iter().map(|cost| cost.wall)).as_secs_f64(),
        median(costs.iter().map(|cost| cost.cpu)).as_secs_f64(),
        median(costs.iter().map(|cost| cost.requests)),
    );
}

/// The value in the middle.
pub fn median<T: Ord + Copy>(values: impl Iterator<Item = T>) -> T {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values[values.len() / 2]
}

/// The figure in the middle of so many runs.
pub fn median_of(runs: usize, mut figure: impl FnMut() -> f64) -> f64 {
    let mut figures: Vec<f64> = (0..runs).map(|_| figure()).collect();
    figures.sort_by(f64::total_cmp);
    figures[runs / 2]
}

/// The CPU time of all programs that ended.
fn children() -> Duration {
    ticks("/proc/self/stat", [15, 16])
}

/// The CPU time of a running process.
pub fn cpu_of(process: u32) -> Duration {
    ticks(&format!("/proc/{process}/stat"), [13, 14])
}

/// Some fields of `/proc/…/stat`, counted from nought, as proc(5) lists them; the name, which may hold blanks, is the second.
fn ticks(path: &str, fields: [usize; 2]) -> Duration {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let values: Vec<u32> = rest
        .split_whitespace()
        .map(|value| value.parse().unwrap_or_default())
        .collect();
    let sum = fields
        .iter()
        .filter_map(|field| values.get(field - 2))
        .sum::<u32>();
    TICK * sum
}
