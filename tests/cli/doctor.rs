//! The doctor: each failure that people really have is found, named, and answered with a command.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::clusters::Clusters;
use super::desk::Desk;
use crate::harness::gitsync::Gitsync;
use crate::harness::output::Output;

/// What the doctor says of the example with a kubeconfig that was changed.
fn told(change: impl FnOnce(&str) -> String) -> Output {
    let (clusters, desk) = (Clusters::start(&["staging", "prod"]), Desk::new());
    let good = fs::read_to_string(&clusters.kubeconfig).unwrap();
    fs::write(&clusters.kubeconfig, change(&good)).unwrap();
    let copy = desk.remote.clone_to("copy");
    let gitsync = Gitsync::new().env("KUBECONFIG", &clusters.kubeconfig);
    gitsync.run_in(&copy, &["doctor"]).expect_code(1)
}

#[track_caller]
fn says(output: &Output, parts: &[&str]) {
    for part in parts {
        assert!(output.stdout.contains(part), "{part}\n{output}");
    }
}

#[test]
fn credentials_that_have_expired_are_named() {
    let token = regex::Regex::new("token: .*").unwrap();
    let output = told(|good| token.replace_all(good, "token: expired").into_owned());
    says(
        &output,
        &[
            "✗ staging: cluster staging: cluster staging does not accept the credentials",
            "→ renew the credentials of the context, then try: kubectl --context staging auth whoami",
        ],
    );
}

#[test]
fn a_credential_plugin_that_is_not_installed_is_named() {
    let token = regex::Regex::new("token: .*").unwrap();
    let plugin = "exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-aws, args: [eks, get-token], interactiveMode: Never}";
    let output = told(|good| token.replace_all(good, plugin).into_owned());
    says(
        &output,
        &[
            "✗ staging: its cluster: the credential plugin `no-such-aws` of context `staging` does not work",
            "→ install it where gitsync runs",
        ],
    );
}

#[test]
fn an_address_that_dns_does_not_know_is_named() {
    let server = regex::Regex::new(r"server: https://127\.0\.0\.1").unwrap();
    let output = told(|good| {
        server
            .replace_all(good, "server: https://no-such-cluster.invalid")
            .into_owned()
    });
    says(
        &output,
        &[
            "✗ staging: cluster staging: cluster staging cannot be reached: ",
            "→ is the address right and reachable from here? kubectl --context staging cluster-info",
        ],
    );
}

#[test]
fn a_cluster_that_does_not_answer_and_a_kubeconfig_that_is_none_are_named() {
    let port = regex::Regex::new(r"(server: https://127\.0\.0\.1):\d+").unwrap();
    let output = told(|good| port.replace_all(good, "$1:1").into_owned());
    says(
        &output,
        &["✗ staging: cluster staging: cluster staging cannot be reached: "],
    );
    let output = told(|_| "contexts: {".to_owned());
    says(
        &output,
        &[
            "is not valid",
            "→ see what kubectl makes of it: kubectl config view --kubeconfig ",
        ],
    );
}

#[test]
fn an_image_that_cannot_be_pulled_is_named_with_the_registrys_words() {
    let (clusters, desk) = (Clusters::start(&["staging", "prod"]), Desk::new());
    desk.remote
        .replace("environments/staging/kustomization.yaml", "abc123de", "404f0001");
    desk.remote.replace(
        "environments/staging/environment.yaml",
        "timeout: 5m",
        "timeout: 5s",
    );
    let copy = desk.remote.clone_to("copy");
    let gitsync = Gitsync::new().env("KUBECONFIG", &clusters.kubeconfig);
    assert_ne!(gitsync.run_in(&copy, &["sync", "--env", "staging"]).code, 0);
    let output = gitsync.run_in(&copy, &["doctor"]).expect_code(1);
    says(
        &output,
        &[
            "✗ staging: Deployment.apps flask-app/flask-app: pod flask-app-",
            "ImagePullBackOff",
            "not found",
            "→ does the registry have it, and may this cluster pull it? kubectl -n flask-app describe pod flask-app-",
        ],
    );
}

#[test]
fn the_address_of_a_load_balancer_is_shown() {
    let (clusters, desk) = (Clusters::start(&["staging", "prod"]), Desk::new());
    let copy = desk.remote.clone_to("copy");
    let gitsync = Gitsync::new().env("KUBECONFIG", &clusters.kubeconfig);
    let run = |args: &[&str]| gitsync.run_in(&copy, args).expect_code(0);
    run(&["sync", "--env", "staging"]);
    let line = "✓ staging: service flask-app/flask-app-service of load check acceptance is at http://127.";
    says(&run(&["doctor"]), &[line, "all is well\n"]);
}

#[test]
fn a_namespace_that_nobody_makes_and_a_service_without_a_way_to_it_are_named() {
    let (clusters, desk) = (Clusters::start(&["staging", "prod"]), Desk::new());
    let copy = desk.remote.clone_to("copy");
    let gitsync = Gitsync::new().env("KUBECONFIG", &clusters.kubeconfig);
    let overlay = copy.join("environments/staging/kustomization.yaml");
    let text = fs::read_to_string(&overlay).unwrap();
    fs::write(&overlay, text.replace("- namespace.yaml\n", "")).unwrap();
    let output = gitsync.run_in(&copy, &["doctor"]).expect_code(1);
    says(
        &output,
        &[
            "✗ staging: namespace flask-app: it is neither in the cluster nor part of the environment\n",
            "→ kubectl --context staging create namespace flask-app, or add a Namespace to the overlay\n",
        ],
    );
    assert!(!output.stdout.contains("prod: namespace"), "{output}");

    fs::write(&overlay, text).unwrap();
    desk.remote.replace(
        "apps/flask-app/service.yaml",
        "type: LoadBalancer",
        "type: ClusterIP",
    );
    gitsync
        .run_in(&copy, &["sync", "--env", "staging"])
        .expect_code(0);
    let output = gitsync.run_in(&copy, &["doctor"]).expect_code(1);
    says(
        &output,
        &[
            "✗ staging: service flask-app/flask-app-service of load check acceptance: Service flask-app/flask-app-service has no route from here",
            "cannot be reached through the API server: a sandbox runs no containers",
            "→ kubectl auth can-i create pods/portforward --namespace flask-app; or give the Service type",
        ],
    );
}

#[test]
fn an_unknown_host_key_and_a_repository_that_is_not_there_are_named() {
    let desk = Desk::new();
    let copy = desk.remote.clone_to("copy");
    // What ssh itself says of a host that it does not know.
    let bin = desk.gitsync.home().join("bin");
    fs::create_dir_all(&bin).unwrap();
    let ssh = bin.join("ssh");
    fs::write(&ssh, "#!/bin/sh\necho 'No ED25519 host key is known for [127.0.0.1]:22 and you have requested strict checking.' >&2\necho 'Host key verification failed.' >&2\nexit 255\n").unwrap();
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let gitsync = Gitsync::new().env("PATH", path);
    let output = gitsync
        .run_in(&copy, &["doctor", "--repo", "ssh://git@127.0.0.1/fleet.git"])
        .expect_code(1);
    says(
        &output,
        &["✗ git: main of ssh://git@127.0.0.1/fleet.git: host key of 127.0.0.1 is not trusted"],
    );
    let output = gitsync
        .run_in(&copy, &["doctor", "--repo", "file:///no/such/repository.git"])
        .expect_code(1);
    says(
        &output,
        &["✗ git: main of /no/such/repository.git: repository /no/such/repository.git is not found"],
    );
}

#[test]
fn status_names_drift_and_who_made_it() {
    let (clusters, desk) = (Clusters::start(&["staging", "prod"]), Desk::new());
    let copy = desk.remote.clone_to("copy");
    let gitsync = Gitsync::new().env("KUBECONFIG", &clusters.kubeconfig);
    let run = |args: &[&str]| gitsync.run_in(&copy, args);
    run(&["sync", "--env", "staging"]).ok();
    let clean = run(&["status", "--env", "staging"]).ok();
    assert!(!clean.contains("drift"), "{clean}");
    let scale = sandbox::Patch::Merge(serde_json::json!({"spec": {"replicas": 7}}));
    clusters
        .client(0, "kubectl-scale")
        .patch("deployments.apps", "flask-app", "flask-app", scale)
        .unwrap();
    let drifted = run(&["status", "--env", "staging"]).ok();
    let line = "  drift: Deployment.apps flask-app/flask-app .spec.replicas, written by kubectl-scale at ";
    assert!(drifted.contains(line), "{drifted}");
    let json = run(&["status", "--env", "staging", "-o", "json"]).ok();
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(rows[0]["drift"].as_array().unwrap().len(), 1, "{json}");
}
