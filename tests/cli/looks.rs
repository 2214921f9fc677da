//! How answers look: colours that can be read on a light and on a dark background, and nothing lost without them.

use regex::Regex;

use super::clusters::Clusters;
use crate::harness::git::{Remote, edit};
use crate::harness::gitsync::Gitsync;

/// Bold, dim, inverted, red, green, magenta, cyan, and their end. Yellow and white cannot be read on white, blue and black
/// not on black.
const READABLE: [&str; 9] = ["", "0", "1", "2", "7", "31", "32", "35", "36"];

#[test]
fn colours_can_be_read_anywhere_and_carry_nothing_that_the_words_do_not() {
    let clusters = Clusters::start(&["staging", "prod"]);
    let remote = Remote::example();
    let copy = remote.clone_to("copy");
    let gitsync = Gitsync::new().env("KUBECONFIG", &clusters.kubeconfig);
    gitsync
        .run_in(&copy, &["sync", "--env", "staging"])
        .expect_code(0);
    let overlay = copy.join("environments/staging/kustomization.yaml");
    edit(&overlay, "abc123de", "0a1b2c3d");
    let deployment = copy.join("apps/flask-app/deployment.yaml");
    edit(&deployment, "memory: 256Mi", "ephemeral-storage: 1Gi");
    let escape = Regex::new(r"\x1b\[([0-9;]*)m").unwrap();
    let times = Regex::new(r"\d+[smh]|\d{4}-\d\d-\d\dT[0-9:.]+Z").unwrap();
    let plain = |text: &str| {
        times
            .replace_all(&escape.replace_all(text, ""), "<time>")
            .into_owned()
    };
    let mut coloured = 0;
    for args in [
        &["status"][..],
        &["why", "staging"],
        &["why", "staging/deployment/flask-app"],
        &["tree", "staging"],
        &["doctor"],
        &["validate"],
        &["diff", "--offline"],
        &["diff", "--offline", "--side-by-side"],
        &["diff", "--env", "staging..prod"],
        &[
            "image",
            "set",
            "flask-app=a/b:1",
            "--env",
            "staging",
            "--push",
            "--dry-run",
        ],
        &["diff", "--env", "prdo"],
        &["resume", "prdo"],
    ] {
        let run = |color: &str| gitsync.run_in(&copy, &[&["--color", color], args].concat());
        let (bright, never, auto) = (run("always"), run("never"), run("auto"));
        for (with, without) in [(&bright.stdout, &never.stdout), (&bright.stderr, &never.stderr)] {
            assert!(!without.contains('\x1b'), "{args:?}: {without}");
            assert_eq!(plain(with), plain(without), "{args:?}");
            let codes = escape.captures_iter(with).map(|found| found.extract::<1>().1[0]);
            for code in codes.flat_map(|codes| codes.split(';')) {
                assert!(READABLE.contains(&code), "{args:?}: {code} in {with:?}");
                coloured += 1;
            }
        }
        assert_eq!(
            plain(&auto.stdout),
            plain(&never.stdout),
            "{args:?}: a pipe gets no colours"
        );
    }
    assert!(coloured > 50, "{coloured}");
}
