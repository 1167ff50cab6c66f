//! Each invariant against databases written by hand: it holds for a whole order and for a clean cancellation, and each
//! single thing out of place breaks the one invariant that is about it.

use crate::food::FOOD_ORDER;
use crate::invariants::{Findings, OrderCount};
use crate::workload::PlannedOrder;
use amends_service::Sqlite;
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

/// The six databases, with one complete order `a` (with a coupon) and one cancelled order `b`.
struct Books {
    folder: TempDir,
}

impl Books {
    fn new() -> Self {
        let books = Self { folder: TempDir::new().expect("a temporary folder") };
        for service in FOOD_ORDER.services {
            let _ =
                Sqlite::open(books.path(service.name), &service.schema()).expect("a new database");
        }
        for saga in ["a", "b"] {
            books.write("order", &format!(
                "INSERT INTO amends_requests (request_id, saga, action, fingerprint, body, context, state, started_at)
                 VALUES ('{saga}-place', '{saga}', 'place', x'00', '{{}}', '{{}}', 'succeeded', 0)"
            ));
        }
        books.write("order", "INSERT INTO orders VALUES ('a', 'Ada', 1000, 'C', 'placed')");
        books.write(
            "payment",
            "INSERT INTO ledger (saga, request, kind, amount) VALUES
            ('a', '1', 'charge', 1000), ('b', '2', 'charge', 700), ('b', '2', 'refund', 700)",
        );
        books.write("coupon", "INSERT INTO coupons VALUES ('C', 'a'), ('D', NULL);
            INSERT INTO redemptions (code, saga, kind) VALUES ('C', 'b', 'redeem'), ('C', 'b', 'restore'), ('C', 'a', 'redeem')");
        books.write(
            "delivery",
            "INSERT INTO deliveries VALUES ('a', 'requested'), ('b', 'cancelled')",
        );
        books.write(
            "rider",
            "INSERT INTO matches VALUES ('a', 'Jun', 'matched'), ('b', 'Jun', 'released')",
        );
        books.write(
            "sms",
            "INSERT INTO messages (saga, kind, text) VALUES
            ('a', 'confirmation', ''), ('b', 'confirmation', ''), ('b', 'cancellation', '')",
        );
        books
    }

    fn path(&self, service: &str) -> std::path::PathBuf {
        self.folder.path().join(format!("{service}.sqlite"))
    }

    fn write(&self, service: &str, sql: &str) {
        let connection = Connection::open(self.path(service)).expect("an existing database");
        connection.execute_batch(sql).expect("valid SQL");
    }

    fn judge(&self) -> Findings {
        let order = |id: &str, amount, coupon: &str| PlannedOrder {
            id: id.to_owned(),
            customer: "Ada".to_owned(),
            amount,
            details: String::new(),
            fault: None,
            form: json!({"coupon": coupon}),
        };
        FOOD_ORDER
            .judge(self.folder.path(), &[order("a", 1000, "C"), order("b", 700, "C")])
            .expect("readable databases")
    }
}

#[test]
fn a_whole_order_and_a_clean_cancellation_hold() {
    let findings = Books::new().judge();
    assert_eq!(
        findings.orders,
        OrderCount { total: 2, completed: 1, cancelled: 1, never_begun: 0 }
    );
    for invariant in &findings.invariants {
        assert!(invariant.held, "{invariant:?}");
    }
    assert!(findings.half_done.is_empty());
}

/// What is out of place, in which database, how it comes there, and the invariant that it breaks.
const OUT_OF_PLACE: &[(&str, &str, &str, &str)] = &[
    (
        "an order without its charge",
        "payment",
        "DELETE FROM ledger WHERE saga = 'a'",
        "all-or-nothing",
    ),
    (
        "an order charged twice",
        "payment",
        "INSERT INTO ledger (saga, request, kind, amount) VALUES ('a', '3', 'charge', 1000)",
        "all-or-nothing",
    ),
    ("a refund left out", "payment", "DELETE FROM ledger WHERE kind = 'refund'", "all-or-nothing"),
    (
        "a delivery left behind",
        "delivery",
        "UPDATE deliveries SET status = 'requested'",
        "all-or-nothing",
    ),
    (
        "an order without a delivery",
        "delivery",
        "UPDATE deliveries SET status = 'cancelled'",
        "all-or-nothing",
    ),
    ("an order that vanished", "order", "UPDATE orders SET status = 'cancelled'", "all-or-nothing"),
    (
        "a coupon kept by a cancelled order",
        "coupon",
        "UPDATE coupons SET redeemed_by = 'b' WHERE code = 'D'",
        "all-or-nothing",
    ),
    (
        "somebody else's coupon",
        "coupon",
        "UPDATE coupons SET redeemed_by = NULL WHERE code = 'C'; UPDATE coupons SET redeemed_by = 'a' WHERE code = 'D'",
        "all-or-nothing",
    ),
    (
        "a charge of an unknown order",
        "payment",
        "INSERT INTO ledger (saga, request, kind, amount) VALUES ('x', '9', 'charge', 5)",
        "all-or-nothing",
    ),
    (
        "a coupon used while in use",
        "coupon",
        "INSERT INTO redemptions (code, saga, kind) VALUES ('C', 'b', 'redeem')",
        "coupon-once",
    ),
    ("a coupon that its ledger calls free", "coupon", "DELETE FROM redemptions", "coupon-once"),
    (
        "a refund of too little",
        "payment",
        "UPDATE ledger SET amount = 699 WHERE kind = 'refund'",
        "ledger",
    ),
    (
        "a charge of an unknown order",
        "payment",
        "INSERT INTO ledger (saga, request, kind, amount) VALUES ('x', '9', 'charge', 5)",
        "ledger",
    ),
    ("no rider", "rider", "DELETE FROM matches", "rider-and-text"),
    (
        "a rider who waits for a cancelled order",
        "rider",
        "UPDATE matches SET status = 'matched'",
        "rider-and-text",
    ),
    (
        "no confirmation",
        "sms",
        "DELETE FROM messages WHERE kind = 'confirmation'",
        "rider-and-text",
    ),
    (
        "an open errand",
        "delivery",
        "INSERT INTO errands (saga, service, action, request, body) VALUES ('a', 'sms', 'send', '1', '{}')",
        "rider-and-text",
    ),
    (
        "no cancellation text",
        "sms",
        "DELETE FROM messages WHERE kind = 'cancellation'",
        "cancellation-text",
    ),
    (
        "a confirmation after the cancellation",
        "sms",
        "INSERT INTO messages (saga, kind, text) VALUES ('b', 'confirmation', '')",
        "cancellation-text",
    ),
    (
        "two cancellation texts",
        "sms",
        "INSERT INTO messages (saga, kind, text) VALUES ('b', 'cancellation', '')",
        "cancellation-text",
    ),
    (
        "a cancellation text for a complete order",
        "sms",
        "INSERT INTO messages (saga, kind, text) VALUES ('a', 'cancellation', '')",
        "cancellation-text",
    ),
];

#[test]
fn each_single_thing_out_of_place_breaks_its_invariant() {
    for (what, service, sql, broken) in OUT_OF_PLACE {
        let books = Books::new();
        books.write(service, sql);
        let findings = books.judge();
        let invariant = findings
            .invariants
            .iter()
            .find(|invariant| invariant.name == *broken)
            .expect("a known name");
        assert!(!invariant.held, "{what} goes unnoticed: {}", invariant.evidence);
    }
}

#[test]
fn who_got_no_confirmation_needs_no_cancellation() {
    let books = Books::new();
    books.write("sms", "DELETE FROM messages WHERE saga = 'b'");
    let findings = books.judge();
    assert!(findings.invariants.iter().all(|invariant| invariant.held), "{findings:?}");
}

#[test]
fn an_order_that_was_never_begun_needs_no_text() {
    let books = Books::new();
    books.write("order", "DELETE FROM amends_requests WHERE saga = 'b'");
    let findings = books.judge();
    assert_eq!(
        findings.orders,
        OrderCount { total: 2, completed: 1, cancelled: 1, never_begun: 1 }
    );
    let text = findings
        .invariants
        .iter()
        .find(|invariant| invariant.name == "cancellation-text")
        .expect("known");
    assert!(!text.held, "a text for an order that nobody began: {}", text.evidence);
    books.write("sms", "DELETE FROM messages WHERE saga = 'b'");
    assert!(books.judge().invariants.iter().all(|invariant| invariant.held));
}
