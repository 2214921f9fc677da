//! Guard: who may ask what. Names of the host against DNS rebinding, tokens against strangers, origins against forgery.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use ring::hmac;
use ring::rand::SystemRandom;

use super::Settings;

/// How long a session lasts.
const SESSION: Duration = Duration::from_secs(12 * 3600);

/// The cookie that holds a session.
const COOKIE_NAME: &str = "gitsync-session";

/// A key that only this process knows; what it signed ends with it.
pub(super) struct Key(hmac::Key);

/// The rules, and what they need.
pub(super) struct Guard {
    key: Key,
    settings: Settings,
}

/// Somebody who signed in.
pub(super) struct Session {
    text: String,
    /// Their name, if they gave one.
    pub(super) name: Option<String>,
}

// === impl Key ===

impl Key {
    /// A new key; `None` when the system has no randomness.
    pub(super) fn random() -> Option<Self> {
        hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .ok()
            .map(Self)
    }

    fn sign(&self, purpose: &str, text: &str) -> String {
        hex(hmac::sign(&self.0, format!("{purpose}:{text}").as_bytes()).as_ref())
    }

    /// Whether two texts are the same, in a time that does not tell where they differ.
    fn same(&self, given: &str, wanted: &str) -> bool {
        let wanted = hmac::sign(&self.0, wanted.as_bytes());
        hmac::verify(&self.0, given.as_bytes(), wanted.as_ref()).is_ok()
    }
}

// === impl Guard ===

impl Guard {
    pub(super) fn new(key: Key, settings: Settings) -> Self {
        Self { key, settings }
    }

    /// Whether somebody could sign in.
    pub(super) fn has_token(&self) -> bool {
        self.settings.token.is_some()
    }

    /// What webhooks are signed with.
    pub(super) fn hook_secret(&self) -> Option<&str> {
        self.settings.hook_secret.as_deref()
    }

    /// Whether two secrets are the same.
    pub(super) fn same(&self, given: &str, wanted: &str) -> bool {
        self.key.same(given, wanted)
    }

    /// Whether the request calls this server by a name of its own. A name of somebody else that resolves to this
    /// machine (DNS rebinding) would give that somebody's pages our answers; an address cannot be rebound.
    pub(super) fn knows_host(&self, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return false;
        };
        let Some(name) = host.to_str().ok().map(host_name) else {
            return false;
        };
        let own = self.settings.hosts.iter();
        name.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || own.into_iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// Whether a request comes from our own pages, or from no page at all.
    pub(super) fn is_same_site(headers: &HeaderMap) -> bool {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let fetched = text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
        let host = text(HOST.as_str()).unwrap_or_default();
        let from =
            |origin: &str| origin.strip_prefix("http://").or(origin.strip_prefix("https://")) == Some(host);
        fetched && text(ORIGIN.as_str()).is_none_or(from)
    }

    /// Whether the request carries the token as `Authorization: Bearer`.
    pub(super) fn has_bearer(&self, headers: &HeaderMap) -> bool {
        let given = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        given.is_some_and(|given| self.is_token(given))
    }

    /// Whether `given` is the token.
    pub(super) fn is_token(&self, given: &str) -> bool {
        let token = self.settings.token.as_ref();
        token.is_some_and(|token| self.key.same(given, token))
    }

    /// The `Set-Cookie` of a new session of somebody with that name.
    pub(super) fn begin_session(&self, name: &str) -> String {
        let body = format!("{}.{}", now() + SESSION.as_secs(), hex(name.as_bytes()));
        let signature = self.key.sign("session", &body);
        format!(
            "{COOKIE_NAME}={body}.{signature}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}",
            SESSION.as_secs()
        )
    }

    /// The `Set-Cookie` that ends a session.
    pub(super) fn end_session() -> String {
        format!("{COOKIE_NAME}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0")
    }

    /// The session of a request, if it has one that is good.
    pub(super) fn session(&self, headers: &HeaderMap) -> Option<Session> {
        let cookies = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let text = cookies
            .flat_map(|cookies| cookies.split(';'))
            .find_map(|cookie| cookie.trim().strip_prefix(COOKIE_NAME)?.strip_prefix('='))?;
        let (body, signature) = text.rsplit_once('.')?;
        let is_ours = self.has_token() && self.key.same(signature, &self.key.sign("session", body));
        let (ends, name) = body.split_once('.').filter(|_| is_ours)?;
        let lasts = ends.parse::<u64>().is_ok_and(|ends| ends > now());
        let name = String::from_utf8(unhex(name)?).ok()?;
        lasts.then(|| Session {
            text: text.to_owned(),
            name: (!name.is_empty()).then_some(name),
        })
    }

    /// What forms of a session carry.
    pub(super) fn form_token(&self, session: &Session) -> String {
        self.key.sign("form", &session.text)
    }
}

/// The host without its port.
fn host_name(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    host.split(':').next().unwrap_or_default()
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn hex(bytes: &[u8]) -> String {
    crate::desired::hex(bytes)
}

/// The bytes that hexadecimal digits stand for.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len() / 2)
        .map(|index| u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_guard() -> Guard {
        let settings = Settings {
            hosts: vec!["gitsync.example".into()],
            token: Some("secret".into()),
            hook_secret: None,
        };
        Guard::new(Key::random().unwrap(), settings)
    }

    fn mk_headers(headers: &[(&'static str, &str)]) -> HeaderMap {
        headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn only_own_names_and_addresses_are_hosts() {
        let guard = mk_guard();
        for (host, known) in [
            ("localhost:8080", true),
            ("127.0.0.1", true),
            ("[::1]:80", true),
            ("GitSync.example", true),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("", false),
        ] {
            assert_eq!(guard.knows_host(&mk_headers(&[("host", host)])), known, "{host}");
        }
        assert!(!guard.knows_host(&HeaderMap::new()));
    }

    #[test]
    fn a_session_is_good_only_as_it_was_made() {
        let guard = mk_guard();
        let cookie = guard.begin_session("Ann");
        let session = cookie.split(';').next().unwrap();
        let seen = |cookie: &str| guard.session(&mk_headers(&[("cookie", cookie)]));
        assert_eq!(seen(session).unwrap().name.as_deref(), Some("Ann"));
        let nameless = guard.begin_session("");
        assert_eq!(seen(nameless.split(';').next().unwrap()).unwrap().name, None);
        assert!(seen(&format!("a=b; {session}")).is_some());
        assert!(mk_guard().session(&mk_headers(&[("cookie", session)])).is_none());
        for forged in [
            "",
            "gitsync-session=",
            &format!("{session}0"),
            &session.replace('=', "=9"),
            &session.replace(&hex(b"Ann"), &hex(b"Bob")),
        ] {
            assert!(seen(forged).is_none(), "{forged}");
        }
    }

    #[test]
    fn another_site_is_another_origin() {
        for (name, headers, same) in [
            ("a program", vec![("host", "localhost:1")], true),
            (
                "our page",
                vec![
                    ("host", "localhost:1"),
                    ("origin", "http://localhost:1"),
                    ("sec-fetch-site", "same-origin"),
                ],
                true,
            ),
            (
                "another port",
                vec![("host", "localhost:1"), ("origin", "http://localhost:2")],
                false,
            ),
            ("a file", vec![("host", "localhost:1"), ("origin", "null")], false),
            (
                "another site",
                vec![("host", "localhost:1"), ("sec-fetch-site", "cross-site")],
                false,
            ),
        ] {
            assert_eq!(Guard::is_same_site(&mk_headers(&headers)), same, "{name}");
        }
    }
}
