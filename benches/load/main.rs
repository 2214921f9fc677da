//! The benchmark of the load check: `gitsync check` beside k6, oha and wrk in one run, against servers whose behaviour
//! is known, and the verdicts of both rules on simulated runs at a known true percentile.
//!
//! `cargo bench --bench load` prints markdown. k6 is built from its Go module, as for the tests; oha and wrk take part
//! when they are on the PATH. `-- --simulate` prints only the simulation. See docs/benchmarks.md.

#![expect(clippy::print_stdout, reason = "the tables are what a benchmark is for")]

#[path = "../../tests/harness/binaries.rs"]
mod binaries;
mod cost;
#[path = "../common/gnu_time.rs"]
mod gnu_time;
mod server;
mod simulation;

use cost::Tool;
use server::{Behaviour, Server};

/// A server and the open-loop rate at which it is asked.
struct Case {
    name: &'static str,
    behaviour: Behaviour,
}

const CASES: [Case; 6] = [
    Case {
        name: "fixed 50 ms",
        behaviour: |_| (200, 50),
    },
    Case {
        name: "bimodal: 20 ms, every fifth 120 ms",
        behaviour: |number| (200, if number % 5 == 4 { 120 } else { 20 }),
    },
    Case {
        name: "1 % take 2 s",
        behaviour: |number| (200, if number % 100 == 99 { 2_000 } else { 10 }),
    },
    Case {
        name: "5 % answer 500",
        behaviour: |number| (if number % 20 == 19 { 500 } else { 200 }, 10),
    },
    Case {
        name: "slow start: the first 50 take 300 ms",
        behaviour: |number| (200, if number < 50 { 300 } else { 10 }),
    },
    Case {
        name: "stands still for 2 s: all that arrive wait for its end",
        behaviour: |number| {
            let until_its_end = if (400..=600).contains(&number) {
                600 - number
            } else {
                0
            };
            (200, 10 + until_its_end * 1_000 / u64::from(RATE))
        },
    },
];

/// Iterations per second, and seconds, of a run for accuracy.
const RATE: u32 = 100;
const SECONDS: u32 = 10;
/// Timed runs of each program; the median is shown.
const ROUNDS: usize = 3;
/// Connections of the runs without a pause.
const CONNECTIONS: [u32; 2] = [10, 200];

fn main() {
    simulation::print();
    if std::env::args().any(|argument| argument == "--simulate") {
        return;
    }
    let ours = binaries::gitsync();
    let tools = Tool::all(ours, binaries::path("k6"));
    print_accuracy(&tools);
    print_cost(&tools);
}

/// What each program that has an open loop says of each server, beside what the server itself saw.
fn print_accuracy(tools: &[Tool]) {
    println!(
        "\n### Accuracy, {RATE} requests per second for {SECONDS} s\n\n\
         | server | program | p(50) | p(90) | p(99) | truth p(50) | p(90) | p(99) | largest difference | exit code |\n\
         |---|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    );
    for case in &CASES {
        for tool in tools.iter().filter(|tool| tool.has_open_loop()) {
            let server = Server::start(case.behaviour);
            let figures = tool.percentiles(&server.url(), RATE, SECONDS);
            let truth = server.percentiles(tool.questions());
            let both = || figures.percentiles.iter().zip(&truth);
            let cells: Vec<String> = figures
                .percentiles
                .iter()
                .chain(&truth)
                .map(|ms| format!("{ms:.2}"))
                .collect();
            let off = both().map(|(said, is)| (said - is).abs()).fold(0.0, f64::max);
            let is_close = |(said, is): (&f64, &f64)| (said - is).abs() <= (is / 100.0).max(0.5);
            println!(
                "| {} | {} | {} | {off:.2} ms{} | {} |",
                case.name,
                tool.name(),
                cells.join(" | "),
                if both().all(is_close) { "" } else { ", too much" },
                figures.code
            );
        }
    }
}

/// CPU time for 100,000 requests of virtual users without a pause, and the largest resident set.
fn print_cost(tools: &[Tool]) {
    println!(
        "\n### Cost, connections without a pause for {SECONDS} s, median of {ROUNDS}\n\n\
         | connections | program | requests per second | CPU seconds per 100,000 requests | ratio | peak RSS |\n\
         |--:|---|--:|--:|--:|--:|"
    );
    for connections in CONNECTIONS {
        print_cost_of(tools, connections);
    }
}

/// A ratio says how many times more k6 needs.
fn print_cost_of(tools: &[Tool], connections: u32) {
    let server = Server::start(|_| (200, 0));
    let mut costs: Vec<Vec<cost::Cost>> = tools.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (tool, costs) in tools.iter().zip(&mut costs) {
            let before = server.seen();
            let spent = tool.load(&server.url(), connections, SECONDS);
            costs.push(cost::Cost::new(spent, server.seen() - before, SECONDS));
        }
    }
    for costs in &mut costs {
        costs.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
    }
    let is_k6 = |tool: &Tool| matches!(tool, Tool::K6(_));
    let k6 = tools
        .iter()
        .position(is_k6)
        .map_or(f64::NAN, |at| costs[at][ROUNDS / 2].cpu);
    for (tool, costs) in tools.iter().zip(&costs) {
        let cost = &costs[ROUNDS / 2];
        println!(
            "| {connections} | {} | {:.0} | {:.2} | {:.1}× | {:.1} MiB |",
            tool.name(),
            cost.rate,
            cost.cpu,
            k6 / cost.cpu,
            cost.peak
        );
    }
}
