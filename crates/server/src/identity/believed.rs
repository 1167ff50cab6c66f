//! Everybody whose word counts about who somebody is, by the configuration.

use super::key_source::KeysPlace;
use super::machines::{JwtIssuer, Machines};
use super::provider::{OidcOptions, Provider};
use crate::dispatch::{HttpOptions, WebClient};
use http::Uri;
use std::fmt;
use std::sync::Arc;

/// Who is believed about who somebody is.
#[derive(Clone, Debug, Default)]
pub struct IdentityOptions {
    /// Whose tokens services may show.
    pub(crate) issuers: Vec<JwtIssuer>,
    /// Where people log in, if anywhere.
    pub(crate) people: Option<OidcOptions>,
}

/// Issuers of services' tokens, and the provider of people. Clones share what they know.
#[derive(Clone, Default)]
pub struct Believed {
    /// Those whose tokens services show.
    pub(crate) machines: Option<Arc<Machines>>,
    /// Where people log in.
    pub(crate) people: Option<Arc<Provider>>,
}

impl Believed {
    /// As the configuration names them. Nobody is asked before somebody comes.
    #[must_use]
    pub fn new(options: &IdentityOptions, outbound: &HttpOptions) -> Self {
        let addresses = options.issuers.iter().filter_map(|issuer| match &issuer.keys {
            KeysPlace::Address { uri, .. } => Some(uri.clone()),
            KeysPlace::File(_) => None,
        });
        let provider = options.people.iter().filter_map(|people| people.issuer.parse::<Uri>().ok());
        // What the configuration names by itself may be asked.
        let own: Vec<Uri> = addresses.chain(provider).collect();
        let client = WebClient::new(outbound, &own);
        let machines = Machines::new(&options.issuers, &client);
        let people = options.people.clone().map(|people| Arc::new(Provider::new(people, client)));
        Self { machines: (!machines.is_empty()).then(|| Arc::new(machines)), people }
    }
}

impl fmt::Debug for Believed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Believed")
            .field("machines", &self.machines.is_some())
            .field("people", &self.people.is_some())
            .finish()
    }
}
