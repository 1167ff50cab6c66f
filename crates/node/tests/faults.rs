//! A store that fails before, in and after a commit, contradicts, or is away while the node is to end.

mod rig;

use amends_engine::Input;
use amends_node::{Fault, NodeOptions, StoreFault};
use amends_protocol::CaseState;
use rig::{Mood, Rig, options, received};

#[test]
fn a_failed_commit_answers_nobody_sends_nothing_and_is_recovered_from() {
    let mut rig = Rig::new();
    rig.commits.push_back(Mood::Fails);
    let ticket = rig.hand_in("s", "1");
    assert_eq!(rig.run(), None, "back to rest with nothing to do");
    assert!(rig.answers.is_empty() && rig.sent.is_empty() && rig.memory.cases().count() == 0);
    assert_eq!(rig.turned_away.len(), 1);
    assert_eq!(rig.turned_away[0].tickets, [ticket]);
    assert!(matches!(rig.turned_away[0].fault, Fault::Store(StoreFault::Failed(_))));
    assert!(received(rig.report("s", "1")));
    rig.settle();
    assert_eq!(rig.sent, ["compensate a.x", "compensate b.y"]);
}

#[test]
fn a_node_is_not_ready_from_the_fault_to_the_next_good_turn() {
    let mut rig = Rig::unloaded(options());
    assert!(!rig.node.is_ready());
    rig.run();
    assert!(rig.node.is_ready());
    rig.commits.push_back(Mood::Fails);
    rig.loads.push_back(Mood::Fails);
    rig.hand_in("s", "1");
    let until = rig.run().expect("it tries again by itself");
    assert!(!rig.node.is_ready() && rig.node.engine().is_none());
    assert_eq!(until, rig.now.plus_ms(500));
    rig.now = until;
    rig.run();
    assert!(rig.node.is_ready());
}

#[test]
fn a_commit_of_unknown_end_may_be_stored_and_is_then_known_the_second_time() {
    let mut rig = Rig::new();
    rig.commits.push_back(Mood::FailsAfterwards);
    assert_eq!(rig.report("s", "1"), None);
    assert_eq!(rig.turned_away.len(), 1);
    // What was stored is gone on with, though nobody was told.
    assert_eq!(rig.sent, ["compensate a.x", "compensate b.y"]);
    assert!(!received(rig.report("s", "1")), "it is in its case already");
    rig.settle();
    assert_eq!(rig.memory.cases().count(), 1);
}

#[test]
fn a_failed_look_up_turns_the_whole_turn_away() {
    let mut rig = Rig::new();
    rig.lookups.push_back(Mood::Fails);
    let tickets = [rig.hand_in("s", "1"), rig.hand_in("t", "2")];
    rig.run();
    assert_eq!(rig.turned_away[0].tickets, tickets);
    assert_eq!(rig.memory.cases().count(), 0);
    assert!(received(rig.report("s", "1")));
}

#[test]
fn one_contradictory_input_spoils_no_others() {
    let mut rig = Rig::new();
    rig.bad_report = Some("bad");
    let first: Vec<_> = ["1", "bad", "2"].map(|id| rig.hand_in(id, id)).into();
    rig.run();
    assert_eq!(rig.turned_away[0].tickets, first, "nobody knows yet which one is at fault");
    rig.turns.clear();
    let again: Vec<_> = ["1", "bad", "2"].map(|id| rig.hand_in(id, id)).into();
    while let Some(at) = rig.run() {
        rig.now = at;
        if rig.turned_away.len() > 1 && rig.node.is_ready() {
            break;
        }
    }
    assert!(received(rig.answers.remove(&again[0])));
    assert!(received(rig.answers.remove(&again[2])));
    assert_eq!(rig.turned_away[1].tickets, [again[1]]);
    assert!(rig.turns.iter().all(|inputs| *inputs == 1), "{:?}", rig.turns);
}

#[test]
fn what_could_never_be_read_is_refused_for_good_and_spoils_no_others() {
    let mut rig = Rig::new();
    rig.report("s", "1");
    rig.commits.push_back(Mood::CannotRead);
    let ticket = rig.hand_in("s", "2");
    rig.run();
    assert_eq!(
        (&rig.turned_away[0].tickets[..], rig.turned_away[0].refused),
        (&[ticket][..], true)
    );
    assert!(received(rig.report("t", "3")), "the others go on");
    assert_eq!(rig.node.engine().expect("at rest").quarantined(), [], "the sender is at fault");
}

#[test]
fn a_case_that_the_store_refuses_is_quarantined_and_the_others_go_on() {
    let mut rig = Rig::new();
    rig.report("s", "1");
    let case = rig.memory.cases().next().expect("one").id;
    let why = "its key belongs to another row".to_owned();
    rig.refused_case = Some((case, StoreFault::Conflict { why, case: Some(case) }));
    // An answer comes that nobody waits for: only the case can be at fault.
    rig.answer("a");
    assert_eq!(rig.turned_away.len(), 1);
    let quarantined = rig.node.engine().expect("at rest").quarantined();
    assert_eq!(quarantined[0].case.id, case);
    assert!(quarantined[0].case.broken.why.contains("its key belongs to another row"));

    assert!(received(rig.report("s", "2")), "its reports are kept");
    assert_eq!(rig.memory.reports_of(case).count(), 2);
    assert!(received(rig.report("t", "3")));
    for _ in 0..100 {
        match (rig.under_way.pop(), rig.run()) {
            (Some(effect), _) => rig.node.ended(effect.id, rig::success(&effect)),
            (None, Some(at)) => rig.now = rig.now.max(at),
            (None, None) => break,
        }
    }
    assert_eq!(rig.turned_away.len(), 1, "the store is not asked for it again");
    let states: Vec<_> = rig.memory.cases().map(|case| case.state).collect();
    assert_eq!(states, [CaseState::Open, CaseState::Settled]);
}

#[test]
fn a_settled_case_that_the_store_refuses_makes_the_loop_start_over_once() {
    let mut rig = Rig::new();
    rig.report("s", "1");
    rig.settle();
    let row = rig.memory.cases().next().expect("one");
    let (case, state) = (row.id, row.state);
    assert_eq!(state, CaseState::Settled);
    let why = "its key belongs to another row".to_owned();
    rig.refused_case = Some((case, StoreFault::Conflict { why, case: Some(case) }));

    assert_eq!(rig.report("s", "late"), None, "it would reopen the case");
    assert_eq!(rig.turned_away.len(), 1);
    while rig.report("s", "late").is_none() {
        rig.now = rig.run().expect("the store is tried again");
        assert_eq!(rig.turned_away.len(), 1, "its sender comes again, and no other is held up");
    }
    assert_eq!(rig.memory.reports_of(case).count(), 2, "it is kept");
    assert!(received(rig.report("t", "2")));
}

#[test]
fn the_second_refusal_in_a_row_and_all_after_it_are_waited_out_longer_and_longer() {
    let mut rig = Rig::new();
    let mut pauses = Vec::new();
    rig.commits.extend([Mood::Fails; 30]);
    for n in 0..30 {
        rig.hand_in("s", &n.to_string());
        let pause = rig.run().map_or(0, |until| until.ms_since(rig.now));
        pauses.push(pause);
        rig.now = rig.now.plus_ms(pause);
        rig.run();
    }
    assert_eq!(rig.turned_away.len(), 30);
    assert_eq!(pauses[..4], [0, 1_000, 1_500, 2_000]);
    assert_eq!(pauses[29], 10_000, "a store that is back must not wait long");
}

#[test]
fn a_services_limit_holds_across_a_failed_commit() {
    let mut rig = Rig::new();
    rig.report("s", "1");
    rig.report("t", "2");
    assert_eq!(rig.of_service("a").len(), 1, "its limit is one at a time");
    let before = rig.of_service("a")[0];
    rig.commits.push_back(Mood::Fails);
    rig.report("u", "3");
    assert_eq!(rig.turned_away.len(), 1);
    assert_eq!(rig.of_service("a"), [before], "the engine is new, the request is still under way");
    rig.answer("a");
    let after = rig.of_service("a");
    assert_eq!(after.len(), 1, "its end makes room for one");
    assert!(after[0].generation > before.generation);
    rig.answer("a");
    assert!(rig.of_service("a").len() <= 1);
    rig.settle();
    assert!(rig.memory.cases().all(|case| case.state == CaseState::Settled));
}

#[test]
fn a_result_that_waited_through_a_failed_commit_counts_once() {
    let mut rig = Rig::with(NodeOptions { batch: 1, ..options() });
    rig.report("s", "1");
    rig.report("t", "2");
    let effect = rig.under_way.remove(0);
    assert_eq!(&**effect.errand.service(), "a");
    rig.commits.push_back(Mood::Fails);
    rig.hand_in("u", "3");
    let lookups = rig.asked["lookup"];
    while rig.asked["lookup"] == lookups {
        rig.one();
    }
    // The turn with the report is at the store when the result comes, and fails.
    rig.node.ended(effect.id, rig::success(&effect));
    rig.run();
    assert_eq!(rig.of_service("a").len(), 1);
    rig.settle();
    assert!(rig.memory.cases().all(|case| case.state == CaseState::Settled));
}

#[test]
fn an_unreadable_rulebook_quarantines_its_cases_and_stops_nothing_else() {
    let mut rig = Rig::new();
    rig.report("s", "1");
    rig.broken_rulebooks = true;
    rig.node = amends_node::Node::new(options());
    rig.run();
    assert!(rig.node.is_ready() && rig.turned_away.is_empty());
    let engine = rig.node.engine().expect("at rest");
    assert_eq!(engine.quarantined().len(), 1);
    let told = &engine.unreadable()[0];
    assert!(told.row.starts_with("rulebook `two`") && told.why.contains("no version"), "{told:?}");
    // A new saga's report is kept, and nobody guesses what to do about it.
    assert!(received(rig.report("t", "2")));
    let states: Vec<_> = rig.memory.cases().map(|case| case.state).collect();
    assert_eq!(states, [CaseState::Open, CaseState::Unmatched]);
}

#[test]
fn an_orderly_end_makes_the_queue_durable_and_waits_for_what_is_under_way() {
    let mut rig = Rig::new();
    rig.report("s", "1");
    let ticket = rig.hand_in("t", "2");
    rig.node.stop();
    let until = rig.run().expect("it waits for results");
    assert_eq!(until, rig.now.plus_ms(25_000));
    assert!(received(rig.answers.remove(&ticket)), "what had been taken is answered");
    assert_eq!(rig.sent.len(), 2, "but nothing more is sent");
    assert!(!rig.node.is_ready());
    rig.answer("a");
    assert_eq!(rig.ended, None);
    rig.answer("b");
    assert_eq!(rig.ended, Some(0));
    let done = rig.memory.steps().filter(|step| step.state.is_terminal()).count();
    assert_eq!(done, 2);
}

#[test]
fn an_orderly_end_does_not_wait_for_ever() {
    let mut rig = Rig::new();
    rig.report("s", "1");
    rig.node.stop();
    rig.now = rig.run().expect("it waits for results");
    rig.run();
    assert_eq!(rig.ended, Some(2));
}

#[test]
fn a_node_ends_while_the_store_is_away() {
    let mut rig = Rig::new();
    rig.commits.push_back(Mood::Fails);
    rig.loads.extend([Mood::Fails; 10]);
    rig.hand_in("s", "1");
    rig.run().expect("it tries again by itself");
    let waiting = rig.hand_in("t", "2");
    rig.node.stop();
    rig.run();
    assert_eq!(rig.ended, Some(0));
    let last = rig.turned_away.last().expect("told");
    assert_eq!(last.tickets, [waiting], "nobody is left without an answer");
}

#[test]
fn a_store_that_is_back_at_the_end_still_takes_what_is_in_the_queue() {
    let mut rig = Rig::new();
    rig.commits.push_back(Mood::Fails);
    rig.loads.push_back(Mood::Fails);
    rig.hand_in("s", "1");
    rig.run().expect("it tries again by itself");
    let waiting = rig.hand_in("t", "2");
    rig.node.stop();
    rig.run();
    assert_eq!(rig.ended, Some(0));
    assert!(received(rig.answers.remove(&waiting)));
    assert!(rig.sent.is_empty(), "nothing more is sent");
}

#[test]
fn an_input_is_no_reason_to_try_the_store_earlier() {
    let mut rig = Rig::new();
    rig.commits.push_back(Mood::Fails);
    rig.loads.push_back(Mood::Fails);
    rig.hand_in("s", "1");
    let until = rig.run();
    rig.hand_in("t", "2");
    rig.node.take(Input::Tick).expect("room");
    assert_eq!(rig.run(), until);
}
