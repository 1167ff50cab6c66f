//! What a settled case says: its closing word, what may still stand, and the proof behind it.

mod world;

use amends_api::{CaseAct, CaseState, ClosedOn, MayStand, Source, Verdict};
use amends_engine::{HistoryResult, Proof, StepReading};
use amends_protocol::{CaseId, HistoryState as H, Outcome};
use amends_rulebook::Rulebook;
use world::{FOOD_ORDER, Reply, Says, World, evidence, report};

/// `service.action request state`, of what a case says may still stand.
fn left(left: &[MayStand]) -> Vec<String> {
    let one = |one: &MayStand| {
        format!("{} {} {}", one.name(), one.request_id.as_deref().unwrap_or("-"), one.state)
    };
    left.iter().map(one).collect()
}

fn proof(world: &World, case: CaseId, rulebook: Option<&str>) -> Proof {
    let book = rulebook.map(|text| Rulebook::from_yaml(text).expect("a rulebook"));
    Proof::of(world.stored(case), book)
}

fn verdict(proof: &Proof, action: &str) -> (Verdict, String) {
    let found = proof.actions.iter().find(|one| one.action.to_string() == action);
    let found = found.unwrap_or_else(|| panic!("nothing is said of {action}"));
    (found.verdict, found.why.clone())
}

#[test]
fn a_quiet_case_names_what_it_can_not_prove() {
    let mut world = World::food_order();
    let case = world.report(report("payment/odd", "s").action("pay"));
    world.settle_down();
    world.pass_ms(60_000);
    let row = world.case(case);
    assert_eq!(row.closed_on, Some(ClosedOn::Quiet));
    let named = left(&row.extra.may_still_stand);
    // The payment is undone, and has told that it called nobody.
    assert_eq!(named, ["order.place - unknown"]);
    // The archive says so without a rulebook.
    assert_eq!(proof(&world, case, None).may_still_stand, row.extra.may_still_stand);
    assert_eq!(left(&proof(&world, case, Some(FOOD_ORDER)).may_still_stand), named);
    // What is new makes it forget what it said.
    world.report(report("coupon/odd", "s").action("redeem"));
    assert_eq!(world.state(case), CaseState::Open);
    assert!(world.case(case).extra.may_still_stand.is_empty());
}

#[test]
fn a_case_that_a_person_closes_says_who_and_what_evidence_leaves_standing() {
    let mut world = World::new(
        "
rulebook: narrow
services:
  a: { url: \"http://a\", actions: { x: { compensation: y, calls: [b.z] } } }
  b: { url: \"http://b\", actions: { z: { compensation: u } } }
rules: [{ on: a/known, compensate: [a.x] }]
",
    );
    let case = world.report(
        report("a/strange", "s").action("x").saw("a.x", H::Failed).saw("shop.sell", H::Succeeded),
    );
    let act = CaseAct::Settle { reason: "nothing happened".to_owned() };
    world.act_on_case(case, act);
    let row = world.case(case);
    assert_eq!(row.closed_on, Some(ClosedOn::ByPerson));
    assert_eq!(row.extra.settled_by.as_deref(), Some("kim"));
    let named = left(&row.extra.may_still_stand);
    assert_eq!(named.len(), 1, "of b.z nobody has told: {named:?}");
    assert!(named[0].starts_with("shop.sell") && named[0].ends_with("succeeded"), "{named:?}");
}

#[test]
fn an_effect_that_the_rulebook_does_not_know_is_never_behind_proven() {
    let story = |stranger: bool| {
        let mut world = World::food_order();
        let mut told = report("order/odd", "s").action("place").saw("order.place", H::Failed);
        if stranger {
            told = told.saw("gift.wrap", H::Succeeded);
        }
        let case = world.report(told);
        world.settle_down();
        world.pass_ms(60_000);
        (world.case(case).closed_on, left(&world.case(case).extra.may_still_stand))
    };
    assert_eq!(story(false).0, Some(ClosedOn::Proven));
    let (closed_on, named) = story(true);
    assert_eq!(closed_on, Some(ClosedOn::Quiet));
    assert!(named.iter().any(|one| one.starts_with("gift.wrap")), "{named:?}");
}

#[test]
fn what_is_told_of_no_certain_request_counts_beside_the_requests_that_are_named() {
    let closed = |unnamed: Option<H>| {
        let mut world = World::new(
            "
rulebook: small
settle: { quiet: 1s }
services:
  a: { url: \"http://a\", actions: { x: { compensation: unx, calls: [b.y] } } }
  b: { url: \"http://b\", actions: { y: { compensation: uny } } }
rules: [{ on: \"*/*\", compensate: [a.x] }]
",
        );
        let mut told = report("a/odd", "s").action("x").saw("a.x", H::Failed).saw("b.y", H::Failed);
        if let Some(state) = unnamed {
            let mut evidence = evidence("b.y", "-", state);
            evidence.request_id = None;
            told.data.history.push(evidence);
        }
        let case = world.report(told);
        world.report(report("b/odd", "s").action("y").saw("b.y", H::Failed).caused_by("a-odd-s"));
        world.settle_down();
        world.pass_ms(5_000);
        (world.case(case).closed_on, left(&world.case(case).extra.may_still_stand))
    };
    assert_eq!(closed(None).0, Some(ClosedOn::Proven));
    assert_eq!(closed(Some(H::Failed)).0, Some(ClosedOn::Proven));
    let (closed_on, named) = closed(Some(H::Succeeded));
    assert_eq!(closed_on, Some(ClosedOn::Quiet));
    assert_eq!(named, ["b.y - succeeded"]);
}

#[test]
fn a_proof_tells_who_said_what_of_each_action_and_why_nothing_can_stand() {
    let mut world = World::food_order();
    world.histories.insert(
        "coupon".into(),
        HistoryResult::Told(vec![evidence("coupon.redeem", "c", H::Succeeded)].into()),
    );
    let case = world.report(
        report("order/odd", "s")
            .action("place")
            .saw("order.place", H::Failed)
            .saw("payment.pay", H::Failed),
    );
    world.settle_down();
    world.report(
        report("payment/odd", "s")
            .action("pay")
            .saw("payment.pay", H::Failed)
            .saw("coupon.redeem", H::Succeeded),
    );
    world.settle_down();
    assert_eq!(world.case(case).closed_on, Some(ClosedOn::Proven));
    let proof = proof(&world, case, Some(FOOD_ORDER));
    assert_eq!(proof.may_still_stand, []);
    assert_eq!(verdict(&proof, "coupon.redeem").0, Verdict::Undone);
    let (of_payment, why) = verdict(&proof, "payment.pay");
    assert_eq!(of_payment, Verdict::NoEffect, "{why}");
    assert!(why.contains("order.place"), "its caller has ended: {why}");
    assert_eq!(verdict(&proof, "rider.match").0, Verdict::NeverReached);
    let coupon = proof.actions.iter().find(|one| one.action.to_string() == "coupon.redeem");
    let said: Vec<_> = coupon.into_iter().flat_map(|one| &one.statements).collect();
    let sources: Vec<Source> = said.iter().map(|one| one.source).collect();
    assert_eq!(sources, [Source::Report, Source::History, Source::Answer], "{said:#?}");
    assert!(said.iter().all(|one| one.at.is_some()), "{said:#?}");
    assert_eq!(said[2].outcome.map(|o| o.as_str()), Some("compensated"));
}

#[test]
fn the_end_of_a_saga_is_evidence_that_its_beginning_calls_nobody_any_more() {
    let mut world = World::food_order();
    let failed = || {
        report("payment/report-1", "s")
            .action("pay")
            .saw("payment.pay", H::Failed)
            .saw("coupon.redeem", H::Succeeded)
    };
    let case = world.report(failed());
    world.settle_down();
    assert_eq!(world.state(case), CaseState::Open, "the order may try to pay again");
    assert_eq!(world.end("s"), amends_engine::Answer::Done);
    let row = world.case(case);
    assert_eq!(row.closed_on, Some(ClosedOn::Quiet), "at once: there is nothing to wait for");
    // How the order ended nobody tells; and a list reads no History, so what payment said before the end is no proof.
    let named = left(&row.extra.may_still_stand);
    assert_eq!(named, ["order.place - unknown", "payment.pay - unknown"]);
    assert!(row.extra.saga_ended_at.is_some());
    assert_eq!(world.end("s"), amends_engine::Answer::Done, "it may be said again");
    let unknown = world.end("nobody-knows-it");
    assert!(matches!(unknown, amends_engine::Answer::NotFound(_)), "{unknown:?}");
}

/// A shop that keeps no History begins it and may call the gifts, which keep one.
const GIFTS: &str = "
rulebook: gifts
settle: { quiet: 1h }
services:
  shop: { actions: { sell: { effect: none, calls: [gifts.wrap, cards.charge?] } } }
  gifts: { url: \"http://gifts\", actions: { wrap: { compensation: unwrap } } }
  cards: { url: \"http://cards\", actions: { charge: { compensation: refund } } }
rules: [{ on: \"*/*\", compensate: recorded }]
";

#[test]
fn when_the_saga_has_ended_the_histories_are_read_once_more_and_no_quiet_time_runs() {
    let mut world = World::new(GIFTS);
    let case = world.report(report("cards/declined", "s").action("charge"));
    world.settle_down();
    assert_eq!(world.state(case), CaseState::Open, "the gifts may still be called");
    let histories = world.walked.len();
    world.end("s");
    world.settle_down();
    assert!(world.walked.len() > histories, "what came before the end is read after it");
    assert_eq!(world.case(case).closed_on, Some(ClosedOn::Proven));
    let proof = proof(&world, case, Some(GIFTS));
    assert_eq!(verdict(&proof, "gifts.wrap").0, Verdict::NoEffect);
}

#[test]
fn what_that_last_reading_finds_is_undone() {
    let mut world = World::new(GIFTS);
    let case = world.report(report("cards/declined", "s").action("charge"));
    world.settle_down();
    let late = HistoryResult::Told(vec![evidence("gifts.wrap", "late", H::Succeeded)].into());
    world.histories.insert("gifts".into(), late);
    world.end("s");
    world.settle_down();
    assert!(world.sent.contains(&"compensate gifts.wrap".to_owned()), "{:?}", world.sent);
    assert_eq!(world.case(case).closed_on, Some(ClosedOn::Proven));
}

/// The payment failed since a call of it did, and the order with it.
fn failed_at(world: &mut World, call: &str, with_order: bool) -> CaseId {
    let failed = report("payment/downstream", "s").id("r-pay").action("pay");
    let case = world.report(failed.saw("payment.pay", H::Failed).saw(call, H::Failed));
    if with_order {
        let order = report("order/downstream", "s").id("r-order").action("place");
        let order = order.saw("order.place", H::Failed).saw("payment.pay", H::Failed);
        world.report(order.caused_by("r-pay"));
    }
    world.settle_down();
    case
}

#[test]
fn a_call_that_failed_and_of_which_its_service_knows_nothing_is_no_effect() {
    for (call, unheard) in
        [("coupon.redeem", "delivery.request"), ("delivery.request", "rider.match")]
    {
        let mut world = World::food_order();
        let case = failed_at(&mut world, call, true);
        // Of the rider nobody knows before the delivery has said that it was not called: that takes the quiet time.
        world.pass_ms(60_000);
        assert_eq!(world.case(case).closed_on, Some(ClosedOn::Proven), "{call}");
        let proof = proof(&world, case, Some(FOOD_ORDER));
        let (of_call, why) = verdict(&proof, call);
        assert_eq!(of_call, Verdict::NoEffect, "{why}");
        assert!(why.contains("payment.pay") && why.contains("knows nothing of it"), "{why}");
        assert_eq!(verdict(&proof, unheard).0, Verdict::NeverReached);
    }
}

#[test]
fn while_somebody_may_call_again_an_empty_history_proves_nothing() {
    let mut world = World::food_order();
    let case = failed_at(&mut world, "coupon.redeem", false);
    assert_eq!(world.state(case), CaseState::Open, "the order may try to pay again");
    world.pass_ms(60_000);
    let row = world.case(case);
    assert_eq!(row.closed_on, Some(ClosedOn::Quiet));
    let named = left(&row.extra.may_still_stand);
    assert!(named.contains(&"coupon.redeem - unknown".to_owned()), "{named:?}");
}

#[test]
fn what_the_last_reading_of_such_a_history_finds_is_undone() {
    let mut world = World::food_order();
    let told = HistoryResult::Told(vec![evidence("coupon.redeem", "c", H::Succeeded)].into());
    world.histories.insert("coupon".into(), told);
    let case = failed_at(&mut world, "coupon.redeem", true);
    assert!(world.sent.contains(&"compensate coupon.redeem".to_owned()), "{:?}", world.sent);
    assert_eq!(world.case(case).closed_on, Some(ClosedOn::Proven));
}

#[test]
fn whoever_is_barred_and_told_of_no_call_has_called_nobody() {
    for tells in [true, false] {
        let mut world = World::food_order();
        world.replies.insert("compensate payment.pay".into(), Reply::Silent);
        let order = report("order/downstream", "s").action("place");
        let case = world.report(order.saw("order.place", H::Failed).saw("payment.pay", H::Unknown));
        world.settle_down();
        let nothing = StepReading::Done(Outcome::NothingToCompensate);
        let histories = world.walked.iter().filter(|walked| *walked == "payment").count();
        if tells {
            world.answer("compensate payment.pay", nothing);
        } else {
            world.answer_without_history("compensate payment.pay", nothing);
        }
        world.settle_down();
        assert_eq!(
            world.state(case) == CaseState::Settled,
            tells,
            "else its History is read later"
        );
        world.pass_ms(60_000);
        assert_eq!(world.case(case).closed_on, Some(ClosedOn::Proven), "tells: {tells}");
        let proof = proof(&world, case, Some(FOOD_ORDER));
        assert_eq!(verdict(&proof, "payment.pay").0, Verdict::Undone);
        for never in ["coupon.redeem", "delivery.request", "rider.match"] {
            assert_eq!(verdict(&proof, never).0, Verdict::NeverReached, "{never}");
        }
        let again = world.walked.iter().filter(|walked| *walked == "payment").count() - histories;
        assert!(tells || again > 0, "its History tells of its calls");
    }
}

/// The order knows how the page ended, and only the page whom it called; the charges keep no History.
const PAGE: &str = "
rulebook: page
settle: { quiet: 1h }
services:
  order: { url: \"http://order\", actions: { run: { compensation: undo, calls: [page.run] } } }
  page: { url: \"http://page\", actions: { run: { effect: none, calls: [card.charge] } } }
  card:
    url: \"http://card\"
    actions: { charge: { compensation: undo, endpoints: { compensate: { path: \"/charges/{requestId}/undo\", done: [200] } } } }
rules: [{ on: order/odd, compensate: recorded }, { on: \"*/*\", compensate: recorded, mode: ask }]
";

#[test]
fn a_history_that_was_read_before_its_saga_began_tells_of_no_calls() {
    let mut world = World::new(PAGE);
    world.begin_with("s", "order", "run", 1_000);
    world.pass_ms(1_000);
    let case = world.only_case();
    world.settle_down();
    // Only now it begins, late.
    let called =
        [evidence("page.run", "p", H::Succeeded), evidence("card.charge", "c", H::Succeeded)];
    world.histories.insert("page".into(), HistoryResult::Told(called.to_vec().into()));
    let failed = report("order/odd", "s").action("run").saw("order.run", H::Unknown);
    world.report(failed.saw("page.run", H::Succeeded));
    world.settle_down();
    assert!(world.sent.contains(&"compensate card.charge".to_owned()), "{:?}", world.sent);
    assert_ne!(world.case(case).closed_on, Some(ClosedOn::Proven), "its endpoint bars nothing");
}

#[test]
fn what_was_read_after_the_end_and_before_another_word_proves_nothing() {
    let mut world = World::new(SHIFTS);
    let case = world.report(report("desk/odd", "s").action("note").saw("desk.note", H::Failed));
    world.settle_down();
    world.end("s");
    world.pass_ms(3_600_000);
    assert_eq!(world.case(case).closed_on, Some(ClosedOn::Quiet), "of the clerk nobody has told");
    // He was still at work, and says that a call of his failed, which took effect all the same.
    let late = HistoryResult::Told(vec![evidence("gifts.wrap", "late", H::Succeeded)].into());
    world.histories.insert("gifts".into(), late);
    let failed = report("clerk/odd", "s").action("work").saw("clerk.work", H::Failed);
    world.report(failed.saw("gifts.wrap", H::Failed));
    world.settle_down();
    world.pass_ms(3_600_000);
    assert!(world.sent.contains(&"compensate gifts.wrap".to_owned()), "{:?}", world.sent);
    assert_eq!(world.case(case).closed_on, Some(ClosedOn::Proven));
}

/// A shop that keeps no History begins it, a clerk goes on for it.
const SHIFTS: &str = "
rulebook: shifts
settle: { quiet: 1h }
services:
  shop: { actions: { sell: { effect: none, calls: [clerk.work, desk.note] } } }
  desk: { url: \"http://desk\", actions: { note: { compensation: unnote } } }
  clerk: { url: \"http://clerk\", actions: { work: { compensation: unwork, calls: [gifts.wrap] } } }
  gifts: { url: \"http://gifts\", actions: { wrap: { compensation: unwrap } } }
rules: [{ on: \"*/*\", compensate: recorded }]
";

#[test]
fn a_second_request_of_which_only_its_caller_knows_is_not_denied_by_a_word_about_the_first() {
    let closed = |second: bool| {
        let mut world = World::new(GIFTS_BY_LIST);
        let failed =
            report("gifts/odd", "s").id("first").action("wrap").saw("gifts.wrap", H::Failed);
        world.report(failed);
        let mut told = report("shop/odd", "s").action("sell").saw("shop.sell", H::Failed);
        told = told.saw("gifts.wrap", H::Failed).caused_by("first");
        if second {
            told.data.history.push(evidence("gifts.wrap", "second", H::Failed));
        }
        let case = world.report(told);
        world.settle_down();
        world.pass_ms(1_000);
        (world.case(case).closed_on, left(&world.case(case).extra.may_still_stand))
    };
    assert_eq!(closed(false).0, Some(ClosedOn::Proven));
    let (closed_on, named) = closed(true);
    assert_eq!(closed_on, Some(ClosedOn::Quiet));
    assert_eq!(named, ["gifts.wrap - unknown"]);
}

/// No History is read for a list.
const GIFTS_BY_LIST: &str = "
rulebook: gifts
settle: { quiet: 1s }
services:
  shop: { url: \"http://shop\", actions: { sell: { compensation: unsell, calls: [gifts.wrap] } } }
  gifts: { url: \"http://gifts\", actions: { wrap: { compensation: unwrap } } }
rules: [{ on: \"*/*\", compensate: [shop.sell] }]
";
