//! Past an effect that nothing can undo, what came before it is undone only if a rule or a person says so.

mod world;

use amends_api::{CaseState, Cause, ClosedOn, QuestionAct, QuestionKind, StepAct, Verdict};
use amends_engine::{Answer, HistoryResult, StepReading, StepState, open_questions};
use amends_protocol::{CaseId, HistoryState as H, Outcome, Report};
use amends_rulebook::Rulebook;
use world::{Reply, Says, World, evidence, reason, report};

/// Charges a card, then transfers money that nobody gives back, then sends a parcel.
const BANK: &str = "
rulebook: bank
settle: { quiet: 60s }
services:
  order: { url: \"http://order\", actions: { place: { compensation: cancel, calls: [card.charge, bank.transfer, parcel.send] } } }
  card: { url: \"http://card\", actions: { charge: { compensation: refund } } }
  bank: { url: \"http://bank\", actions: { transfer: { effect: pivot } } }
  parcel: { url: \"http://parcel\", actions: { send: { compensation: call-back } } }
rules:
  - { on: parcel/undo, compensate: recorded, past: undo }
  - { on: parcel/keep, compensate: recorded, past: keep }
  - { on: parcel/list, compensate: [card.charge] }
  - { on: \"*/*\", compensate: recorded }
";

const REFUND: &str = "compensate card.charge";
const FENCE: &str = "compensate bank.transfer";

/// The parcel could not be sent, and the card was charged.
fn no_parcel(code: &str) -> Report {
    let report = report(&format!("parcel/{code}"), "s").action("send");
    report.saw("parcel.send", H::Failed).saw("card.charge", H::Succeeded)
}

/// What the bank says of the transfer.
fn bank_says(state: Option<H>) -> HistoryResult {
    let told: Vec<_> =
        state.map(|state| evidence("bank.transfer", "t-1", state)).into_iter().collect();
    HistoryResult::Told(told.into())
}

/// A failure of this kind, when the bank's History says this.
fn after(book: &str, code: &str, state: Option<H>) -> (World, CaseId) {
    let mut world = World::new(book);
    world.histories.insert("bank".to_owned(), bank_says(state));
    let case = world.report(no_parcel(code));
    world.settle_down();
    (world, case)
}

fn questions(world: &World, case: CaseId, book: &str) -> Vec<String> {
    let book = Rulebook::from_yaml(book).unwrap_or_else(|found| panic!("{found:#?}"));
    let all = open_questions(&world.stored(case), Some(&book));
    assert!(all.iter().all(|one| one.kind == QuestionKind::PastThePivot), "{all:#?}");
    all.iter().map(|one| one.sentence()).collect()
}

#[test]
fn past_the_pivot_nothing_before_it_is_undone_and_a_person_is_asked() {
    let (world, case) = after(BANK, "odd", Some(H::Succeeded));
    assert!(world.walked.contains(&"bank".to_owned()), "{:?}", world.walked);
    assert!(!world.sent.contains(&REFUND.to_owned()), "{:?}", world.sent);
    assert_eq!(world.state(case), CaseState::Stuck);
    assert_eq!(
        questions(&world, case, BANK),
        [
            "bank says that bank.transfer took effect, which nothing can undo: is what came before it to be undone all the same?"
        ]
    );
    let step = world.step(case, REFUND);
    assert_eq!((step.state.clone(), step.cause()), (StepState::Waiting, Some(Cause::Question)));
}

#[test]
fn a_transfer_that_failed_or_was_never_made_holds_nothing_back() {
    for state in [None, Some(H::Failed), Some(H::Fenced)] {
        let (mut world, case) = after(BANK, "odd", state);
        assert!(world.sent.contains(&REFUND.to_owned()), "{state:?}: {:?}", world.sent);
        world.pass_ms(120_000);
        assert_eq!(world.state(case), CaseState::Settled, "{state:?}");
    }
}

#[test]
fn the_bank_is_read_before_the_first_refund_leaves_whatever_the_rule_asks_for() {
    for code in ["odd", "list", "undo", "keep"] {
        let mut world = World::new(BANK);
        world.report(no_parcel(code));
        assert!(world.sent.is_empty(), "{code}: {:?}", world.sent);
        world.settle_down();
        assert!(world.walked.contains(&"bank".to_owned()), "{code}: {:?}", world.walked);
        assert!(world.sent.contains(&REFUND.to_owned()), "{code}: {:?}", world.sent);
    }
}

#[test]
fn a_transfer_under_way_is_barred_and_read_once_more() {
    for (then, goes) in [
        (Some(H::Failed), true),
        (Some(H::Fenced), false),
        (Some(H::Succeeded), false),
        (None, false),
    ] {
        let mut world = World::new(BANK);
        world.histories.insert("bank".to_owned(), bank_says(Some(H::Started)));
        world.replies.insert(FENCE.to_owned(), Reply::Silent);
        let case = world.report(no_parcel("odd"));
        world.settle_down();
        assert!(world.step(case, FENCE).extra.fence);
        assert!(!world.sent.contains(&REFUND.to_owned()), "{:?}", world.sent);
        assert_eq!(world.state(case), CaseState::Open, "nobody is asked before it is known");
        if let Some(then) = then {
            world.histories.insert("bank".to_owned(), bank_says(Some(then)));
        }
        world.answer(FENCE, StepReading::Done(Outcome::NothingToCompensate));
        world.settle_down();
        // What it had done when it was barred, no fence tells.
        assert_eq!(world.sent.contains(&REFUND.to_owned()), goes, "{then:?}: {:?}", world.sent);
        assert_eq!(questions(&world, case, BANK).len(), usize::from(!goes), "{then:?}");
    }
}

/// A fence that comes first hides that the transfer had been begun.
#[test]
fn a_transfer_that_calls_others_is_read_before_it_is_barred() {
    let book = BANK
        .replace("{ effect: pivot }", "{ effect: pivot, calls: [ledger.book] }")
        .replace("  parcel:", "  ledger: { url: \"http://ledger\", actions: { book: { compensation: strike } } }\n  parcel:");
    let mut world = World::new(&book);
    world.histories.insert("bank".to_owned(), bank_says(Some(H::Started)));
    let case = world.report(no_parcel("list"));
    assert!(!world.plan(case).contains(FENCE), "{:?}", world.plan(case));
    world.settle_down();
    assert!(world.plan(case).contains(FENCE), "{:?}", world.plan(case));
    assert!(!world.sent.contains(&REFUND.to_owned()), "{:?}", world.sent);
    assert_eq!(questions(&world, case, &book).len(), 1);
}

/// The order is not known to have ended, so it may come to the bank yet.
#[test]
fn while_somebody_may_still_lead_to_the_transfer_it_is_barred_before_the_refund() {
    let (world, _) = after(BANK, "odd", None);
    let at = |what: &str| world.sent.iter().position(|sent| sent == what);
    assert!(at(FENCE).is_some() && at(FENCE) < at(REFUND), "{:?}", world.sent);
}

#[test]
fn a_bank_that_does_not_know_what_it_did_is_asked_about_whatever_its_fence_says() {
    let mut world = World::new(BANK);
    world.histories.insert("bank".to_owned(), bank_says(Some(H::Unknown)));
    let case = world.report(no_parcel("odd"));
    world.settle_down();
    world.histories.insert("bank".to_owned(), bank_says(Some(H::Fenced)));
    world.pass_ms(200_000);
    assert!(!world.sent.contains(&REFUND.to_owned()), "{:?}", world.sent);
    assert_eq!(questions(&world, case, BANK).len(), 1);
}

#[test]
fn where_the_bank_puts_up_no_fence_an_unknown_end_is_asked_about() {
    let mut world = World::new(BANK);
    world.histories.insert("bank".to_owned(), bank_says(Some(H::Unknown)));
    world.replies.insert(FENCE.to_owned(), Reply::Says(StepReading::Rejected));
    let case = world.report(no_parcel("odd"));
    world.settle_down();
    assert_eq!(
        questions(&world, case, BANK),
        [
            "whether bank.transfer took effect is not known, and nothing can undo it: is what came before it to be undone all the same?"
        ]
    );
    // Better evidence ends it.
    world.histories.insert("bank".to_owned(), bank_says(Some(H::Failed)));
    let asked = QuestionAct::AskAgain { reason: reason(), may_have_run: false };
    assert_eq!(world.answer_question(case, asked), Answer::Done);
    world.settle_down();
    assert!(world.sent.contains(&REFUND.to_owned()), "{:?}", world.sent);
}

#[test]
fn who_accepts_keeps_what_came_before_and_who_records_has_it_undone() {
    let (mut world, case) = after(BANK, "odd", Some(H::Succeeded));
    let accepted = world.answer_question(case, QuestionAct::Accept { reason: reason() });
    assert_eq!(accepted, Answer::Done);
    world.pass_ms(200_000);
    assert_eq!(world.step(case, REFUND).state, StepState::Done(Outcome::Waived));
    assert_eq!(world.step(case, REFUND).extra.decided_by.as_deref(), Some("kim"));
    assert_eq!(world.case(case).closed_on, Some(ClosedOn::ByPerson));

    let (mut world, case) = after(BANK, "odd", Some(H::Succeeded));
    let waived = QuestionAct::Record { outcome: Outcome::Notified, reason: reason() };
    assert!(matches!(world.answer_question(case, waived), Answer::Invalid(_)));
    let recorded = QuestionAct::Record { outcome: Outcome::Compensated, reason: reason() };
    assert_eq!(world.answer_question(case, recorded), Answer::Done);
    world.settle_down();
    world.pass_ms(200_000);
    assert_eq!(world.step(case, REFUND).state, StepState::Done(Outcome::Compensated));
    assert_eq!(world.case(case).closed_on, Some(ClosedOn::ByPerson));
}

#[test]
fn a_rule_says_that_it_is_undone_all_the_same() {
    let (mut world, case) = after(BANK, "undo", Some(H::Succeeded));
    world.pass_ms(200_000);
    assert_eq!(world.step(case, REFUND).state, StepState::Done(Outcome::Compensated));
    assert_ne!(world.case(case).closed_on, Some(ClosedOn::ByPerson));
}

#[test]
fn a_rule_says_that_it_stays_and_a_person_may_still_have_it_undone() {
    let (mut world, case) = after(BANK, "keep", Some(H::Succeeded));
    assert_eq!(world.step(case, REFUND).state, StepState::Done(Outcome::Waived));
    let by = world.step(case, REFUND).extra.decided_by.clone();
    assert_eq!(by.as_deref(), Some("rule parcel/keep"));
    assert_eq!(world.case(case).closed_on, Some(ClosedOn::Forward));
    let book = Rulebook::from_yaml(BANK).unwrap_or_else(|found| panic!("{found:#?}"));
    let proof = amends_engine::Proof::of(world.stored(case), Some(book));
    let verdict = |name: &str| {
        let of = proof.actions.iter().find(|one| one.action.to_string() == name).expect("judged");
        of.verdict
    };
    assert_eq!(verdict("card.charge"), Verdict::Kept);
    assert_eq!(verdict("bank.transfer"), Verdict::Kept);

    let step = world.step(case, REFUND).id;
    let retry = StepAct::Retry { reason: reason(), new_key: false, may_have_run: false };
    assert_eq!(world.act(step, retry), Answer::Done);
    world.settle_down();
    assert_eq!(world.step(case, REFUND).state, StepState::Done(Outcome::Compensated));
}

#[test]
fn a_rule_that_keeps_asks_as_long_as_nobody_knows() {
    let mut world = World::new(BANK);
    world.histories.insert("bank".to_owned(), bank_says(Some(H::Unknown)));
    world.replies.insert(FENCE.to_owned(), Reply::Says(StepReading::Rejected));
    let case = world.report(no_parcel("keep"));
    world.settle_down();
    assert_eq!(questions(&world, case, BANK).len(), 1);
    assert_eq!(world.state(case), CaseState::Stuck);
}

#[test]
fn what_is_learned_later_is_asked_about_and_what_was_sent_stays() {
    let (mut world, case) = after(BANK, "odd", None);
    world.pass_ms(120_000);
    assert_eq!(world.state(case), CaseState::Settled);
    assert_eq!(world.step(case, REFUND).state, StepState::Done(Outcome::Compensated));
    let late = report("order/odd", "s").action("place").saw("order.place", H::Failed);
    world.report(late.saw("bank.transfer", H::Succeeded));
    world.settle_down();
    assert_eq!(world.state(case), CaseState::Stuck);
    assert_eq!(questions(&world, case, BANK).len(), 1);
    assert_eq!(world.step(case, REFUND).state, StepState::Done(Outcome::Compensated));
    let accepted = world.answer_question(case, QuestionAct::Accept { reason: reason() });
    assert_eq!(accepted, Answer::Done);
    world.pass_ms(200_000);
    assert_eq!(world.case(case).closed_on, Some(ClosedOn::ByPerson));
}

#[test]
fn a_rulebook_that_only_notes_it_undoes() {
    let book = BANK.replace("rules:", "questions: { past_the_pivot: note }\nrules:");
    let (mut world, case) = after(&book, "odd", Some(H::Succeeded));
    assert!(world.sent.contains(&REFUND.to_owned()), "{:?}", world.sent);
    world.pass_ms(120_000);
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn a_restart_forgets_nothing_of_it() {
    let (mut world, case) = after(BANK, "odd", Some(H::Succeeded));
    world.crash();
    world.settle_down();
    assert_eq!(world.state(case), CaseState::Stuck);
    assert!(!world.sent.contains(&REFUND.to_owned()), "{:?}", world.sent);
    let recorded = QuestionAct::Record { outcome: Outcome::Compensated, reason: reason() };
    assert_eq!(world.answer_question(case, recorded), Answer::Done);
    world.settle_down();
    assert!(world.sent.contains(&REFUND.to_owned()), "{:?}", world.sent);
}

#[test]
fn what_comes_behind_the_pivot_is_undone_as_ever() {
    let mut world = World::new(BANK);
    world.histories.insert("bank".to_owned(), bank_says(Some(H::Succeeded)));
    let odd = report("parcel/odd", "s").action("send").saw("parcel.send", H::Unknown);
    let case = world.report(odd.saw("card.charge", H::Succeeded));
    world.settle_down();
    assert_eq!(world.sent, ["compensate parcel.send"]);
    assert_eq!(world.state(case), CaseState::Stuck);
}
