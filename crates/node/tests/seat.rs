//! What belongs to no saga, on nodes that share a store: whoever holds the seat changes it, and all others go by it.

mod rig;

use amends_api::{AuditActName, CaseState, QuestionAct, QuestionId, StrangerAct};
use amends_engine::{
    Activation, Answer, Erase, HoldScope, Input, LetterKind, NewLimits, Partition, Replaces, Ticket,
};
use amends_protocol::SagaId;
use amends_rulebook::Rulebook;
use rig::nodes::{HERE, Machine, ONE, OTHER, Store, THERE, two};
use rig::{TWO, report, success};
use std::sync::Arc;

/// As two nodes with one partition each, and the first one has the seat.
fn seated() -> (Store, Machine, Machine) {
    let (mut store, mut one, two) = two();
    store.give(Partition::SEAT, 1);
    one.learns(&mut store);
    (store, one, two)
}

fn pause(paused: bool) -> impl FnOnce(Ticket) -> Input {
    let reason = "maintenance".into();
    move |ticket| Input::Pause { service: "a".into(), paused, actor: "kim".into(), reason, ticket }
}

/// The second node is told that settings have changed.
fn is_told(machine: &mut Machine, store: &mut Store) {
    machine.node.settings_stand(store.rows.settings().version);
    machine.run(store);
}

fn asks_of(machine: &Machine, service: &str) -> usize {
    machine.under_way.iter().filter(|launched| **launched.effect.service() == *service).count()
}

#[test]
fn a_pause_that_is_said_anywhere_holds_everywhere() {
    let (mut store, mut one, mut two) = seated();
    let said = two.give(pause(true));
    two.run(&mut store);
    let Some(Answer::Posted(letter)) = two.answers.remove(&said) else {
        panic!("{:?}", two.answers)
    };
    assert_eq!(store.letters.values().map(|l| l.kind).collect::<Vec<_>>(), [LetterKind::Pause]);
    one.node.mail(Partition::SEAT);
    one.run(&mut store);
    assert_eq!((&one.made[..], &one.answered[..]), (&[1][..], &[(letter, Answer::Set(1))][..]));
    assert!(store.rows.service("a").expect("written").settings.pause.is_some());

    assert_eq!(two.node.settings_seen(), 0);
    is_told(&mut two, &mut store);
    assert_eq!((two.node.settings_seen(), two.loads), (1, 1), "it has read them, and nothing else");
    one.report(ONE, "1", &mut store);
    two.report(OTHER, "2", &mut store);
    for machine in [&one, &two] {
        assert_eq!((asks_of(machine, "a"), asks_of(machine, "b")), (0, 1), "{}", machine.number);
    }

    one.give(pause(false));
    one.run(&mut store);
    assert_eq!((asks_of(&one, "a"), asks_of(&two, "a")), (1, 0));
    is_told(&mut two, &mut store);
    assert_eq!(asks_of(&two, "a"), 1);
}

#[test]
fn settings_that_are_learned_touch_nothing_that_is_under_way() {
    let (mut store, mut one, mut two) = seated();
    two.report(OTHER, "1", &mut store);
    assert_eq!(two.under_way.len(), 2);
    one.give(pause(true));
    one.run(&mut store);
    is_told(&mut two, &mut store);
    for effect in std::mem::take(&mut two.under_way) {
        two.end(&effect, success(&effect), &mut store);
    }
    assert!(store.rows.steps().all(|step| step.state.is_terminal()));
    assert_eq!(store.rows.attempts().count(), 0, "no try is counted");
}

#[test]
fn holds_and_limits_are_learned_as_well() {
    let (mut store, mut one, mut two) = seated();
    two.report(OTHER, "1", &mut store);
    let effects = std::mem::take(&mut two.under_way);
    let scope = HoldScope { rulebook: "two".into(), rule: None };
    let (actor, reason) = ("kim".into(), "wait".into());
    let held = two.give(|ticket| Input::HoldRule { scope, held: true, actor, reason, ticket });
    let limits = NewLimits { concurrency: Some(3), per_second: None };
    let (service, actor, reason) = ("a".into(), "kim".into(), "more".into());
    let limit = two.give(|ticket| Input::Limit { service, limits, actor, reason, ticket });
    two.run(&mut store);
    for ticket in [held, limit] {
        assert!(matches!(two.answers.get(&ticket), Some(Answer::Posted(_))));
    }
    one.node.mail(Partition::SEAT);
    one.run(&mut store);
    is_told(&mut two, &mut store);
    for effect in &effects {
        two.node.lost(effect.id); // nobody knows what became of it
    }
    store.now = store.now.plus_ms(60_000);
    two.run(&mut store);
    assert!(two.under_way.is_empty(), "its rule is held");
    let engine = two.node.engine().expect("at rest");
    let queue = engine.queues().into_iter().find(|queue| &*queue.service == "a");
    assert_eq!(queue.expect("known").concurrency, 3);
    assert_eq!(engine.rule_holds().len(), 1);
}

fn activation(text: &str) -> impl FnOnce(Ticket) -> Input + use<> {
    let rulebook = Rulebook::from_yaml(text).expect("valid");
    let (actor, reason) = ("kim".into(), "new".into());
    let (from_file, replaces) = (false, Replaces::Any);
    let activation = Activation { rulebook, actor, reason, from_file, replaces };
    |ticket| Input::Activate { activation: Box::new(activation), ticket }
}

/// As before, but for a comment.
fn next_version() -> String {
    format!("{TWO}# the next one\n")
}

fn version_of(store: &Store, saga: &str) -> Option<Arc<str>> {
    let row = store.rows.cases().find(|case| case.saga.as_str() == saga)?;
    Some(Arc::clone(&row.rulebook.as_ref()?.hash))
}

#[test]
fn what_was_planned_before_another_version_became_active_is_planned_again() {
    let (mut store, mut one, mut two) = seated();
    let hash = Rulebook::from_yaml(&next_version()).expect("valid").hash().to_owned();
    let said = one.give(activation(&next_version()));
    one.run(&mut store);
    assert_eq!(one.answers.get(&said), Some(&Answer::Set(1)));
    // The other one has not heard of it.
    assert_eq!(two.node.settings_seen(), 0);
    let answer = two.report(OTHER, "1", &mut store);
    assert!(matches!(answer, Some(Answer::Received { duplicate: false, .. })), "{answer:?}");
    assert_eq!(version_of(&store, OTHER).as_deref(), Some(&*hash));
    assert_eq!((two.loads, two.turned_away.len(), two.node.settings_seen()), (2, 0, 1));
    two.settle(&mut store);
}

#[test]
fn an_activation_is_handed_on_and_heard_of() {
    let (mut store, mut one, mut two) = seated();
    let said = two.give(activation(&next_version()));
    two.run(&mut store);
    let Some(Answer::Posted(letter)) = two.answers.get(&said).cloned() else {
        panic!("{:?}", two.answers)
    };
    one.node.mail(Partition::SEAT);
    one.run(&mut store);
    assert_eq!(one.answered, [(letter, Answer::Set(1))]);
    is_told(&mut two, &mut store);
    let hashes = |machine: &Machine| {
        let engine = machine.node.engine().expect("at rest");
        engine.active_rulebooks().iter().map(|book| book.hash().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(hashes(&one), hashes(&two));
    assert_eq!(two.loads, 1);
}

/// Of `TWO`, without `b`.
const SMALLER: &str = "
rulebook: two
services: { a: { url: \"http://a\", actions: { x: { compensation: undo } } } }
rules: [{ on: \"*/*\", compensate: [a.x] }]
";

#[test]
fn a_version_that_drops_what_cases_of_other_nodes_need_is_refused() {
    let (mut store, mut one, mut two) = seated();
    two.report(OTHER, "1", &mut store);
    let said = one.give(activation(SMALLER));
    one.run(&mut store);
    let Some(Answer::Dropped { needed, .. }) = one.answers.get(&said) else {
        panic!("{:?}", one.answers)
    };
    assert!(needed[0].contains("1 open case needs to compensate `b.y`"), "{needed:?}");
    two.settle(&mut store);
    let said = one.give(activation(SMALLER));
    one.run(&mut store);
    assert_eq!(one.answers.get(&said), Some(&Answer::Set(1)));
}

#[test]
fn a_long_version_is_handed_on_and_what_is_too_long_is_refused_in_words() {
    let (mut store, mut one, mut two) = seated();
    let long = format!("{TWO}{}", "# longer\n".repeat(1 << 17));
    let said = two.give(activation(&long));
    two.run(&mut store);
    assert!(matches!(two.answers.get(&said), Some(Answer::Posted(_))), "{:?}", two.answers);
    one.node.mail(Partition::SEAT);
    one.run(&mut store);
    assert_eq!(one.made, [1]);

    let (act, actor, reason) = (AuditActName::Hold, "kim".into(), "".into());
    let detail = serde_json::json!({ "why": "longer ".repeat(1 << 18) });
    let said = two.give(|ticket| Input::Audit { act, actor, reason, detail, ticket });
    two.run(&mut store);
    let Some(Answer::Invalid(why)) = two.answers.get(&said) else { panic!("{:?}", two.answers) };
    assert!(why.starts_with("the seat is held by another node, and this is too long"), "{why}");
    assert!(store.letters.is_empty());
}

#[test]
fn whoever_has_lost_the_seat_changes_nothing_of_what_rests_on_it() {
    let (mut store, mut one, mut two) = seated();
    store.give(Partition::SEAT, 2);
    two.learns(&mut store);
    let hash = Rulebook::from_yaml(TWO).expect("valid").hash().to_owned();
    // The first one has not heard of it.
    let said = one.give(activation(&next_version()));
    let new = Arc::new(report(ONE, "1"));
    one.give(|ticket| Input::Report { report: new, known_in: None, ticket });
    one.run(&mut store);
    assert!(matches!(one.answers.get(&said), Some(Answer::Posted(_))), "{:?}", one.answers);
    assert_eq!(version_of(&store, ONE).as_deref(), Some(&*hash), "no other version is stored");
    assert_eq!((one.loads, one.turned_away.len()), (2, 0));
}

#[test]
fn whoever_takes_the_seat_first_learns_what_was_set_before() {
    let (mut store, mut one, mut two) = seated();
    one.give(pause(true));
    one.run(&mut store);
    store.give(Partition::SEAT, 2);
    two.learns(&mut store); // nobody has told it of the pause
    assert_eq!(two.node.settings_seen(), 1);
    let said = two.give(pause(true));
    two.run(&mut store);
    assert_eq!(two.answers.get(&said), Some(&Answer::Done), "it is paused already");
}

#[test]
fn what_is_said_of_a_stranger_in_a_case_goes_to_the_seat() {
    let (mut store, mut one, mut two) = seated();
    two.report(OTHER, "1", &mut store);
    let act = StrangerAct::Ignore { reason: "noise".to_owned() };
    let action = "c.z".parse().expect("an action");
    let (rulebook, actor) = ("two".into(), "kim".into());
    let said = two.give(|ticket| Input::StrangerAct { rulebook, action, act, actor, ticket });
    two.run(&mut store);
    assert!(matches!(two.answers.get(&said), Some(Answer::Posted(_))));
    one.node.mail(Partition::SEAT);
    one.run(&mut store);
    assert_eq!(store.rows.settings().strangers.len(), 1);
    // A question that nobody has asked is the case's to refuse.
    let case = store.rows.cases().next().expect("one").id;
    let (question, actor) = (QuestionId { case, tag: 7 }, "kim".into());
    let act = QuestionAct::Ignore { reason: "noise".to_owned() };
    let said = two.give(|ticket| Input::QuestionAct { question, act, actor, bulk: None, ticket });
    two.run(&mut store);
    assert!(!matches!(two.answers.get(&said), Some(Answer::Posted(_) | Answer::Done)));
}

#[test]
fn what_is_for_the_audit_is_done_once_it_is_left_for_the_seat() {
    let (mut store, mut one, mut two) = seated();
    let (act, actor, reason) = (AuditActName::Hold, "kim".into(), "".into());
    let detail = serde_json::json!({ "why": "a test" });
    let said = two.give(|ticket| Input::Audit { act, actor, reason, detail, ticket });
    two.run(&mut store);
    assert_eq!((two.answers.get(&said), store.letters.len()), (Some(&Answer::Done), 1));
    one.node.mail(Partition::SEAT);
    one.run(&mut store);
    assert_eq!(store.rows.acts().len(), 1);
    assert!(one.made.is_empty(), "an entry of the audit is no setting");
}

fn erase(sagas: &[&str]) -> impl FnOnce(Ticket) -> Input + use<> {
    let erase = Erase {
        number: None,
        sagas: sagas.iter().map(|saga| SagaId::new(saga).expect("valid")).collect(),
        field: None,
        when_settled: true,
        actor: "kim".into(),
        reason: "asked for".into(),
    };
    |ticket| Input::Erase { erase: Box::new(erase), ticket }
}

#[test]
fn an_erasure_is_divided_among_those_who_hold_its_sagas() {
    let (mut store, mut one, mut two) = seated();
    one.report(ONE, "1", &mut store);
    two.report(OTHER, "2", &mut store);
    one.settle(&mut store);
    assert_eq!(store.state_of(ONE), Some(CaseState::Settled));

    let said = two.give(erase(&[ONE, OTHER, "never"]));
    two.run(&mut store);
    let Some(Answer::Posted(letter)) = two.answers.remove(&said) else {
        panic!("{:?}", two.answers)
    };
    one.node.mail(Partition::SEAT);
    one.run(&mut store);
    assert!(one.answered.contains(&(letter, Answer::Erased(1))), "{:?}", one.answered);
    let (row, erased) = store.rows.erasure(1).expect("it is remembered");
    assert_eq!((row.sagas, erased.len()), (3, 0), "with the letters to those who hold its sagas");
    let kinds: Vec<LetterKind> = store.letters.values().map(|letter| letter.kind).collect();
    assert_eq!(kinds, [LetterKind::Erase; 3]);

    one.node.mail(HERE);
    one.run(&mut store);
    two.node.mail(THERE);
    two.run(&mut store);
    let done = |store: &Store, saga: &str| {
        let (_, erased) = store.rows.erasure(1).expect("it is remembered");
        let found = erased.iter().find(|row| row.saga.as_str() == saga);
        found.map(|row| row.done_at.is_some())
    };
    assert_eq!((done(&store, ONE), done(&store, OTHER)), (Some(true), Some(false)));
    two.settle(&mut store);
    assert_eq!(done(&store, OTHER), Some(true), "it goes with the commit that settles its case");
    assert_eq!(done(&store, "never"), None);
}

#[test]
fn a_saga_that_its_holder_does_not_know_is_told_to_people_and_the_others_go() {
    let (mut store, mut one, _) = seated();
    let strange = (1..).map(|n| format!("strange-{n}"));
    let strange =
        strange.into_iter().find(|saga| rig::nodes::partition(saga) == HERE).expect("some are");
    one.report(ONE, "1", &mut store);
    one.settle(&mut store);
    one.give(erase(&[ONE, &strange]));
    one.run(&mut store);
    one.node.mail(HERE);
    one.run(&mut store);
    let (_, erased) = store.rows.erasure(1).expect("it is remembered");
    assert_eq!(erased.iter().map(|row| row.saga.as_str()).collect::<Vec<_>>(), [ONE]);
    let refused = one.answered.iter().find_map(|(id, _)| store.rows.refused_letter(*id));
    let refused = refused.expect("it is kept");
    assert!(refused.detail.contains(&strange), "{}", refused.detail);
    assert_eq!(refused.about.what, "erasure `er-1` by kim");
}
