//! The payment service: `pay` uses the coupon, requests the delivery, then books the charge; `refund` books it back.
//! The ledger is append-only: nothing in it is ever changed or removed.

use super::faults::Fault;
use super::form::OrderForm;
use crate::setting::Setting;
use amends_service::{ActionContext, Effect, Failure, KitBuilder, Sqlite};
use rusqlite::params;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS ledger (
        entry   INTEGER PRIMARY KEY AUTOINCREMENT,
        saga    TEXT NOT NULL,
        request TEXT NOT NULL,
        kind    TEXT NOT NULL CHECK (kind IN ('charge', 'refund')),
        amount  INTEGER NOT NULL CHECK (amount > 0)
    ) STRICT;
    CREATE INDEX IF NOT EXISTS ledger_by_saga ON ledger (saga);";

pub(super) fn fit_out(kit: KitBuilder<Sqlite>, setting: Arc<Setting>) -> KitBuilder<Sqlite> {
    kit.action("pay", move |context, body| pay(Arc::clone(&setting), context, body)).compensation(
        "pay",
        |tx, undo| {
            // Each charge is booked back as it stands in the ledger, and none twice.
            tx.execute(
                "INSERT INTO ledger (saga, request, kind, amount)
             SELECT saga, request, 'refund', amount FROM ledger AS charge
             WHERE saga = ?1 AND kind = 'charge' AND NOT EXISTS (
                 SELECT 1 FROM ledger WHERE request = charge.request AND kind = 'refund')",
                [undo.saga.as_str()],
            )?;
            Ok(())
        },
    )
}

async fn pay(
    setting: Arc<Setting>,
    context: ActionContext<Sqlite>,
    body: Value,
) -> Result<Effect<Sqlite>, Failure> {
    let form = OrderForm::read(body)?;
    if form.coupon.is_some() {
        context.call(setting.url("coupon"), "coupon", "redeem", &form.write()).await?;
    }
    context.call(setting.url("delivery"), "delivery", "request", &form.write()).await?;
    let fail = |code, message: &str| Err(form.failure(code, message));
    match form.fault {
        Some(Fault::PaymentReport1) => {
            return fail("report-1", "the bank declined, after a coupon was used");
        }
        Some(Fault::PaymentReport2) => return fail("report-2", "the bank declined"),
        _ => {}
    }
    let (saga, request) = (context.saga().to_string(), context.request_id().to_owned());
    Ok(context.effect(move |tx| {
        tx.execute(
            "INSERT INTO ledger (saga, request, kind, amount) VALUES (?1, ?2, 'charge', ?3)",
            params![saga, request, form.amount],
        )?;
        Ok(json!({"charged": form.amount}))
    }))
}
