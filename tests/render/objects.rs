//! Objects: resources of many kinds, which refer to each other by name.

use super::scalars::{key, quoted, scalar, string, string_value};
use super::tree::{NAMES, NAMESPACES, Object, Tree};
use super::workloads;
use super::yaml::{Yaml, map};

/// A kind, how often it is taken, and the rest of such an object.
type Kind = (&'static str, &'static str, usize, fn(&mut Tree, &str) -> Yaml);

const KINDS: [Kind; 24] = [
    ("apps/v1", "Deployment", 12, workloads::deployment),
    ("apps/v1", "StatefulSet", 6, workloads::stateful_set),
    ("apps/v1", "DaemonSet", 2, workloads::deployment),
    ("batch/v1", "CronJob", 3, workloads::cron_job),
    ("batch/v1", "Job", 2, workloads::deployment),
    ("v1", "Service", 8, service),
    ("v1", "ConfigMap", 12, config_map),
    ("v1", "Secret", 6, secret),
    ("v1", "ServiceAccount", 4, |_, _| map([])),
    ("v1", "PersistentVolumeClaim", 2, |_, _| {
        map([(
            "spec",
            map([("accessModes", Yaml::List(vec!["ReadWriteOnce".into()]))]),
        )])
    }),
    ("v1", "Namespace", 2, |_, _| map([])),
    ("rbac.authorization.k8s.io/v1", "Role", 3, role),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", 2, role),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", 3, binding),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", 3, binding),
    ("networking.k8s.io/v1", "Ingress", 4, ingress),
    ("networking.k8s.io/v1", "NetworkPolicy", 3, network_policy),
    ("autoscaling/v2", "HorizontalPodAutoscaler", 3, autoscaler),
    ("policy/v1", "PodDisruptionBudget", 2, |_, name| {
        let selector = map([("matchLabels", map([("app", name.into())]))]);
        map([(
            "spec",
            map([("minAvailable", "1".into()), ("selector", selector)]),
        )])
    }),
    (
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        2,
        webhook,
    ),
    (
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        2,
        definition,
    ),
    ("cert-manager.io/v1", "ClusterIssuer", 1, |tree, _| {
        map([("spec", free(tree, 2))])
    }),
    ("example.com/v1", "Foo", 8, |tree, _| {
        map([("spec", entries(tree, 3))])
    }),
    ("example.com/v1beta1", "Foo", 2, |tree, _| {
        map([("spec", entries(tree, 3)), ("status", free(tree, 2))])
    }),
];

/// Adds files with objects to the layer.
pub fn add(tree: &mut Tree) {
    for _ in 0..tree.random.below(3) {
        let file = tree.file("objects");
        let mut is_empty = true;
        for _ in 0..1 + tree.random.below(4) {
            let Some(object) = object(tree) else { continue };
            is_empty = false;
            let object = if tree.random.percent(6) {
                list(tree, object)
            } else {
                object
            };
            let text = object.print(&mut tree.random);
            tree.document(&file, text);
            if tree.random.percent(2) {
                tree.document(&file, "# nothing but a comment\n");
            }
        }
        if !is_empty {
            tree.item("resources", format!("- {file}\n"));
        }
    }
}

/// An object, and mostly one whose id nobody has yet.
fn object(tree: &mut Tree) -> Option<Yaml> {
    let total: usize = KINDS.iter().map(|kind| kind.2).sum();
    let mut at = tree.random.below(total);
    let (api_version, kind, _, rest) = *KINDS.iter().find(|kind| {
        let is_it = at < kind.2;
        at = at.saturating_sub(kind.2);
        is_it
    })?;
    let name = tree.random.pick(&NAMES).to_owned();
    let is_new = tree.taken.insert((kind, name.clone()));
    if !is_new && !tree.random.percent(1) {
        return None;
    }
    let namespace = tree.random.percent(25).then(|| tree.random.pick(&NAMESPACES));
    let metadata = metadata(tree, &name, namespace);
    let Yaml::Map(rest) = rest(tree, &name) else {
        return None;
    };
    let mut entries = vec![
        ("apiVersion".to_owned(), Yaml::from(api_version)),
        ("kind".to_owned(), kind.into()),
        ("metadata".to_owned(), metadata),
    ];
    entries.extend(rest);
    tree.objects.push(Object {
        api_version,
        kind,
        name,
        namespace,
    });
    Some(Yaml::Map(entries))
}

fn metadata(tree: &mut Tree, name: &str, namespace: Option<&str>) -> Yaml {
    let mut metadata = map([("name", name.into())]);
    if let Some(namespace) = namespace {
        metadata = metadata.with("namespace", namespace);
    }
    if tree.random.percent(50) {
        let label = if tree.random.percent(80) {
            Yaml::from(name)
        } else {
            scalar(&mut tree.random).into()
        };
        metadata = metadata.with("labels", map([("app", label)]));
    }
    if tree.random.percent(25) {
        let annotations = strings(tree);
        metadata = metadata.with("annotations", annotations);
    }
    match tree.random.below(40) {
        0 => metadata.with("creationTimestamp", "null"),
        1 => metadata.with(
            "finalizers",
            Yaml::List(vec!["example.com/a".into(), "example.com/b".into()]),
        ),
        2 => metadata.with("labels", "null"),
        _ => metadata,
    }
}

/// An object in a List, which is expanded.
fn list(tree: &mut Tree, object: Yaml) -> Yaml {
    let kind = tree.random.pick(&["List", "ConfigMapList", "FooList"]);
    map([
        ("apiVersion", "v1".into()),
        ("kind", kind.into()),
        ("items", Yaml::List(vec![object])),
    ])
}

/// A mapping with any keys and string values; sometimes with values that are none.
fn strings(tree: &mut Tree) -> Yaml {
    let mut entries: Vec<(String, Yaml)> = Vec::new();
    for _ in 0..1 + tree.random.below(4) {
        let key = key(&mut tree.random);
        // A key that is there twice fails at the end of a build.
        if entries.iter().any(|(other, _)| *other == key) {
            continue;
        }
        let value = if tree.random.percent(10) {
            scalar(&mut tree.random)
        } else {
            string_value(&mut tree.random)
        };
        entries.push((key, value.into()));
    }
    Yaml::Map(entries)
}

/// Any tree at all.
pub fn free(tree: &mut Tree, depth: usize) -> Yaml {
    match tree.random.below(if depth == 0 { 5 } else { 10 }) {
        0..5 => scalar(&mut tree.random).into(),
        5 => Yaml::List((0..tree.random.below(4)).map(|_| free(tree, depth - 1)).collect()),
        6 => Yaml::Block(block(tree)),
        _ => entries(tree, depth),
    }
}

/// A mapping of anything.
pub fn entries(tree: &mut Tree, depth: usize) -> Yaml {
    let mut entries: Vec<(String, Yaml)> = Vec::new();
    for _ in 0..tree.random.below(5) {
        let key = key(&mut tree.random);
        if entries.iter().all(|(other, _)| *other != key) {
            entries.push((key, free(tree, depth - 1)));
        }
    }
    Yaml::Map(entries)
}

/// Text for a literal block: it begins with a letter, so that its indentation needs no indicator.
fn block(tree: &mut Tree) -> String {
    let rest: Vec<String> = (0..tree.random.below(5))
        .map(|_| {
            tree.random
                .pick(&["x = 1", "", "  deeper", "# no comment", "end"])
                .to_owned()
        })
        .collect();
    let end = tree.random.pick(&["\n", ""]);
    let text = format!("first: line\n{}", rest.join("\n"));
    format!("{}{end}", text.trim_end_matches('\n'))
}

fn service(tree: &mut Tree, name: &str) -> Yaml {
    let port = map([
        ("port", "80".into()),
        ("targetPort", tree.random.pick(&["http", "8080", "\"80\""]).into()),
    ]);
    let mut spec = map([("ports", Yaml::List(vec![port]))]);
    if tree.random.percent(80) {
        spec = spec.with("selector", map([("app", name.into())]));
    }
    map([("spec", spec)])
}

fn config_map(tree: &mut Tree, _: &str) -> Yaml {
    let mut data = strings(tree);
    if tree.random.percent(30) {
        data = data.with("config.yaml", Yaml::Block(block(tree)));
    }
    let object = map([("data", data)]);
    match tree.random.percent(10) {
        true => object.with("binaryData", map([("b", "aGVsbG8=".into())])),
        false => object,
    }
}

fn secret(tree: &mut Tree, _: &str) -> Yaml {
    let text = string(&mut tree.random);
    let string_data = map([("plain", quoted(&text, &mut tree.random).into())]);
    let object = map([("type", "Opaque".into()), ("stringData", string_data)]);
    match tree.random.percent(50) {
        true => object.with("data", map([("password", "aHVudGVyMg==".into())])),
        false => object,
    }
}

fn role(tree: &mut Tree, _: &str) -> Yaml {
    let names = Yaml::List(vec![
        tree.name_of("ConfigMap").into(),
        tree.name_of("Secret").into(),
    ]);
    let rule = map([
        ("apiGroups", Yaml::List(vec!["\"\"".into()])),
        (
            "resources",
            Yaml::List(vec!["configmaps".into(), "secrets".into()]),
        ),
        ("resourceNames", names),
        ("verbs", Yaml::List(vec!["get".into()])),
    ]);
    map([("rules", Yaml::List(vec![rule]))])
}

fn binding(tree: &mut Tree, _: &str) -> Yaml {
    let kind = tree.random.pick(&["Role", "ClusterRole"]);
    let reference = map([
        ("apiGroup", "rbac.authorization.k8s.io".into()),
        ("kind", kind.into()),
        ("name", tree.name_of(kind).into()),
    ]);
    let account = if tree.random.percent(25) {
        "default".to_owned()
    } else {
        tree.name_of("ServiceAccount")
    };
    let mut subject = map([("kind", "ServiceAccount".into()), ("name", account.into())]);
    if tree.random.percent(60) {
        subject = subject.with("namespace", tree.random.pick(&NAMESPACES));
    }
    let user = map([("kind", "User".into()), ("name", "jane".into())]);
    map([
        ("roleRef", reference),
        ("subjects", Yaml::List(vec![subject, user])),
    ])
}

fn ingress(tree: &mut Tree, name: &str) -> Yaml {
    let service = map([
        ("name", tree.name_of("Service").into()),
        ("port", map([("number", "80".into())])),
    ]);
    let path = map([
        ("path", "/".into()),
        ("pathType", "Prefix".into()),
        ("backend", map([("service", service)])),
    ]);
    let rule = map([
        ("host", format!("{name}.example.com").into()),
        ("http", map([("paths", Yaml::List(vec![path]))])),
    ]);
    let tls = map([("secretName", tree.name_of("Secret").into())]);
    map([(
        "spec",
        map([("rules", Yaml::List(vec![rule])), ("tls", Yaml::List(vec![tls]))]),
    )])
}

fn network_policy(tree: &mut Tree, name: &str) -> Yaml {
    let pods = |name: &str| map([("podSelector", map([("matchLabels", map([("app", name.into())]))]))]);
    let from = pods(&tree.name_of("Deployment"));
    let ingress = map([("from", Yaml::List(vec![from]))]);
    map([("spec", pods(name).with("ingress", Yaml::List(vec![ingress])))])
}

fn autoscaler(tree: &mut Tree, _: &str) -> Yaml {
    let kind = tree.random.pick(&["Deployment", "StatefulSet"]);
    let target = map([
        ("apiVersion", "apps/v1".into()),
        ("kind", kind.into()),
        ("name", tree.name_of(kind).into()),
    ]);
    map([(
        "spec",
        map([("scaleTargetRef", target), ("maxReplicas", "5".into())]),
    )])
}

fn webhook(tree: &mut Tree, _: &str) -> Yaml {
    let service = map([
        ("name", tree.name_of("Service").into()),
        ("namespace", tree.random.pick(&NAMESPACES).into()),
    ]);
    let hook = map([
        ("name", "a.example.com".into()),
        ("clientConfig", map([("service", service)])),
    ]);
    map([("webhooks", Yaml::List(vec![hook]))])
}

fn definition(_: &mut Tree, _: &str) -> Yaml {
    let names = map([("kind", "Foo".into()), ("plural", "foos".into())]);
    map([(
        "spec",
        map([
            ("group", "example.com".into()),
            ("names", names),
            ("scope", "Namespaced".into()),
        ]),
    )])
}
