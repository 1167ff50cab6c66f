//! What becomes of letters that can't be taken: whoever left them may have been told that they were.

mod rig;

use amends_api::CaseState;
use amends_engine::{Answer, Input, Letter, LetterId, LetterKind};
use amends_protocol::{ProblemCode, SagaId};
use rig::nodes::{HERE, ONE, THERE, two};
use rig::report;
use std::collections::BTreeSet;
use std::sync::Arc;

#[test]
fn a_refusal_is_kept_in_the_commit_that_deletes_its_letter() {
    let (mut store, mut one, mut two) = two();
    let saga = SagaId::new(ONE).expect("valid");
    let said = two.give(|ticket| Input::SagaEnded { saga: saga.clone(), ticket });
    two.run(&mut store);
    let Some(Answer::Posted(letter)) = two.answers.remove(&said) else {
        panic!("{:?}", two.answers)
    };
    assert_eq!(store.rows.refused_letter(letter), None);
    one.node.mail(HERE);
    one.run(&mut store);
    let [(answered, Answer::NotFound(why))] = &one.answered[..] else {
        panic!("{:?}", one.answered)
    };
    assert_eq!(*answered, letter);
    let refused = store.rows.refused_letter(letter).expect("it is kept");
    assert_eq!((refused.code, &refused.detail), (ProblemCode::NotFound, why));
    assert_eq!(refused.about.saga.as_ref(), Some(&saga));
    assert!(store.letters.is_empty());
}

#[test]
fn what_is_refused_to_whoever_waits_is_kept_nowhere() {
    let (mut store, mut one, _) = two();
    let saga = SagaId::new(ONE).expect("valid");
    let said = one.give(|ticket| Input::SagaEnded { saga, ticket });
    one.run(&mut store);
    assert!(matches!(one.answers.get(&said), Some(Answer::NotFound(_))));
    assert!(one.answered.is_empty());
}

#[test]
fn what_was_left_for_several_partitions_is_taken_in_one_commit() {
    let (mut store, mut one, mut two) = two();
    let sagas: Vec<String> = (1..12)
        .map(|n| format!("order-{n}"))
        .filter(|saga| rig::nodes::partition(saga) != THERE)
        .collect();
    let parts: BTreeSet<_> = sagas.iter().map(|saga| rig::nodes::partition(saga)).collect();
    assert!(parts.len() > 5);
    parts.iter().for_each(|part| store.give(*part, 1));
    one.learns(&mut store);
    for (saga, id) in sagas.iter().zip(1..) {
        let posted = two.report(saga, &format!("{id}"), &mut store);
        assert!(matches!(posted, Some(Answer::Posted(_))), "{posted:?}");
    }
    let before = one.commits;
    parts.iter().for_each(|part| one.node.mail(*part));
    one.run(&mut store);
    assert_eq!(one.commits - before, 1);
    assert!(sagas.iter().all(|saga| store.state_of(saga) == Some(CaseState::Open)));
    assert!(store.letters.is_empty());
}

#[test]
fn a_full_queue_keeps_no_letters_out() {
    let (mut store, mut one, mut two) = two();
    let posted = two.report(ONE, "0", &mut store);
    assert!(matches!(posted, Some(Answer::Posted(_))), "{posted:?}");
    for n in 1..=25 {
        let report = Arc::new(report(ONE, &n.to_string()));
        one.give(|ticket| Input::Report { report, known_in: None, ticket });
    }
    one.node.mail(HERE);
    let before = one.commits;
    while one.commits == before {
        let need = one.node.need(store.now);
        let _ = one.answer(need, &mut store);
    }
    assert!(store.letters.is_empty(), "the first turn has taken it");
    one.run(&mut store);
    assert_eq!(one.answers.len(), 25);
}

#[test]
fn a_letter_that_fails_alone_twice_is_kept_for_people_and_stops_no_others() {
    let (mut store, mut one, mut two) = two();
    // Both are of one partition.
    let good = (2..)
        .map(|n| format!("order-{n}"))
        .find(|saga| rig::nodes::partition(saga) == HERE && saga != ONE)
        .expect("some are");
    store.refuses = Some(ONE);
    let Some(Answer::Posted(bad)) = two.report(ONE, "1", &mut store) else { panic!("no letter") };
    let Some(Answer::Posted(_)) = two.report(&good, "2", &mut store) else { panic!("no letter") };
    one.node.mail(HERE);
    one.run(&mut store);
    assert_eq!(store.state_of(&good), Some(CaseState::Open), "the other one is taken");
    assert_eq!(store.state_of(ONE), None);
    let refused = store.rows.refused_letter(bad).expect("it is kept");
    assert!(refused.detail.contains("it is too deep"), "{refused:?}");
    assert!(store.letters.is_empty());
    assert!(matches!(&one.answered[..], [.., (id, Answer::Invalid(_))] if *id == bad));
    assert!(one.loads <= 5, "{}", one.loads);
}

#[test]
fn a_partition_with_a_letter_of_a_newer_version_is_given_back_once() {
    let (mut store, mut one, mut two) = two();
    store.unread = Some((HERE, LetterId(7)));
    one.node.mail(HERE);
    one.run(&mut store);
    assert_eq!(one.gave_back, [HERE]);
    assert_eq!(one.turned_away.len(), 1, "people are told");

    // Nobody else takes it: it is worked on here, but for the letter.
    store.give(HERE, 1);
    one.learns(&mut store);
    let Some(Answer::Posted(_)) = two.report(ONE, "1", &mut store) else { panic!("no letter") };
    one.node.mail(HERE);
    one.run(&mut store);
    assert_eq!(store.state_of(ONE), Some(CaseState::Open));
    assert_eq!((&one.gave_back[..], one.turned_away.len()), (&[HERE][..], 1));
}

#[test]
fn a_letter_whose_content_nobody_can_read_stays_as_well() {
    let (mut store, _, mut two) = two();
    let body = "{\"saga\":7}".to_owned();
    let letter = Letter { id: LetterId(9), partition: THERE, kind: LetterKind::Ended, body };
    store.letters.insert(1, letter);
    two.node.mail(THERE);
    two.run(&mut store);
    assert_eq!((&two.gave_back[..], store.letters.len()), (&[THERE][..], 1));
}
