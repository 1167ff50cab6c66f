//! Who is at the other end of a connection, as far as the connection itself tells.

use std::net::IpAddr;
use std::sync::Arc;

/// The other end of the connection that a request came by; an extension of every request.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// Its address; none where there is no socket.
    pub address: Option<IpAddr>,
    /// What its certificate says, if it showed one that we trust.
    pub certificate: Option<Arc<PeerCertificate>>,
    /// Whether nobody on the way can read along.
    pub secure: bool,
}

/// What a client's certificate says of it. It has been verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerCertificate {
    /// Its names (subject alternative names), each with its kind: `dns:…`, `uri:…`, `email:…`.
    pub names: Vec<String>,
}

impl Peer {
    /// Whether the connection doesn't leave this machine; so does a request that came by no connection.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.address.is_none_or(|address| address.to_canonical().is_loopback())
    }
}
