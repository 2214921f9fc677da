//! Requests: what a look at an environment costs its API server, counted in the server's own audit log.

use super::clusters::Cluster;
use super::stage::{DEADLINE, PROD, STAGING, Stage};
use crate::harness::control_plane::audit::Request;
use crate::harness::tags;
use crate::harness::wait::wait_for;

/// How many ConfigMaps a big environment has beside the application.
const MANY: usize = 120;

/// The requests of gitsync since a line of the audit log, watches aside.
fn asked(cluster: &Cluster, since: usize) -> Vec<Request> {
    let (requests, _) = cluster.requests_of("gitsync", since);
    requests
        .into_iter()
        .filter(|request| request.verb != "watch")
        .collect()
}

/// The number of lines that the audit log has.
fn now(cluster: &Cluster) -> usize {
    cluster.requests_of("nobody", 0).1
}

fn many_config_maps() -> String {
    let one = |number| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings-{number}\n  namespace: flask-app\ndata:\n  number: \"{number}\"\n---\n"
        )
    };
    (0..MANY).map(one).collect()
}

#[test]
fn a_look_costs_a_list_a_kind_and_a_dry_run_for_what_differs() {
    let stage = Stage::new();
    let overlay = stage
        .read(STAGING)
        .replace("resources:", "resources:\n- many.yaml");
    let many = "environments/staging/many.yaml";
    stage.commit(
        "Add many ConfigMaps",
        &[(STAGING, &overlay), (many, &many_config_maps())],
    );
    let repo = stage.remote.url();
    let look = || stage.gitsync.run(&["diff", "--env", "staging", "--repo", &repo]);
    stage
        .gitsync
        .run(&["sync", "--env", "staging", "--repo", &repo])
        .ok();
    let staging = &stage.pair().staging;

    let since = now(staging);
    look().ok();
    let same = asked(staging, since);
    assert!(
        same.len() <= 15,
        "{} requests for {MANY} objects: {same:#?}",
        same.len()
    );
    // The server fills in fields inside the policies' lists, so that only a dry-run can tell that nothing differs.
    let dry_run =
        |request: &&Request| request.verb == "patch" && !request.uri.contains("validatingadmissionpolic");
    assert_eq!(same.iter().find(dry_run), None, "nothing differs");

    let edit = r#"{"data": {"number": "changed by hand"}}"#;
    staging
        .kubectl(&[
            "patch",
            "configmap",
            "settings-7",
            "-n",
            "flask-app",
            "--type=merge",
            "-p",
            edit,
        ])
        .ok();
    let since = now(staging);
    let found = look().expect_code(1);
    assert!(
        found.stdout.contains("settings-7") && found.stdout.contains("changed by hand"),
        "{found}"
    );
    assert!(!found.stdout.contains("settings-8"), "{found}");
    let patches: Vec<Request> = asked(staging, since)
        .into_iter()
        .filter(|request| dry_run(&request))
        .collect();
    assert_eq!(patches.len(), 1, "{patches:#?}");

    // What lost its label is not in any list, and is found all the same.
    let unlabel = [
        "label",
        "configmap",
        "settings-9",
        "-n",
        "flask-app",
        "gitsync.dev/environment-",
    ];
    staging.kubectl(&unlabel).ok();
    staging
        .kubectl(&["delete", "configmap", "settings-8", "-n", "flask-app"])
        .ok();
    let found = look().expect_code(1);
    assert!(
        found.stdout.contains("settings-9") && found.stdout.contains("settings-8"),
        "{found}"
    );
    assert!(!found.stdout.contains("settings-10"), "{found}");
}

#[test]
fn a_daemon_at_rest_asks_the_clusters_nothing() {
    let stage = Stage::with_log("gitsync=debug");
    let daemon = stage.daemon();
    stage.wait_until_running("prod", &tags::good(1));
    let clusters = [&stage.pair().staging, &stage.pair().prod];
    let passes = || daemon.log().matches("pass ended").count();
    let wait_for_passes = |more: usize| {
        let before = passes();
        wait_for(DEADLINE, "passes", || {
            if passes() >= before + more {
                Ok(())
            } else {
                Err(daemon.log())
            }
        });
    };
    wait_for(DEADLINE, "both environments rest, and passes ask nothing", || {
        let since = clusters.map(now);
        wait_for_passes(6);
        let asked: Vec<Request> = clusters
            .iter()
            .zip(since)
            .flat_map(|(cluster, since)| asked(cluster, since))
            .collect();
        if asked.is_empty() {
            Ok(())
        } else {
            Err(format!("{asked:#?}\n{}", daemon.log()))
        }
    });
    // The example's commit and its promotion: each history is read once, not again and again.
    let log = daemon.log();
    let read = log.matches("reading the history").count();
    assert!(read <= 2, "{read} times\n{log}");

    // And it still sees what happens.
    let since = now(clusters[1]);
    clusters[1]
        .kubectl(&["scale", "deployment/flask-app", "--replicas=1", "-n", "flask-app"])
        .ok();
    stage.wait_for_field("prod", "deployments/flask-app", "/spec/replicas", "3");
    // A server's list of requests may have one later than its effect.
    wait_for(DEADLINE, "one dry-run and one apply", || {
        let patches: Vec<Request> = asked(clusters[1], since)
            .into_iter()
            .filter(|request| request.verb == "patch" && request.uri.contains("/deployments/"))
            .collect();
        if patches.len() == 2 {
            Ok(())
        } else {
            Err(format!("{patches:#?}"))
        }
    });
    assert!(stage.read(PROD).contains(&tags::good(1)));
}
