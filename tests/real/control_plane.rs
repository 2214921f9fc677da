//! The control plane of the tests: the clusters are real, and what is played is played as the harness says.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use serde_json::Value;

use crate::harness::control_plane::kubeconfig::{Access, Kubeconfig};
use crate::harness::control_plane::{ControlPlane, DoorState};
use crate::harness::output::Output;
use crate::harness::pair::ClusterPair;
use crate::harness::runtime::block_on;
use crate::harness::wait::{wait_for, wait_until};
use crate::harness::{binaries, tags};

const DEADLINE: Duration = Duration::from_secs(60);

/// A Deployment of three replicas and its Service, both called `web`, in the namespace `web`.
fn manifests(tag: &str) -> String {
    format!(
        "\
apiVersion: v1
kind: Namespace
metadata: {{name: web}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: web}}
spec:
  replicas: 3
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
      - name: web
        image: team/web:{tag}
        ports: [{{containerPort: 5000}}]
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: web}}
spec:
  type: LoadBalancer
  selector: {{app: web}}
  ports: [{{port: 8080, targetPort: 5000}}]
"
    )
}

fn apply(cluster: &ControlPlane, tag: &str) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("web.yaml");
    fs::write(&file, manifests(tag)).unwrap();
    cluster
        .kubectl(&["apply", "--server-side", "-f", file.to_str().unwrap()])
        .ok();
}

fn roll_out(cluster: &ControlPlane) {
    let status = [
        "rollout",
        "status",
        "deployment/web",
        "--namespace=web",
        "--timeout=60s",
    ];
    cluster.kubectl(&status).ok();
}

/// The base URL of the Service, once its status has one.
fn url(cluster: &ControlPlane) -> String {
    wait_for(DEADLINE, "the Service has an address", || {
        let service = cluster
            .get("/api/v1/namespaces/web/services/web")
            .ok_or("no Service")?;
        match service.pointer("/status/loadBalancer/ingress/0/ip") {
            Some(Value::String(ip)) => Ok(format!("http://{ip}:8080/")),
            _ => Err(service["status"].to_string()),
        }
    })
}

/// The status and the body with which the Service answers, and the time that it took.
fn request(url: &str) -> (StatusCode, String, Duration) {
    block_on(async {
        let start = Instant::now();
        let response = reqwest::get(url).await.unwrap();
        let status = StatusCode::from_u16(response.status().as_u16()).unwrap();
        (status, response.text().await.unwrap(), start.elapsed())
    })
}

fn wait_for_body(url: &str, want: &str) {
    wait_for(
        DEADLINE,
        &format!("the Service answers {want:?}"),
        || match request(url) {
            (_, body, _) if body.contains(want) => Ok(()),
            seen => Err(format!("{seen:?}")),
        },
    );
}

fn pods(cluster: &ControlPlane) -> Vec<Value> {
    let list = cluster.get("/api/v1/namespaces/web/pods").unwrap();
    list["items"].as_array().unwrap().clone()
}

fn kubectl_with(kubeconfig: &std::path::Path, args: &[&str]) -> Output {
    let mut command = Command::new(binaries::path("kubectl"));
    let home = kubeconfig.parent().unwrap();
    command.args(args).env("KUBECONFIG", kubeconfig).env("HOME", home);
    Output::of(command, DEADLINE)
}

#[test]
fn both_clusters_are_reached_through_one_file_that_nobody_can_write() {
    let pair = ClusterPair::lease();
    let mode = fs::metadata(&pair.kubeconfig).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o400);
    for context in ["staging", "prod"] {
        let nodes = kubectl_with(
            &pair.kubeconfig,
            &["--context", context, "get", "nodes", "--no-headers"],
        )
        .ok();
        assert!(nodes.contains(" Ready "), "{context}: {nodes}");
    }
    let identity = |cluster: &ControlPlane| {
        let namespaces: Api<Namespace> = Api::all(cluster.client());
        block_on(namespaces.get("kube-system")).unwrap().metadata.uid
    };
    assert_ne!(
        identity(&pair.staging),
        identity(&pair.prod),
        "they are one cluster"
    );
}

#[test]
fn an_image_answers_as_its_tag_says() {
    let pair = ClusterPair::lease();
    let cluster = &pair.staging;
    apply(cluster, &tags::good(1));
    roll_out(cluster);
    let url = url(cluster);
    let cases = [
        ("good", tags::good(2), StatusCode::OK, Duration::ZERO),
        ("slow", tags::slow(1), StatusCode::OK, Duration::from_millis(600)),
        (
            "fails",
            tags::fails(1),
            StatusCode::INTERNAL_SERVER_ERROR,
            Duration::ZERO,
        ),
        ("late", tags::late(1), StatusCode::OK, Duration::ZERO),
        (
            "a tag of CI",
            "abc123de".to_owned(),
            StatusCode::OK,
            Duration::ZERO,
        ),
    ];
    for (name, tag, status, at_least) in cases {
        let before = cluster.cloud().requests("web", "web").get(&tag).copied();
        assert_eq!(before, None, "{name}: requests before the rollout");
        apply(cluster, &tag);
        roll_out(cluster);
        wait_for_body(&url, &tag);
        // The old pods are gone for kubectl, and a moment later for the EndpointSlice.
        wait_for(DEADLINE, &format!("{name}: all answers are of {tag}"), || {
            let seen: Vec<_> = (0..3).map(|_| request(&url)).collect();
            let good = seen.iter().all(|(answered, body, took)| {
                *answered == status && body.contains(&format!("team/web:{tag}")) && *took >= at_least
            });
            if good { Ok(()) } else { Err(format!("{seen:?}")) }
        });
        assert!(
            cluster.cloud().requests("web", "web")[&tag] >= 3,
            "{name}: requests are counted"
        );
    }
}

#[test]
fn a_running_pod_tells_its_image_by_a_digest_that_is_the_same_in_both_clusters() {
    let pair = ClusterPair::lease();
    let digests: BTreeSet<String> = [&pair.staging, &pair.prod]
        .into_iter()
        .flat_map(|cluster| {
            apply(cluster, &tags::good(1));
            roll_out(cluster);
            pods(cluster)
        })
        .map(|pod| {
            let status = &pod["status"]["containerStatuses"][0];
            assert_eq!(status["image"], "docker.io/team/web:900d0001");
            assert_eq!(status["ready"], true);
            assert!(pod["status"]["podIP"].is_string(), "{pod}");
            status["imageID"].as_str().unwrap().to_owned()
        })
        .collect();
    let digests: Vec<_> = digests.into_iter().collect();
    assert_eq!(digests.len(), 1, "{digests:?}");
    let hash = digests[0].strip_prefix("docker.io/team/web@sha256:").unwrap();
    assert_eq!(hash.len(), 64, "{hash}");
}

#[test]
fn pods_that_do_not_get_ready_say_why() {
    let pair = ClusterPair::lease();
    let cluster = &pair.staging;
    let cases = [
        (
            "crash",
            tags::crash(1),
            "/state/waiting/reason",
            "CrashLoopBackOff",
        ),
        (
            "nopull",
            tags::nopull(1),
            "/state/waiting/reason",
            "ImagePullBackOff",
        ),
        ("stuck", tags::stuck(1), "/started", "true"),
    ];
    for (name, tag, pointer, want) in cases {
        apply(cluster, &tag);
        let pod = wait_for(DEADLINE, &format!("{name}: a pod says {want}"), || {
            let pods = pods(cluster);
            let found = pods.iter().find(|pod| {
                let status = &pod["status"]["containerStatuses"][0];
                pod["spec"]["containers"][0]["image"] == format!("team/web:{tag}")
                    && status
                        .pointer(pointer)
                        .is_some_and(|seen| seen.to_string().trim_matches('"') == want)
            });
            found.cloned().ok_or_else(|| format!("{pods:?}"))
        });
        assert_eq!(pod["status"]["containerStatuses"][0]["ready"], false, "{name}");
        let ready = pod["status"]["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .find(|c| c["type"] == "Ready")
            .unwrap();
        assert_eq!(ready["status"], "False", "{name}");
    }
    let (status, _, _) = request(&url(cluster));
    assert_eq!(
        status,
        StatusCode::SERVICE_UNAVAILABLE,
        "nothing is ready behind the Service"
    );
}

#[test]
fn a_crash_repeats_and_leaves_its_last_lines() {
    let pair = ClusterPair::lease();
    let cluster = &pair.staging;
    apply(cluster, &tags::crash(1));
    let pod = wait_for(DEADLINE, "a container has restarted twice", || {
        let pods = pods(cluster);
        let found = pods
            .iter()
            .find(|pod| pod["status"]["containerStatuses"][0]["restartCount"].as_i64() >= Some(2));
        found.cloned().ok_or_else(|| format!("{pods:?}"))
    });
    let status = &pod["status"]["containerStatuses"][0];
    assert_eq!(
        status.pointer("/lastState/terminated/exitCode"),
        Some(&Value::from(1)),
        "{status}"
    );
    let name = pod["metadata"]["name"].as_str().unwrap();
    let last_lines = cluster
        .kubectl(&["logs", "--namespace=web", "--previous", name])
        .ok();
    assert!(last_lines.contains("fatal"), "{last_lines}");
}

#[test]
fn a_job_completes() {
    let pair = ClusterPair::lease();
    let cluster = &pair.prod;
    cluster
        .kubectl(&["create", "job", "migrate", "--image=team/migrate:900d0001"])
        .ok();
    cluster
        .kubectl(&["wait", "job/migrate", "--for=condition=Complete", "--timeout=60s"])
        .ok();
}

#[test]
fn a_load_balancer_can_be_kept_pending() {
    let pair = ClusterPair::lease();
    let cluster = &pair.prod;
    cluster.cloud().hold("web", "web");
    apply(cluster, &tags::good(1));
    roll_out(cluster);
    let shown = cluster
        .kubectl(&["get", "service", "web", "--namespace=web", "--no-headers"])
        .ok();
    assert!(shown.contains("<pending>"), "{shown}");
    assert_eq!(cluster.cloud().address("web", "web"), None);

    cluster.cloud().release("web", "web");
    let first = url(cluster);
    wait_for_body(&first, &tags::good(1));

    cluster.cloud().hold("web", "web");
    wait_until(DEADLINE, "the address is taken away", || {
        let service = cluster.get("/api/v1/namespaces/web/services/web").unwrap();
        service.pointer("/status/loadBalancer/ingress/0").is_none()
    });
}

#[test]
fn a_cluster_can_be_out_of_reach_and_come_back() {
    let pair = ClusterPair::lease();
    let version = |timeout: &str| {
        let args = ["--context=staging", "get", "namespaces", timeout];
        kubectl_with(&pair.kubeconfig, &args)
    };
    version("--request-timeout=30s").ok();

    pair.staging.set_door(DoorState::Shut);
    let refused = version("--request-timeout=30s").expect_code(1);
    assert!(
        refused.stderr.contains("connection refused") || refused.stderr.contains("was refused"),
        "{refused}"
    );

    pair.staging.set_door(DoorState::Stalled);
    let silent = version("--request-timeout=1s").expect_code(1);
    assert!(!silent.stderr.contains("refused"), "{silent}");
    pair.prod.kubectl(&["get", "namespaces"]).ok();

    pair.staging.set_door(DoorState::Open);
    version("--request-timeout=30s").ok();

    pair.staging.stop_apiserver();
    version("--request-timeout=30s").expect_code(1);
    pair.staging.start_apiserver();
    version("--request-timeout=30s").ok();
    apply(&pair.staging, &tags::good(1));
    roll_out(&pair.staging);
    wait_for_body(&url(&pair.staging), &tags::good(1));
}

#[test]
fn wrong_kubeconfigs_are_wrong_in_the_way_they_say() {
    let pair = ClusterPair::lease();
    let right = pair.staging.access();
    let wrong_token = Access {
        token: "nobody".to_owned(),
        ..right.clone()
    };
    let cases = [
        ("a token that nobody has", "staging", wrong_token, "Unauthorized"),
        (
            "a token without rights",
            "staging",
            pair.staging.access_of_stranger(),
            "Forbidden",
        ),
        ("an unknown context", "else", right, "context was not found"),
    ];
    for (name, context, access, want) in cases {
        let kubeconfig = Kubeconfig::default().with(context, access);
        let path = pair.write_kubeconfig("wrong.yaml", &kubeconfig, 0o400);
        let refused = kubectl_with(&path, &["--context=staging", "get", "secrets"]).expect_code(1);
        let said = refused.stderr.to_lowercase();
        assert!(
            said.contains(&want.to_lowercase()) || (want == "Unauthorized" && said.contains("logged in")),
            "{name}: {refused}"
        );
    }
    let unreadable = pair.write_kubeconfig("unreadable.yaml", &pair.right_kubeconfig(), 0o000);
    assert_eq!(fs::metadata(unreadable).unwrap().permissions().mode() & 0o777, 0);
}

#[test]
fn what_a_client_asks_is_counted() {
    let pair = ClusterPair::lease();
    let cluster = pair.cluster("staging");
    let (_, since) = cluster.requests_of("kubectl", 0);
    cluster
        .kubectl(&["get", "configmaps", "--namespace=kube-public"])
        .ok();
    let (requests, _) = wait_for(DEADLINE, "the request is in the audit log", || {
        let (requests, next) = cluster.requests_of("kubectl", since);
        if requests.is_empty() {
            Err("none".to_owned())
        } else {
            Ok((requests, next))
        }
    });
    let uris: Vec<_> = requests
        .iter()
        .filter(|r| r.verb == "list")
        .map(|r| r.uri.as_str())
        .collect();
    assert_eq!(uris, ["/api/v1/namespaces/kube-public/configmaps?limit=500"]);
    let (after, _) = cluster.requests_of("nobody", since);
    assert_eq!(after, []);
}

#[test]
fn a_lease_finds_the_clusters_empty() {
    let names = |cluster: &ControlPlane| -> Vec<String> {
        [
            "/api/v1/namespaces",
            "/apis/apps/v1/deployments",
            "/api/v1/pods",
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        ]
        .iter()
        .flat_map(|path| cluster.get(path).unwrap()["items"].as_array().unwrap().clone())
        .map(|object| object["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
    };
    let pair = ClusterPair::lease();
    let before = names(&pair.staging);
    apply(&pair.staging, &tags::nopull(1));
    let finalizer = r#"{"metadata":{"finalizers":["example.com/never"]}}"#;
    pair.staging
        .kubectl(&[
            "patch",
            "service",
            "web",
            "--namespace=web",
            "--type=merge",
            "-p",
            finalizer,
        ])
        .ok();
    drop(pair);

    let pair = ClusterPair::lease();
    assert_eq!(names(&pair.staging), before);
    apply(&pair.staging, &tags::good(1));
    roll_out(&pair.staging);
}

#[test]
fn a_pod_that_fits_on_no_node_stays_pending_with_the_schedulers_reason() {
    let pair = ClusterPair::lease();
    let cluster = &pair.staging;
    let container =
        r#"{"name": "big", "image": "team/big:900d0001", "resources": {"requests": {"cpu": "65"}}}"#;
    let overrides = format!(r#"{{"spec": {{"containers": [{container}]}}}}"#);
    cluster
        .kubectl(&[
            "run",
            "big",
            "--image=team/big:900d0001",
            "--overrides",
            &overrides,
        ])
        .ok();
    let condition = wait_for(DEADLINE, "the scheduler gives its reason", || {
        let pod = cluster
            .get("/api/v1/namespaces/default/pods/big")
            .ok_or("no pod")?;
        match pod.pointer("/status/conditions/0") {
            Some(condition) if condition["reason"] == "Unschedulable" => Ok(condition.clone()),
            _ => Err(pod["status"].to_string()),
        }
    });
    assert!(
        condition["message"].to_string().contains("Insufficient cpu"),
        "{condition}"
    );
}
