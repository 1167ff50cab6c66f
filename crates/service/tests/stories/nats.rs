//! Reports by NATS, on a real server: each is in the stream once it counts as taken, whatever is away or killed.

use crate::base::Base as _;
use crate::published::{
    believing, dies_before_it_hears, emptied, fail, outlives_its_broker, paying,
    refuses_what_is_too_large, small, why_later,
};
use crate::rig::until;
use amends_private_server::{Keys, NatsServer};
use amends_service::{
    Certificates, Delivery, NatsConfig, NatsLogin, NatsSink, ReportSink as _, Sqlite,
};
use async_nats::ConnectOptions;
use async_nats::jetstream;
use async_nats::jetstream::stream::{Config, Stream};
use serde_json::{Value, json};

/// Who may do what, where that matters: `payment` publishes its own reports, `mute` publishes elsewhere.
const USERS: &str = r#"
authorization { users: [
    { user: admin, password: admin }
    { user: payment, password: secret, permissions: { publish: "amends.reports.payment", subscribe: "_INBOX.>" } }
    { user: mute, password: secret, permissions: { publish: "elsewhere", subscribe: "_INBOX.>" } }
] }
"#;

async fn stream(url: String, options: ConnectOptions) -> Stream {
    let client = options.connect(url).await.expect("connected");
    let config = Config {
        name: "AMENDS".to_owned(),
        subjects: vec!["amends.reports.*".to_owned()],
        ..Config::default()
    };
    jetstream::new(client).create_stream(config).await.expect("made")
}

async fn open_stream(server: &NatsServer) -> Stream {
    stream(server.url(), ConnectOptions::new()).await
}

fn sink(server: &NatsServer) -> NatsSink {
    NatsSink::new(NatsConfig::new("payment", &server.url())).expect("good settings")
}

/// Everything in the stream: each message's id for NATS, and its event.
async fn published(stream: &Stream) -> Vec<(String, Value)> {
    let last = stream.get_info().await.expect("answers").state.last_sequence;
    let mut found = Vec::new();
    for sequence in 1..=last {
        let message = stream.get_raw_message(sequence).await.expect("there");
        assert_eq!(message.subject.as_str(), "amends.reports.payment");
        let header = |name: &str| message.headers.get(name).expect("sent").as_str().to_owned();
        assert_eq!(header("content-type"), "application/cloudevents+json");
        let event = serde_json::from_slice(&message.payload).expect("JSON");
        found.push((header("Nats-Msg-Id"), event));
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_counts_as_taken_is_in_the_stream_once_and_whole() {
    let server = NatsServer::start();
    let stream = open_stream(&server).await;
    let payment = paying(&Sqlite::new_place().await, sink(&server)).await;
    let sent = fail(&payment, "order-1", "a").await;
    emptied(&payment).await;
    let [(id, event)] = &published(&stream).await[..] else { panic!("one message") };
    assert_eq!(*id, format!("payment/{sent}"));
    for (name, value) in [
        ("specversion", "1.0"),
        ("type", "dev.amends.report.v1"),
        ("source", "payment"),
        ("id", sent.as_str()),
        ("subject", "order-1"),
        ("partitionkey", "order-1"),
        ("datacontenttype", "application/json"),
    ] {
        assert_eq!(event[name], value, "{name}");
    }
    assert_eq!(event["data"]["code"], "report-1");
    assert_eq!(event["data"]["history"][0]["requestId"], "a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_nats_is_away_and_each_saga_keeps_its_order() {
    let server = NatsServer::start();
    let stream = open_stream(&server).await;
    let (kill, start_again) = (|| server.kill(), || server.start_again());
    let sent = outlives_its_broker(sink(&server), kill, start_again).await;
    let found = published(&stream).await;
    let ids: Vec<_> =
        found.iter().map(|(_, event)| event["id"].as_str().expect("text").to_owned()).collect();
    assert_eq!(ids, sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_dies_between_publishing_and_settling_publishes_again_under_the_same_id() {
    let server = NatsServer::start();
    let stream = open_stream(&server).await;
    let sent = dies_before_it_hears(|| sink(&server)).await;
    // Two messages under one id, which the stream takes for one; so does the supervisor, however late.
    let [(id, _)] = &published(&stream).await[..] else { panic!("one message") };
    assert_eq!(*id, format!("payment/{sent}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_is_refused_and_holds_up_no_other() {
    let server = NatsServer::configured("max_payload: 10000\n");
    let stream = open_stream(&server).await;
    let payment = paying(&Sqlite::new_place().await, sink(&server)).await;
    let body = json!({ "fail": "a", "amount": "x".repeat(20_000) });
    assert_eq!(payment.pay("order-1", "a", &body).await.status, 402);
    let good = fail(&payment, "order-1", "b").await;
    emptied(&payment).await;
    let [(_, event)] = &published(&stream).await[..] else { panic!("one message") };
    assert_eq!(event["id"], good.as_str());
    let query = "SELECT state, last_error FROM amends_outbox ORDER BY seq LIMIT 1";
    let kept = payment.ask(query).await.remove(0);
    assert_eq!(kept[0], "dead");
    for says in ["at most 10000", "`data.amount` has 20002"] {
        assert!(kept[1].contains(says), "{says}: {}", kept[1]);
    }
    refuses_what_is_too_large(&sink(&server)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_publish_hears_of_it_and_loses_nothing() {
    let server = NatsServer::configured(USERS);
    let admin = ConnectOptions::with_user_and_password("admin".to_owned(), "admin".to_owned());
    let stream = stream(server.url(), admin).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    let as_user = |user: &str| {
        let login = Some(NatsLogin::Password { user: user.to_owned(), file: file.clone() });
        let config = NatsConfig { login, ..NatsConfig::new("payment", &server.url()) };
        NatsSink::new(config).expect("good settings")
    };
    std::fs::write(&file, "wrong\n").expect("written");
    let payment = as_user("payment");
    let (why, turned_away) = why_later(&payment).await;
    assert!(turned_away && why.contains("authorization violation"), "{why}");
    let (why, turned_away) = why_later(&sink(&server)).await;
    assert!(turned_away && why.contains("authorization violation"), "{why}");
    // The file is read anew; what was right with it needs no restart.
    std::fs::write(&file, "secret\n").expect("written");
    let (why, turned_away) = why_later(&as_user("mute")).await;
    assert!(turned_away, "{why}");
    for says in
        ["Permissions Violation for Publish", "right to publish on `amends.reports.payment`"]
    {
        assert!(why.contains(says), "{says}: {why}");
    }
    assert_eq!(published(&stream).await.len(), 0);
    assert_eq!(payment.deliver(&small()).await, Delivery::Taken);
    assert_eq!(published(&stream).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_stream_or_a_server_it_is_said_what_is_missing() {
    let server = NatsServer::start();
    let sink = sink(&server);
    let (why, turned_away) = why_later(&sink).await;
    assert!(turned_away && why.contains("amends nats init"), "{why}");
    let stream = open_stream(&server).await;
    assert_eq!(sink.deliver(&small()).await, Delivery::Taken);
    assert_eq!(sink.deliver(&small()).await, Delivery::Taken, "it is known by its id");
    assert_eq!(published(&stream).await.len(), 1);
    server.kill();
    until("it is told that nobody is there", async || {
        let (why, turned_away) = why_later(&sink).await;
        assert!(!turned_away, "{why}");
        why.contains(&server.url())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_tls_a_name_and_a_password_it_publishes_and_else_it_says_who_does_not_let_it() {
    let keys = Keys::new();
    let server = NatsServer::start_secured(&keys);
    let (user, password) = (Keys::USER.to_owned(), Keys::PASSWORD.to_owned());
    let admin = ConnectOptions::with_user_and_password(user.clone(), password)
        .add_root_certificates(keys.file("authority.pem"));
    let stream = stream(server.secured_url(), admin).await;
    keys.put("renewed", "not-the-password\n");
    let config = NatsConfig {
        certificates: believing(&keys),
        login: Some(NatsLogin::Password { user, file: keys.file("renewed") }),
        ..NatsConfig::new("payment", &server.secured_url())
    };
    let stranger = NatsConfig { certificates: Certificates::default(), ..config.clone() };
    let stranger = NatsSink::new(stranger).expect("good settings");
    let (why, turned_away) = why_later(&stranger).await;
    assert!(turned_away && why.contains("certificate"), "an authority that nobody named: {why}");
    let sink = NatsSink::new(config).expect("good settings");
    let (why, turned_away) = why_later(&sink).await;
    assert!(turned_away && why.contains("authorization") && !why.contains("not-the"), "{why}");
    // What the file says now is taken without a start.
    keys.put("renewed", Keys::PASSWORD);
    assert_eq!(sink.deliver(&small()).await, Delivery::Taken);
    assert_eq!(published(&stream).await.len(), 1);
}
