//! The consumer: reads, takes, acknowledges; and begins again when any of that ends.

use super::connect::{Ended, PATIENCE, connect};
use super::place::place;
use super::settings::{Weight, mended, oddities, removed_unread, wanted};
use super::unreadable::Unreadable;
use crate::ingest::NatsOptions;
use crate::ingest::delivery::{Delivery, Intake, Verdict, pause_after};
use amends_protocol::Timestamp;
use amends_store::Store;
use async_nats::Client;
use async_nats::connection::State;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::consumer::pull::Stream;
use async_nats::jetstream::message::Message;
use async_nats::jetstream::{self, AckKind};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Messages in hand at once: a commit takes many together.
const IN_HAND: usize = 1_024;
/// Bytes of them; what the library has asked for besides is half as many messages.
const BYTES: usize = 64 << 20;
/// Pause before it begins again.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest pause before a message comes again.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often the lag is looked at.
const LAG_EVERY: Duration = Duration::from_secs(15);
/// How often it is looked whether the connection is there.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the library tries to get a lost connection back, as whoever we were; then files are read anew.
const LOST: Duration = Duration::from_secs(10);
/// How long the end waits for what is in hand.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Takes reports until the supervisor stops.
pub(crate) async fn watch<S: Store>(
    intake: Intake<S>,
    options: NatsOptions,
    mut stops: watch::Receiver<bool>,
) {
    let mut last = String::new();
    loop {
        let Err(why) = run(&intake, &options, &mut stops).await else { return };
        let why = why.to_string();
        intake.supervisor.metrics().ways().connected(intake.binding.way(), false);
        if why != last {
            tracing::error!(%why, "no reports come by NATS until this is mended; it is tried every 2 s");
            last = why;
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = stopped(&mut stops) => return,
        }
    }
}

/// Returns when the supervisor ends.
async fn stopped(stops: &mut watch::Receiver<bool>) {
    // Its value can't be held while something else is awaited.
    drop(stops.wait_for(|stop| *stop).await);
}

/// Reads until something ends it; `Ok` is the supervisor's own end.
async fn run<S: Store>(
    intake: &Intake<S>,
    options: &NatsOptions,
    stops: &mut watch::Receiver<bool>,
) -> Result<(), Ended> {
    let (client, consumer, messages) = tokio::select! {
        opened = open(intake, options) => opened?,
        () = stopped(stops) => return Ok(()),
    };
    tracing::info!(stream = options.stream, durable = options.durable, "reports come by NATS");
    let context = jetstream::new(client.clone());
    let ended = tokio::select! {
        ended = take_all(intake, &consumer, messages, stops) => ended,
        lost = look_at_connection(intake, &client) => return Err(lost),
        never = look_at_lag(intake, &context, &consumer) => match never {},
    };
    // What is acknowledged should not come again for nothing.
    let _ = timeout(LAST_WORDS, client.flush()).await;
    ended
}

async fn open<S: Store>(
    intake: &Intake<S>,
    options: &NatsOptions,
) -> Result<(Client, PullConsumer, Stream), Ended> {
    let client = connect(options).await?;
    let (stream, consumer) = consumer(&client, options).await?;
    if let Some(lost) = removed_unread(stream.cached_info(), consumer.cached_info()) {
        intake.supervisor.metrics().ways().reset(intake.binding.way());
        tracing::error!("{lost}");
    }
    let messages = consumer.stream().max_messages_per_batch(IN_HAND / 2).messages().await;
    let messages = messages.map_err(|error| Ended::Broken(error.to_string()))?;
    Ok((client, consumer, messages))
}

/// Takes what comes, much of it at once.
async fn take_all<S: Store>(
    intake: &Intake<S>,
    consumer: &PullConsumer,
    mut messages: Stream,
    stops: &mut watch::Receiver<bool>,
) -> Result<(), Ended> {
    let ack_wait = consumer.cached_info().config.ack_wait;
    let (mut in_hand, mut bytes) = (FuturesUnordered::new(), 0_usize);
    let ended = loop {
        let has_room = in_hand.len() < IN_HAND && bytes < BYTES;
        tokio::select! {
            biased;
            () = stopped(stops) => break Ok(()),
            Some(size) = in_hand.next(), if !in_hand.is_empty() => bytes -= size,
            next = messages.next(), if has_room => match next {
                Some(Ok(message)) => {
                    let size = message.length;
                    bytes += size;
                    in_hand.push(async move {
                        take(intake, ack_wait, message).await;
                        size
                    });
                }
                Some(Err(error)) => break Err(Ended::Broken(error.to_string())),
                None => break Err(Ended::Broken("no more messages".to_owned())),
            },
        }
    };
    // What is in hand is taken or comes again; what is taken need not come again.
    let _ = timeout(LAST_WORDS, in_hand.count()).await;
    ended
}

/// Shows whether the connection is there; returns when it was lost and did not come back.
async fn look_at_connection<S: Store>(intake: &Intake<S>, client: &Client) -> Ended {
    let mut missed = Duration::ZERO;
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let is_there = client.connection_state() == State::Connected;
        intake.supervisor.metrics().ways().connected(intake.binding.way(), is_there);
        if is_there {
            missed = Duration::ZERO;
            continue;
        }
        missed += LOOK_EVERY; // or a little more
        if missed >= LOST {
            return Ended::Away(format!("the connection was lost {} s ago", LOST.as_secs()));
        }
    }
}

/// Shows how many messages wait, for as long as it is let, and puts aside what we can't be brought.
async fn look_at_lag<S: Store>(
    intake: &Intake<S>,
    context: &jetstream::Context,
    consumer: &PullConsumer,
) -> Infallible {
    let mut looks = interval(LAG_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unreadable = Unreadable::default();
    loop {
        looks.tick().await;
        // A server that does not answer is seen by the messages' stream.
        if let Ok(Ok(info)) = timeout(PATIENCE, consumer.get_info()).await {
            let waiting = info.num_pending + info.num_ack_pending as u64;
            intake.supervisor.metrics().ways().waiting(intake.binding.way(), waiting);
            unreadable.look(intake, context, &info).await;
        }
    }
}

/// Our consumer, made if it is not there yet; the stream is not. One that is there with other settings is set as it
/// should be where nobody can want it otherwise; the rest is told, for a person to decide.
async fn consumer(
    client: &Client,
    options: &NatsOptions,
) -> Result<(jetstream::stream::Stream, PullConsumer), Ended> {
    let NatsOptions { stream: name, durable, .. } = options;
    let context = jetstream::new(client.clone());
    let stream = context.get_stream(name).await.map_err(|error| {
        Ended::Mistake(format!(
            "stream `{name}`: {error}; `amends nats init` makes it, and `amends nats check` looks"
        ))
    })?;
    let told =
        |why: &str| Ended::Mistake(format!("consumer `{durable}` of stream `{name}`: {why}"));
    let made = stream.get_or_create_consumer(durable, wanted(options)).await;
    let consumer = made.map_err(|error| told(&error.to_string()))?;
    let found = &consumer.cached_info().config;
    let mut mends = false;
    for oddity in oddities(found, options) {
        let what = &oddity.text;
        match oddity.weight {
            Weight::Fatal => return Err(told(what)),
            Weight::Loses => tracing::error!(durable, "{what}"),
            Weight::Odd => tracing::warn!(durable, "{what}"),
            Weight::Mended => {
                tracing::warn!(durable, "{what}");
                mends = true;
            }
        }
    }
    if !mends {
        return Ok((stream, consumer));
    }
    let set = async { Ok(stream.create_consumer(mended(found, options)?).await?) };
    let consumer = set.await.unwrap_or_else(|error: async_nats::Error| {
        tracing::warn!(durable, %error, "the consumer can't be set as it should be; it is used as it is");
        consumer
    });
    Ok((stream, consumer))
}

/// Takes one message and says so to the server. What it is not told of comes again, and is known then.
async fn take<S: Store>(intake: &Intake<S>, ack_wait: Duration, message: Message) {
    let (verdict, pause) = match read(&message) {
        Some((delivery, tries)) => {
            let verdict = tokio::select! {
                verdict = intake.take(&delivery) => verdict,
                never = keep_in_hand(&message, ack_wait) => match never {},
            };
            (verdict, pause_after(tries))
        }
        // Without its place it can be neither known again nor put aside: many would be one row.
        None => {
            let subject = message.subject.as_str();
            tracing::error!(
                subject,
                "where a message lies in its stream can't be read; it is asked for again"
            );
            intake.not_read();
            (Verdict::Again, LONGEST_PAUSE)
        }
    };
    let told = match verdict {
        Verdict::Taken { .. } | Verdict::Rejected | Verdict::Skipped => message.ack().await,
        Verdict::Again => message.ack_with(AckKind::Nak(Some(pause))).await,
    };
    if let Err(error) = told {
        let subject = message.subject.as_str();
        tracing::debug!(%error, subject, "NATS is not told; the message comes again");
    }
}

/// Tells the server that a message is in hand, well within the time after which it would bring it again.
async fn keep_in_hand(message: &Message, ack_wait: Duration) -> Infallible {
    let mut in_progress = interval((ack_wait / 3).max(Duration::from_millis(1)));
    in_progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
    in_progress.tick().await; // the first comes at once
    loop {
        in_progress.tick().await;
        if let Err(error) = message.ack_with(AckKind::Progress).await {
            tracing::debug!(%error, "NATS is not told that a message is in hand");
        }
    }
}

/// A message with its place, and how often it was brought; none if the server does not say where it lies.
fn read(message: &Message) -> Option<(Delivery, u32)> {
    let info = message.info().ok()?;
    let published = i64::try_from(info.published.unix_timestamp_nanos() / 1_000_000).ok()?;
    let headers = message.headers.iter().flat_map(|headers| headers.iter());
    let headers = headers.flat_map(|(name, values)| {
        values.iter().map(move |value| (name.to_string(), value.as_str().as_bytes().to_vec()))
    });
    let delivery = Delivery {
        headers: headers.collect(),
        body: message.payload.to_vec(),
        ..place(info.stream, info.stream_sequence, Timestamp(published), &message.subject)
    };
    let tries = u32::try_from(info.delivered.max(1)).unwrap_or(u32::MAX);
    Some((delivery, tries))
}
