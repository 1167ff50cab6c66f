//! Figures of the last minutes that can be added up over nodes: work by the minute, how long cases took, how services
//! answered. Plain data.

use amends_api::{AttemptFigures, MinuteView, SettleFigures};
use amends_protocol::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Minutes that are told: an hour.
pub(crate) const MINUTES: i64 = 60;
pub(crate) const MINUTE_MS: i64 = 60_000;
/// Values that stand for all where another node is told of them: enough for a p99.
const POINTS: usize = 64;

/// Values, each of which may stand for several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spread(Vec<(u64, u64)>);

impl Spread {
    pub(crate) fn of(values: impl Iterator<Item = u64>) -> Self {
        Self(values.map(|value| (value, 1)).collect())
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|(_, times)| times).sum()
    }

    /// As many percent of all are no greater.
    pub(crate) fn percentile(&self, percent: u64) -> Option<u64> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let wanted = (self.count() * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let mut reached = sorted.into_iter().skip_while(|(_, times)| {
            seen += times;
            seen < wanted
        });
        reached.next().map(|(value, _)| value)
    }

    fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Some that stand for all: each is the middle of as many as it stands for.
    fn thin(&mut self) {
        if self.0.len() <= POINTS {
            return;
        }
        self.0.sort_unstable();
        let some = self.0.len().div_ceil(POINTS);
        let thin = self
            .0
            .chunks(some)
            .map(|chunk| (chunk[chunk.len() / 2].0, chunk.iter().map(|(_, times)| times).sum()));
        self.0 = thin.collect();
    }
}

/// Work of the last hour, by one node or by several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Pace {
    /// Since when it is known.
    pub(crate) since: Timestamp,
    /// By minute since 1970.
    pub(crate) minutes: BTreeMap<i64, Minute>,
    /// How long those cases took that were settled since the start, in milliseconds.
    pub(crate) own: Spread,
    /// Those, and what the store knew at the start of what all had settled before: of the one that knows most.
    pub(crate) known: Spread,
}

/// Of one minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Minute {
    pub(crate) reported: u64,
    /// Since the start.
    pub(crate) settled: u64,
    /// As [`Pace::known`].
    pub(crate) known: u64,
}

impl Pace {
    /// Adds what another node has done. What it knows of before its start, others may have done since theirs: whatever
    /// is more tells most.
    pub(crate) fn add(&mut self, other: Self) {
        self.since = self.since.min(other.since);
        for (at, counts) in other.minutes {
            let minute = self.minutes.entry(at).or_default();
            minute.reported += counts.reported;
            minute.settled += counts.settled;
            minute.known = minute.known.max(counts.known);
        }
        self.own.add(other.own);
        if other.known.count() > self.known.count() {
            self.known = other.known;
        }
    }

    pub(crate) fn thin(&mut self) {
        self.own.thin();
        self.known.thin();
    }

    /// The last hour, minute by minute.
    pub(crate) fn minutes(&self, now: Timestamp) -> Vec<MinuteView> {
        let this = now.0.div_euclid(MINUTE_MS);
        let view = |minute: i64| {
            let counts = self.minutes.get(&minute).copied().unwrap_or_default();
            MinuteView {
                at: Timestamp(minute * MINUTE_MS),
                reported: counts.reported,
                settled: counts.settled.max(counts.known),
            }
        };
        (this - MINUTES + 1..=this).map(view).collect()
    }

    /// How long cases took to settle.
    pub(crate) fn time_to_settle(&self) -> SettleFigures {
        let most = if self.own.count() < self.known.count() { &self.known } else { &self.own };
        SettleFigures {
            cases: most.count(),
            p50_ms: most.percentile(50),
            p99_ms: most.percentile(99),
        }
    }
}

/// How a service answered lately, one node or several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Answered {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) failed_in_a_row: u64,
    /// How long they took, in microseconds.
    pub(crate) took: Spread,
}

impl Answered {
    /// Adds how it answered another node. Nobody knows in which order it answered both: as long as one of them gets
    /// answers, it answers.
    pub(crate) fn add(&mut self, other: Self) {
        let never = |one: &Self| one.failed == one.requests;
        self.failed_in_a_row = match (self.requests, other.requests) {
            (_, 0) => self.failed_in_a_row,
            (0, _) => other.failed_in_a_row,
            _ if never(self) && never(&other) => self.failed_in_a_row + other.failed_in_a_row,
            _ => self.failed_in_a_row.min(other.failed_in_a_row),
        };
        self.requests += other.requests;
        self.failed += other.failed;
        self.took.add(other.took);
    }

    pub(crate) fn thin(&mut self) {
        self.took.thin();
    }

    pub(crate) fn figures(&self) -> AttemptFigures {
        let ms = |us| (Duration::from_micros(us).as_secs_f64() * 10_000.0).round() / 10.0;
        #[allow(clippy::cast_precision_loss)] // at most some thousands
        let error_rate = self.failed as f64 / self.requests.max(1) as f64;
        AttemptFigures {
            requests: self.requests,
            error_rate,
            failed_in_a_row: self.failed_in_a_row,
            p50_ms: self.took.percentile(50).map(ms),
            p99_ms: self.took.percentile(99).map(ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_stand_for_many() {
        let mut all = Spread::of((1..=1_000).rev());
        let whole = (all.percentile(50), all.percentile(99), all.percentile(100));
        assert_eq!(whole, (Some(500), Some(990), Some(1_000)));
        all.thin();
        assert_eq!((all.count(), all.0.len()), (1_000, 63));
        let near =
            |percent, value: u64| all.percentile(percent).expect("some").abs_diff(value) <= 8;
        assert!(near(50, 500) && near(99, 990), "{all:?}");
        assert_eq!(Spread::default().percentile(50), None);
    }

    #[test]
    fn what_was_settled_counts_once_however_many_know_of_it() {
        let pace = |settled, known, times: &[u64], before: &[u64]| Pace {
            since: Timestamp(7),
            minutes: BTreeMap::from([(9, Minute { reported: 1, settled, known })]),
            own: Spread::of(times.iter().copied()),
            known: Spread::of(before.iter().chain(times).copied()),
        };
        // The second one started later, and found what the first had settled.
        let mut both = pace(3, 3, &[10, 20, 30], &[]);
        both.add(pace(1, 4, &[40], &[10, 20, 30]));
        let minutes = both.minutes(Timestamp(9 * MINUTE_MS + 5));
        let last = minutes.last().expect("60 of them");
        assert_eq!((last.reported, last.settled), (2, 4));
        let figures = both.time_to_settle();
        assert_eq!((figures.cases, figures.p50_ms, figures.p99_ms), (4, Some(20), Some(40)));
        // Who settled most of it has ended.
        let mut after = pace(1, 1, &[40], &[]);
        after.add(pace(0, 9, &[], &[5; 9]));
        assert_eq!((after.time_to_settle().cases, after.time_to_settle().p50_ms), (9, Some(5)));
    }

    #[test]
    fn a_service_that_answers_one_node_answers() {
        let of = |requests, failed, failed_in_a_row| Answered {
            requests,
            failed,
            failed_in_a_row,
            took: Spread::default(),
        };
        let both = |mut one: Answered, other| {
            one.add(other);
            one.failed_in_a_row
        };
        assert_eq!(both(of(2, 2, 2), of(2, 2, 2)), 4, "nobody gets an answer");
        assert_eq!(both(of(5, 5, 5), of(9, 1, 0)), 0);
        assert_eq!(both(of(0, 0, 0), of(4, 4, 4)), 4, "only one has asked");
        assert_eq!(both(of(4, 4, 4), of(0, 0, 0)), 4);
    }
}
