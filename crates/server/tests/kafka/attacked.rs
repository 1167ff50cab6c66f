//! What strangers and mishaps could cost reports: headers that are no text, topics that are made anew, messages that
//! are removed unread, patterns that match nothing.

use super::broker::Broker;
use super::brokers::{connected, event, metric, named, over_http, rejected, sagas, until};
use super::raw;
use amends_server::kafka::check;
use amends_server::{Severity, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_are_no_text_hold_up_nobody() {
    let broker = Broker::shared("headers", 1).await;
    let running = broker.supervisor("a").await;
    // A name that is not UTF-8, which only a broker's own protocol can send.
    let body = event("payment", 1).to_string();
    let (address, topic) = (broker.server.address(), broker.topic("payment"));
    let headers: [(&[u8], &[u8]); 2] = [(b"tr\xe4ce", b"1"), (b"a", b"\xff")];
    raw::publish(&address, &topic, &headers, body.as_bytes()).await;
    raw::publish(&address, &topic, &[(b"\xff", b"1")], b"no JSON").await;
    broker.report(2);
    broker.is_read().await;
    assert_eq!(sagas(&running).await, named([1, 2]), "a stranger's header is none of ours");
    let rows = rejected(&running).await;
    assert!(rows.len() == 1 && rows[0].1.contains("not a JSON object"), "{rows:#?}");
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_ten_mebibytes_are_put_aside_and_hold_up_nobody() {
    let broker = Broker::bare("large");
    broker.make_with("payment", 1, &[("max.message.bytes", "12000000")]).await;
    broker.make("bridge", 1).await;
    let running = start(broker.config("a")).await.expect("started");
    // Together more than are kept in hand at once.
    let long = vec![b'x'; 10 << 20];
    for _ in 0..10 {
        broker.publish("payment", &long);
    }
    broker.report(1);
    broker.is_read().await;
    assert_eq!(sagas(&running).await, named([1]));
    let rows = rejected(&running).await;
    assert_eq!(rows.len(), 10, "{rows:#?}");
    assert!(rows.iter().all(|(_, why)| why.contains("at most 921600")), "{rows:#?}");
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_made_anew_is_read_from_its_first_message() {
    let broker = Broker::shared("anew", 1).await;
    let running = broker.supervisor("a").await;
    broker.publish("payment", b"the first");
    broker.is_read().await;
    // Before these are done at Kafka, it is known that Kafka remembers something.
    broker.reports(1..=5);
    broker.is_read().await;
    broker.delete("payment").await;
    until("it can be made anew", async || broker.try_make("payment", 1).await).await;
    // More than there were, so that where reading stood there is a message again.
    broker.publish("payment", b"the second");
    broker.reports(6..=20);
    until("all are taken", async || sagas(&running).await == named(1..=20)).await;
    broker.is_read().await;
    let rows = rejected(&running).await;
    assert_eq!(rows.len(), 2, "neither overwrites the other: {rows:#?}");
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_kafka_has_removed_unread_is_told() {
    let broker = Broker::shared("removed", 1).await;
    let running = broker.supervisor("a").await;
    broker.report(1);
    broker.is_read().await;
    running.stop().await.expect("ended in order");
    broker.reports(2..=10);
    broker.remove_before("payment", 8).await;
    let findings = check(&broker.options(), None).await.expect("answers");
    let says = |words: &str| {
        findings.iter().any(|one| one.severity == Severity::Error && one.text.contains(words))
    };
    assert!(says("removed reports"), "{findings:#?}");
    let running = broker.supervisor("a").await;
    broker.is_read().await;
    assert_eq!(sagas(&running).await, named([1, 9, 10]));
    assert_eq!(metric(&running, "amends_offset_resets_total{way=\"kafka\"}").await, 1);
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pattern_that_matches_no_topic_is_told_until_one_is_there() {
    let broker = Broker::bare("nothing");
    broker.make("bridge", 1).await;
    let running = start(broker.config("a")).await.expect("started");
    broker.publish("bridge", event("order", 1).to_string().as_bytes());
    until("what is there is read", async || sagas(&running).await == named([1])).await;
    connected(&running, "kafka", false).await;
    assert!(!over_http(&running, 2).await, "HTTP goes on");
    broker.make("payment", 1).await;
    connected(&running, "kafka", true).await;
    running.stop().await.expect("ended in order");
}
