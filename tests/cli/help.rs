//! What a person sees first: help, completions, the manual, and the words of a failure.

use super::desk::Desk;
use crate::harness::gitsync::Gitsync;

#[test]
fn the_overview_names_every_command_in_one_line() {
    let help = Gitsync::new().run(&["--help"]).ok();
    let commands = help
        .split("Commands:\n")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    let expected = "  demo         Show the whole loop on two sandbox clusters: a good image goes to prod, a slow one is stopped
  run          Keep every environment of the repository as git says: the daemon
  rehearse     Play the repository's whole path on sandbox clusters; exit 1 when something would fail
  diff         Show what syncing would change; exit 1 when something would
  sync         Sync one environment now and wait until it is healthy
  status       Show what each environment runs, how it is, and what it waits for
  wait         Wait until an image or a commit is healthy in an environment, or has failed on the way
  history      List the promotions that git remembers, with their evidence
  stats        Sum up promotions, lead times and rollbacks from git
  check        Run a load check by itself
  promote      Verify an environment now, and promote what passed
  rollback     Go back to what an environment had before its last promotion, by a commit
  approve      Allow the promotion of what was proved, by a commit
  suspend      Leave an environment alone, by a commit
  resume       Take care of a suspended environment again, by a commit
  image        Change images in an overlay
  scale        Change the number of replicas in an overlay
  render       Print what a kustomization renders to, as `kustomize build` does
  validate     Find everything that is wrong without asking a cluster
  why          Tell what an environment, or one object of it, waits for
  tree         Show every object of an environment and how it is
  init         Add what is missing to a repository, new or with kustomize overlays
  install      Print, or apply, what runs gitsync in a cluster, with the rights that the repository needs
  uninstall    Remove gitsync from a cluster, and leave everything that it applied
  doctor       Find what does not work in git, kubeconfig, clusters and permissions, and what mends it
  schema       Print the JSON Schema of gitsync's own kinds
  completions  Print the completion script of a shell
  man          Print the manual
  help         Print this message or the help of the given subcommand(s)";
    let listed: Vec<&str> = commands
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.starts_with("     "))
        .collect();
    for line in expected.lines() {
        let start: String = line.chars().take(70).collect();
        assert!(
            listed
                .iter()
                .any(|found| line.starts_with(found) || found.starts_with(&start)),
            "{line}\n{commands}"
        );
    }
    assert_eq!(listed.len(), expected.lines().count(), "{commands}");
}

#[test]
fn every_command_has_a_help_with_its_options_explained() {
    let gitsync = Gitsync::new();
    let commands = [
        "run",
        "diff",
        "sync",
        "status",
        "wait",
        "history",
        "stats",
        "check",
        "promote",
        "rollback",
        "approve",
        "suspend",
        "resume",
        "image",
        "scale",
        "render",
        "validate",
        "why",
        "tree",
        "init",
        "install",
        "uninstall",
        "doctor",
        "schema",
        "completions",
        "man",
    ];
    for command in commands {
        let help = gitsync.run(&[command, "--help"]).ok();
        assert!(help.contains(&format!("Usage: gitsync {command}")), "{help}");
        // An option without a word of explanation has nothing below or behind it.
        let lines: Vec<&str> = help.lines().collect();
        for pair in lines.windows(2) {
            let text = pair[0].trim_start();
            let option = text.starts_with('-') && !text.starts_with("- ");
            let explained = pair[0].trim_start().split("  ").count() > 1 || pair[1].starts_with("          ");
            assert!(!option || explained, "{command}: {}", pair[0]);
        }
    }
}

#[test]
fn exit_codes_completions_and_the_manual_are_printed() {
    let gitsync = Gitsync::new();
    let codes = gitsync.run(&["help", "exit-codes"]).ok();
    let expected = "\
Exit codes:
  0   yes, or done
  1   the answer is no: differences found, a validation, a rollout or a gate failed
  2   wrong usage or configuration
  3   git or a cluster is unreachable; try again
  4   refused by a guard
  5   superseded by a newer commit
  70  a mistake of gitsync itself
  130 interrupted
  `gitsync check` has k6's: 99 a threshold failed, 104, 105; and 111 inconclusive, 112 target not ready
";
    assert_eq!(codes, expected);
    for (shell, mark) in [
        ("bash", "complete -F _gitsync_with_names"),
        ("zsh", "#compdef gitsync"),
        ("fish", "complete -c gitsync"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = gitsync.run(&["completions", shell]).ok();
        assert!(script.contains(mark) && script.contains("rollback"), "{shell}");
    }
    assert!(gitsync.run(&["man"]).ok().contains(".TH gitsync 1"));
    let pages = gitsync.home().join("pages");
    gitsync.run(&["man", "--dir", pages.to_str().unwrap()]).ok();
    assert!(pages.join("gitsync-image-set.1").exists());
}

/// The exit code, and all that is written, of answers that are no and of wrong usage.
#[test]
fn failures_say_what_is_wrong_and_what_to_do_next() {
    let desk = Desk::new();
    for (args, code, stderr) in [
        (
            &["image", "set", "web", "--env", "staging", "--push"][..],
            2,
            "error: `web`: there is no `=`\nhint: write NAME=IMAGE:TAG, for example web=team/web:0a1b2c3d\n",
        ),
        (
            &["scale", "flask-app=many", "--env", "staging", "--push"],
            2,
            "error: `flask-app=many` is not NAME=N\nhint: write the workload and a whole number, for example web=5\n",
        ),
        (
            &["resume", "prdo"],
            2,
            "error: there is no environment `prdo`\nhint: environments are prod, staging\n",
        ),
        (
            &["rollback", "prod"],
            2,
            "error: prod has never received a promotion\nhint: name the commit to go back to: gitsync rollback prod --to REV\n",
        ),
        (
            &["wait", "--env", "prod", "--image", "web"],
            2,
            "error: `web` has neither a tag nor a digest\n",
        ),
        (
            &["diff", "--env", "staging..prdo"],
            2,
            "error: there is no environment `prdo` (did you mean `prod`?)\n",
        ),
        (
            &[
                "suspend",
                "prod",
                "--reason",
                "r",
                "--until",
                "2001-01-01T00:00:00Z",
            ],
            2,
            "error: --until is in the past\n",
        ),
    ] {
        let output = desk.run(args).expect_code(code);
        assert_eq!(
            (output.stdout.as_str(), output.stderr.as_str()),
            ("", stderr),
            "{args:?}"
        );
    }
    let refused = {
        desk.remote.refuse("main is protected");
        desk.run(&["scale", "flask-app=4", "--env", "staging", "--push"])
            .expect_code(4)
    };
    assert!(
        refused.stderr.contains("the push was refused") && refused.stderr.contains("main is protected"),
        "{refused}"
    );
}
