//! The cases of `tests/cases`, whose output was recorded from the reference by `tests/record.py`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use kustomize::{Build, BuildErrors, DirFiles, Options, build, print};

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut cases: Vec<_> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    cases
}

fn render(case: &Path) -> Result<Build, BuildErrors> {
    let files = DirFiles::new(case.join("in")).unwrap();
    let top = if case.join("in/top").is_dir() { "top" } else { "" };
    let built = build(&files, top, &Options::default());
    let printed = print(&files, top, &Options::default());
    let printed = printed.map(|printed| (printed.parts.concat(), printed.warnings));
    let same = built.clone().map(|built| (built.to_yaml(), built.warnings));
    assert_eq!(printed, same, "{}", case.display());
    built
}

#[test]
fn every_case_is_what_the_reference_prints() {
    let mut wrong = Vec::new();
    for case in cases() {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        match (render(&case), fs::read_to_string(case.join("want.yaml"))) {
            (Ok(built), Ok(want)) if built.to_yaml() == want => {}
            (Ok(built), Ok(_)) => wrong.push(format!("{name} prints\n{}", built.to_yaml())),
            (Ok(_), Err(_)) => wrong.push(format!("{name} builds, but must fail")),
            (Err(errors), Ok(_)) => wrong.push(format!("{name} fails: {errors}")),
            (Err(_), Err(_)) => assert!(case.join("want.error").exists(), "{name} is not recorded"),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn a_build_can_be_built_again_unchanged() {
    for case in cases() {
        let Ok(built) = render(&case) else { continue };
        let text = built.to_yaml();
        // A block that ends in U+2028 has no other line break, and swallows what follows it.
        if text.is_empty() || text.contains('\u{2028}') {
            continue;
        }
        let files: kustomize::MemoryFiles = [
            ("all.yaml", text.as_str()),
            (
                "kustomization.yaml",
                "resources: [all.yaml]\nsortOptions: {order: fifo}\n",
            ),
        ]
        .into_iter()
        .collect();
        let again = build(&files, "", &Options::default()).unwrap();
        // Origin annotations are the build's own, and not kept.
        if !text.contains("config.kubernetes.io/origin") {
            assert_eq!(again.to_yaml(), text, "{}", case.display());
        }
    }
}

#[test]
fn every_object_knows_its_file_and_line() {
    for case in cases() {
        let Ok(built) = render(&case) else { continue };
        for object in &built.manifests {
            let origin = object.origin();
            assert!(
                built.files_read.iter().any(|file| **file == *origin.file),
                "{} {origin}",
                object.id()
            );
            assert!(origin.line > 0, "{} of {}", object.id(), case.display());
        }
    }
}
