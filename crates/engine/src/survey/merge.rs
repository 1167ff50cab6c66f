//! Adds up what nodes have found that each hold a part of all cases: as if one had looked through all of them.

use super::{GROUPS, Group, GroupKey, LATE_CASES, Members, Progress, Survey, TROUBLES, Trouble};
use amends_api::QuestionKind;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

impl Survey {
    /// Adds what another node has found.
    pub fn add(&mut self, other: Self) {
        self.at = self.at.max(other.at);
        add_counts(&mut self.cases, other.cases);
        self.awaiting_approval += other.awaiting_approval;
        self.oldest_open_at = match (self.oldest_open_at, other.oldest_open_at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.late += other.late;
        self.late_cases.extend(other.late_cases);
        self.late_cases.truncate(LATE_CASES);
        for (service, progress) in other.services {
            self.services.entry(service).or_default().add(progress);
        }
        add_counts(&mut self.questions, other.questions);
        add_counts(&mut self.noted, other.noted);
        self.add_troubles(other.troubles);
        self.money.add_all(&other.money);
        for (key, group) in other.groups {
            let is_known = self.groups.len() < GROUPS || self.groups.contains_key(&key);
            let key = if is_known { key } else { GroupKey { error: None, ..key } };
            self.groups.entry(key).or_default().add_all(group);
        }
    }

    /// The newest of both; a stranger, of which each node tells, once.
    fn add_troubles(&mut self, other: Vec<Trouble>) {
        let is_stranger = |one: &Trouble| one.question == Some(QuestionKind::Stranger);
        let known: BTreeSet<String> = self
            .troubles
            .iter()
            .filter(|one| is_stranger(one))
            .map(|one| one.subject.clone())
            .collect();
        let new =
            other.into_iter().filter(|one| !is_stranger(one) || !known.contains(&one.subject));
        self.troubles.extend(new);
        self.troubles.sort_by(|a, b| b.cmp(a));
        self.troubles.truncate(TROUBLES);
    }
}

impl Progress {
    fn add(&mut self, other: Self) {
        self.done += other.done;
        self.waived += other.waived;
        self.waiting += other.waiting;
        self.in_flight += other.in_flight;
        self.retrying += other.retrying;
        self.stuck += other.stuck;
    }
}

impl Members {
    /// Adds what belongs to the group among the cases of another node; at most `limit` steps, or cases if it has no
    /// steps, stay.
    pub fn add(&mut self, other: Self, limit: usize) {
        self.more |= other.more;
        self.cases.extend(other.cases);
        self.steps.extend(other.steps);
        self.cases.sort_by_key(|(_, case)| Reverse(*case));
        self.steps.sort_by_key(|(_, step)| (Reverse(step.case), *step));
        self.cases.dedup();
        self.steps.dedup();
        if self.steps.len().max(self.cases.len()) > limit {
            self.more = true;
            self.cases.truncate(limit);
            self.steps.truncate(limit);
        }
        self.group = match (self.group.take(), other.group) {
            (Some((key, mut group)), Some((_, other))) => {
                group.add_all(other);
                Some((key, group))
            }
            (a, b) => a.or(b),
        };
    }
}

fn add_counts<K: Ord>(to: &mut BTreeMap<K, u64>, counts: BTreeMap<K, u64>) {
    for (what, count) in counts {
        *to.entry(what).or_default() += count;
    }
}

/// A map whose keys are no texts, as a list.
pub(super) mod pairs {
    use super::{BTreeMap, Group, GroupKey};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        groups: &BTreeMap<GroupKey, Group>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(groups)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<GroupKey, Group>, D::Error> {
        Ok(Vec::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_api::{CaseState, Cause, Money};
    use amends_protocol::{CaseId, StepId, Timestamp};
    use std::sync::Arc;

    fn group(service: &str, since: i64, case: u64, count: u64) -> (GroupKey, Group) {
        let key = GroupKey {
            service: service.into(),
            action: None,
            verb: None,
            cause: Cause::Unreachable,
            stuck: false,
            error: None,
        };
        let mut group = Group {
            count,
            cases: count,
            since: Timestamp(since),
            case: CaseId(case),
            next_try: Some(Timestamp(since + 60)),
            ..Group::default()
        };
        let euro = Money { currency: "EUR".to_owned(), amount: "12.50".parse().expect("valid") };
        group.money.add(&[euro]);
        (key, group)
    }

    fn survey(cases: u64, groups: Vec<(GroupKey, Group)>) -> Survey {
        let progress = Progress { retrying: cases, ..Progress::default() };
        let survey = Survey {
            cases: BTreeMap::from([(CaseState::Open, cases)]),
            oldest_open_at: Some(Timestamp(1_000 - i64::try_from(cases).expect("small"))),
            services: BTreeMap::from([(Arc::from("bank"), progress)]),
            groups: groups.into_iter().collect(),
            ..Survey::default()
        };
        // As another node hears it.
        let told = serde_json::to_string(&survey).expect("it can be told");
        serde_json::from_str(&told).expect("it is understood")
    }

    #[test]
    fn two_nodes_have_seen_as_much_as_one_that_has_all() {
        let mut all = survey(3, vec![group("bank", 500, 7, 3), group("sms", 1, 2, 1)]);
        all.add(survey(2, vec![group("bank", 400, 9, 2)]));
        assert_eq!(all.cases, BTreeMap::from([(CaseState::Open, 5)]));
        assert_eq!((all.oldest_open_at, all.services["bank"].retrying), (Some(Timestamp(997)), 5));
        let (key, _) = group("bank", 0, 0, 0);
        let bank = &all.groups[&key];
        assert_eq!((bank.count, bank.cases, bank.since), (5, 5, Timestamp(400)));
        assert_eq!((bank.case, bank.next_try), (CaseId(9), Some(Timestamp(460))), "the oldest");
        assert_eq!(bank.money.amounts()[0].amount.to_string(), "25.00");
        assert_eq!(all.groups.len(), 2);
    }

    #[test]
    fn members_of_both_are_in_the_order_of_lists_and_bounded() {
        let members = |cases: &[u64]| {
            let step = |n| StepId { case: CaseId(n), ordinal: 1, tag: 0, part: None };
            Members {
                cases: cases.iter().map(|n| (Timestamp(0), CaseId(*n))).collect(),
                steps: cases.iter().map(|n| (Timestamp(0), step(*n))).collect(),
                more: false,
                group: Some(group("bank", 0, 7, cases.len() as u64)),
            }
        };
        let mut all = members(&[9, 5, 1]);
        all.add(members(&[8, 5, 2]), 10);
        let ids = |all: &Members| all.cases.iter().map(|(_, case)| case.0).collect::<Vec<_>>();
        assert_eq!((ids(&all), all.steps.len()), (vec![9, 8, 5, 2, 1], 5));
        assert_eq!(all.group.as_ref().map(|(_, group)| group.count), Some(6));
        assert!(!all.more);
        all.add(members(&[7]), 4);
        assert_eq!((ids(&all), all.steps.len(), all.more), (vec![9, 8, 7, 5], 4, true));
    }
}
