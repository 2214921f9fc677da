//! The benchmark of starting: how large the program is, how soon it answers, and how soon a sandbox does.
//!
//! `cargo bench --bench start` prints markdown. The commands are whole processes, in turn. See docs/benchmarks.md.

#![expect(clippy::print_stdout, reason = "the table is what a benchmark is for")]
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that unwraps fails with what it met"
)]

#[path = "../../tests/harness/binaries.rs"]
mod binaries;
#[expect(dead_code, reason = "CPU time of so short a run is less than a tick")]
#[path = "../common/gnu_time.rs"]
mod gnu_time;
#[path = "../common/installed.rs"]
mod installed;
#[path = "../common/spread.rs"]
mod spread;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use installed::Installed;
use sandbox::{Cluster, Options};
use spread::Spread;

/// Timed runs of each program, in turn.
const ROUNDS: usize = 40;

/// A command that needs neither a network nor a file.
struct Program {
    name: &'static str,
    binary: PathBuf,
    arguments: &'static [&'static str],
}

fn main() {
    let installed = Installed::new();
    let program = |name, built: PathBuf, arguments| Program {
        name,
        binary: installed.program(&built),
        arguments,
    };
    let programs = [
        program("gitsync --version", binaries::gitsync(), &["--version"]),
        program("gitsync --help", binaries::gitsync(), &["--help"]),
        program("kustomize version", binaries::path("kustomize"), &["version"]),
        program(
            "kubectl version --client",
            binaries::path("kubectl"),
            &["version", "--client"],
        ),
        program("k6 version", binaries::path("k6"), &["version"]),
    ];
    println!(
        "| program | median of {ROUNDS} | min to max | peak RSS | size of the file |\n|---|--:|--:|--:|--:|"
    );
    let mut times = vec![Vec::new(); programs.len()];
    for _ in 0..ROUNDS {
        for (program, times) in programs.iter().zip(&mut times) {
            times.push(program.wall());
        }
    }
    for (program, times) in programs.iter().zip(times) {
        let size = fs::metadata(&program.binary).unwrap().len() as f64 / 1e6;
        println!(
            "| `{}` | {} | {:.1} MiB | {size:.1} MB |",
            program.name,
            Spread::from(times),
            program.peak()
        );
    }
    let starts: Vec<Duration> = (0..ROUNDS).map(|_| start_of_a_sandbox()).collect();
    println!(
        "| a sandbox cluster with its controllers, until it listens | {} | | |",
        Spread::from(starts)
    );
}

impl Program {
    fn wall(&self) -> Duration {
        let mut command = Command::new(&self.binary);
        let begun = Instant::now();
        let output = command.args(self.arguments).output().unwrap();
        let wall = begun.elapsed();
        assert!(output.status.success(), "{}: {output:?}", self.name);
        wall
    }

    /// The largest resident set, in MiB.
    fn peak(&self) -> f64 {
        let mut command = Command::new(&self.binary);
        gnu_time::run(command.args(self.arguments)).1.peak
    }
}

fn start_of_a_sandbox() -> Duration {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let begun = Instant::now();
        let handle = Cluster::start(Options::default()).await.unwrap();
        let took = begun.elapsed();
        drop(handle);
        took
    })
}
