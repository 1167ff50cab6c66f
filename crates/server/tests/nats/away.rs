//! The store is away while reports come: they wait at the broker, which neither loses them nor brings them in a storm.

use super::broker::{Broker, PATIENCE, named, sagas};
use async_nats::jetstream::consumer::{Info, pull};
use rusqlite::Connection;
use std::time::{Duration, Instant};

/// Reports that come meanwhile.
const REPORTS: usize = 40;
/// How often the broker would bring each, if it had no word of ours for so long as the store is away here.
const STORM: u64 = 5;

async fn consumer(broker: &Broker) -> Info {
    let stream = broker.context.get_stream(&broker.options.stream).await.expect("a stream");
    let found = stream.get_consumer::<pull::Config>(&broker.options.durable).await;
    found.expect("a consumer").get_info().await.expect("answers")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_store_is_away_reports_wait_and_come_once_it_is_back() {
    let broker = Broker::open().await;
    let running = broker.supervisor().await;
    broker.report(0).await;
    broker.is_read().await;
    let before = consumer(&broker).await.delivered.consumer_sequence;
    // Somebody else writes: no commit goes through, as with a disk that does not answer.
    let file = broker.folder.path().join("data").join("amends.sqlite");
    let other = Connection::open(file).expect("opened");
    other.execute_batch("BEGIN IMMEDIATE").expect("it is ours alone");
    for n in 1..=REPORTS {
        broker.report(n).await;
    }
    // Five times as long as the broker waits for our word: without one, it would bring each as often.
    let until = Instant::now() + broker.options.ack_wait * u32::try_from(STORM).expect("small");
    while Instant::now() < until {
        let waiting = consumer(&broker).await;
        assert_eq!(
            waiting.ack_floor.stream_sequence, 1,
            "nothing is acknowledged before it is durable"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let brought = consumer(&broker).await.delivered.consumer_sequence - before;
    assert!(brought < REPORTS as u64 * STORM / 2, "each was brought {brought}/{REPORTS} times");
    other.execute_batch("ROLLBACK").expect("given back");
    let began = Instant::now();
    while sagas(&running).await != named(0..=REPORTS) {
        assert!(began.elapsed() < PATIENCE, "all come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    broker.is_read().await;
    running.stop().await.expect("ended in order");
}
