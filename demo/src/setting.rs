//! What every service process knows besides its own tables.

use crate::addresses::Addresses;
use crate::client::Client;
use crate::faults::Strikes;
use std::path::PathBuf;

/// The setting of one service process.
pub struct Setting {
    addresses: Addresses,
    /// Counts how often passing faults have struck.
    pub strikes: Strikes,
    /// For calls that are none of an action's.
    pub client: Client,
    /// The service's own database.
    pub database: PathBuf,
}

impl Setting {
    /// The setting of one process.
    #[must_use]
    pub fn new(addresses: Addresses, strikes: Strikes, database: PathBuf, client: Client) -> Self {
        Self { addresses, strikes, client, database }
    }

    /// Where a service is. An unknown one has no address; a call then fails as unreachable and is recorded as such.
    #[must_use]
    pub fn url(&self, service: &str) -> &str {
        self.addresses.services.get(service).map_or("http://127.0.0.1:9", String::as_str)
    }
}
