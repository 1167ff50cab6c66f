//! Who is at the other end of a connection, as far as the connection itself tells.

use std::net::IpAddr;
use std::sync::Arc;

/// The other end of the connection that a request came by; an extension of every request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// Somebody at this address, over a connection that others on the way can read.
    #[must_use]
    pub fn at(address: IpAddr) -> Self {
        // An address of IPv4 is one, however the socket writes it.
        Self { address: Some(address.to_canonical()), ..Self::default() }
    }

    /// Whether the connection doesn't leave this machine; so does a request that came by no connection.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.address.is_none_or(|address| address.to_canonical().is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_ipv4_is_one_however_it_is_written() {
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().expect("an address");
        let plain: IpAddr = "192.0.2.7".parse().expect("an address");
        assert_eq!(Peer::at(mapped), Peer::at(plain));
    }
}
