//! What every command prints, when all is well and when it is not, as a person sees it: one session on two clusters.
//!
//! `GITSYNC_UPDATE_SNAPSHOTS=1 cargo test --test main cli::snapshots` writes tests/cli/snapshots/session.txt anew; look at
//! the difference before it is committed. The help of every command is docs/reference.md.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use regex::Regex;

use super::clusters::{Clusters, two_versions};
use crate::harness::git::{edit, git};
use crate::harness::gitsync::Gitsync;

const IMAGE: &str = "sanjeev-thiyagarajan/jenkins-flask-app";

/// What differs from run to run, and what stands for it.
const VARYING: [(&str, &str); 12] = [
    (r"\x1b\[[0-9;]*m", ""),
    (r"\b[0-9a-f]{40}\b", "<revision>"),
    (r"sha256:[0-9a-f]{64}", "sha256:<digest>"),
    (r"\b[0-9a-f]{16}-[0-9a-f]{16}\b", "<evidence>"),
    (r"\b[0-9a-f]{8}\b", "<id>"),
    (r"\d{4}-\d{2}-\d{2}T[0-9:.]+Z", "<time>"),
    (r"https?://127\.[0-9.]+(:\d+)?", "<address>"),
    (r"(file://)?/tmp/[A-Za-z0-9._/-]+", "<directory>"),
    (r"= \d+(\.\d+)?", "= <n>"),
    (r"\b\d+m \d+s\b|\b\d+[smhd]\b", "<span>"),
    (
        r"flask-app-<id>-[a-z0-9]{5}|flask-app-[a-z0-9]{8,10}-[a-z0-9]{5}",
        "<pod>",
    ),
    (r" {3,}", "  "),
];

/// A session: commands and what they answered.
struct Session {
    gitsync: Gitsync,
    told: String,
    codes: BTreeMap<String, Vec<i32>>,
}

impl Session {
    fn run(&mut self, dir: &Path, args: &[&str]) {
        self.run_to(dir, args, usize::MAX);
    }

    /// Shows the beginning of an answer, which a test of its own looks at whole.
    fn run_shortly(&mut self, dir: &Path, args: &[&str]) {
        self.run_to(dir, args, 8);
    }

    fn run_to(&mut self, dir: &Path, args: &[&str], most: usize) {
        let output = self.gitsync.run_in(dir, args);
        let typed: Vec<String> = args
            .iter()
            .map(|arg| {
                if arg.contains(' ') {
                    format!("'{arg}'")
                } else {
                    (*arg).to_owned()
                }
            })
            .collect();
        let mut answer: String = output.stdout.split_inclusive('\n').take(most).collect();
        if answer.len() < output.stdout.len() {
            answer += "…\n";
        }
        let mut text = format!("$ gitsync {}\n{answer}{}", typed.join(" "), output.stderr);
        if !text.ends_with('\n') {
            text.push('\n');
        }
        for (pattern, stands_for) in VARYING {
            text = Regex::new(pattern)
                .unwrap()
                .replace_all(&text, stands_for)
                .into_owned();
        }
        // What a wait tells depends on how quick the cluster is.
        let varies = ["waiting: ", ": applied ", " replicas ", "old replicas"];
        let waits = ["staging: Deployment.apps ", "prod: Deployment.apps "];
        let told = text.lines().filter(|line| {
            let is_wait = waits.iter().any(|start| line.starts_with(start));
            !is_wait && !varies.iter().any(|part| line.contains(part))
        });
        self.told.extend(told.flat_map(|line| [line, "\n"]));
        self.told += &["[exit code ", &output.code.to_string(), "]\n\n"].concat();
        self.codes
            .entry(args[0].to_owned())
            .or_default()
            .push(output.code);
    }
}

#[test]
fn every_command_answers_as_it_did() {
    let clusters = Clusters::start(&["staging", "prod"]);
    let remote = two_versions();
    let copy = remote.clone_to("copy");
    let broken = remote.clone_to("broken");
    let mut session = Session {
        gitsync: Gitsync::new().env("KUBECONFIG", &clusters.kubeconfig),
        told: String::new(),
        codes: BTreeMap::new(),
    };
    play(&mut session, &copy);
    fail(&mut session, &copy, &broken);

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/snapshots/session.txt");
    if std::env::var_os("GITSYNC_UPDATE_SNAPSHOTS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &session.told).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    if written != session.told {
        let difference = similar::TextDiff::from_lines(&written, &session.told);
        panic!("{}", difference.unified_diff().context_radius(3));
    }
    for command in ["run", "demo"] {
        // They tell a story in time: the demo's is the one in README.md, the daemon's is in every scenario of tests/real.
        session.codes.entry(command.to_owned()).or_default().push(0);
    }
    session.codes.remove("stauts");
    session.codes.remove("help");
    for (command, codes) in &session.codes {
        let (good, bad) = (codes.contains(&0), codes.iter().any(|code| *code > 0));
        assert!(
            good && bad,
            "{command} is shown with the exit codes {codes:?} alone"
        );
    }
    let commands = <gitsync::cli::Cli as clap::CommandFactory>::command();
    for command in commands
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        assert!(
            session.codes.contains_key(command.get_name()),
            "{} is not shown",
            command.get_name()
        );
    }
}

fn play(session: &mut Session, copy: &Path) {
    let pull = || git(copy, &["pull", "--quiet"]).ok();
    let image = |tag: &str| format!("flask-app={IMAGE}:{tag}");
    for args in [
        &["validate"][..],
        &["init"],
        &["doctor"],
        &["install", "--env", "prod", "--rights-only"],
        &["uninstall", "--context", "prod", "--dry-run"],
        &["diff", "--offline"],
        &["diff", "--env", "staging..prod"],
        &["sync", "--env", "staging"],
        &["sync", "--env", "prod"],
        &["diff"],
        &["status", "--env", "staging"],
        &["tree", "staging"],
        &["why", "staging"],
        &["why", "staging/deployment/flask-app"],
        &["history"],
        &["stats"],
        &["diff", "--promote"],
        &["promote"],
        &["sync", "--env", "prod", "--repo", "../fleet.git"],
    ] {
        session.run(copy, args);
    }
    pull();
    session.run(copy, &["history"]);
    session.run(copy, &["history", "--env", "prod", "--image", "v2", "-o", "csv"]);
    session.run(
        copy,
        &["wait", "--env", "prod", "--image", &format!("{IMAGE}:v2")],
    );
    session.run(
        copy,
        &[
            "image",
            "set",
            &image("v3"),
            "--env",
            "staging",
            "--push",
            "--dry-run",
        ],
    );
    session.run(
        copy,
        &["image", "set", &image("v3"), "--env", "staging", "--push"],
    );
    session.run(
        copy,
        &["image", "set", &image("v3"), "--env", "staging", "--push"],
    );
    session.run(copy, &["scale", "flask-app=4", "--env", "staging", "--push"]);
    session.run(copy, &["approve", "prod", "--image", &format!("{IMAGE}:v3")]);
    session.run(copy, &["suspend", "prod", "--reason", "database migration"]);
    session.run(copy, &["resume", "prod"]);
    session.run(copy, &["rollback", "prod", "--reason", "the basket is empty"]);
    session.run(copy, &["rehearse", "--timeout", "60s"]);
    session.run(copy, &["check", "--explain"]);
    session.run_shortly(copy, &["render", "environments/staging"]);
    session.run_shortly(copy, &["schema", "LoadCheck"]);
    session.run_shortly(copy, &["completions", "bash"]);
    session.run_shortly(copy, &["man"]);
    session.run(copy, &["help", "exit-codes"]);
}

fn fail(session: &mut Session, copy: &Path, broken: &Path) {
    let overlay = broken.join("environments/staging/kustomization.yaml");
    edit(&overlay, "newTag", "newTga");
    let image = format!("{IMAGE}:v9");
    session.run(broken, &["validate"]);
    session.run(broken, &["doctor"]);
    for args in [
        &["diff", "--env", "prdo"][..],
        &["diff", "--offline", "nowhere..HEAD"],
        &["sync", "--env", "prdo"],
        &["status", "--env", "prdo"],
        &["tree", "prdo"],
        &["why", "prdo"],
        &["why", "staging/flask-ap"],
        &["history", "--since", "yesterday"],
        &["stats", "--since", "yesterday"],
        &["promote", "prod-to-nowhere"],
        &["wait", "--env", "prod", "--image", &image, "--timeout", "1s"],
        &["image", "set", "flaskapp=a:1", "--env", "staging", "--push"],
        &["scale", "flask-app=many", "--env", "staging"],
        &["approve", "prdo"],
        &["suspend", "prdo", "--reason", "x"],
        &["resume", "prdo"],
        &["rollback", "staging"],
        &["render", "nowhere"],
        &["schema", "Enviroment"],
        &["install", "--env", "prdo"],
        &["uninstall", "--context", "prdo"],
        &["check", "--url", "nowhere"],
        &["run", "--repo", "ftp://nowhere/x"],
        &["rehearse", "--base", "nowhere"],
        &["completions", "tcsh"],
        &["man", "--page", "2"],
        &["demo", "--plane"],
        &["stauts"],
    ] {
        session.run(copy, args);
    }
    let elsewhere = session.gitsync.home().to_owned();
    session.run(&elsewhere, &["init"]);
}
