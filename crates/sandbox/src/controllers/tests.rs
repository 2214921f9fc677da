//! Stories that controllers and pods tell together, at a clock that a test moves.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::clock::Clock;
use crate::cluster::{Cluster, Options};
use crate::pods::Behaviour;
use crate::{DeleteOptions, Propagation};

/// A cluster whose time only moves when it is told to.
struct Stage {
    clock: Clock,
    client: Client,
    work: Loop,
}

impl Stage {
    fn new() -> Self {
        let clock = Clock::manual("2026-01-31T09:30:00Z".parse().unwrap());
        let runtime = |image: &str| match image.rsplit(':').next().unwrap() {
            "crash" => Behaviour::crashing(3, vec!["no database".to_owned()]),
            "missing" => Behaviour::unpullable("not found"),
            "never" => Behaviour::never_ready(),
            "late" => Behaviour::slow_start(Duration::from_secs(20), Duration::ZERO),
            _ => Behaviour::serving(Duration::ZERO),
        };
        let cluster = Cluster::new(Options {
            clock: clock.clone(),
            runtime: Arc::new(runtime),
            ..Options::default()
        });
        let client = cluster.client("test");
        let mut controls = plain();
        controls.extend(pods::controls(&client));
        let work = Loop::new(client.clone(), controls);
        let mut stage = Self { clock, client, work };
        stage.play(1);
        stage
    }

    /// Lets everything happen that happens in so many seconds.
    fn play(&mut self, seconds: i64) {
        let end = self.clock.now() + SignedDuration::from_secs(seconds);
        loop {
            self.work.catch_up();
            let mut looks = 0;
            while let Some((index, place)) = self.work.queue.next(self.clock.now()) {
                self.work.look(index, &place);
                looks += 1;
                assert!(looks < 20_000, "the controllers never come to rest: {place:?}");
            }
            let next = self.work.queue.wakes().filter(|next| *next <= end);
            let step = next.unwrap_or(end).duration_since(self.clock.now());
            self.clock.advance(step.try_into().unwrap_or_default());
            if next.is_none() {
                return;
            }
        }
    }

    fn get(&self, resource: &str, name: &str) -> Value {
        self.client.get(resource, "default", name).unwrap()
    }

    fn list(&self, resource: &str) -> Vec<Value> {
        self.client.list(resource, Some("default"))
    }

    fn pods(&self) -> Vec<Value> {
        self.list("pods")
    }

    fn apply(&self, resource: &str, object: Value) {
        self.client
            .create(resource, object)
            .unwrap_or_else(|refusal| panic!("{refusal}"));
    }

    fn change(&self, resource: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.get(resource, name);
        change(&mut object);
        self.client
            .update(resource, object)
            .unwrap_or_else(|refusal| panic!("{refusal}"));
    }

    fn reasons(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.list("events")
            .iter()
            .map(|event| text(&event["reason"]))
            .collect()
    }
}

fn deployment(replicas: i64, tag: &str) -> Value {
    json!({
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template(tag)},
    })
}

fn template(tag: &str) -> Value {
    let container =
        json!({"name": "web", "image": format!("team/web:{tag}"), "ports": [{"containerPort": 5000}]});
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}})
}

fn set_tag(object: &mut Value, tag: &str) {
    object["spec"]["template"]["spec"]["containers"][0]["image"] = format!("team/web:{tag}").into();
}

fn condition<'a>(object: &'a Value, kind: &str) -> (&'a str, &'a str) {
    let found = conditions::find(&object["status"], kind).unwrap();
    (
        found["status"].as_str().unwrap(),
        found["reason"].as_str().unwrap_or_default(),
    )
}

#[tokio::test]
async fn a_deployment_gets_its_pods_and_says_so() {
    let mut stage = Stage::new();
    stage.apply("deployments.apps", deployment(3, "v1"));
    stage.play(2);
    let web = stage.get("deployments.apps", "web");
    assert_eq!(web["status"]["availableReplicas"], 3, "{web:#}");
    assert_eq!(
        web["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "1"
    );
    assert_eq!(condition(&web, "Available"), ("True", "MinimumReplicasAvailable"));
    assert_eq!(condition(&web, "Progressing"), ("True", "NewReplicaSetAvailable"));
    for pod in stage.pods() {
        assert_eq!(pod["status"]["phase"], "Running");
        assert_eq!(pod["spec"]["nodeName"], "sandbox-node-1");
        let container = &pod["status"]["containerStatuses"][0];
        assert_eq!(container["image"], "docker.io/team/web:v1");
        assert!(
            container["imageID"]
                .as_str()
                .unwrap()
                .starts_with("docker.io/team/web@sha256:")
        );
    }
    let reasons = stage.reasons();
    for reason in [
        "ScalingReplicaSet",
        "SuccessfulCreate",
        "Scheduled",
        "Pulled",
        "Started",
    ] {
        assert!(
            reasons.iter().any(|one| one == reason),
            "{reason} is not among {reasons:?}"
        );
    }
}

#[tokio::test]
async fn an_update_goes_pod_by_pod_and_back() {
    let mut stage = Stage::new();
    stage.apply("deployments.apps", deployment(4, "v1"));
    stage.play(2);
    stage.change("deployments.apps", "web", |web| set_tag(web, "v2"));
    stage.play(10);
    let sets = stage.list("replicasets.apps");
    assert_eq!(sets.len(), 2);
    let web = stage.get("deployments.apps", "web");
    assert_eq!(web["status"]["updatedReplicas"], 4, "{web:#}");
    assert_eq!(web["status"]["replicas"], 4);
    assert_eq!(
        web["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "2"
    );
    assert_eq!(stage.pods().len(), 4);

    // What `kubectl rollout undo` does: the template of the former revision.
    stage.change("deployments.apps", "web", |web| set_tag(web, "v1"));
    stage.play(10);
    let web = stage.get("deployments.apps", "web");
    assert_eq!(
        web["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "3"
    );
    let sets = stage.list("replicasets.apps");
    assert_eq!(sets.len(), 2);
    let back = sets.iter().find(|set| set["spec"]["replicas"] == 4).unwrap();
    assert_eq!(
        back["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"],
        "1"
    );
}

#[tokio::test]
async fn a_bad_image_stops_an_update_where_enough_pods_are_left() {
    for (tag, reason) in [
        ("missing", "ImagePullBackOff"),
        ("crash", "CrashLoopBackOff"),
        ("never", ""),
    ] {
        let mut stage = Stage::new();
        stage.apply("deployments.apps", deployment(4, "v1"));
        stage.change("deployments.apps", "web", |web| {
            web["spec"]["progressDeadlineSeconds"] = 30.into()
        });
        stage.play(2);
        stage.change("deployments.apps", "web", |web| set_tag(web, tag));
        stage.play(20);
        let web = stage.get("deployments.apps", "web");
        assert_eq!(web["status"]["availableReplicas"], 3, "{tag}");
        assert_eq!(
            condition(&web, "Progressing"),
            ("True", "ReplicaSetUpdated"),
            "{tag}"
        );
        let waiting =
            |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].clone();
        if !reason.is_empty() {
            let count = stage.pods().iter().filter(|pod| waiting(pod) == reason).count();
            assert_eq!(
                count,
                2,
                "{tag}: {:?}",
                stage.pods().iter().map(waiting).collect::<Vec<_>>()
            );
        }
        stage.play(30);
        let web = stage.get("deployments.apps", "web");
        assert_eq!(
            condition(&web, "Progressing"),
            ("False", "ProgressDeadlineExceeded"),
            "{tag}"
        );
        // The good image comes back, and everything is well.
        stage.change("deployments.apps", "web", |web| set_tag(web, "v3"));
        stage.play(10);
        let web = stage.get("deployments.apps", "web");
        assert_eq!(
            condition(&web, "Progressing"),
            ("True", "NewReplicaSetAvailable"),
            "{tag}"
        );
        assert_eq!(stage.pods().len(), 4, "{tag}");
    }
}

#[tokio::test]
async fn scaling_and_pausing() {
    let mut stage = Stage::new();
    stage.apply("deployments.apps", deployment(2, "v1"));
    stage.play(2);
    stage.change("deployments.apps", "web", |web| {
        web["spec"]["replicas"] = 5.into()
    });
    stage.play(2);
    assert_eq!(stage.pods().len(), 5);
    stage.change("deployments.apps", "web", |web| {
        web["spec"]["paused"] = true.into();
        set_tag(web, "v2");
    });
    stage.play(5);
    let web = stage.get("deployments.apps", "web");
    assert_eq!(condition(&web, "Progressing"), ("Unknown", "DeploymentPaused"));
    assert_eq!(stage.list("replicasets.apps").len(), 1);
    stage.change("deployments.apps", "web", |web| {
        drop(web["spec"].as_object_mut().unwrap().remove("paused"))
    });
    stage.play(10);
    let web = stage.get("deployments.apps", "web");
    assert_eq!(web["status"]["updatedReplicas"], 5);
    stage.change("deployments.apps", "web", |web| {
        web["spec"]["replicas"] = 0.into()
    });
    stage.play(2);
    assert_eq!(stage.pods().len(), 0);
}

#[tokio::test]
async fn recreate_ends_the_old_pods_first() {
    let mut stage = Stage::new();
    let mut web = deployment(3, "v1");
    web["spec"]["strategy"] = json!({"type": "Recreate"});
    stage.apply("deployments.apps", web);
    stage.play(2);
    stage.change("deployments.apps", "web", |web| set_tag(web, "v2"));
    stage.work.catch_up();
    // Whatever is looked at, old and new pods are never there together.
    for _ in 0..2_000 {
        let Some((index, place)) = stage.work.queue.next(stage.clock.now()) else {
            let Some(next) = stage.work.queue.wakes() else {
                break;
            };
            let wait = next.duration_since(stage.clock.now());
            if wait > SignedDuration::from_secs(10) {
                break;
            }
            stage.clock.advance(wait.try_into().unwrap());
            stage.work.catch_up();
            continue;
        };
        stage.work.look(index, &place);
        let mut images: Vec<Value> = stage
            .pods()
            .iter()
            .map(|pod| pod["spec"]["containers"][0]["image"].clone())
            .collect();
        images.dedup();
        assert!(images.len() <= 1, "{images:?}");
    }
    let web = stage.get("deployments.apps", "web");
    assert_eq!(web["status"]["updatedReplicas"], 3, "{web:#}");
}

#[tokio::test]
async fn stateful_sets_go_in_order() {
    let mut stage = Stage::new();
    let claim = json!({
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    let set = json!({
        "metadata": {"name": "db", "namespace": "default"},
        "spec": {
            "replicas": 3, "serviceName": "db", "selector": {"matchLabels": {"app": "web"}},
            "template": template("v1"), "volumeClaimTemplates": [claim],
        },
    });
    stage.apply("statefulsets.apps", set);
    stage.play(5);
    let names: Vec<Value> = stage
        .pods()
        .iter()
        .map(|pod| pod["metadata"]["name"].clone())
        .collect();
    assert_eq!(names, ["db-0", "db-1", "db-2"]);
    let claims = stage.list("persistentvolumeclaims");
    assert!(
        claims.iter().all(|claim| claim["status"]["phase"] == "Bound"),
        "{claims:#?}"
    );
    stage.change("statefulsets.apps", "db", |db| {
        set_tag(db, "v2");
        db["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 1.into();
    });
    stage.play(10);
    let image = |name| stage.get("pods", name)["spec"]["containers"][0]["image"].clone();
    assert_eq!(
        [image("db-0"), image("db-1"), image("db-2")],
        ["team/web:v1", "team/web:v2", "team/web:v2"]
    );
    stage.change("statefulsets.apps", "db", |db| db["spec"]["replicas"] = 1.into());
    stage.play(5);
    assert_eq!(stage.pods().len(), 1);
    let db = stage.get("statefulsets.apps", "db");
    assert_eq!(db["status"]["readyReplicas"], 1, "{db:#}");
}

#[tokio::test]
async fn daemon_sets_have_a_pod_on_each_node() {
    let mut stage = Stage::new();
    let set = json!({
        "metadata": {"name": "agent", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template("v1")},
    });
    stage.apply("daemonsets.apps", set);
    stage.play(2);
    stage.change("daemonsets.apps", "agent", |agent| set_tag(agent, "v2"));
    stage.play(5);
    let agent = stage.get("daemonsets.apps", "agent");
    assert_eq!(agent["status"]["numberAvailable"], 1, "{agent:#}");
    assert_eq!(agent["status"]["updatedNumberScheduled"], 1);
    assert_eq!(stage.pods()[0]["spec"]["containers"][0]["image"], "team/web:v2");
}

#[tokio::test]
async fn jobs_end_well_or_badly() {
    let mut stage = Stage::new();
    let job = |name: &str, tag: &str| {
        let mut template = template(tag);
        template["spec"]["restartPolicy"] = "Never".into();
        json!({
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"completions": 3, "parallelism": 2, "backoffLimit": 1, "template": template},
        })
    };
    stage.apply("jobs.batch", job("good", "v1"));
    stage.apply("jobs.batch", job("bad", "crash"));
    stage.play(60);
    let good = stage.get("jobs.batch", "good");
    assert_eq!(good["status"]["succeeded"], 3, "{good:#}");
    assert_eq!(condition(&good, "Complete"), ("True", "CompletionsReached"));
    let bad = stage.get("jobs.batch", "bad");
    assert_eq!(
        condition(&bad, "Failed"),
        ("True", "BackoffLimitExceeded"),
        "{bad:#}"
    );
    stage.change("jobs.batch", "good", |good| {
        good["spec"]["ttlSecondsAfterFinished"] = 10.into()
    });
    stage.play(60);
    assert!(stage.client.get("jobs.batch", "default", "good").is_err());
    assert!(
        !stage
            .pods()
            .iter()
            .any(|pod| pod["metadata"]["labels"]["job-name"] == "good")
    );
}

#[tokio::test]
async fn cron_jobs_run_by_the_clock() {
    let mut stage = Stage::new();
    let mut template = template("v1");
    template["spec"]["restartPolicy"] = "OnFailure".into();
    let cron = json!({
        "metadata": {"name": "report", "namespace": "default"},
        "spec": {"schedule": "*/10 * * * *", "jobTemplate": {"spec": {"template": template}}, "successfulJobsHistoryLimit": 2},
    });
    stage.apply("cronjobs.batch", cron);
    stage.play(45 * 60);
    let report = stage.get("cronjobs.batch", "report");
    assert_eq!(
        report["status"]["lastScheduleTime"], "2026-01-31T10:10:00Z",
        "{report:#}"
    );
    let jobs = stage.list("jobs.batch");
    assert_eq!(jobs.len(), 2, "only so many are kept");
    assert!(jobs.iter().all(|job| condition(job, "Complete").0 == "True"));
}

#[tokio::test]
async fn services_know_their_pods_and_get_an_address_that_answers() {
    let mut stage = Stage::new();
    let service = json!({
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 8080, "targetPort": 5000}]},
    });
    stage.apply("services", service);
    stage.apply("deployments.apps", deployment(2, "v1"));
    stage.play(3);
    let slices = stage.list("endpointslices.discovery.k8s.io");
    assert_eq!(slices[0]["endpoints"].as_array().unwrap().len(), 2, "{slices:#?}");
    assert_eq!(slices[0]["ports"][0]["port"], 5000);
    let endpoints = stage.get("endpoints", "web");
    assert_eq!(endpoints["subsets"][0]["addresses"].as_array().unwrap().len(), 2);
    let ingress = stage.get("services", "web")["status"]["loadBalancer"]["ingress"][0].clone();
    let port = ingress["ports"][0]["port"].as_u64().unwrap_or(8080);
    let address = format!("{}:{port}", ingress["ip"].as_str().unwrap());
    let mut served = Vec::new();
    for _ in 0..2 {
        served.push(get(&address).await);
    }
    assert!(
        served.iter().all(|text| text.starts_with("HTTP/1.1 200")),
        "{served:?}"
    );
    assert_ne!(served[0], served[1], "each pod has its turn");
    let context = crate::Context {
        client: stage.client.clone(),
        clock: stage.clock.clone(),
    };
    let balancers = stage.client.host().balancers.clone();
    assert_eq!(balancers.requests("default", "web").values().sum::<u64>(), 2);
    let log = pods::read_log(&stage.pods()[0], &crate::LogQuery::default(), &context).unwrap();
    assert!(log.contains("\"GET /hello HTTP/1.1\" 200"), "{log}");

    stage
        .client
        .delete("services", "default", "web", &DeleteOptions::default())
        .unwrap();
    stage.play(2);
    assert!(tokio::net::TcpStream::connect(&address).await.is_err());
    assert_eq!(stage.list("endpointslices.discovery.k8s.io").len(), 0);
}

#[tokio::test]
async fn a_load_balancer_can_be_kept_pending() {
    let handle = Cluster::start(Options {
        tls: false,
        ..Options::default()
    })
    .await
    .unwrap();
    let (client, balancers) = (handle.cluster().client("test"), handle.cluster().load_balancers());
    let service = json!({
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 8080}]},
    });
    client.create("services", service).unwrap();
    let has_address = |wanted: bool| {
        let mut changes = client.subscribe(&["services"]);
        let client = client.clone();
        async move {
            let is_there = || {
                let service = client.get("services", "default", "web").unwrap();
                service["status"]["loadBalancer"]["ingress"].is_array()
            };
            while is_there() != wanted {
                changes.changed().await;
                drop(changes.take());
            }
        }
    };
    has_address(true).await;
    balancers.hold("default", "web");
    has_address(false).await;
    balancers.release("default", "web");
    has_address(true).await;
}

async fn get(address: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET /hello HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn what_is_owned_goes_with_its_owner_or_stays() {
    for (propagation, pods_left) in [
        (Propagation::Background, 0),
        (Propagation::Foreground, 0),
        (Propagation::Orphan, 3),
    ] {
        let mut stage = Stage::new();
        stage.apply("deployments.apps", deployment(3, "v1"));
        stage.play(2);
        let options = DeleteOptions {
            propagation: Some(propagation),
            ..DeleteOptions::default()
        };
        stage
            .client
            .delete("deployments.apps", "default", "web", &options)
            .unwrap();
        stage.play(3);
        assert!(
            stage.client.get("deployments.apps", "default", "web").is_err(),
            "{propagation:?}"
        );
        assert_eq!(stage.pods().len(), pods_left, "{propagation:?}");
        let sets = if pods_left > 0 { 1 } else { 0 };
        assert_eq!(stage.list("replicasets.apps").len(), sets, "{propagation:?}");
    }
}

#[tokio::test]
async fn a_namespace_begins_furnished_and_ends_empty() {
    let mut stage = Stage::new();
    stage.apply("namespaces", json!({"metadata": {"name": "shop"}}));
    stage.play(1);
    assert!(stage.client.get("serviceaccounts", "shop", "default").is_ok());
    assert!(stage.client.get("configmaps", "shop", "kube-root-ca.crt").is_ok());
    let mut web = deployment(2, "v1");
    web["metadata"]["namespace"] = "shop".into();
    stage.apply("deployments.apps", web);
    stage.play(2);
    stage
        .client
        .delete("namespaces", "", "shop", &DeleteOptions::default())
        .unwrap();
    stage.play(5);
    assert!(stage.client.get("namespaces", "", "shop").is_err());
    assert_eq!(stage.client.list("pods", Some("shop")).len(), 0);
}

#[tokio::test]
async fn a_pod_that_fits_nowhere_says_why() {
    let mut stage = Stage::new();
    let mut web = deployment(1, "v1");
    web["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "200"}});
    stage.apply("deployments.apps", web);
    stage.play(2);
    let pod = &stage.pods()[0];
    assert_eq!(pod["status"]["phase"], "Pending");
    let found = conditions::find(&pod["status"], "PodScheduled").unwrap();
    assert_eq!(found["message"], "0/1 nodes are available: 1 Insufficient cpu.");
}

#[tokio::test]
async fn a_refused_pod_is_told_up_to_the_deployment() {
    let mut stage = Stage::new();
    let mut web = deployment(1, "v1");
    web["spec"]["template"]["spec"]["priorityClassName"] = "high".into();
    stage.apply("deployments.apps", web);
    stage.play(3);
    let web = stage.get("deployments.apps", "web");
    assert_eq!(
        condition(&web, "ReplicaFailure"),
        ("True", "FailedCreate"),
        "{web:#}"
    );
    assert!(stage.reasons().iter().any(|reason| reason == "FailedCreate"));
    let class = json!({"metadata": {"name": "high"}, "value": 10});
    stage.apply("priorityclasses.scheduling.k8s.io", class);
    stage.play(3);
    let web = stage.get("deployments.apps", "web");
    assert_eq!(web["status"]["availableReplicas"], 1, "{web:#}");
    assert!(conditions::find(&web["status"], "ReplicaFailure").is_none());
    assert_eq!(stage.pods()[0]["spec"]["priority"], 10);
}

#[tokio::test]
async fn budgets_and_late_pods() {
    let mut stage = Stage::new();
    let budget = json!({
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}},
    });
    stage.apply("poddisruptionbudgets.policy", budget);
    stage.apply("deployments.apps", deployment(3, "late"));
    stage.play(10);
    assert_eq!(
        stage.get("deployments.apps", "web")["status"]["readyReplicas"],
        Value::Null
    );
    stage.play(15);
    let budget = stage.get("poddisruptionbudgets.policy", "web");
    assert_eq!(budget["status"]["disruptionsAllowed"], 1, "{budget:#}");
}
