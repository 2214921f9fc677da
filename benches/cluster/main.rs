//! The benchmark of clusters: what diff, sync and the daemon cost a real API server, beside kubectl, in one run.
//!
//! `cargo bench --bench cluster` prints markdown; `-- --apps N` takes another size than 200 apps, `-- --only flow` one part, and
//! `-- --hold` only brings the cluster up and says how to reach it, for a profiler. See docs/benchmarks.md.

#![expect(clippy::print_stdout, reason = "the tables are what a benchmark is for")]
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that unwraps fails with what it met"
)]

mod cost;
mod daemon;
mod fleet;
mod flow;
mod growth;
#[expect(dead_code, reason = "the tests' harness, of which this needs a part")]
#[path = "../../tests/harness/mod.rs"]
mod harness;
#[path = "../common/memory.rs"]
mod memory;
#[path = "../common/options.rs"]
mod options;
#[path = "../common/parts.rs"]
mod parts;
#[expect(dead_code, reason = "the benchmark of the load check asks it more")]
#[path = "../load/server.rs"]
mod server;
#[expect(dead_code, reason = "the benchmark of rendering has other trees as well")]
#[path = "../render/trees.rs"]
mod trees;
mod work;

use fleet::Fleet;
use options::option;

/// The parts, in the order in which they run.
const PARTS: [&str; 5] = ["diff", "sync", "daemon", "flow", "growth"];

fn main() {
    let apps = option("--apps").and_then(|apps| apps.parse().ok()).unwrap_or(200);
    let only = parts::asked(&PARTS);
    let only: Vec<&str> = only.iter().map(String::as_str).collect();
    if only.iter().any(|part| ["diff", "sync", "daemon"].contains(part)) {
        one_environment(apps, &only);
    }
    if only.contains(&"flow") {
        flow::measure(apps);
    }
    if only.contains(&"growth") {
        growth::measure();
    }
}

/// The parts that share a cluster with one environment.
fn one_environment(apps: usize, only: &[&str]) {
    let fleet = Fleet::start(apps);
    println!("### {} objects\n", fleet.objects());
    if std::env::args().any(|argument| argument == "--hold") {
        println!("KUBECONFIG={}\nrepository: {}", fleet.kubeconfig(), fleet.url());
        println!("end it with the end of its input");
        let _ = std::io::stdin().read_line(&mut String::new());
        return;
    }
    if only.contains(&"diff") || only.contains(&"sync") {
        println!("| work | program | wall, median | CPU, median | API requests |\n|---|---|--:|--:|--:|");
        work::first_apply(&fleet);
    }
    if only.contains(&"diff") {
        work::diffs(&fleet);
    }
    if only.contains(&"sync") {
        work::syncs(&fleet);
    }
    if only.contains(&"daemon") {
        daemon::measure(&fleet);
    }
}
