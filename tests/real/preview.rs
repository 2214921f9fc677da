//! The preview: `gitsync diff` before and after, and with a broken manifest.

use super::stage::{IMAGE, Stage};
use crate::harness::tags;

#[test]
fn diff_shows_the_coming_change_and_nothing_after_the_sync() {
    let stage = Stage::new();
    let copy = stage.remote.clone_to("copy");
    let run = |args: &[&str]| stage.gitsync.run_in(&copy, args);
    let first = run(&["diff", "--env", "staging"]).expect_code(1);
    let create = "+ create Deployment.apps flask-app/flask-app  apps/flask-app/deployment.yaml:1";
    assert!(first.stdout.contains(create), "{first}");

    run(&["sync", "--env", "staging"]).ok();
    let clean = run(&["diff", "--env", "staging"]).expect_code(0);
    assert!(clean.stdout.contains("no changes"), "{clean}");

    // An uncommitted change: one line and its surroundings, in colour.
    let set = |tag: &str| {
        run(&[
            "image",
            "set",
            &format!("flask-app={IMAGE}:{tag}"),
            "--env",
            "staging",
        ])
        .ok()
    };
    set(&tags::good(2));
    let change = run(&["--color", "always", "diff", "--env", "staging"]).expect_code(1);
    let line = |colour: &str, mark: &str, tag: &str| {
        format!(
            "\u{1b}[{colour}m{mark}      - image: {IMAGE}:\u{1b}[0m\u{1b}[7m\u{1b}[{colour}m{tag}\u{1b}[0m\n"
        )
    };
    for (colour, mark, tag) in [("31", "-", tags::good(1)), ("32", "+", tags::good(2))] {
        assert!(change.stdout.contains(&line(colour, mark, &tag)), "{change}");
    }
    assert!(
        !change.stdout.contains("kind: Deployment"),
        "only the change and its context: {change}"
    );
    let json = run(&["diff", "--env", "staging", "-o", "json"]).expect_code(1);
    assert!(
        json.stdout
            .contains(r#""path": "/spec/template/spec/containers/0/image""#),
        "{json}"
    );

    set(&tags::good(1));
    std::fs::write(
        copy.join("apps/flask-app/service.yaml"),
        "apiVersion: v1\nkind: Service\n  metadata: [\n",
    )
    .unwrap();
    let broken = run(&["diff", "--env", "staging"]).expect_code(2);
    assert!(
        broken.stderr.contains("apps/flask-app/service.yaml:3"),
        "{broken}"
    );
}
