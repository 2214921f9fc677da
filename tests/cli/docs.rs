//! What the pages promise: every row of docs/pipeline.md names tests that exist, and every command is one that gitsync takes.

use std::fs;
use std::path::Path;

use super::pages::blocks;

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
    let lines = blocks(page).filter(|block| block.is_shell());
    let lines = lines.flat_map(|block| {
        let lines = block
            .text
            .lines()
            .map(|line| line.strip_prefix("$ ").unwrap_or(line));
        lines.map(|line| [line, "\n"].concat()).collect::<Vec<_>>()
    });
    let lines: String = lines.collect();
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
fn every_block_of_commands_is_run_by_a_test() {
    let run = include_str!("pages.rs");
    // What only a machine with more on it than the tests have can run.
    let beyond = ["cargo run ", "export KUBECONFIG="];
    for (page, text) in pages() {
        let is_run = run.contains(&format!("\"{page}\""));
        for block in blocks(&text).filter(|block| block.is_shell() && !block.is_run_elsewhere()) {
            let place = format!("{page}:{}", block.line);
            if block.info == "sh no-run" {
                let mut lines = block.text.lines();
                let is_beyond = lines.all(|line| beyond.iter().any(|start| line.starts_with(start)));
                assert!(
                    is_beyond,
                    "{place} can be run by a test in pages.rs\n{}",
                    block.text
                );
            } else {
                assert!(is_run, "{place} is run by no test in pages.rs\n{}", block.text);
            }
        }
        let indented = ["    gitsync ", "    kubectl ", "    curl ", "    cargo "];
        let fenced: Vec<String> = blocks(&text).map(|block| block.text).collect();
        for line in text
            .lines()
            .filter(|line| indented.iter().any(|start| line.starts_with(start)))
        {
            let is_fenced = fenced.iter().any(|block| block.contains(line));
            assert!(
                is_fenced,
                "{page}: a command without a fence is run by no test\n{line}"
            );
        }
    }
}
