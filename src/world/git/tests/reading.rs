//! Reading: poll, fetch, snapshots, history, and the cache under them.

use std::os::unix::fs::symlink;
use std::sync::Barrier;
use std::time::Duration;

use kustomize::{Files as _, Kind};
use tokio_util::sync::CancellationToken;

use super::remote::Remote;
use super::{ample, open, options};
use crate::source::Tree as _;
use crate::world::git::{Bounds, Git, GitError};

#[test]
fn a_poll_speaks_up_only_when_the_branch_moved() {
    let remote = Remote::new();
    let git = open(&remote.url(), &remote.cache());
    assert_eq!(git.poll(&ample()).unwrap(), Some(remote.tip()));
    let first = git.fetch(&ample()).unwrap();
    assert_eq!(
        (first.revision, first.previous, first.rewritten),
        (remote.tip(), None, false)
    );
    assert_eq!(git.poll(&ample()).unwrap(), None);

    let before = remote.tip();
    let second = remote.commit(
        &[("apps/app/deployment.yaml", "kind: Deployment # two\n")],
        "Second",
    );
    assert_eq!(git.poll(&ample()).unwrap(), Some(second.clone()));
    let fetched = git.fetch(&ample()).unwrap();
    assert_eq!(
        (fetched.revision, fetched.previous, fetched.rewritten),
        (second, Some(before), false)
    );

    let again = open(&remote.url(), &remote.cache());
    assert_eq!(
        again.poll(&ample()).unwrap(),
        None,
        "the cache outlives the process"
    );
}

#[test]
fn a_rewritten_history_is_fetched_and_said() {
    let remote = Remote::new();
    let git = open(&remote.url(), &remote.cache());
    git.fetch(&ample()).unwrap();
    remote.git(&["commit", "--quiet", "--amend", "-m", "Begin otherwise"]);
    remote.git(&["push", "--quiet", "--force", "origin", "HEAD:main"]);
    let fetched = git.fetch(&ample()).unwrap();
    assert_eq!((fetched.revision, fetched.rewritten), (remote.tip(), true));
}

#[test]
fn a_missing_branch_and_an_empty_repository_are_told_apart() {
    let remote = Remote::new();
    let mut wrong = options(&remote.url(), &remote.cache());
    wrong.branch = "mian".to_owned();
    let git = Git::open(&wrong).unwrap();
    for error in [git.poll(&ample()).unwrap_err(), git.fetch(&ample()).unwrap_err()] {
        assert!(
            matches!(&error, GitError::NoBranch { existing, .. } if existing == &["main"]),
            "{error}"
        );
    }

    let empty = Remote::empty();
    let git = open(&empty.url(), &empty.cache());
    for error in [git.poll(&ample()).unwrap_err(), git.fetch(&ample()).unwrap_err()] {
        assert!(matches!(error, GitError::Empty { .. }), "{error}");
    }
}

#[test]
fn a_repository_that_is_not_there_is_named() {
    let remote = Remote::new();
    for url in [
        "/nonexistent/repo.git".to_owned(),
        remote.work().join("apps").display().to_string(),
    ] {
        let error = open(&url, &remote.cache()).poll(&ample()).unwrap_err();
        assert!(matches!(error, GitError::NotFound { .. }), "{url}: {error}");
        assert!(error.to_string().contains(&url), "{error}");
    }
}

#[test]
fn a_snapshot_reads_what_the_commit_holds() {
    let remote = Remote::new();
    let git = open(&remote.url(), &remote.cache());
    let first = git.snapshot(&git.fetch(&ample()).unwrap().revision).unwrap();
    remote.commit(
        &[("environments/prod/kustomization.yaml", "images: [a]\n")],
        "Second",
    );
    let second = git.snapshot(&git.fetch(&ample()).unwrap().revision).unwrap();

    for (path, kind) in [
        ("", Some(Kind::Dir)),
        ("environments", Some(Kind::Dir)),
        ("environments/prod/kustomization.yaml", Some(Kind::File)),
        ("environments/prod/missing", None),
        ("README.md/below", None),
        ("../outside", None),
    ] {
        assert_eq!(first.files().kind(path), kind, "{path}");
    }
    let read = |path: &str| String::from_utf8(first.files().read(path).unwrap().into_owned()).unwrap();
    assert_eq!(read("environments/prod/kustomization.yaml"), "images: []\n");
    assert_eq!(
        first.tree_id("apps"),
        second.tree_id("apps"),
        "an untouched directory keeps its id"
    );
    assert_ne!(first.tree_id("environments"), second.tree_id("environments"));
    assert_eq!(first.tree_id("nowhere"), None);
    assert_eq!(first.tree().list("environments"), ["prod", "staging"]);
    assert!(first.tree().list("README.md").is_empty());
}

#[test]
fn symbolic_links_are_followed_inside_the_tree_only() {
    let remote = Remote::new();
    let work = remote.work();
    for (link, target) in [
        ("environments/prod/shared", "../../apps/app"),
        ("same.md", "README.md"),
        ("twice.md", "same.md"),
        ("absolute", "/etc/passwd"),
        ("environments/prod/up", "../../../etc/passwd"),
        ("circle-a", "circle-b"),
        ("circle-b", "circle-a"),
        ("dangling", "nowhere"),
    ] {
        symlink(target, work.join(link)).unwrap();
    }
    remote.commit_all("Link");
    let git = open(&remote.url(), &remote.cache());
    let snapshot = git.snapshot(&git.fetch(&ample()).unwrap().revision).unwrap();
    for (path, expected) in [
        (
            "environments/prod/shared/deployment.yaml",
            Ok("kind: Deployment\n"),
        ),
        ("twice.md", Ok("An example.\n")),
        ("absolute", Err("leads out")),
        ("environments/prod/up", Err("leads out")),
        ("circle-a", Err("circles")),
        ("dangling", Err("no such file")),
    ] {
        let found = snapshot
            .files()
            .read(path)
            .map(|bytes| String::from_utf8(bytes.into_owned()).unwrap());
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{path}"),
            (Err(error), Err(reason)) => assert!(error.to_string().contains(reason), "{path}: {error}"),
            (found, _) => panic!("{path}: {found:?}"),
        }
    }
}

#[test]
fn a_submodule_is_an_error_that_names_it() {
    let remote = Remote::new();
    let commit = remote.tip();
    remote.git(&[
        "update-index",
        "--add",
        "--cacheinfo",
        &format!("160000,{commit},vendored"),
    ]);
    remote.git(&["commit", "--quiet", "-m", "Vendor"]);
    remote.git(&["push", "--quiet", "origin", "HEAD:main"]);
    let git = open(&remote.url(), &remote.cache());
    let snapshot = git.snapshot(&git.fetch(&ample()).unwrap().revision).unwrap();
    for path in ["vendored", "vendored/kustomization.yaml"] {
        let error = snapshot.files().read(path).unwrap_err().to_string();
        assert!(error.contains("submodule"), "{error}");
    }
}

type Damage = fn(&std::path::Path);

#[test]
fn a_damaged_cache_is_replaced() {
    let remote = Remote::new();
    let cases: [(&str, Damage); 4] = [
        ("no objects", |clone| {
            std::fs::remove_dir_all(clone.join("objects")).unwrap();
            std::fs::create_dir(clone.join("objects")).unwrap();
        }),
        ("no HEAD", |clone| {
            std::fs::remove_file(clone.join("HEAD")).unwrap()
        }),
        ("broken configuration", |clone| {
            std::fs::write(clone.join("config"), "[core\nx").unwrap()
        }),
        ("empty objects", |clone| empty_all(&clone.join("objects"))),
    ];
    for (name, damage) in cases {
        let cache = remote.scratch(name);
        open(&remote.url(), &cache).fetch(&ample()).unwrap();
        damage(&clone_in(&cache));
        let git = open(&remote.url(), &cache);
        let fetched = git
            .fetch(&ample())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let snapshot = git.snapshot(&fetched.revision).unwrap();
        assert!(snapshot.files().read("README.md").is_ok(), "{name}");
    }
}

/// Leaves every file of a directory in place, without content.
fn empty_all(dir: &std::path::Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            empty_all(&path);
        } else {
            std::fs::remove_file(&path).unwrap();
            std::fs::write(path, "").unwrap();
        }
    }
}

#[test]
fn months_of_fetches_leave_no_heap_of_packs() {
    let remote = Remote::new();
    // Enough objects that the first pack stays one.
    let files: Vec<(String, String)> = (0..120)
        .map(|n| (format!("apps/{n}.yaml"), format!("n: {n}\n")))
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    remote.commit(&files, "Many");
    let git = open(&remote.url(), &remote.cache());
    git.fetch(&ample()).unwrap();
    for round in 0..12 {
        let text = format!("Round {round}.\n");
        let revision = remote.commit(&[("README.md", &text)], "Round");
        let fetched = git.fetch(&ample()).unwrap();
        assert_eq!(fetched.revision, revision);
        let snapshot = git.snapshot(&revision).unwrap();
        assert_eq!(
            snapshot.files().read("README.md").unwrap().as_ref(),
            text.as_bytes()
        );
    }
    let packs = std::fs::read_dir(clone_in(&remote.cache()).join("objects/pack")).unwrap();
    assert_eq!(packs.count(), 2, "one pack with its index");
}

#[test]
fn a_lock_that_a_killed_process_left_does_not_stop_anybody() {
    let remote = Remote::new();
    let git = open(&remote.url(), &remote.cache());
    git.fetch(&ample()).unwrap();
    let lock = clone_in(&remote.cache()).join("refs/remotes/origin/main.lock");
    std::fs::write(lock, "").unwrap();
    let revision = remote.commit(&[("README.md", "Two.\n")], "Second");
    assert_eq!(git.fetch(&ample()).unwrap().revision, revision);
}

#[test]
fn a_cache_that_another_process_holds_is_waited_for_but_not_for_ever() {
    let remote = Remote::new();
    let git = open(&remote.url(), &remote.cache());
    let lock = std::fs::File::create(clone_in(&remote.cache()).with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let bounds = Bounds::new(Duration::from_millis(100), CancellationToken::new());
    let error = git.fetch(&bounds).unwrap_err();
    assert!(
        matches!(error, GitError::Busy { .. }) && error.retryable(),
        "{error:?}"
    );
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| git.fetch(&ample()));
        drop(lock);
        assert!(waiting.join().unwrap().is_ok());
    });
}

#[test]
fn two_daemons_may_share_a_cache() {
    let remote = Remote::new();
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                let git = open(&remote.url(), &remote.cache());
                let fetched = git.fetch(&ample()).unwrap();
                assert!(
                    git.snapshot(&fetched.revision)
                        .unwrap()
                        .files()
                        .read("README.md")
                        .is_ok()
                );
            });
        }
    });
}

#[test]
fn history_lists_commits_with_their_trailers() {
    let remote = Remote::new();
    let first = remote.tip();
    let second = remote.commit(
        &[("README.md", "Two.\n")],
        "Second\n\nBody.\n\nGitsync-Image: app:2\nReviewed-by: A B\n",
    );
    let third = remote.commit(&[("README.md", "Three.\n")], "Third");
    let git = open(&remote.url(), &remote.cache());
    git.fetch(&ample()).unwrap();

    let commits = git.history(&third, Some(&first), 10).unwrap();
    let subjects: Vec<_> = commits.iter().map(|commit| commit.subject.as_str()).collect();
    assert_eq!(subjects, ["Third", "Second"]);
    assert_eq!(commits[1].author, "A Developer <dev@example.com>");
    let trailer = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        commits[1].trailers,
        [trailer("Gitsync-Image", "app:2"), trailer("Reviewed-by", "A B")]
    );
    assert_eq!(git.history(&third, None, 1).unwrap().len(), 1);

    for (one, two, expected) in [
        (&first, &third, true),
        (&third, &first, false),
        (&second, &second, true),
    ] {
        assert_eq!(git.is_ancestor(one, two).unwrap(), expected);
    }
    let unknown = "0123456789012345678901234567890123456789".parse().unwrap();
    assert!(git.is_ancestor(&unknown, &third).is_err());
}

#[test]
fn a_working_copy_shows_uncommitted_changes_and_its_configuration() {
    let remote = Remote::new();
    remote.git(&["config", "user.name", "Dev"]);
    remote.git(&["config", "user.email", "dev@example.com"]);
    std::fs::write(remote.work().join("README.md"), "Not committed.\n").unwrap();
    let copy = Git::discover(&remote.work().join("apps/app")).unwrap();
    assert_eq!(copy.root, remote.work().canonicalize().unwrap());
    assert_eq!(copy.branch.as_deref(), Some("main"));
    assert_eq!(copy.head, Some(remote.tip()));
    assert_eq!(
        copy.identity.as_ref().map(|who| who.email.as_str()),
        Some("dev@example.com")
    );
    assert!(
        copy.origin.as_ref().unwrap().ends_with("remote.git"),
        "{:?}",
        copy.origin
    );
    let files = copy.files().unwrap();
    assert_eq!(files.list(""), ["README.md", "apps", "environments"]);
    assert_eq!(files.read("README.md").unwrap().as_ref(), b"Not committed.\n");
    assert_eq!(files.kind("apps"), Some(Kind::Dir));
    assert!(
        files
            .read("../remote.git/HEAD")
            .unwrap_err()
            .to_string()
            .contains("leads out")
    );

    let committed = copy.snapshot(copy.head.as_ref().unwrap()).unwrap();
    assert_eq!(
        committed.files().read("README.md").unwrap().as_ref(),
        b"An example.\n"
    );

    let nowhere = tempfile::tempdir().unwrap();
    assert!(matches!(
        Git::discover(nowhere.path()),
        Err(GitError::Local { .. })
    ));
}

fn clone_in(cache: &std::path::Path) -> std::path::PathBuf {
    let mut entries = std::fs::read_dir(cache)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .find(|path| path.extension().is_some_and(|extension| extension == "git"))
        .unwrap()
}

#[test]
fn a_repository_of_sha_256_objects_is_refused_clearly() {
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = super::remote::hermetic(std::process::Command::new("git"));
        assert!(
            command
                .current_dir(dir.path())
                .args(arguments)
                .status()
                .unwrap()
                .success()
        );
    };
    run(&["init", "--quiet", "--object-format=sha256", "-b", "main"]);
    run(&["commit", "--quiet", "--allow-empty", "-m", "Begin"]);
    let git = open(dir.path().to_str().unwrap(), &dir.path().join("cache"));
    for error in [git.poll(&ample()).unwrap_err(), git.fetch(&ample()).unwrap_err()] {
        assert!(
            error.to_string().contains("SHA-256") && !error.retryable(),
            "{error:?}"
        );
    }
}

#[test]
fn one_branch_serves_many_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    let remote = Remote::new();
    let git = open(&remote.url(), &remote.cache());
    shared(&git);
    let snapshot = git.snapshot(&git.fetch(&ample()).unwrap().revision).unwrap();
    shared(&snapshot);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                assert_eq!(git.poll(&ample()).unwrap(), None);
                git.fetch(&ample()).unwrap();
                assert!(snapshot.files().read("README.md").is_ok());
            });
        }
    });
}
