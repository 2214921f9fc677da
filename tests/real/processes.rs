//! The processes of the tests: none of them outlives its test, whatever happens to it.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::gitsync::Gitsync;
use crate::harness::process::{Process, guarded};
use crate::harness::state::StateDirectory;
use crate::harness::wait::wait_until;

const DEADLINE: Duration = Duration::from_secs(60);

fn start(state: &StateDirectory, script: &str) -> Process {
    let log = state.log("program");
    let mut command = guarded("/bin/sh", &log);
    command.args(["-c", script]);
    Process::start("program", &log, command)
}

fn is_running(pid: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie has ended; whoever inherits it has not asked yet.
    !state.is_empty() && !state.contains(") Z ")
}

#[test]
fn a_process_ends_by_itself_by_request_or_by_force() {
    let state = StateDirectory::create("processes");
    let mut done = start(&state, "echo said; exit 7");
    wait_until(DEADLINE, "the program ends", || done.exit_code() == Some(7));
    assert_eq!(done.log(), "said\n");

    let mut polite = start(
        &state,
        "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done",
    );
    wait_until(DEADLINE, "the trap is set", || polite.log().ends_with("ready\n"));
    assert_eq!(polite.exit_code(), None);
    assert_eq!(polite.terminate(DEADLINE), 3);

    let mut rude = start(&state, "trap '' TERM; while :; do sleep 0.05; done");
    let pid = rude.pid().to_string();
    assert!(is_running(&pid));
    rude.kill();
    assert!(!is_running(&pid));
}

#[test]
#[ignore = "started, and killed, by the test below"]
fn a_test_that_is_killed() {
    let state = StateDirectory::create("killed");
    let process = start(&state, "while :; do sleep 0.05; done");
    writeln!(
        io::stdout(),
        "\nstarted {} {}",
        process.pid(),
        state.path().display()
    )
    .unwrap();
    loop {
        std::thread::park();
    }
}

#[test]
fn nothing_is_left_when_the_test_process_is_killed() {
    let mut test = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "real::processes::a_test_that_is_killed",
            "--ignored",
            "--nocapture",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(test.stdout.take().unwrap()).lines();
    let started = lines
        .map(Result::unwrap)
        .find_map(|line| Some(line.strip_prefix("started ")?.to_owned()));
    let started = started.expect("the test started a process");
    let (pid, directory) = started.split_once(' ').unwrap();
    assert!(is_running(pid));
    assert!(Path::new(directory).exists());

    test.kill().unwrap();
    test.wait().unwrap();
    wait_until(DEADLINE, "the process is killed", || !is_running(pid));
    wait_until(DEADLINE, "its directory is removed", || {
        !Path::new(directory).exists()
    });
}

#[test]
fn gitsync_runs_without_anything_of_the_machine() {
    let gitsync = Gitsync::new().env("NO_COLOR", "1");
    let help = gitsync.run(&["--help"]).ok();
    assert!(gitsync.home().is_dir());

    let mut daemon = gitsync.daemon(&["--help"]);
    wait_until(DEADLINE, "the help is printed", || daemon.exit_code() == Some(0));
    assert_eq!(daemon.log(), help);
    assert_eq!(
        daemon.terminate(),
        0,
        "a daemon that has ended keeps its exit code"
    );
    gitsync.daemon(&["--help"]).kill();
}
