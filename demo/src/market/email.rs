//! The e-mail service: `send` tells the buyer that all is done. Nothing takes a mail back, and nothing stops without
//! it.

use super::faults::Fault;
use super::form::{self, Purchase};
use crate::setting::Setting;
use amends_service::{Failure, KitBuilder, LocalRequest, Sqlite};
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS mails (
        entry INTEGER PRIMARY KEY AUTOINCREMENT,
        saga  TEXT NOT NULL,
        text  TEXT NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS mails_by_saga ON mails (saga);";

pub(super) fn fit_out(kit: KitBuilder<Sqlite>, _: Arc<Setting>) -> KitBuilder<Sqlite> {
    kit.local_action("send", send)
}

fn send(tx: &Connection, request: &LocalRequest) -> Result<Value, Failure> {
    let purchase: Purchase = form::read(&request.body)?;
    if purchase.fault == Some(Fault::MailFails) {
        return Err(Failure::new("no-relay", "the mail relay takes no mails"));
    }
    let text =
        format!("Dear {}, your order {} is on its way.", purchase.customer, purchase.order_id);
    tx.execute(
        "INSERT INTO mails (saga, text) VALUES (?1, ?2)",
        params![request.saga.as_str(), text],
    )?;
    Ok(json!({"sent": true}))
}
