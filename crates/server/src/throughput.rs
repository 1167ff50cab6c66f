//! How fast work goes and how services answer, of the last minutes. In memory only, and bounded: what must survive is
//! in the store, from which a start takes the last hour's settlements again.

use crate::pace::{Answered, MINUTE_MS, MINUTES, Minute, Pace, Spread};
use amends_api::CaseState;
use amends_engine::{DomainEvent, Event, HistoryResult, StepReading};
use amends_protocol::Timestamp;
use amends_store::Settlements;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amends_node::EffectResult;

/// Settled cases that percentiles are taken of: enough for a p99, and sorted in well under a millisecond.
const SETTLEMENTS: usize = 4_096;
/// Requests to one service that percentiles are taken of.
const ATTEMPTS: usize = 1_024;
/// Requests older than this say nothing about how a service is now.
const ATTEMPT_AGE_MS: u64 = 5 * 60_000;
/// Services that are remembered; more than any supervisor has, so that names never fill the memory.
const SERVICES: usize = 10_000;
/// How far back a start looks for settled cases.
pub(crate) const WINDOW_MS: i64 = MINUTES * MINUTE_MS;
/// Most cases that a start looks at for them: some hundred milliseconds.
pub(crate) const MOST_CASES_AT_START: usize = 200_000;

/// The figures of one supervisor; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecentThroughput(Arc<Mutex<Figures>>);

#[derive(Debug, Default)]
struct Figures {
    /// Since when minutes are known.
    since: Timestamp,
    /// By minute since 1970, in order; only minutes in which something happened.
    minutes: VecDeque<(i64, Minute)>,
    /// The cases that were settled, oldest first.
    settled: VecDeque<SettledCase>,
    attempts: FxHashMap<Arc<str>, VecDeque<Attempt>>,
}

#[derive(Clone, Copy, Debug)]
struct SettledCase {
    at: Timestamp,
    took_ms: u64,
    /// Since the start: else the store knew of it then, whoever has settled it.
    since_start: bool,
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    at: Timestamp,
    took: Duration,
    failed: bool,
}

impl RecentThroughput {
    /// Takes over what the store knows of the last hour.
    pub(crate) fn begin(&self, now: Timestamp, known: &Settlements) {
        let mut figures = self.lock();
        let hour_ago = Timestamp(now.0 - WINDOW_MS);
        figures.since = known.settled_since.map_or(hour_ago, |settled| settled.max(hour_ago));
        let mut times = known.times.clone();
        times.sort_unstable_by_key(|(_, settled)| *settled);
        for (opened, settled) in times {
            figures.settle(opened, settled, false);
        }
    }

    /// Takes note of what has just become durable.
    pub(crate) fn observe(&self, events: &[Event]) {
        if events.is_empty() {
            return;
        }
        let mut figures = self.lock();
        for event in events {
            match &event.what {
                DomainEvent::Reported { .. } => figures.minute(event.at).reported += 1,
                DomainEvent::Case { state: CaseState::Settled, opened_at, .. } => {
                    figures.settle(*opened_at, event.at, true);
                }
                _ => {}
            }
        }
    }

    /// A request to a service has ended.
    pub(crate) fn answered(
        &self,
        service: &Arc<str>,
        at: Timestamp,
        took: Duration,
        end: &EffectResult,
    ) {
        let failed = match end {
            EffectResult::Step(result) => match result.answer {
                // Never sent for a fault of ours: it says nothing of the service.
                StepReading::Unsendable => return,
                StepReading::Done(_) | StepReading::Accepted { .. } | StepReading::Refused => false,
                StepReading::Rejected
                | StepReading::Definite
                | StepReading::Busy { .. }
                | StepReading::NotSent
                | StepReading::Unknown => true,
            },
            EffectResult::History(result) => match result {
                HistoryResult::NoHistory => return,
                HistoryResult::Told(_) | HistoryResult::Unproven { .. } => false,
                HistoryResult::Failed { .. } => true,
            },
        };
        let mut figures = self.lock();
        if !figures.attempts.contains_key(service) && figures.attempts.len() >= SERVICES {
            return;
        }
        let ring = figures.attempts.entry(Arc::clone(service)).or_default();
        if ring.len() == ATTEMPTS {
            ring.pop_front();
        }
        ring.push_back(Attempt { at, took, failed });
    }

    /// The last hour.
    pub(crate) fn pace(&self, now: Timestamp) -> Pace {
        let figures = self.lock();
        let oldest = now.0.div_euclid(MINUTE_MS) - MINUTES;
        let minutes = figures.minutes.iter().filter(|(minute, _)| *minute > oldest).copied();
        let hour_ago = Timestamp(now.0 - WINDOW_MS);
        let recent = || figures.settled.iter().filter(|case| case.at >= hour_ago);
        let own = recent().filter(|case| case.since_start);
        Pace {
            since: figures.since,
            minutes: minutes.collect(),
            own: Spread::of(own.map(|case| case.took_ms)),
            known: Spread::of(recent().map(|case| case.took_ms)),
        }
    }

    /// How each service that was asked lately has answered.
    pub(crate) fn answers(&self, now: Timestamp) -> BTreeMap<Arc<str>, Answered> {
        let figures = self.lock();
        let answered = figures.attempts.iter().map(|(service, ring)| {
            let recent: Vec<&Attempt> =
                ring.iter().filter(|a| now.ms_since(a.at) < ATTEMPT_AGE_MS).collect();
            let us = |took: Duration| u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            let answered = Answered {
                requests: recent.len() as u64,
                failed: recent.iter().filter(|a| a.failed).count() as u64,
                failed_in_a_row: recent.iter().rev().take_while(|a| a.failed).count() as u64,
                took: Spread::of(recent.iter().map(|a| us(a.took))),
            };
            (Arc::clone(service), answered)
        });
        answered.filter(|(_, answered)| answered.requests > 0).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Figures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Figures {
    fn minute(&mut self, at: Timestamp) -> &mut Minute {
        let minute = at.0.div_euclid(MINUTE_MS);
        while self.minutes.front().is_some_and(|(first, _)| *first <= minute - MINUTES) {
            self.minutes.pop_front();
        }
        // Nearly always the last one; a clock that was set back finds its old minute.
        let place = match self.minutes.iter().rposition(|(known, _)| *known <= minute) {
            Some(place) if self.minutes[place].0 == minute => place,
            Some(before) => {
                self.minutes.insert(before + 1, (minute, Minute::default()));
                before + 1
            }
            None => {
                self.minutes.push_front((minute, Minute::default()));
                0
            }
        };
        &mut self.minutes[place].1
    }

    fn settle(&mut self, opened: Timestamp, settled: Timestamp, since_start: bool) {
        let minute = self.minute(settled);
        minute.settled += u64::from(since_start);
        minute.known += 1;
        if self.settled.len() == SETTLEMENTS {
            self.settled.pop_front();
        }
        let took_ms = settled.ms_since(opened);
        self.settled.push_back(SettledCase { at: settled, took_ms, since_start });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_engine::StepResult;
    use amends_protocol::{CaseId, SagaId};

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn settled(opened_at: Timestamp, at: Timestamp) -> Event {
        let saga = SagaId::new("o-1").expect("valid");
        let what = DomainEvent::Case {
            case: CaseId(1),
            saga,
            opened_at,
            state: CaseState::Settled,
            rulebook: None,
            closed_on: None,
            noted: std::collections::BTreeSet::new(),
        };
        Event { at, what }
    }

    fn ended(answer: StepReading) -> EffectResult {
        let result = StepResult::new(answer, None);
        EffectResult::Step(result)
    }

    #[test]
    fn the_last_hour_is_told_by_the_minute() {
        let throughput = RecentThroughput::default();
        let old = NOW.0 - 30 * MINUTE_MS;
        let known = Settlements {
            times: vec![(Timestamp(old - 500), Timestamp(old)), (Timestamp(0), Timestamp(1))],
            settled_since: Some(Timestamp(old - 900)),
        };
        throughput.begin(NOW, &known);
        throughput
            .observe(&[settled(Timestamp(NOW.0 - 40), NOW), settled(Timestamp(NOW.0 - 60), NOW)]);
        let (minutes, since) = (throughput.pace(NOW).minutes(NOW), throughput.pace(NOW).since);
        assert_eq!((minutes.len(), since), (60, Timestamp(old - 900)));
        assert_eq!((minutes[59].settled, minutes[29].settled), (2, 1));
        assert_eq!(minutes.iter().map(|m| m.settled).sum::<u64>(), 3, "too old ones are left out");
        let figures = throughput.pace(NOW).time_to_settle();
        assert_eq!((figures.cases, figures.p50_ms, figures.p99_ms), (3, Some(60), Some(500)));
        let later = NOW.plus_ms(3_600_000);
        let later = throughput.pace(later).minutes(later);
        assert!(later.iter().all(|m| m.settled == 0), "an hour later nothing of it is left");
    }

    #[test]
    fn services_are_judged_by_their_newest_answers() {
        let throughput = RecentThroughput::default();
        let name: Arc<str> = "payment".into();
        let ms = Duration::from_millis;
        let done = || ended(StepReading::Done(amends_protocol::Outcome::Compensated));
        throughput.answered(
            &name,
            Timestamp(NOW.0 - 400_000),
            ms(9_000),
            &ended(StepReading::Unknown),
        );
        for took in 1..=3 {
            throughput.answered(&name, NOW, ms(took), &done());
        }
        throughput.answered(&name, NOW, ms(4), &ended(StepReading::NotSent));
        throughput.answered(&name, NOW, ms(50), &ended(StepReading::Unsendable));
        let answers = throughput.answers(NOW);
        let figures = answers["payment"].figures();
        assert_eq!((figures.requests, figures.error_rate), (4, 0.25));
        assert_eq!((figures.p50_ms, figures.p99_ms), (Some(2.0), Some(4.0)));
        assert_eq!(answers.len(), 1, "nobody else was asked");
    }
}
