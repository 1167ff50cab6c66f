//! What a turn is made of, and that nothing of it leaves the node before it is durable.

mod rig;

use amends_api::CaseState;
use amends_engine::{Activation, Answer, Committed, Input, Replaces, SagaState};
use amends_node::{Done, EffectResult, Need, NodeOptions};
use amends_protocol::{SagaBegin, SagaId, Timestamp};
use amends_rulebook::Rulebook;
use rig::{Rig, TWO, options, received, report};

#[test]
fn a_report_is_taken_compensated_and_settled() {
    let mut rig = Rig::new();
    assert!(received(rig.report("s", "1")));
    assert_eq!(rig.sent, ["compensate a.x", "compensate b.y"]);
    rig.settle();
    assert!(rig.memory.cases().all(|case| case.state == CaseState::Settled));
    assert_eq!(rig.memory.cases().count(), 1);
}

#[test]
fn nobody_is_answered_and_nothing_goes_out_before_the_commit() {
    let mut rig = Rig::new();
    rig.hand_in("s", "1");
    let lookup = rig.node.need(rig.now);
    let Need::Lookup(request) = lookup else { panic!("{lookup:?}") };
    rig.node.done(rig.now, Done::Found(Ok(rig.memory.find(&request))));
    let commit = rig.node.need(rig.now);
    let Need::Commit(batch) = commit else { panic!("{commit:?}") };
    for _ in 0..3 {
        let meanwhile = rig.node.need(rig.now);
        assert!(matches!(meanwhile, Need::Sleep { until: None }), "{meanwhile:?}");
        assert!(rig.node.engine().is_none(), "it holds what is not durable");
        rig.hand_in("other", "2");
    }
    rig.memory.commit(batch).expect("no conflict");
    rig.node.done(rig.now, Done::Committed(Ok(Committed::default())));
    let release = rig.node.need(rig.now);
    let Need::Release(released) = release else { panic!("{release:?}") };
    assert_eq!((released.replies.len(), released.effects.len()), (1, 2));
    assert!(rig.node.engine().is_some());
}

#[test]
fn an_answer_to_what_was_not_asked_changes_nothing() {
    let mut rig = Rig::new();
    rig.node.done(rig.now, Done::Committed(Ok(Committed::default())));
    rig.node.done(rig.now, Done::Loaded(Ok(rig.memory.load())));
    assert!(rig.node.engine().is_some() && rig.node.is_ready());
    rig.hand_in("s", "1");
    let Need::Lookup(request) = rig.node.need(rig.now) else { panic!("a look-up") };
    rig.node.done(rig.now, Done::Committed(Ok(Committed::default())));
    rig.node.done(rig.now, Done::Found(Ok(rig.memory.find(&request))));
    assert!(matches!(rig.node.need(rig.now), Need::Commit(_)));
}

#[test]
fn what_has_queued_is_one_turn_up_to_the_limit() {
    let mut rig = Rig::with(NodeOptions { batch: 4, ..options() });
    rig.turns.clear();
    let tickets: Vec<_> = (0..10).map(|n| rig.hand_in(&format!("s{n}"), &n.to_string())).collect();
    rig.run();
    assert_eq!(rig.turns, [4, 4, 2]);
    assert!(tickets.iter().all(|ticket| rig.answers.contains_key(ticket)));
}

#[test]
fn a_report_that_comes_twice_in_one_batch_is_known_the_second_time() {
    let mut rig = Rig::new();
    rig.turns.clear();
    let first = rig.hand_in("s", "1");
    let second = rig.hand_in("s", "1");
    let other = rig.hand_in("t", "2");
    rig.run();
    assert_eq!(rig.turns, [2, 1]);
    assert!(received(rig.answers.remove(&first)));
    assert!(!received(rig.answers.remove(&second)));
    assert!(received(rig.answers.remove(&other)));
    // Source and id are a report's name, whatever saga it claims to be about.
    rig.settle();
    assert!(!received(rig.report("another", "1")));
}

#[test]
fn a_full_queue_takes_nothing_more_and_gives_the_input_back() {
    let mut rig = Rig::with(NodeOptions { queue: 2, ..options() });
    rig.hand_in("s", "1");
    rig.hand_in("t", "2");
    assert_eq!(rig.node.room(), 0);
    let third =
        Input::Report { report: std::sync::Arc::new(report("u", "3")), known_in: None, ticket: 99 };
    let refused = rig.node.take(third).expect_err("no room");
    assert_eq!(refused, amends_node::NotTaken::Overloaded);
    rig.run();
    assert_eq!(rig.node.room(), 2);
    assert_eq!(rig.memory.cases().count(), 2);
}

#[test]
fn a_late_report_joins_the_settled_case_with_its_own_version_of_the_rulebook() {
    let mut rig = Rig::new();
    rig.report("s", "1");
    rig.settle();
    // A start loads no version that only settled cases need.
    let newer = rig::TWO.replace("50ms", "60ms");
    let newer = amends_rulebook::Rulebook::from_yaml(&newer).expect("valid");
    rig.memory.put_active(&newer, rig.now);
    let mut after = Rig::unloaded(options());
    after.memory = rig.memory.clone();
    after.run();
    after.asked.clear();
    assert!(received(after.report("s", "2")));
    assert_eq!(after.asked["lookup"], 2, "the case, then its rulebook");
    assert_eq!(after.memory.cases().count(), 1);
    let case = after.memory.cases().next().expect("one");
    assert_ne!(case.rulebook.as_ref().expect("planned").hash, newer.hash().into());
    after.settle();
    assert!(after.sent.is_empty(), "nothing is compensated twice: {:?}", after.sent);
}

#[test]
fn an_effect_has_one_result_however_often_it_is_told() {
    let mut rig = Rig::new();
    rig.report("s", "1");
    let effect = rig.under_way.remove(0);
    rig.turns.clear();
    rig.node.ended(effect.id, rig::success(&effect));
    rig.node.ended(effect.id, rig::success(&effect));
    rig.node.lost(effect.id);
    rig.run();
    assert_eq!(rig.turns, [1]);
}

#[test]
fn an_effect_that_is_lost_is_tried_again() {
    let mut rig = Rig::new();
    rig.report("s", "1");
    let effect = rig.under_way.remove(0);
    rig.node.lost(effect.id);
    rig.settle();
    assert_eq!(rig.sent, ["compensate a.x", "compensate b.y", "compensate a.x"]);
    assert!(rig.memory.cases().all(|case| case.state == CaseState::Settled));
}

#[test]
fn a_result_of_another_kind_counts_as_lost() {
    let mut rig = Rig::new();
    rig.report("s", "1");
    let effect = rig.under_way.remove(0);
    let odd = EffectResult::History(amends_engine::HistoryResult::Told(vec![].into()));
    rig.node.ended(effect.id, odd);
    rig.settle();
    assert_eq!(rig.sent.len(), 3);
}

#[test]
fn a_saga_is_announced_and_ended_once_however_often_it_says_so() {
    let mut rig = Rig::new();
    let saga = SagaId::new("s").expect("valid");
    let begin = |rig: &mut Rig| {
        let begin = SagaBegin {
            saga_id: saga.clone(),
            service: "a".to_owned(),
            action: None,
            deadline: rig.now.plus_ms(1_000),
            data: serde_json::Map::new(),
        };
        let ticket = rig.ticket();
        rig.node.take(Input::SagaBegan { begin, ticket }).expect("room");
        ticket
    };
    let end = |rig: &mut Rig, saga: &str| {
        let (saga, ticket) = (SagaId::new(saga).expect("valid"), rig.ticket());
        rig.node.take(Input::SagaEnded { saga, ticket }).expect("room");
        ticket
    };
    let all = [begin(&mut rig), end(&mut rig, "s"), end(&mut rig, "s"), begin(&mut rig)];
    rig.run();
    let state = |ticket| match &rig.answers[ticket] {
        Answer::Announced(row) => row.state,
        Answer::Done => SagaState::Ended,
        other => panic!("{other:?}"),
    };
    let states = all.iter().map(state).collect::<Vec<_>>();
    assert_eq!(states[0], SagaState::Begun);
    assert!(states[1..].iter().all(|state| *state == SagaState::Ended), "{states:?}");
    let never = end(&mut rig, "never");
    rig.run();
    assert!(matches!(rig.answers[&never], Answer::NotFound(_)));
    rig.now = Timestamp(rig.now.0 + 10_000);
    rig.settle();
    assert_eq!(rig.memory.cases().count(), 0, "no deadline makes a case of it");
}

/// After a start, with more cases than fit into one page.
fn restarted(cases: usize) -> Rig {
    let mut rig = Rig::new();
    for n in 0..cases {
        rig.report(&format!("s-{n}"), &n.to_string());
    }
    rig.under_way.clear();
    rig.sent.clear();
    rig.node = amends_node::Node::new(options());
    rig
}

#[test]
fn after_a_start_steps_go_before_all_open_cases_have_been_read() {
    let mut rig = restarted(9);
    while rig.sent.is_empty() {
        assert!(rig.one().is_none(), "it has something to do");
    }
    assert!(rig.node.is_reading() && !rig.node.is_ready());
    rig.run();
    assert!(!rig.node.is_reading() && rig.node.is_ready());
    rig.settle();
    assert!(rig.memory.cases().all(|case| case.state == CaseState::Settled));
}

#[test]
fn a_new_rulebook_waits_until_all_open_cases_have_been_read_and_a_report_does_not() {
    let mut rig = restarted(9);
    let ticket = rig.ticket();
    let rulebook = Rulebook::from_yaml(&TWO.replace("50ms", "60ms")).expect("valid");
    let (actor, reason) = ("kim".into(), "a longer quiet time".into());
    let replaces = Replaces::Any;
    let activation = Activation { rulebook, actor, reason, from_file: false, replaces };
    rig.node.take(Input::Activate { activation: Box::new(activation), ticket }).expect("room");
    let report = rig.hand_in("s-8", "late");
    while !rig.answers.contains_key(&report) {
        assert!(rig.one().is_none(), "it has something to do");
    }
    assert!(rig.node.is_reading() && !rig.answers.contains_key(&ticket));
    rig.run();
    assert_eq!(rig.answers.get(&ticket), Some(&Answer::Done));
    // The report joined its case, although that had not been read yet.
    assert_eq!(rig.memory.cases().count(), 9);
    rig.settle();
    assert!(rig.memory.cases().all(|case| case.state == CaseState::Settled));
}
