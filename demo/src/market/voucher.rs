//! The voucher service: `redeem` uses a voucher, which is worth what one order costs; `give-back` makes it usable
//! again.

use super::faults::Fault;
use super::form::{self, Purchase};
use super::workload::voucher_code;
use crate::setting::Setting;
use amends_service::{Failure, KitBuilder, LocalRequest, Sqlite, Undo};
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS vouchers (
        code    TEXT PRIMARY KEY,
        used_by TEXT
    ) STRICT;
    CREATE TABLE IF NOT EXISTS book (
        entry   INTEGER PRIMARY KEY AUTOINCREMENT,
        saga    TEXT NOT NULL,
        request TEXT NOT NULL,
        code    TEXT NOT NULL REFERENCES vouchers (code),
        kind    TEXT NOT NULL CHECK (kind IN ('redeem', 'give-back')),
        amount  INTEGER NOT NULL CHECK (amount > 0)
    ) STRICT;
    CREATE INDEX IF NOT EXISTS book_by_saga ON book (saga);";

/// Issues the vouchers 1 to `count`; those that exist stay as they are.
pub(super) fn issue(database: &Path, count: u32) -> rusqlite::Result<()> {
    let mut connection = Connection::open(database)?;
    let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for number in 1..=count {
        tx.execute("INSERT OR IGNORE INTO vouchers (code) VALUES (?1)", [voucher_code(number)])?;
    }
    tx.commit()
}

pub(super) fn fit_out(kit: KitBuilder<Sqlite>, _: Arc<Setting>) -> KitBuilder<Sqlite> {
    kit.local_action("redeem", redeem).compensation("redeem", |tx, undo| Ok(give_back(tx, undo)?))
}

fn redeem(tx: &Connection, request: &LocalRequest) -> Result<Value, Failure> {
    let purchase: Purchase = form::read(&request.body)?;
    let code = purchase.voucher.unwrap_or_default();
    let spent =
        || Failure::new("spent", format!("the voucher `{code}` is spent or was never issued"));
    if purchase.fault == Some(Fault::VoucherSpent) {
        return Err(spent());
    }
    let used = tx.execute(
        "UPDATE vouchers SET used_by = ?1 WHERE code = ?2 AND used_by IS NULL",
        [request.saga.as_str(), &code],
    )?;
    if used == 0 {
        return Err(spent());
    }
    tx.execute(
        "INSERT INTO book (saga, request, code, kind, amount) VALUES (?1, ?2, ?3, 'redeem', ?4)",
        params![request.saga.as_str(), request.id, code, purchase.amount],
    )?;
    Ok(json!({"redeemed": code}))
}

fn give_back(tx: &Connection, undo: &Undo) -> rusqlite::Result<()> {
    for request in &undo.requests {
        tx.execute(
            "INSERT INTO book (saga, request, code, kind, amount)
             SELECT saga, request, code, 'give-back', amount FROM book WHERE request = ?1 AND kind = 'redeem'",
            [&request.id],
        )?;
    }
    tx.execute("UPDATE vouchers SET used_by = NULL WHERE used_by = ?1", [undo.saga.as_str()])?;
    Ok(())
}
