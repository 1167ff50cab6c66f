//! The consumer: a thread that polls, and the task that takes what it brings. The thread waits for the runtime only
//! when partitions go to another, and the runtime never for the thread.

use super::admin::missing;
use super::client::{consumer, subscription};
use super::context::{Context, Ended as Done, Gone, LOOK};
use super::message::delivery;
use crate::clock::{Clock as _, SystemClock};
use crate::ingest::delivery::{Delivery, Intake};
use crate::ingest::{Channel, KafkaOptions};
use amends_store::Store;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use std::sync::mpsc as threads;
use std::thread;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

use super::assignment::{IN_HAND, ROOM, Token};

/// Pause before it begins again.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest wait for a message: what has ended is noted as often.
const POLL: Duration = Duration::from_millis(100);
/// How often the broker is told how far we are.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// How long a full hand waits until partitions pause.
const STALLED: Duration = Duration::from_millis(500);
/// How often it is looked whether all topics are there: as often as the library looks for new ones.
const TOPICS_EVERY: Duration = Duration::from_secs(10);
/// How often it is looked where partitions end that pause.
const ENDS_EVERY: Duration = Duration::from_secs(5);
/// How long the end waits for the thread: what is in hand, the last commit, the word to the group.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Why it begins again.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{0}")]
    Mistake(String),
    #[error("the consumer ended: {0}")]
    Broken(String),
}

/// What the thread and the task send each other.
struct Ends {
    to_take: mpsc::Sender<(Token, Delivery)>,
    stops: watch::Receiver<bool>,
}

/// Takes reports until the supervisor stops.
pub(crate) async fn watch<S: Store>(
    intake: Intake<S>,
    options: KafkaOptions,
    mut stops: watch::Receiver<bool>,
) {
    let mut last = String::new();
    loop {
        let Err(why) = run(&intake, &options, &stops).await else { return };
        let why = why.to_string();
        intake.supervisor.metrics().ways().connected(intake.binding.way(), false);
        if why != last {
            tracing::error!(%why, "no reports come by Kafka until this is mended; it is tried every 2 s");
            last = why;
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = stops.wait_for(|stop| *stop) => return,
        }
    }
}

/// Reads until something ends it; `Ok` is the supervisor's own end.
async fn run<S: Store>(
    intake: &Intake<S>,
    options: &KafkaOptions,
    stops: &watch::Receiver<bool>,
) -> Result<(), Ended> {
    let (to_take, mut deliveries) = mpsc::channel(IN_HAND);
    let (done, dones) = threads::sync_channel::<Done>(ROOM);
    let (tell, mut told) = oneshot::channel();
    let context = Context::new(dones, intake.supervisor.metrics().ways().clone());
    let (of_thread, ends) = (options.clone(), Ends { to_take, stops: stops.clone() });
    let read = move || drop(tell.send(read(&of_thread, context, &ends)));
    let started = thread::Builder::new().name("kafka".to_owned()).spawn(read);
    drop(started.map_err(|error| Ended::Broken(error.to_string()))?);
    let mut in_hand = FuturesUnordered::new();
    let mut stop = stops.clone();
    let over = async {
        let _ = stop.wait_for(|stop| *stop).await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    tokio::pin!(over);
    loop {
        tokio::select! {
            biased;
            ended = &mut told => {
                return ended.unwrap_or_else(|_| Err(Ended::Broken("its thread has failed".to_owned())));
            }
            Some(one) = in_hand.next(), if !in_hand.is_empty() => {
                // INVARIANT: there is room for all that the thread lets be in hand. One that it did not hear of would
                // hold up its partition for ever; a thread that has ended says why.
                if let Err(threads::TrySendError::Full(_)) = done.try_send(one) {
                    return Err(Ended::Broken("what has ended finds no room".to_owned()));
                }
            }
            Some((token, delivery)) = deliveries.recv() => in_hand.push(async move {
                let verdict = intake.take(&delivery).await;
                (token, delivery, verdict)
            }),
            () = &mut over => return Ok(()),
        }
    }
}

/// What the thread does, from its first word to the group to its last.
fn read(options: &KafkaOptions, context: Context, ends: &Ends) -> Result<(), Ended> {
    let mistake = |error: KafkaError| Ended::Mistake(error.to_string());
    let config = consumer(options).map_err(Ended::Mistake)?;
    let consumer: BaseConsumer<Context> = config.create_with_context(context).map_err(mistake)?;
    let topics: Vec<String> = options.channels.iter().map(subscription).collect();
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    consumer.subscribe(&topics).map_err(mistake)?;
    let mut committed = SystemClock.monotonic();
    let mut looks = Looks::default();
    while !*ends.stops.borrow() {
        if let Some(why) = consumer.context().over() {
            return Err(Ended::Mistake(why));
        }
        match turn(&consumer, ends) {
            Ok(()) => {}
            Err(Turned::Gone) => {
                return Err(Ended::Broken("nobody takes what it brings".to_owned()));
            }
            Err(Turned::Broken(error)) => return Err(Ended::Broken(error.to_string())),
        }
        let now = SystemClock.monotonic();
        if now - committed >= COMMIT_EVERY {
            committed = now;
            let keys = consumer.context().hand().assignment.keys();
            consumer.context().commit(&consumer, &keys);
            looks.look(&consumer, &options.channels, now);
        }
    }
    // Dropped, it gives up its partitions in order: what is in hand ends, and is committed.
    Ok(())
}

/// What is looked at now and then that the library does not tell.
#[derive(Default)]
struct Looks {
    topics_at: Option<Duration>,
    ends_at: Option<Duration>,
}

impl Looks {
    /// Looks at what is due. What can't be seen now is looked at in the next second.
    fn look(&mut self, consumer: &BaseConsumer<Context>, channels: &[Channel], now: Duration) {
        let is_due = |last: Option<Duration>, every| last.is_none_or(|last| now - last >= every);
        let keys = consumer.context().hand().assignment.keys();
        if is_due(self.topics_at, TOPICS_EVERY)
            && consumer.context().remembers(consumer, &keys)
            && let Ok(missing) = missing(consumer, channels, LOOK)
        {
            self.topics_at = Some(now);
            consumer.context().lacks(missing);
        }
        if is_due(self.ends_at, ENDS_EVERY) && consumer.context().look_at_ends(consumer) {
            self.ends_at = Some(now);
        }
    }
}

/// Why no turn follows.
enum Turned {
    Gone,
    Broken(KafkaError),
}

impl From<Gone> for Turned {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// Notes what has ended, tries again what is due, reads the next message.
fn turn(consumer: &BaseConsumer<Context>, ends: &Ends) -> Result<(), Turned> {
    let context = consumer.context();
    let due = {
        let mut hand = context.hand();
        hand.note()?;
        if hand.assignment.is_full() && !hand.wait(STALLED)? {
            hand.assignment.stalls();
        }
        hand.assignment.due(SystemClock.monotonic())
    };
    for one in due {
        ends.to_take.blocking_send(one).map_err(|_| Turned::Gone)?;
    }
    context.pause(consumer);
    let (is_full, has_room) = {
        let assignment = &context.hand().assignment;
        (assignment.is_full(), assignment.has_room())
    };
    if !has_room {
        return Ok(());
    }
    match consumer.poll(if is_full { Duration::ZERO } else { POLL }) {
        None => Ok(()),
        Some(Ok(message)) => {
            let delivery = delivery(&message);
            let key = (message.topic().to_owned(), message.partition());
            let token = context.hand().assignment.received(key, message.offset(), &delivery);
            match token {
                Some(token) => {
                    ends.to_take.blocking_send((token, delivery)).map_err(|_| Turned::Gone)
                }
                // Of a partition that has just gone to another, who reads it.
                None => Ok(()),
            }
        }
        Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => Err(Turned::Broken(error)),
        // The context was told more of it.
        Some(Err(_)) => Ok(()),
    }
}
