//! The pages of docs/ that tell what to type: every command block is run as it stands there, one after the other.
//!
//! A block that begins with ```` ```sh ```` has to succeed. In a ```` ```console ```` block, what stands below each `$ command` has to
//! be what it prints, where `…` stands for anything, and a line that is nothing but `…` for any lines. `sh no-run` is for
//! readers alone. A page's blocks share one shell, two clusters (`staging` and `prod`) and an empty directory.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::clusters::Clusters;
use crate::harness::git::hermetic;
use crate::harness::output::Output;
use crate::harness::state::StateDirectory;

/// More than the longest wait on any page.
const DEADLINE: Duration = Duration::from_secs(500);

/// A command, or several, of a page.
struct Step {
    line: usize,
    script: String,
    /// What it has to print; `None` when it only has to succeed.
    expected: Option<String>,
}

#[test]
fn the_quick_start_works_as_it_is_written() {
    run("quick-start.md");
}

#[test]
fn adopting_works_as_it_is_written() {
    run("adopt.md");
}

#[test]
fn the_how_tos_work_as_they_are_written() {
    run("how-to.md");
}

#[test]
fn troubleshooting_shows_what_is_really_said() {
    run("troubleshooting.md");
}

#[test]
fn every_page_with_commands_is_run() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let this = include_str!("pages.rs");
    for entry in fs::read_dir(docs).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap_or_default();
        let has_console = text.lines().any(|line| line == "```console");
        assert!(
            !has_console || this.contains(&format!("run(\"{name}\")")),
            "{name} shows output that nobody compares"
        );
    }
}

#[track_caller]
fn run(page: &str) {
    let clusters = Clusters::start(&["staging", "prod"]);
    run_on(page, &clusters.kubeconfig);
}

/// Runs a page on the clusters `staging` and `prod` of a kubeconfig.
#[track_caller]
pub fn run_on(page: &str, kubeconfig: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs").join(page)).unwrap();
    let steps = steps(&text);
    assert!(!steps.is_empty(), "{page} has no commands");
    let directory = StateDirectory::create("page");
    let (desk, out) = (directory.path().join("desk"), directory.path().join("out"));
    for dir in [&desk, &out] {
        fs::create_dir_all(dir).unwrap();
    }
    let mut command = Command::new("bash");
    hermetic(&mut command);
    let binaries = Path::new(env!("CARGO_BIN_EXE_gitsync")).parent().unwrap();
    let path = format!(
        "{}:{}",
        binaries.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    command
        .arg("-c")
        .arg(script(&steps, &out))
        .current_dir(&desk)
        .env("PATH", path)
        .env("HOME", directory.path())
        .envs([
            ("GIT_AUTHOR_NAME", "Ann"),
            ("GIT_AUTHOR_EMAIL", "ann@example.com"),
            ("GIT_COMMITTER_NAME", "Ann"),
            ("GIT_COMMITTER_EMAIL", "ann@example.com"),
        ])
        .env("KUBECONFIG", kubeconfig)
        .env("GITSYNC_SOURCE", root);
    let session = Output::of(command, DEADLINE);
    for (index, step) in steps.iter().enumerate() {
        let read = |suffix: &str| fs::read_to_string(out.join(format!("{index}{suffix}")));
        let printed = read("").unwrap_or_default();
        let place = format!("docs/{page}:{}", step.line);
        let Ok(code) = read(".rc") else {
            let logs = ["shop", "fleet"].map(|dir| fs::read_to_string(desk.join(dir).join("gitsync.log")));
            let log = logs.into_iter().flatten().collect::<String>();
            panic!("{place} failed\n{}\n{printed}\n{session}\n{log}", step.script);
        };
        match &step.expected {
            None => assert_eq!(code.trim(), "0", "{place}\n{}\n{printed}", step.script),
            Some(expected) => assert!(
                matches(expected, &printed),
                "{place}: the page says\n{expected}\nand it is\n{printed}"
            ),
        }
    }
}

/// One shell for the whole page; what is still running at its end is ended with it.
fn script(steps: &[Step], out: &Path) -> String {
    let mut script = "trap 'kill $(jobs -p) 2>/dev/null' EXIT\n".to_owned();
    for (index, step) in steps.iter().enumerate() {
        let file = out.join(index.to_string());
        let strict = if step.expected.is_some() {
            "set +e"
        } else {
            "set -e"
        };
        writeln!(
            script,
            "{strict}\n{{\n{}\n}} > '{file}' 2>&1\necho $? > '{file}.rc'",
            step.script,
            file = file.display()
        )
        .unwrap();
    }
    script
}

fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut kind: Option<&str> = None;
    for (number, line) in page.lines().enumerate() {
        match (kind, line.strip_prefix("```")) {
            (None, Some(info)) => {
                kind = Some(info);
                if info == "sh" {
                    steps.push(Step {
                        line: number + 1,
                        script: String::new(),
                        expected: None,
                    });
                }
            }
            (Some(_), Some("")) => kind = None,
            (Some("sh"), _) => {
                let step = steps.last_mut().unwrap();
                step.script += line;
                step.script.push('\n');
            }
            (Some("console"), _) => match line.strip_prefix("$ ") {
                Some(command) => steps.push(Step {
                    line: number + 1,
                    script: command.to_owned(),
                    expected: Some(String::new()),
                }),
                None => {
                    let step = steps.last_mut().unwrap();
                    let expected = step
                        .expected
                        .as_mut()
                        .expect("because a command stands above its output");
                    *expected += line;
                    expected.push('\n');
                }
            },
            _ => {}
        }
    }
    steps
}

/// Whether an output is as a page says; runs of blanks are equal, since columns are as wide as what is in them.
fn matches(expected: &str, printed: &str) -> bool {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let expected: Vec<String> = expected.lines().map(words).collect();
    let printed: Vec<String> = printed.lines().map(words).collect();
    lines_match(&expected, &printed)
}

fn lines_match(expected: &[String], printed: &[String]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((line, rest)) if line == "…" => {
            (0..=printed.len()).any(|skipped| lines_match(rest, &printed[skipped..]))
        }
        Some((line, rest)) => printed
            .split_first()
            .is_some_and(|(first, others)| line_matches(line, first) && lines_match(rest, others)),
    }
}

fn line_matches(expected: &str, printed: &str) -> bool {
    let pieces: Vec<String> = expected.split('…').map(regex::escape).collect();
    let pattern = format!("^{}$", pieces.join(".*"));
    regex::Regex::new(&pattern).unwrap().is_match(printed)
}

#[test]
fn a_page_that_says_something_else_is_noticed() {
    assert!(matches("a … c\n…\nz\n", "a  bb c\nx\ny\nz\n"));
    assert!(matches("…\n", ""));
    assert!(!matches("a\n", "a\nb\n"));
    assert!(!matches("a … c\n", "a b\n"));
    let page = "x\n```sh\na\nb\n```\n```sh no-run\nc\n```\n```console\n$ d\ne\n$ f\n```\n";
    let steps: Vec<_> = steps(page)
        .into_iter()
        .map(|step| (step.line, step.script, step.expected))
        .collect();
    let expected = [
        (2, "a\nb\n".to_owned(), None),
        (10, "d".to_owned(), Some("e\n".to_owned())),
        (12, "f".to_owned(), Some(String::new())),
    ];
    assert_eq!(steps, expected);
}
