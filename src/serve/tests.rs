use std::sync::Arc;

use ring::hmac;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::model::EnvName;
use crate::report::board::{EnvironmentView, HistoryView};
use crate::world::git::{Git, GitOptions};
use crate::world::remote::Remote;

const TOKEN: &str = "a-token-of-some-length";
const SECRET: &str = "a-secret-of-some-length";

/// A server with a board of its own, and nobody who writes it.
struct Site {
    address: SocketAddr,
    hub: Hub,
    cancel: CancellationToken,
    _home: tempfile::TempDir,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

struct Seen {
    status: u16,
    head: String,
    body: String,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .next()
    }
}

async fn mk_site(settings: Settings) -> Site {
    let home = tempfile::tempdir().unwrap();
    let url = format!("file://{}", home.path().join("none").display())
        .parse()
        .unwrap();
    let mut options = GitOptions::new(url, "main".to_owned());
    options.cache = Some(home.path().join("cache"));
    let cancel = CancellationToken::new();
    let (feed, _) = Feed::new(Remote::new(Git::open(&options).unwrap(), cancel.clone()));
    let hub = Hub::default();
    let environment = |name: &str| {
        let _ = hub.desk(&name.parse::<EnvName>().unwrap());
        Arc::new(EnvironmentView {
            name: name.into(),
            ..EnvironmentView::default()
        })
    };
    hub.update(|board| {
        board.environments = vec![environment("staging"), environment("prod")];
        board.history = vec![Arc::new(HistoryView::default())];
        true
    });
    let any = "127.0.0.1:0".parse().unwrap();
    let server = Server::bind(any, settings, hub.clone(), feed, cancel.clone())
        .await
        .unwrap();
    let address = server.address();
    tokio::spawn(server.run());
    Site {
        address,
        hub,
        cancel,
        _home: home,
    }
}

fn mk_settings() -> Settings {
    Settings {
        hosts: Vec::new(),
        token: Some(TOKEN.into()),
        hook_secret: Some(SECRET.into()),
    }
}

impl Site {
    async fn ask(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Seen {
        let host = ("Host", self.address.to_string());
        let named = headers.iter().any(|(name, _)| *name == "Host");
        let own = [host]
            .into_iter()
            .filter(|_| !named)
            .map(|(name, value)| format!("{name}: {value}\r\n"));
        let given = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        let head: String = own.chain(given).collect();
        let request = format!(
            "{line} HTTP/1.1\r\nConnection: close\r\n{head}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        // A server that refuses a large body may close before it has read all of it.
        let _ = socket.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        Seen {
            status: head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// A session's cookie and the token of its forms.
    async fn sign_in(&self) -> (String, String) {
        let seen = self.ask("POST /login", &[], &format!("token={TOKEN}")).await;
        assert_eq!(seen.status, 303, "{}", seen.head);
        let cookie = seen.header("set-cookie").unwrap();
        assert!(
            cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
            "{cookie}"
        );
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let page = self
            .ask("GET /environments/staging", &[("Cookie", &cookie)], "")
            .await
            .body;
        let form = page
            .split("name=\"form\" value=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        (cookie, form.unwrap().to_owned())
    }
}

fn signed(body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = hmac::sign(&key, body.as_bytes());
    format!("sha256={}", crate::desired::hex(signature.as_ref()))
}

#[tokio::test]
async fn every_endpoint_answers_and_refuses_what_it_must() {
    let site = mk_site(mk_settings()).await;
    let bearer = format!("Bearer {TOKEN}");
    let large = "x".repeat(hook::LONGEST + 1);
    let good = signed("{\"good\":1}");
    let auth = ("Authorization", bearer.as_str());
    let evil = ("Host", "evil.example");
    type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str, u16);
    let rows: &[Row<'_>] = &[
        ("overview", "GET /", &[], "", 200),
        ("an environment", "GET /environments/prod", &[], "", 200),
        ("no environment", "GET /environments/none", &[], "", 404),
        ("history", "GET /history", &[], "", 200),
        ("the form to sign in", "GET /login", &[], "", 200),
        ("style", "GET /static/app.css", &[], "", 200),
        ("script", "GET /static/app.js", &[], "", 200),
        ("no file", "GET /static/../../Cargo.toml", &[], "", 404),
        ("board", "GET /api/v1/board", &[], "", 200),
        (
            "an environment's value",
            "GET /api/v1/environments/prod",
            &[],
            "",
            200,
        ),
        (
            "no environment's value",
            "GET /api/v1/environments/none",
            &[],
            "",
            404,
        ),
        ("no path of the API", "GET /api/v1/none", &[], "", 404),
        ("health", "GET /healthz", &[], "", 200),
        ("health, head only", "HEAD /healthz", &[], "", 200),
        ("ready, before git was read", "GET /readyz", &[], "", 503),
        ("metrics", "GET /metrics", &[], "", 200),
        ("a rebound name", "GET /", &[evil], "", 421),
        ("a rebound name, API", "GET /api/v1/board", &[evil], "", 421),
        ("a rebound name, metrics", "GET /metrics", &[evil], "", 421),
        (
            "two names",
            "GET /",
            &[("Host", "localhost"), ("Host", "localhost")],
            "",
            421,
        ),
        (
            "an action",
            "POST /api/v1/environments/prod/sync",
            &[auth],
            "",
            202,
        ),
        (
            "another action",
            "POST /api/v1/environments/prod/verify",
            &[auth],
            "",
            202,
        ),
        (
            "a body that is no JSON",
            "POST /api/v1/environments/prod/sync",
            &[auth],
            "by=ann",
            400,
        ),
        (
            "a field that there is not",
            "POST /api/v1/environments/prod/sync",
            &[auth],
            "{\"force\":true}",
            400,
        ),
        (
            "a suspension without a reason",
            "POST /api/v1/environments/prod/suspend",
            &[auth],
            "{}",
            400,
        ),
        (
            "an order that nobody carries out",
            "POST /api/v1/environments/prod/resume",
            &[auth],
            "",
            503,
        ),
        (
            "an order elsewhere",
            "POST /api/v1/environments/none/resume",
            &[auth],
            "",
            404,
        ),
        (
            "an approval without token",
            "POST /api/v1/environments/prod/approve",
            &[],
            "{\"evidence\":\"a\"}",
            401,
        ),
        (
            "a rollback without token",
            "POST /api/v1/environments/prod/rollback",
            &[],
            "{\"reason\":\"a\"}",
            401,
        ),
        (
            "a suspension without token",
            "POST /api/v1/environments/prod/suspend",
            &[],
            "{\"reason\":\"a\"}",
            401,
        ),
        (
            "a resumption without token",
            "POST /api/v1/environments/prod/resume",
            &[],
            "",
            401,
        ),
        (
            "a page's rollback without a session",
            "POST /environments/prod/rollback",
            &[],
            "form=x&reason=a",
            403,
        ),
        (
            "an action elsewhere",
            "POST /api/v1/environments/none/sync",
            &[auth],
            "",
            404,
        ),
        (
            "an action without token",
            "POST /api/v1/environments/prod/sync",
            &[],
            "",
            401,
        ),
        (
            "an action with another token",
            "POST /api/v1/environments/prod/sync",
            &[("Authorization", "Bearer x")],
            "",
            401,
        ),
        (
            "a token in the URL",
            "POST /api/v1/environments/prod/sync?token=a-token-of-some-length",
            &[],
            "",
            401,
        ),
        (
            "an action by GET",
            "GET /api/v1/environments/prod/sync",
            &[auth],
            "",
            405,
        ),
        (
            "a page's action by GET",
            "GET /environments/prod/sync",
            &[],
            "",
            405,
        ),
        (
            "an action of another site",
            "POST /api/v1/environments/prod/sync",
            &[auth, ("Origin", "http://evil.example")],
            "",
            403,
        ),
        (
            "a page's action without a session",
            "POST /environments/prod/sync",
            &[],
            "form=x",
            403,
        ),
        ("a large form", "POST /login", &[], &large, 413),
        ("a wrong token", "POST /login", &[], "token=wrong", 403),
        (
            "a name that is an address",
            "POST /login",
            &[],
            "token=a-token-of-some-length&name=%3Ca%40b%3E",
            400,
        ),
        (
            "a sign-in from another site",
            "POST /login",
            &[("Sec-Fetch-Site", "cross-site")],
            "token=a-token-of-some-length",
            403,
        ),
        ("another method", "DELETE /", &[], "", 405),
        (
            "a webhook",
            "POST /hook",
            &[("X-Hub-Signature-256", &good)],
            "{\"good\":1}",
            202,
        ),
        (
            "a webhook again",
            "POST /hook",
            &[("X-Hub-Signature-256", &good)],
            "{\"good\":1}",
            409,
        ),
        (
            "a webhook with another's signature",
            "POST /hook",
            &[("X-Hub-Signature-256", &good)],
            "{\"good\":2}",
            401,
        ),
        ("a webhook without signature", "POST /hook", &[], "{}", 401),
        ("a large webhook", "POST /hook", &[], &large, 413),
        ("a webhook by GET", "GET /hook", &[], "", 405),
    ];
    let mut wrong = Vec::new();
    for (name, line, headers, body, status) in rows {
        let seen = site.ask(line, headers, body).await;
        if seen.status != *status {
            wrong.push(format!(
                "{name}: {} instead of {status}: {}",
                seen.status, seen.body
            ));
        }
        for header in [
            "content-security-policy",
            "x-content-type-options",
            "x-frame-options",
            "referrer-policy",
        ] {
            if seen.header(header).is_none() {
                wrong.push(format!("{name}: no {header}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn without_a_token_there_are_no_actions() {
    let site = mk_site(Settings::default()).await;
    let page = site.ask("GET /environments/prod", &[], "").await.body;
    assert!(!page.contains("<form") && !page.contains("/login"), "{page}");
    for (line, status) in [
        ("POST /api/v1/environments/prod/sync", 403),
        ("POST /environments/prod/sync", 403),
        ("POST /login", 403),
        ("POST /hook", 403),
    ] {
        let seen = site.ask(line, &[("Authorization", "Bearer ")], "token=").await;
        assert_eq!(seen.status, status, "{line}");
    }
}

#[tokio::test]
async fn a_form_acts_only_with_its_own_session_and_token() {
    let site = mk_site(mk_settings()).await;
    let (cookie, form) = site.sign_in().await;
    let (other, other_form) = {
        // Sessions that begin in the same second are the same; another process makes another one.
        let another = mk_site(mk_settings()).await;
        another.sign_in().await
    };
    for (name, cookie, form, origin, status) in [
        ("own", &cookie, &form, None, 303),
        ("no form token", &cookie, &String::new(), None, 403),
        ("another form token", &cookie, &other_form, None, 403),
        ("another session", &other, &form, None, 403),
        ("another site", &cookie, &form, Some("http://evil.example"), 403),
    ] {
        let mut headers = vec![("Cookie", cookie.as_str())];
        headers.extend(origin.map(|origin| ("Origin", origin)));
        let body = format!("form={form}");
        let seen = site.ask("POST /environments/prod/sync", &headers, &body).await;
        assert_eq!(seen.status, status, "{name}: {}", seen.body);
    }
}

#[tokio::test]
async fn health_fails_when_a_loop_was_not_heard_of() {
    let site = mk_site(Settings::default()).await;
    site.hub.beat("prod", Duration::from_secs(600));
    assert_eq!(site.ask("GET /healthz", &[], "").await.status, 200);
    site.hub.beat("staging", Duration::ZERO);
    let seen = site.ask("GET /healthz", &[], "").await;
    assert_eq!(
        (seen.status, seen.body.contains("staging")),
        (503, true),
        "{}",
        seen.body
    );
}

#[tokio::test]
async fn the_document_describes_what_is_answered() {
    let site = mk_site(mk_settings()).await;
    let document = site.ask("GET /api/v1/openapi.json", &[], "").await.json();
    for route in route::ROUTES
        .iter()
        .filter(|route| route.path.starts_with("/api/"))
    {
        let operation = &document["paths"][route.path][route.method.to_lowercase()];
        assert_eq!(operation["summary"], route.summary);
    }
    for (path, schema) in [
        ("/api/v1/board", "Board"),
        ("/api/v1/environments/prod", "EnvironmentView"),
    ] {
        let answer = site.ask(&format!("GET {path}"), &[], "").await.json();
        let known = &document["components"]["schemas"][schema]["properties"];
        let keys = |value: &Value| {
            let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
            keys.sort();
            keys
        };
        assert_eq!(keys(&answer), keys(known), "{path}");
    }
    let unresolved = document.to_string();
    for reference in unresolved.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer} leads nowhere");
    }
}

#[tokio::test]
async fn followers_hear_of_every_change() {
    let site = mk_site(Settings::default()).await;
    let mut socket = TcpStream::connect(site.address).await.unwrap();
    let request = format!("GET /api/v1/events HTTP/1.1\r\nHost: {}\r\n\r\n", site.address);
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut seen = String::new();
    for number in 1..=2 {
        let wanted = format!("\"number\":{number}");
        let read = async {
            while !seen.contains(&wanted) {
                let mut part = [0; 1024];
                let count = socket.read(&mut part).await.unwrap();
                assert!(count > 0, "the stream ended: {seen}");
                seen += &String::from_utf8_lossy(&part[..count]);
            }
        };
        tokio::time::timeout(Duration::from_secs(30), read).await.unwrap();
        let name = "prod".parse().unwrap();
        site.hub
            .environment(&name, |view| view.message = format!("change {number}"));
    }
    assert!(seen.contains("text/event-stream"), "{seen}");
}
