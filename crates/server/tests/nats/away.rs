//! The store is away while reports come: they stay at the broker, which neither loses them nor brings them in a storm.

use super::broker::Broker;
use super::brokers::away::{self, reports_wait_and_each_is_compensated_once};
use amends_server::Running;
use async_nats::jetstream::consumer::{Info, pull};
use serde_json::Value;
use std::path::Path;

/// How often a message may be brought in half a minute. Without a word of ours the broker would bring it every second,
/// by its `ack_wait`, or at once; with ours, after pauses that grow to five seconds.
const STORM: u64 = 15;

impl away::Broker for Broker {
    const WAY: &'static str = "nats";

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    async fn supervisor(&self) -> Running {
        Self::supervisor(self).await
    }

    async fn publish(&self, event: &Value) {
        Self::publish(self, "amends.reports.payment", event.to_string()).await;
    }

    async fn untaken(&self) -> u64 {
        Self::untaken(self).await
    }
}

async fn consumer(broker: &Broker) -> Info {
    let stream = broker.context.get_stream(&broker.options.stream).await.expect("a stream");
    let found = stream.get_consumer::<pull::Config>(&broker.options.durable).await;
    found.expect("a consumer").get_info().await.expect("answers")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_store_is_away_reports_wait_and_come_once_it_is_back() {
    let broker = Broker::open().await;
    reports_wait_and_each_is_compensated_once(&broker, async |_, next| {
        let info = consumer(&broker).await;
        assert_eq!(info.ack_floor.stream_sequence, 1, "nothing counts before it is durable");
        let (brought, messages) = (info.delivered.consumer_sequence, next as u64);
        assert!(brought < messages * STORM, "{messages} were brought {brought} times");
        0
    })
    .await;
}
