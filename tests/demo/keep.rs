//! `gitsync demo --keep`: the clusters and the repository are there to be played with.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::story::{assert_nothing_is_left, wait_for, with_own_temporary_directory};
use crate::harness::binaries;
use crate::harness::git::{git, hermetic};
use crate::harness::gitsync::Gitsync;
use crate::harness::output::Output;
use crate::harness::wait;

const PATIENCE: Duration = Duration::from_secs(60);

/// The value of a variable that the demo tells to export.
fn exported<'a>(log: &'a str, name: &str) -> &'a str {
    let start = format!("{name}=");
    let found = log.split_whitespace().find_map(|word| word.strip_prefix(&start));
    found.unwrap_or_else(|| panic!("{name} is not told\n{log}"))
}

fn kubectl(kubeconfig: &str, args: &[&str]) -> Output {
    let mut command = Command::new(binaries::path("kubectl"));
    hermetic(&mut command);
    command.env("KUBECONFIG", kubeconfig).args(args);
    Output::of(command, PATIENCE)
}

#[test]
fn kubectl_git_and_gitsync_can_play_with_it() {
    let gitsync = with_own_temporary_directory();
    let demo = gitsync.daemon(&["demo", "--keep", "--plain"]);
    let log = wait_for(&demo, "It runs until Ctrl-C");
    let kubeconfig = exported(&log, "KUBECONFIG");
    let mode = std::fs::metadata(kubeconfig).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    for context in ["staging", "prod"] {
        let ready = [
            "--context",
            context,
            "-n",
            "flask-app",
            "get",
            "deployment",
            "flask-app",
            "-o",
            "jsonpath={.status.readyReplicas}",
        ];
        assert_eq!(kubectl(kubeconfig, &ready).ok(), "3", "{context}");
    }
    let version = kubectl(kubeconfig, &["--context", "prod", "version"]).ok();
    assert!(version.contains("+sandbox"), "{version}");

    let scale = [
        "--context",
        "prod",
        "-n",
        "flask-app",
        "scale",
        "deployment",
        "flask-app",
        "--replicas",
        "1",
    ];
    kubectl(kubeconfig, &scale).ok();
    let replicas = [
        "--context",
        "prod",
        "-n",
        "flask-app",
        "get",
        "deployment",
        "flask-app",
        "-o",
        "jsonpath={.spec.replicas}",
    ];
    wait::wait_for(PATIENCE, "three replicas again", || {
        match kubectl(kubeconfig, &replicas).ok() {
            healed if healed == "3" => Ok(()),
            other => Err(format!("{other} replicas")),
        }
    });
    wait_for(&demo, "drift: putting the field back");

    let repository = exported(&log, "GITSYNC_REPO");
    let clone = gitsync.home().join("clone");
    git(
        Path::new("/"),
        &["clone", "--quiet", repository, clone.to_str().unwrap()],
    )
    .ok();
    assert!(clone.join("apps/flask-app/deployment.yaml").exists());
    let mine = Gitsync::new().env("KUBECONFIG", kubeconfig);
    // The third replica comes a moment after the field.
    wait::wait_for(PATIENCE, "prod is synced, and staging is not", || {
        match mine.run(&["status", "--repo", repository]).expect_code(1).stdout {
            status if status.contains("prod          synced") => Ok(()),
            status => Err(status),
        }
    });

    assert_eq!(demo.interrupt(), 0);
    assert_nothing_is_left(&gitsync, &log);
}
