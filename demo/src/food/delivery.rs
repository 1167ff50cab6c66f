//! The delivery service: `request` takes the delivery, asks for a rider and for the confirmation text; `cancel` takes
//! the delivery back.
//!
//! Rider and text only ever have to be retried, so neither of them fails the delivery:
//! - a rider (or text) service that fails and reports it is the supervisor's to retry;
//! - one that can't be reached, or whose answer is lost, knows of no failure and reports none. The delivery service
//!   then keeps an *errand*, written in the same transaction as the delivery, and repeats the call under the same
//!   request id until it is done (see [`crate::errands`]);
//! - one that answers that the saga is being undone fails the delivery too.
//!
//! The History says of such a call that it may have happened, so whoever undoes the saga also undoes the match, and
//! the fence that this leaves refuses an errand that is still on its way.

use super::faults::Fault;
use super::form::OrderForm;
use crate::errands::{self, Errand};
use crate::setting::Setting;
use amends_protocol::ProblemCode;
use amends_service::{ActionContext, CallFailed, Effect, Failure, KitBuilder, Sqlite};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS deliveries (
        saga   TEXT PRIMARY KEY,
        status TEXT NOT NULL CHECK (status IN ('requested', 'cancelled'))
    ) STRICT;";

pub(super) fn fit_out(kit: KitBuilder<Sqlite>, setting: Arc<Setting>) -> KitBuilder<Sqlite> {
    kit.action("request", move |context, body| request(Arc::clone(&setting), context, body))
        .compensation("request", |tx, undo| {
            let saga = undo.saga.as_str();
            tx.execute("UPDATE deliveries SET status = 'cancelled' WHERE saga = ?1", [saga])?;
            errands::drop_all(tx, saga)?;
            Ok(())
        })
}

async fn request(
    setting: Arc<Setting>,
    context: ActionContext<Sqlite>,
    body: Value,
) -> Result<Effect<Sqlite>, Failure> {
    let form = OrderForm::read(body)?;
    if form.has(Fault::DeliveryRefused) {
        return Err(Failure::new("no-capacity", "no more deliveries are taken today"));
    }
    let mut errands = Vec::new();
    for (service, action) in [("rider", "match"), ("sms", "send")] {
        match context.call(setting.url(service), service, action, &form.write()).await {
            Ok(_) => {}
            Err(failed) if is_fenced(&failed) => return Err(failed.into()),
            Err(failed) if failed.report.is_some() => {}
            Err(failed) => errands.push(Errand::new(
                context.saga().as_str(),
                (service, action),
                &failed.request_id,
                &form.write(),
            )),
        }
    }
    let saga = context.saga().to_string();
    Ok(context.effect(move |tx| {
        tx.execute("INSERT INTO deliveries (saga, status) VALUES (?1, 'requested')", [&saga])?;
        for errand in &errands {
            errand.keep(tx)?;
        }
        Ok(json!({"delivery": "requested", "errands": errands.len()}))
    }))
}

fn is_fenced(failed: &CallFailed) -> bool {
    failed.problem.as_ref().is_some_and(|problem| problem.is(ProblemCode::SagaFenced))
}
