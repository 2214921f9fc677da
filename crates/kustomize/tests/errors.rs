//! What a user reads when a build fails: every problem, with its place and a way out.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kustomize::{BuildErrors, MemoryFiles, Options, build};

fn errors(files: &[(&str, &str)]) -> BuildErrors {
    let files: MemoryFiles = files.iter().copied().collect();
    build(&files, "", &Options::default()).unwrap_err()
}

fn shown(files: &[(&str, &str)]) -> Vec<String> {
    errors(files).iter().map(ToString::to_string).collect()
}

#[test]
fn all_independent_problems_are_told_at_once() {
    let found = shown(&[
        (
            "kustomization.yaml",
            "resources:\n- a.yaml\n- b.yaml\n- none.yaml\n- https://example.com/x.yaml\n",
        ),
        ("a.yaml", "kind: A\nmetadata: {name: a}\n---\nkind: B\n"),
        ("b.yaml", "a: [\n"),
    ]);
    assert_eq!(found.len(), 4, "{found:#?}");
    assert_eq!(found[0], "a.yaml:4: missing metadata.name in object of kind B");
    assert!(found[1].starts_with("b.yaml:1: "), "{}", found[1]);
    assert_eq!(
        found[2],
        "kustomization.yaml:4: resources[2]: no such file or directory: none.yaml"
    );
    assert!(
        found[3].starts_with("kustomization.yaml:5: resources[3]: remote resource"),
        "{}",
        found[3]
    );
}

#[test]
fn a_misspelt_field_is_pointed_at() {
    let found = shown(&[(
        "kustomization.yaml",
        "namePrefx: a\nimages:\n- {name: x, newTg: y}\n",
    )]);
    assert_eq!(
        found,
        [
            "kustomization.yaml:1: namePrefx: unknown field \"namePrefx\", did you mean \"namePrefix\"?",
            "kustomization.yaml:3: images[0].newTg: unknown field \"newTg\", did you mean \"newTag\"?",
        ]
    );
}

#[test]
fn what_would_run_or_fetch_something_is_refused_with_advice() {
    let plugin = "apiVersion: example.com/v1\nkind: Magic\nmetadata: {name: m}\n";
    let rows: [(&str, &str, &str); 4] = [
        (
            "resources: [github.com/org/repo]\n",
            "is not fetched",
            "copy it into the repository",
        ),
        (
            "helmCharts: [{name: x}]\n",
            "helm charts are not inflated",
            "helm template",
        ),
        ("transformers: [p.yaml]\n", "is not run", "commit their output"),
        (
            "configMapGenerator: [{name: a, files: [../x]}]\n",
            "out of the tree",
            "",
        ),
    ];
    for (kustomization, message, hint) in rows {
        let errors = errors(&[("kustomization.yaml", kustomization), ("p.yaml", plugin)]);
        let error = errors.iter().next().unwrap();
        assert!(error.message.contains(message), "{error}");
        assert!(
            error.hint.as_deref().unwrap_or_default().contains(hint),
            "{:?}",
            error.hint
        );
        assert!(error.file.is_some() && error.line.is_some(), "{error:?}");
    }
}

#[test]
fn a_broken_patch_is_found_where_it_is_written() {
    let object = "apiVersion: v1\nkind: A\nmetadata: {name: a}\n";
    let found = shown(&[
        (
            "kustomization.yaml",
            "resources: [a.yaml]\npatches:\n- target: {kind: A}\n  patch: |\n    - op: add\n      path: /x/y\n",
        ),
        ("a.yaml", object),
    ]);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("kustomization.yaml:3: patches[0]: doc is missing path"),
        "{}",
        found[0]
    );
    let found = shown(&[
        (
            "kustomization.yaml",
            "resources: [a.yaml]\npatches:\n- patch: |\n    a: [\n",
        ),
        ("a.yaml", object),
    ]);
    assert!(found[0].starts_with("kustomization.yaml:"), "{}", found[0]);
}

#[test]
fn hostile_trees_end_in_an_error() {
    let bomb = (1..30).fold("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, i| {
        let list = vec![format!("*a{}", i - 1); 9].join(",");
        [text, format!("a{i}: &a{i} [{list}]\n")].concat()
    });
    let deep = format!(
        "kind: A\nmetadata: {{name: a}}\nx: {}1{}\n",
        "[".repeat(5000),
        "]".repeat(5000)
    );
    for text in [bomb.as_str(), deep.as_str()] {
        assert!(!shown(&[("kustomization.yaml", "resources: [a.yaml]\n"), ("a.yaml", text)]).is_empty());
    }
    let layers: Vec<(String, String)> = (0..400)
        .map(|i| {
            (
                format!("l{i}/kustomization.yaml"),
                format!("resources: [../l{}]\n", i + 1),
            )
        })
        .chain([("kustomization.yaml".to_owned(), "resources: [l0]\n".to_owned())])
        .collect();
    let layers: Vec<(&str, &str)> = layers
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    let found = shown(&layers);
    assert!(found[0].contains("more than 64 layers"), "{}", found[0]);
}

#[test]
fn the_deepest_object_that_is_read_can_be_patched_and_printed() {
    let nested = |leaf: &str| format!("{}{leaf}{}", "{a: [".repeat(120), "]}".repeat(120));
    let object = format!(
        "apiVersion: v1\nkind: A\nmetadata: {{name: a}}\nx: {}\n",
        nested("1")
    );
    let patch = format!(
        "apiVersion: v1\nkind: A\nmetadata: {{name: a}}\nx: {}\n",
        "{b: ".repeat(230) + "2" + &"}".repeat(230)
    );
    let kustomization = "resources: [a.yaml]\ncommonLabels: {l: x}\nimages: [{name: nginx, newTag: t}]\npatches: [{path: p.yaml}]\n";
    let files: MemoryFiles = [
        ("kustomization.yaml", kustomization),
        ("a.yaml", &object),
        ("p.yaml", &patch),
    ]
    .into_iter()
    .collect();
    let built = build(&files, "", &Options::default()).unwrap();
    assert!(built.to_yaml().lines().count() > 200);
}
