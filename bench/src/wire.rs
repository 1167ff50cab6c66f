//! Just enough HTTP/1.1 to load a server cheaply: one message at a time on a kept connection, bodies by
//! `Content-Length` only. Not a client or server for anything else.

use anyhow::{Context, bail};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest message that is read; the benchmark's own are below 4 KiB.
const LIMIT: usize = 1 << 20;

/// A kept connection with what was read ahead.
pub struct Connection<S = TcpStream> {
    stream: S,
    buffer: Vec<u8>,
}

/// One message: first line, all of its head, and body.
pub struct Message {
    pub first_line: String,
    pub head: String,
    pub body: Vec<u8>,
}

impl Connection {
    pub fn new(stream: TcpStream) -> anyhow::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self::over(stream))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Over what encrypts, or not.
    pub fn over(stream: S) -> Self {
        Self { stream, buffer: Vec::with_capacity(8_192) }
    }

    pub async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// The next message; none when the other side has closed in between.
    pub async fn read(&mut self) -> anyhow::Result<Option<Message>> {
        let head_end = loop {
            if let Some(end) = find_head_end(&self.buffer) {
                break end;
            }
            if !self.fill().await? {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    bail!("closed within a message")
                };
            }
        };
        let head = std::str::from_utf8(&self.buffer[..head_end]).context("head is not text")?;
        let first_line = head.lines().next().unwrap_or_default().to_owned();
        let (length, head) = (content_length(head)?, head.to_owned());
        let end = head_end + 4 + length;
        while self.buffer.len() < end {
            if !self.fill().await? {
                bail!("closed within a body");
            }
        }
        let body = self.buffer[head_end + 4..end].to_vec();
        self.buffer.drain(..end);
        Ok(Some(Message { first_line, head, body }))
    }

    async fn fill(&mut self) -> anyhow::Result<bool> {
        if self.buffer.len() > LIMIT {
            bail!("a message is longer than {LIMIT} bytes");
        }
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }
}

fn find_head_end(buffer: &[u8]) -> Option<usize> {
    buffer.windows(4).position(|w| w == b"\r\n\r\n")
}

fn content_length(head: &str) -> anyhow::Result<usize> {
    for line in head.lines().skip(1) {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            return value.trim().parse().context("content-length");
        }
    }
    Ok(0)
}
