//! A NATS of a test's own with our stream, what publishes there, and a supervisor that reads it.

use super::brokers::{configured, event, until};
use amends_private_server::NatsServer;
use amends_server::nats::{init, lag};
use amends_server::{Config, NatsOptions, Running, start};
use async_nats::HeaderMap;
use async_nats::jetstream::{self, Context};
use std::path::Path;
use tempfile::TempDir;

/// The configuration of a supervisor that reads there.
pub fn config(folder: &Path, url: &str) -> Config {
    config_with(folder, url, "")
}

/// The same, with more lines.
pub fn config_with(folder: &Path, url: &str, more: &str) -> Config {
    let text = format!(
        "[nats]\nservers = [\"{url}\"]\nack_wait = \"1s\"\n[nats.subjects]\n\"amends.reports.*\" = []\nbridge = [\"*\"]\n{more}"
    );
    configured(folder, "a", &text)
}

/// A NATS with our stream, and what publishes there.
pub struct Broker {
    pub server: NatsServer,
    pub folder: TempDir,
    pub options: NatsOptions,
    pub context: Context,
}

impl Broker {
    pub async fn open() -> Self {
        let server = NatsServer::start();
        let folder = tempfile::tempdir().expect("a folder");
        let options = config(folder.path(), &server.url()).nats.expect("configured");
        init(&options, 1).await.expect("made");
        let client = async_nats::connect(server.url()).await.expect("connected");
        Self { server, folder, options, context: jetstream::new(client) }
    }

    pub async fn supervisor(&self) -> Running {
        start(config(self.folder.path(), &self.server.url())).await.expect("started")
    }

    /// Publishes, and returns once the stream has it.
    pub async fn publish(&self, subject: &str, body: impl Into<Vec<u8>>) {
        self.publish_with(subject, HeaderMap::new(), body).await;
    }

    pub async fn publish_with(&self, subject: &str, headers: HeaderMap, body: impl Into<Vec<u8>>) {
        let body: Vec<u8> = body.into();
        let sent =
            self.context.publish_with_headers(subject.to_owned(), headers, body.into()).await;
        sent.expect("sent").await.expect("stored");
    }

    pub async fn report(&self, n: usize) {
        self.publish("amends.reports.payment", event("payment", n).to_string()).await;
    }

    /// Waits until nothing is left at the broker.
    pub async fn is_read(&self) {
        until("all is read", async || self.untaken().await == 0).await;
    }

    /// How many messages wait or are in hand. While the supervisor makes its consumer anew, nobody can say.
    pub async fn untaken(&self) -> u64 {
        lag(&self.options).await.map_or(u64::MAX, |lag| lag.waiting + lag.in_hand)
    }
}
