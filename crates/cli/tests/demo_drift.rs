//! A call that the rulebook forgets is found in the cases of the demo, in either business.
#![cfg(feature = "demo")]

use amends_demo::business::Business;
use amends_demo::food::{self, FOOD_ORDER};
use amends_demo::market::{self, MARKETPLACE};
use amends_demo::shop::Shop;
use amends_demo::workload::PlanOptions;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

fn drift(url: &str, rules: &Path, how: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
    command.args(["rules", "drift"]).arg(rules).args([how, "--url", url]);
    command.output().expect("the binary runs")
}

/// One order with a fault that makes a case of it; then the rulebook of the run, and the same without a call.
async fn forgets(
    business: &'static Business,
    fault: &str,
    (call, without): (&str, &str),
    expected: (&str, &str),
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let only = vec![business.fault(fault).expect("a fault of this business")];
    let options = PlanOptions { seed: 1, orders: 1, fault_rate: 0.0, only, extra: false };
    let orders = (business.plan)(&options);
    let exe = Path::new(env!("CARGO_BIN_EXE_amends"));
    let shop = Shop::open(exe, folder.path(), (business, business.rulebook), &orders).await?;
    shop.place(&orders[0]).await?;
    assert_eq!(shop.rest(Duration::from_secs(60)).await?, Ok(()));

    assert!(business.rulebook.contains(call), "the rulebook of {business:?} has changed");
    let (whole, forgetful) =
        (folder.path().join("whole.yaml"), folder.path().join("forgetful.yaml"));
    std::fs::write(&whole, business.rulebook)?;
    std::fs::write(&forgetful, business.rulebook.replacen(call, without, 1))?;
    let url = shop.supervisors().url();
    let clean = drift(&url, &whole, "--exit-code");
    assert!(clean.status.success(), "{}", String::from_utf8_lossy(&clean.stdout));

    let found = drift(&url, &forgetful, "--exit-code");
    let told = String::from_utf8_lossy(&found.stdout);
    assert_eq!(found.status.code(), Some(1), "{told}");
    assert!(told.contains(expected.1) && told.contains("c-1"), "{told}");
    let listed: Value = serde_json::from_slice(&drift(&url, &forgetful, "--json").stdout)?;
    let [only] = listed["undeclared"].as_array().expect("a list").as_slice() else {
        panic!("{listed}");
    };
    assert_eq!((&only["kind"], &only["action"]), (&"call".into(), &expected.1.into()), "{only}");
    assert_eq!(
        (&only["toldBy"], &only["lastCase"]),
        (&json!([expected.0]), &"c-1".into()),
        "{only}"
    );
    shop.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_food_order_shows_a_delivery_that_its_rulebook_forgets() -> anyhow::Result<()> {
    assert_eq!(FOOD_ORDER.rulebook, food::RULEBOOK);
    let calls = ("[\"coupon.redeem?\", delivery.request]", "[\"coupon.redeem?\"]");
    forgets(&FOOD_ORDER, "payment-report-2", calls, ("payment", "delivery.request")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_marketplace_shows_a_message_that_its_rulebook_forgets() -> anyhow::Result<()> {
    assert_eq!(MARKETPLACE.rulebook, market::RULEBOOK);
    let calls = ("          - { event: loyalty.earn }\n", "");
    forgets(&MARKETPLACE, "transfer-refused", calls, ("checkout", "loyalty.earn")).await
}
