//! The checkers of several nodes.

use super::super::letters::Letters;
use super::super::nodes::{Deadlines, NoRestart, OwnersAlone};
use super::super::refused::Refusals;
use super::super::settings::KnownFirst;
use super::{Check, Corpus, NOW, Seen, Stored, Watched, report, saga};
use amends_engine::{
    Answer, Batch, Input, Letter, LetterId, LetterKind, Partition, RefusedLetter, Share,
};
use amends_protocol::ProblemCode;
use std::collections::BTreeSet;
use std::sync::Arc;

const HERE: Partition = Partition(7);
const ONE: LetterId = LetterId(1);
const TWO: LetterId = LetterId(2);

/// What the last of these is found to be, by a checker to which nothing before it is wrong.
fn found(mut check: impl Check, seen: &[Seen<'_>]) -> Option<String> {
    let store = Stored::new(&[], NOW);
    let (last, before) = seen.split_last().expect("something is seen");
    for one in before {
        assert_eq!(check.see(NOW, one, &store), Ok(()));
    }
    check.see(NOW, last, &store).err()
}

fn letter(id: LetterId) -> Letter {
    Letter { id, partition: HERE, kind: LetterKind::Report, body: "{}".to_owned() }
}

#[test]
fn a_letter_is_there_once_it_is_told_and_is_taken_once() {
    let left = [letter(ONE)];
    let leaves = || Seen::Letters { left: &left, taken: &[] };
    let takes = || Seen::Letters { left: &[], taken: &[ONE] };
    let (posted, answered) = (Seen::Posted { letter: ONE }, Seen::LetterAnswered { letter: ONE });
    assert_eq!(found(Letters::default(), &[leaves(), takes()]), None);
    let why = found(Letters::default(), &[leaves(), takes(), takes()]).expect("taken twice");
    assert!(why.contains("a second time"), "{why}");
    assert!(found(Letters::default(), &[leaves(), answered]).is_some(), "it is not taken yet");
    assert!(found(Letters::default(), &[posted]).is_some(), "it was left nowhere");
}

#[test]
fn a_reading_of_an_inbox_that_has_come_to_its_end_has_passed_over_nothing() {
    let there = BTreeSet::from([ONE, TWO]);
    let read = |told, is_anew, ended| {
        let there = &there;
        Seen::InboxRead { process: 1, partition: HERE, is_anew, told, ended, there }
    };
    let first = || read(&[ONE], true, false);
    assert_eq!(found(Letters::default(), &[first(), read(&[TWO], false, true)]), None);
    assert!(found(Letters::default(), &[first(), read(&[], false, true)]).is_some());
    // Who begins anew has been told nothing yet.
    assert!(found(Letters::default(), &[first(), read(&[TWO], true, true)]).is_some());
}

#[test]
fn settings_are_changed_by_whoever_knows_them() {
    let stands = Stored::new(&[], NOW).rows.settings_version();
    assert_eq!(found(KnownFirst, &[Seen::Sets { version: stands }]), None);
    assert!(found(KnownFirst, &[Seen::Sets { version: stands + 1 }]).is_some());
}

#[test]
fn nothing_is_under_way_of_what_is_given_back_unless_somebody_stood_still() {
    let gives = |is_under_way| Seen::GivenBack { is_under_way, is_kept: false };
    assert_eq!(found(NoRestart::default(), &[gives(false)]), None);
    assert!(found(NoRestart::default(), &[gives(true)]).is_some());
    assert_eq!(found(NoRestart::default(), &[Seen::Suspended, gives(true)]), None);
}

#[test]
fn what_is_given_back_is_not_kept() {
    let gives = |is_kept| Seen::GivenBack { is_under_way: false, is_kept };
    assert_eq!(found(OwnersAlone::default(), &[gives(false)]), None);
    assert!(found(OwnersAlone::default(), &[gives(true)]).is_some());
}

#[test]
fn the_end_of_an_announced_saga_is_not_refused() {
    assert!(found(Deadlines::default(), &[Seen::EndRefused { saga: &saga() }]).is_some());
}

/// A letter with a report is refused for good, and kept for people.
fn refuse(store: &mut Stored) {
    let report = Arc::new(report("failed"));
    let input = Input::Report { report, known_in: None, ticket: 1 };
    let letter = Letter::of(&input, ONE, HERE).expect("it may be left");
    let refused = RefusedLetter::new(
        letter,
        (ProblemCode::InvalidRequest, "the store refuses what it brings: too much"),
        NOW,
    );
    let share = Share { partition: HERE, refused: vec![refused], ..Share::default() };
    let batch = Batch { shares: vec![share], ..Batch::default() };
    store.rows.commit(batch).expect("it claims nothing");
}

#[test]
fn people_are_told_of_a_letter_that_is_refused() {
    let (answer, mut store) = (Answer::Invalid("too much".to_owned()), Stored::new(&[], NOW));
    let judged = Seen::LetterJudged { letter: ONE, answer: &answer };
    assert!(Refusals.see(NOW, &judged, &store).is_err());
    refuse(&mut store);
    assert_eq!(Refusals.see(NOW, &judged, &store), Ok(()));
}

#[test]
fn a_report_that_was_accepted_is_stored_or_kept_for_people_at_the_end() {
    let mut run = Watched::new();
    run.see(&Seen::Accepted { report: &report("failed") });
    run.end(Corpus::Hostile);
    assert!(run.found("1 acknowledged"));
    let mut run = Watched::new();
    run.see(&Seen::Accepted { report: &report("failed") });
    refuse(&mut run.store);
    run.end(Corpus::Hostile);
    assert!(!run.found("1 acknowledged"));
}
