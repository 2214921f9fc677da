//! Message: a request of the plan as it goes out. It is made once and sent many times.

use hyper::body::Bytes;
use hyper::header::{HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::http::uri::{Authority, PathAndQuery};
use hyper::{Method, Request, Uri};

use super::target::Target;
use super::user::Answer;
use crate::config::load_check::plan;
use crate::verify::exchange::{ErrorKind, Protocol};

/// A request in the form of either protocol: HTTP/1.1 has the host in a header, HTTP/2 in the URI.
#[derive(Debug)]
pub struct Message {
    http1: Request<Bytes>,
    http2: Request<Bytes>,
}

/// The program, as it names itself to those that it asks.
pub const AGENT: HeaderValue = HeaderValue::from_static(concat!("gitsync/", env!("CARGO_PKG_VERSION")));

impl Message {
    /// The message of a request.
    ///
    /// # Errors
    ///
    /// When its path, its host or a header could not be sent.
    pub fn new(target: &Target, request: &plan::Request) -> Result<Self, ErrorKind> {
        let is_host = |name: &str| name.eq_ignore_ascii_case("host");
        let host = request.headers.iter().find(|(name, _)| is_host(name));
        let authority: Authority = match host {
            Some((_, value)) => sound(value.parse())?,
            None => target.authority().clone(),
        };
        let path: PathAndQuery = sound(request.path.parse())?;
        let body = request.body.clone().map(Bytes::from).unwrap_or_default();
        let mut http2 = Request::new(body);
        // The plan names methods that every HTTP library knows.
        *http2.method_mut() = request.method.parse().unwrap_or(Method::GET);
        http2.headers_mut().insert(USER_AGENT, AGENT);
        for (name, value) in request.headers.iter().filter(|(name, _)| !is_host(name)) {
            let name = sound(HeaderName::from_bytes(name.as_bytes()))?;
            http2.headers_mut().insert(name, sound(value.parse())?);
        }
        let mut http1 = http2.clone();
        *http1.uri_mut() = path.clone().into();
        let host = sound(HeaderValue::from_str(authority.as_str()))?;
        http1.headers_mut().insert(HOST, host);
        let uri = Uri::builder()
            .scheme(target.scheme().clone())
            .authority(authority);
        *http2.uri_mut() = sound(uri.path_and_query(path).build())?;
        Ok(Self { http1, http2 })
    }

    /// The form of a protocol.
    #[must_use]
    pub fn of(&self, protocol: Protocol) -> &Request<Bytes> {
        match protocol {
            Protocol::Http1 => &self.http1,
            Protocol::Http2 => &self.http2,
        }
    }

    /// Where an answer redirects to: `None` when it does not, an error when that is not the target.
    #[must_use]
    pub fn redirected(&self, target: &Target, answer: &Answer) -> Option<Result<Self, ErrorKind>> {
        let repeats = repeats(answer.status, self.http1.method())?;
        let location = answer.headers.get(hyper::header::LOCATION)?;
        let here = reqwest::Url::parse(&format!("{}{}", target.url(), self.http1.uri())).ok();
        let there = here
            .as_ref()
            .zip(location.to_str().ok())
            .and_then(|(here, text)| here.join(text).ok());
        let (Some(here), Some(there)) = (here, there) else {
            return Some(Err(ErrorKind::Redirect));
        };
        if here.origin() != there.origin() {
            return Some(Err(ErrorKind::Redirect));
        }
        let path = path_of(&there).ok_or(ErrorKind::Protocol);
        Some(path.and_then(|path| self.at(path, repeats)))
    }

    /// The same request at another path, or a GET of it.
    fn at(&self, path: PathAndQuery, repeats: bool) -> Result<Self, ErrorKind> {
        let (mut http1, mut http2) = (self.http1.clone(), self.http2.clone());
        let mut parts = http2.uri().clone().into_parts();
        parts.path_and_query = Some(path.clone());
        *http1.uri_mut() = path.into();
        *http2.uri_mut() = sound(Uri::from_parts(parts))?;
        if !repeats {
            for message in [&mut http1, &mut http2] {
                *message.method_mut() = Method::GET;
                *message.body_mut() = Bytes::new();
            }
        }
        Ok(Self { http1, http2 })
    }
}

/// Whether a redirect of this status repeats the request or asks for the result with GET (RFC 9110, 15.4); `None` when it is none.
pub fn repeats(status: u16, method: &Method) -> Option<bool> {
    match status {
        307 | 308 => Some(true),
        301..=303 => Some(matches!(*method, Method::GET | Method::HEAD)),
        _ => None,
    }
}

/// Path and query of an address; `None` when they could not be sent.
pub fn path_of(url: &reqwest::Url) -> Option<PathAndQuery> {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()).parse().ok(),
        None => url.path().parse().ok(),
    }
}

/// A part of a message that can be sent.
fn sound<T, E>(result: Result<T, E>) -> Result<T, ErrorKind> {
    result.map_err(|_| ErrorKind::Protocol)
}
