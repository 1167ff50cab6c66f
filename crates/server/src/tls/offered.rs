//! What our own address offers to whoever connects, in a build with TLS and in one without.

#[cfg(feature = "tls")]
pub(crate) use super::with_rustls::Offered;
#[cfg(not(feature = "tls"))]
pub(crate) use super::without::Offered;
