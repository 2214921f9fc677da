//! Workloads: objects with a pod template, the deepest ones and those that most fields change.

use super::scalars::{scalar, string_value};
use super::tree::Tree;
use super::yaml::{Yaml, map};

/// Images as people write them.
const IMAGES: [&str; 9] = [
    "nginx",
    "nginx:1.25",
    "\"nginx:1.25@sha256:abcdef\"",
    "nginx@sha256:abcdef",
    "registry.example.com:5000/team/app:v1",
    "registry.example.com:5000/team/app",
    "redis:7",
    "my-image:1",
    "library/nginx:1",
];

/// Names of containers, which patches use too.
pub const CONTAINERS: [&str; 3] = ["main", "proxy", "init"];

/// The rest of a Deployment, or of a kind that looks like one.
pub fn deployment(tree: &mut Tree, name: &str) -> Yaml {
    let spec = template_spec(tree, name);
    map([("spec", spec)])
}

/// The rest of a StatefulSet.
pub fn stateful_set(tree: &mut Tree, name: &str) -> Yaml {
    let mut spec = template_spec(tree, name).with("serviceName", tree.name_of("Service"));
    if tree.random.percent(60) {
        let mut metadata = map([("name", "data".into())]);
        if tree.random.percent(40) {
            metadata = metadata.with("labels", map([("app", name.into())]));
        }
        let claim = map([
            ("metadata", metadata),
            (
                "spec",
                map([("accessModes", Yaml::List(vec!["ReadWriteOnce".into()]))]),
            ),
        ]);
        spec = spec.with("volumeClaimTemplates", Yaml::List(vec![claim]));
    }
    map([("spec", spec)])
}

/// The rest of a CronJob.
pub fn cron_job(tree: &mut Tree, name: &str) -> Yaml {
    let job = map([("spec", map([("template", template(tree, name))]))]);
    map([(
        "spec",
        map([("schedule", "'*/5 * * * *'".into()), ("jobTemplate", job)]),
    )])
}

fn template_spec(tree: &mut Tree, name: &str) -> Yaml {
    let mut spec = map([]);
    if tree.random.percent(60) {
        spec = spec.with("replicas", tree.random.pick(&["1", "2", "\"3\"", "0"]));
    }
    if tree.random.percent(85) {
        let mut selector = map([("matchLabels", map([("app", name.into())]))]);
        if tree.random.percent(8) {
            selector = selector.with("matchExpressions", Yaml::List(vec![]));
        }
        spec = spec.with("selector", selector);
    }
    if tree.random.percent(12) {
        spec = spec.with(
            "strategy",
            map([("rollingUpdate", map([("maxSurge", "1".into())]))]),
        );
    }
    spec.with("template", template(tree, name))
}

fn template(tree: &mut Tree, name: &str) -> Yaml {
    let mut metadata = map([]);
    if tree.random.percent(85) {
        metadata = metadata.with("labels", map([("app", name.into())]));
    }
    if tree.random.percent(25) {
        let note = string_value(&mut tree.random);
        metadata = metadata.with("annotations", map([("note", note.into())]));
    }
    map([("metadata", metadata), ("spec", pod(tree))])
}

fn pod(tree: &mut Tree) -> Yaml {
    let count = 1 + tree.random.below(2);
    let containers = CONTAINERS[..count]
        .iter()
        .map(|name| container(tree, name))
        .collect();
    let mut pod = map([("containers", Yaml::List(containers))]);
    if tree.random.percent(25) {
        let init = container(tree, "init");
        pod = pod.with("initContainers", Yaml::List(vec![init]));
    }
    if tree.random.percent(40) {
        pod = pod.with("serviceAccountName", tree.name_of("ServiceAccount"));
    }
    if tree.random.percent(15) {
        let pull = map([("name", tree.name_of("Secret").into())]);
        pod = pod.with("imagePullSecrets", Yaml::List(vec![pull]));
    }
    if tree.random.percent(50) {
        let volumes = (0..1 + tree.random.below(3)).map(|at| volume(tree, at)).collect();
        pod = pod.with("volumes", Yaml::List(volumes));
    }
    match tree.random.below(30) {
        0 => pod.with(
            "tolerations",
            Yaml::List(vec![map([("key", "a".into()), ("operator", "Exists".into())])]),
        ),
        1 => pod.with("nodeSelector", map([("disk", "ssd".into())])),
        _ => pod,
    }
}

fn volume(tree: &mut Tree, at: usize) -> Yaml {
    let volume = map([("name", format!("v{at}").into())]);
    match tree.random.below(5) {
        0 => volume.with("configMap", map([("name", tree.name_of("ConfigMap").into())])),
        1 => volume.with("secret", map([("secretName", tree.name_of("Secret").into())])),
        2 => {
            let claim = map([("claimName", tree.name_of("PersistentVolumeClaim").into())]);
            volume.with("persistentVolumeClaim", claim)
        }
        3 => {
            let sources = ["configMap", "secret"].map(|field| {
                let kind = if field == "secret" { "Secret" } else { "ConfigMap" };
                map([(field, map([("name", tree.name_of(kind).into())]))])
            });
            volume.with("projected", map([("sources", Yaml::List(sources.into()))]))
        }
        _ => volume.with("emptyDir", map([])),
    }
}

fn container(tree: &mut Tree, name: &str) -> Yaml {
    let mut container = map([("name", name.into())]);
    if tree.random.percent(95) {
        container = container.with("image", tree.random.pick(&IMAGES));
    }
    if tree.random.percent(50) {
        let env = (0..1 + tree.random.below(3))
            .map(|at| variable(tree, at))
            .collect();
        container = container.with("env", Yaml::List(env));
    }
    if tree.random.percent(25) {
        let (field, kind) = tree
            .random
            .pick(&[("configMapRef", "ConfigMap"), ("secretRef", "Secret")]);
        let from = map([(field, map([("name", tree.name_of(kind).into())]))]);
        container = container.with("envFrom", Yaml::List(vec![from]));
    }
    if tree.random.percent(30) {
        let port = map([("containerPort", "8080".into()), ("name", "http".into())]);
        let ports = match tree.random.percent(20) {
            true => vec![
                port,
                map([("containerPort", "8080".into()), ("protocol", "UDP".into())]),
            ],
            false => vec![port],
        };
        container = container.with("ports", Yaml::List(ports));
    }
    if tree.random.percent(30) {
        let command = [string_value(&mut tree.random), "--flag=$(VAR)".to_owned()];
        container = container.with("args", Yaml::List(command.map(Yaml::from).into()));
    }
    if tree.random.percent(20) {
        let limits = map([("cpu", "1".into()), ("memory", "1.5Gi".into())]);
        container = container.with("resources", map([("limits", limits)]));
    }
    container
}

fn variable(tree: &mut Tree, at: usize) -> Yaml {
    let variable = map([("name", format!("V{at}").into())]);
    let from = match tree.random.below(4) {
        0 => ("configMapKeyRef", "ConfigMap"),
        1 => ("secretKeyRef", "Secret"),
        2 => return variable.with("value", "$(VAR)-$$(VAR)"),
        _ => return variable.with("value", scalar(&mut tree.random)),
    };
    let reference = map([("name", tree.name_of(from.1).into()), ("key", "a".into())]);
    variable.with("valueFrom", map([(from.0, reference)]))
}
