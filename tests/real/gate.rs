//! The gate: what is not good enough stops in staging, says why, and holds nobody up.

use super::stage::{PROD, STAGING, Stage};
use crate::harness::tags;

/// A bad image is stopped with its reason in `status`; the next good one goes through.
#[track_caller]
fn is_stopped(bad: &str, reason: &[&str]) {
    let stage = Stage::new();
    let _daemon = stage.daemon();
    stage.wait_until_running("prod", &tags::good(1));
    let overlay = stage.read(PROD);

    stage.set_staging(bad);
    stage.wait_for_status("staging", reason);
    assert_eq!(stage.read(PROD), overlay);
    assert_eq!(stage.promotions().len(), 1);
    assert_eq!(stage.running("prod"), tags::good(1));

    stage.set_staging(&tags::good(2));
    stage.wait_until_running("prod", &tags::good(2));
}

#[test]
fn a_slow_image_is_stopped_with_the_threshold_and_its_figure() {
    is_stopped(
        &tags::slow(1),
        &["failed", "http_req_duration: p(90)<600: p(90) is "],
    );
}

#[test]
fn a_newer_commit_ends_a_gate_that_runs() {
    const CHECK: &str = "policies/load-check.yaml";
    let stage = Stage::new();
    let daemon = stage.daemon();
    stage.wait_until_running("prod", &tags::good(1));

    let short = stage.read(CHECK);
    // Half an hour of load: no test waits for its verdict.
    let long = short.replace("duration: 3s", "duration: 30m");
    stage.commit(
        "Check for long",
        &[(CHECK, long.as_str()), (STAGING, &stage.staging(&tags::slow(1)))],
    );
    stage.wait_for_status("staging", &["running the gates"]);

    stage.commit(
        "Check for a short time",
        &[(CHECK, short.as_str()), (STAGING, &stage.staging(&tags::good(2)))],
    );
    stage.wait_until_running("prod", &tags::good(2));
    stage.wait_for_log(&daemon, &["verification given up"]);
    // Of the image that was given up there is no verdict, and it never was in prod.
    assert_eq!(stage.promotions().len(), 2);
}

#[test]
fn a_gate_beyond_the_daemons_limits_sends_no_load() {
    let stage = Stage::new();
    let overlay = stage.read(PROD);
    let _daemon = stage.daemon_with_args(&["--max-vus", "9"]);
    let says = [
        "no load was sent",
        "10 virtual users are more than the 9 of --max-vus",
    ];
    stage.wait_for_status("staging", &says);
    assert_eq!(stage.read(PROD), overlay);
}

#[test]
fn an_image_that_answers_500_is_stopped() {
    is_stopped(&tags::fails(1), &["failed", "http_req_failed"]);
}

#[test]
fn an_image_whose_pods_crash_is_stopped() {
    is_stopped(
        &tags::crash(1),
        &["failed", "CrashLoopBackOff", "exited with code 1"],
    );
}

#[test]
fn an_image_that_cannot_be_pulled_is_stopped() {
    is_stopped(
        &tags::nopull(1),
        &["failed", "ImagePullBackOff", &tags::nopull(1)],
    );
}
