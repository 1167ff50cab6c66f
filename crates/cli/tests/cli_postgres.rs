//! Supervisors that keep their cases in PostgreSQL: two on one database, and one on a dump that was restored.

#![cfg(feature = "postgres")]

mod support;

use amends_private_server::{ARCHIVING, PostgresServer};
use amends_store::{Leases, PostgresOptions, PostgresStore, Taking};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use support::process::{Process, Streams};
use support::{Legacy, Supervisor, command, eventually, finish, scratch, shop_rules};

/// Four times as long as a node that does not show itself counts as alive.
const AWAY: Duration = Duration::from_secs(20);

fn serve(database: &str, node: &str, folder: &Path, rules: &str) -> Supervisor {
    let environment = [("AMENDS_CLUSTER_DATABASE", database), ("AMENDS_CLUSTER_NODE", node)];
    Supervisor::start_with(&environment, folder, &["--rules", rules, "--data", node])
}

fn settles(supervisor: &Supervisor, case: &str) {
    eventually("it settles", || (supervisor.case(case)["state"] == "settled").then_some(()));
}

/// A shop whose refunds are tried again and again, until they are done.
fn rules(folder: &Path, billing: &Legacy) -> String {
    let path = shop_rules(folder, &billing.address, "auto");
    let text = std::fs::read_to_string(&path).expect("written");
    assert!(text.contains("attempts: 3, "), "{text}");
    std::fs::write(&path, text.replace("attempts: 3, ", "")).expect("ours");
    path
}

/// The keys under which the service was asked, and how often.
fn keys(billing: &Legacy) -> (BTreeSet<String>, usize) {
    let heard = billing.heard();
    (heard.iter().map(|one| one.headers["idempotency-key"].clone()).collect(), heard.len())
}

#[test]
fn a_second_supervisor_waits_and_takes_over_what_the_first_had_acknowledged() {
    let folder = scratch();
    let database = PostgresServer::shared().new_database();
    let billing = Legacy::start(503);
    let rules = rules(folder.path(), &billing);
    let mut first = serve(&database, "first", folder.path(), &rules);
    let case = first.report("order-1");
    eventually("it was asked", || (keys(&billing).1 > 0).then_some(()));

    let (waits, path) = ((database.clone(), rules.clone()), folder.path().to_owned());
    let second = std::thread::spawn(move || serve(&waits.0, "second", &path, &waits.1));
    let status = || {
        let said =
            finish(command().args(["store", "status"]).env("AMENDS_CLUSTER_DATABASE", &database));
        said.exits(0).stdout
    };
    assert!(status().contains("held    by first: 65 of 65 parts"), "{}", status());
    assert!(!second.is_finished(), "it would work beside the first");
    let cluster = || {
        let status = ["cluster", "status", "--json"];
        let said = finish(command().args(status).env("AMENDS_CLUSTER_DATABASE", &database));
        serde_json::from_str::<serde_json::Value>(&said.exits(0).stdout).expect("JSON")
    };
    let nodes = eventually("both are known", || {
        let nodes = cluster()["nodes"].clone();
        (nodes.as_array()?.len() == 2).then_some(nodes)
    });
    assert_eq!((&nodes[0]["name"], &nodes[0]["seat"]), (&"first".into(), &true.into()));
    let parts = |node: &serde_json::Value| node["parts"].as_array().map(Vec::len);
    assert_eq!((parts(&nodes[0]), parts(&nodes[1])), (Some(64), Some(0)), "{nodes}");
    assert!(nodes.as_array().expect("a list").iter().all(|node| node["state"] == "alive"));
    let drain = ["cluster", "drain", "first"];
    let said = finish(command().args(drain).env("AMENDS_CLUSTER_DATABASE", &database));
    assert!(said.exits(4).stderr.contains("`first` has all of it"));
    first.kill();
    let second = second.join().expect("it takes over");
    assert!(second.log().contains("this one waits until it is gone"), "{}", second.log());
    assert!(status().contains("held    by second: 65 of 65 parts"), "{}", status());
    billing.answer_with(200);
    settles(&second, &case);
    assert_eq!(keys(&billing).0.len(), 1, "both ask under the same key");
    second.stop();
    assert!(status().contains("held    by nobody"), "{}", status());
}

/// A node that only holds, and gives back half of it at a time once it is told to leave; until the sender is gone.
fn holds_and_gives_back(store: PostgresStore, holds: Sender<()>, over: &Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(async {
        assert_eq!(store.claim(65).await.expect("it lives").len(), 65);
        drop(holds);
        while over.try_recv() == Err(TryRecvError::Empty) {
            if store.beat().await.expect("the database is there").leaving {
                let held = store.raise().await.expect("the database is there");
                let some = held.iter().take(held.len().div_ceil(2)).map(|lease| lease.partition);
                store.release(some.collect()).await.expect("the database is there");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

#[test]
fn a_node_is_drained_and_resumed_by_its_name() {
    let database = PostgresServer::shared().new_database();
    let cluster = |arguments: &[&str]| {
        let mut command = command();
        command.arg("cluster").args(arguments).env("AMENDS_CLUSTER_DATABASE", &database);
        finish(&mut command)
    };
    let none = cluster(&["drain", "one"]).exits(6).stderr;
    assert!(none.contains("there is no store in the database"), "{none}");
    let open = |node: &str| {
        let options = PostgresOptions::new(&database, node);
        PostgresStore::open(&PostgresOptions { taking: Taking::Parts, ..options }).expect("opens")
    };
    let (one, two) = (open("one"), open("two"));
    let (end, ended) = mpsc::channel::<()>();
    let (hold, held) = mpsc::channel();
    let holding = std::thread::spawn(move || holds_and_gives_back(one, hold, &ended));
    assert!(held.recv().is_err(), "it says nothing but that it holds");

    let unknown = cluster(&["drain", "three"]).exits(5).stderr;
    assert!(unknown.contains("those that live: `one`, `two`"), "{unknown}");
    let told = cluster(&["resume", "one"]).exits(0).stdout;
    assert!(told.contains("was not drained"), "{told}");
    let done = cluster(&["drain", "one", "--timeout", "1m"]).exits(0);
    assert!(done.stderr.contains("`one` holds "), "by and by: {}", done.stderr);
    let said = "`one` holds nothing any more; 65 of 65 are held by nobody";
    assert!(done.stdout.contains(said), "{}", done.stdout);

    let last = cluster(&["drain", "two"]).exits(2).stderr;
    assert!(last.contains("the last node that works") && last.contains("--yes"), "{last}");
    let again = cluster(&["resume", "one"]).exits(0).stdout;
    assert!(again.contains("`one` takes its share again"), "{again}");
    let told = cluster(&["drain", "two", "--no-wait"]).exits(0).stdout;
    assert!(told.contains("`two` is told to give back 0 of 64 parts"), "{told}");
    drop(end);
    holding.join().expect("no panic");
    drop(two);
    let gone = cluster(&["drain", "one"]).exits(5).stderr;
    assert!(gone.contains("none lives at all"), "{gone}");
}

#[test]
fn a_restored_dump_asks_again_under_the_same_keys() {
    let server = PostgresServer::shared();
    let folder = scratch();
    let (database, restored) = (server.new_database(), server.new_database());
    let billing = Legacy::start(503);
    let rules = rules(folder.path(), &billing);
    let supervisor = serve(&database, "before", folder.path(), &rules);
    let case = supervisor.report("order-1");
    eventually("it was asked", || (keys(&billing).1 > 0).then_some(()));
    // As the guide says, beside the running supervisor.
    let dump = folder.path().join("amends.dump");
    let run = |command: &mut Command| {
        let done = command.output().expect("it runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    run(server
        .program("pg_dump")
        .args(["--format=custom", "--schema=amends", "--file"])
        .arg(&dump)
        .arg(&database));
    billing.answer_with(200);
    settles(&supervisor, &case);
    let (asked, times) = keys(&billing);
    supervisor.stop();

    run(server.program("pg_restore").args(["--no-owner", "--dbname", &restored]).arg(&dump));
    let supervisor = serve(&restored, "after", folder.path(), &rules);
    settles(&supervisor, &case);
    let (again, more) = keys(&billing);
    assert!(more > times, "what was under way at the dump is asked again");
    assert_eq!(again, asked, "under the same key");
    supervisor.stop();
}

#[test]
fn what_a_supervisor_needs_of_its_server_is_looked_at() {
    let folder = scratch();
    let database = PostgresServer::shared().new_database();
    let doctor = || {
        let environment =
            [("AMENDS_CLUSTER_DATABASE", database.as_str()), ("AMENDS_CLUSTER_NODE", "one")];
        // The rest of what it looks at is not set up here.
        finish(command().current_dir(folder.path()).arg("doctor").envs(environment)).stdout
    };
    let empty = doctor();
    assert!(empty.contains("✓ ok    database: the database `"), "{empty}");
    assert!(empty.contains("✓ ok    database clock: "), "{empty}");
    assert!(empty.contains("✓ ok    database connections: "), "{empty}");
    // The tests' own server doesn't wait for the disk.
    assert!(empty.contains("! warn  database durability: `fsync`"), "{empty}");
    assert!(empty.contains("! warn  store: there is none in the database"), "{empty}");
    let billing = Legacy::start(200);
    let rules = rules(folder.path(), &billing);
    let supervisor = serve(&database, "one", folder.path(), &rules);
    let used = doctor();
    assert!(used.contains("holds 0 cases in") && used.contains("`one` works on it"), "{used}");
    supervisor.stop();
}

/// What works on a store in a folder works on one in a database, too, by its configuration.
#[test]
fn the_first_token_is_made_and_an_upgrade_is_looked_at_in_the_database() {
    let folder = scratch();
    let database = PostgresServer::shared().new_database();
    let config = format!("[cluster]\ndatabase = \"{database}\"\nnode = \"one\"\n");
    std::fs::write(folder.path().join("amends.toml"), config).expect("our folder");
    let run = |arguments: &[&str]| finish(command().current_dir(folder.path()).args(arguments));
    let preview = ["upgrade", "preview", "--config", "amends.toml", "--exit-code"];
    let none = run(&preview).exits(6).stderr;
    assert!(none.contains("there is no store in it"), "{none}");
    let create = ["token", "create", "--admin", "--config", "amends.toml", "--json"];
    let made = run(&create).exits(0).json();
    let token = made["token"].as_str().expect("it is told").to_owned();

    let billing = Legacy::start(200);
    let rules = rules(folder.path(), &billing);
    let supervisor = serve(&database, "one", folder.path(), &rules);
    let case = supervisor.report("order-1");
    settles(&supervisor, &case);
    let id = token.split('_').nth(1).expect("its id");
    let shown = supervisor.run(&["token", "show", id]).exits(0);
    assert!(shown.stdout.contains("admin"), "{}", shown.stdout);
    let refused = run(&create).exits(6).stderr;
    assert!(refused.contains("a supervisor works on the database"), "{refused}");
    run(&preview).exits(0);
    supervisor.stop();
}

/// Sends reports about charges, one after another, until it is told to stop.
struct Load {
    /// The sagas of reports that were acknowledged.
    acknowledged: Receiver<String>,
    stop: Sender<()>,
    sending: JoinHandle<()>,
}

impl Load {
    fn begin(url: &str) -> Self {
        let host = url.strip_prefix("http://").expect("no TLS").to_owned();
        let (acknowledge, acknowledged) = mpsc::channel();
        let (stop, stopped) = mpsc::channel::<()>();
        let sending = std::thread::spawn(move || {
            for saga in (1..).map(|n| format!("load-{n}")) {
                if stopped.try_recv() == Err(TryRecvError::Disconnected) {
                    return;
                }
                if send(&host, &saga).is_some_and(|answer| answer.contains(" 202 ")) {
                    acknowledge.send(saga).expect("the test waits");
                }
                // No more than can be settled again at the end.
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self { acknowledged, stop, sending }
    }

    /// Waits for so many more.
    fn acknowledges(&self, count: usize) -> Vec<String> {
        let next = || self.acknowledged.recv_timeout(Duration::from_secs(60));
        (0..count).map(|_| next().expect("reports are taken again")).collect()
    }

    fn end(self) -> Vec<String> {
        drop(self.stop);
        self.sending.join().expect("no panic");
        self.acknowledged.try_iter().collect()
    }
}

/// A report that a charge has to be undone; the first line of the answer, if one comes.
fn send(host: &str, saga: &str) -> Option<String> {
    let body = r#"{"code":"out-of-stock","action":"sell","data":{"paymentId":"p-17","amount":12},"history":[{"service":"billing","action":"charge","state":"succeeded"}]}"#;
    let mut stream = TcpStream::connect(host).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    let head = format!(
        "POST /v1/reports HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\nconnection: close\r\n\
         ce-specversion: 1.0\r\nce-type: dev.amends.report.v1\r\nce-id: {saga}\r\nce-source: shop\r\nce-subject: {saga}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.lines().next().map(str::to_owned)
}

/// Each of these sagas has its case in the database, and all cases settle there.
fn are_there_and_settle(server: &PostgresServer, base: &str, sagas: &[String]) {
    let missing = format!(
        "SELECT s FROM unnest('{{{}}}'::text[]) AS s WHERE s NOT IN (SELECT saga FROM amends.cases)",
        sagas.join(",")
    );
    assert_eq!(server.sql(base, &missing), "", "acknowledged and lost");
    server.until(base, "SELECT NOT EXISTS (SELECT FROM amends.cases WHERE state <> 3)");
}

/// The database is killed under reports, and is away for so long that every node counts as dead. Nothing that was
/// acknowledged is lost, and whoever held the store holds it again, although another has waited for it all the time.
#[test]
fn a_database_that_is_away_for_twenty_seconds_loses_nothing_and_moves_nothing() {
    let (folder, server) = (scratch(), PostgresServer::start(""));
    let database = server.new_database();
    let billing = Legacy::start(200);
    let rules = rules(folder.path(), &billing);
    let first = serve(&database, "first", folder.path(), &rules);
    let (waits, path) = ((database.clone(), rules.clone()), folder.path().to_owned());
    let (over, is_over) = mpsc::channel::<()>();
    let second = std::thread::spawn(move || {
        let environment =
            [("AMENDS_CLUSTER_DATABASE", &*waits.0), ("AMENDS_CLUSTER_NODE", "second")];
        let mut command = command();
        command.args(["serve", "--rules", &waits.1, "--data", "second"]).current_dir(path);
        command.args(["--listen", "127.0.0.1:0", "--exit-with-parent"]).envs(environment);
        let streams = Streams { stdin: Stdio::piped(), ..Streams::none() };
        let _process = Process::start(&mut command, streams, "the binary runs");
        let _ = is_over.recv();
    });
    server.until(&database, "SELECT count(*) = 2 FROM amends.node");
    let epochs = "SELECT string_agg(DISTINCT owner, ',') FROM amends.lease";
    let load = Load::begin(&first.url);
    let mut acknowledged = load.acknowledges(50);
    server.kill();
    let back_at = Instant::now() + AWAY;
    while let Some(left) = back_at.checked_duration_since(Instant::now()) {
        // From before, if any: now nothing can be.
        acknowledged.extend(load.acknowledged.recv_timeout(left));
    }
    server.start_again();
    acknowledged.extend(load.acknowledges(50));
    acknowledged.extend(load.end());
    are_there_and_settle(&server, &database, &acknowledged);
    assert_eq!(server.sql(&database, epochs), "first", "the store has moved: {}", first.log());
    drop(over);
    second.join().expect("no panic");
    first.stop();
}

/// The standby has another timeline, so it is another database: the supervisor abandons what it held, waits until
/// others must have noticed, too, and goes on there under the same keys.
#[test]
fn a_supervisor_goes_on_with_the_standby_that_takes_the_place_of_its_database() {
    let (folder, primary) = (scratch(), PostgresServer::start(""));
    let standby = primary.standby();
    primary.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
    primary.sql("postgres", "SELECT pg_reload_conf()");
    primary.until("postgres", "SELECT bool_or(sync_state = 'sync') FROM pg_stat_replication");
    let address = folder.path().join("address");
    let leads_to = |server: &PostgresServer| {
        let next = folder.path().join("next");
        std::os::unix::fs::symlink(server.socket(), &next).expect("our folder");
        std::fs::rename(next, &address).expect("our folder");
    };
    leads_to(&primary);
    let billing = Legacy::start(503);
    let rules = rules(folder.path(), &billing);
    let database = primary.address_by(&address, "postgres");
    let supervisor = serve(&database, "one", folder.path(), &rules);
    let case = supervisor.report("order-1");
    eventually("it was asked", || (keys(&billing).1 > 0).then_some(()));
    let load = Load::begin(&supervisor.url);
    let mut acknowledged = load.acknowledges(20);
    primary.kill();
    leads_to(&standby);
    standby.promote();
    billing.answer_with(200);
    acknowledged.extend(load.acknowledges(20));
    acknowledged.extend(load.end());
    are_there_and_settle(&standby, "postgres", &acknowledged);
    settles(&supervisor, &case);
    let log = supervisor.log();
    assert!(log.contains("another database stands behind the address"), "{log}");
    let cases = standby.sql("postgres", "SELECT count(*) FROM amends.cases");
    assert_eq!(keys(&billing).0.len().to_string(), cases, "each is asked for under one key");
    supervisor.stop();
}

/// Point-in-time recovery: what was under way at that moment is asked again under the same keys, what came later is not
/// known, and comes again by whoever keeps it.
#[test]
fn a_database_put_back_to_a_moment_asks_again_under_the_same_keys() {
    let (folder, server) = (scratch(), PostgresServer::start(ARCHIVING));
    let database = server.new_database();
    let billing = Legacy::start(200);
    let rules = rules(folder.path(), &billing);
    let supervisor = serve(&database, "before", folder.path(), &rules);
    let settled = supervisor.report("order-1");
    settles(&supervisor, &settled);
    server.base_backup();
    billing.answer_with(503);
    let under_way = supervisor.report("order-2");
    let asked_before = keys(&billing).1;
    eventually("it was asked", || (keys(&billing).1 > asked_before).then_some(()));
    server.sql("postgres", "SELECT pg_create_restore_point('then')");
    billing.answer_with(200);
    settles(&supervisor, &under_way);
    let later = supervisor.report("order-3");
    settles(&supervisor, &later);
    let (asked, times) = keys(&billing);
    supervisor.stop();

    let restored = server.restored("then");
    let database = restored.address(database.split(['/', '?']).nth(3).expect("a name"));
    let supervisor = serve(&database, "after", folder.path(), &rules);
    settles(&supervisor, &under_way);
    settles(&supervisor, &settled);
    let (again, more) = keys(&billing);
    assert!(more > times, "what was under way then is asked again");
    assert_eq!(again, asked, "under the same key");
    let unknown = supervisor.run(&["cases", "show", &later]);
    assert!(unknown.code != 0, "it came later: {}", unknown.stdout);
    // Its sender asks again, and it is the same request as before: nothing is undone twice.
    assert_eq!(supervisor.report("order-3"), later);
    settles(&supervisor, &later);
    assert_eq!(keys(&billing).0, asked);
    supervisor.stop();
}
