//! What an answer costs does not grow with its case, and what is put together says what the rows say.

use super::*;
use crate::{Effect, Engine, Input, StepReading, StepResult};
use amends_protocol::{Outcome, ReportData, SagaId, Timestamp};
use std::cell::Cell;

thread_local! {
    /// Pieces of evidence that were looked at by this thread.
    static LOOKED: Cell<usize> = const { Cell::new(0) };
}

pub(super) fn look(pieces: usize) {
    LOOKED.with(|looked| looked.set(looked.get() + pieces));
}

const SHOP: &str = "
rulebook: shop
services:
  order: { url: \"http://order\", actions: { place: { compensation: cancel, calls: [payment.pay] } } }
  payment: { url: \"http://payment\", actions: { pay: { compensation: refund } } }
rules:
  - { on: \"*/*\", compensate: recorded }
";

fn seen(service: &str, action: &str, request: usize) -> Evidence {
    Evidence::new(service, action, format!("r-{request}"), HistoryState::Succeeded)
}

fn report(id: &str, history: Vec<Evidence>) -> Report {
    Report {
        id: id.to_owned(),
        source: "order".to_owned(),
        saga_id: SagaId::new("s").expect("a saga id"),
        time: None,
        traceparent: None,
        data: ReportData { code: "c".to_owned(), history, ..ReportData::default() },
    }
}

/// A case of which nobody has answered yet, with so many reports of a thousand requests each; and what it asks for.
fn large(reports: usize) -> (Engine, Vec<Effect>) {
    let book = Rulebook::from_yaml(SHOP).expect("a rulebook");
    let mut engine = Engine::new(0);
    engine.restore_active(book);
    let mut effects = Vec::new();
    for n in 0..reports {
        let mut history = vec![seen("order", "place", 0), seen("payment", "pay", 0)];
        history.extend((0..998).map(|m| seen("basket", "fill", n * 998 + m)));
        let report = Arc::new(report(&format!("report-{n}"), history));
        engine.handle(Timestamp(0), Input::Report { report, known_in: None, ticket: n as u64 });
        effects.extend(engine.take_output(Timestamp(0)).effects);
    }
    (engine, effects)
}

/// How many pieces of evidence are looked at for the answer to a step that tells of two new requests.
fn looked_at_for_an_answer(reports: usize) -> usize {
    let (mut engine, effects) = large(reports);
    let effect = effects.iter().find(|e| e.step().is_some()).expect("a step is asked for");
    let (step, attempt) = effect.step().expect("of a step");
    let history = vec![seen("payment", "pay", 1), seen("basket", "fill", usize::MAX)];
    let done = StepReading::Done(Outcome::Compensated);
    let result = StepResult::new(done, Some(200)).telling(history);
    let before = LOOKED.get();
    let service = Arc::clone(effect.service());
    engine.handle(Timestamp(1), Input::StepEnded { step, attempt, service, result });
    assert!(!engine.take_output(Timestamp(1)).writes.is_empty(), "the answer is kept");
    LOOKED.get() - before
}

#[test]
fn what_a_request_needs_is_told_by_its_own_service_before_others() {
    let data = |key: &str| {
        let mut map = serde_json::Map::new();
        map.insert("paymentId".to_owned(), key.into());
        map
    };
    let told = |key: &str| Evidence { data: data(key), ..seen("payment", "pay", 1) };
    let mut heard = Heard::default();
    heard.add_told(&"order".into(), &told("of the caller"));
    heard.add_told(&"payment".into(), &told("its own"));
    assert!(heard.has("payment", &told("its own")) && !heard.has("payment", &told("another")));
    let name = ActionName::new("payment", "pay");
    let said: Vec<_> = heard.data_of(&name, "r-1").map(|(by, data)| (&**by, data)).collect();
    assert_eq!(said, [("payment", &data("its own")), ("order", &data("of the caller"))]);
}

#[test]
fn evidence_of_no_certain_request_tells_of_the_action() {
    let of_any = Evidence { request_id: None, ..seen("payment", "pay", 1) };
    let mut heard = Heard::default();
    assert!(!heard.knows(&of_any));
    heard.add_told(&"order".into(), &of_any);
    let name = ActionName::new("payment", "pay");
    assert!(heard.has("order", &of_any) && heard.knows(&of_any));
    assert!(!heard.knows(&seen("payment", "pay", 1)));
    assert_eq!(heard.requests(&name).count(), 0);
    assert!(heard.anybodys_word(&name).may_have_effect());
}

#[test]
fn an_answer_costs_the_same_however_large_its_case_is() {
    let small = looked_at_for_an_answer(1);
    assert!(small < 50, "{small}");
    assert_eq!(looked_at_for_an_answer(20), small);
}

#[test]
fn what_is_kept_up_is_what_the_rows_say() {
    let (a, b) = (seen("payment", "pay", 1), seen("stranger", "act", 2));
    let failed = Evidence { state: HistoryState::Failed, ..a.clone() };
    let by: Arc<str> = "payment".into();
    let told = [EvidenceRow { by: Arc::clone(&by), at: None, within: None, evidence: b.clone() }];
    let report = report("r", vec![failed.clone(), b.clone()]);
    let mut kept = Heard::default();
    assert!(kept.unreported().is_empty());
    kept.add_report(&report);
    kept.add_entry(&by, &a);
    kept.add_told(&by, &b);
    let pay = ActionName::new("payment", "pay");
    let book = Rulebook::from_yaml(SHOP).expect("a rulebook");
    assert_eq!(kept.unreported().iter().map(|s| &**s).collect::<Vec<_>>(), ["payment"]);
    assert!(kept.has("order", &failed) && kept.has("payment", &a));
    assert!(!kept.has("payment", &failed) && !kept.has("order", &a));
    assert_eq!(kept.kept_of(|who| who == "payment"), told.len());
    assert_eq!(kept.requests(&pay).map(|id| &**id).collect::<Vec<_>>(), ["r-1"]);
    assert_eq!(kept.word_of("payment", &pay).iter().collect::<Vec<_>>(), [HistoryState::Succeeded]);
    let of_report = kept.word_of_report(0, &pay);
    assert_eq!(of_report.iter().collect::<Vec<_>>(), [HistoryState::Failed]);
    let effects = kept.effects(&book);
    assert_eq!(effects.iter().map(|id| &book.get(*id).name).collect::<Vec<_>>(), [&pay]);
    let strangers = kept.new_strangers(&book);
    assert_eq!(strangers.len(), 2, "both who told of it: {strangers:?}");
    assert!(kept.new_strangers(&book).is_empty(), "each is given once");
    kept.forget_what_is_noted();
    assert_eq!(kept.new_strangers(&book).len(), 2, "but for another rulebook");
}
