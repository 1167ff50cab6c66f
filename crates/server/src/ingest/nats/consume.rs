//! The consumer: connects, reads, takes, acknowledges; and begins again when any of that ends.

use crate::ingest::NatsOptions;
use crate::ingest::delivery::{Delivery, Intake, Verdict, pause_after};
use amends_protocol::Timestamp;
use amends_store::Store;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::message::Message;
use async_nats::jetstream::{self, AckKind};
use async_nats::{Client, ConnectOptions};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How often the connection is tried.
const PING_EVERY: Duration = Duration::from_secs(20);
/// Messages in hand at once: a commit takes many together.
const IN_HAND: usize = 1_024;
/// Messages that the server lets be unacknowledged; room for what a process that died had in hand.
const MOST_UNACKNOWLEDGED: i64 = 4_096;
/// Pause before it begins again.
const PAUSE: Duration = Duration::from_secs(2);
/// How often the lag is looked at.
const LAG_EVERY: Duration = Duration::from_secs(15);
/// Longest time for a word with the server.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the end waits for what is in hand.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Why it begins again.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("the server can't be reached: {0}")]
    Away(String),
    #[error("{0}")]
    Mistake(String),
    #[error("the subscription ended: {0}")]
    Broken(String),
}

/// Takes reports until the supervisor stops.
pub(crate) async fn watch<S: Store>(
    intake: Intake<S>,
    options: NatsOptions,
    mut stops: watch::Receiver<bool>,
) {
    let mut last = String::new();
    loop {
        let ended = tokio::select! {
            ended = run(&intake, &options, stops.clone()) => ended,
            () = stopped(&mut stops) => return,
        };
        let Err(why) = ended else { return };
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
    mut stops: watch::Receiver<bool>,
) -> Result<(), Ended> {
    let client = connect(options).await?;
    let mut consumer = consumer(&client, options).await?;
    let messages = consumer.stream().max_messages_per_batch(IN_HAND / 2).messages().await;
    let mut messages = messages.map_err(|error| Ended::Broken(error.to_string()))?;
    let ways = intake.supervisor.metrics().ways();
    ways.connected(intake.binding.way(), true);
    tracing::info!(stream = options.stream, durable = options.durable, "reports come by NATS");
    let mut looks = interval(LAG_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut in_hand = FuturesUnordered::new();
    let ended = loop {
        tokio::select! {
            biased;
            () = stopped(&mut stops) => break Ok(()),
            Some(()) = in_hand.next(), if !in_hand.is_empty() => {}
            next = messages.next(), if in_hand.len() < IN_HAND => match next {
                Some(Ok(message)) => in_hand.push(take(intake, options, message)),
                Some(Err(error)) => break Err(Ended::Broken(error.to_string())),
                None => break Err(Ended::Broken("no more messages".to_owned())),
            },
            _ = looks.tick() => {
                // A server that does not answer is seen by the messages' stream.
                if let Ok(Ok(info)) = timeout(PATIENCE, consumer.info()).await {
                    ways.waiting(intake.binding.way(), info.num_pending);
                }
            }
        }
    };
    // What is in hand is taken or comes again; what is taken need not come again.
    let _ = timeout(LAST_WORDS, in_hand.count()).await;
    ended
}

pub(super) async fn connect(options: &NatsOptions) -> Result<Client, Ended> {
    let mistake =
        |what: &str, error: &dyn std::fmt::Display| Ended::Mistake(format!("{what}: {error}"));
    let mut how =
        ConnectOptions::new().name("amends").connection_timeout(PATIENCE).ping_interval(PING_EVERY);
    if let Some(file) = &options.credentials {
        how = how
            .credentials_file(file)
            .await
            .map_err(|error| mistake("`nats.credentials`", &error))?;
    }
    if let Some((user, file)) = &options.user {
        let password = std::fs::read_to_string(file)
            .map_err(|error| mistake("`nats.password_file`", &error))?;
        how = how.user_and_password(user.clone(), password.trim_end().to_owned());
    }
    if let Some(file) = &options.authorities {
        how = how.add_root_certificates(file.clone());
    }
    if let Some((certificate, key)) = &options.identity {
        how = how.add_client_certificate(certificate.clone(), key.clone());
    }
    how.connect(&options.servers).await.map_err(|error| Ended::Away(error.to_string()))
}

/// Our consumer, made if it is not there yet; the stream is not.
async fn consumer(client: &Client, options: &NatsOptions) -> Result<PullConsumer, Ended> {
    let NatsOptions { stream: name, durable, .. } = options;
    let context = jetstream::new(client.clone());
    let stream = context.get_stream(name).await.map_err(|error| {
        Ended::Mistake(format!(
            "stream `{name}`: {error}; `amends nats init` makes it, and `amends nats check` looks"
        ))
    })?;
    let made = stream.get_or_create_consumer(durable, wanted(options)).await;
    let consumer = made.map_err(|error| {
        Ended::Mistake(format!("consumer `{durable}` of stream `{name}`: {error}"))
    })?;
    let found = &consumer.cached_info().config;
    if found.ack_policy != AckPolicy::Explicit {
        let why = "it acknowledges by itself, so that a crash would lose reports; delete it, and it is made anew";
        return Err(Ended::Mistake(format!("consumer `{durable}` of stream `{name}`: {why}")));
    }
    Ok(consumer)
}

/// What our consumer is like.
pub(super) fn wanted(options: &NatsOptions) -> pull::Config {
    pull::Config {
        durable_name: Some(options.durable.clone()),
        description: Some("Reports for Amends".to_owned()),
        // From the first that the stream has: what failed before we came is compensated as well.
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: options.ack_wait,
        max_ack_pending: MOST_UNACKNOWLEDGED,
        ..pull::Config::default()
    }
}

/// Takes one message and says so to the server. What it is not told of comes again, and is known then.
async fn take<S: Store>(intake: &Intake<S>, options: &NatsOptions, message: Message) {
    let (delivery, tries) = read(&options.stream, &message);
    // Well within the time after which it would come again.
    let mut in_progress = interval(options.ack_wait / 3);
    in_progress.tick().await; // the first comes at once
    let taking = intake.take(&delivery);
    tokio::pin!(taking);
    let verdict = loop {
        tokio::select! {
            verdict = &mut taking => break verdict,
            _ = in_progress.tick() => {
                if let Err(error) = message.ack_with(AckKind::Progress).await {
                    tracing::debug!(%error, "NATS is not told that a message is in hand");
                }
            }
        }
    };
    let told = match verdict {
        Verdict::Taken { .. } | Verdict::Rejected => message.ack().await,
        Verdict::Again => message.ack_with(AckKind::Nak(Some(pause_after(tries)))).await,
    };
    if let Err(error) = told {
        tracing::debug!(%error, place = delivery.place, "NATS is not told; the message comes again");
    }
}

fn read(stream: &str, message: &Message) -> (Delivery, u32) {
    let info = message.info();
    let (sequence, delivered) =
        info.as_ref().map_or((0, 1), |info| (info.stream_sequence, info.delivered));
    let tries = u32::try_from(delivered.max(1)).unwrap_or(u32::MAX);
    let published = info
        .ok()
        .and_then(|info| i64::try_from(info.published.unix_timestamp_nanos() / 1_000_000).ok());
    let headers = message.headers.iter().flat_map(|headers| headers.iter());
    let headers = headers.flat_map(|(name, values)| {
        values.iter().map(move |value| (name.to_string(), value.as_str().as_bytes().to_vec()))
    });
    let delivery = Delivery {
        place: format!("nats/{stream}/{sequence}/{}", message.subject),
        told: format!("message {sequence} of the stream `{stream}`, on `{}`", message.subject),
        channel: message.subject.to_string(),
        headers: headers.collect(),
        body: message.payload.to_vec(),
        sent_at: published.map(Timestamp),
    };
    (delivery, tries)
}
