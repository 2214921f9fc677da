//! Actions: what a person may ask of the daemon. It does nothing that it would not do by itself, only sooner.
//!
//! From a page, an action needs the session's cookie (SameSite=Strict), the form's token and our own origin; from a
//! program, the token as `Authorization: Bearer`. Each one is logged.

use std::time::Duration;

use hyper::header::SET_COOKIE;
use hyper::{HeaderMap, StatusCode};

use super::Site;
use super::guard::Guard;
use super::respond::{self, Answer};
use super::route::paged;
use crate::reconcile::hub::Ask;
use crate::report::page;

/// How long the answer to a wrong token takes, which makes guessing slow.
const WRONG_TOKEN: Duration = Duration::from_millis(500);

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Sync,
    Verify,
}

// === impl Verb ===

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Verify => "verify",
        }
    }

    fn ask(self) -> Ask {
        match self {
            Self::Sync => Ask::Sync,
            Self::Verify => Ask::Verify,
        }
    }
}

/// Begins a session, if the form has the token.
pub(super) async fn login(site: &Site, headers: &HeaderMap, body: &[u8]) -> Answer {
    if !Guard::is_same_site(headers) {
        return forged(site, headers);
    }
    let given = field(body, "token").unwrap_or_default();
    if !site.guard.is_token(&given) {
        tracing::warn!("a sign-in with a wrong token");
        tokio::time::sleep(WRONG_TOKEN).await;
        return paged(site, headers, |frame| {
            respond::html(StatusCode::FORBIDDEN, page::login(frame, true))
        });
    }
    tracing::info!("signed in");
    let mut answer = respond::see("/");
    respond::set(&mut answer, SET_COOKIE, &site.guard.begin_session());
    answer
}

/// Ends a session.
pub(super) fn logout(site: &Site, headers: &HeaderMap, body: &[u8]) -> Answer {
    if !is_own_form(site, headers, body) {
        return forged(site, headers);
    }
    let mut answer = respond::see("/");
    respond::set(&mut answer, SET_COOKIE, &Guard::end_session());
    answer
}

/// An action from a page.
pub(super) fn by_form(site: &Site, headers: &HeaderMap, body: &[u8], name: &str, verb: Verb) -> Answer {
    if !is_own_form(site, headers, body) {
        return forged(site, headers);
    }
    if !act(site, name, verb, "page") {
        return paged(site, headers, |frame| {
            let page = page::refusal(frame, "Not found", "There is no such environment.");
            respond::html(StatusCode::NOT_FOUND, page)
        });
    }
    respond::see(&format!("/environments/{name}"))
}

/// An action from a program.
pub(super) fn by_token(site: &Site, headers: &HeaderMap, name: &str, verb: Verb) -> Answer {
    if !Guard::is_same_site(headers) {
        return respond::refusal(StatusCode::FORBIDDEN, "another site's page may not act here");
    }
    if !site.guard.has_token() {
        let why = "actions are off; see: gitsync run --action-token-file";
        return respond::refusal(StatusCode::FORBIDDEN, why);
    }
    if !site.guard.has_bearer(headers) {
        tracing::warn!(env = name, action = verb.word(), "an action without the token");
        return respond::refusal(
            StatusCode::UNAUTHORIZED,
            "this needs the token: Authorization: Bearer …",
        );
    }
    if !act(site, name, verb, "api") {
        return respond::refusal(StatusCode::NOT_FOUND, "there is no such environment");
    }
    respond::json(StatusCode::ACCEPTED, &serde_json::json!({"accepted": true}))
}

fn act(site: &Site, name: &str, verb: Verb, by: &'static str) -> bool {
    let asked = site.hub.ask(name, verb.ask());
    if asked {
        site.feed.poke();
        tracing::info!(env = name, action = verb.word(), by, "a person asked");
    }
    asked
}

fn is_own_form(site: &Site, headers: &HeaderMap, body: &[u8]) -> bool {
    let Some(session) = site.guard.session(headers) else {
        return false;
    };
    let given = field(body, "form").unwrap_or_default();
    Guard::is_same_site(headers) && site.guard.same(&given, &site.guard.form_token(&session))
}

fn forged(site: &Site, headers: &HeaderMap) -> Answer {
    tracing::warn!("a form without a session, or of another site, was refused");
    paged(site, headers, |frame| {
        let why = "Actions need a session; sign in and try again.";
        respond::html(StatusCode::FORBIDDEN, page::refusal(frame, "Not allowed", why))
    })
}

/// A field of a form (application/x-www-form-urlencoded).
fn field(body: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let value = text
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    let mut decoded = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        for (body, wanted) in [
            ("token=a%2Bb+c", Some("a+b c")),
            ("x=1&token=", Some("")),
            ("tokens=1", None),
            ("token=%2", None),
            ("token=%zz", None),
        ] {
            assert_eq!(field(body.as_bytes(), "token").as_deref(), wanted, "{body}");
        }
    }
}
