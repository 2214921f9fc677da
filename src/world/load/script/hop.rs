//! Hop: a request as it goes to one address: the one that a script makes, or where a redirect leads.

use std::cell::RefCell;
use std::rc::Rc;

use hyper::body::Bytes;
use hyper::header::LOCATION;
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request};
use reqwest::Url;

use super::super::message;
use super::client::{Call, Reply};

/// An address that a script asks. It is parsed once, since iterations ask the same ones.
pub struct Address {
    /// The address.
    pub url: Url,
    /// The same, written out.
    pub text: Rc<str>,
    /// Scheme, host and port.
    pub origin: Rc<str>,
    /// Path and query; `None` when they could not be sent.
    pub path: Option<PathAndQuery>,
}

/// What is sent: a request of a script, or where a redirect of it leads.
pub struct Hop {
    /// The method.
    pub method: Method,
    /// The address.
    pub address: Rc<Address>,
    /// The body.
    pub body: Option<Bytes>,
    /// The message as it was sent last.
    pub sent: RefCell<Option<Rc<Request<Bytes>>>>,
}

// === impl Address ===

impl Address {
    /// The address that `text` is.
    ///
    /// # Errors
    ///
    /// When it is none that could be asked.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("`{text}` is no address: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(format!("`{text}` is neither http nor https"));
        }
        Ok(Self::new(url))
    }

    fn new(url: Url) -> Self {
        Self {
            text: url.as_str().into(),
            origin: url.origin().ascii_serialization().into(),
            path: message::path_of(&url),
            url,
        }
    }
}

// === impl Hop ===

impl Hop {
    /// The request as the script makes it.
    ///
    /// # Errors
    ///
    /// When its method is none.
    pub fn first(call: &Call, address: Rc<Address>) -> Result<Self, String> {
        let method = call
            .method
            .parse()
            .map_err(|_| format!("`{}` is no method", call.method))?;
        Ok(Self::new(method, address, call.body.clone()))
    }

    fn new(method: Method, address: Rc<Address>, body: Option<Bytes>) -> Self {
        Self {
            method,
            address,
            body,
            sent: RefCell::default(),
        }
    }

    /// The stand-in for a request that has no address.
    pub fn unsent(call: &Call) -> Self {
        let method = call.method.parse().unwrap_or(Method::GET);
        let url = Url::parse("http://invalid/").expect("because it is an address");
        Self::new(method, Rc::new(Address::new(url)), None)
    }

    /// Where the answer redirects to.
    pub fn redirected(&self, reply: &Reply) -> Option<Self> {
        let repeats = message::repeats(reply.status, &self.method)?;
        let location = reply.headers.get(LOCATION)?.to_str().ok()?;
        let there = Rc::new(Address::new(self.address.url.join(location).ok()?));
        Some(if repeats {
            Self::new(self.method.clone(), there, self.body.clone())
        } else {
            Self::new(Method::GET, there, None)
        })
    }

    /// The header `Authorization` for a user and a password in the address.
    pub fn credentials(&self, call: &Call) -> Option<String> {
        use base64::Engine as _;
        if self.address.url.username().is_empty() && !call.basic {
            return None;
        }
        let plain = |text: &str| percent_decoded(text);
        let pair = format!(
            "{}:{}",
            plain(self.address.url.username()),
            plain(self.address.url.password().unwrap_or_default())
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
