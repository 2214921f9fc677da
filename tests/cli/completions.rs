//! Completions that know the repository: the scripts are run by bash, the shell that is everywhere.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::desk::Desk;
use crate::harness::binaries;
use crate::harness::git::hermetic;
use crate::harness::gitsync::Gitsync;
use crate::harness::output::Output;

/// What bash offers for the last word of a command line.
fn bash(dir: &Path, script: &str, words: &[&str]) -> Vec<String> {
    let program = binaries::gitsync();
    let binaries = program.parent().unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let ask = format!(
        "{script}\nCOMP_WORDS=({})\nCOMP_CWORD={}\nCOMP_LINE='{}'\nCOMP_POINT=${{#COMP_LINE}}\n_gitsync_with_names gitsync \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" "),
        words.len() - 1,
        words.join(" ")
    );
    let mut command = Command::new("bash");
    hermetic(&mut command);
    command
        .args(["--norc", "-c", &ask])
        .current_dir(dir)
        .env("PATH", path);
    let offered = Output::of(command, Duration::from_secs(60)).ok();
    offered.lines().map(str::to_owned).collect()
}

#[test]
fn bash_offers_environments_images_workloads_and_options() {
    let desk = Desk::new();
    let copy = desk.remote.clone_to("copy");
    let script = desk.gitsync.run(&["completions", "bash"]).ok();
    let offers = |words: &[&str]| bash(&copy, &script, words);
    assert_eq!(offers(&["gitsync", "diff", "--env", ""]), ["prod", "staging"]);
    assert_eq!(offers(&["gitsync", "rollback", "p"]), ["prod"]);
    assert_eq!(offers(&["gitsync", "scale", ""]), ["flask-app="]);
    assert_eq!(
        offers(&["gitsync", "image", "set", ""]),
        ["sanjeev-thiyagarajan/jenkins-flask-app="]
    );
    assert_eq!(offers(&["gitsync", "roll"]), ["rollback"]);
    let options = offers(&["gitsync", "rollback", "--"]);
    assert!(options.contains(&"--reason".to_owned()), "{options:?}");
    // Where there is no repository, there are no names, and no error among them.
    let elsewhere = bash(desk.gitsync.home(), &script, &["gitsync", "diff", "--env", ""]);
    assert!(
        !elsewhere.iter().any(|word| word.contains("error")),
        "{elsewhere:?}"
    );
}

#[test]
fn the_other_shells_ask_for_the_same_names() {
    let gitsync = Gitsync::new();
    let zsh = gitsync.run(&["completions", "zsh"]).ok();
    assert!(
        zsh.starts_with("#compdef gitsync\n"),
        "the first line is what zsh looks for"
    );
    for part in [
        "':env -- Environment to roll back:_gitsync_environments'",
        "'*::images -- ",
        ":_gitsync_images'",
        ":_gitsync_apps'",
        "names=(${(f)\"$(gitsync complete $1 2>/dev/null)\"})",
    ] {
        assert!(zsh.contains(part), "{part}");
    }
    let fish = gitsync.run(&["completions", "fish"]).ok();
    assert!(
        fish.contains("-l env -x -a \"(gitsync complete environments 2>/dev/null)\""),
        "{fish}"
    );
}
