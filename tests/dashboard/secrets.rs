//! Secrets: a value that nobody else could have written is looked for in everything that leaves the process.

use ::sandbox::Patch;
use base64::Engine as _;
use serde_json::json;

use super::stage::{STAGING, Stage};
use crate::harness::tags;

const CANARY: &str = "canary-in-a-coal-mine-4711";
const DRIFTED: &str = "canary-by-hand-0815";

#[test]
fn no_page_answer_metric_event_or_log_line_has_a_secret() {
    let manifest = format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: keys\n  namespace: flask-app\nstringData:\n  password: {CANARY}\n"
    );
    let stage = Stage::with(&["-vv", "--log-format", "json"], |remote| {
        remote.replace(STAGING, "resources:", "resources:\n- keys.yaml");
        remote.commit(
            "Add a Secret",
            &[("environments/staging/keys.yaml", Some(&manifest))],
        );
        remote.replace(
            "environments/staging/environment.yaml",
            "selfHeal: true",
            "selfHeal: false",
        );
    });
    stage.wait_until_synced("prod", &tags::good(1));
    // Somebody changes it, and the difference is shown.
    let by_hand = json!({"stringData": {"password": DRIFTED}, "data": {"more": encoded(DRIFTED)}});
    let client = stage.clusters[0].cluster().client("kubectl-edit");
    client
        .patch("secrets", "flask-app", "keys", Patch::Merge(by_hand))
        .unwrap();
    let seen = stage.wait_for("staging", "the drift is shown", |seen| {
        seen["pending"].as_str().unwrap_or_default().contains("keys")
    });
    assert!(
        seen["pending"].as_str().unwrap().contains("***"),
        "the difference is masked: {seen:#}"
    );
    let mut found = Vec::new();
    let mut look = |place: &str, text: &str| {
        for secret in [CANARY, DRIFTED, &encoded(CANARY), &encoded(DRIFTED)] {
            if text.contains(secret) {
                found.push(format!("{secret} in {place}"));
            }
        }
    };
    for path in [
        "/",
        "/environments/staging",
        "/environments/prod",
        "/history",
        "/login",
        "/api/v1/board",
        "/api/v1/environments/staging",
        "/api/v1/environments/prod",
        "/api/v1/history",
        "/api/v1/openapi.json",
        "/metrics",
        "/healthz",
        "/readyz",
    ] {
        let (status, body) = stage.ask(&format!("GET {path}"), &[], "");
        assert_eq!(status, 200, "{path}");
        look(path, &body);
    }
    stage.wait_for_event(0, "Applied");
    for event in stage.events(0) {
        look("an Event", &event.to_string());
    }
    let log = stage.daemon.log();
    assert!(
        log.contains("\"span\":{\"env\":\"staging\",\"pass\":"),
        "a line has the span of its pass"
    );
    look("the log", &log);
    let record = client
        .get("configmaps", "gitsync-system", "gitsync-staging")
        .unwrap();
    look("the record", &record.to_string());
    assert!(found.is_empty(), "{found:?}");
}

fn encoded(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}
