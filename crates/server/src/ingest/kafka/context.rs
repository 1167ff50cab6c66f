//! What the library tells us while we poll: partitions that come and go, errors, lag; and what it does not tell, and is
//! asked: what the brokers remember, where partitions end. All of it on the thread that polls.

use super::assignment::{Assignment, Key, Token};
use super::standing::Standing;
use crate::clock::{Clock as _, SystemClock};
use crate::ingest::delivery::{Delivery, Verdict};
use crate::telemetry::Ways;
use amends_api::ReportWay;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::{Partition, Statistics};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a partition that goes to another supervisor waits for what is being taken of it. What has not ended by then
/// comes to the other one too, and is known there.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Longest wait for the answer to a question of ours: meanwhile nothing is polled.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// A message that has ended.
pub(super) type Ended = (Token, Delivery, Verdict);

/// The runtime that takes messages has gone.
#[derive(Debug)]
pub(super) struct Gone;

/// What is ours, and what comes back from the supervisor.
#[derive(Debug)]
pub(super) struct Hand {
    pub(super) assignment: Assignment,
    ended: Receiver<Ended>,
}

impl Hand {
    /// Notes all that has ended.
    pub(super) fn note(&mut self) -> Result<(), Gone> {
        loop {
            match self.ended.try_recv() {
                Ok((token, delivery, verdict)) => {
                    self.assignment.ended(token, delivery, verdict, SystemClock.monotonic());
                }
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(Gone),
            }
        }
    }

    /// Waits until something has ended, and notes it; says whether something has.
    pub(super) fn wait(&mut self, patience: Duration) -> Result<bool, Gone> {
        match self.ended.recv_timeout(patience) {
            Ok((token, delivery, verdict)) => {
                self.assignment.ended(token, delivery, verdict, SystemClock.monotonic());
                Ok(true)
            }
            Err(RecvTimeoutError::Timeout) => Ok(false),
            Err(RecvTimeoutError::Disconnected) => Err(Gone),
        }
    }
}

/// What the library calls.
#[derive(Debug)]
pub(super) struct Context {
    hand: Mutex<Hand>,
    ways: Ways,
    standing: Mutex<Standing>,
    /// Where partitions end that pause: the library hears of that only when it fetches.
    ends: Mutex<HashMap<Key, i64>>,
    /// A partition of which the brokers have forgotten where we were. Nothing is committed any more.
    forgotten: Mutex<Option<Key>>,
}

impl Context {
    pub(super) fn new(ended: Receiver<Ended>, ways: Ways) -> Self {
        let hand = Mutex::new(Hand { assignment: Assignment::default(), ended });
        let (standing, ends, forgotten) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { hand, ways, standing, ends, forgotten }
    }

    /// INVARIANT: nobody polls with it in hand.
    pub(super) fn hand(&self) -> MutexGuard<'_, Hand> {
        held(&self.hand)
    }

    /// Has the broker remember how far these partitions are done, and reads back first what it remembers: the library
    /// doesn't say what has become of a commit.
    pub(super) fn commit(&self, consumer: &BaseConsumer<Self>, keys: &[Key]) {
        let unsure = self.hand().assignment.unsure(keys);
        if !unsure.is_empty() && self.remembers(consumer, &unsure) {
            self.ask(consumer, &unsure);
        }
    }

    /// Has the broker remember how far these partitions are done. Those that are given up are given up only once it has
    /// answered.
    fn ask(&self, consumer: &BaseConsumer<Self>, keys: &[Key]) {
        let asks = self.hand().assignment.asks(keys);
        let mut list = TopicPartitionList::with_capacity(asks.len());
        for ((topic, partition), offset) in &asks {
            // The partition was just added.
            let _ = list.add_partition_offset(topic, *partition, Offset::Offset(*offset));
        }
        if list.count() > 0
            && let Err(error) = consumer.commit(&list, CommitMode::Async)
        {
            tracing::warn!(%error, "Kafka does not remember what was taken; it is told again");
            let mut hand = self.hand();
            asks.iter().for_each(|(key, _)| hand.assignment.refused(key));
        }
    }

    /// Whether the brokers say where we were in these partitions, and have forgotten none. They forget when a topic is
    /// deleted: one of its name that was made since has other messages where we go on, and those before would never be
    /// read.
    pub(super) fn remembers(&self, consumer: &BaseConsumer<Self>, keys: &[Key]) -> bool {
        let mut forgotten = held(&self.forgotten);
        if forgotten.is_some() {
            return false;
        }
        let found = match keys {
            [] => return true,
            keys => consumer.committed_offsets(listed(keys), LOOK),
        };
        let Ok(found) = found else { return false };
        let mut hand = self.hand();
        for one in found.elements().iter().filter(|one| one.error().is_ok()) {
            let key = (one.topic().to_owned(), one.partition());
            let remembered = match one.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            };
            if !hand.assignment.read_back(&key, remembered) {
                *forgotten = Some(key);
            }
        }
        forgotten.is_none()
    }

    /// Why it must begin anew, if it must.
    pub(super) fn over(&self) -> Option<String> {
        let forgotten = held(&self.forgotten).clone().map(|(topic, partition)| {
            format!(
                "Kafka has forgotten where we were in partition {partition} of `{topic}`: the topic was deleted and made anew, or \
                 somebody has removed the offsets of our group; it begins with the earliest message"
            )
        });
        forgotten.or_else(|| held(&self.standing).locked_out().map(str::to_owned))
    }

    /// Has partitions pause and go on as the hand wants it.
    pub(super) fn pause(&self, consumer: &BaseConsumer<Self>) {
        let (pause, resume) = self.hand().assignment.pauses();
        let paused = if pause.is_empty() { Ok(()) } else { consumer.pause(&listed(&pause)) };
        let resumed = if resume.is_empty() { Ok(()) } else { consumer.resume(&listed(&resume)) };
        if let Err(error) = paused.and(resumed) {
            // It is a partition that has just gone.
            tracing::debug!(%error, "a partition of Kafka does not pause or go on");
        }
    }

    /// Partitions go to another: what is being taken of them may end, and what has is remembered.
    fn give_up(&self, consumer: &BaseConsumer<Self>, keys: &[Key]) {
        if consumer.assignment_lost() {
            // Others have had them for a while: what we would say of them could take back what they have said.
            tracing::warn!(
                partitions = keys.len(),
                "partitions of Kafka were lost: this supervisor was not heard in time"
            );
        } else {
            let until = SystemClock.monotonic() + LAST_WORDS;
            let mut hand = self.hand();
            while hand.assignment.is_taking(keys) {
                let left = until.saturating_sub(SystemClock.monotonic());
                if left.is_zero() || hand.wait(left).is_err() {
                    break;
                }
            }
            drop(hand);
            // Who ends is told nothing any more.
            if held(&self.forgotten).is_none() {
                self.ask(consumer, keys);
            }
        }
        self.hand().assignment.taken_away(keys);
    }

    /// There is no topic for these channels.
    pub(super) fn lacks(&self, missing: Vec<String>) {
        let mut standing = held(&self.standing);
        for channel in standing.lacks(missing) {
            tracing::error!(
                "no topic `{channel}` is at Kafka, or we may not see it: no reports come by it; make it, and give us \
                 DESCRIBE and READ on it"
            );
        }
        self.ways.connected(ReportWay::Kafka, standing.is_well());
    }

    /// Looks where partitions end that pause; says whether the brokers have told.
    pub(super) fn look_at_ends(&self, consumer: &BaseConsumer<Self>) -> bool {
        let paused = self.hand().assignment.paused();
        let mut asked = TopicPartitionList::with_capacity(paused.len());
        for (topic, partition) in &paused {
            // The partition was just added.
            let _ = asked.add_partition_offset(topic, *partition, Offset::End);
        }
        let found = match paused.is_empty() {
            true => Ok(asked),
            false => consumer.offsets_for_times(asked, LOOK),
        };
        let Ok(found) = found else { return false };
        let found = found.elements().into_iter().filter_map(|one| match one.offset() {
            Offset::Offset(end) if one.error().is_ok() => {
                Some(((one.topic().to_owned(), one.partition()), end))
            }
            _ => None,
        });
        *held(&self.ends) = found.collect();
        true
    }

    /// Hears what is wrong, and tells it once: the library says it at every try.
    fn hears(&self, error: &KafkaError, why: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        let mut standing = held(&self.standing);
        if standing.hears(code, why) {
            tracing::error!(why, "reports by Kafka don't come as they should until this is mended");
        }
        self.ways.connected(ReportWay::Kafka, standing.is_well());
    }

    /// What has become known of the group.
    fn stands(&self, note: impl FnOnce(&mut Standing)) {
        let mut standing = held(&self.standing);
        note(&mut standing);
        self.ways.connected(ReportWay::Kafka, standing.is_well());
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, log_message: &str) {
        // The library says it nowhere else.
        if fac == "OFFSET" && log_message.contains("offset reset") {
            self.ways.reset(ReportWay::Kafka);
            tracing::error!(
                what = log_message,
                "where reading was to go on there is nothing any more: it begins at the earliest message that Kafka has; reports \
                 that Kafka has removed unread are lost"
            );
        } else {
            tracing::debug!(?level, fac, log_message, "the library of Kafka");
        }
    }

    fn stats(&self, statistics: Statistics) {
        let group = statistics.cgrp.as_ref();
        self.stands(|standing| standing.reached(group.is_some_and(|group| group.state == "up")));
        let ends = held(&self.ends);
        let of = |topic: &str, partition: &Partition| {
            waiting(partition, ends.get(&(topic.to_owned(), partition.partition)).copied())
        };
        let lag = statistics.topics.values().flat_map(|topic| {
            let partitions = topic.partitions.values().filter(|partition| partition.desired);
            partitions.map(|partition| of(&topic.topic, partition))
        });
        let lag: u64 = lag.sum();
        drop(ends);
        let held = self.hand().assignment.held();
        self.ways.waiting(ReportWay::Kafka, lag + held);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.hears(&error, reason);
    }
}

/// How many messages wait in a partition: from where we are to where it ends, as the library or a look of ours knows
/// it.
fn waiting(partition: &Partition, end: Option<i64>) -> u64 {
    let Partition { app_offset, committed_offset, lo_offset, consumer_lag, .. } = *partition;
    let from = app_offset.max(committed_offset).max(lo_offset).max(0);
    let beyond = end.map_or(0, |end| end - from);
    u64::try_from(consumer_lag.max(beyond)).unwrap_or(0)
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => self.hand().assignment.given(keys(list)),
            Rebalance::Revoke(list) => self.give_up(consumer, &keys(list)),
            Rebalance::Error(error) => self.hears(error, &error.to_string()),
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(list) = rebalance {
            // One that paused when it went away would do so for ever. Then, before anything of them is read, those
            // pause of which nothing can be taken now.
            if let Err(error) = consumer.resume(list) {
                tracing::debug!(%error, "a partition of Kafka does not go on");
            }
            self.pause(consumer);
            self.stands(Standing::assigned);
            tracing::info!(
                partitions = list.count(),
                "partitions of Kafka are read here from now on"
            );
        }
    }
}

fn keys(list: &TopicPartitionList) -> Vec<Key> {
    list.elements().iter().map(|one| (one.topic().to_owned(), one.partition())).collect()
}

fn listed(keys: &[Key]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(keys.len());
    for (topic, partition) in keys {
        list.add_partition(topic, *partition);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_in_a_partition_that_pauses_is_known_by_a_look_of_ours() {
        let none = -1_001;
        let partition = |at, committed, lag| Partition {
            app_offset: at,
            committed_offset: committed,
            lo_offset: none,
            consumer_lag: lag,
            ..Partition::default()
        };
        let reads = partition(20, 15, 5);
        assert_eq!([None, Some(25), Some(60)].map(|end| waiting(&reads, end)), [5, 5, 40]);
        let given = partition(none, 15, none);
        assert_eq!([None, Some(60)].map(|end| waiting(&given, end)), [0, 45]);
        assert_eq!(waiting(&partition(none, none, none), Some(60)), 60, "a new group");
    }
}
