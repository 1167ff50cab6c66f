//! Whether the business held, computed by SQL on the services' own databases. It asks no service and no supervisor, so
//! it would also see what those hide.
//!
//! An order is *complete* when it is placed, charged once and not refunded, its delivery requested, a rider matched,
//! and its coupon used if it named one. It left *nothing* when there is none of that (a charge with its refund is
//! nothing). An order that is not complete is *cancelled*; it was *begun* if the order service has it in its History.

use crate::addresses::SERVICES;
use crate::workload::PlannedOrder;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// One invariant and what it was judged by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invariant {
    /// Stable name.
    pub name: String,
    /// Whether it holds.
    pub held: bool,
    /// Numbers, for people.
    pub evidence: String,
}

/// How the orders ended, and every invariant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// How many orders there were and how they ended.
    pub orders: OrderCount,
    /// In a fixed order.
    pub invariants: Vec<Invariant>,
    /// Ids of orders that are neither complete nor left nothing; at most 20.
    pub half_done: Vec<String>,
}

/// How many orders there were and how they ended: `total` is the sum of `completed` and `cancelled`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderCount {
    /// In the plan.
    pub total: i64,
    /// Complete.
    pub completed: i64,
    /// Not complete.
    pub cancelled: i64,
    /// Cancelled orders that the order service never took up: their request died with the process that it came to.
    pub never_begun: i64,
}

const VIEW: &str = "
    CREATE TEMP VIEW found AS SELECT saga, amount, coupon,
        (SELECT count(*) FROM order_db.amends_requests r WHERE r.saga = plan.saga AND action = 'place') > 0 AS begun,
        (SELECT count(*) FROM order_db.orders o WHERE o.saga = plan.saga AND status = 'placed') AS placed,
        (SELECT count(*) FROM payment_db.ledger l WHERE l.saga = plan.saga AND kind = 'charge') AS charges,
        (SELECT count(*) FROM payment_db.ledger l WHERE l.saga = plan.saga AND kind = 'refund') AS refunds,
        (SELECT coalesce(sum(iif(kind = 'charge', l.amount, -l.amount)), 0)
           FROM payment_db.ledger l WHERE l.saga = plan.saga) AS kept,
        (SELECT count(*) FROM coupon_db.coupons c WHERE c.redeemed_by = plan.saga) AS redeemed,
        (SELECT count(*) FROM coupon_db.coupons c WHERE c.redeemed_by = plan.saga AND c.code = plan.coupon) AS right_coupon,
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

/// Judges the databases in `folder` against the plan.
///
/// # Errors
/// When a database can't be read.
pub fn judge(folder: &Path, plan: &[PlannedOrder]) -> rusqlite::Result<Findings> {
    let mut connection = Connection::open_in_memory()?;
    for service in SERVICES {
        let path = folder.join(format!("{service}.sqlite"));
        connection.execute(&format!("ATTACH ?1 AS {service}_db"), [path.to_string_lossy()])?;
    }
    connection.execute_batch(
        "CREATE TEMP TABLE plan (saga TEXT PRIMARY KEY, amount INTEGER NOT NULL, coupon TEXT);",
    )?;
    let tx = connection.transaction()?;
    for order in plan {
        tx.execute(
            "INSERT INTO plan VALUES (?1, ?2, ?3)",
            params![order.id, order.amount, order.coupon],
        )?;
    }
    tx.commit()?;
    connection.execute_batch(VIEW)?;
    // Judged once: the views count in six databases for every order.
    connection.execute_batch("CREATE TEMP TABLE verdict AS SELECT * FROM judged;")?;
    let db = Db(connection);
    let orders = OrderCount {
        total: db.number("SELECT count(*) FROM verdict")?,
        completed: db.number("SELECT count(*) FROM verdict WHERE complete")?,
        cancelled: db.number("SELECT count(*) FROM verdict WHERE NOT complete")?,
        never_begun: db.number("SELECT count(*) FROM verdict WHERE NOT begun")?,
    };
    Ok(Findings {
        orders,
        invariants: vec![
            all_or_nothing(&db)?,
            coupon_once(&db)?,
            ledger(&db)?,
            rider_and_text(&db)?,
            cancellation_text(&db)?,
        ],
        half_done: db.texts(
            "SELECT saga FROM verdict WHERE NOT complete AND NOT left_nothing ORDER BY saga LIMIT 20",
        )?,
    })
}

fn all_or_nothing(db: &Db) -> rusqlite::Result<Invariant> {
    let complete = db.number("SELECT count(*) FROM verdict WHERE complete")?;
    let nothing = db.number("SELECT count(*) FROM verdict WHERE left_nothing")?;
    let half = db.number("SELECT count(*) FROM verdict WHERE NOT complete AND NOT left_nothing")?;
    let strangers = db.number(
        "SELECT count(*) FROM (SELECT saga FROM order_db.orders UNION SELECT saga FROM payment_db.ledger
            UNION SELECT saga FROM delivery_db.deliveries UNION SELECT saga FROM rider_db.matches
            UNION SELECT saga FROM coupon_db.redemptions) WHERE saga NOT IN (SELECT saga FROM plan)",
    )?;
    Ok(Invariant {
        name: "all-or-nothing".to_owned(),
        held: half == 0 && strangers == 0,
        evidence: format!(
            "{complete} orders complete, {nothing} left nothing, {half} half done, {strangers} unknown"
        ),
    })
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

fn money(cents: i64) -> String {
    format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100)
}

struct Db(Connection);

impl Db {
    fn number(&self, sql: &str) -> rusqlite::Result<i64> {
        self.0.query_row(sql, [], |row| row.get(0))
    }

    fn texts(&self, sql: &str) -> rusqlite::Result<Vec<String>> {
        let mut statement = self.0.prepare(sql)?;
        let rows = statement.query_map([], |row| row.get(0))?;
        rows.collect()
    }
}

#[cfg(test)]
#[path = "invariants_tests.rs"]
mod tests;
