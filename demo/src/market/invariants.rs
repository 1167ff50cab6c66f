//! Whether the marketplace held.
//!
//! A purchase is *complete* when each of its items is reserved, its price was taken once, by the card or the voucher
//! that was meant, its points are booked, its parcels are sent, and its seller has the price. It left *nothing* when
//! there is none of that. A complete purchase may be without its mail: that is tolerated.

use crate::invariants::{Db, Findings, Invariant, money};

const VIEWS: &str = "
    CREATE TEMP VIEW found AS SELECT saga, amount, form ->> 'voucher' AS voucher,
        json_array_length(form, '$.items') AS items,
        (SELECT count(*) FROM json_each(plan.form, '$.items') i WHERE i.value ->> 'parcel') AS parcels,
        (SELECT count(*) FROM checkout_db.amends_requests r WHERE r.saga = plan.saga AND action = 'buy') > 0 AS begun,
        (SELECT coalesce(sum(iif(kind = 'reserve', 1, -1)), 0) FROM stock_db.book b WHERE b.saga = plan.saga) AS reserved,
        (SELECT coalesce(sum(iif(kind = 'charge', l.amount, -l.amount)), 0)
           FROM card_db.ledger l WHERE l.saga = plan.saga) AS charged,
        (SELECT coalesce(sum(iif(kind = 'redeem', b.amount, -b.amount)), 0)
           FROM voucher_db.book b WHERE b.saga = plan.saga) AS redeemed,
        (SELECT count(*) FROM voucher_db.vouchers v WHERE v.used_by = plan.saga) AS vouchers,
        (SELECT coalesce(sum(iif(kind = 'earn', 1, -1)), 0) FROM loyalty_db.book b WHERE b.saga = plan.saga) AS points,
        (SELECT coalesce(sum(iif(kind = 'ship', 1, -1)), 0) FROM shipping_db.book b WHERE b.saga = plan.saga) AS shipped,
        (SELECT count(*) FROM payout_db.transfers t WHERE t.saga = plan.saga) AS transfers,
        (SELECT coalesce(sum(t.amount), 0) FROM payout_db.transfers t WHERE t.saga = plan.saga) AS paid_out,
        (SELECT count(*) FROM email_db.mails m WHERE m.saga = plan.saga) AS mails
    FROM plan;
    CREATE TEMP VIEW judged AS SELECT *,
        reserved = items AND charged = iif(voucher IS NULL, amount, 0) AND redeemed = iif(voucher IS NULL, 0, amount)
            AND vouchers = (voucher IS NOT NULL) AND points = 1 AND shipped = parcels
            AND transfers = 1 AND paid_out = amount AS complete,
        reserved = 0 AND charged = 0 AND redeemed = 0 AND vouchers = 0 AND points = 0 AND shipped = 0
            AND transfers = 0 AS left_nothing
    FROM found;";

/// Whatever the services know of sagas.
const SAGAS: &str = "
    SELECT saga FROM stock_db.book UNION SELECT saga FROM card_db.ledger UNION SELECT saga FROM voucher_db.book
    UNION SELECT saga FROM loyalty_db.book UNION SELECT saga FROM shipping_db.book
    UNION SELECT saga FROM payout_db.transfers UNION SELECT saga FROM email_db.mails";

/// The book of each service that undoes anything, with what it writes when it does something and when it undoes it.
const BOOKS: [(&str, &str, &str); 5] = [
    ("stock_db.book", "reserve", "release"),
    ("card_db.ledger", "charge", "refund"),
    ("voucher_db.book", "redeem", "give-back"),
    ("loyalty_db.book", "earn", "take-back"),
    ("shipping_db.book", "ship", "recall"),
];

/// Judges the databases against the plan.
pub(super) fn findings(db: &Db) -> rusqlite::Result<Findings> {
    db.judge(VIEWS)?;
    db.findings(vec![
        db.all_or_nothing(SAGAS)?,
        stock(db)?,
        payments(db)?,
        undone_once(db)?,
        messages(db)?,
        mail(db)?,
    ])
}

/// What is left of each product is what the book says.
fn stock(db: &Db) -> rusqlite::Result<Invariant> {
    let taken = db.number("SELECT count(*) FROM stock_db.book WHERE kind = 'reserve'")?;
    let back = db.number("SELECT count(*) FROM stock_db.book WHERE kind = 'release'")?;
    let missing = db.number("SELECT sum(supply - pieces) FROM stock_db.products")?;
    let differing = db.number(
        "SELECT count(*) FROM stock_db.products p WHERE supply - pieces <>
            (SELECT coalesce(sum(iif(kind = 'reserve', 1, -1)), 0) FROM stock_db.book b WHERE b.product = p.name)",
    )?;
    let evidence = format!(
        "{taken} pieces reserved, {back} put back, {missing} gone; {differing} products differ from their book"
    );
    Ok(Invariant::new("stock", differing == 0 && taken - back == missing, evidence))
}

/// What the buyers paid is what the sellers got, and what the complete purchases cost.
fn payments(db: &Db) -> rusqlite::Result<Invariant> {
    let card = db.number(
        "SELECT coalesce(sum(iif(kind = 'charge', amount, -amount)), 0) FROM card_db.ledger",
    )?;
    let vouchers = db.number(
        "SELECT coalesce(sum(iif(kind = 'redeem', amount, -amount)), 0) FROM voucher_db.book",
    )?;
    let paid_out = db.number("SELECT coalesce(sum(amount), 0) FROM payout_db.transfers")?;
    let price = db.number("SELECT coalesce(sum(amount), 0) FROM verdict WHERE complete")?;
    let evidence = format!(
        "cards {} + vouchers {} = {}; the sellers got {}; the complete purchases cost {}",
        money(card),
        money(vouchers),
        money(card + vouchers),
        money(paid_out),
        money(price)
    );
    let held = card + vouchers == paid_out && paid_out == price;
    Ok(Invariant::new("payments", held, evidence))
}

/// Nothing is done twice under one request, and nothing undone twice or without having been done.
fn undone_once(db: &Db) -> rusqlite::Result<Invariant> {
    let (mut undone, mut wrong) = (0, 0);
    for (book, did, undid) in BOOKS {
        undone += db.number(&format!("SELECT count(*) FROM {book} WHERE kind = '{undid}'"))?;
        wrong += db.number(&format!(
            "SELECT count(*) FROM (SELECT sum(kind = '{did}') AS did, sum(kind = '{undid}') AS undid
                FROM {book} GROUP BY request) WHERE did <> 1 OR undid > 1"
        ))?;
    }
    let evidence =
        format!("{undone} requests undone, {wrong} of all done or undone more than once");
    Ok(Invariant::new("undone-once", wrong == 0, evidence))
}

/// Every message was taken off the queue, and none had an effect on a purchase that was undone.
fn messages(db: &Db) -> rusqlite::Result<Invariant> {
    let all = db.number("SELECT count(*) FROM checkout_db.errands")?;
    let open = db.number("SELECT count(*) FROM checkout_db.errands WHERE state = 'open'")?;
    let refused = db.number("SELECT count(*) FROM checkout_db.errands WHERE state = 'refused'")?;
    let wrong = db.number("SELECT count(*) FROM verdict WHERE NOT complete AND points <> 0")?;
    let evidence = format!(
        "{all} messages about points, {refused} refused because their purchase was undone, {open} still on the queue; \
         {wrong} cancelled purchases have points"
    );
    Ok(Invariant::new("messages", open == 0 && wrong == 0, evidence))
}

/// Nobody is told that a purchase is on its way which is not. That one is on its way may stay untold.
fn mail(db: &Db) -> rusqlite::Result<Invariant> {
    let complete = db.number("SELECT count(*) FROM verdict WHERE complete")?;
    let told = db.number("SELECT count(*) FROM verdict WHERE complete AND mails = 1")?;
    let wrong = db.number("SELECT count(*) FROM verdict WHERE NOT complete AND mails > 0")?;
    let twice = db.number("SELECT count(*) FROM verdict WHERE mails > 1")?;
    let evidence = format!(
        "{told} of {complete} complete purchases got their mail; {wrong} cancelled ones got one, {twice} got two"
    );
    Ok(Invariant::new("mail", wrong == 0 && twice == 0, evidence))
}

#[cfg(test)]
#[path = "invariants_tests.rs"]
mod tests;
