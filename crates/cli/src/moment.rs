//! The present moment, and times as a person reads them. The clock is read here and nowhere else in the CLI.

pub use amends_api::sentence::{date_and_time as clock, relative, span};

use amends_protocol::Timestamp;
use amends_rulebook::duration::parse_ms;
use std::time::Duration;

/// The present moment by this machine's clock.
pub fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

/// How long to wait for something, as a person writes it.
pub fn time_limit(text: &str) -> Result<Duration, String> {
    let ms = parse_ms(text)
        .map_err(|_| format!("`{text}` is no time; write e.g. `90s`, `15m` or `2h`"))?;
    Ok(Duration::from_millis(ms))
}
