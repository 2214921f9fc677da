//! The preview: `gitsync diff` before and after, and with a broken manifest.

use super::stage::Stage;
use crate::harness::tags;

#[test]
fn diff_shows_the_coming_change_and_nothing_after_the_sync() {
    let stage = Stage::new();
    let copy = stage.working_copy();
    let first = stage
        .gitsync_in(&copy, &["diff", "--env", "staging"])
        .expect_code(1);
    assert!(
        first
            .stdout
            .contains("+ create Deployment.apps flask-app/flask-app  apps/flask-app/deployment.yaml:1"),
        "{first}"
    );

    stage
        .gitsync_in(&copy, &["sync", "--env", "staging"])
        .expect_code(0);
    let clean = stage
        .gitsync_in(&copy, &["diff", "--env", "staging"])
        .expect_code(0);
    assert!(clean.stdout.contains("no changes"), "{clean}");

    // An uncommitted change: one line and its surroundings, in colour.
    stage
        .gitsync_in(
            &copy,
            &[
                "image",
                "set",
                &format!("flask-app={}:{}", stage.image(), tags::good(2)),
                "--env",
                "staging",
            ],
        )
        .expect_code(0);
    let change = stage
        .gitsync_in(&copy, &["--color", "always", "diff", "--env", "staging"])
        .expect_code(1);
    let line = |colour: &str, mark: &str, tag: &str| {
        format!(
            "\u{1b}[{colour}m{mark}      - image: {}:{tag}\u{1b}[0m",
            stage.image()
        )
    };
    assert!(
        change.stdout.contains(&line("31", "-", &tags::good(1))),
        "{change}"
    );
    assert!(
        change.stdout.contains(&line("32", "+", &tags::good(2))),
        "{change}"
    );
    assert!(
        !change.stdout.contains("kind: Deployment"),
        "only the change and its context: {change}"
    );
    let json = stage
        .gitsync_in(&copy, &["diff", "--env", "staging", "-o", "json"])
        .expect_code(1);
    assert!(
        json.stdout
            .contains(r#""path": "/spec/template/spec/containers/0/image""#),
        "{json}"
    );

    stage
        .gitsync_in(
            &copy,
            &[
                "image",
                "set",
                &format!("flask-app={}:{}", stage.image(), tags::good(1)),
                "--env",
                "staging",
            ],
        )
        .expect_code(0);
    std::fs::write(
        copy.join("apps/flask-app/service.yaml"),
        "apiVersion: v1\nkind: Service\n  metadata: [\n",
    )
    .unwrap();
    let broken = stage
        .gitsync_in(&copy, &["diff", "--env", "staging"])
        .expect_code(2);
    assert!(broken.stderr.contains("apps/flask-app/service.yaml:"), "{broken}");
}
