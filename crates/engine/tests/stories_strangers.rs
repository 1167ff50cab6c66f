//! Names that the rulebook does not know: evidence of them holds its case if an earlier version declared them, and a
//! report of such a service asks for nothing.

mod world;

use amends_engine::open_questions;
use amends_protocol::resources::{CaseAct, QuestionAct};
use amends_protocol::{
    CaseId, CaseState, ClosedOn, HistoryState as H, QuestionEffect, QuestionKind, Report,
};
use amends_rulebook::Rulebook;
use std::sync::Arc;
use world::{Says, World, report};

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
        world.act_on_case(case, CaseAct::Replan { reason: world::reason() });
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
