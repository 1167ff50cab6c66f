//! What is given out of one case, of one step and of the acts.

use super::{
    Place,
    sample::{FromRow, act, at, attempt, case, report, saga, step, whole},
};
use crate::{ListedStep, PageRequest, StepFilter, Store};
use amends_engine::{Note, ReportRole, ReportRow, StepState, WalkRow, Write};
use amends_protocol::{CaseId, StepId};

/// Reports, steps, tries and acts of a case, in their order; a step alone and in a list says the same.
pub async fn one_case_has_everything(place: &impl Place) {
    let store = place.open().await;
    let mut row = case(1);
    row.detail.notes = vec![Note { at: 5, text: "rider is unreported".to_owned() }];
    row.detail.quiet_at = Some(77);
    row.detail.walks = vec![WalkRow {
        service: "rider".into(),
        due_at: None,
        in_flight: false,
        answered: true,
        attempts: 1,
        message: None,
        entries: Vec::new(),
    }];
    let mut due = step(1, 3, "rider.match", StepState::Due(at(1, 500)));
    due.memo.because = vec![1, 0];
    due.memo.would_have_asked = vec![1, 9];
    let derived = ReportRow { role: ReportRole::Derived, ..report(1, 1) };
    let mut batch = whole(row.clone());
    batch.extend([Write::from_step(due.clone()), Write::from_report(derived.clone())]);
    // Out of order, and one of a step that isn't there.
    let lost = step(1, 9, "rider.match", StepState::InFlight);
    batch.push(Write::from_attempt(attempt(&due, 2, "busy")));
    batch.push(Write::from_attempt(attempt(&due, 1, "unknown")));
    batch.push(Write::from_attempt(attempt(&lost, 1, "busy")));
    batch.push(Write::from_act(act("retry", None, Some(due.id))));
    batch.push(Write::from_act(act("replan", Some(CaseId(1)), None)));
    batch.push(Write::from_act(act("pause", None, None)));
    store.commit(batch.into()).await.expect("commits");

    let record = store.case(CaseId(1)).await.expect("reads").expect("stored");
    assert_eq!(record.stored.case, row);
    assert_eq!(record.stored.reports, [report(1, 0), derived]);
    assert_eq!(record.stored.steps[2], due);
    assert_eq!(record.attempts, [attempt(&due, 1, "unknown"), attempt(&due, 2, "busy")]);
    let acts: Vec<_> = record.acts.iter().map(|a| &*a.act).collect();
    assert_eq!(acts, ["retry", "replan"]);
    assert_eq!((record.acts[0].case, record.acts[0].step), (Some(CaseId(1)), Some(due.id)));
    assert_eq!(record.acts[1], act("replan", Some(CaseId(1)), None));
    assert_eq!(store.case(CaseId(2)).await.expect("reads"), None);
    assert_eq!(store.case(CaseId(u64::MAX)).await.expect("reads"), None);

    let alone = store.step(due.id).await.expect("reads").expect("stored");
    assert_eq!(alone.attempts, record.attempts);
    let listed = ListedStep {
        because: vec!["r-1-1".to_owned(), "r-1-0".to_owned()],
        would_have_asked: vec!["r-1-1".to_owned()],
        saga: saga("order-1"),
        step: due,
    };
    assert_eq!(alone.listed, listed, "what names no stored report is left out");
    let page = store.steps(StepFilter::default(), PageRequest::first(1)).await.expect("lists");
    assert_eq!(page.items, [listed]);
}

/// An id from another supervisor's store with the same numbers is not this step.
pub async fn a_step_is_found_by_its_whole_id_only(place: &impl Place) {
    let store = place.open().await;
    store.commit(whole(case(1)).into()).await.expect("commits");
    let id = store.step_ids(StepFilter::default(), 1).await.expect("lists")[0];
    let found = store.step(id).await.expect("reads").expect("stored").listed;
    assert_eq!((found.step.id, found.because), (id, vec!["r-1-0".to_owned()]));
    for other in [
        StepId { tag: id.tag ^ 1, ..id },
        StepId { ordinal: 9, ..id },
        StepId { ordinal: u32::MAX, ..id },
        StepId { case: CaseId(2), ..id },
    ] {
        assert_eq!(store.step(other).await.expect("reads"), None);
    }
}

/// The audit of all and of one case, page by page.
pub async fn acts_are_listed_newest_first(place: &impl Place) {
    let store = place.open().await;
    for (n, word) in [(1, "waive"), (2, "retry"), (1, "settle")] {
        store
            .commit(vec![Write::from_act(act(word, Some(CaseId(n)), None))].into())
            .await
            .expect("commits");
    }
    let first = store.acts(None, PageRequest::first(2)).await.expect("lists");
    let words: Vec<_> = first.items.iter().map(|a| &*a.act).collect();
    assert_eq!(words, ["settle", "retry"]);
    let rest = PageRequest { limit: 2, cursor: first.next };
    let rest = store.acts(None, rest).await.expect("lists");
    assert_eq!((&*rest.items[0].act, rest.items.len(), rest.next), ("waive", 1, None));
    let of_one = store.acts(Some(CaseId(1)), PageRequest::default()).await.expect("lists");
    let words: Vec<_> = of_one.items.iter().map(|a| (&*a.act, &*a.actor)).collect();
    assert_eq!(words, [("settle", "kim"), ("waive", "kim")]);
}
