//! Reports by Apache Kafka, on a real broker: each is in its topic once it counts as taken, whatever is away or killed.

use crate::base::Base;
use crate::rig::{Service, until};
use amends_private_server::KafkaServer;
use amends_service::store::{BoxFuture, OutgoingReport, ReportRow};
use amends_service::{Delivery, KafkaConfig, KafkaSink, KitConfig, ReportSink, SagaId, Sqlite};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
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

async fn paying(place: &<Sqlite as Base>::Place, sink: impl ReportSink) -> Service<Sqlite> {
    let config = KitConfig::new("payment");
    let mut payment = Service::with(place, config, |builder| builder.report_sink(sink)).await;
    payment.background();
    payment
}

async fn fail(payment: &Service<Sqlite>, saga: &str, request: &str) -> String {
    let failed = payment.pay(saga, request, &json!({ "fail": "report-1" })).await;
    failed.header("amends-report").expect("named").to_owned()
}

async fn emptied(payment: &Service<Sqlite>) {
    until("the outbox is empty", async || {
        payment.kit.pending_reports().await.expect("readable") == 0
    })
    .await;
}

/// A report as the relay hands it over.
fn report(data: &Value) -> OutgoingReport {
    let saga = SagaId::new("order-1").expect("a saga id");
    let data = data.to_string();
    let report = ReportRow { report_id: "r-1".to_owned(), saga, traceparent: None, data };
    OutgoingReport { report, happened_at_ms: 0, tries: 0 }
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

/// Publishes, and dies before anybody hears of it.
struct Deaf {
    sink: KafkaSink,
    published: Arc<AtomicU32>,
}

impl ReportSink for Deaf {
    fn deliver<'a>(&'a self, sent: &'a OutgoingReport) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            assert_eq!(self.sink.deliver(sent).await, Delivery::Taken);
            self.published.fetch_add(1, Ordering::SeqCst);
            std::future::pending().await
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_dies_between_publishing_and_settling_publishes_twice_under_one_id() {
    let server = KafkaServer::shared();
    server.make_topic("twice", PARTITIONS);
    let place = Sqlite::new_place().await;
    let published_once = Arc::default();
    let deaf = Deaf { sink: sink(server, "twice"), published: Arc::clone(&published_once) };
    let payment = paying(&place, deaf).await;
    let sent = fail(&payment, "order-1", "a").await;
    until("it is published", async || published_once.load(Ordering::SeqCst) == 1).await;
    assert_eq!(payment.kit.pending_reports().await.expect("readable"), 1);
    payment.stop().await;

    let payment = paying(&place, sink(server, "twice")).await;
    // The dead process's claim has run out.
    payment.tell("UPDATE amends_outbox SET due_at = 0").await;
    emptied(&payment).await;
    let found = published(server, "twice");
    let ids: Vec<_> = found.iter().map(Found::id).collect();
    assert_eq!(ids, [&sent, &sent]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_kafka_is_away_and_each_saga_keeps_its_order() {
    let server = KafkaServer::start();
    server.make_topic("away", PARTITIONS);
    let payment = paying(&Sqlite::new_place().await, sink(&server, "away")).await;
    let mut sent = vec![fail(&payment, "order-1", "r-0").await];
    emptied(&payment).await;
    server.kill();
    for n in 1..=6 {
        sent.push(fail(&payment, "order-1", &format!("r-{n}")).await);
    }
    assert_eq!(payment.kit.pending_reports().await.expect("readable"), 6);
    server.start_again();
    emptied(&payment).await;
    let found = published(&server, "away");
    let mut ids: Vec<_> = found.iter().map(|found| found.id().to_owned()).collect();
    // One that timed out may have been written all the same.
    ids.dedup();
    assert_eq!(ids, sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_is_refused_and_a_topic_that_is_missing_is_named() {
    let server = KafkaServer::shared();
    let long = json!({ "code": "a", "data": { "basket": "x".repeat(1 << 20) } });
    let nowhere = sink(server, "nowhere");
    match nowhere.deliver(&report(&long)).await {
        Delivery::Refused(why) => {
            assert!(why.contains("`data.basket`") && why.contains("921600"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    match nowhere.deliver(&report(&json!({ "code": "a" }))).await {
        Delivery::Later { why, turned_away, .. } => {
            assert!(turned_away && why.contains("no topic `nowhere`"), "{why}");
        }
        other => panic!("{other:?}"),
    }
}
