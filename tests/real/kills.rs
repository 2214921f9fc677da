//! Kills: `kill -9` at any point, and a restart finishes; never two promotions of one image, never an unproved one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::stage::Stage;
use crate::harness::tags;

/// Holds every push in a hook of the remote until the file `go` appears; the file `held` says that one is held.
fn hold_pushes(stage: &Stage, hook: &str) {
    let script = "#!/bin/sh\ncat >/dev/null\n: > held\nn=0\nwhile [ ! -e go ] && [ $n -lt 1200 ]; do sleep 0.05; n=$((n+1)); done\n[ ! -e refuse ]\n";
    let path = stage.remote().join("hooks").join(hook);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn wait_until_held(stage: &Stage) {
    stage.wait_for("a push to be held", || {
        if stage.remote().join("held").exists() {
            Ok(())
        } else {
            Err("none is held".to_owned())
        }
    });
}

/// Lets held pushes go on, or be refused, and removes the hook.
fn let_go(stage: &Stage, hook: &str, refuse: bool) {
    if refuse {
        fs::write(stage.remote().join("refuse"), "").unwrap();
    }
    fs::write(stage.remote().join("go"), "").unwrap();
    fs::remove_file(stage.remote().join("hooks").join(hook)).unwrap();
}

fn finishes(stage: &Stage) {
    let _daemon = stage.daemon();
    stage.wait_until_running("prod", &tags::good(1));
    assert_eq!(stage.promotions(), 1, "one image, one promotion");
    assert_eq!(
        stage.last_promotion().trailer("Gitsync-Verified-Revision"),
        Some(stage.initial_commit().as_str())
    );
}

#[test]
fn after_the_apply() {
    let stage = Stage::new();
    let daemon = stage.daemon();
    stage.wait_for("staging's deployment to be applied", || {
        if stage.exists("staging", "deployments/flask-app") {
            Ok(())
        } else {
            Err("it is not there".to_owned())
        }
    });
    daemon.kill();
    finishes(&stage);
}

#[test]
fn during_the_check() {
    let stage = Stage::new();
    let daemon = stage.daemon();
    stage.wait_for("the check to begin", || {
        let requests = stage
            .pair()
            .staging
            .cloud()
            .requests("flask-app", "flask-app-service");
        if requests.values().sum::<u64>() > 20 {
            Ok(())
        } else {
            Err(format!("{requests:?}"))
        }
    });
    daemon.kill();
    assert_eq!(stage.promotions(), 0, "an interrupted check proves nothing");
    finishes(&stage);
}

#[test]
fn between_the_commit_and_the_push() {
    let stage = Stage::new();
    hold_pushes(&stage, "pre-receive");
    let daemon = stage.daemon();
    wait_until_held(&stage);
    daemon.kill();
    let_go(&stage, "pre-receive", true);
    assert_eq!(stage.promotions(), 0);
    finishes(&stage);
}

#[test]
fn after_the_push_and_before_its_answer() {
    let stage = Stage::new();
    hold_pushes(&stage, "post-receive");
    let daemon = stage.daemon();
    wait_until_held(&stage);
    assert_eq!(stage.promotions(), 1);
    daemon.kill();
    let_go(&stage, "post-receive", false);
    finishes(&stage);
}

#[test]
fn a_signal_ends_it_in_good_order() {
    let stage = Stage::new();
    let daemon = stage.daemon();
    stage.wait_until_running("staging", &tags::good(1));
    assert_eq!(daemon.terminate(), 0);
    finishes(&stage);
}
