//! The title of a group of open work: `payment unreachable: 412 waiting since 14:02 UTC`.

use super::moments::minute;
use crate::Cause;
use amends_protocol::Timestamp;

/// The title of a group. `error` is what the last try brought, or the report of unmatched cases.
#[must_use]
pub fn group_title(
    service: &str,
    cause: Cause,
    stuck: bool,
    error: Option<&str>,
    count: u64,
    since: Timestamp,
) -> String {
    let what = match cause {
        Cause::Unreachable => format!("{service} unreachable"),
        Cause::NoAnswer => format!("{service} does not answer"),
        Cause::Status => format!("{service} answers with an error"),
        Cause::History => format!("no History of {service} can be read"),
        Cause::Busy => format!("{service} is busy"),
        Cause::Refused => format!("{service} refuses"),
        Cause::Rejected => format!("{service} says the request is invalid"),
        Cause::Rejecting => format!("{service} rejects whatever it is asked"),
        Cause::Unsendable => format!("the request to {service} cannot be built"),
        Cause::Approval => format!("{service} waits for approval"),
        Cause::Unmatched => format!("no rule answers {}", error.unwrap_or(service)),
        Cause::Question => format!("a question about {service}: {}", error.unwrap_or_default()),
        Cause::Paused => format!("{service} paused"),
        Cause::Held => format!("{service} waits for the release of {}", error.unwrap_or("a rule")),
        Cause::Accepted => format!("{service} works on it"),
        Cause::Callers => format!("{service} waits for whoever may still call it"),
        Cause::Stage => format!("{service} comes after an earlier stage"),
        Cause::Queued => format!("{service} has a queue"),
        Cause::Asked => format!("{service} is being asked"),
    };
    let how = match stuck {
        true => "stuck",
        false => "waiting",
    };
    format!("{what}: {count} {how} since {}", minute(since))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_says_who_why_how_many_and_since_when() {
        let since = Timestamp(1_700_000_000_000);
        let title = |cause, stuck| group_title("payment", cause, stuck, Some("a/b"), 412, since);
        assert_eq!(
            title(Cause::Unreachable, false),
            "payment unreachable: 412 waiting since 22:13 UTC"
        );
        assert_eq!(title(Cause::Refused, true), "payment refuses: 412 stuck since 22:13 UTC");
        assert_eq!(title(Cause::Unmatched, true), "no rule answers a/b: 412 stuck since 22:13 UTC");
        let all: std::collections::BTreeSet<_> =
            Cause::ALL.iter().map(|cause| title(*cause, false)).collect();
        assert_eq!(all.len(), Cause::ALL.len(), "no two causes have one title");
    }
}
