//! Opens connections, with TLS where an address asks for it, by certificates that are read anew for each.

use crate::certificates::{Certificates, Texts};
use http::Uri;
use http::uri::Scheme;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::net::TcpStream;
use tower_service::Service;

/// Opens connections; clones share what was read.
#[derive(Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector,
    files: Arc<Files>,
}

struct Files {
    certificates: Certificates,
    /// None before the first connection that needs them: who calls nobody by `https://` needs no authorities.
    last: Mutex<Option<Last>>,
}

/// What was read last, and could be used.
struct Last {
    texts: Texts,
    config: Arc<ClientConfig>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connector").field(&self.files.certificates).finish()
    }
}

impl Connector {
    pub(crate) fn new(mut tcp: HttpConnector, certificates: Certificates) -> Self {
        tcp.enforce_http(false);
        Self { tcp, files: Arc::new(Files { certificates, last: Mutex::default() }) }
    }
}

impl Files {
    /// What stands in the files now; as long as it is the same, so is what comes of it, with the sessions that can be
    /// resumed.
    fn current(&self) -> Result<Arc<ClientConfig>, String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let texts = self.certificates.read();
        if let (Some(last), Ok(texts)) = (&*last, &texts)
            && last.texts == *texts
        {
            return Ok(Arc::clone(&last.config));
        }
        let renewed = texts.and_then(|texts| {
            let config = Arc::new(self.certificates.config(&texts)?);
            Ok(Last { texts, config })
        });
        match renewed {
            Ok(renewed) => Ok(Arc::clone(&last.insert(renewed).config)),
            Err(why) => {
                let before = last.as_ref().ok_or_else(|| why.clone())?;
                tracing::error!(
                    why,
                    "changed certificates can't be used; those before stay in force"
                );
                Ok(Arc::clone(&before.config))
            }
        }
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        if uri.scheme() != Some(&Scheme::HTTPS) {
            let opening = self.tcp.call(uri);
            return Box::pin(async move { Ok(MaybeHttpsStream::Http(opening.await?)) });
        }
        match self.files.current() {
            Ok(config) => HttpsConnector::from((self.tcp.clone(), config)).call(uri),
            Err(why) => Box::pin(std::future::ready(Err(why.into()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::OwnCertificate;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::pki_types::PrivateKeyDer;
    use rustls::server::WebPkiClientVerifier;
    use rustls::{RootCertStore, ServerConfig};
    use std::path::Path;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    type Authority = CertifiedIssuer<'static, KeyPair>;

    fn authority() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed")
    }

    /// A certificate for this machine, and its key.
    fn issue(by: &Authority) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("names");
        (params.signed_by(&key, by).expect("signed"), key)
    }

    /// A service that says `hi` to whoever shows a certificate of this authority, and nothing to others.
    async fn greeter(by: &Authority) -> Uri {
        let mut roots = RootCertStore::empty();
        roots.add(by.der().clone()).expect("an authority");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let checks = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let (certificate, key) = issue(by);
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(checks.build().expect("checks"))
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a pair");
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(socket).await else { continue };
                let _ = stream.write_all(b"hi").await;
                let _ = stream.shutdown().await;
            }
        });
        format!("https://{at}/").parse().expect("an address")
    }

    /// What it says; none if either side doesn't believe the other.
    async fn greeted(connector: &Connector, at: &Uri) -> Option<String> {
        let mut stream = TokioIo::new(connector.clone().call(at.clone()).await.ok()?);
        let mut said = String::new();
        stream.read_to_string(&mut said).await.ok()?;
        Some(said)
    }

    fn put(file: &Path, text: &str) {
        std::fs::write(file, text).expect("written");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(file, mode).expect("set");
        }
    }

    fn files(folder: &Path) -> Certificates {
        let own =
            OwnCertificate { certificate: folder.join("own.pem"), key: folder.join("own.key") };
        Certificates { authorities: Some(folder.join("authority.pem")), own: Some(own) }
    }

    fn put_all(folder: &Path, of: &Authority) {
        let (certificate, key) = issue(of);
        put(&folder.join("authority.pem"), &of.pem());
        put(&folder.join("own.pem"), &certificate.pem());
        put(&folder.join("own.key"), &key.serialize_pem());
    }

    #[tokio::test]
    async fn certificates_are_believed_shown_and_renewed_for_connections_that_open() {
        let folder = tempfile::tempdir().expect("a folder");
        let (first, second) = (authority(), authority());
        let (of_first, of_second) = (greeter(&first).await, greeter(&second).await);
        put_all(folder.path(), &first);
        let connector = Connector::new(HttpConnector::new(), files(folder.path()));
        assert_eq!(greeted(&connector, &of_first).await.as_deref(), Some("hi"));
        assert_eq!(greeted(&connector, &of_second).await, None, "another authority's");

        put_all(folder.path(), &second);
        assert_eq!(greeted(&connector, &of_second).await.as_deref(), Some("hi"));
        assert_eq!(greeted(&connector, &of_first).await, None, "believed no more");

        put(&folder.path().join("own.key"), "no key");
        assert_eq!(greeted(&connector, &of_second).await.as_deref(), Some("hi"), "as before");
    }

    #[tokio::test]
    async fn who_shows_nothing_or_what_another_signed_is_not_greeted() {
        let folder = tempfile::tempdir().expect("a folder");
        let (right, other) = (authority(), authority());
        let at = greeter(&right).await;
        put_all(folder.path(), &other);
        put(&folder.path().join("authority.pem"), &right.pem());
        let all = files(folder.path());
        for shown in [Certificates { own: None, ..all.clone() }, all] {
            let connector = Connector::new(HttpConnector::new(), shown.clone());
            assert_ne!(greeted(&connector, &at).await.as_deref(), Some("hi"), "{shown:?}");
        }
    }

    #[test]
    fn files_that_cannot_be_used_are_told_at_the_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let wrong = |files: &Certificates| files.check().expect_err("wrong");
        let all = files(folder.path());
        assert!(wrong(&all).contains("can't be read"), "{}", wrong(&all));
        put_all(folder.path(), &authority());
        all.check().expect("a pair and an authority");
        put(&folder.path().join("authority.pem"), "nothing");
        assert!(wrong(&all).contains("holds no certificate"), "{}", wrong(&all));
        put_all(folder.path(), &authority());
        put(&folder.path().join("own.key"), &KeyPair::generate().expect("a key").serialize_pem());
        assert!(wrong(&all).contains("can't be used with the key"), "{}", wrong(&all));
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_everybody_may_read_is_not_used() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        put_all(folder.path(), &authority());
        let key = folder.path().join("own.key");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("set");
        let told = files(folder.path()).check().expect_err("open");
        assert!(told.contains("chmod 600"), "{told}");
    }
}
