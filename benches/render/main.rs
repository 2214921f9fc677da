//! The benchmark of the renderer: `gitsync render` against `kustomize build`, whole processes, alternating in one run.
//!
//! `cargo bench --bench render` prints markdown; `-- --quick` leaves out the build of 5,000 objects, for which the
//! reference alone takes minutes. The reference is built from its Go module, as for the tests. Every tree is first
//! built by both and compared byte for byte: a fast wrong answer has no figures. See docs/benchmarks.md.

#![expect(clippy::print_stdout, reason = "the table is what a benchmark is for")]

#[path = "../../tests/harness/binaries.rs"]
mod binaries;
mod measure;
mod trees;

use std::path::{Path, PathBuf};

use measure::{Cost, Program};

/// One tree and how often it is built.
struct Case {
    name: &'static str,
    make: fn(&Path),
    /// Rounds in which the reference is run; none where it would take too long.
    rounds: usize,
    /// Runs of gitsync in each round, or in all without the reference.
    ours_per_round: usize,
    /// Runs over which the CPU time is averaged, for each program.
    averaged: [usize; 2],
    is_slow: bool,
}

const CASES: [Case; 6] = [
    Case {
        name: "1 ConfigMap",
        make: trees::config_map,
        rounds: 40,
        ours_per_round: 1,
        averaged: [40, 40],
        is_slow: false,
    },
    Case {
        name: "200 apps in one overlay, 1,001 objects",
        make: |dir| trees::overlay(dir, 200),
        rounds: 5,
        ours_per_round: 4,
        averaged: [1, 20],
        is_slow: false,
    },
    Case {
        name: "one kustomization, 1,000 objects",
        make: |dir| trees::single(dir, 1_000),
        rounds: 5,
        ours_per_round: 4,
        averaged: [1, 20],
        is_slow: false,
    },
    Case {
        name: "one kustomization, 2,000 objects",
        make: |dir| trees::single(dir, 2_000),
        rounds: 2,
        ours_per_round: 10,
        averaged: [1, 10],
        is_slow: false,
    },
    Case {
        name: "one kustomization, 5,000 objects",
        make: |dir| trees::single(dir, 5_000),
        rounds: 1,
        ours_per_round: 20,
        averaged: [1, 5],
        is_slow: true,
    },
    Case {
        name: "one kustomization, 10,000 objects",
        make: |dir| trees::single(dir, 10_000),
        rounds: 0,
        ours_per_round: 15,
        averaged: [0, 3],
        is_slow: false,
    },
];

/// What a case cost, by program; the reference may not have been run.
struct Row {
    name: &'static str,
    reference: Option<Cost>,
    ours: Cost,
}

fn main() {
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let reference = Program::new("kustomize build", binaries::path("kustomize"), "build");
    let ours = Program::new(
        "gitsync render",
        PathBuf::from(env!("CARGO_BIN_EXE_gitsync")),
        "render",
    );
    println!("{}\n", measure::machine());
    println!(
        "| tree | program | runs | wall, median | min to max | ratio | CPU | ratio | peak RSS | ratio |\n\
         |---|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    );
    let mut rows = Vec::new();
    for case in CASES.iter().filter(|case| !(is_quick && case.is_slow)) {
        let row = run(case, &reference, &ours);
        print_row(&row, &reference, &ours);
        rows.push(row);
    }
    print_growth(&rows);
}

fn run(case: &Case, reference: &Program, ours: &Program) -> Row {
    let dir = tempfile::tempdir().expect("because a temporary directory can be made");
    (case.make)(dir.path());
    let mut reference_walls = Vec::new();
    let mut our_walls = Vec::new();
    for round in 0..case.rounds.max(1) {
        if case.rounds > 0 {
            let (wall, output) = reference.run(dir.path());
            reference_walls.push(wall);
            // The first round costs both a comparison that is not timed.
            let same = round > 0 || output == ours.run(dir.path()).1;
            assert!(same, "{}: the two programs print different bytes", case.name);
        }
        our_walls.extend((0..case.ours_per_round).map(|_| ours.run(dir.path()).0));
    }
    let [reference_runs, our_runs] = case.averaged;
    Row {
        name: case.name,
        reference: (case.rounds > 0).then(|| {
            let usage = reference.usage(dir.path(), reference_runs);
            Cost::new(reference_walls, usage)
        }),
        ours: Cost::new(our_walls, ours.usage(dir.path(), our_runs)),
    }
}

fn print_row(row: &Row, reference: &Program, ours: &Program) {
    if let Some(cost) = &row.reference {
        println!("| {} | `{}` | {} |", row.name, reference.name, cost.cells(None));
    }
    let cells = row.ours.cells(row.reference.as_ref());
    println!("| {} | `{}` | {cells} |", row.name, ours.name);
}

/// The exponent `e` of time ~ objects^e between 1,000 and 10,000 objects: 1 is linear, 2 quadratic.
fn print_growth(rows: &[Row]) {
    let cost = |name: &str| {
        rows.iter()
            .find(|row| row.name.ends_with(name))
            .map(|row| &row.ours)
    };
    let (Some(small), Some(large)) = (cost(" 1,000 objects"), cost(" 10,000 objects")) else {
        return;
    };
    println!(
        "\nGrowth of `gitsync render` from 1,000 to 10,000 objects: wall (least of the runs) ~ n^{:.2}, \
         peak RSS ~ n^{:.2}.",
        (large.least() / small.least()).log10(),
        (large.peak() / small.peak()).log10()
    );
}
