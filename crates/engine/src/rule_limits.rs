//! How many cases each limited rule has answered in its current minute. A minute begins with the first case after the
//! one before has ended, not with the clock's: else a burst across the full minute would pass twice the limit.
//!
//! INVARIANT: in a store that several share, what a turn lets through is counted by its commit ([`RuleCases`]), and
//! the commit is refused if that is more than the limit leaves. What is known here only spares most of such refusals.

use crate::Partition;
use amends_protocol::Timestamp;
use amends_rulebook::Rulebook;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A limit counts the cases of this long, in milliseconds.
pub const RULE_MINUTE_MS: u64 = 60_000;

/// A rule: the content hash of its rulebook's version, and its index there.
type RuleKey = (Arc<str>, u32);

/// Cases that a turn lets a limited rule answer, for a store that several share to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleCases {
    /// Content hash of the version of the rulebook.
    pub rulebook: Arc<str>,
    /// Index of the rule in it.
    pub rule: u32,
    /// Most cases a minute.
    pub limit: u32,
    /// So many more.
    pub cases: u32,
}

/// A limited rule's current minute, as a store tells it that several share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleMinute {
    /// Content hash of the version of the rulebook.
    pub rulebook: Arc<str>,
    /// Index of the rule in it.
    pub rule: u32,
    /// Cases that it has answered since the minute began.
    pub cases: u32,
    /// How long ago that was, in milliseconds.
    pub age_ms: u64,
}

#[derive(Clone, Copy, Debug)]
struct Minute {
    began: Timestamp,
    cases: u32,
}

impl Minute {
    fn beginning(now: Timestamp) -> Self {
        Self { began: now, cases: 0 }
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now.ms_since(self.began) >= RULE_MINUTE_MS
    }
}

/// What an engine knows of the minutes of limited rules, and what it has let through.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleLimits {
    minutes: FxHashMap<RuleKey, Minute>,
    /// Since the last output: limits and cases.
    admitted: BTreeMap<(Partition, RuleKey), (u32, u32)>,
}

impl RuleLimits {
    /// Counts one more case; false if that would pass the rule's limit.
    pub(crate) fn admit(
        &mut self,
        now: Timestamp,
        partition: Partition,
        (book, rule): (&Rulebook, u32),
        per_minute: u32,
    ) -> bool {
        let key: RuleKey = (book.hash().into(), rule);
        let minute = self.minutes.entry(key.clone()).or_insert_with(|| Minute::beginning(now));
        if minute.is_over(now) {
            *minute = Minute::beginning(now);
        }
        if minute.cases >= per_minute {
            return false;
        }
        minute.cases += 1;
        let (limit, cases) = self.admitted.entry((partition, key)).or_default();
        *limit = per_minute;
        *cases += 1;
        true
    }

    /// What was let through since it was asked last, by partition.
    pub(crate) fn take_admitted(&mut self) -> Vec<(Partition, RuleCases)> {
        let admitted = std::mem::take(&mut self.admitted).into_iter();
        let told = admitted.map(|((partition, (rulebook, rule)), (limit, cases))| {
            (partition, RuleCases { rulebook, rule, limit, cases })
        });
        told.collect()
    }

    /// The store that several share tells all minutes that are not over. What was let through since the last output it
    /// has yet to count.
    pub(crate) fn know(&mut self, told: Vec<RuleMinute>, now: Timestamp) {
        let minutes = told.into_iter().map(|RuleMinute { rulebook, rule, cases, age_ms }| {
            ((rulebook, rule), Minute { began: now.minus_ms(age_ms), cases })
        });
        self.minutes = minutes.collect();
        for ((_, key), (_, cases)) in &self.admitted {
            let minute = self.minutes.entry(key.clone()).or_insert_with(|| Minute::beginning(now));
            minute.cases = minute.cases.saturating_add(*cases);
        }
    }
}

/// The minutes of limited rules as they are kept by a store in memory that several share.
#[derive(Clone, Debug, Default)]
pub struct RuleMinutes(BTreeMap<RuleKey, Minute>);

impl RuleMinutes {
    /// Counts what a commit lets through; nothing of it, and false, if a rule would pass its limit.
    pub fn count<'c>(
        &mut self,
        cases: impl IntoIterator<Item = &'c RuleCases>,
        now: Timestamp,
    ) -> bool {
        let mut counted = self.0.clone();
        for of in cases {
            let key = (Arc::clone(&of.rulebook), of.rule);
            let minute = counted.entry(key).or_insert_with(|| Minute::beginning(now));
            if minute.is_over(now) {
                *minute = Minute::beginning(now);
            }
            minute.cases = minute.cases.saturating_add(of.cases);
            if minute.cases > of.limit {
                return false;
            }
        }
        self.0 = counted;
        true
    }

    /// All minutes that are not over.
    #[must_use]
    pub fn told(&self, now: Timestamp) -> Vec<RuleMinute> {
        let current = self.0.iter().filter(|(_, minute)| !minute.is_over(now));
        let told = current.map(|((rulebook, rule), minute)| RuleMinute {
            rulebook: Arc::clone(rulebook),
            rule: *rule,
            cases: minute.cases,
            age_ms: now.ms_since(minute.began),
        });
        told.collect()
    }
}
