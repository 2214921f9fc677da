//! Cost: the CPU time and memory of programs that send load without a pause.

use crate::gnu_time::Spent;
use crate::server::Server;
use crate::tool::{Tool, in_turn};

/// The cost of a run.
pub struct Cost {
    pub rate: f64,
    /// CPU seconds per 100,000 requests.
    pub cpu: f64,
    pub peak: f64,
}

impl Cost {
    /// The cost of one run.
    pub fn new(spent: Spent, requests: u64, seconds: u32) -> Self {
        Self {
            rate: requests as f64 / f64::from(seconds),
            cpu: spent.cpu * 100_000.0 / requests.max(1) as f64,
            peak: spent.peak,
        }
    }
}

/// Timed runs of each program, of so many seconds; the median is shown.
const ROUNDS: usize = 3;
const SECONDS: u32 = 10;
/// Connections.
const CONNECTIONS: [u32; 2] = [10, 200];

/// CPU time for 100,000 requests of virtual users without a pause, and the largest resident set.
pub fn print(tools: &[Tool]) {
    println!(
        "\n### Cost, connections without a pause for {SECONDS} s, median of {ROUNDS}\n\n\
         | connections | program | requests per second | CPU seconds per 100,000 requests | min to max | ratio | largest RSS |\n\
         |--:|---|--:|--:|--:|--:|--:|"
    );
    for connections in CONNECTIONS {
        print_cost_of(tools, connections);
    }
}

/// A ratio says how many times more k6 needs.
fn print_cost_of(tools: &[Tool], connections: u32) {
    let server = Server::start(|_| (200, 0));
    let cost = |tool: &Tool| {
        let before = server.seen();
        let spent = tool.load(&server.url(), connections, SECONDS);
        Cost::new(spent, server.seen() - before, SECONDS)
    };
    let tools: Vec<&Tool> = tools.iter().collect();
    let costs = in_turn(&tools, ROUNDS, cost, |cost| cost.cpu);
    let is_k6 = |tool: &&Tool| matches!(tool, Tool::K6(_));
    let k6 = tools
        .iter()
        .position(is_k6)
        .map_or(f64::NAN, |at| costs[at][ROUNDS / 2].cpu);
    for (tool, costs) in tools.iter().zip(&costs) {
        let cost = &costs[ROUNDS / 2];
        println!(
            "| {connections} | {} | {:.0} | {:.2} | {:.2} to {:.2} | {:.1}× | {:.1} MiB |",
            tool.name(),
            cost.rate,
            cost.cpu,
            costs[0].cpu,
            costs[ROUNDS - 1].cpu,
            k6 / cost.cpu,
            costs.iter().map(|cost| cost.peak).fold(0.0, f64::max)
        );
    }
}
