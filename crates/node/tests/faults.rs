//! A store that fails before, in and after a commit, contradicts, or is away while the node is to end.

mod rig;

use amends_api::CaseState;
use amends_engine::{Answer, Input, Mend, Mending};
use amends_node::{Fault, NodeOptions, StoreFault};
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
fn one_contradictory_input_of_many_is_turned_away_alone() {
    let mut rig = Rig::new();
    rig.bad_report = Some("bad");
    let tickets: Vec<_> = ["1", "bad", "2"].map(|id| rig.hand_in(id, id)).into();
    rig.settle();
    assert!(received(rig.answers.remove(&tickets[0])) && received(rig.answers.remove(&tickets[2])));
    let turned_away: Vec<_> = rig.turned_away.iter().flat_map(|t| &t.tickets).collect();
    assert_eq!(turned_away, [&tickets[1]], "nobody else is told of it");
    assert!(rig.turned_away.iter().all(|turned_away| !turned_away.refused), "it may come again");
    assert_eq!(rig.memory.cases().count(), 2);
    assert!(received(rig.report("u", "3")), "without a pause");
}

#[test]
fn one_input_of_many_that_could_never_be_read_is_refused_alone() {
    let mut rig = Rig::new();
    rig.commits.extend([Mood::CannotRead, Mood::Fine, Mood::CannotRead]);
    let tickets: Vec<_> = ["1", "bad", "2"].map(|id| rig.hand_in(id, id)).into();
    rig.settle();
    assert!(received(rig.answers.remove(&tickets[0])) && received(rig.answers.remove(&tickets[2])));
    let refused: Vec<_> = rig.turned_away.iter().filter(|t| t.refused).collect();
    assert_eq!(refused.iter().flat_map(|t| &t.tickets).collect::<Vec<_>>(), [&tickets[1]]);
}

#[test]
fn results_that_were_in_a_refused_turn_are_not_lost() {
    let mut rig = Rig::new();
    rig.report("s", "1");
    let ends: Vec<_> = rig.under_way.drain(..).collect();
    ends.iter().for_each(|effect| rig.node.ended(effect.id, rig::success(effect)));
    rig.commits.push_back(Mood::Refuses);
    rig.hand_in("t", "2");
    rig.settle();
    assert!(rig.memory.cases().all(|case| case.state == CaseState::Settled));
    let tried: u32 = rig.memory.steps().map(|step| step.attempts).sum();
    assert!(tried >= 4, "{tried}");
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
    // An answer comes that nobody waits for, and after the loading time alone wants the same again.
    rig.answer("a");
    assert_eq!(rig.turned_away.len(), 2, "it had a second chance");
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
    assert_eq!(rig.turned_away.len(), 2, "the store is not asked for it again");
    let states: Vec<_> = rig.memory.cases().map(|case| case.state).collect();
    assert_eq!(states, [CaseState::Open, CaseState::Settled]);
}

#[test]
fn a_settled_case_that_the_store_refuses_makes_the_loop_start_over_no_more_than_twice() {
    let mut rig = Rig::new();
    rig.report("s", "1");
    rig.settle();
    let row = rig.memory.cases().next().expect("one");
    let (case, state) = (row.id, row.state);
    assert_eq!(state, CaseState::Settled);
    let why = "its key belongs to another row".to_owned();
    rig.refused_case = Some((case, StoreFault::Conflict { why, case: Some(case) }));

    assert_eq!(rig.report("s", "late"), None, "it would reopen the case");
    assert_eq!(rig.report("s", "late"), None, "it has a second chance");
    assert!(received(rig.report("s", "late")), "its sender comes again, and it is kept");
    assert_eq!(rig.turned_away.len(), 2, "no other is held up");
    assert_eq!(rig.memory.reports_of(case).count(), 2);
    assert!(received(rig.report("t", "2")));
}

#[test]
fn what_the_store_calls_contradictory_once_quarantines_nothing() {
    let mut rig = Rig::new();
    rig.report("s", "1");
    let case = rig.memory.cases().next().expect("one").id;
    let why = "its key belongs to another row".to_owned();
    rig.refused_case = Some((case, StoreFault::Conflict { why, case: Some(case) }));
    rig.hand_in("s", "2");
    while rig.turned_away.is_empty() {
        rig.one();
    }
    rig.refused_case = None;
    rig.run();
    assert_eq!(rig.node.engine().expect("at rest").quarantined(), []);
    assert!(received(rig.report("s", "2")), "the same report is taken now");
    rig.settle();
    assert!(rig.memory.cases().all(|case| case.state == CaseState::Settled));
}

#[test]
fn a_refused_case_is_tried_again_when_a_person_repairs_it_as_it_is() {
    let mut rig = Rig::new();
    rig.report("s", "1");
    let case = rig.memory.cases().next().expect("one").id;
    let why = "its key belongs to another row".to_owned();
    rig.refused_case = Some((case, StoreFault::Conflict { why, case: Some(case) }));
    rig.answer("a");
    assert_eq!(rig.node.engine().expect("at rest").quarantined().len(), 1);
    rig.refused_case = None;
    let mend = Mend {
        case,
        mending: Mending::Repair,
        stored: rig.memory.case(case),
        before: serde_json::Value::Null,
        actor: "ann".into(),
        reason: "the store is mended".into(),
    };
    let ticket = rig.ticket();
    rig.node.take(Input::Mend { mend: Box::new(mend), ticket }).expect("taken");
    rig.settle();
    assert_eq!(rig.answers[&ticket], Answer::Done);
    assert_eq!(rig.node.engine().expect("at rest").quarantined(), []);
    assert!(rig.memory.cases().all(|case| case.state == CaseState::Settled));
}

#[test]
fn while_the_store_can_not_be_loaded_everybody_is_told_at_once() {
    let mut rig = Rig::with(NodeOptions { batch: 1, ..options() });
    rig.commits.push_back(Mood::Fails);
    rig.loads.extend([Mood::Fails; 3]);
    let (first, behind) = (rig.hand_in("s", "1"), rig.hand_in("t", "2"));
    let mut pauses = Vec::new();
    for n in 3..6 {
        let until = rig.run().expect("it tries again by itself");
        pauses.push(until.ms_since(rig.now));
        let late = rig.hand_in("u", &n.to_string());
        assert_eq!(rig.not_taken.last(), Some(&late), "at once, whatever the pause");
        rig.now = until;
    }
    assert_eq!(pauses, [500, 1_000, 1_500], "the store is left alone longer and longer");
    let told: Vec<_> = rig.turned_away.iter().flat_map(|t| &t.tickets).collect();
    assert_eq!(told, [&first, &behind], "who was in the queue does not wait for it either");
    rig.run();
    assert!(!rig.node.is_away() && received(rig.report("s", "1")));
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
    assert_eq!(&**effect.effect.service(), "a");
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
    let mut rig = Rig::with(NodeOptions { batch: 1, ..options() });
    rig.commits.push_back(Mood::Fails);
    rig.loads.extend([Mood::Fails; 10]);
    let tickets = [rig.hand_in("s", "1"), rig.hand_in("t", "2")];
    while rig.turned_away.is_empty() {
        rig.one();
    }
    rig.node.stop();
    rig.run();
    assert_eq!(rig.ended, Some(0));
    let told: Vec<_> = rig.turned_away.iter().flat_map(|t| &t.tickets).collect();
    assert_eq!(told, [&tickets[0], &tickets[1]], "nobody is left without an answer");
}

#[test]
fn a_store_that_is_back_at_the_end_still_takes_what_is_in_the_queue() {
    let mut rig = Rig::with(NodeOptions { batch: 1, ..options() });
    rig.commits.push_back(Mood::Fails);
    rig.hand_in("s", "1");
    let waiting = rig.hand_in("t", "2");
    while rig.turned_away.is_empty() {
        rig.one();
    }
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
    assert_eq!(rig.run(), until);
}
