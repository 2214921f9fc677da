//! Faults of an API server, injected: each mends itself, and what was proved still comes to prod by one promotion.

use std::time::Duration;

use ::sandbox::{Fault, FaultHandle, FaultKind, Patch};
use serde_json::json;

use crate::harness::gitsync::Daemon;
use crate::harness::scene::{DEADLINE, Scene};
use crate::harness::tags;
use crate::harness::wait::{wait_for, wait_until};

const WRITES: [&str; 4] = ["POST", "PUT", "PATCH", "DELETE"];

/// The main loop comes to its end although something goes wrong in both clusters, and it did go wrong.
#[track_caller]
fn is_borne(fault: impl Fn() -> Fault) {
    let scene = Scene::new();
    let faults: Vec<FaultHandle> = [&scene.staging, &scene.prod]
        .map(|cluster| cluster.inject(fault()))
        .into();
    let daemon = scene.daemon();
    scene.wait_until_running("prod", &tags::good(1), &daemon);
    assert_eq!(scene.promotions().len(), 1);
    for fault in faults {
        assert!(fault.hits() > 0, "nothing went wrong");
    }
}

#[test]
fn a_server_that_asks_for_patience_gets_it() {
    is_borne(|| Fault::new(FaultKind::TooManyRequests(1)).times(8));
}

#[test]
fn a_server_that_fails_at_reads_is_asked_again() {
    is_borne(|| Fault::new(FaultKind::InternalError).methods(&["GET"]).times(8));
}

#[test]
fn a_server_that_fails_at_writes_is_asked_again() {
    is_borne(|| Fault::new(FaultKind::InternalError).methods(&WRITES).times(8));
}

#[test]
fn a_server_that_is_overloaded_is_asked_again() {
    is_borne(|| Fault::new(FaultKind::Unavailable).times(12));
}

#[test]
fn a_server_that_is_slow_is_waited_for() {
    is_borne(|| Fault::new(FaultKind::Latency(Duration::from_millis(200))));
}

#[test]
fn a_record_that_somebody_else_writes_is_read_again() {
    is_borne(|| {
        let fault = Fault::new(FaultKind::Conflict).methods(&["PATCH"]);
        fault.path("/configmaps/gitsync-").times(3)
    });
}

#[test]
fn a_server_that_never_answers_holds_up_nobody_else() {
    let scene = Scene::new();
    let silent = scene.prod.inject(Fault::new(FaultKind::Partition));
    let daemon = scene.daemon();
    wait_for(DEADLINE, "staging is promoted", || {
        if scene.promotions().len() == 1 {
            Ok(())
        } else {
            Err(daemon.log())
        }
    });
    assert_eq!(scene.running("prod"), "", "{}", daemon.log());
    drop(silent);
    scene.wait_until_running("prod", &tags::good(1), &daemon);
}

/// Somebody scales by hand; it is put back.
#[track_caller]
fn heals(scene: &Scene, daemon: &Daemon) {
    let client = scene.cluster("prod").client("somebody");
    let by_hand = Patch::Merge(json!({"spec": {"replicas": 1}}));
    client
        .patch("deployments.apps", "flask-app", "flask-app", by_hand)
        .unwrap();
    wait_for(DEADLINE, "the replicas are put back", || {
        let object = scene
            .get("prod", "deployments.apps", "flask-app", "flask-app")
            .unwrap();
        if object["spec"]["replicas"] == 3 {
            Ok(())
        } else {
            Err(daemon.log())
        }
    });
}

#[test]
fn watches_that_end_begin_again_and_drift_is_still_seen() {
    let scene = Scene::new();
    let daemon = scene.daemon();
    scene.wait_until_running("prod", &tags::good(1), &daemon);
    for _ in 0..3 {
        scene.prod.cluster().drop_watches();
        heals(&scene, &daemon);
    }
}

#[test]
fn watches_whose_history_is_gone_list_again_and_drift_is_still_seen() {
    let scene = Scene::new();
    let daemon = scene.daemon();
    scene.wait_until_running("prod", &tags::good(1), &daemon);
    // What happens while nobody watches is compacted away: the next watch is answered with 410.
    let refused = scene
        .prod
        .inject(Fault::new(FaultKind::Unavailable).methods(&["GET"]));
    scene.prod.cluster().drop_watches();
    let client = scene.cluster("prod").client("somebody");
    let label = Patch::Merge(json!({"metadata": {"labels": {"by": "hand"}}}));
    client
        .patch("services", "flask-app", "flask-app-service", label)
        .unwrap();
    scene.prod.cluster().compact();
    wait_until(DEADLINE, "a watch is refused", || refused.hits() > 0);
    drop(refused);
    heals(&scene, &daemon);
}
