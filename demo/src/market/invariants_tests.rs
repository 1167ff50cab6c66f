//! Each invariant against databases written by hand: it holds for a whole purchase and for one that was undone, and
//! each single thing out of place breaks the one invariant that is about it.

use crate::invariants::{Findings, OrderCount};
use crate::market::MARKETPLACE;
use crate::workload::PlannedOrder;
use amends_service::Sqlite;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The databases, with a complete purchase `a` (by card), one `b` that was undone (with a voucher), and a complete
/// one `c` of something without a parcel, with a voucher and without its mail.
struct Books {
    folder: TempDir,
}

const WRITTEN: [(&str, &str); 8] = [
    (
        "checkout",
        "INSERT INTO amends_requests (request_id, saga, action, fingerprint, body, context, state, started_at) VALUES
            ('a-buy', 'a', 'buy', x'00', '{}', '{}', 'succeeded', 0), ('b-buy', 'b', 'buy', x'00', '{}', '{}', 'failed', 0),
            ('c-buy', 'c', 'buy', x'00', '{}', '{}', 'succeeded', 0);
         INSERT INTO errands (saga, service, action, request, body, state) VALUES
            ('a', 'loyalty', 'earn', 'a1', '{}', 'done'), ('b', 'loyalty', 'earn', 'b1', '{}', 'refused'),
            ('c', 'loyalty', 'earn', 'c1', '{}', 'done');",
    ),
    (
        "stock",
        "INSERT INTO products VALUES ('lamp', 10, 9), ('film', 10, 9);
         INSERT INTO book (saga, request, product, kind) VALUES ('a', 'a2', 'lamp', 'reserve'),
            ('b', 'b2', 'lamp', 'reserve'), ('b', 'b2', 'lamp', 'release'), ('c', 'c2', 'film', 'reserve');",
    ),
    ("card", "INSERT INTO ledger (saga, request, kind, amount) VALUES ('a', 'a3', 'charge', 1000);"),
    (
        "voucher",
        "INSERT INTO vouchers VALUES ('B', NULL), ('C', 'c');
         INSERT INTO book (saga, request, code, kind, amount) VALUES ('b', 'b3', 'B', 'redeem', 700),
            ('b', 'b3', 'B', 'give-back', 700), ('c', 'c3', 'C', 'redeem', 500);",
    ),
    (
        "loyalty",
        "INSERT INTO book (saga, request, kind, points) VALUES ('a', 'a1', 'earn', 10), ('c', 'c1', 'earn', 5);",
    ),
    (
        "shipping",
        "INSERT INTO book (saga, request, product, kind) VALUES ('a', 'a4', 'lamp', 'ship'),
            ('b', 'b4', 'lamp', 'ship'), ('b', 'b4', 'lamp', 'recall');",
    ),
    (
        "payout",
        "INSERT INTO transfers (saga, request, seller, amount) VALUES ('a', 'a5', 'Ilse', 1000), ('c', 'c5', 'Ilse', 500);",
    ),
    ("email", "INSERT INTO mails (saga, text) VALUES ('a', '');"),
];

impl Books {
    fn new() -> Self {
        let books = Self { folder: TempDir::new().expect("a temporary folder") };
        for service in MARKETPLACE.services {
            let _ =
                Sqlite::open(books.path(service.name), &service.schema()).expect("a new database");
        }
        for (service, sql) in WRITTEN {
            books.write(service, sql);
        }
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
        let order = |id: &str, amount: i64, (product, parcel): (&str, bool), voucher: Value| {
            PlannedOrder {
                id: id.to_owned(),
                customer: "Ada".to_owned(),
                amount,
                details: String::new(),
                fault: None,
                form: json!({"items": [{"product": product, "parcel": parcel}], "voucher": voucher}),
            }
        };
        let plan = [
            order("a", 1000, ("lamp", true), Value::Null),
            order("b", 700, ("lamp", true), json!("B")),
            order("c", 500, ("film", false), json!("C")),
        ];
        MARKETPLACE.judge(self.folder.path(), &plan).expect("readable databases")
    }
}

#[test]
fn whole_purchases_and_one_that_was_undone_hold() {
    let findings = Books::new().judge();
    let orders = OrderCount { total: 3, completed: 2, cancelled: 1, never_begun: 0 };
    assert_eq!(findings.orders, orders, "{findings:?}");
    assert!(findings.invariants.iter().all(|invariant| invariant.held), "{findings:?}");
    assert!(findings.half_done.is_empty());
}

/// What is out of place, in which database, how it comes there, and the invariant that it breaks.
const OUT_OF_PLACE: &[(&str, &str, &str, &str)] = &[
    ("a purchase that was not paid", "card", "DELETE FROM ledger", "all-or-nothing"),
    (
        "one that was paid by card and with a voucher",
        "card",
        "INSERT INTO ledger (saga, request, kind, amount) VALUES ('c', 'c6', 'charge', 500)",
        "all-or-nothing",
    ),
    (
        "a parcel that nobody sent",
        "shipping",
        "DELETE FROM book WHERE saga = 'a'",
        "all-or-nothing",
    ),
    (
        "a parcel that nobody called back",
        "shipping",
        "DELETE FROM book WHERE kind = 'recall'",
        "all-or-nothing",
    ),
    (
        "a seller without money",
        "payout",
        "DELETE FROM transfers WHERE saga = 'c'",
        "all-or-nothing",
    ),
    (
        "a seller who is paid for nothing",
        "payout",
        "INSERT INTO transfers (saga, request, seller, amount) VALUES ('b', 'b5', 'Ilse', 700)",
        "all-or-nothing",
    ),
    (
        "a voucher that stays used",
        "voucher",
        "UPDATE vouchers SET used_by = 'b' WHERE code = 'B'",
        "all-or-nothing",
    ),
    ("an order without points", "loyalty", "DELETE FROM book WHERE saga = 'a'", "all-or-nothing"),
    (
        "a mail about an order that nobody placed",
        "email",
        "INSERT INTO mails (saga, text) VALUES ('x', '')",
        "all-or-nothing",
    ),
    (
        "a piece that vanished",
        "stock",
        "UPDATE products SET pieces = 8 WHERE name = 'lamp'",
        "stock",
    ),
    (
        "a seller who got too little",
        "payout",
        "UPDATE transfers SET amount = 999 WHERE saga = 'a'",
        "payments",
    ),
    (
        "a refund that went out twice",
        "voucher",
        "INSERT INTO book (saga, request, code, kind, amount) VALUES ('b', 'b3', 'B', 'give-back', 700)",
        "undone-once",
    ),
    (
        "a recall of what was never sent",
        "shipping",
        "INSERT INTO book (saga, request, product, kind) VALUES ('c', 'c9', 'film', 'recall')",
        "undone-once",
    ),
    (
        "a message that is still on the queue",
        "checkout",
        "UPDATE errands SET state = 'open' WHERE saga = 'a'",
        "messages",
    ),
    (
        "points for an order that was undone",
        "loyalty",
        "INSERT INTO book (saga, request, kind, points) VALUES ('b', 'b1', 'earn', 7)",
        "messages",
    ),
    (
        "a mail about an order that was undone",
        "email",
        "INSERT INTO mails (saga, text) VALUES ('b', '')",
        "mail",
    ),
    ("two mails", "email", "INSERT INTO mails (saga, text) VALUES ('a', '')", "mail"),
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
