//! The benchmark of the load check: `gitsync check` beside k6, oha and wrk in one run, against servers whose behaviour
//! is known, and the verdicts of both rules on simulated runs at a known true percentile.
//!
//! `cargo bench --bench load` prints markdown. k6 is built from its Go module, as for the tests; oha and wrk take part
//! when they are on the PATH. `-- --only verdicts,cost` takes some of the parts. See docs/benchmarks.md.

#![expect(clippy::print_stdout, reason = "the tables are what a benchmark is for")]

mod accuracy;
#[path = "../../tests/harness/binaries.rs"]
mod binaries;
mod cost;
mod flat;
#[path = "../common/gnu_time.rs"]
mod gnu_time;
#[path = "../common/installed.rs"]
mod installed;
#[path = "../common/memory.rs"]
mod memory;
#[path = "../common/options.rs"]
mod options;
#[path = "../common/parts.rs"]
mod parts;
mod server;
mod simulation;
mod tool;

use installed::Installed;
use tool::Tool;

/// What can be asked for.
const PARTS: [&str; 4] = ["verdicts", "accuracy", "cost", "memory"];

fn main() {
    let only = parts::asked(&PARTS);
    let only: Vec<&str> = only.iter().map(String::as_str).collect();
    if only.contains(&"verdicts") {
        simulation::print();
    }
    // The verdicts need no other program.
    if only == ["verdicts"] {
        return;
    }
    let installed = Installed::new();
    let [ours, k6] = [binaries::gitsync(), binaries::path("k6")].map(|built| installed.program(&built));
    let tools = Tool::all(ours.clone(), k6);
    if only.contains(&"accuracy") {
        accuracy::print(&tools);
    }
    if only.contains(&"cost") {
        cost::print(&tools);
    }
    if only.contains(&"memory") {
        flat::print(&Tool::Gitsync(ours));
    }
}
