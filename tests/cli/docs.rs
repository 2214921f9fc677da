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
            let (module, function) = name
                .rsplit_once("::")
                .unwrap_or_else(|| panic!("{name} is no test"));
            let module = root.join("tests").join(module.replace("::", "/"));
            let files = [module.with_extension("rs"), module.join("mod.rs")];
            let text: String = files
                .iter()
                .filter_map(|file| fs::read_to_string(file).ok())
                .collect();
            let declared = text.contains(&format!("#[test]\nfn {function}() {{"));
            assert!(declared, "there is no test {name}");
        }
    }
}
