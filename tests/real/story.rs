//! The story that the README tells, on two real clusters. `cargo loop` runs it for people.

use super::stage::{IMAGE, Stage};
use crate::harness::gitsync::Daemon;
use crate::harness::tags;

#[test]
fn a_good_image_reaches_prod_and_a_slow_one_does_not() {
    let stage = Stage::new();
    let mut told = 0;
    say("Two Kubernetes clusters are up, and a git repository with the example of this project.");
    say("$ gitsync run --repo fleet.git");
    let daemon = stage.daemon();
    stage.wait_until_running("prod", &tags::good(1));
    stage.wait_for_status("prod", &["\"phase\":\"synced\"", &tags::good(1)]);
    retell(&daemon, &mut told);
    say("What the promotion changed in git:");
    say(stage
        .remote
        .git(&["log", "-1", "--stat=72", "--format=%h %s%n%n%(trailers)", "main"])
        .ok()
        .trim_end());
    status(&stage);

    say("CI sets the next image, and it is slow: every answer takes 700 ms.");
    let image = format!("flask-app={IMAGE}:{}", tags::slow(2));
    say(&format!("$ gitsync image set {image} --env staging --push"));
    let url = stage.remote.url();
    let set = stage
        .gitsync
        .run(&[
            "image", "set", &image, "--env", "staging", "--push", "--repo", &url,
        ])
        .ok();
    say(set.trim_end());
    stage.wait_for_status("staging", &["\"phase\":\"failed\"", "http_req_duration"]);
    retell(&daemon, &mut told);
    status(&stage);
    assert_eq!(stage.running("prod"), tags::good(1));
    assert_eq!(stage.promotions().len(), 1);
}

fn status(stage: &Stage) {
    let copy = tempfile::tempdir().unwrap();
    crate::harness::git::git(copy.path(), &["clone", "--quiet", &stage.remote.url(), "."]).ok();
    say("$ gitsync status");
    say(stage.gitsync.run_in(copy.path(), &["status"]).stdout.trim_end());
}

/// Shows what the daemon has written since the last time.
fn retell(daemon: &Daemon, told: &mut usize) {
    let log = daemon.log();
    say(log[*told..].trim_end());
    *told = log.len();
}

#[expect(
    clippy::print_stderr,
    reason = "the story is for people; the test runner hides it unless asked not to"
)]
fn say(text: &str) {
    eprintln!("\n{text}");
}
