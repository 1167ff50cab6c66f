//! What people do at a Kafka: look whether all is as it should be, see what waits. Joins no group, changes nothing.

use super::client::{client, consumer, is_pattern};
use crate::ingest::finding::{BrokerError, Finding, Severity};
use crate::ingest::{Channel, KafkaOptions};
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::{Metadata, MetadataTopic};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Longest time for a word with the brokers.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often, and after what, a group is asked about again that is between two brokers.
const MOST_TRIES: u32 = 50;
const AGAIN: Duration = Duration::from_millis(200);
/// Most that the library says in that time.
const SAID: usize = 1_000;

/// What waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KafkaLag {
    /// Every partition that reports come by.
    pub partitions: Vec<PartitionLag>,
}

/// What waits in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionLag {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// Where our group goes on; none before it has begun.
    pub committed: Option<i64>,
    /// The first offset that Kafka still has.
    pub first: i64,
    /// The one after the last.
    pub end: i64,
}

impl PartitionLag {
    /// Offsets that were not taken yet; a few of them may be no messages.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        let from = self.committed.unwrap_or(self.first).max(self.first);
        u64::try_from(self.end - from).unwrap_or_default()
    }
}

impl KafkaLag {
    /// All that wait.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.partitions.iter().map(PartitionLag::waiting).sum()
    }
}

/// Looks at topics, rights and our group.
///
/// # Errors
/// No broker can be reached.
pub async fn check(
    options: &KafkaOptions,
    keep_settled: Option<Duration>,
) -> Result<Vec<Finding>, BrokerError> {
    let own = options.clone();
    let (mut findings, topics) = blocking(move || look(&own)).await?;
    findings.extend(settings(options, topics, keep_settled).await);
    Ok(findings)
}

/// What waits at the brokers.
///
/// # Errors
/// No broker can be reached, there is no such topic, or we may not look.
pub async fn lag(options: &KafkaOptions) -> Result<KafkaLag, BrokerError> {
    let options = options.clone();
    blocking(move || {
        let (consumer, metadata) = connect(&options)?;
        let topics = matching(&options.channels, &metadata);
        if topics.is_empty() {
            let why =
                "no topic is there that the configuration names; `amends kafka check` tells more";
            return Err(BrokerError::Refused(why.to_owned()));
        }
        waiting(&consumer, &metadata, &topics)
    })
    .await
}

/// The library blocks.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BrokerError> + Send + 'static,
) -> Result<T, BrokerError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(BrokerError::Refused(error.to_string())))
}

/// Remembers what the library said of what is wrong: its answers only say that time is over.
#[derive(Debug, Default)]
struct Heard(Mutex<String>);

impl ClientContext for Heard {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // That all are away is said besides, whatever the reason is.
        let is_all = error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
        if heard.is_empty() || !is_all {
            reason.clone_into(&mut heard);
        }
    }
}

impl ConsumerContext for Heard {}

/// A consumer that has heard of all topics. It joins no group.
fn connect(options: &KafkaOptions) -> Result<(BaseConsumer<Heard>, Metadata), BrokerError> {
    let config = consumer(options).map_err(BrokerError::Refused)?;
    let consumer: BaseConsumer<Heard> = config
        .create_with_context(Heard::default())
        .map_err(|error| BrokerError::Refused(error.to_string()))?;
    match consumer.fetch_metadata(None, PATIENCE) {
        Ok(metadata) => Ok((consumer, metadata)),
        Err(error) => {
            // What it has said lies in its queue, among lines for a log.
            for _ in 0..SAID {
                let _ = consumer.poll(Duration::ZERO);
            }
            let heard = consumer.context().0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Err(BrokerError::Away(if heard.is_empty() { error.to_string() } else { heard }))
        }
    }
}

/// Topics that channels name.
fn matching(channels: &[Channel], metadata: &Metadata) -> Vec<String> {
    let names = metadata.topics().iter().map(|topic| topic.name());
    let named = names.filter(|name| channels.iter().any(|channel| channel.matches(name)));
    named.map(str::to_owned).collect()
}

/// Channels that no topic is there for, or none that we may see. Of names no others are asked for: there may be many.
///
/// # Errors
/// The brokers don't say within so long.
pub(super) fn missing<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    channels: &[Channel],
    patience: Duration,
) -> KafkaResult<Vec<String>> {
    let all = match channels.iter().any(is_pattern) {
        true => Some(consumer.fetch_metadata(None, patience)?),
        false => None,
    };
    let mut missing = Vec::new();
    for channel in channels {
        let is_there = match &all {
            Some(all) => has_topic(all, channel),
            None => has_topic(&consumer.fetch_metadata(Some(&channel.pattern), patience)?, channel),
        };
        if !is_there {
            missing.push(channel.pattern.clone());
        }
    }
    Ok(missing)
}

/// Whether a topic of a channel is there, and we may see it.
fn has_topic(metadata: &Metadata, channel: &Channel) -> bool {
    use RDKafkaErrorCode as Code;
    metadata.topics().iter().filter(|topic| channel.matches(topic.name())).any(|topic| {
        // Another error passes, and is one of a topic that is there.
        !topic.error().is_some_and(|error| {
            matches!(
                Code::from(error),
                Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::TopicAuthorizationFailed
            )
        })
    })
}

/// What can be seen without the brokers' settings, and the topics.
fn look(options: &KafkaOptions) -> Result<(Vec<Finding>, Vec<String>), BrokerError> {
    let (consumer, metadata) = connect(options)?;
    let mut findings = Vec::new();
    let topics = matching(&options.channels, &metadata);
    for channel in options.channels.iter().filter(|channel| !has_topic(&metadata, channel)) {
        let pattern = &channel.pattern;
        findings.push(Finding {
            severity: Severity::Error,
            text: format!(
                "no topic `{pattern}`: it is not there, or we may not see it; make it, and give us DESCRIBE and READ on it"
            ),
        });
    }
    let is_ours = |topic: &&MetadataTopic| topics.iter().any(|one| one == topic.name());
    for topic in metadata.topics().iter().filter(is_ours) {
        let copies = topic.partitions().iter().map(|one| one.replicas().len()).min().unwrap_or(0);
        let (name, partitions) = (topic.name(), topic.partitions().len());
        let leaderless = topic.partitions().iter().filter(|one| one.leader() < 0).count();
        if leaderless > 0 {
            let text = format!(
                "topic `{name}`: {leaderless} of {partitions} partitions have no leader now"
            );
            findings.push(Finding { severity: Severity::Error, text });
        }
        findings.push(match copies {
            0 | 1 => Finding {
                severity: Severity::Warning,
                text: format!("topic `{name}` has one copy of each partition: a broker that is lost loses reports"),
            },
            copies => Finding::good(format!("topic `{name}`: {partitions} partitions, {copies} copies of each")),
        });
    }
    if !topics.is_empty() {
        findings.extend(group(options, &consumer, &metadata, &topics));
    }
    Ok((findings, topics))
}

/// How far our group is, and whether what it would read next is there still.
fn group(
    options: &KafkaOptions,
    consumer: &BaseConsumer<Heard>,
    metadata: &Metadata,
    topics: &[String],
) -> Vec<Finding> {
    let group = &options.group;
    let error = |text: String| vec![Finding { severity: Severity::Error, text }];
    let lag = match waiting(consumer, metadata, topics) {
        Ok(lag) => lag,
        Err(why) => {
            return error(format!(
                "group `{group}`: {why}; give us READ on the group and on its topics"
            ));
        }
    };
    let lost: Vec<&PartitionLag> = lag
        .partitions
        .iter()
        .filter(|one| one.committed.is_some_and(|at| at < one.first))
        .collect();
    if let Some(one) = lost.first() {
        return error(format!(
            "group `{group}`: Kafka has removed reports of {} partitions that were not read (of `{}`/{} those from {:?} to {}): \
             its retention is shorter than we were away",
            lost.len(),
            one.topic,
            one.partition,
            one.committed,
            one.first
        ));
    }
    let begun = lag.partitions.iter().filter(|one| one.committed.is_some()).count();
    vec![Finding::good(match begun {
        0 => {
            format!("group `{group}` has not read yet; it begins with the earliest that Kafka has")
        }
        _ => format!(
            "group `{group}` has read in {begun} of {} partitions; {} wait",
            lag.partitions.len(),
            lag.waiting()
        ),
    })]
}

fn waiting(
    consumer: &BaseConsumer<Heard>,
    metadata: &Metadata,
    topics: &[String],
) -> Result<KafkaLag, BrokerError> {
    let refused = |error: &KafkaError| BrokerError::Refused(error.to_string());
    let mut list = TopicPartitionList::new();
    for topic in
        metadata.topics().iter().filter(|topic| topics.iter().any(|one| one == topic.name()))
    {
        for partition in topic.partitions() {
            list.add_partition(topic.name(), partition.id());
        }
    }
    let committed = committed(consumer, &list).map_err(|error| refused(&error))?;
    let mut partitions = Vec::new();
    for one in committed.elements() {
        let (topic, partition) = (one.topic().to_owned(), one.partition());
        let ends = consumer.fetch_watermarks(&topic, partition, PATIENCE);
        let (first, end) = ends.map_err(|error| refused(&error))?;
        let committed = match one.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        partitions.push(PartitionLag { topic, partition, committed, first, end });
    }
    Ok(KafkaLag { partitions })
}

/// What the group has committed. While a broker takes over the group, or has yet to read what it knows of it, it is
/// asked again: that takes a moment after each start of a broker.
fn committed(
    consumer: &BaseConsumer<Heard>,
    list: &TopicPartitionList,
) -> KafkaResult<TopicPartitionList> {
    let mut tries = 0..MOST_TRIES;
    loop {
        let told = consumer.committed_offsets(list.clone(), PATIENCE).and_then(|told| {
            let is_told = told.elements().iter().try_for_each(|one| one.error());
            is_told.map(|()| told)
        });
        match told {
            Err(error) if is_moving(&error) && tries.next().is_some() => {
                std::thread::sleep(AGAIN);
            }
            told => return told,
        }
    }
}

/// Whether the group is between two brokers.
fn is_moving(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator};
    let moving = [CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator];
    error.rdkafka_error_code().is_some_and(|code| moving.contains(&code))
}

/// What the topics' settings mean for reports.
async fn settings(
    options: &KafkaOptions,
    topics: Vec<String>,
    keep: Option<Duration>,
) -> Vec<Finding> {
    if topics.is_empty() {
        return Vec::new();
    }
    let resources: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let asked = async {
        let client: AdminClient<DefaultClientContext> =
            client(options)?.create().map_err(|error| error.to_string())?;
        let how = AdminOptions::new().request_timeout(Some(PATIENCE));
        client.describe_configs(&resources, &how).await.map_err(|error| error.to_string())
    };
    let unseen = |text: String| vec![Finding { severity: Severity::Warning, text }];
    match asked.await {
        Err(why) => unseen(format!("the topics' settings can't be seen: {why}")),
        Ok(all) => all
            .into_iter()
            .flat_map(|one| match one {
                Ok(one) => of_topic(&one, keep),
                Err(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                    unseen("a topic's settings can't be seen; to have them looked at, give us DESCRIBE_CONFIGS on it".to_owned())
                }
                Err(code) => unseen(format!("a topic's settings can't be seen: {code}")),
            })
            .collect(),
    }
}

fn of_topic(resource: &ConfigResource, keep: Option<Duration>) -> Vec<Finding> {
    let name = match &resource.specifier {
        rdkafka::admin::OwnedResourceSpecifier::Topic(name) => name.as_str(),
        _ => return Vec::new(),
    };
    let setting =
        |key: &str| resource.get(key).and_then(|entry| entry.value.as_deref()).unwrap_or_default();
    judge(name, &setting, keep)
}

/// What is wrong with a topic's settings, if anything is. Pure.
fn judge<'a>(
    name: &str,
    setting: &dyn Fn(&str) -> &'a str,
    keep: Option<Duration>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut say = |severity: Severity, text: String| findings.push(Finding { severity, text });
    let policy = setting("cleanup.policy");
    if policy.split(',').any(|word| word.trim() == "compact") {
        say(
            Severity::Error,
            format!(
                "topic `{name}` is compacted: of several reports of one key only the last stays; set cleanup.policy=delete"
            ),
        );
    }
    // -1: for ever.
    let kept =
        setting("retention.ms").parse::<i64>().ok().and_then(|millis| u64::try_from(millis).ok());
    let is_longer =
        |keep: &Duration| kept.is_none_or(|millis| Duration::from_millis(millis) > *keep);
    if policy.contains("delete")
        && let Some(keep) = keep.filter(is_longer)
    {
        say(
            Severity::Warning,
            format!(
                "topic `{name}` keeps messages longer than settled cases are kept ({} s, `retention.settled`); what is older is put aside",
                keep.as_secs()
            ),
        );
    }
    if setting("unclean.leader.election.enable") == "true" {
        say(
            Severity::Warning,
            format!(
                "topic `{name}` may lose acknowledged reports: unclean.leader.election.enable is true"
            ),
        );
    }
    if findings.is_empty() {
        findings.push(Finding::good(match kept {
            None => format!("topic `{name}` keeps messages for ever"),
            Some(millis) => {
                format!("topic `{name}` keeps messages for {} h, by age", millis / 3_600_000)
            }
        }));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(settings: &[(&str, &'static str)], keep_days: u64) -> Vec<Finding> {
        let setting = |key: &str| {
            settings.iter().find(|(name, _)| *name == key).map_or("", |(_, value)| *value)
        };
        judge("reports", &setting, Some(Duration::from_secs(keep_days * 86_400)))
    }

    #[test]
    fn settings_that_cost_reports_are_told() {
        let week = [("cleanup.policy", "delete"), ("retention.ms", "604800000")];
        assert_eq!(judged(&week, 90)[0].severity, Severity::Good);
        let says = |found: &[Finding], severity, words: &str| {
            assert!(
                found.iter().any(|one| one.severity == severity && one.text.contains(words)),
                "{words}: {found:?}"
            );
        };
        says(&judged(&week, 1), Severity::Warning, "`retention.settled`");
        let for_ever = [("cleanup.policy", "delete"), ("retention.ms", "-1")];
        says(&judged(&for_ever, 90), Severity::Warning, "`retention.settled`");
        says(&judged(&[("cleanup.policy", "compact,delete")], 90), Severity::Error, "compacted");
        let unclean = [
            ("cleanup.policy", "delete"),
            ("retention.ms", "1"),
            ("unclean.leader.election.enable", "true"),
        ];
        says(&judged(&unclean, 90), Severity::Warning, "unclean");
    }

    #[test]
    fn what_waits_is_counted_from_what_is_there_still() {
        let one = |committed| PartitionLag {
            topic: "reports".to_owned(),
            partition: 0,
            committed,
            first: 10,
            end: 25,
        };
        assert_eq!([None, Some(4), Some(20), Some(25)].map(|at| one(at).waiting()), [15, 15, 5, 0]);
    }
}
