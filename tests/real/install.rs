//! Installation: what `gitsync install` gives is enough for everything that gitsync does, and no more than that.

use super::stage::{DEADLINE, Stage};
use crate::harness::control_plane::kubeconfig::{Access, Kubeconfig};
use crate::harness::git_server::GitServer;
use crate::harness::tags;
use crate::harness::wait::{wait_for, wait_until};

const BASE: &str = "apps/flask-app/kustomization.yaml";
const EXTRA: &str = "apps/flask-app/extra.yaml";

/// A kubeconfig with the tokens of gitsync's own account in both clusters.
fn as_gitsync(stage: &Stage) -> Kubeconfig {
    let token = |environment: &str| {
        let args = ["-n", "gitsync-system", "create", "token", "gitsync"];
        let token = stage.pair().cluster(environment).kubectl(&args).ok();
        token.trim().to_owned()
    };
    let access = |environment: &str| Access {
        token: token(environment),
        ..stage.pair().cluster(environment).access()
    };
    Kubeconfig::default()
        .with("staging", access("staging"))
        .with("prod", access("prod"))
}

/// Deploy, promote, heal, prune: with the account's token and without an administrator's.
#[test]
fn the_account_can_do_all_that_gitsync_does_and_nothing_else() {
    let stage = Stage::with_log("gitsync=debug");
    let base = stage.read(BASE);
    let extra = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: extra\n";
    let with_extra = base.replace("- service.yaml", "- service.yaml\n- extra.yaml");
    stage.commit("Add a ConfigMap", &[(EXTRA, extra), (BASE, &with_extra)]);
    let copy = stage.remote.clone_to("copy");
    for environment in ["staging", "prod"] {
        let args = [
            "install",
            "--rights-only",
            "--env",
            environment,
            "--apply",
            "--context",
            environment,
        ];
        let applied = stage.gitsync.run_in(&copy, &args).expect_code(0);
        assert!(
            applied
                .stdout
                .contains("serviceaccount/gitsync in gitsync-system applied"),
            "{applied}"
        );
    }
    let kubeconfig = stage
        .pair()
        .write_kubeconfig("as-gitsync", &as_gitsync(&stage), 0o400);
    let kubeconfig = kubeconfig.to_str().unwrap();
    let daemon = stage.daemon_with_args(&["--kubeconfig", kubeconfig, "--leader-elect"]);
    stage.wait_until_running("prod", &tags::good(1));
    assert_eq!(stage.promotions().len(), 1);

    stage
        .pair()
        .prod
        .kubectl(&["-n", "flask-app", "scale", "deployment/flask-app", "--replicas=1"])
        .ok();
    stage.wait_for_field("prod", "deployments/flask-app", "/spec/replicas", "3");

    assert!(stage.exists("staging", "configmaps/extra"));
    stage.commit("Remove the ConfigMap", &[(BASE, &base)]);
    for environment in ["staging", "prod"] {
        wait_until(DEADLINE, "the ConfigMap is pruned", || {
            !stage.exists(environment, "configmaps/extra")
        });
    }
    assert!(!daemon.log().contains("forbidden"), "{}", daemon.log());

    let may = |args: &[&str]| {
        let all = [
            &[
                "auth",
                "can-i",
                "--as=system:serviceaccount:gitsync-system:gitsync",
            ],
            args,
        ]
        .concat();
        stage.pair().prod.kubectl(&all).stdout.trim() == "yes"
    };
    assert!(may(&["patch", "deployments", "-n", "flask-app"]));
    for refused in [
        &["get", "secrets", "-n", "flask-app"][..],
        &["get", "secrets", "-n", "gitsync-system"],
        &["patch", "deployments", "-n", "default"],
        &["create", "clusterrolebindings"],
        &["patch", "configmaps/other", "-n", "gitsync-system"],
        &["delete", "namespaces/kube-system"],
        &["*", "*"],
    ] {
        assert!(!may(refused), "{refused:?}");
    }
}

/// The whole installation passes the admission of a real API server under the restricted standard, runs, and goes again
/// without taking anything along.
#[test]
fn what_is_installed_runs_under_the_restricted_standard_and_uninstalling_leaves_workloads_alone() {
    let stage = Stage::new();
    let prod = &stage.pair().prod;
    let daemon = stage.daemon();
    stage.wait_until_running("prod", &tags::good(1));
    assert_eq!(daemon.terminate(), 0);
    prod.kubectl(&[
        "label",
        "namespace",
        "gitsync-system",
        "pod-security.kubernetes.io/enforce=restricted",
    ])
    .ok();
    prod.kubectl(&[
        "-n",
        "gitsync-system",
        "create",
        "secret",
        "generic",
        "clusters",
        "--from-literal=config={}",
    ])
    .ok();
    let server = GitServer::start(&stage.remote, None);
    let dir = stage.gitsync.home().join("manifests");
    let dir = dir.to_str().unwrap();
    let url = server.url();
    let install = [
        "install",
        "--repo",
        &url,
        "--env",
        "prod",
        "--kubeconfig-secret",
        "clusters",
        "--output-dir",
        dir,
    ];
    let refused = stage.gitsync.run(&install[..5]).expect_code(2);
    assert!(
        refused.stderr.contains("--kubeconfig-secret clusters"),
        "{refused}"
    );
    stage.gitsync.run(&install).expect_code(0);
    prod.kubectl(&["apply", "--server-side", "-k", dir]).ok();
    wait_for(DEADLINE, "two replicas are available", || {
        let path = "/apis/apps/v1/namespaces/gitsync-system/deployments/gitsync";
        let object = prod.get(path).unwrap_or_default();
        if object["status"]["availableReplicas"] == 2 {
            Ok(())
        } else {
            Err(object["status"].to_string())
        }
    });

    let listed = stage
        .gitsync
        .run(&["uninstall", "--context", "prod", "--dry-run"])
        .expect_code(0);
    assert!(
        listed
            .stdout
            .contains("role/gitsync-prod in flask-app would be deleted"),
        "{listed}"
    );
    let done = stage
        .gitsync
        .run(&["uninstall", "--context", "prod"])
        .expect_code(0);
    assert!(done.stderr.contains("configmap/gitsync-prod"), "{done}");
    let everything =
        "deployments,services,serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets";
    let label = "-lapp.kubernetes.io/part-of=gitsync";
    wait_for(DEADLINE, "gitsync is gone", || {
        let left = prod.kubectl(&["get", everything, "-A", label, "-o", "name"]).ok();
        let cluster = prod
            .kubectl(&["get", "clusterroles,clusterrolebindings", label, "-o", "name"])
            .ok();
        if left.trim().is_empty() && cluster.trim().is_empty() {
            Ok(())
        } else {
            Err(format!("{left}{cluster}"))
        }
    });
    assert_eq!(stage.running("prod"), tags::good(1));
    assert!(stage.exists("prod", "services/flask-app-service"));
}
