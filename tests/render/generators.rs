//! Generators: ConfigMaps and Secrets from literals, files and env files, and what they share.

use super::case::Part;
use super::scalars::{quoted, string};
use super::tree::{NAMES, NAMESPACES, Object, Tree};

/// Contents of files that a generator reads.
const CONTENTS: [&str; 9] = [
    "a=1\nb=2\n",
    "# comment\n\nKEY=value with spaces  \nEMPTY=\n",
    "no newline at the end",
    "",
    "tabs\tand trailing space \nsecond line\n",
    "é 日本 😀\n",
    "\nleading newline\n",
    "{\"json\": true}\n",
    "a very long line that goes on well past the eightieth column so that it would be folded if it could be folded\n",
];

/// Adds generators and their options to the layer.
pub fn add(tree: &mut Tree) {
    for _ in 0..tree.random.below(3) {
        let (list, kind) = tree.random.pick(&[
            ("configMapGenerator", "ConfigMap"),
            ("configMapGenerator", "ConfigMap"),
            ("secretGenerator", "Secret"),
        ]);
        generator(tree, list, kind);
    }
    if tree.random.percent(15) {
        let options = tree.random.pick(&[
            "  disableNameSuffixHash: true\n",
            "  labels:\n    generated: \"true\"\n",
            "  annotations:\n    note: generated\n  immutable: true\n",
        ]);
        tree.field(format!("generatorOptions:\n{options}"));
    }
}

fn generator(tree: &mut Tree, list: &'static str, kind: &'static str) {
    let known: Vec<Object> = tree.objects.iter().filter(|o| o.kind == kind).cloned().collect();
    let mut text;
    if !known.is_empty() && tree.random.percent(35) {
        let object = tree.random.pick(&known);
        let behavior = tree
            .random
            .pick(&["merge", "merge", "merge", "replace", "replace"]);
        text = format!("- name: {}\n  behavior: {behavior}\n", object.name);
        if let Some(namespace) = object.namespace {
            text.push_str(&format!("  namespace: {namespace}\n"));
        }
    } else {
        let name = format!("{}-{}", tree.random.pick(&NAMES), tree.taken.len());
        tree.taken.insert((kind, name.clone()));
        text = format!("- name: {name}\n");
        let namespace = tree.random.percent(10).then(|| tree.random.pick(&NAMESPACES));
        if let Some(namespace) = namespace {
            text.push_str(&format!("  namespace: {namespace}\n"));
        }
        tree.objects.push(Object {
            api_version: "v1",
            kind,
            name,
            namespace,
        });
    }
    sources(tree, &mut text);
    if tree.random.percent(20) {
        text.push_str(tree.random.pick(&[
            "  options:\n    disableNameSuffixHash: true\n",
            "  options:\n    labels:\n      own: label\n    immutable: true\n",
            "  options:\n    annotations:\n      own: note\n",
        ]));
    }
    if kind == "Secret" && tree.random.percent(20) {
        text.push_str("  type: example.com/own\n");
    }
    tree.item(list, text);
}

fn sources(tree: &mut Tree, text: &mut String) {
    if tree.random.percent(70) {
        let literals: Vec<String> = (0..1 + tree.random.below(3))
            .map(|at| literal(tree, at))
            .collect();
        text.push_str(&format!("  literals:\n{}", literals.concat()));
    }
    if tree.random.percent(35) {
        let file = content(tree, "content");
        let key = tree.random.pick(&["", "key.txt=", "other="]);
        text.push_str(&format!("  files:\n  - {key}{file}\n"));
    }
    if tree.random.percent(20) {
        let file = content(tree, "env");
        text.push_str(&format!("  envs:\n  - {file}\n"));
    }
}

fn literal(tree: &mut Tree, at: usize) -> String {
    let value = match tree.random.below(4) {
        0 => string(&mut tree.random),
        _ => tree
            .random
            .pick(&["1", "yes", "'quoted'", "\"twice\"", "", "a=b", "x y "])
            .to_owned(),
    };
    // The letters keep the keys apart, and strings.
    let key = ["l1", "l2", "l.txt"][at];
    format!("  - {}\n", quoted(&format!("{key}={value}"), &mut tree.random))
}

fn content(tree: &mut Tree, stem: &str) -> String {
    let file = tree.file(stem).replace(".yaml", ".txt");
    let text = tree.random.pick(&CONTENTS);
    tree.push(&file, Part::Document, text.to_owned());
    file
}
