//! A consumer that was there before, and a stream that was made anew.

use super::broker::Broker;
use super::brokers::{named, rejected, sagas, until};
use amends_server::Severity;
use amends_server::nats::{check, init, lag};
use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use std::time::Duration;

/// Puts a consumer of somebody else's making in the place of ours.
async fn replace(broker: &Broker, config: Config) {
    let stream = broker.context.get_stream(&broker.options.stream).await.expect("a stream");
    let durable = &broker.options.durable;
    stream.delete_consumer(durable).await.expect("deleted");
    let config = Config { durable_name: Some(durable.clone()), ..config };
    stream.create_consumer(config).await.expect("made");
}

/// The findings that are not good.
async fn told(broker: &Broker) -> Vec<(Severity, String)> {
    let all = check(&broker.options, None).await.expect("answers").into_iter();
    let all = all.map(|finding| (finding.severity, finding.text));
    all.filter(|(severity, _)| *severity != Severity::Good).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_of_other_settings_is_mended_where_nobody_can_want_them() {
    let broker = Broker::open().await;
    let other = Config {
        ack_wait: Duration::from_secs(30),
        max_ack_pending: 1,
        max_deliver: 2,
        ..Config::default()
    };
    replace(&broker, other).await;
    let before = told(&broker).await;
    assert_eq!(before.len(), 3, "{before:?}");
    assert!(before.iter().all(|(severity, _)| *severity == Severity::Warning), "{before:?}");
    let running = broker.supervisor().await;
    broker.report(1).await;
    broker.is_read().await;
    assert_eq!(sagas(&running).await, named([1]));
    assert_eq!(told(&broker).await, []);
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_may_want_of_a_consumer_is_told_and_left() {
    let broker = Broker::open().await;
    let other = Config {
        deliver_policy: DeliverPolicy::New,
        filter_subject: "amends.reports.*".to_owned(),
        inactive_threshold: Duration::from_secs(3_600),
        ack_wait: broker.options.ack_wait,
        max_ack_pending: 4_096,
        ..Config::default()
    };
    replace(&broker, other).await;
    let before = told(&broker).await;
    assert_eq!(before.len(), 3, "{before:#?}");
    for says in ["reports on `bridge` don't come", "in the middle of the stream", "is 3600 s"] {
        assert!(before.iter().any(|(_, text)| text.contains(says)), "{says}: {before:#?}");
    }
    let running = broker.supervisor().await;
    broker.report(1).await;
    broker.is_read().await;
    assert_eq!(sagas(&running).await, named([1]));
    assert_eq!(told(&broker).await, before, "nothing was changed");
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_read_by_a_consumer_that_loses_reports() {
    let broker = Broker::open().await;
    replace(&broker, Config { ack_policy: AckPolicy::None, ..Config::default() }).await;
    let running = broker.supervisor().await;
    broker.report(1).await;
    let said = told(&broker).await;
    assert!(
        said.iter()
            .any(|(severity, text)| *severity == Severity::Error && text.contains("by itself")),
        "{said:?}"
    );
    // The supervisor makes it anew as soon as it is gone, and reads what came meanwhile.
    let stream = broker.context.get_stream(&broker.options.stream).await.expect("a stream");
    stream.delete_consumer(&broker.options.durable).await.expect("deleted");
    until("it begins by itself", async || sagas(&running).await == named([1])).await;
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_made_anew_overwrites_no_message_that_was_put_aside() {
    let broker = Broker::open().await;
    let running = broker.supervisor().await;
    broker.publish("amends.reports.payment", "the first").await;
    broker.is_read().await;
    broker.context.delete_stream(&broker.options.stream).await.expect("deleted");
    init(&broker.options, 1).await.expect("made anew");
    broker.publish("amends.reports.payment", "the second").await;
    broker.report(7).await;
    until("it goes on with the new one", async || sagas(&running).await == named([7])).await;
    broker.is_read().await;
    assert_eq!(lag(&broker.options).await.expect("answers").held, 2);
    let rows = rejected(&running).await;
    assert_eq!(rows.len(), 2, "{rows:#?}");
    assert!(rows.iter().all(|(place, _)| place.starts_with("nats/AMENDS/1@")), "{rows:#?}");
    running.stop().await.expect("ended in order");
}
