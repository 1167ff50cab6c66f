//! Supervisors that keep their cases in PostgreSQL: two on one database, and one on a dump that was restored.

#![cfg(feature = "postgres")]

mod support;

use amends_private_server::PostgresServer;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use support::{Legacy, Supervisor, command, eventually, finish, scratch, shop_rules};

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
