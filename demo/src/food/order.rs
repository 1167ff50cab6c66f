//! The order service: `place` has the payment made, then writes the order down; `cancel` marks it cancelled.

use super::faults::Fault;
use super::form::OrderForm;
use crate::line::say;
use crate::setting::Setting;
use amends_service::{ActionContext, Effect, Failure, KitBuilder, Sqlite};
use rusqlite::params;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS orders (
        saga     TEXT PRIMARY KEY,
        customer TEXT NOT NULL,
        amount   INTEGER NOT NULL,
        coupon   TEXT,
        status   TEXT NOT NULL CHECK (status IN ('placed', 'cancelled'))
    ) STRICT;";

pub(super) fn fit_out(kit: KitBuilder<Sqlite>, setting: Arc<Setting>) -> KitBuilder<Sqlite> {
    kit.action("place", move |context, body| place(Arc::clone(&setting), context, body))
        .compensation("place", |tx, undo| {
            tx.execute(
                "UPDATE orders SET status = 'cancelled' WHERE saga = ?1",
                [undo.saga.as_str()],
            )?;
            Ok(())
        })
}

async fn place(
    setting: Arc<Setting>,
    context: ActionContext<Sqlite>,
    body: Value,
) -> Result<Effect<Sqlite>, Failure> {
    let form = OrderForm::read(body)?;
    context.call(setting.url("payment"), "payment", "pay", &form.write()).await?;
    own_logic(&setting, &context, &form).await?;
    let saga = context.saga().to_string();
    Ok(context.effect(move |tx| {
        tx.execute(
            "INSERT INTO orders (saga, customer, amount, coupon, status) VALUES (?1, ?2, ?3, ?4, 'placed')",
            params![saga, form.customer, form.amount, form.coupon],
        )?;
        Ok(json!({"orderId": form.order_id, "status": "placed"}))
    }))
}

/// What the order service does after the payment, and where the plan lets it fail.
async fn own_logic(
    setting: &Setting,
    context: &ActionContext<Sqlite>,
    form: &OrderForm,
) -> Result<(), Failure> {
    let fail = |code, message: &str| Err(form.failure(code, message));
    match form.fault {
        Some(Fault::OrderReport1) if setting.strikes.strikes(context.saga().as_str()) => {
            fail("report-1", "the order book is locked for a moment")
        }
        Some(Fault::OrderReport2) => fail("report-2", "the kitchen is closed"),
        Some(Fault::OrderReport3) => {
            fail("report-3", "the kitchen is closed, and a coupon was used")
        }
        Some(Fault::OrderCrash) => {
            // The runner answers with SIGKILL: no handler, no destructor, no report.
            say(&json!({"kill": context.saga()}));
            std::future::pending().await
        }
        _ => Ok(()),
    }
}
