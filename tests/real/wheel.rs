//! The hand on the wheel: rollback and quarantine, suspension, approval.

use serde_json::Value;

use super::stage::{DEADLINE, IMAGE, STAGING, Stage};
use crate::harness::tags;
use crate::harness::wait::wait_until;

const DEPLOYMENT: &str = "apps/flask-app/deployment.yaml";

/// Runs a command against the stage's remote.
#[track_caller]
fn gitsync(stage: &Stage, args: &[&str]) -> String {
    let url = stage.remote.url();
    stage.gitsync.run(&[args, &["--repo", &url]].concat()).ok()
}

#[test]
fn a_rollback_works_while_staging_is_broken_and_its_image_does_not_come_back() {
    let stage = Stage::new();
    let _daemon = stage.daemon();
    stage.wait_until_running("prod", &tags::good(1));
    stage.set_staging(&tags::good(2));
    stage.wait_until_running("prod", &tags::good(2));
    stage.set_staging(&tags::crash(1));
    stage.wait_for_status("staging", &["CrashLoopBackOff"]);

    let said = gitsync(&stage, &["rollback", "prod", "--reason", "slow under load"]);
    assert!(
        said.contains("prod goes back to") && said.contains("in quarantine"),
        "{said}"
    );
    stage.wait_until_running("prod", &tags::good(1));

    // The rejected image proves itself in staging once more, on another base: other evidence, the same image.
    let base = stage.read(DEPLOYMENT).replace("memory: 256Mi", "memory: 257Mi");
    let overlay = stage.staging(&tags::good(2));
    stage.commit("Try it again", &[(DEPLOYMENT, &base), (STAGING, &overlay)]);
    stage.wait_for_status(
        "staging",
        &["held", &tags::good(2), "is in prod's quarantine: slow under load"],
    );
    assert_eq!(stage.running("prod"), tags::good(1));
    assert_eq!(stage.promotions().len(), 2);

    stage.set_staging(&tags::good(3));
    stage.wait_until_running("prod", &tags::good(3));
}

#[test]
fn a_suspended_environment_is_left_alone_until_it_is_resumed() {
    let stage = Stage::new();
    let _daemon = stage.daemon();
    stage.wait_until_running("prod", &tags::good(1));
    gitsync(
        &stage,
        &["suspend", "prod", "--reason", "the audit", "--until", "2h"],
    );
    stage.wait_for_status("prod", &["held", "suspended by", "the audit"]);

    let scale = ["scale", "deployment/flask-app", "--replicas=1", "-n", "flask-app"];
    stage.pair().prod.kubectl(&scale).ok();
    stage.set_staging(&tags::good(2));
    stage.wait_for_status("staging", &["held", "prod is suspended by", "the audit"]);
    assert_eq!(stage.promotions().len(), 1);
    assert_eq!(
        stage.field("prod", "deployments/flask-app", "/spec/replicas"),
        "1",
        "drift stays"
    );
    let sync = stage
        .gitsync
        .run(&["sync", "--env", "prod", "--repo", &stage.remote.url()])
        .expect_code(4);
    assert!(sync.stderr.contains("the audit"), "{sync}");

    gitsync(&stage, &["resume", "prod"]);
    stage.wait_until_running("prod", &tags::good(2));
}

#[test]
fn a_promotion_waits_for_its_approval_and_says_so() {
    let stage = Stage::new();
    let policy = "policies/promotion.yaml";
    let gate = "  - loadCheck: acceptance\n";
    stage
        .remote
        .replace(policy, gate, &format!("{gate}  - approval: required\n"));
    let _daemon = stage.daemon();
    stage.wait_for_status("staging", &["held", "waits for an approval"]);
    // Somebody approves another image: that is no approval of this one.
    gitsync(
        &stage,
        &[
            "approve",
            "prod",
            "--image",
            "sanjeev-thiyagarajan/jenkins-flask-app:0000beef",
        ],
    );
    stage.wait_for_status("staging", &["held", "waits for an approval"]);
    assert!(stage.promotions().is_empty());

    let url = stage.remote.url();
    let coming = stage
        .gitsync
        .run(&["diff", "--promote", "--repo", &url])
        .expect_code(1);
    for part in [
        "staging → prod: ",
        "+++ b/environments/prod/verified.yaml",
        "Deployment.apps flask-app/flask-app",
    ] {
        assert!(coming.stdout.contains(part), "{part}: {coming}");
    }
    let said = gitsync(&stage, &["approve", "prod"]);
    assert!(said.contains("is approved for prod"), "{said}");
    wait_until(DEADLINE, "what was approved is promoted", || {
        stage.promotions().len() == 1
    });
    stage.wait_until_running("prod", &tags::good(1));
}

#[test]
fn ci_follows_its_image_to_prod_and_learns_how_it_ended() {
    let stage = Stage::new();
    let _daemon = stage.daemon();
    let url = stage.remote.url();
    let wait = |what: &str, value: &str, more: &[&str]| {
        let args = ["wait", "--env", "prod", what, value, "--repo", &url];
        stage.gitsync.run(&[&args, more].concat())
    };
    let image = |tag: &str| format!("{IMAGE}:{tag}");
    let there = wait("--image", &image(&tags::good(1)), &[]).expect_code(0);
    assert!(there.stdout.contains("runs in prod, healthy"), "{there}");
    wait("--commit", &stage.remote.head(), &[]).expect_code(0);

    stage.set_staging(&tags::slow(1));
    let failed = wait("--image", &image(&tags::slow(1)), &["--annotate", "github"]).expect_code(1);
    assert!(
        failed
            .stderr
            .contains("staging: load check acceptance: http_req_duration"),
        "{failed}"
    );
    assert!(
        failed
            .stdout
            .starts_with("::error title=gitsync::staging: load check"),
        "{failed}"
    );

    stage.set_staging(&tags::crash(2));
    let crashed = wait("--image", &image(&tags::crash(2)), &[]).expect_code(1);
    assert!(
        crashed.stderr.contains("CrashLoopBackOff") && crashed.stderr.contains("last lines of flask-app-"),
        "{crashed}"
    );
    let superseded = wait("--image", &image(&tags::slow(1)), &[]).expect_code(5);
    assert!(
        superseded.stderr.contains("staging asks for something else now"),
        "{superseded}"
    );

    gitsync(&stage, &["suspend", "prod", "--reason", "the audit"]);
    stage.set_staging(&tags::good(2));
    stage.wait_for_status("staging", &["held", "the audit"]);
    let late = wait("--image", &image(&tags::good(2)), &["--timeout", "1s"]).expect_code(3);
    assert!(late.stderr.contains("the audit"), "{late}");
}

#[test]
fn what_is_waited_for_is_told_down_to_the_pod_and_to_who_did_it() {
    let stage = Stage::new();
    let daemon = stage.daemon();
    stage.wait_until_running("prod", &tags::good(1));
    stage.wait_for_status("prod", &["\"phase\":\"synced\""]);
    let doctor = gitsync(&stage, &["doctor"]);
    assert!(doctor.ends_with("all is well\n"), "{doctor}");
    assert!(
        doctor.contains("service flask-app/flask-app-service of load check acceptance is at http://"),
        "{doctor}"
    );

    stage.set_staging(&tags::crash(1));
    stage.wait_for_status("staging", &["CrashLoopBackOff"]);
    let url = stage.remote.url();
    let why = gitsync(&stage, &["why", "prod"]);
    for part in [
        "prod: synced for ",
        &format!(
            "staging asks for {IMAGE}:{}, which prod does not have",
            tags::crash(1)
        ),
        "because staging: failed for ",
        "CrashLoopBackOff",
        &format!("Set {} (A Developer, ", tags::crash(1)),
    ] {
        assert!(why.contains(part), "{part}\n{why}");
    }
    let tree = gitsync(&stage, &["tree", "staging"]);
    assert!(
        tree.contains("─ Service flask-app/flask-app-service  current\n"),
        "{tree}"
    );
    assert!(
        tree.contains("pod flask-app-") && tree.contains("CrashLoopBackOff"),
        "{tree}"
    );
    let json: Value = serde_json::from_str(&gitsync(&stage, &["tree", "staging", "-o", "json"])).unwrap();
    let objects = json[0]["objects"].as_array().unwrap();
    let deployment = objects
        .iter()
        .find(|object| object["object"] == "Deployment.apps flask-app/flask-app");
    assert!(
        deployment.unwrap()["trouble"]
            .to_string()
            .contains("CrashLoopBackOff"),
        "{json:#}"
    );
    let status = stage.gitsync.run(&["status", "--repo", &url]).expect_code(1);
    assert!(status.stdout.contains("Promote jenkins-flask-app:"), "{status}");

    // Who changed it by hand, while nobody puts it back.
    assert_eq!(daemon.terminate(), 0);
    let scale = ["scale", "deployment/flask-app", "--replicas=1", "-n", "flask-app"];
    stage.pair().prod.kubectl(&scale).ok();
    let image = format!("flask-app={IMAGE}:{}", tags::good(9));
    stage
        .pair()
        .prod
        .kubectl(&["set", "image", "deployment/flask-app", &image, "-n", "flask-app"])
        .ok();
    let why = gitsync(&stage, &["why", "prod/deployment/flask-app"]);
    for part in [
        "git: apps/flask-app/deployment.yaml:1",
        ".spec.replicas, written by kubectl",
        "containers[name=\"flask-app\"].image, written by kubectl-set at 20",
    ] {
        assert!(why.contains(part), "{part}\n{why}");
    }
    let wrong = stage
        .gitsync
        .run(&["why", "prod/flaskapp", "--repo", &url])
        .expect_code(2);
    assert!(wrong.stderr.contains("did you mean `flask-app`?"), "{wrong}");
}

#[test]
fn prod_is_steered_while_the_configuration_of_staging_is_broken() {
    const ENVIRONMENT: &str = "environments/staging/environment.yaml";
    let stage = Stage::new();
    let _daemon = stage.daemon();
    stage.wait_until_running("prod", &tags::good(1));
    stage.set_staging(&tags::good(2));
    stage.wait_until_running("prod", &tags::good(2));
    let good = stage.read(ENVIRONMENT);
    stage.commit(
        "Break staging",
        &[(ENVIRONMENT, "apiVersion: gitsync.dev/v1alpha1\nkind: [\n")],
    );
    stage.wait_for_status("staging", &["failed", "environments/staging/environment.yaml:"]);

    gitsync(&stage, &["rollback", "prod"]);
    stage.wait_until_running("prod", &tags::good(1));
    stage.wait_for_status("prod", &["\"phase\":\"synced\"", "\"problems\":[]"]);
    // Staging stays at what it was last synced to, and drift there is put back.
    let delete = ["delete", "service", "flask-app-service", "-n", "flask-app"];
    stage.pair().staging.kubectl(&delete).ok();
    wait_until(DEADLINE, "the service is put back", || {
        stage.exists("staging", "services/flask-app-service")
    });

    let overlay = stage.staging(&tags::good(3));
    stage.commit("Mend staging", &[(ENVIRONMENT, &good), (STAGING, &overlay)]);
    stage.wait_until_running("prod", &tags::good(3));
}
