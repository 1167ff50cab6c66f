//! Whose certificates a service believes when it calls others, and which one of its own it shows them. Reads PEM files.

use std::path::PathBuf;

/// Files in PEM, for addresses that begin with `https://`. They are read anew for each connection that opens, so that
/// they can be renewed at any time; while changed ones can't be used, what stood there before stays in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificates {
    /// The authorities that are believed, in place of those of the system.
    pub authorities: Option<PathBuf>,
    /// What is shown to whoever asks who we are (mutual TLS).
    pub own: Option<OwnCertificate>,
}

/// A certificate of the service's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnCertificate {
    /// The certificate, and after it those that lead to its authority.
    pub certificate: PathBuf,
    /// Its key, for its owner and group alone; it may be the same file.
    pub key: PathBuf,
}

/// Why files of certificates can't be used; says which one, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CertificateError(String);

impl Certificates {
    /// That the files can be used.
    #[cfg(feature = "tls")]
    pub(crate) fn check(&self) -> Result<(), String> {
        self.config(&self.read()?).map(drop)
    }

    /// That none are asked for.
    #[cfg(not(feature = "tls"))]
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self { authorities: None, own: None } => Ok(()),
            _ => Err("certificates are of use with the kit's feature `tls` alone".to_owned()),
        }
    }
}

#[cfg(feature = "tls")]
pub(crate) use with_tls::Texts;

#[cfg(feature = "tls")]
mod with_tls {
    use super::{CertificateError, Certificates};
    use hyper_rustls::ConfigBuilderExt as _;
    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ClientConfig, RootCertStore};
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    /// What the files hold.
    #[derive(PartialEq, Eq)]
    pub(crate) struct Texts {
        authorities: Option<Vec<u8>>,
        own: Option<(Vec<u8>, Vec<u8>)>,
    }

    impl Certificates {
        /// The same for a client of the service's own: TLS 1.2 and 1.3.
        ///
        /// # Errors
        /// When a file can't be used.
        pub fn client_config(&self) -> Result<ClientConfig, CertificateError> {
            let texts = self.read().map_err(CertificateError)?;
            self.config(&texts).map_err(CertificateError)
        }

        /// Reads the files.
        pub(crate) fn read(&self) -> Result<Texts, String> {
            let read = |file: &PathBuf| {
                std::fs::read(file)
                    .map_err(|e| format!("the file `{}` can't be read: {e}", file.display()))
            };
            let own = match &self.own {
                Some(own) => Some((read(&own.certificate)?, read(&own.key)?)),
                None => None,
            };
            Ok(Texts { authorities: self.authorities.as_ref().map(read).transpose()?, own })
        }

        /// What they come to.
        pub(crate) fn config(&self, texts: &Texts) -> Result<ClientConfig, String> {
            let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())?;
            let builder = match (&self.authorities, &texts.authorities) {
                (Some(file), Some(text)) => builder.with_root_certificates(roots(file, text)?),
                _ => builder.with_native_roots().map_err(|error| {
                    format!("the authorities that the system trusts can't be read: {error}")
                })?,
            };
            let (Some(files), Some((certificate, key))) = (&self.own, &texts.own) else {
                return Ok(builder.with_no_client_auth());
            };
            if is_open_to_others(&files.key) {
                let key = files.key.display();
                return Err(format!(
                    "everybody on this machine may read the key `{key}`, so it is not used; `chmod 600 {key}` mends that"
                ));
            }
            let own = PrivateKeyDer::from_pem_slice(key)
                .map_err(|e| format!("`{}` holds no private key: {e}", files.key.display()))?;
            let chain = chain(&files.certificate, certificate)?;
            builder.with_client_auth_cert(chain, own).map_err(|e| {
                let (certificate, key) = (files.certificate.display(), files.key.display());
                format!("`{certificate}` can't be used with the key `{key}`: {e}")
            })
        }
    }

    fn roots(file: &Path, text: &[u8]) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        for one in chain(file, text)? {
            roots
                .add(one)
                .map_err(|e| format!("`{}` holds what is no authority: {e}", file.display()))?;
        }
        Ok(roots)
    }

    fn chain(file: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
        match all {
            Ok(all) if !all.is_empty() => Ok(all),
            Ok(_) => Err(format!("`{}` holds no certificate in PEM", file.display())),
            Err(e) => Err(format!("`{}` is no PEM: {e}", file.display())),
        }
    }

    /// Whether all users of this machine may read a file. Those of its group may: that is how keys reach containers.
    #[cfg(unix)]
    fn is_open_to_others(file: &Path) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::metadata(file).is_ok_and(|found| found.mode() & 0o007 != 0)
    }

    #[cfg(not(unix))]
    fn is_open_to_others(_: &Path) -> bool {
        false
    }
}
