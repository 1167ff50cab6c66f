//! With which certificate the supervisor shows who it is, where a service asks for one (mutual TLS): for all hosts or
//! for some, as the configuration says.

use super::allowed::HostPattern;
use std::path::{Path, PathBuf};

/// Certificates of the supervisor's own.
#[derive(Clone, Debug, Default)]
pub struct Identities {
    pub(super) given: Vec<Identity>,
}

/// One certificate with its key.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "without TLS none can be given"))]
pub(super) struct Identity {
    pub(super) name: String,
    /// The chain, its own certificate first.
    pub(super) file: PathBuf,
    /// Where the key stands; it may be the same file.
    pub(super) key: PathBuf,
    /// None for all.
    pub(super) hosts: Option<Vec<HostPattern>>,
}

impl Identities {
    /// Takes a PEM file with a chain of certificates, and one with its key: for all hosts if `hosts` is none. One for
    /// some hosts counts before one for all.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn add(
        &mut self,
        name: &str,
        (file, key): (&Path, &Path),
        hosts: Option<&[String]>,
    ) -> Result<(), Vec<String>> {
        let mut wrong: Vec<String> = check_files(file, key).err().into_iter().collect();
        let patterns = hosts.map(|hosts| HostPattern::read_all(hosts, &mut wrong));
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let name = name.to_owned();
        self.given.push(Identity { name, file: file.into(), key: key.into(), hosts: patterns });
        Ok(())
    }

    /// Whether there is any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.given.is_empty()
    }
}

#[cfg(not(feature = "tls"))]
fn check_files(_file: &Path, _key: &Path) -> Result<(), String> {
    Err("this build speaks no `https`, so nobody can ask for a certificate; build it with the feature `tls`".to_owned())
}

#[cfg(feature = "tls")]
fn check_files(file: &Path, key: &Path) -> Result<(), String> {
    crate::tls::pem::identity(file, key).map(drop)
}
