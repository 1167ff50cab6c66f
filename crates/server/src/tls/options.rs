//! What a configuration says of TLS at our own address. Opens no file.

use std::path::PathBuf;

/// How our own address is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// PEM: our certificate, and after it those that lead to its authority.
    pub certificate: PathBuf,
    /// PEM: its key; it may be the same file.
    pub key: PathBuf,
    /// Whether clients are asked who they are.
    pub clients: AskClients,
}

/// Whether clients are asked for a certificate (mutual TLS).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskClients {
    /// No.
    Never,
    /// Yes; without one they may still show a token. The file holds the authorities that are believed.
    MayShow(PathBuf),
    /// Yes; without one there is no connection.
    MustShow(PathBuf),
}

impl AskClients {
    /// The file of authorities.
    #[must_use]
    pub const fn authorities(&self) -> Option<&PathBuf> {
        match self {
            Self::Never => None,
            Self::MayShow(file) | Self::MustShow(file) => Some(file),
        }
    }
}
