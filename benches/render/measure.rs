//! Cost: the time and memory of whole processes, from start to exit.
//!
//! Wall time is taken around a process whose standard output is a file, so that no reader slows the writer. CPU time
//! and peak memory come from further runs below GNU time, since a process cannot ask for them without unsafe code.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::gnu_time;

/// The file in the tree that takes what a program prints; no kustomization names it.
const PRINTED: &str = "printed";

/// A program that renders a directory to standard output.
pub struct Program {
    /// The command as a reader knows it.
    pub name: &'static str,
    binary: PathBuf,
    subcommand: &'static str,
}

/// One process of several that ran below GNU time.
#[derive(Clone, Copy, Debug)]
pub struct Averaged {
    /// User and system time, the average.
    cpu: Duration,
    /// Wall time, the average; a little more than the process alone takes.
    wall: Duration,
    /// The largest resident set, in MiB.
    peak: f64,
}

/// What the runs of one program cost.
pub struct Cost {
    /// Sorted.
    walls: Vec<Duration>,
    averaged: Averaged,
}

// === impl Program ===

impl Program {
    /// A program by its path, and the subcommand before the directory.
    pub fn new(name: &'static str, binary: PathBuf, subcommand: &'static str) -> Self {
        Self {
            name,
            binary,
            subcommand,
        }
    }

    /// The wall time of one run.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn wall(&self, dir: &Path) -> Duration {
        let out = File::create(dir.join(PRINTED)).expect("because the temporary directory is ours");
        let mut command = Command::new(&self.binary);
        command
            .arg(self.subcommand)
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(out);
        let start = Instant::now();
        let output = command.stderr(Stdio::piped()).output();
        let wall = start.elapsed();
        let output = output.unwrap_or_else(|error| panic!("cannot run {}: {error}", self.binary.display()));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} failed: {said}", self.name);
        wall
    }

    /// CPU time and memory over some runs below GNU time, whose clock ticks only every 10 ms.
    ///
    /// # Panics
    ///
    /// When the program fails, or GNU time is missing.
    pub fn averaged(&self, dir: &Path, runs: usize) -> Averaged {
        let start = Instant::now();
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(
                r#"n=$1; out=$2; shift 2; while [ "$n" -gt 0 ]; do "$@" >"$out" || exit; n=$((n - 1)); done"#,
            )
            .args(["sh", &runs.to_string()])
            .arg(dir.join(PRINTED))
            .arg(&self.binary)
            .arg(self.subcommand)
            .arg(dir);
        let (output, spent) = gnu_time::run(&command);
        let wall = start.elapsed();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} failed: {said}", self.name);
        Averaged {
            cpu: Duration::from_secs_f64(spent.cpu / runs as f64),
            wall: wall.div_f64(runs as f64),
            peak: spent.peak,
        }
    }
}

/// What the last run in this directory printed.
pub fn printed(dir: &Path) -> Vec<u8> {
    fs::read(dir.join(PRINTED)).expect("because a program just wrote it")
}

// === impl Cost ===

impl Cost {
    /// The cost of runs; without timed ones, the wall time is the averaged one.
    pub fn new(mut walls: Vec<Duration>, averaged: Averaged) -> Self {
        if walls.is_empty() {
            walls.push(averaged.wall);
        }
        walls.sort_unstable();
        Self { walls, averaged }
    }

    /// The shortest run in seconds: the one that other load disturbed least.
    pub fn least(&self) -> f64 {
        self.walls[0].as_secs_f64()
    }

    /// Peak memory in MiB.
    pub fn peak(&self) -> f64 {
        self.averaged.peak
    }

    fn median(&self) -> Duration {
        let middle = self.walls.len() / 2;
        match self.walls.len() % 2 {
            0 => (self.walls[middle - 1] + self.walls[middle]) / 2,
            _ => self.walls[middle],
        }
    }

    /// The cells of a row; the ratios say how many times more the other program needs.
    pub fn cells(&self, other: Option<&Self>) -> String {
        let ratio = |of: &dyn Fn(&Self) -> f64| {
            other.map_or_else(String::new, |other| match of(other) / of(self) {
                high if high >= 100.0 => format!("{high:.0}×"),
                low => format!("{low:.1}×"),
            })
        };
        let last = self.walls.len() - 1;
        format!(
            "{} | {} | {} to {} | {} | {} | {} | {:.1} MiB | {}",
            self.walls.len(),
            seconds(self.median()),
            seconds(self.walls[0]),
            seconds(self.walls[last]),
            ratio(&|cost| cost.median().as_secs_f64()),
            seconds(self.averaged.cpu),
            ratio(&|cost| cost.averaged.cpu.as_secs_f64()),
            self.averaged.peak,
            ratio(&Self::peak),
        )
    }
}

fn seconds(duration: Duration) -> String {
    match duration.as_secs_f64() {
        long if long >= 1.0 => format!("{long:.2} s"),
        short => format!("{:.1} ms", short * 1_000.0),
    }
}

/// The machine in a line: processor, number of cores, load.
pub fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let model = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or_else(|| "unknown processor".to_owned(), |(_, model)| model.to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    format!("{model}, {cores} cores; load average of the last minute at the start: {load}")
}
