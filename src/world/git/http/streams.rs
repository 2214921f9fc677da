//! Streams: the reading and writing ends that git's protocol is spoken over.

use std::io::{self, BufRead, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::header::HeaderMap;
use reqwest::{Method, Url};

use super::exchange::Exchange;

/// A POST request that is collected, sent at the first read, and then read.
pub(in crate::world::git) struct Post {
    exchange: Arc<Exchange>,
    state: Mutex<Stage>,
}

enum Stage {
    Collecting {
        url: Url,
        headers: HeaderMap,
        body: Vec<u8>,
    },
    Answered {
        headers: Vec<u8>,
        response: reqwest::Response,
    },
    Broken,
}

/// The writing end of a POST request.
pub(in crate::world::git) struct Upload(Arc<Post>);

/// The header lines of a response.
pub(in crate::world::git) enum Headers {
    Ready(io::Cursor<Vec<u8>>),
    Pending(Arc<Post>),
}

/// The body of a response.
pub(in crate::world::git) struct Body {
    source: Source,
    chunk: io::Cursor<Vec<u8>>,
}

enum Source {
    Get(Arc<Exchange>, Box<reqwest::Response>),
    Post(Arc<Post>),
}

// === impl Post ===

impl Post {
    pub(super) fn new(exchange: Arc<Exchange>, url: Url, headers: HeaderMap) -> Arc<Self> {
        let state = Mutex::new(Stage::Collecting {
            url,
            headers,
            body: Vec::new(),
        });
        Arc::new(Self { exchange, state })
    }

    fn lock(&self) -> MutexGuard<'_, Stage> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the request if that has not been done.
    fn answered(&self) -> io::Result<MutexGuard<'_, Stage>> {
        let mut stage = self.lock();
        if let Stage::Collecting { .. } = *stage
            && let Stage::Collecting { url, headers, body } = std::mem::replace(&mut *stage, Stage::Broken)
        {
            let response = self.exchange.send(Method::POST, url, headers, body)?;
            *stage = Stage::Answered {
                headers: header_lines(&response),
                response,
            };
        }
        match *stage {
            Stage::Broken => Err(io::Error::other("the request failed")),
            _ => Ok(stage),
        }
    }

    fn header_lines(&self) -> io::Result<Vec<u8>> {
        match &mut *self.answered()? {
            Stage::Answered { headers, .. } => Ok(std::mem::take(headers)),
            Stage::Collecting { .. } | Stage::Broken => Ok(Vec::new()),
        }
    }

    fn next_chunk(&self) -> io::Result<Vec<u8>> {
        match &mut *self.answered()? {
            Stage::Answered { response, .. } => Ok(self
                .exchange
                .wait(response.chunk())?
                .map(Vec::from)
                .unwrap_or_default()),
            Stage::Collecting { .. } | Stage::Broken => Ok(Vec::new()),
        }
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *self.0.lock() {
            Stage::Collecting { body, .. } => {
                body.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            Stage::Answered { .. } | Stage::Broken => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload {
    pub(super) fn new(post: &Arc<Post>) -> Self {
        Self(Arc::clone(post))
    }
}

impl Headers {
    pub(super) fn of_response(response: &reqwest::Response) -> Self {
        Self::Ready(io::Cursor::new(header_lines(response)))
    }

    pub(super) fn of_post(post: &Arc<Post>) -> Self {
        Self::Pending(Arc::clone(post))
    }

    fn ready(&mut self) -> io::Result<&mut io::Cursor<Vec<u8>>> {
        if let Self::Pending(post) = self {
            *self = Self::Ready(io::Cursor::new(post.header_lines()?));
        }
        match self {
            Self::Ready(lines) => Ok(lines),
            Self::Pending(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

impl Read for Headers {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.ready()?.read(buffer)
    }
}

impl BufRead for Headers {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.ready()?.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Self::Ready(lines) = self {
            lines.consume(amount);
        }
    }
}

impl Body {
    pub(super) fn of_response(exchange: &Arc<Exchange>, response: reqwest::Response) -> Self {
        Self {
            source: Source::Get(Arc::clone(exchange), Box::new(response)),
            chunk: io::Cursor::default(),
        }
    }

    pub(super) fn of_post(post: Arc<Post>) -> Self {
        Self {
            source: Source::Post(post),
            chunk: io::Cursor::default(),
        }
    }

    fn exhausted(&self) -> bool {
        self.chunk.position() >= self.chunk.get_ref().len() as u64
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.exhausted() {
            let chunk = match &mut self.source {
                Source::Get(exchange, response) => exchange
                    .wait(response.chunk())?
                    .map(Vec::from)
                    .unwrap_or_default(),
                Source::Post(post) => post.next_chunk()?,
            };
            self.chunk = io::Cursor::new(chunk);
        }
        self.chunk.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.chunk.consume(amount);
    }
}

fn header_lines(response: &reqwest::Response) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in response.headers() {
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.push(b':');
        lines.extend_from_slice(value.as_bytes());
        lines.push(b'\n');
    }
    lines
}
