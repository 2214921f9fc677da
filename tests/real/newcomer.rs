//! A new user on real clusters: the docs as they are written, and what the doctor finds there.

use super::stage::Stage;
use crate::cli::pages;
use crate::harness::pair::ClusterPair;

#[test]
fn an_existing_repository_comes_to_its_first_promotion_by_the_docs_alone() {
    let pair = ClusterPair::lease();
    pages::run_on("adopt.md", &pair.kubeconfig);
}

#[test]
fn the_doctor_finds_a_load_balancer_that_is_pending_and_a_role_that_is_too_small() {
    let stage = Stage::new();
    // It waits for an address until its timeout, and is given none.
    let file = "environments/staging/environment.yaml";
    stage.remote.replace(file, "timeout: 5m", "timeout: 5s");
    let copy = stage.remote.clone_to("copy");
    let run = |args: &[&str]| stage.gitsync.run_in(&copy, args);
    let cloud = stage.pair().cluster("staging").cloud();
    cloud.hold("flask-app", "flask-app-service");
    run(&["sync", "--env", "staging"]);
    let pending = run(&["doctor"]).expect_code(1).stdout;
    let line = "✗ staging: service flask-app/flask-app-service of load check acceptance: Service flask-app/flask-app-service has no load balancer address";
    assert!(pending.contains(line), "{pending}");
    cloud.release("flask-app", "flask-app-service");

    let text = std::fs::read_to_string(copy.join(file)).unwrap();
    let small = text.replace(
        "spec:\n",
        "spec:\n  impersonate:\n    serviceAccount: default/nobody\n",
    );
    std::fs::write(copy.join(file), small).unwrap();
    let refused = run(&["doctor"]).expect_code(1).stdout;
    assert!(
        refused.contains("✗ staging: cluster staging: ") && refused.contains("forbidden"),
        "{refused}"
    );
    let hint = "→ grant the missing permission to the account that gitsync uses";
    assert!(refused.contains(hint), "{refused}");
}
