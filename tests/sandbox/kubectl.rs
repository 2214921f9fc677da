//! kubectl on the sandbox and on a real control plane: the same commands, and the same answers.
//!
//! `kubectl.txt` has the commands in sections. Each section begins with an empty namespace of its own on both clusters, and
//! is a row of the table in `docs/sandbox.md`. What differs between any two clusters (names that are made up, ages, addresses)
//! is masked; what else may differ is told by the mark of the command.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use regex::Regex;

use crate::harness::output::Output;
use crate::harness::pair::ClusterPair;
use crate::harness::sandbox::ClusterPair as SandboxPair;
use crate::harness::{binaries, tags};

const SCRIPT: &str = include_str!("kubectl.txt");

/// How much of an answer is compared; the first character of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// `=`: all of it.
    All,
    /// `~`: the lines in any order, each once.
    AnyOrder,
    /// `$`: the last line.
    Last,
    /// `<`: each line of the sandbox is one of the real answer.
    Part,
    /// `?`: whether it succeeds.
    Success,
    /// `!`: it is asked of the sandbox alone, which has to say the text after `->`.
    Alone,
}

/// A row of the table.
#[derive(Debug)]
struct Section {
    name: &'static str,
    commands: Vec<(Mark, &'static str)>,
}

#[test]
fn commands_answer_as_on_a_control_plane() {
    let (real, played) = (ClusterPair::lease(), SandboxPair::lease());
    let files = files();
    let mut wrong = String::new();
    for section in sections() {
        let namespace = format!("kubectl-{}", section.name.replace([' ', '/'], "-"));
        let run = |on: &dyn Fn(&[&str]) -> Output, command: &str| {
            let command = command.replace("DIR", files.path().to_str().unwrap());
            let mut args = vec!["--namespace", &namespace];
            args.extend(command.split_whitespace());
            on(&args)
        };
        let on_real = |args: &[&str]| real.staging.kubectl(args);
        let on_sandbox = |args: &[&str]| played.staging.kubectl(args);
        for on in [&on_real as &dyn Fn(&[&str]) -> Output, &on_sandbox] {
            run(on, &format!("create namespace {namespace}")).ok();
        }
        for (mark, line) in section.commands {
            let (command, says) = line.split_once(" -> ").unwrap_or((line, ""));
            let found = run(&on_sandbox, command);
            let (wanted, found) = if mark == Mark::Alone {
                let all = masked(&found);
                let verdict = if all.contains(says) { says.to_owned() } else { all };
                (says.to_owned(), verdict)
            } else {
                let wanted = run(&on_real, command);
                (compared(mark, &wanted), compared(mark, &found))
            };
            let is_right = match mark {
                Mark::Part => found
                    .lines()
                    .all(|line| wanted.lines().any(|other| other == line)),
                _ => wanted == found,
            };
            if !is_right {
                // Writing to a string cannot fail.
                let _ = writeln!(
                    wrong,
                    "[{}] kubectl {command}\n{}",
                    section.name,
                    diff(&wanted, &found)
                );
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// The table in the docs has a row for each section, and no other.
#[test]
fn the_docs_have_a_row_for_each_section() {
    let docs = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sandbox.md")).unwrap();
    let rows: Vec<&str> = docs
        .lines()
        .filter_map(|line| line.strip_prefix("| `kubectl ")?.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    let sections: Vec<&str> = sections().iter().map(|section| section.name).collect();
    assert_eq!(rows, sections);
}

#[test]
fn a_watch_and_a_log_are_followed() {
    let pair = SandboxPair::lease();
    let cluster = &pair.staging;
    let files = files();
    let app = files.path().join("web.yaml").display().to_string();
    cluster.kubectl(&["apply", "-f", &app]).ok();
    cluster
        .kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])
        .ok();
    let kubeconfig = pair.kubeconfig.display().to_string();
    let follow = |args: &[&str]| Followed::start(&kubeconfig, files.path(), args);

    let mut watch = follow(&["get", "deployment", "web", "--watch", "--output-watch-events"]);
    watch.wait_for("ADDED");
    cluster.kubectl(&["label", "deployment/web", "tier=front"]).ok();
    watch.wait_for("MODIFIED");
    cluster.kubectl(&["delete", "deployment", "web"]).ok();
    watch.wait_for("DELETED");

    cluster
        .kubectl(&["run", "talker", "--image=team/talker:1", "--restart=Never"])
        .ok();
    let ready = [
        "wait",
        "pod/talker",
        "--for=jsonpath={.status.phase}=Succeeded",
        "--timeout=60s",
    ];
    cluster.kubectl(&ready).ok();
    let mut log = follow(&["logs", "--follow", "talker"]);
    log.wait_for("listening");
    log.wait_for_end();
}

/// A kubectl that goes on until it is told to stop.
struct Followed {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

// === impl Followed ===

impl Followed {
    fn start(kubeconfig: &str, home: &Path, args: &[&str]) -> Self {
        let mut command = Command::new("timeout");
        let mut child = command
            .arg("60")
            .arg(binaries::path("kubectl"))
            .args(args)
            .env("KUBECONFIG", kubeconfig)
            .env("HOME", home)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    #[track_caller]
    fn wait_for(&mut self, wanted: &str) {
        let mut seen = String::new();
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            if line.contains(wanted) {
                return;
            }
            seen.push_str(&line);
            seen.push('\n');
        }
        panic!("no {wanted:?} in\n{seen}");
    }

    fn wait_for_end(mut self) {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn sections() -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in SCRIPT.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            sections.push(Section {
                name,
                commands: Vec::new(),
            });
            continue;
        }
        let Some((mark, command)) = line.split_once(' ').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let mark = match mark {
            "=" => Mark::All,
            "~" => Mark::AnyOrder,
            "$" => Mark::Last,
            "<" => Mark::Part,
            "?" => Mark::Success,
            "!" => Mark::Alone,
            other => panic!("{other:?} is no mark: {line}"),
        };
        sections.last_mut().unwrap().commands.push((mark, command));
    }
    sections
}

fn compared(mark: Mark, output: &Output) -> String {
    let text = masked(output);
    match mark {
        Mark::All | Mark::Part | Mark::Alone => text,
        Mark::AnyOrder => {
            let mut lines: Vec<&str> = text.lines().collect();
            lines.sort_unstable();
            lines.dedup();
            lines.join("\n")
        }
        Mark::Last => text.lines().last().unwrap_or_default().to_owned(),
        Mark::Success => format!("exit code {}", output.code),
    }
}

/// What a command said, without what differs from cluster to cluster and from run to run.
fn masked(output: &Output) -> String {
    const MASKS: [(&str, &str); 14] = [
        (r"\b(web|other|twice)-[a-z0-9]{8,10}-[a-z0-9]{5}\b", "$1-HASH-ID"),
        (r"\b(web|other|twice)-[b-z0-9]{8,10}\b", "$1-HASH"),
        (r"pod-template-hash([=:]) ?[a-z0-9]+", "pod-template-hash${1}HASH"),
        (
            r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[0-9.]*(Z| \+0000)?( UTC)?",
            "TIME",
        ),
        (
            r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000",
            "TIME",
        ),
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID"),
        (r#"resourceVersion: "?\d+"?"#, "resourceVersion: RV"),
        (r#""resourceVersion": "\d+""#, "\"resourceVersion\": \"RV\""),
        (r"\b\d{1,3}(\.\d{1,3}){3}\b", "IP"),
        (r"/tmp/[A-Za-z-]+[0-9]+", "/tmp/FILES"),
        (r"(sandbox-node-1|node-1|kwok-node)", "NODE"),
        (r"\b\d+(m\d+)?s\b", "AGE"),
        (r"<invalid>", "AGE"),
        (r"[ \t]{2,}", "  "),
    ];
    let mut text = format!("{}{}", output.stdout, output.stderr);
    for (pattern, by) in MASKS {
        text = Regex::new(pattern).unwrap().replace_all(&text, by).into_owned();
    }
    let text: String = text
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    format!("{text}exit code {}\n", output.code)
}

fn diff(wanted: &str, found: &str) -> String {
    similar::TextDiff::from_lines(wanted, found)
        .unified_diff()
        .context_radius(3)
        .header("control plane", "sandbox")
        .to_string()
}

/// The files that the commands name below `DIR`.
fn files() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let web = |tag: &str, replicas: u32, port: u16| {
        format!(
            "\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, labels: {{app: web}}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
      - name: web
        image: team/web:{tag}
        ports: [{{containerPort: 5000}}]
        resources: {{limits: {{cpu: 500m, memory: 64Mi}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec:
  selector: {{app: web}}
  ports: [{{port: {port}, targetPort: 5000}}]
"
        )
    };
    let write = |name: &str, text: &str| -> PathBuf {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    write("web.yaml", &web(&tags::good(1), 2, 80));
    write("next.yaml", &web(&tags::good(2), 3, 81));
    let unknown = web(&tags::good(1), 2, 80).replace("  replicas", "  replicsa");
    write("unknown.yaml", &unknown);
    write(
        "wrong.yaml",
        &web(&tags::good(1), 2, 80).replace("port: 80,", "port: many,"),
    );
    write("patch.json", r#"{"spec": {"replicas": 1}}"#);
    directory
}
