//! One story of a Deployment on a real control plane and on the sandbox: the same conditions in the same order, and the
//! same steps of its ReplicaSets.
//!
//! A first revision is rolled out, a second one replaces it, a third has an image that is not to be had and runs into its
//! deadline, and the second one comes back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::sandbox::{Cluster, Options};
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, ResourceExt as _};
use serde_json::json;

use crate::harness::pair::ClusterPair;
use crate::harness::runtime::{block_on, runtime};
use crate::harness::tags::{self, Behaviour};
use crate::harness::wait::wait_until;

/// For one step of the story; the longest waits for a deadline of ten seconds.
const DEADLINE: Duration = Duration::from_secs(90);

/// What is told of a Deployment.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    /// The condition `Progressing`: each status and reason that differs from the one before.
    progressing: Vec<String>,
    /// What its Events say, with the revisions in place of the names of ReplicaSets.
    steps: Vec<String>,
    /// The revisions that there are at the end, with their sizes.
    revisions: Vec<(String, i32)>,
}

#[test]
fn a_rollout_is_told_alike() {
    let pair = ClusterPair::lease();
    let handle = block_on(Cluster::start(Options {
        runtime: Arc::new(behaviour),
        ..Options::default()
    }))
    .unwrap();
    let kubeconfig = Kubeconfig::from_yaml(&handle.kubeconfig()).unwrap();
    let sandbox = block_on(async {
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        Client::try_from(config.unwrap()).unwrap()
    });
    let real = story(&pair.staging.client());
    let played = story(&sandbox);
    assert!(real.steps.len() >= 8, "too little happened: {real:#?}");
    assert_eq!(real, played);
}

/// The images of the harness, as the sandbox plays them.
fn behaviour(image: &str) -> ::sandbox::Behaviour {
    match Behaviour::of_image(image) {
        Behaviour::NoPull => ::sandbox::Behaviour::unpullable("not found"),
        _ => ::sandbox::Behaviour::serving(Duration::from_millis(5)),
    }
}

fn story(client: &Client) -> Told {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "default");
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "told"},
        "spec": {
            "replicas": 3, "progressDeadlineSeconds": 10,
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": {"app": "told"}},
            "template": {
                "metadata": {"labels": {"app": "told"}},
                "spec": {"containers": [{"name": "web", "image": image(&tags::good(1))}]},
            },
        },
    });
    let heard = listen(&deployments);
    let object = serde_json::from_value(object).unwrap();
    block_on(deployments.create(&PostParams::default(), &object)).unwrap();
    wait_for_reason(&deployments, 1, "NewReplicaSetAvailable");
    for (generation, tag, reason) in [
        (2, tags::good(2), "NewReplicaSetAvailable"),
        (3, tags::nopull(3), "ProgressDeadlineExceeded"),
        (4, tags::good(2), "NewReplicaSetAvailable"),
    ] {
        let container = json!({"name": "web", "image": image(&tag)});
        let patch = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
        block_on(deployments.patch("told", &PatchParams::default(), &Patch::Strategic(patch))).unwrap();
        wait_for_reason(&deployments, generation, reason);
    }
    let revisions = revisions(client);
    Told {
        steps: steps(client, &revisions),
        progressing: without_haste(&heard.lock().unwrap()),
        revisions: revisions
            .into_iter()
            .map(|(_, revision, size)| (revision, size))
            .collect(),
    }
}

/// What was heard, without the progress right after a deadline that ran out: the way back needs no new pod, and whether
/// the controller writes a status before it is done depends on how quickly it hears of the old ones.
fn without_haste(heard: &[String]) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for text in heard {
        let after_deadline = told
            .last()
            .is_some_and(|last| last.contains("ProgressDeadlineExceeded"));
        if !(after_deadline && text.contains("ReplicaSetUpdated")) {
            told.push(text.clone());
        }
    }
    told
}

fn image(tag: &str) -> String {
    format!("team/told:{tag}")
}

/// Follows the condition `Progressing`.
fn listen(deployments: &Api<Deployment>) -> Arc<Mutex<Vec<String>>> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let params = WatchParams::default().fields("metadata.name=told").timeout(290);
    let stream = block_on(deployments.watch(&params, "0")).unwrap();
    let told = Arc::clone(&heard);
    runtime().spawn(async move {
        let mut stream = Box::pin(stream);
        while let Some(Ok(event)) = stream.next().await {
            let (WatchEvent::Added(object) | WatchEvent::Modified(object)) = event else {
                continue;
            };
            let conditions = object
                .status
                .and_then(|status| status.conditions)
                .unwrap_or_default();
            let Some(found) = conditions.into_iter().find(|one| one.type_ == "Progressing") else {
                continue;
            };
            let text = format!("{} {}", found.status, found.reason.unwrap_or_default());
            let mut told = told.lock().unwrap();
            if told.last() != Some(&text) {
                told.push(text);
            }
        }
    });
    heard
}

fn wait_for_reason(deployments: &Api<Deployment>, generation: i64, reason: &str) {
    wait_until(
        DEADLINE,
        &format!("generation {generation} comes to {reason}"),
        || {
            let found = block_on(deployments.get("told")).unwrap();
            let replicas = found.spec.as_ref().and_then(|spec| spec.replicas);
            let status = found.status.unwrap_or_default();
            let mut conditions = status.conditions.unwrap_or_default().into_iter();
            let has_reason =
                conditions.any(|one| one.type_ == "Progressing" && one.reason.as_deref() == Some(reason));
            // The condition of the former revision stands for a moment after a change.
            let is_settled = reason != "NewReplicaSetAvailable"
                || status.updated_replicas == replicas
                    && status.replicas == replicas
                    && status.available_replicas == replicas;
            status.observed_generation >= Some(generation) && has_reason && is_settled
        },
    );
}

/// The ReplicaSets by name, revision and size, in the order of their revisions.
fn revisions(client: &Client) -> Vec<(String, String, i32)> {
    let sets: Api<ReplicaSet> = Api::namespaced(client.clone(), "default");
    let found = block_on(sets.list(&ListParams::default().labels("app=told"))).unwrap();
    let of = |set: ReplicaSet| {
        let revision = set.annotations()["deployment.kubernetes.io/revision"].clone();
        let size = set
            .spec
            .as_ref()
            .and_then(|spec| spec.replicas)
            .unwrap_or_default();
        (set.name_any(), revision, size)
    };
    let mut all: Vec<_> = found.items.into_iter().map(of).collect();
    all.sort_by(|a, b| a.1.cmp(&b.1));
    all
}

/// The Events of the Deployment. They carry seconds only, so they are put in an order of their own.
fn steps(client: &Client, revisions: &[(String, String, i32)]) -> Vec<String> {
    let events: Api<Event> = Api::namespaced(client.clone(), "default");
    let params = ListParams::default().fields("involvedObject.name=told,involvedObject.kind=Deployment");
    let found = block_on(events.list(&params)).unwrap();
    let text = |event: Event| {
        let message = event.message.unwrap_or_default();
        let message = revisions.iter().fold(message, |text, (name, revision, _)| {
            text.replace(name, &format!("of revision {revision}"))
        });
        format!("{}: {message}", event.reason.unwrap_or_default())
    };
    let mut all: Vec<String> = found.items.into_iter().map(text).collect();
    all.sort();
    all
}
