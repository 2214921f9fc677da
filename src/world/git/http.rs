//! HTTP link: git's smart HTTP over reqwest, with a deadline, cancellation and our own credentials.
//!
//! gix brings an HTTP backend, but it runs on a thread that nobody can end, takes no CA file and cannot tell a
//! loopback host from the internet when it decides whether a password may be sent. The requests are few and
//! small (the packs that we send hold one commit), so that a request's body is collected before it is sent.

mod exchange;
mod streams;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gix::protocol::transport::client::blocking_io::http::{
    GetResponse, Http, PostBodyDataKind, PostResponse, Transport,
};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use super::bounds::Shared;
use super::error::{GitError, chain};
use super::link::{Endpoint, Faults};
use exchange::{Driver, Exchange};
use streams::{Body, Headers, Post, Upload};

/// A connection that stays silent for this long is dead; servers send keep-alives while they count objects.
const IDLE: Duration = Duration::from_secs(60);

/// The HTTP client of one git operation.
pub(super) struct Client {
    exchange: Arc<Exchange>,
    /// Where the server really is, once it has redirected the first request.
    redirected: Option<String>,
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
        driver: Driver::new().map_err(|error| GitError::Unreachable {
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
    // The program installs the provider before it asks for anything; a library user or a test may not have.
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

// === impl Client ===

impl Client {
    /// The URL to ask really, after a redirect of the first request.
    fn effective(&self, url: &str, base: &str) -> io::Result<Url> {
        let url = match &self.redirected {
            Some(redirected) if base != redirected => url.replacen(base, redirected, 1),
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
        let headers = Headers::of_response(&response);
        let body = Body::of_response(&self.exchange, response);
        Ok(GetResponse { headers, body })
    }

    fn start_post(
        &self,
        url: &str,
        base: &str,
        headers: HeaderMap,
    ) -> io::Result<PostResponse<Headers, Body, Upload>> {
        let url = self.effective(url, base)?;
        let post = Post::new(Arc::clone(&self.exchange), url, headers);
        Ok(PostResponse {
            post_body: Upload::new(&post),
            headers: Headers::of_post(&post),
            body: Body::of_post(post),
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

#[cfg(test)]
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
