//! The shipping service: `ship` sends one item in a parcel of its own, `recall` has all parcels of a saga come back.

use super::faults::Fault;
use super::form::{self, OneItem};
use crate::setting::Setting;
use amends_service::{ActionContext, Effect, Failure, KitBuilder, Sqlite, Undo};
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS book (
        entry   INTEGER PRIMARY KEY AUTOINCREMENT,
        saga    TEXT NOT NULL,
        request TEXT NOT NULL,
        product TEXT NOT NULL,
        kind    TEXT NOT NULL CHECK (kind IN ('ship', 'recall'))
    ) STRICT;
    CREATE INDEX IF NOT EXISTS book_by_saga ON book (saga);";

pub(super) fn fit_out(kit: KitBuilder<Sqlite>, _: Arc<Setting>) -> KitBuilder<Sqlite> {
    kit.action("ship", ship).compensation("ship", |tx, undo| Ok(recall(tx, undo)?))
}

async fn ship(context: ActionContext<Sqlite>, body: Value) -> Result<Effect<Sqlite>, Failure> {
    let one: OneItem = form::read(&body)?;
    if one.last_of_several && matches!(one.fault, Some(Fault::ParcelRefused | Fault::PointsLate)) {
        return Err(Failure::new("no-carrier", "no carrier takes this parcel"));
    }
    let (saga, request) = (context.saga().to_string(), context.request_id().to_owned());
    let product = one.item.product;
    Ok(context.effect(move |tx| {
        tx.execute(
            "INSERT INTO book (saga, request, product, kind) VALUES (?1, ?2, ?3, 'ship')",
            params![saga, request, product],
        )?;
        Ok(json!({"shipped": product}))
    }))
}

fn recall(tx: &Connection, undo: &Undo) -> rusqlite::Result<()> {
    for request in &undo.requests {
        tx.execute(
            "INSERT INTO book (saga, request, product, kind)
             SELECT saga, request, product, 'recall' FROM book WHERE request = ?1 AND kind = 'ship'",
            [&request.id],
        )?;
    }
    Ok(())
}
