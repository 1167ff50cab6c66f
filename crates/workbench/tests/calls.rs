//! What tools for people show of calls that are more than a list of names: the graph, the differences of two versions,
//! and why a report is answered as it is.

use amends_protocol::{Evidence, HistoryState, Report, ReportData, SagaId};
use amends_rulebook::Rulebook;
use amends_workbench::{Chart, check, compare, explain};
use std::sync::Arc;

fn kiosk(calls: &str) -> Arc<Rulebook> {
    let text = format!(
        "rulebook: kiosk
services:
  order: {{ url: \"http://order:80\", actions: {{ place: {{ compensation: cancel, calls: {calls} }} }} }}
  card: {{ url: \"http://card:80\", actions: {{ pay: {{ compensation: refund }} }} }}
  voucher: {{ url: \"http://voucher:80\", actions: {{ pay: {{ compensation: back }} }} }}
  mail: {{ url: \"http://mail:80\", actions: {{ send: {{ compensation: unsend }} }} }}
rules: [{{ on: \"*/*\", compensate: recorded }}]
"
    );
    Rulebook::from_yaml(&text).unwrap_or_else(|found| panic!("{calls}: {found:#?}"))
}

#[test]
fn the_graph_says_how_a_call_is_made() {
    for (calls, line) in [
        ("[card.pay]", "n0 --> n1"),
        ("[\"card.pay?\"]", "n0 -.-> n1"),
        ("[\"card.pay+\"]", "n0 -->|many times| n1"),
        ("[{ one_of: [card.pay, voucher.pay] }]", "n0 -.->|one of| n1"),
        ("[{ parallel: [card.pay, voucher.pay] }]", "n0 -->|at once| n1"),
        ("[{ call: card.pay, tolerate: true }]", "n0 -->|tolerated| n1"),
        ("[{ event: card.pay }]", "n0 -->|event| n1"),
    ] {
        let chart = Chart::of_calls(&kiosk(calls));
        assert!(
            chart.to_mermaid().contains(&format!("  {line}\n")),
            "{calls}\n{}",
            chart.to_mermaid()
        );
    }
    let chart = Chart::of_calls(&kiosk("[{ event: card.pay }]"));
    assert!(chart.to_dot().contains("n0 -> n1 [label=\"event\"];"), "{}", chart.to_dot());
    assert_eq!(chart.to_json()["calls"][0]["how"], "event");
    assert!(chart.to_svg(&()).contains(">event</text>"));
}

/// Wherever a report comes from: a call of one way that it names says that no other way was taken.
#[test]
fn a_report_that_names_one_way_needs_nothing_of_the_others() {
    let left_by = |list: &str| {
        let text = format!(
            "rulebook: kiosk
services:
  order: {{ url: \"http://order:80\", actions: {{ place: {{ compensation: cancel, calls: [{{ one_of: [card.pay, voucher.pay] }}, mail.send] }} }} }}
  card: {{ url: \"http://card:80\", actions: {{ pay: {{ compensation: refund }} }} }}
  voucher: {{ url: \"http://voucher:80\", actions: {{ pay: {{ compensation: back }} }} }}
  mail: {{ url: \"http://mail:80\", actions: {{ send: {{ compensation: unsend }} }} }}
reports: {{ order/odd: {{ in: place, after: [card.pay, mail.send] }} }}
rules:
  - {{ on: order/odd, compensate: [{list}] }}
  - {{ on: \"*/*\", compensate: recorded }}
"
        );
        let book = Rulebook::from_yaml(&text).unwrap_or_else(|found| panic!("{found:#?}"));
        let found = check(&book).into_iter().filter(|d| d.code == "under-compensation");
        found.map(|d| d.message).collect::<Vec<_>>()
    };
    assert_eq!(left_by("card.pay, mail.send"), Vec::<String>::new());
    assert_eq!(left_by("mail.send"), ["`order/odd` leaves behind `card.pay`"]);
}

#[test]
fn a_difference_of_calls_is_told_as_it_is_written() {
    let (a, b) =
        (kiosk("[card.pay, mail.send]"), kiosk("[card.pay, { call: mail.send, tolerate: true }]"));
    let told = compare(&a, &b).to_text();
    assert!(told.contains("{ call: mail.send, tolerate: true }"), "{told}");
}

#[test]
fn an_explanation_says_how_far_a_failure_reaches() {
    let book = kiosk("[card.pay, { call: mail.send, tolerate: true }]");
    let report = |service: &str, action: &str| Report {
        id: "r".to_owned(),
        source: service.to_owned(),
        saga_id: SagaId::new("s").expect("valid"),
        time: None,
        traceparent: None,
        data: ReportData {
            code: "odd".to_owned(),
            action: Some(action.to_owned()),
            history: vec![Evidence::new(service, action, "r", HistoryState::Unknown)],
            ..ReportData::default()
        },
    };
    let reach = |service, action| {
        let changes = explain(&book, &report(service, action)).changes;
        changes.into_iter().find(|change| change.contains("from outside"))
    };
    assert_eq!(
        reach("mail", "send").as_deref(),
        Some(
            "it concerns `mail.send` alone, whose caller goes on; with a report from outside: the whole saga"
        )
    );
    assert_eq!(reach("card", "pay"), None);
}
