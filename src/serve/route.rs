//! Routes: one table of everything that is answered, and who may ask it.

use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL};
use hyper::{HeaderMap, Request, StatusCode};
use jiff::Timestamp;

use super::guard::Guard;
use super::hook::{self, Delivery};
use super::respond::{self, Answer};
use super::verbs::Verb;
use super::{Site, actions, openapi, stream};
use crate::report::page::{self, Frame, Viewer};
use crate::report::{board::Board, metrics};

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest body of a form or an action, in bytes.
const LONGEST_FORM: usize = 8 * 1024;

/// Something that is answered.
pub(super) struct Route {
    /// `GET` or `POST`; `HEAD` is answered as `GET`.
    pub(super) method: &'static str,
    /// The path; `{name}` stands for an environment.
    pub(super) path: &'static str,
    /// What it is for.
    pub(super) summary: &'static str,
    /// What answers.
    pub(super) to: To,
}

/// What answers a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    Overview,
    Environment,
    History,
    LoginForm,
    Login,
    Logout,
    Act(Verb),
    Style,
    Script,
    Icon,
    ApiBoard,
    ApiEnvironment,
    ApiHistory,
    ApiEvents,
    ApiDocument,
    ApiAct(Verb),
    Health,
    Ready,
    Metrics,
    Hook,
}

const fn get(path: &'static str, to: To, summary: &'static str) -> Route {
    Route {
        method: "GET",
        path,
        summary,
        to,
    }
}

const fn post(path: &'static str, to: To, summary: &'static str) -> Route {
    Route {
        method: "POST",
        path,
        summary,
        to,
    }
}

/// Everything that is answered.
pub(super) const ROUTES: [Route; 31] = [
    get("/", To::Overview, "The page with all environments"),
    get(
        "/environments/{name}",
        To::Environment,
        "The page of an environment",
    ),
    get("/history", To::History, "The page with all promotions"),
    get("/login", To::LoginForm, "The form to sign in"),
    post("/login", To::Login, "Sign in with the token"),
    post("/logout", To::Logout, "Sign out"),
    post(
        "/environments/{name}/sync",
        To::Act(Verb::Sync),
        "Sync now, from the page",
    ),
    post(
        "/environments/{name}/verify",
        To::Act(Verb::Verify),
        "Verify again, from the page",
    ),
    post(
        "/environments/{name}/approve",
        To::Act(Verb::Approve),
        "Approve, from the page",
    ),
    post(
        "/environments/{name}/rollback",
        To::Act(Verb::Rollback),
        "Roll back, from the page",
    ),
    post(
        "/environments/{name}/suspend",
        To::Act(Verb::Suspend),
        "Suspend, from the page",
    ),
    post(
        "/environments/{name}/resume",
        To::Act(Verb::Resume),
        "Resume, from the page",
    ),
    get("/static/app.css", To::Style, "The style of the pages"),
    get("/static/app.js", To::Script, "The script of the pages"),
    get("/static/icon.svg", To::Icon, "The icon of the pages"),
    get("/favicon.ico", To::Icon, "The icon, where browsers ask for it"),
    get("/api/v1/board", To::ApiBoard, "Everything that is known"),
    get(
        "/api/v1/environments/{name}",
        To::ApiEnvironment,
        "One environment with what belongs to its objects and its events",
    ),
    get(
        "/api/v1/history",
        To::ApiHistory,
        "The promotions that git remembers, and what people ordered",
    ),
    get(
        "/api/v1/events",
        To::ApiEvents,
        "Server-sent events: one named board whenever something changed",
    ),
    get("/api/v1/openapi.json", To::ApiDocument, "This document"),
    post(
        "/api/v1/environments/{name}/sync",
        To::ApiAct(Verb::Sync),
        "Look at git and the cluster now",
    ),
    post(
        "/api/v1/environments/{name}/verify",
        To::ApiAct(Verb::Verify),
        "Run a verification that failed once more; what passes is promoted as always",
    ),
    post(
        "/api/v1/environments/{name}/approve",
        To::ApiAct(Verb::Approve),
        "Allow the promotion of what was proved, by a commit",
    ),
    post(
        "/api/v1/environments/{name}/rollback",
        To::ApiAct(Verb::Rollback),
        "Go back to the state before the last promotion, by a commit; what is left goes into quarantine",
    ),
    post(
        "/api/v1/environments/{name}/suspend",
        To::ApiAct(Verb::Suspend),
        "Leave the environment alone, by a commit",
    ),
    post(
        "/api/v1/environments/{name}/resume",
        To::ApiAct(Verb::Resume),
        "Take care of the environment again, by a commit",
    ),
    get("/healthz", To::Health, "Whether every loop goes on"),
    get("/readyz", To::Ready, "Whether git was read"),
    get("/metrics", To::Metrics, "Metrics for Prometheus"),
    post(
        "/hook",
        To::Hook,
        "A webhook of a git host; looks at the remote now",
    ),
];

/// Answers one request.
pub(super) async fn answer(site: &Site, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    if !site.guard.knows_host(&parts.headers) {
        return respond::refusal(
            StatusCode::MISDIRECTED_REQUEST,
            "this is not a name of this server; see: gitsync run --listen-host",
        );
    }
    let path = parts.uri.path();
    let method = match parts.method.as_str() {
        "HEAD" => "GET",
        method => method,
    };
    let found: Vec<(&Route, Option<&str>)> = ROUTES
        .iter()
        .filter_map(|route| Some((route, matched(route.path, path)?)))
        .collect();
    let Some((route, name)) = found.iter().find(|(route, _)| route.method == method) else {
        return not_there(site, &parts.headers, path, found.first().map(|(route, _)| *route));
    };
    let limit = if route.to == To::Hook {
        hook::LONGEST
    } else {
        LONGEST_FORM
    };
    let body = match read(body, limit).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let name = name.unwrap_or_default();
    match route.to {
        To::Login => actions::login(site, &parts.headers, &body).await,
        To::Logout => actions::logout(site, &parts.headers, &body),
        To::Act(verb) => actions::by_form(site, &parts.headers, &body, name, verb).await,
        To::ApiAct(verb) => actions::by_token(site, &parts.headers, &body, name, verb).await,
        To::Hook => hooked(site, &parts.headers, &body),
        to => read_only(site, &parts.headers, to, name).await,
    }
}

/// The environment's name when `path` is of the form `pattern`; `Some(None)` when it has none.
fn matched<'a>(pattern: &str, path: &'a str) -> Option<Option<&'a str>> {
    if pattern == path {
        return Some(None);
    }
    let (before, after) = pattern.split_once("{name}")?;
    let name = path.strip_prefix(before)?.strip_suffix(after)?;
    (!name.is_empty() && !name.contains('/')).then_some(Some(name))
}

async fn read(body: Incoming, limit: usize) -> Result<Bytes, Answer> {
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, limit).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(respond::refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is too large",
        )),
        Ok(Err(_)) => Err(respond::refusal(
            StatusCode::BAD_REQUEST,
            "the body ended too early",
        )),
        Err(_) => Err(respond::refusal(
            StatusCode::REQUEST_TIMEOUT,
            "the body took too long",
        )),
    }
}

async fn read_only(site: &Site, headers: &HeaderMap, to: To, name: &str) -> Answer {
    let ok = StatusCode::OK;
    match to {
        To::Overview => paged(site, headers, |frame| respond::html(ok, page::overview(frame))),
        To::History => paged(site, headers, |frame| respond::html(ok, page::history(frame))),
        To::LoginForm => paged(site, headers, |frame| respond::html(ok, page::login(frame, None))),
        To::Environment => {
            site.hub.look(name).await;
            paged(site, headers, |frame| match page::environment(frame, name) {
                Some(page) => respond::html(ok, page),
                None => not_found(frame),
            })
        }
        To::Style => fixed("text/css; charset=utf-8", include_str!("static/app.css")),
        To::Script => fixed("text/javascript; charset=utf-8", include_str!("static/app.js")),
        To::Icon => fixed("image/svg+xml", include_str!("static/icon.svg")),
        To::ApiBoard => respond::json(ok, &site.hub.board()),
        To::ApiEnvironment => {
            site.hub.look(name).await;
            match site.hub.board().environment(name) {
                Some(environment) => respond::json(ok, environment),
                None => respond::refusal(StatusCode::NOT_FOUND, "there is no such environment"),
            }
        }
        To::ApiHistory => {
            let board = site.hub.board();
            let history: Vec<_> = board.history.iter().map(|entry| &**entry).collect();
            respond::json(ok, &history)
        }
        To::ApiEvents => respond::events(stream::follow(site.hub.clone(), site.cancel.clone())),
        To::ApiDocument => respond::json(ok, &openapi::document()),
        To::Health => health(site),
        To::Ready => ready(site),
        To::Metrics => respond::with(
            ok,
            "text/plain; version=0.0.4; charset=utf-8",
            metrics::text(&site.hub.board(), &site.hub.counters()),
        ),
        // The caller has answered these.
        To::Login | To::Logout | To::Act(_) | To::ApiAct(_) | To::Hook => {
            respond::refusal(StatusCode::METHOD_NOT_ALLOWED, "this needs POST")
        }
    }
}

/// Answers with a page that knows who looks.
pub(super) fn paged(site: &Site, headers: &HeaderMap, answer: impl FnOnce(Frame<'_>) -> Answer) -> Answer {
    let board: Board = site.hub.board();
    let session = site.guard.session(headers);
    let signed_in = session
        .as_ref()
        .map(|session| (session, site.guard.form_token(session)));
    let viewer = match &signed_in {
        Some((session, form_token)) => Viewer::Operator {
            form_token,
            name: session.name.as_deref(),
        },
        None if site.guard.has_token() => Viewer::Guest,
        None => Viewer::Reader,
    };
    answer(Frame {
        board: &board,
        now: Timestamp::now(),
        viewer,
    })
}

fn not_found(frame: Frame<'_>) -> Answer {
    let page = page::refusal(frame, "Not found", "There is nothing of that name.");
    respond::html(StatusCode::NOT_FOUND, page)
}

/// The path is unknown, or known with another method.
fn not_there(site: &Site, headers: &HeaderMap, path: &str, known: Option<&Route>) -> Answer {
    if let Some(route) = known {
        let mut answer = respond::refusal(StatusCode::METHOD_NOT_ALLOWED, "not with this method");
        respond::set(&mut answer, ALLOW, route.method);
        return answer;
    }
    if path.starts_with("/api/") {
        return respond::refusal(StatusCode::NOT_FOUND, "there is no such path");
    }
    paged(site, headers, not_found)
}

/// A file of this binary: it changes with the version only, and is small, so browsers ask each time.
fn fixed(media: &'static str, text: &'static str) -> Answer {
    let mut answer = respond::with(StatusCode::OK, media, text);
    respond::set(&mut answer, CACHE_CONTROL, "no-cache");
    answer
}

fn health(site: &Site) -> Answer {
    let hanging = site.hub.hanging();
    if hanging.is_empty() {
        return respond::with(StatusCode::OK, "text/plain; charset=utf-8", "ok\n");
    }
    let why = format!("not heard of in time: {}\n", hanging.join(", "));
    respond::with(StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", why)
}

fn ready(site: &Site) -> Answer {
    let (status, text) = if site.feed.latest().is_some() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "git was not read yet\n")
    };
    respond::with(status, "text/plain; charset=utf-8", text)
}

fn hooked(site: &Site, headers: &HeaderMap, body: &[u8]) -> Answer {
    let delivery = site.deliveries.judge(&site.guard, headers, body);
    let (word, answer) = match delivery {
        Delivery::Accepted => {
            site.feed.poke();
            let answer = respond::json(StatusCode::ACCEPTED, &serde_json::json!({"accepted": true}));
            ("accepted", answer)
        }
        Delivery::Replayed => (
            "replayed",
            respond::refusal(StatusCode::CONFLICT, "this delivery came before"),
        ),
        Delivery::Refused if site.guard.hook_secret().is_none() => (
            "refused",
            respond::refusal(
                StatusCode::FORBIDDEN,
                "no webhook secret is configured; see: gitsync run --hook-secret-file",
            ),
        ),
        Delivery::Refused => (
            "refused",
            respond::refusal(StatusCode::UNAUTHORIZED, "the signature or the token is wrong"),
        ),
    };
    site.hub
        .count(|counters| *counters.hooks.entry(word).or_default() += 1);
    if Guard::is_same_site(headers) {
        return answer;
    }
    respond::refusal(StatusCode::FORBIDDEN, "webhooks do not come from pages")
}
