//! `amends kafka`, on a real broker; and a supervisor that is killed while reports come from there.
#![cfg(feature = "kafka")]

mod support;

use amends_private_server::KafkaServer;
use std::collections::BTreeSet;
use std::path::Path;
use support::{Done, Supervisor, command, eventually, finish, scratch, write};

/// Reports in each round, and how often the supervisor is killed.
const REPORTS: usize = 60;
const ROUNDS: usize = 3;

fn configured(folder: &Path, server: &KafkaServer, topic: &str) {
    // A member of the group that was killed is missed after this time.
    let file = format!(
        "[kafka]\nbrokers = [\"{}\"]\ngroup = \"{topic}\"\nsession_timeout = \"1s\"\n[kafka.topics]\n\"{topic}.*\" = []\n",
        server.address()
    );
    write(folder, "amends.toml", &file);
}

fn kafka(folder: &Path, arguments: &[&str]) -> Done {
    let mut run = command();
    run.current_dir(folder).arg("kafka").args(arguments).args(["--config", "amends.toml"]);
    finish(&mut run)
}

fn publish(server: &KafkaServer, topic: &str, numbers: impl IntoIterator<Item = usize>) {
    let events: Vec<String> = numbers
        .into_iter()
        .map(|n| {
            format!(
                r#"{{"specversion":"1.0","type":"dev.amends.report.v1","source":"shop","id":"r-{n}","subject":"o-{n}","data":{{"code":"failed"}}}}"#
            )
        })
        .collect();
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
    let arguments = ["--config", "amends.toml", "--data", "data"];
    for round in 0..ROUNDS {
        let first = round * REPORTS;
        publish(server, "killed.shop", first..first + REPORTS);
        let mut supervisor = Supervisor::start(folder.path(), &arguments);
        // Somewhere among them: some are committed in the store, some there and at Kafka, some are in hand, some wait.
        eventually("some are taken", || {
            let saga = format!("o-{}", first + round * 7);
            let page =
                supervisor.run(&["cases", "list", "--limit", "1", "--saga", &saga, "--json"]);
            page.stdout.contains("o-").then_some(())
        });
        supervisor.kill();
    }
    let supervisor = Supervisor::start(folder.path(), &arguments);
    eventually("all are read", || {
        let lag = kafka(folder.path(), &["lag", "--json"]).exits(0).json();
        (lag["waiting"] == 0).then_some(())
    });
    let listed = supervisor.run(&["export", "--format", "ndjson"]).exits(0).stdout;
    let sagas: Vec<String> = listed
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .map(|case| case["sagaId"].as_str().expect("a saga").to_owned())
        .collect();
    let apart: BTreeSet<&String> = sagas.iter().collect();
    assert_eq!((sagas.len(), apart.len()), (ROUNDS * REPORTS, ROUNDS * REPORTS));
}
