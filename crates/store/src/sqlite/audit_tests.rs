//! Whoever can write the file changes the audit: what `verify_audit` says of it. And a store from before the chain.

use super::{FILE_NAME, SqliteOptions, SqliteStore, verify_audit};
use crate::{ActFilter, Archive, Ledger, PageRequest, StoreError};
use amends_api::audit::{ActDigest, ChainBreak, ChainLink, ChainReport};
use amends_engine::{ActRow, Write};
use amends_protocol::{CaseId, Timestamp};
use rusqlite::Connection;
use tempfile::TempDir;

fn open(dir: &TempDir) -> SqliteStore {
    SqliteStore::open(dir.path(), &SqliteOptions::default()).expect("opens")
}

fn sql(dir: &TempDir, sql: &str) {
    let conn = Connection::open(dir.path().join(FILE_NAME)).expect("opens");
    conn.execute_batch(sql).expect(sql);
}

async fn acts(store: &SqliteStore, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        let act = ActRow {
            at: Timestamp(1_000 + n.cast_signed()),
            actor: "kim".into(),
            act: "waive".into(),
            reason: format!("reason {n}").into(),
            case: Some(CaseId(n)),
            step: None,
            detail: serde_json::json!({ "amount": 12.50, "b": [1, "é\u{1}"], "a": null }),
        };
        store.commit(vec![Write::Act(Box::new(act))].into()).await.expect("commits");
    }
}

fn verified(dir: &TempDir, anchor: Option<ChainLink>) -> ChainReport {
    verify_audit(dir.path(), anchor).expect("reads").expect("there is a store")
}

/// A store of five entries that somebody has worked on with `sqlite3`.
async fn falsified(how: &str) -> Option<ChainBreak> {
    let dir = TempDir::new().expect("a temporary directory");
    acts(&open(&dir), 1..=5).await;
    sql(&dir, how);
    verified(&dir, None).broken
}

#[tokio::test]
async fn whatever_is_done_to_the_file_is_found() {
    assert_eq!(falsified("SELECT 1").await, None);
    for (how, found) in [
        ("UPDATE acts SET actor = 'ann' WHERE id = 3", ChainBreak::Changed(3)),
        ("UPDATE acts SET reason = 'as agreed' WHERE id = 3", ChainBreak::Changed(3)),
        ("UPDATE acts SET detail = '{\"amount\":125.0}' WHERE id = 1", ChainBreak::Changed(1)),
        ("UPDATE acts SET case_id = NULL WHERE id = 5", ChainBreak::Changed(5)),
        ("UPDATE acts SET address = '10.0.0.1' WHERE id = 2", ChainBreak::Changed(2)),
        ("UPDATE acts SET at = at + 1 WHERE id = 2", ChainBreak::Changed(2)),
        ("UPDATE acts SET digest = zeroblob(32) WHERE id = 2", ChainBreak::Added(2)),
        ("DELETE FROM acts WHERE id = 3", ChainBreak::Missing(3, 3)),
        ("DELETE FROM acts WHERE id IN (1, 2)", ChainBreak::Missing(1, 2)),
        ("DELETE FROM acts WHERE id >= 4", ChainBreak::Missing(4, 5)),
        ("DELETE FROM acts", ChainBreak::Missing(1, 5)),
        (
            "UPDATE acts SET id = -id WHERE id IN (2, 4); UPDATE acts SET id = 6 + id WHERE id < 0",
            ChainBreak::Swapped(2, 4),
        ),
        (
            "INSERT INTO acts (id, at, actor, act, reason, detail) VALUES (6, 1, 'ann', 'waive', 'x', 'null')",
            ChainBreak::Added(6),
        ),
    ] {
        assert_eq!(falsified(how).await, Some(found), "{how}");
    }
}

/// A digest may stand beside a text that was erased, and beside no other: otherwise every text could be changed.
#[tokio::test]
async fn a_digest_in_place_of_a_text_hides_no_other_text() {
    let dir = TempDir::new().expect("a temporary directory");
    acts(&open(&dir), 1..=2).await;
    let digest = ActDigest::of("reason 1");
    sql(&dir, &format!("UPDATE acts SET reason = '', reason_digest = x'{digest}' WHERE id = 1"));
    assert_eq!(verified(&dir, None).broken, None, "erased");
    sql(&dir, "UPDATE acts SET reason = 'as agreed' WHERE id = 1");
    assert_eq!(verified(&dir, None).broken, Some(ChainBreak::Changed(1)));
}

/// An entry that somebody put behind the last one is found, and stops nobody from acting.
#[tokio::test]
async fn an_entry_of_somebody_else_stops_no_act() {
    let dir = TempDir::new().expect("a temporary directory");
    acts(&open(&dir), 1..=2).await;
    sql(
        &dir,
        "INSERT INTO acts (id, at, actor, act, reason, detail) VALUES (3, 1, 'x', 'y', 'z', 'null')",
    );
    let store = open(&dir);
    acts(&store, 3..=4).await;
    let page = store.acts(ActFilter::default(), PageRequest::default()).await.expect("lists");
    assert_eq!(page.items.iter().map(|entry| entry.number).collect::<Vec<_>>(), [5, 4, 3, 2, 1]);
    assert_eq!(verified(&dir, None).broken, Some(ChainBreak::Added(3)));
}

/// Beside the supervisor that uses it, and against what was written down elsewhere.
#[tokio::test]
async fn an_anchor_holds_for_as_long_as_nothing_is_made_anew() {
    let dir = TempDir::new().expect("a temporary directory");
    let store = open(&dir);
    acts(&store, 1..=3).await;
    let anchor = store.audit_ends().await.expect("reads").written;
    acts(&store, 4..=5).await;
    assert_eq!(verified(&dir, Some(anchor)).broken, None);
    let other = ChainLink { digest: ActDigest::of("another"), ..anchor };
    assert_eq!(verified(&dir, Some(other)).broken, Some(ChainBreak::NotTheAnchors(3)));
    let later = ChainLink { number: 9, ..anchor };
    assert_eq!(verified(&dir, Some(later)).broken, Some(ChainBreak::Missing(6, 9)));
}

/// Entries from before the chain get theirs when the store is brought up to date, and go on being what they were.
#[tokio::test]
async fn a_store_from_before_the_chain_is_chained() {
    let dir = TempDir::new().expect("a temporary directory");
    sql(&dir, include_str!("schema/tests_2.sql"));
    sql(
        &dir,
        "INSERT INTO acts (at, actor, act, reason, case_id, step, detail) VALUES
           (1, 'kim', 'waive', 'asked by phone', 1, NULL, '{\"ticket\":7}'), (2, 'ann', 'pause', 'deployment', NULL, NULL, 'null')",
    );
    let older = verify_audit(dir.path(), None).expect_err("has no chain yet");
    assert!(matches!(older, StoreError::OlderSchema { found: 2, .. }), "{older}");
    let store = open(&dir);
    let page = store.acts(ActFilter::default(), PageRequest::default()).await.expect("lists");
    let told: Vec<_> = page.items.iter().map(|entry| (entry.number, &*entry.row.reason)).collect();
    assert_eq!(told, [(2, "deployment"), (1, "asked by phone")]);
    acts(&store, 3..=3).await;
    let report = verified(&dir, None);
    assert_eq!((report.broken, report.entries, report.last.number), (None, 3, 3));
    sql(&dir, "UPDATE acts SET reason = 'x' WHERE id = 1");
    assert_eq!(verified(&dir, None).broken, Some(ChainBreak::Changed(1)));
}

#[test]
fn a_folder_without_a_store_has_no_audit() {
    let dir = TempDir::new().expect("a temporary directory");
    assert_eq!(verify_audit(dir.path(), None).expect("reads"), None);
}
