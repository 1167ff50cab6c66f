//! `amends nats`, on a real server; and a supervisor that is killed while reports come from there.
#![cfg(feature = "nats")]

mod support;

use amends_private_server::NatsServer;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use support::brokers::{self, event, is_read, is_taken, loses_none_and_takes_none_twice, sagas};
use support::{Done, Supervisor, command, eventually, finish, scratch, write};

fn configured(folder: &Path, server: &NatsServer) {
    configured_at(folder, &server.url());
}

fn configured_at(folder: &Path, url: &str) {
    let file = format!(
        "[nats]\nservers = [\"{url}\"]\nack_wait = \"1s\"\n[nats.subjects]\n\"amends.reports.*\" = []\n"
    );
    write(folder, "amends.toml", &file);
}

/// A way to a server on which everything comes, and on which nothing goes once it is mute.
struct Way {
    url: String,
    mute: Arc<AtomicBool>,
}

impl Way {
    fn to(server: &NatsServer) -> Self {
        let (port, mute) = (server.port(), Arc::new(AtomicBool::new(false)));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("nats://{}", listener.local_addr().expect("bound"));
        let is_mute = Arc::clone(&mute);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { return };
                let pair = |stream: &TcpStream| stream.try_clone().expect("a second handle");
                let (there, back) = ((pair(&client), pair(&server)), (server, client));
                let (is_mute, never) = (Arc::clone(&is_mute), Arc::new(AtomicBool::new(false)));
                std::thread::spawn(move || copy(there, &is_mute));
                std::thread::spawn(move || copy(back, &never));
            }
        });
        Self { url, mute }
    }
}

/// Passes on what comes, or loses it.
fn copy((mut from, mut to): (TcpStream, TcpStream), is_mute: &AtomicBool) {
    let mut some = [0; 4_096];
    while let Ok(read @ 1..) = from.read(&mut some) {
        if !is_mute.load(Ordering::SeqCst) && to.write_all(&some[..read]).is_err() {
            break;
        }
    }
    // Whoever is left hears that the other is gone.
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// A line of the metrics.
fn metric(supervisor: &Supervisor, name: &str) -> Option<String> {
    let address = supervisor.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("connected");
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    let value = |line: &str| line.strip_prefix(name).map(|value| value.trim().to_owned());
    text.lines().find_map(value)
}

fn nats(folder: &Path, arguments: &[&str]) -> Done {
    brokers::run(folder, "nats", arguments)
}

/// Publishes as any client would, by NATS' own text protocol; what the server has answered to, it has.
fn publish(server: &NatsServer, numbers: impl IntoIterator<Item = usize>) {
    let address = server.url();
    let mut stream = TcpStream::connect(address.trim_start_matches("nats://")).expect("connected");
    let mut text = "CONNECT {\"verbose\":false}\r\n".to_owned();
    for n in numbers {
        let event = event(n);
        text.push_str(&format!("PUB amends.reports.shop {}\r\n{event}\r\n", event.len()));
    }
    text.push_str("PING\r\n");
    stream.write_all(text.as_bytes()).expect("sent");
    let mut said = Vec::new();
    let mut some = [0; 4_096];
    while !said.windows(4).any(|window| window == b"PONG") {
        let read = stream.read(&mut some).expect("it answers");
        assert!(read > 0, "{}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&some[..read]);
    }
}

#[test]
fn a_stream_is_made_looked_at_and_seen_to_wait() {
    let (server, folder) = (NatsServer::start(), scratch());
    write(folder.path(), "amends.toml", "");
    let unnamed = nats(folder.path(), &["check"]).exits(2);
    assert!(unnamed.stderr.contains("set `nats.servers`"), "{}", unnamed.stderr);
    configured(folder.path(), &server);
    let missing = nats(folder.path(), &["check"]).exits(1);
    assert!(missing.stdout.contains("fail stream `AMENDS`"), "{}", missing.stdout);
    assert!(missing.stdout.contains("amends nats init"), "{}", missing.stdout);
    let made = nats(folder.path(), &["init"]).exits(0).stdout;
    assert!(made.contains("stream `AMENDS` is made"), "{made}");
    let again = nats(folder.path(), &["init"]).exits(0).stdout;
    assert!(again.contains("nothing of it was changed"), "{again}");
    let good = nats(folder.path(), &["check", "--json"]).exits(0).json();
    assert!(
        good.as_array().is_some_and(|all| all.iter().all(|one| one["verdict"] == "ok")),
        "{good}"
    );
    publish(&server, 1..=3);
    let lag = nats(folder.path(), &["lag", "--json"]).exits(0).json();
    assert_eq!((&lag["waiting"], &lag["held"]), (&3.into(), &3.into()), "{lag}");
    server.kill();
    let away = nats(folder.path(), &["lag"]).exits(3);
    assert!(away.stderr.contains(&server.url()), "{}", away.stderr);
}

#[test]
fn killed_at_any_moment_it_loses_no_report_and_takes_none_twice() {
    let (server, folder) = (NatsServer::start(), scratch());
    configured(folder.path(), &server);
    nats(folder.path(), &["init"]).exits(0);
    loses_none_and_takes_none_twice(folder.path(), "nats", |numbers| publish(&server, numbers));
}

#[test]
fn killed_between_commit_and_acknowledgement_it_knows_the_report_when_it_comes_again() {
    const DUPLICATES: &str = r#"amends_messages_total{way="nats",result="duplicate"}"#;
    let (server, folder) = (NatsServer::start(), scratch());
    let way = Way::to(&server);
    configured_at(folder.path(), &way.url);
    nats(folder.path(), &["init"]).exits(0);
    let arguments = ["--config", "amends.toml", "--data", "data"];
    let mut supervisor = Supervisor::start(folder.path(), &arguments);
    // It asks the server for many at once, and this one is its first.
    publish(&server, [1]);
    let unread = |number: u64| {
        let lag = nats(folder.path(), &["lag", "--json"]).exits(0).json();
        (lag["waiting"].as_u64(), lag["inHand"].as_u64()) == (Some(0), Some(number))
    };
    eventually("the first is acknowledged", || unread(0).then_some(()));
    way.mute.store(true, Ordering::SeqCst);
    publish(&server, [2]);
    is_taken(&supervisor, 2);
    supervisor.kill();
    way.mute.store(false, Ordering::SeqCst);
    assert!(unread(1), "nobody has acknowledged it");
    let supervisor = Supervisor::start(folder.path(), &arguments);
    is_read(folder.path(), "nats");
    assert_eq!(metric(&supervisor, DUPLICATES).as_deref(), Some("1"));
    let mut sagas = sagas(&supervisor);
    sagas.sort();
    assert_eq!(sagas, ["o-1", "o-2"], "each once");
}

const BRIDGE: &str = r#"
[bridges.payment]
subjects = ["payment.events"]
when = { "/status" = "FAILED" }
saga = "/orderId"
source = "payment"
code = { at = "/error", values = { CARD_DECLINED = "card-declined" } }
data = { couponId = "/coupon" }
"#;

const SHOP: &str = r#"
rulebook: shop
services:
  payment: { actions: { charge: { effect: none, calls: [coupon.redeem] } } }
  coupon: { url: "http://127.0.0.1:1", actions: { redeem: { compensation: release } } }
rules:
  - { on: payment/card-declined, compensate: [coupon.redeem] }
"#;

#[test]
fn an_event_in_other_words_is_tried_before_anything_runs() {
    let folder = scratch();
    write(folder.path(), "amends.toml", BRIDGE);
    write(folder.path(), "shop.yaml", SHOP);
    let tries = |event: &str, more: &[&str]| {
        write(folder.path(), "event.json", event);
        nats(
            folder.path(),
            &[&["try", "--rules", "shop.yaml", "--file", "event.json"][..], more].concat(),
        )
    };
    let failed = r#"{"orderId":"order-17","status":"FAILED","error":"CARD_DECLINED"}"#;
    let told = tries(failed, &[]).exits(0).stdout;
    for says in [
        "the bridge `payment` makes this report of it",
        "left out: `data.couponId`: `/coupon` is not there",
        "report payment/card-declined in rulebook shop",
        "coupon.redeem",
    ] {
        assert!(told.contains(says), "{says}: {told}");
    }
    let told = tries(failed, &["--subject", "payment.events", "--json"]).exits(0).json();
    assert_eq!(told["report"]["subject"], "order-17", "{told}");
    assert_eq!(told["bridge"], "payment", "{told}");
    assert!(told["explained"]["plan"].to_string().contains("coupon.redeem"), "{told}");
    let paid = tries(&failed.replace("FAILED", "PAID"), &[]).exits(0).stdout;
    assert!(paid.contains("is skipped: `/status`"), "{paid}");
    let odd = tries(&failed.replace("CARD_DECLINED", "FRAUD"), &[]).exits(1).stdout;
    assert!(
        odd.contains("put aside for people (invalid-report)") && odd.contains("FRAUD"),
        "{odd}"
    );
    let foreign = tries(failed, &["--subject", "elsewhere"]).exits(1).stdout;
    assert!(foreign.contains("put aside"), "{foreign}");
    write(folder.path(), "shop.yaml", &SHOP.replace("payment/card-declined", "payment/fraud"));
    let unheard = tries(failed, &[]).exits(1).stdout;
    assert!(unheard.contains("No rule answers it"), "{unheard}");
    let mut check = command();
    check.current_dir(folder.path()).args(["config", "check", "--config", "amends.toml"]);
    let warned = finish(check.args(["--rules", "shop.yaml"])).exits(0).stderr;
    assert!(warned.contains("no rule answers `payment/card-declined`"), "{warned}");
    write(folder.path(), "amends.toml", &BRIDGE.replace("\"/orderId\"", "\"orderId\""));
    let wrong = tries(failed, &[]).exits(1).stderr;
    assert!(wrong.contains("bridges.payment") && wrong.contains("say where it stands"), "{wrong}");
}
