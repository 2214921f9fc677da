//! Page: the board as HTML, readable without a script and by a screen reader. Values in, text out.
//!
//! Whatever comes from outside goes through [`html::text`]. No page has a style or a script of its own, so that the
//! server can forbid both.

mod actions;
mod check;
mod environment;
mod history;
pub mod html;
mod overview;
mod plot;

use html::{ago, short, text};
use jiff::Timestamp;

use super::board::{Board, CommitView, EnvironmentView, State};

/// What a page is made from, besides its subject.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// What is known.
    pub board: &'a Board,
    /// What time it is.
    pub now: Timestamp,
    /// Who looks.
    pub viewer: Viewer<'a>,
}

/// Who looks at a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewer<'a> {
    /// Nobody can act: no token is configured.
    Reader,
    /// Somebody who could sign in.
    Guest,
    /// Somebody who signed in; forms carry this token.
    Operator {
        /// The token against forged requests.
        form_token: &'a str,
        /// Their name, if they gave one.
        name: Option<&'a str>,
    },
}

/// The environments and the way between them.
#[must_use]
pub fn overview(frame: Frame<'_>) -> String {
    document(frame, "Environments", "/", &overview::body(frame))
}

/// One environment; `None` when there is none of that name.
#[must_use]
pub fn environment(frame: Frame<'_>, name: &str) -> Option<String> {
    let environment = frame.board.environment(name)?;
    let body = environment::body(frame, environment);
    Some(document(frame, name, "", &body))
}

/// The promotions that git remembers.
#[must_use]
pub fn history(frame: Frame<'_>) -> String {
    document(frame, "History", "/history", &history::body(frame))
}

/// The form that asks for the token; `refused` says what was wrong with the last try.
#[must_use]
pub fn login(frame: Frame<'_>, refused: Option<&str>) -> String {
    let wrong = refused
        .map(|why| format!("<p class=\"note bad\" role=\"alert\">{}</p>", text(why)))
        .unwrap_or_default();
    let body = format!(
        "<h1>Sign in</h1>{wrong}<p>Actions need the token that gitsync was started with. Reading needs none.</p>\
         <form method=\"post\" action=\"/login\" class=\"card fields\"><label for=\"token\">Token</label>\
         <input id=\"token\" name=\"token\" type=\"password\" autocomplete=\"current-password\" required>\
         <label for=\"name\">Your name <span class=\"dim\">(stands in the commits that you ask for)</span></label>\
         <input id=\"name\" name=\"name\" maxlength=\"64\" autocomplete=\"name\">\
         <button class=\"primary\">Sign in</button></form>"
    );
    document(frame, "Sign in", "/login", &body)
}

/// A page that says what went wrong, and where to go from there.
#[must_use]
pub fn refusal(frame: Frame<'_>, title: &str, why: &str) -> String {
    let body = format!(
        "<h1>{}</h1><p>{}</p><p><a href=\"/\">All environments</a></p>",
        text(title),
        text(why)
    );
    document(frame, title, "", &body)
}

/// A page that says why an action was not done.
#[must_use]
pub fn not_done(frame: Frame<'_>, action: &str, why: &str, hint: Option<&str>, back: &str) -> String {
    let hint = hint
        .map(|hint| format!("<p><b>Next:</b> {}</p>", text(hint)))
        .unwrap_or_default();
    let body = format!(
        "<h1>Not done: {}</h1><p class=\"note bad\" role=\"alert\">{}</p>{hint}<p><a href=\"{back}\">Back to the environment</a></p>",
        text(action),
        text(why),
        back = text(back),
    );
    document(frame, "Not done", "", &body)
}

fn document(frame: Frame<'_>, title: &str, path: &str, body: &str) -> String {
    let board = frame.board;
    let link = |to: &str, label: &str| {
        let current = if to == path { " aria-current=\"page\"" } else { "" };
        format!("<a href=\"{to}\"{current}>{label}</a>")
    };
    let session = match frame.viewer {
        Viewer::Reader => String::new(),
        Viewer::Guest => link("/login", "Sign in"),
        Viewer::Operator { form_token, name } => format!(
            "<span class=\"who\">{}{}</span>",
            name.map(|name| format!("<span class=\"dim\">{}</span> ", text(name)))
                .unwrap_or_default(),
            form("/logout", form_token, "Sign out", "plain")
        ),
    };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title} · gitsync</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <link rel=\"icon\" href=\"/static/icon.svg\"><link rel=\"stylesheet\" href=\"/static/app.css\">\
         <script src=\"/static/app.js\" defer></script></head><body>\
         <a class=\"skip\" href=\"#main\">Skip to content</a>\
         <header class=\"bar\"><a class=\"brand\" href=\"/\">gitsync</a><nav aria-label=\"Main\">{environments}{history}</nav>\
         <span class=\"source\">{repository} <b>{branch}</b></span><span id=\"link\" class=\"link\" hidden>reconnecting…</span>{session}</header>\
         <p id=\"announce\" class=\"unseen\" role=\"status\"></p>\
         <main id=\"main\" tabindex=\"-1\">{troubles}{body}</main>\
         <footer>gitsync {version} · <a href=\"/api/v1/openapi.json\">API</a> · <a href=\"/metrics\">metrics</a></footer>\
         </body></html>\n",
        title = text(title),
        environments = link("/", "Environments"),
        history = link("/history", "History"),
        repository = text(&repository_name(&board.repository)),
        branch = text(&board.branch),
        troubles = troubles(&board.troubles),
        version = text(&board.version),
    )
}

fn troubles(troubles: &[String]) -> String {
    if troubles.is_empty() {
        return String::new();
    }
    let items: String = troubles
        .iter()
        .map(|trouble| format!("<li>{}</li>", text(trouble)))
        .collect();
    format!(
        "<section class=\"note bad\" aria-label=\"Problems with the repository\"><b>Git has a commit that cannot be used</b><ul>{items}</ul></section>"
    )
}

/// The last two parts of a URL: enough to know the repository, and short. Of a path of this machine the last.
fn repository_name(url: &str) -> String {
    let is_path = url.starts_with(['/', '.']) || url.starts_with("file:");
    let parts = url.trim_end_matches('/').rsplit('/');
    let parts: Vec<&str> = parts.take(if is_path { 1 } else { 2 }).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join("/")
}

/// A form with one button.
fn form(action: &str, form_token: &str, label: &str, class: &str) -> String {
    format!(
        "<form method=\"post\" action=\"{}\"><input type=\"hidden\" name=\"form\" value=\"{}\"><button class=\"{class}\">{}</button></form>",
        text(action),
        text(form_token),
        text(label)
    )
}

/// The word for a state, with a sign that does not depend on colour.
fn badge(state: State) -> String {
    let (tone, sign) = match state {
        State::Synced => ("good", "✓"),
        State::Promoting => ("info", "→"),
        State::Progressing => ("info", "◐"),
        State::Verifying => ("info", "◔"),
        State::Held => ("warn", "‖"),
        State::Failed | State::Unreachable => ("bad", "✕"),
        State::Unknown => ("dim", "○"),
    };
    format!(
        "<span class=\"badge {tone}\"><span class=\"sign\" aria-hidden=\"true\">{sign}</span>{}</span>",
        state.word()
    )
}

/// A commit in one line: what, who, when.
fn commit(commit: &CommitView, now: Timestamp) -> String {
    let author = commit.author.split('<').next().unwrap_or_default().trim();
    format!(
        "<code>{}</code> {} <span class=\"dim\">{}, {}</span>",
        text(short(&commit.revision)),
        text(&commit.subject),
        text(author),
        ago(&commit.time, now)
    )
}

/// What an environment waits for, and until when.
fn waiting(environment: &EnvironmentView, now: Timestamp) -> String {
    let since = environment
        .since
        .as_ref()
        .map(|since| format!("since {}", html::since(since, now)))
        .unwrap_or_default();
    let at_rest = environment.state == State::Synced;
    let until = environment.until.as_ref().filter(|_| !at_rest);
    match until {
        Some(until) => format!("{since}, looks again {}", html::until(until, now)),
        None => since,
    }
}

#[cfg(test)]
mod tests;
