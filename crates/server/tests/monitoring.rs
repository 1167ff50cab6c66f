//! What is shipped for monitoring agrees with what the supervisor tells: the page of metrics, the alert rules (which
//! promtool tests), and the dashboard.

use amends_server::{Config, KafkaOptions, NatsOptions, start};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect("a file of the tree")
}

/// Every kind of metric has something to tell once a report was answered, if only by a plan that is not carried out.
const RULES: &str = "rulebook: shop
services: { payment: { url: \"http://127.0.0.1:1\", actions: { pay: { compensation: refund } } } }
reports: { payment/failed: { in: pay, data: { total: { type: decimal, role: amount, currency: EUR } } } }
rules: [{ on: \"*/*\", compensate: [payment.pay], mode: shadow }]
";

async fn call(to: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(to).await.expect("a connection");
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an answer");
    answer
}

/// A broker that is not there.
fn nobody() -> NatsOptions {
    NatsOptions {
        servers: vec!["nats://127.0.0.1:1".to_owned()],
        stream: "AMENDS".to_owned(),
        durable: "amends".to_owned(),
        ack_wait: Duration::from_secs(60),
        channels: Vec::new(),
        credentials: None,
        user: None,
        authorities: None,
        identity: None,
    }
}

/// Another one.
fn nothing() -> KafkaOptions {
    KafkaOptions {
        brokers: vec!["127.0.0.1:1".to_owned()],
        group: "amends".to_owned(),
        session_timeout: Duration::from_secs(10),
        channels: Vec::new(),
        tls: false,
        authorities: None,
        identity: None,
        sasl: None,
    }
}

/// Names of metrics as `/metrics` declares them: of a counter with `_total`.
async fn told() -> BTreeSet<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = folder.path().join("rules.yaml");
    std::fs::write(&rules, RULES).expect("a file");
    let mut config = Config::defaults();
    config.listen = "127.0.0.1:0".to_owned();
    config.data = folder.path().join("data");
    config.rules = Some(rules);
    config.kafka = cfg!(feature = "kafka").then(nothing);
    config.nats = cfg!(feature = "nats").then(nobody);
    let running = start(config).await.expect("started");
    // One case settles, the other one waits.
    let pays =
        "{\"action\":\"pay\",\"requestId\":\"q\",\"state\":\"unknown\",\"service\":\"payment\"}";
    for (saga, more) in
        [("s", String::new()), ("t", format!(",\"data\":{{\"total\":5}},\"history\":[{pays}]"))]
    {
        let body = format!("{{\"code\":\"failed\"{more}}}");
        let report = format!(
            "POST /v1/reports HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
             ce-specversion: 1.0\r\nce-type: dev.amends.report.v1\r\nce-source: payment\r\nce-id: {saga}\r\n\
             ce-subject: {saga}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let taken = call(running.address, &report).await;
        assert!(taken.starts_with("HTTP/1.1 202"), "{taken}");
    }
    // And a person holds the rules.
    let held = "PUT /v1/rulebooks/shop/hold HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
                content-length: 14\r\n\r\n{\"reason\":\"x\"}";
    let held = call(running.address, held).await;
    assert!(held.starts_with("HTTP/1.1 200"), "{held}");
    let scrape = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let page = call(running.address, scrape).await;
    running.stop().await.expect("ended in order");
    page.lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, kind)| match kind {
            "counter" => format!("{name}_total"),
            _ => name.to_owned(),
        })
        .collect()
}

/// Words that begin with `amends_`, without what a histogram adds to its name.
fn named(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("amends_"))
        .map(|word| {
            let bare = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
            bare.unwrap_or(word).to_owned()
        })
        .collect()
}

/// A store in a file has no nodes; `src/telemetry/metrics_tests.rs` has some, and looks for them in the page.
fn is_of_nodes(name: &str) -> bool {
    name.starts_with("amends_node_")
}

#[tokio::test]
async fn the_page_lists_every_metric_and_no_other() {
    let mut page = named(&read("docs/reference/metrics.md"));
    page.retain(|name| !is_of_nodes(name));
    if cfg!(not(any(feature = "kafka", feature = "nats"))) {
        page.retain(|name| {
            !name.starts_with("amends_messages_") && !name.starts_with("amends_broker_")
        });
    }
    if cfg!(not(feature = "kafka")) {
        page.retain(|name| !name.starts_with("amends_offset_"));
    }
    assert_eq!(page, told().await);
}

#[tokio::test]
async fn alert_rules_and_dashboard_ask_for_metrics_that_there_are() {
    let told = told().await;
    for path in ["deploy/prometheus/amends.rules.yml", "deploy/grafana/amends.json"] {
        let mut named = named(&read(path));
        named.retain(|name| !is_of_nodes(name));
        if cfg!(not(feature = "kafka")) {
            named.retain(|name| !name.starts_with("amends_offset_"));
        }
        assert!(named.len() > 5, "{path} asks for {named:?}");
        let unknown: Vec<_> = named.difference(&told).collect();
        assert!(unknown.is_empty(), "{path} asks for {unknown:?}");
    }
}

#[test]
fn the_dashboard_is_json_with_a_title_for_every_panel() {
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("deploy/grafana/amends.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    assert!(panels.iter().all(|p| p["title"].is_string() && p["targets"][0]["expr"].is_string()));
}

#[test]
fn the_alert_rules_pass_their_own_tests() {
    for arguments in
        [["check", "rules", "amends.rules.yml"], ["test", "rules", "amends.rules.test.yml"]]
    {
        let ran = Command::new("promtool")
            .args(arguments)
            .current_dir(root().join("deploy/prometheus"))
            .output()
            .expect("promtool runs; it is in the Debian package `prometheus`");
        let said = String::from_utf8_lossy(&ran.stdout).into_owned()
            + &String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "promtool {arguments:?}:\n{said}");
    }
}
