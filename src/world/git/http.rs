//! HTTP link: git's smart HTTP over reqwest, with a deadline, cancellation and our own credentials.
//!
//! gix brings an HTTP backend, but it runs on a thread that nobody can end, takes no CA file and cannot tell a
//! loopback host from the internet when it decides whether a password may be sent. The requests are few and
//! small (the packs that we send hold one commit), so that a request's body is collected before it is sent.

use std::io::{self, BufRead, Read, Write};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gix::protocol::transport::client::blocking_io::http::{
    GetResponse, Http, PostBodyDataKind, PostResponse, Transport,
};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode, Url};

use super::bounds::Shared;
use super::credentials::Login;
use super::error::GitError;
use super::link::{Endpoint, Faults};

/// A connection that stays silent for this long is dead; servers send keep-alives while they count objects.
const IDLE: Duration = Duration::from_secs(60);

/// How much of an error page is worth reading.
const ERROR_BODY: usize = 512;

/// The HTTP client of one git operation.
pub(super) struct Client {
    exchange: Arc<Exchange>,
    /// Where the server really is, once it has redirected the first request.
    redirected: Option<String>,
}

/// What all requests of an operation share.
struct Exchange {
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
    /// Whom to log in as, and at which host: a redirect to another one gets no password.
    login: Option<(Url, Login)>,
    shown: String,
    with: String,
    bounds: Arc<Shared>,
    faults: Faults,
}

/// A POST request that is collected, sent at the first read, and then read.
pub(super) struct Post {
    exchange: Arc<Exchange>,
    state: Mutex<Stage>,
}

enum Stage {
    Collecting {
        url: Url,
        headers: HeaderMap,
        body: Vec<u8>,
    },
    Answered {
        headers: Vec<u8>,
        response: reqwest::Response,
    },
    Broken,
}

/// The writing end of a POST request.
pub(super) struct Upload(Arc<Post>);

/// The header lines of a response.
pub(super) enum Headers {
    Ready(io::Cursor<Vec<u8>>),
    Pending(Arc<Post>),
}

/// The body of a response.
pub(super) struct Body {
    source: Source,
    chunk: io::Cursor<Vec<u8>>,
}

enum Source {
    Get(Arc<Exchange>, Box<reqwest::Response>),
    Post(Arc<Post>),
}

/// Opens the link; the first request is sent with the handshake.
pub(super) fn connect(
    endpoint: &Endpoint,
    url: &gix::Url,
    version: gix::protocol::transport::Protocol,
    bounds: &Arc<Shared>,
    faults: &Faults,
) -> Result<Transport<Client>, GitError> {
    let login = endpoint.login()?;
    let shown = endpoint.url.to_string();
    let parsed = Url::parse(&url.to_bstring().to_string()).map_err(|error| GitError::Url {
        url: shown.clone(),
        reason: error.to_string(),
    })?;
    let loopback = is_loopback(&parsed);
    if login.is_some() && parsed.scheme() == "http" && !loopback && !endpoint.insecure_http {
        return Err(GitError::Url {
            url: shown,
            reason: "a password would cross the network in clear text; use https".to_owned(),
        });
    }
    let exchange = Exchange {
        runtime: tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| GitError::Unreachable {
                url: shown.clone(),
                detail: error.to_string(),
            })?,
        http: client(endpoint, loopback)?,
        login: login.map(|login| (parsed, login)),
        shown,
        with: endpoint.describe_http(),
        bounds: Arc::clone(bounds),
        faults: faults.clone(),
    };
    let client = Client {
        exchange: Arc::new(exchange),
        redirected: None,
    };
    Ok(Transport::new_http(client, url.clone(), version, false))
}

fn client(endpoint: &Endpoint, loopback: bool) -> Result<reqwest::Client, GitError> {
    // The program installs the provider first thing; a library user or a test may not have.
    rustls::crypto::ring::default_provider().install_default().ok();
    let unusable = |detail: String| GitError::Unreachable {
        url: endpoint.url.to_string(),
        detail,
    };
    let mut builder = reqwest::Client::builder()
        .connect_timeout(endpoint.connect_timeout)
        .read_timeout(IDLE)
        .redirect(reqwest::redirect::Policy::custom(follow));
    if loopback {
        builder = builder.no_proxy();
    }
    if let Some(file) = &endpoint.ca_file {
        let from = || file.display().to_string();
        let wrong = |reason: String| GitError::Credentials { from: from(), reason };
        let pem = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
        let certificates =
            reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| wrong(chain(&error)))?;
        if certificates.is_empty() {
            return Err(wrong("it holds no certificate".to_owned()));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(|error| unusable(chain(&error)))
}

/// Follows renames, as git does, but never from https to http.
fn follow(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    let downgrade = attempt
        .previous()
        .last()
        .is_some_and(|from| from.scheme() == "https")
        && attempt.url().scheme() != "https";
    if downgrade {
        attempt.error("the server redirects from https to http")
    } else if attempt.previous().len() > 5 {
        attempt.error("the server redirects in circles")
    } else {
        attempt.follow()
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An error and its causes on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Wrappers often repeat what they wrap.
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

// === impl Exchange ===

impl Exchange {
    /// Sends one request and returns the response when its status is a success.
    fn send(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> io::Result<reqwest::Response> {
        // The client starts its timers when a request is made, before anybody waits for it.
        let _context = self.runtime.enter();
        let mut request = self.http.request(method, url.clone()).headers(headers).body(body);
        if let Some((origin, login)) = &self.login
            && origin.origin() == url.origin()
        {
            request = request.basic_auth(&login.username, Some(&login.password));
        }
        let response = self.wait(request.send())?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refuse(response))
    }

    /// Waits for the network, but not longer than the operation's bounds.
    fn wait<T>(&self, future: impl Future<Output = reqwest::Result<T>>) -> io::Result<T> {
        let ended = || io::Error::new(io::ErrorKind::TimedOut, "the operation was ended");
        let result = self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.bounds.ended.cancelled() => None,
                result = future => Some(result),
            }
        });
        result.ok_or_else(ended)?.map_err(|error| {
            let detail = chain(&error.without_url());
            self.faults.note(GitError::Unreachable {
                url: self.shown.clone(),
                detail: detail.clone(),
            });
            io::Error::other(detail)
        })
    }

    /// Notes what a status that is no success means.
    fn refuse(&self, response: reqwest::Response) -> io::Error {
        let status = response.status();
        let said = self.first_words(response);
        let detail = if said.is_empty() {
            format!("HTTP {status}")
        } else {
            format!("HTTP {status}: {said}")
        };
        let (url, with) = (self.shown.clone(), self.with.clone());
        self.faults.note(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => GitError::Denied { url, with, detail },
            StatusCode::NOT_FOUND | StatusCode::GONE => GitError::NotFound { url, with, detail },
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                GitError::Unreachable { url, detail }
            }
            _ => GitError::Protocol { url, detail },
        });
        io::Error::other(format!("HTTP {status}"))
    }

    /// The beginning of an error page, when it is plain text.
    fn first_words(&self, mut response: reqwest::Response) -> String {
        let kind = response
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with("text/plain")) {
            return String::new();
        }
        let chunk = self.wait(response.chunk()).ok().flatten().unwrap_or_default();
        let text = String::from_utf8_lossy(&chunk[..chunk.len().min(ERROR_BODY)]).into_owned();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

fn header_lines(response: &reqwest::Response) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in response.headers() {
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.push(b':');
        lines.extend_from_slice(value.as_bytes());
        lines.push(b'\n');
    }
    lines
}

// === impl Client ===

impl Client {
    /// The URL to ask really, after a redirect of the first request.
    fn effective(&self, url: &str, base: &str) -> io::Result<Url> {
        let url = match &self.redirected {
            Some(redirected) if !url.starts_with(redirected.as_str()) => url.replacen(base, redirected, 1),
            _ => url.to_owned(),
        };
        Url::parse(&url).map_err(io::Error::other)
    }

    fn headers(lines: impl IntoIterator<Item = impl AsRef<str>>) -> io::Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.as_ref().split_once(':').unwrap_or((line.as_ref(), ""));
            let name: HeaderName = name.trim().parse().map_err(io::Error::other)?;
            headers.append(
                name,
                HeaderValue::from_str(value.trim()).map_err(io::Error::other)?,
            );
        }
        Ok(headers)
    }

    fn start_get(
        &mut self,
        url: &str,
        base: &str,
        headers: HeaderMap,
    ) -> io::Result<GetResponse<Headers, Body>> {
        let wanted = self.effective(url, base)?;
        let response = self
            .exchange
            .send(Method::GET, wanted.clone(), headers, Vec::new())?;
        if *response.url() != wanted {
            let tail = url.strip_prefix(base).unwrap_or_default();
            let moved = response.url().as_str().strip_suffix(tail).map(str::to_owned);
            self.redirected = Some(moved.ok_or_else(|| {
                io::Error::other(format!(
                    "the server redirects to {}, which is no repository",
                    response.url()
                ))
            })?);
        }
        let headers = Headers::Ready(io::Cursor::new(header_lines(&response)));
        let source = Source::Get(Arc::clone(&self.exchange), Box::new(response));
        Ok(GetResponse {
            headers,
            body: Body {
                source,
                chunk: io::Cursor::default(),
            },
        })
    }

    fn start_post(
        &self,
        url: &str,
        base: &str,
        headers: HeaderMap,
    ) -> io::Result<PostResponse<Headers, Body, Upload>> {
        let url = self.effective(url, base)?;
        let state = Mutex::new(Stage::Collecting {
            url,
            headers,
            body: Vec::new(),
        });
        let post = Arc::new(Post {
            exchange: Arc::clone(&self.exchange),
            state,
        });
        Ok(PostResponse {
            post_body: Upload(Arc::clone(&post)),
            headers: Headers::Pending(Arc::clone(&post)),
            body: Body {
                source: Source::Post(post),
                chunk: io::Cursor::default(),
            },
        })
    }
}

impl Http for Client {
    type Headers = Headers;
    type ResponseBody = Body;
    type PostBody = Upload;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix::Result<GetResponse<Headers, Body>> {
        Self::headers(headers)
            .and_then(|headers| self.start_get(url, base_url, headers))
            .map_err(gix::Error::from_error)
    }

    fn post(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _body: PostBodyDataKind,
    ) -> gix::Result<PostResponse<Headers, Body, Upload>> {
        Self::headers(headers)
            .and_then(|headers| self.start_post(url, base_url, headers))
            .map_err(gix::Error::from_error)
    }

    fn configure(&mut self, _config: &dyn std::any::Any) -> gix::Result {
        Ok(())
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.redirected.clone()
    }
}

// === impl Post ===

impl Post {
    fn lock(&self) -> MutexGuard<'_, Stage> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the request if that has not been done.
    fn answered(&self) -> io::Result<MutexGuard<'_, Stage>> {
        let mut stage = self.lock();
        if let Stage::Collecting { .. } = *stage
            && let Stage::Collecting { url, headers, body } = std::mem::replace(&mut *stage, Stage::Broken)
        {
            let response = self.exchange.send(Method::POST, url, headers, body)?;
            *stage = Stage::Answered {
                headers: header_lines(&response),
                response,
            };
        }
        match *stage {
            Stage::Broken => Err(io::Error::other("the request failed")),
            _ => Ok(stage),
        }
    }

    fn header_lines(&self) -> io::Result<Vec<u8>> {
        match &mut *self.answered()? {
            Stage::Answered { headers, .. } => Ok(std::mem::take(headers)),
            Stage::Collecting { .. } | Stage::Broken => Ok(Vec::new()),
        }
    }

    fn next_chunk(&self) -> io::Result<Vec<u8>> {
        match &mut *self.answered()? {
            Stage::Answered { response, .. } => Ok(self
                .exchange
                .wait(response.chunk())?
                .map(Vec::from)
                .unwrap_or_default()),
            Stage::Collecting { .. } | Stage::Broken => Ok(Vec::new()),
        }
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *self.0.lock() {
            Stage::Collecting { body, .. } => {
                body.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            Stage::Answered { .. } | Stage::Broken => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Headers {
    fn ready(&mut self) -> io::Result<&mut io::Cursor<Vec<u8>>> {
        if let Self::Pending(post) = self {
            *self = Self::Ready(io::Cursor::new(post.header_lines()?));
        }
        match self {
            Self::Ready(lines) => Ok(lines),
            Self::Pending(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

impl Read for Headers {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.ready()?.read(buffer)
    }
}

impl BufRead for Headers {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.ready()?.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Self::Ready(lines) = self {
            lines.consume(amount);
        }
    }
}

impl Body {
    fn exhausted(&self) -> bool {
        self.chunk.position() >= self.chunk.get_ref().len() as u64
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.exhausted() {
            let chunk = match &mut self.source {
                Source::Get(exchange, response) => exchange
                    .wait(response.chunk())?
                    .map(Vec::from)
                    .unwrap_or_default(),
                Source::Post(post) => post.next_chunk()?,
            };
            self.chunk = io::Cursor::new(chunk);
        }
        self.chunk.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.chunk.consume(amount);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for (url, expected) in [
            ("http://localhost:1/r", true),
            ("http://127.0.0.1/r", true),
            ("http://[::1]/r", true),
            ("http://127.0.0.1.example/r", false),
            ("http://10.0.0.1/r", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }
}
