//! Outages that only a real API server has: restarts, certificates, admission.

use super::stage::{DEADLINE, Stage};
use crate::harness::control_plane::kubeconfig::Kubeconfig;
use crate::harness::tags;
use crate::harness::wait::wait_until;

/// The authority of prod's API server was replaced, and the kubeconfig still has the old one.
#[test]
fn a_rotated_certificate_is_told_and_the_new_authority_is_picked_up() {
    let stage = Stage::new();
    let pair = stage.pair();
    let mut outdated = pair.prod.access();
    outdated.authority = pair.staging.access().authority;
    let contexts = Kubeconfig::default()
        .with("staging", pair.staging.access())
        .with("prod", outdated);
    let kubeconfig = pair.write_kubeconfig("rotated", &contexts, 0o400);
    let daemon = stage.daemon_with(&kubeconfig);
    stage.wait_until_running("staging", &tags::good(1));
    stage.wait_for_log(&daemon, &["cluster prod cannot be reached", "certificate"]);
    pair.right_kubeconfig().write(&kubeconfig, 0o400);
    stage.wait_until_running("prod", &tags::good(1));
}

#[test]
fn an_api_server_that_restarts_in_the_middle_of_an_apply_is_waited_for() {
    let stage = Stage::new();
    let daemon = stage.daemon();
    wait_until(DEADLINE, "staging begins to be applied", || {
        stage.exists("staging", "services/flask-app-service")
            || stage.exists("staging", "deployments/flask-app")
    });
    stage.pair().staging.stop_apiserver();
    stage.wait_for_log(&daemon, &["cluster staging cannot be reached"]);
    stage.pair().staging.start_apiserver();
    stage.wait_until_running("prod", &tags::good(1));
    assert_eq!(stage.promotions().len(), 1);
}

#[test]
fn a_policy_that_refuses_an_object_is_quoted_and_nothing_is_applied_until_it_is_gone() {
    let stage = Stage::new();
    let policy = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-flask}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}]
  validations: [{expression: "object.metadata.namespace != 'flask-app'", message: flask is not welcome}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-flask}
spec: {policyName: no-flask, validationActions: [Deny]}
"#;
    let file = stage.gitsync.home().join("policy.yaml");
    std::fs::write(&file, policy).unwrap();
    let file = file.to_str().unwrap();
    let staging = &stage.pair().staging;
    staging.kubectl(&["create", "namespace", "flask-app"]).ok();
    staging.kubectl(&["apply", "-f", file]).ok();
    wait_until(DEADLINE, "the policy is in force", || {
        let args = [
            "-n",
            "flask-app",
            "create",
            "deployment",
            "probe",
            "--image=x",
            "--dry-run=server",
        ];
        staging.kubectl(&args).stderr.contains("flask is not welcome")
    });
    let daemon = stage.daemon();
    stage.wait_for_log(&daemon, &["flask is not welcome"]);
    assert!(
        !stage.exists("staging", "services/flask-app-service"),
        "all or nothing"
    );
    staging.kubectl(&["delete", "-f", file]).ok();
    stage.wait_until_running("prod", &tags::good(1));
}

/// A webhook that takes the connection and never says anything: the API server gives up on it, and says so.
#[test]
fn a_webhook_that_hangs_is_told_and_what_it_held_up_is_applied_when_it_is_gone() {
    let stage = Stage::new();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    let webhook = format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {{name: silent}}\n\
         webhooks:\n- name: silent.example.com\n  clientConfig: {{url: \"{url}\"}}\n  timeoutSeconds: 1\n  failurePolicy: Fail\n  \
         sideEffects: None\n  admissionReviewVersions: [v1]\n  \
         rules: [{{apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}}]\n"
    );
    let file = stage.gitsync.home().join("webhook.yaml");
    std::fs::write(&file, webhook).unwrap();
    let file = file.to_str().unwrap();
    let prod = &stage.pair().prod;
    prod.kubectl(&["apply", "-f", file]).ok();
    let daemon = stage.daemon();
    stage.wait_until_running("staging", &tags::good(1));
    stage.wait_for_log(&daemon, &["silent.example.com"]);
    prod.kubectl(&["delete", "-f", file]).ok();
    stage.wait_until_running("prod", &tags::good(1));
    drop(silent);
}
