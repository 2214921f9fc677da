//! Pushing: one commit moves the branch, or nothing does.

use std::sync::Barrier;

use proptest::prelude::*;

use super::remote::Remote;
use super::{ample, edit, identity, message, open};
use crate::model::{Edit, Revision};
use crate::world::git::{Git, PushError, Pushed};

const PROD: &str = "environments/prod";
const OVERLAY: &str = "environments/prod/kustomization.yaml";

fn push(git: &Git, base: &Revision, change: &Edit) -> Result<Option<Pushed>, PushError> {
    git.commit_and_push(base, change, &message("Promote app"), &identity(), PROD, &ample())
}

fn fetched(remote: &Remote) -> (Git, Revision) {
    let git = open(&remote.url(), &remote.cache());
    let revision = git.fetch(&ample()).unwrap().revision;
    (git, revision)
}

#[test]
fn a_push_adds_exactly_the_edit() {
    let remote = Remote::new();
    let (git, base) = fetched(&remote);
    let change = edit(&[
        (OVERLAY, "images: [new]\n"),
        ("environments/prod/verified.yaml", "kind: Verified\n"),
    ]);
    let pushed = push(&git, &base, &change).unwrap().unwrap();
    assert_eq!(pushed.revision, remote.tip());
    let diff = remote.bare_git(&["diff", "--name-status", base.as_str(), "main"]);
    assert_eq!(diff, format!("M\t{OVERLAY}\nA\tenvironments/prod/verified.yaml"));
    assert_eq!(
        remote
            .bare_git(&["log", "-1", "--format=%an <%ae>|%s|%(trailers:only)", "main"])
            .trim_end(),
        "gitsync <gitsync@example.com>|Promote app|Gitsync-Image: app:1"
    );
    remote.bare_git(&["fsck", "--strict", "--full"]);
    let snapshot = git.snapshot(&pushed.revision).unwrap();
    assert_eq!(
        snapshot.files().read(OVERLAY).unwrap().as_ref(),
        b"images: [new]\n",
        "readable without a fetch"
    );
}

#[test]
fn an_edit_that_changes_nothing_makes_no_commit() {
    let remote = Remote::new();
    let (git, base) = fetched(&remote);
    assert_eq!(
        push(&git, &base, &edit(&[(OVERLAY, "images: []\n")])).unwrap(),
        None
    );
    assert_eq!(remote.tip(), base);
}

#[test]
fn a_file_that_the_edit_removes_goes_and_takes_nothing_else_along() {
    let remote = Remote::new();
    let (git, base) = fetched(&remote);
    let both = edit(&[
        ("environments/prod/one.yaml", "1\n"),
        ("environments/prod/two.yaml", "2\n"),
    ]);
    let base = push(&git, &base, &both).unwrap().unwrap().revision;
    let gone = ["environments/prod/one.yaml", "environments/prod/never.yaml"];
    let removal = Edit {
        removed: gone.map(str::to_owned).into(),
        ..Edit::default()
    };
    let pushed = push(&git, &base, &removal).unwrap().unwrap();
    let diff = remote.bare_git(&["diff", "--name-status", base.as_str(), "main"]);
    assert_eq!(diff, "D\tenvironments/prod/one.yaml");
    remote.bare_git(&["fsck", "--strict", "--full"]);
    assert_eq!(
        push(&git, &pushed.revision, &removal).unwrap(),
        None,
        "gone already"
    );
}

#[test]
fn an_executable_file_stays_executable() {
    let remote = Remote::new();
    remote.git(&["update-index", "--chmod=+x", OVERLAY]);
    remote.git(&["commit", "--quiet", "-m", "Mode"]);
    remote.git(&["push", "--quiet", "origin", "HEAD:main"]);
    let (git, base) = fetched(&remote);
    push(&git, &base, &edit(&[(OVERLAY, "images: [new]\n")])).unwrap();
    assert!(
        remote
            .bare_git(&["ls-tree", "main", OVERLAY])
            .starts_with("100755")
    );
}

#[test]
fn nothing_outside_the_allowed_directory_is_ever_sent() {
    let remote = Remote::new();
    let (git, base) = fetched(&remote);
    for path in [
        "apps/app/deployment.yaml",
        "environments/production/x",
        "environments/prod-x",
        "README.md",
    ] {
        let error = push(&git, &base, &edit(&[(OVERLAY, "images: [x]\n"), (path, "x")])).unwrap_err();
        assert!(
            matches!(&error, PushError::Outside { paths, .. } if paths == &[path]),
            "{error}"
        );
    }
    assert_eq!(remote.tip(), base);
}

#[test]
fn what_stands_in_the_way_of_an_edit_is_named() {
    let remote = Remote::new();
    std::os::unix::fs::symlink("kustomization.yaml", remote.work().join("environments/prod/link")).unwrap();
    remote.commit_all("Link");
    let (git, base) = fetched(&remote);
    for (path, reason) in [
        ("environments/prod", "directory"),
        ("environments/prod/kustomization.yaml/x", "a file stands"),
        ("environments/prod/link", "symbolic link"),
        ("environments/prod/../../README.md", "no path"),
        ("environments/prod/.git/config", "no path"),
        ("", "no path"),
    ] {
        let error = push(&git, &base, &edit(&[(path, "x")])).unwrap_err();
        let PushError::Commit(error) = error else {
            panic!("{path}: {error}")
        };
        assert!(error.to_string().contains(reason), "{path}: {error}");
    }
}

#[test]
fn a_rival_before_our_push_is_noticed_and_survives() {
    let remote = Remote::new();
    let (git, base) = fetched(&remote);
    let rival = remote.commit(&[("README.md", "Rival.\n")], "Rival");
    let change = edit(&[(OVERLAY, "images: [new]\n")]);
    let error = push(&git, &base, &change).unwrap_err();
    assert!(
        matches!(&error, PushError::Moved { tip: Some(tip) } if *tip == rival),
        "{error}"
    );
    assert!(error.retryable());

    let base = git.fetch(&ample()).unwrap().revision;
    let pushed = push(&git, &base, &change).unwrap().unwrap();
    assert_eq!(remote.bare_git(&["rev-parse", "main^"]), rival.as_str());
    assert_eq!(remote.tip(), pushed.revision);
}

#[test]
fn a_rival_between_our_handshake_and_our_pack_is_noticed_and_survives() {
    let remote = Remote::new();
    let (git, base) = fetched(&remote);
    remote.git(&["commit", "--quiet", "--allow-empty", "-m", "Rival"]);
    remote.git(&["push", "--quiet", "origin", "HEAD:side"]);
    let rival = remote.bare_git(&["rev-parse", "side"]);
    // The hook runs while our push is in flight, outside the quarantine of its objects.
    remote.hook(
        "pre-receive",
        &format!("unset GIT_QUARANTINE_PATH; git update-ref refs/heads/main {rival}"),
    );
    let error = push(&git, &base, &edit(&[(OVERLAY, "images: [new]\n")])).unwrap_err();
    assert!(
        matches!(&error, PushError::Moved { tip: Some(tip) } if tip.as_str() == rival),
        "{error}"
    );
    assert_eq!(remote.tip().as_str(), rival);
}

#[test]
fn a_hook_that_refuses_is_quoted() {
    let remote = Remote::new();
    let (git, base) = fetched(&remote);
    remote.hook("pre-receive", "echo 'policy: prod is frozen' >&2; exit 1");
    let error = push(&git, &base, &edit(&[(OVERLAY, "images: [new]\n")])).unwrap_err();
    let PushError::Rejected { reason, messages } = &error else {
        panic!("{error}")
    };
    assert!(reason.contains("hook declined"), "{reason}");
    assert_eq!(messages, &["policy: prod is frozen"]);
    assert!(!error.retryable());
    assert_eq!(remote.tip(), base);
}

#[test]
fn a_branch_that_is_checked_out_gets_advice() {
    let remote = Remote::new();
    let work = remote.work();
    let git = open(work.to_str().unwrap(), &remote.cache());
    let base = git.fetch(&ample()).unwrap().revision;
    let error = push(&git, &base, &edit(&[(OVERLAY, "images: [new]\n")]))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("receive.denyCurrentBranch updateInstead"),
        "{error}"
    );
}

#[test]
fn a_deleted_branch_is_not_brought_back() {
    let remote = Remote::new();
    let (git, base) = fetched(&remote);
    remote.bare_git(&["update-ref", "-d", "refs/heads/main"]);
    let error = push(&git, &base, &edit(&[(OVERLAY, "images: [new]\n")])).unwrap_err();
    assert!(matches!(error, PushError::Moved { tip: None }), "{error}");
}

#[test]
fn concurrent_pushes_both_survive() {
    let remote = Remote::new();
    let start = Barrier::new(2);
    std::thread::scope(|scope| {
        for name in ["one", "two"] {
            let (remote, start) = (&remote, &start);
            scope.spawn(move || {
                let git = open(&remote.url(), &remote.scratch(name));
                start.wait();
                for round in 0..3 {
                    let path = format!("environments/prod/{name}-{round}.yaml");
                    push_until_it_lands(&git, &edit(&[(&path, name)]));
                }
            });
        }
    });
    let files = remote.bare_git(&["ls-tree", "-r", "--name-only", "main", "environments/prod/"]);
    for name in ["one-0", "one-1", "one-2", "two-0", "two-1", "two-2"] {
        assert!(files.contains(name), "{files}");
    }
    assert_eq!(remote.bare_git(&["rev-list", "--count", "main"]), "7");
    remote.bare_git(&["fsck", "--strict", "--full"]);
}

/// What a caller does: fetch, decide, push, and again while the branch moves.
fn push_until_it_lands(git: &Git, change: &Edit) {
    for _ in 0..50 {
        let base = git.fetch(&ample()).unwrap().revision;
        match push(git, &base, change) {
            Ok(pushed) => return assert!(pushed.is_some()),
            Err(PushError::Moved { .. }) => {}
            Err(error) => panic!("{error}: {error:?}"),
        }
    }
    panic!("the push never landed");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn after_a_push_the_difference_is_the_edit(
        files in proptest::collection::btree_map("[a-c]{1,2}(/[d-f]{1,2}){0,2}/[g-i]\\.yaml", "[ -~\n]{0,40}", 1..5),
    ) {
        let remote = Remote::new();
        let (git, base) = fetched(&remote);
        let files: Vec<(String, String)> =
            files.into_iter().map(|(path, text)| (format!("{PROD}/{path}"), text)).collect();
        let pairs: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        push(&git, &base, &edit(&pairs)).unwrap().unwrap();
        let changed = remote.bare_git(&["diff", "--name-only", base.as_str(), "main"]);
        let expected: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
        let mut changed: Vec<&str> = changed.lines().collect();
        changed.sort_unstable();
        prop_assert_eq!(changed, expected);
        let git = open(&remote.url(), &remote.scratch("fresh"));
        let snapshot = git.snapshot(&git.fetch(&ample()).unwrap().revision).unwrap();
        for (path, text) in &files {
            let content = snapshot.files().read(path).unwrap();
            prop_assert_eq!(content.as_ref(), text.as_bytes());
        }
        remote.bare_git(&["fsck", "--strict", "--full"]);
    }
}
