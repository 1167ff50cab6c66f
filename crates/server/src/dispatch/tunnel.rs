//! Asks a proxy for a tunnel (RFC 9110 section 9.3.6), and says in words why there is none.

use super::allowed::Target;
use http::{HeaderValue, Uri};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Longest head of a proxy's answer, in bytes.
const HEAD_LIMIT: usize = 8 << 10;

/// There is no way through the proxy. Nothing was sent to the service.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    /// It can't be reached.
    #[error("the proxy `{at}`: {why}")]
    Away {
        /// The proxy.
        at: String,
        /// What happened.
        why: String,
    },
    /// It wants to know who asks.
    #[error(
        "the proxy `{0}` asks for credentials (407); put `user:password` into a secret, and name that in `dispatch.proxy_secret`"
    )]
    Credentials(String),
    /// It says no.
    #[error("the proxy `{at}` answers {status} to `CONNECT {target}`; does it allow that host?")]
    Refused {
        /// The proxy.
        at: String,
        /// Its answer.
        status: u16,
        /// Whom the tunnel was for.
        target: String,
    },
}

impl ProxyError {
    pub(super) fn away(at: &Uri, why: String) -> Self {
        Self::Away { at: name(at), why }
    }
}

/// Opens a tunnel on a connection to a proxy.
pub(super) async fn open(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    proxy: &Uri,
    target: &Target,
    credentials: Option<&HeaderValue>,
) -> Result<(), ProxyError> {
    let away = |e: io::Error| ProxyError::away(proxy, e.to_string());
    let mut head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
    if let Some(credentials) = credentials {
        head.extend_from_slice(b"Proxy-Authorization: ");
        head.extend_from_slice(credentials.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    stream.write_all(&head).await.map_err(away)?;
    stream.flush().await.map_err(away)?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= HEAD_LIMIT {
            return Err(ProxyError::away(proxy, "its answer is too long".to_owned()));
        }
        // One by one: what follows the head is the service's.
        match stream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(ProxyError::away(proxy, "it closed the connection".to_owned()));
            }
            Err(e) => return Err(away(e)),
        }
    }
    match status(&answer) {
        Some(200..=299) => Ok(()),
        Some(407) => Err(ProxyError::Credentials(name(proxy))),
        Some(status) => {
            Err(ProxyError::Refused { at: name(proxy), status, target: target.to_string() })
        }
        None => Err(ProxyError::away(proxy, "it speaks no HTTP/1.1".to_owned())),
    }
}

/// `200` of `HTTP/1.1 200 Connection established`.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|b| *b == b'\r').next()?;
    let (version, rest) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    if !version.starts_with("HTTP/1.") {
        return None;
    }
    rest.split(' ').next()?.parse().ok()
}

fn name(proxy: &Uri) -> String {
    proxy.authority().map(ToString::to_string).unwrap_or_default()
}
