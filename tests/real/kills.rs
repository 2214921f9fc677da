//! Kills: `kill -9` at any point, and a restart finishes; never two promotions of one image, never an unproved one.

use super::stage::{DEADLINE, Stage, trailer};
use crate::harness::git::Point;
use crate::harness::tags;
use crate::harness::wait::wait_until;

/// A restart brings the first good tag to prod by exactly one promotion, of what staging proved.
#[track_caller]
fn finishes(stage: &Stage, proved: &str) {
    let _daemon = stage.daemon();
    stage.wait_until_running("prod", &tags::good(1));
    let promotions = stage.promotions();
    assert_eq!(promotions.len(), 1, "one image, one promotion: {promotions:#?}");
    assert_eq!(trailer(&promotions[0], "Gitsync-Verified-Revision"), Some(proved));
}

#[test]
fn after_the_apply() {
    let stage = Stage::new();
    let proved = stage.remote.head();
    let daemon = stage.daemon();
    wait_until(DEADLINE, "staging is applied", || {
        stage.exists("staging", "deployments/flask-app")
    });
    daemon.kill();
    finishes(&stage, &proved);
}

#[test]
fn during_the_check() {
    let stage = Stage::new();
    let proved = stage.remote.head();
    let daemon = stage.daemon();
    wait_until(DEADLINE, "the check begins", || {
        let requests = stage
            .pair()
            .staging
            .cloud()
            .requests("flask-app", "flask-app-service");
        requests.values().sum::<u64>() > 20
    });
    daemon.kill();
    assert_eq!(stage.promotions().len(), 0, "an interrupted check proves nothing");
    finishes(&stage, &proved);
}

#[test]
fn between_the_commit_and_the_push() {
    let stage = Stage::new();
    let proved = stage.remote.head();
    stage.remote.refuse("not now");
    let daemon = stage.daemon();
    stage.wait_for_log(&daemon, &["could not be pushed", "not now"]);
    daemon.kill();
    assert_eq!(stage.promotions().len(), 0);
    stage.remote.accept();
    finishes(&stage, &proved);
}

#[test]
fn while_the_push_is_under_way() {
    let stage = Stage::new();
    let proved = stage.remote.head();
    let held = stage.remote.hold(Point::BeforeUpdate);
    let daemon = stage.daemon();
    held.wait_for_push(DEADLINE);
    daemon.kill();
    // The remote goes on without its client: the branch moves although nobody hears of it.
    drop(held);
    finishes(&stage, &proved);
}

#[test]
fn after_the_push_and_before_its_answer() {
    let stage = Stage::new();
    let proved = stage.remote.head();
    let held = stage.remote.hold(Point::AfterUpdate);
    let daemon = stage.daemon();
    held.wait_for_push(DEADLINE);
    assert_eq!(stage.promotions().len(), 1);
    daemon.kill();
    drop(held);
    finishes(&stage, &proved);
}

#[test]
fn a_signal_ends_it_in_good_order() {
    let stage = Stage::new();
    let proved = stage.remote.head();
    let daemon = stage.daemon();
    stage.wait_until_running("staging", &tags::good(1));
    assert_eq!(daemon.terminate(), 0);
    finishes(&stage, &proved);
}
