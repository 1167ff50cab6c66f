//! Several supervisors on one database: each works on a part of the sagas, and takes whatever comes for any.

#![cfg(feature = "postgres")]

mod support;

use amends_private_server::PostgresServer;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use support::shop::{HELD, Shop, ask, deliver, deliver_again, sagas, send};
use support::{Supervisor, eventually};

/// Whichever of them asks: a service that bears one request at a time gets one at a time, and each node has its turn.
#[test]
fn the_concurrency_of_a_service_is_one_for_all_nodes() {
    let shop = Shop::open(PostgresServer::shared());
    let text = std::fs::read_to_string(&shop.rules).expect("written");
    let text = text.replace("    url: ", "    concurrency: 1\n    url: ");
    std::fs::write(&shop.rules, text).expect("ours");
    shop.billing.takes(Duration::from_millis(20));
    let nodes = shop.three();
    let sagas = sagas("narrow", 36);
    for (n, saga) in sagas.iter().enumerate() {
        deliver(&nodes[n % 3], saga);
    }
    shop.settle(sagas.len());
    assert_eq!(shop.asked(), (sagas.len(), sagas.len()), "each once");
    assert_eq!(shop.billing.most_at_once(), 1);
    nodes.into_iter().for_each(Supervisor::stop);
}

#[test]
fn a_report_may_come_to_any_node_and_has_one_case_and_one_effect() {
    let shop = Shop::open(PostgresServer::shared());
    let nodes = shop.three();
    let sagas = sagas("order", 48);
    let mut cases = BTreeSet::new();
    for (n, saga) in sagas.iter().enumerate() {
        let first = deliver(&nodes[n % 3], saga);
        let again = deliver_again(&nodes[(n + 1) % 3], saga);
        assert_eq!((&first["duplicate"], &again["duplicate"]), (&false.into(), &true.into()));
        let case = again["caseId"].as_str().expect("a case");
        // A node that takes long to say which leaves the letter's name in its place.
        assert!(first["caseId"] == case || first["letter"].is_string(), "{first}");
        assert!(cases.insert(case.to_owned()), "{case} twice");
    }
    shop.settle(sagas.len());
    assert_eq!(shop.asked(), (sagas.len(), sagas.len()), "each once");
    for node in &nodes {
        let listed = node.run(&["cases", "list", "--state", "settled", "--all", "--json"]);
        let listed = listed.exits(0).json();
        assert_eq!(listed.as_array().map(Vec::len), Some(sagas.len()), "at each of them");
    }
    nodes.into_iter().for_each(Supervisor::stop);
    shop.until(&format!("SELECT count(*) = 1 AND bool_and(owner IS NULL) FROM ({HELD}) AS h"));
}

#[test]
fn what_is_said_at_any_node_holds_at_all_of_them() {
    let shop = Shop::open(PostgresServer::shared());
    let nodes = shop.three();
    let sagas = sagas("order", 12);
    // One of them has the seat; it is said at each.
    for node in &nodes {
        for act in ["resume", "pause"] {
            node.run(&["services", act, "billing", "--reason", "maintenance"]).exits(0);
            shop.until("SELECT bool_and(settings_seen = (SELECT value FROM amends.marks WHERE name = 'settings')) FROM amends.node");
        }
    }
    for (n, saga) in sagas.iter().enumerate() {
        deliver(&nodes[n % 3], saga);
    }
    shop.until("SELECT count(*) = 12 AND bool_and(state = 0) FROM amends.cases");
    assert_eq!(shop.asked(), (0, 0), "it is paused, wherever the cases are");
    nodes[1].run(&["services", "resume", "billing", "--reason", "it is over"]).exits(0);
    shop.settle(sagas.len());
    assert_eq!(shop.asked(), (sagas.len(), sagas.len()));

    let text = std::fs::read_to_string(&shop.rules).expect("written");
    for (n, node) in nodes.iter().enumerate() {
        std::fs::write(&shop.rules, format!("{text}# version {n}\n")).expect("ours");
        node.run(&["rules", "activate", &shop.rules, "--reason", "the next one"]).exits(0);
        shop.until(&format!(
            "SELECT sources LIKE '%# version {n}%' FROM amends.rulebooks WHERE active = 1"
        ));
        let to = &nodes[(n + 1) % 3];
        let case = deliver(to, &format!("after-{n}"))["caseId"].as_str().map(str::to_owned);
        assert!(case.is_some(), "the right node has said which");
    }
    shop.until(
        "SELECT count(DISTINCT rulebook_hash) = 3 FROM amends.cases WHERE saga LIKE 'after-%'",
    );
    nodes.into_iter().for_each(Supervisor::stop);
}

#[test]
fn what_only_the_right_node_can_say_comes_back_from_each() {
    let shop = Shop::open(PostgresServer::shared());
    let nodes = shop.three();
    let case = deliver_again(&nodes[0], "order-0")["caseId"].clone();
    shop.settle(1);
    let shown = nodes[1].case(case.as_str().expect("a case"));
    let step = shown["plan"][0]["id"].as_str().expect("a step");
    let begin = r#"{"sagaId":"order-1","service":"shop","action":"sell","deadline":"2999-01-01T00:00:00Z"}"#;
    let mut told = BTreeSet::new();
    for node in &nodes {
        // One that takes longer than a second to say so is not waited for.
        let until = |what: &str, body: &str, status: u16| {
            let is_it = |answer: &(u16, Value)| answer.0 == status;
            eventually("it says so", || ask(node, what, "", body).filter(is_it)).1
        };
        let act = r#"{"act":"retry","reason":"to see"}"#;
        let refused = until(&format!("POST /v1/steps/{step}/acts"), act, 409);
        told.insert(refused["detail"].as_str().expect("says why").to_owned());
        until("POST /v1/sagas/unheard-of/end", "", 404);
        assert_eq!(until("POST /v1/sagas", begin, 201)["state"], "begun");
    }
    assert_eq!(told.len(), 1, "each says the same: {told:?}");
    assert_eq!(ask(&nodes[2], "POST /v1/sagas/order-1/end", "", "").map(|(s, _)| s), Some(204));
    shop.until("SELECT state = 1 FROM amends.sagas WHERE saga = 'order-1'");
}

#[test]
fn what_a_killed_node_had_acknowledged_is_done_by_the_others() {
    let shop = Shop::open(PostgresServer::shared());
    let [a, mut b, c] = shop.three();
    shop.billing.answer_with(503);
    let before = sagas("before", 30);
    before.iter().for_each(|saga| drop(deliver(&b, saga)));
    b.kill();
    // Those that are its to judge are left for whoever takes over.
    let after = sagas("after", 30);
    for (n, saga) in after.iter().enumerate() {
        deliver([&a, &c][n % 2], saga);
    }
    shop.billing.answer_with(200);
    shop.are_even(2);
    shop.settle(60);
    assert_eq!(shop.asked().0, 60, "whoever asks, the key of a step is the same");
}

#[test]
fn a_node_that_was_frozen_does_nothing_more_for_what_others_have_taken() {
    let shop = Shop::open(PostgresServer::shared());
    let [a, b, c] = shop.three();
    b.signal("STOP");
    let sagas = sagas("order", 30);
    for (n, saga) in sagas.iter().enumerate() {
        deliver([&a, &c][n % 2], saga);
    }
    shop.are_even(2);
    shop.settle(sagas.len());
    b.signal("CONT");
    eventually("it notices", || b.log().contains("counted as dead").then_some(()));
    shop.are_even(3);
    deliver(&b, "order-late");
    shop.settle(sagas.len() + 1);
    assert_eq!(shop.asked(), (sagas.len() + 1, sagas.len() + 1), "each once");
}

#[test]
fn a_node_that_is_told_to_leave_gives_all_back_and_still_takes_what_comes() {
    let shop = Shop::open(PostgresServer::shared());
    let [_a, b, _c] = shop.three();
    let set = |leaving| {
        let sql = format!("UPDATE amends.node SET leaving = {leaving} WHERE id = 'b'");
        shop.server.sql(&shop.database, &sql);
    };
    set(true);
    shop.are_even(2);
    let sagas = sagas("order", 12);
    sagas.iter().for_each(|saga| drop(deliver_again(&b, saga)));
    shop.settle(sagas.len());
    set(false);
    shop.are_even(3);
    assert_eq!(shop.asked(), (sagas.len(), sagas.len()), "each once");
}

#[test]
fn a_database_that_starts_again_moves_no_partition() {
    let server = PostgresServer::start("");
    let shop = Shop::open(&server);
    let nodes = shop.three();
    let owners = "SELECT string_agg(owner, ',' ORDER BY partition) FROM amends.lease";
    let before = server.sql(&shop.database, owners);
    deliver(&nodes[0], "order-0");
    for _ in 0..2 {
        server.kill();
        assert_ne!(send(&nodes[1], "order-1").map(|(status, _)| status), Some(202));
        server.start_again();
        for (n, node) in nodes.iter().enumerate() {
            deliver(node, &format!("order-{}", n + 1));
        }
    }
    shop.settle(4);
    assert_eq!(server.sql(&shop.database, owners), before);
    assert_eq!(shop.asked().0, 4);
}
