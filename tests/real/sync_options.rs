//! Sync options on a real API server: what is left to others, in which order things come, and what is taken over.

use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::stage::{DEADLINE, IMAGE, PROD, STAGING, Stage, trailer};
use crate::harness::output::Output;
use crate::harness::runtime::block_on;
use crate::harness::tags;
use crate::harness::wait::{wait_for, wait_until};

const ENVIRONMENT: &str = "environments/staging/environment.yaml";
const MORE: &str = "environments/staging/more.yaml";
const NAMESPACE: [&str; 2] = ["-n", "flask-app"];

/// Commits a stage's staging with further resources, and further lines of `sync:` and `spec:` in its environment.
fn prepare(stage: &Stage, more: &str, sync: &str, spec: &str) {
    let overlay = stage
        .staging(&tags::good(1))
        .replace("resources:", "resources:\n- more.yaml");
    let before = stage.read(ENVIRONMENT);
    let last = "selfHeal: true\n";
    let (plain, _) = before.split_once(last).unwrap();
    let environment = [plain, last, sync, spec].concat();
    let files = [
        (STAGING, overlay.as_str()),
        (ENVIRONMENT, &environment),
        (MORE, more),
    ];
    stage.commit("Set options", &files);
}

fn sync(stage: &Stage) -> Output {
    stage
        .gitsync
        .run(&["sync", "--env", "staging", "--repo", &stage.remote.url()])
}

fn diff(stage: &Stage) -> Output {
    stage
        .gitsync
        .run(&["diff", "--env", "staging", "--repo", &stage.remote.url()])
}

fn kubectl(stage: &Stage, args: &[&str]) -> Output {
    stage.pair().staging.kubectl(&[args, &NAMESPACE].concat())
}

/// Ends a thread's loop when it is dropped.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// An object of the application's namespace.
fn object(kind: &str, name: &str, rest: &str) -> String {
    let version = match kind {
        "Job" => "batch/v1",
        "HorizontalPodAutoscaler" => "autoscaling/v2",
        _ => "v1",
    };
    format!("apiVersion: {version}\nkind: {kind}\nmetadata:\n  name: {name}\n{rest}---\n")
}

#[test]
fn fields_that_others_decide_are_left_to_them() {
    let stage = Stage::new();
    let target = "spec:\n  minReplicas: 2\n  maxReplicas: 9\n  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: flask-app}\n";
    let settings = object("ConfigMap", "settings", "data: {mode: git, other: git}\n");
    let more = settings + &object("HorizontalPodAutoscaler", "flask-app", target);
    let rules =
        "    ignoreDifferences:\n    - {kind: ConfigMap, name: settings, jsonPointers: [/data/mode]}\n";
    prepare(&stage, &more, rules, "");
    let first = sync(&stage);
    assert!(
        first
            .stderr
            .contains("left to HorizontalPodAutoscaler.autoscaling flask-app/flask-app"),
        "{first}"
    );
    first.ok();
    let mode = || stage.field("staging", "configmaps/settings", "/data/mode");
    assert_eq!(mode(), "git", "a new object gets what git says");

    kubectl(&stage, &["scale", "deployment/flask-app", "--replicas=4"]).ok();
    let patch = r#"{"data": {"mode": "hand"}}"#;
    kubectl(
        &stage,
        &["patch", "configmap", "settings", "--type=merge", "-p", patch],
    )
    .ok();
    diff(&stage).ok();
    let patch = r#"{"data": {"other": "hand"}}"#;
    kubectl(
        &stage,
        &["patch", "configmap", "settings", "--type=merge", "-p", patch],
    )
    .ok();
    let found = diff(&stage).expect_code(1);
    assert!(
        found.stdout.contains("other") && !found.stdout.contains("replicas"),
        "{found}"
    );
    sync(&stage).ok();
    let other = stage.field("staging", "configmaps/settings", "/data/other");
    let replicas = stage.field("staging", "deployments/flask-app", "/spec/replicas");
    assert_eq!(
        (mode().as_str(), other.as_str(), replicas.as_str()),
        ("hand", "git", "4")
    );

    // What the environment does not allow is refused as a whole, with its line.
    let allow = "  allow:\n    kinds: [Namespace, Deployment, Service, ConfigMap]\n";
    prepare(&stage, &object("ConfigMap", "later", ""), "", allow);
    let refused = sync(&stage);
    assert_ne!(refused.code, 0);
    assert!(
        refused
            .stderr
            .contains("does not allow objects of kind ValidatingAdmissionPolicy"),
        "{refused}"
    );
    assert!(!stage.exists("staging", "configmaps/later"));

    // The account of the environment decides what is possible there, whatever gitsync itself may do.
    prepare(&stage, "", "", "  impersonate: {serviceAccount: ops/deployer}\n");
    let refused = sync(&stage);
    assert_ne!(refused.code, 0);
    assert!(
        refused.stderr.contains("system:serviceaccount:ops:deployer"),
        "{refused}"
    );
    let bind = [
        "create",
        "clusterrolebinding",
        "ops",
        "--clusterrole=cluster-admin",
        "--serviceaccount=ops:deployer",
    ];
    stage.pair().staging.kubectl(&bind).ok();
    wait_for(DEADLINE, "the account may do everything", || {
        let output = sync(&stage);
        if output.code == 0 {
            Ok(())
        } else {
            Err(output.to_string())
        }
    });
}

#[test]
fn drift_is_reported_and_what_is_fought_over_is_left_alone() {
    let stage = Stage::new();
    let prod = "environments/prod/environment.yaml";
    let detect = stage.read(prod).replace("selfHeal: true", "selfHeal: false");
    stage.commit("Only report drift in prod", &[(prod, &detect)]);
    let _daemon = stage.daemon();
    stage.wait_until_running("prod", &tags::good(1));
    let one = r#"{"spec": {"replicas": 1}}"#;
    let patch = [
        "patch",
        "deployment",
        "flask-app",
        "-n",
        "flask-app",
        "--type=merge",
        "-p",
        one,
    ];
    stage.pair().prod.kubectl(&patch).ok();
    stage.wait_for_status(
        "prod",
        &[
            "selfHeal is off",
            ".spec.replicas of Deployment.apps flask-app/flask-app by kubectl-patch at 20",
        ],
    );
    assert_eq!(
        stage.field("prod", "deployments/flask-app", "/spec/replicas"),
        "1"
    );

    // Somebody who writes back whatever gitsync puts right.
    let replicas = || stage.field("staging", "deployments/flask-app", "/spec/replicas");
    let deployments: Api<Deployment> = Api::namespaced(stage.pair().staging.client(), "flask-app");
    let told = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !told.load(Ordering::Relaxed) {
                if replicas() == "3" {
                    let params = PatchParams {
                        field_manager: Some("operator".to_owned()),
                        ..PatchParams::default()
                    };
                    let patch = Patch::Merge(json!({"spec": {"replicas": 2}}));
                    block_on(deployments.patch("flask-app", &params, &patch)).unwrap();
                }
            }
        });
        // Whatever becomes of it, the other thread ends.
        let ended = Ended(&told);
        stage.wait_for_status(
            "staging",
            &[
                "unstable",
                ".spec.replicas of Deployment.apps flask-app/flask-app by operator",
            ],
        );
        drop(ended);
    });
    // Everything else is still put right, and the fought field stays as it is.
    kubectl(&stage, &["delete", "service", "flask-app-service"]).ok();
    wait_until(DEADLINE, "the service is put back", || {
        stage.exists("staging", "services/flask-app-service")
    });
    assert_eq!(replicas(), "2");
}

#[test]
fn waves_wait_for_one_another_and_hooks_run_before_and_after() {
    let stage = Stage::new();
    let job = |name: &str, hook: &str, tag: &str, deadline: &str| {
        let rest = format!(
            "  annotations: {{gitsync.dev/hook: {hook}}}\nspec:\n  backoffLimit: 0\n{deadline}  template:\n    spec:\n      restartPolicy: Never\n      \
             containers: [{{name: run, image: 'example/tool:{tag}'}}]\n"
        );
        object("Job", name, &rest)
    };
    let late = "  annotations: {gitsync.dev/sync-wave: \"2\"}\n";
    let more = [
        job("before", "pre-sync", &tags::good(1), ""),
        job("after", "post-sync", &tags::good(2), ""),
        object("ConfigMap", "late", late),
    ]
    .concat();
    prepare(&stage, &more, "", "");
    let output = sync(&stage);
    let order = [
        "the pre-sync hooks ran",
        "applied sync wave 0",
        "applied ",
        "the post-sync hooks ran",
        "in sync",
    ];
    let mut rest = output.stderr.as_str();
    for part in order {
        rest = match rest.split_once(part) {
            Some((_, rest)) => rest,
            None => panic!("{part:?} in order:\n{output}"),
        };
    }
    output.ok();
    let created = |object: &str| stage.field("staging", object, "/metadata/creationTimestamp");
    let uid = |job: &str| kubectl(&stage, &["get", "job", job, "-o", "jsonpath={.metadata.uid}"]).ok();
    let progressed = stage.field("staging", "deployments/flask-app", "/status/availableReplicas");
    assert_eq!(progressed, "3");
    assert!(created("configmaps/late") >= created("deployments/flask-app"));

    // Nothing new: no hook runs. A new state: both run again.
    let (before, after) = (uid("before"), uid("after"));
    sync(&stage).ok();
    assert_eq!((uid("before"), uid("after")), (before.clone(), after.clone()));
    let more = more.clone() + &object("ConfigMap", "another", "");
    stage.commit("Add another", &[(MORE, &more)]);
    sync(&stage).ok();
    assert!(uid("before") != before && uid("after") != after);

    // A hook that fails stops the sync before anything is applied.
    let failing = job(
        "failing",
        "pre-sync",
        &tags::stuck(1),
        "  activeDeadlineSeconds: 1\n",
    );
    let more = more + &failing + &object("ConfigMap", "never", "");
    stage.commit("Add a hook that fails", &[(MORE, &more)]);
    let failed = sync(&stage).expect_code(1);
    assert!(failed.stderr.contains("pre-sync hook failing failed"), "{failed}");
    assert!(!stage.exists("staging", "configmaps/never"));
}

#[test]
fn immutable_fields_and_other_tools_objects_change_hands_only_when_asked() {
    let stage = Stage::new();
    prepare(&stage, "", "", "");
    stage
        .pair()
        .staging
        .kubectl(&["create", "namespace", "flask-app"])
        .ok();
    let apply = |text: &str| {
        let path = stage.gitsync.home().join("object.yaml");
        std::fs::write(&path, text).unwrap();
        kubectl(&stage, &["apply", "-f", path.to_str().unwrap()]).ok();
    };
    // kubectl's own: taken over without a word, and what git does not state goes.
    apply(&object("ConfigMap", "old", "data: {kept: \"1\", gone: \"1\"}\n"));
    let helm = "  labels: {app.kubernetes.io/managed-by: Helm}\n  annotations: {meta.helm.sh/release-name: web, meta.helm.sh/release-namespace: shop}\n";
    apply(&object("ConfigMap", "charted", helm));
    let plain = object("ConfigMap", "old", "data: {kept: \"1\"}\n") + &object("ConfigMap", "charted", "");
    stage.commit("Take over", &[(MORE, &plain)]);
    let refused = sync(&stage);
    assert_ne!(refused.code, 0);
    assert!(
        refused
            .stderr
            .contains("Helm release shop/web looks after this object")
            && refused.stderr.contains("more.yaml:"),
        "{refused}"
    );
    let adopted = plain.replace(
        "  name: charted\n",
        "  name: charted\n  annotations: {gitsync.dev/adopt: \"true\"}\n",
    );
    stage.commit("Adopt", &[(MORE, &adopted)]);
    sync(&stage).ok();
    assert_eq!(
        stage.field("staging", "configmaps/old", "/data"),
        r#"{"kept":"1"}"#
    );
    let annotations = stage.field("staging", "configmaps/charted", "/metadata/annotations");
    assert!(!annotations.contains("helm"), "{annotations}");

    // An immutable field: refused with what to do, and recreated only where git says so.
    let job = |image: &str, annotations: &str| {
        let rest = format!(
            "{annotations}spec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers: [{{name: run, image: 'example/tool:{image}'}}]\n"
        );
        adopted.clone() + &object("Job", "migrate", &rest)
    };
    stage.commit("Add a Job", &[(MORE, &job(&tags::good(1), ""))]);
    sync(&stage).ok();
    stage.commit("Change the Job", &[(MORE, &job(&tags::good(2), ""))]);
    let refused = sync(&stage);
    assert!(
        refused.stderr.contains("gitsync.dev/force: recreate"),
        "{refused}"
    );
    let force = "  annotations: {gitsync.dev/force: recreate}\n";
    stage.commit("Force the Job", &[(MORE, &job(&tags::good(2), force))]);
    sync(&stage).ok();
    let image = kubectl(
        &stage,
        &[
            "get",
            "job",
            "migrate",
            "-o",
            "jsonpath={.spec.template.spec.containers[0].image}",
        ],
    );
    assert_eq!(image.ok(), format!("example/tool:{}", tags::good(2)));
}

#[test]
fn pruning_spares_what_pods_need_and_asks_before_it_takes_much() {
    let stage = Stage::new();
    let many = |count: usize| -> String {
        let one = |number| object("ConfigMap", &format!("many-{number}"), "");
        (0..count).map(one).collect()
    };
    prepare(&stage, &(many(20) + &object("ConfigMap", "needed", "")), "", "");
    sync(&stage).ok();
    let pod = "spec:\n  nodeName: nowhere\n  containers: [{name: c, image: example/tool:1, envFrom: [{configMapRef: {name: needed}}]}]\n";
    let path = stage.gitsync.home().join("pod.yaml");
    std::fs::write(&path, object("Pod", "user", pod)).unwrap();
    kubectl(&stage, &["apply", "-f", path.to_str().unwrap()]).ok();

    stage.commit("Remove nearly all", &[(MORE, &many(1))]);
    let braked = sync(&stage).expect_code(4);
    assert!(braked.stderr.contains("pruning would delete 20 of"), "{braked}");
    assert!(stage.exists("staging", "configmaps/many-19"));
    let url = stage.remote.url();
    let confirmed = ["sync", "--env", "staging", "--confirm-prune", "--repo", &url];
    stage.gitsync.run(&confirmed).ok();
    assert!(!stage.exists("staging", "configmaps/many-19"));
    assert!(stage.exists("staging", "configmaps/needed"), "a pod needs it");
    kubectl(&stage, &["delete", "pod", "user", "--force", "--grace-period=0"]).ok();
    sync(&stage).ok();
    assert!(!stage.exists("staging", "configmaps/needed"));
}

#[test]
fn a_promotion_whose_rollout_fails_is_taken_back_by_a_commit() {
    let stage = Stage::new();
    let prod = "environments/prod/environment.yaml";
    let asks = stage.read(prod) + "  onFailure: rollback\n";
    stage.commit("Roll prod back when it fails", &[(prod, &asks)]);
    let _daemon = stage.daemon();
    stage.wait_until_running("prod", &tags::good(1));
    stage.wait_for_status("prod", &["in sync"]);
    // Prod alone has no room for the pods of another template.
    let quota = ["create", "quota", "full", "--hard=pods=3", "-n", "flask-app"];
    stage.pair().prod.kubectl(&quota).ok();
    stage.set_staging(&tags::good(2));
    let rollback = wait_for(DEADLINE, "a rollback is committed", || {
        let log = stage.remote.log();
        let found = log
            .iter()
            .find(|commit| trailer(commit, "Gitsync-Rollback").is_some());
        found.cloned().ok_or_else(|| format!("{log:#?}"))
    });
    let rejected = format!("{IMAGE}:{}", tags::good(2));
    assert_eq!(trailer(&rollback, "Gitsync-Quarantine"), Some(rejected.as_str()));
    assert!(stage.read(PROD).contains(&tags::good(1)));
    stage.wait_until_running("prod", &tags::good(1));
    stage.wait_for_status("prod", &["in sync"]);
    // Staging has looked at what the rollback says, and still has the proof.
    stage.wait_for_status("staging", &["in sync", &rollback.id]);
    assert_eq!(
        stage.promotions().len(),
        2,
        "what is in quarantine is not promoted again"
    );
}

#[test]
fn objects_of_other_kinds_are_as_healthy_as_their_expressions_say() {
    let stage = Stage::new();
    let kind = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: databases.example.com
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Database, plural: databases}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        x-kubernetes-preserve-unknown-fields: true
---
apiVersion: example.com/v1
kind: Database
metadata:
  name: orders
";
    let expressions = "  healthCheckExprs:
  - apiVersion: example.com/v1
    kind: Database
    failed: status.phase == 'Lost'
    current: status.phase == 'Ready'
";
    prepare(&stage, kind, "", expressions);
    let _daemon = stage.daemon();
    let set_phase = |phase: &str| {
        let patch = json!({"status": {"phase": phase}}).to_string();
        kubectl(
            &stage,
            &["patch", "database", "orders", "--type=merge", "-p", &patch],
        )
        .ok();
    };
    stage.wait_for_status(
        "staging",
        &["progressing", "Database.example.com flask-app/orders"],
    );
    set_phase("Lost");
    stage.wait_for_status(
        "staging",
        &["failed", "its health expression says that it has failed"],
    );
    assert_eq!(stage.promotions().len(), 0);
    set_phase("Ready");
    wait_until(DEADLINE, "what is healthy is promoted", || {
        stage.promotions().len() == 1
    });
}
