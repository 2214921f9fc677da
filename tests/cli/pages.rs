//! The pages that tell what to type: every command block is run as it stands there, one after the other.
//!
//! A block that begins with ```` ```sh ```` has to succeed. In a ```` ```console ```` block, what stands below each `$ command` has to
//! be what it prints, where `…` stands for anything, and a line that is nothing but `…` for any lines. `sh no-run` is for
//! readers alone. A page's blocks share one shell, two clusters (`staging` and `prod`) and an empty directory; a page that does
//! not begin with an empty directory has a [`Chapter`] with what is there already. The only change: port 8080 is a free one.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use regex::Regex;

use super::clusters::Clusters;
use crate::harness::binaries;
use crate::harness::git::hermetic;
use crate::harness::output::Output;
use crate::harness::state::StateDirectory;

/// More than the longest wait on any page.
const DEADLINE: Duration = Duration::from_secs(500);

/// A repository as `gitsync init` makes it, with a quick load check.
const REPOSITORY: &str = "
git init --quiet --bare --initial-branch main web.git
git clone --quiet web.git web
cd web
gitsync init --quiet --app web --image team/web:0a1b2c3d
sed -i 's/duration: 10s/duration: 1s/' policies/load-check.yaml
git add --all
git commit --quiet --message 'Begin with gitsync'
git push --quiet origin main
";

/// A pipeline that has built an image, beside a branch that changes something.
const PIPELINE: &str = r#"
export TAG=4e5f6a7b GITOPS=$PWD/../web.git
gitsync run --repo "$GITOPS" > gitsync.log 2>&1 &
git checkout --quiet -b more-replicas
sed -i 's/replicas: 3/replicas: 5/' apps/web/deployment.yaml
git commit --quiet --all --message 'More replicas'
"#;

/// The pipeline's next image.
const NEXT_IMAGE: &str = "
git checkout --quiet main
git pull --quiet
TAG=5f6a7b8c
";

/// A service that answers, and two scripts.
const SCRIPTS: &str = r#"
gitsync sync --env staging
SHOP=$(kubectl --context staging -n web get service web -o jsonpath='{.status.loadBalancer.ingress[0].ip}')
cat > acceptance-test.js <<'EOF'
import http from 'k6/http';
import { check } from 'k6';
export const options = { vus: 10, duration: '1s', thresholds: { http_req_duration: ['p(90)<600'] } };
export default function () {
  const res = http.get(`http://${__ENV.SERVICE_URL}/`);
  check(res, { 'status is 200': (r) => r.status === 200 });
}
EOF
cat > chat.js <<'EOF'
// A protocol that is not supported.
import ws from 'k6/ws';
export default function () { ws.connect('ws://nowhere'); }
EOF
"#;

/// A repository with an address that pods can reach, and files with credentials.
const CREDENTIALS: &str = "
git remote set-url origin https://git.example/team/web.git
for file in token.txt write.txt id_ed25519 known_hosts clusters.yaml; do echo secret > $file; done
";

/// This repository's own example, with an image that was promoted.
const EXAMPLE: &str = "
git init --quiet --bare --initial-branch main fleet.git
git clone --quiet fleet.git fleet
cd fleet
cp -r \"$GITSYNC_SOURCE\"/apps \"$GITSYNC_SOURCE\"/environments \"$GITSYNC_SOURCE\"/policies .
sed -i 's/duration: 10s/duration: 1s/' policies/load-check.yaml
sed -i 's/newTag: .*/newTag: 900d0001/' environments/staging/kustomization.yaml
git add --all
git commit --quiet --message 'Deploy the flask-app'
git push --quiet origin main
gitsync sync --env staging
gitsync promote
git pull --quiet
";

/// A page, and what there is before its first block.
#[derive(Clone, Copy)]
struct Chapter<'a> {
    page: &'a str,
    before: &'a [&'a str],
}

/// A command, or several, of a page.
struct Step {
    place: String,
    script: String,
    /// What it has to print; `None` when it only has to succeed.
    expected: Option<String>,
}

#[test]
fn the_quick_start_works_as_it_is_written() {
    run("quick-start.md", &[]);
}

#[test]
fn adopting_works_as_it_is_written() {
    run("adopt.md", &[]);
}

#[test]
fn the_how_tos_work_as_they_are_written() {
    let clusters = Clusters::start(&["staging", "prod", "dr"]);
    run_on("how-to.md", &clusters.kubeconfig);
}

#[test]
fn troubleshooting_shows_what_is_really_said() {
    run("troubleshooting.md", &[]);
}

#[test]
fn the_front_page_works_as_it_is_written() {
    run("README.md", &[EXAMPLE]);
}

#[test]
fn installing_works_as_it_is_written() {
    run("install.md", &[REPOSITORY, CREDENTIALS]);
}

#[test]
fn scripts_are_checked_as_it_is_written() {
    run("k6-scripts.md", &[REPOSITORY, SCRIPTS]);
}

#[test]
fn the_dashboard_is_asked_as_it_is_written() {
    run("dashboard.md", &[REPOSITORY]);
}

#[test]
fn pipelines_work_as_they_are_written() {
    let ci = Chapter {
        page: "ci.md",
        before: &[REPOSITORY, PIPELINE],
    };
    let pipeline = Chapter {
        page: "pipeline.md",
        before: &[NEXT_IMAGE],
    };
    let clusters = Clusters::start(&["staging", "prod"]);
    run_chapters(&[ci, pipeline], &clusters.kubeconfig);
}

#[track_caller]
fn run(page: &str, before: &[&str]) {
    let clusters = Clusters::start(&["staging", "prod"]);
    run_chapters(&[Chapter { page, before }], &clusters.kubeconfig);
}

/// Runs a page on the clusters of a kubeconfig.
#[track_caller]
pub fn run_on(page: &str, kubeconfig: &Path) {
    run_chapters(&[Chapter { page, before: &[] }], kubeconfig);
}

#[track_caller]
fn run_chapters(chapters: &[Chapter<'_>], kubeconfig: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let steps: Vec<Step> = chapters.iter().flat_map(Chapter::steps).collect();
    let directory = StateDirectory::create("page");
    let (desk, out) = (directory.path().join("desk"), directory.path().join("out"));
    for dir in [&desk, &out] {
        fs::create_dir_all(dir).unwrap();
    }
    let mut command = Command::new("bash");
    hermetic(&mut command);
    let program = binaries::gitsync();
    let gitsync = program.parent().unwrap();
    let kubectl = binaries::path("kubectl");
    let path = format!(
        "{}:{}:{}",
        gitsync.display(),
        kubectl.parent().unwrap().display(),
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
        let place = &step.place;
        let Ok(code) = read(".rc") else {
            let logs =
                ["shop", "fleet", "web"].map(|dir| fs::read_to_string(desk.join(dir).join("gitsync.log")));
            let log = logs.into_iter().flatten().collect::<String>();
            panic!("{place} failed\n{}\n{printed}\n{session}\n{log}", step.script);
        };
        match &step.expected {
            None => assert_eq!(code.trim(), "0", "{place}\n{}\n{printed}", step.script),
            Some(expected) => assert!(
                matches(expected, &printed) || (is_example(place) && matches_in_shape(expected, &printed)),
                "{place}: the page says\n{expected}\nand it is\n{printed}"
            ),
        }
    }
}

/// One shell for the whole page; what is still running at its end is ended with it.
fn script(steps: &[Step], out: &Path) -> String {
    let mut script = "trap 'kill $(jobs -p) 2>/dev/null' EXIT\n".to_owned();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
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
            step.script.replace("127.0.0.1:8080", &address),
            file = file.display()
        )
        .unwrap();
    }
    script
}

// === impl Chapter ===

impl Chapter<'_> {
    fn steps(&self) -> Vec<Step> {
        let before = self.before.iter().map(|script| Step {
            place: format!("before {}", self.page),
            script: (*script).to_owned(),
            expected: None,
        });
        let steps = steps(self.page, &text_of(self.page));
        assert!(!steps.is_empty(), "{} has no commands", self.page);
        before.chain(steps).collect()
    }
}

/// The text of a page, by its name: one of docs/, or the front page.
pub fn text_of(page: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = root.join("docs").join(page);
    fs::read_to_string(docs)
        .or_else(|_| fs::read_to_string(root.join(page)))
        .unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// The commands of a page that are run here, in their order.
fn steps(name: &str, text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in blocks(text).filter(|block| !block.is_run_elsewhere()) {
        let step = |line: usize, script: &str, expected: Option<String>| Step {
            place: format!("{name}:{line}"),
            script: script.to_owned(),
            expected,
        };
        match block.info {
            "sh" => steps.push(step(block.line, &block.text, None)),
            "console" => {
                for (number, line) in block.text.lines().enumerate() {
                    match line.strip_prefix("$ ") {
                        Some(command) => {
                            steps.push(step(block.line + 1 + number, command, Some(String::new())));
                        }
                        None => {
                            let told = steps.last_mut().and_then(|step| step.expected.as_mut());
                            let told = told.expect("because a command stands above its output");
                            *told += &[line, "\n"].concat();
                        }
                    }
                }
            }
            _ => {}
        }
    }
    steps
}

/// A fenced block of a page.
pub struct Block<'a> {
    /// The line of its fence, from 1.
    pub line: usize,
    /// What the fence says of it.
    pub info: &'a str,
    /// Its lines.
    pub text: String,
}

// === impl Block ===

impl Block<'_> {
    /// Whether it holds commands for a shell.
    pub fn is_shell(&self) -> bool {
        self.info.starts_with("sh") || self.info == "console"
    }

    /// Whether others run it: commands of a checkout of this project are what its own tests are run with, and the demo's
    /// test looks for what the front page shows of it.
    pub fn is_run_elsewhere(&self) -> bool {
        let mut commands = self.text.lines().filter(|line| !line.is_empty());
        let ours = ["cargo ", "rustup ", "RUSTFLAGS=", "GITSYNC_"];
        self.text.starts_with("$ gitsync demo\n")
            || (self.is_shell()
                && commands.all(|line| {
                    ours.iter().any(|start| line.starts_with(start)) || line.contains("&& cargo ")
                }))
    }
}

/// The fenced blocks of a page.
pub fn blocks(text: &str) -> impl Iterator<Item = Block<'_>> {
    let mut lines = text.lines().enumerate();
    std::iter::from_fn(move || {
        let (number, info) = lines.find_map(|(number, line)| Some((number, line.strip_prefix("```")?)))?;
        let inside = lines.by_ref().map(|(_, line)| line);
        let text = inside.take_while(|line| *line != "```");
        Some(Block {
            line: number + 1,
            info,
            text: text.flat_map(|line| [line, "\n"]).collect(),
        })
    })
}

/// Whether a page shows the output of one run, with its figures.
fn is_example(place: &str) -> bool {
    place.starts_with("README.md:")
}

/// As [`matches`], where figures, identifiers and times may be others.
fn matches_in_shape(expected: &str, printed: &str) -> bool {
    matches(&shape(expected), &shape(printed))
}

/// A text without what differs from run to run.
pub fn shape(text: &str) -> String {
    let varies = Regex::new(r"\b[0-9a-f]{7,64}\b|\d+(\.\d+)?").unwrap();
    varies.replace_all(text, "0").into_owned()
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
    Regex::new(&pattern).unwrap().is_match(printed)
}

#[test]
fn a_page_that_says_something_else_is_noticed() {
    assert!(matches("a … c\n…\nz\n", "a  bb c\nx\ny\nz\n"));
    assert!(matches("…\n", ""));
    assert!(!matches("a\n", "a\nb\n"));
    assert!(!matches("a … c\n", "a b\n"));
    let page =
        "x\n```sh\na\nb\n```\n```sh no-run\nc\n```\n```console\n$ d\ne\n$ f\n```\n```sh\ncargo x\n```\n";
    let steps: Vec<_> = steps("page.md", page)
        .into_iter()
        .map(|step| (step.place, step.script, step.expected))
        .collect();
    let expected = [
        ("page.md:2".to_owned(), "a\nb\n".to_owned(), None),
        ("page.md:10".to_owned(), "d".to_owned(), Some("e\n".to_owned())),
        ("page.md:12".to_owned(), "f".to_owned(), Some(String::new())),
    ];
    assert_eq!(steps, expected);
    assert_eq!(shape("commit a6195568, 8.14 s"), shape("commit 0123456f, 12 s"));
    assert_ne!(shape("passed in 8 s"), shape("failed in 8 s"));
}
