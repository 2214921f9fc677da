//! Bad input: each mistake is told with file and line, nothing of it is applied, and the daemon goes on.

use super::stage::{STAGING, Stage};
use crate::harness::tags;

const BASE: &str = "apps/flask-app/kustomization.yaml";
const DEPLOYMENT: &str = "apps/flask-app/deployment.yaml";
const EXTRA: &str = "apps/flask-app/extra.yaml";
const ENVIRONMENT: &str = "environments/staging/environment.yaml";
const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: extra\n";

/// A mistake: what it is, the files that make it, and what the status has to say.
type Mistake = (&'static str, Vec<(&'static str, String)>, &'static [&'static str]);

fn base(resources: &[&str]) -> (&'static str, String) {
    let lines: String = resources
        .iter()
        .map(|resource| format!("- {resource}\n"))
        .collect();
    (
        BASE,
        format!("resources:\n- deployment.yaml\n- service.yaml\n{lines}"),
    )
}

fn extra(text: &str) -> Vec<(&'static str, String)> {
    vec![(EXTRA, text.to_owned()), base(&["extra.yaml"])]
}

fn mistakes(stage: &Stage) -> Vec<Mistake> {
    let with_typo = format!("{}    intervall: 3s\n", stage.read(ENVIRONMENT));
    let unknown_field = stage.read(DEPLOYMENT).replace("  replicas: 3", "  replicsa: 3");
    let gizmo = "apiVersion: example.com/v1\nkind: Gizmo\nmetadata:\n  name: extra\n";
    vec![
        (
            "invalid YAML",
            extra("apiVersion: v1\nkind: [\n"),
            &["apps/flask-app/extra.yaml:"],
        ),
        (
            "a missing base",
            vec![base(&["../nowhere"])],
            &["apps/flask-app/kustomization.yaml:4", "../nowhere"],
        ),
        (
            "a cycle",
            vec![base(&["../../environments/staging"])],
            &["apps/flask-app/kustomization.yaml:4", "cycle"],
        ),
        (
            "a path that leaves the repository",
            vec![base(&["../../../etc/passwd"])],
            &["apps/flask-app/kustomization.yaml:4", "../../../etc/passwd"],
        ),
        (
            "an unknown field in our kind",
            vec![(ENVIRONMENT, with_typo)],
            &[
                "environments/staging/environment.yaml:13",
                "spec.sync.intervall",
                "did you mean `interval`?",
            ],
        ),
        (
            "a duplicate object",
            extra(&format!("{CONFIG_MAP}---\n{CONFIG_MAP}")),
            &["apps/flask-app/", "extra"],
        ),
        (
            "an object of an unknown kind",
            extra(gizmo),
            &["apps/flask-app/extra.yaml:2", "serves no kind Gizmo"],
        ),
        (
            "an unknown field of a known kind",
            vec![(DEPLOYMENT, unknown_field)],
            &["apps/flask-app/deployment.yaml:6", "spec.replicsa"],
        ),
        (
            "an empty kustomization",
            vec![(STAGING, "resources: []\n".to_owned())],
            &["environments/staging"],
        ),
    ]
}

#[test]
fn every_mistake_is_told_and_nothing_of_its_commit_is_applied() {
    let stage = Stage::new();
    let mut daemon = stage.daemon();
    stage.wait_until_running("prod", &tags::good(1));
    let good: Vec<(&str, String)> = [BASE, DEPLOYMENT, ENVIRONMENT, STAGING]
        .map(|path| (path, stage.read(path)))
        .into();
    for (name, files, reason) in mistakes(&stage) {
        let mut files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        // A good change in the same commit, which must not be applied either.
        let harmless =
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: flask-app\n  labels: {half: done}\n";
        files.push(("environments/staging/namespace.yaml", harmless));
        stage.commit(name, &files);
        stage.wait_for_status("staging", &[&["\"phase\":\"failed\""], reason].concat());
        assert!(!stage.exists("staging", "configmaps/extra"), "{name}");
        let namespace = stage.pair().staging.get("/api/v1/namespaces/flask-app").unwrap();
        assert_eq!(namespace["metadata"]["labels"].get("half"), None, "{name}");
        assert_eq!(stage.running("staging"), tags::good(1), "{name}");

        let mended: Vec<(&str, &str)> = good.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: flask-app\n";
        stage.commit(
            &format!("Mend {name}"),
            &[mended, vec![("environments/staging/namespace.yaml", namespace)]].concat(),
        );
        stage.wait_for_status("staging", &["\"phase\":\"synced\""]);
    }
    assert_eq!(daemon.exit_code(), None, "the daemon goes on");

    stage.set_staging(&tags::good(2));
    stage.wait_until_running("prod", &tags::good(2));
}
