//! Reports by Apache Kafka: each is produced once and counts as taken when all replicas in sync have it. Makes no
//! topic; when to try again is the relay's business. The library has threads of its own, and nothing here waits on
//! them.

use crate::certificates::Certificates;
use crate::config::KitError;
use crate::event;
use crate::sink::{Delivery, ReportSink};
use crate::store::{BoxFuture, OutgoingReport};
use amends_protocol::{REPORT_TYPE, Timestamp};
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Time for a message, with all that the library repeats; less than the relay gives a try.
const DELIVERY_MS: &str = "8000";
/// How long the library waits for word of a topic that it doesn't know; a time-out would not say why.
const TOPIC_MS: &str = "4000";
/// Longest pause before the library connects again, so that a broker that is back is found soon.
const RECONNECT_MS: &str = "1000";
/// Longest name of a topic that Kafka takes.
const NAME: usize = 249;

/// Where reports are published, and as whom.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// The service's name, as in [`KitConfig`](crate::KitConfig).
    pub service: String,
    /// `host:port`, some brokers of one cluster.
    pub brokers: Vec<String>,
    /// Where reports are published. The supervisor's `kafka.topics` say which services it believes there.
    pub topic: String,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Whose certificates are believed, and which one is shown, with `tls`.
    pub certificates: Certificates,
    /// As whom the service comes.
    pub login: Option<KafkaLogin>,
}

/// As whom a service comes to Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaLogin {
    /// How the password is proved.
    pub mechanism: SaslMechanism,
    /// The name.
    pub user: String,
    /// The file that holds the password and nothing else. It is read anew after it was refused.
    pub file: PathBuf,
}

/// How a password is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    /// SCRAM-SHA-512: the password is never sent.
    ScramSha512,
    /// SCRAM-SHA-256: the password is never sent.
    ScramSha256,
    /// PLAIN: the password is sent as it is, and therefore only with TLS.
    Plain,
}

impl SaslMechanism {
    const fn name(self) -> &'static str {
        match self {
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::Plain => "PLAIN",
        }
    }
}

impl KafkaConfig {
    /// The defaults: one broker, the topic `amends.reports.SERVICE`, no TLS, nobody in particular.
    #[must_use]
    pub fn new(service: &str, broker: &str) -> Self {
        Self {
            service: service.to_owned(),
            brokers: vec![broker.to_owned()],
            topic: format!("amends.reports.{service}"),
            tls: false,
            certificates: Certificates::default(),
            login: None,
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.brokers.is_empty() {
            return Err("no broker of Kafka is given; name one, as `kafka-1:9092`".to_owned());
        }
        if let Some(broker) = self.brokers.iter().find(|broker| !is_address(broker)) {
            return Err(format!("`{broker}` must be `host:port`, as in `kafka-1:9092`"));
        }
        let is_part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if self.topic.is_empty() || self.topic.len() > NAME || !self.topic.bytes().all(is_part) {
            return Err(format!(
                "`{}` is no topic: at most {NAME} letters, digits, `.`, `_` and `-`",
                self.topic
            ));
        }
        if !self.tls && self.certificates != Certificates::default() {
            return Err("certificates are of no use to Kafka without `tls`; set it".to_owned());
        }
        let sends_password =
            self.login.as_ref().is_some_and(|login| login.mechanism == SaslMechanism::Plain);
        if !self.tls && sends_password {
            return Err("PLAIN sends the password as it is; it needs `tls`".to_owned());
        }
        self.certificates.check()?;
        self.password().map(drop)
    }

    fn password(&self) -> Result<Option<String>, String> {
        let Some(login) = &self.login else { return Ok(None) };
        let text = std::fs::read_to_string(&login.file).map_err(|error| {
            format!("the password of Kafka can't be read from `{}`: {error}", login.file.display())
        })?;
        Ok(Some(text.trim_end().to_owned()))
    }

    /// What the library is told.
    fn client(&self) -> Result<ClientConfig, String> {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", self.brokers.join(","))
            .set("client.id", &self.service)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .set("message.timeout.ms", DELIVERY_MS)
            .set("topic.metadata.propagation.max.ms", TOPIC_MS)
            .set("reconnect.backoff.max.ms", RECONNECT_MS)
            .set("allow.auto.create.topics", "false")
            // As the clients in Java: a saga's messages lie together, whoever publishes them.
            .set("partitioner", "murmur2_random")
            .set_log_level(RDKafkaLogLevel::Warning);
        let protocol = match (self.tls, &self.login) {
            (false, None) => "plaintext",
            (true, None) => "ssl",
            (false, Some(_)) => "sasl_plaintext",
            (true, Some(_)) => "sasl_ssl",
        };
        client.set("security.protocol", protocol);
        let path = |path: &Path| path.display().to_string();
        if let Some(file) = &self.certificates.authorities {
            client.set("ssl.ca.location", path(file));
        }
        if let Some(own) = &self.certificates.own {
            client.set("ssl.certificate.location", path(&own.certificate));
            client.set("ssl.key.location", path(&own.key));
        }
        if let (Some(login), Some(password)) = (&self.login, self.password()?) {
            client.set("sasl.mechanism", login.mechanism.name());
            client.set("sasl.username", &login.user).set("sasl.password", password);
        }
        Ok(client)
    }
}

/// `host:port`, or `[::1]:port`.
fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let is_host = !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b'@' | b','))
            && (!host.contains(':') || host.starts_with('['));
        is_host && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

/// Publishes reports on a topic of Kafka: CloudEvents in binary mode, with the saga's id as key, by a producer that
/// waits for all replicas in sync and repeats nothing twice. Give it to
/// [`report_sink`](crate::KitBuilder::report_sink); whatever else the kit tells the supervisor goes by HTTP as ever.
pub struct KafkaSink {
    config: KafkaConfig,
    producer: Mutex<Option<Arc<Producer>>>,
}

type Producer = ThreadedProducer<Heard>;

impl KafkaSink {
    /// Takes the settings; connects when there is something to publish.
    ///
    /// # Errors
    /// [`KitError::Config`] when a setting is wrong, or a file can't be read.
    pub fn new(config: KafkaConfig) -> Result<Self, KitError> {
        config.check().map_err(KitError::Config)?;
        Ok(Self { config, producer: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Producer>>> {
        self.producer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The producer that is there, or a new one; that only starts threads.
    fn producer(&self) -> Result<Arc<Producer>, String> {
        let mut producer = self.lock();
        if let Some(producer) = &*producer {
            return Ok(Arc::clone(producer));
        }
        let made = self.config.client()?.create_with_context(Heard::default());
        let made =
            made.map_err(|error| format!("Kafka's library takes no such settings: {error}"))?;
        Ok(Arc::clone(producer.insert(Arc::new(made))))
    }

    /// The next try begins with a producer of its own.
    fn forget(&self, broken: Arc<Producer>) {
        let mut producer = self.lock();
        if producer.as_ref().is_some_and(|producer| Arc::ptr_eq(producer, &broken)) {
            *producer = None;
        }
        drop(producer);
        // Whoever lets go last waits for the library's threads.
        drop(tokio::task::spawn_blocking(move || drop(broken)));
    }

    async fn publish(&self, sent: &OutgoingReport) -> Delivery {
        let producer = match self.producer() {
            Ok(producer) => producer,
            Err(why) => return Delivery::denied(why),
        };
        let (tell, told) = oneshot::channel();
        let record = BaseRecord::with_opaque_to(&self.config.topic, Box::new(tell))
            .key(sent.report.saga.as_str())
            .payload(&sent.report.data)
            .headers(headers(&self.config.service, sent));
        let queued = producer.send(record).map_err(|(error, _)| error);
        let ended = match queued {
            Ok(()) => told.await.unwrap_or(Err(KafkaError::Canceled)),
            Err(error) => Err(error),
        };
        let heard = producer.context().take();
        let Err(error) = ended else { return Delivery::Taken };
        let (delivery, is_lost) = judge(&error, heard.as_ref(), &self.config, sent);
        if is_lost {
            self.forget(producer);
        }
        delivery
    }
}

impl ReportSink for KafkaSink {
    fn deliver<'a>(&'a self, sent: &'a OutgoingReport) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            match event::fits(sent.report.data.len(), &sent.report.data) {
                Ok(()) => self.publish(sent).await,
                Err(why) => Delivery::Refused(why),
            }
        })
    }
}

impl fmt::Debug for KafkaSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSink").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The event's attributes, as the binary mode of CloudEvents' binding of Kafka has them: plain UTF-8.
fn headers(service: &str, sent: &OutgoingReport) -> OwnedHeaders {
    let (report, time) = (&sent.report, Timestamp(sent.happened_at_ms).to_string());
    let written = [
        ("content-type", event::JSON),
        ("ce_specversion", "1.0"),
        ("ce_type", REPORT_TYPE),
        ("ce_source", service),
        ("ce_id", &report.report_id),
        ("ce_subject", report.saga.as_str()),
        ("ce_time", &time),
        ("ce_partitionkey", report.saga.as_str()),
    ];
    let traced = report.traceparent.as_deref().map(|trace| ("ce_traceparent", trace));
    let all = written.into_iter().chain(traced);
    all.fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value) })
    })
}

/// What the library has said of what is wrong since it was asked last. Its answers often say only that time is over.
#[derive(Debug, Default)]
struct Heard(Mutex<Option<(RDKafkaErrorCode, String)>>);

impl Heard {
    fn take(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for Heard {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, said: &str) {
        tracing::debug!(facility, said, "Kafka's library");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // That all are down is said after why.
        if code != RDKafkaErrorCode::AllBrokersDown || heard.is_none() {
            *heard = Some((code, reason.to_owned()));
        }
    }
}

impl ProducerContext for Heard {
    type DeliveryOpaque = Box<oneshot::Sender<Result<(), KafkaError>>>;

    fn delivery(&self, result: &DeliveryResult<'_>, tell: Self::DeliveryOpaque) {
        // Nobody listens any more when the relay was told to stop.
        let _ = tell.send(result.as_ref().map(drop).map_err(|(error, _)| error.clone()));
    }
}

/// Whether one of the two does not believe the other who it is. A certificate that is not believed comes under several
/// codes, by how far the connection was.
fn is_about_trust(code: RDKafkaErrorCode, said: &str) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(code, Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL)
        || said.contains("certificate")
}

/// What an error means for the report, and whether the producer is of no use any more.
fn judge(
    error: &KafkaError,
    heard: Option<&(RDKafkaErrorCode, String)>,
    config: &KafkaConfig,
    sent: &OutgoingReport,
) -> (Delivery, bool) {
    use RDKafkaErrorCode as Code;
    let KafkaConfig { topic, service, .. } = config;
    let brokers = config.brokers.join(", ");
    match error.rdkafka_error_code() {
        Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize) => {
            let bytes = sent.report.data.len();
            let largest = event::in_it(&sent.report.data);
            let why = format!(
                "the report has {bytes} bytes, more than the topic `{topic}` takes (`max.message.bytes`){largest}"
            );
            (Delivery::Refused(why), false)
        }
        Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition) => (
            Delivery::denied(format!(
                "Kafka has no topic `{topic}`; make it, with as many replicas as you need"
            )),
            false,
        ),
        Some(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) => (
            Delivery::denied(format!(
                "Kafka refuses: `{service}` needs the right to write to `{topic}` ({error})"
            )),
            false,
        ),
        Some(Code::Authentication | Code::SaslAuthenticationFailed) => {
            (Delivery::denied(format!("Kafka at {brokers} knows us not: {error}")), true)
        }
        Some(Code::PolicyViolation | Code::InvalidRecord | Code::InvalidTopic) => {
            (Delivery::denied(format!("Kafka doesn't take it on `{topic}`: {error}")), false)
        }
        // Nothing more goes by a producer that has had one.
        Some(Code::Fatal) => (Delivery::away(format!("Kafka's library gave up: {error}")), true),
        _ => match heard {
            Some((code, said)) if is_about_trust(*code, said) => {
                (Delivery::denied(format!("Kafka at {brokers}: {said}")), true)
            }
            Some((_, said)) => {
                (Delivery::away(format!("Kafka at {brokers}: {error}: {said}")), false)
            }
            None => (Delivery::away(format!("Kafka at {brokers}: {error}")), false),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ReportRow;
    use amends_protocol::SagaId;

    #[test]
    fn settings_that_cannot_be_meant_are_refused() {
        let good = KafkaConfig::new("payment", "127.0.0.1:9092");
        assert_eq!(good.topic, "amends.reports.payment");
        assert_eq!(good.check(), Ok(()));
        for broker in ["kafka", "kafka:0", "me@kafka:9092", "kafka://a:1", ""] {
            assert!(KafkaConfig::new("payment", broker).check().is_err(), "{broker}");
        }
        for topic in ["", "a b", "a.*", &"x".repeat(250)] {
            let config = KafkaConfig { topic: topic.to_owned(), ..good.clone() };
            assert!(config.check().is_err(), "{topic}");
        }
        let login = |mechanism| KafkaLogin {
            mechanism,
            user: "payment".to_owned(),
            file: "/nowhere/password".into(),
        };
        let plain = KafkaConfig { login: Some(login(SaslMechanism::Plain)), ..good.clone() };
        assert!(plain.check().expect_err("in the open").contains("`tls`"));
        let scram = KafkaConfig { login: Some(login(SaslMechanism::ScramSha512)), ..good };
        assert!(scram.check().expect_err("no file").contains("/nowhere/password"));
    }

    #[test]
    fn what_passes_is_told_from_what_a_person_must_mend() {
        use RDKafkaErrorCode as Code;
        let report = ReportRow {
            report_id: "r-1".to_owned(),
            saga: SagaId::new("order-1").expect("a saga id"),
            traceparent: None,
            data: "{\"code\":\"a\"}".to_owned(),
        };
        let sent = OutgoingReport { report, happened_at_ms: 0, tries: 0 };
        let config = KafkaConfig::new("payment", "127.0.0.1:9092");
        let judged = |code, heard: Option<Code>| {
            let heard = heard.map(|code| (code, "said".to_owned()));
            judge(&KafkaError::MessageProduction(code), heard.as_ref(), &config, &sent)
        };
        for (code, heard, looks, is_lost) in [
            (Code::MessageTimedOut, None, false, false),
            (Code::MessageTimedOut, Some(Code::AllBrokersDown), false, false),
            (Code::MessageTimedOut, Some(Code::Authentication), true, true),
            (Code::MessageTimedOut, Some(Code::SSL), true, true),
            (Code::NotEnoughReplicas, None, false, false),
            (Code::QueueFull, None, false, false),
            (Code::Fatal, None, false, true),
            (Code::UnknownTopicOrPartition, None, true, false),
            (Code::UnknownTopic, None, true, false),
            (Code::TopicAuthorizationFailed, None, true, false),
        ] {
            match judged(code, heard) {
                (Delivery::Later { turned_away, .. }, lost) => {
                    assert_eq!((turned_away, lost), (looks, is_lost), "{code} {heard:?}");
                }
                other => panic!("{code}: {other:?}"),
            }
        }
        assert!(matches!(judged(Code::MessageSizeTooLarge, None), (Delivery::Refused(_), false)));
        let (fails, said) = (Code::BrokerTransportFailure, "SSL: certificate verify failed");
        assert!(is_about_trust(fails, said) && !is_about_trust(fails, "connection refused"));
    }
}
