//! A person who sees that a rule does harm holds it: its cases are opened, planned and shown, and nothing that it asks
//! for is sent until it is released.

mod world;

use amends_api::{CaseAct, CaseState, Cause, ClosedOn, QuestionAct, StepAct, StepActName};
use amends_engine::{Answer, NewLimits, Replaces, StepReading, StepState};
use amends_protocol::{HistoryState as H, Outcome};
use amends_rulebook::Rulebook;
use std::sync::Arc;
use world::{Reply, Says, World, reason, report};

const SHOP: &str = "
rulebook: shop
settle: { quiet: 1s }
services:
  order:
    url: http://order:80
    retry_policy: { first: 1s, cap: 1s, age: 1m }
    actions: { place: { compensation: cancel, calls: [pay.charge, mail.send] } }
  pay:
    url: http://pay:80
    retry_policy: { first: 1s, cap: 1s, age: 1m }
    actions: { charge: { compensation: refund } }
  mail: { url: http://mail:80, actions: { send: { compensation: recall } } }
rules:
  - { on: pay/*, compensate: [order.place, pay.charge] }
  - { on: mail/*, compensate: [pay.charge] }
  - { on: \"*/*\", compensate: recorded }
";
const REFUND: &str = "compensate pay.charge";
const CANCEL: &str = "compensate order.place";
const OF_PAY: Option<&str> = Some("pay/*");
const OF_MAIL: Option<&str> = Some("mail/*");

fn shop() -> String {
    SHOP.to_owned()
}

fn book(text: &str) -> Arc<Rulebook> {
    Rulebook::from_yaml(text).unwrap_or_else(|found| panic!("{found:#?}"))
}

fn failed_payment(saga: &str) -> amends_protocol::Report {
    report("pay/odd", saga).action("charge").saw("order.place", H::Succeeded)
}

fn failed_mail(saga: &str) -> amends_protocol::Report {
    report("mail/odd", saga)
        .action("send")
        .saw("mail.send", H::Failed)
        .saw("pay.charge", H::Succeeded)
}

#[test]
fn a_rule_that_is_held_before_opens_and_plans_its_cases_and_sends_nothing() {
    let mut world = World::new(&shop());
    assert_eq!(world.hold(OF_PAY, true), Answer::Done);
    let case = world.report(failed_payment("s"));
    world.settle_down();
    world.pass_ms(600_000);
    assert_eq!(world.sent, Vec::<String>::new());
    assert_eq!(world.state(case), CaseState::Open, "nobody is needed for the case itself");
    for step in [REFUND, CANCEL] {
        let row = world.step(case, step);
        assert_eq!((&row.state, row.cause()), (&StepState::Waiting, Some(Cause::Held)));
        let hold = row.on_hold().expect("it says so");
        assert_eq!(hold.scope.to_string(), "rule `pay/*` of rulebook `shop`");
        assert_eq!((&*hold.decision.by, &*hold.decision.reason), ("kim", "it refunds twice"));
        assert!(!row.may().contains(&StepActName::Retry), "{:?}", row.may());
        let id = row.id;
        let refused = world.act(id, StepAct::retry(reason()));
        assert!(
            matches!(&refused, Answer::Conflict(why) if why.contains("holds its rule")),
            "{refused:?}"
        );
    }

    assert_eq!(world.hold(OF_PAY, false), Answer::Done);
    world.settle_down();
    assert_eq!(world.sent.len(), 2, "{:?}", world.sent);
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Settled);
    let words: Vec<&str> = world.memory.acts().iter().map(|act| &*act.act).collect();
    assert_eq!(words, ["activate", "hold", "release"]);
}

#[test]
fn what_is_under_way_ends_and_is_not_tried_again_before_the_release() {
    let mut world = World::new(&shop());
    world.replies.insert(REFUND.into(), Reply::Silent);
    let case = world.report(failed_payment("s"));
    world.settle_down();
    world.hold(OF_PAY, true);
    assert_eq!(world.step(case, REFUND).state, StepState::InFlight, "nobody can call it back");
    world.answer(REFUND, StepReading::Unknown);
    world.pass_ms(600_000);
    let row = world.step(case, REFUND);
    assert_eq!(
        (&row.state, row.cause(), row.attempts),
        (&StepState::Waiting, Some(Cause::Held), 1)
    );
    assert!(row.extra.may_have_run, "what is known of the try stays known");

    world.hold(OF_PAY, false);
    assert_eq!(world.step(case, REFUND).attempts, 2);
    world.answer(REFUND, StepReading::Done(Outcome::Compensated));
    world.settle_down();
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Settled, "its age stood still for ten minutes");
}

#[test]
fn an_answer_that_comes_while_the_rule_is_held_counts() {
    let mut world = World::new(&shop());
    world.replies.insert(REFUND.into(), Reply::Silent);
    let case = world.report(failed_payment("s"));
    world.settle_down();
    world.hold(OF_PAY, true);
    world.answer(REFUND, StepReading::Done(Outcome::Compensated));
    world.settle_down();
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn a_step_between_two_tries_waits_and_its_time_to_give_up_stands_still() {
    let mut world = World::new(&shop());
    world.replies.insert(REFUND.into(), Reply::Says(StepReading::Unknown));
    let case = world.report(failed_payment("s"));
    world.settle_down();
    world.pass_ms(3_000);
    let tries = world.step(case, REFUND).attempts;
    assert!(tries > 1);
    world.hold(OF_PAY, true);
    world.settle_down();
    world.pass_ms(3_600_000);
    let row = world.step(case, REFUND);
    assert_eq!((&row.state, row.attempts), (&StepState::Waiting, tries));
    world.hold(OF_PAY, false);
    world.pass_ms(5_000);
    assert!(world.step(case, REFUND).attempts > tries);
    assert_ne!(world.state(case), CaseState::Stuck);
}

#[test]
fn a_hold_survives_a_restart_and_the_activation_of_a_new_version() {
    let mut world = World::new(&shop()).with_budget(0);
    let before = world.report(failed_payment("before"));
    world.replies.insert(REFUND.into(), Reply::Silent);
    world.hold(OF_PAY, true);
    world.crash();
    world.activate(book(&shop().replace("quiet: 1s", "quiet: 2s")));
    let after = world.report(failed_payment("after"));
    world.settle_down();
    world.pass_ms(60_000);
    let sent = world.sent.len();
    world.crash();
    world.pass_ms(60_000);
    assert_eq!(world.sent.len(), sent, "{:?}", world.sent);
    assert_eq!(world.step(after, CANCEL).cause(), Some(Cause::Held));
    world.replies.clear();
    world.hold(OF_PAY, false);
    world.settle_down();
    world.pass_ms(30_000);
    for case in [before, after] {
        assert_eq!(world.state(case), CaseState::Settled);
    }
}

#[test]
fn what_another_rule_asks_for_as_well_goes_all_the_same() {
    let mut world = World::new(&shop());
    world.hold(OF_PAY, true);
    let case = world.report(failed_payment("s"));
    world.settle_down();
    assert_eq!(world.sent, Vec::<String>::new());
    world.report(failed_mail("s"));
    world.settle_down();
    assert_eq!(world.sent, [REFUND]);
    assert_eq!(world.step(case, CANCEL).cause(), Some(Cause::Held));

    world.hold(OF_MAIL, true);
    let other = world.report(failed_mail("t"));
    world.settle_down();
    assert_eq!(world.sent, [REFUND], "now both are held");
    world.hold(OF_MAIL, false);
    world.settle_down();
    assert!(world.sent.len() > 1 && world.step(other, REFUND).state.is_terminal());
}

#[test]
fn a_rulebook_that_is_held_as_a_whole_is_released_as_a_whole() {
    let mut world = World::new(&shop());
    assert_eq!(world.hold(None, true), Answer::Done);
    let cases = [failed_payment("s"), failed_mail("t")].map(|report| world.report(report));
    world.settle_down();
    assert_eq!(world.sent, Vec::<String>::new());
    let refused = world.hold(OF_PAY, false);
    assert!(matches!(&refused, Answer::Conflict(why) if why.contains("as a whole")), "{refused:?}");
    world.hold(None, false);
    world.settle_down();
    world.pass_ms(10_000);
    for case in cases {
        assert_eq!(world.state(case), CaseState::Settled);
    }
}

#[test]
fn what_a_person_plans_goes_and_what_they_decide_counts() {
    let mut world = World::new(&shop());
    world.hold(None, true);
    let case = world.report(failed_payment("s"));
    world.settle_down();
    let plan = CaseAct::Plan {
        reason: reason(),
        compensate: vec!["mail.send".parse().expect("a name")],
        retry: vec![],
        notify: vec![],
    };
    assert_eq!(world.act_on_case(case, plan), Answer::Done);
    world.settle_down();
    assert_eq!(world.sent, ["compensate mail.send"]);
    for step in [REFUND, CANCEL] {
        let id = world.step(case, step).id;
        assert_eq!(world.act(id, StepAct::Waive { reason: reason() }), Answer::Done);
    }
    world.settle_down();
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn a_rule_that_asks_first_asks_after_the_release() {
    let text = shop().replace("{ on: pay/*, ", "{ on: pay/*, mode: ask, ");
    let mut world = World::new(&text);
    world.hold(OF_PAY, true);
    let case = world.report(failed_payment("s"));
    world.settle_down();
    assert_eq!(
        (world.state(case), world.step(case, REFUND).cause()),
        (CaseState::Open, Some(Cause::Held))
    );
    world.hold(OF_PAY, false);
    world.settle_down();
    assert_eq!(world.step(case, REFUND).cause(), Some(Cause::Approval));
    world.hold(OF_PAY, true);
    for step in [REFUND, CANCEL] {
        let id = world.step(case, step).id;
        assert_eq!(world.act(id, StepAct::Approve { reason: reason() }), Answer::Done);
    }
    world.settle_down();
    assert_eq!(world.sent, Vec::<String>::new(), "a yes to the step is no release of its rule");
    world.hold(OF_PAY, false);
    world.settle_down();
    assert_eq!(world.sent.len(), 2);
}

#[test]
fn questions_are_asked_and_answered_while_a_rule_is_held() {
    let text = shop() + "strangers: hold\n";
    let mut world = World::new(&text);
    world.hold(None, true);
    let case = world.report(
        report("order/odd", "s")
            .action("place")
            .saw("pay.charge", H::Succeeded)
            .saw("old.go", H::Succeeded),
    );
    world.settle_down();
    assert_eq!(world.state(case), CaseState::Stuck, "the question holds it");
    assert_eq!(world.answer_question(case, QuestionAct::Accept { reason: reason() }), Answer::Done);
    world.settle_down();
    assert_eq!((world.state(case), world.sent.len()), (CaseState::Open, 0));
    world.hold(None, false);
    world.settle_down();
    world.pass_ms(10_000);
    assert_eq!(world.case(case).closed_on, Some(ClosedOn::ByPerson));
}

#[test]
fn a_hold_of_what_nobody_knows_is_refused_and_one_said_again_leaves_nothing() {
    let mut world = World::new(&shop());
    let unknown = world.hold(Some("pay/none"), true);
    assert!(matches!(&unknown, Answer::NotFound(why) if why.contains("pay/*")), "{unknown:?}");
    assert!(matches!(world.hold(Some("pay/none"), false), Answer::NotFound(_)));
    world.hold(OF_PAY, true);
    world.hold(OF_PAY, true);
    world.hold(OF_PAY, false);
    world.hold(OF_PAY, false);
    assert_eq!(world.memory.acts().len(), 3, "activate, hold, release");
    assert!(world.engine.rule_holds().is_empty());
}

/// A later version may not have the rule any more: its cases keep theirs, and the hold is still released by its name.
#[test]
fn a_hold_outlives_its_rule() {
    let mut world = World::new(&shop());
    world.hold(OF_PAY, true);
    let case = world.report(failed_payment("s"));
    let without = shop().replace("  - { on: pay/*, compensate: [order.place, pay.charge] }\n", "");
    assert_eq!(world.try_to_activate(book(&without), Replaces::Any), Answer::Done);
    world.pass_ms(10_000);
    assert_eq!(world.step(case, REFUND).cause(), Some(Cause::Held));
    let new = world.report(failed_payment("t"));
    world.settle_down();
    assert!(world.step(new, REFUND).state.is_terminal(), "another rule answers it now");
    assert_eq!(world.hold(OF_PAY, false), Answer::Done);
    world.settle_down();
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn a_service_with_a_queue_is_not_kept_back_by_what_is_held() {
    let mut world = World::new(&shop());
    world.limit("pay", NewLimits { concurrency: Some(1), per_second: None });
    world.replies.insert(REFUND.into(), Reply::Silent);
    let held: Vec<_> = (0..9).map(|n| world.report(failed_payment(&format!("held-{n}")))).collect();
    world.settle_down();
    world.hold(OF_PAY, true);
    let free = world.report(failed_mail("free"));
    world.replies.clear();
    world.answer(REFUND, StepReading::Done(Outcome::Compensated));
    world.settle_down();
    assert!(world.step(free, REFUND).state.is_terminal());
    let waiting =
        held.iter().filter(|case| world.step(**case, REFUND).cause() == Some(Cause::Held));
    assert_eq!(waiting.count(), 8);
}
