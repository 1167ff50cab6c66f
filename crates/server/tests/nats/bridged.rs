//! Events that a service of Spring publishes in words of its own: each that tells of a failure is compensated once.

use super::broker::{PATIENCE, config_with};
use super::shop::{TYPE, bridge, class, coupons, events, is_compensated_once, rulebook, settled};
use amends_private_server::NatsServer;
use amends_server::nats::{check, init, lag};
use amends_server::{NatsOptions, Running, Severity, start};
use async_nats::HeaderMap;
use async_nats::jetstream::{self, Context};
use std::fs;
use std::time::{Duration, Instant};

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
    let began = Instant::now();
    loop {
        let left = lag(options).await.expect("answers");
        let is_read = (left.held, left.waiting, left.in_hand) == (7, 0, 0);
        if is_read && settled(running).await == 2 {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{left:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
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
    running.stop().await.expect("ended in order");
}
