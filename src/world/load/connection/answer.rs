//! Answer: what a connection gives of one, whatever it speaks.

use std::io;

use hyper::StatusCode;
use hyper::header::HeaderMap;

use crate::verify::exchange::ErrorKind;

/// The head of an answer.
#[derive(Debug)]
pub struct Head {
    /// The status.
    pub status: StatusCode,
    /// The headers; none when they are not wanted.
    pub headers: HeaderMap,
}

/// Which headers of an answer are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Headers {
    /// All.
    All,
    /// Those of an answer that says where to go instead (a status of 300 to 399).
    OfRedirects,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// The connection had ended before: nothing of the request was sent.
    Unsent,
    /// The request failed.
    Failed(ErrorKind),
}

/// What was read of a body: its length, and its bytes when there is room for them.
pub struct Kept {
    size: u64,
    bytes: Vec<u8>,
    room: Option<usize>,
}

// === impl Kept ===

impl Kept {
    /// Nothing yet; bytes are kept when there is `room`, up to as many.
    pub fn with_room(room: Option<usize>) -> Self {
        Self {
            size: 0,
            bytes: Vec::new(),
            room,
        }
    }

    /// Adds the next bytes.
    ///
    /// # Errors
    ///
    /// When there is no room for them.
    pub fn add(&mut self, data: &[u8]) -> Result<(), ErrorKind> {
        self.size += data.len() as u64;
        if let Some(room) = self.room {
            if self.bytes.len() + data.len() > room {
                return Err(ErrorKind::TooLarge);
            }
            self.bytes.extend_from_slice(data);
        }
        Ok(())
    }

    /// The length, and the bytes that were kept.
    pub fn into_parts(self) -> (u64, Vec<u8>) {
        (self.size, self.bytes)
    }
}

/// The kind of a failure in the middle of an exchange.
pub fn kind_of(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => ErrorKind::Reset,
        _ => ErrorKind::Closed,
    }
}
