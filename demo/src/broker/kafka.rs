//! Apache Kafka: how it is started, and what its topics hold.

use super::process::Launch;
use super::{ReportKey, find};
use anyhow::{Context as _, bail, ensure};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The supervisor's group.
const GROUP: &str = "amends";
/// Of each topic: several, so that the order among sagas is nobody's promise.
const PARTITIONS: i32 = 2;
/// One question may take this long; it has to be there again after a kill.
const QUESTION_LIMIT: Duration = Duration::from_secs(10);
/// Making the topics may take this long.
const TOPICS_LIMIT: Duration = Duration::from_secs(30);

/// How its server is started.
///
/// # Errors
/// When it is not there; says how to get it.
pub(super) fn launch() -> anyhow::Result<Launch> {
    let program = find("java").context(
        "`--broker kafka` starts a Kafka of its own, and there is no `java` in the PATH; install Debian's package \
         `default-jre-headless`",
    )?;
    programs()?;
    Ok(Launch { name: "kafka", program, arguments })
}

/// The folder of its programs, the jars.
fn programs() -> anyhow::Result<PathBuf> {
    let named = std::env::var_os("KAFKA_HOME").map(PathBuf::from);
    let folders = named.into_iter().flat_map(|home| [home.join("libs"), home]);
    let installed = std::env::current_dir().map(|folder| folder.join("target/kafka"));
    let has_jars = |folder: &PathBuf| {
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        files.into_iter().any(|file| {
            let name = file.file_name().to_string_lossy().into_owned();
            name.starts_with("kafka_") && name.ends_with(".jar")
        })
    };
    folders.chain(installed.ok()).find(has_jars).context(
        "`--broker kafka` starts a Kafka of its own, and there is none: let KAFKA_HOME name the folder of an Apache \
         Kafka 3.3 or newer (https://kafka.apache.org), or run `cargo xtask install` in the source tree, which brings \
         one to `target/kafka` by Debian's package `maven`",
    )
}

fn arguments(folder: &Path, port: u16) -> anyhow::Result<Vec<OsString>> {
    let own = folder.join(format!("kafka-{port}"));
    let properties = own.join("server.properties");
    if !properties.exists() {
        prepare(&own, &properties, port)?;
    }
    let mut jars = programs()?.into_os_string();
    jars.push("/*");
    let mut arguments: Vec<OsString> =
        ["-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]
            .map(OsString::from)
            .into();
    arguments.extend([jars, "kafka.Kafka".into(), properties.into()]);
    Ok(arguments)
}

/// Makes its folder as Kafka's own tool would: without the tool, one Java less has to start.
fn prepare(own: &Path, properties: &Path, port: u16) -> anyhow::Result<()> {
    let data = own.join("data");
    let controllers = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
    let controllers = controllers.local_addr()?.port();
    std::fs::create_dir_all(&data)?;
    std::fs::write(
        data.join("meta.properties"),
        "version=1\nnode.id=1\ncluster.id=AmendsDemoKafkaXXXXXXX\n",
    )?;
    let text = format!(
        "process.roles=broker,controller
node.id=1
log.dirs={}
listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controllers}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controllers}
# One that was killed may come back soon, and so may members of groups that were.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
group.min.session.timeout.ms=1000
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=2097152
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
",
        data.display()
    );
    std::fs::write(properties, text)
        .with_context(|| format!("cannot write `{}`", properties.display()))
}

/// Looks into the topics.
pub(super) struct KafkaReader(Arc<Topics>);

struct Topics {
    names: Vec<String>,
    config: ClientConfig,
    /// Of the supervisor's group, which it never joins.
    consumer: BaseConsumer,
}

impl KafkaReader {
    /// Makes a topic for each service.
    pub(super) async fn connect(address: &str, services: &[&str]) -> anyhow::Result<Self> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", address)
            .set("client.id", "amends-demo")
            .set("group.id", GROUP)
            .set("enable.auto.commit", "false")
            .set("reconnect.backoff.max.ms", "1000");
        let names: Vec<String> =
            services.iter().map(|service| format!("amends.reports.{service}")).collect();
        let admin: AdminClient<DefaultClientContext> = config.create()?;
        let topics =
            names.iter().map(|name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1)));
        let topics: Vec<NewTopic<'_>> = topics.collect();
        let options = AdminOptions::new().request_timeout(Some(TOPICS_LIMIT));
        let made = admin.create_topics(&topics, &options).await;
        for topic in made.with_context(|| format!("no Kafka at `{address}`"))? {
            if let Err((name, why)) = topic {
                bail!("the topic `{name}` can't be made: {why}");
            }
        }
        let consumer = config.create()?;
        Ok(Self(Arc::new(Topics { names, config, consumer })))
    }

    pub(super) async fn waiting(&self) -> anyhow::Result<u64> {
        self.blocking(Topics::waiting).await
    }

    pub(super) async fn messages(&self) -> anyhow::Result<Vec<ReportKey>> {
        self.blocking(Topics::messages).await
    }

    /// The library blocks.
    async fn blocking<T: Send + 'static>(
        &self,
        ask: fn(&Topics) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let topics = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || ask(&topics)).await?
    }
}

impl Topics {
    /// Every partition, with its first offset and the one after its last.
    fn partitions(&self) -> anyhow::Result<Vec<(&str, i32, i64, i64)>> {
        let mut found = Vec::new();
        for name in &self.names {
            for partition in 0..PARTITIONS {
                let (first, end) =
                    self.consumer.fetch_watermarks(name, partition, QUESTION_LIMIT)?;
                found.push((name.as_str(), partition, first, end));
            }
        }
        Ok(found)
    }

    fn waiting(&self) -> anyhow::Result<u64> {
        let partitions = self.partitions()?;
        let mut asked = TopicPartitionList::new();
        for (name, partition, ..) in &partitions {
            asked.add_partition(name, *partition);
        }
        let committed = self.consumer.committed_offsets(asked, QUESTION_LIMIT)?;
        let mut waiting = 0;
        for (name, partition, first, end) in partitions {
            let done = committed.find_partition(name, partition).map(|found| found.offset());
            let next = match done {
                Some(Offset::Offset(next)) => next.max(first),
                _ => first,
            };
            waiting += u64::try_from(end - next).unwrap_or_default();
        }
        Ok(waiting)
    }

    fn messages(&self) -> anyhow::Result<Vec<ReportKey>> {
        let mut assigned = TopicPartitionList::new();
        let mut left = 0;
        for (name, partition, first, end) in self.partitions()? {
            assigned.add_partition_offset(name, partition, Offset::Beginning)?;
            left += end - first;
        }
        // One of its own: the other has heard of every kill, and would tell of it now.
        let consumer: BaseConsumer = self.config.create()?;
        consumer.assign(&assigned)?;
        let mut found = Vec::new();
        while left > 0 {
            let message = consumer.poll(QUESTION_LIMIT);
            let message = message.context("Kafka doesn't tell all that it holds")??;
            found.push(key(&message)?);
            left -= 1;
        }
        Ok(found)
    }
}

/// The report in a message, by its headers.
fn key(message: &BorrowedMessage<'_>) -> anyhow::Result<ReportKey> {
    let header = |name: &str| {
        let headers = message.headers()?;
        let found = headers.iter().find(|header| header.key == name)?;
        found.value.map(|value| String::from_utf8_lossy(value).into_owned())
    };
    let place = (message.topic(), message.offset());
    ensure!(header("ce_id").is_some(), "message {} of `{}` is no report", place.1, place.0);
    Ok((header("ce_source").unwrap_or_default(), header("ce_id").unwrap_or_default()))
}
