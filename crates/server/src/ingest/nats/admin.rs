//! What people do at a NATS: make the stream, look whether all is as it should be, see what waits.

use super::connect::{Ended, connect};
use super::settings::{Weight, covers, oddities, removed_unread, wanted};
use crate::ingest::NatsOptions;
use crate::ingest::finding::{BrokerError, Finding, Severity};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, Source, StorageType};
use async_nats::jetstream::{self, stream};
use std::fmt;
use std::time::Duration;

/// How long a new stream keeps messages, unless told otherwise: longer than anybody is away for.
const KEPT: Duration = Duration::from_secs(14 * 86_400);
/// How long NATS itself knows a message's id again. We know reports for as long as their cases are kept.
const DUPLICATES: Duration = Duration::from_secs(120);

/// What waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NatsLag {
    /// Messages of the stream that were not brought to us yet.
    pub waiting: u64,
    /// Messages that were brought and are not acknowledged.
    pub in_hand: u64,
    /// Messages that the stream holds, taken or not.
    pub held: u64,
}

/// Makes the stream and our consumer; of a stream that is there nothing is changed. Says what was done.
///
/// # Errors
/// The server can't be reached, or refuses.
pub async fn init(options: &NatsOptions, replicas: usize) -> Result<Vec<String>, BrokerError> {
    let context = context(options).await?;
    let mut done = Vec::new();
    let name = &options.stream;
    let stream = match context.get_stream(name).await {
        Ok(stream) => {
            done.push(format!("stream `{name}` is there; nothing of it was changed"));
            stream
        }
        Err(_) => {
            let wanted = new_stream(&context, options, replicas).await;
            let made = context.create_stream(wanted.clone()).await;
            let made = made.map_err(|error| refused(&format!("stream `{name}`"), &error))?;
            done.push(format!("stream `{name}` is made"));
            done.extend(wanted.sources.iter().flatten().map(|source| {
                let subject = source.filter_subject.as_deref().unwrap_or(">");
                format!(
                    "it copies `{subject}` from the stream `{}`, which holds that already",
                    source.name
                )
            }));
            made
        }
    };
    let durable = &options.durable;
    let made = stream.get_or_create_consumer(durable, wanted(options)).await;
    made.map_err(|error| refused(&format!("consumer `{durable}`"), &error))?;
    done.push(format!("consumer `{durable}` is there"));
    Ok(done)
}

/// Looks at the stream and the consumer.
///
/// # Errors
/// The server can't be reached.
pub async fn check(
    options: &NatsOptions,
    keep_settled: Option<Duration>,
) -> Result<Vec<Finding>, BrokerError> {
    let context = context(options).await?;
    let name = &options.stream;
    let mut stream = match context.get_stream(name).await {
        Ok(stream) => stream,
        Err(error) => {
            let text = format!("stream `{name}`: {error}; make it: `amends nats init`");
            return Ok(vec![Finding { severity: Severity::Error, text }]);
        }
    };
    let info = stream.info().await.map_err(|error| refused(&format!("stream `{name}`"), &error))?;
    let mut findings = of_stream(options, &info.config, keep_settled);
    let durable = &options.durable;
    let found = stream.get_consumer::<jetstream::consumer::pull::Config>(durable).await;
    let Ok(consumer) = found else {
        let text =
            format!("consumer `{durable}` is not there; the supervisor makes it when it starts");
        findings.push(Finding { severity: Severity::Warning, text });
        return Ok(findings);
    };
    if let Some(text) = removed_unread(stream.cached_info(), consumer.cached_info()) {
        findings.push(Finding { severity: Severity::Error, text });
    }
    let odd = oddities(&consumer.cached_info().config, options);
    findings.extend(odd.iter().map(|oddity| Finding {
        severity: match oddity.weight {
            Weight::Fatal | Weight::Loses => Severity::Error,
            Weight::Odd | Weight::Mended => Severity::Warning,
        },
        text: format!("consumer `{durable}`: {}", oddity.text),
    }));
    if odd.is_empty() {
        findings.push(Finding::good(format!("consumer `{durable}` remembers what was taken")));
    }
    Ok(findings)
}

/// What waits at the server.
///
/// # Errors
/// The server can't be reached, or has no such stream or consumer.
pub async fn lag(options: &NatsOptions) -> Result<NatsLag, BrokerError> {
    let context = context(options).await?;
    let (name, durable) = (&options.stream, &options.durable);
    let mut stream = context
        .get_stream(name)
        .await
        .map_err(|error| refused(&format!("stream `{name}`"), &error))?;
    let held = stream.info().await.map_or(0, |info| info.state.messages);
    let found = stream.get_consumer::<jetstream::consumer::pull::Config>(durable).await;
    let mut consumer =
        found.map_err(|error| BrokerError::Refused(format!("consumer `{durable}`: {error}")))?;
    let info =
        consumer.info().await.map_err(|error| refused(&format!("consumer `{durable}`"), &error))?;
    let in_hand = u64::try_from(info.num_ack_pending).unwrap_or_default();
    Ok(NatsLag { waiting: info.num_pending, in_hand, held })
}

async fn context(options: &NatsOptions) -> Result<jetstream::Context, BrokerError> {
    let client = connect(options).await.map_err(|ended| match ended {
        Ended::Away(why) => BrokerError::Away(why),
        other => BrokerError::Refused(other.to_string()),
    })?;
    Ok(jetstream::new(client))
}

fn refused(what: &str, why: &dyn fmt::Display) -> BrokerError {
    BrokerError::Refused(format!("{what}: {why}"))
}

/// A stream that loses nothing by itself but what is too old. A subject lies in one stream alone: what another one
/// holds is copied from there.
async fn new_stream(
    context: &jetstream::Context,
    options: &NatsOptions,
    replicas: usize,
) -> Config {
    let (mut subjects, mut sources) = (Vec::new(), Vec::new());
    for subject in options.channels.iter().map(|channel| channel.pattern.clone()) {
        match context.stream_by_subject(subject.clone()).await {
            Ok(name) => {
                let filter_subject = Some(subject);
                sources.push(Source { name, filter_subject, ..Source::default() });
            }
            Err(_) => subjects.push(subject),
        }
    }
    Config {
        name: options.stream.clone(),
        description: Some("Reports of failures, for Amends".to_owned()),
        subjects,
        sources: (!sources.is_empty()).then_some(sources),
        // A work queue deletes what was acknowledged: nobody could look at it, and no second supervisor take it.
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        // Whoever publishes is told that it is full; with the other policy the oldest would go, unseen.
        discard: DiscardPolicy::New,
        max_age: KEPT,
        duplicate_window: DUPLICATES,
        num_replicas: replicas,
        ..Config::default()
    }
}

/// What is wrong with a stream, if anything is.
fn of_stream(
    options: &NatsOptions,
    found: &stream::Config,
    keep: Option<Duration>,
) -> Vec<Finding> {
    let (mut findings, name) = (Vec::new(), &options.stream);
    let mut say = |severity: Severity, text: String| findings.push(Finding { severity, text });
    if found.retention != RetentionPolicy::Limits {
        let text =
            format!("stream `{name}` deletes what was acknowledged (retention is not `limits`)");
        say(Severity::Warning, text);
    }
    if found.storage != StorageType::File {
        say(
            Severity::Error,
            format!("stream `{name}` is in memory: a restart of the server loses reports"),
        );
    }
    for channel in &options.channels {
        let copied = found.sources.iter().flatten();
        let copied = copied.map(|source| source.filter_subject.as_deref().unwrap_or(">"));
        let mut held = found.subjects.iter().map(String::as_str).chain(copied);
        if !held.any(|subject| covers(subject, &channel.pattern)) {
            let text = format!(
                "stream `{name}` does not hold `{}`: reports on it are lost",
                channel.pattern
            );
            say(Severity::Error, text);
        }
    }
    if let Some(keep) = keep.filter(|keep| found.max_age.is_zero() || found.max_age > *keep) {
        let text = format!(
            "stream `{name}` keeps messages longer than settled cases are kept ({} s, `retention.settled`); what is older is put \
             aside",
            keep.as_secs()
        );
        say(Severity::Warning, text);
    }
    if findings.is_empty() {
        findings.push(Finding::good(format!("stream `{name}` holds all subjects, on disk")));
    }
    findings
}
