//! Names that the rulebook does not know: evidence of them holds its case if an earlier version declared them, and a
//! report of such a service asks for nothing.

mod world;

use amends_api::{
    CaseAct, CaseState, ClosedOn, QuestionAct, QuestionEffect, QuestionKind, StrangerAct,
    StrangerActName,
};
use amends_engine::{Answer, FoundStranger, open_questions};
use amends_protocol::{CaseId, HistoryState as H, Report};
use amends_rulebook::Rulebook;
use std::sync::Arc;
use world::{Reply, Says, World, report};

/// A shop that calls a service of this name.
fn shop(service: &str, more: &str) -> String {
    format!(
        "
rulebook: shop
settle: {{ quiet: 1s }}
services:
  shop: {{ actions: {{ sell: {{ effect: none, calls: [{service}.charge] }} }} }}
  {service}: {{ url: http://pay:80, actions: {{ charge: {{ compensation: refund }} }} }}
rules: [{{ on: \"*/*\", compensate: recorded }}]
{more}
"
    )
}

fn book(text: &str) -> Arc<Rulebook> {
    Rulebook::from_yaml(text).unwrap_or_else(|found| panic!("{found:#?}"))
}

/// The shop tells of a charge at `billing`, which is called `payments` now.
fn old_name(saga: &str) -> Report {
    report("shop/odd", saga).action("sell").saw("billing.charge", H::Succeeded)
}

fn asked(world: &World, case: CaseId, text: &str) -> Vec<(QuestionKind, QuestionEffect)> {
    let all = open_questions(&world.stored(case), Some(&book(text)));
    all.iter().map(|question| (question.kind, question.effect)).collect()
}

#[test]
fn what_an_earlier_version_declared_holds_the_case_until_it_is_declared_again() {
    let new = shop("payments", "");
    for restarts in [false, true] {
        let mut world = World::new(&shop("billing", ""));
        world.activate(book(&new));
        if restarts {
            world.crash();
        }
        let case = world.report(old_name("s"));
        world.settle_down();
        world.pass_ms(10_000);
        assert_eq!(world.state(case), CaseState::Stuck, "restarted: {restarts}");
        assert_eq!(asked(&world, case, &new), [(QuestionKind::Stranger, QuestionEffect::Hold)]);
        let both = "  billing: { url: http://pay:80, actions: { charge: { compensation: refund } } }\nrules";
        world.activate(book(&new.replace("rules", both)));
        world.act_on_case(case, CaseAct::replan(world::reason()));
        world.settle_down();
        world.pass_ms(10_000);
        assert!(world.sent.contains(&"compensate billing.charge".to_owned()), "{:?}", world.sent);
        assert_eq!(world.state(case), CaseState::Settled);
    }
}

#[test]
fn what_nobody_ever_declared_is_only_noted_unless_the_rulebook_says_hold() {
    let new = shop("payments", "");
    let mut world = World::new(&new);
    let case = world.report(old_name("s"));
    world.settle_down();
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Settled);
    assert_eq!(asked(&world, case, &new), [(QuestionKind::Stranger, QuestionEffect::Note)]);
    let strict = shop("payments", "strangers: hold");
    let mut world = World::new(&strict);
    let case = world.report(old_name("s"));
    world.settle_down();
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Stuck);
    let accept = QuestionAct::Accept { reason: world::reason() };
    world.answer_question(case, accept);
    world.settle_down();
    world.pass_ms(10_000);
    assert_eq!(world.case(case).closed_on, Some(ClosedOn::ByPerson));
}

#[test]
fn a_case_that_is_only_watched_is_held_by_nothing_and_says_what_would_hold_it() {
    let shadow = |more: &str| {
        shop("payments", &format!("strangers: hold\n{more}"))
            .replace("compensate: recorded }", "compensate: recorded, mode: shadow }")
    };
    let watched = shadow("");
    let mut world = World::new(&watched);
    let case = world.report(old_name("s").saw("payments.charge", H::Succeeded));
    world.settle_down();
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Settled);
    assert_eq!(asked(&world, case, &watched), [(QuestionKind::Stranger, QuestionEffect::Note)]);
    assert!(world.sent.is_empty(), "{:?}", world.sent);

    // A second report that is answered in earnest makes the case one to be cleared up.
    let mixed = shadow("").replace("rules: [", "rules: [{ on: shop/real, compensate: recorded }, ");
    let mut world = World::new(&mixed);
    let case = world.report(old_name("s"));
    world.report(report("shop/real", "s").id("r-2").action("sell"));
    world.settle_down();
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Stuck);
    assert_eq!(asked(&world, case, &mixed), [(QuestionKind::Stranger, QuestionEffect::Hold)]);
}

#[test]
fn what_has_no_effect_or_is_ignored_asks_nothing() {
    let new = shop("payments", "strangers: hold");
    let mut world = World::new(&new);
    let case =
        world.report(report("shop/odd", "s").action("sell").saw("billing.charge", H::Failed));
    world.settle_down();
    world.pass_ms(10_000);
    assert_eq!((world.state(case), asked(&world, case, &new)), (CaseState::Settled, vec![]));
    let ignoring = shop("payments", "strangers: { ignore: [billing.*] }");
    let mut world = World::new(&shop("billing", ""));
    world.activate(book(&ignoring));
    let case = world.report(old_name("s"));
    world.settle_down();
    world.pass_ms(10_000);
    assert_eq!((world.state(case), asked(&world, case, &ignoring)), (CaseState::Settled, vec![]));
}

#[test]
fn a_report_of_a_stranger_is_unmatched_and_what_it_caused_is_answered_by_its_own_rule() {
    let stranger =
        || report("ghost/gone", "s").action("haunt").id("g").saw("payments.charge", H::Succeeded);
    let caused = || report("shop/odd", "s").action("sell").id("o").caused_by("g");
    for order in [[0, 1], [1, 0]] {
        let mut world = World::new(&shop("payments", ""));
        let both = [stranger(), caused()];
        let case = world.report(both[order[0]].clone());
        world.report(both[order[1]].clone());
        world.settle_down();
        assert_eq!(world.state(case), CaseState::Unmatched, "{order:?}");
        assert_eq!(world.sent, ["compensate payments.charge"], "{order:?}: by the shop's rule");
    }
}

/// Two cases that are held by `billing`, which the rulebook has forgotten; one of them may be in the store only.
fn two_held(budget: usize) -> (World, [CaseId; 2], String) {
    let new = shop("payments", "");
    let mut world = World::new(&shop("billing", "")).with_budget(budget);
    world.activate(book(&new));
    let cases = ["s", "t"].map(|saga| {
        let mut report = old_name(saga);
        report.id = format!("r-{saga}");
        world.report(report)
    });
    world.settle_down();
    world.pass_ms(10_000);
    for case in cases {
        assert_eq!(world.state(case), CaseState::Stuck);
    }
    (world, cases, new)
}

fn ignore() -> StrangerAct {
    StrangerAct::Ignore { reason: world::reason() }
}

#[test]
fn what_a_person_ignores_holds_no_case_of_the_rulebook_any_more_and_can_be_taken_back() {
    for budget in [usize::MAX, 0] {
        let (mut world, cases, new) = two_held(budget);
        let one = QuestionAct::Ignore { reason: world::reason() };
        assert_eq!(world.answer_question(cases[0], one), Answer::Done);
        world.pass_ms(10_000);
        for case in cases {
            assert_eq!(world.state(case), CaseState::Settled, "in memory: {budget}");
            assert_ne!(world.case(case).closed_on, Some(ClosedOn::ByPerson));
        }
        world.crash();
        let third = world.report(old_name("u").id("r-u"));
        world.settle_down();
        world.pass_ms(10_000);
        assert_eq!((world.state(third), asked(&world, third, &new)), (CaseState::Settled, vec![]));
        let back = StrangerAct::Reconsider { reason: world::reason() };
        assert_eq!(world.say_of_stranger("shop", "billing.charge", back.clone()), Answer::Done);
        let fourth = world.report(old_name("v").id("r-v"));
        world.settle_down();
        world.pass_ms(10_000);
        assert_eq!(world.state(fourth), CaseState::Stuck);
        let twice = world.say_of_stranger("shop", "billing.charge", back);
        assert!(matches!(twice, Answer::NotFound(_)), "{twice:?}");
        let acts: Vec<_> = world.memory.acts().iter().map(|act| act.act.to_string()).collect();
        assert!(acts.ends_with(&["ignore".to_owned(), "reconsider".to_owned()]), "{acts:?}");
    }
}

#[test]
fn an_open_case_is_held_again_when_what_was_ignored_is_taken_back() {
    let (mut world, cases, _) = two_held(usize::MAX);
    // A step that nobody answers keeps the first case open.
    world.replies.insert("payments".into(), Reply::Silent);
    world.report(
        report("shop/odd", "s").id("r-2").action("sell").saw("payments.charge", H::Succeeded),
    );
    world.settle_down();
    assert_eq!(world.say_of_stranger("shop", "billing.charge", ignore()), Answer::Done);
    world.pass_ms(10_000);
    assert_eq!(
        (world.state(cases[0]), world.state(cases[1])),
        (CaseState::Open, CaseState::Settled)
    );
    let back = StrangerAct::Reconsider { reason: world::reason() };
    assert_eq!(world.say_of_stranger("shop", "billing.charge", back), Answer::Done);
    world.pass_ms(1);
    assert_eq!(world.state(cases[0]), CaseState::Stuck);
}

#[test]
fn a_case_in_the_store_alone_is_held_again_at_once_when_what_was_ignored_is_taken_back() {
    for restarts in [false, true] {
        let (mut world, cases, _) = two_held(0);
        world.pause("payments", true);
        world.report(
            report("shop/odd", "s").id("r-2").action("sell").saw("payments.charge", H::Succeeded),
        );
        world.settle_down();
        assert_eq!(world.say_of_stranger("shop", "billing.charge", ignore()), Answer::Done);
        world.pass_ms(10_000);
        if restarts {
            world.crash();
        }
        assert!(world.engine.is_spilled(cases[0]));
        assert_eq!(world.state(cases[0]), CaseState::Open, "payments is paused");
        let back = StrangerAct::Reconsider { reason: world::reason() };
        assert_eq!(world.say_of_stranger("shop", "billing.charge", back), Answer::Done);
        world.pass_ms(1);
        assert_eq!(world.state(cases[0]), CaseState::Stuck, "after a restart: {restarts}");
    }
}

fn strangers(world: &World) -> Vec<FoundStranger> {
    let mut query = world.engine.strangers();
    while !query.look(&world.engine, 100) {}
    query.finish()
}

#[test]
fn a_name_that_will_be_declared_is_told_of_no_more_and_then_its_cases_are_counted() {
    let (mut world, cases, new) = two_held(0);
    let declare = QuestionAct::Declare { reason: world::reason() };
    assert_eq!(world.answer_question(cases[1], declare), Answer::Done);
    world.pass_ms(10_000);
    let [found] = &strangers(&world)[..] else { panic!("one") };
    assert_eq!((found.waiting, found.declared), (2, false));
    let said = found.decision.as_ref().map(|said| said.act);
    assert_eq!(said, Some(StrangerActName::Declare));
    assert_eq!(found.may(), [StrangerActName::Ignore, StrangerActName::Reconsider]);
    let both =
        "  billing: { url: http://pay:80, actions: { charge: { compensation: refund } } }\nrules";
    world.activate(book(&new.replace("rules", both)));
    let [found] = &strangers(&world)[..] else { panic!("one") };
    assert_eq!((found.waiting, found.declared, &found.decision), (2, true, &None));
    let refused = world.say_of_stranger("shop", "billing.charge", ignore());
    assert!(matches!(refused, Answer::Conflict(_)), "{refused:?}");
    for case in cases {
        world.act_on_case(case, CaseAct::replan(world::reason()));
    }
    world.settle_down();
    world.pass_ms(10_000);
    assert_eq!(strangers(&world), []);
    for case in cases {
        assert_eq!(world.state(case), CaseState::Settled);
    }
}
