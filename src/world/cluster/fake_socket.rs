//! An API server for tests whose answers are given, and that speaks WebSocket for `attach` and `portforward`.

use std::future::Future;
use std::net::Ipv4Addr;
use std::sync::Arc;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;

/// The subprotocol: each message begins with the number of its channel.
const CHANNELS: &str = "v4.channel.k8s.io";

/// Starts the server: `answer` gives the object for a method and path, `upgraded` has the sockets by their path.
pub async fn api<A, U, F>(answer: A, upgraded: U) -> kube::Client
where
    A: Fn(&str, &str) -> Value + Send + Sync + 'static,
    U: Fn(String, WebSocketStream<TcpStream>) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let shared = Arc::new((answer, upgraded));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                let (method, path) = first_line(&stream).await;
                if path.contains("/attach") || path.contains("/portforward") {
                    let socket = tokio_tungstenite::accept_hdr_async(stream, choose).await.unwrap();
                    (shared.1)(path, socket).await;
                } else {
                    say(stream, &(shared.0)(&method, &path)).await;
                }
            });
        }
    });
    let config = kube::Config::new(format!("http://{address}").parse().unwrap());
    kube::Client::try_from(config).unwrap()
}

#[expect(clippy::result_large_err, reason = "the callback's type is given")]
#[expect(clippy::unnecessary_wraps, reason = "the callback's type is given")]
fn choose(
    _: &Request,
    mut response: Response,
) -> Result<Response, tokio_tungstenite::tungstenite::handshake::server::ErrorResponse> {
    let protocol = HeaderValue::from_static(CHANNELS);
    response.headers_mut().insert("sec-websocket-protocol", protocol);
    Ok(response)
}

/// The method and the path of a request that stays unread.
async fn first_line(stream: &TcpStream) -> (String, String) {
    let mut head = [0; 1024];
    loop {
        let read = stream.peek(&mut head).await.unwrap();
        let text = String::from_utf8_lossy(&head[..read]).into_owned();
        if let Some((line, _)) = text.split_once("\r\n") {
            let mut words = line.split(' ').map(str::to_owned);
            return (words.next().unwrap(), words.next().unwrap());
        }
        tokio::task::yield_now().await;
    }
}

async fn say(mut stream: TcpStream, object: &Value) {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let body = object.to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    // The rest of a body that is still coming in would reset the connection.
    stream.write_all(answer.as_bytes()).await.unwrap();
    let _ = stream.shutdown().await;
    while stream.read_buf(&mut head).await.unwrap_or(0) > 0 {}
}

/// Carries channel `input` of a socket into `near`, and what `near` says back on channel `output`.
pub async fn carry(
    socket: WebSocketStream<TcpStream>,
    near: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    (input, output): (u8, u8),
) {
    let (mut sink, mut source) = socket.split();
    let (mut from_near, mut to_near) = tokio::io::split(near);
    let reading = tokio::spawn(async move {
        while let Some(Ok(message)) = source.next().await {
            if let Message::Binary(bytes) = message
                && bytes.first() == Some(&input)
                && to_near.write_all(&bytes[1..]).await.is_err()
            {
                return;
            }
        }
        let _ = to_near.shutdown().await;
    });
    let mut buffer = vec![0; 8192];
    while let Ok(read @ 1..) = from_near.read(&mut buffer).await {
        let message = [&[output][..], &buffer[..read]].concat();
        if sink.send(Message::Binary(message.into())).await.is_err() {
            break;
        }
    }
    let _ = sink.close().await;
    reading.abort();
}
