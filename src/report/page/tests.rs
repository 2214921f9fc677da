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
            ..PromotionView::default()
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
    let frame = mk_frame(
        &board,
        Viewer::Operator {
            form_token: "f\"orm",
            name: Some("<i>"),
        },
    );
    let pages = [
        overview(frame),
        environment(frame, "staging").unwrap(),
        history(frame),
        login(frame, Some("<i>")),
        not_done(frame, "<i>", "<i>", Some("<i>"), "/"),
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
    let operator = Viewer::Operator {
        form_token: "t",
        name: None,
    };
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

/// Fifty applications in each of five environments, one after the other; what each of them has.
fn mk_large_board() -> Board {
    let resource = |app: usize, kind: &str| ResourceView {
        kind: kind.into(),
        namespace: format!("app-{app}"),
        name: format!("app-{app}"),
        ..ResourceView::default()
    };
    let mk = |name: String| {
        let resources = (0..50).flat_map(|app| {
            ["Namespace", "Deployment", "Service", "ConfigMap"].map(|kind| resource(app, kind))
        });
        Arc::new(EnvironmentView {
            name,
            images: (0..50)
                .map(|app| format!("registry.example/team/app-{app}:0123456789abcdef"))
                .collect(),
            resources: resources.collect(),
            ..EnvironmentView::default()
        })
    };
    Board {
        environments: (0..5).map(|index| mk(format!("env-{index}"))).collect(),
        promotions: (1..5)
            .map(|index| PromotionView {
                name: format!("to-{index}"),
                from: format!("env-{}", index - 1),
                to: format!("env-{index}"),
                ..PromotionView::default()
            })
            .collect(),
        ..Board::default()
    }
}

/// What makes a page of a frame.
type Make = fn(Frame<'_>) -> String;

/// `cargo test --release --lib page_of_250 -- --nocapture` tells the times.
#[test]
#[expect(clippy::print_stderr, reason = "a measurement is told")]
fn a_page_of_250_applications_is_small() {
    let board = mk_large_board();
    let frame = mk_frame(&board, Viewer::Reader);
    let pages: [(&str, Make); 2] = [
        ("overview", overview),
        ("environment", |frame| environment(frame, "env-3").unwrap()),
    ];
    for (name, make) in pages {
        let begun = std::time::Instant::now();
        let page = make(frame);
        eprintln!("{name}: {} bytes, made in {:?}", page.len(), begun.elapsed());
        assert!(page.len() < 300 * 1024, "{name}: {} bytes", page.len());
    }
}

#[test]
fn what_is_fanned_out_stands_below_each_other_and_each_after_its_gate() {
    let names = ["staging", "prod-eu", "prod-us", "dev", "test"];
    let way = |from: &str, to: &str| PromotionView {
        name: format!("to-{to}"),
        from: from.into(),
        to: to.into(),
        ..PromotionView::default()
    };
    let board = Board {
        environments: names.map(|name| Arc::new(mk_environment(name, "a:1"))).to_vec(),
        promotions: vec![
            way("dev", "test"),
            way("staging", "prod-us"),
            way("staging", "prod-eu"),
        ],
        ..Board::default()
    };
    let page = overview(mk_frame(&board, Viewer::Reader));
    let columns: Vec<&str> = page.split("<li class=\"column\">").skip(1).collect();
    assert_eq!(columns.len(), 2);
    let places = |column: &str, names: &[&str]| {
        let place = |name: &&str| column.find(&format!("id=\"env-{name}\"")).unwrap();
        names.iter().map(place).collect::<Vec<_>>()
    };
    assert!(places(columns[0], &["staging", "dev"]).is_sorted());
    assert!(places(columns[1], &["prod-eu", "prod-us", "test"]).is_sorted());
    for to in ["prod-eu", "prod-us", "test"] {
        let gate = columns[1].find(&format!("Promotion to-{to}")).unwrap();
        assert!(gate < places(columns[1], &[to])[0], "{to}");
    }
}

#[test]
fn what_waits_for_a_person_is_shown_where_they_can_allow_it() {
    let mut board = mk_board();
    let staging = Arc::make_mut(&mut board.environments[0]);
    staging.waits.push(crate::report::board::WaitView {
        promotion: "staging-to-prod".into(),
        kind: "unapproved".into(),
        message: "proved, and waits for an approval".into(),
        evidence: "obj-gates".into(),
        next: "+ newTag: v2".into(),
        ..Default::default()
    });
    let page = |viewer| environment(mk_frame(&board, viewer), "prod").unwrap();
    let operator = page(Viewer::Operator {
        form_token: "t",
        name: None,
    });
    assert!(
        operator.contains("action=\"/environments/prod/approve\""),
        "{operator}"
    );
    assert!(operator.contains("value=\"obj-gates\"") && operator.contains("<ins>+ newTag: v2</ins>"));
    assert!(!page(Viewer::Reader).contains("<form"));
    assert!(page(Viewer::Guest).contains("to approve"));
}
