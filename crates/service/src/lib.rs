//! The kit with which a service keeps History and compensates.
//!
//! A service that is built on it cannot lose a request, do one twice, take effect after it was undone, or answer a
//! failure that its report does not tell. It does not decide what is undone; the supervisor's rulebook does.
//!
//! - An **action** is an async handler that may call other services and returns its local effect. The effect runs in
//!   one SQLite transaction with the request's History row.
//! - A **compensation** undoes every request of its action in one saga, in the transaction that also refuses late ones.
//! - A **failure** is answered to the caller and reported to the supervisor; both come from one transaction.
//!
//! What a service does outside of its own tables (charge a card, send a mail) belongs in the handler, under the
//! request's id; [`Failure::effect_unknown`] and [`Undo::uncertain`] are for that.
//!
//! The smallest honest service: coupons, each used at most once.
//!
//! ```no_run
//! use amends_service::rusqlite::params;
//! use amends_service::serde_json::json;
//! use amends_service::{Failure, Kit, KitConfig, axum};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = KitConfig::new("coupon", "coupon.sqlite");
//! config.supervisor = Some("http://127.0.0.1:7100".to_owned());
//! config.schema = "CREATE TABLE IF NOT EXISTS redeemed (coupon TEXT PRIMARY KEY, saga TEXT NOT NULL)";
//!
//! let kit = Kit::open(config)?
//!     .action("redeem", async |context, body| {
//!         let Some(coupon) = body["coupon"].as_str().map(str::to_owned) else {
//!             return Err(Failure::new("no-coupon", "`coupon` is missing").status(400));
//!         };
//!         // Calls to other services go here: `context.call(url, service, action, &body).await?`
//!         let saga = context.saga().to_string();
//!         Ok(context.effect(move |tx| {
//!             let free = tx.execute(
//!                 "INSERT OR IGNORE INTO redeemed (coupon, saga) VALUES (?1, ?2)",
//!                 params![coupon, saga],
//!             )?;
//!             match free {
//!                 1 => Ok(json!({ "redeemed": coupon })),
//!                 _ => Err(Failure::new("used", format!("coupon `{coupon}` is used"))),
//!             }
//!         }))
//!     })
//!     .compensation("redeem", |tx, undo| {
//!         tx.execute("DELETE FROM redeemed WHERE saga = ?1", [undo.saga.as_str()])?;
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

// Errors here carry what a person needs to act, and are rare; a box around each would only cost its reader.
#![allow(clippy::result_large_err)]

mod answer;
mod background;
mod call;
mod config;
mod context;
mod database;
mod failure;
mod forward;
mod history;
mod kit;
mod ledger;
mod outbox;
mod report;
mod routes;
mod rows;
mod saga_context;
mod signature;
mod steps;
mod transport;
mod undo;

pub use amends_protocol::{HistoryState, Problem, ReportRef, SagaId};
pub use axum;
pub use background::Background;
pub use config::{KitConfig, KitError};
pub use context::{ActionContext, Effect};
pub use failure::{CallFailed, Failure, Refusal};
pub use kit::{Kit, KitBuilder};
pub use rusqlite;
pub use serde_json;
pub use signature::signing_key;
pub use undo::{DoneRequest, Notice, UncertainRequest, Undo};
