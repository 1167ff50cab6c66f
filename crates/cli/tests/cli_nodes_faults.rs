//! Several supervisors on one database, when what is between them and around them fails: lines that are cut in one
//! direction, a database that is away or replaced, two processes of one name, two versions.

#![cfg(feature = "postgres")]

mod support;

use amends_private_server::PostgresServer;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::process::{Process, Streams};
use support::relay::{Relay, Way};
use support::shop::{Shop, deliver, sagas, send, send_to, serve};
use support::{Supervisor, command, eventually, finish, write};

/// Who holds which partition.
const OWNERS: &str = "SELECT string_agg(owner, ',' ORDER BY partition) FROM amends.lease";
/// Four times as long as a node that does not show itself counts as alive.
const AWAY: Duration = Duration::from_secs(20);

/// What came of reports that were sent until a node took them, as an outbox does.
#[derive(Debug, Default)]
struct Sent {
    acknowledged: Vec<String>,
    /// What nodes said that did not take one.
    statuses: BTreeSet<u16>,
}

/// Where nodes are, also those that come back elsewhere.
type Addresses = [Mutex<String>];

fn addresses(nodes: &[Supervisor]) -> Vec<Mutex<String>> {
    nodes.iter().map(|node| Mutex::new(node.url.clone())).collect()
}

/// Sends reports to all of these, as many at once as there are nodes, while `work` goes on.
fn under_load(nodes: &Addresses, work: impl FnOnce()) -> Sent {
    let (sent, is_over) = (Mutex::new(Sent::default()), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for sender in 0..nodes.len() {
            let (sent, is_over) = (&sent, &is_over);
            scope.spawn(move || {
                for saga in (0..).map(|n| format!("load-{sender}-{n}")) {
                    for n in sender.. {
                        if is_over.load(Ordering::Relaxed) {
                            return;
                        }
                        let url = nodes[n % nodes.len()].lock().expect("not poisoned").clone();
                        let answer = send_to(&url, &saga).map(|(status, _)| status);
                        let mut sent = sent.lock().expect("not poisoned");
                        match answer {
                            Some(200..300) => {
                                sent.acknowledged.push(saga);
                                break;
                            }
                            Some(status) => drop(sent.statuses.insert(status)),
                            None => {}
                        }
                        drop(sent);
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    // No more than can be settled again at the end.
                    std::thread::sleep(Duration::from_millis(10));
                }
            });
        }
        // Also when the work fails.
        let _over = Over(&is_over);
        work();
    });
    sent.into_inner().expect("not poisoned")
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Sent {
    /// Each has its case, and all cases settle; each effect was asked for under one key.
    fn are_there_and_settle(&self, shop: &Shop<'_>, server: &PostgresServer) {
        let missing = format!(
            "SELECT s FROM unnest('{{{}}}'::text[]) AS s WHERE s NOT IN (SELECT saga FROM amends.cases)",
            self.acknowledged.join(",")
        );
        assert_eq!(server.sql(&shop.database, &missing), "", "acknowledged and lost");
        server
            .until(&shop.database, "SELECT NOT EXISTS (SELECT FROM amends.cases WHERE state <> 3)");
        let cases = server.sql(&shop.database, "SELECT count(*) FROM amends.cases");
        assert_eq!(shop.asked().0.to_string(), cases, "each is asked for under one key");
        assert!(self.statuses.iter().all(|status| *status == 503), "{:?}", self.statuses);
    }
}

/// A node whose requests, or whose answers, don't get through believes for a while what it believed. The others take
/// its place, nothing that was on its way counts any more, and it takes its share again once the line is whole.
#[test]
fn a_node_whose_line_is_cut_in_one_direction_is_replaced_and_does_no_harm() {
    let (server, mut count) = (PostgresServer::shared(), 0);
    let shop = Shop::open(server);
    let relay = Relay::to(server.socket(), server.port());
    let name = shop.database.split(['/', '?']).nth(3).expect("a name");
    let by_relay = server.address_by(relay.folder(), name);
    let a = shop.node("a");
    let b = serve(&by_relay, "b", shop.folder.path(), &shop.rules);
    let c = shop.node("c");
    for (round, way) in [Way::ToDatabase, Way::FromDatabase].into_iter().enumerate() {
        shop.are_even(3);
        // Something of it is under way when the line is cut.
        let before = sagas(&format!("before-{round}"), 10);
        before.iter().for_each(|saga| drop(deliver(&b, saga)));
        relay.cut(way);
        let after = sagas(&format!("after-{round}"), 20);
        for (n, saga) in after.iter().enumerate() {
            deliver([&a, &c][n % 2], saga);
        }
        let turned_away = format!("turned-away-{round}");
        let answer = send(&b, &turned_away).map(|(status, _)| status);
        assert!(answer.is_none_or(|status| status == 503), "{way:?}: {answer:?}");
        shop.are_even(2);
        count += before.len() + after.len();
        shop.until(&format!(
            "SELECT count(*) >= {count} AND bool_and(state = 3) FROM amends.cases WHERE saga <> '{turned_away}'"
        ));
        relay.mend();
        shop.are_even(3);
        // Whoever sent it sends it again. What of it may have arrived late is the same.
        deliver(&b, &turned_away);
        count += 1;
        shop.settle(count);
        assert_eq!(shop.asked().0, count, "{way:?}: each is asked for under one key");
    }
}

/// While the database is away nobody can show that they live, and nothing is taken from anybody.
#[test]
fn a_database_that_is_away_for_twenty_seconds_moves_no_partition_and_loses_nothing() {
    let server = PostgresServer::start("");
    let shop = Shop::open(&server);
    let nodes = shop.three();
    let before = server.sql(&shop.database, OWNERS);
    let sent = under_load(&addresses(&nodes), || {
        shop.until("SELECT count(*) > 60 FROM amends.cases");
        server.kill();
        std::thread::sleep(AWAY);
        server.start_again();
        let count = server.sql(&shop.database, "SELECT count(*) FROM amends.cases");
        shop.until(&format!("SELECT count(*) > {count} + 60 FROM amends.cases"));
    });
    sent.are_there_and_settle(&shop, &server);
    assert_eq!(server.sql(&shop.database, OWNERS), before, "partitions moved");
}

/// It is another database for all of them: they let go of everything, wait, and share it out anew.
#[test]
fn all_nodes_go_on_with_the_standby_that_takes_the_place_of_their_database() {
    let primary = PostgresServer::start("");
    let standby = primary.standby();
    primary.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
    primary.sql("postgres", "SELECT pg_reload_conf()");
    primary.until("postgres", "SELECT bool_or(sync_state = 'sync') FROM pg_stat_replication");
    let shop = Shop::open(&primary);
    let address = shop.folder.path().join("address");
    let leads_to = |server: &PostgresServer| {
        let next = shop.folder.path().join("next");
        std::os::unix::fs::symlink(server.socket(), &next).expect("our folder");
        std::fs::rename(next, &address).expect("our folder");
    };
    leads_to(&primary);
    let name = shop.database.split(['/', '?']).nth(3).expect("a name").to_owned();
    let database = primary.address_by(&address, &name);
    let start = |node| serve(&database, node, shop.folder.path(), &shop.rules);
    let nodes = ["a", "b", "c"].map(start);
    shop.are_even(3);
    let sent = under_load(&addresses(&nodes), || {
        shop.until("SELECT count(*) > 60 FROM amends.cases");
        primary.kill();
        leads_to(&standby);
        standby.promote();
        let count = standby.sql(&name, "SELECT count(*) FROM amends.cases");
        standby.until(&name, &format!("SELECT count(*) > {count} + 60 FROM amends.cases"));
    });
    let shop = Shop { database: standby.address(&name), server: &standby, ..shop };
    sent.are_there_and_settle(&shop, &standby);
    shop.are_even(3);
    for node in &nodes {
        let log = node.log();
        assert!(log.contains("another database stands behind the address"), "{log}");
    }
}

/// A supervisor that may not listen yet.
struct Waiting {
    _process: Process,
    log: Arc<Mutex<String>>,
}

impl Waiting {
    fn start(shop: &Shop<'_>, node: &str, data: &str) -> Self {
        let mut command = command();
        command.args(["serve", "--rules", &shop.rules, "--data", data]);
        command.args(["--listen", "127.0.0.1:0", "--exit-with-parent"]);
        command.env("AMENDS_CLUSTER_DATABASE", &shop.database).env("AMENDS_CLUSTER_NODE", node);
        command.env("AMENDS_CLUSTER_SHARE", "true").current_dir(shop.folder.path());
        let streams = Streams { stdin: Stdio::piped(), stderr: Stdio::piped(), ..Streams::none() };
        let mut process = Process::start(&mut command, streams, "the binary runs");
        let (stderr, log) =
            (process.stderr.take().expect("piped"), Arc::<Mutex<String>>::default());
        let copy = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                *copy.lock().expect("not poisoned") += &(line + "\n");
            }
        });
        Self { _process: process, log }
    }

    /// Waits until it says so.
    fn says(&self, what: &str) {
        eventually(what, || self.log.lock().expect("not poisoned").contains(what).then_some(()));
    }
}

#[test]
fn of_two_processes_with_one_name_the_second_waits_and_the_first_goes_on() {
    let shop = Shop::open(PostgresServer::shared());
    let [a, mut b, c] = shop.three();
    let incarnation = "SELECT incarnation FROM amends.node WHERE id = 'b'";
    let before = shop.server.sql(&shop.database, incarnation);
    let second = Waiting::start(&shop, "b", "another-b");
    second.says("or as this node, or did a moment ago; this one waits until it is gone");
    let sagas = sagas("order", 30);
    for (n, saga) in sagas.iter().enumerate() {
        deliver([&a, &b, &c][n % 3], saga);
    }
    shop.settle(sagas.len());
    assert_eq!(shop.asked(), (sagas.len(), sagas.len()), "each once");
    assert_eq!(shop.server.sql(&shop.database, incarnation), before, "the first has the name");
    shop.are_even(3);
    assert!(!second.log.lock().expect("not poisoned").contains("listening on"));
    b.kill();
    second.says("listening on");
    shop.are_even(3);
    assert_ne!(shop.server.sql(&shop.database, incarnation), before, "the second has it now");
}

/// As the next version may ask for it: what older nodes work on gets more columns, and there is a table that they don't
/// know.
const MIGRATION: &str = "
    ALTER TABLE cases ADD COLUMN rehearsed bigint NOT NULL DEFAULT 0;
    ALTER TABLE inbox ADD COLUMN rehearsed text;
    CREATE TABLE rehearsed (n int PRIMARY KEY)";

/// Nodes of two versions work side by side while one after another is renewed, whose first start changes the tables.
/// Nobody who reports is told anything but that another node is to be asked.
#[test]
fn nodes_are_renewed_one_after_another_under_load_and_the_tables_with_them() {
    let shop = Shop::open(PostgresServer::shared());
    let next = write(shop.folder.path(), "next.sql", MIGRATION);
    let newer = |node: &str| {
        let environment = [
            ("AMENDS_CLUSTER_DATABASE", &*shop.database),
            ("AMENDS_CLUSTER_NODE", node),
            ("AMENDS_CLUSTER_SHARE", "true"),
            ("AMENDS_REHEARSED_MIGRATION", &*next),
        ];
        let arguments = ["--rules", &*shop.rules, "--data", node];
        Supervisor::start_with(&environment, shop.folder.path(), &arguments)
    };
    let mut nodes = shop.three().map(Some);
    let versions =
        "SELECT (SELECT version FROM amends.schema), min(version), max(version) FROM amends.node
        WHERE alive_until > clock_timestamp()";
    let ask = |sql| shop.server.sql(&shop.database, sql);
    let before: u32 = ask("SELECT version FROM amends.schema").parse().expect("a number");
    let next = before + 1;
    let at: Vec<_> = nodes.iter().flatten().map(|node| Mutex::new(node.url.clone())).collect();
    let comes_back = |nodes: &mut [Option<Supervisor>; 3], n: usize, node: Supervisor| {
        at[n].lock().expect("not poisoned").clone_from(&node.url);
        nodes[n] = Some(node);
        shop.are_even(3);
        let count = ask("SELECT count(*) FROM amends.cases");
        shop.until(&format!("SELECT count(*) > {count} + 20 FROM amends.cases"));
    };
    let sent = under_load(&at, || {
        for (n, name) in ["a", "b", "c"].into_iter().enumerate() {
            nodes[n].take().expect("it runs").stop();
            comes_back(&mut nodes, n, newer(name));
            if n == 0 {
                assert_eq!(ask(versions), format!("{next}|{before}|{next}"));
                // One of before is asked about all of them, and finds its way back beside newer tables.
                let status = ["cluster", "status", "--json"];
                finish(command().args(status).env("AMENDS_CLUSTER_DATABASE", &shop.database))
                    .exits(0);
                nodes[2].take().expect("it runs").kill();
                shop.are_even(2);
                comes_back(&mut nodes, 2, shop.node("c"));
            }
        }
    });
    assert_eq!(ask(versions), format!("{next}|{next}|{next}"));
    sent.are_there_and_settle(&shop, shop.server);
}

/// Tables that have become what this version can't work on.
#[test]
fn a_version_that_is_too_old_for_the_tables_says_so_and_does_not_start() {
    let shop = Shop::open(PostgresServer::shared());
    shop.node("a").stop();
    let sql = "UPDATE amends.schema SET version = 4711, oldest = 4711";
    shop.server.sql(&shop.database, sql);
    let mut serve = command();
    serve.args(["serve", "--rules", &shop.rules, "--data", "b", "--listen", "127.0.0.1:0"]);
    serve.env("AMENDS_CLUSTER_DATABASE", &shop.database).env("AMENDS_CLUSTER_SHARE", "true");
    let refused = finish(serve.current_dir(shop.folder.path()));
    assert!(
        refused.code != 0 && refused.stderr.contains("the store has schema 4711"),
        "{refused:?}"
    );
}

/// Puts the wall clock of whatever process is given it ahead; built by the compiler that builds the rest.
#[cfg(target_os = "linux")]
fn wrong_clock(folder: &std::path::Path) -> String {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/clock.c");
    let library = folder.join("clock.so").to_str().expect("UTF-8").to_owned();
    let mut cc = std::process::Command::new("cc");
    finish(cc.args(["-shared", "-fPIC", "-o", &library, source, "-ldl"])).exits(0);
    library
}

/// Whose clock alone is wrong is not let in; where those of all are off alike, it is the database's, and they work.
#[cfg(target_os = "linux")]
#[test]
fn a_node_whose_clock_is_wrong_is_not_let_in_beside_others_that_are_right() {
    let shop = Shop::open(PostgresServer::shared());
    let library = wrong_clock(shop.folder.path());
    let nodes = shop.three();
    for (seconds, told) in [("2", "ahead of"), ("-2", "behind")] {
        let mut serve = command();
        serve.args(["serve", "--rules", &shop.rules, "--data", "d", "--listen", "127.0.0.1:0"]);
        serve.env("AMENDS_CLUSTER_DATABASE", &shop.database).env("AMENDS_CLUSTER_SHARE", "true");
        serve.env("AMENDS_CLUSTER_NODE", "d").current_dir(shop.folder.path());
        let refused = finish(serve.env("LD_PRELOAD", &library).env("CLOCK_AHEAD_SECONDS", seconds));
        let said = format!("ms {told} that of the database, and those of the other nodes are not");
        assert!(refused.code != 0 && refused.stderr.contains(&said), "{refused:?}");
    }
    shop.are_even(3);
    deliver(&nodes[0], "order-0");
    shop.settle(1);
    nodes.into_iter().for_each(Supervisor::stop);

    let off = ["a", "b"].map(|node| {
        let environment = [
            ("AMENDS_CLUSTER_DATABASE", &*shop.database),
            ("AMENDS_CLUSTER_NODE", node),
            ("AMENDS_CLUSTER_SHARE", "true"),
            ("LD_PRELOAD", &*library),
            ("CLOCK_AHEAD_SECONDS", "2"),
        ];
        let arguments = ["--rules", &*shop.rules, "--data", node];
        Supervisor::start_with(&environment, shop.folder.path(), &arguments)
    });
    shop.are_even(2);
    let sagas = sagas("order", 10);
    for (n, saga) in sagas.iter().enumerate() {
        deliver(&off[n % 2], saga);
    }
    shop.settle(sagas.len());
    shop.until(
        "SELECT count(*) = 2 AND bool_and(offset_ms BETWEEN -2500 AND -1500) FROM amends.node
        WHERE alive_until > clock_timestamp()",
    );
}
