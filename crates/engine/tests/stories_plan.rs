//! How reports become a plan, how it is carried out and when it is at its end: each test is one sentence of the design.

mod world;

use amends_api::{CaseState, ClosedOn};
use amends_engine::{HistoryResult, StepReading, StepState};
use amends_protocol::{HistoryState as H, Outcome, Report};
use world::{Reply, Says, World, evidence, payment_report_1, report, words};

#[test]
fn the_five_reports_ask_for_exactly_what_the_rules_list() {
    let undo = |what: &[&str]| -> std::collections::BTreeSet<String> {
        what.iter()
            .map(|a| format!("compensate {a}"))
            .chain(["notify sms.send-cancellation".to_owned()])
            .collect()
    };
    let table = [
        ("payment/report-1", "pay", undo(&["coupon.redeem", "delivery.request", "rider.match"])),
        ("payment/report-2", "pay", undo(&["delivery.request", "rider.match"])),
        ("order/report-1", "place", words(["retry order.place"])),
        ("order/report-2", "place", undo(&["payment.pay", "delivery.request", "rider.match"])),
        (
            "order/report-3",
            "place",
            undo(&["payment.pay", "coupon.redeem", "delivery.request", "rider.match"]),
        ),
    ];
    for (kind, action, expected) in table {
        let mut world = World::food_order();
        let own = format!("{}.{action}", kind.split_once('/').expect("a kind").0);
        let case = world.report(report(kind, "s").action(action).saw(&own, H::Failed));
        world.settle_down();
        world.pass_ms(60_000);
        assert_eq!(world.plan(case), expected, "{kind}");
        assert!(world.steps_of(case).all(|s| matches!(s.state, StepState::Done(_))), "{kind}");
        assert_eq!(world.state(case), CaseState::Settled, "{kind}");
    }
}

#[test]
fn notices_go_out_when_the_compensations_are_done() {
    let mut world = World::food_order();
    world.replies.insert("compensate coupon.redeem".into(), Reply::Silent);
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    assert_eq!(world.step(case, "notify sms.send-cancellation").state, StepState::Waiting);
    assert_eq!(
        world.step(case, "compensate rider.match").state,
        StepState::Done(Outcome::Compensated)
    );
    world.answer("compensate coupon.redeem", StepReading::Done(Outcome::Compensated));
    world.settle_down();
    assert_eq!(
        world.step(case, "notify sms.send-cancellation").state,
        StepState::Done(Outcome::Notified)
    );
}

#[test]
fn a_step_that_several_rules_ask_for_takes_the_latest_of_their_stages() {
    for order in [["a/one", "a/two"], ["a/two", "a/one"]] {
        let mut world = World::new(
            "
rulebook: staged
services:
  a: { url: \"http://a\", actions: { x: { compensation: undo } } }
  b: { url: \"http://b\", actions: { y: { compensation: undo } } }
rules:
  - { on: a/one, compensate: [a.x] }
  - { on: a/two, compensate: [b.y], then: { compensate: [a.x] } }
",
        );
        world.pause("a", true);
        world.replies.insert("b".into(), Reply::Silent);
        let cases = order.map(|kind| world.report(report(kind, "s")));
        world.settle_down();
        assert_eq!(world.step(cases[0], "compensate a.x").stage, 1, "{order:?}");
        world.pause("a", false);
        assert_eq!(world.sent, ["compensate b.y"], "{order:?}");
        world.answer("compensate b.y", StepReading::Done(Outcome::Compensated));
        world.settle_down();
        assert_eq!(world.sent, ["compensate b.y", "compensate a.x"], "{order:?}");
    }
}

#[test]
fn a_report_that_comes_again_changes_nothing() {
    let mut world = World::food_order();
    let first = world.report(payment_report_1("s"));
    world.settle_down();
    world.pass_ms(60_000);
    let sent = world.sent.len();
    assert_eq!(world.report(payment_report_1("s")), first);
    world.settle_down();
    world.pass_ms(60_000);
    assert_eq!(world.sent.len(), sent);
}

#[test]
fn a_derived_report_joins_its_root_whichever_comes_first() {
    for root_first in [true, false] {
        let mut world = World::food_order();
        let root = payment_report_1("s").id("p1");
        let derived = report("order/downstream", "s")
            .action("place")
            .saw("order.place", H::Failed)
            .caused_by("p1");
        let mut both = vec![root, derived];
        if !root_first {
            both.reverse();
        }
        let cases: Vec<_> = both.into_iter().map(|r| world.report(r)).collect();
        world.settle_down();
        assert_eq!(cases[0], cases[1]);
        assert_eq!(
            world.plan(cases[0]),
            words([
                "compensate coupon.redeem",
                "compensate delivery.request",
                "compensate rider.match",
                "notify sms.send-cancellation"
            ])
        );
        assert_eq!(world.state(cases[0]), CaseState::Settled);
        assert_eq!(world.case(cases[0]).closed_on, Some(ClosedOn::Proven));
    }
}

#[test]
fn a_derived_report_whose_root_never_comes_is_answered_by_its_own_rule() {
    let mut world = World::food_order();
    let case = world.report(
        report("order/downstream", "s")
            .action("place")
            .saw("order.place", H::Started)
            .caused_by("lost"),
    );
    world.settle_down();
    assert!(world.plan(case).is_empty());
    assert_eq!(world.state(case), CaseState::Open);
    world.pass_ms(11_000);
    assert!(world.plan(case).contains("compensate order.place"));
    assert!(world.case(case).extra.notes.iter().any(|n| n.text.contains("lost")));
}

#[test]
fn causes_in_a_circle_still_get_an_answer() {
    let mut world = World::food_order();
    let saw = |r: amends_protocol::Report| r.saw("order.place", H::Unknown).action("place");
    world.report(saw(report("order/a", "s")).id("a").caused_by("b"));
    let case = world.report(saw(report("order/b", "s")).id("b").caused_by("a"));
    world.pass_ms(30_000);
    assert!(world.plan(case).contains("compensate order.place"));
}

#[test]
fn the_reporter_is_in_its_own_plan_unless_its_history_proves_it_empty() {
    let mut world = World::food_order();
    let half_done = world.report(report("payment/report-2", "s1").action("pay"));
    let proven =
        world.report(report("payment/report-2", "s2").action("pay").saw("payment.pay", H::Failed));
    assert!(world.plan(half_done).contains("compensate payment.pay"));
    assert!(!world.plan(proven).contains("compensate payment.pay"));
}

/// A message that failed may have gone out, so it is corrected with the undoing, whatever the rule lists.
#[test]
fn a_message_that_failed_is_corrected_unless_its_history_proves_that_it_did_not_go_out() {
    const MAIL: &str = "
rulebook: mail
services:
  shop: { url: \"http://shop\", actions: { buy: { compensation: cancel, calls: [mail.tell] } } }
  mail: { url: \"http://mail\", actions: { tell: { correction: tell-otherwise } } }
rules:
  - { on: \"*/*\", compensate: [shop.buy] }
";
    for (state, corrected) in [(H::Unknown, true), (H::Started, true), (H::Failed, false)] {
        let mut world = World::new(MAIL);
        let case = world.report(report("mail/odd", "s").action("tell").saw("mail.tell", state));
        world.settle_down();
        let mut wanted = words(["compensate shop.buy"]);
        if corrected {
            wanted.insert("notify mail.tell-otherwise".to_owned());
        }
        assert_eq!(world.plan(case), wanted, "{state:?}");
    }
}

/// Backward beats forward: what was to be run again is undone with the rest, since it may be half done.
#[test]
fn a_reporter_whose_retry_is_superseded_is_undone_too() {
    const TWO: &str = "
rulebook: two
services:
  shop: { url: \"http://shop\", actions: { buy: { compensation: cancel, calls: [seat.hold, mail.tell, bank.pay] } } }
  seat: { url: \"http://seat\", actions: { hold: { compensation: free } } }
  mail: { url: \"http://mail\", actions: { tell: { correction: tell-otherwise, on_failure: retry } } }
  bank: { url: \"http://bank\", actions: { pay: { compensation: refund } } }
rules:
  - { on: seat/odd, retry: seat.hold }
  - { on: \"*/*\", compensate: [shop.buy] }
";
    let again = [("seat/odd", "hold", "seat.hold"), ("mail/odd", "tell", "mail.tell")];
    let last = report("bank/odd", "s").action("pay").saw("bank.pay", H::Failed);
    for undone_last in [true, false] {
        let mut world = World::new(TWO);
        ["seat", "mail"].iter().for_each(|service| drop(world.pause(service, true)));
        let mut all: Vec<_> = again
            .iter()
            .map(|(kind, action, name)| report(kind, "s").action(action).saw(name, H::Unknown))
            .collect();
        all.insert(if undone_last { 2 } else { 0 }, last.clone());
        let cases: Vec<_> = all.into_iter().map(|one| world.report(one)).collect();
        ["seat", "mail"].iter().for_each(|service| drop(world.pause(service, false)));
        world.settle_down();
        let undone = ["compensate seat.hold", "compensate shop.buy", "notify mail.tell-otherwise"];
        for step in undone {
            assert!(matches!(world.step(cases[0], step).state, StepState::Done(_)), "{step}");
        }
        for step in ["retry seat.hold", "retry mail.tell"] {
            assert!(!world.sent.contains(&step.to_owned()), "{:?}", world.sent);
        }
    }
}

/// The caller has answered that it failed, and the inner action's retry doesn't bring it back.
#[test]
fn a_caller_that_nobody_runs_again_is_noted_when_the_case_goes_forward() {
    for (then, noted) in [("", true), (", then: { retry: shop.buy }", false)] {
        let mut world = World::new(&format!(
            "
rulebook: bank
services:
  shop: {{ url: \"http://shop\", actions: {{ buy: {{ compensation: cancel, calls: [wallet.charge] }} }} }}
  wallet: {{ url: \"http://wallet\", actions: {{ charge: {{ compensation: refund }} }} }}
rules:
  - {{ on: wallet/odd, retry: wallet.charge{then} }}
  - {{ on: \"*/*\", compensate: recorded }}
"
        ));
        let root = report("wallet/odd", "s").action("charge").saw("wallet.charge", H::Failed);
        let case = world.report(root.id("w1"));
        let caller = report("shop/downstream", "s").action("buy").saw("shop.buy", H::Failed);
        world.report(caller.caused_by("w1"));
        world.settle_down();
        assert_eq!(world.state(case), CaseState::Settled);
        assert_eq!(world.case(case).closed_on, Some(ClosedOn::Forward));
        let text = "shop.buy failed because of it and is not run again by any rule";
        let notes = &world.case(case).extra.notes;
        assert_eq!(notes.iter().any(|n| n.text == text), noted, "{notes:?}");
    }
}

/// A message that was sent by a retry is corrected when the saga is undone after all.
#[test]
fn what_a_retry_sent_is_corrected_when_the_saga_is_undone() {
    let mut world = World::new(
        "
rulebook: mail
services:
  shop: { url: \"http://shop\", actions: { buy: { compensation: cancel, calls: [mail.tell] } } }
  mail: { url: \"http://mail\", actions: { tell: { correction: tell-otherwise, on_failure: retry } } }
rules:
  - { on: \"*/*\", compensate: [shop.buy] }
",
    );
    let case = world.report(report("mail/odd", "s").action("tell").saw("mail.tell", H::Failed));
    world.settle_down();
    assert_eq!(world.plan(case), words(["retry mail.tell"]));
    world.report(report("shop/odd", "s").action("buy").saw("shop.buy", H::Failed));
    world.settle_down();
    let wanted = words(["retry mail.tell", "compensate shop.buy", "notify mail.tell-otherwise"]);
    assert_eq!(world.plan(case), wanted);
}

#[test]
fn recorded_starts_from_the_report_and_is_completed_by_the_histories() {
    let mut world = World::food_order();
    world.histories.insert(
        "delivery".into(),
        HistoryResult::Told(vec![evidence("delivery.request", "d", H::Succeeded)].into()),
    );
    world.histories.insert(
        "rider".into(),
        HistoryResult::Failed {
            message: "refused".into(),
            unreachable: true,
            retry_after_ms: None,
        },
    );
    let case = world.report(
        report("payment/odd", "s")
            .action("pay")
            .saw("payment.pay", H::Failed)
            .saw("coupon.redeem", H::Unknown),
    );
    assert_eq!(world.plan(case), words(["compensate coupon.redeem"]));
    world.settle_down();
    assert!(world.plan(case).contains("compensate delivery.request"), "found by the query");
    world.pass_ms(20_000);
    assert_eq!(world.state(case), CaseState::Open, "rider's History is still unknown");
    world.histories.insert(
        "rider".into(),
        HistoryResult::Told(vec![evidence("rider.match", "m", H::Started)].into()),
    );
    world.pass_ms(120_000);
    assert_eq!(
        world.step(case, "compensate rider.match").state,
        StepState::Done(Outcome::Compensated)
    );
    assert_eq!(world.state(case), CaseState::Settled);
}

/// A report that leaves it to the Histories what there is to undo.
fn asks_around(saga: &str) -> Report {
    report("payment/odd", saga).action("pay").saw("payment.pay", H::Failed)
}

#[test]
fn a_page_of_a_gateway_is_no_history_of_a_service_that_has_told_one() {
    let mut world = World::food_order();
    let before = world.report(asks_around("before"));
    world.settle_down();
    world.pass_ms(120_000);
    assert_eq!(
        world.state(before),
        CaseState::Settled,
        "delivery knows nothing of it, and says so"
    );
    // Its new version is rolled out; its gateway has no backend for it.
    world.histories.insert("delivery".into(), HistoryResult::Unproven { status: 404 });
    let case = world.report(asks_around("meanwhile"));
    world.settle_down();
    world.pass_ms(120_000);
    assert_eq!(world.state(case), CaseState::Open, "it may know of this one");
    world.crash();
    world.pass_ms(120_000);
    assert_eq!(world.state(case), CaseState::Open, "a restart forgets that of nobody");
    let told = HistoryResult::Told(vec![evidence("delivery.request", "d", H::Succeeded)].into());
    world.histories.insert("delivery".into(), told);
    world.pass_ms(120_000);
    assert_eq!(
        world.step(case, "compensate delivery.request").state,
        StepState::Done(Outcome::Compensated)
    );
}

#[test]
fn a_404_of_a_service_that_has_never_told_a_history_means_that_it_has_none() {
    let mut world = World::food_order();
    world.histories.insert("delivery".into(), HistoryResult::Unproven { status: 404 });
    let case = world.report(asks_around("s"));
    world.settle_down();
    world.pass_ms(120_000);
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn a_call_that_was_still_running_is_found_by_the_answers_to_other_steps() {
    let mut world = World::food_order();
    world.replies.insert(
        "compensate delivery.request".into(),
        Reply::SaysWith(
            StepReading::Done(Outcome::Compensated),
            vec![evidence("rider.match", "m", H::Unknown)],
        ),
    );
    let case = world.report(
        report("payment/odd", "s")
            .action("pay")
            .saw("payment.pay", H::Failed)
            .saw("delivery.request", H::Succeeded),
    );
    world.settle_down();
    assert_eq!(
        world.step(case, "compensate rider.match").state,
        StepState::Done(Outcome::Compensated)
    );
}

#[test]
fn a_case_that_is_not_fenced_settles_on_quiet_after_a_last_look() {
    let mut world = World::food_order();
    let case = world.report(report("payment/odd", "s").action("pay"));
    world.settle_down();
    assert_eq!(
        world.state(case),
        CaseState::Open,
        "coupon, delivery and rider might still be called"
    );
    let histories = world.walked.len();
    world.pass_ms(2_000);
    assert_eq!(world.state(case), CaseState::Settled);
    assert_eq!(world.case(case).closed_on, Some(ClosedOn::Quiet));
    assert!(world.walked.len() > histories, "the last look asks again");
}

#[test]
fn the_last_look_may_find_something_and_then_the_quiet_time_begins_anew() {
    let mut world = World::food_order();
    let case = world.report(report("payment/odd", "s").action("pay"));
    world.settle_down();
    world.histories.insert(
        "coupon".into(),
        HistoryResult::Told(vec![evidence("coupon.redeem", "late", H::Succeeded)].into()),
    );
    world.pass_ms(2_000);
    assert_eq!(
        world.step(case, "compensate coupon.redeem").state,
        StepState::Done(Outcome::Compensated)
    );
    assert_eq!(world.state(case), CaseState::Open);
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn a_report_for_a_settled_case_reopens_it_with_only_the_new_steps() {
    let mut world = World::food_order();
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    world.pass_ms(60_000);
    assert_eq!(world.state(case), CaseState::Settled);
    let sent = world.sent.len();
    world.report(report("order/report-3", "s").action("place").saw("order.place", H::Failed));
    world.settle_down();
    assert_eq!(world.sent[sent..], ["compensate payment.pay".to_owned()]);
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn evidence_of_an_action_that_the_rulebook_does_not_know_is_noted() {
    let mut world = World::food_order();
    let case =
        world.report(report("payment/odd", "s").action("pay").saw("coupon.burn", H::Succeeded));
    world.settle_down();
    assert!(world.case(case).extra.notes.iter().any(|n| n.text.contains("coupon.burn")));
}

#[test]
fn a_report_that_does_not_name_its_action_widens_the_reach_whenever_it_comes() {
    for order in [["stranger/one", "coupon/two"], ["coupon/two", "stranger/one"]] {
        let mut world = World::new(
            "
rulebook: islands
services:
  coupon: { url: \"http://c\", actions: { redeem: { compensation: restore } } }
  far: { url: \"http://f\", actions: { away: { compensation: back } } }
rules: [{ on: \"*/*\", compensate: recorded }]
",
        );
        let told = HistoryResult::Told(vec![evidence("far.away", "r", H::Succeeded)].into());
        world.histories.insert("far".into(), told);
        let reports = order.map(|kind| {
            let new = report(kind, "s");
            if kind == "coupon/two" {
                new.action("redeem").saw("coupon.redeem", H::Failed)
            } else {
                new
            }
        });
        let cases = reports.map(|r| world.report(r));
        world.settle_down();
        assert!(world.plan(cases[0]).contains("compensate far.away"), "{order:?}");
    }
}

#[test]
fn a_shadow_rules_stage_delays_nothing_and_a_woken_step_takes_the_real_ones() {
    let book = "
rulebook: staged
services:
  a: { url: \"http://a\", actions: { x: { compensation: undo } } }
  b: { url: \"http://b\", actions: { y: { compensation: undo } } }
rules:
  - { on: a/shadow-late, mode: shadow, compensate: [b.y], then: { compensate: [a.x] } }
  - { on: a/shadow-soon, mode: shadow, compensate: [a.x] }
  - { on: a/soon, compensate: [a.x] }
  - { on: a/late, compensate: [b.y], then: { compensate: [a.x] } }
";
    for (pair, stage) in [(["a/shadow-late", "a/soon"], 0), (["a/shadow-soon", "a/late"], 1)] {
        for order in [pair, [pair[1], pair[0]]] {
            let mut world = World::new(book);
            world.pause("a", true);
            world.pause("b", true);
            let cases = order.map(|kind| world.report(report(kind, "s")));
            assert_eq!(world.step(cases[0], "compensate a.x").stage, stage, "{order:?}");
        }
    }
}

#[test]
fn a_silent_callee_is_asked_for_its_history_before_the_case_closes() {
    let mut world = World::food_order();
    let case = world.report(
        report("order/report-1", "s")
            .action("place")
            .saw("order.place", H::Failed)
            .saw("payment.pay", H::Unknown),
    );
    world.settle_down();
    assert_eq!(world.walked, ["payment"]);
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn a_failure_is_no_fence_while_its_caller_may_try_again() {
    let mut world = World::food_order();
    let case = world.report(payment_report_1("s").id("p1"));
    world.settle_down();
    assert_eq!(world.state(case), CaseState::Open, "the order has not been heard of");
    world.report(
        report("order/downstream", "s")
            .action("place")
            .saw("order.place", H::Failed)
            .caused_by("p1"),
    );
    world.settle_down();
    assert_eq!(world.case(case).closed_on, Some(ClosedOn::Proven));
}
