//! Exchange: one request and its response, within the bounds of the operation.

use std::io;
use std::sync::Arc;

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode, Url};
use tokio::runtime::Runtime;

use super::super::bounds::Shared;
use super::super::credentials::Login;
use super::super::error::{GitError, chain};
use super::super::link::Faults;

/// How much of an error page is worth reading.
const ERROR_BODY: usize = 512;

/// What all requests of an operation share.
pub(super) struct Exchange {
    pub(super) driver: Driver,
    pub(super) http: reqwest::Client,
    /// Whom to log in as, and at which host: a redirect to another one gets no password.
    pub(super) login: Option<(Url, Login)>,
    pub(super) shown: String,
    pub(super) with: String,
    pub(super) bounds: Arc<Shared>,
    pub(super) faults: Faults,
}

/// What drives the client's sockets on the calling thread.
pub(super) struct Driver(Option<Runtime>);

// === impl Driver ===

impl Driver {
    pub(super) fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    fn runtime(&self) -> &Runtime {
        self.0.as_ref().expect("because only dropping takes it")
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A name look-up that hangs in the system's resolver cannot be ended, but need not be waited for.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

// === impl Exchange ===

impl Exchange {
    /// Sends one request and returns the response when its status is a success.
    pub(super) fn send(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> io::Result<reqwest::Response> {
        // The client starts its timers when a request is made, before anybody waits for it.
        let _context = self.driver.runtime().enter();
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
    pub(super) fn wait<T>(&self, future: impl Future<Output = reqwest::Result<T>>) -> io::Result<T> {
        let ended = || io::Error::new(io::ErrorKind::TimedOut, "the operation was ended");
        let result = self.bounds.waiting(|| {
            self.driver.runtime().block_on(async {
                tokio::select! {
                    biased;
                    () = self.bounds.ended.cancelled() => None,
                    result = future => Some(result),
                }
            })
        });
        result.ok_or_else(ended)?.map_err(|error| {
            let mut detail = chain(&error.without_url());
            if detail.contains("peer certificate") {
                detail.push_str(
                    "; if its authority is a private one, name a file with the authority's certificate",
                );
            }
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
