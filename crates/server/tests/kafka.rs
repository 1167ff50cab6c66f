//! Reports by Apache Kafka, on a real broker: each is compensated once, whatever is repeated, broken, moved or away.
#![cfg(feature = "kafka")]

#[path = "kafka/attacked.rs"]
mod attacked;
#[path = "kafka/away.rs"]
mod away;
#[path = "kafka/bridged.rs"]
mod bridged;
#[path = "kafka/broker.rs"]
mod broker;
mod brokers;
#[path = "kafka/let_in.rs"]
mod let_in;
#[path = "kafka/raw.rs"]
mod raw;
mod shop;

use amends_server::kafka::{check, lag};
use amends_server::{Severity, start};
use broker::{Broker, both};
use brokers::{answer, connected, event, metric, named, over_http, rejected, sagas, until};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_report_is_taken_once_however_often_and_on_which_way_it_comes() {
    let broker = Broker::shared("ways", 2).await;
    broker.report(1); // before there is anybody to take it
    let running = broker.supervisor("a").await;
    for n in [2, 2, 3, 2] {
        broker.report(n);
    }
    // Binary mode; and a service that speaks through a bridge, in structured mode with its header.
    broker.publish_binary("bridge", "payment", 4);
    let kind = [("content-type", "application/cloudevents+json; charset=UTF-8")];
    broker.publish_with("bridge", &kind, Some(event("mail", 5).to_string().as_bytes()));
    broker.is_read().await;
    assert!(over_http(&running, 3).await, "the same event by HTTP is known");
    assert!(!over_http(&running, 6).await);
    broker.report(6);
    broker.is_read().await;
    assert_eq!(sagas(&running).await, named(1..=6));
    // What was taken is remembered when it ends, and not only a second later.
    broker.report(7);
    until("it is taken", async || sagas(&running).await.len() == 7).await;
    running.stop().await.expect("ended in order");
    assert_eq!(broker.lag().await.waiting(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_report_is_put_aside_and_holds_up_nobody() {
    let broker = Broker::shared("poison", 1).await;
    let running = broker.supervisor("a").await;
    let long = json!({ "specversion": "1.0", "data": "x".repeat(950 << 10) }).to_string();
    for body in [
        "hello".to_owned(),
        event("order", 1).to_string(), // forged
        json!([event("payment", 2)]).to_string(),
        String::new(),
        long,
    ] {
        broker.publish("payment", body.as_bytes());
    }
    broker.publish_with("payment", &[], None); // a tombstone
    // The mode of another binding is none of this one.
    broker.publish_with("payment", &[("ce-specversion", "1.0"), ("ce-id", "r-1")], Some(b"{}"));
    let wrong = [("ce_specversion", "1.0"), ("content-type", "application/cloudevents-batch+json")];
    broker.publish_with("payment", &wrong, Some(b"[]"));
    broker.report(7);
    broker.is_read().await;
    assert_eq!(sagas(&running).await, named([7]));
    let found = rejected(&running).await;
    let says = [
        "not a JSON object",
        "may not report",
        "not a JSON object",
        "is empty",
        "at most 921600",
        "is empty",
        "has no `data`",
        "a message is one event",
    ];
    assert_eq!(found.len(), says.len(), "{found:#?}");
    for (n, ((place, detail), says)) in found.iter().zip(says).enumerate() {
        let (lies, time) = place.split_once('@').expect("with its time");
        assert_eq!(lies, format!("kafka/{}/0/{n}", broker.topic("payment")));
        assert!(time.parse::<u64>().is_ok(), "{place}");
        assert!(detail.contains(says), "{place}: {detail}");
    }
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_and_a_supervisor_that_is_away_lose_nothing() {
    let broker = Broker::own("killed", 3).await;
    let running = broker.supervisor("a").await;
    broker.reports(1..=15);
    // What it has acknowledged is in its files.
    broker.server.kill();
    connected(&running, "kafka", false).await;
    assert!(answer(&running, "/readyz").await.contains("200 OK"), "it is ready all the same");
    assert!(!over_http(&running, 100).await, "HTTP goes on");
    broker.server.start_again();
    broker.reports(16..=30);
    broker.is_read().await;
    assert_eq!(sagas(&running).await, named((1..=30).chain([100])));
    connected(&running, "kafka", true).await;
    running.stop().await.expect("ended in order");
    broker.reports(31..=40);
    let running = broker.supervisor("a").await;
    broker.is_read().await;
    assert_eq!(sagas(&running).await, named((1..=40).chain([100])));
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_group_reads_all_again_and_nothing_is_doubled() {
    let mut broker = Broker::shared("regroup", 2).await;
    let running = broker.supervisor("a").await;
    broker.reports(1..=20);
    broker.is_read().await;
    running.stop().await.expect("ended in order");
    broker.group = "another".to_owned();
    let running = broker.supervisor("a").await;
    broker.report(21);
    broker.is_read().await;
    assert_eq!(sagas(&running).await, named(1..=21));
    let again = metric(&running, "amends_messages_total{way=\"kafka\",result=\"duplicate\"}").await;
    assert_eq!(again, 20, "from the earliest");
    assert_eq!(
        metric(&running, "amends_offset_resets_total{way=\"kafka\"}").await,
        0,
        "nothing was lost"
    );
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn added_partitions_and_topics_are_read_from_their_first_message() {
    let broker = Broker::shared("grows", 1).await;
    let running = broker.supervisor("a").await;
    broker.report(1);
    broker.is_read().await;
    broker.grow("payment", 4).await;
    broker.make("order", 1).await;
    // The consumer learns of them later than these come.
    broker.reports(2..=31);
    for n in 32..=41 {
        broker.publish_to("payment", 3, &event("payment", n));
    }
    broker.publish("order", event("order", 42).to_string().as_bytes());
    broker.is_read().await;
    assert_eq!(sagas(&running).await, named(1..=42));
    let lag = broker.lag().await;
    let read = |topic: &str, partition| {
        let topic = broker.topic(topic);
        let mut all = lag.partitions.iter();
        all.find(|one| one.topic == topic && one.partition == partition).map(|one| one.end)
    };
    assert_eq!(
        (lag.partitions.len(), read("payment", 3), read("order", 0)),
        (6, Some(10), Some(1))
    );
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn supervisors_that_come_and_go_in_the_middle_lose_nothing() {
    let broker = Broker::shared("moves", 6).await;
    let first = broker.supervisor("a").await;
    broker.reports(1..=300);
    let second = broker.supervisor("b").await;
    // Each has its own store here, so that it is seen who has taken what.
    let mut last = 300;
    until("both take some", async || {
        broker.reports(last + 1..=last + 30);
        last += 30;
        !sagas(&first).await.is_empty() && !sagas(&second).await.is_empty()
    })
    .await;
    first.stop().await.expect("ended in order");
    broker.reports(last + 1..=last + 100);
    broker.is_read().await;
    let of_second = sagas(&second).await;
    second.stop().await.expect("ended in order");
    let first = broker.supervisor("a").await;
    let of_first = sagas(&first).await;
    first.stop().await.expect("ended in order");
    assert_eq!(both([of_first, of_second]), named(1..=last + 100));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_as_it_should_be_is_told_with_what_helps() {
    let broker = Broker::bare("odd");
    let options = broker.options();
    let told = async || check(&options, Some(Duration::from_secs(86_400))).await.expect("answers");
    let missing = told().await;
    assert_eq!(missing.len(), 2, "{missing:#?}");
    assert!(
        missing.iter().all(|one| one.severity == Severity::Error && one.text.contains("no topic")),
        "{missing:#?}"
    );
    // A supervisor is ready without it, takes reports by HTTP, and begins as soon as it is there.
    let running = start(broker.config("a")).await.expect("started");
    assert!(!over_http(&running, 1).await);
    connected(&running, "kafka", false).await;
    broker.make_with("payment", 1, &[("cleanup.policy", "compact")]).await;
    broker.make("bridge", 1).await;
    let odd = told().await;
    for says in ["one copy", "is compacted", "`retention.settled`", "has not read yet"] {
        assert!(odd.iter().any(|finding| finding.text.contains(says)), "{says}: {odd:#?}");
    }
    // A topic that is compacted wants keys.
    broker.publish("bridge", event("order", 2).to_string().as_bytes());
    until("it begins by itself", async || sagas(&running).await == named([1, 2])).await;
    connected(&running, "kafka", true).await;
    let lag = lag(&options).await.expect("answers");
    assert_eq!(lag.partitions.len(), 2, "{lag:?}");
    running.stop().await.expect("ended in order");
}
