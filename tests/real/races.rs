//! Races: the branch moves between the proof and the push.

use super::stage::{DEADLINE, PROD, STAGING, Stage, trailer};
use crate::harness::git::Point;
use crate::harness::tags;
use crate::harness::wait::wait_for;

/// A rival's commit lands while the daemon's push is held: after the daemon read the branch, before the branch moves.
#[test]
fn a_concurrent_commit_survives_and_what_is_promoted_is_what_was_proved() {
    let stage = Stage::new();
    let proved = stage.remote.head();
    // The rival's commit waits beside the branch, so that moving the branch to it needs no push.
    let clone = stage.remote.clone_to("rival");
    let git = |args: &[&str]| crate::harness::git::git(&clone, args).ok();
    std::fs::write(clone.join("README.md"), "A rival was here.\n").unwrap();
    std::fs::write(clone.join(STAGING), stage.staging(&tags::stuck(1))).unwrap();
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message=A rival's commit"]);
    git(&["push", "--quiet", "origin", "HEAD:refs/heads/rival"]);

    let held = stage.remote.hold(Point::BeforeUpdate);
    let _daemon = stage.daemon();
    held.wait_for_push(DEADLINE);
    stage
        .remote
        .git(&["update-ref", "refs/heads/main", "refs/heads/rival"])
        .ok();
    drop(held);
    stage.wait_until_running("prod", &tags::good(1));

    assert_eq!(stage.read("README.md"), "A rival was here.\n");
    assert!(stage.read(PROD).contains(&format!("newTag: {}", tags::good(1))));
    let subjects: Vec<String> = stage
        .remote
        .log()
        .into_iter()
        .map(|commit| commit.subject)
        .take(2)
        .collect();
    let promotion = format!("Promote jenkins-flask-app:{} to prod", tags::good(1));
    assert_eq!(subjects, [promotion.as_str(), "A rival's commit"]);
    assert_eq!(
        trailer(&stage.promotions()[0], "Gitsync-Verified-Revision"),
        Some(proved.as_str())
    );
    wait_for(DEADLINE, "an Event tells of the conflict", || {
        let events = "/apis/events.k8s.io/v1/namespaces/gitsync-system/events";
        let events = stage.pair().cluster("staging").get(events).unwrap_or_default();
        let is_told = events.to_string().contains("PushConflict");
        is_told.then_some(()).ok_or_else(|| events.to_string())
    });
    // What the rival brought is now staging's turn, and prod's only when it is proved.
    stage.wait_for_status("staging", &[&tags::stuck(1)]);
    assert_eq!(stage.running("prod"), tags::good(1));
}

/// Both see the same proof; the branch takes one commit, and the other daemon finds it there.
#[test]
fn two_daemons_at_once_promote_once() {
    let stage = Stage::new();
    let (mut one, mut other) = (stage.daemon(), stage.daemon());
    stage.wait_until_running("prod", &tags::good(1));
    stage.wait_for_status("staging", &["\"phase\":\"synced\""]);
    assert_eq!(stage.promotions().len(), 1);
    assert_eq!(
        (one.exit_code(), other.exit_code()),
        (None, None),
        "both go on:\n{}\n{}",
        one.log(),
        other.log()
    );
}
