//! An authority of a test's own: what it signs, and who believes it. Its key lives as long as the test.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// The one name of the supervisor.
pub const NAME: &str = "amends.test";

/// Whom a test believes.
pub struct Authority(pub CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub struct Pair(pub Certificate, pub KeyPair);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    /// Signs what these say, valid from one year to another.
    pub fn sign(&self, mut params: CertificateParams, (from, to): (i32, i32)) -> Pair {
        (params.not_before, params.not_after) =
            (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        let key = KeyPair::generate().expect("a key");
        Pair(params.signed_by(&key, &self.0).expect("signed"), key)
    }

    /// Puts a new pair of the supervisor's in the place of what is there.
    pub fn renew(&self, folder: &Path) -> CertificateDer<'static> {
        let params = CertificateParams::new(vec![NAME.to_owned()]).expect("a name");
        let Pair(signed, key) = self.sign(params, (2_000, 2_100));
        put(&folder.join("own.pem"), &signed.pem());
        put(&folder.join("own.key"), &key.serialize_pem());
        signed.der().clone()
    }

    /// Who believes it, and shows this certificate, if any.
    pub fn believer(&self, shows: Option<&Pair>) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("an authority");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let config = match shows {
            None => config.with_no_client_auth(),
            Some(Pair(certificate, key)) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
                let shown = vec![certificate.der().clone()];
                config.with_client_auth_cert(shown, key).expect("a pair")
            }
        };
        TlsConnector::from(Arc::new(config))
    }
}

/// Puts a text in the place of a file, for its owner alone.
pub fn put(file: &Path, text: &str) {
    let next = file.with_extension("next");
    fs::write(&next, text).expect("written");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&next, fs::Permissions::from_mode(0o600)).expect("set");
    }
    fs::rename(next, file).expect("put in its place");
}
