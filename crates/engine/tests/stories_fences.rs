//! Who has no undo of his own and may still call others is barred from it while the saga is undone.

mod world;

use amends_api::{CaseState, ClosedOn};
use amends_engine::{HistoryResult, Input, StepReading, StepResult, StepState};
use amends_protocol::{Evidence, HistoryState as H, Outcome};
use world::{Reply, Says, World, evidence, report, words};

/// An orchestrator without effects of its own behind a page, and two services with something to undo.
const SHOP: &str = "
rulebook: shop
settle: { quiet: 60s }
services:
  page: { url: \"http://page\", actions: { buy: { effect: none, calls: [checkout.place] } } }
  checkout: { url: \"http://checkout\", actions: { place: { effect: none, calls: [payment.charge, shipping.ship] } } }
  payment: { url: \"http://payment\", actions: { charge: { compensation: refund } } }
  shipping: { url: \"http://shipping\", actions: { ship: { compensation: cancel } } }
rules:
  - { on: payment/listed, compensate: [payment.charge] }
  - { on: payment/tried, compensate: recorded, mode: shadow }
  - { on: payment/asked, compensate: recorded, mode: ask }
  - { on: \"*/*\", compensate: recorded }
";

fn charged(code: &str) -> amends_protocol::Report {
    report(&format!("payment/{code}"), "s").action("charge").saw("payment.charge", H::Unknown)
}

#[test]
fn an_orchestrator_that_may_go_on_is_fenced_and_the_case_is_proven() {
    let mut world = World::new(SHOP);
    let case = world.report(charged("odd"));
    world.settle_down();
    // Who calls only what is barred needs no fence.
    let wanted = words(["compensate payment.charge", "compensate checkout.place"]);
    assert_eq!(world.plan(case), wanted);
    assert!(world.step(case, "compensate checkout.place").extra.fence);
    assert!(!world.step(case, "compensate payment.charge").extra.fence);
    assert_eq!(world.case(case).closed_on, Some(ClosedOn::Proven));
}

#[test]
fn one_that_has_ended_needs_no_fence_whoever_that_counts_says_so() {
    for by in ["page", "checkout"] {
        let mut world = World::new(SHOP);
        let code = format!("{by}/odd");
        let action = if by == "page" { "buy" } else { "place" };
        world.report(report(&code, "s").action(action).saw("checkout.place", H::Failed));
        let case = world.report(charged("odd"));
        world.settle_down();
        assert_eq!(world.plan(case), words(["compensate payment.charge"]), "{by}");
    }
}

#[test]
fn what_a_fenced_orchestrator_has_called_is_undone_too() {
    let mut world = World::new(SHOP);
    let called = vec![evidence("shipping.ship", "r", H::Unknown)];
    let nothing = StepReading::Done(Outcome::NothingToCompensate);
    world.replies.insert("compensate checkout.place".to_owned(), Reply::SaysWith(nothing, called));
    let case = world.report(charged("odd"));
    world.settle_down();
    assert!(world.plan(case).contains("compensate shipping.ship"));
    assert_eq!(world.case(case).closed_on, Some(ClosedOn::Proven));
}

/// The answer to a fence says nothing of calls.
const OUTCOME_ALONE: StepReading = StepReading::Done(Outcome::NothingToCompensate);

#[test]
fn a_fence_without_a_word_of_calls_proves_nothing_until_the_history_is_read() {
    let closed = |history: HistoryResult| {
        let mut world = World::new(SHOP);
        world.histories.insert("checkout".to_owned(), history);
        world.replies.insert("compensate checkout.place".to_owned(), Reply::Silent);
        let case = world.report(charged("odd"));
        world.settle_down();
        world.answer_without_history("compensate checkout.place", OUTCOME_ALONE);
        world.settle_down();
        let read = world.walked.iter().filter(|service| *service == "checkout").count();
        world.pass_ms(120_000);
        (world.case(case).closed_on, read, world.plan(case).contains("compensate shipping.ship"))
    };
    // Whom it had called stands in its History, and nobody else would have told.
    let called = HistoryResult::Told(vec![evidence("shipping.ship", "r", H::Unknown)].into());
    assert_eq!(closed(called), (Some(ClosedOn::Proven), 1, true));
    // It is read as the History of whoever calls others, and once more behind the fence.
    let nobody = HistoryResult::Told(vec![].into());
    assert_eq!(closed(nobody), (Some(ClosedOn::Proven), 2, false));
    assert_eq!(closed(HistoryResult::NoHistory), (Some(ClosedOn::Quiet), 2, false));
}

#[test]
fn a_fence_that_answers_late_and_without_a_word_of_calls_proves_nothing_either() {
    let mut world = World::new(SHOP);
    world.replies.insert("compensate checkout.place".to_owned(), Reply::Silent);
    let case = world.report(charged("odd"));
    world.settle_down();
    let step = world.step(case, "compensate checkout.place").id;
    world.pause("checkout", true);
    world.crash(); // who comes after it does not know that it was asked
    world.settle_down();
    let read = |world: &World| world.walked.iter().filter(|of| *of == "checkout").count();
    let before = read(&world);
    let result = StepResult::new(OUTCOME_ALONE, Some(200));
    world.input(Input::EndedElsewhere { step, attempt: 1, service: "checkout".into(), result });
    world.pause("checkout", false);
    world.settle_down();
    assert_eq!(world.step(case, "compensate checkout.place").attempts, 1, "it is not asked again");
    assert_eq!(read(&world), before + 1);
    assert_eq!(world.case(case).closed_on, Some(ClosedOn::Proven));
}

#[test]
fn a_fence_of_which_the_calls_are_asked_for_is_read_again_after_a_restart() {
    let mut world = World::new(SHOP);
    world.replies.insert("compensate checkout.place".to_owned(), Reply::Silent);
    let case = world.report(charged("odd"));
    world.settle_down();
    world.answer_without_history("compensate checkout.place", OUTCOME_ALONE);
    // Its answer is lost with the process.
    world.crash();
    world.settle_down();
    assert_eq!(world.walked.iter().filter(|service| *service == "checkout").count(), 3);
    assert_eq!(world.case(case).closed_on, Some(ClosedOn::Proven));
}

/// Delivery tells the customer, and says nothing of it when it is undone.
#[test]
fn a_message_that_an_undone_action_may_have_sent_is_looked_for_before_anything_is_proven() {
    let corrected = |history: Vec<Evidence>, told: bool| {
        let mut world = World::new(
            "
rulebook: told
settle: { quiet: 60s }
services:
  delivery: { url: \"http://delivery\", actions: { request: { compensation: cancel, calls: [sms.send] } } }
  sms: { url: \"http://sms\", actions: { send: { on_failure: retry, correction: send-sorry } } }
rules: [{ on: \"*/*\", compensate: recorded }]
",
        );
        world.replies.insert("compensate delivery.request".to_owned(), Reply::Silent);
        let case = world.report(
            report("delivery/odd", "s").action("request").saw("delivery.request", H::Started),
        );
        world.settle_down();
        world.histories.insert("delivery".to_owned(), HistoryResult::Told(history.into()));
        let before = world.walked.iter().filter(|service| *service == "delivery").count();
        if told {
            world.answer("compensate delivery.request", StepReading::Done(Outcome::Compensated));
        } else {
            let undone = StepReading::Done(Outcome::Compensated);
            world.answer_without_history("compensate delivery.request", undone);
        }
        world.settle_down();
        let read = world.walked.iter().filter(|service| *service == "delivery").count() - before;
        (read, world.plan(case).contains("notify sms.send-sorry"), world.case(case).closed_on)
    };
    let sent = || vec![evidence("sms.send", "m", H::Succeeded)];
    assert_eq!(corrected(sent(), false), (1, true, Some(ClosedOn::Proven)));
    assert_eq!(corrected(Vec::new(), false), (1, false, Some(ClosedOn::Proven)));
    assert_eq!(corrected(Vec::new(), true), (0, false, Some(ClosedOn::Proven)));
}

/// Whoever has no undo and may still send a message to the customer: nobody would correct what goes out after the end.
#[test]
fn who_may_still_send_a_message_with_a_correction_is_fenced_too() {
    let plan = |how: &str, undo: &str, sent: Option<H>| {
        let mut world = World::new(&format!(
            "
rulebook: told
services:
  order: {{ url: \"http://order\", actions: {{ place: {{ compensation: cancel, calls: [payment.charge, {how}] }} }} }}
  payment: {{ url: \"http://payment\", actions: {{ charge: {{ compensation: refund }} }} }}
  dispatch: {{ url: \"http://dispatch\", actions: {{ plan: {{ {undo}, calls: [sms.send] }} }} }}
  sms: {{ url: \"http://sms\", actions: {{ send: {{ correction: send-sorry }} }} }}
rules: [{{ on: \"*/*\", compensate: recorded }}]
"
        ));
        let failed = report("order/odd", "s").action("place").saw("order.place", H::Failed);
        let failed = failed.saw("payment.charge", H::Succeeded).saw("dispatch.plan", H::Unknown);
        let sent = sent.map(|state| failed.clone().saw("sms.send", state));
        let case = world.report(sent.unwrap_or(failed));
        world.settle_down();
        (world.plan(case).contains("compensate dispatch.plan"), world.case(case).closed_on)
    };
    let fenced = (true, Some(ClosedOn::Proven));
    for how in ["dispatch.plan", "{ event: dispatch.plan }"] {
        for undo in ["effect: none", "on_failure: retry", "effect: notice"] {
            assert_eq!(plan(how, undo, None), fenced, "{how}, {undo}");
        }
    }
    // The correction that goes out bars the message.
    assert!(!plan("dispatch.plan", "effect: none", Some(H::Succeeded)).0);
}

#[test]
fn a_fence_has_the_hold_of_its_compensation_and_lists_have_none() {
    let plan = |code: &str| {
        let mut world = World::new(SHOP);
        let case = world.report(charged(code));
        world.settle_down();
        let fence = world.plan(case).contains("compensate checkout.place");
        fence.then(|| world.step(case, "compensate checkout.place").state.clone())
    };
    assert_eq!(plan("listed"), None);
    assert_eq!(plan("tried"), Some(StepState::Shadow));
    assert!(matches!(plan("asked"), Some(StepState::Stuck(_))), "it waits for approval");
}

#[test]
fn without_anything_to_undo_there_is_no_fence() {
    let mut world = World::new(SHOP);
    let failed = report("payment/odd", "s").action("charge").saw("payment.charge", H::Failed);
    let case = world.report(failed);
    world.settle_down();
    assert_eq!(world.plan(case), words([]));
}

#[test]
fn who_puts_up_no_fence_costs_the_proof_and_not_a_person() {
    for status in [404, 405, 501] {
        let mut world = World::new(SHOP);
        for caller in ["checkout.place", "page.buy"] {
            world.replies.insert(format!("compensate {caller}"), Reply::Silent);
        }
        let case = world.report(charged("odd"));
        world.settle_down();
        world.answer_by_status("compensate checkout.place", StepReading::Unknown, status);
        world.settle_down();
        let fence = world.step(case, "compensate checkout.place").state.clone();
        assert_eq!(fence, StepState::Done(Outcome::NotFenceable));
        // Nobody bars what it may call again, so its own caller is asked as well.
        assert!(world.plan(case).contains("compensate page.buy"));
        world.answer_by_status("compensate page.buy", StepReading::Unknown, status);
        world.settle_down();
        world.pass_ms(120_000);
        let row = world.case(case);
        assert_eq!((row.state, row.closed_on), (CaseState::Settled, Some(ClosedOn::Quiet)));
        let told = row.extra.notes.iter().filter(|n| n.text.contains("puts up no fence")).count();
        assert_eq!(told, 2, "once for each service: {:?}", row.extra.notes);
    }
}

#[test]
fn a_refusal_puts_the_fence_up_all_the_same() {
    let mut world = World::new(SHOP);
    let refused = Reply::Says(StepReading::Refused);
    world.replies.insert("compensate checkout.place".to_owned(), refused);
    let case = world.report(charged("odd"));
    world.settle_down();
    assert_eq!(world.case(case).closed_on, Some(ClosedOn::Proven));
}

#[test]
fn who_is_out_of_reach_holds_the_case_open_and_no_refund() {
    let mut world = World::new(SHOP);
    world.replies.insert("compensate checkout.place".to_owned(), Reply::Silent);
    let case = world.report(charged("odd"));
    world.settle_down();
    let refund = world.step(case, "compensate payment.charge");
    assert_eq!(refund.state, StepState::Done(Outcome::Compensated));
    assert_eq!(world.state(case), CaseState::Open);
}

/// `far` is called by nobody that the rulebook knows, and calls on.
#[test]
fn what_only_evidence_names_is_followed() {
    let mut world = World::new(
        "
rulebook: followed
services:
  a: { url: \"http://a\", actions: { x: { compensation: y } } }
  far: { url: \"http://far\", actions: { go: { compensation: back, calls: [deep.dig] } } }
  deep: { url: \"http://deep\", actions: { dig: { compensation: fill } } }
rules: [{ on: \"*/*\", compensate: recorded }]
",
    );
    let dug = HistoryResult::Told(vec![evidence("deep.dig", "r", H::Succeeded)].into());
    world.histories.insert("deep".to_owned(), dug);
    let called = report("a/odd", "s").action("x").saw("a.x", H::Failed).saw("far.go", H::Unknown);
    let case = world.report(called);
    world.settle_down();
    assert!(world.walked.iter().any(|query| query.contains("deep")), "{:?}", world.walked);
    assert_eq!(world.plan(case), words(["compensate far.go", "compensate deep.dig"]));
}

#[test]
fn of_whom_the_rulebook_says_that_he_puts_up_no_fence_none_is_asked_and_it_is_told_once() {
    let book = SHOP.replace("actions: { place:", "fence: false, actions: { place:");
    let mut world = World::new(&book.replace("{ buy: {", "{ buy: { fence: false,"));
    let case = world.report(charged("odd"));
    world.settle_down();
    assert_eq!(world.plan(case), words(["compensate payment.charge"]));
    world.pass_ms(120_000);
    let row = world.case(case);
    assert_eq!((row.state, row.closed_on), (CaseState::Settled, Some(ClosedOn::Quiet)));
    let told = row.extra.notes.iter().filter(|n| n.text.contains("as the rulebook says")).count();
    assert_eq!(told, 2, "once for each service: {:?}", row.extra.notes);
}

#[test]
fn what_a_service_without_fences_has_undone_may_come_again() {
    let book = SHOP.replace("payment: {", "payment: { fence: false,");
    let mut world = World::new(&book);
    let case = world.report(charged("odd"));
    world.settle_down();
    world.pass_ms(120_000);
    let row = world.case(case);
    assert!(world.plan(case).contains("compensate checkout.place"), "so its caller is barred");
    assert_eq!(row.closed_on, Some(ClosedOn::Quiet));
    assert_eq!(row.extra.may_still_stand[0].action, "charge");
}

/// What is undone can't be reached again, but a message may still go out of somebody whom no fence bars.
#[test]
fn a_message_that_somebody_without_a_fence_may_still_send_is_not_proven_away() {
    let book = SHOP.replace("ship: { compensation: cancel }", "ship: { correction: recall }");
    let nobody = HistoryResult::Told(vec![].into());
    for (fence, history, closed_on) in [
        ("", nobody, ClosedOn::Proven),
        ("fence: false, ", HistoryResult::NoHistory, ClosedOn::Quiet),
    ] {
        let free = format!("{fence}actions: {{ place:");
        let mut world = World::new(&book.replace("actions: { place:", &free));
        world.histories.insert("checkout".to_owned(), history);
        let called = HistoryResult::Told(vec![evidence("checkout.place", "r", H::Unknown)].into());
        world.histories.insert("page".to_owned(), called);
        let case = world.report(charged("odd"));
        world.settle_down();
        world.pass_ms(120_000);
        let row = world.case(case);
        assert_eq!(row.closed_on, Some(closed_on), "{fence}");
        let left: Vec<_> = row.extra.may_still_stand.iter().map(|one| &*one.action).collect();
        assert_eq!(left, if fence.is_empty() { vec![] } else { vec!["ship"] });
    }
}
