//! In a build without TLS nothing is offered, and a configuration that wants it is refused.

use super::duplex::Duplex;
use super::options::TlsOptions;
use crate::access::PeerCertificate;
use crate::renewed::Look;
use amends_protocol::Timestamp;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;

/// There is none.
#[derive(Clone, Debug)]
pub(crate) enum Offered {}

impl Offered {
    pub(crate) fn new(_: TlsOptions) -> Result<Self, String> {
        Err("this build speaks no `https`; build it with the feature `tls`".to_owned())
    }

    pub(crate) fn look(&self) -> Look {
        match *self {}
    }

    pub(crate) fn ends(&self) -> Timestamp {
        match *self {}
    }

    #[allow(clippy::unused_async)] // as the other one
    pub(crate) async fn shake(
        &self,
        _: TcpStream,
    ) -> io::Result<(Box<dyn Duplex>, Option<Arc<PeerCertificate>>)> {
        match *self {}
    }
}
