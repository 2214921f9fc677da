//! `gitsync rehearse`: what it says of good repositories, of bad ones, and of those that it cannot read.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::git::{Remote, git};
use crate::harness::gitsync::Gitsync;
use crate::harness::output::Output;
use crate::harness::tags;

const STAGING: &str = "environments/staging/kustomization.yaml";

/// A clone of the example, and the binary.
struct Desk {
    _remote: Remote,
    gitsync: Gitsync,
    copy: PathBuf,
}

impl Desk {
    fn new() -> Self {
        let remote = Remote::example();
        Self {
            copy: remote.clone_to("copy"),
            gitsync: Gitsync::new(),
            _remote: remote,
        }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.copy.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn replace(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.copy.join(path)).unwrap();
        assert!(text.contains(from), "{text}");
        self.write(path, &text.replace(from, to));
    }

    #[track_caller]
    fn rehearse(&self, args: &[&str]) -> Output {
        let line = [&["rehearse"], args].concat();
        self.gitsync.run_in(&self.copy, &line)
    }
}

#[test]
fn the_example_works_and_the_coming_promotion_is_shown() {
    let desk = Desk::new();
    let output = desk.rehearse(&[]).expect_code(0);
    let told = &output.stdout;
    for (what, text) in [
        (
            "staging",
            "staging      healthy  5 to create, 0 to update, 0 to prune, 0 in sync",
        ),
        ("its image", "jenkins-flask-app:abc123de"),
        ("prod", "prod         healthy  5 to create"),
        ("the promotion", "staging-to-prod (staging → prod)"),
        (
            "its gate",
            "gate acceptance: up to 10 VUs, 10 s: http_req_duration p(90)<600",
        ),
        (
            "who answers",
            "Service flask-app-service has 3 ready endpoints with these images",
        ),
        ("the commit", "commit: Promote jenkins-flask-app:abc123de to prod"),
        ("its patch", "+  newTag: abc123de"),
        (
            "its effect",
            "prod healthy  0 to create, 1 to update, 0 to prune, 4 in sync",
        ),
        ("the answer", "Everything would work."),
        ("what it is", "sandbox clusters"),
    ] {
        assert!(told.contains(text), "{what}\n{output}");
    }
    // A directory, from elsewhere, is read as it is on disk.
    desk.replace(STAGING, "newTag: abc123de", "newTag: 900d0001");
    let elsewhere = desk
        .gitsync
        .run(&["rehearse", "--repo", desk.copy.to_str().unwrap(), "-o", "json"]);
    let json: Value = serde_json::from_str(&elsewhere.ok()).unwrap();
    assert_eq!(json["good"], true);
    assert_eq!(
        json["promotions"][0]["commit"]["subject"],
        "Promote jenkins-flask-app:900d0001 to prod"
    );
    assert_eq!(json["promotions"][0]["effect"]["outcome"], "healthy");
}

#[test]
fn what_would_not_become_healthy_is_told_with_its_reason() {
    for (tag, reason) in [
        (tags::crash(1), "CrashLoopBackOff"),
        (tags::nopull(1), "ImagePullBackOff"),
    ] {
        let desk = Desk::new();
        desk.replace(STAGING, "newTag: abc123de", &format!("newTag: {tag}"));
        let output = desk.rehearse(&[]).expect_code(1);
        for text in [
            "staging      unhealthy",
            reason,
            "prod         healthy",
            "never begins: staging is not healthy, and proves nothing",
            "Something would fail.",
        ] {
            assert!(output.stdout.contains(text), "{text}\n{output}");
        }
    }
}

#[test]
fn what_the_api_refuses_and_what_no_gate_can_reach_are_told() {
    let desk = Desk::new();
    let service = "apps/flask-app/service.yaml";
    desk.replace(service, "app: flask-app\n  ports", "app: another\n  ports");
    let output = desk.rehearse(&[]).expect_code(1);
    assert!(
        output
            .stdout
            .contains("cannot pass: no workload in git matches the selector"),
        "{output}"
    );
    desk.replace(service, "port: 80\n", "port: 80000\n");
    let output = desk.rehearse(&["-o", "json"]).expect_code(1);
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    let staging = &json["environments"][0];
    assert_eq!(staging["outcome"], "refused");
    let problem = staging["problems"][0].to_string();
    assert!(
        problem.contains("spec.ports[0].port") && problem.contains(service),
        "{problem}"
    );
}

#[test]
fn a_broken_repository_is_a_mistake_of_configuration() {
    let desk = Desk::new();
    desk.replace(STAGING, "- ../../policies", "- ../../no-such-directory");
    let output = desk.rehearse(&[]).expect_code(2);
    for text in [
        "staging      does not render",
        "no-such-directory",
        "prod         healthy",
        "The repository does not render.",
    ] {
        assert!(output.stdout.contains(text), "{text}\n{output}");
    }
    desk.write("policies/promotion.yaml", "apiVersion: gitsync.dev/v1alpha1\nkind: Promotion\nmetadata: {name: x}\nspec: {from: staging, to: nowhere, gates: [{loadCheck: acceptance}]}\n");
    let output = desk.rehearse(&[]).expect_code(2);
    assert!(
        output.stderr.contains("nowhere") && output.stdout.is_empty(),
        "{output}"
    );
}

#[test]
fn a_change_of_the_base_prunes_staging_first_and_prod_by_its_promotion() {
    let desk = Desk::new();
    let settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: b}\n";
    desk.write("apps/flask-app/settings.yaml", settings);
    desk.replace(
        "apps/flask-app/kustomization.yaml",
        "- service.yaml",
        "- service.yaml\n- settings.yaml",
    );
    let commit = |message: &str| {
        git(&desk.copy, &["add", "--all"]).ok();
        git(&desk.copy, &["commit", "--quiet", "-m", message]).ok();
        git(&desk.copy, &["rev-parse", "HEAD"]).ok().trim().to_owned()
    };
    let proved = commit("Add settings");
    let verified = format!(
        "apiVersion: gitsync.dev/v1alpha1\nkind: Verified\nmetadata: {{name: prod}}\nspec:\n  from: staging\n  revision: {proved}\n  images:\n  - {{name: sanjeev-thiyagarajan/jenkins-flask-app, tag: 9f31c0de}}\n  time: 2026-01-01T00:00:00Z\n"
    );
    desk.write("environments/prod/verified.yaml", &verified);
    commit("Promote to prod");
    desk.replace("apps/flask-app/kustomization.yaml", "\n- settings.yaml", "");
    desk.replace("apps/flask-app/deployment.yaml", "replicas: 3", "replicas: 2");

    let output = desk.rehearse(&["--base", "HEAD"]).expect_code(0);
    let (environments, promotion) = output.stdout.split_once("staging-to-prod").unwrap();
    assert!(
        environments.contains("staging      healthy  0 to create, 1 to update, 1 to prune, 4 in sync"),
        "{output}"
    );
    assert!(
        environments.contains("prod         healthy  no changes, 6 in sync"),
        "{output}"
    );
    for text in [
        "1 to update, 1 to prune, 4 in sync",
        "- prune ConfigMap flask-app/settings",
        "-  replicas: 3",
    ] {
        assert!(promotion.contains(text), "{text}\n{output}");
    }
    let comment = desk
        .rehearse(&["--base", "HEAD", "-o", "markdown"])
        .expect_code(0)
        .stdout;
    for text in [
        "## gitsync rehearse",
        "**Everything would work.**",
        "| staging | ✅ healthy |",
        "<details><summary>the commit</summary>",
        "<code>ConfigMap flask-app/settings</code>",
    ] {
        assert!(comment.contains(text), "{text}\n{comment}");
    }
}

#[test]
fn what_the_sandbox_cannot_know_is_set_aside_and_said() {
    let desk = Desk::new();
    let certificate =
        "apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: web}\nspec: {secretName: web}\n";
    desk.write("environments/staging/certificate.yaml", certificate);
    desk.replace(STAGING, "- namespace.yaml", "- certificate.yaml");
    let output = desk.rehearse(&[]).expect_code(0);
    for text in [
        "staging      healthy",
        "note: Certificate.cert-manager.io flask-app/web was set aside: its kind is custom, and git has no CRD for it",
        "note: namespace flask-app was made: git does not have it",
    ] {
        assert!(output.stdout.contains(text), "{text}\n{output}");
    }
}

#[test]
fn nothing_is_needed_but_a_repository() {
    let outside = Gitsync::new();
    let output = outside.run(&["rehearse"]).expect_code(2);
    assert!(output.stderr.contains("git"), "{output}");
    assert!(!Path::new(&outside.home().join(".cache")).exists());
}
