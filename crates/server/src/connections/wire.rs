//! The bytes of one connection, encrypted or not. The first of them can be looked at before they are read: what a
//! newcomer asks for decides whether it needs a seat.

use crate::tls::Duplex;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection.
pub(super) struct Wire {
    stream: Stream,
    /// What was looked at; the part from `read` on is still to be read.
    looked: Vec<u8>,
    read: usize,
}

enum Stream {
    Plain(TcpStream),
    Secure(Box<dyn Duplex>),
}

impl Wire {
    pub(super) const fn plain(stream: TcpStream) -> Self {
        Self { stream: Stream::Plain(stream), looked: Vec::new(), read: 0 }
    }

    pub(super) const fn secure(stream: Box<dyn Duplex>) -> Self {
        Self { stream: Stream::Secure(stream), looked: Vec::new(), read: 0 }
    }

    /// Waits for more bytes and gives all that have come, at most so many; they are read later all the same. None at
    /// the end.
    pub(super) async fn look(&mut self, most: usize) -> Option<&[u8]> {
        let mut more = vec![0; most.saturating_sub(self.looked.len())];
        let length = match &mut self.stream {
            Stream::Plain(stream) => stream.read(&mut more).await,
            Stream::Secure(stream) => stream.read(&mut more).await,
        };
        let length = length.ok().filter(|length| *length > 0)?;
        self.looked.extend_from_slice(&more[..length]);
        Some(&self.looked)
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut dyn Duplex> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream),
            Stream::Secure(stream) => Pin::new(stream.as_mut()),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = &self.looked[self.read..];
        if left.is_empty() {
            return self.stream().poll_read(cx, buf);
        }
        let length = left.len().min(buf.remaining());
        buf.put_slice(&left[..length]);
        self.read += length;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Secure(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt as _;

    #[tokio::test]
    async fn what_was_looked_at_is_read_all_the_same() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut wire = Wire::secure(Box::new(ours));
        theirs.write_all(b"GET /").await.expect("written");
        assert_eq!(wire.look(16).await, Some(&b"GET /"[..]));
        theirs.write_all(b"livez HTTP/1.1").await.expect("written");
        assert_eq!(wire.look(16).await, Some(&b"GET /livez HTTP/"[..]));
        drop(theirs);
        let mut all = String::new();
        wire.read_to_string(&mut all).await.expect("readable");
        assert_eq!(all, "GET /livez HTTP/1.1");
        let (ours, theirs) = tokio::io::duplex(1);
        drop(theirs);
        assert_eq!(Wire::secure(Box::new(ours)).look(16).await, None, "closed");
    }
}
