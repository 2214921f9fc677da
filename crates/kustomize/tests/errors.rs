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

/// Whatever copies can double, and forty times that would be more than any memory.
#[test]
fn doubling_ends_in_an_error() {
    let object = "apiVersion: v1\nkind: A\nmetadata: {name: a}\nspec: {v: [x], text: xx}\n";
    let copies: String = (0..40)
        .map(|i| format!("- {{op: copy, from: /spec, path: /spec/n{i}}}\n"))
        .collect();
    let patch = "resources: [a.yaml]\npatches: [{target: {kind: A}, path: patch.yaml}]\n";
    let replacement = |source: &str, target: &str| {
        let one = format!(
            "- source: {{kind: A, fieldPath: {source}}}\n  targets:\n  - select: {{kind: A}}\n    {target}\n"
        );
        format!("resources: [a.yaml]\nreplacements:\n{}", one.repeat(40))
    };
    let into_itself = replacement(
        "spec",
        "fieldPaths: [spec.a, spec.b]\n    options: {create: true}",
    );
    let text = replacement(
        "spec.text",
        "fieldPaths: [spec.text]\n    options: {delimiter: '!', index: -1}",
    );
    let documents: String = (0..32)
        .map(|i| {
            let list = ["*a"; 500].join(",");
            format!(
                "kind: A\nmetadata: {{name: n{i}}}\na: &a [{}]\nb: [{list}]\n---\n",
                ["x"; 50].join(",")
            )
        })
        .collect();
    let rows = [
        ("copies", patch, object, copies.as_str()),
        ("a replacement into its source", &into_itself, object, ""),
        ("a text before itself", &text, object, ""),
        (
            "aliases in many documents",
            "resources: [a.yaml]\n",
            &documents,
            "",
        ),
    ];
    for (name, kustomization, object, patch) in rows {
        let found = shown(&[
            ("kustomization.yaml", kustomization),
            ("a.yaml", object),
            ("patch.yaml", patch),
        ]);
        assert!(
            found[0].contains("the object grows") || found[0].contains("aliases"),
            "{name}: {}",
            found[0]
        );
    }
}

#[test]
fn layers_that_multiply_end_in_an_error() {
    let layer = |i: usize, to: String| (format!("l{i}/kustomization.yaml"), to);
    let side = |i: usize, side: &str| {
        (
            format!("{side}{i}/kustomization.yaml"),
            format!("resources: [../l{}]\n", i + 1),
        )
    };
    let files: MemoryFiles = (0..25)
        .flat_map(|i| {
            [
                layer(i, format!("resources: [../x{i}, ../y{i}]\n")),
                side(i, "x"),
                side(i, "y"),
            ]
        })
        .chain([layer(25, "resources: []\n".to_owned())])
        .collect();
    let mut options = Options::default();
    options.max_kustomizations = 1000;
    let errors = build(&files, "l0", &options).unwrap_err().to_string();
    assert!(errors.contains("more than 1000 kustomizations"), "{errors}");
}

#[test]
fn a_build_of_too_many_objects_is_refused() {
    let objects: String = (0..50)
        .map(|i| format!("{{kind: A, metadata: {{name: n{i}}}}}\n---\n"))
        .collect();
    let files: MemoryFiles = [
        ("kustomization.yaml", "resources: [a.yaml, none.yaml]\n"),
        ("a.yaml", &objects),
    ]
    .into_iter()
    .collect();
    let mut options = Options::default();
    options.max_objects = 49;
    let errors = build(&files, "", &options).unwrap_err().to_string();
    assert!(errors.contains("more than 49 objects"), "{errors}");
    assert!(
        errors.contains("kustomization.yaml:"),
        "the place is told: {errors}"
    );
    assert!(
        !errors.contains("none.yaml"),
        "what comes after is not read: {errors}"
    );
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
