//! A Kafka with topics of one story, what publishes there, and supervisors that read it.

use amends_private_server::{KafkaServer, Secured};
use amends_protocol::Problem;
use amends_server::config::Layers;
use amends_server::kafka::{KafkaLag, lag};
use amends_server::{Config, KafkaOptions, Running, start};
use amends_store::{Archive as _, CaseFilter, PageRequest};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientConfig, ClientContext};
use serde_json::{Value, json};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a story waits. Generous: it only matters when a test fails.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A server that other stories use as well, or not.
pub enum Server {
    Shared(&'static KafkaServer),
    Own(KafkaServer),
}

impl Deref for Server {
    type Target = KafkaServer;

    fn deref(&self) -> &KafkaServer {
        match self {
            Self::Shared(server) => server,
            Self::Own(server) => server,
        }
    }
}

/// A Kafka with the topics of a story.
pub struct Broker {
    pub server: Server,
    pub group: String,
    /// More lines of the configuration.
    pub more: String,
    story: String,
    folder: TempDir,
    producer: BaseProducer<Acknowledged>,
    admin: AdminClient<DefaultClientContext>,
}

/// What is not acknowledged was not published.
struct Acknowledged;

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            panic!("published: {error}");
        }
    }
}

impl Broker {
    /// On the server of all stories, with topics `payment` and `bridge`.
    pub async fn shared(story: &str, partitions: i32) -> Self {
        Self::on(Server::Shared(KafkaServer::shared()), story).with_topics(partitions).await
    }

    /// On a server of its own.
    pub async fn own(story: &str, partitions: i32) -> Self {
        Self::on(Server::Own(KafkaServer::start()), story).with_topics(partitions).await
    }

    /// On a server that is encrypted and asks for a name; with its authority.
    pub async fn secured(story: &str) -> (Self, String) {
        let authority = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        // One of the same name as its authority would pass for self-signed.
        params.distinguished_name.push(rcgen::DnType::CommonName, "authority");
        let root = params.self_signed(&authority).expect("signed").pem();
        let issuer = rcgen::Issuer::new(params, authority);
        let own = rcgen::KeyPair::generate().expect("a key");
        let mut params =
            rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        params.distinguished_name.push(rcgen::DnType::CommonName, "broker");
        let certificate = params.signed_by(&own, &issuer).expect("signed").pem();
        let pem = own.serialize_pem() + &certificate;
        let server = KafkaServer::start_secured(Secured {
            pem: &pem,
            user: "amends",
            password: "correct-horse-1",
        });
        (Self::on(Server::Own(server), story).with_topics(1).await, root)
    }

    /// The configuration of a supervisor that comes by the encrypted address.
    pub fn secured_config(&self, authority: &str, password: &str) -> Config {
        let put = |name: &str, text: &str| {
            let file = self.folder.path().join(name);
            std::fs::write(&file, text).expect("written");
            file.display().to_string()
        };
        let (authority, password) = (put("ca.pem", authority), put(password, password));
        self.config_with(
            "a",
            &self.server.secured_address(),
            &format!("tls = true\nauthorities = \"{authority}\"\nuser = \"amends\"\npassword_file = \"{password}\"\n"),
        )
    }

    /// Without topics.
    pub fn bare(story: &str) -> Self {
        Self::on(Server::Shared(KafkaServer::shared()), story)
    }

    fn on(server: Server, story: &str) -> Self {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", server.address()).set("acks", "all");
        Self {
            group: format!("{story}-group"),
            more: String::new(),
            story: story.to_owned(),
            folder: tempfile::tempdir().expect("a folder"),
            producer: client.create_with_context(Acknowledged).expect("a producer"),
            admin: client.create().expect("a client"),
            server,
        }
    }

    async fn with_topics(self, partitions: i32) -> Self {
        self.make("payment", partitions).await;
        self.make("bridge", 1).await;
        self
    }

    pub fn topic(&self, name: &str) -> String {
        match name {
            "bridge" | "events" => format!("{}.{name}", self.story),
            service => format!("{}.reports.{service}", self.story),
        }
    }

    pub async fn make(&self, name: &str, partitions: i32) {
        self.make_with(name, partitions, &[]).await;
    }

    pub async fn make_with(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let name = self.topic(name);
        let mut topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        let made = self.admin.create_topics([&topic], &AdminOptions::new()).await;
        made.expect("answers").remove(0).expect("made");
    }

    pub async fn grow(&self, name: &str, partitions: usize) {
        let name = self.topic(name);
        let grown = NewPartitions::new(&name, partitions);
        let done = self.admin.create_partitions([&grown], &AdminOptions::new()).await;
        done.expect("answers").remove(0).expect("grown");
    }

    /// Removes messages as retention would.
    pub async fn remove_before(&self, name: &str, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic(name), 0, Offset::Offset(offset)).expect("an offset");
        self.admin.delete_records(&list, &AdminOptions::new()).await.expect("removed");
    }

    /// The configuration of a supervisor that reads there.
    pub fn config(&self, name: &str) -> Config {
        self.config_with(name, &self.server.address(), "")
    }

    fn config_with(&self, name: &str, address: &str, more: &str) -> Config {
        let mut layers = Layers::defaults();
        let file = format!(
            "[kafka]\nbrokers = [\"{address}\"]\ngroup = \"{}\"\nsession_timeout = \"6s\"\n{more}[kafka.topics]\n\"{}\" = []\n\"{}\" = [\"*\"]\n{}",
            self.group,
            self.topic("*"),
            self.topic("bridge"),
            self.more,
        );
        layers.file(Path::new("a.toml"), &file).expect("a file");
        let rules = self.folder.path().join("rules.yaml");
        if rules.exists() {
            layers.flag("rules", "rules", &rules.display().to_string());
        }
        layers.flag("listen", "listen", "127.0.0.1:0");
        layers.flag("data", "data", &self.folder.path().join(name).display().to_string());
        Config::from_layers(&layers).expect("a valid configuration")
    }

    pub fn options(&self) -> KafkaOptions {
        self.config("a").kafka.expect("configured")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file of a supervisor's store.
    pub fn store(&self, name: &str) -> PathBuf {
        self.folder.path().join(name).join("amends.sqlite")
    }

    pub async fn supervisor(&self, name: &str) -> Running {
        start(self.config(name)).await.expect("started")
    }

    pub fn publish(&self, name: &str, body: &[u8]) {
        self.publish_with(name, &[], Some(body));
    }

    /// Publishes, and returns once the broker has it; to which partition is left to chance.
    pub fn publish_with(&self, name: &str, headers: &[(&str, &str)], body: Option<&[u8]>) {
        let topic = self.topic(name);
        let mut all = OwnedHeaders::new();
        for (key, value) in headers {
            all = all.insert(Header { key, value: Some(*value) });
        }
        let mut record = BaseRecord::<(), [u8], ()>::to(&topic).headers(all);
        if let Some(body) = body {
            record = record.payload(body);
        }
        self.producer.send(record).map_err(|(error, _)| error).expect("sent");
        self.producer.flush(PATIENCE).expect("stored");
    }

    pub fn publish_binary(&self, name: &str, source: &str, n: usize) {
        let (id, saga) = (format!("r-{n}"), format!("o-{n}"));
        let headers = [
            ("ce_specversion", "1.0"),
            ("ce_type", "dev.amends.report.v1"),
            ("ce_source", source),
            ("ce_id", &id),
            ("ce_subject", &saga),
            ("content-type", "application/json"),
        ];
        self.publish_with(name, &headers, Some(br#"{"code":"failed"}"#));
    }

    pub fn report(&self, n: usize) {
        self.publish("payment", event("payment", n).to_string().as_bytes());
    }

    /// Many together.
    pub fn reports(&self, numbers: impl IntoIterator<Item = usize>) {
        for n in numbers {
            // Else what is sent within some milliseconds goes to one partition.
            let key = n.to_string();
            let topic = self.topic("payment");
            let body = event("payment", n).to_string();
            let record = BaseRecord::to(&topic).key(key.as_bytes()).payload(body.as_bytes());
            self.producer.send(record).map_err(|(error, _)| error).expect("sent");
        }
        self.producer.flush(PATIENCE).expect("stored");
    }

    pub async fn lag(&self) -> KafkaLag {
        lag(&self.options()).await.expect("answers")
    }

    /// Waits until nothing is left at the broker.
    pub async fn is_read(&self) {
        let options = self.options();
        until("all is read", async || lag(&options).await.is_ok_and(|lag| lag.waiting() == 0))
            .await;
    }
}

/// Waits for something.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn event(source: &str, n: usize) -> Value {
    json!({
        "specversion": "1.0", "type": "dev.amends.report.v1", "source": source, "id": format!("r-{n}"),
        "subject": format!("o-{n}"), "data": { "code": "failed" },
    })
}

/// The sagas that have a case, in their order.
pub async fn sagas(running: &Running) -> Vec<String> {
    let (mut all, mut page) = (Vec::new(), Some(PageRequest::first(500)));
    while let Some(request) = page {
        let found =
            running.supervisor.store().cases(CaseFilter::default(), request).await.expect("lists");
        all.extend(found.items.iter().map(|listed| listed.case.saga.as_str().to_owned()));
        page = found
            .next
            .map(|cursor| PageRequest { cursor: Some(cursor), ..PageRequest::first(500) });
    }
    all.sort_by_key(|saga| saga[2..].parse::<usize>().unwrap_or(usize::MAX));
    all
}

pub fn named(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|n| format!("o-{n}")).collect()
}

/// One report over HTTP: whether it was known.
pub async fn over_http(running: &Running, n: usize) -> bool {
    try_over_http(running, n).await.expect("taken")
}

/// The same, where it may be refused.
pub async fn try_over_http(running: &Running, n: usize) -> Result<bool, Problem> {
    let report = event("payment", n);
    let data = serde_json::from_value(report["data"].clone()).expect("data");
    let saga = amends_protocol::SagaId::new(&format!("o-{n}")).expect("a saga");
    let report = amends_protocol::Report {
        id: format!("r-{n}"),
        source: "payment".to_owned(),
        saga_id: saga,
        time: None,
        traceparent: None,
        data,
    };
    running.supervisor.report(report).await.map(|receipt| receipt.duplicate)
}

/// A metric's value, as Prometheus would read it; it is there from the beginning.
pub async fn metric(running: &Running, name: &str) -> u64 {
    let mut stream = TcpStream::connect(running.address).await.expect("connected");
    let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    let line = answer.lines().find_map(|line| line.strip_prefix(name));
    let line = line.unwrap_or_else(|| panic!("`{name}` is there: {answer}"));
    line.trim().parse().expect("a number")
}
