//! Several supervisors on one database, all of one shop, and what is asked of them.

use super::{Legacy, Supervisor, eventually, scratch, shop_rules};
use amends_private_server::PostgresServer;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// A row for each node that holds something.
pub const HELD: &str = "SELECT owner, count(*) AS n FROM amends.lease GROUP BY owner";

/// Supervisors of one database, and the service that they ask.
pub struct Shop<'a> {
    pub server: &'a PostgresServer,
    pub database: String,
    pub billing: Legacy,
    pub folder: TempDir,
    pub rules: String,
}

impl<'a> Shop<'a> {
    pub fn open(server: &'a PostgresServer) -> Self {
        let (folder, billing) = (scratch(), Legacy::start(200));
        let rules = shop_rules(folder.path(), &billing.address, "auto");
        let text = std::fs::read_to_string(&rules).expect("written");
        std::fs::write(&rules, text.replace("attempts: 3, ", "")).expect("ours");
        Self { server, database: server.new_database(), billing, folder, rules }
    }

    /// Starts one; the first makes the rulebook active.
    pub fn node(&self, name: &str) -> Supervisor {
        serve(&self.database, name, self.folder.path(), &self.rules)
    }

    /// Starts three, and waits until each holds its share.
    pub fn three(&self) -> [Supervisor; 3] {
        let first = self.node("a");
        let nodes = [first, self.node("b"), self.node("c")];
        self.are_even(3);
        nodes
    }

    /// Waits until the database says that it is so.
    pub fn until(&self, sql: &str) {
        self.server.until(&self.database, sql);
    }

    /// Waits until so many nodes hold all of it in even shares.
    pub fn are_even(&self, nodes: usize) {
        let (share, least) = (65_usize.div_ceil(nodes), 65 / nodes);
        self.until(&format!(
            "SELECT count(*) = {nodes} AND bool_and(owner IS NOT NULL AND n BETWEEN {least} AND {share}) FROM ({HELD}) AS h"
        ));
    }

    /// Waits until there are so many cases, all settled.
    pub fn settle(&self, cases: usize) {
        self.until(&format!("SELECT count(*) = {cases} AND bool_and(state = 3) FROM amends.cases"));
    }

    /// Keys under which the service was asked, and how often it was asked.
    pub fn asked(&self) -> (usize, usize) {
        let heard = self.billing.heard();
        let keys: BTreeSet<&str> =
            heard.iter().map(|one| one.headers["idempotency-key"].as_str()).collect();
        (keys.len(), heard.len())
    }
}

pub fn serve(database: &str, node: &str, folder: &Path, rules: &str) -> Supervisor {
    let environment = [
        ("AMENDS_CLUSTER_DATABASE", database),
        ("AMENDS_CLUSTER_NODE", node),
        ("AMENDS_CLUSTER_SHARE", "true"),
    ];
    Supervisor::start_with(&environment, folder, &["--rules", rules, "--data", node])
}

/// A report that a charge has to be undone: the status and the receipt, if an answer comes.
pub fn send(to: &Supervisor, saga: &str) -> Option<(u16, Value)> {
    send_to(&to.url, saga)
}

/// The same, to the node at this address.
pub fn send_to(url: &str, saga: &str) -> Option<(u16, Value)> {
    let body = r#"{"code":"out-of-stock","action":"sell","data":{"paymentId":"p-17","amount":12},"history":[{"service":"billing","action":"charge","state":"succeeded"}]}"#;
    let event = format!(
        "ce-specversion: 1.0\r\nce-type: dev.amends.report.v1\r\nce-id: {saga}\r\nce-source: shop\r\nce-subject: {saga}\r\n"
    );
    ask_at(url, "POST /v1/reports", &event, body)
}

/// The status and the answer, if one comes.
pub fn ask(to: &Supervisor, what: &str, headers: &str, body: &str) -> Option<(u16, Value)> {
    ask_at(&to.url, what, headers, body)
}

fn ask_at(url: &str, what: &str, headers: &str, body: &str) -> Option<(u16, Value)> {
    let host = url.strip_prefix("http://").expect("no TLS");
    let mut stream = TcpStream::connect(host).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    let head = format!(
        "{what} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
}

/// Sends it until it is taken, as an outbox does.
pub fn deliver(to: &Supervisor, saga: &str) -> Value {
    eventually("it is taken", || {
        send(to, saga).filter(|(status, _)| (200..300).contains(status)).map(|(_, receipt)| receipt)
    })
}

/// Sends it until the node that works on it has said in time which case it is.
pub fn deliver_again(to: &Supervisor, saga: &str) -> Value {
    eventually("its case is named", || {
        Some(deliver(to, saga)).filter(|receipt| receipt["caseId"].is_string())
    })
}

pub fn sagas(of: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{of}-{n}")).collect()
}
