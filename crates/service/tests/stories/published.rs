//! What the stories of reports by brokers share: a payment service that publishes its reports, while the broker is
//! away or it dies itself.

use crate::base::Base;
use crate::rig::{Service, until};
use amends_private_server::Keys;
use amends_service::store::{BoxFuture, OutgoingReport, ReportRow};
use amends_service::{Certificates, Delivery, KitConfig, ReportSink, SagaId, Sqlite};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub async fn paying(place: &<Sqlite as Base>::Place, sink: impl ReportSink) -> Service<Sqlite> {
    let config = KitConfig::new("payment");
    let mut payment = Service::with(place, config, |builder| builder.report_sink(sink)).await;
    payment.background();
    payment
}

/// A failure, and the id of its report.
pub async fn fail(payment: &Service<Sqlite>, saga: &str, request: &str) -> String {
    let failed = payment.pay(saga, request, &json!({ "fail": "report-1" })).await;
    failed.header("amends-report").expect("named").to_owned()
}

pub async fn emptied(payment: &Service<Sqlite>) {
    until("the outbox is empty", async || {
        payment.kit.pending_reports().await.expect("readable") == 0
    })
    .await;
}

/// A report as the relay hands it over.
pub fn report(data: &Value) -> OutgoingReport {
    let saga = SagaId::new("order-1").expect("a saga id");
    let data = data.to_string();
    let report = ReportRow { report_id: "r-1".to_owned(), saga, traceparent: None, data };
    OutgoingReport { report, happened_at_ms: 0, tries: 0 }
}

/// A small one.
pub fn small() -> OutgoingReport {
    report(&json!({ "code": "a" }))
}

/// Why a report has to wait, and whether a person should look.
pub async fn why_later(sink: &impl ReportSink) -> (String, bool) {
    match sink.deliver(&small()).await {
        Delivery::Later { why, turned_away, .. } => (why, turned_away),
        other => panic!("{other:?}"),
    }
}

/// What no broker takes is not even sent.
pub async fn refuses_what_is_too_large(sink: &impl ReportSink) {
    let long = json!({ "code": "a", "data": { "basket": "x".repeat(1 << 20) } });
    match sink.deliver(&report(&long)).await {
        Delivery::Refused(why) => {
            assert!(why.contains("`data.basket`") && why.contains("921600"), "{why}");
        }
        other => panic!("{other:?}"),
    }
}

/// Whose certificates are believed.
pub fn believing(keys: &Keys) -> Certificates {
    Certificates { authorities: Some(keys.file("authority.pem")), own: None }
}

/// The first report goes, the broker is killed, six follow, and it is started again: the ids of all in their order.
pub async fn outlives_its_broker(
    sink: impl ReportSink,
    kill: impl FnOnce(),
    start_again: impl FnOnce(),
) -> Vec<String> {
    let payment = paying(&Sqlite::new_place().await, sink).await;
    let mut sent = vec![fail(&payment, "order-1", "r-0").await];
    emptied(&payment).await;
    kill();
    for n in 1..=6 {
        sent.push(fail(&payment, "order-1", &format!("r-{n}")).await);
    }
    assert_eq!(payment.kit.pending_reports().await.expect("readable"), 6);
    start_again();
    emptied(&payment).await;
    sent
}

/// Publishes, and dies before anybody hears of it.
struct Deaf<S> {
    sink: S,
    published: Arc<AtomicU32>,
}

impl<S: ReportSink> ReportSink for Deaf<S> {
    fn deliver<'a>(&'a self, sent: &'a OutgoingReport) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            assert_eq!(self.sink.deliver(sent).await, Delivery::Taken);
            self.published.fetch_add(1, Ordering::SeqCst);
            std::future::pending().await
        })
    }
}

/// A process dies between publishing and settling, and the next one publishes again: the report's id.
pub async fn dies_before_it_hears<S: ReportSink>(sink: impl Fn() -> S) -> String {
    let place = Sqlite::new_place().await;
    let published: Arc<AtomicU32> = Arc::default();
    let deaf = Deaf { sink: sink(), published: Arc::clone(&published) };
    let payment = paying(&place, deaf).await;
    let sent = fail(&payment, "order-1", "a").await;
    until("it is published", async || published.load(Ordering::SeqCst) == 1).await;
    assert_eq!(payment.kit.pending_reports().await.expect("readable"), 1);
    payment.stop().await;
    let payment = paying(&place, sink()).await;
    // The dead process's claim has run out.
    payment.tell("UPDATE amends_outbox SET due_at = 0").await;
    emptied(&payment).await;
    sent
}
