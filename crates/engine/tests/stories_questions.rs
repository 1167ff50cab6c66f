//! Open questions: evidence that contradicts an outcome holds the case until it is resolved or a person answers.

mod world;

use amends_api::{CaseState, ClosedOn, QuestionAct, QuestionKind};
use amends_engine::{Answer, HistoryResult, Input, StepReading, StepResult, open_questions};
use amends_protocol::{CaseId, Evidence, HistoryState as H, Outcome, Report};
use amends_rulebook::Rulebook;
use std::collections::BTreeSet;
use world::{Reply, World};

/// A shop that calls billing, which speaks the protocol.
const SHOP: &str = "
rulebook: shop
settle: { quiet: 1s }
services:
  shop: { actions: { sell: { effect: none, calls: [billing.charge] } } }
  till: { actions: { ring: { effect: none, calls: [billing.charge] } } }
  billing: { url: http://billing:80, actions: { charge: { compensation: refund } } }
rules: [{ on: \"*/*\", compensate: recorded }]
";

/// The same, and billing is asked by an endpoint of its own.
fn mapped(answers: &str) -> String {
    let endpoint =
        format!("endpoints: {{ compensate: {{ path: /refund, done: [2xx], {answers} }} }}");
    SHOP.replace("compensation: refund", &format!("compensation: refund, {endpoint}"))
}

const STEP: &str = "compensate billing.charge";

fn evidence(request: &str, state: H) -> Evidence {
    Evidence::new("billing", "charge", request, state)
}

fn tells(source: &str, id: &str, history: Vec<Evidence>) -> Report {
    let mut report = world::report(&format!("{source}/odd"), "s");
    report.id = id.to_owned();
    report.data.history = history;
    report
}

/// Billing says that there is nothing to undo, and its History says this.
fn contradicted(history: HistoryResult) -> (World, CaseId) {
    let mut world = World::new(SHOP);
    world.replies.insert(STEP.to_owned(), Reply::Done(Outcome::NothingToCompensate));
    world.histories.insert("billing".to_owned(), history);
    let case = world.report(tells("shop", "r-1", vec![evidence("p-1", H::Succeeded)]));
    world.settle_down();
    world.pass_ms(10_000);
    (world, case)
}

fn kinds(world: &World, case: CaseId, book: &str) -> Vec<QuestionKind> {
    let book = Rulebook::from_yaml(book).unwrap_or_else(|found| panic!("{found:#?}"));
    open_questions(&world.stored(case), Some(&book)).iter().map(|question| question.kind).collect()
}

#[test]
fn a_success_that_its_service_did_not_find_holds_the_case() {
    let (world, case) =
        contradicted(HistoryResult::Told(vec![evidence("p-1", H::Succeeded)].into()));
    assert_eq!(world.state(case), CaseState::Stuck);
    assert_eq!(kinds(&world, case, SHOP), [QuestionKind::Contradiction]);
    let book = Rulebook::from_yaml(SHOP).unwrap_or_else(|found| panic!("{found:#?}"));
    let question = &open_questions(&world.stored(case), Some(&book))[0];
    assert_eq!(
        question.sentence(),
        "billing says that there was nothing to undo of billing.charge, and billing and shop say that request p-1 succeeded"
    );
}

#[test]
fn what_the_history_says_after_the_undoing_resolves_it() {
    for state in [H::Compensated, H::Failed, H::Fenced] {
        let (world, case) = contradicted(HistoryResult::Told(vec![evidence("p-1", state)].into()));
        assert_eq!(world.state(case), CaseState::Settled, "{state}");
        assert_eq!(world.walked, ["billing", "billing"], "{state}: read before and after");
    }
}

#[test]
fn a_service_that_has_forgotten_the_saga_is_believed_and_one_without_a_history_is_not() {
    let (world, case) = contradicted(HistoryResult::Told(vec![].into()));
    assert_eq!(world.state(case), CaseState::Settled, "it is gone after its retention");
    let (world, case) = contradicted(HistoryResult::NoHistory);
    assert_eq!(kinds(&world, case, SHOP), [QuestionKind::Contradiction]);
    let (world, case) = contradicted(HistoryResult::Told(vec![evidence("p-0", H::Failed)].into()));
    assert_eq!(world.state(case), CaseState::Stuck, "it remembers another request, not this one");
}

#[test]
fn nothing_is_asked_where_no_request_is_said_to_have_succeeded() {
    for state in [H::Started, H::Unknown] {
        let mut world = World::new(SHOP);
        world.replies.insert(STEP.to_owned(), Reply::Done(Outcome::NothingToCompensate));
        let case = world.report(tells("shop", "r-1", vec![evidence("p-1", state)]));
        world.settle_down();
        world.pass_ms(10_000);
        assert_eq!(world.state(case), CaseState::Settled, "{state}");
        assert_eq!(world.walked.len(), 1, "{state}: {:?}", world.walked);
    }
}

#[test]
fn the_services_own_word_outranks_its_callers() {
    let mut world = World::new(SHOP);
    world.replies.insert(STEP.to_owned(), Reply::Done(Outcome::NothingToCompensate));
    let case = world.report(tells("shop", "r-1", vec![evidence("p-1", H::Succeeded)]));
    world.report(tells("billing", "r-2", vec![evidence("p-1", H::Failed)]));
    world.settle_down();
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn a_request_that_was_undone_answers_for_the_others() {
    let mut world = World::new(SHOP);
    world.replies.insert(STEP.to_owned(), Reply::Done(Outcome::NothingToCompensate));
    let both = vec![evidence("p-1", H::Compensated), evidence("p-2", H::Succeeded)];
    world.histories.insert("billing".to_owned(), HistoryResult::Told(both.into()));
    let case = world.report(tells("shop", "r-1", vec![evidence("p-2", H::Succeeded)]));
    world.settle_down();
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn a_person_accepts_it_and_another_witness_asks_again() {
    let (mut world, case) = contradicted(HistoryResult::NoHistory);
    let accept = || QuestionAct::Accept { reason: "seen in the bank".to_owned() };
    assert_eq!(world.answer_question(case, accept()), Answer::Done);
    world.settle_down();
    assert_eq!(world.state(case), CaseState::Settled);
    assert_eq!(world.case(case).closed_on, Some(ClosedOn::ByPerson));
    let acts: Vec<_> = world.memory.acts().iter().map(|act| &*act.act).collect();
    assert!(acts.contains(&"answer"), "{acts:?}");
    // The same again changes nothing; somebody else does.
    world.report(tells("shop", "r-2", vec![evidence("p-1", H::Succeeded)]));
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Settled);
    world.report(tells("till", "r-3", vec![evidence("p-1", H::Succeeded)]));
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Stuck);
    world.crash();
    assert_eq!(world.state(case), CaseState::Stuck);
    let record = QuestionAct::Record {
        reason: "refunded in the portal".to_owned(),
        outcome: Outcome::Compensated,
    };
    assert_eq!(world.answer_question(case, record), Answer::Done);
    assert_eq!(world.state(case), CaseState::Settled);
}

/// Behind the fence that an undoing puts up nothing can succeed. If its own service says so all the same, of a request
/// that was not known before, its History is read once more, and what that confirms is a person's.
#[test]
fn a_request_that_its_service_says_succeeded_after_the_undoing_is_a_persons() {
    for (read, state) in [(H::Succeeded, CaseState::Stuck), (H::Compensated, CaseState::Settled)] {
        let mut world = World::new(SHOP);
        let case = world.report(tells("shop", "r-1", vec![evidence("p-1", H::Succeeded)]));
        world.settle_down();
        world.pass_ms(10_000);
        assert_eq!(world.state(case), CaseState::Settled);
        let told = vec![evidence("p-1", H::Compensated), evidence("p-2", read)];
        world.histories.insert("billing".to_owned(), HistoryResult::Told(told.into()));
        world.report(tells("billing", "r-2", vec![evidence("p-2", H::Succeeded)]));
        world.settle_down();
        world.pass_ms(10_000);
        assert_eq!(world.state(case), state, "{read}");
        let book = Rulebook::from_yaml(SHOP).unwrap_or_else(|found| panic!("{found:#?}"));
        let asked = open_questions(&world.stored(case), Some(&book));
        let said: Vec<_> = asked.iter().map(|question| question.sentence()).collect();
        assert_eq!(said.is_empty(), state == CaseState::Settled, "{said:?}");
        for said in said {
            assert!(
                said.contains("it has undone billing.charge") && said.contains("p-2"),
                "{said}"
            );
        }
    }
}

#[test]
fn asked_again_the_history_may_know_better() {
    let (mut world, case) =
        contradicted(HistoryResult::Told(vec![evidence("p-1", H::Succeeded)].into()));
    world
        .histories
        .insert("billing".to_owned(), HistoryResult::Told(vec![evidence("p-1", H::Fenced)].into()));
    let reason = "billing is mended".to_owned();
    let again = QuestionAct::AskAgain { reason, may_have_run: false };
    assert_eq!(world.answer_question(case, again), Answer::Done);
    world.settle_down();
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Settled);
    assert_ne!(world.case(case).closed_on, Some(ClosedOn::ByPerson));
}

/// Whatever people or rulebooks say of a contradiction: it is no proof, and what may stand is named.
#[test]
fn a_contradiction_that_is_accepted_or_only_noted_is_never_behind_proven() {
    let accepted = || {
        let (mut world, case) =
            contradicted(HistoryResult::Told(vec![evidence("p-1", H::Succeeded)].into()));
        let act = QuestionAct::Accept { reason: "asked them".to_owned() };
        assert_eq!(world.answer_question(case, act), Answer::Done);
        (world, case)
    };
    let noted = || {
        let mut world = World::new(&format!("{SHOP}questions: {{ contradiction: note }}\n"));
        world.replies.insert(STEP.to_owned(), Reply::Done(Outcome::NothingToCompensate));
        let told = HistoryResult::Told(vec![evidence("p-1", H::Succeeded)].into());
        world.histories.insert("billing".to_owned(), told);
        let case = world.report(tells("shop", "r-1", vec![evidence("p-1", H::Succeeded)]));
        (world, case)
    };
    for ((mut world, case), word) in [(accepted(), ClosedOn::ByPerson), (noted(), ClosedOn::Quiet)]
    {
        world.settle_down();
        world.pass_ms(60_000);
        let row = world.case(case);
        assert_eq!((row.state, row.closed_on), (CaseState::Settled, Some(word)));
        let left = &row.extra.may_still_stand[0];
        assert_eq!((&*left.action, left.request_id.as_deref()), ("charge", Some("p-1")));
        assert_eq!(
            left.why,
            "billing answered `nothing_to_compensate`, and evidence says that a request of it took effect"
        );
    }
}

#[test]
fn a_rulebook_may_only_note_it() {
    let noted = format!("{SHOP}questions: {{ contradiction: note }}\n");
    let mut world = World::new(&noted);
    world.replies.insert(STEP.to_owned(), Reply::Done(Outcome::NothingToCompensate));
    world.histories.insert("billing".to_owned(), HistoryResult::NoHistory);
    let case = world.report(tells("shop", "r-1", vec![evidence("p-1", H::Succeeded)]));
    world.settle_down();
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Settled);
    assert_eq!(kinds(&world, case, &noted), [QuestionKind::Contradiction]);
}

/// Billing answers so, with these statuses one after the other.
fn asked_by_mapping(answers: &str, statuses: &[(StepReading, u16)]) -> (World, CaseId, String) {
    let book = mapped(answers);
    let mut world = World::new(&book);
    world.replies.insert(STEP.to_owned(), Reply::Silent);
    let case = world.report(tells("shop", "r-1", vec![evidence("p-1", H::Succeeded)]));
    for (reading, status) in statuses {
        world.settle_down();
        world.answer_by_status(STEP, reading.clone(), *status);
        world.pass_ms(5_000);
    }
    world.settle_down();
    world.pass_ms(10_000);
    (world, case, book)
}

#[test]
fn a_mapped_nothing_is_believed_by_its_body_by_already_or_said_twice() {
    let nothing = || (StepReading::Done(Outcome::NothingToCompensate), 404);
    let unknown = || (StepReading::Unknown, 500);
    let (world, case, book) = asked_by_mapping("nothing: [404]", &[nothing()]);
    assert_eq!(world.state(case), CaseState::Stuck, "a plain 404 says too little");
    assert_eq!(kinds(&world, case, &book), [QuestionKind::Contradiction]);
    let body = "nothing: [{ status: 404, body: { code: none } }]";
    let (world, case, _) = asked_by_mapping(body, &[nothing()]);
    assert_eq!(world.state(case), CaseState::Settled, "its body says so");
    let already = (StepReading::Done(Outcome::AlreadyCompensated), 404);
    let (world, case, _) = asked_by_mapping("already: [404]", &[already]);
    assert_eq!(world.state(case), CaseState::Settled, "`already` says that it was undone");
    let tries = [unknown(), nothing(), nothing()];
    let (world, case, _) = asked_by_mapping("nothing: [404]", &tries);
    assert_eq!(world.state(case), CaseState::Settled, "the try without an answer may have done it");
    assert_eq!(world.sent.len(), 3);
}

#[test]
fn asked_again_an_endpoint_gets_another_key_and_may_know_better() {
    let nothing = (StepReading::Done(Outcome::NothingToCompensate), 404);
    let (mut world, case, _) = asked_by_mapping("nothing: [404]", &[nothing]);
    assert_eq!(world.state(case), CaseState::Stuck);
    world.replies.insert(STEP.to_owned(), Reply::Done(Outcome::Compensated));
    let reason = "its path is mended".to_owned();
    let again = QuestionAct::AskAgain { reason, may_have_run: false };
    assert_eq!(world.answer_question(case, again), Answer::Done);
    world.settle_down();
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Settled);
    assert_ne!(world.case(case).closed_on, Some(ClosedOn::ByPerson));
    let keys: BTreeSet<_> = world.sends.iter().map(|send| send.key.clone()).collect();
    assert_eq!((world.sends.len(), keys.len()), (2, 2), "each under a key of its own");
}

#[test]
fn after_a_try_without_an_answer_a_person_has_to_say_that_it_may_run_once_more() {
    let mut world = World::new(&mapped("nothing: [404]"));
    world.replies.insert(STEP.to_owned(), Reply::Silent);
    let case = world.report(tells("shop", "r-1", vec![evidence("p-1", H::Unknown)]));
    world.settle_down();
    // Who called may still charge: the refund waits for it, at most the quiet time.
    world.pass_ms(10_000);
    world.settle_down();
    world.answer_by_status(STEP, StepReading::Unknown, 500);
    world.pass_ms(5_000);
    world.settle_down();
    world.answer_by_status(STEP, StepReading::Done(Outcome::NothingToCompensate), 404);
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Settled, "nobody tells of a success yet");
    world.report(tells("shop", "r-2", vec![evidence("p-1", H::Succeeded)]));
    world.settle_down();
    assert_eq!(world.state(case), CaseState::Stuck);
    let again = |may_have_run| QuestionAct::AskAgain { reason: "so".to_owned(), may_have_run };
    let Answer::Conflict(why) = world.answer_question(case, again(false)) else { panic!("taken") };
    assert!(why.contains("--may-have-run"), "{why}");
    let question = world.question(case);
    let many = Input::QuestionAct {
        question,
        act: again(true),
        actor: "kim".into(),
        bulk: Some(7),
        ticket: 1_000,
    };
    let Answer::Invalid(why) = world.answer_to(many, 1_000) else { panic!("taken in bulk") };
    assert!(why.contains("one step at a time"), "{why}");
    world.replies.insert(STEP.to_owned(), Reply::Done(Outcome::Compensated));
    assert_eq!(world.answer_question(case, again(true)), Answer::Done);
    world.settle_down();
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn a_request_that_went_out_twice_may_have_run_the_first_time() {
    let book = mapped("nothing: [404]");
    let mut world = World::new(&book);
    world.replies.insert(STEP.to_owned(), Reply::Silent);
    let case = world.report(tells("shop", "r-1", vec![evidence("p-1", H::Succeeded)]));
    world.settle_down();
    let nothing = || StepResult::new(StepReading::Done(Outcome::NothingToCompensate), Some(404));
    world.answer_as(STEP, StepResult { sent_twice: true, ..nothing() });
    world.pass_ms(5_000);
    world.settle_down();
    assert_eq!(world.sent.len(), 2, "what the second found undone the first may have undone");
    world.answer_as(STEP, nothing());
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn the_order_of_arrival_decides_nothing() {
    let reports = || {
        [
            tells("shop", "r-1", vec![evidence("p-1", H::Succeeded)]),
            tells("till", "r-2", vec![evidence("p-2", H::Unknown)]),
            tells("billing", "r-3", vec![evidence("p-2", H::Failed)]),
        ]
    };
    let mut seen = Vec::new();
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut world = World::new(SHOP);
        world.replies.insert(STEP.to_owned(), Reply::Done(Outcome::NothingToCompensate));
        world.histories.insert("billing".to_owned(), HistoryResult::NoHistory);
        let all = reports();
        let case = world.report(all[order[0]].clone());
        for n in &order[1..] {
            world.report(all[*n].clone());
        }
        world.settle_down();
        world.pass_ms(20_000);
        let book = Rulebook::from_yaml(SHOP).unwrap_or_else(|found| panic!("{found:#?}"));
        seen.push((world.state(case), open_questions(&world.stored(case), Some(&book))));
    }
    assert_eq!(seen[0].0, CaseState::Stuck);
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:#?}");
}

#[test]
fn evidence_that_had_no_room_is_a_question_and_what_says_nothing_new_is_none() {
    let mut world = World::new(SHOP);
    let full: Vec<Evidence> = (0..1_000).map(|n| evidence(&format!("p-{n}"), H::Unknown)).collect();
    world
        .replies
        .insert(STEP.to_owned(), Reply::SaysWith(StepReading::Done(Outcome::Compensated), full));
    let case = world.report(tells("shop", "r-1", vec![evidence("p", H::Succeeded)]));
    world.settle_down();
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Settled, "as much as there is room for");
    let more = vec![evidence("q-1", H::Unknown)];
    let step = world.step(case, STEP).id;
    world.call_back_with(step, Outcome::Compensated, more);
    assert_eq!(kinds(&world, case, SHOP), [], "one more request of an action that is undone");
    let rider = Evidence { service: "rider".to_owned(), ..evidence("q-2", H::Unknown) };
    world.call_back_with(step, Outcome::Compensated, vec![rider]);
    assert_eq!(kinds(&world, case, SHOP), [QuestionKind::Dropped]);
    assert_eq!(world.state(case), CaseState::Stuck);
}

#[test]
fn nobody_answers_what_is_not_asked() {
    let (mut world, case) = contradicted(HistoryResult::NoHistory);
    let question = world.question(case);
    let accept = || QuestionAct::Accept { reason: "so".to_owned() };
    let mut other = question;
    other.tag ^= 1;
    assert!(matches!(world.say(other, accept()), Answer::NotFound(_)));
    other.case = CaseId(99);
    assert!(matches!(world.say(other, accept()), Answer::NotFound(_)));
    let silent = QuestionAct::Accept { reason: " ".to_owned() };
    assert!(matches!(world.say(question, silent), Answer::Invalid(_)));
    let waived = QuestionAct::Record { reason: "so".to_owned(), outcome: Outcome::Waived };
    assert!(matches!(world.say(question, waived), Answer::Invalid(_)));
    assert_eq!(world.say(question, accept()), Answer::Done);
    let Answer::Conflict(why) = world.say(question, accept()) else { panic!("answered before") };
    assert!(why.contains("kim has answered"), "{why}");
}

/// What a person went without is not looked for again, also not when the case looks around for the last time.
#[test]
fn a_case_closes_without_the_history_that_a_person_goes_without() {
    let book = SHOP.replace("effect: none, calls: [billing.charge] } } }\n  till", "effect: none, calls: [mid.work] } } }\n  mid: { url: http://mid:80, actions: { work: { compensation: unwork, calls: [\"billing.charge?\"] } } }\n  till");
    let mut world = World::new(&book);
    let broken =
        HistoryResult::Failed { message: "500".into(), unreachable: false, retry_after_ms: None };
    world.histories.insert("mid".to_owned(), broken);
    let mut report = tells("shop", "r-1", vec![Evidence::new("mid", "work", "m", H::Unknown)]);
    report.data.action = Some("sell".to_owned());
    let case = world.report(report);
    world.settle_down();
    world.pass_ms(70 * 60_000);
    assert_eq!(world.state(case), CaseState::Stuck);
    let accept = QuestionAct::Accept { reason: "its table is lost".to_owned() };
    assert_eq!(world.answer_question(case, accept), Answer::Done);
    world.settle_down();
    world.pass_ms(10 * 60_000);
    let row = world.case(case);
    assert_eq!((row.state, row.closed_on), (CaseState::Settled, Some(ClosedOn::ByPerson)));
}

#[test]
fn a_history_that_cannot_be_read_for_an_hour_asks_a_person_and_one_that_returns_ends_it() {
    let broken = || HistoryResult::Failed {
        message: "500".to_owned(),
        unreachable: false,
        retry_after_ms: None,
    };
    for answered in [false, true] {
        let mut world = World::new(SHOP);
        world.histories.insert("billing".to_owned(), broken());
        let case = world.report(tells("shop", "r-1", vec![evidence("p-1", H::Succeeded)]));
        world.settle_down();
        world.pass_ms(50 * 60_000);
        assert_eq!(world.state(case), CaseState::Open, "it may come back by itself");
        world.pass_ms(15 * 60_000);
        assert_eq!(world.state(case), CaseState::Stuck);
        assert_eq!(kinds(&world, case, SHOP), [QuestionKind::HistoryUnavailable]);
        if answered {
            let accept = QuestionAct::Accept { reason: "its table is lost".to_owned() };
            assert_eq!(world.answer_question(case, accept), Answer::Done);
        } else {
            world.histories.insert("billing".to_owned(), HistoryResult::Told(vec![].into()));
        }
        world.pass_ms(10 * 60_000);
        assert_eq!(world.state(case), CaseState::Settled);
        let by_person = world.case(case).closed_on == Some(ClosedOn::ByPerson);
        assert_eq!(by_person, answered, "{:?}", world.case(case).closed_on);
    }
}
