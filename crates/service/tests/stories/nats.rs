//! Reports by NATS, on a real server: each is in the stream once it counts as taken, whatever is away or killed.

use crate::base::Base;
use crate::rig::{Service, until};
use amends_private_server::NatsServer;
use amends_service::store::{BoxFuture, OutgoingReport, ReportRow};
use amends_service::{
    Delivery, KitConfig, NatsConfig, NatsLogin, NatsSink, ReportSink, SagaId, Sqlite,
};
use async_nats::jetstream;
use async_nats::jetstream::stream::{Config, Stream};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Who may do what, where that matters: `payment` publishes its own reports, `mute` publishes elsewhere.
const USERS: &str = r#"
authorization { users: [
    { user: admin, password: admin }
    { user: payment, password: secret, permissions: { publish: "amends.reports.payment", subscribe: "_INBOX.>" } }
    { user: mute, password: secret, permissions: { publish: "elsewhere", subscribe: "_INBOX.>" } }
] }
"#;

async fn stream(server: &NatsServer, options: async_nats::ConnectOptions) -> Stream {
    let client = options.connect(server.url()).await.expect("connected");
    let config = Config {
        name: "AMENDS".to_owned(),
        subjects: vec!["amends.reports.*".to_owned()],
        ..Config::default()
    };
    jetstream::new(client).create_stream(config).await.expect("made")
}

async fn open_stream(server: &NatsServer) -> Stream {
    stream(server, async_nats::ConnectOptions::new()).await
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

async fn paying(place: &<Sqlite as Base>::Place, sink: impl ReportSink) -> Service<Sqlite> {
    let config = KitConfig::new("payment");
    let mut payment = Service::with(place, config, |builder| builder.report_sink(sink)).await;
    payment.background();
    payment
}

async fn fail(payment: &Service<Sqlite>, saga: &str, request: &str) -> String {
    let failed = payment.pay(saga, request, &json!({ "fail": "report-1" })).await;
    failed.header("amends-report").expect("named").to_owned()
}

async fn emptied(payment: &Service<Sqlite>) {
    until("the outbox is empty", async || {
        payment.kit.pending_reports().await.expect("readable") == 0
    })
    .await;
}

/// A report as the relay hands it over.
fn report(id: &str, data: &Value) -> OutgoingReport {
    let saga = SagaId::new("order-1").expect("a saga id");
    let report =
        ReportRow { report_id: id.to_owned(), saga, traceparent: None, data: data.to_string() };
    OutgoingReport { report, happened_at_ms: 0, tries: 0 }
}

/// Why a report has to wait, and whether a person should look.
async fn why_later(sink: &NatsSink) -> (String, bool) {
    match sink.deliver(&report("r-1", &json!({ "code": "a" }))).await {
        Delivery::Later { why, turned_away, .. } => (why, turned_away),
        other => panic!("{other:?}"),
    }
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
    let payment = paying(&Sqlite::new_place().await, sink(&server)).await;
    let mut sent = vec![fail(&payment, "order-1", "r-0").await];
    emptied(&payment).await;
    server.kill();
    for n in 1..=6 {
        sent.push(fail(&payment, "order-1", &format!("r-{n}")).await);
    }
    assert_eq!(payment.kit.pending_reports().await.expect("readable"), 6);
    server.start_again();
    emptied(&payment).await;
    let found = published(&stream).await;
    let ids: Vec<_> =
        found.iter().map(|(_, event)| event["id"].as_str().expect("text").to_owned()).collect();
    assert_eq!(ids, sent);
}

/// Publishes, and dies before anybody hears of it.
struct Deaf {
    sink: NatsSink,
    published: Arc<AtomicU32>,
}

impl ReportSink for Deaf {
    fn deliver<'a>(&'a self, sent: &'a OutgoingReport) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            assert_eq!(self.sink.deliver(sent).await, Delivery::Taken);
            self.published.fetch_add(1, Ordering::SeqCst);
            std::future::pending().await
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_dies_between_publishing_and_settling_publishes_again_under_the_same_id() {
    let server = NatsServer::start();
    let stream = open_stream(&server).await;
    let place = Sqlite::new_place().await;
    let published_once = Arc::default();
    let deaf = Deaf { sink: sink(&server), published: Arc::clone(&published_once) };
    let payment = paying(&place, deaf).await;
    let sent = fail(&payment, "order-1", "a").await;
    until("it is published", async || published_once.load(Ordering::SeqCst) == 1).await;
    assert_eq!(payment.kit.pending_reports().await.expect("readable"), 1);
    payment.stop().await;
    let payment = paying(&place, sink(&server)).await;
    // The dead process's claim has run out.
    payment.tell("UPDATE amends_outbox SET due_at = 0").await;
    emptied(&payment).await;
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
    // More than any broker takes is not even sent.
    let long = json!({ "code": "a", "data": { "basket": "x".repeat(1 << 20) } });
    match sink(&server).deliver(&report("r-1", &long)).await {
        Delivery::Refused(why) => {
            assert!(why.contains("`data.basket`") && why.contains("921600"), "{why}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_publish_hears_of_it_and_loses_nothing() {
    let server = NatsServer::configured(USERS);
    let admin =
        async_nats::ConnectOptions::with_user_and_password("admin".to_owned(), "admin".to_owned());
    let stream = stream(&server, admin).await;
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
    let taken = payment.deliver(&report("r-1", &json!({ "code": "a" }))).await;
    assert_eq!(taken, Delivery::Taken);
    assert_eq!(published(&stream).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_stream_or_a_server_it_is_said_what_is_missing() {
    let server = NatsServer::start();
    let sink = sink(&server);
    let (why, turned_away) = why_later(&sink).await;
    assert!(turned_away && why.contains("amends nats init"), "{why}");
    let stream = open_stream(&server).await;
    let sent = report("r-1", &json!({ "code": "a" }));
    assert_eq!(sink.deliver(&sent).await, Delivery::Taken);
    assert_eq!(sink.deliver(&sent).await, Delivery::Taken, "it is known by its id");
    assert_eq!(published(&stream).await.len(), 1);
    server.kill();
    until("it is told that nobody is there", async || {
        let (why, turned_away) = why_later(&sink).await;
        assert!(!turned_away, "{why}");
        why.contains(&server.url())
    })
    .await;
}
