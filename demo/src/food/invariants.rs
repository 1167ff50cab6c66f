//! Whether the food order held.
//!
//! An order is *complete* when it is placed, charged once and not refunded, its delivery requested, a rider matched,
//! and its coupon used if it named one. It left *nothing* when there is none of that (a charge with its refund is
//! nothing). An order that is not complete is *cancelled*; it was *begun* if the order service has it in its History.

use crate::invariants::{Db, Findings, Invariant, money};

const VIEWS: &str = "
    CREATE TEMP VIEW found AS SELECT saga, amount, form ->> 'coupon' AS coupon,
        (SELECT count(*) FROM order_db.amends_requests r WHERE r.saga = plan.saga AND action = 'place') > 0 AS begun,
        (SELECT count(*) FROM order_db.orders o WHERE o.saga = plan.saga AND status = 'placed') AS placed,
        (SELECT count(*) FROM payment_db.ledger l WHERE l.saga = plan.saga AND kind = 'charge') AS charges,
        (SELECT count(*) FROM payment_db.ledger l WHERE l.saga = plan.saga AND kind = 'refund') AS refunds,
        (SELECT coalesce(sum(iif(kind = 'charge', l.amount, -l.amount)), 0)
           FROM payment_db.ledger l WHERE l.saga = plan.saga) AS kept,
        (SELECT count(*) FROM coupon_db.coupons c WHERE c.redeemed_by = plan.saga) AS redeemed,
        (SELECT count(*) FROM coupon_db.coupons c WHERE c.redeemed_by = plan.saga AND c.code = form ->> 'coupon') AS right_coupon,
        (SELECT count(*) FROM delivery_db.deliveries d WHERE d.saga = plan.saga AND status = 'requested') AS requested,
        (SELECT count(*) FROM rider_db.matches m WHERE m.saga = plan.saga AND status = 'matched') AS matched,
        (SELECT count(*) FROM sms_db.messages m WHERE m.saga = plan.saga AND kind = 'confirmation') AS confirmations,
        (SELECT count(*) FROM sms_db.messages m WHERE m.saga = plan.saga AND kind = 'cancellation') AS cancellations,
        (SELECT kind FROM sms_db.messages m WHERE m.saga = plan.saga ORDER BY entry DESC LIMIT 1) AS last_text
    FROM plan;
    CREATE TEMP VIEW judged AS SELECT *,
        placed = 1 AND charges = 1 AND refunds = 0 AND kept = amount AND requested = 1 AND matched = 1
            AND redeemed = (coupon IS NOT NULL) AND redeemed = right_coupon AS complete,
        placed = 0 AND charges = refunds AND kept = 0 AND requested = 0 AND matched = 0 AND redeemed = 0 AS left_nothing
    FROM found;";

/// Whatever the services know of sagas.
const SAGAS: &str = "
    SELECT saga FROM order_db.orders UNION SELECT saga FROM payment_db.ledger
    UNION SELECT saga FROM delivery_db.deliveries UNION SELECT saga FROM rider_db.matches
    UNION SELECT saga FROM coupon_db.redemptions";

/// Judges the databases against the plan.
pub(super) fn findings(db: &Db) -> rusqlite::Result<Findings> {
    db.judge(VIEWS)?;
    db.findings(vec![
        db.all_or_nothing(SAGAS)?,
        coupon_once(db)?,
        ledger(db)?,
        rider_and_text(db)?,
        cancellation_text(db)?,
    ])
}

fn coupon_once(db: &Db) -> rusqlite::Result<Invariant> {
    let redeemed = db.number("SELECT count(*) FROM coupon_db.redemptions WHERE kind = 'redeem'")?;
    let restored =
        db.number("SELECT count(*) FROM coupon_db.redemptions WHERE kind = 'restore'")?;
    // In the ledger of each coupon uses and restorations take turns, beginning with a use.
    let twice = db.number(
        "SELECT count(*) FROM (SELECT kind, lag(kind, 1, 'restore') OVER (PARTITION BY code ORDER BY entry) AS before
            FROM coupon_db.redemptions) WHERE kind = before",
    )?;
    // What stands in the coupon is what its ledger ends with.
    let differing = db.number(
        "SELECT count(*) FROM coupon_db.coupons c WHERE (redeemed_by IS NOT NULL) IS NOT
            ((SELECT kind FROM coupon_db.redemptions r WHERE r.code = c.code ORDER BY entry DESC LIMIT 1) IS 'redeem')",
    )?;
    Ok(Invariant {
        name: "coupon-once".to_owned(),
        held: twice == 0 && differing == 0,
        evidence: format!(
            "{redeemed} uses, {restored} restored, {twice} used while in use, {differing} differ from their ledger"
        ),
    })
}

fn ledger(db: &Db) -> rusqlite::Result<Invariant> {
    let charged =
        db.number("SELECT coalesce(sum(amount), 0) FROM payment_db.ledger WHERE kind = 'charge'")?;
    let refunded =
        db.number("SELECT coalesce(sum(amount), 0) FROM payment_db.ledger WHERE kind = 'refund'")?;
    let earned = db.number("SELECT coalesce(sum(amount), 0) FROM verdict WHERE complete")?;
    Ok(Invariant {
        name: "ledger".to_owned(),
        held: charged - refunded == earned,
        evidence: format!(
            "charged {} - refunded {} = {}; the complete orders cost {}",
            money(charged),
            money(refunded),
            money(charged - refunded),
            money(earned)
        ),
    })
}

fn rider_and_text(db: &Db) -> rusqlite::Result<Invariant> {
    let placed = db.number("SELECT count(*) FROM verdict WHERE placed")?;
    let without_rider = db.number("SELECT count(*) FROM verdict WHERE placed AND matched <> 1")?;
    let without_text =
        db.number("SELECT count(*) FROM verdict WHERE placed AND confirmations <> 1")?;
    let idle_riders = db.number("SELECT count(*) FROM verdict WHERE NOT placed AND matched > 0")?;
    let open = db.number("SELECT count(*) FROM delivery_db.errands WHERE state = 'open'")?;
    let errands = db.number("SELECT count(*) FROM delivery_db.errands")?;
    Ok(Invariant {
        name: "rider-and-text".to_owned(),
        held: without_rider == 0 && without_text == 0 && idle_riders == 0 && open == 0,
        evidence: format!(
            "{placed} placed orders: {without_rider} without their rider, {without_text} without their one text; \
             {idle_riders} riders still matched to cancelled orders, {open} of {errands} errands open"
        ),
    })
}

/// Nobody is left with a text for an order that is undone. Who got no text needs no correction, and may get one.
fn cancellation_text(db: &Db) -> rusqlite::Result<Invariant> {
    const CANCELLED: &str = "SELECT count(*) FROM verdict WHERE begun AND NOT complete";
    let cancelled = db.number(CANCELLED)?;
    let texted = db.number(&format!("{CANCELLED} AND confirmations > 0"))?;
    let corrected = db.number(&format!(
        "{CANCELLED} AND confirmations > 0 AND cancellations = 1 AND last_text = 'cancellation'"
    ))?;
    let told_twice = db.number(&format!("{CANCELLED} AND cancellations > 1"))?;
    let told_wrongly = db.number(
        "SELECT count(*) FROM verdict WHERE (complete OR NOT begun) AND cancellations > 0",
    )?;
    Ok(Invariant {
        name: "cancellation-text".to_owned(),
        held: corrected == texted && told_twice == 0 && told_wrongly == 0,
        evidence: format!(
            "of {cancelled} cancelled orders {texted} had got a confirmation, and {corrected} of these then one \
             cancellation; {told_twice} got two, {told_wrongly} others got one"
        ),
    })
}

#[cfg(test)]
#[path = "invariants_tests.rs"]
mod tests;
