//! Secrets: values that must not leave are put everywhere that gitsync reads, and looked for in everything that it says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::harness::scene::{DEADLINE, Scene};
use crate::harness::tags;
use crate::harness::wait::wait_for;

const SECRET: &str = "canary-secret-4b1d0c7e";
const TOKEN: &str = "canary-token-98aa12ce40";
const ACTION: &str = "canary-action-7716fe01d3";
const HOOK: &str = "canary-hook-5520c81ba9e";

fn ask(address: &str, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    socket
        .set_read_timeout(Some(std::time::Duration::from_secs(30)))
        .unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// In clear, and as a Secret or a header would hold it.
#[track_caller]
fn is_clean(what: &str, text: &str) {
    assert!(!text.is_empty(), "{what} says nothing");
    for secret in [SECRET, TOKEN, ACTION, HOOK] {
        // The end of base64 depends on what stands before; its inner part at each of the three offsets does not.
        let encoded =
            |shift: usize| STANDARD.encode(&secret[shift..secret.len() - secret[shift..].len() % 3]);
        for hidden in [secret.to_owned(), encoded(0), encoded(1), encoded(2)] {
            assert!(!text.contains(&hidden), "{what} tells {secret}:\n{text}");
        }
    }
}

#[test]
fn no_secret_is_in_anything_that_leaves() {
    let scene = Scene::new();
    let secret = |data: &str| format!("apiVersion: v1\nkind: Secret\nmetadata:\n  name: password\n{data}");
    let base = "apps/flask-app/kustomization.yaml";
    let with_secret = scene
        .remote
        .read(base)
        .unwrap()
        .replace("- service.yaml", "- service.yaml\n- secret.yaml");
    let good = secret(&format!("stringData:\n  password: {SECRET}\n"));
    let edits = [
        ("apps/flask-app/secret.yaml", Some(good.as_str())),
        (base, Some(with_secret.as_str())),
    ];
    scene.remote.commit("Add a Secret", &edits);
    let files = ["token", "action", "hook"].map(|name| scene.gitsync.home().join(name));
    for (file, text) in files.iter().zip([TOKEN, ACTION, HOOK]) {
        std::fs::write(file, text).unwrap();
    }
    let [token, action, hook] = files.each_ref().map(|file| file.to_str().unwrap());
    let daemon = scene.daemon_with(&[
        "-vv",
        "--git-token-file",
        token,
        "--listen",
        "127.0.0.1:0",
        "--action-token-file",
        action,
        "--hook-secret-file",
        hook,
    ]);
    scene.wait_until_running("prod", &tags::good(1), &daemon);
    let address = daemon.address();

    // The Secret drifts, and then git has one that the API server refuses, quoting it.
    let client = scene.cluster("staging").client("somebody");
    let changed = serde_json::json!({"data": {"password": STANDARD.encode("other")}});
    client
        .patch(
            "secrets",
            "flask-app",
            "password",
            ::sandbox::Patch::Merge(changed),
        )
        .unwrap();
    wait_for(DEADLINE, "the Secret is put back", || {
        let found = scene.get("staging", "secrets", "flask-app", "password").unwrap();
        if found["data"]["password"] == STANDARD.encode(SECRET) {
            Ok(())
        } else {
            Err(daemon.log())
        }
    });
    let bad = secret(&format!(
        "immutable: {SECRET}\nstringData:\n  password: {SECRET}\n"
    ));
    let revision = scene
        .remote
        .commit("Break the Secret", &[("apps/flask-app/secret.yaml", Some(&bad))]);
    wait_for(DEADLINE, "the mistake is told", || {
        let log = daemon.log();
        let told = log.contains(&revision[..8]) && log.contains("ERROR");
        if told { Ok(()) } else { Err(log) }
    });

    let copy = scene.remote.clone_to("copy");
    for args in [
        &["diff", "--env", "staging"][..],
        &["diff", "--env", "staging", "-o", "json"],
        &["diff", "--env", "staging", "-o", "markdown"],
        &["status"],
        &["status", "-o", "json"],
        &["why", "staging"],
        &["tree", "staging"],
        &["validate"],
        &["doctor"],
        &["history"],
    ] {
        is_clean(&args.join(" "), &scene.gitsync.run_in(&copy, args).to_string());
    }
    for path in [
        "/",
        "/environments/staging",
        "/api/v1/board",
        "/api/v1/environments/staging",
        "/api/v1/history",
        "/metrics",
        "/healthz",
    ] {
        is_clean(path, &ask(&address, path));
    }
    is_clean("the log", &daemon.log());
    for environment in ["staging", "prod"] {
        for resource in ["configmaps", "events", "leases.coordination.k8s.io"] {
            let objects = scene.cluster(environment).client("test").list(resource, None);
            is_clean(resource, &serde_json::to_string(&objects).unwrap());
        }
    }
    is_clean("git", &scene.remote.git(&["log", "--format=%B"]).ok());
}
