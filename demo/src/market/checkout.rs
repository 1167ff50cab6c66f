//! The checkout: `buy` has everything done by others and does nothing itself, so there is nothing of it to undo. While
//! its saga is undone it is only barred, so that it calls nobody any more.
//!
//! - Items are reserved and sent one by one; one compensation undoes all of an action's requests.
//! - The points are a message: written down in History, then in the checkout's own list, from which it is delivered
//!   until the loyalty service takes it. One that comes when the saga has been undone is refused there, and so taken
//!   off.
//! - What the seller got cannot be taken back. If nobody knows whether the transfer took place, the checkout reports
//!   that with a code of its own, and a rule has it run again.
//! - The order stands without its e-mail.

use super::faults::Fault;
use super::form::{self, Item, Purchase};
use crate::errands::Errand;
use crate::line::say;
use crate::setting::Setting;
use amends_protocol::{HistoryState, ProblemCode};
use amends_service::{ActionContext, CallFailed, Effect, Failure, KitBuilder, Sqlite};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::sync::Arc;

/// It has none but that of its messages.
pub(super) const TABLES: &str = "";

pub(super) fn fit_out(kit: KitBuilder<Sqlite>, setting: Arc<Setting>) -> KitBuilder<Sqlite> {
    kit.action("buy", move |context, body| buy(Arc::clone(&setting), context, body))
}

async fn buy(
    setting: Arc<Setting>,
    context: ActionContext<Sqlite>,
    body: Value,
) -> Result<Effect<Sqlite>, Failure> {
    let purchase: Purchase = form::read(&body)?;
    let all: Vec<&Item> = purchase.items.iter().collect();
    for item in form::one_by_one(&all, purchase.fault) {
        context.call(setting.url("stock"), "stock", "reserve", &item).await?;
    }
    match purchase.voucher {
        Some(_) => context.call(setting.url("voucher"), "voucher", "redeem", &body).await?,
        None => context.call(setting.url("card"), "card", "charge", &body).await?,
    };
    send_points(&setting, &context, &body).await?;
    let parcels: Vec<&Item> = purchase.items.iter().filter(|item| item.parcel).collect();
    for item in form::one_by_one(&parcels, purchase.fault) {
        context.call(setting.url("shipping"), "shipping", "ship", &item).await?;
    }
    crash(&setting, &purchase, Fault::CheckoutCrash).await;
    pay_seller(&setting, &context, &body).await?;
    crash(&setting, &purchase, Fault::CheckoutCrashPaid).await;
    match context.call(setting.url("email"), "email", "send", &body).await {
        Err(failed) if is_fenced(&failed) => return Err(failed.into()),
        // Tolerated: the order stands without it.
        Ok(_) | Err(_) => {}
    }
    let order = purchase.order_id;
    Ok(context.effect(move |_| Ok(json!({"orderId": order, "status": "bought"}))))
}

/// Puts the message about the points on the list.
async fn send_points(
    setting: &Setting,
    context: &ActionContext<Sqlite>,
    body: &Value,
) -> Result<(), Failure> {
    let message = context.message("loyalty", "earn").await?;
    let saga = context.saga().as_str();
    let errand = Errand::new(saga, ("loyalty", "earn"), message.request_id(), body);
    // The only table of the checkout's own: a connection for a row is no matter here.
    errand.keep(&Connection::open(&setting.database)?)?;
    Ok(())
}

async fn pay_seller(
    setting: &Setting,
    context: &ActionContext<Sqlite>,
    body: &Value,
) -> Result<(), Failure> {
    let paid = context.call(setting.url("payout"), "payout", "transfer", body).await;
    let Err(failed) = paid else { return Ok(()) };
    if failed.state == HistoryState::Unknown && failed.report.is_none() {
        let why = format!("nobody knows whether the seller was paid: {failed}");
        return Err(Failure::new("transfer-unknown", why).status(502));
    }
    Err(failed.into())
}

/// Where the plan kills the checkout, the runner answers with SIGKILL: no handler, no destructor, no report. It passes:
/// run again often enough, the checkout goes on.
async fn crash(setting: &Setting, purchase: &Purchase, here: Fault) {
    if purchase.fault == Some(here) && setting.strikes.strikes(&purchase.order_id) {
        say(&json!({"kill": purchase.order_id}));
        std::future::pending().await
    }
}

fn is_fenced(failed: &CallFailed) -> bool {
    failed.problem.as_ref().is_some_and(|problem| problem.is(ProblemCode::SagaFenced))
}
