//! Reports by NATS JetStream: each is published once and counts as taken when the stream has acknowledged it. Makes no
//! stream; when to try again is the relay's business, and each try after a failed one opens a connection of its own.

use crate::certificates::Certificates;
use crate::config::KitError;
use crate::event;
use crate::sink::{Delivery, ReportSink};
use crate::store::{BoxFuture, OutgoingReport};
use async_nats::connection::State;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::{self, Context, ErrorCode};
use async_nats::{
    Client, ConnectError, ConnectErrorKind, ConnectOptions, Event, HeaderMap, ServerError, header,
};
use bytes::Bytes;
use http::Uri;
use std::error::Error as _;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};

/// Time for a connection, and for the stream's word; both together are less than the relay gives a try.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
const ACK_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a connection on which nothing comes is looked after.
const PING_EVERY: Duration = Duration::from_secs(20);

/// Where reports are published, and as whom.
#[derive(Clone, Debug)]
pub struct NatsConfig {
    /// The service's name, as in [`KitConfig`](crate::KitConfig).
    pub service: String,
    /// `nats://host:4222` or `tls://host:4222`, the servers of one cluster. They hold no name and no password.
    pub servers: Vec<String>,
    /// Where reports are published. The supervisor's `nats.subjects` say which services it believes there.
    pub subject: String,
    /// As whom the service comes.
    pub login: Option<NatsLogin>,
    /// Whose certificates are believed, and which one is shown, where the servers ask for TLS.
    pub certificates: Certificates,
}

/// As whom a service comes to NATS. Files are read anew for each connection, so that they can be renewed at any time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NatsLogin {
    /// A file of credentials, as `nsc` writes it.
    Credentials(PathBuf),
    /// A name, and the file that holds its password and nothing else.
    Password {
        /// The name.
        user: String,
        /// Where the password stands.
        file: PathBuf,
    },
}

impl NatsConfig {
    /// The defaults: one server, the subject `amends.reports.SERVICE`, nobody in particular, the system's authorities.
    #[must_use]
    pub fn new(service: &str, server: &str) -> Self {
        Self {
            service: service.to_owned(),
            servers: vec![server.to_owned()],
            subject: format!("amends.reports.{service}"),
            login: None,
            certificates: Certificates::default(),
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.servers.is_empty() {
            return Err("no server of NATS is given; name one, as `nats://host:4222`".to_owned());
        }
        self.servers.iter().try_for_each(|server| address(server))?;
        let is_subject = self.subject.split('.').all(|word| {
            !word.is_empty()
                && word.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'*' | b'>'))
        });
        if !is_subject {
            return Err(format!(
                "`{}` is no subject to publish on: words with `.` between them, without spaces, `*` and `>`",
                self.subject
            ));
        }
        self.certificates.check()?;
        self.password().map(drop)
    }

    /// The name and its password, if they are how the service comes.
    fn password(&self) -> Result<Option<(String, String)>, String> {
        let Some(NatsLogin::Password { user, file }) = &self.login else { return Ok(None) };
        let text = std::fs::read_to_string(file).map_err(|error| {
            format!("the password of NATS can't be read from `{}`: {error}", file.display())
        })?;
        Ok(Some((user.clone(), text.trim_end().to_owned())))
    }
}

/// `nats://host:port` or `tls://host:port`. A password in it would be shown by logs.
fn address(text: &str) -> Result<(), String> {
    let uri: Uri =
        text.parse().map_err(|error| format!("`{text}` is no address of NATS: {error}"))?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("an address of NATS holds no name and no password: use `login`".to_owned());
    }
    match (uri.scheme_str(), uri.host()) {
        (Some("nats" | "tls"), Some(host)) if !host.is_empty() => Ok(()),
        _ => Err(format!("`{text}` must be `nats://host:port` or `tls://host:port`")),
    }
}

/// Publishes reports on a subject of NATS that a JetStream stream holds: CloudEvents in structured mode, with
/// `Nats-Msg-Id`, so that the stream takes one that comes again soon for the same. Give it to
/// [`report_sink`](crate::KitBuilder::report_sink); whatever else the kit tells the supervisor goes by HTTP as ever.
pub struct NatsSink {
    config: NatsConfig,
    open: Mutex<Option<Arc<Open>>>,
}

impl NatsSink {
    /// Takes the settings; connects when there is something to publish.
    ///
    /// # Errors
    /// [`KitError::Config`] when a setting is wrong, or a file can't be read.
    pub fn new(config: NatsConfig) -> Result<Self, KitError> {
        config.check().map_err(KitError::Config)?;
        Ok(Self { config, open: Mutex::default() })
    }

    /// The connection that is open, or a new one.
    async fn open(&self) -> Result<Arc<Open>, Delivery> {
        let mut open = self.open.lock().await;
        if let Some(open) = &*open
            && open.is_whole()
        {
            return Ok(Arc::clone(open));
        }
        Ok(Arc::clone(open.insert(Arc::new(Open::connect(&self.config).await?))))
    }

    /// The next try begins with a connection of its own.
    async fn forget(&self, broken: &Arc<Open>) {
        let mut open = self.open.lock().await;
        if open.as_ref().is_some_and(|open| Arc::ptr_eq(open, broken)) {
            *open = None;
        }
    }
}

impl ReportSink for NatsSink {
    fn deliver<'a>(&'a self, sent: &'a OutgoingReport) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            let body = match event::structured(&self.config.service, sent) {
                Ok(body) => Bytes::from(body),
                Err(why) => return Delivery::Refused(why),
            };
            let open = match self.open().await {
                Ok(open) => open,
                Err(later) => return later,
            };
            let delivery = open.publish(&self.config, sent, body).await;
            if matches!(delivery, Delivery::Later { .. }) {
                self.forget(&open).await;
            }
            delivery
        })
    }
}

impl fmt::Debug for NatsSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsSink").field("config", &self.config).finish_non_exhaustive()
    }
}

/// A connection, and what has become of it.
struct Open {
    client: Client,
    context: Context,
    trouble: watch::Receiver<Option<Trouble>>,
}

/// Why nothing more comes of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trouble {
    /// It is gone; nobody knows whether what is under way was stored.
    Broken,
    /// The server says that we may not do what we do. It says so of a connection, not of a message.
    Denied(String),
}

impl Open {
    async fn connect(config: &NatsConfig) -> Result<Self, Delivery> {
        let (tell, trouble) = watch::channel(None);
        let tell = Arc::new(tell);
        let mut how = ConnectOptions::new()
            .name(&config.service)
            .connection_timeout(CONNECT_TIMEOUT)
            .ping_interval(PING_EVERY)
            // Each server once; after that it is the relay that says when to try again.
            .max_reconnects(config.servers.len())
            .event_callback(move |event| {
                let tell = Arc::clone(&tell);
                async move { note(&tell, event) }
            });
        if let Some(NatsLogin::Credentials(file)) = &config.login {
            how = how.credentials_file(file).await.map_err(|error| {
                Delivery::denied(format!(
                    "the credentials of NATS in `{}`: {error}",
                    file.display()
                ))
            })?;
        }
        if let Some((user, password)) = config.password().map_err(Delivery::denied)? {
            how = how.user_and_password(user, password);
        }
        // In place of those of the system, as everywhere in the kit.
        if let Some(file) = &config.certificates.authorities {
            how = how.add_root_certificates(file.clone());
        }
        if let Some(own) = &config.certificates.own {
            how = how.add_client_certificate(own.certificate.clone(), own.key.clone());
        }
        let servers = config.servers.join(", ");
        let client = how.connect(&config.servers).await.map_err(|error| {
            let why = format!("NATS at {servers}: {error}");
            match error.kind() {
                ConnectErrorKind::Authentication
                | ConnectErrorKind::AuthorizationViolation
                | ConnectErrorKind::Tls => Delivery::denied(why),
                ConnectErrorKind::Io if is_about_certificates(&error) => Delivery::denied(why),
                _ => Delivery::away(why),
            }
        })?;
        let context =
            jetstream::context::ContextBuilder::new().timeout(ACK_TIMEOUT).build(client.clone());
        Ok(Self { client, context, trouble })
    }

    fn is_whole(&self) -> bool {
        self.trouble.borrow().is_none() && self.client.connection_state() == State::Connected
    }

    /// Publishes, and waits until the stream has it or the connection is of no use any more.
    async fn publish(&self, config: &NatsConfig, sent: &OutgoingReport, body: Bytes) -> Delivery {
        let mut headers = HeaderMap::new();
        let id = format!("{}/{}", config.service, sent.report.report_id);
        headers.insert(header::NATS_MESSAGE_ID, id);
        headers.insert("content-type", "application/cloudevents+json");
        let subject = &config.subject;
        let stored = async {
            self.context.publish_with_headers(subject.clone(), headers, body.clone()).await?.await
        };
        let mut trouble = self.trouble.clone();
        tokio::select! {
            biased;
            stored = stored => self.judge(stored, config, sent, body.len()),
            found = trouble.wait_for(Option::is_some) => match found.ok().as_deref() {
                Some(Some(Trouble::Denied(why))) => Delivery::denied(format!(
                    "NATS refuses: {why}; `{}` needs the right to publish on `{subject}` and to subscribe to `_INBOX.>`",
                    config.service
                )),
                _ => Delivery::away("the connection to NATS broke before the stream had answered".to_owned()),
            },
        }
    }

    fn judge(
        &self,
        stored: Result<PublishAck, PublishError>,
        config: &NatsConfig,
        sent: &OutgoingReport,
        bytes: usize,
    ) -> Delivery {
        let Err(error) = stored else { return Delivery::Taken };
        let subject = &config.subject;
        match error.kind() {
            PublishErrorKind::StreamNotFound => Delivery::denied(format!(
                "no stream of NATS holds `{subject}`; `amends nats init` makes it, as the supervisor's `nats.subjects` say"
            )),
            PublishErrorKind::MaxPayloadExceeded => {
                let limit = self.client.max_payload();
                Delivery::Refused(event::too_large(bytes, limit, &sent.report.data))
            }
            _ => {
                match error.source().and_then(|source| source.downcast_ref::<jetstream::Error>()) {
                    Some(said) => answered(said, subject),
                    None => Delivery::away(format!("NATS: {error}")),
                }
            }
        }
    }
}

/// What the stream's own word means.
fn answered(said: &jetstream::Error, subject: &str) -> Delivery {
    match said.error_code() {
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => Delivery::Refused(format!(
            "the stream that holds `{subject}` takes smaller messages only; raise its `max_msg_size`"
        )),
        // It is full, or its disk is.
        ErrorCode::STREAM_STORE_FAILED | ErrorCode::INSUFFICIENT_RESOURCES => Delivery::denied(
            format!("the stream that holds `{subject}` doesn't store it: {said}; make room there"),
        ),
        _ => Delivery::away(format!("the stream that holds `{subject}` answers: {said}")),
    }
}

/// Whether a connection broke because one side does not believe the other's certificate.
fn is_about_certificates(error: &ConnectError) -> bool {
    let broken = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    broken.is_some_and(|broken| broken.kind() == io::ErrorKind::InvalidData)
}

/// Keeps the first reason why a connection is of no use any more.
fn note(tell: &watch::Sender<Option<Trouble>>, event: Event) {
    let found = match event {
        Event::ServerError(ServerError::AuthorizationViolation) => {
            Trouble::Denied("authorization violation".to_owned())
        }
        Event::ServerError(ServerError::Other(said)) if is_about_rights(&said) => {
            Trouble::Denied(said)
        }
        Event::Disconnected | Event::Closed => Trouble::Broken,
        _ => return,
    };
    tell.send_if_modified(|trouble| {
        let is_first = trouble.is_none();
        trouble.get_or_insert(found);
        is_first
    });
}

/// `Permissions Violation for Publish to "…"`, `User Authentication Expired`, `Authentication Revoked` and the like.
fn is_about_rights(said: &str) -> bool {
    let said = said.to_lowercase();
    said.contains("permissions violation") || said.contains("authentication")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_be_meant_are_refused() {
        let good = NatsConfig::new("payment", "nats://127.0.0.1:4222");
        assert_eq!(good.subject, "amends.reports.payment");
        assert_eq!(good.check(), Ok(()));
        for server in ["http://a:1", "a:4222", "nats://", "nats://me:secret@a:4222", ""] {
            let why = NatsConfig::new("payment", server).check().expect_err(server);
            assert!(!why.contains("secret"), "{why}");
        }
        for subject in ["", "a.", "a..b", "a.*", ">", "a b"] {
            let config = NatsConfig { subject: subject.to_owned(), ..good.clone() };
            assert!(config.check().is_err(), "{subject}");
        }
        assert!(NatsConfig { servers: Vec::new(), ..good.clone() }.check().is_err());
        let file = PathBuf::from("/nowhere/password");
        let login = Some(NatsLogin::Password { user: "payment".to_owned(), file });
        let why = NatsSink::new(NatsConfig { login, ..good }).expect_err("no file").to_string();
        assert!(why.contains("/nowhere/password"), "{why}");
    }

    #[test]
    fn the_first_reason_is_the_one_that_is_told() {
        let (tell, trouble) = watch::channel(None);
        note(&tell, Event::Connected);
        assert_eq!(*trouble.borrow(), None);
        let said = "Permissions Violation for Publish to \"a\"".to_owned();
        note(&tell, Event::ServerError(ServerError::Other(said.clone())));
        note(&tell, Event::Disconnected);
        assert_eq!(*trouble.borrow(), Some(Trouble::Denied(said)));
    }
}
