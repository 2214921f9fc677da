use std::sync::Arc;

use super::*;
use crate::report::board::{CheckView, LatencyView, PromotionView, ResourceView, VerificationView};

fn mk_environment(name: &str, image: &str) -> EnvironmentView {
    EnvironmentView {
        name: name.into(),
        state: State::Verifying,
        message: "running the gates <script>alert(1)</script>".into(),
        images: vec![image.into()],
        resources: vec![ResourceView {
            kind: "Deployment".into(),
            name: "web".into(),
            ..ResourceView::default()
        }],
        ..EnvironmentView::default()
    }
}

fn mk_board() -> Board {
    let staging = EnvironmentView {
        check: Some(CheckView {
            name: "acceptance".into(),
            running: true,
            duration_seconds: 10.0,
            bound_millis: Some(600.0),
            latency: vec![LatencyView {
                at_seconds: 1.0,
                p90_millis: 12.0,
                max_millis: 40.0,
            }],
            ..CheckView::default()
        }),
        verifications: vec![VerificationView {
            promotion: "staging-to-prod".into(),
            verdict: "failed".into(),
            ..VerificationView::default()
        }],
        ..mk_environment("staging", "team/app:v2")
    };
    Board {
        environments: vec![Arc::new(staging), Arc::new(mk_environment("prod", "team/app:v1"))],
        promotions: vec![PromotionView {
            name: "staging-to-prod".into(),
            from: "staging".into(),
            to: "prod".into(),
            gates: vec!["acceptance".into()],
        }],
        ..Board::default()
    }
}

fn mk_frame<'a>(board: &'a Board, viewer: Viewer<'a>) -> Frame<'a> {
    Frame {
        board,
        now: Timestamp::UNIX_EPOCH,
        viewer,
    }
}

#[test]
fn the_overview_shows_the_flow_and_what_comes_next() {
    let board = mk_board();
    let page = overview(mk_frame(&board, Viewer::Reader));
    let place = |part: &str| page.find(part).unwrap_or_else(|| panic!("no {part} in {page}"));
    assert!(place("id=\"env-staging\"") < place("Promotion staging-to-prod"));
    assert!(place("Promotion staging-to-prod") < place("id=\"env-prod\""));
    assert!(place("comes next") < place("id=\"env-prod\""));
}

#[test]
fn no_page_lets_markup_or_styles_in() {
    let board = mk_board();
    let frame = mk_frame(&board, Viewer::Operator { form_token: "f\"orm" });
    let pages = [
        overview(frame),
        environment(frame, "staging").unwrap(),
        history(frame),
        login(frame, true),
        refusal(frame, "<i>", "<i>"),
    ];
    for page in pages {
        for forbidden in ["<script>", " style=", " onclick=", "<i>", "http://", "https://"] {
            assert!(!page.contains(forbidden), "{forbidden} in {page}");
        }
    }
}

#[test]
fn only_an_operator_sees_actions_and_only_those_that_make_sense() {
    let board = mk_board();
    let page = |viewer, name| environment(mk_frame(&board, viewer), name).unwrap();
    let operator = Viewer::Operator { form_token: "t" };
    for viewer in [Viewer::Reader, Viewer::Guest] {
        assert!(!page(viewer, "staging").contains("/sync"));
    }
    assert!(page(operator, "staging").contains("action=\"/environments/staging/verify\""));
    assert!(page(operator, "prod").contains("action=\"/environments/prod/sync\""));
    assert!(!page(operator, "prod").contains("/verify"));
}

#[test]
fn a_running_check_is_plotted_with_its_limit() {
    let board = mk_board();
    let page = environment(mk_frame(&board, Viewer::Reader), "staging").unwrap();
    assert!(page.contains(">limit 600ms<"), "{page}");
    assert!(page.contains("class=\"p90\" points=\"1"), "{page}");
    assert!(
        page.contains("aria-label=\"Response times of load check acceptance"),
        "{page}"
    );
}
