//! A new user: from an empty directory, and from kustomize overlays, to a repository that is valid.

use std::fs;

use crate::harness::git::{Remote, git};
use crate::harness::gitsync::Gitsync;

const KUBECONFIG: &str = "apiVersion: v1\nkind: Config\ncontexts:\n- name: eks-staging\n  context: {cluster: a, user: a}\nclusters:\n- name: a\n  cluster: {server: 'https://127.0.0.1:1'}\nusers:\n- name: a\n  user: {}\n";

#[test]
fn a_new_repository_is_valid_at_once_and_is_not_written_twice() {
    let remote = Remote::empty();
    let copy = remote.clone_to("copy");
    let gitsync = Gitsync::new();
    let kubeconfig = gitsync.home().join("kubeconfig");
    fs::write(&kubeconfig, KUBECONFIG).unwrap();
    let gitsync = gitsync.env("KUBECONFIG", &kubeconfig);
    let run = |args: &[&str]| gitsync.run_in(&copy, args);

    let patch = run(&["init", "--app", "shop", "--image", "team/shop:v1", "--dry-run"]).ok();
    assert!(
        patch.contains("+++ b/environments/prod/kustomization.yaml"),
        "{patch}"
    );
    assert!(!copy.join("environments").exists());

    let done = run(&["init", "--app", "shop", "--image", "team/shop:v1"]).expect_code(0);
    assert!(done.stdout.contains("wrote policies/promotion.yaml\n"), "{done}");
    assert!(
        done.stderr
            .contains("environment staging is in context eks-staging"),
        "{done}"
    );
    assert!(done.stderr.contains("no context that looks like prod"), "{done}");
    let valid = run(&["validate"]).ok();
    assert_eq!(valid, "valid: 2 environments, 6 objects\n");
    let again = run(&["init", "--app", "shop"]).ok();
    assert_eq!(again, "everything is there; nothing was written\n");

    // The next thing that anybody does.
    run(&["image", "set", "shop=team/shop:v2", "--env", "staging"]).ok();
    let overlay = fs::read_to_string(copy.join("environments/staging/kustomization.yaml")).unwrap();
    assert!(
        overlay.ends_with("images:\n- name: team/shop\n  newTag: v2\n"),
        "{overlay}"
    );
}

#[test]
fn existing_overlays_are_adopted_without_a_change_to_them() {
    let remote = Remote::empty();
    let copy = remote.clone_to("copy");
    let write = |path: &str, text: &str| {
        let file = copy.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    };
    write("base/kustomization.yaml", "resources: [web.yaml]\n");
    write(
        "base/web.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: web, image: team/web}]}}}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n",
    );
    for name in ["prod", "staging"] {
        write(
            &format!("overlays/{name}/kustomization.yaml"),
            "resources: [../../base]\nimages: [{name: team/web, newTag: v1}]\n",
        );
    }
    git(&copy, &["add", "--all"]).ok();
    git(&copy, &["commit", "--quiet", "-m", "What we had"]).ok();
    let gitsync = Gitsync::new();
    gitsync.run_in(&copy, &["init"]).ok();
    let status = git(&copy, &["status", "--porcelain", "--untracked-files=no"]).ok();
    assert_eq!(status, "", "nothing that existed was changed");
    assert_eq!(
        gitsync.run_in(&copy, &["validate"]).ok(),
        "valid: 2 environments, 4 objects\n"
    );
    let render = |dir: &str| gitsync.run_in(&copy, &["render", dir]).ok();
    assert_eq!(render("environments/prod"), render("overlays/prod"));
}

#[test]
fn the_doctor_names_what_does_not_work_and_what_mends_it() {
    let remote = Remote::example();
    let gitsync = Gitsync::new();
    let kubeconfig = gitsync.home().join("kubeconfig");
    fs::write(&kubeconfig, KUBECONFIG.replace("eks-staging", "staging")).unwrap();
    let gitsync = gitsync.env("KUBECONFIG", &kubeconfig);
    let copy = remote.clone_to("copy");
    let told = gitsync.run_in(&copy, &["doctor"]).expect_code(1).stdout;
    for part in [
        "✓ git: main of ",
        "it need not be writable, and kubectl is not needed\n",
        "✓ the configuration is valid\n",
        "✗ staging: cluster staging: ",
        "✗ prod: its cluster: kubeconfig ",
        "has no context `prod`; it has staging\n",
        "→ set spec.cluster.context to one of them",
        "2 of 7 do not work\n",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    let json = gitsync
        .run_in(&copy, &["doctor", "-o", "json"])
        .expect_code(1)
        .stdout;
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        rows.as_array()
            .unwrap()
            .iter()
            .filter(|row| row["ok"] == false)
            .count(),
        2
    );
}
