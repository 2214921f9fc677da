//! Overview: the environments from left to right, as promotions flow.

use super::html::{image, short, text, until};
use super::{Frame, badge, check, commit, waiting};
use crate::report::board::{Board, EnvironmentView, Health, PromotionView, State, WaitView};

/// How many images a card lists; the page of the environment has them all.
const IMAGES: usize = 6;

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
            let steps: String = column
                .iter()
                .map(|environment| step(frame, environment))
                .collect();
            format!("<li class=\"column\">{steps}</li>")
        })
        .collect();
    format!(
        "<h1>Environments</h1>{head}<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"The way of a promotion\"><ol class=\"flow\">{columns}</ol></div>{}",
        check::panels(frame)
    )
}

/// The environments by how many promotions lead to them; what follows the same one stands together.
fn columns(board: &Board) -> Vec<Vec<&EnvironmentView>> {
    let mut columns: Vec<Vec<(Vec<usize>, &EnvironmentView)>> = Vec::new();
    for environment in &board.environments {
        let way = way(board, &environment.name);
        let depth = way.len() - 1;
        if columns.len() <= depth {
            columns.resize(depth + 1, Vec::new());
        }
        columns[depth].push((way, environment));
    }
    let in_order = |mut column: Vec<(Vec<usize>, _)>| {
        column.sort_by(|(one, _), (other, _)| one.cmp(other));
        column.into_iter().map(|(_, environment)| environment).collect()
    };
    columns.into_iter().map(in_order).collect()
}

/// The places of the environments that a promotion passes on its way, this one last.
fn way(board: &Board, name: &str) -> Vec<usize> {
    let place = |name: &str| board.environments.iter().position(|known| known.name == name);
    let leads_to = |name: &str| board.promotions.iter().find(|promotion| promotion.to == name);
    let mut way = vec![place(name).unwrap_or_default()];
    let mut at = name;
    while let Some(promotion) = leads_to(at).filter(|_| way.len() <= board.promotions.len()) {
        at = &promotion.from;
        way.insert(0, place(at).unwrap_or_default());
    }
    way
}

fn step(frame: Frame<'_>, environment: &EnvironmentView) -> String {
    let mut incoming = frame.board.promotions.iter();
    match incoming.find(|promotion| promotion.to == environment.name) {
        Some(promotion) => format!(
            "<div class=\"step\">{}{}</div>",
            gate(frame, promotion),
            card(frame, environment)
        ),
        None => format!("<div class=\"step first\">{}</div>", card(frame, environment)),
    }
}

fn card(frame: Frame<'_>, environment: &EnvironmentView) -> String {
    let name = text(&environment.name);
    let changed = environment
        .changed_by
        .as_ref()
        .map(|change| format!("<dt>Change</dt><dd>{}</dd>", commit(change, frame.now)))
        .unwrap_or_default();
    let suspended = environment
        .suspended
        .as_ref()
        .map(|suspension| {
            let ends = suspension.until.as_ref();
            let ends = ends.map(|time| format!(", ends {}", until(time, frame.now)));
            format!(
                "<p class=\"small warn\">suspended: {}{}</p>",
                text(&suspension.reason),
                ends.unwrap_or_default()
            )
        })
        .unwrap_or_default();
    format!(
        "<article class=\"card {state}\" data-name=\"{name}\" data-state=\"{state}\" aria-labelledby=\"env-{name}\">\
         <div class=\"top\"><h2 id=\"env-{name}\"><a href=\"/environments/{name}\">{name}</a></h2>{badge}</div>\
         <p class=\"message\">{message}</p><p class=\"dim small\">{waiting}</p>{suspended}\
         <ul class=\"images\" aria-label=\"Images\">{images}</ul>\
         <dl class=\"facts\"><dt>Revision</dt><dd><code>{revision}</code></dd>{changed}<dt>Objects</dt><dd>{objects}</dd></dl></article>",
        state = environment.state.word(),
        badge = badge(environment.state),
        message = text(&environment.message),
        waiting = waiting(environment, frame.now),
        images = images(environment),
        revision = text(short(environment.revision.as_deref().unwrap_or("none yet"))),
        objects = objects(environment),
    )
}

fn images(environment: &EnvironmentView) -> String {
    let shown = environment.images.iter().take(IMAGES);
    let mut items: String = shown
        .map(|reference| format!("<li>{}</li>", image(reference)))
        .collect();
    let left = environment.images.len().saturating_sub(IMAGES);
    if left > 0 {
        items += &more(&format!("/environments/{}", environment.name), left);
    }
    items
}

fn more(path: &str, left: usize) -> String {
    format!(
        "<li class=\"small\"><a href=\"{}\">and {left} more</a></li>",
        text(path)
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
fn gate(frame: Frame<'_>, promotion: &PromotionView) -> String {
    let board = frame.board;
    let from = board.environment(&promotion.from);
    let last = from.and_then(|from| {
        from.verifications
            .iter()
            .find(|last| last.promotion == promotion.name)
    });
    let wait = from.and_then(|from| from.waits.iter().find(|wait| wait.promotion == promotion.name));
    let running = from
        .filter(|from| from.state == State::Verifying)
        .and_then(|from| from.check.as_ref())
        .filter(|check| check.running);
    let verdict = match last {
        _ if running.is_some() => "<span class=\"info\">running</span>".to_owned(),
        Some(last) => format!(
            "<span class=\"{}\">{}</span>",
            tone(&last.verdict),
            text(&last.verdict)
        ),
        None => "<span class=\"dim\">not run yet</span>".to_owned(),
    };
    let bar = running.map(check::brief).unwrap_or_default();
    let is_held = running.is_none() && last.is_some_and(|last| last.verdict == "failed");
    let (from, to) = (text(&promotion.from), text(&promotion.to));
    format!(
        "<section class=\"gate\" aria-label=\"Promotion {name}\"><p class=\"way\"><span class=\"unseen\">{from} to {to}</span></p>\
         <p class=\"small\"><a href=\"/environments/{from}#check\">{gates}</a> {verdict}</p>{bar}{coming}{wait}</section>",
        name = text(&promotion.name),
        gates = text(&gates(promotion)),
        coming = coming(board, promotion, is_held),
        wait = wait.map(|wait| waits(frame, &to, wait)).unwrap_or_default(),
    )
}

/// The gates by their names; of those that are no load check, what they are.
fn gates(promotion: &PromotionView) -> String {
    let mut gates = promotion.gates.clone();
    if promotion.soak_seconds > 0 {
        gates.push("soak".to_owned());
    }
    if promotion.approval {
        gates.push("approval".to_owned());
    }
    gates.join(", ")
}

fn coming(board: &Board, promotion: &PromotionView, is_held: bool) -> String {
    let coming = board.coming(promotion);
    if coming.is_empty() {
        return "<p class=\"dim small\">nothing to promote</p>".to_owned();
    }
    let mut items: String = coming
        .iter()
        .take(IMAGES)
        .map(|coming| format!("<li>{}</li>", image(coming.next)))
        .collect();
    let left = coming.len().saturating_sub(IMAGES);
    if left > 0 {
        items += &more(&format!("/environments/{}#next", promotion.to), left);
    }
    let (word, tone) = if is_held {
        ("held back", "bad")
    } else {
        ("comes next", "dim")
    };
    format!("<p class=\"{tone} small\">{word}</p><ul class=\"images\">{items}</ul>")
}

fn waits(frame: Frame<'_>, to: &str, wait: &WaitView) -> String {
    let what = match wait.kind.as_str() {
        "unapproved" => "waits for an approval",
        "soaking" => "soaks",
        "frozen" => "frozen",
        "quarantined" => "in quarantine",
        _ => "suspended",
    };
    let ends = wait.until.as_ref();
    let ends = ends.map(|time| format!(", ends {}", until(time, frame.now)));
    format!(
        "<p class=\"small\"><a class=\"warn\" href=\"/environments/{to}#next\">{what}</a>{}</p>",
        ends.unwrap_or_default()
    )
}

fn tone(verdict: &str) -> &'static str {
    match verdict {
        "passed" => "good",
        "failed" => "bad",
        _ => "warn",
    }
}
