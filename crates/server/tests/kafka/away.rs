//! The store is away while reports come: what came waits, partitions pause, also those that are given to us meanwhile.

use super::broker::{Broker, both};
use super::brokers::away::{self, failure, reports_wait_and_each_is_compensated_once};
use super::brokers::{is_metric, metric, named, sagas, take_away, until};
use amends_server::Running;
use serde_json::Value;
use std::path::Path;

/// Reports in partitions that are added while nothing can be stored.
const ADDED: usize = 6;

impl away::Broker for Broker {
    const WAY: &'static str = "kafka";

    fn folder(&self) -> &Path {
        Self::folder(self)
    }

    async fn supervisor(&self) -> Running {
        Self::supervisor(self, "a").await
    }

    async fn publish(&self, event: &Value) {
        self.publish_as(event["id"].as_str().expect("an id"), event);
    }

    async fn untaken(&self) -> u64 {
        self.lag().await.waiting()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_store_is_away_reports_wait_and_come_once_it_is_back() {
    let broker = Broker::shared("away", 2).await;
    reports_wait_and_each_is_compensated_once(&broker, async |running, next| {
        broker.grow("payment", 4).await;
        for n in next..next + ADDED {
            broker.publish_to("payment", 2 + (n % 2) as i32, &failure(n));
        }
        // They are ours once they count, and so we know where they end; that nothing of them was read is seen at Kafka,
        // which is told of the first message at once.
        let all = (next - 1 + ADDED) as u64;
        is_metric(running, "amends_messages_waiting{way=\"kafka\"}", all).await;
        let topic = broker.topic("payment");
        let lag = broker.lag().await;
        let committed = |which: fn(i32) -> bool| {
            let ours =
                lag.partitions.iter().filter(|one| one.topic == topic && which(one.partition));
            ours.map(|one| one.committed).collect::<Vec<_>>()
        };
        assert_eq!(committed(|n| n >= 2), [None, None], "they pause from the beginning");
        assert!(committed(|n| n < 2).iter().any(Option::is_some), "the others had begun");
        ADDED
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_of_one_that_leaves_pause_where_nothing_can_be_stored() {
    let broker = Broker::shared("leaves", 4).await;
    let stays = broker.supervisor("a").await;
    let leaves = broker.supervisor("b").await;
    let mut last = 0;
    until("both take some", async || {
        broker.reports(last + 1..=last + 8);
        last += 8;
        !sagas(&stays).await.is_empty() && !sagas(&leaves).await.is_empty()
    })
    .await;
    broker.is_read().await;
    let other = take_away(broker.folder(), "a");
    broker.reports(last + 1..=last + 20);
    let again = "amends_messages_total{way=\"kafka\",result=\"again\"}";
    until("nothing can be stored", async || metric(&stays, again).await > 0).await;
    leaves.stop().await.expect("ended in order");
    // All of them are its own now, and none of what comes can be taken.
    broker.reports(last + 21..=last + 40);
    // What is brought twice is in hand twice.
    let waiting = "amends_messages_waiting{way=\"kafka\"}";
    until("they are shown to wait", async || {
        let at_kafka = broker.lag().await.waiting();
        at_kafka >= 20 && metric(&stays, waiting).await >= at_kafka
    })
    .await;
    other.execute_batch("ROLLBACK").expect("given back");
    broker.is_read().await;
    let of_first = sagas(&stays).await;
    stays.stop().await.expect("ended in order");
    let leaves = broker.supervisor("b").await;
    let of_second = sagas(&leaves).await;
    leaves.stop().await.expect("ended in order");
    assert_eq!(both([of_first, of_second]), named(1..=last + 40));
}
