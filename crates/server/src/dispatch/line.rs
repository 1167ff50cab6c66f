//! One connection, with what tells whether a request that it carried may be sent again: how many it has carried, and
//! whether a byte of an answer has come to the last one.

use hyper_util::client::legacy::connect::{Connected, Connection};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What carries bytes, with TLS or without.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl Stream for Box<dyn Stream> {}

/// A connection.
pub(super) struct Line {
    stream: Box<dyn Stream>,
    proxied: bool,
    use_of: Use,
}

/// What a connection has been used for. Clones are of the same connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Use(Arc<Used>);

#[derive(Debug, Default)]
struct Used {
    requests: AtomicU32,
    answered: AtomicBool,
}

impl Use {
    /// Its last request was not its first, and not one byte of an answer has come.
    pub(super) fn was_kept_and_is_silent(&self) -> bool {
        self.0.requests.load(Ordering::Acquire) > 1 && !self.0.answered.load(Ordering::Acquire)
    }

    /// HTTP/1.1 without pipelining: what is written after something was read begins the next request.
    fn wrote(&self) {
        if self.0.answered.swap(false, Ordering::AcqRel)
            || self.0.requests.load(Ordering::Acquire) == 0
        {
            self.0.requests.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn read(&self) {
        self.0.answered.store(true, Ordering::Release);
    }
}

impl Line {
    /// To the service, perhaps by a tunnel.
    pub(super) fn direct(stream: Box<dyn Stream>) -> Self {
        Self { stream, proxied: false, use_of: Use::default() }
    }

    /// To a proxy that is told with each request whom it is for.
    pub(super) fn through_proxy(stream: Box<dyn Stream>) -> Self {
        Self { proxied: true, ..Self::direct(stream) }
    }
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.proxied).extra(self.use_of.clone())
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.use_of.read();
        }
        polled
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.use_of.wrote();
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.use_of.wrote();
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_later_request_without_a_byte_of_an_answer_may_be_sent_again() {
        let used = Use::default();
        assert!(!used.was_kept_and_is_silent(), "nothing was sent");
        used.wrote();
        used.wrote();
        assert!(!used.was_kept_and_is_silent(), "the first request, in two pieces");
        used.read();
        used.read();
        used.wrote();
        assert!(used.was_kept_and_is_silent());
        used.read();
        assert!(!used.was_kept_and_is_silent(), "an answer began");
    }
}
