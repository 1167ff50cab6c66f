//! Nodes that share a store: what each holds, what it leaves for others, and what of it counts.

mod rig;

use amends_api::CaseState;
use amends_engine::{Answer, Input, Partition, SagaState};
use amends_node::{LaunchedEffect, Need};
use amends_protocol::{SagaBegin, SagaId};
use rig::nodes::{HERE, ONE, OTHER, THERE, two};
use rig::{report, success};
use std::sync::Arc;

#[test]
fn each_takes_what_it_holds_and_leaves_the_rest_for_the_other() {
    let (mut store, mut one, mut two) = two();
    assert!(matches!(one.report(ONE, "1", &mut store), Some(Answer::Received { .. })));
    assert!(store.letters.is_empty());
    let posted = one.report(OTHER, "2", &mut store);
    let Some(Answer::Posted(letter)) = posted else { panic!("{posted:?}") };
    assert_eq!(store.letters.len(), 1);
    assert_eq!(store.state_of(OTHER), None, "it is not this node's to open");

    two.run(&mut store);
    assert_eq!(store.state_of(OTHER), None, "nobody has told it");
    two.node.mail(THERE);
    two.run(&mut store);
    assert_eq!(store.state_of(OTHER), Some(CaseState::Open));
    assert!(store.letters.is_empty(), "what was taken is gone with the commit that took it");
    let [(id, Answer::Received { duplicate: false, .. })] = two.answered[..] else {
        panic!("{:?}", two.answered)
    };
    assert_eq!(id, letter);
    one.settle(&mut store);
    two.settle(&mut store);
    for saga in [ONE, OTHER] {
        assert_eq!(store.state_of(saga), Some(CaseState::Settled), "{saga}");
    }
}

#[test]
fn what_is_taken_over_is_read_however_much_mail_comes() {
    let (mut store, mut one, mut two) = two();
    two.report(OTHER, "1", &mut store);
    store.give(THERE, 1);
    one.node.claimed(store.held_by(1));
    let mut read = Vec::new();
    while read.len() < 6 {
        one.node.mail(HERE);
        let need = one.node.need(store.now);
        match &need {
            Need::Letters(..) => read.push("letters"),
            Need::Adopt(_) => read.push("partition"),
            Need::Open(..) => read.push("cases"),
            _ => {}
        }
        let _ = one.answer(need, &mut store);
    }
    assert_eq!(read, ["letters", "partition", "letters", "cases", "letters", "letters"]);
}

#[test]
fn what_was_left_before_a_node_came_is_taken_first() {
    let (mut store, mut one, mut two) = two();
    two.report(ONE, "1", &mut store);
    two.report(ONE, "1", &mut store);
    assert_eq!(store.letters.len(), 2);
    store.give(HERE, 2);
    two.learns(&mut store);
    assert!(store.letters.is_empty());
    let told: Vec<bool> = two
        .answered
        .iter()
        .map(|(_, answer)| matches!(answer, Answer::Received { duplicate: true, .. }))
        .collect();
    assert_eq!(told, [false, true], "the second one is known");
    assert_eq!(one.report(ONE, "3", &mut store), None, "who has lost it says nothing");
    let lost = one.turned_away.pop().expect("turned away").fault.to_string();
    assert_eq!(lost, "partition 12 has been taken over by another node");
}

#[test]
fn a_lost_partition_takes_nothing_along_of_the_others() {
    let (mut store, mut one, _) = two();
    store.give(THERE, 1);
    one.learns(&mut store);
    let (mine, other) = (Arc::new(report(ONE, "1")), Arc::new(report(OTHER, "2")));
    let mine = one.give(|ticket| Input::Report { report: mine, known_in: None, ticket });
    let other = one.give(|ticket| Input::Report { report: other, known_in: None, ticket });
    store.give(THERE, 2); // and nobody has told node 1
    one.run(&mut store);
    assert!(matches!(one.answers.get(&mine), Some(Answer::Received { .. })));
    assert_eq!(one.answers.get(&other), None);
    assert_eq!(one.turned_away[0].tickets, [other]);
    assert_eq!((store.state_of(ONE), store.state_of(OTHER)), (Some(CaseState::Open), None));
    let of_other = |launched: &&LaunchedEffect| launched.effect.saga().as_str() == OTHER;
    assert!(!one.under_way.is_empty() && !one.under_way.iter().any(|e| of_other(&e)));
    one.settle(&mut store);
    assert_eq!(store.state_of(ONE), Some(CaseState::Settled));
    let engine = one.node.engine().expect("at rest");
    let is_free = engine.queues().iter().all(|queue| queue.in_flight == 0);
    assert!(is_free, "what was not sent takes no place");
}

#[test]
fn what_comes_of_a_request_after_its_partition_has_gone_is_told_to_its_new_owner() {
    let (mut store, mut one, mut two) = two();
    one.report(ONE, "1", &mut store);
    let under_way = std::mem::take(&mut one.under_way);
    assert_eq!(under_way.len(), 2);
    store.give(HERE, 2);
    one.learns(&mut store);
    two.learns(&mut store);
    for effect in std::mem::take(&mut two.under_way) {
        two.node.lost(effect.id); // what it has asked anew gets no answer
    }
    two.run(&mut store);
    for effect in &under_way {
        one.end(effect, success(effect), &mut store);
    }
    assert_eq!(store.letters.len(), 2, "final outcomes");
    two.node.mail(HERE);
    two.run(&mut store);
    assert!(
        store.rows.steps().all(|step| step.state.is_terminal()),
        "{:#?}",
        store.rows.steps().collect::<Vec<_>>()
    );
    let engine = one.node.engine().expect("at rest");
    assert!(engine.queues().iter().all(|queue| queue.in_flight == 0), "each has freed its place");
}

#[test]
fn what_another_node_has_asked_frees_no_place_here() {
    let (mut store, mut one, mut two) = two();
    one.report(ONE, "1", &mut store);
    let asked = std::mem::take(&mut one.under_way);
    store.give(HERE, 2);
    one.learns(&mut store);
    for effect in &asked {
        one.end(effect, success(effect), &mut store);
    }
    assert_eq!(store.letters.len(), 2, "final outcomes");
    two.report(OTHER, "2", &mut store);
    two.learns(&mut store);
    assert!(store.letters.is_empty());
    let engine = two.node.engine().expect("at rest");
    let places: u32 = engine.queues().iter().map(|queue| queue.in_flight).sum();
    assert_eq!(places as usize, two.under_way.len());
    assert!(places > 0);
}

#[test]
fn a_commit_that_lands_after_a_reload_changes_nothing() {
    let (mut store, mut one, _) = two();
    store.lands_late = Some(None);
    assert_eq!(one.report(ONE, "1", &mut store), None);
    let Some(Some((node, late))) = store.lands_late.take() else { panic!("it was tried") };
    assert!(matches!(one.report(ONE, "1", &mut store), Some(Answer::Received { .. })));
    one.settle(&mut store);
    let before = store.rows.clone();
    let landed = store.commit(node, late).expect("it is judged");
    assert_eq!(landed.lost, [HERE]);
    assert_eq!(store.rows.case_row(before.cases().next().expect("one").id), before.cases().next());
    assert_eq!(store.rows.steps().count(), before.steps().count());
}

#[test]
fn a_partition_is_given_back_once_nothing_of_it_is_under_way() {
    let (mut store, mut one, mut two) = two();
    one.report(ONE, "1", &mut store);
    one.node.hand_over(HERE);
    one.run(&mut store);
    assert_eq!(one.gave_back, [], "two requests are under way");
    let (first, second) = (one.under_way.remove(0), one.under_way.remove(0));
    one.end(&first, success(&first), &mut store);
    assert_eq!(one.gave_back, []);
    one.end(&second, success(&second), &mut store);
    assert_eq!(one.gave_back, [HERE]);
    assert!(one.under_way.is_empty(), "nothing new was sent");
    one.node.claimed(store.held_by(1)); // an old word
    one.run(&mut store);
    assert!(!one.node.engine().expect("at rest").holds_partition(HERE));
    store.give(HERE, 2);
    two.learns(&mut store);
    two.settle(&mut store);
    assert_eq!(store.state_of(ONE), Some(CaseState::Settled));
    assert_eq!(store.rows.attempts().count(), 0, "no try is counted");
}

#[test]
fn a_hand_over_waits_no_longer_than_its_grace() {
    let (mut store, mut one, _) = two();
    one.report(ONE, "1", &mut store);
    one.node.hand_over(HERE);
    store.now = store.now.plus_ms(9_999);
    let until = one.run(&mut store).expect("it looks again");
    assert_eq!((one.gave_back.len(), until.ms_since(store.now)), (0, 1));
    store.now = until;
    one.run(&mut store);
    assert_eq!(one.gave_back, [HERE]);
}

#[test]
fn a_deadline_is_missed_only_after_all_that_was_left_before_it_has_been_taken() {
    let (mut store, mut one, mut two) = two();
    let begin = SagaBegin {
        saga_id: SagaId::new(ONE).expect("valid"),
        service: "a".to_owned(),
        action: Some("x".to_owned()),
        deadline: store.now.plus_ms(5_000),
        data: serde_json::Map::new(),
    };
    one.give(|ticket| Input::SagaBegan { begin, ticket });
    one.run(&mut store);
    let saga = SagaId::new(ONE).expect("valid");
    let ended = two.give(|ticket| Input::SagaEnded { saga: saga.clone(), ticket });
    two.run(&mut store);
    assert!(matches!(two.answers.get(&ended), Some(Answer::Posted(_))), "it is taken");
    store.now = store.now.plus_ms(6_000); // no word of it has come to the first node
    one.run(&mut store);
    let row = store.rows.saga(&saga).expect("announced");
    assert_eq!((row.state, store.rows.cases().count()), (SagaState::Ended, 0));
}

#[test]
fn nobody_is_refused_before_what_was_left_has_been_read() {
    let (mut store, mut one, mut two) = two();
    assert!(matches!(two.report(ONE, "1", &mut store), Some(Answer::Posted(_))));
    let saga = SagaId::new(ONE).expect("valid");
    let ended = one.give(|ticket| Input::SagaEnded { saga, ticket });
    one.run(&mut store); // no word of the report has come
    assert_eq!(one.answers.get(&ended), Some(&Answer::Done));
    let nothing = SagaId::new("order-1-1").expect("valid");
    store.give(Partition::of(&nothing), 1);
    one.learns(&mut store);
    let ended = one.give(|ticket| Input::SagaEnded { saga: nothing, ticket });
    one.run(&mut store);
    assert!(matches!(one.answers.get(&ended), Some(Answer::NotFound(_))), "{:?}", one.answers);
}
