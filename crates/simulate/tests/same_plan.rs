//! The plan that the rulebook makes of some reports by itself is the plan that the engine makes of them.

use amends_engine::{Engine, Errand, Input, StepState, WalkResult, Write};
use amends_protocol::{Evidence, HistoryState, Report, ReportData, SagaId, Timestamp, Verb};
use amends_rulebook::{CaseFacts, Rulebook};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

const FOOD_ORDER: &str = include_str!("../../../demo/rulebook/food-order.yaml");
/// Lists instead of sets, a message that isn't run again, and a retry beside them.
const LISTED: &str = r#"
rulebook: listed
services:
  order: { url: "http://order", actions: { place: { compensation: cancel, calls: [payment.pay] } } }
  payment: { url: "http://payment", actions: { pay: { compensation: refund, calls: ["coupon.redeem?", delivery.request] } } }
  coupon: { url: "http://coupon", actions: { redeem: { compensation: restore } } }
  delivery: { url: "http://delivery", actions: { request: { compensation: cancel, calls: [rider.match, sms.send] } } }
  rider: { url: "http://rider", actions: { match: { compensation: release, on_failure: retry } } }
  sms: { url: "http://sms", actions: { send: { correction: send-cancellation } } }
rules:
  - { on: order/*, compensate: [payment.pay] }
  - { on: payment/*, retry: payment.pay }
  - { on: payment/report-1, compensate: [coupon.redeem], then: { compensate: [delivery.request] } }
  - { on: payment/report-3, compensate: all, mode: shadow }
  - { on: sms/report-1, retry: sms.send }
  - { on: "*/*", compensate: downstream }
"#;
const ACTIONS: [(&str, &str); 6] = [
    ("order", "place"),
    ("payment", "pay"),
    ("coupon", "redeem"),
    ("delivery", "request"),
    ("rider", "match"),
    ("sms", "send"),
];
const CODES: [&str; 4] = ["report-1", "report-2", "report-3", "odd"];

fn any_evidence() -> impl Strategy<Value = Vec<Evidence>> {
    let one = (0..ACTIONS.len(), 0..HistoryState::ALL.len()).prop_map(|(action, state)| Evidence {
        service: ACTIONS[action].0.to_owned(),
        action: ACTIONS[action].1.to_owned(),
        request_id: format!("r-{action}"),
        state: HistoryState::ALL[state],
    });
    prop::collection::vec(one, 0..4)
}

fn any_reports() -> impl Strategy<Value = Vec<Report>> {
    let one = (0..ACTIONS.len(), 0..CODES.len(), any_evidence(), any::<bool>(), any::<bool>());
    prop::collection::vec(one, 1..4).prop_map(|all| {
        let report = |(n, (service, code, history, names_action, follows)): (
            usize,
            (usize, usize, _, bool, bool),
        )| Report {
            id: format!("report-{n}"),
            source: ACTIONS[service].0.to_owned(),
            saga_id: SagaId::new("s").expect("valid"),
            time: None,
            traceparent: None,
            data: ReportData {
                code: CODES[code].to_owned(),
                action: names_action.then(|| ACTIONS[service].1.to_owned()),
                caused_by: if follows && n > 0 {
                    vec![format!("report-{}", n - 1)]
                } else {
                    Vec::new()
                },
                history,
                ..ReportData::default()
            },
        };
        all.into_iter().enumerate().map(report).collect()
    })
}

/// Stages as the engine numbers them may leave gaps; only their order counts.
fn by_engine(book: &Arc<Rulebook>, reports: &[Report]) -> BTreeSet<(u16, Verb, String)> {
    let mut engine = Engine::new(0);
    engine.restore_active(Arc::clone(book));
    let now = Timestamp(0);
    for service in book.services() {
        // Nothing is sent: what was sent keeps its stage, which is another story.
        engine.handle(
            now,
            Input::Pause {
                service: Arc::clone(&service.name),
                paused: true,
                actor: "test".into(),
                reason: "test".into(),
                ticket: 0,
            },
        );
    }
    for report in reports {
        let report = Box::new(report.clone());
        engine.handle(now, Input::Report { report, known_in: None, ticket: 0 });
    }
    let mut steps = std::collections::BTreeMap::new();
    for write in engine.take_output(now).writes {
        if let Write::Step(row) = write {
            steps.insert(row.id.ordinal, *row);
        }
    }
    steps
        .into_values()
        .filter(|s| !matches!(s.state, StepState::Superseded | StepState::Shadow))
        .map(|s| (s.stage, s.verb, s.action.to_string()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rulebook_and_engine_plan_alike(reports in any_reports(), listed in any::<bool>()) {
        let text = if listed { LISTED } else { FOOD_ORDER };
        let book = Rulebook::from_yaml(text).unwrap_or_else(|found| panic!("{found:#?}"));
        let all: Vec<&Report> = reports.iter().collect();
        let plan = book.wants(&CaseFacts::of_all_reports(&book, &all, []));
        let ours: BTreeSet<_> = plan
            .in_earnest()
            .map(|s| (s.stage.0, s.verb, book.get(s.action).name.to_string()))
            .collect();
        prop_assert_eq!(ours, by_engine(&book, &reports));
    }
}

#[test]
fn what_a_walk_tells_counts_alike() {
    let book = Rulebook::from_yaml(FOOD_ORDER).expect("valid");
    let evidence = |service: &str, action: &str, state| Evidence {
        service: service.to_owned(),
        action: action.to_owned(),
        request_id: "r".to_owned(),
        state,
    };
    let report = Report {
        id: "report-1".to_owned(),
        source: "payment".to_owned(),
        saga_id: SagaId::new("s").expect("valid"),
        time: None,
        traceparent: None,
        data: ReportData {
            code: "odd".to_owned(),
            action: Some("pay".to_owned()),
            history: vec![evidence("payment", "pay", HistoryState::Failed)],
            ..ReportData::default()
        },
    };
    let others = [evidence("delivery", "request", HistoryState::Succeeded)];
    let engine = by_engine_walked(&book, &report, &others);
    let heard = others.iter().map(|e| (e.service.as_str(), e));
    let plan = book.wants(&CaseFacts::of_all_reports(&book, &[&report], heard));
    let ours: BTreeSet<_> = plan
        .in_earnest()
        .map(|s| (s.stage.0, s.verb, book.get(s.action).name.to_string()))
        .collect();
    assert_eq!(ours, engine);
    assert!(
        ours.iter()
            .any(|(_, verb, action)| *verb == Verb::Compensate && action == "delivery.request")
    );
}

/// The same with running lanes, so that the walks go out.
fn by_engine_walked(
    book: &Arc<Rulebook>,
    report: &Report,
    others: &[Evidence],
) -> BTreeSet<(u16, Verb, String)> {
    let mut engine = Engine::new(0);
    engine.restore_active(Arc::clone(book));
    let now = Timestamp(0);
    engine
        .handle(now, Input::Report { report: Box::new(report.clone()), known_in: None, ticket: 0 });
    let mut steps = BTreeSet::new();
    let mut walks: Vec<Errand> = Vec::new();
    for round in 0..2 {
        let out = engine.take_output(now);
        for write in out.writes {
            if let Write::Step(row) = write {
                steps.insert((row.stage, row.verb, row.action.to_string()));
            }
        }
        walks.extend(out.errands);
        if round == 1 {
            break;
        }
        for errand in walks.drain(..) {
            if let Errand::Walk(walk) = errand {
                let own = others.iter().filter(|e| *e.service == *walk.service).cloned().collect();
                let result = WalkResult::Told(own);
                engine.handle(
                    now,
                    Input::WalkEnded { case: walk.case, service: walk.service, result },
                );
            }
        }
    }
    steps
}
