//! Limits of requests, as a configuration gives them.

use std::time::Duration;

/// Limits of requests.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// Longest body of one report, in bytes.
    pub report_bytes: usize,
    /// Longest body of a batch, in bytes.
    pub batch_bytes: usize,
    /// Most events of a batch.
    pub batch_events: usize,
    /// What the bodies of all requests under way may hold together, in bytes, beyond a little that each has for itself.
    pub bodies: usize,
    /// Most open event streams; each holds a connection and a place in the ring.
    pub event_streams: usize,
    /// Most open connections; more wait in the system's queue until one closes.
    pub connections: usize,
    /// Most open connections of one peer; zero for as many as there are. This machine and trusted proxies have no
    /// limit.
    pub connections_per_peer: usize,
    /// Most requests a second of each who asks; zero for as many as come. What waits for the loop in a line of its own
    /// counts only when it is refused.
    pub requests: u32,
    /// How long a connection may take to send a request's headers, and also how long it may be idle.
    pub header_timeout: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            report_bytes: 1 << 20,
            batch_bytes: 8 << 20,
            batch_events: 1_000,
            bodies: 64 << 20,
            event_streams: 256,
            connections: 4_096,
            connections_per_peer: 1_024,
            requests: 500,
            header_timeout: Duration::from_secs(75),
        }
    }
}
