//! Business data that goes: what is kept of that, and what goes with it.

use super::{
    Held, Place,
    chain::checked,
    sample::{
        FromRow, act, announced, at, attempt, case, done, of_case, report, saga, settled, whole,
    },
};
use crate::{Archive, FieldValue, HoldingPlace, Ledger, PageRequest, Store};
use amends_api::CaseState;
use amends_engine::{
    ActRow, ErasedField, ErasedRow, ErasureRow, Gone, ReportRole, ReportRow, SagaState,
    SecretFields, SecretValues, StepExtra, StepRow, Write,
};
use amends_protocol::CaseId;
use serde_json::json;
use std::sync::Arc;

fn erasure(number: u64) -> Write {
    Write::Erasure(Box::new(ErasureRow {
        number,
        at: at(number, 0),
        actor: act("any", None, None).actor,
        reason: "asked for by mail".into(),
        field: Some(ErasedField::of("customer", "ann", "n-1".to_owned())),
        sagas: 2,
    }))
}

fn erased(number: u64, case: u64, done: bool, values: &[&str]) -> Write {
    let mut found = SecretValues::default();
    let data = json!({ "all": values });
    SecretFields::everything().collect(data.as_object().expect("an object"), &mut found);
    Write::Erased(Box::new(ErasedRow {
        erasure: number,
        saga: saga(&format!("order-{case}")),
        case: Some(CaseId(case)),
        done_at: done.then(|| at(case, 500)),
        gone: Gone { fields: 3, bytes: 99, ..Gone::default() },
        values: found,
    }))
}

/// Numbers go on over a restart.
pub async fn the_last_erasure_is_told(place: &impl Place) {
    let store = Held::of(place).await;
    assert_eq!(store.load().await.expect("loads").settings.last_erasure, 0);
    store.commit(vec![erasure(1)]).await.expect("commits");
    store.commit(vec![erasure(2), erased(2, 7, false, &[])]).await.expect("commits");
    drop(store);
    assert_eq!(Held::of(place).await.load().await.expect("loads").settings.last_erasure, 2);
}

/// What was asked for and what became of it is there as it was written, the newest first.
pub async fn erasures_are_listed_with_their_sagas(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    store.commit(vec![erasure(1), erased(1, 1, true, &[])]).await.expect("commits");
    let both = vec![erasure(2), erased(2, 2, false, &[]), erased(2, 3, true, &[])];
    store.commit(both).await.expect("commits");
    let first = store.erasures(PageRequest::first(1)).await.expect("lists");
    let told = |page: &crate::RowPage<crate::ListedErasure>| {
        let rows = page.items.iter().map(|one| (one.row.number, one.sagas, one.waiting));
        rows.collect::<Vec<_>>()
    };
    assert_eq!(told(&first), [(2, 2, 1)]);
    let next = PageRequest { limit: 1, cursor: first.next };
    let second = store.erasures(next).await.expect("lists");
    assert_eq!((told(&second), second.next), (vec![(1, 1, 0)], None));

    store.commit(vec![erased(2, 2, true, &[])]).await.expect("commits");
    let (row, sagas) = store.erasure(2).await.expect("reads").expect("there");
    assert_eq!(Write::Erasure(Box::new(row.clone())), erasure(2));
    assert!(row.field.is_some_and(|field| field.was("ann") && !field.was("bob")));
    let sagas: Vec<Write> = sagas.into_iter().map(|row| Write::Erased(Box::new(row))).collect();
    assert_eq!(sagas, [erased(2, 2, true, &[]), erased(2, 3, true, &[])]);
    assert_eq!(store.erasure(3).await.expect("reads"), None);
}

/// Messages of tries, reports beyond a case's limit, texts of the audit: only the store holds them. Those of other
/// cases stay, and the audit's chain holds.
pub async fn what_no_other_write_holds_goes(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    for n in [1, 2] {
        let mut writes = whole(settled(n));
        let step = done(n, 1, "payment.pay");
        let excess = ReportRow { role: ReportRole::Excess, ..report(n, 1) };
        let says = |act: ActRow, reason: &str| ActRow { reason: reason.into(), ..act };
        writes.extend([
            Write::from_attempt(attempt(&step, 1, "busy")),
            Write::from_report(excess),
            Write::from_act(act("edit", Some(CaseId(n)), Some(step.id))),
            Write::from_act(says(act("waive", Some(CaseId(n)), None), "Ann (0042) called")),
            Write::from_act(says(act("erase", Some(CaseId(n)), None), "0042 wants it")),
        ]);
        store.commit(writes).await.expect("commits");
    }
    let before = store.case(CaseId(2)).await.expect("reads");
    store.commit(vec![erasure(1), erased(1, 1, false, &["0042"])]).await.expect("commits");
    let waiting = store.case(CaseId(1)).await.expect("reads").expect("there");
    assert!(waiting.attempts[0].message.is_some(), "it waits");
    let last = Write::from_act(act("erased", Some(CaseId(1)), None));
    store.commit(vec![last, erased(1, 1, true, &["0042"])]).await.expect("commits");

    let gone = store.case(CaseId(1)).await.expect("reads").expect("there");
    assert_eq!(gone.attempts[0].message, None);
    let excess = &gone.stored.reports[1].report.data;
    assert!(excess.data.is_empty() && excess.message.is_none());
    let acts = store.acts(of_case(1), PageRequest::default()).await.expect("lists").items;
    let told = |entry: &crate::AuditEntry| {
        let row = &entry.row;
        (row.act.to_string(), row.reason.to_string(), !row.detail.is_null(), entry.is_erased)
    };
    let one = |act: &str, reason: &str, detail, erased| {
        (act.to_owned(), reason.to_owned(), detail, erased)
    };
    assert_eq!(
        acts.iter().map(told).collect::<Vec<_>>(),
        [
            one("erased", "asked by phone", true, false),
            one("erase", "0042 wants it", true, false),
            one("waive", "", false, true),
            one("edit", "asked by phone", false, true),
        ]
    );
    assert_eq!(store.case(CaseId(2)).await.expect("reads"), before);
    let report = checked(&*store).await;
    assert_eq!((report.broken, report.entries), (None, 7));
}

/// By its field and whole value, wherever it lies: reports, evidence in them, steps, announcements.
pub async fn who_holds_a_value_is_found(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    let reported = |n: u64, data: serde_json::Value| {
        let mut row = report(n, 0);
        Arc::make_mut(&mut row.report).data.data = data.as_object().cloned().unwrap_or_default();
        vec![Write::from_case(settled(n)), Write::from_report(row)]
    };
    store.commit(reported(1, json!({ "customer": "ann" }))).await.expect("commits");
    store.commit(reported(2, json!({ "customer": "anna", "by": "ann" }))).await.expect("commits");
    store.commit(reported(3, json!({ "order": { "customer": "ann" } }))).await.expect("commits");
    let edited =
        Some(Arc::new(json!({ "customer": "ann" }).as_object().cloned().unwrap_or_default()));
    let step = done(4, 1, "payment.pay");
    let step = StepRow { extra: StepExtra { edited, ..StepExtra::default() }, ..step };
    let fourth =
        vec![Write::from_case(case(4)), Write::from_report(report(4, 0)), Write::from_step(step)];
    store.commit(fourth).await.expect("commits");
    let begun = |name: &str| {
        let row = announced(name, 10, SagaState::Ended);
        let data = json!({ "customer": "ann" });
        let data = Arc::new(data.as_object().cloned().unwrap_or_default());
        Write::Saga(Box::new(amends_engine::SagaRow { data, ..row }))
    };
    store.commit(vec![begun("order-1"), begun("order-9")]).await.expect("commits");

    let field = FieldValue { paths: vec!["customer".to_owned()], value: "ann".to_owned() };
    let (mut found, mut next) = (Vec::new(), Some(HoldingPlace::default()));
    while let Some(after) = next {
        let page = store.holding(field.clone(), after).await.expect("looks");
        found.extend(page.found);
        next = page.next;
    }
    let found: Vec<_> = found.iter().map(|one| (one.saga.as_str(), one.case)).collect();
    let of = |n: u64, state| Some((CaseId(n), state));
    assert_eq!(
        found,
        [
            ("order-1", of(1, CaseState::Settled)),
            ("order-3", of(3, CaseState::Settled)),
            ("order-4", of(4, CaseState::Open)),
            ("order-9", None),
        ]
    );
}
