//! The benchmark of clusters: what diff, sync and the daemon cost a real API server, beside kubectl, in one run.
//!
//! `cargo bench --bench cluster` prints markdown; `-- --apps N` takes another size than 200 apps, `-- --flow` follows only
//! commits to prod. See docs/benchmarks.md.

#![expect(clippy::print_stdout, reason = "the tables are what a benchmark is for")]
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that unwraps fails with what it met"
)]

mod daemon;
mod fleet;
mod flow;
#[expect(dead_code, reason = "the tests' harness, of which this needs a part")]
#[path = "../../tests/harness/mod.rs"]
mod harness;
#[expect(dead_code, reason = "the benchmark of the load check asks it more")]
#[path = "../load/server.rs"]
mod server;
#[expect(dead_code, reason = "the benchmark of rendering has other trees as well")]
#[path = "../render/trees.rs"]
mod trees;

use std::time::{Duration, Instant};

use fleet::Fleet;
use harness::output::Output;

/// Runs of each program; the median is shown.
const ROUNDS: usize = 3;

/// What one run of a program cost.
struct Cost {
    wall: Duration,
    requests: usize,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let place = arguments.iter().position(|argument| argument == "--apps");
    let apps = place
        .and_then(|place| arguments.get(place + 1)?.parse().ok())
        .unwrap_or(200);
    if arguments.iter().any(|argument| argument == "--flow") {
        return flow::measure(apps);
    }
    let fleet = Fleet::start(apps);
    println!("### {} objects\n", fleet.objects());
    println!("| work | program | wall, median | API requests |\n|---|---|--:|--:|");
    first_apply(&fleet);
    diffs(&fleet);
    daemon::measure(&fleet);
    drop(fleet);
    flow::measure(apps);
}

/// The first apply of everything, by both programs in turn, each into an empty cluster.
fn first_apply(fleet: &Fleet) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        fleet.empty();
        fleet.kubectl(&["create", "namespace", fleet::NAMESPACE]).ok();
        theirs.push(measure(fleet, "kubectl", || {
            fleet
                .kubectl(&["apply", "--server-side", "-f", &fleet.rendered()])
                .ok();
        }));
        fleet.empty();
        ours.push(measure(fleet, "gitsync", || {
            fleet.gitsync(&["sync", "--env", fleet::NAME]).ok();
        }));
    }
    row("first apply", "`kubectl apply --server-side`", &mut theirs);
    row("first apply, until healthy", "`gitsync sync`", &mut ours);
}

/// Cold previews of what is applied: nothing differs, and one object does.
fn diffs(fleet: &Fleet) {
    let look = |code| {
        let diff = || fleet.gitsync(&["diff", "--env", fleet::NAME]);
        measure(fleet, "gitsync", || {
            expect(&diff(), code);
        })
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.push(measure(fleet, "kubectl", || {
            drop(fleet.kubectl(&["diff", "--server-side", "-f", &fleet.rendered()]));
        }));
        ours.push(look(0));
    }
    row(
        "diff, nothing changed",
        "`kubectl diff --server-side`",
        &mut theirs,
    );
    row("diff, nothing changed", "`gitsync diff`", &mut ours);
    fleet.edit("app-0001", "edited by hand");
    let mut changed = vec![look(1), look(1), look(1)];
    row("diff, one changed", "`gitsync diff`", &mut changed);
    fleet.gitsync(&["sync", "--env", fleet::NAME]).ok();
}

fn measure(fleet: &Fleet, agent: &str, work: impl FnOnce()) -> Cost {
    let since = fleet.now();
    let begun = Instant::now();
    work();
    let wall = begun.elapsed();
    Cost {
        wall,
        requests: fleet.requests(agent, since).len(),
    }
}

fn row(work: &str, program: &str, costs: &mut [Cost]) {
    costs.sort_by_key(|cost| cost.wall);
    let median = &costs[costs.len() / 2];
    println!(
        "| {work} | {program} | {:.2} s | {} |",
        median.wall.as_secs_f64(),
        median.requests
    );
}

fn expect(output: &Output, code: i32) {
    assert_eq!(output.code, code, "{output}");
}
