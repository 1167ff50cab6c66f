//! An authority of a test's own, and the certificates that it signs. Its key lives as long as the test.

use super::options::{AskClients, TlsOptions};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Whom a test believes.
pub(crate) struct TestAuthority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
pub(crate) struct Issued {
    pub(crate) certificate: CertificateDer<'static>,
    certificate_pem: String,
    key: KeyPair,
}

impl TestAuthority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// Writes it where a configuration may name it.
    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        let file = folder.join("authority.pem");
        fs::write(&file, self.0.pem()).expect("written");
        file
    }

    /// For these domains, until 2100.
    pub(crate) fn issue(&self, domains: &[&str]) -> Issued {
        let domains: Vec<String> = domains.iter().map(|&one| one.to_owned()).collect();
        self.sign(CertificateParams::new(domains).expect("names"), 2_100)
    }

    /// For one URI, as SPIFFE has them.
    pub(crate) fn issue_for_uri(&self, uri: &str, until: i32) -> Issued {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(uri.try_into().expect("a URI"))];
        self.sign(params, until)
    }

    fn sign(&self, mut params: CertificateParams, until: i32) -> Issued {
        (params.not_before, params.not_after) =
            (date_time_ymd(2_000, 1, 1), date_time_ymd(until, 1, 1));
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.0).expect("signed");
        Issued { certificate: signed.der().clone(), certificate_pem: signed.pem(), key }
    }
}

impl Issued {
    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).expect("a key")
    }

    /// Puts it in the place of what is there, as a renewal does: each file at once, the certificate first.
    pub(crate) fn put(&self, options: &TlsOptions) {
        put(&options.certificate, &self.certificate_pem);
        put(&options.key, &self.key.serialize_pem());
    }

    /// Writes it where a configuration may name it; clients are not asked who they are.
    pub(crate) fn write(&self, folder: &Path) -> TlsOptions {
        let (certificate, key) = (folder.join("own.pem"), folder.join("own.key"));
        let options = TlsOptions { certificate, key, clients: AskClients::Never };
        self.put(&options);
        options
    }
}

/// Puts a text in the place of a file, for its owner alone.
pub(crate) fn put(file: &Path, text: &str) {
    let next = file.with_extension("next");
    fs::write(&next, text).expect("written");
    fs::set_permissions(&next, fs::Permissions::from_mode(0o600)).expect("set");
    fs::rename(next, file).expect("put in its place");
}
