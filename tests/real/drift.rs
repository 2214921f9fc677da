//! Drift: what somebody changes in a cluster by hand is put back.

use super::stage::{DEADLINE, IMAGE, Stage};
use crate::harness::tags;
use crate::harness::wait::wait_until;

#[test]
fn a_hand_edit_and_a_deleted_service_are_put_back() {
    let stage = Stage::new();
    let daemon = stage.daemon();
    stage.wait_until_running("prod", &tags::good(1));
    let prod = &stage.pair().prod;

    prod.kubectl(&["scale", "deployment/flask-app", "--replicas=1", "-n", "flask-app"])
        .ok();
    stage.wait_for_log(&daemon, &["drift", ".spec.replicas", "kubectl"]);
    stage.wait_for_field("prod", "deployments/flask-app", "/spec/replicas", "3");

    let image = format!("flask-app={IMAGE}:{}", tags::good(9));
    prod.kubectl(&["set", "image", "deployment/flask-app", &image, "-n", "flask-app"])
        .ok();
    stage.wait_until_running("prod", &tags::good(1));

    prod.kubectl(&["delete", "service", "flask-app-service", "-n", "flask-app"])
        .ok();
    wait_until(DEADLINE, "the service is put back", || {
        stage.exists("prod", "services/flask-app-service")
    });
    assert_eq!(stage.promotions().len(), 1, "drift is no reason to promote");
}
