//! Serve: what a browser, a monitor and a git host see of the daemon, by HTTP.
//!
//! ```text
//! socket ─▶ guard (host, size, origin) ─▶ route ─▶ hub: read the board, or leave a wish
//! ```
//!
//! Nothing here decides anything. Reading needs no token and shows no secret; acting needs one. Only plain HTTP/1.1 is
//! spoken: beyond loopback, put a proxy with TLS before it.

mod actions;
mod guard;
mod hook;
pub mod openapi;
mod respond;
mod route;
mod stream;
mod verbs;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::reconcile::feed::Feed;
use crate::reconcile::hub::Hub;
use guard::{Guard, Key};
use hook::Deliveries;

/// The most connections at a time; the next one waits in the kernel's queue.
const CONNECTIONS: usize = 256;

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How a server is set up.
#[derive(Clone, Default)]
pub struct Settings {
    /// Names, besides loopback and addresses, by which clients may call the server.
    pub hosts: Vec<String>,
    /// What actions need; without it there are none.
    pub token: Option<String>,
    /// What webhooks are signed with; without it they are refused.
    pub hook_secret: Option<String>,
}

/// A server that listens.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    site: Arc<Site>,
}

/// What every request needs.
struct Site {
    hub: Hub,
    feed: Feed,
    guard: Guard,
    deliveries: Deliveries,
    cancel: CancellationToken,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// There is no randomness to make keys from.
    #[error("the system gives no random numbers")]
    Random,
}

// === impl Server ===

impl Server {
    /// Listens on `address`; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// When the address cannot be had.
    pub async fn bind(
        address: SocketAddr,
        settings: Settings,
        hub: Hub,
        feed: Feed,
        cancel: CancellationToken,
    ) -> Result<Self, ServeError> {
        let wrong = |source| ServeError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(wrong)?;
        let address = listener.local_addr().map_err(wrong)?;
        let key = Key::random().ok_or(ServeError::Random)?;
        let site = Site {
            hub,
            feed,
            guard: Guard::new(key, settings),
            deliveries: Deliveries::default(),
            cancel,
        };
        Ok(Self {
            listener,
            address,
            site: Arc::new(site),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until cancelled.
    pub async fn run(self) {
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        let cancel = self.site.cancel.clone();
        loop {
            let accepted = tokio::select! {
                () = cancel.cancelled() => break,
                Some(_) = connections.join_next() => continue,
                accepted = accept(&self.listener, &slots) => accepted,
            };
            let Some((socket, slot)) = accepted else {
                // The process has too many files open; that passes.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let site = Arc::clone(&self.site);
            connections.spawn(async move {
                let cancel = site.cancel.clone();
                let service = service_fn(move |request| {
                    let site = Arc::clone(&site);
                    async move { Ok::<_, std::convert::Infallible>(route::answer(&site, request).await) }
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_TIMEOUT)
                    .max_buf_size(64 * 1024)
                    .serve_connection(TokioIo::new(socket), service);
                tokio::select! {
                    () = cancel.cancelled() => {}
                    ended = connection => if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended");
                    },
                }
                drop(slot);
            });
        }
        connections.shutdown().await;
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    let (socket, _) = listener.accept().await.ok()?;
    Some((socket, slot))
}

#[cfg(test)]
mod tests;
