//! The preview without a cluster: commits, uncommitted changes and environments against each other.

use std::fs;

use serde_json::Value;

use super::desk::Desk;
use crate::harness::git::{edit, git};

const STAGING: &str = "environments/staging/kustomization.yaml";

#[test]
fn commits_branches_and_uncommitted_changes_are_compared_without_a_cluster() {
    let desk = Desk::new();
    let copy = desk.remote.clone_to("copy");
    let run = |args: &[&str]| desk.gitsync.run_in(&copy, args);
    let clean = run(&["diff", "--offline"]).expect_code(0);
    assert_eq!(
        clean.stdout,
        "staging: no changes, 5 in sync\nprod: no changes, 5 in sync\n2 environments: no changes, 10 in sync\n"
    );

    // An uncommitted change of the base shows in both environments, since nothing is proved yet.
    let deployment = copy.join("apps/flask-app/deployment.yaml");
    edit(&deployment, "memory: 256Mi", "memory: 300Mi");
    let change = run(&["diff", "--offline"]).expect_code(1);
    assert!(
        change
            .stdout
            .contains("-            memory: 256Mi\n  +            memory: 300Mi\n"),
        "{change}"
    );
    assert!(
        change
            .stdout
            .ends_with("2 environments: 0 to create, 2 to update, 0 to prune, 8 in sync\n"),
        "{change}"
    );

    // On a branch, against another one.
    let run_git = |args: &[&str]| git(&copy, args).ok();
    run_git(&["checkout", "--quiet", "-b", "feature"]);
    run_git(&["commit", "--quiet", "--all", "-m", "More memory"]);
    let branch = run(&[
        "diff",
        "--offline",
        "main..feature",
        "--env",
        "staging",
        "-o",
        "json",
    ])
    .expect_code(1);
    let json: Value = serde_json::from_str(&branch.stdout).unwrap();
    assert_eq!(json[0]["summary"]["update"], 1);
    let patch = &json[0]["objects"][0]["patch"][0];
    assert_eq!(patch["op"], "replace");
    assert_eq!(
        patch["path"],
        "/spec/template/spec/containers/0/resources/limits/memory"
    );
    assert_eq!(patch["value"], "300Mi");
    run(&["diff", "--offline", "feature..HEAD"]).expect_code(0);

    let markdown = run(&["diff", "--offline", "HEAD~1..HEAD", "-o", "markdown"])
        .expect_code(1)
        .stdout;
    let row = "| medium | update | `Deployment.apps flask-app/flask-app` | `.spec.template.spec.containers[name=\"flask-app\"].resources.limits.memory` |";
    assert!(markdown.contains(row), "{markdown}");
    assert!(
        markdown.contains("<details><summary>staging: update <code>Deployment.apps"),
        "{markdown}"
    );

    let wrong = run(&["diff", "--offline", "nowhere..HEAD"]).expect_code(2);
    assert!(wrong.stderr.contains("`nowhere` stands for no commit"), "{wrong}");
    run(&["diff", "--offline", "main"]).expect_code(2);
}

#[test]
fn a_branch_is_compared_with_where_it_left() {
    let desk = Desk::new();
    let copy = desk.remote.clone_to("copy");
    let run_git = |args: &[&str]| git(&copy, args).ok();
    run_git(&["checkout", "--quiet", "-b", "feature"]);
    let deployment = copy.join("apps/flask-app/deployment.yaml");
    edit(&deployment, "memory: 256Mi", "memory: 300Mi");
    run_git(&["commit", "--quiet", "--all", "-m", "More memory"]);
    desk.remote.replace(STAGING, "abc123de", "0a1b2c3d");
    run_git(&["fetch", "--quiet"]);
    let run = |range: &str| {
        desk.gitsync
            .run_in(&copy, &["diff", "--offline", range, "--env", "staging"])
    };
    let branch = run("origin/main...feature").expect_code(1);
    assert!(
        branch.stdout.contains("300Mi") && !branch.stdout.contains("0a1b2c3d"),
        "{branch}"
    );
    let both = run("origin/main..feature").expect_code(1);
    assert!(
        both.stdout.contains("300Mi") && both.stdout.contains("0a1b2c3d"),
        "{both}"
    );
    assert_eq!(run("origin/main...").expect_code(1).stdout, branch.stdout);
}

#[test]
fn what_a_policy_refuses_is_said_before_anything_is_applied() {
    let desk = Desk::new();
    let copy = desk.remote.clone_to("copy");
    let run = |args: &[&str]| desk.gitsync.run_in(&copy, args);
    run(&["validate"]).expect_code(0);
    let deployment = copy.join("apps/flask-app/deployment.yaml");
    edit(&deployment, "memory: 256Mi", "ephemeral-storage: 1Gi");
    let told = "apps/flask-app/deployment.yaml:1: Deployment.apps flask-app/flask-app: policy deployments-are-bounded: every container needs limits of cpu and memory";
    let wrong = run(&["validate"]).expect_code(1);
    assert_eq!(wrong.stdout, format!("{told}\nnot valid: 1 problem\n"), "{wrong}");
    let sarif = run(&["validate", "-o", "sarif"]).expect_code(1).stdout;
    let log: Value = serde_json::from_str(&sarif).unwrap();
    let result = &log["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "policy/deployments-are-bounded");
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "apps/flask-app/deployment.yaml");
    let place = "file=apps/flask-app/deployment.yaml,line=1,title=gitsync policy/deployments-are-bounded";
    let annotation = format!(
        "::error {place}::Deployment.apps flask-app/flask-app: policy deployments-are-bounded: every container needs limits of cpu and memory\n"
    );
    for command in [&["validate"][..], &["diff", "--offline"]] {
        let shown = run(&[command, &["-o", "github"]].concat()).expect_code(1);
        assert_eq!(
            shown.stdout, annotation,
            "both environments have it, and it is told once: {shown}"
        );
        let log = run(&[command, &["-o", "sarif"]].concat()).expect_code(1);
        let log: Value = serde_json::from_str(&log.stdout).unwrap();
        assert_eq!(log["runs"][0]["results"][0], *result);
    }
    let diff = run(&["diff", "--offline"]).expect_code(1);
    let warning = format!("warning: staging: the cluster would refuse this: {told}\n");
    assert!(diff.stderr.contains(&warning), "{diff}");
    let markdown = run(&["diff", "--offline", "-o", "markdown"])
        .expect_code(1)
        .stdout;
    assert!(
        markdown.contains("> **staging: the cluster would refuse this: "),
        "{markdown}"
    );
}

#[test]
fn a_broken_environment_hides_no_mistake_elsewhere() {
    let desk = Desk::new();
    let copy = desk.remote.clone_to("copy");
    let change = |path: &str, from: &str, to: &str| {
        let file = copy.join(path);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(&file, text.replacen(from, to, 1)).unwrap();
    };
    change("environments/staging/environment.yaml", "interval", "intervall");
    change("environments/staging/kustomization.yaml", "newTag", "newTga");
    change(
        "environments/prod/environment.yaml",
        "spec:\n",
        "spec:\n  allow: {kinds: [Deployment, Namespace]}\n",
    );
    change("policies/promotion.yaml", "to: prod", "to: prdo");
    let told = desk.gitsync.run_in(&copy, &["validate"]).expect_code(1);
    let lines: Vec<&str> = told.stdout.lines().collect();
    let starts = [
        "environments/staging/environment.yaml:",
        "policies/promotion.yaml:",
        "environments/staging/kustomization.yaml:",
        "apps/flask-app/service.yaml:",
    ];
    for start in starts {
        assert!(
            lines.iter().any(|line| line.starts_with(start)),
            "{start}\n{told}"
        );
    }
    assert!(
        told.stdout
            .contains("the environment does not allow objects of kind Service"),
        "{told}"
    );
    assert!(lines.last().unwrap().starts_with("not valid: "), "{told}");
    let json = desk
        .gitsync
        .run_in(&copy, &["validate", "-o", "json"])
        .expect_code(1)
        .stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["valid"], &json["environments"]),
        (&Value::from(false), &Value::from(2))
    );
}

#[test]
fn a_proved_commit_that_git_does_not_have_hides_no_mistake() {
    let desk = Desk::new();
    let verified = format!(
        "apiVersion: gitsync.dev/v1alpha1\nkind: Verified\nmetadata: {{name: prod}}\nspec:\n  from: staging\n  revision: {}\n  images: []\n  time: 2026-01-01T00:00:00Z\n",
        "a".repeat(40)
    );
    let overlay = desk.remote.read(STAGING).unwrap().replace("newTag", "newTga");
    desk.remote.commit(
        "Prove and break",
        &[
            ("environments/prod/verified.yaml", Some(&verified)),
            (STAGING, Some(&overlay)),
        ],
    );
    let copy = desk.remote.clone_to("copy");
    let told = desk.gitsync.run_in(&copy, &["validate"]).expect_code(2);
    assert!(
        told.stdout.contains("newTga") && told.stdout.ends_with("not valid: 1 problem\n"),
        "{told}"
    );
    assert!(
        told.stderr.starts_with("error: environments/prod: ") && told.stderr.contains("aaaaaaaa"),
        "{told}"
    );
}

#[test]
fn two_environments_differ_by_what_their_overlays_say() {
    let desk = Desk::new();
    let differ = desk.run(&["diff", "--env", "staging..prod"]).expect_code(1);
    assert!(
        differ
            .stdout
            .starts_with("staging..prod: 0 to create, 1 to update"),
        "{differ}"
    );
    let side = desk
        .run(&["diff", "--env", "staging..prod", "--side-by-side"])
        .expect_code(1);
    assert!(side.stdout.lines().any(|line| line.contains("~ │")), "{side}");
    desk.run(&["diff", "--env", "staging..staging"]).expect_code(0);
    let wrong = desk.run(&["diff", "--env", "staging..prdo"]).expect_code(2);
    assert!(wrong.stderr.contains("did you mean `prod`?"), "{wrong}");
}

#[test]
fn a_secret_shows_that_it_changes_and_never_what_it_is() {
    let desk = Desk::new();
    let secret = |value: &str| {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{password: {value}}}\n")
    };
    let overlay = desk.remote.read(STAGING).unwrap();
    let overlay = overlay.replace("resources:\n", "resources:\n- secret.yaml\n");
    let path = "environments/staging/secret.yaml";
    desk.remote.commit(
        "Add a secret",
        &[(path, Some(&secret("canaryone"))), (STAGING, Some(&overlay))],
    );
    desk.remote
        .commit("Change the secret", &[(path, Some(&secret("canarytwo")))]);
    let copy = desk.remote.clone_to("copy");
    for range in ["HEAD~1..HEAD", "HEAD~2..HEAD"] {
        for output in ["text", "json", "markdown"] {
            let args = ["diff", "--offline", range, "-o", output, "--full"];
            let shown = desk.gitsync.run_in(&copy, &args).expect_code(1);
            let all = format!("{}{}", shown.stdout, shown.stderr);
            // As written, and as base64: Y2FuYXJ5.
            assert!(
                !all.contains("canary") && !all.contains("Y2FuYXJ5"),
                "{range} {output}: {shown}"
            );
            assert!(all.contains("***"), "{range} {output}: {shown}");
        }
    }
}
