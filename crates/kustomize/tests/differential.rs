//! Random kustomizations, built by this crate and by the reference, must come out the same.
//!
//! Needs the binary of kustomize v5.8.2, so it is ignored unless asked for:
//!
//! ```text
//! KUSTOMIZE=/path/to/kustomize cargo test --test differential -- --ignored
//! ```
//!
//! `KUSTOMIZE_CASES` is the number of kustomizations (200).

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use kustomize::{DirFiles, Options, build};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// One layer: the kustomization's fields and the resources of its file.
#[derive(Clone, Debug)]
struct Layer {
    fields: Vec<String>,
    resources: Vec<String>,
}

fn name() -> impl Strategy<Value = &'static str> {
    select(vec!["web", "api", "db", "p-web"])
}

/// Values that YAML readers and printers like to disagree about.
fn value() -> impl Strategy<Value = &'static str> {
    select(vec![
        "a",
        "yes",
        "\"on\"",
        "1",
        "'1'",
        "1.0",
        "0644",
        "~",
        "2020-01-01",
        "'a: b'",
        "x y",
        "é",
        "\"\"",
    ])
}

fn container() -> impl Strategy<Value = String> {
    let image = select(vec![
        "nginx",
        "nginx:1.2",
        "reg:80/a/b:1",
        "nginx@sha256:ab",
        "redis",
    ]);
    (select(vec!["c1", "c2"]), image, proptest::option::of((name(), value()))).prop_map(|(name, image, env)| {
        let mut text = format!("      - name: {name}\n        image: \"{image}\"\n");
        if let Some((reference, value)) = env {
            let _ = write!(
                text,
                "        env:\n        - {{name: A, value: {value}}}\n        - name: B\n          valueFrom: \
                 {{configMapKeyRef: {{name: {reference}, key: k}}}}\n"
            );
        }
        text
    })
}

fn resource() -> impl Strategy<Value = String> {
    let labels = proptest::option::of((select(vec!["app", "tier"]), value()));
    let namespace = proptest::option::of(select(vec!["ns1", "default"]));
    let head = (name(), labels, namespace).prop_map(|(name, labels, namespace)| {
        let mut text = format!("metadata:\n  name: {name}\n");
        if let Some(namespace) = namespace {
            let _ = writeln!(text, "  namespace: {namespace}");
        }
        if let Some((key, value)) = labels {
            let _ = write!(
                text,
                "  labels:\n    {key}: {value}\n  annotations:\n    {key}: {value}\n"
            );
        }
        text
    });
    let body = prop_oneof![
        vec(container(), 1..3).prop_map(|containers| format!(
            "apiVersion: apps/v1\nkind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n{}",
            containers.concat()
        )),
        (value(), value()).prop_map(|(a, b)| format!("apiVersion: v1\nkind: ConfigMap\ndata:\n  k: {a}\n  l: {b}\n")),
        Just("apiVersion: v1\nkind: Service\nspec:\n  ports:\n  - port: 80\n".to_owned()),
        name().prop_map(|name| format!(
            "apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nspec:\n  scaleTargetRef: {{apiVersion: \
             apps/v1, kind: Deployment, name: {name}}}\n"
        )),
        value().prop_map(|value| format!("apiVersion: example.com/v1\nkind: Foo\nspec:\n  x: {value}\n  l: [{{name: a}}]\n")),
    ];
    (body, head).prop_map(|(body, head)| format!("{body}{head}"))
}

fn field() -> impl Strategy<Value = String> {
    let kind = select(vec!["Deployment", "ConfigMap", ".*", "Deployment|Foo"]);
    prop_oneof![
        Just("namePrefix: p-".to_owned()),
        Just("nameSuffix: -s".to_owned()),
        select(vec!["ns1", "ns2"]).prop_map(|ns| format!("namespace: {ns}")),
        Just("commonLabels: {app: common}".to_owned()),
        Just("commonAnnotations: {note: \"true\"}".to_owned()),
        any::<[bool; 2]>().prop_map(|[selectors, templates]| format!(
            "labels:\n- pairs: {{tier: l}}\n  includeSelectors: {selectors}\n  includeTemplates: {templates}"
        )),
        select(vec!["newTag: \"9\"", "newName: other/img", "digest: \"sha256:ff\"", "tagSuffix: -x"])
            .prop_map(|change| format!("images:\n- name: nginx\n  {change}")),
        (name(), value()).prop_map(|(name, value)| format!(
            "configMapGenerator:\n- name: gen-{name}\n  literals: ['k={}', z=1]",
            value.replace('\'', "")
        )),
        (kind.clone(), value()).prop_map(|(kind, value)| format!(
            "patches:\n- target: {{kind: {kind}}}\n  patch: |\n    - {{op: add, path: /metadata/annotations, value: \
             {{patched: {value}}}}}"
        )),
        (kind, value()).prop_map(|(kind, value)| format!(
            "patches:\n- target: {{kind: {kind}}}\n  patch: |\n    apiVersion: v1\n    kind: any\n    metadata: {{name: \
             any, labels: {{merged: {value}}}}}\n    spec: {{x: {value}, extra: [1]}}"
        )),
        Just("sortOptions: {order: fifo}".to_owned()),
    ]
}

fn layer() -> impl Strategy<Value = Layer> {
    (vec(field(), 0..4), vec(resource(), 0..3)).prop_map(|(mut fields, resources)| {
        let key = |field: &String| field.split(':').next().unwrap_or_default().to_owned();
        fields.sort_by_key(key);
        fields.dedup_by_key(|field| key(field));
        Layer { fields, resources }
    })
}

#[test]
#[ignore = "needs KUSTOMIZE, the binary of kustomize v5.8.2"]
fn random_kustomizations_come_out_the_same() {
    let reference = std::env::var("KUSTOMIZE").unwrap();
    let count = std::env::var("KUSTOMIZE_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(200);
    let config = ProptestConfig {
        cases: count,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(layers in vec(layer(), 1..4))| {
        let dir = tempfile::tempdir().unwrap();
        for (at, layer) in layers.iter().enumerate() {
            let below = if at > 0 { format!("- ../l{}\n", at - 1) } else { String::new() };
            let path = dir.path().join(format!("l{at}"));
            fs::create_dir(&path).unwrap();
            fs::write(path.join("r.yaml"), layer.resources.join("---\n")).unwrap();
            let text = format!("resources:\n{below}- r.yaml\n{}\n", layer.fields.join("\n"));
            fs::write(path.join("kustomization.yaml"), text).unwrap();
        }
        let top = format!("l{}", layers.len() - 1);
        let theirs = Command::new(&reference).arg("build").arg(dir.path().join(&top)).output().unwrap();
        let ours = build(&DirFiles::new(dir.path()).unwrap(), &top, &Options::default());
        match ours {
            Ok(built) => {
                prop_assert!(theirs.status.success(), "the reference fails: {}", String::from_utf8_lossy(&theirs.stderr));
                prop_assert_eq!(built.to_yaml(), String::from_utf8_lossy(&theirs.stdout));
            }
            Err(errors) => prop_assert!(!theirs.status.success(), "{errors}"),
        }
    });
}
