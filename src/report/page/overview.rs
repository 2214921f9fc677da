//! Overview: the environments from left to right, as promotions flow.

use super::html::{image, short, text};
use super::{Frame, badge, commit, waiting};
use crate::report::board::{Board, EnvironmentView, Health, PromotionView, State};

pub(super) fn body(frame: Frame<'_>) -> String {
    let board = frame.board;
    let head = board
        .head
        .as_ref()
        .map(|head| format!("<p class=\"head\">{}</p>", commit(head, frame.now)))
        .unwrap_or_default();
    if board.environments.is_empty() {
        return format!(
            "<h1>Environments</h1>{head}<p>No environment is known yet: git has not been read, or holds no <code>environments/*/environment.yaml</code>.</p>"
        );
    }
    let columns: String = columns(board)
        .iter()
        .map(|column| {
            let cards: String = column
                .iter()
                .map(|environment| card(frame, environment))
                .collect();
            format!("<li class=\"column\">{cards}</li>")
        })
        .collect();
    format!("<h1>Environments</h1>{head}<ol class=\"flow\">{columns}</ol>")
}

/// The environments by how many promotions lead to them.
fn columns(board: &Board) -> Vec<Vec<&EnvironmentView>> {
    let mut columns: Vec<Vec<&EnvironmentView>> = Vec::new();
    for environment in &board.environments {
        let depth = depth(board, &environment.name);
        if columns.len() <= depth {
            columns.resize(depth + 1, Vec::new());
        }
        columns[depth].push(environment);
    }
    columns
}

fn depth(board: &Board, name: &str) -> usize {
    let mut depth = 0;
    let mut at = name;
    let leads_to = |name: &str| board.promotions.iter().find(|promotion| promotion.to == name);
    while let Some(promotion) = leads_to(at).filter(|_| depth < board.promotions.len()) {
        (at, depth) = (&promotion.from, depth + 1);
    }
    depth
}

fn card(frame: Frame<'_>, environment: &EnvironmentView) -> String {
    let incoming = frame
        .board
        .promotions
        .iter()
        .find(|promotion| promotion.to == environment.name);
    let gate = incoming
        .map(|promotion| gate(frame.board, promotion))
        .unwrap_or_default();
    let name = text(&environment.name);
    let images: String = environment
        .images
        .iter()
        .map(|reference| format!("<li>{}</li>", image(reference)))
        .collect();
    let changed = environment
        .changed_by
        .as_ref()
        .map(|change| format!("<dt>Overlay</dt><dd>{}</dd>", commit(change, frame.now)))
        .unwrap_or_default();
    format!(
        "{gate}<article class=\"card {state}\" data-name=\"{name}\" data-state=\"{state}\" aria-labelledby=\"env-{name}\">\
         <div class=\"top\"><h2 id=\"env-{name}\"><a href=\"/environments/{name}\">{name}</a></h2>{badge}</div>\
         <p class=\"message\">{message}</p><p class=\"dim small\">{waiting}</p>\
         <ul class=\"images\" aria-label=\"Images\">{images}</ul>\
         <dl class=\"facts\"><dt>Revision</dt><dd><code>{revision}</code></dd>{changed}<dt>Objects</dt><dd>{objects}</dd></dl></article>",
        state = environment.state.word(),
        badge = badge(environment.state),
        message = text(&environment.message),
        waiting = waiting(environment, frame.now),
        revision = text(short(environment.revision.as_deref().unwrap_or("none yet"))),
        objects = objects(environment),
    )
}

/// How many objects there are, and how many are not as they should be.
fn objects(environment: &EnvironmentView) -> String {
    let all = environment.resources.len();
    let healthy = environment
        .resources
        .iter()
        .filter(|resource| resource.health == Health::Healthy)
        .count();
    let drift = match environment.drift {
        0 => String::new(),
        count => format!(", <b class=\"warn\">{count} not as git says</b>"),
    };
    format!("{healthy} of {all} healthy{drift}")
}

/// What stands between two environments: the gates, how they ended last, and what would come through.
fn gate(board: &Board, promotion: &PromotionView) -> String {
    let from = board.environment(&promotion.from);
    let last = from.and_then(|from| {
        from.verifications
            .iter()
            .find(|last| last.promotion == promotion.name)
    });
    let verifying = from.is_some_and(|from| from.state == State::Verifying);
    let verdict = match last {
        _ if verifying => "<span class=\"info\">running</span>".to_owned(),
        Some(last) => format!(
            "<span class=\"{}\">{}</span>",
            tone(&last.verdict),
            text(&last.verdict)
        ),
        None => "<span class=\"dim\">not run yet</span>".to_owned(),
    };
    let coming: String = board
        .coming(promotion)
        .iter()
        .map(|coming| format!("<li>{}</li>", image(coming.next)))
        .collect();
    let coming = if coming.is_empty() {
        "<p class=\"dim small\">nothing to promote</p>".to_owned()
    } else {
        let held = last.is_some_and(|last| last.verdict == "failed") && !verifying;
        let word = if held { "held back" } else { "comes next" };
        format!("<p class=\"dim small\">{word}</p><ul class=\"images\">{coming}</ul>")
    };
    format!(
        "<section class=\"gate\" aria-label=\"Promotion {name}\"><p class=\"small\"><b>{from} <span aria-hidden=\"true\">→</span><span class=\"unseen\">to</span> {to}</b></p>\
         <p class=\"small\"><a href=\"/environments/{from}#check\">{gates}</a> {verdict}</p>{coming}</section>",
        name = text(&promotion.name),
        from = text(&promotion.from),
        to = text(&promotion.to),
        gates = text(&promotion.gates.join(", ")),
    )
}

pub(super) fn tone(verdict: &str) -> &'static str {
    match verdict {
        "passed" => "good",
        "failed" => "bad",
        _ => "warn",
    }
}
