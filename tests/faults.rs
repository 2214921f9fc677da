//! The table of faults names tests that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The names of all test functions of the workspace.
fn tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut todo: Vec<PathBuf> = ["src", "tests", "crates"].map(|dir| root.join(dir)).into();
    let mut names = BTreeSet::new();
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            // From the attribute to the function, whatever stands between: other attributes, a comment.
            for part in text.split("test]\n").skip(1) {
                let function = part
                    .lines()
                    .find_map(|line| line.split_once("fn "))
                    .map(|(_, rest)| rest);
                names.extend(
                    function
                        .and_then(|rest| rest.split('(').next())
                        .map(str::to_owned),
                );
            }
        }
    }
    names
}

#[test]
fn every_fault_names_a_test_that_exists() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md")).unwrap();
    let tests = tests();
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| fault |"))
        .collect();
    assert!(rows.len() >= 30, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for row in rows {
        let named = row
            .trim_end_matches(" |")
            .rsplit(" | ")
            .next()
            .unwrap_or_default();
        let names: Vec<&str> = named.split('`').skip(1).step_by(2).collect();
        if names.is_empty() && !named.contains("by hand") {
            wrong.push(format!("no test: {row}"));
        }
        wrong.extend(
            names
                .iter()
                .filter(|name| !tests.contains(**name))
                .map(|name| format!("no such test: {name}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
