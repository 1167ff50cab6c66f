//! Several supervisors on one database: each works on a part of the sagas, and takes whatever comes for any.

#![cfg(feature = "postgres")]

mod support;

use amends_private_server::PostgresServer;
use amends_store::Partition;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
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

/// What is open, as a node tells it: pieces of work in groups of a service, and what the overview says of nodes.
fn told(by: &Supervisor) -> Option<(u64, Value)> {
    let read = |what: &str| ask(by, what, "", "").filter(|(status, _)| *status == 200);
    let (groups, overview) = (read("GET /v1/groups")?.1, read("GET /v1/overview")?.1);
    let counts = groups.as_array()?.iter().filter(|group| group["service"] == "billing");
    Some((counts.filter_map(|group| group["count"].as_u64()).sum(), overview))
}

#[test]
fn each_node_tells_of_the_open_work_of_all_and_names_who_does_not_answer() {
    let shop = Shop::open(PostgresServer::shared());
    let nodes = shop.three();
    shop.billing.answer_with(503);
    let sagas = sagas("order", 30);
    for (n, saga) in sagas.iter().enumerate() {
        deliver(&nodes[n % 3], saga);
    }
    for node in &nodes {
        let overview = eventually("all of it, and the breaker of each node", || {
            let (open, overview) = told(node)?;
            let breakers = overview["services"][0]["breakers"].as_array().map_or(0, Vec::len);
            (open == 30 && breakers == 3).then_some(overview)
        });
        assert!(overview["silentNodes"].is_null(), "{overview}");
        let service = &overview["services"][0];
        assert!(service["name"] == "billing" && service["health"] != "healthy", "{service}");
        eventually("all belong to its group", || {
            let groups = node.run(&["cases", "groups", "--json"]).exits(0).json();
            let path = format!("GET /v1/cases?limit=100&group={}", groups[0]["id"].as_str()?);
            let (_, listed) = ask(node, &path, "", "")?;
            (listed["items"].as_array()?.len() == 30).then_some(())
        });
    }
    let [a, b, c] = nodes;
    b.signal("STOP");
    let silent = eventually("it is named", || {
        let (_, overview) = ask(&a, "GET /v1/overview", "", "")?;
        overview["silentNodes"].get(0).cloned()
    });
    assert_eq!(silent["name"], "b");
    assert!(silent["parts"].as_u64().is_some_and(|parts| parts > 0) && silent["asOf"].is_string());
    for node in [&a, &c] {
        eventually("others have taken its place", || {
            told(node).filter(|(open, overview)| *open == 30 && overview["silentNodes"].is_null())
        });
    }
    b.signal("CONT");
    shop.are_even(3);
    eventually("it tells again, of all", || told(&b).filter(|(open, _)| *open == 30));
    shop.billing.answer_with(200);
    shop.settle(30);
}

/// Events of cases, as a node tells them.
struct Told(BufReader<TcpStream>);

impl Told {
    /// After the one with this name; without a name from now on.
    fn open(by: &Supervisor, last: &str) -> Self {
        let host = by.url.strip_prefix("http://").expect("no TLS");
        let mut stream = TcpStream::connect(host).expect("it is there");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
        write!(
            stream,
            "GET /v1/events?kind=case HTTP/1.1\r\nhost: {host}\r\nlast-event-id: {last}\r\n\r\n"
        )
        .expect("it listens");
        let mut told = Self(BufReader::new(stream));
        while !told.line().is_empty() {}
        told
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).expect("in time") > 0, "it has ended");
        line.trim_end().to_owned()
    }

    /// The next one: its name, and what it says. A gap has no name.
    fn next(&mut self) -> (String, Value) {
        let mut id = String::new();
        loop {
            let line = self.line();
            if let Some(text) = line.strip_prefix("id: ") {
                text.clone_into(&mut id);
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return (id, serde_json::from_str(data).expect("JSON"));
            }
        }
    }
}

#[test]
fn whoever_watches_at_one_node_is_told_of_all_and_goes_on_at_another() {
    let shop = Shop::open(PostgresServer::shared());
    let nodes = shop.three();
    let mut told = Told::open(&nodes[0], "");
    let sagas = sagas("order", 24);
    for (n, saga) in sagas.iter().enumerate() {
        deliver(&nodes[n % 3], saga);
    }
    let (mut ids, mut settled) = (Vec::new(), BTreeSet::new());
    while settled.len() < sagas.len() {
        let (id, event) = told.next();
        assert!(!id.is_empty(), "something was missed: {event}");
        ids.push(id);
        if event["state"] == "settled" {
            assert!(settled.insert(event["caseId"].to_string()), "{event} twice");
        }
    }
    let processes: BTreeSet<_> = ids.iter().filter_map(|id| id.split('-').next()).collect();
    assert_eq!(processes.len(), 3, "each of them has told something");
    let mut again = Told::open(&nodes[1], &ids[3]);
    for id in &ids[4..] {
        assert_eq!(again.next().0, *id);
    }
    let mut unknown = Told::open(&nodes[2], "00000000000000ff-7");
    assert_eq!(unknown.next().0, "", "a gap");
    nodes.into_iter().for_each(Supervisor::stop);
}

/// What only the owner of a saga can refuse is told to whoever asks, wherever that is; and where nobody could be told,
/// because the owner was away for too long, people see it.
#[test]
fn a_refusal_that_nobody_was_told_lies_among_the_rejected_reports() {
    let shop = Shop::open(PostgresServer::shared());
    let nodes = shop.three();
    let end = "POST /v1/sagas/nobody-began-it/end";
    for node in &nodes {
        let is_refused = |answer: &(u16, Value)| answer.0 == 404;
        eventually("it is told", || ask(node, end, "", "").filter(is_refused));
    }
    shop.until("SELECT count(*) = 0 FROM amends.rejected");

    let owner = owner_of(&shop, "nobody-began-it");
    let there = place(&owner);
    let asked = &nodes[(there + 1) % 3];
    nodes[there].signal("STOP");
    assert_eq!(ask(asked, end, "", "").map(|(status, _)| status), Some(204), "it is taken");
    shop.until("SELECT count(*) = 1 FROM amends.rejected WHERE way = 'node'");
    let listed = asked.run(&["report", "rejected", "list", "--way", "node", "-o", "wide"]).exits(0);
    for part in ["not-found", "nobody-began-it", "the end of a saga", "of node"] {
        assert!(listed.stdout.contains(part), "{part}: {}", listed.stdout);
    }
    let letter = shop.server.sql(&shop.database, "SELECT substr(id, 8) FROM amends.rejected");
    let told = ask(asked, &format!("GET /v1/letters/{letter}"), "", "").expect("an answer").1;
    assert_eq!((&told["state"], &told["code"]), (&"refused".into(), &"not-found".into()), "{told}");
    let id = told["rejected"].as_str().expect("an id");
    let why = ["--reason", "to see"];
    asked.run(&[&["report", "rejected", "retry", id][..], &why].concat()).exits(4);
    asked.run(&[&["report", "rejected", "discard", id][..], &why].concat()).exits(0);
    let told = ask(asked, &format!("GET /v1/letters/{letter}"), "", "").expect("an answer").1;
    assert_eq!(told["state"], "gone");
    nodes[there].signal("CONT");
}

/// Who works on a saga.
fn owner_of(shop: &Shop<'_>, saga: &str) -> String {
    let partition = Partition::of(&saga.parse().expect("a saga id")).0;
    let sql = format!("SELECT owner FROM amends.lease WHERE partition = {partition}");
    shop.server.sql(&shop.database, &sql)
}

/// Where a node stands in [`Shop::three`].
fn place(name: &str) -> usize {
    ["a", "b", "c"].iter().position(|one| *one == name).expect("one of them")
}

/// Tables in which a text stands, anywhere.
fn tables_with(text: &str) -> String {
    let count =
        format!("SELECT count(*) AS n FROM amends.%I AS t WHERE t::text LIKE ''%%{text}%%''");
    format!(
        "SELECT coalesce(string_agg(tablename, ' '), '') FROM pg_tables WHERE schemaname = 'amends'
           AND (xpath('//n/text()', query_to_xml(format('{count}', tablename), true, false, '')))[1]::text <> '0'"
    )
}

#[test]
fn an_erasure_may_be_asked_for_at_any_node_and_reaches_the_sagas_of_all() {
    let shop = Shop::open(PostgresServer::shared());
    let nodes = shop.three();
    let report = |saga: &str| {
        let body = r#"{"code":"out-of-stock","action":"sell","data":{"paymentId":"geheim-4711","amount":12},"history":[{"service":"billing","action":"charge","state":"succeeded"}]}"#;
        let event = format!(
            "ce-specversion: 1.0\r\nce-type: dev.amends.report.v1\r\nce-id: {saga}\r\nce-source: shop\r\nce-subject: {saga}\r\n"
        );
        eventually("it is taken", || {
            ask(&nodes[0], "POST /v1/reports", &event, body).filter(|(status, _)| *status < 300)
        });
    };
    let settled = sagas("order", 8);
    settled.iter().for_each(|saga| report(saga));
    shop.settle(8);
    shop.billing.answer_with(503);
    report("late");
    shop.until("SELECT count(*) = 9 FROM amends.cases");
    let found = |text| shop.server.sql(&shop.database, &tables_with(text));
    assert!(found("geheim-4711").contains("reports"), "{}", found("geheim-4711"));

    let named: Vec<&str> = settled.iter().flat_map(|saga| ["--saga", saga.as_str()]).collect();
    let why = ["--reason", "asked for"];
    for (n, node) in nodes.iter().enumerate() {
        let dry = node.run(&[&["erase", "--dry-run"][..], &named, &why].concat()).exits(0).stdout;
        assert!(dry.contains("of 8 sagas would go") && dry.contains("0 not settled"), "{n}: {dry}");
        let unknown = ["erase", "--yes", "--saga", "order-0", "--saga", "never"];
        node.run(&[&unknown[..], &why].concat()).exits(5);
        let open = ["erase", "--yes", "--saga", "late"];
        let refused = node.run(&[&open[..], &why].concat()).exits(4).stderr;
        assert!(refused.contains("not settled yet") && refused.contains("`late`"), "{refused}");
    }
    shop.until("SELECT count(*) = 0 FROM amends.erasures");

    let all = [&["erase", "--yes", "--when-settled", "--saga", "late"][..], &named, &why].concat();
    let made = nodes[2].run(&all).exits(0).stdout;
    assert!(made.contains("er-1: ") && made.contains("8 sagas went for good; 1 as soon"), "{made}");
    shop.billing.answer_with(200);
    shop.settle(9);
    shop.until("SELECT count(*) = 9 AND bool_and(done_at IS NOT NULL) FROM amends.erased");
    assert_eq!(found("geheim-4711"), "", "nothing of it stands anywhere");

    let list = nodes[1].run(&["erase", "list", "--all", "-o", "json"]).exits(0).stdout;
    let file = shop.folder.path().join("erasures.json");
    std::fs::write(&file, list).expect("ours");
    let file = file.to_str().expect("a path");
    let again = nodes[0].run(&[&["erase", "replay", file][..], &why].concat()).exits(0).stdout;
    assert!(again.contains("9 sagas erased again; 0 sagas not in this store"), "{again}");
    nodes[0].run(&["audit", "verify"]).exits(0);
}

#[test]
fn whoever_sets_something_hears_which_nodes_have_yet_to_read_it() {
    let shop = Shop::open(PostgresServer::shared());
    let nodes = shop.three();
    let seat =
        shop.server.sql(&shop.database, "SELECT owner FROM amends.lease WHERE partition = 64");
    let frozen = (place(&seat) + 1) % 3;
    let name = ["a", "b", "c"][frozen];
    nodes[frozen].signal("STOP");
    // It counts as one that lives, however long this takes.
    let lives = "alive_until = clock_timestamp() + interval '1 hour'";
    shop.server.sql(&shop.database, &format!("UPDATE amends.node SET {lives} WHERE id = '{name}'"));
    let pause = ["services", "pause", "billing", "--reason", "maintenance"];
    let said = nodes[place(&seat)].run(&pause).exits(0);
    let late = format!("go by it as soon as they have: {name}\n");
    assert!(said.stderr.contains(&late), "{said:?}");
    nodes[frozen].signal("CONT");
    shop.until("SELECT bool_and(settings_seen = (SELECT value FROM amends.marks WHERE name = 'settings')) FROM amends.node");
}

/// A bulk act lets nothing more go once the seat is another's, as after a restart; who has it now goes on when told.
#[test]
fn a_bulk_act_stops_when_the_seat_moves() {
    let shop = Shop::open(PostgresServer::shared());
    let nodes = shop.three();
    shop.billing.answer_with(409);
    sagas("order", 6).iter().for_each(|saga| drop(deliver(&nodes[0], saga)));
    shop.until("SELECT count(*) = 6 AND bool_and(state = 1) FROM amends.cases");
    let seat =
        || shop.server.sql(&shop.database, "SELECT owner FROM amends.lease WHERE partition = 64");
    let before = seat();
    let first = &nodes[place(&before)];
    first.run(&["services", "pause", "billing", "--reason", "maintenance"]).exits(0);
    let retry = ["cases", "retry", "--service", "billing", "--yes", "--reason", "try"];
    let held = first.run(&retry).exits(4);
    assert!(held.stderr.contains("b-1 waits"), "{}", held.stderr);

    let sql = format!("UPDATE amends.node SET leaving = true WHERE id = '{before}'");
    shop.server.sql(&shop.database, &sql);
    shop.until(&format!("SELECT owner <> '{before}' FROM amends.lease WHERE partition = 64"));
    let next = &nodes[place(&seat())];
    let stopped = eventually("it knows that it has the seat", || {
        let bulks = next.run(&["bulk", "list", "--json"]).exits(0).json();
        Some(bulks[0].clone()).filter(|bulk| bulk["state"] == "stopped")
    });
    assert_eq!(stopped["progress"]["left"], 6, "it waited for the service: {stopped}");
    assert!(stopped["why"].as_str().is_some_and(|why| why.contains("seat")), "{stopped}");
    shop.billing.answer_with(200);
    next.run(&["services", "resume", "billing", "--reason", "it is over"]).exits(0);
    // Of the first wave nobody knew what had become of it: its step goes by itself once the service is resumed.
    next.run(&["bulk", "start", "b-1", "--reason", "go on"]);
    shop.settle(6);
    let retried = "SELECT count(*) FROM amends.acts WHERE act = 'retry'";
    assert_eq!(shop.server.sql(&shop.database, retried), "6", "each once");
}

/// What a node could not give back because its connection was cut, it takes up again and gives back then.
#[test]
fn a_drain_comes_to_its_end_although_connections_are_cut() {
    let shop = Shop::open(PostgresServer::shared());
    let [_a, b, _c] = shop.three();
    let sql = |sql: &str| shop.server.sql(&shop.database, sql);
    // The first three times that it gives something back, the database cuts it off in the middle.
    sql("CREATE SEQUENCE public.cuts");
    sql("GRANT ALL ON SEQUENCE public.cuts TO PUBLIC");
    sql("CREATE FUNCTION public.cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF nextval('public.cuts') <= 3 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
           RETURN NEW;
         END $$");
    sql("CREATE TRIGGER cut BEFORE UPDATE ON amends.lease FOR EACH ROW
         WHEN (OLD.owner = 'b' AND NEW.owner IS NULL) EXECUTE FUNCTION public.cut()");
    sql("UPDATE amends.node SET leaving = true WHERE id = 'b'");
    shop.until("SELECT count(*) = 2 AND bool_and(owner IS NOT NULL) FROM (SELECT owner FROM amends.lease GROUP BY owner) AS held");
    assert_ne!(sql("SELECT last_value > 3 FROM public.cuts"), "f", "it was cut off");
    let sagas = sagas("order", 6);
    sagas.iter().for_each(|saga| drop(deliver_again(&b, saga)));
    shop.settle(sagas.len());
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
