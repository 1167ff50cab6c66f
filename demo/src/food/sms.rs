//! The text message service: `send` writes the confirmation, the notice `send-cancellation` the correction. A sent
//! text can't be taken back, so a confirmation that comes later than its cancellation is not sent at all.

use super::faults::Fault;
use super::form::OrderForm;
use crate::setting::Setting;
use amends_service::{ActionContext, Effect, Failure, KitBuilder, Sqlite};
use rusqlite::params;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS messages (
        entry   INTEGER PRIMARY KEY AUTOINCREMENT,
        saga    TEXT NOT NULL,
        kind    TEXT NOT NULL CHECK (kind IN ('confirmation', 'cancellation')),
        text    TEXT NOT NULL,
        sent_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
    ) STRICT;
    CREATE INDEX IF NOT EXISTS messages_by_saga ON messages (saga);";

const CONFIRM: &str = "INSERT INTO messages (saga, kind, text) SELECT ?1, 'confirmation', ?2
    WHERE NOT EXISTS (SELECT 1 FROM messages WHERE saga = ?1 AND kind = 'cancellation')";
const CANCEL: &str = "INSERT INTO messages (saga, kind, text) VALUES (?1, 'cancellation', ?2)";

pub(super) fn fit_out(kit: KitBuilder<Sqlite>, setting: Arc<Setting>) -> KitBuilder<Sqlite> {
    kit.action("send", move |context, body| send(Arc::clone(&setting), context, body)).notice(
        "send-cancellation",
        |tx, notice| {
            let saga = notice.saga.as_str();
            let text = format!("Your order {saga} was cancelled. You pay nothing.");
            tx.execute(CANCEL, params![saga, text])?;
            Ok(())
        },
    )
}

async fn send(
    setting: Arc<Setting>,
    context: ActionContext<Sqlite>,
    body: Value,
) -> Result<Effect<Sqlite>, Failure> {
    let form = OrderForm::read(body)?;
    if form.has(Fault::SmsFails) && setting.strikes.strikes(context.saga().as_str()) {
        return Err(Failure::new(
            "gateway-busy",
            "the message gateway takes no messages right now",
        ));
    }
    let saga = context.saga().to_string();
    Ok(context.effect(move |tx| {
        let text = format!("Dear {}, your order {} is on its way.", form.customer, form.order_id);
        let sent = tx.execute(CONFIRM, params![saga, text])? == 1;
        Ok(json!({"sent": sent}))
    }))
}
