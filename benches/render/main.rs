//! The benchmark of the renderer: `gitsync render` against `kustomize build`, whole processes, alternating in one run.
//!
//! `cargo bench --bench render` prints markdown; `-- --quick` leaves out the build of 5,000 objects, for which the
//! reference alone takes minutes, and `-- --more` all but what is more than one build. The reference is built from its
//! Go module, as for the tests. Every tree is first built by both and compared byte for byte: a fast wrong answer has
//! no figures. See docs/benchmarks.md.

#![expect(clippy::print_stdout, reason = "the table is what a benchmark is for")]

#[path = "../../tests/harness/binaries.rs"]
mod binaries;
#[path = "../common/gnu_time.rs"]
mod gnu_time;
#[path = "../common/installed.rs"]
mod installed;
mod measure;
mod more;
#[path = "../common/spread.rs"]
mod spread;
mod trees;

use std::path::Path;

use installed::Installed;
use measure::{Cost, Program};

/// One tree and how often it is built.
struct Case {
    name: &'static str,
    make: fn(&Path),
    /// Rounds of one timed run of the reference and some of gitsync; none where the reference takes too long.
    rounds: usize,
    /// Timed runs of gitsync in each round, or in all without rounds.
    ours_per_round: usize,
    /// Runs over which the CPU time is averaged, for the reference and for gitsync. A reference without rounds has its
    /// wall time from here; one that is not run at all has none.
    averaged: [usize; 2],
    is_slow: bool,
}

const CASES: [Case; 7] = [
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
        name: "30 layers with a component each, 100 objects",
        make: |dir| trees::layers(dir, 30),
        rounds: 10,
        ours_per_round: 2,
        averaged: [3, 20],
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
        rounds: 0,
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
    if std::env::args().any(|argument| argument == "--more") {
        return more::print();
    }
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let installed = Installed::new();
    let [theirs, own] =
        [binaries::path("kustomize"), binaries::gitsync()].map(|built| installed.program(&built));
    let reference = Program::new("kustomize build", theirs, "build");
    let ours = Program::new("gitsync render", own, "render");
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
    more::print();
}

fn run(case: &Case, reference: &Program, ours: &Program) -> Row {
    let dir = tempfile::tempdir().expect("because a temporary directory can be made");
    let dir = dir.path();
    (case.make)(dir);
    let [their_runs, our_runs] = case.averaged;
    let ours_averaged = ours.averaged(dir, our_runs);
    let printed = measure::printed(dir);
    let reference_averaged = (their_runs > 0).then(|| {
        let averaged = reference.averaged(dir, their_runs);
        let same = printed == measure::printed(dir);
        assert!(same, "{}: the two programs print different bytes", case.name);
        averaged
    });
    let mut their_walls = Vec::new();
    let mut our_walls = Vec::new();
    for round in 0..case.rounds.max(1) {
        if round < case.rounds {
            their_walls.push(reference.wall(dir));
        }
        our_walls.extend((0..case.ours_per_round).map(|_| ours.wall(dir)));
    }
    Row {
        name: case.name,
        reference: reference_averaged.map(|averaged| Cost::new(their_walls, averaged)),
        ours: Cost::new(our_walls, ours_averaged),
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
