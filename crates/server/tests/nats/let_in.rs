//! A NATS that lets in only whom it knows: by a name and a password, and by certificates.

use super::brokers::{configured, connected, event, named, sagas, until};
use amends_private_server::{Keys, NatsServer};
use amends_server::nats::init;
use amends_server::{BrokerError, Config, start};
use async_nats::{ConnectOptions, jetstream};
use tempfile::TempDir;

/// A NATS, and what lets somebody in.
struct Guarded {
    server: NatsServer,
    keys: Keys,
    folder: TempDir,
}

impl Guarded {
    fn start(start: fn(&Keys) -> NatsServer) -> Self {
        let keys = Keys::new();
        Self { server: start(&keys), keys, folder: tempfile::tempdir().expect("a folder") }
    }

    /// The configuration of a supervisor with these keys of `[nats]`, each a file of ours or a text.
    fn config(&self, keys: &[(&str, &str)]) -> Config {
        let mut text = format!("[nats]\nservers = [\"{}\"]\n", self.server.secured_url());
        for (key, value) in keys {
            let value = if *key == "user" { (*value).to_owned() } else { self.keys.path(value) };
            text.push_str(&format!("{key} = \"{value}\"\n"));
        }
        configured(self.folder.path(), "a", &text)
    }

    /// Somebody of the test's own publishes a report.
    async fn publish(&self, n: usize, how: ConnectOptions) {
        let how = how.add_root_certificates(self.keys.file("authority.pem"));
        let client = how.connect(self.server.secured_url()).await.expect("connected");
        let (context, event) = (jetstream::new(client), event("payment", n).to_string());
        let sent = context.publish("amends.reports.payment", event.into()).await;
        sent.expect("sent").await.expect("stored");
    }

    /// A supervisor with these keys takes a report.
    async fn takes_a_report(&self, keys: &[(&str, &str)], how: ConnectOptions) {
        let config = self.config(keys);
        init(config.nats.as_ref().expect("configured"), 1).await.expect("made");
        self.publish(1, how).await;
        let running = start(config).await.expect("started");
        until("it comes", async || sagas(&running).await == named([1])).await;
        running.stop().await.expect("ended in order");
    }

    /// Why somebody with these keys is not let in.
    async fn refuses(&self, keys: &[(&str, &str)]) -> String {
        let config = self.config(keys);
        let refused = init(config.nats.as_ref().expect("configured"), 1).await;
        match refused.expect_err("it is not let in") {
            BrokerError::Away(why) | BrokerError::Refused(why) => why,
        }
    }
}

fn by_password(password: &str) -> ConnectOptions {
    ConnectOptions::with_user_and_password(Keys::USER.to_owned(), password.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_tls_a_name_and_a_password() {
    let guarded = Guarded::start(NatsServer::start_secured);
    let (authority, user) = (("authorities", "authority.pem"), ("user", Keys::USER));
    let keys = [authority, user, ("password_file", "password")];
    guarded.takes_a_report(&keys, by_password(Keys::PASSWORD)).await;
    let why = guarded.refuses(&[authority, user, ("password_file", "wrong")]).await;
    assert!(why.contains("authorization") && !why.contains("not-the"), "{why}");
    let why = guarded.refuses(&[user, ("password_file", "password")]).await;
    assert!(why.contains("certificate"), "an authority that nobody named: {why}");
    let why = guarded.refuses(&[authority, user, ("password_file", "none")]).await;
    assert!(why.contains("`nats.password_file`"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_was_renewed_is_taken_without_a_start() {
    let guarded = Guarded::start(NatsServer::start_secured);
    guarded.keys.put("renewed", Keys::PASSWORD);
    let keys =
        [("authorities", "authority.pem"), ("user", Keys::USER), ("password_file", "renewed")];
    let config = guarded.config(&keys);
    init(config.nats.as_ref().expect("configured"), 1).await.expect("made");
    let running = start(config).await.expect("started");
    connected(&running, "nats", true).await;
    guarded.server.kill();
    guarded.server.wants(&guarded.keys, "another-one");
    guarded.server.start_again();
    connected(&running, "nats", false).await;
    guarded.publish(1, by_password("another-one")).await;
    guarded.keys.put("renewed", "another-one\n");
    until("it comes", async || sagas(&running).await == named([1])).await;
    connected(&running, "nats", true).await;
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_certificate_of_our_own() {
    let guarded = Guarded::start(NatsServer::start_certified);
    let authority = ("authorities", "authority.pem");
    let keys = [authority, ("certificate", "client.pem"), ("key", "client.key")];
    let (certificate, key) = (guarded.keys.file("client.pem"), guarded.keys.file("client.key"));
    let how = ConnectOptions::new().add_client_certificate(certificate, key);
    guarded.takes_a_report(&keys, how).await;
    let why = guarded.refuses(&[authority]).await;
    assert!(!why.is_empty());
}
