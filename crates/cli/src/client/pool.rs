//! Connections to one supervisor, with TLS only where its address asks for it: certificates need not be there else.

use crate::failure::Outcome;
use crate::target::TlsFiles;
use crate::target::address::Address;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::time::Duration;

/// How long a connection may take: nobody wants to wait longer for a machine that is off.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Connections of one kind.
pub(super) enum Pool {
    Plain(legacy::Client<HttpConnector, Full<Bytes>>),
    #[cfg(feature = "tls")]
    Tls(legacy::Client<hyper_rustls::HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl Pool {
    /// Those to this address.
    pub(super) fn of(address: &Address, files: &TlsFiles) -> Outcome<Self> {
        if address.is_secure() { tls(files) } else { Ok(Self::Plain(builder().build(tcp()))) }
    }

    pub(super) fn request(&self, request: Request<Full<Bytes>>) -> legacy::ResponseFuture {
        match self {
            Self::Plain(client) => client.request(request),
            #[cfg(feature = "tls")]
            Self::Tls(client) => client.request(request),
        }
    }
}

fn builder() -> legacy::Builder {
    legacy::Client::builder(TokioExecutor::new())
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.set_connect_timeout(Some(CONNECT_LIMIT));
    tcp
}

#[cfg(feature = "tls")]
fn tls(files: &TlsFiles) -> Outcome<Pool> {
    let mut tcp = tcp();
    tcp.enforce_http(false);
    let config = certificates::config(files)?;
    let connector = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(config);
    Ok(Pool::Tls(builder().build(connector.https_only().enable_http1().wrap_connector(tcp))))
}

#[cfg(not(feature = "tls"))]
fn tls(_: &TlsFiles) -> Outcome<Pool> {
    let text =
        "this build knows no https; build it with the feature `tls`, or use the http address";
    Err(crate::failure::Failure::Usage(text.to_owned()))
}

#[cfg(feature = "tls")]
mod certificates {
    //! Whom we trust, and who we are.

    use crate::failure::Outcome;
    use crate::target::TlsFiles;
    use anyhow::{Context, anyhow};
    use hyper_rustls::ConfigBuilderExt;
    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ClientConfig, RootCertStore};
    use std::path::Path;
    use std::sync::Arc;

    /// TLS 1.2 or 1.3, with the authorities of the system or those of a file.
    pub(super) fn config(files: &TlsFiles) -> Outcome<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(anyhow::Error::from)?;
        let builder = match &files.ca {
            Some(path) => builder.with_root_certificates(authorities(path)?),
            None => builder.with_native_roots().map_err(|e| {
                anyhow!(
                    "the system's root certificates can't be read: {e}; install `ca-certificates`, or name a file by --ca"
                )
            })?,
        };
        let Some((cert, key)) = &files.identity else { return Ok(builder.with_no_client_auth()) };
        let config =
            builder.with_client_auth_cert(chain(cert)?, private(key)?).with_context(|| {
                let (cert, key) = (cert.display(), key.display());
                format!("the certificate `{cert}` and the key `{key}` can't be used together")
            });
        Ok(config?)
    }

    fn authorities(path: &Path) -> Outcome<RootCertStore> {
        let mut roots = RootCertStore::empty();
        for certificate in chain(path)? {
            roots
                .add(certificate)
                .with_context(|| format!("`{}` holds no authority", path.display()))?;
        }
        Ok(roots)
    }

    fn chain(path: &Path) -> Outcome<Vec<CertificateDer<'static>>> {
        let name = path.display();
        let read = || CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>();
        let all = read().map_err(|e| anyhow!("the certificates in `{name}` can't be read: {e}"))?;
        if all.is_empty() {
            return Err(anyhow!("`{name}` holds no certificate in PEM").into());
        }
        Ok(all)
    }

    fn private(path: &Path) -> Outcome<PrivateKeyDer<'static>> {
        let name = path.display();
        if super::is_open_to_others(path) {
            return Err(anyhow!(
                "everybody on this machine may read the private key `{name}`; it is not used. `chmod 600 {name}` mends that"
            )
            .into());
        }
        let key = PrivateKeyDer::from_pem_file(path);
        Ok(key.map_err(|e| anyhow!("the private key `{name}` can't be read: {e}"))?)
    }
}

/// Whether all users of this machine may read a file. Those of its group may: that is how keys reach containers.
#[cfg(all(unix, feature = "tls"))]
fn is_open_to_others(path: &std::path::Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).is_ok_and(|found| found.mode() & 0o007 != 0)
}

#[cfg(all(not(unix), feature = "tls"))]
fn is_open_to_others(_: &std::path::Path) -> bool {
    false
}
