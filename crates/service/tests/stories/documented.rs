//! The examples of the protocol's reference are what the product reads and writes.

use crate::rig::{Service, send};
use amends_protocol::{HistoryAnswer, Problem, ReportData, StepAnswer, StepRequest};
use amends_service::Sqlite;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const PAGE: &str = include_str!("../../../../docs/reference/protocol.md");

fn example(name: &str) -> Value {
    let start = format!("```json {name}\n");
    let (_, rest) = PAGE.split_once(&start).expect("the example is on the page");
    let (text, _) = rest.split_once("```").expect("the example ends");
    serde_json::from_str(text).expect("the example is JSON")
}

/// Reads an example as its type; every field of it must be one that the type writes again.
fn survives<T: DeserializeOwned + Serialize>(name: &str) {
    let shown = example(name);
    let read: T = serde_json::from_value(shown.clone()).expect("the example is of its type");
    assert_eq!(serde_json::to_value(read).expect("writes"), shown, "{name}");
}

#[test]
fn the_examples_on_the_page_are_of_their_types() {
    survives::<ReportData>("report");
    survives::<Problem>("problem");
    survives::<StepRequest>("step");
    survives::<StepAnswer>("answer");
    survives::<HistoryAnswer>("history");
}

#[tokio::test]
async fn the_step_on_the_page_is_one_that_a_service_takes() {
    let payment = Service::<Sqlite>::start().await;
    let mut step = example("step");
    step["action"] = json!("payment.pay");
    let answer = send(&format!("{}/amends/v1/compensate/pay", payment.url), &[], &step).await;
    assert_eq!(answer.outcome(), "nothing_to_compensate");
}
