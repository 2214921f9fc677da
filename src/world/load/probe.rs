//! Probe: a socket that notes how many bytes passed and when.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What passed through a [`Probe`].
#[derive(Debug, Default)]
pub struct Readings {
    /// Bytes written.
    pub sent: Cell<u64>,
    /// Bytes read.
    pub received: Cell<u64>,
    /// When bytes were last written.
    pub last_write: Cell<Option<Instant>>,
    /// When bytes were first read after [`Readings::begin`].
    pub first_read: Cell<Option<Instant>>,
}

/// A stream that notes what passes.
pub struct Probe<S> {
    inner: S,
    readings: Rc<Readings>,
}

impl Readings {
    /// Forgets the times of the last request; the bytes go on.
    pub fn begin(&self) {
        self.last_write.set(None);
        self.first_read.set(None);
    }

    fn wrote(&self, bytes: usize) {
        if bytes > 0 {
            self.sent.set(self.sent.get() + bytes as u64);
            self.last_write.set(Some(Instant::now()));
        }
    }

    fn read(&self, bytes: usize) {
        if bytes > 0 {
            self.received.set(self.received.get() + bytes as u64);
            if self.first_read.get().is_none() {
                self.first_read.set(Some(Instant::now()));
            }
        }
    }
}

impl<S> Probe<S> {
    /// A stream that notes into `readings` what passes through `inner`.
    pub fn new(inner: S, readings: Rc<Readings>) -> Self {
        Self { inner, readings }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Probe<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(cx, buf);
        if result.is_ready() {
            self.readings.read(buf.filled().len() - before);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Probe<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, data);
        if let Poll::Ready(Ok(bytes)) = &result {
            self.readings.wrote(*bytes);
        }
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, data);
        if let Poll::Ready(Ok(bytes)) = &result {
            self.readings.wrote(*bytes);
        }
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
