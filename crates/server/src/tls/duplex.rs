//! What is read and written, whoever encrypts it.

use tokio::io::{AsyncRead, AsyncWrite};

/// Both ways of a connection.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}
