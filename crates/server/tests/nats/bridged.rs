//! Events that a service of Spring publishes in words of its own: each that tells of a failure is compensated once.

use super::broker::config_with;
use super::brokers::{answer, until};
use super::shop::{TYPE, bridge, class, coupons, events, is_compensated_once, rulebook, settled};
use amends_private_server::NatsServer;
use amends_server::nats::{check, init, lag};
use amends_server::{NatsOptions, Running, Severity, start};
use async_nats::HeaderMap;
use async_nats::jetstream::{self, Context};
use std::fs;

/// The service's own stream, and ours, which copies from it: no other one can hold its subjects.
async fn streams(server: &NatsServer, options: &NatsOptions) -> Context {
    let client = async_nats::connect(server.url()).await.expect("connected");
    let context = jetstream::new(client);
    let own = jetstream::stream::Config {
        name: "PAYMENTS".to_owned(),
        subjects: vec!["shop.payment.>".to_owned()],
        ..jetstream::stream::Config::default()
    };
    context.create_stream(own).await.expect("made");
    let done = init(options, 1).await.expect("made");
    assert!(done.iter().any(|line| line.contains("from the stream `PAYMENTS`")), "{done:?}");
    let found = check(options, None).await.expect("answers");
    assert!(found.iter().all(|one| one.severity != Severity::Error), "{found:?}");
    context
}

/// Waits until all seven events are read and both cases settled.
async fn all_is_done(running: &Running, options: &NatsOptions) {
    until("all is read and done", async || {
        let left = lag(options).await.expect("answers");
        (left.held, left.waiting, left.in_hand) == (7, 0, 0) && settled(running).await == 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_of_a_spring_service_are_compensated_once_and_other_events_are_skipped() {
    let (server, folder) = (NatsServer::start(), tempfile::tempdir().expect("a folder"));
    let (address, heard) = coupons().await;
    fs::write(folder.path().join("rules.yaml"), rulebook(&address)).expect("written");
    let bridge = bridge("subjects = [\"shop.payment.>\"]");
    let config = config_with(folder.path(), &server.url(), &bridge);
    let options = config.nats.clone().expect("configured");
    let context = streams(&server, &options).await;
    let running = start(config).await.expect("started");
    for (name, event) in events() {
        let mut headers = HeaderMap::new();
        headers.insert(TYPE, class(name));
        headers.insert("content-type", "application/json");
        let body = event.to_string().into();
        let sent = context.publish_with_headers("shop.payment.events", headers, body).await;
        sent.expect("sent").await.expect("stored");
    }
    all_is_done(&running, &options).await;
    is_compensated_once(&running, &heard).await;
    // Somebody changes the rulebook so that nobody answers the bridge any more.
    let told = "no rule answers `payment/card-declined`";
    assert!(!answer(&running, "/v1/overview").await.contains(told));
    let other = rulebook(&address).replace("on: payment/card-declined", "on: payment/fraud");
    fs::write(folder.path().join("rules.yaml"), other).expect("written");
    running.look_at_files();
    until("it is told", async || answer(&running, "/v1/overview").await.contains(told)).await;
    running.stop().await.expect("ended in order");
}
