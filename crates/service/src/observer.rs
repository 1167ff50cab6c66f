//! What a host may want to count: ends of requests and steps, reports, sweeps, transactions. The kit counts nothing.

use amends_protocol::{HistoryState, Outcome, Verb};
use std::time::Duration;

/// Is told of what the kit does, as it happens. Every method does nothing unless it is written.
///
/// It is called between the kit's own steps, so it must not block: count, and leave.
pub trait Observer: Send + Sync + 'static {
    /// A run of a request ended, in a `retry` too. The state is what History says now; `started` when the database could
    /// not be told.
    fn request_ended(&self, action: &str, state: HistoryState, took: Duration) {
        let _ = (action, state, took);
    }

    /// A step was answered. Without an outcome it was not done, and is asked for again or needs a person.
    fn step_ended(&self, verb: Verb, action: &str, outcome: Option<Outcome>, took: Duration) {
        let _ = (verb, action, outcome, took);
    }

    /// Something became of a report.
    fn report(&self, news: ReportNews) {
        let _ = news;
    }

    /// A look for what dead processes left behind ended, and found this many requests.
    fn swept(&self, found: usize) {
        let _ = found;
    }

    /// A transaction of the kit is durable; `took` is from when it was asked for.
    fn committed(&self, took: Duration) {
        let _ = took;
    }
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportNews {
    /// It is in the outbox, durable.
    Queued,
    /// The supervisor has it.
    Sent,
    /// A try failed; it is tried again.
    Waits,
    /// The supervisor will never take it.
    Refused,
}

/// Looks away.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Nobody;

impl Observer for Nobody {}
