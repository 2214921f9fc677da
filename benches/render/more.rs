//! More than one build: many environments at once, and a build after a change in a process that has built before.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kustomize::{DirFiles, Options};

use crate::spread::Spread;
use crate::{binaries, trees};

/// Timed runs, in turn.
const ROUNDS: usize = 5;
/// Environments over one base of a hundred objects.
const ENVIRONMENTS: usize = 50;
/// Apps of five objects in the overlay that is built again and again.
const APPS: usize = 200;

/// Prints both tables.
pub fn print() {
    println!("\n| work | program | median of {ROUNDS} | min to max | ratio |\n|---|---|--:|--:|--:|");
    environments();
    again();
}

/// Fifty environments: by kustomize one after the other, by gitsync all together, checked as well.
fn environments() {
    let dir = tempfile::tempdir().expect("because a temporary directory can be made");
    write_environments(dir.path());
    run(Command::new("git")
        .args(["init", "--quiet"])
        .current_dir(dir.path()));
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.push(timed(|| {
            for number in 0..ENVIRONMENTS {
                let environment = dir.path().join(format!("environments/e{number}"));
                run(Command::new(binaries::path("kustomize"))
                    .arg("build")
                    .arg(environment));
            }
        }));
        ours.push(timed(|| {
            run(Command::new(binaries::gitsync())
                .arg("validate")
                .current_dir(dir.path()));
        }));
    }
    let work = format!("{ENVIRONMENTS} environments of 100 objects");
    rows(
        &work,
        "`kustomize build` of each",
        theirs,
        "`gitsync validate`",
        ours,
    );
}

fn write_environments(dir: &Path) {
    trees::objects_of(&dir.join("base"), 20);
    for number in 0..ENVIRONMENTS {
        let environment = dir.join(format!("environments/e{number}"));
        fs::create_dir_all(&environment).expect("because the directory is ours");
        let files = [
            (
                "kustomization.yaml",
                format!("namespace: e{number}\nnamePrefix: e{number}-\nresources:\n- ../../base\n"),
            ),
            (
                "environment.yaml",
                format!(
                    "apiVersion: gitsync.dev/v1alpha1\nkind: Environment\nmetadata: {{name: e{number}}}\n\
                     spec: {{cluster: {{context: e{number}}}}}\n"
                ),
            ),
        ];
        for (name, text) in files {
            fs::write(environment.join(name), text).expect("because the directory is ours");
        }
    }
}

/// The overlay of 200 apps after an edit of one file: by a new process of kustomize, and by the library in a process that
/// has built it before, as in the daemon.
fn again() {
    let dir = tempfile::tempdir().expect("because a temporary directory can be made");
    let dir = dir.path();
    trees::overlay(dir, APPS);
    let files = DirFiles::new(dir).expect("because the directory is there");
    let build = || kustomize::build(&files, ".", &Options::default()).expect("because the tree is sound");
    drop(build());
    let edited = dir.join("apps/app-0001/configmap.yaml");
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let text = fs::read_to_string(&edited).expect("because the file is there");
        let line = format!("data:\n  round: \"{round}\"\n");
        fs::write(&edited, text.replace("data:\n", &line)).expect("because the directory is ours");
        theirs.push(timed(|| {
            run(Command::new(binaries::path("kustomize")).arg("build").arg(dir));
        }));
        ours.push(timed(|| drop(build())));
        fs::write(&edited, text).expect("because the directory is ours");
    }
    let work = "1,001 objects again, one file changed";
    rows(
        work,
        "`kustomize build`",
        theirs,
        "the library, in a process that built before",
        ours,
    );
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn run(command: &mut Command) {
    let output = command
        .stdin(Stdio::null())
        .output()
        .expect("because the program is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {said}");
}

fn rows(work: &str, their_name: &str, theirs: Vec<Duration>, our_name: &str, ours: Vec<Duration>) {
    let (theirs, ours) = (Spread::from(theirs), Spread::from(ours));
    println!("| {work} | {their_name} | {theirs} | |");
    println!(
        "| {work} | {our_name} | {ours} | {:.1}× |",
        theirs.median / ours.median
    );
}
