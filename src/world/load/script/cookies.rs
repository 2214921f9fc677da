//! Cookies: what a virtual user keeps of the header `Set-Cookie` (RFC 6265).

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::Url;

/// The cookies of a virtual user.
#[derive(Debug, Default)]
pub struct Jar {
    cookies: Vec<Cookie>,
}

/// A cookie, as a response sets it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cookie {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
    /// The host that gets it, and its subdomains unless `host_only`.
    pub domain: String,
    /// Where paths must begin.
    pub path: String,
    /// Whether subdomains do not get it.
    pub host_only: bool,
    /// Whether it is sent over TLS only.
    pub secure: bool,
    /// Whether scripts of a page may not read it.
    pub http_only: bool,
    /// Seconds that it lives.
    pub max_age: i64,
    /// When it ends.
    pub expires: Option<Timestamp>,
}

/// More cookies than this are not kept.
const MOST: usize = 1000;

// === impl Jar ===

impl Jar {
    /// Keeps a cookie, in place of one of the same name, domain and path.
    pub fn keep(&mut self, cookie: Cookie, now: Timestamp) {
        let same = |known: &Cookie| {
            (&known.name, &known.domain, &known.path) == (&cookie.name, &cookie.domain, &cookie.path)
        };
        self.cookies.retain(|known| !same(known));
        if cookie.is_alive(now) && self.cookies.len() < MOST {
            self.cookies.push(cookie);
        }
    }

    /// The cookies that a request to `url` carries.
    pub fn of(&self, url: &Url, now: Timestamp) -> impl Iterator<Item = &Cookie> {
        let host = url.host_str().unwrap_or_default().to_owned();
        let (path, secure) = (url.path().to_owned(), url.scheme() == "https");
        self.cookies.iter().filter(move |cookie| {
            cookie.is_alive(now)
                && cookie.goes_to(&host)
                && path_matches(&cookie.path, &path)
                && (secure || !cookie.secure)
        })
    }

    /// Forgets the cookies that go to `url`: all, or the one of that name.
    pub fn forget(&mut self, url: &Url, name: Option<&str>) {
        let host = url.host_str().unwrap_or_default();
        self.cookies
            .retain(|cookie| !cookie.goes_to(host) || name.is_some_and(|name| name != cookie.name));
    }

    /// Whether it has no cookie.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cookies.is_empty()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.cookies.clear();
    }
}

// === impl Cookie ===

impl Cookie {
    /// A cookie of the host of `url`, for all of its paths.
    #[must_use]
    pub fn new(url: &Url, name: &str, value: &str) -> Self {
        Self {
            name: name.to_owned(),
            value: value.to_owned(),
            domain: url.host_str().unwrap_or_default().to_owned(),
            path: "/".to_owned(),
            host_only: true,
            ..Self::default()
        }
    }

    /// Reads the header of a response from `url`; `None` when it sets nothing that may be kept.
    #[must_use]
    pub fn parse(header: &str, url: &Url) -> Option<Self> {
        let mut parts = header.split(';');
        let (name, value) = parts.next()?.split_once('=')?;
        let name = name.trim();
        if name.is_empty() {
            return None;
        }
        let mut cookie = Self::new(url, name, value.trim().trim_matches('"'));
        cookie.path = default_path(url.path());
        for part in parts {
            let (attribute, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim();
            match attribute.trim().to_ascii_lowercase().as_str() {
                "domain" if !value.is_empty() => {
                    let domain = value.trim_start_matches('.').to_ascii_lowercase();
                    cookie.host_only = false;
                    cookie.domain = domain;
                }
                "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
                "max-age" => {
                    cookie.max_age = value
                        .parse()
                        .map_or(0, |age: i64| if age <= 0 { -1 } else { age })
                }
                "expires" => cookie.expires = date(value),
                "secure" => cookie.secure = true,
                "httponly" => cookie.http_only = true,
                _ => {}
            }
        }
        let host = url.host_str().unwrap_or_default();
        cookie.goes_to(host).then_some(cookie)
    }

    /// The same with a life that counts from `now`.
    #[must_use]
    pub fn received(mut self, now: Timestamp) -> Self {
        if self.max_age > 0 {
            let age = Duration::from_secs(self.max_age.unsigned_abs().min(400 * 86_400));
            self.expires = now.checked_add(age).ok();
        }
        self
    }

    fn is_alive(&self, now: Timestamp) -> bool {
        self.max_age >= 0 && self.expires.is_none_or(|end| end > now)
    }

    fn goes_to(&self, host: &str) -> bool {
        let subdomain = || {
            host.strip_suffix(&self.domain)
                .is_some_and(|rest| rest.ends_with('.'))
        };
        self.domain == host || !self.host_only && subdomain()
    }
}

/// The directory of the path that set a cookie without one (RFC 6265, 5.1.4).
fn default_path(path: &str) -> String {
    match path.rfind('/') {
        Some(end) if end > 0 => path[..end].to_owned(),
        _ => "/".to_owned(),
    }
}

fn path_matches(of_cookie: &str, path: &str) -> bool {
    path == of_cookie
        || path
            .strip_prefix(of_cookie)
            .is_some_and(|rest| of_cookie.ends_with('/') || rest.starts_with('/'))
}

/// A date as RFC 9110 writes it, and with the dashes of older servers.
fn date(text: &str) -> Option<Timestamp> {
    let spaced = text.replace('-', " ");
    let parsed = rfc2822::parse(&spaced).or_else(|_| rfc2822::parse(text));
    parsed.ok().map(|date| date.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_go_where_they_belong() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let from = Url::parse("http://shop.example/a/b").unwrap();
        for (header, url, sent) in [
            ("s=1", "http://shop.example/a/c", true),
            ("s=1", "http://shop.example/other", false),
            ("s=1; Path=/", "http://shop.example/other", true),
            ("s=1; Path=/", "http://www.shop.example/", false),
            (
                "s=1; Path=/; Domain=shop.example",
                "http://www.shop.example/",
                true,
            ),
            ("s=1; Domain=other.example", "http://other.example/", false),
            ("s=1; Path=/; Secure", "http://shop.example/", false),
            ("s=1; Path=/; Secure", "https://shop.example/", true),
            ("s=1; Path=/; Max-Age=0", "http://shop.example/", false),
            ("s=1; Path=/; Max-Age=60", "http://shop.example/", true),
            (
                "s=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
                "http://shop.example/",
                false,
            ),
            ("nonsense", "http://shop.example/", false),
        ] {
            let mut jar = Jar::default();
            if let Some(cookie) = Cookie::parse(header, &from) {
                jar.keep(cookie.received(now), now);
            }
            let url = Url::parse(url).unwrap();
            assert_eq!(jar.of(&url, now).count() == 1, sent, "{header} to {url}");
        }
    }
}
