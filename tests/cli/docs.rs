//! The table of docs/pipeline.md: every row names tests that exist.

use std::fs;
use std::path::Path;

#[test]
fn every_row_of_the_pipeline_table_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/pipeline.md")).unwrap();
    let table = page
        .split("| the pipeline's step |")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    let rows: Vec<&str> = table.lines().skip(2).collect();
    assert!(rows.len() >= 8, "{table}");
    for row in rows {
        let tests = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test: {row}");
        for name in named {
            let file = root.join("tests").join(name.replace("::", "/") + ".rs");
            let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(text.contains("#[test]"), "{name} holds no test");
        }
    }
}
