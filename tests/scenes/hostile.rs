//! Hostile repositories: whoever may write one environment's directory reaches nothing else by it. The daemon says what
//! is wrong, stays small, and goes on with everybody else's.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::harness::git::git;
use crate::harness::gitsync::Daemon;
use crate::harness::scene::{DEADLINE, Scene};
use crate::harness::tags;
use crate::harness::wait::wait_for;

const DIR: &str = "environments/staging";

/// More than the daemon needs for anything here, and less than any of these bombs would make of it. The 60,000 objects, which it
/// plans to create before the API server refuses the first, need 590 MiB.
const MEMORY: u64 = 768 * 1024 * 1024;

/// A word that is in a file outside of the repository, and must never be seen.
const CANARY: &str = "canary-7f3e9a";

type Attack = (&'static str, Box<dyn Fn(&Path)>);

fn write(path: &Path, text: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn resources(root: &Path, list: &[&str]) {
    let lines: String = list.iter().map(|resource| format!("- {resource}\n")).collect();
    write(
        &root.join(DIR).join("kustomization.yaml"),
        format!("resources:\n{lines}"),
    );
}

fn config_map(data: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: bad, namespace: flask-app}}\ndata: {data}\n")
}

/// Files that stand for a ConfigMap, brought in by `resources`.
fn with_file(text: String) -> Box<dyn Fn(&Path)> {
    Box::new(move |root| {
        write(&root.join(DIR).join("bad.yaml"), &text);
        resources(root, &["../../apps/flask-app", "bad.yaml"]);
    })
}

fn attacks(outside: &Path) -> Vec<Attack> {
    let secret = outside.display().to_string();
    let by_dir = outside.parent().unwrap().to_owned();
    let by_name = by_dir.join("token").display().to_string();
    let (by_link, by_path) = (secret.clone(), secret);
    let mut aliases = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        writeln!(
            aliases,
            "a{level}: &a{level} [{}]",
            [before.as_str(); 9].join(", ")
        )
        .unwrap();
    }
    let bomb = format!("{aliases}{}", config_map("{}"));
    vec![
        (
            "a symlink to a file outside",
            Box::new(move |root| {
                symlink(&by_link, root.join(DIR).join("link.yaml")).unwrap();
                resources(root, &["link.yaml"]);
            }),
        ),
        (
            "a symlink to a directory outside",
            Box::new(move |root| {
                symlink(&by_dir, root.join(DIR).join("dir")).unwrap();
                resources(root, &["dir/secret.yaml"]);
            }),
        ),
        (
            "an absolute path",
            Box::new(move |root| resources(root, &[&by_path])),
        ),
        (
            "a path upwards",
            Box::new(|root| resources(root, &["../../../../../../../../etc/passwd"])),
        ),
        (
            "a symlink to itself",
            Box::new(|root| {
                symlink("loop.yaml", root.join(DIR).join("loop.yaml")).unwrap();
                resources(root, &["loop.yaml"]);
            }),
        ),
        (
            "an environment that is its own base",
            Box::new(|root| resources(root, &["../staging"])),
        ),
        ("a bomb of aliases", with_file(bomb)),
        (
            "a million brackets",
            with_file(config_map(&"[".repeat(1_000_000))),
        ),
        (
            "a giant value",
            with_file(config_map(&format!("{{x: {}}}", "y".repeat(40_000_000)))),
        ),
        (
            "very many objects",
            with_file(
                (0..60_000)
                    .map(|number| {
                        format!(
                            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m{number}}}\ndata: 1\n"
                        )
                    })
                    .collect(),
            ),
        ),
        (
            "bytes that are no text",
            with_file(String::from_utf8_lossy(&[0xff, 0xfe, 0x00, 0x07]).into_owned()),
        ),
        (
            "a generator of a file outside",
            Box::new(|root| {
                let text = "configMapGenerator:\n- name: stolen\n  files: [../../../../../etc/hostname]\n";
                write(&root.join(DIR).join("kustomization.yaml"), text);
            }),
        ),
        (
            "a plugin that runs a program",
            Box::new(|root| {
                let text = "apiVersion: v1\nkind: Run\nmetadata:\n  name: run\n  annotations:\n    config.kubernetes.io/function: |\n      exec: {path: /bin/true}\n";
                write(&root.join(DIR).join("run.yaml"), text);
                write(
                    &root.join(DIR).join("kustomization.yaml"),
                    "transformers: [run.yaml]\nresources: [../../apps/flask-app]\n",
                );
            }),
        ),
        (
            "a base from the network",
            Box::new(|root| resources(root, &["https://127.0.0.1:9/evil.yaml"])),
        ),
        (
            "names that terminals act on",
            Box::new(|root| {
                write(&root.join(DIR).join("\u{1b}[31mred\u{7}.yaml"), "apiVersion: [\n");
                resources(root, &["\"\\e[31mred\\a.yaml\""]);
            }),
        ),
        (
            "an environment that names a token as its kubeconfig",
            Box::new(move |root| {
                let path = root.join(DIR).join("environment.yaml");
                let text = fs::read_to_string(&path).unwrap();
                fs::write(
                    &path,
                    text.replace(
                        "context: staging",
                        &format!("context: x\n    kubeconfig: {by_name}"),
                    ),
                )
                .unwrap();
            }),
        ),
    ]
}

/// The most memory that a process has had, in bytes.
fn peak(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn nothing_of_it_reaches_beyond_its_environment() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret.yaml");
    write(&secret, config_map(&format!("{{stolen: {CANARY}}}")));
    write(&outside.path().join("token"), CANARY);
    let scene = Scene::new();
    let mut daemon = scene.daemon();
    scene.wait_until_running("prod", &tags::good(1), &daemon);
    let good = scene.remote.head();
    let promotions = scene.promotions().len();
    for (number, (name, attack)) in attacks(&secret).into_iter().enumerate() {
        let clone = scene.remote.clone_to(&format!("attack-{number}"));
        let run = |args: &[&str]| git(&clone, args).ok();
        attack(&clone);
        run(&["add", "--all"]);
        run(&["commit", "--quiet", "--message", name]);
        run(&["push", "--quiet", "origin", "HEAD:main"]);
        let revision = run(&["rev-parse", "--short=8", "HEAD"]);
        wait_for(DEADLINE, &format!("{name} is looked at"), || {
            let log = daemon.log();
            if log.contains(revision.trim()) {
                Ok(())
            } else {
                Err(log)
            }
        });
        // Somebody mends it, and it is seen that the daemon goes on.
        run(&["checkout", "--quiet", &good, "--", DIR]);
        run(&["clean", "-dfq", DIR]);
        let extra = git(
            &clone,
            &["diff", "--name-only", "--diff-filter=A", &good, "HEAD", "--", DIR],
        )
        .ok();
        for path in extra.lines() {
            git(&clone, &["rm", "-q", "-f", "--ignore-unmatch", "--", path]).ok();
        }
        run(&["commit", "--quiet", "--all", "--message", "Mend it"]);
        run(&["push", "--quiet", "origin", "HEAD:main"]);
        assert_eq!(daemon.exit_code(), None, "{name}\n{}", daemon.log());
        assert!(!daemon.log().contains(CANARY), "{name}");
        assert!(!daemon.log().contains('\u{1b}'), "{name}");
        assert!(peak(&daemon) < MEMORY, "{name}: {} bytes", peak(&daemon));
    }
    for environment in ["staging", "prod"] {
        assert_eq!(scene.running(environment), tags::good(1), "{environment}");
        for stolen in ["bad", "stolen"] {
            assert!(
                scene
                    .get(environment, "configmaps", "flask-app", stolen)
                    .is_none(),
                "{environment}: {stolen}"
            );
        }
    }
    assert_eq!(scene.promotions().len(), promotions);
    // What comes after it is taken as ever.
    scene.set_staging(&tags::good(1), &tags::good(2));
    scene.wait_until_running("prod", &tags::good(2), &daemon);
}
