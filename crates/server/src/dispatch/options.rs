//! How requests are sent: limits, keys, allowed hosts, proxies and certificates.

use super::authorities::Authorities;
use super::identities::Identities;
use super::proxy::Proxies;
use super::route::Destinations;

/// How requests are sent.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Most idle connections kept per host. What is idle was in use within `idle_timeout_ms`, so that their number
    /// follows the concurrency of the services behind the host by itself; with less, connections would be opened and
    /// closed for every other request.
    pub idle_per_host: usize,
    /// Most requests under way at once, over all services; never more than half of the files that the process may have
    /// open. What is beyond waits, and its time begins when it is sent.
    pub at_once: usize,
    /// How long a name may take to be looked up, and then a connection to open, with proxy and TLS each, in
    /// milliseconds; a step that runs into it was not sent.
    pub connect_timeout_ms: u64,
    /// How long an idle connection is kept, in milliseconds. Node.js closes its own after 5 s; a request that meets
    /// the closing goes out twice, so ours go first.
    pub idle_timeout_ms: u64,
    /// Longest body of an answer, in bytes.
    pub answer_bytes: usize,
    /// Keys and allowed hosts.
    pub destinations: Destinations,
    /// Which requests go through a proxy.
    pub proxies: Proxies,
    /// Whose certificates are believed besides the system's authorities.
    pub authorities: Authorities,
    /// What we show to whoever asks who we are.
    pub identities: Identities,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            idle_per_host: 10_000,
            at_once: 10_000,
            connect_timeout_ms: 3_000,
            idle_timeout_ms: 4_000,
            answer_bytes: 1 << 20,
            destinations: Destinations::default(),
            proxies: Proxies::default(),
            authorities: Authorities::default(),
            identities: Identities::default(),
        }
    }
}
