//! The integration tests: one binary, so that everything is linked once.
//!
//! `layers` holds the architecture, `cli` drives the built binary on git repositories alone, `demo` and `dashboard` on
//! sandbox clusters, `real` on a real Kubernetes control plane, `render` compares the renderer with kustomize, `sandbox` the sandbox with
//! that control plane, `k6` the load check with k6.

#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with what it met")]

mod cli;
mod dashboard;
mod demo;
mod harness;
mod k6;
mod layers;
mod percentiles;
mod real;
mod render;
mod sandbox;

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
