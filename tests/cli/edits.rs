//! Commands that write to git: one commit with exactly the edit, on whatever the tip is.

use std::time::Duration;

use super::desk::Desk;
use crate::harness::git::Point;

const IMAGE: &str = "sanjeev-thiyagarajan/jenkins-flask-app";
const STAGING: &str = "environments/staging/kustomization.yaml";
const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn several_images_are_one_commit_and_setting_them_again_is_none() {
    let desk = Desk::new();
    let sidecar = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: b}}\n    spec: {containers: [{name: web, image: 'team/web:v1'}]}\n";
    let overlay = desk.remote.read(STAGING).unwrap();
    desk.remote.commit(
        "Add web",
        &[
            ("environments/staging/web.yaml", Some(sidecar)),
            (
                STAGING,
                Some(&overlay.replace("resources:\n", "resources:\n- web.yaml\n")),
            ),
        ],
    );
    let before = desk.remote.head();
    let flask = format!("flask-app={IMAGE}:0a1b2c3d");
    let web = format!("web=mirror.example/web@sha256:{}", "a".repeat(64));
    let set = ["image", "set", &flask, &web, "--env", "staging", "--push"];
    let said = desk.run(&set).ok();
    assert!(said.contains("set in staging"), "{said}");

    let log = desk.remote.log();
    assert_eq!(
        log[0].subject,
        format!(
            "Set jenkins-flask-app:0a1b2c3d, web@sha256:{} in staging",
            "a".repeat(64)
        )
    );
    assert_eq!(log[0].files, [STAGING]);
    let trailers: Vec<&str> = log[0].trailers.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(
        trailers,
        [
            format!("{IMAGE}:0a1b2c3d"),
            format!("mirror.example/web@sha256:{}", "a".repeat(64))
        ]
    );
    let diff = desk.remote.diff(&before, "main");
    for line in [
        "+  newTag: 0a1b2c3d",
        "+- name: team/web",
        "+  newName: mirror.example/web",
        &format!("+  digest: sha256:{}", "a".repeat(64)),
    ] {
        assert!(diff.contains(line), "{line}\n{diff}");
    }

    let tip = desk.remote.head();
    let again = desk.run(&set).ok();
    assert!(again.contains("nothing changed"), "{again}");
    assert_eq!(desk.remote.head(), tip);
}

#[test]
fn a_dry_run_prints_a_patch_that_git_applies_and_writes_nothing() {
    let desk = Desk::new();
    let tip = desk.remote.head();
    let image = format!("flask-app={IMAGE}:0a1b2c3d");
    let set = ["image", "set", &image, "--env", "staging", "--push"];
    let patch = desk.run(&[&set[..], &["--dry-run"]].concat()).ok();
    assert_eq!(desk.remote.head(), tip);

    let clone = desk.remote.clone_to("clone");
    std::fs::write(clone.join("the.patch"), &patch).unwrap();
    crate::harness::git::git(&clone, &["apply", "the.patch"]).ok();
    let applied = std::fs::read_to_string(clone.join(STAGING)).unwrap();
    desk.run(&set).ok();
    assert_eq!(desk.remote.read(STAGING).unwrap(), applied);
}

#[test]
fn an_edit_is_made_again_on_the_tip_that_somebody_else_pushed() {
    let desk = Desk::new();
    let held = desk.remote.hold(Point::BeforeUpdate);
    let image = format!("flask-app={IMAGE}:0a1b2c3d");
    let url = desk.remote.url();
    let set = [
        "image", "set", &image, "--env", "staging", "--push", "--repo", &url,
    ];
    let mut command = desk.gitsync.daemon(&set);
    held.wait_for_push(DEADLINE);
    // Somebody else's commit, past the hook that holds the push.
    let other = desk.remote.clone_to("other");
    std::fs::write(other.join("NOTES"), "theirs\n").unwrap();
    let git = |args: &[&str]| crate::harness::git::git(&other, args).ok();
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "-m", "Theirs"]);
    let id = git(&["rev-parse", "HEAD"]);
    let bare = desk.remote.path();
    let objects = format!("{}/.git/objects", other.display());
    std::fs::write(bare.join("objects/info/alternates"), format!("{objects}\n")).unwrap();
    desk.remote
        .git(&["update-ref", "refs/heads/main", id.trim()])
        .ok();
    drop(held);
    crate::harness::wait::wait_until(DEADLINE, "the command ends", || command.exit_code().is_some());
    assert_eq!(command.exit_code(), Some(0), "{}", command.log());
    let subjects: Vec<String> = desk
        .remote
        .log()
        .into_iter()
        .map(|commit| commit.subject)
        .collect();
    assert_eq!(
        subjects[..2],
        ["Set jenkins-flask-app:0a1b2c3d in staging", "Theirs"]
    );
}

#[test]
fn scaling_is_an_edit_of_the_overlay() {
    let desk = Desk::new();
    let before = desk.remote.read(STAGING).unwrap();
    desk.run(&["scale", "flask-app=5", "--env", "staging", "--push"])
        .ok();
    let after = desk.remote.read(STAGING).unwrap();
    assert!(after.starts_with(&before), "{after}");
    assert!(
        after.ends_with("replicas:\n- name: flask-app\n  count: 5\n"),
        "{after}"
    );
    let again = desk
        .run(&["scale", "flask-app=5", "--env", "staging", "--push"])
        .ok();
    assert!(again.contains("nothing changed"), "{again}");

    let wrong = desk
        .run(&["scale", "flaskapp=5", "--env", "staging", "--push"])
        .expect_code(2);
    assert!(wrong.stderr.contains("did you mean `flask-app`?"), "{wrong}");
}

#[test]
fn every_wrong_name_is_told_at_once() {
    let desk = Desk::new();
    let wrong = desk
        .run(&[
            "image",
            "set",
            "flaskapp=a:1",
            "wbe=a:2",
            "--env",
            "staging",
            "--push",
        ])
        .expect_code(2);
    for part in ["`flaskapp`", "`wbe`", "environments/staging/kustomization.yaml"] {
        assert!(wrong.stderr.contains(part), "{part}: {wrong}");
    }
}
