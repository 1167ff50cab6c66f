//! Reports by Apache Kafka, on a real broker: each is in its topic once it counts as taken, whatever is away or killed.

use crate::base::Base as _;
use crate::published::{
    believing, dies_before_it_hears, emptied, fail, outlives_its_broker, paying,
    refuses_what_is_too_large, small, why_later,
};
use amends_private_server::{KafkaServer, Keys};
use amends_service::{
    Certificates, Delivery, KafkaConfig, KafkaLogin, KafkaSink, ReportSink as _, SaslMechanism,
    Sqlite,
};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest word of a broker that is there.
const PATIENCE: Duration = Duration::from_secs(30);
/// One for each test of this file, on the broker that they share.
const PARTITIONS: u16 = 3;

/// A message of a report.
#[derive(Debug)]
struct Found {
    key: String,
    headers: BTreeMap<String, String>,
    data: Value,
}

impl Found {
    fn id(&self) -> &str {
        &self.headers["ce_id"]
    }
}

/// Everything in a topic, partition by partition.
fn published(server: &KafkaServer, topic: &str) -> Vec<Found> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", server.address()).set("group.id", "stories");
    config.set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().expect("good settings");
    let mut assigned = TopicPartitionList::new();
    let mut left = 0;
    for partition in 0..i32::from(PARTITIONS) {
        let offset = Offset::Beginning;
        assigned.add_partition_offset(topic, partition, offset).expect("good");
        let marks = consumer.fetch_watermarks(topic, partition, PATIENCE).expect("answers");
        left += marks.1 - marks.0;
    }
    consumer.assign(&assigned).expect("assigned");
    let mut found = Vec::new();
    while left > 0 {
        let message = consumer.poll(PATIENCE).expect("there is more").expect("readable");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let headers = message.headers().expect("there are some").iter();
        found.push(Found {
            key: text(message.key().expect("has a key")),
            headers: headers
                .map(|header| (header.key.to_owned(), text(header.value.expect("has a value"))))
                .collect(),
            data: serde_json::from_slice(message.payload().expect("has data")).expect("JSON"),
        });
        left -= 1;
    }
    found
}

fn sink(server: &KafkaServer, topic: &str) -> KafkaSink {
    let topic = topic.to_owned();
    let config = KafkaConfig { topic, ..KafkaConfig::new("payment", &server.address()) };
    KafkaSink::new(config).expect("good settings")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_counts_as_taken_is_in_the_topic_once_with_its_saga_as_key() {
    let server = KafkaServer::shared();
    server.make_topic("whole", PARTITIONS);
    let payment = paying(&Sqlite::new_place().await, sink(server, "whole")).await;
    let sent = fail(&payment, "order-1", "a").await;
    emptied(&payment).await;
    let [found] = &published(server, "whole")[..] else { panic!("one message") };
    assert_eq!(found.key, "order-1");
    for (name, value) in [
        ("content-type", "application/json"),
        ("ce_specversion", "1.0"),
        ("ce_type", "dev.amends.report.v1"),
        ("ce_source", "payment"),
        ("ce_id", sent.as_str()),
        ("ce_subject", "order-1"),
        ("ce_partitionkey", "order-1"),
    ] {
        assert_eq!(found.headers[name], value, "{name}");
    }
    assert_eq!(found.data["code"], "report-1");
    assert_eq!(found.data["history"][0]["requestId"], "a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_dies_between_publishing_and_settling_publishes_twice_under_one_id() {
    let server = KafkaServer::shared();
    server.make_topic("twice", PARTITIONS);
    let sent = dies_before_it_hears(|| sink(server, "twice")).await;
    let found = published(server, "twice");
    let ids: Vec<_> = found.iter().map(Found::id).collect();
    assert_eq!(ids, [&sent, &sent]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_kafka_is_away_and_each_saga_keeps_its_order() {
    let server = KafkaServer::start();
    server.make_topic("away", PARTITIONS);
    let (kill, start_again) = (|| server.kill(), || server.start_again());
    let sent = outlives_its_broker(sink(&server, "away"), kill, start_again).await;
    let found = published(&server, "away");
    let mut ids: Vec<_> = found.iter().map(|found| found.id().to_owned()).collect();
    // One that timed out may have been written all the same.
    ids.dedup();
    assert_eq!(ids, sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_is_refused_and_a_topic_that_is_missing_is_named() {
    let nowhere = sink(KafkaServer::shared(), "nowhere");
    refuses_what_is_too_large(&nowhere).await;
    let (why, turned_away) = why_later(&nowhere).await;
    assert!(turned_away && why.contains("no topic `nowhere`"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_tls_a_name_and_a_password_it_publishes_and_else_it_says_who_does_not_let_it() {
    let keys = Keys::new();
    let server = KafkaServer::start_secured(&keys);
    server.make_topic("secured", PARTITIONS);
    keys.put("renewed", "not-the-password\n");
    let login = KafkaLogin {
        mechanism: SaslMechanism::ScramSha512,
        user: Keys::USER.to_owned(),
        file: keys.file("renewed"),
    };
    let config = KafkaConfig {
        topic: "secured".to_owned(),
        tls: true,
        certificates: believing(&keys),
        login: Some(login),
        ..KafkaConfig::new("payment", &server.secured_address())
    };
    let stranger = KafkaConfig { certificates: Certificates::default(), ..config.clone() };
    let stranger = KafkaSink::new(stranger).expect("good settings");
    let (why, turned_away) = why_later(&stranger).await;
    assert!(turned_away && why.contains("certificate"), "an authority that nobody named: {why}");
    let sink = KafkaSink::new(config).expect("good settings");
    let (why, turned_away) = why_later(&sink).await;
    assert!(turned_away && why.contains("uthentication") && !why.contains("not-the"), "{why}");
    // What the file says now is taken without a start.
    keys.put("renewed", Keys::PASSWORD);
    assert_eq!(sink.deliver(&small()).await, Delivery::Taken);
    assert_eq!(published(&server, "secured").len(), 1);
}
