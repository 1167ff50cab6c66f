//! The kit with which a service keeps History and compensates.
//!
//! A service that is built on it cannot lose a request, do one twice, take effect after it was undone, or answer a
//! failure that its report does not tell. It does not decide what is undone; the supervisor's rulebook does.
//!
//! - An **action** is an async handler that may call other services and returns its local effect. The effect runs in
//!   one transaction with the request's History row.
//! - A **compensation** undoes every request of its action in one saga, in the transaction that also refuses late ones.
//! - A **failure** is answered to the caller and reported to the supervisor; both come from one transaction.
//!
//! History lies next to the service's own tables, in SQLite (feature `sqlite`, on by default: one file, one process) or
//! in PostgreSQL (feature `postgres`: any number of processes). [`store`] says how to add another database.
//!
//! The smallest honest service on SQLite: coupons, each used at most once.
//!
//! ```no_run
//! use amends_service::rusqlite::params;
//! use amends_service::serde_json::json;
//! use amends_service::{Failure, Kit, KitConfig, Sqlite, axum};
//!
//! const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS redeemed (coupon TEXT PRIMARY KEY, saga TEXT NOT NULL)";
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = KitConfig::new("coupon");
//! config.supervisor = Some("http://127.0.0.1:7100".to_owned());
//!
//! let kit = Kit::builder(config, Sqlite::open("coupon.sqlite", SCHEMA)?)?
//!     .action("redeem", async |context, body| {
//!         let Some(coupon) = body["coupon"].as_str().map(str::to_owned) else {
//!             return Err(Failure::new("no-coupon", "`coupon` is missing").status(400));
//!         };
//!         // Calls to other services go here: `context.call(url, service, action, &body).await?`
//!         let saga = context.saga().to_string();
//!         Ok(context.effect(move |connection| {
//!             let free = connection.execute(
//!                 "INSERT OR IGNORE INTO redeemed (coupon, saga) VALUES (?1, ?2)",
//!                 params![coupon, saga],
//!             )?;
//!             match free {
//!                 1 => Ok(json!({ "redeemed": coupon })),
//!                 _ => Err(Failure::new("used", format!("coupon `{coupon}` is used"))),
//!             }
//!         }))
//!     })
//!     .compensation("redeem", |connection, undo| {
//!         connection.execute("DELETE FROM redeemed WHERE saga = ?1", [undo.saga.as_str()])?;
//!         Ok(())
//!     })
//!     .build();
//!
//! let background = kit.spawn_background();
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:7103").await?;
//! axum::serve(listener, kit.router()).await?;
//! background.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! The same on PostgreSQL, as many processes of it as are wanted:
//!
//! ```no_run
//! use amends_service::serde_json::json;
//! use amends_service::sqlx::query;
//! use amends_service::{Failure, Kit, KitConfig, Postgres, axum};
//!
//! const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS redeemed (coupon TEXT PRIMARY KEY, saga TEXT NOT NULL)";
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = KitConfig::new("coupon");
//! config.supervisor = Some("http://127.0.0.1:7100".to_owned());
//!
//! let kit = Kit::builder(config, Postgres::connect("postgres://coupon@db/coupon", SCHEMA).await?)?
//!     .action("redeem", async |context, body| {
//!         let Some(coupon) = body["coupon"].as_str().map(str::to_owned) else {
//!             return Err(Failure::new("no-coupon", "`coupon` is missing").status(400));
//!         };
//!         let saga = context.saga().to_string();
//!         Ok(context.effect(move |connection| {
//!             Box::pin(async move {
//!                 let insert = "INSERT INTO redeemed VALUES ($1, $2) ON CONFLICT DO NOTHING";
//!                 let free = query(insert).bind(&coupon).bind(&saga).execute(connection).await?;
//!                 match free.rows_affected() {
//!                     1 => Ok(json!({ "redeemed": coupon })),
//!                     _ => Err(Failure::new("used", format!("coupon `{coupon}` is used"))),
//!                 }
//!             })
//!         }))
//!     })
//!     .compensation("redeem", |connection, undo| {
//!         Box::pin(async move {
//!             let delete = "DELETE FROM redeemed WHERE saga = $1";
//!             query(delete).bind(undo.saga.as_str()).execute(connection).await?;
//!             Ok(())
//!         })
//!     })
//!     .build();
//!
//! let background = kit.spawn_background();
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:7103").await?;
//! axum::serve(listener, kit.router()).await?;
//! background.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Local actions
//!
//! An [`action`](KitBuilder::action) waits for the disk twice: its `started` row is durable before the handler runs, so
//! that a crash leaves a trace of whatever it was doing outside. An action that only works in the service's own tables can
//! leave nothing outside. Give it as a `local_action`: it gets the connection and no way to call others, all of it is one
//! transaction, and it waits once, which is about what a handler without History does. A crash leaves either nothing
//! (whoever asked has no answer, and asks again) or the whole.
//!
//! ```no_run
//! # use amends_service::serde_json::json;
//! # use amends_service::{Kit, KitConfig, Sqlite};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = "CREATE TABLE IF NOT EXISTS redeemed (coupon TEXT PRIMARY KEY, saga TEXT NOT NULL)";
//! let kit = Kit::builder(KitConfig::new("coupon"), Sqlite::open("coupon.sqlite", schema)?)?
//!     .local_action("redeem", |connection, request| {
//!         let coupon = request.body["coupon"].as_str().unwrap_or_default();
//!         let insert = "INSERT INTO redeemed (coupon, saga) VALUES (?1, ?2)";
//!         connection.execute(insert, [coupon, request.saga.as_str()])?;
//!         Ok(json!({ "redeemed": coupon }))
//!     })
//!     .build();
//! # Ok(())
//! # }
//! ```
//!
//! # Effects outside of the service's tables
//!
//! A card network, a mail gateway: what a service does there is in no transaction of its own. Do it in the handler, under
//! [`ActionContext::request_id`] as the key, so that a re-run repeats it and does not double it. Then:
//!
//! - It said no: return a [`Failure`]. Nothing happened, and nothing will be undone.
//! - Nobody knows (a time-out), or it said yes and something after it failed: return the failure with
//!   [`Failure::effect_unknown`]. The report says `unknown`, and so does History, until the action is compensated.
//! - In the compensation, look at [`Undo::requests`] *and* at [`Undo::uncertain`]: ask the network for each uncertain
//!   request's id, undo what it finds, and say so with [`Undo::found_effect`]. Then the outcome is `compensated`; without
//!   it, the request is taken for empty, `nothing_to_compensate`.
//!
//! A request that the fence stopped on its way to its commit, or whose process died, is among the uncertain ones as well.
//!
//! # Undos that take long
//!
//! A bank that sends money back tomorrow: the compensation writes down what is to be done, and says
//! [`Undo::answer_later`]. Its step is answered 202, the fence is up, and the outcome is owed, whatever happens to the
//! process. When the work is done, `finish_undo` marks the requests compensated and tells the supervisor, with the
//! proof that came with the step, until it has heard.
//!
//! ```no_run
//! # use amends_service::{Kit, KitConfig, SagaId, Sqlite};
//! # use amends_service::serde_json::json;
//! # async fn example(saga: SagaId) -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = "CREATE TABLE IF NOT EXISTS returns (saga TEXT)";
//! let kit = Kit::builder(KitConfig::new("bank"), Sqlite::open("bank.sqlite", schema)?)?
//!     .local_action("transfer", |_, _| Ok(json!({})))
//!     .compensation("transfer", |connection, undo| {
//!         connection.execute("INSERT INTO returns (saga) VALUES (?1)", [undo.saga.as_str()])?;
//!         undo.answer_later();
//!         Ok(())
//!     })
//!     .build();
//! // Whoever works through `returns`, once the money is back:
//! let of = saga.clone();
//! kit.finish_undo(&saga, "transfer", move |connection| {
//!     connection.execute("DELETE FROM returns WHERE saga = ?1", [of.as_str()])?;
//!     Ok(())
//! })
//! .await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Behind TLS
//!
//! With the feature `tls` the addresses of the supervisor and of other services may be `https://`. Whose certificates
//! are believed, and which one of its own the service shows to whoever asks (mutual TLS), its configuration says:
//!
//! ```no_run
//! # #[cfg(feature = "tls")]
//! # fn example() {
//! use amends_service::{Certificates, KitConfig, OwnCertificate, SupervisorToken};
//!
//! let mut config = KitConfig::new("coupon");
//! config.supervisor = Some("https://amends.shop.svc:7101".to_owned());
//! config.supervisor_token = Some(SupervisorToken::InFile("/run/secrets/amends".into()));
//! config.certificates = Certificates {
//!     authorities: Some("/etc/shop/ca.pem".into()),
//!     own: Some(OwnCertificate {
//!         certificate: "/etc/shop/coupon.pem".into(),
//!         key: "/etc/shop/coupon.key".into(),
//!     }),
//! };
//! # }
//! ```
//!
//! The same for a client of the service's own gives `Certificates::client_config`. How the service itself is reached by
//! TLS is its own affair: whatever serves its router.
//!
//! # Reports by a broker
//!
//! With the feature `nats` reports are published on a subject of NATS JetStream, from the same outbox and with the same
//! promise: one that counts as sent is in the stream. What else the kit tells the supervisor goes by HTTP as ever.
//!
//! ```no_run
//! # #[cfg(feature = "nats")]
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use amends_service::{Kit, KitConfig, NatsConfig, NatsLogin, NatsSink, Sqlite};
//!
//! let mut nats = NatsConfig::new("coupon", "tls://nats.shop.svc:4222");
//! nats.login = Some(NatsLogin::Credentials("/run/secrets/coupon.creds".into()));
//! # let schema = "CREATE TABLE IF NOT EXISTS redeemed (coupon TEXT PRIMARY KEY, saga TEXT NOT NULL)";
//! let kit = Kit::builder(KitConfig::new("coupon"), Sqlite::open("coupon.sqlite", schema)?)?
//!     .report_sink(NatsSink::new(nats)?);
//! # Ok(())
//! # }
//! ```
//!
//! With the feature `kafka` it is a topic of Apache Kafka, by `KafkaSink` and `KafkaConfig`. Any other broker is a
//! [`ReportSink`] of the service's own.
//!
//! # Which failure caused which
//!
//! A failure that comes from another service's failure names that one's report as its cause, and joins its case. With
//! `context.call(…).await?` that happens by itself. So it does when a handler drops the call's error and fails in its own
//! words: a failure without causes, of a handler whose last recorded call failed with a report, is taken to come from it.
//! [`Failure::uncaused`] says that it does not.

// Errors here carry what a person needs to act, and are rare; a box around each would only cost its reader.
#![allow(clippy::result_large_err)]

mod answer;
mod background;
mod builder;
mod call;
mod callbacks;
mod calls;
mod certificates;
mod config;
mod context;
#[cfg(any(feature = "kafka", feature = "nats"))]
mod event;
mod failure;
mod forward;
mod guarded;
mod history;
mod history_page;
mod inner;
#[cfg(feature = "kafka")]
mod kafka_sink;
mod kit;
#[cfg(feature = "tower")]
mod layer;
mod ledger;
mod local;
mod local_request;
mod message;
#[cfg(feature = "nats")]
mod nats_sink;
mod observer;
mod outbox;
mod recorded;
mod report;
#[cfg(feature = "reqwest")]
mod reqwest_call;
mod routes;
mod running;
mod saga_context;
#[cfg(feature = "tls")]
mod secured;
mod signature;
mod sink;
mod steps;
pub mod store;
mod supervisor_token;
#[cfg(test)]
mod tests;
mod transport;
mod undo;

pub use amends_protocol::{HistoryState, Outcome, Problem, ReportRef, SagaId, Verb};
pub use axum;
pub use background::Background;
pub use builder::KitBuilder;
pub use certificates::{CertificateError, Certificates, OwnCertificate};
pub use config::{KitConfig, KitError};
pub use context::{ActionContext, Effect};
pub use failure::{CallFailed, Failure, Refusal};
#[cfg(feature = "kafka")]
pub use kafka_sink::{KafkaConfig, KafkaLogin, KafkaSink, SaslMechanism};
pub use kit::Kit;
#[cfg(feature = "tower")]
pub use layer::{CallLayer, RecordedClient};
pub use local_request::LocalRequest;
pub use message::Message;
#[cfg(feature = "nats")]
pub use nats_sink::{NatsConfig, NatsLogin, NatsSink};
pub use observer::{Observer, ReportNews};
#[cfg(feature = "reqwest")]
pub use reqwest;
#[cfg(feature = "sqlite")]
pub use rusqlite;
#[cfg(feature = "tls")]
pub use rustls;
pub use saga_context::PassedOn;
pub use serde_json;
pub use signature::signing_key;
pub use sink::{Delivery, ReportSink};
#[cfg(feature = "postgres")]
pub use sqlx;
#[cfg(feature = "postgres")]
pub use store::postgres::{Postgres, PostgresConfig};
#[cfg(feature = "sqlite")]
pub use store::sqlite::Sqlite;
pub use supervisor_token::SupervisorToken;
pub use undo::{DoneRequest, Notice, UncertainRequest, Undo};
