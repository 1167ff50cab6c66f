//! What templates say of times and states. They hand over references of any depth, so these take them.

use amends_api::CaseSummary;
use amends_api::sentence;
use amends_api::signs::{self, Sign};
use amends_protocol::Timestamp;

/// A moment, or a reference to one.
pub(super) trait Moment {
    fn moment(&self) -> Timestamp;
}

impl Moment for Timestamp {
    fn moment(&self) -> Timestamp {
        *self
    }
}

impl<T: Moment> Moment for &T {
    fn moment(&self) -> Timestamp {
        (*self).moment()
    }
}

/// `12s ago`, `in 3m`, `now`.
pub(super) fn relative(at: impl Moment, now: impl Moment) -> String {
    sentence::relative(at.moment(), now.moment())
}

/// As [`relative`], of what is to come: what should have come already comes now.
pub(super) fn upcoming(at: impl Moment, now: impl Moment) -> String {
    sentence::relative(at.moment().max(now.moment()), now.moment())
}

/// `2026-11-23 08:06:33Z`.
pub(super) fn date_and_time(at: impl Moment) -> String {
    sentence::date_and_time(at.moment())
}

/// The length from one moment to another, e.g. `1h 4m`; below a second, in milliseconds.
pub(super) fn between(from: impl Moment, to: impl Moment) -> String {
    millis(&to.moment().ms_since(from.moment()))
}

/// Milliseconds as people say them: `340 ms`, `12s`.
pub(super) fn millis(ms: &u64) -> String {
    if *ms < 1_000 { format!("{ms} ms") } else { sentence::span(*ms) }
}

/// What is shown of where a case stands.
pub(super) fn case_sign(case: &CaseSummary) -> Sign {
    if case.quarantined {
        return signs::QUARANTINED;
    }
    signs::case_sign(case.state, case.closed_on)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// INVARIANT: every sign comes from the table of signs, whichever page shows it.
    #[test]
    fn no_template_draws_a_sign_of_its_own() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console/templates");
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).expect("it is there") {
            let path = entry.expect("readable").path();
            let text = std::fs::read_to_string(&path).expect("UTF-8");
            let draws = text.contains("class=\"sign");
            assert_eq!(draws, path.ends_with("words.html"), "{}", path.display());
            seen += 1;
        }
        assert!(seen > 20, "{seen} templates");
    }
}
