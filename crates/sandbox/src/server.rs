//! Server: the API on a port of its own.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::certificate::{CertificateError, Certificates};
use crate::cluster::Cluster;
use crate::http::Service;
use crate::kubeconfig::Access;

/// How long a client may take to greet by TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Why a cluster does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be used.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// No certificate can be made.
    #[error("make the server's certificate")]
    Certificate(#[from] CertificateError),
    /// The certificate is not taken.
    #[error("set up TLS")]
    Tls(#[from] rustls::Error),
}

/// A server that listens. Dropping it ends it, and everything that was spawned on it.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// How an administrator reaches it.
    pub access: Access,
    tasks: Mutex<JoinSet<()>>,
}

// === impl Server ===

impl Server {
    /// Runs something for as long as the server lives.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .spawn(task);
    }
}

/// Listens.
///
/// # Errors
/// The address cannot be used, or no certificate can be made.
pub(crate) async fn start(cluster: &Cluster, address: SocketAddr, tls: bool) -> Result<Server, StartError> {
    let listen = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let (acceptor, authority) = if tls {
        let (acceptor, authority) = acceptor(address, cluster)?;
        (Some(acceptor), Some(authority))
    } else {
        (None, None)
    };
    let scheme = if tls { "https" } else { "http" };
    let access = Access {
        name: cluster.name().to_owned(),
        server: format!("{scheme}://{address}"),
        authority,
        token: cluster.token().to_owned(),
    };
    let server = Server {
        address,
        access,
        tasks: Mutex::default(),
    };
    server.spawn(listen_on(
        listener,
        acceptor,
        cluster.guarded_service(),
        cluster.stopping(),
    ));
    Ok(server)
}

fn acceptor(address: SocketAddr, cluster: &Cluster) -> Result<(TlsAcceptor, String), StartError> {
    // A manual clock may stand anywhere; the clients' clocks do not.
    let _ = cluster;
    let made = Certificates::make(address.ip(), jiff::Timestamp::now())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.server], made.key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((TlsAcceptor::from(Arc::new(config)), made.authority))
}

async fn listen_on(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    service: Service,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        // A connection that ended before it was accepted says nothing about the next one.
        let Ok((stream, _)) = accepted else {
            continue;
        };
        connections.spawn(connection(stream, acceptor.clone(), service.clone()));
    }
}

async fn connection(stream: TcpStream, acceptor: Option<TlsAcceptor>, service: Service) {
    // Small answers go at once.
    let _ = stream.set_nodelay(true);
    match acceptor {
        None => serve(stream, service).await,
        Some(acceptor) => {
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                serve(stream, service).await;
            }
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, service: Service) {
    let answer = service_fn(move |request| {
        let service = service.clone();
        async move { Ok::<_, std::convert::Infallible>(service.answer(request).await) }
    });
    // A client that goes away in the middle is no failure of the server.
    let _ = Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}
