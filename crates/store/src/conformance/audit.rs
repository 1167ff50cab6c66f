//! What is given out of one case, of one step and of the acts.

use super::{
    Held, Place,
    sample::{
        FromRow, act, activation, announced, at, attempt, case, done, of_case, report, saga,
        settled, step, version, whole,
    },
};
use crate::{ActFilter, Archive, Ledger, ListedStep, PageRequest, RulebookRow, StepFilter, Store};
use amends_api::CaseState;
use amends_engine::{
    CaseRow, HistoryQuery, Note, ReportRole, ReportRow, RulebookRef, SagaState, StepState, Subject,
    Write,
};
use amends_protocol::{CaseId, PartTag, StepId};

/// Reports, steps, tries and acts of a case, in their order; a step alone and in a list says the same.
pub async fn one_case_has_everything(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    let mut row = case(1);
    row.extra.notes = vec![Note { at: 5, text: "rider is unreported".to_owned() }];
    row.extra.quiet_at = Some(77);
    row.extra.histories = vec![HistoryQuery {
        service: "rider".into(),
        due_at: None,
        since: None,
        in_flight: false,
        answered: true,
        told_at: Some(4),
        asked_after_end: false,
        asked_after_callers: false,
        attempts: 1,
        message: None,
        entries: Vec::new(),
        unavailable: false,
        recheck: None,
    }];
    let mut due = step(1, 3, "rider.match", StepState::Due(at(1, 500)));
    due.extra.because = vec![1, 0];
    due.extra.would_have_asked = vec![1, 9];
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
    store.commit(batch).await.expect("commits");

    let record = store.case(CaseId(1)).await.expect("reads").expect("stored");
    assert_eq!(record.stored.case, row);
    assert_eq!(record.stored.reports, [report(1, 0), derived]);
    assert_eq!(record.stored.steps[2], due);
    assert_eq!(record.attempts, [attempt(&due, 1, "unknown"), attempt(&due, 2, "busy")]);
    let acts: Vec<_> = record.acts.iter().map(|entry| &*entry.row.act).collect();
    assert_eq!(acts, ["retry", "replan"]);
    let retried = &record.acts[0].row;
    assert_eq!((retried.case, retried.step), (Some(CaseId(1)), Some(due.id)));
    assert_eq!(record.acts[1].row, act("replan", Some(CaseId(1)), None));
    assert_eq!(store.case(CaseId(2)).await.expect("reads"), None);
    assert_eq!(store.case(CaseId(u64::MAX)).await.expect("reads"), None);

    let alone = store.step(due.id).await.expect("reads").expect("stored");
    assert_eq!(alone.attempts, record.attempts);
    let listed = ListedStep {
        because: vec!["r-1-1".to_owned(), "r-1-0".to_owned()],
        would_have_asked: vec!["r-1-1".to_owned()],
        saga: saga("order-1"),
        rulebook: record.stored.case.rulebook.clone(),
        step: due,
    };
    assert_eq!(alone.listed, listed, "what names no stored report is left out");
    let page = store.steps(StepFilter::default(), PageRequest::first(1)).await.expect("lists");
    assert_eq!(page.items, [listed]);
}

/// An id from another supervisor's store with the same numbers is not this step.
pub async fn a_step_is_found_by_its_whole_id_only(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    store.commit(whole(case(1))).await.expect("commits");
    let page = store.steps(StepFilter::default(), PageRequest::first(1)).await.expect("lists");
    let id = page.items[0].step.id;
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

/// A step that is made of several requests is found whole, and each part of it by its own id.
pub async fn a_part_is_found_by_its_id(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    let about =
        |request: &str| Some(Subject { request: Some(request.into()), ..Subject::default() });
    let mut first = done(1, 1, "payment.pay");
    first.extra.subject = about("q-1");
    let mut second = done(1, 2, "payment.pay");
    second.extra.subject = about("q-2");
    second.extra.part_of = Some(1);
    let rows = [first.clone(), second.clone()];
    let mut writes = whole(case(1));
    writes.extend(rows.iter().map(|row| Write::Step(Box::new(row.clone()))));
    writes.push(Write::Attempt(Box::new(attempt(&second, 1, "busy"))));
    store.commit(writes).await.expect("commits");
    let found = async |id: StepId| store.step(id).await.expect("reads").expect("stored");
    let step = found(first.id).await;
    assert_eq!((step.listed.step, step.others), (first.clone(), vec![second.clone()]));
    assert_eq!(step.attempts.len(), 1);
    for row in rows {
        let id = row.part_id().expect("about one request");
        let part = found(id).await;
        assert_eq!((part.listed.step, part.others), (row, Vec::new()), "{id}");
    }
    // The id that its service was sent, in the body and as its key, finds it as well.
    let sent = found(second.id).await;
    assert_eq!((sent.listed.step, sent.others), (second.clone(), Vec::new()));
    let unknown = StepId { part: Some(PartTag::of("q-3")), ..first.id };
    assert_eq!(store.step(unknown).await.expect("reads"), None);
    let ids = Some(vec![second.part_id().expect("about one request")]);
    let filter = StepFilter { ids, ..StepFilter::default() };
    let page = store.steps(filter, PageRequest::default()).await.expect("lists");
    assert!(page.items.iter().any(|listed| listed.step == second), "{page:?}");
}

/// The audit of all and of one case, page by page.
pub async fn acts_are_listed_newest_first(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    for (n, word) in [(1, "waive"), (2, "retry"), (1, "settle")] {
        store
            .commit(vec![Write::from_act(act(word, Some(CaseId(n)), None))])
            .await
            .expect("commits");
    }
    // What a refused batch did is in no audit.
    let mut refused = whole(case(1));
    refused.extend(whole(CaseRow { saga: saga("order-1"), ..case(2) }));
    refused.push(Write::from_act(act("lost", Some(CaseId(1)), None)));
    store.commit(refused).await.expect_err("a saga has one case");
    let first = store.acts(ActFilter::default(), PageRequest::first(2)).await.expect("lists");
    let words: Vec<_> = first.items.iter().map(|entry| &*entry.row.act).collect();
    assert_eq!(words, ["settle", "retry"]);
    let rest = PageRequest { limit: 2, cursor: first.next };
    let rest = store.acts(ActFilter::default(), rest).await.expect("lists");
    assert_eq!((&*rest.items[0].row.act, rest.items.len(), rest.next), ("waive", 1, None));
    let of_one = store.acts(of_case(1), PageRequest::default()).await.expect("lists");
    let words: Vec<_> =
        of_one.items.iter().map(|entry| (&*entry.row.act, &*entry.row.actor.name)).collect();
    assert_eq!(words, [("settle", "kim"), ("waive", "kim")]);
}

/// At most one version of a name is active; versions of other names are left alone. What is activated again keeps its
/// first row.
pub async fn rulebooks_have_one_active_version(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    for (name, hash, ms) in [("food", "h1", 1), ("food", "h2", 2), ("travel", "h3", 3)] {
        store.commit(vec![activation(name, hash, ms)]).await.expect("commits");
    }
    let two = version("food", "h2", 2, true);
    assert_eq!(store.rulebook("h2".into()).await.expect("reads"), Some(two));
    assert_eq!(store.rulebook("h9".into()).await.expect("reads"), None);

    store.commit(vec![activation("food", "h1", 77)]).await.expect("an old version comes back");
    let all = store.rulebooks().await.expect("reads");
    let seen: Vec<_> = all.iter().map(|r| (&*r.hash, r.active, r.stored_at)).collect();
    assert_eq!(seen, [("h2", false, at(1, 2)), ("h1", true, at(1, 1)), ("h3", true, at(1, 3))]);
    assert!(all.iter().all(|row| row.sources.is_empty()));
}

/// What a file said last is remembered apart from what is active.
pub async fn the_version_last_taken_from_a_file_is_remembered(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    let from_file = |name: &str, hash: &str| {
        Write::activation(&RulebookRow { from_file: true, ..version(name, hash, 1, true) })
    };
    let seen = |rows: Vec<RulebookRow>| -> Vec<_> {
        rows.iter().map(|row| (row.hash.to_string(), row.active, row.from_file)).collect()
    };
    let row = |hash: &str, active, from_file| (hash.to_owned(), active, from_file);
    let files = vec![from_file("food", "h1"), from_file("food", "h2"), from_file("travel", "h3")];
    store.commit(files).await.expect("commits");
    store.commit(vec![activation("food", "h1", 9)]).await.expect("a person rolls back");
    let all = seen(store.rulebooks().await.expect("reads"));
    assert_eq!(all, [row("h1", true, false), row("h2", false, true), row("h3", true, true)]);
    let loaded = seen(store.load().await.expect("loads").settings.rulebooks);
    assert_eq!(loaded, [row("h1", true, false), row("h3", true, true)]);
    store.commit(vec![from_file("food", "h1")]).await.expect("the file is reverted");
    let all = seen(store.rulebooks().await.expect("reads"));
    assert_eq!(all, [row("h1", true, true), row("h2", false, false), row("h3", true, true)]);
}

/// What a saga announced, in any state; of one that announced nothing there is nothing.
pub async fn announced_sagas_are_shown(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    for state in [SagaState::Begun, SagaState::Overdue, SagaState::Ended] {
        let row = announced("order-1", 50, state);
        store.commit(vec![Write::Saga(Box::new(row.clone()))]).await.expect("commits");
        assert_eq!(store.saga(&row.saga).await.expect("reads"), Some(row));
    }
    assert_eq!(store.saga(&saga("order-2")).await.expect("reads"), None);
}

/// The name of its rulebook, of cases that are there; one that is planned with none has none.
pub async fn each_case_names_its_rulebook(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    let travel = RulebookRef { name: "travel".into(), hash: "hash-2".into() };
    store.commit(whole(case(1))).await.expect("commits");
    store.commit(whole(CaseRow { rulebook: Some(travel), ..settled(2) })).await.expect("commits");
    let none = CaseRow { rulebook: None, state: CaseState::Unmatched, ..case(3) };
    store.commit(whole(none)).await.expect("commits");
    let asked = [1, 2, 3, 2, 99, u64::MAX].map(CaseId).to_vec();
    let found = store.rulebooks_of(asked).await.expect("reads");
    let found: Vec<_> = found.iter().map(|(case, name)| (case.0, name.as_deref())).collect();
    assert_eq!(found, [(1, Some("food-order")), (2, Some("travel")), (3, None)]);
}
