//! Fields: what a kustomization changes about its objects, as random subsets of all its fields.

use super::scalars::{key, string_value};
use super::tree::{NAMESPACES, Tree, indented};
use super::{generators, patches, plugins};

/// Adds one field.
type Add = fn(&mut Tree);

/// Adds fields to the kustomization of the layer.
pub fn add(tree: &mut Tree, is_top: bool) {
    generators::add(tree);
    patches::add(tree);
    let all: [(usize, Add); 17] = [
        (25, |tree| tree.field("namePrefix: pre-\n")),
        (12, |tree| tree.field("nameSuffix: -suf\n")),
        (25, namespace),
        (15, common_labels),
        (20, labels),
        (12, common_annotations),
        (25, images),
        (15, replicas),
        (25, replacements),
        (8, vars),
        (10, plugins::transformer),
        (4, plugins::generator),
        (3, plugins::validator),
        (5, configurations),
        (4, plugins::definition),
        (4, plugins::schema),
        (10, build_metadata),
    ];
    for (chance, add) in all {
        if tree.random.percent(chance) {
            add(tree);
        }
    }
    if tree.random.percent(if is_top { 35 } else { 5 }) {
        sort_options(tree);
    }
}

fn namespace(tree: &mut Tree) {
    let name = tree.random.pick(&NAMESPACES);
    tree.field(format!("namespace: {name}\n"));
}

/// Pairs whose values are strings by YAML 1.1 too.
fn pairs(tree: &mut Tree, indent: usize) -> String {
    let mut out = String::new();
    let key = if tree.random.percent(40) {
        "app".to_owned()
    } else {
        key(&mut tree.random)
    };
    for key in [key, "example.com/extra".to_owned()]
        .iter()
        .take(1 + tree.random.below(2))
    {
        out.push_str(&format!("{key}: {}\n", string_value(&mut tree.random)));
    }
    indented(&out, indent)
}

fn common_labels(tree: &mut Tree) {
    let pairs = pairs(tree, 2);
    tree.field(format!("commonLabels:\n{pairs}"));
}

fn common_annotations(tree: &mut Tree) {
    let pairs = pairs(tree, 2);
    tree.field(format!("commonAnnotations:\n{pairs}"));
}

fn labels(tree: &mut Tree) {
    for _ in 0..1 + tree.random.below(2) {
        let mut text = format!("- pairs:\n{}", pairs(tree, 4));
        for option in [
            "includeSelectors",
            "includeTemplates",
            "includeVolumeClaimTemplates",
        ] {
            if tree.random.percent(30) {
                text.push_str(&format!("  {option}: true\n"));
            }
        }
        if tree.random.percent(15) {
            text.push_str("  fields:\n  - path: spec/extra/labels\n    kind: Foo\n    create: true\n");
        }
        tree.item("labels", text);
    }
}

fn images(tree: &mut Tree) {
    for _ in 0..1 + tree.random.below(2) {
        let name = tree.random.pick(&[
            "nginx",
            "redis",
            "my.image",
            "registry.example.com:5000/team/app",
            "library/nginx",
            "'.*'",
        ]);
        let change = tree.random.pick(&[
            "  newTag: \"2\"\n",
            "  newTag: v2\n  newName: other/name\n",
            "  newName: example.com:80/x\n",
            "  digest: sha256:0123\n",
            "  newTag: v3\n  digest: sha256:0123\n",
            "  tagSuffix: -alpine\n",
            "",
        ]);
        tree.item("images", format!("- name: {name}\n{change}"));
    }
}

fn replicas(tree: &mut Tree) {
    let kind = tree.random.pick(&["Deployment", "StatefulSet"]);
    // A name that nobody has fails the build; most should not.
    if tree.objects.iter().any(|object| object.kind == kind) {
        let name = tree.name_of(kind);
        let count = tree.random.below(9);
        tree.item("replicas", format!("- name: {name}\n  count: {count}\n"));
    }
}

/// A field that objects of a kind mostly have.
fn path(tree: &mut Tree, kind: &str) -> &'static str {
    match (kind, tree.random.below(5)) {
        (_, 0) => "metadata.namespace",
        ("Deployment" | "StatefulSet", 1) => "spec.replicas",
        ("Deployment" | "StatefulSet" | "DaemonSet", 2) => "spec.template.spec.containers.[name=main].image",
        ("Deployment" | "StatefulSet" | "DaemonSet", 3) => "spec.template.spec.containers.*.image",
        ("Deployment" | "StatefulSet", 4) => "spec.selector.matchLabels.app",
        ("ConfigMap", 1) => "data.a",
        ("ConfigMap", 2) => "data.[config.yaml]",
        ("ConfigMap", 3) => "data.[config.yaml].a",
        ("Foo", 1) => "spec.a",
        (_, 1) => "metadata.labels.app",
        _ => "metadata.name",
    }
}

fn replacements(tree: &mut Tree) {
    for _ in 0..1 + tree.random.below(2) {
        let item = replacement(tree);
        if tree.random.percent(15) {
            let file = tree.file("replacement");
            tree.document(&file, item);
            tree.item("replacements", format!("- path: {file}\n"));
        } else {
            tree.item("replacements", item);
        }
    }
}

/// One replacement, as an item of a list.
pub fn replacement(tree: &mut Tree) -> String {
    let source = source(tree);
    let to = tree.some_object();
    let select = match tree.random.below(5) {
        0 => format!("      name: {}\n", to.name),
        1 => "      kind: Deployment|ConfigMap\n".to_owned(),
        _ => format!("      kind: {}\n", to.kind),
    };
    let reject = match tree.random.below(8) {
        0 => "    reject:\n    - name: a.*\n",
        1 => "    reject:\n    - labelSelector: app=web\n    - kind: Foo|Secret\n      version: v1\n",
        _ => "",
    };
    let path = match tree.random.below(3) {
        0 => path(tree, to.kind),
        1 => "metadata.annotations.[example.com/copied]",
        _ => "metadata.labels.app",
    };
    let options = match tree.random.percent(85) {
        true => "    options:\n      create: true\n".to_owned(),
        false => field_options(tree, "    "),
    };
    let item =
        format!("{source}  targets:\n  - select:\n{select}{reject}    fieldPaths:\n    - {path}\n{options}");
    format!("-{}", &item[1..])
}

fn source(tree: &mut Tree) -> String {
    if tree.random.percent(15) {
        return format!("  sourceValue: {}\n", string_value(&mut tree.random));
    }
    let from = tree.some_object();
    let path = if tree.random.percent(10) {
        path(tree, from.kind)
    } else {
        "metadata.name"
    };
    let options = field_options(tree, "    ");
    format!(
        "  source:\n    kind: {}\n    name: {}\n    fieldPath: {path}\n{options}",
        from.kind, from.name
    )
}

fn field_options(tree: &mut Tree, indent: &str) -> String {
    match tree.random.below(5) {
        0 => {
            let delimiter = tree.random.pick(&["\":\"", "\"-\"", "/", "."]);
            let index = tree.random.pick(&["0", "0", "0", "0", "1", "-1"]);
            format!("{indent}options:\n{indent}  delimiter: {delimiter}\n{indent}  index: {index}\n")
        }
        _ => String::new(),
    }
}

fn vars(tree: &mut Tree) {
    let object = tree.some_object();
    let path = match tree.random.below(3) {
        0 => format!("  fieldref:\n    fieldpath: {}\n", path(tree, object.kind)),
        _ => String::new(),
    };
    tree.item(
        "vars",
        format!(
            "- name: VAR\n  objref:\n    apiVersion: {}\n    kind: {}\n    name: {}\n{path}",
            object.api_version, object.kind, object.name
        ),
    );
}

fn configurations(tree: &mut Tree) {
    let text = tree.random.pick(&[
        "namePrefix:\n- path: spec/a\n  kind: Foo\n",
        "nameReference:\n- kind: ConfigMap\n  fieldSpecs:\n  - path: spec/a\n    kind: Foo\n",
        "commonLabels:\n- path: spec/labels\n  kind: Foo\n  create: true\n",
        "images:\n- path: spec/a\n  kind: Foo\n",
        "varReference:\n- path: spec/a\n  kind: Foo\n",
        "namespace:\n- path: spec/namespace\n  kind: Foo\n  create: true\n",
    ]);
    let file = tree.file("configuration");
    tree.document(&file, text);
    tree.item("configurations", format!("- {file}\n"));
}

fn build_metadata(tree: &mut Tree) {
    let options = tree.random.pick(&[
        "originAnnotations",
        "transformerAnnotations",
        "managedByLabel",
        "originAnnotations, managedByLabel",
        "originAnnotations, transformerAnnotations",
    ]);
    tree.field(format!("buildMetadata: [{options}]\n"));
}

fn sort_options(tree: &mut Tree) {
    let text = tree.random.pick(&[
        "  order: fifo\n",
        "  order: fifo\n",
        "  order: legacy\n",
        "  order: legacy\n  legacySortOptions:\n    orderFirst: [Service, Foo]\n    orderLast: [ConfigMap]\n",
        "  order: legacy\n  legacySortOptions:\n    orderFirst: []\n    orderLast: []\n",
    ]);
    tree.field(format!("sortOptions:\n{text}"));
}
