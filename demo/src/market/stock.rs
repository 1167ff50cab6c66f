//! The stock: `reserve` takes one piece of a product, `release` puts back what a saga took. Its book is append-only,
//! and each request is booked back as it was booked: the marketplace's invariants would see one that is booked back
//! twice.

use super::faults::Fault;
use super::form::{self, OneItem};
use crate::setting::Setting;
use crate::workload::PlannedOrder;
use amends_service::{Failure, KitBuilder, LocalRequest, Sqlite, Undo};
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS products (
        name   TEXT PRIMARY KEY,
        supply INTEGER NOT NULL,
        pieces INTEGER NOT NULL CHECK (pieces >= 0)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS book (
        entry   INTEGER PRIMARY KEY AUTOINCREMENT,
        saga    TEXT NOT NULL,
        request TEXT NOT NULL,
        product TEXT NOT NULL REFERENCES products (name),
        kind    TEXT NOT NULL CHECK (kind IN ('reserve', 'release'))
    ) STRICT;
    CREATE INDEX IF NOT EXISTS book_by_saga ON book (saga);";

/// What is for sale, and whether it is sent in a parcel.
pub(super) const PRODUCTS: [(&str, bool); 5] =
    [("lamp", true), ("chair", true), ("kettle", true), ("e-book", false), ("film", false)];

/// Pieces of each product that every order could take at once, and some more for those who come later.
pub(super) fn needed(orders: &[PlannedOrder]) -> u32 {
    u32::try_from(orders.len()).unwrap_or(u32::MAX).saturating_mul(4).saturating_add(1_000)
}

/// Puts so many pieces of each product in; those that exist stay as they are.
pub(super) fn put_in(database: &Path, pieces: u32) -> rusqlite::Result<()> {
    let connection = Connection::open(database)?;
    for (product, _) in PRODUCTS {
        connection.execute(
            "INSERT OR IGNORE INTO products (name, supply, pieces) VALUES (?1, ?2, ?2)",
            params![product, pieces],
        )?;
    }
    Ok(())
}

pub(super) fn fit_out(kit: KitBuilder<Sqlite>, _: Arc<Setting>) -> KitBuilder<Sqlite> {
    kit.local_action("reserve", reserve).compensation("reserve", |tx, undo| Ok(release(tx, undo)?))
}

fn reserve(tx: &Connection, request: &LocalRequest) -> Result<Value, Failure> {
    let one: OneItem = form::read(&request.body)?;
    let product = one.item.product;
    let sold_out = || Failure::new("sold-out", format!("there is no `{product}` any more"));
    if one.fault == Some(Fault::SoldOut) && one.last_of_several {
        return Err(sold_out());
    }
    let taken = tx.execute(
        "UPDATE products SET pieces = pieces - 1 WHERE name = ?1 AND pieces > 0",
        [&product],
    )?;
    if taken == 0 {
        return Err(sold_out());
    }
    tx.execute(
        "INSERT INTO book (saga, request, product, kind) VALUES (?1, ?2, ?3, 'reserve')",
        params![request.saga.as_str(), request.id, product],
    )?;
    Ok(json!({"reserved": product}))
}

fn release(tx: &Connection, undo: &Undo) -> rusqlite::Result<()> {
    for request in &undo.requests {
        tx.execute(
            "UPDATE products SET pieces = pieces + 1
             WHERE name = (SELECT product FROM book WHERE request = ?1 AND kind = 'reserve')",
            [&request.id],
        )?;
        tx.execute(
            "INSERT INTO book (saga, request, product, kind)
             SELECT saga, request, product, 'release' FROM book WHERE request = ?1 AND kind = 'reserve'",
            [&request.id],
        )?;
    }
    Ok(())
}
