//! The present moment, and times as a person reads them. The clock is read here and nowhere else in the CLI.

pub use amends_api::sentence::{date_and_time as clock, relative, span};

use amends_protocol::Timestamp;

/// The present moment by this machine's clock.
pub fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}
