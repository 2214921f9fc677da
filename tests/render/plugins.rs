//! Plugins: builtin generators, transformers and validators with a configuration of their own, and the files that
//! describe types of the user's: CRD definitions and OpenAPI schemas.

use super::fields::replacement;
use super::scalars::string_value;
use super::tree::{Object, Tree, indented};

/// Adds a transformer, inline or in a file.
pub fn transformer(tree: &mut Tree) {
    let head = |kind: &str| format!("apiVersion: builtin\nkind: {kind}\nmetadata:\n  name: own\n");
    let text = match tree.random.below(14) {
        0 => head("PrefixTransformer") + "prefix: t-\nfieldSpecs:\n- path: metadata/name\n",
        1 => {
            head("SuffixTransformer") + "suffix: -t\nfieldSpecs:\n- path: metadata/name\n  kind: ConfigMap\n"
        }
        2 => {
            head("LabelTransformer")
                + "labels:\n  own: t\nfieldSpecs:\n- path: metadata/labels\n  create: true\n"
        }
        3 => {
            let value = string_value(&mut tree.random);
            head("AnnotationsTransformer")
                + &format!(
                    "annotations:\n  own: {value}\nfieldSpecs:\n- path: metadata/annotations\n  create: true\n"
                )
        }
        4 => head("ImageTagTransformer") + "imageTag:\n  name: nginx\n  newTag: t\n",
        5 => {
            head("ImageTagTransformer")
                + "imageTag:\n  name: nginx\n  digest: sha256:99\nfieldSpecs:\n- path: spec/a\n"
        }
        6 => {
            head("NamespaceTransformer").replace("name: own\n", "name: own\n  namespace: own\n")
                + "unsetOnly: true\n"
        }
        7 => {
            let subjects = tree.random.pick(&["none", "defaultOnly", "allServiceAccounts"]);
            head("NamespaceTransformer").replace("name: own\n", "name: own\n  namespace: own\n")
                + &format!(
                    "setRoleBindingSubjects: {subjects}\nfieldSpecs:\n- path: metadata/namespace\n  create: true\n"
                )
        }
        8 => {
            let fields = "fieldSpecs:\n- path: spec/replicas\n  kind: Deployment\n  create: true\n";
            head("ReplicaCountTransformer")
                + &format!(
                    "replica:\n  name: {}\n  count: 3\n{fields}",
                    tree.name_of("Deployment")
                )
        }
        9 => head("ReplacementTransformer") + &format!("replacements:\n{}", replacement(tree)),
        10 => {
            let path = tree.random.pick(&[
                "metadata/annotations/added",
                "metadata/namespace",
                "metadata/labels/app",
            ]);
            head("ValueAddTransformer") + &format!("value: own\ntargets:\n- fieldPath: {path}\n")
        }
        11 => {
            let operation = "- {op: add, path: /metadata/annotations, value: {own: t}}";
            head("PatchTransformer")
                + &format!("patch: |-\n  {operation}\ntarget:\n  kind: ConfigMap|Service\n")
        }
        12 => {
            head("PatchStrategicMergeTransformer")
                + &format!("patches: |-\n{}", indented(&note(&tree.some_object()), 2))
        }
        _ => head("HashTransformer"),
    };
    add(tree, "transformers", &text);
}

/// A merge that adds an annotation to an object.
fn note(object: &Object) -> String {
    let namespace = object
        .namespace
        .map(|name| format!("  namespace: {name}\n"))
        .unwrap_or_default();
    let Object {
        api_version,
        kind,
        name,
        ..
    } = object;
    format!(
        "apiVersion: {api_version}\nkind: {kind}\nmetadata:\n  name: {name}\n{namespace}  annotations:\n    own: merged\n"
    )
}

/// Adds a generator, inline or in a file.
pub fn generator(tree: &mut Tree) {
    let kind = tree.random.pick(&["ConfigMap", "Secret"]);
    let name = format!("generated-{}", tree.taken.len());
    tree.taken.insert((kind, name.clone()));
    let options = tree.random.pick(&[
        "",
        "options:\n  disableNameSuffixHash: true\n",
        "options:\n  labels:\n    own: label\n  immutable: true\n",
    ]);
    let literal = tree
        .random
        .pick(&["literals:\n- a=1\n- 'b=\"x\"'\n", "literals: ['a=x: y']\n", ""]);
    add(
        tree,
        "generators",
        &format!("apiVersion: builtin\nkind: {kind}Generator\nmetadata:\n  name: {name}\n{options}{literal}"),
    );
    tree.objects.push(Object {
        api_version: "v1",
        kind,
        name,
        namespace: None,
    });
}

/// Adds a validator that changes nothing but its own mark.
pub fn validator(tree: &mut Tree) {
    let text = "apiVersion: builtin\nkind: LabelTransformer\nmetadata:\n  name: check\nlabels:\n  validated-by: check\n\
                fieldSpecs:\n- path: metadata/labels\n  create: true\n";
    add(tree, "validators", text);
}

fn add(tree: &mut Tree, list: &'static str, text: &str) {
    if tree.random.percent(50) {
        tree.item(list, format!("- |-\n{}", indented(text, 2)));
    } else {
        let file = tree.file("plugin");
        tree.document(&file, text);
        tree.item(list, format!("- {file}\n"));
    }
}

/// Adds a definition of the type Foo, whose fields refer to others.
pub fn definition(tree: &mut Tree) {
    let field = tree.random.pick(&[
        r#""x-kubernetes-label-selector": """#,
        r#""x-kubernetes-annotation": """#,
        r#""x-kubernetes-identity": """#,
        r#""x-kubernetes-object-ref-api-version": "v1", "x-kubernetes-object-ref-kind": "ConfigMap""#,
    ]);
    let text = format!(
        r##"{{
  "example.com/v1.Foo": {{"Schema": {{"properties": {{
    "apiVersion": {{}}, "kind": {{}}, "metadata": {{}}, "spec": {{"$ref": "example.com/v1.FooSpec"}}}}}}}},
  "example.com/v1.FooSpec": {{"Schema": {{"properties": {{"a": {{{field}}}, "x": {{{field}}}}}}}}}
}}
"##
    );
    let file = tree.file("definition");
    tree.document(&file, text);
    tree.item("crds", format!("- {file}\n"));
}

/// Adds a schema of the type Foo, or names the builtin one.
pub fn schema(tree: &mut Tree) {
    if tree.random.percent(20) {
        return tree.field("openapi:\n  version: v1.21.2\n");
    }
    let list = tree.random.pick(&[
        r#""x-kubernetes-patch-merge-key": "name", "x-kubernetes-patch-strategy": "merge""#,
        r#""x-kubernetes-patch-strategy": "merge""#,
        r#""x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]"#,
        r#""x-kubernetes-list-type": "set""#,
    ]);
    let text = format!(
        r##"{{"definitions": {{"example.v1.Foo": {{
  "type": "object",
  "properties": {{"spec": {{"type": "object", "properties": {{
    "a": {{"type": "array", {list}, "items": {{"type": "object"}}}},
    "x": {{"type": "array", {list}, "items": {{"type": "object"}}}}}}}}}},
  "x-kubernetes-group-version-kind": [{{"group": "example.com", "version": "v1", "kind": "Foo"}}]}}}}}}
"##
    );
    let file = tree.file("schema");
    tree.document(&file, text);
    tree.field(format!("openapi:\n  path: {file}\n"));
}
