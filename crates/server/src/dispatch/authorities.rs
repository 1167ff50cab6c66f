//! Whose certificates are believed besides those of the system's authorities, for all hosts or for some, as the
//! configuration says.

use super::allowed::HostPattern;
use std::path::{Path, PathBuf};

/// Authorities of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Authorities {
    pub(super) given: Vec<Authority>,
}

/// One file of certificates.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "without TLS none can be given"))]
pub(super) struct Authority {
    pub(super) name: String,
    pub(super) file: PathBuf,
    /// None for all.
    pub(super) hosts: Option<Vec<HostPattern>>,
    /// For its hosts the system's authorities are not believed.
    pub(super) only: bool,
}

impl Authorities {
    /// Takes a file of PEM certificates: for all hosts if `hosts` is none; in place of the system's authorities if
    /// `only`.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn add(
        &mut self,
        name: &str,
        file: &Path,
        hosts: Option<&[String]>,
        only: bool,
    ) -> Result<(), Vec<String>> {
        let mut wrong: Vec<String> = check_file(file).err().into_iter().collect();
        let patterns = hosts.map(|hosts| HostPattern::read_all(hosts, &mut wrong));
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let (name, file) = (name.to_owned(), file.to_owned());
        self.given.push(Authority { name, file, hosts: patterns, only });
        Ok(())
    }

    /// Whether there is any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.given.is_empty()
    }
}

#[cfg(not(feature = "tls"))]
fn check_file(_file: &Path) -> Result<(), String> {
    Err("this build speaks no `https`, so there is nothing to trust; build it with the feature `tls`".to_owned())
}

#[cfg(feature = "tls")]
fn check_file(file: &Path) -> Result<(), String> {
    crate::tls::pem::certificates(file).map(drop)
}
