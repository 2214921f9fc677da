//! Actions by the API: each one a commit on the branch that says who asked, and the loop follows it.

use serde_json::json;

use super::stage::{PROD, Stage};
use crate::harness::tags;

#[test]
fn a_person_suspends_resumes_and_rolls_back_by_commits_that_name_them() {
    let stage = Stage::new();
    stage.wait_until_synced("prod", &tags::good(1));

    let body = json!({"reason": "the audit", "until": "2h", "by": "Ann"}).to_string();
    let (status, answer) = stage.act("prod", "suspend", &body);
    assert_eq!((status, &answer["changed"]), (200, &json!(true)), "{answer}");
    let commit = &stage.remote.log()[0];
    assert_eq!(commit.files, ["environments/prod/suspension.yaml"]);
    assert_eq!(commit.author, "Ann (gitsync API)");
    for (key, value) in [("Gitsync-Suspend", "prod"), ("Gitsync-By", "Ann (gitsync API)")] {
        let wanted = (key.to_owned(), value.to_owned());
        assert!(commit.trailers.contains(&wanted), "{commit:?}");
    }
    let seen = stage.wait_for("prod", "suspended", |seen| seen["state"] == "held");
    assert_eq!(seen["suspended"]["reason"], "the audit");

    let (status, answer) = stage.act("prod", "resume", "");
    assert_eq!(status, 200, "{answer}");
    let (status, answer) = stage.act("prod", "resume", "");
    assert_eq!((status, &answer["changed"]), (200, &json!(false)), "{answer}");
    stage.wait_until_synced("prod", &tags::good(1));

    let (status, answer) = stage.act("prod", "rollback", r#"{"reason": "it leaks"}"#);
    assert_eq!(status, 200, "{answer}");
    stage.wait_until_synced("prod", &tags::good(0));
    let overlay = stage.remote.read(PROD).unwrap();
    assert!(overlay.contains(&tags::good(0)), "{overlay}");

    // What cannot be done says why, and is on the board as well.
    let (status, answer) = stage.act("staging", "rollback", r#"{"reason": "it leaks"}"#);
    let why = answer["error"].as_str().unwrap_or_default();
    assert_eq!(
        (status, why),
        (409, "staging has never received a promotion"),
        "{answer}"
    );
    let (_, board) = stage.ask("GET /api/v1/board", &[], "");
    let board: serde_json::Value = serde_json::from_str(&board).unwrap();
    let actions = board["actions"].as_array().unwrap();
    let told: Vec<_> = actions
        .iter()
        .map(|action| {
            (
                action["action"].as_str().unwrap(),
                action["done"].as_bool().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("rollback", false),
            ("rollback", true),
            ("resume", true),
            ("resume", true),
            ("suspend", true)
        ]
    );
    assert_eq!(actions[4]["by"], "Ann (gitsync API)");
}

#[test]
fn an_approval_is_of_exactly_what_was_seen() {
    let stage = Stage::with(&[], |remote| {
        let gate = "  - loadCheck: acceptance\n";
        let policy = "policies/promotion.yaml";
        remote.replace(policy, gate, &format!("{gate}  - approval: required\n"));
    });
    let seen = stage.wait_for("staging", "an approval is waited for", |seen| {
        seen["waits"][0]["kind"] == "unapproved"
    });
    let wait = &seen["waits"][0];
    let next = wait["next"].as_str().unwrap();
    for part in [
        "diff --git a/environments/prod/kustomization.yaml",
        &format!("+  newTag: {}", tags::good(1)),
        "Deployment",
    ] {
        assert!(next.contains(part), "no {part} in {next}");
    }
    let before = stage.remote.head();
    let (status, answer) = stage.act("prod", "approve", r#"{"evidence": "something-else"}"#);
    assert_eq!(status, 409, "{answer}");
    assert_eq!(stage.remote.head(), before, "nothing was committed");

    let body = json!({"evidence": wait["evidence"], "by": "Ann"}).to_string();
    let (status, answer) = stage.act("prod", "approve", &body);
    assert_eq!(status, 200, "{answer}");
    stage.wait_until_synced("prod", &tags::good(1));
    let approvals = stage.remote.read("environments/prod/approvals.yaml").unwrap();
    assert!(approvals.contains("by: Ann (gitsync API)"), "{approvals}");

    // The metrics and the Events of the clusters tell of it.
    let (_, metrics) = stage.ask("GET /metrics", &[], "");
    for line in [
        "gitsync_promotion_total{env=\"staging\",result=\"pushed\"} 1",
        "gitsync_commit_to_env_seconds_count{env=\"prod\"}",
        "gitsync_gate_latency_seconds{env=\"staging\",check=\"acceptance\",quantile=\"0.9\"}",
        "gitsync_git_request_total{op=\"push\",result=\"ok\"}",
        "gitsync_suspend_status{env=\"prod\"} 0",
        "gitsync_reconcile_condition{env=\"prod\",type=\"Ready\",status=\"True\"} 1",
    ] {
        assert!(metrics.contains(line), "no {line} in\n{metrics}");
    }
    for (cluster, reason) in [
        (0, "Applied"),
        (0, "GatePassed"),
        (0, "PromotionCommitted"),
        (1, "Applied"),
    ] {
        stage.wait_for_event(cluster, reason);
    }
}
