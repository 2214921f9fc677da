//! Patches: strategic merges and JSON6902 operations that fit the objects of the tree, or nearly.

use super::objects::entries;
use super::scalars::{scalar, string_value};
use super::tree::{Object, Tree, indented};
use super::workloads::CONTAINERS;
use super::yaml::{Yaml, map};

/// Adds patches to the layer, in any of the three fields.
pub fn add(tree: &mut Tree) {
    for _ in 0..tree.random.below(3) {
        match tree.random.below(10) {
            0 => strategic_file(tree),
            1 => json_old(tree),
            2..6 => json(tree),
            _ => strategic(tree),
        }
    }
}

/// `patchesStrategicMerge`, with a file.
fn strategic_file(tree: &mut Tree) {
    let object = tree.some_object();
    let text = merge(tree, &object).print(&mut tree.random);
    let file = tree.file("merge");
    tree.document(&file, text);
    tree.item("patchesStrategicMerge", format!("- {file}\n"));
}

/// `patchesJson6902`.
fn json_old(tree: &mut Tree) {
    let object = tree.some_object();
    let operations = operations(tree, &object);
    let (group, version) = object
        .api_version
        .split_once('/')
        .unwrap_or(("", object.api_version));
    let group = if group.is_empty() {
        String::new()
    } else {
        format!("    group: {group}\n")
    };
    let namespace = object
        .namespace
        .map(|name| format!("    namespace: {name}\n"))
        .unwrap_or_default();
    tree.item(
        "patchesJson6902",
        format!(
            "- target:\n{group}    version: {version}\n    kind: {}\n    name: {}\n{namespace}  patch: |-\n{}",
            object.kind,
            object.name,
            indented(&operations, 4)
        ),
    );
}

/// `patches` with operations, inline or in a file.
fn json(tree: &mut Tree) {
    let object = tree.some_object();
    let operations = operations(tree, &object);
    let target = target(tree, &object);
    place(tree, &operations, &target);
}

/// `patches` with a merge, inline or in a file, with a target or without.
fn strategic(tree: &mut Tree) {
    let object = tree.some_object();
    let text = merge(tree, &object).print(&mut tree.random);
    let target = if tree.random.percent(40) {
        target(tree, &object)
    } else {
        String::new()
    };
    place(tree, &text, &target);
}

fn place(tree: &mut Tree, patch: &str, target: &str) {
    let options = match tree.random.below(12) {
        0 => "  options:\n    allowNameChange: true\n",
        1 if spares_generated(target) => "  options:\n    allowKindChange: true\n",
        _ => "",
    };
    let item = if tree.random.percent(30) {
        let file = tree.file("patch");
        tree.document(&file, patch);
        format!("- path: {file}\n{options}{target}")
    } else {
        format!("- patch: |-\n{}{options}{target}", indented(patch, 4))
    };
    tree.item("patches", item);
}

/// Whether a target meets no ConfigMap or Secret. One that is generated and gets another kind has a hash that covers
/// the reference's parse tree, which is a difference that is known.
fn spares_generated(target: &str) -> bool {
    let kind = target.lines().find_map(|line| line.trim().strip_prefix("kind: "));
    kind.is_some_and(|kind| {
        !["ConfigMap", "Secret", ".*"]
            .iter()
            .any(|meets| kind.contains(meets))
    })
}

/// A target that mostly meets the object.
fn target(tree: &mut Tree, object: &Object) -> String {
    let lines = match tree.random.below(8) {
        0 => format!("    kind: {}\n", object.kind),
        1 => "    kind: Deployment|StatefulSet\n".to_owned(),
        2 => format!("    name: {}.*\n", &object.name[..1]),
        3 => "    labelSelector: app in (web,api)\n".to_owned(),
        4 => "    annotationSelector: note\n    kind: .*\n".to_owned(),
        5 => format!(
            "    labelSelector: app={}\n    kind: {}\n",
            object.name, object.kind
        ),
        6 => format!(
            "    kind: {}\n    namespace: {}\n",
            object.kind,
            object.namespace.unwrap_or("default")
        ),
        _ => format!("    kind: {}\n    name: {}\n", object.kind, object.name),
    };
    format!("  target:\n{lines}")
}

/// A strategic merge of the object.
fn merge(tree: &mut Tree, object: &Object) -> Yaml {
    let mut metadata = map([("name", object.name.as_str().into())]);
    if let Some(namespace) = object.namespace {
        metadata = metadata.with("namespace", namespace);
    }
    if tree.random.percent(35) {
        let value = if tree.random.percent(25) {
            "null".to_owned()
        } else {
            string_value(&mut tree.random)
        };
        let field = tree.random.pick(&["labels", "annotations"]);
        metadata = metadata.with(
            field,
            map([("app", value.into()), ("patched", "\"true\"".into())]),
        );
    }
    let patch = map([
        ("apiVersion", object.api_version.into()),
        ("kind", object.kind.into()),
        ("metadata", metadata),
    ]);
    if tree.random.percent(4) {
        return patch.with("$patch", "delete");
    }
    match object.kind {
        "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => {
            let pod = pod(tree);
            patch.with("spec", map([("template", map([("spec", pod)]))]))
        }
        "ConfigMap" => {
            let value = scalar(&mut tree.random);
            let removed = if tree.random.percent(50) { "null" } else { "kept" };
            patch.with("data", map([("a", value.into()), ("b", removed.into())]))
        }
        "Service" => {
            let port = map([("port", "80".into()), ("name", "http".into())]);
            let other = map([("port", "81".into()), ("name", "more".into())]);
            patch.with("spec", map([("ports", Yaml::List(vec![port, other]))]))
        }
        "Ingress" => patch.with(
            "spec",
            map([("rules", Yaml::List(vec![map([("host", "b.example.com".into())])]))]),
        ),
        "Foo" => {
            let spec = entries(tree, 3);
            patch.with("spec", spec)
        }
        _ => patch,
    }
}

fn pod(tree: &mut Tree) -> Yaml {
    let name = tree.random.pick(&CONTAINERS);
    let mut container = map([("name", name.into())]);
    match tree.random.below(9) {
        0 => container = container.with("$patch", "delete"),
        1 => container = container.with("image", "nginx:patched"),
        2 => container = container.with("env", Yaml::List(vec![])),
        3 => container = container.with("args", Yaml::List(vec!["a".into(), "b".into()])),
        4 => container = container.with("env", "null"),
        5 => container = container.with("resources", map([("limits", map([("cpu", "2".into())]))])),
        6 => {
            let port = map([("containerPort", "8080".into()), ("name", "web".into())]);
            container = container.with("ports", Yaml::List(vec![port]));
        }
        _ => {
            let changed = map([("name", "V0".into()), ("value", scalar(&mut tree.random).into())]);
            let added = map([
                ("name", "NEW".into()),
                ("value", string_value(&mut tree.random).into()),
            ]);
            container = container.with("env", Yaml::List(vec![changed, added]));
        }
    }
    let mut containers = vec![container];
    if tree.random.percent(5) {
        containers.push(map([("$patch", "replace".into())]));
    }
    let mut pod = map([("containers", Yaml::List(containers))]);
    if tree.random.percent(20) {
        let volume = map([("name", "v0".into()), ("emptyDir", map([]))]);
        pod = pod.with("volumes", Yaml::List(vec![volume]));
    }
    match tree.random.below(14) {
        0 => pod.with("tolerations", Yaml::List(vec![])),
        1 => pod.with("serviceAccountName", "null"),
        2 => pod.with("securityContext", map([])),
        _ => pod,
    }
}

/// A list of JSON6902 operations, in YAML or JSON.
fn operations(tree: &mut Tree, object: &Object) -> String {
    let mut out = String::new();
    for _ in 0..1 + tree.random.below(2) {
        let value = scalar(&mut tree.random);
        let has_pods = matches!(object.kind, "Deployment" | "StatefulSet" | "DaemonSet" | "Job");
        let text = match tree.random.below(40) {
            // These two mostly fail, and so does the build.
            0 => "- {op: test, path: /metadata/name, value: web}\n".to_owned(),
            1 => "- {\"op\": \"remove\", \"path\": \"/metadata/labels\"}\n".to_owned(),
            2..6 => format!("- op: add\n  path: /metadata/labels\n  value:\n    app: {value}\n"),
            6..9 => format!("- op: replace\n  path: /metadata/annotations/new\n  value: {value}\n"),
            9..11 => {
                "- op: copy\n  from: /metadata/name\n  path: /metadata/annotations/copied~1name\n".to_owned()
            }
            11..14 if has_pods => {
                format!("- op: add\n  path: /spec/template/spec/containers/0/args\n  value: [{value}, on]\n")
            }
            14..17 if has_pods => {
                "- op: add\n  path: /spec/template/spec/containers/-\n  value: {name: added, image: nginx}\n"
                    .to_owned()
            }
            _ if object.kind == "Foo" => {
                format!("- op: add\n  path: /spec\n  value:\n    x: {value}\n    y: 1.0\n")
            }
            _ => format!("- op: add\n  path: /extra\n  value: {{k: {value}, y: 2}}\n"),
        };
        out.push_str(&text);
    }
    out
}
