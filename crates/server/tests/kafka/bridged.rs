//! Events that a service of Spring publishes in words of its own, and the message of the protocol page.

use super::broker::Broker;
use super::brokers::{metric, sagas, until};
use super::shop::{TYPE, bridge, class, coupons, events, is_compensated_once, rulebook, settled};
use std::fs;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_of_a_spring_service_are_compensated_once_and_other_events_are_skipped() {
    let mut broker = Broker::shared("spring", 1).await;
    broker.make("events", 1).await;
    let (address, heard) = coupons().await;
    fs::write(broker.folder().join("rules.yaml"), rulebook(&address)).expect("written");
    broker.more = bridge(&format!("topics = [\"{}\"]", broker.topic("events")));
    let running = broker.supervisor("a").await;
    for (name, event) in events() {
        let headers = [(TYPE, class(name)), ("content-type", "application/json".to_owned())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        broker.publish_with("events", &headers, Some(event.to_string().as_bytes()));
    }
    // In Kafka, the end of a key: no failure.
    broker.publish_with("events", &[(TYPE, &class("PaymentFailedEvent"))], None);
    broker.is_read().await;
    until("both are compensated", async || settled(&running).await == 2).await;
    is_compensated_once(&running, &heard).await;
    let skipped = metric(&running, "amends_messages_total{way=\"kafka\",result=\"skipped\"}").await;
    assert_eq!(skipped, 3);
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_message_of_the_protocol_page_is_a_report() {
    let page = include_str!("../../../../docs/reference/protocol.md");
    let shown = page.split("```kafka ").nth(1).and_then(|rest| rest.split("```").next());
    let (head, body) = shown.and_then(|shown| shown.split_once("\n\n")).expect("a message");
    let headers: Vec<(&str, &str)> =
        head.lines().skip(1).filter_map(|l| l.split_once(": ")).collect();
    let broker = Broker::shared("page", 1).await;
    let running = broker.supervisor("a").await;
    broker.publish_with("payment", &headers[1..], Some(body.as_bytes())); // the first is its key
    broker.is_read().await;
    assert_eq!(sagas(&running).await, ["order-4711"]);
    running.stop().await.expect("ended in order");
}
