//! The dashboard of a daemon that runs: what it shows follows what happens, and actions need the token.

use std::time::Duration;

use serde_json::Value;

use super::stage::{DEADLINE, Stage};
use crate::harness::gitsync::Daemon;
use crate::harness::tags;
use crate::harness::wait::wait_for;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Where the daemon listens, as it said itself.
#[track_caller]
fn address(stage: &Stage, daemon: &Daemon) -> String {
    stage.wait_for_log(daemon, &["dashboard at http://"]);
    let log = daemon.log();
    let rest = log.split("dashboard at http://").nth(1).unwrap();
    rest.split('/').next().unwrap().to_owned()
}

fn daemon(stage: &Stage) -> Daemon {
    let token = stage.gitsync.home().join("token");
    std::fs::write(&token, TOKEN).unwrap();
    let (url, token) = (stage.remote.url(), token.display().to_string());
    stage.gitsync.daemon(&[
        "run",
        "--repo",
        &url,
        "--listen",
        "127.0.0.1:0",
        "--action-token-file",
        &token,
    ])
}

/// Asks by HTTP/1.1; the status and the body.
fn ask(address: &str, line: &str, headers: &str) -> (u16, String) {
    use std::io::{Read as _, Write as _};
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: 0\r\n{headers}\r\n"
    );
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    (status, body)
}

#[test]
fn the_board_follows_a_promotion() {
    let stage = Stage::new();
    let daemon = daemon(&stage);
    let address = address(&stage, &daemon);
    stage.wait_until_running("prod", &tags::good(1));
    let environment = |name: &str| -> Value {
        let (_, body) = ask(&address, &format!("GET /api/v1/environments/{name}"), "");
        serde_json::from_str(&body).unwrap_or_default()
    };
    wait_for(DEADLINE, "prod is synced on the board", || {
        let prod = environment("prod");
        let text = prod.to_string();
        let is_there = prod["state"] == "synced" && prod["images"].to_string().contains(&tags::good(1));
        if is_there { Ok(()) } else { Err(text) }
    });
    let staging = environment("staging");
    assert_eq!(staging["verifications"][0]["verdict"], "passed", "{staging:#}");
    assert_eq!(staging["check"]["verdict"], "passed", "{staging:#}");
    assert!(
        staging["check"]["latency"].as_array().unwrap().len() > 3,
        "{staging:#}"
    );
    let resources = staging["resources"].to_string();
    assert!(
        resources.contains("\"kind\":\"ReplicaSet\"") && resources.contains("\"kind\":\"Pod\""),
        "{staging:#}"
    );
    wait_for(DEADLINE, "the promotion is in the history", || {
        let (_, history) = ask(&address, "GET /api/v1/history", "");
        if history.contains("Gitsync-Evidence") {
            Ok(())
        } else {
            Err(history)
        }
    });
    let (_, metrics) = ask(&address, "GET /metrics", "");
    assert!(
        metrics.contains("gitsync_promotion_total{env=\"staging\",result=\"pushed\"} 1"),
        "{metrics}"
    );
    for path in ["/healthz", "/readyz"] {
        assert_eq!(ask(&address, &format!("GET {path}"), "").0, 200, "{path}");
    }
    assert_eq!(ask(&address, "POST /api/v1/environments/prod/sync", "").0, 401);
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(
        ask(&address, "POST /api/v1/environments/prod/sync", &bearer).0,
        202
    );
    stage.wait_for_log(&daemon, &["a person asked"]);
    assert!(!daemon.log().contains(TOKEN));
}
