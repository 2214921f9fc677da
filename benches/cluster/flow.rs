//! Flow: one commit on its way to prod, and how much of that time is gitsync's own.
//!
//! Two environments of all the apps, with a check of known length against a server of this process in between, and no
//! pods: what is left is gitsync, git and the API server.

use std::fs;
use std::time::Duration;

use jiff::Timestamp;

use crate::fleet::write_apps;
use crate::harness::control_plane::ControlPlane;
use crate::harness::control_plane::kubeconfig::Kubeconfig;
use crate::harness::git::Remote;
use crate::harness::gitsync::{Daemon, Gitsync};
use crate::harness::state::StateDirectory;
use crate::harness::wait::wait_for;
use crate::server::Server;

const DEADLINE: Duration = Duration::from_secs(300);
/// Commits that are followed to prod.
const ROUNDS: usize = 5;
/// Seconds of the check between the environments.
const CHECK: u32 = 2;
/// Columns of the waterfall.
const WIDTH: f64 = 48.0;

/// The lines of the daemon's log at which a stage ends: the environment, if it has one, and the text.
const STAGES: [(&str, Option<&str>, &str); 8] = [
    ("the commit is fetched", None, "new commit"),
    ("applied in staging", Some("staging"), "applied"),
    (
        "rolled out, verification begins",
        Some("staging"),
        "verification begins",
    ),
    ("verified", Some("staging"), "verification passed"),
    ("committed and pushed for prod", None, "promoted"),
    ("that commit is fetched", None, "new commit"),
    ("applied in prod", Some("prod"), "applied"),
    ("healthy in prod", Some("prod"), "in sync and healthy"),
];

/// Follows some commits and prints the stages of the way.
pub fn measure(apps: usize) {
    let cluster = ControlPlane::start("flow");
    let server = Server::start(|_| (200, 1));
    let files = StateDirectory::create("flow");
    let kubeconfig = files.path().join("kubeconfig.yaml");
    let contexts = Kubeconfig::default().with("staging", cluster.access());
    contexts.with("prod", cluster.access()).write(&kubeconfig, 0o600);
    let remote = repository(apps, &server.url());
    let gitsync = Gitsync::new()
        .env("KUBECONFIG", &kubeconfig)
        .env("MIMALLOC_PURGE_DELAY", "0");
    let daemon = gitsync.daemon(&["run", "--repo", &remote.url()]);
    // The first commit promotes as well, which is no change for prod.
    wait_for(DEADLINE, "both environments rest", || {
        let log = daemon.log();
        let rests = |name: &str| {
            log.lines()
                .any(|line| is_stage(line, Some(name), "in sync and healthy"))
        };
        (rests("staging") && rests("prod") && log.contains("promoted"))
            .then_some(())
            .ok_or(log)
    });
    let mut runs: Vec<Vec<Duration>> = (0..ROUNDS).map(|round| follow(&remote, &daemon, round)).collect();
    runs.sort_by_key(|stages| stages.iter().sum::<Duration>());
    print(&runs[ROUNDS / 2], apps * 10 + 2);
}

/// Commits another tag to staging, and gives the times between the stages.
fn follow(remote: &Remote, daemon: &Daemon, round: usize) -> Vec<Duration> {
    let before = daemon.log().len();
    let (from, to) = (
        format!("newTag: v1.0.{round}"),
        format!("newTag: v1.0.{}", round + 1),
    );
    remote.replace("environments/staging/kustomization.yaml", &from, &to);
    let times = wait_for(DEADLINE, "the commit is in prod", || {
        let log = daemon.log();
        stages(&log[before..]).ok_or(log)
    });
    let between = times.windows(2).map(|pair| pair[1].duration_since(pair[0]));
    between
        .map(|time| Duration::try_from(time).unwrap_or_default())
        .collect()
}

/// When each stage ended, if all have.
fn stages(log: &str) -> Option<Vec<Timestamp>> {
    let mut lines = log.lines();
    let end = |(_, env, text): &(_, Option<&str>, &str)| {
        let line = lines.find(|line| is_stage(line, *env, text))?;
        line.split_whitespace().next()?.parse().ok()
    };
    STAGES.iter().map(end).collect()
}

fn is_stage(line: &str, env: Option<&str>, text: &str) -> bool {
    line.contains(text) && env.is_none_or(|env| line.split(' ').any(|word| word == format!("env={env}")))
}

fn print(stages: &[Duration], objects: usize) {
    let check = Duration::from_secs(u64::from(CHECK));
    let total: Duration = stages.iter().sum();
    let own = total.saturating_sub(check);
    println!("\n### One commit to prod, {objects} objects in both environments\n\n```text");
    let mut before = Duration::ZERO;
    for ((name, ..), took) in STAGES[1..].iter().zip(stages) {
        let column = |time: Duration| (time.as_secs_f64() / total.as_secs_f64() * WIDTH).round() as usize;
        let (from, to) = (column(before), column(before + *took));
        let bar = "█".repeat((to - from).max(1));
        println!("{name:<32} {:>6} ms  {}{bar}", took.as_millis(), " ".repeat(from));
        before += *took;
    }
    println!(
        "```\n\nFrom the fetched commit to prod {} ms; without the check's {} ms, gitsync's own share is {} ms (median of {ROUNDS}).",
        total.as_millis(),
        check.as_millis(),
        own.as_millis()
    );
}

fn repository(apps: usize, target: &str) -> Remote {
    let remote = Remote::empty();
    let clone = remote.clone_to("flow");
    write_apps(&clone.join("fleet"), apps);
    for name in ["staging", "prod"] {
        let dir = clone.join("environments").join(name);
        fs::create_dir_all(&dir).unwrap();
        let overlay = format!(
            "namespace: {name}\nresources:\n- ../../fleet\nimages:\n- name: registry.example.com/solo\n  newTag: v1.0.0\n"
        );
        fs::write(dir.join("kustomization.yaml"), overlay).unwrap();
        let environment = format!(
            "apiVersion: gitsync.dev/v1alpha1\nkind: Environment\nmetadata: {{name: {name}}}\nspec:\n  cluster: {{context: {name}}}\n  \
             sync: {{interval: 1s, timeout: 10m}}\n"
        );
        fs::write(dir.join("environment.yaml"), environment).unwrap();
    }
    let policies = clone.join("policies");
    fs::create_dir_all(&policies).unwrap();
    let check = format!(
        "apiVersion: gitsync.dev/v1alpha1\nkind: LoadCheck\nmetadata: {{name: acceptance}}\nspec:\n  target: {{url: '{target}'}}\n  \
         vus: 2\n  duration: {CHECK}s\n  thresholds: {{http_req_duration: ['p(90)<600']}}\n"
    );
    let promotion = "apiVersion: gitsync.dev/v1alpha1\nkind: Promotion\nmetadata: {name: staging-to-prod}\nspec:\n  from: staging\n  \
                     to: prod\n  gates:\n  - loadCheck: acceptance\n";
    for (name, text) in [("load-check.yaml", check.as_str()), ("promotion.yaml", promotion)] {
        fs::write(policies.join(name), text).unwrap();
    }
    remote.commit_all(&clone, "Deploy the fleet twice");
    remote
}
