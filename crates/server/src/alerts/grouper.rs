//! Groups alert of one kind about one subject, and says when each group is to be told. Pure: the time comes in.
//!
//! A probe that fails opens a breaker again and again; only the first counts until the group has been quiet for a
//! while. A case counts once per group and message, whatever happens to it meanwhile.

use amends_protocol::{CaseId, Timestamp};
use std::collections::BTreeMap;
use std::fmt;

/// Cases that a message names; the rest is a number.
pub(super) const NAMED_CASES: usize = 10;

/// Cases of one group that are told apart. Past it, a case that comes twice counts twice.
const KNOWN_CASES: usize = 10_000;

/// Groups that wait at once. Subjects are actions and services of rulebooks, so this is never reached in earnest.
const GROUPS: usize = 1_000;

/// What is alerted of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A step needs a person.
    Stuck,
    /// Evidence leaves something in doubt, and holds a case.
    Question,
    /// No rule answers a report.
    Unmatched,
    /// A case can't be worked on, or a stored row can't be read.
    Quarantined,
    /// A message of a broker could not be taken as a report.
    Rejected,
    /// A service's breaker opened.
    OutOfReach,
    /// A service gave one definite answer to all steps for minutes.
    Rejecting,
    /// No History of a service could be read for ten minutes.
    HistoriesUnavailable,
    /// A saga was neither ended nor reported in time.
    DeadlineMissed,
    /// A case is older than the objective.
    TooOld,
    /// The wall clock was set, or is wrong.
    ClockJumped,
    /// A token that is kept for emergencies was used.
    BreakGlass,
    /// A node has not shown itself for seconds.
    NodeSilent,
    /// The clock of a node is off that of the database.
    NodeClockOff,
    /// Partitions are held by nobody.
    Unheld,
    /// What nodes leave for each other is not taken.
    LettersWaiting,
}

impl Kind {
    /// All of them.
    #[cfg(test)]
    pub(super) const ALL: [Self; 16] = [
        Self::Stuck,
        Self::Question,
        Self::Unmatched,
        Self::Quarantined,
        Self::Rejected,
        Self::OutOfReach,
        Self::Rejecting,
        Self::HistoriesUnavailable,
        Self::DeadlineMissed,
        Self::TooOld,
        Self::ClockJumped,
        Self::BreakGlass,
        Self::NodeSilent,
        Self::NodeClockOff,
        Self::Unheld,
        Self::LettersWaiting,
    ];

    /// The word in a message's `type`, after `amends.`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Stuck => "case.stuck",
            Self::Question => "case.question",
            Self::Unmatched => "case.unmatched",
            Self::Quarantined => "case.quarantined",
            Self::Rejected => "report.rejected",
            Self::OutOfReach => "service.out_of_reach",
            Self::Rejecting => "service.rejecting",
            Self::HistoriesUnavailable => "service.histories_unavailable",
            Self::DeadlineMissed => "saga.deadline_missed",
            Self::TooOld => "case.too_old",
            Self::ClockJumped => "clock.jumped",
            Self::BreakGlass => "access.break_glass",
            Self::NodeSilent => "node.silent",
            Self::NodeClockOff => "node.clock_off",
            Self::Unheld => "partitions.unheld",
            Self::LettersWaiting => "letters.waiting",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that somebody should hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alert {
    pub(crate) at: Timestamp,
    pub(crate) kind: Kind,
    /// What the group is about, e.g. `compensate payment.pay`, or a service; empty where the kind says all.
    pub(crate) subject: String,
    pub(crate) case: Option<CaseId>,
    pub(crate) reason: String,
}

/// What one message tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) kind: Kind,
    pub(crate) subject: String,
    /// When the first of it came.
    pub(crate) since: Timestamp,
    /// The first cases; all of them count in `count`.
    pub(crate) cases: Vec<CaseId>,
    pub(crate) count: u64,
    /// Of the newest.
    pub(crate) reason: String,
    send_at: Timestamp,
}

/// All groups that wait, and when each was told last.
#[derive(Debug)]
pub(crate) struct AlertGrouper {
    group_wait_ms: u64,
    every_ms: u64,
    waiting: BTreeMap<(Kind, String), Group>,
    told: BTreeMap<(Kind, String), Timestamp>,
}

impl AlertGrouper {
    pub(crate) fn new(group_wait_ms: u64, every_ms: u64) -> Self {
        Self { group_wait_ms, every_ms, waiting: BTreeMap::new(), told: BTreeMap::new() }
    }

    /// Something is to be told.
    pub(crate) fn observe(&mut self, alert: Alert) {
        let key = (alert.kind, alert.subject);
        if self.waiting.len() >= GROUPS && !self.waiting.contains_key(&key) {
            return;
        }
        let soon = alert.at.plus_ms(self.group_wait_ms);
        let rested = self.told.get(&key).map(|told| told.plus_ms(self.every_ms));
        let group = self.waiting.entry(key.clone()).or_insert_with(|| Group {
            kind: key.0,
            subject: key.1,
            since: alert.at,
            cases: Vec::new(),
            count: 0,
            reason: String::new(),
            send_at: rested.map_or(soon, |rested| rested.max(soon)),
        });
        group.reason = alert.reason;
        match alert.case {
            Some(case) if group.cases.contains(&case) => {}
            Some(case) => {
                group.count += 1;
                if group.cases.len() < KNOWN_CASES {
                    group.cases.push(case);
                }
            }
            None => group.count += 1,
        }
    }

    /// When [`AlertGrouper::due`] will next have something.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.waiting.values().map(|group| group.send_at).min()
    }

    /// Takes the groups whose time has come.
    pub(crate) fn due(&mut self, now: Timestamp) -> Vec<Group> {
        self.told.retain(|_, told| told.plus_ms(self.every_ms) > now);
        let keys: Vec<_> = self
            .waiting
            .iter()
            .filter(|(_, group)| group.send_at <= now)
            .map(|(key, _)| key.clone())
            .collect();
        keys.into_iter()
            .filter_map(|key| {
                let group = self.waiting.remove(&key)?;
                self.told.insert(key, now);
                Some(group)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stuck(at: i64, case: u64) -> Alert {
        Alert {
            at: Timestamp(at),
            kind: Kind::Stuck,
            subject: "compensate payment.pay".to_owned(),
            case: Some(CaseId(case)),
            reason: format!("refused: {case}"),
        }
    }

    #[test]
    fn what_comes_together_is_told_together_and_each_case_once() {
        let mut grouper = AlertGrouper::new(10_000, 300_000);
        for (at, case) in [(0, 1), (10, 2), (20, 1), (9_999, 3)] {
            grouper.observe(stuck(at, case));
        }
        assert_eq!(grouper.next_at(), Some(Timestamp(10_000)));
        assert_eq!(grouper.due(Timestamp(9_999)), []);
        let told = grouper.due(Timestamp(10_000));
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].count, told[0].cases.len()), (3, 3));
        assert_eq!(told[0].reason, "refused: 3");
        assert_eq!(grouper.next_at(), None);
    }

    #[test]
    fn a_group_that_was_told_rests_and_what_came_meanwhile_is_told_then() {
        let mut grouper = AlertGrouper::new(10_000, 300_000);
        grouper.observe(stuck(0, 1));
        assert_eq!(grouper.due(Timestamp(10_000)).len(), 1);
        grouper.observe(stuck(20_000, 2));
        grouper.observe(stuck(30_000, 3));
        assert_eq!(grouper.next_at(), Some(Timestamp(310_000)));
        let told = grouper.due(Timestamp(310_000));
        assert_eq!((told[0].count, told[0].since), (2, Timestamp(20_000)));
    }

    #[test]
    fn groups_do_not_hold_up_each_other() {
        let mut grouper = AlertGrouper::new(10_000, 300_000);
        grouper.observe(stuck(0, 1));
        grouper.due(Timestamp(10_000));
        let other = Alert { subject: "compensate coupon.redeem".to_owned(), ..stuck(15_000, 4) };
        grouper.observe(stuck(15_000, 2));
        grouper.observe(other);
        let told = grouper.due(Timestamp(25_000));
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].subject, "compensate coupon.redeem");
    }

    #[test]
    fn a_breaker_that_opens_at_every_probe_is_told_once_in_a_while() {
        let mut grouper = AlertGrouper::new(10_000, 300_000);
        let mut told = 0;
        for second in 0..600 {
            let at = Timestamp(second * 1_000);
            grouper.observe(Alert {
                at,
                kind: Kind::OutOfReach,
                subject: "payment".to_owned(),
                case: None,
                reason: "connection refused".to_owned(),
            });
            told += grouper.due(at).len();
        }
        assert_eq!(told, 2, "after 10 s and after 310 s");
    }

    #[test]
    fn a_flood_has_bounds() {
        let mut grouper = AlertGrouper::new(0, 0);
        for n in 0..2 * GROUPS {
            grouper.observe(Alert { subject: n.to_string(), ..stuck(0, 1) });
        }
        assert_eq!(grouper.due(Timestamp(0)).len(), GROUPS);
    }
}
