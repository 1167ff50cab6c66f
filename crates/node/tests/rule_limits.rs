//! A rule's limit per minute on nodes that share a store: what it leaves is one for all.

mod rig;

use amends_api::CaseState;
use amends_engine::{Answer, Partition, RULE_MINUTE_MS, ReportRole};
use amends_protocol::SagaId;
use rig::TWO;
use rig::nodes::{HERE, Machine, Store, THERE, two_on};

/// Two nodes, and a rule that answers two cases a minute.
fn limited() -> (Store, Machine, Machine) {
    two_on(Store::with(
        &TWO.replace("compensate: [a.x, b.y]", "compensate: [b.y], limit: 2 per minute"),
    ))
}

/// Sagas of a partition.
fn sagas(of: Partition) -> impl Iterator<Item = String> {
    let all = (0..).map(|n| format!("order-{n}"));
    all.filter(move |saga| Partition::of(&SagaId::new(saga).expect("a saga id")) == of)
}

/// What became of a case: whether its rule answers it, or waits for approval.
fn is_answered(store: &Store, saga: &str) -> bool {
    let case = store.rows.cases().find(|case| case.saga.as_str() == saga).expect("a case");
    let role = store.rows.reports().find(|row| row.case == case.id).expect("a report").role;
    match (role, case.state) {
        (ReportRole::Rule(_), CaseState::Open) => true,
        (ReportRole::RuleHeld(_), CaseState::Stuck) => false,
        other => panic!("{saga}: {other:?}"),
    }
}

/// Reports a new saga at a node that holds it.
fn reports(machine: &mut Machine, saga: &str, store: &mut Store) -> bool {
    let answer = machine.report(saga, saga, store);
    assert!(matches!(answer, Some(Answer::Received { .. })), "{saga}: {answer:?}");
    is_answered(store, saga)
}

#[test]
fn each_node_knows_what_the_others_have_let_through() {
    let (mut store, mut one, mut two) = limited();
    let (mut here, mut there) = (sagas(HERE), sagas(THERE));
    let next = |sagas: &mut dyn Iterator<Item = String>| sagas.next().expect("there are more");
    assert!(reports(&mut one, &next(&mut here), &mut store));
    assert!(reports(&mut two, &next(&mut there), &mut store));
    assert!(!reports(&mut one, &next(&mut here), &mut store));
    assert!(!reports(&mut two, &next(&mut there), &mut store));
    assert_eq!((one.loads, two.loads), (1, 1), "nobody had to find out by a commit");
    store.now = store.now.plus_ms(RULE_MINUTE_MS);
    assert!(reports(&mut two, &next(&mut there), &mut store), "another minute has begun");
    assert!(reports(&mut one, &next(&mut here), &mut store));
    assert!(!reports(&mut two, &next(&mut there), &mut store));
}

/// The store refuses what would pass the limit; the node loads, plans anew with what it has learned, and turns nobody
/// away.
#[test]
fn who_comes_to_the_limit_too_late_plans_again() {
    let (mut store, mut one, mut two) = limited();
    let (mut here, there) = (sagas(HERE), sagas(THERE).next().expect("one"));
    assert!((0..2).all(|_| reports(&mut one, &here.next().expect("more"), &mut store)));
    store.hides_minutes = true;
    assert!(!reports(&mut two, &there, &mut store));
    assert_eq!((two.loads, &two.turned_away[..]), (2, &[][..]));
}

/// What is asked for together, and answered after a start, counts as well.
#[test]
fn a_node_that_starts_knows_the_minute() {
    let (mut store, mut one, _) = limited();
    let mut here = sagas(HERE);
    let mut next = || here.next().expect("there are more");
    assert!(reports(&mut one, &next(), &mut store));
    store.hides_minutes = true;
    let mut again = Machine::started(1, &mut store);
    assert!(reports(&mut again, &next(), &mut store));
    assert!(!reports(&mut again, &next(), &mut store));
    assert_eq!(again.loads, 1);
}
