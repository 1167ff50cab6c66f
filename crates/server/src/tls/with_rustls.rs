//! What our own address offers to whoever connects: TLS from 1.2 on with our certificate, renewed when its files
//! change. A renewed pair is for connections that open afterwards; a broken one leaves the pair before in force.

use super::certificate::{expiry, names};
use super::duplex::Duplex;
use super::options::{AskClients, TlsOptions};
use super::pem;
use crate::access::PeerCertificate;
use crate::key_files::readable_by_others;
use crate::renewed::{Look, Renewed};
use amends_protocol::Timestamp;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// What is offered; clones are the same.
#[derive(Clone)]
pub(crate) struct Offered {
    options: Arc<TlsOptions>,
    files: Arc<Mutex<Renewed<Pair>>>,
}

impl std::fmt::Debug for Offered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.options.fmt(f)
    }
}

struct Pair {
    config: Arc<ServerConfig>,
    ends: Timestamp,
}

impl Offered {
    /// Reads the files.
    ///
    /// # Errors
    /// Says what is wrong with them.
    pub(crate) fn new(options: TlsOptions) -> Result<Self, String> {
        let mut files: Vec<PathBuf> = vec![options.certificate.clone(), options.key.clone()];
        files.extend(options.clients.authorities().cloned());
        let read = Renewed::read(files, || load(&options))?;
        Ok(Self { options: Arc::new(options), files: Arc::new(Mutex::new(read)) })
    }

    /// Looks whether the files have changed.
    pub(crate) fn look(&self) -> Look {
        self.files().look(|| load(&self.options))
    }

    /// When our certificate ends to be valid.
    pub(crate) fn ends(&self) -> Timestamp {
        self.files().value().ends
    }

    /// The handshake of one connection: what is encrypted from now on, and what the other side has shown.
    ///
    /// # Errors
    /// When it fails: the other side does not believe us or shows what we don't believe, or has no TLS 1.2.
    pub(crate) async fn shake(
        &self,
        socket: TcpStream,
    ) -> io::Result<(Box<dyn Duplex>, Option<Arc<PeerCertificate>>)> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.files().value().config));
        let stream = acceptor.accept(socket).await?;
        // rustls has checked it by now.
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(names);
        Ok((Box::new(stream), shown.map(Arc::new)))
    }

    fn files(&self) -> MutexGuard<'_, Renewed<Pair>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load(options: &TlsOptions) -> Result<Pair, String> {
    let (certificate, key) = (&options.certificate, &options.key);
    if let Some(why) = readable_by_others(key) {
        return Err(why);
    }
    let (chain, own) = pem::identity(certificate, key)?;
    let ends = expiry(&chain).map_err(|why| format!("in `{}`, {why}", certificate.display()))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|e| e.to_string())?;
    let builder = match &options.clients {
        AskClients::Never => builder.with_no_client_auth(),
        AskClients::MayShow(file) | AskClients::MustShow(file) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(pem::certificates(file)?);
            let checks = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let checks = match options.clients {
                AskClients::MustShow(_) => checks,
                _ => checks.allow_unauthenticated(),
            };
            let checks = checks.build().map_err(|e| {
                format!("the authorities in `{}` can't be used: {e}", file.display())
            })?;
            builder.with_client_cert_verifier(checks)
        }
    };
    let mut config = builder.with_single_cert(chain, own).map_err(|e| {
        let (certificate, key) = (certificate.display(), key.display());
        format!("the certificate in `{certificate}` can't be used with the key in `{key}`: {e}")
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Pair { config: Arc::new(config), ends })
}
