//! How the brokers stand to us, as far as we have heard: reached or away, letting us in or not, with all that we read
//! or without. Pure.

use rdkafka::error::RDKafkaErrorCode as Code;

/// What is known. At first nothing is, and no reports come.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Our group is reached.
    up: bool,
    /// Of all brokers none is reached.
    away: bool,
    /// What one has said that does not let us in.
    refusal: Option<String>,
    /// There is a topic that we may not read.
    denied: bool,
    /// Channels that no topic is there for; unknown until somebody has looked.
    missing: Option<Vec<String>>,
    /// What was told of what is wrong, so that it is told once.
    told: Vec<Code>,
}

impl Standing {
    /// The library says that something is wrong; says whether that is new.
    pub(super) fn hears(&mut self, code: Code, reason: &str) -> bool {
        match code {
            Code::AllBrokersDown => (self.up, self.away) = (false, true),
            Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL => {
                self.refused(reason);
            }
            Code::TopicAuthorizationFailed => self.denied = true,
            // By how far the connection was, it comes under several codes.
            _ if reason.contains("certificate") => self.refused(reason),
            _ => {}
        }
        let is_new = !self.told.contains(&code);
        if is_new {
            self.told.push(code);
        }
        is_new
    }

    fn refused(&mut self, reason: &str) {
        // How long it took is new each time.
        let why = reason.split(" (after ").next().unwrap_or_default();
        self.refusal = Some(why.to_owned());
    }

    /// Our group is reached, or is not.
    pub(super) fn reached(&mut self, up: bool) {
        self.up = up;
        if up {
            (self.away, self.refusal) = (false, None);
        }
        if self.is_well() {
            self.told.clear();
        }
    }

    /// Partitions are ours: the library says it again if there are others that we may not read.
    pub(super) fn assigned(&mut self) {
        self.denied = false;
        self.reached(true);
    }

    /// Somebody has looked which channels have no topic; gives those that had one, or were not known of.
    pub(super) fn lacks(&mut self, missing: Vec<String>) -> Vec<String> {
        let before = self.missing.replace(missing).unwrap_or_default();
        let now = self.missing.iter().flatten();
        now.filter(|channel| !before.contains(channel)).cloned().collect()
    }

    /// Reports come.
    pub(super) fn is_well(&self) -> bool {
        self.up && !self.denied && self.missing.as_ref().is_some_and(Vec::is_empty)
    }

    /// Nobody lets us in, and what one of them has said: files of secrets may have changed since they were read.
    pub(super) fn locked_out(&self) -> Option<&str> {
        self.refusal.as_deref().filter(|_| self.away)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well() -> Standing {
        let mut standing = Standing::default();
        standing.lacks(Vec::new());
        standing.reached(true);
        assert!(standing.is_well());
        standing
    }

    #[test]
    fn nothing_comes_before_it_is_known_that_all_is_there() {
        let mut standing = Standing::default();
        standing.reached(true);
        assert!(!standing.is_well(), "nobody has looked");
        let both = vec!["a.*".to_owned(), "b".to_owned()];
        assert_eq!(standing.lacks(both.clone()), both);
        assert_eq!(standing.lacks(both.clone()), Vec::<String>::new(), "told once");
        assert!(!standing.is_well());
        standing.lacks(Vec::new());
        assert!(standing.is_well());
        assert_eq!(standing.lacks(both.clone()), both, "one that was there is gone");
    }

    #[test]
    fn who_is_away_and_who_does_not_let_us_in_are_told_apart() {
        let mut standing = well();
        standing.hears(Code::SSL, "one of three");
        assert_eq!((standing.is_well(), standing.locked_out()), (true, None), "others are there");
        standing.reached(true);
        assert!(standing.hears(Code::AllBrokersDown, "all"), "new");
        assert!(!standing.hears(Code::AllBrokersDown, "all"), "known");
        assert_eq!((standing.is_well(), standing.locked_out()), (false, None), "they are away");
        standing.hears(Code::Authentication, "b/1: it failed (after 5ms in state AUTH_REQ)");
        assert_eq!(standing.locked_out(), Some("b/1: it failed"));
        standing.reached(true);
        assert_eq!((standing.is_well(), standing.locked_out()), (true, None));
        assert!(standing.hears(Code::AllBrokersDown, "all"), "new again");
    }

    #[test]
    fn a_topic_that_may_not_be_read_is_told_until_partitions_come() {
        let mut standing = well();
        standing.hears(Code::TopicAuthorizationFailed, "reports");
        standing.reached(true);
        assert!(!standing.is_well());
        standing.assigned();
        assert!(standing.is_well());
    }
}
