//! What a person at a terminal sees: colours, width, lines that are rewritten, the pager, and what Ctrl-C leaves.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use regex::Regex;

use super::clusters::{Clusters, two_versions};
use crate::harness::git::{Remote, edit};
use crate::harness::gitsync::Gitsync;
use crate::harness::terminal::{CTRL_C, lines};

const IMAGE: &str = "sanjeev-thiyagarajan/jenkins-flask-app";

const NARROW: (u16, u16) = (80, 200);
const WIDE: (u16, u16) = (200, 200);
const SMALL: (u16, u16) = (80, 10);

/// The example with a change that nobody has committed.
fn with_a_change() -> (Remote, PathBuf) {
    let remote = Remote::example();
    let copy = remote.clone_to("copy");
    let deployment = copy.join("apps/flask-app/deployment.yaml");
    edit(&deployment, "memory: 256Mi", "ephemeral-storage: 1Gi");
    (remote, copy)
}

#[test]
fn a_difference_is_coloured_and_as_wide_as_the_terminal() {
    let (_remote, copy) = with_a_change();
    let gitsync = Gitsync::new();
    let beside = ["diff", "--offline", "--side-by-side"];
    let widest = |size: (u16, u16)| {
        let left = gitsync.on_terminal(&copy, &beside, size).end();
        assert_eq!(left.code, 1, "{}", left.written);
        assert!(left.written.contains("\x1b[31m"), "{}", left.written);
        assert!(left.is_sane);
        let unfolded = lines(&left.written, usize::MAX);
        unfolded.iter().map(|line| line.chars().count()).max().unwrap()
    };
    let (narrow, wide) = (widest(NARROW), widest(WIDE));
    assert!(narrow <= 80, "{narrow}");
    assert!((81..=200).contains(&wide), "{wide}");

    let seen = gitsync.on_terminal(&copy, &["diff", "--offline"], NARROW).end();
    let piped = gitsync.run_in(&copy, &["--color", "always", "diff", "--offline"]);
    // Before it stands what the policies say, which a pipe does not get.
    assert!(seen.written.ends_with(&piped.stdout), "{}", seen.written);
}

#[test]
fn no_color_and_a_dumb_terminal_are_heeded() {
    let (_remote, copy) = with_a_change();
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let gitsync = Gitsync::new().env(name, value);
        for args in [
            &["diff", "--offline"][..],
            &["diff", "--env", "prdo"],
            &["validate"],
        ] {
            let seen = gitsync.on_terminal(&copy, args, NARROW).end();
            assert!(
                !seen.written.contains('\x1b'),
                "{name}: {args:?}: {:?}",
                seen.written
            );
        }
    }
    // What is wrong is red where nothing speaks against it.
    let bright = Gitsync::new()
        .on_terminal(&copy, &["diff", "--env", "prdo"], NARROW)
        .end();
    assert!(
        bright.written.contains("\x1b[31merror\x1b[0m: "),
        "{:?}",
        bright.written
    );
}

/// Two clusters, staging with `v2` and prod with `v1`, and a working copy.
struct Fleet {
    gitsync: Gitsync,
    copy: PathBuf,
    clusters: Clusters,
    _remote: Remote,
}

impl Fleet {
    fn start() -> Self {
        let clusters = Clusters::start(&["staging", "prod"]);
        let remote = two_versions();
        let copy = remote.clone_to("copy");
        let gitsync = Gitsync::new().env("KUBECONFIG", &clusters.kubeconfig);
        for environment in ["staging", "prod"] {
            gitsync
                .run_in(&copy, &["sync", "--env", environment])
                .expect_code(0);
        }
        Self {
            gitsync,
            copy,
            clusters,
            _remote: remote,
        }
    }

    /// The binary on a terminal that can only go on.
    fn dumb(&self) -> Gitsync {
        Gitsync::new()
            .env("KUBECONFIG", &self.clusters.kubeconfig)
            .env("TERM", "dumb")
    }

    fn wait_args<'a>(&self, image: &'a str) -> [&'a str; 7] {
        ["wait", "--env", "prod", "--image", image, "--timeout", "5m"]
    }
}

#[test]
fn a_wait_rewrites_one_line_and_ends_with_a_plain_one() {
    let fleet = Fleet::start();
    let image = format!("{IMAGE}:v2");
    // On a dumb terminal each thing that is waited for is a line of its own.
    let mut args = fleet.wait_args(&image);
    args[6] = "1s";
    let left = fleet.dumb().on_terminal(&fleet.copy, &args, NARROW).end();
    assert_eq!(left.code, 3, "{}", left.written);
    assert!(!left.written.contains(['\r', '\x1b']), "{:?}", left.written);

    let terminal = fleet
        .gitsync
        .on_terminal(&fleet.copy, &fleet.wait_args(&image), NARROW);
    terminal.wait_for("\r\x1b[2K0:0");
    let run = |args: &[&str]| fleet.gitsync.run_in(&fleet.copy, args).expect_code(0);
    run(&["promote"]);
    run(&["sync", "--env", "prod"]);
    let left = terminal.end();
    assert_eq!(left.code, 0, "{}", left.written);
    assert_eq!(left.lines, [format!("{image} runs in prod, healthy")]);
    let drawn: Vec<&str> = left
        .written
        .split("\r\x1b[2K")
        .filter(|line| line.contains("staging"))
        .collect();
    assert!(!drawn.is_empty(), "{:?}", left.written);
    for line in drawn {
        assert!(lines(line, usize::MAX)[0].chars().count() < 80, "{line:?}");
    }
    assert!(left.is_sane);
}

#[test]
fn ctrl_c_ends_a_wait_and_leaves_the_terminal_as_it_was() {
    let fleet = Fleet::start();
    let image = format!("{IMAGE}:v2");
    let mut terminal = fleet
        .gitsync
        .on_terminal(&fleet.copy, &fleet.wait_args(&image), NARROW);
    terminal.wait_for("\r\x1b[2K0:0");
    terminal.type_keys(CTRL_C);
    let left = terminal.end();
    assert_eq!(left.code, 130, "{}", left.written);
    assert_eq!(left.lines, ["error: interrupted"]);
    assert!(left.is_sane);
    assert!(
        !left.written.contains("\x1b[?25l"),
        "the cursor is hidden: {:?}",
        left.written
    );
}

#[test]
fn ctrl_c_ends_a_command_whose_cluster_does_not_answer() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", silent.local_addr().unwrap());
    let (_remote, copy) = with_a_change();
    let gitsync = Gitsync::new();
    let kubeconfig = gitsync.home().join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- {{name: c, cluster: {{server: '{server}'}}}}\n\
         users:\n- {{name: u, user: {{}}}}\ncontexts:\n- {{name: staging, context: {{cluster: c, user: u}}}}\n\
         - {{name: prod, context: {{cluster: c, user: u}}}}\n"
    );
    std::fs::write(&kubeconfig, text).unwrap();
    let gitsync = gitsync.env("KUBECONFIG", kubeconfig);
    for args in [
        &["sync", "--env", "staging"][..],
        &["promote"],
        &["diff"],
        &["status"],
        &["why", "prod"],
        &["tree", "prod"],
        &["doctor"],
    ] {
        let mut terminal = gitsync.on_terminal(&copy, args, NARROW);
        let asked = silent.accept().unwrap();
        terminal.type_keys(CTRL_C);
        let left = terminal.end();
        assert_eq!(left.code, 130, "{args:?}: {}", left.written);
        assert_eq!(
            left.lines.last().map(String::as_str),
            Some("error: interrupted"),
            "{args:?}"
        );
        drop(asked);
        // What else it had opened.
        silent.set_nonblocking(true).unwrap();
        while silent.accept().is_ok() {}
        silent.set_nonblocking(false).unwrap();
    }
}

/// A pager that says what it got and waits for a key, and that Ctrl-C does not end, as less.
fn pager(dir: &Path) -> String {
    let script = dir.join("pager");
    let text = "trap '' INT\nprintf 'paged %s lines\\n' \"$(wc -l)\"\nread -r key </dev/tty\necho \"closed by $key\"\n";
    std::fs::write(&script, text).unwrap();
    format!("sh {}", script.display())
}

#[test]
fn an_answer_that_is_longer_than_the_screen_goes_through_the_pager() {
    let (_remote, copy) = with_a_change();
    let gitsync = Gitsync::new();
    let pager = pager(gitsync.home());
    let gitsync = gitsync.env("PAGER", pager);
    let mut terminal = gitsync.on_terminal(&copy, &["diff", "--offline"], SMALL);
    terminal.wait_for("paged ");
    // A person who stops a search in the pager twice does not end what feeds it.
    terminal.type_keys(CTRL_C);
    terminal.wait_for("^C");
    terminal.type_keys(CTRL_C);
    terminal.wait_for("^C^C");
    terminal.type_keys("q\n");
    let left = terminal.end();
    assert_eq!(left.code, 1, "{}", left.written);
    assert_eq!(
        left.lines.last().map(String::as_str),
        Some("closed by q"),
        "{:?}",
        left.lines
    );
    assert!(left.is_sane);

    for (args, size) in [
        (&["diff", "--offline"][..], NARROW),
        (&["diff", "--offline", "--no-pager"], SMALL),
        (&["validate"], SMALL),
    ] {
        let left = gitsync.on_terminal(&copy, args, size).end();
        assert!(!left.written.contains("paged"), "{args:?}: {}", left.written);
    }
    // Nothing is lost where the pager is not installed.
    let gitsync = Gitsync::new().env("GITSYNC_PAGER", "no-such-pager");
    let left = gitsync.on_terminal(&copy, &["diff", "--offline"], SMALL).end();
    let all = Regex::new("ephemeral-storage").unwrap();
    assert!(all.is_match(&left.written), "{}", left.written);
    assert_eq!(left.code, 1);
}
