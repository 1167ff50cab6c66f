//! Our addresses: one for all, or one for people and one for services; encrypted if so configured.

use crate::access::side::Side;
use crate::access::{AccessOptions, Exposure, Networks};
use crate::config::Config;
use crate::connections::{self, DoorOptions};
use crate::http::HttpLimits;
use crate::telemetry::Metrics;
use crate::tls::Offered;
use axum::Router;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The addresses cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else has one, or it is none of this machine.
    #[error("cannot listen on `{address}`: {source}; set `{key}` to a free address")]
    Taken {
        /// Where it is configured.
        key: &'static str,
        /// As configured.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// Others than this machine would come there, and it is not safe.
    #[error("{0}")]
    Exposed(String),
    /// The certificate can't be used any more.
    #[error("our certificate cannot be used: {0}")]
    Certificate(String),
}

/// Addresses that are ours from now on; connections wait until they are opened.
pub(crate) struct Listening {
    listener: TcpListener,
    address: SocketAddr,
    of_services: Option<(TcpListener, SocketAddr)>,
    tls: Option<Offered>,
    limits: HttpLimits,
    proxies: Networks,
}

impl Listening {
    /// Takes the addresses of a configuration and reads our certificate.
    ///
    /// # Errors
    /// When one of them can't be had.
    pub(crate) async fn bind(config: &Config) -> Result<Self, ListenError> {
        let (listener, address) = bind("listen", &config.listen).await?;
        let of_services = match &config.listen_services {
            Some(address) => Some(bind("listen_services", address).await?),
            None => None,
        };
        let tls = config.tls.clone().map(Offered::new).transpose();
        Ok(Self {
            listener,
            address,
            of_services,
            tls: tls.map_err(ListenError::Certificate)?,
            limits: config.http,
            proxies: config.access.trusted_proxies.clone(),
        })
    }

    /// What to say loudly of them.
    ///
    /// # Errors
    /// When one of them must not be listened on.
    pub(crate) fn judge(&self, access: &AccessOptions) -> Result<Option<String>, ListenError> {
        let all = self.all();
        let exposure = Exposure {
            encrypted: self.tls.is_some(),
            behind_proxy: access.behind_proxy,
            controlled: all.iter().any(|address| access.required.at(*address)),
            insecure: access.insecure,
        };
        let mut said = Vec::new();
        for address in all {
            said.extend(exposure.judge(address).map_err(ListenError::Exposed)?);
        }
        Ok((!said.is_empty()).then(|| said.join("; ")))
    }

    /// All addresses.
    pub(crate) fn all(&self) -> Vec<SocketAddr> {
        std::iter::once(self.address).chain(self.services_address()).collect()
    }

    /// The one for all, or for people; with the real port.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The one for services, if they have one of their own.
    pub(crate) fn services_address(&self) -> Option<SocketAddr> {
        self.of_services.as_ref().map(|(_, address)| *address)
    }

    pub(crate) const fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    pub(crate) fn tls(&self) -> Option<Offered> {
        self.tls.clone()
    }

    /// Lets everybody in, each at their address, until it is time to stop.
    pub(crate) fn open(
        self,
        router: &Router,
        metrics: &Metrics,
        stops: &watch::Receiver<bool>,
    ) -> Vec<JoinHandle<()>> {
        let Self { limits, tls, proxies, .. } = self;
        let open = |listener, side| {
            let (tls, proxies, metrics) = (tls.clone(), proxies.clone(), metrics.clone());
            let options = DoorOptions { limits, tls, proxies, side, metrics };
            tokio::spawn(connections::serve(listener, router.clone(), options, stops.clone()))
        };
        match self.of_services {
            None => vec![open(self.listener, Side::Both)],
            Some((of_services, _)) => {
                vec![open(self.listener, Side::People), open(of_services, Side::Services)]
            }
        }
    }
}

async fn bind(key: &'static str, address: &str) -> Result<(TcpListener, SocketAddr), ListenError> {
    let wrong = |source| ListenError::Taken { key, address: address.to_owned(), source };
    let listener = TcpListener::bind(address).await.map_err(wrong)?;
    let address = listener.local_addr().map_err(wrong)?;
    Ok((listener, address))
}

/// What an address of ours begins with.
pub(crate) const fn scheme(secure: bool) -> &'static str {
    if secure { "https" } else { "http" }
}
