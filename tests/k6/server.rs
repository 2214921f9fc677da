//! Server: what the scripts of the cases talk to. The path says how it answers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION, SET_COOKIE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

use crate::harness::runtime::{block_on, runtime};

/// A server on a loopback port of its own; it ends with this value.
pub struct Server {
    address: SocketAddr,
    serving: AbortHandle,
}

// === impl Server ===

impl Server {
    /// Starts it.
    pub fn start() -> Self {
        let listener = block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let serving = runtime().spawn(serve(listener)).abort_handle();
        Self { address, serving }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                drop(stream.set_nodelay(true));
                connections.spawn(async move {
                    let connection = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service_fn(answer));
                    // A client that goes away in the middle is its own business.
                    drop(connection.await);
                });
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let (word, rest) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    let mut response = Response::new(Full::new(Bytes::from_static(b"Hello, World!\n")));
    match word {
        "status" => *response.status_mut() = rest.parse::<u16>().unwrap().try_into().unwrap(),
        "redirect" => {
            let left: u32 = rest.parse().unwrap();
            let next = if left > 1 {
                format!("/redirect/{}", left - 1)
            } else {
                "/".to_owned()
            };
            response = Response::new(Full::default());
            *response.status_mut() = StatusCode::FOUND;
            response.headers_mut().insert(LOCATION, next.parse().unwrap());
        }
        "cookie" => {
            let cookie = HeaderValue::from_static("session=abc; Path=/");
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
        "slow" => tokio::time::sleep(Duration::from_secs_f64(rest.parse().unwrap())).await,
        "echo" => response = as_json(&echo(request).await),
        "json" => {
            response = as_json(&json!({
                "name": "x",
                "list": [1, 2, {"a": "b"}],
                "deep": {"k.y": 5},
                "items": [{"id": 1, "n": "a"}, {"id": 2, "n": "b"}],
            }));
        }
        _ => {}
    }
    Ok(response)
}

fn as_json(value: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn echo(request: Request<Incoming>) -> Value {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let headers: Map<String, Value> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))))
        .collect();
    json!({
        "method": head.method.as_str(),
        "path": head.uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    })
}
