//! Limits that nodes on one database keep together, and a database without room.

#![cfg(feature = "postgres")]

mod support;

use amends_private_server::PostgresServer;
use std::thread;
use std::time::{Duration, Instant};
use support::shop::{Shop, ask, deliver, sagas, send};
use support::{Supervisor, eventually};

/// Rewrites the rulebook that the nodes will start with.
fn change_rules(shop: &Shop<'_>, from: &str, to: &str) {
    let text = std::fs::read_to_string(&shop.rules).expect("written");
    assert!(text.contains(from), "{text}");
    std::fs::write(&shop.rules, text.replace(from, to)).expect("ours");
}

/// At all nodes at once, each saga at one of them.
fn deliver_at_once(nodes: &[Supervisor], sagas: &[String]) {
    thread::scope(|scope| {
        for (n, node) in nodes.iter().enumerate() {
            scope.spawn(move || {
                for saga in sagas.iter().skip(n).step_by(nodes.len()) {
                    deliver(node, saga);
                }
            });
        }
    });
}

/// Whichever nodes its reports come to, and whoever holds their sagas: what is over the limit waits for approval,
/// nothing less and nothing more.
#[test]
fn the_limit_of_a_rule_is_one_for_all_nodes() {
    const LIMIT: usize = 5;
    let shop = Shop::open(PostgresServer::shared());
    change_rules(&shop, "mode: auto", "mode: auto\n    limit: 5 per minute");
    let nodes = shop.three();
    let began = Instant::now();
    deliver_at_once(&nodes, &sagas("storm", 60));
    shop.until("SELECT count(*) = 60 AND bool_and(state IN (1, 3)) FROM amends.cases");
    let (asked, waits) = (shop.asked(), "SELECT count(*) FROM amends.cases WHERE state = 1");
    let waiting: usize = shop.server.sql(&shop.database, waits).parse().expect("a count");
    assert_eq!((asked.0, asked.0 + waiting), (asked.1, 60), "each once, or not at all");
    // On a machine that has taken longer another minute has begun.
    let minutes = 1 + began.elapsed().as_secs() as usize / 60;
    assert!((LIMIT..=LIMIT * minutes).contains(&asked.0), "{} went by themselves", asked.0);
    nodes.into_iter().for_each(Supervisor::stop);
}

/// So many requests can't be made in less time; and each node has its part.
#[test]
fn the_requests_of_a_second_are_those_of_all_nodes() {
    const EACH_SECOND: u64 = 10;
    let shop = Shop::open(PostgresServer::shared());
    let nodes = shop.three();
    let (first, sagas) = (&nodes[0], sagas("slow", 45));
    first.run(&["services", "pause", "billing", "--reason", "to begin together"]).exits(0);
    let limit = EACH_SECOND.to_string();
    let limits = ["services", "limit", "billing", "--per-second", &limit, "--reason", "it is weak"];
    first.run(&limits).exits(0);
    deliver_at_once(&nodes, &sagas);
    shop.until("SELECT count(*) = 45 FROM amends.cases");
    assert_eq!(shop.asked(), (0, 0));
    let began = Instant::now();
    first.run(&["services", "resume", "billing", "--reason", "all are here"]).exits(0);
    shop.settle(sagas.len());
    assert_eq!(shop.asked(), (sagas.len(), sagas.len()), "each once");
    // A second's worth may go in the second that has begun, and a tenth late.
    let least = Duration::from_secs(45 / EACH_SECOND) - Duration::from_millis(1_200);
    assert!(began.elapsed() >= least, "in {:?}", began.elapsed());
    nodes.into_iter().for_each(Supervisor::stop);
}

/// Stands for a disk without room: the server says so where it has to make a file longer, which is where rows come.
const FULL: &str = r#"
    CREATE FUNCTION amends.has_no_room() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'could not extend file "base/5/16390": No space left on device' USING ERRCODE = '53100';
    END $$;
    CREATE TRIGGER no_room BEFORE INSERT ON amends.cases FOR EACH ROW EXECUTE FUNCTION amends.has_no_room();
    CREATE TRIGGER no_room BEFORE INSERT ON amends.reports FOR EACH ROW EXECUTE FUNCTION amends.has_no_room();
    CREATE TRIGGER no_room BEFORE INSERT ON amends.inbox FOR EACH ROW EXECUTE FUNCTION amends.has_no_room();
    CREATE TRIGGER no_room BEFORE INSERT ON amends.marks FOR EACH ROW EXECUTE FUNCTION amends.has_no_room()"#;
const ROOM: &str = "DROP FUNCTION amends.has_no_room CASCADE";

/// Nothing is taken that could not be kept, nothing that was taken is lost, nobody takes anything from anybody, and all
/// goes on by itself.
#[test]
fn a_database_without_room_takes_nothing_and_loses_nothing() {
    let shop = Shop::open(PostgresServer::shared());
    let nodes = shop.three();
    let owners = "SELECT string_agg(owner, ',' ORDER BY partition) FROM amends.lease";
    let before = shop.server.sql(&shop.database, owners);
    nodes[0].run(&["services", "pause", "billing", "--reason", "until the disk is full"]).exits(0);
    let kept = sagas("kept", 12);
    deliver_at_once(&nodes, &kept);
    shop.until("SELECT count(*) = 12 FROM amends.cases");
    shop.server.sql(&shop.database, FULL);
    for (n, node) in nodes.iter().enumerate() {
        let told = send(node, &format!("later-{n}"));
        assert_eq!(told.map(|(status, _)| status), Some(503));
        let ready = eventually("it says so", || {
            ask(node, "GET /readyz", "", "").filter(|(status, _)| *status == 503)
        });
        let detail = ready.1["detail"].as_str().unwrap_or_default().to_owned();
        assert!(detail.contains("No space left on device"), "{}", ready.1);
    }
    shop.server.sql(&shop.database, ROOM);
    nodes[1].run(&["services", "resume", "billing", "--reason", "there is room"]).exits(0);
    let later: Vec<String> = (0..3).map(|n| format!("later-{n}")).collect();
    deliver_at_once(&nodes, &later);
    shop.settle(kept.len() + later.len());
    assert_eq!(shop.asked(), (15, 15), "each once");
    for node in &nodes {
        eventually("it is ready", || {
            ask(node, "GET /readyz", "", "").filter(|(status, _)| *status == 200)
        });
    }
    assert_eq!(shop.server.sql(&shop.database, owners), before, "nobody was robbed");
    nodes.into_iter().for_each(Supervisor::stop);
}
