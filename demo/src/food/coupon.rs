//! The coupon service: `redeem` uses a coupon for one saga, once; `restore` makes it usable again. It issues coupons
//! only when its process starts.

use super::faults::Fault;
use super::form::OrderForm;
use super::workload::coupon_code;
use crate::setting::Setting;
use amends_service::{ActionContext, Effect, Failure, KitBuilder, Sqlite};
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS coupons (
        code        TEXT PRIMARY KEY,
        redeemed_by TEXT
    ) STRICT;
    CREATE INDEX IF NOT EXISTS coupons_by_saga ON coupons (redeemed_by) WHERE redeemed_by IS NOT NULL;
    CREATE TABLE IF NOT EXISTS redemptions (
        entry INTEGER PRIMARY KEY AUTOINCREMENT,
        code  TEXT NOT NULL,
        saga  TEXT NOT NULL,
        kind  TEXT NOT NULL CHECK (kind IN ('redeem', 'restore'))
    ) STRICT;";

/// Issues the coupons 1 to `count`; those that exist stay as they are.
///
/// # Errors
/// When the database can't be written.
pub(super) fn issue(database: &Path, count: u32) -> rusqlite::Result<()> {
    let mut connection = Connection::open(database)?;
    let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for number in 1..=count {
        tx.execute("INSERT OR IGNORE INTO coupons (code) VALUES (?1)", [coupon_code(number)])?;
    }
    tx.commit()
}

pub(super) fn fit_out(kit: KitBuilder<Sqlite>, _: Arc<Setting>) -> KitBuilder<Sqlite> {
    kit.action("redeem", redeem).compensation("redeem", |tx, undo| {
        let saga = undo.saga.as_str();
        tx.execute(
            "INSERT INTO redemptions (code, saga, kind) SELECT code, ?1, 'restore' FROM coupons WHERE redeemed_by = ?1",
            [saga],
        )?;
        tx.execute("UPDATE coupons SET redeemed_by = NULL WHERE redeemed_by = ?1", [saga])?;
        Ok(())
    })
}

async fn redeem(context: ActionContext<Sqlite>, body: Value) -> Result<Effect<Sqlite>, Failure> {
    let form = OrderForm::read(body)?;
    if form.has(Fault::CouponRefused) {
        return Err(Failure::new("unavailable", "coupons cannot be used right now"));
    }
    let Some(code) = form.coupon else {
        return Err(Failure::new("malformed", "the order form names no coupon").status(400));
    };
    let saga = context.saga().to_string();
    Ok(context.effect(move |tx| {
        let used = tx.execute(
            "UPDATE coupons SET redeemed_by = ?1 WHERE code = ?2 AND redeemed_by IS NULL",
            [&saga, &code],
        )?;
        if used == 0 {
            return Err(Failure::new(
                "already-used",
                format!("the coupon `{code}` is used or was never issued"),
            ));
        }
        tx.execute(
            "INSERT INTO redemptions (code, saga, kind) VALUES (?1, ?2, 'redeem')",
            params![code, saga],
        )?;
        Ok(json!({"redeemed": code}))
    }))
}
