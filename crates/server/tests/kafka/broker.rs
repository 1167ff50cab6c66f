//! A Kafka with topics of one story, what publishes there, and supervisors that read it.

use super::brokers::{PATIENCE, configured, event, until};
use amends_private_server::{KafkaServer, Keys};
use amends_server::kafka::{KafkaLag, lag};
use amends_server::{Config, KafkaOptions, Running, start};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientConfig, ClientContext};
use serde_json::Value;
use std::ops::Deref;
use std::path::Path;
use tempfile::TempDir;

/// A server that other stories use as well, or not.
pub enum Server {
    Shared(&'static KafkaServer),
    Own(KafkaServer),
}

impl Deref for Server {
    type Target = KafkaServer;

    fn deref(&self) -> &KafkaServer {
        match self {
            Self::Shared(server) => server,
            Self::Own(server) => server,
        }
    }
}

/// A Kafka with the topics of a story.
pub struct Broker {
    pub server: Server,
    pub group: String,
    /// More lines of the configuration.
    pub more: String,
    story: String,
    folder: TempDir,
    producer: BaseProducer<Acknowledged>,
    admin: AdminClient<DefaultClientContext>,
}

/// What is not acknowledged was not published.
struct Acknowledged;

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            panic!("published: {error}");
        }
    }
}

/// The sagas of two stores together. What both have read is in both: that it is undone once is proved of supervisors
/// that share a store, by the tests of the binary.
pub fn both(stores: [Vec<String>; 2]) -> Vec<String> {
    let mut all = stores.concat();
    all.sort_by_key(|saga| saga[2..].parse::<usize>().unwrap_or(usize::MAX));
    all.dedup();
    all
}

fn client(server: &KafkaServer) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", server.address()).set("acks", "all");
    client.set("message.max.bytes", "12000000");
    client
}

impl Broker {
    /// On the server of all stories, with topics `payment` and `bridge`.
    pub async fn shared(story: &str, partitions: i32) -> Self {
        Self::on(Server::Shared(KafkaServer::shared()), story).with_topics(partitions).await
    }

    /// On a server of its own.
    pub async fn own(story: &str, partitions: i32) -> Self {
        Self::on(Server::Own(KafkaServer::start()), story).with_topics(partitions).await
    }

    /// On a server that has an encrypted address, too, and asks for a name there.
    pub async fn secured(story: &str, keys: &Keys) -> Self {
        Self::on(Server::Own(KafkaServer::start_secured(keys)), story).with_topics(1).await
    }

    /// The configuration of a supervisor that comes by the encrypted address, with a password of the keys.
    pub fn secured_config(&self, keys: &Keys, password: &str) -> Config {
        let (authority, password) = (keys.path("authority.pem"), keys.path(password));
        let user = Keys::USER;
        self.config_with(
            "a",
            &self.server.secured_address(),
            &format!("tls = true\nauthorities = \"{authority}\"\nuser = \"{user}\"\npassword_file = \"{password}\"\n"),
        )
    }

    /// Without topics.
    pub fn bare(story: &str) -> Self {
        Self::on(Server::Shared(KafkaServer::shared()), story)
    }

    fn on(server: Server, story: &str) -> Self {
        let client = client(&server);
        Self {
            group: format!("{story}-group"),
            more: String::new(),
            story: story.to_owned(),
            folder: tempfile::tempdir().expect("a folder"),
            producer: client.create_with_context(Acknowledged).expect("a producer"),
            admin: client.create().expect("a client"),
            server,
        }
    }

    async fn with_topics(self, partitions: i32) -> Self {
        self.make("payment", partitions).await;
        self.make("bridge", 1).await;
        self
    }

    pub fn topic(&self, name: &str) -> String {
        match name {
            "bridge" | "events" => format!("{}.{name}", self.story),
            service => format!("{}.reports.{service}", self.story),
        }
    }

    pub async fn make(&self, name: &str, partitions: i32) {
        self.make_with(name, partitions, &[]).await;
    }

    pub async fn make_with(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let name = self.topic(name);
        let mut topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        let made = self.admin.create_topics([&topic], &AdminOptions::new()).await;
        made.expect("answers").remove(0).expect("made");
    }

    /// Makes a topic, unless one of the name is still there.
    pub async fn try_make(&self, name: &str, partitions: i32) -> bool {
        let name = self.topic(name);
        let topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        let made = self.admin.create_topics([&topic], &AdminOptions::new()).await;
        made.expect("answers").remove(0).is_ok()
    }

    /// Deletes a topic with all that it holds.
    pub async fn delete(&self, name: &str) {
        let deleted = self.admin.delete_topics(&[&self.topic(name)], &AdminOptions::new()).await;
        deleted.expect("answers").remove(0).expect("deleted");
    }

    pub async fn grow(&self, name: &str, partitions: usize) {
        let name = self.topic(name);
        let grown = NewPartitions::new(&name, partitions);
        let done = self.admin.create_partitions([&grown], &AdminOptions::new()).await;
        done.expect("answers").remove(0).expect("grown");
    }

    /// Removes messages as retention would.
    pub async fn remove_before(&self, name: &str, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic(name), 0, Offset::Offset(offset)).expect("an offset");
        self.admin.delete_records(&list, &AdminOptions::new()).await.expect("removed");
    }

    /// The configuration of a supervisor that reads there.
    pub fn config(&self, name: &str) -> Config {
        self.config_with(name, &self.server.address(), "")
    }

    fn config_with(&self, name: &str, address: &str, more: &str) -> Config {
        let file = format!(
            "[kafka]\nbrokers = [\"{address}\"]\ngroup = \"{}\"\nsession_timeout = \"6s\"\n{more}[kafka.topics]\n\"{}\" = []\n\"{}\" = [\"*\"]\n{}",
            self.group,
            self.topic("*"),
            self.topic("bridge"),
            self.more,
        );
        configured(self.folder(), name, &file)
    }

    pub fn options(&self) -> KafkaOptions {
        self.config("a").kafka.expect("configured")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub async fn supervisor(&self, name: &str) -> Running {
        start(self.config(name)).await.expect("started")
    }

    pub fn publish(&self, name: &str, body: &[u8]) {
        self.publish_with(name, &[], Some(body));
    }

    /// Publishes, and returns once the broker has it; to which partition is left to chance.
    pub fn publish_with(&self, name: &str, headers: &[(&str, &str)], body: Option<&[u8]>) {
        let topic = self.topic(name);
        let mut all = OwnedHeaders::new();
        for (key, value) in headers {
            all = all.insert(Header { key, value: Some(*value) });
        }
        let mut record = BaseRecord::<(), [u8], ()>::to(&topic).headers(all);
        if let Some(body) = body {
            record = record.payload(body);
        }
        self.producer.send(record).map_err(|(error, _)| error).expect("sent");
        self.producer.flush(PATIENCE).expect("stored");
    }

    /// Publishes an event with a key, by which its partition is chosen.
    pub fn publish_as(&self, key: &str, event: &Value) {
        let (topic, body) = (self.topic("payment"), event.to_string());
        let record = BaseRecord::to(&topic).key(key).payload(&body);
        self.producer.send(record).map_err(|(error, _)| error).expect("sent");
        self.producer.flush(PATIENCE).expect("stored");
    }

    /// Publishes to a partition, by somebody who has just come and so knows of new ones.
    pub fn publish_to(&self, name: &str, partition: i32, event: &Value) {
        let (topic, body) = (self.topic(name), event.to_string());
        let producer: BaseProducer<Acknowledged> =
            client(&self.server).create_with_context(Acknowledged).expect("a producer");
        let record = BaseRecord::<(), str, ()>::to(&topic).partition(partition).payload(&body);
        producer.send(record).map_err(|(error, _)| error).expect("sent");
        producer.flush(PATIENCE).expect("stored");
    }

    pub fn publish_binary(&self, name: &str, source: &str, n: usize) {
        let (id, saga) = (format!("r-{n}"), format!("o-{n}"));
        let headers = [
            ("ce_specversion", "1.0"),
            ("ce_type", "dev.amends.report.v1"),
            ("ce_source", source),
            ("ce_id", &id),
            ("ce_subject", &saga),
            ("content-type", "application/json"),
        ];
        self.publish_with(name, &headers, Some(br#"{"code":"failed"}"#));
    }

    pub fn report(&self, n: usize) {
        self.publish("payment", event("payment", n).to_string().as_bytes());
    }

    /// Many together.
    pub fn reports(&self, numbers: impl IntoIterator<Item = usize>) {
        for n in numbers {
            // Else what is sent within some milliseconds goes to one partition.
            let (topic, key) = (self.topic("payment"), n.to_string());
            let body = event("payment", n).to_string();
            let record = BaseRecord::to(&topic).key(&key).payload(&body);
            self.producer.send(record).map_err(|(error, _)| error).expect("sent");
        }
        self.producer.flush(PATIENCE).expect("stored");
    }

    pub async fn lag(&self) -> KafkaLag {
        lag(&self.options()).await.expect("answers")
    }

    /// Waits until nothing is left at the broker.
    pub async fn is_read(&self) {
        let options = self.options();
        until("all is read", async || lag(&options).await.is_ok_and(|lag| lag.waiting() == 0))
            .await;
    }
}
