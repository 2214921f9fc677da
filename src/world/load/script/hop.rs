//! Hop: a request as it goes to one address: the one that a script makes, or where a redirect leads.

use std::cell::RefCell;

use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{HeaderMap, LOCATION};
use reqwest::Url;

use super::client::{Call, Reply};

/// What is sent: a request of a script, or where a redirect of it leads.
pub struct Hop {
    /// The method.
    pub method: Method,
    /// The address.
    pub url: Url,
    /// Scheme, host and port.
    pub origin: String,
    /// The body.
    pub body: Option<Bytes>,
    /// The headers as they were sent.
    pub headers: RefCell<HeaderMap>,
}

impl Hop {
    /// The request as the script makes it.
    ///
    /// # Errors
    ///
    /// When it has no address that could be asked.
    pub fn first(call: &Call) -> Result<Self, String> {
        let url = Url::parse(&call.url).map_err(|error| format!("`{}` is no address: {error}", call.url))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(format!("`{}` is neither http nor https", call.url));
        }
        let method = call
            .method
            .parse()
            .map_err(|_| format!("`{}` is no method", call.method))?;
        Ok(Self::new(method, url, call.body.clone()))
    }

    fn new(method: Method, url: Url, body: Option<Bytes>) -> Self {
        Self {
            method,
            origin: url.origin().ascii_serialization(),
            url,
            body,
            headers: RefCell::default(),
        }
    }

    /// The stand-in for a request that has no address.
    pub fn unsent(call: &Call) -> Self {
        let method = call.method.parse().unwrap_or(Method::GET);
        Self::new(
            method,
            Url::parse("http://invalid/").expect("because it is an address"),
            None,
        )
    }

    /// Where the answer redirects to.
    pub fn redirected(&self, reply: &Reply) -> Option<Self> {
        if !matches!(reply.status, 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let there = self.url.join(reply.headers.get(LOCATION)?.to_str().ok()?).ok()?;
        // 307 and 308 repeat the request; the others ask for the result with GET (RFC 9110, 15.4).
        let repeats = matches!(reply.status, 307 | 308) || matches!(self.method, Method::GET | Method::HEAD);
        Some(if repeats {
            Self::new(self.method.clone(), there, self.body.clone())
        } else {
            Self::new(Method::GET, there, None)
        })
    }

    /// The header `Authorization` for a user and a password in the address.
    pub fn credentials(&self, call: &Call) -> Option<String> {
        use base64::Engine as _;
        if self.url.username().is_empty() && !call.basic {
            return None;
        }
        let plain = |text: &str| percent_decoded(text);
        let pair = format!(
            "{}:{}",
            plain(self.url.username()),
            plain(self.url.password().unwrap_or_default())
        );
        Some(format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(pair)
        ))
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            .filter(|_| *first == b'%')
        {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
