//! Nodes that share a store: for a partition whose owner does not come to read what is left for it, no more is taken in
//! than its inbox should hold.

#![cfg(feature = "postgres")]

use amends_engine::{Effect, StepReading, StepResult};
use amends_private_server::PostgresServer;
use amends_protocol::{ProblemCode, Report, ReportData, SagaId};
use amends_server::{
    Driver, DriverOptions, EffectResult, Outbound, Permit, Supervisor, SystemClock,
};
use amends_store::{Leases, Partition, PostgresOptions, PostgresStore, Taking};
use std::time::Duration;

/// Longest wait for what has to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Nobody is asked anything here.
#[derive(Clone)]
struct Nobody;

impl Outbound for Nobody {
    async fn perform(&self, _: Effect, _: Permit) -> EffectResult {
        EffectResult::Step(StepResult::new(StepReading::NotSent, None))
    }
}

fn open(address: &str, node: &str) -> PostgresStore {
    let options = PostgresOptions::new(address, node);
    PostgresStore::open(&PostgresOptions { taking: Taking::Parts, ..options }).expect("opens")
}

fn report(saga: &SagaId, id: usize) -> Report {
    let data = serde_json::json!({ "code": "broken", "action": "x" });
    Report {
        id: format!("r-{id}"),
        source: "a".to_owned(),
        saga_id: saga.clone(),
        time: None,
        traceparent: None,
        data: serde_json::from_value::<ReportData>(data).expect("data of a report"),
    }
}

fn saga_of(is_it: impl Fn(Partition) -> bool) -> SagaId {
    let sagas = (0..).map(|n| SagaId::new(&format!("order-{n}")).expect("valid"));
    let mut of_it = sagas.filter(|saga| is_it(Partition::of(saga)));
    of_it.next().expect("each partition has some")
}

/// Asks again until it is answered so.
async fn until(supervisor: &Supervisor<PostgresStore>, saga: &SagaId, is_it: fn(Answered) -> bool) {
    let asked = async {
        for id in 100.. {
            if is_it(supervisor.report(report(saga, id)).await.map_err(|problem| problem.code)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("it is answered so");
}

type Answered = Result<amends_protocol::ReportReceipt, Option<String>>;

#[tokio::test]
async fn whoever_reports_for_a_crowded_partition_is_told_to_come_later_and_others_are_not() {
    let address = PostgresServer::shared().new_database();
    // One that lives and holds half of it, and reads nothing of what is left for it.
    let idle = open(&address, "idle");
    let held = idle.claim(33).await.expect("claims");
    let beating = tokio::spawn({
        let idle = idle.clone();
        async move {
            loop {
                idle.beat().await.expect("it lives");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    });
    let options = DriverOptions { letters: 3, ..DriverOptions::default() };
    let started = Driver::start(open(&address, "busy"), Nobody, SystemClock, options).await;
    let (supervisor, driver) = started.expect("starts");
    let is_idles = |one: Partition| held.iter().any(|lease| lease.partition == one);
    let (theirs, ours) = (saga_of(is_idles), saga_of(|one| !is_idles(one)));

    for id in 0..4 {
        let receipt = supervisor.report(report(&theirs, id)).await.expect("it is durable");
        assert!(receipt.case_id.is_none() && receipt.letter.is_some(), "{receipt:?}");
    }
    until(&supervisor, &theirs, |answered| {
        answered.is_err_and(|code| code.as_deref() == Some(ProblemCode::Overloaded.as_str()))
    })
    .await;
    let taken = supervisor.report(report(&ours, 1)).await.expect("it is taken");
    assert!(taken.case_id.is_some(), "{taken:?}");

    // Whoever takes it over reads what was left, and goes on.
    beating.abort();
    assert!(beating.await.expect_err("it beats for ever").is_cancelled());
    idle.release(held.iter().map(|lease| lease.partition).collect()).await.expect("gives back");
    drop(idle);
    until(&supervisor, &theirs, |answered| {
        answered.is_ok_and(|receipt| receipt.case_id.is_some() && !receipt.duplicate)
    })
    .await;
    supervisor.stop();
    driver.await.expect("ends");
}
