//! Bad input: each mistake is told with file and line, nothing of it is applied, and the daemon goes on.

use super::stage::Stage;
use crate::harness::tags;

/// Commits a mistake and a good change of prod's replicas together: the first is told, the second is not applied; then
/// the mistake is mended.
#[test]
fn every_mistake_is_told_and_nothing_of_its_commit_is_applied() {
    let stage = Stage::new();
    let daemon = stage.daemon();
    stage.wait_until_running("prod", &tags::good(1));
    let base = "apps/flask-app/kustomization.yaml";
    let deployment = "apps/flask-app/deployment.yaml";
    let good: Vec<(&str, String)> = [base, deployment, "environments/staging/environment.yaml"]
        .map(|path| (path, stage.show(path)))
        .into();
    let extra = |text: &str| {
        vec![
            ("apps/flask-app/extra.yaml", text.to_owned()),
            (
                base,
                "resources:\n- deployment.yaml\n- service.yaml\n- extra.yaml\n".to_owned(),
            ),
        ]
    };
    let config_map = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: extra\n";
    let mistakes: [(&str, Vec<(&str, String)>, &[&str]); 9] = [
        (
            "invalid YAML",
            extra("apiVersion: v1\nkind: [\n"),
            &["apps/flask-app/extra.yaml"],
        ),
        (
            "a missing base",
            vec![(
                base,
                "resources:\n- deployment.yaml\n- service.yaml\n- ../nowhere\n".into(),
            )],
            &["apps/flask-app/kustomization.yaml", "nowhere"],
        ),
        (
            "a cycle",
            vec![(
                base,
                "resources:\n- deployment.yaml\n- ../../environments/staging\n".into(),
            )],
            &["cycle"],
        ),
        (
            "a path that leaves the repository",
            vec![(
                base,
                "resources:\n- deployment.yaml\n- ../../../../etc/passwd\n".into(),
            )],
            &["apps/flask-app/kustomization.yaml", "../../../../etc/passwd"],
        ),
        (
            "an unknown field in our kind",
            vec![(
                "environments/staging/environment.yaml",
                format!(
                    "{}    intervall: 3s\n",
                    stage.show("environments/staging/environment.yaml")
                ),
            )],
            &[
                "environments/staging/environment.yaml:",
                "intervall",
                "did you mean `interval`?",
            ],
        ),
        (
            "a duplicate object",
            extra(&format!("{config_map}---\n{config_map}")),
            &["extra"],
        ),
        (
            "an object of an unknown kind",
            extra("apiVersion: example.com/v1\nkind: Gizmo\nmetadata:\n  name: extra\n"),
            &["apps/flask-app/extra.yaml:2", "Gizmo"],
        ),
        (
            "an unknown field of a known kind",
            vec![(
                deployment,
                stage.show(deployment).replace("  replicas: 3", "  replicsa: 3"),
            )],
            &["apps/flask-app/deployment.yaml:6", "replicsa"],
        ),
        (
            "an empty kustomization",
            vec![(
                "environments/staging/kustomization.yaml",
                "resources: []\n".into(),
            )],
            &["environments/staging"],
        ),
    ];
    for (name, files, reason) in &mistakes {
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        stage.commit(name, &files);
        let status = stage.wait_for_status("staging", reason[0]);
        for part in *reason {
            assert!(status.contains(part), "{name}: {part} is not in: {status}");
        }
        assert!(!stage.exists("staging", "configmaps/extra"), "{name}");
        assert_eq!(stage.running("staging"), tags::good(1), "{name}");
        let mut mended: Vec<(&str, &str)> = good.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let overlay = stage.overlay("staging", &tags::good(1));
        mended.push(("environments/staging/kustomization.yaml", &overlay));
        stage.commit(&format!("Mend {name}"), &mended);
        stage.wait_for_status("staging", "\"synced\"");
    }
    assert!(daemon.is_running());

    // The loop still works.
    stage.set_staging(&tags::good(2));
    stage.wait_until_running("prod", &tags::good(2));
}
