//! Faults of the world: a clear error that says what to do, the other environment goes on, and it mends itself.

use super::stage::Stage;
use crate::harness::control_plane::DoorState;
use crate::harness::control_plane::kubeconfig::Kubeconfig;
use crate::harness::tags;

/// Waits until the daemon's log holds every part.
fn wait_for_log(stage: &Stage, daemon: &super::stage::Daemon, parts: &[&str]) {
    stage.wait_for(&format!("the log to say {parts:?}"), || {
        let log = daemon.log();
        if parts.iter().all(|part| log.contains(part)) {
            Ok(())
        } else {
            Err(log)
        }
    });
}

#[test]
fn a_cluster_that_cannot_be_reached_holds_up_nobody_else() {
    let stage = Stage::new();
    stage.pair().prod.set_door(DoorState::Shut);
    let daemon = stage.daemon();
    stage.wait_until_running("staging", &tags::good(1));
    stage.wait_for("the promotion", || {
        if stage.promotions() == 1 {
            Ok(())
        } else {
            Err("not yet".to_owned())
        }
    });
    wait_for_log(
        &stage,
        &daemon,
        &[
            "cluster prod cannot be reached",
            "kubectl --context prod cluster-info",
        ],
    );
    let copy = stage.working_copy();
    let status = stage.gitsync_in(&copy, &["status"]).expect_code(3);
    assert!(
        status.stderr.contains("cluster prod cannot be reached"),
        "{status}"
    );
    assert!(
        status
            .stdout
            .lines()
            .any(|line| line.starts_with("staging") && line.contains("synced")),
        "{status}"
    );
    let diff = stage.gitsync_in(&copy, &["diff", "--env", "prod"]).expect_code(3);
    assert!(diff.stderr.contains("cluster prod cannot be reached"), "{diff}");

    stage.pair().prod.set_door(DoorState::Open);
    stage.wait_until_running("prod", &tags::good(1));
}

#[test]
fn wrong_credentials_are_told_and_right_ones_are_picked_up() {
    let stage = Stage::new();
    let mut wrong = stage.pair().prod.access();
    wrong.token = "expired".to_owned();
    let staging = stage.pair().staging.access();
    let kubeconfig = stage.pair().write_kubeconfig(
        "credentials",
        &Kubeconfig::default().with("staging", staging).with("prod", wrong),
        0o400,
    );
    let daemon = stage.daemon_with(&kubeconfig);
    stage.wait_until_running("staging", &tags::good(1));
    wait_for_log(
        &stage,
        &daemon,
        &[
            "cluster prod does not accept the credentials",
            "renew the credentials",
        ],
    );
    // Somebody renews them: the file is replaced, and nobody restarts anything.
    stage.pair().right_kubeconfig().write(&kubeconfig, 0o400);
    stage.wait_until_running("prod", &tags::good(1));
}

#[test]
fn a_context_that_does_not_exist_is_told_with_those_that_do() {
    let stage = Stage::new();
    let only = Kubeconfig::default()
        .with("staging", stage.pair().staging.access())
        .with("production", stage.pair().prod.access());
    let kubeconfig = stage.pair().write_kubeconfig("contexts", &only, 0o400);
    let daemon = stage.daemon_with(&kubeconfig);
    stage.wait_until_running("staging", &tags::good(1));
    wait_for_log(
        &stage,
        &daemon,
        &[
            "has no context `prod`; it has staging, production",
            "kubectl config get-contexts",
        ],
    );
    let copy = stage.working_copy();
    let diff = stage
        .gitsync_with(&copy, &kubeconfig, &["diff", "--env", "prod"])
        .expect_code(2);
    assert!(diff.stderr.contains("has no context `prod`"), "{diff}");
    stage.pair().right_kubeconfig().write(&kubeconfig, 0o400);
    stage.wait_until_running("prod", &tags::good(1));
}

#[test]
fn a_kubeconfig_that_cannot_be_read_is_told_with_its_path() {
    let stage = Stage::new();
    // A directory cannot be read as a file by anybody, root included.
    let kubeconfig = stage.remote().join("hooks");
    let copy = stage.working_copy();
    let diff = stage
        .gitsync_with(&copy, &kubeconfig, &["diff", "--env", "staging"])
        .expect_code(2);
    assert!(
        diff.stderr.contains("cannot be read") && diff.stderr.contains("ls -l"),
        "{diff}"
    );
    let garbage = copy.join("garbage.yaml");
    std::fs::write(&garbage, "contexts: {\n").unwrap();
    let diff = stage
        .gitsync_with(&copy, &garbage, &["diff", "--env", "staging"])
        .expect_code(2);
    assert!(diff.stderr.contains("garbage.yaml is not valid"), "{diff}");
}

#[test]
fn a_load_balancer_that_stays_pending_is_told_and_waited_for() {
    let stage = Stage::new();
    stage
        .pair()
        .staging
        .cloud()
        .hold("flask-app", "flask-app-service");
    let _daemon = stage.daemon();
    stage.wait_for_status("staging", "EXTERNAL-IP pending");
    assert_eq!(stage.promotions(), 0);
    stage
        .pair()
        .staging
        .cloud()
        .release("flask-app", "flask-app-service");
    stage.wait_until_running("prod", &tags::good(1));
}
