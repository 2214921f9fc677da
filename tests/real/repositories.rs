//! The repositories of the tests: a remote as a team has it, by file and by HTTP.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shows where")]

use std::time::Duration;

use crate::harness::git::{self, Point, Remote};
use crate::harness::git_server::GitServer;

const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn the_example_is_the_first_commit() {
    let remote = Remote::example();
    let log = remote.log();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].id, remote.head());
    assert!(
        log[0]
            .files
            .contains(&"environments/prod/kustomization.yaml".to_owned()),
        "{log:?}"
    );
    let here = std::fs::read_to_string("environments/prod/kustomization.yaml").unwrap();
    assert_eq!(remote.read("environments/prod/kustomization.yaml"), Some(here));
    assert_eq!(remote.read("no/such/file"), None);
}

#[test]
fn a_commit_is_told_with_its_trailers_and_files() {
    let remote = Remote::empty();
    let first = remote.commit("Begin", &[("a/one", Some("1\n")), ("two", Some("2\n"))]);
    let second = remote.commit(
        "Go on\n\nText.\n\nImage: app:1\nChecked-By: nobody",
        &[("a/one", None)],
    );
    let third = remote.replace("two", "2", "3");
    let log = remote.log();
    let ids: Vec<_> = log.iter().map(|commit| commit.id.as_str()).collect();
    assert_eq!(ids, [&third, &second, &first]);
    let trailer = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        log[1].trailers,
        [trailer("Image", "app:1"), trailer("Checked-By", "nobody")]
    );
    assert_eq!(log[1].subject, "Go on");
    assert_eq!(log[1].author, "A Developer");
    assert_eq!(log[1].files, ["a/one"]);
    assert_eq!(remote.read_at(&first, "a/one").as_deref(), Some("1\n"));
    assert_eq!(remote.read("a/one"), None);
    let diff = remote.diff(&second, &third);
    assert!(diff.contains("-2\n") && diff.contains("+3\n"), "{diff}");
}

#[test]
fn a_push_can_be_held_before_and_after_the_branch_moves() {
    for (point, moved) in [(Point::BeforeUpdate, false), (Point::AfterUpdate, true)] {
        let remote = Remote::empty();
        let first = remote.commit("Begin", &[("file", Some("1\n"))]);
        std::thread::scope(|scope| {
            let held = remote.hold(point);
            let push = scope.spawn(|| remote.commit("Go on", &[("file", Some("2\n"))]));
            held.wait_for_push(DEADLINE);
            assert_eq!(remote.head() != first, moved, "{point:?}");
            assert!(!push.is_finished(), "{point:?}");
            drop(held);
            assert_eq!(push.join().unwrap(), remote.head(), "{point:?}");
        });
    }
}

#[test]
fn a_push_can_be_refused_with_a_reason() {
    let remote = Remote::empty();
    let first = remote.commit("Begin", &[("file", Some("1\n"))]);
    let clone = remote.clone_to("clone");
    git::git(
        &clone,
        &["commit", "--quiet", "--allow-empty", "--message", "Nothing"],
    )
    .ok();
    remote.refuse("main is protected");
    let refused = git::git(&clone, &["push", "origin", "HEAD:main"]).expect_code(1);
    assert!(refused.stderr.contains("remote: main is protected"), "{refused}");
    assert_eq!(remote.head(), first);
    remote.accept();
    git::git(&clone, &["push", "origin", "HEAD:main"]).ok();
    assert_ne!(remote.head(), first);
}

#[test]
fn a_remote_is_served_by_http_with_a_password_and_its_requests_are_counted() {
    let remote = Remote::empty();
    let first = remote.commit("Begin", &[("file", Some("1\n"))]);
    let server = GitServer::start(&remote, Some(("robot", "s3cret")));
    let here = std::path::Path::new("/");
    let refused = git::git(here, &["ls-remote", &server.url()]).expect_code(128);
    assert!(refused.stderr.contains("could not read Username"), "{refused}");

    let with_password = server.url().replace("http://", "http://robot:s3cret@");
    let listed = git::git(here, &["ls-remote", &with_password, "refs/heads/main"]).ok();
    assert!(listed.starts_with(&first), "{listed}");
    let clone = remote.clone_to("clone");
    git::git(
        &clone,
        &["commit", "--quiet", "--allow-empty", "--message", "Nothing"],
    )
    .ok();
    git::git(&clone, &["push", "--quiet", &with_password, "HEAD:main"]).ok();
    assert_ne!(remote.head(), first);
    let requests = server.requests();
    assert_eq!(
        requests[0],
        "GET /fleet.git/info/refs?service=git-upload-pack 401"
    );
    assert_eq!(requests.last().unwrap(), "POST /fleet.git/git-receive-pack 200");
}
