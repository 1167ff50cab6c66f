//! Reports by NATS JetStream, on a real server: each is compensated once, whatever is repeated, broken or away.
#![cfg(feature = "nats")]

#[path = "nats/attacked.rs"]
mod attacked;
#[path = "nats/away.rs"]
mod away;
#[path = "nats/bridged.rs"]
mod bridged;
#[path = "nats/broker.rs"]
mod broker;
mod brokers;
#[path = "nats/let_in.rs"]
mod let_in;
#[path = "nats/settings.rs"]
mod settings;
mod shop;

use amends_private_server::NatsServer;
use amends_server::nats::check;
use amends_server::{Severity, start};
use async_nats::HeaderMap;
use async_nats::jetstream;
use broker::{Broker, config};
use brokers::{answer, connected, event, named, over_http, rejected, sagas, until};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_report_is_taken_once_however_often_and_on_which_way_it_comes() {
    let broker = Broker::open().await;
    broker.report(1).await; // before there is anybody to take it
    let running = broker.supervisor().await;
    for n in [2, 2, 3, 2] {
        broker.report(n).await;
    }
    // The form of HTTP's binary mode, which the binding does not have, and a service that speaks through a bridge.
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-type", "dev.amends.report.v1"),
        ("ce-source", "payment"),
        ("ce-id", "r-4"),
        ("ce-subject", "o-4"),
    ] {
        headers.insert(name, value);
    }
    broker.publish_with("bridge", headers, r#"{"code":"failed"}"#).await;
    broker.publish("bridge", event("mail", 5).to_string()).await;
    broker.is_read().await;
    assert!(over_http(&running, 3).await, "the same event by HTTP is known");
    assert!(!over_http(&running, 6).await);
    broker.report(6).await;
    broker.is_read().await;
    assert_eq!(sagas(&running).await, named(1..=6));
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_message_of_the_protocol_page_is_a_report() {
    let page = include_str!("../../../docs/reference/protocol.md");
    let shown = page.split("```nats ").nth(1).and_then(|rest| rest.split("```").next());
    let (subject, body) = shown.and_then(|shown| shown.split_once('\n')).expect("a message");
    let broker = Broker::open().await;
    let running = broker.supervisor().await;
    broker.publish(subject, body).await;
    broker.is_read().await;
    assert_eq!(sagas(&running).await, ["order-4711"]);
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_report_is_put_aside_and_holds_up_nobody() {
    let broker = Broker::open().await;
    let running = broker.supervisor().await;
    let long = json!({ "specversion": "1.0", "data": "x".repeat(950 << 10) }).to_string();
    for (subject, body) in [
        ("amends.reports.payment", "hello".to_owned()),
        ("amends.reports.payment", event("order", 1).to_string()), // forged
        ("amends.reports.payment", json!([event("payment", 2)]).to_string()),
        ("amends.reports.payment", String::new()),
        ("amends.reports.payment", long),
    ] {
        broker.publish(subject, body).await;
    }
    // In a mode that is not the one of the message, or that there is not.
    for (header, value) in [
        ("content-type", "application/cloudevents-batch+json"),
        ("content-type", "application/cloudevents+avro"),
        ("ce-specversion", "1.0"),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(header, value);
        let body = event("payment", 3).to_string();
        broker.publish_with("amends.reports.payment", headers, body).await;
    }
    broker.report(7).await;
    broker.is_read().await;
    assert_eq!(sagas(&running).await, named([7]));
    let found = rejected(&running).await;
    let says = [
        "not a JSON object",
        "may not report",
        "not a JSON object",
        "is empty",
        "at most 921600",
        "a message is one event",
        "`application/cloudevents+avro` is not understood",
        "missing field `code`",
    ];
    assert_eq!(found.len(), says.len(), "{found:#?}");
    for (n, ((place, detail), says)) in found.iter().zip(says).enumerate() {
        assert!(place.starts_with(&format!("nats/AMENDS/{}@", n + 1)), "{place}");
        assert!(place.ends_with("/amends.reports.payment"), "{place}");
        assert!(detail.contains(says), "{place}: {detail}");
    }
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_and_a_supervisor_that_is_away_lose_nothing() {
    let broker = Broker::open().await;
    let running = broker.supervisor().await;
    for n in 1..=30 {
        broker.report(n).await;
        if n == 15 {
            // What it has acknowledged is on its disk; who publishes tries again until it is acknowledged.
            broker.server.kill();
            connected(&running, "nats", false).await;
            assert!(
                answer(&running, "/readyz").await.contains("200 OK"),
                "it is ready all the same"
            );
            assert!(!over_http(&running, 100).await, "HTTP goes on");
            broker.server.start_again();
        }
    }
    broker.is_read().await;
    connected(&running, "nats", true).await;
    assert_eq!(sagas(&running).await, named((1..=30).chain([100])));
    running.stop().await.expect("ended in order");
    for n in 31..=40 {
        broker.report(n).await;
    }
    let running = broker.supervisor().await;
    broker.is_read().await;
    assert_eq!(sagas(&running).await, named((1..=40).chain([100])));
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_consumer_reads_all_again_and_nothing_is_doubled() {
    let broker = Broker::open().await;
    let running = broker.supervisor().await;
    for n in 1..=20 {
        broker.report(n).await;
    }
    broker.is_read().await;
    running.stop().await.expect("ended in order");
    let deleted = broker
        .context
        .delete_consumer_from_stream(&broker.options.durable, &broker.options.stream)
        .await;
    assert!(deleted.expect("deleted").success);
    let running = broker.supervisor().await;
    broker.report(21).await;
    broker.is_read().await;
    assert_eq!(sagas(&running).await, named(1..=21));
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_as_it_should_be_is_told_with_what_helps() {
    let server = NatsServer::start();
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path(), &server.url());
    let options = config.nats.clone().expect("configured");
    let told = async || check(&options, Some(Duration::from_secs(86_400))).await.expect("answers");
    let missing = told().await;
    assert!(
        missing[0].severity == Severity::Error && missing[0].text.contains("amends nats init"),
        "{missing:?}"
    );
    // A supervisor is ready without it, takes reports by HTTP, and begins as soon as it is there.
    let running = start(config).await.expect("started");
    assert!(!over_http(&running, 1).await);
    let client = async_nats::connect(server.url()).await.expect("connected");
    let context = jetstream::new(client);
    let made = jetstream::stream::Config {
        name: options.stream.clone(),
        subjects: vec!["amends.reports.order".to_owned()],
        retention: jetstream::stream::RetentionPolicy::WorkQueue,
        storage: jetstream::stream::StorageType::Memory,
        ..jetstream::stream::Config::default()
    };
    context.create_stream(made).await.expect("made");
    let odd = told().await;
    for says in [
        "deletes what was acknowledged",
        "in memory",
        "does not hold `bridge`",
        "`retention.settled`",
    ] {
        assert!(odd.iter().any(|finding| finding.text.contains(says)), "{says}: {odd:#?}");
    }
    let sent = context.publish("amends.reports.order", event("order", 2).to_string().into()).await;
    sent.expect("sent").await.expect("stored");
    until("it begins by itself", async || sagas(&running).await == named([1, 2])).await;
    running.stop().await.expect("ended in order");
}
