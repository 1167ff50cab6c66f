//! Reports reach the supervisor in order and survive its absence, and ours.

use crate::base::Base;
use crate::rig::{Service, until};
use crate::supervisor::FakeSupervisor;
use amends_service::store::{BoxFuture, OutgoingReport};
use amends_service::{Delivery, KitConfig, ReportSink};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;

async fn fail<B: Base>(payment: &Service<B>, request: &str) -> String {
    let failed = payment.pay("order-1", request, &json!({ "fail": request })).await;
    failed.header("amends-report").expect("named").to_owned()
}

/// Waits until nothing is on its way any more; what was taken is known as such then, and not sent again by a restart.
async fn emptied<B: Base>(payment: &Service<B>) {
    until("the outbox is empty", async || {
        payment.kit.pending_reports().await.expect("readable") == 0
    })
    .await;
}

async fn reports_wait_for_the_supervisor_and_come_in_order<B: Base>() {
    let supervisor = FakeSupervisor::start().await;
    let payment = Service::<B>::reporting_to(&supervisor).await;
    supervisor.told.answers.lock().expect("whole").extend([503, 500, 429]);
    let mut sent = Vec::new();
    for request in ["a", "b", "c"] {
        sent.push(fail(&payment, request).await);
    }
    let taken: Vec<_> =
        supervisor.reports(3).await.into_iter().map(|(h, _)| h["ce-id"].clone()).collect();
    assert_eq!(taken, sent);
    let tries = supervisor.told.tries.lock().expect("whole").clone();
    assert_eq!(tries[..4], [sent[0].clone(), sent[0].clone(), sent[0].clone(), sent[0].clone()]);
    emptied(&payment).await;
}

async fn the_caller_does_not_wait_for_an_absent_supervisor_and_a_restart_loses_nothing<B: Base>() {
    let away = FakeSupervisor::start().await;
    let url = away.url.clone();
    away.stop();
    let place = B::new_place().await;
    let mut payment =
        Service::<B>::at(&place, "payment", |config| config.supervisor = Some(url.clone())).await;
    payment.background();
    let sent = [fail(&payment, "a").await, fail(&payment, "b").await];
    assert_eq!(payment.kit.pending_reports().await.expect("readable"), 2);
    payment.stop().await;

    let back = FakeSupervisor::at(&url).await;
    let mut payment =
        Service::<B>::at(&place, "payment", |config| config.supervisor = Some(url)).await;
    payment.background();
    let taken: Vec<_> =
        back.reports(2).await.into_iter().map(|(h, _)| h["ce-id"].clone()).collect();
    assert_eq!(taken, sent);
}

async fn a_report_that_the_supervisor_never_takes_is_kept_and_does_not_block_the_next<B: Base>() {
    let supervisor = FakeSupervisor::start().await;
    let payment = Service::<B>::reporting_to(&supervisor).await;
    supervisor.told.answers.lock().expect("whole").extend([400]);
    let dead = fail(&payment, "a").await;
    let good = fail(&payment, "b").await;
    let taken = supervisor.reports(1).await;
    assert_eq!(taken[0].0["ce-id"], good);
    let query = "SELECT report_id, state, last_error FROM amends_outbox ORDER BY seq";
    let kept = payment.ask(query).await.remove(0);
    assert_eq!(kept, [dead.as_str(), "dead", "answered 400: "]);
}

async fn a_report_that_is_turned_away_on_its_way_is_sent_until_it_arrives<B: Base>() {
    let supervisor = FakeSupervisor::start().await;
    let payment = Service::<B>::reporting_to(&supervisor).await;
    // A token that ran out, an ingress in the middle of a deployment.
    supervisor.told.answers.lock().expect("whole").extend([401, 403, 404]);
    let sent = [fail(&payment, "a").await, fail(&payment, "b").await];
    let taken: Vec<_> =
        supervisor.reports(2).await.into_iter().map(|(h, _)| h["ce-id"].clone()).collect();
    assert_eq!(taken, sent);
    assert_eq!(supervisor.told.tries.lock().expect("whole").len(), 5);
}

async fn a_dead_report_is_tried_once_more_by_each_start<B: Base>() {
    let supervisor = FakeSupervisor::start().await;
    let place = B::new_place().await;
    let start = async || {
        let url = supervisor.url.clone();
        let mut payment = Service::<B>::at(&place, "payment", |config| {
            config.supervisor = Some(url);
        })
        .await;
        payment.background();
        payment
    };
    let answers = |codes: &[u16]| supervisor.told.answers.lock().expect("whole").extend(codes);
    answers(&[400]);
    let payment = start().await;
    let dead = fail(&payment, "a").await;
    let b = fail(&payment, "b").await;
    emptied(&payment).await;
    payment.stop().await;

    answers(&[422]);
    let payment = start().await;
    let c = fail(&payment, "c").await;
    emptied(&payment).await;
    payment.stop().await;

    let payment = start().await;
    supervisor.reports(3).await;
    emptied(&payment).await;
    let tries = supervisor.told.tries.lock().expect("whole").clone();
    assert_eq!(tries, [dead.clone(), b, dead.clone(), c, dead.clone()]);
    assert_eq!(supervisor.reports(3).await[2].0["ce-id"], dead);
}

async fn a_report_keeps_within_what_the_supervisor_takes<B: Base>() {
    let supervisor = FakeSupervisor::start().await;
    let payment = Service::<B>::reporting_to(&supervisor).await;
    payment.pay("order-0", "r-0", &json!({})).await;
    payment
        .tell(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1100)
             INSERT INTO amends_requests
                 (request_id, saga, action, fingerprint, body, context, state, worker, run, started_at)
             SELECT 'old-' || n, 'order-1', 'pay', fingerprint, '{}', '{}', 'failed', worker, 1, 1
             FROM n, amends_requests;
             INSERT INTO amends_calls (call_id, saga, parent, service, action, state, started_at)
             VALUES ('call-1', 'order-1', 'old-1', 'coupon', 'redeem', 'succeeded', 1)",
        )
        .await;
    // What may have taken effect comes last of all, and is not among the first 1,000.
    let mut causes: Vec<String> = (0..80).map(|n| format!("cause-{n}")).collect();
    causes.insert(0, "no id".to_owned());
    let message = "\u{1f4b8}".repeat(5_000);
    let body = json!({ "fail": "report-1", "message": message, "causes": causes });
    payment.pay("order-1", "r-1", &body).await;

    let (_, data) = supervisor.reports(1).await.remove(0);
    let told = data["message"].as_str().expect("text");
    assert!(told.len() <= 8 << 10 && told.len() > 8_000, "{}", told.len());
    assert!(told.ends_with("\u{1f4b8} …"));
    let named = data["causedBy"].as_array().expect("a list");
    assert_eq!(
        (named.len(), &named[0], &named[63]),
        (64, &causes[1].clone().into(), &causes[64].clone().into())
    );
    let history = data["history"].as_array().expect("a list");
    assert_eq!(history.len(), 1_000);
    let ids: Vec<_> =
        history.iter().map(|entry| entry["requestId"].as_str().expect("text")).collect();
    assert_eq!((ids[0], &ids[998..]), ("old-1", &["r-1", "call-1"][..]));
}

/// A sink that never takes the reports of one saga.
struct Picky {
    refused: &'static str,
    taken: Arc<Mutex<Vec<String>>>,
}

impl ReportSink for Picky {
    fn deliver<'a>(&'a self, sent: &'a OutgoingReport) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            if sent.report.saga.as_str() == self.refused {
                return Delivery::Later {
                    why: "not this one".to_owned(),
                    at_least: Duration::ZERO,
                    turned_away: false,
                };
            }
            self.taken.lock().expect("whole").push(sent.report.report_id.clone());
            Delivery::Taken
        })
    }
}

async fn a_report_that_does_not_get_through_holds_up_its_own_saga_alone<B: Base>() {
    let taken = Arc::default();
    let sink = Picky { refused: "order-0", taken: Arc::clone(&taken) };
    let place = B::new_place().await;
    let config = KitConfig::new("payment");
    let mut payment = Service::<B>::with(&place, config, |builder| builder.report_sink(sink)).await;
    payment.background();
    let mut sent = Vec::new();
    for saga in ["order-0", "order-0", "order-1", "order-2", "order-1", "order-2", "order-1"] {
        let request = format!("r-{}", sent.len());
        let failed = payment.pay(saga, &request, &json!({ "fail": "report-1" })).await;
        sent.push((saga, failed.header("amends-report").expect("named").to_owned()));
    }
    until("all others are taken", async || taken.lock().expect("whole").len() == 5).await;
    for saga in ["order-1", "order-2"] {
        let of_saga: Vec<_> =
            sent.iter().filter(|(of, _)| *of == saga).map(|(_, id)| id.clone()).collect();
        let mut came = taken.lock().expect("whole").clone();
        came.retain(|id| of_saga.contains(id));
        assert_eq!(came, of_saga, "in order within {saga}");
    }
    until("only its own wait", async || {
        payment.kit.pending_reports().await.expect("readable") == 2
    })
    .await;
}

async fn a_saga_id_that_a_header_cannot_carry_plainly_is_escaped<B: Base>() {
    let supervisor = FakeSupervisor::start().await;
    let payment = Service::<B>::reporting_to(&supervisor).await;
    payment.pay("50%\"off\"", "r-1", &json!({ "fail": "a" })).await;
    assert_eq!(supervisor.reports(1).await[0].0["ce-subject"], "50%25%22off%22");
}

crate::on_each_database!(
    reports_wait_for_the_supervisor_and_come_in_order,
    the_caller_does_not_wait_for_an_absent_supervisor_and_a_restart_loses_nothing,
    a_report_that_the_supervisor_never_takes_is_kept_and_does_not_block_the_next,
    a_report_that_is_turned_away_on_its_way_is_sent_until_it_arrives,
    a_dead_report_is_tried_once_more_by_each_start,
    a_report_keeps_within_what_the_supervisor_takes,
    a_report_that_does_not_get_through_holds_up_its_own_saga_alone,
    a_saga_id_that_a_header_cannot_carry_plainly_is_escaped,
);
