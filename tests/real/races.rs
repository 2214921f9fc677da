//! Races: the branch moves between the proof and the push.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::stage::{OVERLAY_OF_PROD, Stage};
use crate::harness::tags;

/// The first push meets a rival's commit that arrived after the daemon had read the branch: the hook makes it, and
/// refuses what it was asked about.
#[test]
fn a_concurrent_commit_survives_and_what_is_promoted_is_what_was_proved() {
    let stage = Stage::new();
    let rival = stage.working_copy();
    fs::write(rival.join("README.md"), "A rival was here.\n").unwrap();
    fs::write(
        rival.join("environments/staging/kustomization.yaml"),
        stage.overlay("staging", &tags::stuck(1)),
    )
    .unwrap();
    stage.git(&rival, &["add", "--all"]);
    stage.git(&rival, &["commit", "--quiet", "--message=A rival's commit"]);
    stage.git(&rival, &["push", "--quiet", "origin", "HEAD:refs/heads/rival"]);
    let hook = stage.remote().join("hooks/pre-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    let script = "#!/bin/sh\ncat >/dev/null\n[ -e raced ] && exit 0\n: > raced\nunset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES\ngit update-ref refs/heads/main refs/heads/rival\n";
    fs::write(&hook, script).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();

    let _daemon = stage.daemon();
    stage.wait_until_running("prod", &tags::good(1));

    assert_eq!(stage.show("README.md"), "A rival was here.\n");
    assert!(
        stage
            .show(OVERLAY_OF_PROD)
            .contains(&format!("newTag: {}", tags::good(1)))
    );
    let promotion = stage.last_promotion();
    assert_eq!(
        promotion.trailer("Gitsync-Verified-Revision"),
        Some(stage.initial_commit().as_str())
    );
    let log = stage.git(&stage.remote(), &["log", "--format=%s", "main"]);
    assert_eq!(
        log.lines().collect::<Vec<_>>(),
        [
            &format!("Promote jenkins-flask-app:{} to prod", tags::good(1)),
            "A rival's commit",
            "Begin"
        ]
    );
    stage.wait_for_status("staging", &tags::stuck(1));
    assert_eq!(
        stage.running("prod"),
        tags::good(1),
        "what the rival brought is not proved"
    );
}
