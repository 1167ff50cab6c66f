//! Reads certificates of authorities from a file.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Longest file of certificates, in bytes: all of the web's authorities have a quarter of that.
const FILE_LIMIT: u64 = 1 << 20;

/// All certificates of a PEM file, each of which can be an authority's.
///
/// # Errors
/// Says what is wrong with the file.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = file.display();
    let mut text = Vec::new();
    File::open(file)
        .and_then(|file| file.take(FILE_LIMIT + 1).read_to_end(&mut text))
        .map_err(|e| format!("the file `{shown}` cannot be read: {e}"))?;
    if text.len() as u64 > FILE_LIMIT {
        return Err(format!("the file `{shown}` is longer than {FILE_LIMIT} bytes"));
    }
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let all = all.map_err(|e| format!("the file `{shown}` is not PEM: {e:?}"))?;
    if all.is_empty() {
        return Err(format!("the file `{shown}` holds no `BEGIN CERTIFICATE`"));
    }
    for (n, one) in all.iter().enumerate() {
        let n = n + 1;
        RootCertStore::empty()
            .add(one.clone())
            .map_err(|e| format!("certificate {n} of `{shown}` can't be used: {e}"))?;
    }
    Ok(all)
}
