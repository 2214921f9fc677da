//! The demo's story, and that nothing of it is left.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use regex::Regex;

use crate::cli::pages;
use crate::harness::gitsync::{Daemon, Gitsync};
use crate::harness::wait;

/// How long a story may take on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(240);

/// The binary with a directory for temporary files that is its own; it is made.
pub fn with_own_temporary_directory() -> Gitsync {
    let gitsync = Gitsync::new();
    let directory = gitsync.home().join("tmp");
    fs::create_dir(&directory).unwrap();
    gitsync.env("TMPDIR", directory)
}

/// Waits until the demo has written a text, and gives all that it has written.
#[track_caller]
pub fn wait_for(demo: &Daemon, text: &str) -> String {
    wait::wait_for(DEADLINE, text, || match demo.log() {
        log if log.contains(text) => Ok(log),
        log => Err(log),
    })
}

/// Asserts that neither a file, nor a listener, nor a process of a demo is left.
#[track_caller]
pub fn assert_nothing_is_left(gitsync: &Gitsync, log: &str) {
    let directory = gitsync.home().join("tmp");
    let left: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let addresses = addresses(log);
    assert!(addresses.len() >= 3, "both clusters and the dashboard: {log}");
    for address in addresses {
        let answer = TcpStream::connect_timeout(&address, Duration::from_secs(1));
        assert!(answer.is_err(), "somebody listens on {address}");
    }
    let directory = directory.display().to_string();
    let mine = processes()
        .into_iter()
        .filter(|(_, line)| line.contains(&directory));
    let mine: Vec<_> = mine.collect();
    assert!(mine.is_empty(), "{mine:?}");
}

/// The loopback addresses that a text names.
fn addresses(text: &str) -> Vec<SocketAddr> {
    let hosts = text.split("//").skip(1);
    let hosts = hosts.map(|rest| {
        rest.split(|c: char| c.is_whitespace() || c == '/')
            .next()
            .unwrap()
    });
    hosts.filter_map(|host| host.parse().ok()).collect()
}

/// The command line of every process, where the system tells.
fn processes() -> Vec<(String, String)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let line = |path: &Path| fs::read_to_string(path.join("cmdline")).ok();
    let entries = entries.flatten().map(|entry| entry.path());
    entries
        .filter_map(|path| Some((path.display().to_string(), line(&path)?)))
        .collect()
}

/// A story without its figures, and without where its lines break. What took no time to speak of has no time at its end.
fn in_words(story: &str) -> String {
    let took = Regex::new(r"(?m) +\d+(\.\d+)? s$").unwrap();
    let words = pages::shape(&took.replace_all(story, "")).replace('─', "");
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_good_image_reaches_prod_a_slow_one_does_not_and_nothing_is_left() {
    let gitsync = with_own_temporary_directory();
    let output = gitsync.run(&["demo", "--plain"]).expect_code(0);
    let told = &output.stdout;
    let mut rest = told.as_str();
    for (act, what) in [
        ("it is no real cluster", "a sandbox"),
        ("the first deployment", "1  First deployment"),
        (
            "both environments are rolled out",
            "prod      rollout     3 of 3 pods run 9f31c0de",
        ),
        (
            "what staging proved is in prod",
            "prod      rollout     3 of 3 pods run abc123de",
        ),
        ("a good commit", "2  A good commit goes to prod"),
        ("CI's command", "$ gitsync image set --env staging --push"),
        ("the check's figures", "✓ staging   load check"),
        ("the promotion", "jenkins-flask-app:900d0002 to prod"),
        ("its proof", "Gitsync-Verified-In: staging"),
        ("prod has it", "prod      rollout     3 of 3 pods run 900d0002"),
        ("a slow image", "3  A slow image is stopped"),
        ("its check fails", "✗ staging   load check"),
        ("the reason", "http_req_duration: p(90)<600"),
        ("prod is spared", "prod      keeps       900d0002"),
        ("the hand edit", "4  A hand edit is healed"),
        ("who did it", "prod      drift       kubectl-set wrote"),
        (
            "what it was",
            ".spec.template.spec.containers[name=\"flask-app\"].image",
        ),
        ("it is put back", "prod      healed      900d0002"),
        ("the rollback", "5  A rollback"),
        ("its quarantine", "900d0002 is in quarantine now"),
        ("prod is back", "prod      rollout     3 of 3 pods run abc123de"),
        ("the status", "staging       failed"),
        ("and prod's", "prod          synced"),
        ("the history", "on-call: Roll prod back to"),
        ("the end", "gitsync demo --keep"),
    ] {
        let found = rest.find(what);
        let found = found.unwrap_or_else(|| panic!("{act}: {what:?} is not told, or too early\n{output}"));
        rest = &rest[found + what.len()..];
    }
    assert!(!told.contains('\u{1b}') && !told.contains('\r'), "{told:?}");
    let longest = told.lines().filter(|line| !line.contains("file://"));
    let longest = longest.map(|line| line.chars().count()).max().unwrap();
    assert!(longest <= 80, "{longest} columns\n{told}");
    assert_eq!(output.stderr, "");
    let page = pages::text_of("README.md");
    let shown =
        pages::blocks(&page).find_map(|block| block.text.strip_prefix("$ gitsync demo\n").map(in_words));
    let shown = shown.expect("because the front page shows the demo");
    assert!(
        in_words(told).contains(&shown),
        "README.md says\n{shown}\nand it is\n{told}"
    );
    assert_nothing_is_left(&gitsync, told);
}

#[test]
fn an_interrupted_demo_leaves_nothing_behind() {
    for moment in ["dashboard  http://", "staging   applied", "✓ git       promoted"] {
        let gitsync = with_own_temporary_directory();
        let demo = gitsync.daemon(&["demo", "--plain"]);
        let log = wait_for(&demo, moment);
        assert_eq!(demo.interrupt(), 130, "{moment}");
        assert_nothing_is_left(&gitsync, &log);
    }
}
