//! What the pages promise: every row of docs/pipeline.md names tests that exist, and every command is one that gitsync takes.

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

/// The pages, and the front page.
fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = fs::read_dir(root.join("docs")).unwrap();
    let docs = entries.map(|entry| entry.unwrap().path());
    let all = docs.filter(|path| path.extension().is_some_and(|end| end == "md"));
    all.chain([root.join("README.md")])
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// The lines of a page's command blocks that call gitsync, also of those that only readers run.
fn calls(page: &str) -> Vec<String> {
    let mut inside = false;
    let mut lines = String::new();
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(info) => inside = !inside && (info.starts_with("sh") || info == "console"),
            None if inside => lines += &[line.strip_prefix("$ ").unwrap_or(line), "\n"].concat(),
            None => {}
        }
    }
    let joined = lines.replace("\\\n", " ");
    let commands = joined
        .lines()
        .flat_map(|line| line.split(&[';', '|'][..]))
        .map(str::trim);
    commands
        .filter(|line| line.starts_with("gitsync "))
        .map(str::to_owned)
        .collect()
}

/// The words of a command as a shell takes them, up to a comment or to where its output goes.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for character in command.chars().chain([' ']) {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, '[' | ']') => {}
            (None, ' ') => {
                if ["#", ">", "&", "2>&1"].contains(&word.as_str()) {
                    break;
                }
                words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty() && word != "…"));
            }
            _ => word.push(character),
        }
    }
    words
}

#[test]
fn every_command_in_the_docs_is_one_that_gitsync_takes() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (page, text) in pages() {
        for call in calls(&text) {
            seen += 1;
            let command = <gitsync::cli::Cli as clap::CommandFactory>::command();
            if let Err(error) = command.try_get_matches_from(words(&call)) {
                wrong.push(format!("{page}: {call}\n{error}"));
            }
        }
    }
    assert!(seen > 60, "{seen}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(
        words("gitsync install … --apply [--context 'a b'] > x  # y"),
        ["gitsync", "install", "--apply", "--context", "a b"]
    );
}

#[test]
fn a_block_that_no_test_runs_says_so() {
    let run = include_str!("pages.rs");
    for (page, text) in pages() {
        let is_run = run.contains(&format!("run(\"{page}\")"));
        // Commands of a checkout of this project are what its own tests are run with.
        let blocks = text.split("\n```sh\n").skip(1);
        for block in blocks.filter_map(|block| block.split("\n```").next()) {
            let ours = block.lines().all(|line| {
                let command = line.trim_start();
                command.is_empty() || command.contains("cargo ") || command.contains("rustup ")
            });
            assert!(is_run || ours, "{page}: write ```sh no-run above\n{block}");
        }
    }
}
