//! The connections of all that goes out, steps, readings, alerts and spans alike: who may be asked, by which way, with
//! whose certificates. Tells what is said when there is none.

use super::allowed::{AllowedHosts, Refusal, Target};
use super::line::{Line, Stream};
use super::names::{NameError, Names};
use super::options::HttpOptions;
use super::proxy::{Proxies, Proxy};
use super::secrets::Secrets;
#[cfg(feature = "tls")]
use super::trust::Trust;
use super::tunnel::{self, ProxyError};
use amends_protocol::causes;
use http::header::PROXY_AUTHORIZATION;
use http::uri::{Authority, Scheme};
use http::{Request, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::future::{Future, Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tower_service::Service;

type BoxError = Box<dyn Error + Send + Sync>;

/// Opens connections. Clones share names that are looked up and certificates.
#[derive(Clone)]
pub(super) struct Connector {
    way: Arc<Way>,
}

struct Way {
    names: Names,
    timeout: Duration,
    allowed: AllowedHosts,
    proxies: Proxies,
    secrets: Arc<Secrets>,
    #[cfg(feature = "tls")]
    trust: Trust,
}

/// What really went wrong, e.g. `connection refused`; what is above it says only `client error`.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    let cause = causes::innermost(error);
    match cause.downcast_ref::<io::Error>() {
        // `Connection refused (os error 111)`: the number helps nobody here, and the sentence goes on.
        Some(e) if e.raw_os_error().is_some() => {
            let text = e.to_string();
            let words = text.split(" (os error").next().unwrap_or_default();
            let (first, rest) = words.split_at_checked(1).unwrap_or_default();
            first.to_ascii_lowercase() + rest
        }
        // Ours, from `connect_timeout_ms`; its own words are about a deadline.
        Some(e) if e.kind() == io::ErrorKind::TimedOut => "no connection in time".to_owned(),
        _ => {
            let text = cause.to_string();
            let help = if text.contains("UnknownIssuer") {
                " (nobody here knows who signed its certificate; name the authority's file in `[ca]` of the configuration)"
            } else if text.contains("CertificateRequired") {
                " (it asks who we are; name our certificate in `[client_certificates]` of the configuration)"
            } else {
                ""
            };
            text + help
        }
    }
}

/// Whether the request was kept back, because it may not go there.
pub(super) fn refusal<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e Refusal> {
    causes::innermost(error).downcast_ref()
}

impl Connector {
    /// For the services of rulebooks.
    pub(super) fn new(options: &HttpOptions) -> Self {
        Self::by(options, options.destinations.allow_hosts.clone(), None)
    }

    /// For addresses of the configuration itself, which may go where it says.
    pub(super) fn of_configuration(options: &HttpOptions, own: &[Uri]) -> Self {
        Self::by(options, options.destinations.allow_hosts.with(own), None)
    }

    /// With names that a test makes up.
    #[cfg(test)]
    pub(super) fn with_names(options: &HttpOptions, names: Names) -> Self {
        Self::by(options, options.destinations.allow_hosts.clone(), Some(names))
    }

    fn by(options: &HttpOptions, allowed: AllowedHosts, names: Option<Names>) -> Self {
        let timeout = Duration::from_millis(options.connect_timeout_ms);
        let way = Way {
            names: names.unwrap_or_else(|| Names::new(timeout)),
            timeout,
            allowed,
            proxies: options.proxies.clone(),
            secrets: Arc::clone(&options.destinations.secrets),
            #[cfg(feature = "tls")]
            trust: Trust::new(options.authorities.clone(), options.identities.clone()),
        };
        Self { way: Arc::new(way) }
    }

    /// The value of a secret for a request to this host.
    pub(super) fn secret(&self, name: &str, host: &Authority) -> Result<String, String> {
        self.way.secrets.reveal(name, host)
    }

    /// Tells the proxy of a request without TLS who asks; of one with TLS it is told when the tunnel is opened.
    pub(super) fn authorize<B>(&self, request: &mut Request<B>) -> Result<(), String> {
        let uri = request.uri();
        let Some(proxy) = self.way.proxies.of(uri) else { return Ok(()) };
        if uri.scheme() != Some(&Scheme::HTTPS)
            && let Some(credentials) = proxy.credentials(&self.way.secrets)?
        {
            request.headers_mut().insert(PROXY_AUTHORIZATION, credentials);
        }
        Ok(())
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Line>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let way = Arc::clone(&self.way);
        Box::pin(async move { Ok(TokioIo::new(way.open(uri).await?)) })
    }
}

impl Way {
    async fn open(&self, uri: Uri) -> Result<Line, BoxError> {
        let target = Target::of(&uri).ok_or("the address has no host")?;
        self.allowed.target(&target)?;
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        let Some(proxy) = self.proxies.of(&uri) else {
            let addresses = self.addresses(&target, Some(&self.allowed)).await?;
            let stream = self.in_time(self.direct(uri, &target, addresses, secure)).await?;
            return Ok(Line::direct(stream));
        };
        let away = |e: BoxError| ProxyError::away(&proxy.at, innermost(&*e));
        let near = Target::of(&proxy.at).ok_or("the proxy has no host")?;
        let addresses = self.addresses(&near, None).await.map_err(away)?;
        let encrypted = proxy.at.scheme() == Some(&Scheme::HTTPS);
        let opened = self.in_time(self.direct(proxy.at.clone(), &near, addresses, encrypted));
        let stream = opened.await.map_err(away)?;
        if !secure {
            return Ok(Line::through_proxy(stream));
        }
        let stream = self.in_time(self.tunnel(stream, proxy, &target)).await?;
        Ok(Line::direct(stream))
    }

    async fn tunnel(
        &self,
        mut stream: Box<dyn Stream>,
        proxy: &Proxy,
        target: &Target,
    ) -> Result<Box<dyn Stream>, BoxError> {
        let credentials = proxy.credentials(&self.secrets)?;
        tunnel::open(&mut stream, &proxy.at, target, credentials.as_ref()).await?;
        self.secured(stream, target).await
    }

    async fn direct(
        &self,
        uri: Uri,
        target: &Target,
        addresses: Vec<SocketAddr>,
        secure: bool,
    ) -> Result<Box<dyn Stream>, BoxError> {
        let stream: Box<dyn Stream> = Box::new(self.tcp(addresses).call(uri).await?.into_inner());
        if secure { self.secured(stream, target).await } else { Ok(stream) }
    }

    #[cfg(feature = "tls")]
    async fn secured(
        &self,
        stream: Box<dyn Stream>,
        target: &Target,
    ) -> Result<Box<dyn Stream>, BoxError> {
        let name = rustls::pki_types::ServerName::try_from(target.host())?;
        let connector = tokio_rustls::TlsConnector::from(self.trust.of(target));
        Ok(Box::new(connector.connect(name, stream).await?))
    }

    #[cfg(not(feature = "tls"))]
    async fn secured(&self, _: Box<dyn Stream>, _: &Target) -> Result<Box<dyn Stream>, BoxError> {
        Err("this build speaks no `https`".into())
    }

    /// Where a host is, without the addresses that no request goes to.
    async fn addresses(
        &self,
        target: &Target,
        allowed: Option<&AllowedHosts>,
    ) -> Result<Vec<SocketAddr>, BoxError> {
        let found = match target.address() {
            // Judged with the target.
            Some(address) => return Ok(vec![SocketAddr::new(address, target.port())]),
            None => self.names.clone().addresses(target.host().into()).await?,
        };
        let Some(allowed) = allowed else { return Ok(found) };
        let mut refused = None;
        let mut kept = Vec::with_capacity(found.len());
        for address in found {
            match allowed.address(target, address.ip()) {
                Ok(()) => kept.push(address),
                Err(refusal) => refused = Some(refusal),
            }
        }
        match refused {
            Some(refusal) if kept.is_empty() => Err(refusal.into()),
            _ if kept.is_empty() => {
                Err(NameError::Unknown("the name has no address".to_owned()).into())
            }
            _ => Ok(kept),
        }
    }

    fn tcp(&self, addresses: Vec<SocketAddr>) -> HttpConnector<Found> {
        let mut http = HttpConnector::new_with_resolver(Found(addresses));
        http.set_connect_timeout(Some(self.timeout));
        // A step is one small request; waiting for more bytes to send would only add latency.
        http.set_nodelay(true);
        http.enforce_http(false);
        http
    }

    /// A handshake that hangs is no connection, too.
    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, BoxError>>,
    ) -> Result<T, BoxError> {
        match tokio::time::timeout(self.timeout, work).await {
            Ok(done) => done,
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        }
    }
}

/// Addresses that have been looked up and judged already.
#[derive(Clone)]
struct Found(Vec<SocketAddr>);

impl Service<Name> for Found {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Ready<Result<Self::Response, io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        ready(Ok(std::mem::take(&mut self.0).into_iter()))
    }
}

impl Stream for TcpStream {}
#[cfg(feature = "tls")]
impl<S: Stream> Stream for tokio_rustls::client::TlsStream<S> {}

#[cfg(test)]
#[path = "connect_tests.rs"]
mod tests;
