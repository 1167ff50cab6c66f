//! Reports reach the supervisor in order and survive its absence, and ours.

use crate::rig::{Service, until};
use crate::supervisor::Supervisor;
use serde_json::json;
use std::sync::Arc;

async fn fail(payment: &Service, request: &str) -> String {
    let failed = payment.pay("order-1", request, &json!({ "fail": request })).await;
    failed.header("amends-report").expect("named").to_owned()
}

#[tokio::test]
async fn reports_wait_for_the_supervisor_and_come_in_order() {
    let supervisor = Supervisor::start().await;
    let payment = Service::reporting_to(&supervisor).await;
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
    until("the outbox is empty", async || {
        payment.kit.pending_reports().await.expect("readable") == 0
    })
    .await;
}

#[tokio::test]
async fn the_caller_does_not_wait_for_an_absent_supervisor_and_a_restart_loses_nothing() {
    let away = Supervisor::start().await;
    let url = away.url.clone();
    away.stop();
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    let mut payment = Service::in_folder("payment", folder.clone(), |config| {
        config.supervisor = Some(url.clone())
    })
    .await;
    payment.background();
    let sent = [fail(&payment, "a").await, fail(&payment, "b").await];
    assert_eq!(payment.kit.pending_reports().await.expect("readable"), 2);
    payment.stop().await;

    let back = Supervisor::at(&url).await;
    let mut payment =
        Service::in_folder("payment", folder, |config| config.supervisor = Some(url)).await;
    payment.background();
    let taken: Vec<_> =
        back.reports(2).await.into_iter().map(|(h, _)| h["ce-id"].clone()).collect();
    assert_eq!(taken, sent);
}

#[tokio::test]
async fn a_report_that_the_supervisor_never_takes_is_kept_and_does_not_block_the_next() {
    let supervisor = Supervisor::start().await;
    let payment = Service::reporting_to(&supervisor).await;
    supervisor.told.answers.lock().expect("whole").extend([400]);
    let dead = fail(&payment, "a").await;
    let good = fail(&payment, "b").await;
    let taken = supervisor.reports(1).await;
    assert_eq!(taken[0].0["ce-id"], good);
    let kept: (String, String, String) = payment
        .shell()
        .query_row(
            "SELECT report_id, state, last_error FROM amends_outbox ORDER BY seq",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .expect("kept");
    assert_eq!((kept.0, kept.1.as_str(), kept.2.as_str()), (dead, "dead", "answered 400: "));
}

#[tokio::test]
async fn a_saga_id_that_a_header_cannot_carry_plainly_is_escaped() {
    let supervisor = Supervisor::start().await;
    let payment = Service::reporting_to(&supervisor).await;
    payment.pay("50%\"off\"", "r-1", &json!({ "fail": "a" })).await;
    assert_eq!(supervisor.reports(1).await[0].0["ce-subject"], "50%25%22off%22");
}
