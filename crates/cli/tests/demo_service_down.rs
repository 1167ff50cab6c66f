//! A service that is down holds back its own steps and nobody else's; they go on by themselves when it is back.
#![cfg(feature = "demo")]

use amends_api::{CaseDetail, CaseState, StepStateName, StepView};
use amends_demo::food::faults::Fault;
use amends_demo::food::workload::plan;
use amends_demo::food::{FOOD_ORDER, RULEBOOK};
use amends_demo::shop::{Ending, Shop};
use amends_demo::workload::PlanOptions;
use amends_protocol::Outcome;
use std::path::Path;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_coupon_service_holds_back_only_its_own_steps() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let only = vec![Fault::PaymentReport1.kind()];
    let orders = plan(&PlanOptions { seed: 1, orders: 1, fault_rate: 0.0, only, extra: false });
    let exe = Path::new(env!("CARGO_BIN_EXE_amends"));
    let shop = Shop::open(exe, folder.path(), (&FOOD_ORDER, RULEBOOK), &orders).await?;

    // The payment fails after the coupon was used; its report waits for a supervisor that is not there.
    shop.supervisors().nodes()[0].kill().await;
    assert_eq!(shop.place(&orders[0]).await?, Ending::Refused(502));

    // The coupon service dies before the supervisor is back.
    shop.service("coupon")?.hold_down().await;
    shop.supervisors().nodes()[0].revive().await?;
    let case = until(&shop, |case| {
        is_done(case, "delivery.request")
            && is_done(case, "rider.match")
            && step(case, "coupon.redeem").is_some_and(|step| step.attempts > 1)
    })
    .await?;
    assert_eq!(case.summary.state, CaseState::Open);
    let coupon = step(&case, "coupon.redeem").expect("planned");
    assert_eq!(coupon.outcome, None, "{coupon:?}");
    // The text goes out last: not before the coupon is free again.
    let text = step(&case, "sms.send-cancellation").expect("planned");
    assert_eq!(text.state, StepStateName::Waiting, "{text:?}");

    // It comes back, and everything else follows by itself.
    shop.service("coupon")?.let_up().await?;
    let rest = shop.rest(PATIENCE).await?;
    assert_eq!(rest, Ok(()));
    let case = until(&shop, |case| case.summary.state == CaseState::Settled).await?;
    assert_eq!(
        step(&case, "coupon.redeem").and_then(|step| step.outcome),
        Some(Outcome::Compensated)
    );
    assert_eq!(
        step(&case, "sms.send-cancellation").and_then(|step| step.outcome),
        Some(Outcome::Notified)
    );
    let findings = shop.judge(&orders)?;
    assert!(findings.invariants.iter().all(|invariant| invariant.held), "{findings:?}");
    shop.close().await;
    Ok(())
}

/// The only case, once it looks as wanted.
async fn until(shop: &Shop, wanted: impl Fn(&CaseDetail) -> bool) -> anyhow::Result<CaseDetail> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let case = shop.cases().await?.0.into_iter().next();
        match case {
            Some(case) if wanted(&case) => return Ok(case),
            case if Instant::now() > deadline => {
                anyhow::bail!("it never looks as wanted: {case:?}")
            }
            _ => tokio::task::yield_now().await,
        }
    }
}

fn step<'a>(case: &'a CaseDetail, action: &str) -> Option<&'a StepView> {
    case.plan.iter().find(|step| step.action.to_string() == action)
}

fn is_done(case: &CaseDetail, action: &str) -> bool {
    step(case, action).is_some_and(|step| step.state == StepStateName::Done)
}
