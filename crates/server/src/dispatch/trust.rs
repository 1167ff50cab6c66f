//! What makes connections secure: the system's authorities, those of the configuration, and our own certificate where a
//! host asks for one. A file that changes is read anew; one that is broken then leaves what was before in force.

use super::allowed::Target;
use super::authorities::{Authorities, Authority};
use super::identities::{Identities, Identity};
use crate::renewed::{Look, Renewed};
use crate::tls::pem::{self, Own};
use rustc_hash::FxHashMap;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What makes connections secure, one configuration for each choice of authorities.
pub(super) struct Trust {
    system: RootCertStore,
    given: Vec<(Authority, Mutex<Renewed<Vec<CertificateDer<'static>>>>)>,
    own: Vec<(Identity, Mutex<Renewed<Option<Own>>>)>,
    made: Mutex<FxHashMap<Choice, Made>>,
}

/// The authorities of a host and what we show it, by index.
type Choice = (Vec<usize>, Option<usize>);

struct Made {
    of: Vec<u64>,
    config: Arc<ClientConfig>,
}

impl Trust {
    /// Without any authority (a bare container) only `https://` services are out of reach, so that is no reason not
    /// to start.
    pub(super) fn new(authorities: Authorities, identities: Identities) -> Self {
        let mut system = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        system.add_parsable_certificates(found.certs);
        let unread = |files: &[&PathBuf]| files.iter().map(|file| (*file).clone()).collect();
        let given = authorities.given.into_iter().map(|one| {
            let files = unread(&[&one.file]);
            (one, Mutex::new(Renewed::unread(files, Vec::new())))
        });
        let given: Vec<_> = given.collect();
        if system.is_empty() && given.is_empty() {
            tracing::warn!(
                "no root certificates: `https://` services fail; install `ca-certificates`, or name a file in `[ca]` of the configuration"
            );
        }
        let own = identities.given.into_iter().map(|one| {
            let files = unread(&[&one.file, &one.key]);
            (one, Mutex::new(Renewed::unread(files, None)))
        });
        Self { system, given, own: own.collect(), made: Mutex::default() }
    }

    /// The configuration for connections to a host.
    pub(super) fn of(&self, target: &Target) -> Arc<ClientConfig> {
        let is_for = |one: &Authority| {
            one.hosts.as_ref().is_none_or(|hosts| hosts.iter().any(|host| host.names(target)))
        };
        let all = self.given.iter().enumerate();
        let believed: Vec<usize> =
            all.filter(|(_, (one, _))| is_for(one)).map(|(index, _)| index).collect();
        let read: Vec<_> = believed.iter().map(|index| self.read(*index)).collect();
        let shown = self.shown_to(target);
        let own = shown.map(|index| self.read_own(index));
        let of = read.iter().map(|read| read.times()).chain(own.iter().map(|own| own.times()));
        let of: Vec<u64> = of.collect();
        let choice: Choice = (believed, shown);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = made.get(&choice).filter(|made| made.of == of) {
            return Arc::clone(&made.config);
        }
        let only = choice.0.iter().any(|index| self.given[*index].0.only);
        let mut roots = if only { RootCertStore::empty() } else { self.system.clone() };
        for read in &read {
            roots.add_parsable_certificates(read.value().iter().cloned());
        }
        let config = ClientConfig::builder().with_root_certificates(roots);
        let own = own.as_ref().and_then(|own| own.value().as_ref());
        let config = match own {
            Some((chain, key)) => {
                let shown = config.clone().with_client_auth_cert(chain.clone(), key.clone_key());
                // They were tried together when they were read.
                shown.unwrap_or_else(|_| config.with_no_client_auth())
            }
            None => config.with_no_client_auth(),
        };
        let config = Arc::new(config);
        made.insert(choice, Made { of, config: Arc::clone(&config) });
        config
    }

    fn read(&self, index: usize) -> MutexGuard<'_, Renewed<Vec<CertificateDer<'static>>>> {
        let (authority, read) = &self.given[index];
        let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
        tell(&authority.name, read.look(|| pem::certificates(&authority.file)));
        read
    }

    /// What we show a host: what is for some hosts counts before what is for all.
    fn shown_to(&self, target: &Target) -> Option<usize> {
        let names = |one: &Identity| {
            let hosts = one.hosts.as_ref();
            hosts.map(|hosts| hosts.iter().any(|host| host.names(target)))
        };
        let place = |wanted| self.own.iter().position(|(one, _)| names(one) == wanted);
        place(Some(true)).or_else(|| place(None))
    }

    fn read_own(&self, index: usize) -> MutexGuard<'_, Renewed<Option<Own>>> {
        let (identity, read) = &self.own[index];
        let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, key) = (&identity.file, &identity.key);
        tell(&identity.name, read.look(|| pem::identity(file, key).map(Some)));
        read
    }
}

fn tell(name: &str, look: Look) {
    match look {
        Look::Same => {}
        Look::Renewed => tracing::info!(name, "certificates were read"),
        Look::Broken(why) => {
            tracing::warn!(name, why, "changed certificates can't be read; those before stay");
        }
    }
}
