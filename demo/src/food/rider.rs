//! The rider service: `match` finds the rider with the fewest deliveries; `release` lets the rider go. A failed match
//! is only ever retried, until somebody cancels the delivery.

use super::faults::Fault;
use super::form::OrderForm;
use crate::setting::Setting;
use amends_service::{ActionContext, Effect, Failure, KitBuilder, Sqlite};
use rusqlite::params;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS riders (name TEXT PRIMARY KEY) STRICT;
    INSERT OR IGNORE INTO riders (name)
        VALUES ('Ines'), ('Jun'), ('Kofi'), ('Lena'), ('Min-su'), ('Noor'), ('Oleg'), ('Paz');
    CREATE TABLE IF NOT EXISTS matches (
        saga   TEXT PRIMARY KEY,
        rider  TEXT NOT NULL REFERENCES riders (name),
        status TEXT NOT NULL CHECK (status IN ('matched', 'released'))
    ) STRICT;";

pub(super) fn fit_out(kit: KitBuilder<Sqlite>, setting: Arc<Setting>) -> KitBuilder<Sqlite> {
    kit.action("match", move |context, body| find_rider(Arc::clone(&setting), context, body))
        .compensation("match", |tx, undo| {
            tx.execute(
                "UPDATE matches SET status = 'released' WHERE saga = ?1",
                [undo.saga.as_str()],
            )?;
            Ok(())
        })
}

async fn find_rider(
    setting: Arc<Setting>,
    context: ActionContext<Sqlite>,
    body: Value,
) -> Result<Effect<Sqlite>, Failure> {
    let form = OrderForm::read(body)?;
    if form.has(Fault::RiderFails) && setting.strikes.strikes(context.saga().as_str()) {
        return Err(Failure::new("nobody-free", "no rider is free right now"));
    }
    let saga = context.saga().to_string();
    Ok(context.effect(move |tx| {
        let rider: String = tx.query_row(
            "SELECT name FROM riders LEFT JOIN matches ON rider = name AND status = 'matched'
                 GROUP BY name ORDER BY count(saga), name LIMIT 1",
            [],
            |row| row.get(0),
        )?;
        tx.execute(
            "INSERT INTO matches (saga, rider, status) VALUES (?1, ?2, 'matched')",
            params![saga, rider],
        )?;
        Ok(json!({"rider": rider}))
    }))
}
