//! Reads certificates of authorities, and our own with its key, from files.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Longest file of certificates, in bytes: all of the web's authorities have a quarter of that.
const FILE_LIMIT: u64 = 1 << 20;

/// A chain of certificates with the key of the first.
pub(crate) type Own = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Our own certificate, and its key, which may stand in the same file.
///
/// # Errors
/// Says what is wrong with the files.
pub(crate) fn identity(file: &Path, key: &Path) -> Result<Own, String> {
    let chain = chain(&read(file)?, file)?;
    let own = PrivateKeyDer::from_pem_slice(&read(key)?);
    let own =
        own.map_err(|e| format!("the file `{}` holds no private key: {e:?}", key.display()))?;
    let none = ClientConfig::builder().with_root_certificates(RootCertStore::empty());
    none.with_client_auth_cert(chain.clone(), own.clone_key()).map_err(|e| {
        let (file, key) = (file.display(), key.display());
        format!("the certificate in `{file}` can't be used with the key in `{key}`: {e}")
    })?;
    Ok((chain, own))
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let shown = file.display();
    let mut text = Vec::new();
    File::open(file)
        .and_then(|file| file.take(FILE_LIMIT + 1).read_to_end(&mut text))
        .map_err(|e| format!("the file `{shown}` cannot be read: {e}"))?;
    if text.len() as u64 > FILE_LIMIT {
        return Err(format!("the file `{shown}` is longer than {FILE_LIMIT} bytes"));
    }
    Ok(text)
}

fn chain(text: &[u8], file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = file.display();
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let all = all.map_err(|e| format!("the file `{shown}` is not PEM: {e:?}"))?;
    if all.is_empty() {
        return Err(format!("the file `{shown}` holds no `BEGIN CERTIFICATE`"));
    }
    Ok(all)
}

/// All certificates of a PEM file, each of which can be an authority's.
///
/// # Errors
/// Says what is wrong with the file.
pub(crate) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = file.display();
    let all = chain(&read(file)?, file)?;
    for (n, one) in all.iter().enumerate() {
        let n = n + 1;
        RootCertStore::empty()
            .add(one.clone())
            .map_err(|e| format!("certificate {n} of `{shown}` can't be used: {e}"))?;
    }
    Ok(all)
}
