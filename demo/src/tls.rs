//! Encrypts what services and gateways are asked: who asks shows a certificate of the same authority, or is not heard.

use crate::secured::Secured;
use amends_service::rustls::crypto::aws_lc_rs::default_provider;
use amends_service::rustls::pki_types::pem::PemObject as _;
use amends_service::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use amends_service::rustls::server::WebPkiClientVerifier;
use amends_service::rustls::{RootCertStore, ServerConfig};
use anyhow::Context;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// What somebody in a secured run offers to whoever connects.
///
/// # Errors
/// When their files can't be used.
pub(crate) fn acceptor(secured: &Secured, of: &str) -> anyhow::Result<TlsAcceptor> {
    let own = secured.certificates(of).own.context("everybody has a certificate")?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(chain(&secured.authority())?);
    let provider = Arc::new(default_provider());
    let checks =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let key = PrivateKeyDer::from_pem_file(&own.key)
        .with_context(|| format!("the key `{}` can't be read", own.key.display()))?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(checks.build()?)
        .with_single_cert(chain(&own.certificate)?, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn chain(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read = || CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>();
    read().with_context(|| format!("the certificates in `{}` can't be read", file.display()))
}
