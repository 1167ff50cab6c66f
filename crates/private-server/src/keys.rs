//! What lets somebody in at a server that is guarded: an authority, what the server shows on this machine and what a
//! client does, a name with its password. Made anew for each test, in files of a folder that goes away with it.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// A folder of keys.
#[derive(Debug)]
pub struct Keys(TempDir);

impl Keys {
    /// Who is let in.
    pub const USER: &str = "amends";
    /// Its password, without the line's end that the file has.
    pub const PASSWORD: &str = "correct-horse-1";

    /// Makes `authority.pem`; `server.pem` and `client.pem`, which it has signed, with `server.key` and `client.key`
    /// (PKCS#8); `password`, and a `wrong` one.
    ///
    /// # Panics
    /// When a file can't be written.
    #[must_use]
    pub fn new() -> Self {
        let keys = Self(tempfile::tempdir().expect("a folder"));
        let mut params = described("authority", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let authority = CertifiedIssuer::self_signed(params, key).expect("an authority");
        keys.put("authority.pem", &authority.pem());
        for (name, of, usage) in [
            ("server", "127.0.0.1", ExtendedKeyUsagePurpose::ServerAuth),
            ("client", "amends.test", ExtendedKeyUsagePurpose::ClientAuth),
        ] {
            let mut params = described(name, &[of]);
            params.extended_key_usages = vec![usage];
            let key = KeyPair::generate().expect("a key");
            keys.put(
                &format!("{name}.pem"),
                &params.signed_by(&key, &authority).expect("signed").pem(),
            );
            keys.put(&format!("{name}.key"), &key.serialize_pem());
        }
        keys.put("password", &format!("{}\n", Self::PASSWORD));
        keys.put("wrong", "not-the-password\n");
        keys
    }

    /// Where one of them is.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The same, for a configuration.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }

    /// Writes one more, or another in its place.
    ///
    /// # Panics
    /// When it can't be written.
    pub fn put(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).expect("the folder is ours");
    }

    /// What the server shows, key and certificate in one text.
    pub(crate) fn of_server(&self) -> String {
        ["server.key", "server.pem"]
            .map(|name| fs::read_to_string(self.file(name)).expect("made"))
            .concat()
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self::new()
    }
}

/// Each has a name of its own: one with its authority's would pass for self-signed.
fn described(name: &str, of: &[&str]) -> CertificateParams {
    let of: Vec<String> = of.iter().map(|&one| one.to_owned()).collect();
    let mut params = CertificateParams::new(of).expect("names");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
