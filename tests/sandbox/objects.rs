//! Objects: random ones of kinds that no controller of a real cluster touches.

use serde_json::{Map, Value, json};

use crate::render::random::Random;

/// A kind of the test.
#[derive(Clone, Debug)]
pub struct Kind {
    pub api_version: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
}

/// The group of the custom kind.
pub const GROUP: &str = "differential.example.com";

pub const KINDS: [Kind; 8] = [
    mk_kind("v1", "ConfigMap", "configmaps"),
    mk_kind("v1", "Secret", "secrets"),
    mk_kind("v1", "PodTemplate", "podtemplates"),
    mk_kind("v1", "PodTemplate", "podtemplates"),
    mk_kind("networking.k8s.io/v1", "Ingress", "ingresses"),
    mk_kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    mk_kind("rbac.authorization.k8s.io/v1", "Role", "roles"),
    mk_kind("differential.example.com/v1", "Widget", "widgets"),
];

const fn mk_kind(api_version: &'static str, kind: &'static str, plural: &'static str) -> Kind {
    Kind {
        api_version,
        kind,
        plural,
    }
}

// === impl Kind ===

impl Kind {
    /// The path of its objects in a namespace.
    pub fn collection(&self, namespace: &str) -> String {
        let root = if self.api_version == "v1" { "api" } else { "apis" };
        format!(
            "/{root}/{}/namespaces/{namespace}/{}",
            self.api_version, self.plural
        )
    }
}

/// A whole object, mostly a right one.
pub fn object(random: &mut Random, kind: &Kind, name: &str) -> Value {
    let mut object = content(random, kind);
    let mut metadata = metadata(random);
    metadata["name"] = name.into();
    object["metadata"] = metadata;
    object["apiVersion"] = kind.api_version.into();
    object["kind"] = kind.kind.into();
    if random.percent(4) {
        object["bogus"] = 1.into();
    }
    object
}

/// A merge patch.
pub fn patch(random: &mut Random, kind: &Kind) -> Value {
    let mut patch = content(random, kind);
    if random.percent(60) {
        patch["metadata"] = metadata(random);
    }
    if random.percent(20) {
        patch["metadata"]["labels"] = Value::Null;
    }
    patch
}

/// A strategic merge patch with directives.
pub fn strategic(random: &mut Random, kind: &Kind) -> Value {
    let mut patch = patch(random, kind);
    if kind.kind == "PodTemplate" {
        let spec = &mut patch["template"]["spec"];
        match random.below(4) {
            0 => spec["containers"] = json!([{ "name": "y", "$patch": "delete" }]),
            1 => spec["containers"] = json!([{ "$patch": "replace" }, { "name": "z", "image": "z" }]),
            2 => spec["$setElementOrder/containers"] = json!([{ "name": "y" }, { "name": "x" }]),
            _ => {
                spec["containers"] =
                    json!([{ "name": "x", "image": "w", "env": [{ "name": "A", "$patch": "delete" }] }])
            }
        }
    } else if random.percent(30) {
        patch["metadata"] = json!({ "$deleteFromPrimitiveList/finalizers": ["example.com/one"] });
    }
    patch
}

/// An RFC 6902 patch; its paths may not be there.
pub fn json_patch(random: &mut Random) -> Value {
    let path = random.pick(&[
        "/metadata/labels/app",
        "/metadata/annotations",
        "/metadata/labels",
        "/data/k",
    ]);
    match random.below(4) {
        0 => json!([{ "op": "remove", "path": path }]),
        1 => json!([{ "op": "test", "path": path, "value": "x" }]),
        2 => json!([{ "op": "add", "path": "/metadata/labels", "value": { "app": "y" } }]),
        _ => json!([{ "op": "replace", "path": path, "value": { "p": "q" } }]),
    }
}

fn metadata(random: &mut Random) -> Value {
    let mut metadata = json!({});
    if random.percent(50) {
        metadata["labels"] = words(random, &["app", "tier"]);
    }
    if random.percent(25) {
        metadata["annotations"] = words(random, &["note", "example.com/why"]);
    }
    if random.percent(8) {
        metadata["finalizers"] = json!(["example.com/one"]);
    }
    if random.percent(3) {
        metadata["labels"] = json!({ "not allowed": "x" });
    }
    metadata
}

/// A map of some of these keys.
fn words(random: &mut Random, keys: &[&str]) -> Value {
    let mut map = Map::new();
    for key in keys {
        if random.percent(60) {
            map.insert((*key).to_owned(), random.pick(&["x", "y", "z", ""]).into());
        }
    }
    Value::Object(map)
}

fn content(random: &mut Random, kind: &Kind) -> Value {
    match kind.kind {
        "ConfigMap" => {
            let mut object = json!({ "data": words(random, &["k", "l", "m"]) });
            if random.percent(10) {
                object["immutable"] = false.into();
            }
            object
        }
        "Secret" => json!({ "stringData": words(random, &["k", "l"]) }),
        "PodTemplate" => json!({ "template": template(random) }),
        "Ingress" => json!({ "spec": ingress(random) }),
        "NetworkPolicy" => json!({ "spec": network_policy(random) }),
        "Role" => json!({ "rules": rules(random) }),
        _ => json!({ "spec": widget(random) }),
    }
}

fn template(random: &mut Random) -> Value {
    let mut containers = Vec::new();
    for name in ["x", "y", "z"] {
        if name == "x" || random.percent(35) {
            containers.push(container(random, name));
        }
    }
    let mut spec = json!({ "containers": containers });
    if random.percent(30) {
        spec["volumes"] =
            json!([{ "name": "v", "emptyDir": {} }, { "name": "w", "configMap": { "name": "c" } }]);
    }
    if random.percent(20) {
        spec["tolerations"] = json!([{ "key": "k", "operator": "Exists" }]);
    }
    if random.percent(20) {
        spec["nodeSelector"] = words(random, &["a", "b"]);
    }
    if random.percent(20) {
        spec["hostNetwork"] = false.into();
    }
    json!({ "metadata": { "labels": words(random, &["app"]) }, "spec": spec })
}

fn container(random: &mut Random, name: &str) -> Value {
    let mut container =
        json!({ "name": name, "image": random.pick(&["web:1", "web:2", "web", "web:latest"]) });
    if random.percent(50) {
        let all = [
            json!({ "name": "A", "value": random.pick(&["1", "2", ""]) }),
            json!({ "name": "B", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }),
            json!({ "name": "C", "value": "3" }),
        ];
        container["env"] = some(random, &all);
    }
    if random.percent(40) {
        let all = [
            json!({ "containerPort": 80 }),
            json!({ "containerPort": 80, "protocol": "UDP" }),
            json!({ "containerPort": 81, "name": "http" }),
        ];
        container["ports"] = some(random, &all);
    }
    if random.percent(30) {
        let cpu = random.pick(&[json!("500m"), json!("0.5"), json!(1), json!("1000m")]);
        container["resources"] =
            json!({ "requests": { "cpu": cpu, "memory": random.pick(&["1Gi", "1024Mi", "100M"]) } });
    }
    if random.percent(30) {
        container["args"] = random.pick(&[json!(["a"]), json!(["a", "b"]), json!([])]);
    }
    if random.percent(20) {
        container["livenessProbe"] =
            json!({ "httpGet": { "path": "/", "port": random.pick(&[json!(80), json!("http")]) } });
    }
    container
}

fn some(random: &mut Random, all: &[Value]) -> Value {
    all.iter().filter(|_| random.percent(60)).cloned().collect()
}

fn ingress(random: &mut Random) -> Value {
    let mut rules = Vec::new();
    for host in ["a.example.com", "b.example.com"] {
        if random.percent(70) {
            let backend =
                json!({ "service": { "name": random.pick(&["s", "t"]), "port": { "number": 80 } } });
            let path =
                json!({ "path": "/", "pathType": random.pick(&["Prefix", "Exact"]), "backend": backend });
            rules.push(json!({ "host": host, "http": { "paths": [path] } }));
        }
    }
    let mut spec = json!({ "rules": rules });
    if spec["rules"] == json!([]) || random.percent(40) {
        spec["defaultBackend"] = json!({ "service": { "name": "s", "port": { "name": "http" } } });
    }
    if random.percent(20) {
        spec["tls"] = json!([{ "hosts": ["a.example.com"], "secretName": "t" }]);
    }
    spec
}

fn network_policy(random: &mut Random) -> Value {
    // An empty map of labels is another one than none to the count of generations, though it reads alike.
    let mut spec = json!({ "podSelector": { "matchLabels": { "app": random.pick(&["x", "y"]) } } });
    if random.percent(50) {
        spec["ingress"] = json!([{ "ports": [{ "port": random.pick(&[json!(80), json!("http")]) }] }]);
    }
    if random.percent(30) {
        spec["policyTypes"] = json!(["Ingress", "Egress"]);
    }
    spec
}

fn rules(random: &mut Random) -> Value {
    let verbs = random.pick(&[json!(["get"]), json!(["get", "list"])]);
    random.pick(&[
        json!([]),
        json!([{ "apiGroups": [""], "resources": ["pods"], "verbs": verbs.clone() }]),
        json!([{ "apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["a"], "verbs": verbs }]),
    ])
}

fn widget(random: &mut Random) -> Value {
    let mut spec =
        json!({ "size": random.pick(&[json!(1), json!(2), json!(1), json!(2), json!(0), json!("x")]) });
    if random.percent(40) {
        let all = [
            json!({ "port": 1 }),
            json!({ "port": 2, "mode": "b" }),
            json!({ "port": 3 }),
        ];
        spec["ports"] = some(random, &all);
    }
    if random.percent(40) {
        spec["tags"] = some(random, &[json!("a"), json!("b"), json!("c")]);
    }
    if random.percent(30) {
        spec["free"] = json!({ "a": { "b": random.below(3) }, "list": some(random, &[json!(1), json!(2)]) });
    }
    if random.percent(5) {
        spec["bogus"] = true.into();
    }
    spec
}

/// The definition of the custom kind.
pub fn definition() -> Value {
    let port = json!({ "type": "object", "required": ["port"], "properties": {
        "port": { "type": "integer" },
        "mode": { "type": "string", "enum": ["a", "b"], "default": "a" },
    }});
    let spec = json!({ "type": "object", "required": ["size"], "properties": {
        "size": { "type": "integer", "minimum": 1 },
        "replicas": { "type": "integer", "default": 2 },
        "ports": { "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port"], "items": port },
        "tags": { "type": "array", "x-kubernetes-list-type": "set", "items": { "type": "string" } },
        "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
    }});
    let schema = json!({ "type": "object", "properties": { "spec": spec } });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("widgets.{GROUP}") },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": { "plural": "widgets", "kind": "Widget" },
            "versions": [
                { "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema } },
            ],
        },
    })
}
