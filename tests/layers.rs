//! The layer rule: each module uses only what stands below it, and the pure ones touch nothing outside.
//!
//! The tables are the architecture of `src/lib.rs`; these tests read every `crate::…` and every forbidden name.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers from the bottom to the top. A module may use modules of lower layers, and of its own layer.
const LAYERS: [&[&str]; 7] = [
    &["model", "problem"],
    &["source", "config"],
    &[
        "desired", "live", "record", "diff", "apply", "verify", "promote", "report",
    ],
    &["world"],
    &["reconcile"],
    &["serve"],
    &["cli"],
];

/// The stages in the order of the flow. A stage may use only itself and stages that come before it.
const STAGES: [&str; 8] = [
    "live", "record", "verify", "desired", "report", "diff", "apply", "promote",
];

/// How many layers, from the bottom, are pure.
const PURE: usize = 3;

/// Names that do something outside the process, or differ from call to call.
const OUTSIDE: [&str; 15] = [
    "async fn",
    "tokio::",
    "kube::",
    "k8s_openapi::",
    "gix::",
    "reqwest::",
    "hyper::",
    "std::fs",
    "std::env",
    "std::net",
    "std::process",
    "thread::spawn",
    "Timestamp::now",
    "Instant::now",
    "SystemTime::now",
];

#[test]
fn modules_use_only_what_is_below_them() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let module = module_of(&path);
        let Some(layer) = layer_of(&module) else {
            continue;
        };
        for used in used_modules(&text) {
            let place = path.display();
            match layer_of(&used) {
                None => wrong.push(format!(
                    "{place}: uses `{used}`, which is in no layer; add it to the table"
                )),
                Some(other) if other > layer => {
                    wrong.push(format!("{place}: `{module}` uses `{used}` of a higher layer"));
                }
                Some(_) if !is_earlier_stage(&module, &used) => {
                    wrong.push(format!("{place}: stage `{module}` uses the later stage `{used}`"));
                }
                Some(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_pure_layers_touch_nothing_outside() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let module = module_of(&path);
        if layer_of(&module).is_none_or(|layer| layer >= PURE) {
            continue;
        }
        for (number, line) in code(&text).lines().enumerate() {
            let line = line.split("//").next().unwrap_or_default();
            for name in OUTSIDE.iter().filter(|name| line.contains(*name)) {
                wrong.push(format!(
                    "{}:{}: `{module}` is pure, and uses `{name}`",
                    path.display(),
                    number + 1
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_is_in_the_table() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let declared = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let missing: Vec<&str> = declared.filter(|module| layer_of(module).is_none()).collect();
    assert!(missing.is_empty(), "in no layer: {missing:?}");
}

/// Below the stages, only these know the renderer: the trees that it reads, what it renders, what it edits, and the
/// command that is nothing but it.
#[test]
fn the_renderer_is_known_to_few() {
    let allowed = ["source.rs", "desired/", "promote/", "world/git/", "cli/render.rs"];
    let known = |path: &Path| {
        let inside = path
            .strip_prefix(root().join("src"))
            .unwrap()
            .to_string_lossy()
            .into_owned();
        allowed.iter().any(|start| inside.starts_with(start))
    };
    let wrong: Vec<PathBuf> = sources()
        .into_iter()
        .filter(|(path, text)| code(text).contains("kustomize::") && !known(path))
        .map(|(path, _)| path)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// The sandbox is for shows and rehearsals: nothing that touches a real cluster knows of it.
#[test]
fn the_sandbox_is_known_to_demo_and_rehearsal_alone() {
    let allowed = ["cli/demo/", "reconcile/rehearse/"];
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let inside = path
            .strip_prefix(root().join("src"))
            .unwrap()
            .to_string_lossy()
            .into_owned();
        if code(&text).contains("sandbox::") && !allowed.iter().any(|start| inside.starts_with(start)) {
            wrong.push(inside);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut todo = vec![root().join("src")];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let is_test = path.file_stem().is_some_and(|name| name == "tests");
            if path.is_dir() && !is_test {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !is_test {
                found.insert(path.clone(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// The text without its unit tests, which stand at the end of a file.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

fn module_of(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let first = inside
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_string_lossy()
        .into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn is_earlier_stage(module: &str, used: &str) -> bool {
    let place = |name: &str| STAGES.iter().position(|stage| *stage == name);
    match (place(module), place(used)) {
        (Some(here), Some(there)) => there <= here,
        _ => true,
    }
}

/// The top-level modules that a source names as `crate::<module>`.
fn used_modules(text: &str) -> Vec<String> {
    let end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let names = code(text)
        .split("crate::")
        .skip(1)
        .map(|rest| rest.split(end).next().unwrap_or_default());
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
