//! Faults of the world: a clear error that says what to do, the other environment goes on, and it mends itself.

use super::stage::{DEADLINE, Stage};
use crate::harness::control_plane::DoorState;
use crate::harness::control_plane::kubeconfig::Kubeconfig;
use crate::harness::tags;
use crate::harness::wait::wait_until;

#[test]
fn a_cluster_that_cannot_be_reached_holds_up_nobody_else() {
    let stage = Stage::new();
    stage.pair().prod.set_door(DoorState::Shut);
    let daemon = stage.daemon();
    stage.wait_until_running("staging", &tags::good(1));
    wait_until(DEADLINE, "staging is promoted", || stage.promotions().len() == 1);
    stage.wait_for_log(
        &daemon,
        &[
            "cluster prod cannot be reached",
            "kubectl --context prod cluster-info",
        ],
    );
    let copy = stage.remote.clone_to("copy");
    let status = stage.gitsync.run_in(&copy, &["status"]).expect_code(3);
    assert!(
        status.stderr.contains("cluster prod cannot be reached"),
        "{status}"
    );
    let staging = status
        .stdout
        .lines()
        .find(|line| line.starts_with("staging"))
        .unwrap_or_default();
    assert!(staging.contains(&tags::good(1)), "{status}");
    let diff = stage
        .gitsync
        .run_in(&copy, &["diff", "--env", "prod"])
        .expect_code(3);
    assert!(diff.stderr.contains("cluster prod cannot be reached"), "{diff}");

    stage.pair().prod.set_door(DoorState::Open);
    stage.wait_until_running("prod", &tags::good(1));
}

#[test]
fn wrong_credentials_are_told_and_right_ones_are_picked_up() {
    let stage = Stage::new();
    let pair = stage.pair();
    let mut wrong = pair.prod.access();
    wrong.token = "expired".to_owned();
    let contexts = Kubeconfig::default()
        .with("staging", pair.staging.access())
        .with("prod", wrong);
    let kubeconfig = pair.write_kubeconfig("credentials", &contexts, 0o400);
    let daemon = stage.daemon_with(&kubeconfig);
    stage.wait_until_running("staging", &tags::good(1));
    stage.wait_for_log(
        &daemon,
        &[
            "cluster prod does not accept the credentials",
            "renew the credentials",
        ],
    );

    // Somebody renews them: the file is replaced, and nobody restarts anything.
    pair.right_kubeconfig().write(&kubeconfig, 0o400);
    stage.wait_until_running("prod", &tags::good(1));
}

/// The kubeconfig names a file with the token, as what renews tokens writes them; the kubeconfig itself never changes.
#[test]
fn an_expired_token_in_a_file_is_told_and_the_renewed_one_is_read() {
    let stage = Stage::new();
    let pair = stage.pair();
    let mut contexts = pair.right_kubeconfig().to_yaml();
    let token = pair.prod.access().token;
    let file = pair.kubeconfig.with_file_name("token");
    let renew = |text: &str| {
        let unfinished = file.with_extension("unfinished");
        std::fs::write(&unfinished, text).unwrap();
        std::fs::rename(&unfinished, &file).unwrap();
    };
    renew("expired");
    // The last user is prod's.
    let (start, end) = contexts.rsplit_once(&format!("token: {token}")).unwrap();
    contexts = format!("{start}tokenFile: {}{end}", file.display());
    let kubeconfig = file.with_file_name("token-file");
    std::fs::write(&kubeconfig, contexts).unwrap();
    let daemon = stage.daemon_with(&kubeconfig);
    stage.wait_until_running("staging", &tags::good(1));
    stage.wait_for_log(&daemon, &["cluster prod does not accept the credentials"]);
    renew(&token);
    stage.wait_until_running("prod", &tags::good(1));
}

#[test]
fn a_context_that_does_not_exist_is_told_with_those_that_do() {
    let stage = Stage::new();
    let pair = stage.pair();
    let contexts = Kubeconfig::default()
        .with("staging", pair.staging.access())
        .with("production", pair.prod.access());
    let kubeconfig = pair.write_kubeconfig("contexts", &contexts, 0o400);
    let daemon = stage.daemon_with(&kubeconfig);
    stage.wait_until_running("staging", &tags::good(1));
    stage.wait_for_log(
        &daemon,
        &[
            "has no context `prod`; it has staging, production",
            "kubectl config get-contexts",
        ],
    );
    let copy = stage.remote.clone_to("copy");
    let diff = stage
        .run_with(&copy, &kubeconfig, &["diff", "--env", "prod"])
        .expect_code(2);
    assert!(diff.stderr.contains("has no context `prod`"), "{diff}");

    pair.right_kubeconfig().write(&kubeconfig, 0o400);
    stage.wait_until_running("prod", &tags::good(1));
}

#[test]
fn a_kubeconfig_that_cannot_be_read_is_told_with_its_path() {
    let stage = Stage::new();
    let copy = stage.remote.clone_to("copy");
    // A directory cannot be read as a file by anybody, root included.
    let diff = stage
        .run_with(&copy, &copy, &["diff", "--env", "staging"])
        .expect_code(2);
    assert!(
        diff.stderr.contains("cannot be read") && diff.stderr.contains("ls -l"),
        "{diff}"
    );
    let garbage = copy.join("garbage.yaml");
    std::fs::write(&garbage, "contexts: {\n").unwrap();
    let diff = stage
        .run_with(&copy, &garbage, &["diff", "--env", "staging"])
        .expect_code(2);
    assert!(diff.stderr.contains("garbage.yaml is not valid"), "{diff}");
}

#[test]
fn a_load_balancer_that_stays_pending_is_told_and_waited_for() {
    let stage = Stage::new();
    let cloud = stage.pair().staging.cloud();
    cloud.hold("flask-app", "flask-app-service");
    let _daemon = stage.daemon();
    stage.wait_for_status("staging", &["EXTERNAL-IP pending"]);
    assert_eq!(stage.promotions().len(), 0);
    cloud.release("flask-app", "flask-app-service");
    stage.wait_until_running("prod", &tags::good(1));
}

/// Git moves prod to another context while the daemon runs: it is followed there.
#[test]
fn an_environment_that_moves_to_another_context_is_followed() {
    let stage = Stage::new();
    let pair = stage.pair();
    // Prod's first context has credentials that nobody renews; the second one works.
    let contexts = Kubeconfig::default()
        .with("staging", pair.staging.access())
        .with("prod", {
            let mut wrong = pair.prod.access();
            wrong.token = "nobody".to_owned();
            wrong
        })
        .with("prod-new", pair.prod.access());
    let kubeconfig = pair.write_kubeconfig("moved", &contexts, 0o400);
    let daemon = stage.daemon_with(&kubeconfig);
    stage.wait_for_log(&daemon, &["cluster prod does not accept the credentials"]);
    let path = "environments/prod/environment.yaml";
    let moved = stage.read(path).replace("context: prod", "context: prod-new");
    stage.commit("Move prod", &[(path, &moved)]);
    stage.wait_until_running("prod", &tags::good(1));
}
