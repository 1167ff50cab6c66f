//! Who may report as whom on a broker: by the subject or topic that a message came on, which the broker guards. Pure.

use super::fault::Fault;
use amends_protocol::{ProblemCode, is_opaque_name};
use std::collections::BTreeSet;

/// Who may report on what matches a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reporters {
    /// The service whose name stands where the pattern has its `*`.
    Named,
    /// These.
    Some(BTreeSet<String>),
    /// All.
    All,
}

/// A subject or topic, with who may report there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// A subject or topic, in which a word may be `*`, and the last one `>`.
    pub pattern: String,
    /// Who may.
    pub reporters: Reporters,
}

impl Channel {
    /// A channel, from a list of services as people write it: empty is who stands for `*`, `["*"]` are all.
    ///
    /// # Errors
    /// What is wrong.
    pub fn read(pattern: &str, services: &[String]) -> Result<Self, String> {
        let reporters = match services {
            [] if pattern.split('.').filter(|word| *word == "*").count() == 1 => Reporters::Named,
            [] => {
                return Err("an empty list means the service that stands for `*`, and there is not exactly one `*`; name the \
                            services that may report there, or `\"*\"` for all"
                    .to_owned());
            }
            [all] if all == "*" => Reporters::All,
            some => {
                if let Some(wrong) = some.iter().find(|name| !is_opaque_name(name) || *name == "*")
                {
                    return Err(format!(
                        "`{wrong}` is no name of a service; `\"*\"` stands alone and means all"
                    ));
                }
                Reporters::Some(some.iter().cloned().collect())
            }
        };
        Ok(Self { pattern: pattern.to_owned(), reporters })
    }

    /// Whether it is where something came.
    pub(super) fn matches(&self, place: &str) -> bool {
        let (mut wanted, mut words) = (self.pattern.split('.'), place.split('.'));
        loop {
            match (wanted.next(), words.next()) {
                (None, None) => return true,
                (Some(">"), Some(_)) => return true,
                (Some("*"), Some(_)) => {}
                (Some(wanted), Some(word)) if wanted == word => {}
                _ => return false,
            }
        }
    }

    /// Whether something can come on both.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        let (mut ours, mut theirs) = (self.pattern.split('.'), other.pattern.split('.'));
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) | (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
                (Some(one), Some(two)) if one == two || one == "*" || two == "*" => {}
                _ => return false,
            }
        }
    }

    fn has(&self, place: &str, service: &str) -> bool {
        match &self.reporters {
            Reporters::All => true,
            Reporters::Some(services) => services.contains(service),
            Reporters::Named => {
                let mut pairs = self.pattern.split('.').zip(place.split('.'));
                pairs.any(|(wanted, word)| wanted == "*" && word == service)
            }
        }
    }
}

/// That a service may report where its message came.
///
/// # Errors
/// `forbidden`, with who may.
pub(crate) fn speaks_there(channels: &[Channel], place: &str, service: &str) -> Result<(), Fault> {
    let mut there = channels.iter().filter(|channel| channel.matches(place)).peekable();
    let refused = |why: String| Err(Fault::new(ProblemCode::Forbidden, why));
    if there.peek().is_none() {
        return refused(format!(
            "nobody may report on `{place}`: the configuration does not name it"
        ));
    }
    if there.any(|channel| channel.has(place, service)) {
        return Ok(());
    }
    refused(format!(
        "`{service}` may not report on `{place}`; the configuration says which services may, and the broker who may publish there"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(pattern: &str, services: &[&str]) -> Channel {
        let services: Vec<String> = services.iter().map(|name| (*name).to_owned()).collect();
        Channel::read(pattern, &services).expect("a channel")
    }

    #[test]
    fn who_may_report_is_said_by_where_it_came() {
        let channels = [
            channel("amends.reports.*", &[]),
            channel("legacy.>", &["order", "mail"]),
            channel("bridge", &["*"]),
        ];
        let may = |place: &str, service: &str| speaks_there(&channels, place, service).is_ok();
        assert!(may("amends.reports.payment", "payment"));
        assert!(!may("amends.reports.payment", "order"), "another's subject");
        assert!(!may("amends.reports.payment.x", "payment") && !may("amends.reports", "reports"));
        assert!(may("legacy.shop.failures", "order") && may("legacy.x", "mail"));
        assert!(!may("legacy.shop.failures", "payment") && !may("legacy", "order"));
        assert!(may("bridge", "anybody") && !may("bridges", "anybody"));
        let why = speaks_there(&channels, "elsewhere", "order").expect_err("not named").detail;
        assert!(why.contains("does not name it"), "{why}");
        let why = speaks_there(&channels, "legacy.x", "payment").expect_err("not its").detail;
        assert!(why.contains("`payment` may not report on `legacy.x`"), "{why}");
    }

    #[test]
    fn two_patterns_meet_where_something_can_come_on_both() {
        let all = |pattern: &str| channel(pattern, &["*"]);
        for (one, two, meet) in [
            ("a.b", "a.b", true),
            ("a.*", "*.b", true),
            ("a.>", "a.b.c", true),
            (">", "a.*", true),
            ("a.*", "a.b.c", false),
            ("a.>", "a", false),
            ("a.b", "a.c", false),
        ] {
            assert_eq!(all(one).meets(&all(two)), meet, "{one} {two}");
            assert_eq!(all(two).meets(&all(one)), meet, "{two} {one}");
        }
    }

    #[test]
    fn what_nobody_can_mean_is_a_mistake() {
        for (pattern, services) in [
            ("reports", &[][..]),
            ("a.*.*", &[]),
            ("a.>", &[]),
            ("a", &["*", "order"]),
            ("a", &["b c"]),
        ] {
            let services: Vec<String> = services.iter().map(|name| (*name).to_owned()).collect();
            assert!(Channel::read(pattern, &services).is_err(), "{pattern} {services:?}");
        }
    }
}
