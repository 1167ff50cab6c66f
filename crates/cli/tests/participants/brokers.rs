//! Reports of the participants by a broker: each comes to the supervisor under its id, also one of a time when the
//! broker was away.

use crate::rig::{Language, Participant, Setting, Store, ask};
use crate::support::{Supervisor, amends, eventually, scratch, write};
use amends_private_server::NatsServer;
use serde_json::{Value, json};
use std::path::Path;

crate::in_each_language!(reports_go_by_nats_and_wait_while_it_is_away);
#[cfg(feature = "kafka")]
mod by_kafka {
    use super::reports_go_by_kafka_and_wait_while_it_is_away;
    crate::in_each_language!(reports_go_by_kafka_and_wait_while_it_is_away);
}

const RULES: &str = "rulebook: shop
services: { coupon: { url: \"http://127.0.0.1:9\", actions: { redeem: { compensation: restore } } } }
rules: [{ on: \"*/*\", compensate: recorded }]
";

/// A participant that reports there.
fn reporting(language: Language, store: Store, folder: &Path, to: String) -> Participant {
    Setting { reports_to: to, ..Setting::new(language, store, folder) }.start()
}

/// A failure in this saga, and so a report.
fn fail(coupon: &Participant, saga: &str) -> String {
    coupon.post("/redeem", saga, &format!("r-{saga}"), &json!({})).report()
}

/// Starts a supervisor that reads at the broker, and waits until each saga has its report, under its id.
fn all_come(folder: &Path, wanted: [(&str, String); 3]) {
    write(folder, "rules.yaml", RULES);
    let arguments = ["--config", "amends.toml", "--rules", "rules.yaml", "--data", "data"];
    let supervisor = Supervisor::start(folder, &arguments);
    let get = |path: &str| ask(&supervisor.url, "GET", path, "", "").expect("it answers").body;
    let wanted = wanted.map(|(saga, id)| (saga.to_owned(), vec![id]));
    eventually("all reports come", || {
        let cases = get("/v1/cases");
        let cases = cases["items"].as_array().expect("a list").iter();
        let mut came: Vec<(String, Vec<String>)> = cases
            .map(|case| {
                let detail = get(&format!("/v1/cases/{}", text(&case["id"])));
                let reports = detail["reports"].as_array().expect("a list").iter();
                (text(&case["sagaId"]), reports.map(|report| text(&report["id"])).collect())
            })
            .collect();
        came.sort();
        (came == wanted).then_some(())
    });
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

fn reports_go_by_nats_and_wait_while_it_is_away(language: Language, store: Store) {
    let (server, folder) = (NatsServer::start(), scratch());
    let (folder, url) = (folder.path(), server.url());
    let file = write(folder, "amends.toml", &format!("[nats]\nservers = [\"{url}\"]\n"));
    amends(&["nats", "init", "--config", &file]).exits(0);
    let coupon = reporting(language, store, folder, url);
    let first = fail(&coupon, "order-1");
    server.kill();
    let second = fail(&coupon, "order-2");
    server.start_again();
    let third = fail(&coupon, "order-3");
    all_come(folder, [("order-1", first), ("order-2", second), ("order-3", third)]);
}

#[cfg(feature = "kafka")]
fn reports_go_by_kafka_and_wait_while_it_is_away(language: Language, store: Store) {
    let (server, folder) = (amends_private_server::KafkaServer::start(), scratch());
    let (folder, address) = (folder.path(), server.address());
    write(folder, "amends.toml", &format!("[kafka]\nbrokers = [\"{address}\"]\n"));
    server.make_topic("amends.reports.coupon", 2);
    let coupon = reporting(language, store, folder, format!("kafka://{address}"));
    let first = fail(&coupon, "order-1");
    server.kill();
    let second = fail(&coupon, "order-2");
    server.start_again();
    let third = fail(&coupon, "order-3");
    all_come(folder, [("order-1", first), ("order-2", second), ("order-3", third)]);
}
