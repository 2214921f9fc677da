//! Target: where load goes. Its addresses are looked up once, before any load, and nothing else is ever sent to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::http::uri::{Authority, Scheme, Uri};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use super::message::Message;
use super::probe::Probe;
use super::user::User;
use crate::config::load_check::TlsSpec;
use crate::config::load_check::plan::{Plan, Request};
use crate::verify::exchange::ErrorKind;

/// A place that answers HTTP.
#[derive(Clone)]
pub struct Target {
    authority: Authority,
    scheme: Scheme,
    addresses: Vec<SocketAddr>,
    tls: Option<Tls>,
}

/// How to secure a connection.
#[derive(Clone)]
pub struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

/// Why a target cannot be put under load.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The text is not an origin.
    #[error("`{origin}` is not an address of the form http://host:port")]
    Malformed {
        /// The text.
        origin: String,
    },
    /// The name has no address.
    #[error("`{host}` has no address after {limit:?}")]
    Unresolved {
        /// The host and port.
        host: String,
        /// How long it was asked for.
        limit: Duration,
        /// The resolver's answer.
        source: Option<std::io::Error>,
    },
    /// TLS cannot be set up.
    #[error("TLS for `{host}` cannot be set up")]
    Tls {
        /// The host.
        host: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nothing usable answered in time.
    #[error("{url} is not ready after {limit:?}: {last}")]
    NotReady {
        /// What was asked.
        url: String,
        /// How long it was asked.
        limit: Duration,
        /// What the last attempt met.
        last: String,
    },
    /// Somebody cancelled the wait.
    #[error("interrupted while waiting for {url}")]
    Interrupted {
        /// What was waited for.
        url: String,
    },
}

/// The pause between two attempts to reach a target that is not ready.
const PAUSE: Duration = Duration::from_millis(250);

/// How long one look-up of a name may take.
const LOOK_UP: Duration = Duration::from_secs(10);

/// How long one attempt may take: short enough that several fit into the limit.
const ATTEMPT: Duration = Duration::from_secs(5);

// === impl Target ===

impl Target {
    /// The target at `origin`, for example `http://127.0.0.1:8080`, once its name has an address.
    ///
    /// The name of a fresh load balancer may take a while to be published; it is asked for as long as the plan
    /// waits for readiness.
    ///
    /// # Errors
    ///
    /// When `origin` is malformed, has no address in time, or TLS cannot be set up.
    pub async fn resolve(origin: &str, plan: &Plan, cancel: &CancellationToken) -> Result<Self, TargetError> {
        let (scheme, authority) = parts(origin)?;
        let (host, port, tls) = reached_by(&scheme, &authority, &plan.tls)?;
        let addresses = look_up(&host, port, plan.wait_ready, cancel).await?;
        Ok(Self {
            authority,
            scheme,
            addresses,
            tls,
        })
    }

    /// The target at `origin`, whose name is asked for once only.
    ///
    /// # Errors
    ///
    /// When `origin` is malformed, has no address, or TLS cannot be set up.
    pub async fn once(origin: &str, tls: &TlsSpec) -> Result<Self, TargetError> {
        let (scheme, authority) = parts(origin)?;
        let (host, port, tls) = reached_by(&scheme, &authority, tls)?;
        let asked = tokio::time::timeout(LOOK_UP, tokio::net::lookup_host((host.as_str(), port))).await;
        let unresolved = |source| TargetError::Unresolved {
            host: format!("{host}:{port}"),
            limit: LOOK_UP,
            source,
        };
        let addresses = match asked {
            Ok(Ok(addresses)) => prefer_ipv4(addresses.collect()),
            Ok(Err(error)) => return Err(unresolved(Some(error))),
            Err(_) => Vec::new(),
        };
        if addresses.is_empty() {
            return Err(unresolved(None));
        }
        Ok(Self {
            authority,
            scheme,
            addresses,
            tls,
        })
    }

    /// The address as people write it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// The addresses that its name has.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The value of the header `Host`.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// How to secure a connection; `None` for plain HTTP.
    #[must_use]
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// Waits until the plan's first request gets an answer that comes from an application: any but 502, 503 and 504,
    /// with which a proxy says that nobody is behind it yet.
    ///
    /// # Errors
    ///
    /// When no such answer came within the plan's limit.
    pub async fn wait_ready(&self, plan: &Arc<Plan>, cancel: &CancellationToken) -> Result<(), TargetError> {
        let url = format!("{}{}", self.url(), plan.requests[0].path);
        let deadline = Instant::now() + plan.wait_ready;
        let mut attempt = 0;
        loop {
            let address = self.addresses[attempt % self.addresses.len()];
            let limit = deadline.saturating_duration_since(Instant::now()).min(ATTEMPT);
            let asked = tokio::select! {
                asked = ask(self.clone(), Arc::clone(plan), address, limit) => asked,
                () = cancel.cancelled() => return Err(TargetError::Interrupted { url }),
            };
            let last = match asked {
                Ok(status) if !matches!(status, 502..=504) => return Ok(()),
                Ok(status) => format!("it answers with status {status}"),
                Err(error) => error.text().to_owned(),
            };
            if Instant::now() + PAUSE >= deadline {
                return Err(TargetError::NotReady {
                    url,
                    limit: plan.wait_ready,
                    last,
                });
            }
            attempt += 1;
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = cancel.cancelled() => return Err(TargetError::Interrupted { url }),
            }
        }
    }
}

fn parts(origin: &str) -> Result<(Scheme, Authority), TargetError> {
    let parts = origin.parse::<Uri>().ok().map(Uri::into_parts);
    let parts = parts.and_then(|parts| parts.scheme.zip(parts.authority));
    parts
        .filter(|(scheme, _)| *scheme == Scheme::HTTPS || *scheme == Scheme::HTTP)
        .ok_or_else(|| TargetError::Malformed {
            origin: origin.to_owned(),
        })
}

/// The host, the port and the security of an origin.
fn reached_by(
    scheme: &Scheme,
    authority: &Authority,
    tls: &TlsSpec,
) -> Result<(String, u16, Option<Tls>), TargetError> {
    let secure = *scheme == Scheme::HTTPS;
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let tls = if secure { Some(Tls::new(&host, tls)?) } else { None };
    Ok((host, port, tls))
}

/// Asks the target once. A virtual user's connection stays on its thread, so this has a thread of its own, which is gone
/// with its memory when the load begins.
async fn ask(
    target: Target,
    plan: Arc<Plan>,
    address: SocketAddr,
    limit: Duration,
) -> Result<u16, ErrorKind> {
    let (tell, told) = oneshot::channel();
    let asking = move || {
        let runtime = super::worker::runtime().map_err(|_| ErrorKind::Connect)?;
        let local = tokio::task::LocalSet::new();
        let once = async {
            let request = harmless(&plan.requests[0]);
            let message = Message::new(&target, &request)?;
            let mut user = User::new(Arc::new(target), address);
            let answer =
                tokio::time::timeout(limit, user.ask(&request, &message, std::time::Instant::now())).await;
            answer.map_err(|_| ErrorKind::Timeout)
        };
        let answer = local.block_on(&runtime, once)?;
        answer.error.map_or(Ok(answer.status), Err)
    };
    let thread = std::thread::Builder::new().name("load-ask".to_owned());
    let started = thread.spawn(move || {
        // Nobody listens when the check was cancelled.
        let _ = tell.send(asking());
    });
    started.map_err(|_| ErrorKind::Connect)?;
    told.await.unwrap_or(Err(ErrorKind::Connect))
}

/// A request that only looks: who waits for readiness must not place an order at each attempt.
fn harmless(request: &Request) -> Request {
    let mut request = request.clone();
    if !matches!(request.method.as_str(), "GET" | "HEAD" | "OPTIONS") {
        (request.method, request.body) = ("GET".to_owned(), None);
    }
    request
}

async fn look_up(
    host: &str,
    port: u16,
    limit: Duration,
    cancel: &CancellationToken,
) -> Result<Vec<SocketAddr>, TargetError> {
    let deadline = Instant::now() + limit;
    let interrupted = || TargetError::Interrupted { url: host.to_owned() };
    loop {
        let asked = tokio::select! {
            asked = tokio::time::timeout_at(deadline, tokio::net::lookup_host((host, port))) => asked,
            () = cancel.cancelled() => return Err(interrupted()),
        };
        let source = match asked {
            Ok(Ok(addresses)) => {
                let addresses: Vec<_> = addresses.collect();
                if !addresses.is_empty() {
                    return Ok(prefer_ipv4(addresses));
                }
                None
            }
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        if Instant::now() + PAUSE >= deadline {
            return Err(TargetError::Unresolved {
                host: format!("{host}:{port}"),
                limit,
                source,
            });
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = cancel.cancelled() => return Err(interrupted()),
        }
    }
}

/// The IPv4 addresses when there are any, as k6 does: a name with both is one service, and half of the users on a
/// family that is not routed would be a false alarm.
fn prefer_ipv4(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let (four, six): (Vec<_>, Vec<_>) = addresses.into_iter().partition(SocketAddr::is_ipv4);
    if four.is_empty() { six } else { four }
}

// === impl TargetError ===

impl TargetError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "write it as http://host:port",
            Self::Unresolved { .. } => {
                "is the name right? That of a new load balancer may take minutes: target.waitReady.timeout"
            }
            Self::Tls { .. } => "target.tls says whom to trust, and the name that the certificate must have",
            Self::NotReady { .. } => {
                "ask it yourself with curl; target.waitReady.timeout says how long it may take to start"
            }
            Self::Interrupted { .. } => "run the check again",
        }
    }
}

// === impl Tls ===

impl Tls {
    fn new(host: &str, spec: &TlsSpec) -> Result<Self, TargetError> {
        let host = spec.server_name.as_deref().unwrap_or(host);
        Self::build(host, spec).map_err(|source| TargetError::Tls {
            host: host.to_owned(),
            source,
        })
    }

    fn build(host: &str, spec: &TlsSpec) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let name = ServerName::try_from(host.to_owned())?;
        let pem = spec.ca_certificates.as_deref().unwrap_or_default();
        let extra: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>()?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Verifier::new_with_extra_roots(extra, Arc::clone(&provider))?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            // This is how a verifier other than rustls' own is put in; it verifies as the system does.
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            name,
        })
    }

    /// Secures a stream.
    ///
    /// # Errors
    ///
    /// When the handshake fails or the certificate is not trusted.
    pub async fn connect(&self, stream: Probe<TcpStream>) -> std::io::Result<TlsStream<Probe<TcpStream>>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}
