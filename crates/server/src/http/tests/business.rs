//! Whom cases concern and how much they are about, wherever people and programs look: exact, and by currency.

use super::desk::{Desk, binary};
use amends_engine::StepReading;
use amends_rulebook::Rulebook;
use serde_json::{Value, json};

const BOOK: &str = r#"
rulebook: shop
services:
  order:   { url: "http://127.0.0.1:1", actions: { place: { compensation: cancel, calls: [payment.pay] } } }
  payment: { url: "http://127.0.0.1:1", actions: { pay: { compensation: refund } } }
reports:
  order/failed:
    in: place
    data:
      who: { role: customer }
      order: { role: key }
      total: { type: decimal, role: amount, currency: currency }
      currency: text
rules:
  - { on: "*/*", compensate: [payment.pay] }
"#;

/// A number with its digits as they are, which `json!` would read as a float.
fn exact(digits: &str) -> Value {
    serde_json::from_str(digits).expect("a number")
}

/// Three stuck cases: 1204.50 and 0.10 euros, and one of which no amount is known.
async fn desk_with_money() -> Desk {
    let desk = Desk::open().await;
    let book = Rulebook::from_yaml(BOOK).expect("a valid rulebook");
    desk.supervisor.activate(book, "test", "whom and how much").await.expect("active");
    desk.script.answer("payment.pay", StepReading::Refused);
    for (n, data) in [
        json!({ "who": "=HYPERLINK(\"x\")", "order": 7, "total": exact("1204.50"), "currency": "EUR" }),
        json!({ "who": "c-2", "order": "o-2", "total": exact("0.10"), "currency": "eur" }),
        json!({ "who": "c-3\u{202e}\u{1b}[31m", "total": "12.00", "currency": "EUR" }),
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({ "code": "failed", "action": "place", "data": data });
        let reply = desk.send(binary(&format!("o-{n}"), &format!("r-{n}"), &body)).await;
        let case = reply.body["caseId"].as_str().expect("a case").to_owned();
        desk.payment_step(&case, "stuck").await;
    }
    desk
}

fn cases(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("items");
    items.iter().map(|case| case["sagaId"].as_str().expect("a saga")).collect()
}

#[tokio::test]
async fn a_case_says_it_and_can_be_asked_for_by_it() {
    let desk = desk_with_money().await;
    let case = desk.get("/v1/cases/c-1").await.body;
    assert_eq!(case["amounts"], json!([{ "currency": "EUR", "amount": "1204.50" }]), "exact");
    assert_eq!((&case["key"], &case["customer"]), (&json!("7"), &json!("=HYPERLINK(\"x\")")));
    for (filter, found) in [
        ("customer=c-2", vec!["o-1"]),
        ("amount_min=0.1", vec!["o-1", "o-0"]),
        ("amount_min=0.11", vec!["o-0"]),
        ("amount_min=1204.5", vec!["o-0"]),
        ("amount_max=9&currency=eur", vec!["o-1"]),
        ("currency=USD", vec![]),
        ("customer=c-2&amount_min=1", vec![]),
    ] {
        let list = desk.get(&format!("/v1/cases?{filter}")).await.body;
        assert_eq!(cases(&list), found, "{filter}: {list}");
    }
}

#[tokio::test]
async fn groups_and_the_overview_have_sums_by_currency() {
    let desk = desk_with_money().await;
    let sums = json!([{ "currency": "EUR", "amount": "1204.60" }]);
    let groups = desk.get("/v1/groups").await.body;
    assert_eq!((&groups[0]["amounts"], &groups[0]["withoutAmount"]), (&sums, &json!(1)));
    let overview = desk.get("/v1/overview").await.body;
    assert_eq!((&overview["amounts"], &overview["withoutAmount"]), (&sums, &json!(1)));
    let metrics = desk.get("/metrics").await.body;
    let metrics = metrics.as_str().expect("text");
    assert!(metrics.contains("amends_unsettled_amount{currency=\"EUR\"} 1204.6"), "{metrics}");
    for (path, words) in [
        ("/", "1,204.60 EUR"),
        ("/cases?view=causes", "1,204.60 EUR in 3 cases, 1 without an amount"),
        ("/cases", "1,204.60 EUR in 3 cases, 1 without an amount"),
        ("/cases/c-1", "1,204.50 EUR"),
    ] {
        let page = desk.get(path).await.body;
        assert!(page.as_str().expect("a page").contains(words), "{path}: {page}");
    }
}

#[tokio::test]
async fn no_customer_becomes_a_formula_or_steers_a_terminal() {
    let desk = desk_with_money().await;
    let csv = desk.get("/v1/cases:export?format=csv&sort=oldest").await.body;
    let csv = csv.as_str().expect("text");
    assert!(
        csv.lines().next().expect("a head").ends_with(",customer,key,amounts,quarantined"),
        "{csv}"
    );
    assert!(csv.contains(r#","'=HYPERLINK(""x"")",7,1204.50 EUR"#), "{csv}");
    assert!(!csv.contains(['\u{202e}', '\u{1b}']), "{csv}");
    let lines = desk.get("/v1/cases:export").await.body;
    assert!(!lines.to_string().contains(['\u{202e}', '\u{1b}']), "{lines}");
}
