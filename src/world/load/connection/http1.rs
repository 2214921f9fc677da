//! HTTP/1.1: one request after another on one connection, by who sends them (RFC 9112).
//!
//! A client for everything has a task for each connection, and channels between it and those who ask. A virtual user sends a
//! request and waits for its answer, so two buffers do; that is most of what a request costs beside the kernel.

use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode};
use tokio::io::ReadBuf;

use super::Stream;
use super::answer::{Head, Headers, Kept, Unanswered, kind_of};
use crate::verify::exchange::ErrorKind;

/// What is read at once, to begin with.
const BUFFER: usize = 1 << 10;
/// What is read at once of a large body.
const LARGE_BUFFER: usize = 64 << 10;
/// The head of an answer, its trailers, and the line of a chunk may have this many bytes together.
const HEAD: usize = 256 << 10;
/// And this many headers.
const HEADERS: usize = 128;
/// A body up to this size goes out together with its head.
const SMALL: usize = 16 << 10;

/// A connection.
pub struct Http1 {
    stream: Box<dyn Stream>,
    /// The head of the request, and its body when that is small.
    output: Vec<u8>,
    input: Input,
    body: Body,
    /// Whether the other side keeps the connection open after this answer.
    persists: bool,
}

/// Bytes that were read and wait to be taken.
struct Input {
    buffer: Vec<u8>,
    waiting: Range<usize>,
    /// Whether the last read filled the buffer: there is more where that came from.
    is_short: bool,
}

/// What is still to come of an answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    /// So many bytes.
    Length(u64),
    /// Chunks: the next thing is the line with the size of one.
    ChunkLine,
    /// So many bytes of a chunk, then its line end.
    Chunk(u64),
    /// The line end of a chunk.
    ChunkEnd,
    /// The headers that follow the last chunk.
    Trailers,
    /// Everything until the other side ends the connection.
    ToEnd,
}

/// What the next bytes of a body are.
enum Piece {
    /// Data: the first so many of those that wait.
    Data(usize),
    /// Something around it, of which so many bytes wait.
    Framing(usize),
    /// Not yet known.
    Unknown,
    /// The body is complete.
    End,
}

// === impl Http1 ===

impl Http1 {
    /// A connection over a stream that is open.
    #[must_use]
    pub fn new(stream: Box<dyn Stream>) -> Self {
        Self {
            stream,
            output: Vec::new(),
            input: Input::default(),
            body: Body::Length(0),
            persists: true,
        }
    }

    /// Whether it can take a request: the last answer is complete, and the other side has not ended the connection.
    pub async fn is_ready(&mut self) -> bool {
        if !self.persists || self.body != Body::Length(0) || !self.input.waiting.is_empty() {
            return false;
        }
        // An end would be there to read, and so would an answer that nobody asked for.
        poll_fn(|cx| Poll::Ready(self.input.poll_fill(&mut self.stream, cx).is_pending())).await
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub async fn send(&mut self, request: &Request<Bytes>, wanted: Headers) -> Result<Head, Unanswered> {
        self.output.clear();
        write_head(&mut self.output, request);
        let mut rest: &[u8] = request.body();
        if rest.len() <= SMALL {
            self.output.extend_from_slice(rest);
            rest = &[];
        }
        let all = self.output.len() + rest.len();
        let mut written = 0;
        poll_fn(|cx| {
            let writing = self.poll_write_all(cx, rest, &mut written);
            // An answer can come before all is written, also from who then ends the connection.
            match self.poll_head(cx, request.method(), wanted) {
                Poll::Ready(Ok(head)) => {
                    self.persists &= written == all;
                    return Poll::Ready(Ok(head));
                }
                Poll::Ready(Err(_)) if written == 0 => return Poll::Ready(Err(Unanswered::Unsent)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Unanswered::Failed(error))),
                Poll::Pending => {}
            }
            match writing {
                Poll::Ready(Err(_)) if written == 0 => Poll::Ready(Err(Unanswered::Unsent)),
                Poll::Ready(Err(error)) => Poll::Ready(Err(Unanswered::Failed(kind_of(&error)))),
                Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Reads the body of the answer to its end: its length, and its bytes when `keep` gives room for them.
    ///
    /// # Errors
    ///
    /// When the body breaks off, makes no sense, or is larger than what is kept.
    pub async fn read_body(&mut self, keep: Option<usize>) -> Result<(u64, Vec<u8>), ErrorKind> {
        let (mut kept, mut framing) = (Kept::with_room(keep), 0);
        loop {
            match self.body.next(self.input.bytes())? {
                Piece::Data(length) => {
                    kept.add(&self.input.bytes()[..length])?;
                    self.input.take(length);
                }
                Piece::Framing(length) => {
                    framing = if self.body == Body::Trailers {
                        framing + length
                    } else {
                        0
                    };
                    self.input.take(length);
                }
                Piece::End => return Ok(kept.into_parts()),
                Piece::Unknown => {
                    if framing + self.input.bytes().len() > HEAD {
                        return Err(ErrorKind::Protocol);
                    }
                    let read = poll_fn(|cx| self.input.poll_fill(&mut self.stream, cx)).await;
                    if read.map_err(|error| kind_of(&error))? == 0 {
                        self.persists = false;
                        if self.body != Body::ToEnd {
                            return Err(ErrorKind::Closed);
                        }
                        self.body = Body::Length(0);
                    }
                }
            }
        }
    }

    /// Writes what is left of the output and of `rest`, of which `written` bytes together are out.
    fn poll_write_all(
        &mut self,
        cx: &mut Context<'_>,
        rest: &[u8],
        written: &mut usize,
    ) -> Poll<io::Result<()>> {
        let head = self.output.len();
        while *written < head + rest.len() {
            let data = match *written {
                sent if sent < head => &self.output[sent..],
                sent => &rest[sent - head..],
            };
            match ready!(Pin::new(&mut *self.stream).poll_write(cx, data))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                bytes => *written += bytes,
            }
        }
        Pin::new(&mut *self.stream).poll_flush(cx)
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
        wanted: Headers,
    ) -> Poll<Result<Head, ErrorKind>> {
        loop {
            if !self.input.waiting.is_empty()
                && let Some((length, head, framing)) = parse(self.input.bytes(), method, wanted)?
            {
                self.input.take(length);
                // 100 and 103 announce the answer; 101 would be the last that is HTTP.
                if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
                    continue;
                }
                (self.body, self.persists) = (framing.body, framing.persists);
                return Poll::Ready(Ok(head));
            }
            if self.input.bytes().len() > HEAD {
                return Poll::Ready(Err(ErrorKind::Protocol));
            }
            match ready!(self.input.poll_fill(&mut self.stream, cx)) {
                Ok(0) => return Poll::Ready(Err(ErrorKind::Closed)),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(kind_of(&error))),
            }
        }
    }
}

/// Writes the head of a request.
fn write_head(output: &mut Vec<u8>, request: &Request<Bytes>) {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    for part in [request.method().as_str(), " ", path, " HTTP/1.1\r\n"] {
        output.extend_from_slice(part.as_bytes());
    }
    for (name, value) in request.headers() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            output.extend_from_slice(part);
        }
    }
    let length = request.body().len();
    // Who expects a body is told that there is none (RFC 9110, 8.6).
    let expects = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    if (length > 0 || expects) && !request.headers().contains_key(CONTENT_LENGTH) {
        output.extend_from_slice(format!("content-length: {length}\r\n").as_bytes());
    }
    output.extend_from_slice(b"\r\n");
}

/// How an answer ends, and whether another may follow.
struct Framing {
    body: Body,
    persists: bool,
}

/// Reads the head of an answer: its length, what it says, and how its body ends; `None` when it is not complete.
fn parse(
    bytes: &[u8],
    method: &Method,
    wanted: Headers,
) -> Result<Option<(usize, Head, Framing)>, ErrorKind> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    let length = match answer.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(ErrorKind::Protocol),
    };
    let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(ErrorKind::Protocol)?;
    let framing = framing(answer.headers, method, status, answer.version == Some(1))?;
    let headers = match wanted {
        Headers::OfRedirects if !status.is_redirection() => HeaderMap::new(),
        _ => map(answer.headers)?,
    };
    Ok(Some((length, Head { status, headers }, framing)))
}

fn map(headers: &[httparse::Header<'_>]) -> Result<HeaderMap, ErrorKind> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for header in headers {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| ErrorKind::Protocol)?;
        let value = HeaderValue::from_bytes(header.value).map_err(|_| ErrorKind::Protocol)?;
        map.append(name, value);
    }
    Ok(map)
}

/// Where the body of an answer ends (RFC 9112, 6.3), and whether the connection goes on (9.3).
fn framing(
    headers: &[httparse::Header<'_>],
    method: &Method,
    status: StatusCode,
    is_http_1_1: bool,
) -> Result<Framing, ErrorKind> {
    let (mut length, mut encoded, mut chunked, mut persists) = (None, false, false, is_http_1_1);
    for header in headers {
        if header.name.eq_ignore_ascii_case("content-length") {
            let value = str::from_utf8(header.value).ok().map(str::trim);
            let value = value.filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()));
            let value: u64 = value
                .and_then(|value| value.parse().ok())
                .ok_or(ErrorKind::Protocol)?;
            if length.replace(value).is_some_and(|earlier| earlier != value) {
                return Err(ErrorKind::Protocol);
            }
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            encoded = true;
            chunked = tokens(header.value).last() == Some("chunked");
        } else if header.name.eq_ignore_ascii_case("connection") {
            persists |= tokens(header.value).any(|token| token.eq_ignore_ascii_case("keep-alive"));
            persists &= !tokens(header.value).any(|token| token.eq_ignore_ascii_case("close"));
        }
    }
    let empty = status.is_informational() || matches!(status.as_u16(), 204 | 304) || method == Method::HEAD;
    let body = match length {
        _ if empty => Body::Length(0),
        _ if chunked => Body::ChunkLine,
        Some(length) if !encoded => Body::Length(length),
        _ => Body::ToEnd,
    };
    // An answer with two lengths may be somebody's trick; what follows it is not believed.
    persists &=
        body != Body::ToEnd && !(encoded && length.is_some()) && status != StatusCode::SWITCHING_PROTOCOLS;
    Ok(Framing { body, persists })
}

/// The members of a list in a header.
fn tokens(value: &[u8]) -> impl Iterator<Item = &str> {
    str::from_utf8(value)
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
}

// === impl Body ===

impl Body {
    /// What the first of the bytes that wait are; moves on behind them.
    fn next(&mut self, waiting: &[u8]) -> Result<Piece, ErrorKind> {
        let piece = match *self {
            Self::Length(0) => return Ok(Piece::End),
            _ if waiting.is_empty() => Piece::Unknown,
            Self::ToEnd => Piece::Data(waiting.len()),
            Self::Length(left) => {
                let length = shorter(left, waiting.len());
                *self = Self::Length(left - length as u64);
                Piece::Data(length)
            }
            Self::Chunk(left) => {
                let length = shorter(left, waiting.len());
                *self = match left - length as u64 {
                    0 => Self::ChunkEnd,
                    left => Self::Chunk(left),
                };
                Piece::Data(length)
            }
            Self::ChunkEnd => match waiting {
                [b'\r', b'\n', ..] => {
                    *self = Self::ChunkLine;
                    Piece::Framing(2)
                }
                [_] => Piece::Unknown,
                _ => return Err(ErrorKind::Protocol),
            },
            Self::ChunkLine => match line(waiting) {
                Some((length, line)) => {
                    *self = match chunk_size(line)? {
                        0 => Self::Trailers,
                        size => Self::Chunk(size),
                    };
                    Piece::Framing(length)
                }
                None => Piece::Unknown,
            },
            Self::Trailers => match line(waiting) {
                Some((length, line)) => {
                    if line.is_empty() {
                        *self = Self::Length(0);
                    }
                    Piece::Framing(length)
                }
                None => Piece::Unknown,
            },
        };
        Ok(piece)
    }
}

fn shorter(left: u64, waiting: usize) -> usize {
    usize::try_from(left).map_or(waiting, |left| left.min(waiting))
}

/// The first line, without its end, and its length with it.
fn line(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    Some((end + 2, &bytes[..end]))
}

/// The size of a chunk, from its line; what a chunk says beside it has no meaning here.
fn chunk_size(line: &[u8]) -> Result<u64, ErrorKind> {
    let digits = line.split(|&byte| byte == b';').next().unwrap_or_default();
    let digits = str::from_utf8(digits).unwrap_or_default().trim();
    let sound = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let size = sound.then(|| u64::from_str_radix(digits, 16).ok()).flatten();
    size.ok_or(ErrorKind::Protocol)
}

// === impl Input ===

impl Default for Input {
    fn default() -> Self {
        Self {
            buffer: vec![0; BUFFER],
            waiting: 0..0,
            is_short: false,
        }
    }
}

impl Input {
    fn bytes(&self) -> &[u8] {
        &self.buffer[self.waiting.clone()]
    }

    fn take(&mut self, length: usize) {
        self.waiting.start += length;
        if self.waiting.is_empty() {
            self.waiting = 0..0;
        }
    }

    /// Reads once: how many bytes came; 0 at the end.
    fn poll_fill(&mut self, stream: &mut dyn Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.waiting.end == self.buffer.len() {
            self.make_room();
        } else if self.is_short && self.buffer.len() < LARGE_BUFFER {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let mut room = ReadBuf::new(&mut self.buffer[self.waiting.end..]);
        ready!(Pin::new(stream).poll_read(cx, &mut room))?;
        let read = room.filled().len();
        self.is_short = room.remaining() == 0;
        self.waiting.end += read;
        Poll::Ready(Ok(read))
    }

    /// Moves what waits to the beginning; when there is no room before it either, the buffer grows.
    fn make_room(&mut self) {
        if self.waiting.start == 0 {
            self.buffer.resize(self.buffer.len() * 2, 0);
            return;
        }
        let length = self.waiting.len();
        self.buffer.copy_within(self.waiting.clone(), 0);
        self.waiting = 0..length;
    }
}

#[cfg(test)]
mod tests;
