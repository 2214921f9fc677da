//! Client: the requests of a virtual user's script, over connections of its own.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, SET_COOKIE, USER_AGENT};
use hyper::{Method, Request, Uri};
use jiff::Timestamp;
use reqwest::Url;
use tokio::sync::Semaphore;
use tokio::time::timeout_at;

use super::super::connection::Connection;
use super::super::connection::answer::{Head, Headers, Unanswered};
use super::super::message;
use super::super::target::Target;
use super::cookies::Cookie;
use super::hop::{Address, Hop};
use super::samples::{self, HttpTags};
use super::source::Network;
use super::stamps::Stamps;
use super::vu::{OwnTags, Statuses, Vu};
use crate::verify::exchange::{ErrorKind, Protocol, Timings};

/// A request, as a script makes it.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// The method.
    pub method: String,
    /// The address.
    pub url: String,
    /// The tag `name`, when it is not the address.
    pub name: Option<String>,
    /// The body.
    pub body: Option<Bytes>,
    /// The content type that follows from the body.
    pub content_type: Option<String>,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Tags of its samples.
    pub tags: OwnTags,
    /// How long it may take, its redirects included.
    pub timeout: Option<Duration>,
    /// Redirects that are followed, when it is not the run's number.
    pub redirects: Option<u32>,
    /// Cookies: name, value, and whether they replace those of the jar.
    pub cookies: Vec<(String, String, bool)>,
    /// What the script wants of the body.
    pub wants: Option<Wants>,
    /// Statuses that are no failure: those of the virtual user when `None`, nothing is a failure when `Some(None)`.
    pub expected: Option<Option<Statuses>>,
    /// Whether user and password of the address are sent.
    pub basic: bool,
}

/// What a script wants of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// A text.
    Text,
    /// Bytes.
    Binary,
    /// Nothing.
    Nothing,
}

/// An answer, as a script sees it, or why there is none.
#[derive(Debug, Default)]
pub struct Reply {
    /// The address that answered, after redirects.
    pub url: Rc<str>,
    /// The status; 0 without an answer.
    pub status: u16,
    /// How it was spoken.
    pub protocol: Option<Protocol>,
    /// Who answered.
    pub remote: Option<SocketAddr>,
    /// Headers.
    pub headers: HeaderMap,
    /// The body; `None` when it is not wanted.
    pub body: Option<Vec<u8>>,
    /// Whether the body is given as bytes.
    pub binary: bool,
    /// Its times.
    pub timings: Timings,
    /// What went wrong, and k6's number for it.
    pub error: Option<(String, u16)>,
    /// Whether that may not be survived by the script.
    pub fatal: bool,
    /// Whether TLS was spoken.
    pub secure: bool,
    /// The request that the script made.
    pub request: Asked,
    /// Cookies that the answer sets.
    pub cookies: Vec<Cookie>,
}

/// A request as it was asked.
#[derive(Debug, Default)]
pub struct Asked {
    /// The method.
    pub method: Method,
    /// The address.
    pub url: Rc<str>,
    /// The body.
    pub body: Option<Bytes>,
    /// The message with its headers, when it came so far.
    pub message: Option<Rc<Request<Bytes>>>,
}

/// The requests of a virtual user.
pub struct Client {
    vu: Rc<Vu>,
    /// By what the script wrote.
    addresses: RefCell<HashMap<String, Rc<Address>>>,
    /// By origin.
    targets: RefCell<HashMap<Rc<str>, Arc<Target>>>,
    /// By origin.
    idle: RefCell<HashMap<Rc<str>, Vec<Pooled>>>,
    agent: OnceCell<HeaderValue>,
    /// Bytes that were not yet told: sent and received.
    bytes: Cell<(u64, u64)>,
}

/// A connection that waits for the next request.
struct Pooled {
    connection: Connection,
    address: SocketAddr,
    /// Bytes on its wire that were counted.
    counted: (u64, u64),
}

/// The head and the body of an answer.
struct Received {
    head: Head,
    body: Vec<u8>,
}

/// Bodies above this many bytes are refused.
const LARGEST_BODY: usize = 16 << 20;

/// k6's default for a request.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Connections to one host that are kept while they are idle.
const IDLE: usize = 6;

/// Addresses that are remembered; a script that makes up new ones all the time gains nothing by it.
const ADDRESSES: usize = 64;

// === impl Client ===

impl Client {
    /// A client without connections.
    #[must_use]
    pub fn new(vu: Rc<Vu>) -> Self {
        Self {
            vu,
            addresses: RefCell::default(),
            targets: RefCell::default(),
            idle: RefCell::default(),
            agent: OnceCell::new(),
            bytes: Cell::default(),
        }
    }

    /// Sends requests side by side, as many as k6 would, and gives their answers in the same order.
    pub async fn send(&self, mut calls: Vec<Call>) -> Vec<Reply> {
        if calls.len() == 1
            && let Some(call) = calls.pop()
        {
            return vec![self.perform(call).await];
        }
        let options = self
            .vu
            .script
            .plan()
            .map(|plan| plan.http.clone())
            .unwrap_or_default();
        let hosts: RefCell<HashMap<String, Rc<Semaphore>>> = RefCell::default();
        let one = |call: Call| {
            let host = call.url.split('/').nth(2).unwrap_or_default().to_owned();
            let room = Rc::clone(
                hosts
                    .borrow_mut()
                    .entry(host)
                    .or_insert_with(|| Rc::new(Semaphore::new(options.batch_per_host))),
            );
            async move {
                let _room = room.acquire().await;
                self.perform(call).await
            }
        };
        futures::stream::iter(calls.into_iter().map(one))
            .buffered(options.batch)
            .collect()
            .await
    }

    /// The bytes sent and received since this was last asked.
    pub fn new_bytes(&self) -> (u64, u64) {
        self.bytes.take()
    }

    /// Closes all connections.
    pub fn close(&self) {
        self.idle.borrow_mut().clear();
    }

    async fn perform(&self, call: Call) -> Reply {
        let begin = Instant::now();
        let deadline = tokio::time::Instant::now() + call.timeout.unwrap_or(TIMEOUT);
        let options = self.vu.script.plan().map(|plan| &plan.http);
        let redirects = call
            .redirects
            .or(options.map(|options| options.max_redirects))
            .unwrap_or(10);
        let first = self
            .address(&call.url)
            .and_then(|address| Hop::first(&call, address));
        let mut hop = match first {
            Ok(hop) => hop,
            Err(error) => return self.refused(&call, begin, error),
        };
        let mut earlier = Duration::ZERO;
        let mut asked = None;
        for number in 0_u32.. {
            let stamps = Stamps::default();
            let start = Instant::now();
            let under_way = UnderWay {
                client: self,
                call: &call,
                hop: &hop,
                start,
                done: false,
            };
            let result = timeout_at(deadline, self.exchange(&call, &hop, &stamps)).await;
            under_way.finish();
            self.count_bytes(&stamps);
            let result = result.unwrap_or(Err(Failure::Kind(ErrorKind::Timeout)));
            let mut reply = self.reply(&call, &hop, &stamps, start, result);
            // What a script sees is the request that it made, not what a redirect made of it.
            let first = std::mem::take(&mut reply.request);
            let asked = asked.get_or_insert(first);
            let next = hop.redirected(&reply);
            let follows = next.is_some() && number < redirects;
            samples::record(&self.vu, &call, &hop, &reply, start, earlier, follows);
            match next {
                Some(next) if follows => {
                    earlier += reply.timings.duration();
                    hop = next;
                }
                _ => {
                    reply.request = std::mem::take(asked);
                    self.finish(&call, &mut reply);
                    return reply;
                }
            }
        }
        unreachable!("because the number of redirects is bounded")
    }

    /// A request that cannot even be sent.
    fn refused(&self, call: &Call, begin: Instant, error: String) -> Reply {
        let mut reply = Reply {
            url: call.url.as_str().into(),
            error: Some((error, 1020)),
            ..Reply::default()
        };
        let hop = Hop::unsent(call);
        samples::record(&self.vu, call, &hop, &reply, begin, Duration::ZERO, false);
        self.finish(call, &mut reply);
        reply
    }

    /// What is told of every answer.
    fn finish(&self, call: &Call, reply: &mut Reply) {
        if let Some((error, _)) = reply
            .error
            .as_ref()
            .filter(|(_, code)| *code < 1100 || *code > 1599)
        {
            let warning = format!("request failed: {} {}: {error}", call.method, call.url);
            self.vu.script.warn_once(warning);
        } else if let Some((error, _)) = reply.error.as_ref().filter(|_| reply.status == 0) {
            let warning = format!("request failed: {} {}: {error}", call.method, call.url);
            self.vu.script.warn_once(warning);
        }
        let throws = self.vu.script.plan().is_some_and(|plan| plan.http.throw);
        reply.fatal |= throws && reply.status == 0;
    }

    async fn exchange(&self, call: &Call, hop: &Hop, stamps: &Stamps) -> Result<Received, Failure> {
        let target = self.target(&hop.address).await?;
        let (mut pooled, head) = loop {
            let (mut pooled, reused) = self.connect(hop, &target, stamps).await?;
            pooled.connection.readings.begin();
            stamps.protocol.set(Some(pooled.connection.protocol()));
            stamps.address.set(Some(pooled.address));
            stamps
                .readings
                .replace(Some(Rc::clone(&pooled.connection.readings)));
            stamps
                .wire
                .replace(Some((Rc::clone(&pooled.connection.wire), pooled.counted)));
            stamps.connected.set(Some(Instant::now()));
            let message = Rc::new(self.message(call, hop, &target, pooled.connection.protocol())?);
            // A request that ends without an answer is shown with its headers, too.
            hop.sent.replace(Some(Rc::clone(&message)));
            match pooled.connection.send(&message, Headers::All).await {
                Ok(head) => break (pooled, head),
                // The other side closed the idle connection: no byte was written, so this is not a second attempt.
                Err(Unanswered::Unsent) if reused => {}
                Err(Unanswered::Unsent) => return Err(Failure::Kind(ErrorKind::Closed)),
                Err(Unanswered::Failed(error)) => return Err(Failure::Kind(error)),
            }
        };
        let keep = (self.wants(call) != Wants::Nothing).then_some(LARGEST_BODY);
        let (_, body) = pooled.connection.read_body(keep).await.map_err(Failure::Kind)?;
        let reuse = self.vu.script.plan().is_none_or(|plan| !plan.http.no_reuse);
        if reuse {
            let mut idle = self.idle.borrow_mut();
            let idle = idle.entry(Rc::clone(&hop.address.origin)).or_default();
            if idle.len() < IDLE {
                pooled.counted = (
                    pooled.connection.wire.sent.get(),
                    pooled.connection.wire.received.get(),
                );
                idle.push(pooled);
            }
        }
        Ok(Received { head, body })
    }

    fn wants(&self, call: &Call) -> Wants {
        let discards = self.vu.script.plan().is_some_and(|plan| plan.http.discard_bodies);
        call.wants
            .unwrap_or(if discards { Wants::Nothing } else { Wants::Text })
    }

    fn address(&self, text: &str) -> Result<Rc<Address>, String> {
        let mut addresses = self.addresses.borrow_mut();
        if let Some(address) = addresses.get(text) {
            return Ok(Rc::clone(address));
        }
        let address = Rc::new(Address::parse(text)?);
        if addresses.len() == ADDRESSES {
            addresses.clear();
        }
        addresses.insert(text.to_owned(), Rc::clone(&address));
        Ok(address)
    }

    async fn target(&self, address: &Address) -> Result<Arc<Target>, Failure> {
        if let Some(target) = self.targets.borrow().get(&address.origin) {
            return Ok(Arc::clone(target));
        }
        let target = Arc::new(Box::pin(self.look_up(address)).await?);
        let origin = Rc::clone(&address.origin);
        self.targets.borrow_mut().insert(origin, Arc::clone(&target));
        Ok(target)
    }

    async fn look_up(&self, address: &Address) -> Result<Target, Failure> {
        if let Some(target) = allowed(&self.vu.script.network, &address.url)? {
            return Ok(target);
        }
        let found = Target::once(&address.origin, &self.vu.script.tls).await;
        found.map_err(|error| Failure::Target(crate::problem::chain(&error)))
    }

    /// A connection to the target, and whether it was open already.
    async fn connect(&self, hop: &Hop, target: &Target, stamps: &Stamps) -> Result<(Pooled, bool), Failure> {
        loop {
            let idle = self
                .idle
                .borrow_mut()
                .get_mut(&hop.address.origin)
                .and_then(Vec::pop);
            let Some(mut pooled) = idle else { break };
            if pooled.connection.is_ready().await {
                return Ok((pooled, true));
            }
        }
        let addresses = target.addresses();
        let address = addresses[self.vu.number as usize % addresses.len()];
        // In a box, so that a request on an open connection does not carry the room for opening one.
        let opened = Box::pin(Connection::open(target, address)).await;
        let (connection, opening) = opened.map_err(Failure::Kind)?;
        stamps.opening.set(opening);
        let pooled = Pooled {
            connection,
            address,
            counted: (0, 0),
        };
        Ok((pooled, false))
    }

    fn message(
        &self,
        call: &Call,
        hop: &Hop,
        target: &Target,
        protocol: Protocol,
    ) -> Result<Request<Bytes>, Failure> {
        let malformed = |_| Failure::Kind(ErrorKind::Protocol);
        let mut message = Request::new(hop.body.clone().unwrap_or_default());
        *message.method_mut() = hop.method.clone();
        let path = hop.address.path.clone();
        let path = path.ok_or(Failure::Kind(ErrorKind::Protocol))?;
        let named = call
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("host"));
        let authority = named.map_or(target.authority().as_str(), |(_, value)| value);
        *message.uri_mut() = match protocol {
            Protocol::Http1 => path.into(),
            Protocol::Http2 => {
                let uri = Uri::builder().scheme(target.scheme().clone());
                let uri = uri.authority(authority).path_and_query(path).build();
                uri.map_err(|_| Failure::Kind(ErrorKind::Protocol))?
            }
        };
        let headers = message.headers_mut();
        if protocol == Protocol::Http1 {
            headers.insert(HOST, HeaderValue::from_str(authority).map_err(malformed)?);
        }
        headers.insert(USER_AGENT, self.user_agent());
        if let Some(content_type) = call.content_type.as_ref().filter(|_| hop.body.is_some()) {
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_str(content_type).map_err(malformed)?,
            );
        }
        for (name, value) in call
            .headers
            .iter()
            .filter(|(name, _)| !name.eq_ignore_ascii_case("host"))
        {
            let name =
                HeaderName::from_bytes(name.as_bytes()).map_err(|_| Failure::Kind(ErrorKind::Protocol))?;
            headers.insert(name, HeaderValue::from_str(value).map_err(malformed)?);
        }
        if let Some(cookies) = self.cookies(call, hop) {
            headers.insert(COOKIE, HeaderValue::from_str(&cookies).map_err(malformed)?);
        }
        if let Some(credentials) = hop.credentials(call) {
            let value = HeaderValue::from_str(&credentials).map_err(malformed)?;
            headers.entry(hyper::header::AUTHORIZATION).or_insert(value);
        }
        Ok(message)
    }

    fn user_agent(&self) -> HeaderValue {
        let agent = self.agent.get_or_init(|| {
            let plan = self.vu.script.plan();
            let own = plan.and_then(|plan| plan.http.user_agent.as_deref());
            own.and_then(|own| HeaderValue::from_str(own).ok())
                .unwrap_or(message::AGENT)
        });
        agent.clone()
    }

    /// The header `Cookie`: what the jar has, then what the request adds.
    fn cookies(&self, call: &Call, hop: &Hop) -> Option<String> {
        let jar = self.vu.jar.borrow();
        if jar.is_empty() && call.cookies.is_empty() {
            return None;
        }
        let mut pairs: Vec<String> = Vec::new();
        let replaced = |name: &str| {
            call.cookies
                .iter()
                .any(|(own, _, replace)| *replace && own == name)
        };
        let kept = jar.of(&hop.address.url, Timestamp::now());
        pairs.extend(
            kept.filter(|cookie| !replaced(&cookie.name))
                .map(|cookie| format!("{}={}", cookie.name, cookie.value)),
        );
        pairs.extend(
            call.cookies
                .iter()
                .map(|(name, value, _)| format!("{name}={value}")),
        );
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    fn reply(
        &self,
        call: &Call,
        hop: &Hop,
        stamps: &Stamps,
        start: Instant,
        result: Result<Received, Failure>,
    ) -> Reply {
        let timings = stamps.timings(start, Instant::now());
        let request = Asked {
            method: hop.method.clone(),
            url: Rc::clone(&hop.address.text),
            body: hop.body.clone(),
            message: hop.sent.take(),
        };
        let base = Reply {
            url: Rc::clone(&hop.address.text),
            protocol: stamps.protocol.get(),
            remote: stamps.address.get(),
            secure: hop.address.url.scheme() == "https",
            timings,
            request,
            ..Reply::default()
        };
        let Received { head, body } = match result {
            Ok(received) => received,
            Err(failure) => {
                return Reply {
                    error: Some(failure.told()),
                    fatal: matches!(failure, Failure::Forbidden(_)),
                    ..base
                };
            }
        };
        let status = head.status.as_u16();
        let cookies = self.set_cookies(&head.headers, &hop.address.url);
        let wants = self.wants(call);
        Reply {
            status,
            error: (status >= 400).then(|| (String::new(), 1000 + status)),
            headers: head.headers,
            body: (wants != Wants::Nothing).then_some(body),
            binary: wants == Wants::Binary,
            cookies,
            ..base
        }
    }

    /// The cookies that an answer sets, which the jar keeps from now on.
    fn set_cookies(&self, headers: &HeaderMap, url: &Url) -> Vec<Cookie> {
        if !headers.contains_key(SET_COOKIE) {
            return Vec::new();
        }
        let now = Timestamp::now();
        let set = headers.get_all(SET_COOKIE).iter();
        let cookies: Vec<Cookie> = set
            .filter_map(|value| Cookie::parse(value.to_str().ok()?, url))
            .map(|cookie| cookie.received(now))
            .collect();
        let mut jar = self.vu.jar.borrow_mut();
        cookies.iter().for_each(|cookie| jar.keep(cookie.clone(), now));
        cookies
    }

    fn count_bytes(&self, stamps: &Stamps) {
        if let Some((wire, (sent, received))) = stamps.wire.take() {
            let (all_sent, all_received) = self.bytes.get();
            self.bytes.set((
                all_sent + wire.sent.get() - sent,
                all_received + wire.received.get() - received,
            ));
        }
    }
}

/// The target's own addresses when `url` leads to it; `None` when the host has to be looked up first.
fn allowed(network: &Network, url: &Url) -> Result<Option<Target>, Failure> {
    let Network::Only {
        origin,
        target,
        hosts,
    } = network
    else {
        return Ok(None);
    };
    let wanted = url.origin().ascii_serialization();
    if Url::parse(origin).is_ok_and(|origin| origin.origin().ascii_serialization() == wanted) {
        return Ok(Some((**target).clone()));
    }
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    let with_port = format!("{host}:{port}");
    if hosts.iter().any(|known| known == host || *known == with_port) {
        return Ok(None);
    }
    Err(Failure::Forbidden(format!(
        "{wanted} is not the target {origin}; spec.hosts of the LoadCheck names other hosts that its script may reach"
    )))
}

/// A request under way: one whose future is dropped was cut off by the end of the run.
struct UnderWay<'a> {
    client: &'a Client,
    call: &'a Call,
    hop: &'a Hop,
    start: Instant,
    done: bool,
}

impl UnderWay<'_> {
    fn finish(mut self) {
        self.done = true;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.done {
            let vu = &self.client.vu;
            let tags = HttpTags::unanswered(self.call, self.hop);
            vu.add_cut(self.start.saturating_duration_since(vu.origin.get()), &tags);
        }
    }
}

/// Why there is no answer.
enum Failure {
    Kind(ErrorKind),
    Target(String),
    Forbidden(String),
}

impl Failure {
    fn told(&self) -> (String, u16) {
        match self {
            Self::Kind(kind) => (kind.text().to_owned(), kind.code()),
            Self::Target(text) => (text.clone(), 1101),
            Self::Forbidden(text) => (text.clone(), 1110),
        }
    }
}
