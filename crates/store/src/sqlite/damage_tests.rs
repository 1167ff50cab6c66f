//! Rows that don't read back: none is written, and one that somebody planted stops nothing else.

use super::{FILE_NAME, SqliteOptions, SqliteStore};
use crate::conformance::sample::{FromRow, case, report, saga, settled, step, whole};
use crate::{
    Archive, CaseFilter, Ledger, LookupRequest, OpenPlace, PageRequest, Partition, RawValue,
    StepFilter, StoreError, Upkeep,
};
use amends_engine::{
    ActivationRow, SagaRow, SagaState, ServiceRow, ServiceSettings, StepState, Write,
};
use amends_protocol::{CaseId, Timestamp};
use rusqlite::Connection;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tempfile::TempDir;

fn open(dir: &TempDir) -> SqliteStore {
    SqliteStore::open(dir.path(), &SqliteOptions::default()).expect("opens")
}

fn sql(dir: &TempDir, sql: &str) {
    let conn = Connection::open(dir.path().join(FILE_NAME)).expect("opens");
    conn.execute_batch(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
}

fn nested(levels: usize) -> Map<String, Value> {
    let inner = (1..levels).fold(json!({}), |inner, _| json!({ "a": inner }));
    inner.as_object().cloned().expect("an object")
}

#[tokio::test]
async fn what_would_not_read_back_is_refused_by_name_and_leaves_nothing() {
    let dir = TempDir::new().expect("a directory");
    let store = open(&dir);
    let with_data = |data: Map<String, Value>| {
        let mut row = report(1, 0);
        Arc::make_mut(&mut row.report).data.data = data;
        Write::from_report(row)
    };
    let mut late = report(1, 0);
    Arc::make_mut(&mut late.report).time = Some(Timestamp(Timestamp::LAST.0 + 1));
    let mut edited = step(1, 1, "payment.pay", StepState::Waiting);
    edited.extra.edited = Some(Arc::new(nested(127)));
    let announced = Write::Saga(Box::new(SagaRow {
        saga: saga("order-1"),
        service: "payment".into(),
        action: None,
        deadline: Timestamp(5),
        state: SagaState::Begun,
        data: Arc::new(nested(200)),
    }));
    let bad = [
        (with_data(nested(126)), "report `payment/r-1-0` of case `c-1`"),
        (Write::from_report(late), "report `payment/r-1-0` of case `c-1`"),
        (Write::from_step(edited), "step `s-1-1-"),
        (announced, "saga `order-1`"),
    ];
    for (write, name) in bad {
        let batch = vec![Write::from_case(case(1)), write];
        let error = store.commit(batch.into()).await.expect_err(name);
        let StoreError::Unstorable { row, what, .. } = &error else { panic!("{error}") };
        assert!(row.starts_with(name) && what.contains("would not read back"), "{error}");
    }
    assert_eq!(
        store.open(Partition::WHOLE, OpenPlace::default(), 9).await.expect("reads").cases,
        []
    );
    store.commit(whole(case(1)).into()).await.expect("goes on");
}

/// Three open cases and a settled one, and one row of each kind that belongs to no case.
async fn filled() -> TempDir {
    let dir = TempDir::new().expect("a directory");
    let store = open(&dir);
    let mut writes = [case(1), case(2), case(3), settled(4)].map(whole).concat();
    writes.push(Write::Saga(Box::new(SagaRow {
        saga: saga("announced"),
        service: "payment".into(),
        action: None,
        deadline: Timestamp(5),
        state: SagaState::Begun,
        data: Arc::default(),
    })));
    writes.push(Write::Service(Box::new(ServiceRow {
        service: "payment".into(),
        settings: ServiceSettings::default(),
    })));
    writes.push(Write::Activate(Box::new(ActivationRow {
        at: Timestamp(5),
        name: "food-order".into(),
        hash: "hash-1".into(),
        sources: vec![("a.yaml".to_owned(), "rulebook: food-order".into())],
        from_file: false,
    })));
    store.commit(writes.into()).await.expect("commits");
    dir
}

/// Of case 2: statement, and what is said of it.
const DAMAGE: &[(&str, &str)] = &[
    ("UPDATE cases SET memo = '{\"notes\": 3}' WHERE id = 2", "case `c-2`"),
    ("UPDATE cases SET memo = 'x' WHERE id = 2", "case `c-2`"),
    ("UPDATE cases SET state = 77 WHERE id = 2", "case `c-2`"),
    ("UPDATE cases SET closed_on = 77 WHERE id = 2", "case `c-2`"),
    ("UPDATE cases SET opened_at = 9000000000000000000 WHERE id = 2", "case `c-2`"),
    ("UPDATE cases SET updated_at = -9000000000000000000 WHERE id = 2", "case `c-2`"),
    ("UPDATE cases SET report = CAST(x'ff41' AS TEXT) WHERE id = 2", "case `c-2`"),
    ("UPDATE reports SET body = '{}' WHERE key >> 20 = 2", "report 0 of case `c-2`"),
    (
        "UPDATE reports SET body = CAST(x'7bff' AS TEXT) WHERE key >> 20 = 2",
        "report 0 of case `c-2`",
    ),
    ("UPDATE reports SET role = 77 WHERE key >> 20 = 2", "report 0 of case `c-2`"),
    (
        "UPDATE reports SET received_at = 9000000000000000000 WHERE key >> 20 = 2",
        "report 0 of case `c-2`",
    ),
    ("UPDATE steps SET memo = '3' WHERE key = (2 << 20) + 1", "step `s-2-1-"),
    ("UPDATE steps SET state = 77 WHERE key = (2 << 20) + 1", "step `s-2-1-"),
    ("UPDATE steps SET verb = 77 WHERE key = (2 << 20) + 1", "step `s-2-1-"),
    ("UPDATE steps SET state = 4, ending = NULL WHERE key = (2 << 20) + 1", "step `s-2-1-"),
    ("UPDATE steps SET stage = 70000 WHERE key = (2 << 20) + 1", "step `s-2-1-"),
    ("UPDATE steps SET attempts = -1 WHERE key = (2 << 20) + 1", "step `s-2-1-"),
    ("UPDATE steps SET planned_at = 9000000000000000000 WHERE key = (2 << 20) + 1", "step `s-2-1-"),
];

#[tokio::test]
async fn one_broken_row_keeps_no_other_case_from_being_loaded() {
    for (damage, name) in DAMAGE {
        let dir = filled().await;
        sql(&dir, damage);
        let store = open(&dir);
        let loaded = store.open(Partition::WHOLE, OpenPlace::default(), 9).await;
        let loaded = loaded.unwrap_or_else(|e| panic!("{damage}: {e}"));
        let ids: Vec<u64> = loaded.cases.iter().map(|stored| stored.case.id.0).collect();
        assert_eq!(ids, [1, 3], "{damage}");
        let [broken] = loaded.broken.as_slice() else { panic!("{damage}: {:?}", loaded.broken) };
        assert_eq!(
            (broken.id, broken.saga.clone()),
            (CaseId(2), Some(saga("order-2"))),
            "{damage}"
        );
        assert_eq!((broken.next_report, broken.settled), (1, false), "{damage}");
        assert!(broken.broken.row.starts_with(name), "{damage}: {:?}", broken.broken);

        // Its report is still known as its own.
        let request =
            LookupRequest { reports: vec![report(2, 0).report.key()], ..LookupRequest::default() };
        assert_eq!(store.find(request).await.expect("finds").reports, [Some(CaseId(2))]);

        // Nobody's list ends at it.
        let mut page = PageRequest::first(1);
        let mut listed = Vec::new();
        loop {
            let found = store.cases(CaseFilter::default(), page.clone()).await.expect(damage);
            listed.extend(found.items.iter().map(|item| item.case.id.0));
            match found.next {
                Some(next) => page.cursor = Some(next),
                None => break,
            }
        }
        assert!([1, 3, 4].iter().all(|id| listed.contains(id)), "{damage}: {listed:?}");
        let steps = store.steps(StepFilter::default(), PageRequest::first(100)).await;
        let steps = steps.unwrap_or_else(|e| panic!("{damage}: {e}")).items;
        assert!(
            steps.iter().filter(|item| item.step.id.case != CaseId(2)).count() == 6,
            "{damage}"
        );
        store.case_counts().await.expect("counts");

        // It can be taken out and looked at whole, and reads again only once it is mended.
        let raw = store.raw_case(CaseId(2)).await.expect("exports").expect("is there");
        assert_eq!(raw.rows.len(), 4, "{damage}");
        match store.read_raw(raw.clone()).await {
            Err(StoreError::Corrupt { .. }) => {}
            // Bytes that are no text come out with a mark in their place.
            Ok(stored) => assert_eq!(&*stored.case.report, "\u{fffd}A", "{damage}"),
            Err(error) => panic!("{damage}: {error}"),
        }
        let salvaged = store.salvage(raw).await.expect("reads").expect("its saga is known");
        assert_eq!(salvaged.reports[0].report.key(), report(2, 0).report.key(), "{damage}");
    }
}

#[tokio::test]
async fn a_broken_settled_case_is_found_as_such_and_can_be_written_anew() {
    let dir = filled().await;
    sql(&dir, "UPDATE cases SET memo = 'x' WHERE id = 4");
    let store = open(&dir);
    assert_eq!(
        store.open(Partition::WHOLE, OpenPlace::default(), 9).await.expect("reads").broken,
        []
    );
    let request = LookupRequest {
        sagas: vec![saga("order-4")],
        cases: vec![CaseId(4)],
        ..LookupRequest::default()
    };
    let found = store.find(request.clone()).await.expect("finds");
    assert_eq!((found.cases.len(), found.broken.len()), (0, 1));
    assert!(found.broken[0].settled);

    let mut raw = store.raw_case(CaseId(4)).await.expect("exports").expect("is there");
    raw.rows[0].columns.insert("memo".to_owned(), RawValue::Text("{}".to_owned()));
    let text = serde_json::to_string(&raw).expect("is JSON");
    let raw = serde_json::from_str(&text).expect("comes back");
    let mended = store.read_raw(raw).await.expect("reads");
    let mut writes = vec![Write::Remove(CaseId(4)), Write::from_case(mended.case.clone())];
    writes.extend(mended.reports.iter().cloned().map(Write::from_report));
    writes.extend(mended.steps.iter().cloned().map(Write::from_step));
    let before = store.case_counts().await.expect("counts");
    store.commit(writes.into()).await.expect("commits");
    assert_eq!(store.case_counts().await.expect("counts"), before);
    let found = store.find(request).await.expect("finds");
    assert_eq!((found.cases, found.broken), (vec![mended], vec![]));

    // Even if it was the last one, its number is not given out again.
    store.commit(vec![Write::Remove(CaseId(4))].into()).await.expect("commits");
    assert_eq!(store.load().await.expect("loads").last_case, 4);
}

#[tokio::test]
async fn mended_rows_of_another_case_or_another_shape_are_refused() {
    let dir = filled().await;
    let store = open(&dir);
    let raw = store.raw_case(CaseId(1)).await.expect("exports").expect("is there");
    let refused = async |change: &dyn Fn(&mut crate::RawCase)| {
        let mut raw = raw.clone();
        change(&mut raw);
        store.read_raw(raw).await.expect_err("refused").to_string()
    };
    let error = refused(&|raw| raw.rows[0].table = "acts".to_owned()).await;
    assert!(error.contains("`acts` is no table of a case"), "{error}");
    let error = refused(&|raw| {
        raw.rows[1].columns.insert("key".to_owned(), RawValue::Number(2 << 20));
    });
    assert!(error.await.contains("of another case"));
    let error = refused(&|raw| {
        raw.rows[1].columns.insert("x) --".to_owned(), RawValue::Nothing);
    });
    assert!(error.await.contains("has no column `x) --`"));
    let error = refused(&|raw| drop(raw.rows.remove(0))).await;
    assert!(error.contains("is missing"), "{error}");
}

#[tokio::test]
async fn rows_of_no_case_stop_nothing_either() {
    let dir = filled().await;
    sql(
        &dir,
        "UPDATE sagas SET data = 'x'; UPDATE services SET settings = '{\"pause\": 1}'; UPDATE rulebooks SET sources = '1'; INSERT INTO rule_holds VALUES ('shop', 'a/b', 'x')",
    );
    let store = open(&dir);
    assert_eq!(
        store.open(Partition::WHOLE, OpenPlace::default(), 9).await.expect("reads").cases.len(),
        3
    );
    let loaded = store.load().await.expect("loads");
    let settings = loaded.settings;
    assert_eq!((loaded.sagas.len(), settings.services.len()), (0, 0));
    assert_eq!(settings.unreadable[0].row, "announced saga `announced`");
    assert_eq!(&*settings.broken_services[0].0, "payment");
    assert_eq!(settings.broken_rule_holds[0].0.to_string(), "rule `a/b` of rulebook `shop`");
    assert!(settings.rulebooks[0].sources.is_empty() && settings.rulebooks[0].active);
}
