//! What came of a run: what the senders were told, held against what the services have in their files and the database
//! in its tables.

use super::load::Tries;
use super::sagas::{Kind, LIMIT, Mix};
use super::services::{Done, PRINTER};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A minute of a rule's limit.
const MINUTE_MS: i64 = 60_000;

/// All that is known of a run at one moment.
pub struct Seen<'a> {
    pub mix: Mix,
    /// By saga, as [`Done::of_sagas`] has its times; 0 if it was not.
    pub acknowledged: &'a [u64],
    pub services: &'a [Done],
    /// Cases by the limited rule, by their opening in milliseconds: when, and whose.
    pub limited: &'a [(i64, usize)],
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub acknowledged: usize,
    /// Acknowledged, and not asked of all services; or, by the limited rule, without a case.
    pub lost: usize,
    /// What took effect at the services, and what they were asked for without any.
    pub steps_carried_out: u64,
    pub asked_again: u64,
    /// Effects that came after another one of the same saga at the same service.
    pub doubled_in_effect: u64,
    /// Most requests at one moment, at the service that bears one.
    pub most_at_once: u32,
    /// Cases by the limited rule; those that went by themselves, how many may at most, and those that wait for a
    /// person.
    pub limited: usize,
    pub went_by_themselves: usize,
    pub may_go_by_themselves: usize,
    pub waiting_for_a_person: usize,
    /// From the acknowledgement of a report until the last of its compensations took effect: of those that all services
    /// could take at once, and of those that wait for a service that bears one request at a time.
    pub until_done_ms: Waits,
    pub until_printed_ms: Waits,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Waits {
    pub p50: u64,
    pub p99: u64,
    pub max: u64,
}

impl Waits {
    fn of(mut micros: Vec<u64>) -> Self {
        micros.sort_unstable();
        let last = micros.len().saturating_sub(1);
        let at = |share| micros.get(last * share / 100).map_or(0, |us| us / 1_000);
        Self { p50: at(50), p99: at(99), max: at(100) }
    }
}

impl Seen<'_> {
    /// When a saga had all its effects; none as long as it has not.
    fn done_at(&self, saga: usize) -> Option<u64> {
        let of = |service: &usize| self.services[*service].of_sagas.get(saga).copied();
        let all = self.mix.kind(saga).services().iter().map(of);
        let all: Option<Vec<(u32, u64)>> = all.collect();
        let all = all.filter(|all| all.iter().all(|(times, _)| *times > 0))?;
        all.into_iter().map(|(_, at)| at).max()
    }

    /// Sums it up.
    pub fn outcome(&self) -> Outcome {
        let mut seen = Outcome::default();
        let known: BTreeSet<usize> = self.limited.iter().map(|(_, saga)| *saga).collect();
        let (mut usual, mut narrow) = (Vec::new(), Vec::new());
        let acknowledged = self.acknowledged.iter().enumerate().filter(|(_, at)| **at > 0);
        for (saga, at) in acknowledged {
            seen.acknowledged += 1;
            let took = self.done_at(saga).map(|done| done.saturating_sub(*at));
            match (self.mix.kind(saga), took) {
                (Kind::Usual, Some(took)) => usual.push(took),
                (Kind::Narrow, Some(took)) => narrow.push(took),
                (Kind::Limited, None) if known.contains(&saga) => seen.waiting_for_a_person += 1,
                (Kind::Limited, Some(_)) => {}
                (_, None) => seen.lost += 1,
            }
        }
        for done in self.services {
            seen.steps_carried_out += done.effects;
            seen.asked_again += done.requests.saturating_sub(done.effects);
            let doubled = done.of_sagas.iter().map(|(times, _)| u64::from(times.saturating_sub(1)));
            seen.doubled_in_effect += doubled.sum::<u64>();
        }
        seen.most_at_once = self.services.get(PRINTER).map_or(0, |printer| printer.most_at_once);
        seen.limited = self.limited.len();
        let went = self.limited.iter().filter(|(_, saga)| self.done_at(*saga).is_some());
        seen.went_by_themselves = went.count();
        seen.may_go_by_themselves = LIMIT * minutes(self.limited);
        (seen.until_done_ms, seen.until_printed_ms) = (Waits::of(usual), Waits::of(narrow));
        seen
    }

    /// When the last of those that were acknowledged by then had all its effects; none as long as one has not.
    pub fn all_done_at(&self, acknowledged_by: u64) -> Option<u64> {
        let all = self.acknowledged.iter().enumerate();
        let until_then = all.filter(|(_, at)| (1..=acknowledged_by).contains(*at));
        let done: Option<Vec<u64>> = until_then.map(|(saga, _)| self.done_at(saga)).collect();
        done.map(|done| done.into_iter().max().unwrap_or_default())
    }
}

/// How many minutes can have begun with one of these cases, which come in the order of their opening: each begins with
/// the first case after the one before is over. When that was is known to the database alone, some milliseconds apart
/// from the opening; so only all minutes together can be judged.
fn minutes(cases: &[(i64, usize)]) -> usize {
    let ends = cases.first().zip(cases.last());
    let begun = ends.map(|((first, _), (last, _))| (last - first) / MINUTE_MS + 1);
    begun.and_then(|begun| usize::try_from(begun).ok()).unwrap_or(0)
}

/// What has to hold, and whether it does.
pub struct Promises {
    /// Partitions that were at another node after the database had been away, if it was.
    pub moved: Option<usize>,
    /// Longest that a report may have waited until all was asked for, in milliseconds.
    pub longest_ms: u64,
    pub tries: Tries,
}

impl Promises {
    /// A line for each, and those that are broken.
    pub fn judged(&self, of: &Outcome) -> (Value, Vec<&'static str>) {
        let longest = of.until_done_ms.max.max(of.until_printed_ms.max);
        let all = [
            ("no report that was acknowledged is lost", of.lost == 0 && of.acknowledged > 0),
            ("nothing takes effect twice", of.doubled_in_effect == 0),
            ("`concurrency: 1` is never passed", of.most_at_once <= 1),
            ("a rule's limit is never passed", of.went_by_themselves <= of.may_go_by_themselves),
            ("no report waits for longer than it may", longest <= self.longest_ms),
            ("no sender is told what only a wrong report may be", self.tries.wrong_answers == 0),
            ("the database moves no partition by being away", self.moved.unwrap_or(0) == 0),
        ];
        // The last, if it was tried.
        let all = &all[..all.len() - usize::from(self.moved.is_none())];
        let word = |holds: bool| if holds { "holds" } else { "broken" };
        let lines = all.iter().map(|(what, holds)| ((*what).to_owned(), json!(word(*holds))));
        let lines = Value::Object(lines.collect());
        (lines, all.iter().filter(|(_, holds)| !holds).map(|(what, _)| *what).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::services::SERVICES;

    /// Sagas 0 and 1 are usual, 7 is narrow, 13 and 33 are limited.
    fn all_well() -> (Vec<u64>, Vec<Done>) {
        let (mut acknowledged, mut services) = (vec![0; 40], Vec::new());
        for (n, _) in SERVICES.iter().enumerate() {
            let mut done = Done { of_sagas: vec![(0, 0); 40], most_at_once: 1, ..Done::default() };
            for saga in [0, 1, 7, 13] {
                acknowledged[saga] = 1_000;
                if Mix::All.kind(saga).services().contains(&n) {
                    done.of_sagas[saga] = (1, 6_000 + saga as u64 * 1_000);
                    (done.effects, done.requests) = (done.effects + 1, done.requests + 1);
                }
            }
            services.push(done);
        }
        acknowledged[33] = 1_000;
        (acknowledged, services)
    }

    fn seen<'a>(acknowledged: &'a [u64], services: &'a [Done]) -> Seen<'a> {
        Seen { mix: Mix::All, acknowledged, services, limited: &[(0, 13), (5, 33)] }
    }

    fn broken(moved: usize, of: &Outcome) -> Vec<&'static str> {
        let tries = Tries { sent_again: 0, wrong_answers: 0 };
        Promises { moved: Some(moved), longest_ms: 30_000, tries }.judged(of).1
    }

    #[test]
    fn a_run_in_which_all_is_well_breaks_nothing() {
        let (acknowledged, services) = all_well();
        let outcome = seen(&acknowledged, &services).outcome();
        assert_eq!((outcome.acknowledged, outcome.lost, outcome.waiting_for_a_person), (5, 0, 1));
        assert_eq!((outcome.steps_carried_out, outcome.asked_again), (10, 0));
        assert_eq!((outcome.until_done_ms.max, outcome.until_printed_ms.max), (6, 12));
        assert_eq!((outcome.limited, outcome.went_by_themselves), (2, 1));
        assert_eq!(broken(0, &outcome), Vec::<&str>::new());
        assert_eq!(seen(&acknowledged, &services).all_done_at(999), Some(0));
        assert_eq!(seen(&acknowledged, &services).all_done_at(1_000), None, "33 waits");
    }

    #[test]
    fn each_promise_that_is_broken_is_named() {
        let (acknowledged, mut services) = all_well();
        services[0].of_sagas[0] = (0, 0);
        services[1].of_sagas[1] = (2, 40_000_000);
        services[PRINTER].most_at_once = 2;
        let outcome = seen(&acknowledged, &services).outcome();
        assert_eq!((outcome.lost, outcome.doubled_in_effect), (1, 1));
        let outcome = Outcome { went_by_themselves: LIMIT + 1, ..outcome };
        let broken = broken(1, &outcome);
        assert_eq!(broken.len(), 6, "{broken:?}");
    }

    #[test]
    fn a_minute_begins_with_a_case_after_the_one_before() {
        assert_eq!(minutes(&[]), 0);
        assert_eq!(minutes(&[(5, 0), (59_999, 1)]), 1);
        assert_eq!(minutes(&[(5, 0), (60_005, 1), (120_004, 2)]), 2);
    }
}
