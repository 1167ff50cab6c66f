//! Our own address behind `https://`: which certificate it shows, whose certificates it believes of others, and how
//! both are renewed while we run.

#[cfg(feature = "tls")]
pub(crate) mod certificate;
mod duplex;
mod offered;
mod options;
#[cfg(feature = "tls")]
pub(crate) mod pem;
#[cfg(all(test, feature = "tls"))]
pub(crate) mod test_authority;
mod watch;
#[cfg(feature = "tls")]
mod with_rustls;
#[cfg(not(feature = "tls"))]
mod without;

pub(crate) use duplex::Duplex;
pub(crate) use offered::Offered;
pub use options::{AskClients, TlsOptions};
pub use watch::standing;
pub(crate) use watch::watch;
