//! The daemon: what it costs at rest, how fast a commit is applied, and how fast drift is put right.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
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
use crate::memory::resident;

const DEADLINE: Duration = Duration::from_secs(300);

/// How many commits are followed.
const COMMITS: usize = 10;
/// How many edits by hand are put right.
const EDITS: usize = 200;
/// How long the daemon is watched at rest.
const REST: Duration = Duration::from_secs(20);
/// What webhooks are signed with.
const SECRET: &str = "a secret of the benchmark";

/// What following some commits showed: times until the commit was applied, from the push and from the fetch, and requests
/// until the daemon rested again.
struct Followed {
    pushed: Vec<Duration>,
    fetched: Vec<Duration>,
    requests: Vec<usize>,
}

/// Starts the daemon and prints one row for each figure.
pub fn measure(fleet: &Fleet) {
    println!("\n| daemon | figure |\n|---|--:|");
    let daemon = fleet.daemon();
    let since = settle(fleet, &daemon);
    let before = cpu_of(daemon.pid());
    std::thread::sleep(REST);
    let asked = fleet.requests("gitsync", since).len();
    let cpu = cpu_of(daemon.pid()) - before;
    println!("| API requests at rest, in {} s | {asked} |", REST.as_secs());
    println!(
        "| CPU time at rest, in {} s | {} ms |",
        REST.as_secs(),
        cpu.as_millis()
    );
    let memory = |line: &str| format!("{:.1} MiB", resident(daemon.pid(), line));
    println!("| resident memory at rest | {} |", memory("VmRSS"));
    println!("| … of which the program's file | {} |", memory("RssFile"));
    let mut followed = commits(fleet, &daemon, COMMITS, || ());
    print_times("one changed tag, pushed → applied", &mut followed.pushed);
    print_times("one changed tag, fetched → applied", &mut followed.fetched);
    println!(
        "| one changed tag, API requests until rest, median | {} |",
        median(followed.requests.into_iter())
    );
    edits(fleet);
    println!("| resident memory at the end | {} |", memory("VmRSS"));
    println!("| largest resident memory | {} |", memory("VmHWM"));
    drop(daemon);
    webhooks(fleet);
}

/// Memory and speed of a daemon that begins: MiB at rest, the largest until then, and seconds from the fetch of a commit
/// that changes a tag to its apply.
pub fn start_and_follow(fleet: &Fleet) -> (f64, f64, f64) {
    let daemon = fleet.daemon();
    settle(fleet, &daemon);
    let (rest, most) = (resident(daemon.pid(), "VmRSS"), resident(daemon.pid(), "VmHWM"));
    if fleet.apps() == 0 {
        return (rest, most, 0.0);
    }
    let followed = commits(fleet, &daemon, 5, || ());
    (rest, most, median(followed.fetched.into_iter()).as_secs_f64())
}

/// Commits to a repository behind HTTP, each told by a webhook.
fn webhooks(fleet: &Fleet) {
    let (server, secret) = (fleet.serve(), fleet.secret_file(SECRET));
    let daemon = fleet.daemon_at(
        &server.url(),
        &["--listen", "127.0.0.1:0", "--hook-secret-file", &secret],
    );
    settle(fleet, &daemon);
    let address = daemon.address();
    let mut followed = commits(fleet, &daemon, COMMITS, || tell(&address));
    print_times(
        "one changed tag, pushed and told by a webhook → applied",
        &mut followed.pushed,
    );
}

/// Tells a daemon of a push, as GitLab does.
fn tell(address: &str) {
    let mut stream = TcpStream::connect(address).unwrap();
    let delivery = Timestamp::now().as_nanosecond();
    write!(
        stream,
        "POST /hook HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nX-Gitlab-Token: {SECRET}\r\n\
         X-Gitlab-Event-UUID: {delivery}\r\nContent-Length: 2\r\n\r\n{{}}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
}

/// Waits until everything is healthy and the daemon rests; with the number of requests so far.
fn settle(fleet: &Fleet, daemon: &Daemon) -> usize {
    wait_for(DEADLINE, "everything is healthy", || {
        let log = daemon.log();
        log.contains("in sync and healthy").then_some(()).ok_or(log)
    });
    settled(fleet)
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

/// Some commits that each change a tag; after each push, `tell` may say so.
fn commits(fleet: &Fleet, daemon: &Daemon, count: usize, tell: impl Fn()) -> Followed {
    let (mut pushed, mut times, mut requests) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..count {
        let since = settled(fleet);
        let before = daemon.log().len();
        fleet.next_image();
        let push = Timestamp::now();
        tell();
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
    Followed {
        pushed,
        fetched: times,
        requests,
    }
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
