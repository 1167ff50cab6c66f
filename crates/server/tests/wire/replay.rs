//! Lets the exchanges of a page take place, one after the other: sends what the reader is to send, and waits for what
//! the parties send by themselves. Ids that the page shows are put in as they really were.

use super::business::{Addresses, KEY, RULEBOOK, start, start_bank};
use super::compare::{Names, Sent, differences};
use super::door::{Doors, bind};
use super::page::{Exchange, Message};
use amends_protocol::Timestamp;
use amends_server::config::Layers;
use amends_server::dispatch::Signer;
use amends_server::{Clock, Config, SystemClock};
use axum::body::Bytes;
use http::{HeaderMap, HeaderValue, header};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// How long an exchange may take; reached only when something is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// The services that the supervisor knows, and so the doors that it has.
const SERVICES: [&str; 6] = ["payment", "coupon", "delivery", "rider", "sms", "bank"];

/// The saga in which delivery's answer to payment is lost.
const LOST: &str = "order-4711";

/// An exchange of the page and how it took place. The request is none if the test sent it as shown.
pub struct Happened {
    pub exchange: Exchange,
    pub request: Option<Sent>,
    pub answer: Sent,
    /// The ids as they were known before it.
    pub names: Names,
}

/// Plays the page's exchanges on real parties. Fails at the first that differs from what is shown.
pub async fn replay(exchanges: Vec<Exchange>) -> Vec<Happened> {
    let folder = tempfile::tempdir().expect("a folder");
    let doors = Doors::new();
    let mut listeners = Vec::new();
    for name in SERVICES {
        listeners.push((name, bind().await));
    }
    let mut targets: HashMap<&str, SocketAddr> =
        listeners.iter().map(|(name, (_, address))| (*name, *address)).collect();
    let mut rules = RULEBOOK.to_owned();
    for name in SERVICES {
        let door = doors.open("supervisor", name, targets[name], None).await;
        rules = rules.replace(&format!("{{{name}}}"), &door);
    }
    std::fs::write(folder.path().join("rules.yaml"), rules).expect("a file");
    let supervisor = amends_server::start(config(folder.path())).await.expect("starts");
    targets.insert("supervisor", supervisor.address);
    let _services = start_services(folder.path(), &doors, &targets, listeners).await;

    let mut names = Names::new();
    let mut happened: Vec<Happened> = Vec::new();
    for exchange in exchanges {
        let before = names.clone();
        let one = match exchange.from.clone() {
            None => by_hand(&doors, &targets, &exchange, &names).await,
            Some(from) => by_itself(&doors, &from, &exchange).await,
        };
        let mut found = Vec::new();
        if let Some(request) = &one.0 {
            found.extend(differences(&exchange.request, request, &mut names));
        }
        if let Some(shown) = &exchange.answer {
            found.extend(differences(shown, &one.1, &mut names));
        }
        let line = exchange.line;
        assert!(found.is_empty(), "line {line}: {}\n{one:#?}", found.join("\n"));
        happened.push(Happened { exchange, request: one.0, answer: one.1, names: before });
    }
    supervisor.stop().await.expect("ends in order");
    happened
}

fn config(folder: &Path) -> Config {
    let mut layers = Layers::defaults();
    layers.flag("listen", "listen", "127.0.0.1:0");
    layers.flag("data", "data", &folder.join("data").display().to_string());
    layers.flag("rules", "rules", &folder.join("rules.yaml").display().to_string());
    layers.flag("grace", "shutdown.grace", "2s");
    layers.environment([("AMENDS_SIGNING_KEYS_COUPON".to_owned(), KEY.to_owned())]);
    Config::from_layers(&layers).expect("a valid configuration")
}

async fn start_services(
    folder: &Path,
    doors: &Doors,
    targets: &HashMap<&str, SocketAddr>,
    listeners: Vec<(&'static str, (TcpListener, SocketAddr))>,
) -> Vec<super::business::Service> {
    let mut running = Vec::new();
    for (name, (listener, _)) in listeners {
        if name == "bank" {
            start_bank(listener);
            continue;
        }
        let lost = (name == "payment").then_some(LOST);
        let addresses = Addresses {
            supervisor: doors.open(name, "supervisor", targets["supervisor"], None).await,
            coupon: doors.open(name, "coupon", targets["coupon"], None).await,
            delivery: doors.open(name, "delivery", targets["delivery"], lost).await,
            rider: doors.open(name, "rider", targets["rider"], None).await,
        };
        running.push(start(name, folder, Arc::new(addresses), listener));
    }
    running
}

/// Sends what the page shows; ids as they really are, times from now on, signatures made anew.
async fn by_hand(
    doors: &Doors,
    targets: &HashMap<&str, SocketAddr>,
    exchange: &Exchange,
    names: &Names,
) -> (Option<Sent>, Sent) {
    let Message { start, headers, text, .. } = &exchange.request;
    let target = *targets.get(exchange.to.as_str()).expect("a party");
    let now = SystemClock.now();
    let mut body = renamed(text, names);
    for moment in text.split('"').filter(|part| Timestamp::parse(part).is_ok()) {
        body = body.replace(moment, &now.plus_ms(3_600_000).to_string());
    }
    let mut sent = HeaderMap::new();
    for (name, value) in headers {
        let value = renamed(value.to_str().expect("text"), names);
        sent.append(name, HeaderValue::from_str(&value).expect("a value"));
    }
    if sent.contains_key("webhook-signature") {
        let seconds = now.0 / 1_000;
        let id = sent["webhook-id"].to_str().expect("text").to_owned();
        let signature = Signer::new(&[KEY]).expect("a key").sign(&id, seconds, body.as_bytes());
        sent.insert("webhook-timestamp", HeaderValue::from(seconds));
        sent.insert("webhook-signature", signature.parse().expect("a value"));
    }
    sent.remove(header::HOST);
    let start = renamed(start, names);
    let asked = doors.ask(target, &start, sent, Bytes::from(body));
    let answer = tokio::time::timeout(PATIENCE, asked).await.expect("in time");
    (None, answer)
}

/// Waits until one party has sent the other what the page shows.
async fn by_itself(doors: &Doors, from: &str, exchange: &Exchange) -> (Option<Sent>, Sent) {
    let shown = &exchange.request;
    let saga = |headers: &HeaderMap| headers.get("saga-id").or(headers.get("ce-subject")).cloned();
    let fits =
        |sent: &Sent| sent.start == shown.start && saga(&sent.headers) == saga(&shown.headers);
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(passed) = doors.take(from, &exchange.to, fits) {
            return (Some(passed.request), passed.answer);
        }
        let (line, to) = (exchange.line, &exchange.to);
        assert!(
            Instant::now() < deadline,
            "line {line}: {from} never sent {to} `{}`; there was\n{}",
            shown.start,
            doors.left()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn renamed(text: &str, names: &Names) -> String {
    names.iter().fold(text.to_owned(), |text, (shown, real)| text.replace(shown, real))
}
