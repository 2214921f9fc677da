//! The benchmark of the dashboard: how soon the first byte of its page comes, and how large it is, with many apps in
//! many environments.
//!
//! `cargo bench --bench dashboard` prints markdown. Five sandbox clusters each run fifty apps with two pods, under one
//! daemon. See docs/benchmarks.md.

#![expect(clippy::print_stdout, reason = "the table is what a benchmark is for")]
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that unwraps fails with what it met"
)]

#[expect(dead_code, reason = "the tests' harness, of which this needs a part")]
#[path = "../../tests/harness/mod.rs"]
mod harness;
#[path = "../common/memory.rs"]
mod memory;
#[expect(dead_code, reason = "the benchmark of rendering has other trees as well")]
#[path = "../render/trees.rs"]
mod trees;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use ::sandbox::{Cluster, Handle, Options, kubeconfig};
use harness::git::Remote;
use harness::gitsync::{Daemon, Gitsync};
use harness::runtime::block_on;
use harness::state::StateDirectory;
use harness::wait::wait_for;
use memory::resident;

const ENVIRONMENTS: [&str; 5] = ["dev", "test", "staging", "prod-eu", "prod-us"];
/// Apps in each environment: where pages are asked for, and where only the daemon's memory is looked at.
const APPS: [usize; 2] = [50, 100];
/// Timed requests of each page.
const ROUNDS: usize = 100;
const DEADLINE: Duration = Duration::from_secs(300);

fn main() {
    let [few, many] = APPS;
    with_daemon(few, |daemon| {
        println!(
            "{few} apps of five objects in each of {} environments.\n\n\
             | page | first byte, median of {ROUNDS} | p99 | whole answer, median | size |\n|---|--:|--:|--:|--:|",
            ENVIRONMENTS.len()
        );
        for path in ["/", "/environments/staging", "/api/v1/board", "/metrics"] {
            row(&daemon.address(), path);
        }
        println!();
        print_memory(few, daemon);
    });
    with_daemon(many, |daemon| print_memory(many, daemon));
}

/// Runs so many apps in sandboxes, and shows the daemon when all are in sync.
fn with_daemon(apps: usize, show: impl FnOnce(&Daemon)) {
    let clusters: Vec<Handle> = ENVIRONMENTS.iter().map(|name| start(name)).collect();
    let access: Vec<_> = clusters.iter().map(Handle::access).collect();
    let files = StateDirectory::create("dashboard");
    let file = files.path().join("kubeconfig.yaml");
    fs::write(&file, kubeconfig(&access)).unwrap();
    let remote = repository(apps);
    // As in the image: see deploy/Dockerfile.
    let gitsync = Gitsync::new()
        .env("KUBECONFIG", &file)
        .env("MIMALLOC_PURGE_DELAY", "0");
    let daemon = gitsync.daemon(&["run", "--repo", &remote.url(), "--listen", "127.0.0.1:0"]);
    wait_for(DEADLINE, "all environments are in sync", || {
        let log = daemon.log();
        let healthy = log
            .lines()
            .filter(|line| line.contains("in sync and healthy"))
            .count();
        (healthy >= ENVIRONMENTS.len()).then_some(()).ok_or(log)
    });
    show(&daemon);
}

fn print_memory(apps: usize, daemon: &Daemon) {
    println!(
        "The daemon of {apps} apps × {} environments, {} objects: {:.1} MiB resident, {:.1} MiB at most, of which {:.1} MiB are the \
         program's file.",
        ENVIRONMENTS.len(),
        apps * 5 * ENVIRONMENTS.len(),
        resident(daemon.pid(), "VmRSS"),
        resident(daemon.pid(), "VmHWM"),
        resident(daemon.pid(), "RssFile"),
    );
}

fn start(name: &str) -> Handle {
    let options = Options {
        name: name.to_owned(),
        tls: false,
        ..Options::default()
    };
    block_on(Cluster::start(options)).unwrap()
}

fn repository(apps: usize) -> Remote {
    let remote = Remote::empty();
    let clone = remote.clone_to("dashboard");
    trees::overlay(&clone.join("fleet"), apps);
    for name in ENVIRONMENTS {
        let dir = clone.join("environments").join(name);
        fs::create_dir_all(&dir).unwrap();
        fs::write(
            dir.join("kustomization.yaml"),
            format!("namespace: {name}\nresources:\n- ../../fleet\n"),
        )
        .unwrap();
        let environment = format!(
            "apiVersion: gitsync.dev/v1alpha1\nkind: Environment\nmetadata: {{name: {name}}}\nspec:\n  cluster: {{context: {name}}}\n"
        );
        fs::write(dir.join("environment.yaml"), environment).unwrap();
    }
    remote.commit_all(&clone, "Deploy the apps");
    remote
}

/// Asks for a page, each time on a connection of its own.
fn row(address: &str, path: &str) {
    let mut firsts = Vec::new();
    let mut wholes = Vec::new();
    let mut size = 0;
    for _ in 0..ROUNDS {
        let mut stream = TcpStream::connect(address).unwrap();
        let begun = Instant::now();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = vec![0];
        stream.read_exact(&mut answer).unwrap();
        firsts.push(begun.elapsed());
        stream.read_to_end(&mut answer).unwrap();
        wholes.push(begun.elapsed());
        assert!(
            answer.starts_with(b"HTTP/1.1 200"),
            "{path}: {}",
            String::from_utf8_lossy(&answer)
        );
        size = answer.len();
    }
    let at = |times: &mut Vec<Duration>, rank: usize| {
        times.sort_unstable();
        times[rank].as_secs_f64() * 1000.0
    };
    println!(
        "| `{path}` | {:.1} ms | {:.1} ms | {:.1} ms | {:.0} KB |",
        at(&mut firsts, ROUNDS / 2),
        at(&mut firsts, ROUNDS * 99 / 100),
        at(&mut wholes, ROUNDS / 2),
        size as f64 / 1000.0
    );
}
