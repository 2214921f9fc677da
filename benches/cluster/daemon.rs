//! The daemon: what it costs at rest, how fast a commit is applied, and how fast drift is put right.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::cost::{cpu_of, median};
use crate::fleet::{Fleet, NAMESPACE};
use crate::harness::gitsync::Daemon;
use crate::harness::runtime::block_on;
use crate::harness::wait::wait_for;

const DEADLINE: Duration = Duration::from_secs(300);

/// How many commits are followed.
const COMMITS: usize = 10;
/// How many edits by hand are put right.
const EDITS: usize = 200;
/// How long the daemon is watched at rest.
const REST: Duration = Duration::from_secs(20);

/// Starts the daemon and prints one row for each figure.
pub fn measure(fleet: &Fleet) {
    let daemon = fleet.daemon();
    wait_for(DEADLINE, "the daemon rests", || {
        let log = daemon.log();
        log.contains("in sync and healthy").then_some(()).ok_or(log)
    });
    let since = settled(fleet);
    let process = process_of(&fleet.url()).expect("because the daemon was started for this repository");
    let before = cpu_of(process);
    std::thread::sleep(REST);
    let (asked, cpu) = (fleet.requests("gitsync", since).len(), cpu_of(process) - before);
    println!("\n| daemon | figure |\n|---|--:|");
    println!("| API requests at rest, in {} s | {asked} |", REST.as_secs());
    println!(
        "| CPU time at rest, in {} s | {} ms |",
        REST.as_secs(),
        cpu.as_millis()
    );
    println!("| resident memory at rest | {} |", resident(process, "VmRSS"));
    println!(
        "| … of which the program's file | {} |",
        resident(process, "RssFile")
    );
    commits(fleet, &daemon);
    edits(fleet);
    println!("| resident memory at the end | {} |", resident(process, "VmRSS"));
    println!("| largest resident memory | {} |", resident(process, "VmHWM"));
}

/// Waits until nothing is asked for two seconds, and gives the number of requests so far.
fn settled(fleet: &Fleet) -> usize {
    wait_for(DEADLINE, "gitsync asks nothing", || {
        let since = fleet.now();
        std::thread::sleep(Duration::from_secs(2));
        let asked = fleet.requests("gitsync", since);
        if asked.is_empty() {
            Ok(fleet.now())
        } else {
            Err(format!("{asked:#?}"))
        }
    })
}

/// One changed tag, from the fetched commit to the applied object.
fn commits(fleet: &Fleet, daemon: &Daemon) {
    let (mut pushed, mut times, mut requests) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..COMMITS {
        let since = settled(fleet);
        let before = daemon.log().len();
        fleet.next_image();
        let push = Timestamp::now();
        let (fetched, applied) = wait_for(DEADLINE, "the commit is applied", || {
            let log = daemon.log();
            let new = &log[before..];
            let time = |text: &str| {
                let line = new.lines().find(|line| line.contains(text))?;
                line.split_whitespace().next()?.parse::<Timestamp>().ok()
            };
            time("new commit")
                .zip(time("applied"))
                .ok_or_else(|| new.to_owned())
        });
        times.push(Duration::try_from(applied.duration_since(fetched)).unwrap_or_default());
        // A push that was seen before its program had ended took no time.
        pushed.push(Duration::try_from(applied.duration_since(push)).unwrap_or_default());
        settled(fleet);
        requests.push(fleet.requests("gitsync", since).len());
    }
    print_times("one changed tag, pushed → applied", &mut pushed);
    print_times("one changed tag, fetched → applied", &mut times);
    println!(
        "| one changed tag, API requests until rest, median | {} |",
        median(requests.into_iter())
    );
}

/// Edits by hand, from the answer to the edit to the moment at which the object is right again.
fn edits(fleet: &Fleet) {
    let api: Api<ConfigMap> = Api::namespaced(fleet.cluster().client(), NAMESPACE);
    let mut times = Vec::new();
    for number in 0..EDITS {
        let name = format!("app-{:04}", number % fleet.apps().min(100));
        times.push(block_on(async {
            let edit = json!({"data": {"app.properties": format!("edit {number}")}});
            let params = PatchParams::default();
            api.patch(&name, &params, &Patch::Merge(&edit)).await.unwrap();
            let begun = Instant::now();
            loop {
                let data = api.get(&name).await.unwrap().data.unwrap_or_default();
                if data
                    .get("app.properties")
                    .is_some_and(|text| !text.starts_with("edit "))
                {
                    return begun.elapsed();
                }
                assert!(begun.elapsed() < DEADLINE, "{name} is not put right");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }));
    }
    print_times("drift → put right", &mut times);
}

fn print_times(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "the rank of a sample"
        )]
        let rank = ((times.len() as f64 * share).ceil() as usize).clamp(1, times.len());
        times[rank - 1].as_millis()
    };
    println!("| {what}, p50 of {} | {} ms |", times.len(), at(0.5));
    println!("| {what}, p99 of {} | {} ms |", times.len(), at(0.99));
}

/// The daemon of a repository, among all processes.
fn process_of(url: &str) -> Option<u32> {
    let processes = std::fs::read_dir("/proc").ok()?;
    let is_daemon = |process: &u32| {
        let command = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).into_owned();
        let words: Vec<&str> = command.split('\0').collect();
        words[0].ends_with("/gitsync") && words.contains(&"run") && words.contains(&url)
    };
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .find(is_daemon)
}

/// A line of a process's status, in MiB.
fn resident(process: u32, line: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let found = status
        .lines()
        .find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    let kib: Option<f64> = found.and_then(|text| text.split_whitespace().next()?.parse().ok());
    kib.map_or("unknown".to_owned(), |kib| format!("{:.1} MiB", kib / 1024.0))
}
