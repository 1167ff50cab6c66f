//! The walk of docs/guides/operate.md, by somebody who has the console alone: a service stops, what is held up and why is
//! found, it starts again and all mends itself; then a service refuses, and a person decides. Makes the guide's pictures.
//!
//! `AMENDS_BLESS_PICTURES=1` puts them into docs/guides/operate/, for a person to look at.

use crate::browser::{Browser, pictures_folder};
use crate::house::{NAME, act, go, judge};
use crate::support::{Legacy, scratch};
use amends_demo::food::faults::Fault;
use amends_demo::food::workload::plan;
use amends_demo::food::{FOOD_ORDER, RULEBOOK};
use amends_demo::shop::{Ending, Shop};
use amends_demo::workload::{PlanOptions, PlannedOrder};
use std::path::Path;

const GUIDE: &str = include_str!("../../../../docs/guides/operate.md");

/// Orders that fail when their payment has succeeded, so that it has to be undone.
const ORDERS: usize = 6;

/// The size of the guide's pictures: readable on a page of text.
const WIDTH: u32 = 1_000;
const HEIGHT: u64 = 850;

/// The coupons are a partner's, who has never heard of Amends and says no.
fn rulebook(partner: &str) -> String {
    let ours = "  coupon:\n    url: \"http://127.0.0.1:7103\"\n    actions:\n      redeem: { compensation: restore }\n";
    let theirs = format!(
        "  coupon:\n    url: \"http://{partner}\"\n    actions:\n      redeem:\n        compensation: restore\n        \
         endpoints: {{ compensate: {{ path: \"/coupons/restore\", done: [200], refused: [409] }} }}\n"
    );
    assert!(RULEBOOK.contains(ours), "the demo's rulebook has changed");
    RULEBOOK.replace(ours, &theirs)
}

fn orders() -> Vec<PlannedOrder> {
    let mut only = vec![Fault::OrderReport2.kind(); ORDERS];
    only.push(Fault::OrderReport3.kind());
    let orders = u32::try_from(only.len()).expect("few");
    plan(&PlanOptions { seed: 7, orders, fault_rate: 0.0, only, extra: false })
}

/// A picture of the guide.
#[track_caller]
fn shot(browser: &Browser, name: &str) {
    let reference = format!("(operate/{name}.png)");
    assert!(GUIDE.contains(&reference), "the guide does not show {name}");
    browser.width(WIDTH);
    let made = browser.picture(&format!("operate-{name}"), HEIGHT);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides/operate");
    let kept = folder.join(format!("{name}.png"));
    if std::env::var_os("AMENDS_BLESS_PICTURES").is_some() {
        std::fs::create_dir_all(&folder).expect("the tree is ours");
        std::fs::copy(made, &kept).expect("the tree is ours");
    }
    assert!(kept.exists(), "{} is missing; see the head of this test", kept.display());
    judge(browser, &format!("walk-{name}"));
}

#[test]
fn an_operator_finds_what_is_wrong_and_mends_it() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let folder = scratch();
    let partner = Legacy::start(409);
    let all = orders();
    let (paid, with_coupon) = (&all[..ORDERS], &all[ORDERS]);
    let exe = Path::new(env!("CARGO_BIN_EXE_amends"));
    let rules = rulebook(&partner.address);
    let opening = Shop::open(exe, folder.path(), (&FOOD_ORDER, &rules), &all);
    let shop = runtime.block_on(opening).expect("the business opens");
    let browser = Browser::start();

    // The payment service stops when six payments have to be undone.
    runtime.block_on(async {
        shop.supervisors().nodes()[0].kill().await;
        for order in paid {
            let ending = shop.place(order).await.expect("the order service answers");
            assert!(matches!(ending, Ending::Refused(_)), "{ending:?}");
        }
        shop.service("payment").expect("one of the six").hold_down().await;
        shop.supervisors().nodes()[0].revive().await.expect("it starts");
    });
    let url = shop.supervisors().url();
    go(&browser, &url, "/");
    browser.see_in("#headline", "Payment is out of reach");
    browser.see_in("#causes", &format!("payment unreachable: {ORDERS} waiting since"));
    browser.see_in("#service-delivery", "healthy");
    browser.see_in("#service-payment", "out of reach");
    shot(&browser, "1-out-of-reach");

    browser.click("#causes tbody a");
    browser.see_in("#group h2", "payment unreachable");
    assert_eq!(browser.count("#list tbody tr"), ORDERS as u64);
    browser.click("#list tbody a");
    browser.see_in("#sentence", "payment unreachable, next try");
    browser.see_in("#plan tbody", "compensate delivery.request");
    shot(&browser, "2-one-case");
    let case = browser.address();

    // It starts again, and the page that is open tells so.
    let payment = shop.service("payment").expect("one of the six");
    runtime.block_on(payment.let_up()).expect("it starts again");
    browser.see_in(".head", "settled");
    browser.see_in("#evidence", "everything that could stand has answered or is fenced");
    assert_eq!(browser.address(), case, "nobody touched anything");
    shot(&browser, "3-settled");
    go(&browser, &url, "/");
    browser.see_in("#headline", "All is well");
    browser.see_in("#figure-settled", &ORDERS.to_string());

    // The partner refuses to give a coupon back.
    let ending = runtime.block_on(shop.place(with_coupon)).expect("the order service answers");
    assert!(matches!(ending, Ending::Refused(_)), "{ending:?}");
    browser.see_in("#headline", "1 case needs a person");
    browser.see_in("#causes", "coupon refuses: 1 stuck since");
    shot(&browser, "4-refused");
    browser.click("#troubles tbody a");
    browser.see_in("#needs h3", "compensate coupon.redeem");
    shot(&browser, "5-needs-a-person");
    act(&browser, "#needs", "the campaign is over; the customer got a new coupon by mail", "Waive");
    browser.see_in("#plan tbody", "waived");
    browser.see_no("#needs");
    browser.see_in(".head", "settled");
    go(&browser, &url, "/audit");
    for part in [NAME, "waive", "the customer got a new coupon by mail"] {
        browser.see_in("#acts", part);
    }
    shot(&browser, "6-audit");
    drop(browser);
    runtime.block_on(shop.close());
    assert!(pictures_folder().join("operate-6-audit.png").exists());
}
