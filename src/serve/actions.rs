//! Actions: how a person's wish gets here. What it may be, and what comes of it, is told in [`verbs`](super::verbs).
//!
//! From a page, an action needs the session's cookie (SameSite=Strict), the form's token and our own origin; from a
//! program, the token as `Authorization: Bearer`. Each one is logged, and stands on the board.

use std::time::Duration;

use hyper::header::SET_COOKIE;
use hyper::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::Site;
use super::guard::{Guard, Session};
use super::respond::{self, Answer};
use super::route::paged;
use super::verbs::{Refused, Verb, Via, bad, person};
use crate::report::page;

/// How long the answer to a wrong token takes, which makes guessing slow.
const WRONG_TOKEN: Duration = Duration::from_millis(500);

/// Begins a session, if the form has the token.
pub(super) async fn login(site: &Site, headers: &HeaderMap, body: &[u8]) -> Answer {
    if !Guard::is_same_site(headers) {
        return forged(site, headers);
    }
    let fields = fields(body);
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    if !site.guard.is_token(text("token").unwrap_or_default()) {
        tracing::warn!("a sign-in with a wrong token");
        tokio::time::sleep(WRONG_TOKEN).await;
        return refuse_login(site, headers, StatusCode::FORBIDDEN, "That is not the token.");
    }
    let name = match person(text("name")) {
        Ok(name) => name,
        Err(refused) => return refuse_login(site, headers, refused.status, &refused.why),
    };
    tracing::info!(name = name.as_deref().unwrap_or_default(), "signed in");
    let mut answer = respond::see("/");
    let cookie = site.guard.begin_session(name.as_deref().unwrap_or_default());
    respond::set(&mut answer, SET_COOKIE, &cookie);
    answer
}

fn refuse_login(site: &Site, headers: &HeaderMap, status: StatusCode, why: &str) -> Answer {
    paged(site, headers, |frame| {
        respond::html(status, page::login(frame, Some(why)))
    })
}

/// Ends a session.
pub(super) fn logout(site: &Site, headers: &HeaderMap, body: &[u8]) -> Answer {
    if own_form(site, headers, &fields(body)).is_none() {
        return forged(site, headers);
    }
    let mut answer = respond::see("/");
    respond::set(&mut answer, SET_COOKIE, &Guard::end_session());
    answer
}

/// An action from a page.
pub(super) async fn by_form(site: &Site, headers: &HeaderMap, body: &[u8], name: &str, verb: Verb) -> Answer {
    let mut fields = fields(body);
    let Some(session) = own_form(site, headers, &fields) else {
        return forged(site, headers);
    };
    // An empty field of a form is one that was not filled in; who asks is known from the session alone.
    fields.retain(|name, value| !matches!(name.as_str(), "form" | "by") && value != "");
    match verb
        .perform(site, name, fields, Via::Page(session.name.as_deref()))
        .await
    {
        Ok(_) => respond::see(&format!("/environments/{name}")),
        Err(refused) => paged(site, headers, |frame| {
            let back = format!("/environments/{name}");
            let page = page::not_done(frame, verb.word(), &refused.why, refused.hint.as_deref(), &back);
            respond::html(refused.status, page)
        }),
    }
}

/// An action from a program.
pub(super) async fn by_token(
    site: &Site,
    headers: &HeaderMap,
    body: &[u8],
    name: &str,
    verb: Verb,
) -> Answer {
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
    let performed = match object(body) {
        Ok(fields) => verb.perform(site, name, fields, Via::Api).await,
        Err(refused) => Err(refused),
    };
    match performed {
        Ok(performed) if performed.done => respond::json(
            StatusCode::OK,
            &json!({
                "changed": performed.revision.is_some(),
                "revision": performed.revision,
                "message": performed.message,
            }),
        ),
        Ok(performed) => respond::json(
            StatusCode::ACCEPTED,
            &json!({"accepted": true, "message": performed.message}),
        ),
        Err(refused) => {
            let error = json!({"error": refused.why, "hint": refused.hint});
            respond::json(refused.status, &error)
        }
    }
}

/// The fields of a program's body; nothing is the same as none.
fn object(body: &[u8]) -> Result<Map<String, Value>, Refused> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(bad("the body has to be a JSON object".to_owned())),
        Err(error) => Err(bad(format!("the body is no JSON: {error}"))),
    }
}

fn own_form(site: &Site, headers: &HeaderMap, fields: &Map<String, Value>) -> Option<Session> {
    let session = site.guard.session(headers)?;
    let given = fields.get("form").and_then(Value::as_str).unwrap_or_default();
    let is_ours = Guard::is_same_site(headers) && site.guard.same(given, &site.guard.form_token(&session));
    is_ours.then_some(session)
}

fn forged(site: &Site, headers: &HeaderMap) -> Answer {
    tracing::warn!("a form without a session, or of another site, was refused");
    paged(site, headers, |frame| {
        let why = "Actions need a session; sign in and try again.";
        respond::html(StatusCode::FORBIDDEN, page::refusal(frame, "Not allowed", why))
    })
}

/// The fields of a form (application/x-www-form-urlencoded); one that cannot be decoded is left out.
fn fields(body: &[u8]) -> Map<String, Value> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    text.split('&')
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((decoded(name)?, Value::String(decoded(value)?)))
        })
        .collect()
}

fn decoded(value: &str) -> Option<String> {
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
            let fields = fields(body.as_bytes());
            assert_eq!(fields.get("token").and_then(Value::as_str), wanted, "{body}");
        }
    }
}
