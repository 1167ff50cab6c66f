//! What the library tells us while we poll: partitions that come and go, commits that were answered, errors, lag. All
//! of it on the thread that polls.

use super::assignment::{Assignment, Key, Token};
use crate::clock::{Clock as _, SystemClock};
use crate::ingest::delivery::{Delivery, Verdict};
use crate::telemetry::Ways;
use amends_api::ReportWay;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a partition that goes to another supervisor waits for what is being taken of it. What has not ended by then
/// comes to the other one too, and is known there.
const LAST_WORDS: Duration = Duration::from_secs(5);

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
    /// What was told of what is wrong, so that it is told once.
    told: Mutex<Vec<RDKafkaErrorCode>>,
    /// A topic is not there, or we may not read it.
    lacks: AtomicBool,
}

impl Context {
    pub(super) fn new(ended: Receiver<Ended>, ways: Ways) -> Self {
        let hand = Mutex::new(Hand { assignment: Assignment::default(), ended });
        Self { hand, ways, told: Mutex::default(), lacks: AtomicBool::new(false) }
    }

    /// INVARIANT: nobody polls with it in hand.
    pub(super) fn hand(&self) -> MutexGuard<'_, Hand> {
        self.hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the broker remember how far these partitions are done. Its answer comes later; partitions that are given up
    /// are given up only then: the library waits for it.
    pub(super) fn commit(&self, consumer: &BaseConsumer<Self>, keys: &[Key]) {
        let asks = self.hand().assignment.asks(keys);
        if asks.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::with_capacity(asks.len());
        for ((topic, partition), offset) in &asks {
            // The partition was just added.
            let _ = list.add_partition_offset(topic, *partition, Offset::Offset(*offset));
        }
        if let Err(error) = consumer.commit(&list, CommitMode::Async) {
            tracing::warn!(%error, "Kafka does not remember what was taken; it is told again");
            let mut hand = self.hand();
            asks.iter().for_each(|(key, _)| hand.assignment.refused(key));
        }
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
            self.commit(consumer, keys);
        }
        self.hand().assignment.taken_away(keys);
    }

    /// Tells what is wrong, once: the library says it at every try.
    fn tell(&self, error: &KafkaError, why: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !told.contains(&code) {
            tracing::error!(why, "reports by Kafka don't come as they should until this is mended");
            told.push(code);
        }
    }

    /// The group is reached, or is not.
    fn is_reached(&self, reached: bool) {
        let is_well = reached && !self.lacks.load(Ordering::Relaxed);
        self.ways.connected(ReportWay::Kafka, is_well);
        if is_well {
            self.told.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }
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
        self.is_reached(group.is_some_and(|group| group.state == "up"));
        let partitions = statistics.topics.values().flat_map(|topic| topic.partitions.values());
        let ours = partitions.filter(|partition| partition.desired);
        let lag = ours.filter_map(|partition| u64::try_from(partition.consumer_lag).ok()).sum();
        self.ways.waiting(ReportWay::Kafka, lag);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => self.is_reached(false),
            Some(
                RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::TopicAuthorizationFailed,
            ) => {
                self.lacks.store(true, Ordering::Relaxed);
                self.is_reached(false);
            }
            _ => {}
        }
        self.tell(&error, reason);
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => self.hand().assignment.given(keys(list)),
            Rebalance::Revoke(list) => self.give_up(consumer, &keys(list)),
            Rebalance::Error(error) => self.tell(error, &error.to_string()),
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
            // A topic that was missing is there now, or the library says so again.
            self.lacks.store(false, Ordering::Relaxed);
            self.is_reached(true);
            tracing::info!(
                partitions = list.count(),
                "partitions of Kafka are read here from now on"
            );
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        let mut hand = self.hand();
        for element in offsets.elements() {
            let answer = result.clone().and_then(|()| element.error());
            if let Err(error) = answer {
                let key = (element.topic().to_owned(), element.partition());
                tracing::debug!(%error, ?key, "Kafka does not remember what was taken; it is told again");
                hand.assignment.refused(&key);
            }
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
