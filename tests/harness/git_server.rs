//! A git server: repositories by smart HTTP on loopback, with or without a password, by git's own `http-backend`.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::{JoinHandle, JoinSet};

use super::git::{Remote, hermetic, program};
use super::runtime::{block_on, runtime};

/// A server of one remote's directory; it ends at drop.
pub struct GitServer {
    authority: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    root: PathBuf,
    /// The `Authorization` header that is asked for.
    authorization: Option<String>,
    requests: Mutex<Vec<String>>,
}

// === impl GitServer ===

impl GitServer {
    /// Serves a remote; with a user name and a password, only to those who send them.
    pub fn start(remote: &Remote, credentials: Option<(&str, &str)>) -> Self {
        let listener = block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
        let authority = listener.local_addr().expect("because it is bound").to_string();
        let path = remote.path();
        let shared = Arc::new(Shared {
            root: path
                .parent()
                .expect("because a repository is in a directory")
                .to_owned(),
            authorization: credentials
                .map(|(user, password)| format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))),
            requests: Mutex::default(),
        });
        let task = runtime().spawn(shared.clone().serve(listener));
        Self {
            authority,
            shared,
            task,
        }
    }

    /// The remote's URL, without credentials.
    pub fn url(&self) -> String {
        format!("http://{}/fleet.git", self.authority)
    }

    /// The requests so far, such as `GET /fleet.git/info/refs?service=git-upload-pack 200`.
    pub fn requests(&self) -> Vec<String> {
        self.shared
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Shared ===

impl Shared {
    async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Ok((stream, _)) = listener.accept() => {
                    let shared = self.clone();
                    connections.spawn(async move {
                        let service = service_fn(move |request| shared.clone().answer(request));
                        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                        // A client that goes away in the middle is its own business.
                        drop(connection.await);
                    });
                }
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let line = format!("{} {}", request.method(), request.uri());
        let response = if self.is_allowed(&request) {
            self.run_backend(request).await
        } else {
            let mut response = plain(StatusCode::UNAUTHORIZED, "a password is needed\n");
            let challenge = header::HeaderValue::from_static("Basic realm=\"git\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            response
        };
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.push(format!("{line} {}", response.status().as_u16()));
        Ok(response)
    }

    fn is_allowed(&self, request: &Request<Incoming>) -> bool {
        let sent = request.headers().get(header::AUTHORIZATION);
        match &self.authorization {
            None => true,
            Some(wanted) => sent.is_some_and(|sent| sent.as_bytes() == wanted.as_bytes()),
        }
    }

    /// Speaks CGI (RFC 3875) with git: the request in variables and standard input, the response on standard output.
    async fn run_backend(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
            return plain(StatusCode::BAD_REQUEST, "the request has no end\n");
        };
        let header = |name: &str| {
            head.headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let mut command = std::process::Command::new(program());
        hermetic(&mut command);
        command
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("GIT_PROTOCOL", header("git-protocol"))
            .env("REQUEST_METHOD", head.method.as_str())
            .env("PATH_INFO", head.uri.path())
            .env("QUERY_STRING", head.uri.query().unwrap_or_default())
            .env("CONTENT_TYPE", header("content-type"))
            .env("CONTENT_LENGTH", body.len().to_string())
            .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
            .env("REMOTE_ADDR", "127.0.0.1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = Command::from(command).kill_on_drop(true).spawn().expect("git");
        let mut stdin = child.stdin.take().expect("because it is piped");
        // git may answer, and write, before it has read all: both go on at the same time.
        let write = async move {
            drop(stdin.write_all(&body).await);
            drop(stdin);
        };
        let (output, ()) = tokio::join!(child.wait_with_output(), write);
        cgi_response(&output.expect("the output of git").stdout)
    }
}

fn cgi_response(output: &[u8]) -> Response<Full<Bytes>> {
    let end = output.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let Some(end) = end else {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "git said nothing\n");
    };
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let mut response = Response::builder();
    for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
        response = match name {
            "Status" => response.status(value.split(' ').next().unwrap_or_default()),
            _ => response.header(name, value),
        };
    }
    let body = Bytes::copy_from_slice(&output[end + 4..]);
    response.body(Full::new(body)).unwrap_or_else(|_| {
        plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "git said something that is not HTTP\n",
        )
    })
}

fn plain(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    response
}
