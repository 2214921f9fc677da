//! The gate: what is not good enough stops in staging, says why, and holds nobody up.

use super::stage::{OVERLAY_OF_PROD, Stage};
use crate::harness::tags;

/// A bad image is stopped with its reason in `status`; the next good one goes through.
#[track_caller]
fn is_stopped(bad: &str, reason: &[&str]) {
    let stage = Stage::new();
    let _daemon = stage.daemon();
    stage.wait_until_running("prod", &tags::good(1));
    let overlay = stage.show(OVERLAY_OF_PROD);

    stage.set_staging(bad);
    let status = stage.wait_for_status("staging", reason[0]);
    for part in reason {
        assert!(status.contains(part), "{part} is not in: {status}");
    }
    assert_eq!(stage.show(OVERLAY_OF_PROD), overlay);
    assert_eq!(stage.promotions(), 1);
    assert_eq!(stage.running("prod"), tags::good(1));

    stage.set_staging(&tags::good(2));
    stage.wait_until_running("prod", &tags::good(2));
}

#[test]
fn a_slow_image_is_stopped_with_the_threshold_and_its_figure() {
    // 700 ms for each request: the figure of the threshold starts with a 7.
    is_stopped(&tags::slow(1), &["p(90)<600", "http_req_duration", "p(90)=7"]);
}

#[test]
fn an_image_that_answers_500_is_stopped() {
    is_stopped(&tags::fails(1), &["http_req_failed"]);
}

#[test]
fn an_image_whose_pods_crash_is_stopped() {
    is_stopped(&tags::crash(1), &["CrashLoopBackOff", "exited with code 1"]);
}

#[test]
fn an_image_that_cannot_be_pulled_is_stopped() {
    is_stopped(&tags::nopull(1), &["ImagePullBackOff", &tags::nopull(1)]);
}
