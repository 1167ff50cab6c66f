//! `amends kafka`, on a real broker; and a supervisor that is killed while reports come from there.
#![cfg(feature = "kafka")]

mod support;

use amends_private_server::KafkaServer;
use std::path::Path;
use support::brokers::{self, event, loses_none_and_takes_none_twice};
use support::{Done, command, finish, scratch, write};
#[cfg(feature = "postgres")]
use {
    std::collections::{BTreeMap, BTreeSet},
    support::brokers::{is_read, is_taken, sagas},
    support::{Supervisor, eventually},
};

fn configured(folder: &Path, server: &KafkaServer, topic: &str) {
    // A member of the group that was killed is missed after this time.
    let file = format!(
        "[kafka]\nbrokers = [\"{}\"]\ngroup = \"{topic}\"\nsession_timeout = \"1s\"\n[kafka.topics]\n\"{topic}.*\" = []\n",
        server.address()
    );
    write(folder, "amends.toml", &file);
}

fn kafka(folder: &Path, arguments: &[&str]) -> Done {
    brokers::run(folder, "kafka", arguments)
}

fn publish(server: &KafkaServer, topic: &str, numbers: impl IntoIterator<Item = usize>) {
    let events: Vec<String> = numbers.into_iter().map(event).collect();
    server.publish(topic, events.iter().map(String::as_str));
}

#[test]
fn topics_are_looked_at_and_seen_to_wait() {
    let (server, folder) = (KafkaServer::start(), scratch());
    write(folder.path(), "amends.toml", "");
    let unnamed = kafka(folder.path(), &["check"]).exits(2);
    assert!(unnamed.stderr.contains("set `kafka.brokers`"), "{}", unnamed.stderr);
    configured(folder.path(), &server, "looked");
    let missing = kafka(folder.path(), &["check"]).exits(1);
    assert!(missing.stdout.contains("fail no topic `looked.*`"), "{}", missing.stdout);
    server.make_topic("looked.shop", 2);
    let good = kafka(folder.path(), &["check", "--json"]).exits(0).json();
    let texts = good.to_string();
    for says in ["one copy", "keeps messages", "has not read yet"] {
        assert!(texts.contains(says), "{says}: {texts}");
    }
    publish(&server, "looked.shop", 1..=3);
    let lag = kafka(folder.path(), &["lag", "--json"]).exits(0).json();
    assert_eq!(lag["waiting"], 3, "{lag}");
    assert_eq!(lag["partitions"].as_array().map(Vec::len), Some(2), "{lag}");
    let told = kafka(folder.path(), &["lag"]).exits(0).stdout;
    assert!(told.contains("3 wait in 2 partitions") && told.contains("nothing read yet"), "{told}");
    let mut doctor = command();
    doctor.current_dir(folder.path()).args(["doctor", "--config", "amends.toml"]);
    let doctor = finish(&mut doctor).stdout;
    assert!(doctor.contains("has not read yet"), "{doctor}");
    server.kill();
    let away = kafka(folder.path(), &["lag"]).exits(3);
    assert!(away.stderr.contains(&server.address()), "{}", away.stderr);
}

#[test]
fn killed_at_any_moment_it_loses_no_report_and_takes_none_twice() {
    let (server, folder) = (KafkaServer::shared(), scratch());
    configured(folder.path(), server, "killed");
    server.make_topic("killed.shop", 3);
    loses_none_and_takes_none_twice(folder.path(), "kafka", |numbers| {
        publish(server, "killed.shop", numbers);
    });
}

/// Supervisors of one group and one store follow each other while reports come; the first is killed in the middle, the
/// next ends in order. It proves that a partition which moves in mid-batch moves with its store: what one had taken
/// and not yet told Kafka is known to the next, each report has one case, and each effect is asked for under one key,
/// however often. It proves nothing of supervisors with stores of their own: both would undo what both have read.
#[cfg(feature = "postgres")]
#[test]
fn partitions_that_move_in_mid_batch_double_no_effect() {
    let (server, folder) = (KafkaServer::shared(), scratch());
    configured(folder.path(), server, "moves");
    server.make_topic("moves.shop", 3);
    let database = amends_private_server::PostgresServer::shared().new_database();
    let billing = support::Legacy::start(200);
    let rules = support::shop_rules(folder.path(), &billing.address, "auto");
    let text = std::fs::read_to_string(&rules).expect("written");
    std::fs::write(&rules, text.replace("attempts: 3, ", "")).expect("ours");
    let serve = |node: &'static str| {
        let (database, folder) = (database.clone(), folder.path().to_owned());
        std::thread::spawn(move || {
            let environment =
                [("AMENDS_CLUSTER_DATABASE", database.as_str()), ("AMENDS_CLUSTER_NODE", node)];
            let arguments = ["--config", "amends.toml", "--rules", "shop.yaml", "--data", node];
            Supervisor::start_with(&environment, &folder, &arguments)
        })
    };
    let publish = |numbers: std::ops::Range<usize>| {
        let events: Vec<String> = numbers.map(charged).collect();
        server.publish("moves.shop", events.iter().map(String::as_str));
    };
    publish(0..REPORTS);
    let mut first = serve("a").join().expect("it starts");
    is_taken(&first, 7);
    // It waits for the store, and with it for its partitions.
    let second = serve("b");
    first.kill();
    let second = second.join().expect("it takes over");
    publish(REPORTS..2 * REPORTS);
    is_taken(&second, REPORTS + 7);
    let third = serve("c");
    second.stop();
    let third = third.join().expect("it takes over");
    publish(2 * REPORTS..3 * REPORTS);
    is_read(folder.path(), "kafka");

    let all: BTreeSet<String> = (0..3 * REPORTS).map(|n| format!("o-{n}")).collect();
    let sagas = sagas(&third);
    assert_eq!(sagas.len(), all.len(), "each has one case");
    assert_eq!(sagas.into_iter().collect::<BTreeSet<_>>(), all);
    let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    eventually("each is refunded", || {
        for heard in billing.heard() {
            keys.entry(heard.path).or_default().insert(heard.headers["idempotency-key"].clone());
        }
        (keys.len() == all.len()).then_some(())
    });
    assert!(keys.values().all(|of_one| of_one.len() == 1), "each under one key: {keys:?}");
    third.stop();
}

/// Reports of each of three.
#[cfg(feature = "postgres")]
const REPORTS: usize = 60;

/// A report of a charge that has to be undone.
#[cfg(feature = "postgres")]
fn charged(n: usize) -> String {
    let mut event: serde_json::Value = serde_json::from_str(&event(n)).expect("JSON");
    event["data"] = serde_json::json!({
        "code": "out-of-stock", "action": "sell", "data": { "paymentId": format!("p-{n}"), "amount": 12 },
        "history": [{ "service": "billing", "action": "charge", "state": "succeeded" }],
    });
    event.to_string()
}
