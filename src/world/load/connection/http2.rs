//! HTTP/2: hyper's, driven by the virtual user that asks.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;

use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;

use super::Stream;
use super::answer::{Head, Kept, Unanswered, kind_of};
use crate::verify::exchange::ErrorKind;

/// A connection.
pub struct Http2 {
    sender: http2::SendRequest<Full<Bytes>>,
    /// Moves bytes while a request is under way; `None` when the connection has ended.
    driver: Option<Driver>,
    /// The body of the answer, until it is read.
    body: Option<Incoming>,
}

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>>>>;

// === impl Http2 ===

impl Http2 {
    /// Shakes hands over a stream that is open.
    ///
    /// # Errors
    ///
    /// When the other side does not.
    pub async fn open(stream: Box<dyn Stream>) -> Result<Self, ErrorKind> {
        let shaken = http2::handshake(LocalExecutor, TokioIo::new(stream)).await;
        let (sender, driver) = shaken.map_err(|error| kind_of_http2(&error))?;
        Ok(Self {
            sender,
            driver: Some(Box::pin(driver)),
            body: None,
        })
    }

    /// Whether it can take a request.
    pub async fn is_ready(&mut self) -> bool {
        let Self { sender, driver, .. } = self;
        drive(driver, sender.ready()).await.is_ok() && driver.is_some()
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub async fn send(&mut self, request: &Request<Bytes>) -> Result<Head, Unanswered> {
        let Self { sender, driver, .. } = self;
        match drive(driver, sender.try_send_request(request.clone().map(Full::new))).await {
            Ok(response) => {
                let (head, body) = response.into_parts();
                self.body = Some(body);
                Ok(Head {
                    status: head.status,
                    headers: head.headers,
                })
            }
            Err(mut error) => Err(match error.take_message() {
                Some(_) => Unanswered::Unsent,
                None => Unanswered::Failed(kind_of_http2(&error.into_error())),
            }),
        }
    }

    /// Reads the body of the answer to its end: its length, and its bytes when `keep` gives room for them.
    ///
    /// # Errors
    ///
    /// When the body breaks off, or is larger than what is kept.
    pub async fn read_body(&mut self, keep: Option<usize>) -> Result<(u64, Vec<u8>), ErrorKind> {
        let mut kept = Kept::with_room(keep);
        if let Some(mut body) = self.body.take() {
            while let Some(frame) = drive(&mut self.driver, body.frame()).await {
                let frame = frame.map_err(|error| kind_of_http2(&error))?;
                if let Some(data) = frame.data_ref() {
                    kept.add(data)?;
                }
            }
        }
        Ok(kept.into_parts())
    }
}

/// Runs the connection and something that waits for it in one task: no other task has to be woken for an answer.
async fn drive<F: Future>(driver: &mut Option<Driver>, waiting: F) -> F::Output {
    let mut waiting = pin!(waiting);
    poll_fn(|cx| {
        // What waits comes first: it may have something to write.
        if let Poll::Ready(output) = waiting.as_mut().poll(cx) {
            return Poll::Ready(output);
        }
        if let Some(running) = driver
            && running.as_mut().poll(cx).is_ready()
        {
            *driver = None;
        }
        waiting.as_mut().poll(cx)
    })
    .await
}

/// Runs hyper's HTTP/2 helpers on the virtual user's own thread.
#[derive(Clone, Copy)]
struct LocalExecutor;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        // The task ends with its connection, whose sender the virtual user holds.
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

/// The kind of a failure in the middle of an exchange by HTTP/2.
fn kind_of_http2(error: &hyper::Error) -> ErrorKind {
    if error.is_parse() {
        return ErrorKind::Protocol;
    }
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(link) = cause {
        if let Some(io) = link.downcast_ref::<io::Error>() {
            return kind_of(io);
        }
        cause = link.source();
    }
    ErrorKind::Closed
}
