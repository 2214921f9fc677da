//! The integration tests: one binary, so that everything is linked once.
//!
//! `layers` holds the architecture, `cli` drives the built binary on git repositories alone, `demo` and `dashboard` on
//! sandbox clusters, `real` on a real Kubernetes control plane, `render` compares the renderer with kustomize, `sandbox`
//! the sandbox with that control plane, and runs the scenarios of `real` on it, `k6` compares the load check with k6.

#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with what it met")]
#![expect(
    clippy::duplicate_mod,
    reason = "the scenarios are compiled for two kinds of clusters"
)]

mod cli;
mod dashboard;
mod demo;
mod faults;
mod harness;
mod k6;
mod layers;
mod percentiles;
mod real;
mod render;
mod sandbox;
mod scenes;

/// A scenario that only one kind of cluster runs would let the two drift apart.
#[test]
fn every_scenario_runs_on_both_kinds_of_clusters() {
    /// What is about the real control plane, as `policies`, whose oracle it is, or needs no cluster; `sync_options` has not been tried on sandboxes yet.
    const ALONE: [&str; 9] = [
        "control_plane",
        "ha",
        "install",
        "newcomer",
        "outages",
        "policies",
        "processes",
        "repositories",
        "sync_options",
    ];
    let modules = |path: &str| {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let text = std::fs::read_to_string(root.join(path)).unwrap();
        let names = text
            .lines()
            .filter_map(|line| Some(line.strip_prefix("mod ")?.strip_suffix(';')?.to_owned()));
        names.collect::<std::collections::BTreeSet<String>>()
    };
    let mut real = modules("real/mod.rs");
    real.retain(|name| !ALONE.contains(&name.as_str()));
    assert_eq!(real, modules("sandbox/scenarios.rs"));
}

/// A test file that nobody declares would never run.
#[test]
fn every_file_is_declared() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut missing = Vec::new();
    for (dir, parent) in [
        ("", "main.rs"),
        ("real", "real/mod.rs"),
        ("harness", "harness/mod.rs"),
        ("render", "render/mod.rs"),
        ("cli", "cli/mod.rs"),
        ("dashboard", "dashboard/mod.rs"),
        ("demo", "demo/mod.rs"),
        ("sandbox", "sandbox/mod.rs"),
        ("scenes", "scenes/mod.rs"),
        ("k6", "k6/mod.rs"),
    ] {
        let declared = std::fs::read_to_string(root.join(parent)).unwrap();
        for entry in std::fs::read_dir(root.join(dir)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let is_rust = path.extension().is_some_and(|e| e == "rs");
            let is_module = is_rust || path.join("mod.rs").exists();
            let is_declared = declared
                .lines()
                .any(|line| line.trim_start_matches("pub ").trim() == format!("mod {name};"));
            if is_module && !is_declared && name != "main" && name != "mod" {
                missing.push(path);
            }
        }
    }
    assert!(missing.is_empty(), "not declared: {missing:?}");
}
