//! What makes connections secure: the system's authorities, and those of the configuration. A file of certificates that
//! changes is read anew; one that is broken then leaves the ones before in force.

use super::allowed::Target;
use super::authorities::{Authorities, Authority};
use super::pem::certificates;
use rustc_hash::FxHashMap;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// What makes connections secure, one configuration for each choice of authorities.
pub(super) struct Trust {
    system: RootCertStore,
    given: Vec<(Authority, Mutex<Read>)>,
    made: Mutex<FxHashMap<Choice, Made>>,
}

/// The authorities of a host, by index.
type Choice = Vec<usize>;

#[derive(Default)]
struct Read {
    changed: Option<SystemTime>,
    /// How often it was read.
    times: u64,
    certificates: Vec<CertificateDer<'static>>,
}

struct Made {
    of: Vec<u64>,
    config: Arc<ClientConfig>,
}

impl Trust {
    /// Without any authority (a bare container) only `https://` services are out of reach, so that is no reason not
    /// to start.
    pub(super) fn new(authorities: Authorities) -> Self {
        let mut system = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        system.add_parsable_certificates(found.certs);
        let given = authorities.given.into_iter();
        let given: Vec<_> = given.map(|one| (one, Mutex::default())).collect();
        if system.is_empty() && given.is_empty() {
            tracing::warn!(
                "no root certificates: `https://` services fail; install `ca-certificates`, or name a file in `[ca]` of the configuration"
            );
        }
        Self { system, given, made: Mutex::default() }
    }

    /// The configuration for connections to a host.
    pub(super) fn of(&self, target: &Target) -> Arc<ClientConfig> {
        let is_for = |one: &Authority| {
            one.hosts.as_ref().is_none_or(|hosts| hosts.iter().any(|host| host.names(target)))
        };
        let all = self.given.iter().enumerate();
        let choice: Choice =
            all.filter(|(_, (one, _))| is_for(one)).map(|(index, _)| index).collect();
        let read: Vec<_> = choice.iter().map(|index| self.read(*index)).collect();
        let of: Vec<u64> = read.iter().map(|read| read.times).collect();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = made.get(&choice).filter(|made| made.of == of) {
            return Arc::clone(&made.config);
        }
        let only = choice.iter().any(|index| self.given[*index].0.only);
        let mut roots = if only { RootCertStore::empty() } else { self.system.clone() };
        for read in &read {
            roots.add_parsable_certificates(read.certificates.iter().cloned());
        }
        let config = ClientConfig::builder().with_root_certificates(roots);
        let config = Arc::new(config.with_no_client_auth());
        made.insert(choice, Made { of, config: Arc::clone(&config) });
        config
    }

    /// The file as it is now, or as it was when it could last be read.
    fn read(&self, index: usize) -> MutexGuard<'_, Read> {
        let (authority, read) = &self.given[index];
        let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = fs::metadata(&authority.file).and_then(|about| about.modified()).ok();
        if read.times > 0 && (changed.is_none() || changed == read.changed) {
            return read;
        }
        read.changed = changed;
        match certificates(&authority.file) {
            Ok(certificates) => {
                if read.times > 0 {
                    tracing::info!(ca = authority.name, "certificates were read anew");
                }
                read.certificates = certificates;
                read.times += 1;
            }
            Err(why) => {
                let ca = &authority.name;
                tracing::warn!(ca, why, "changed certificates can't be read; those before stay");
            }
        }
        read
    }
}
