//! Backups of a store that is in use.

use super::desk::Desk;
use crate::books::Rejections;
use crate::http::{App, HttpLimits};
use crate::routes::router;
use amends_store::{Archive, CaseFilter, FILE_NAME, PageRequest, SqliteOptions, SqliteStore};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;
use tower::ServiceExt;

#[tokio::test]
async fn a_backup_is_a_store_that_knows_every_case() {
    let desk = Desk::open().await;
    let case = desk.report("o-1", "r-1").await;
    let made = desk.post("/v1/backups", &json!({"name": "monday.sqlite"})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let path = desk.folder.path().join("backups/monday.sqlite");
    assert_eq!(made.body["path"], path.display().to_string());
    assert_eq!(made.body["bytes"], path.metadata().expect("it is there").len());

    let other = tempfile::tempdir().expect("a folder");
    std::fs::copy(&path, other.path().join(FILE_NAME)).expect("copied");
    let store = SqliteStore::open(other.path(), &SqliteOptions::default()).expect("a store");
    let cases = store.cases(CaseFilter::default(), PageRequest::first(10)).await.expect("cases");
    assert_eq!(cases.items.iter().map(|c| c.case.id.to_string()).collect::<Vec<_>>(), [case]);
}

#[tokio::test]
async fn a_backup_without_a_name_is_named_by_the_time_and_leaves_nothing_else_behind() {
    let desk = Desk::open().await;
    let folder = desk.folder.path().join("backups");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join(".unfinished"), "of a process that was killed").expect("a file");
    let made = desk.post("/v1/backups", &json!({})).await;
    let path = made.body["path"].as_str().expect("a path");
    let name = path.rsplit('/').next().expect("a name");
    assert!(name.starts_with("amends-2") && name.ends_with("Z.sqlite"), "{name}");
    assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 1, "only the backup");
}

#[tokio::test]
async fn a_backup_never_overwrites_and_never_leaves_its_folder() {
    let desk = Desk::open().await;
    let one = json!({"name": "one.sqlite"});
    assert_eq!(desk.post("/v1/backups", &one).await.status, StatusCode::CREATED);
    let again = desk.post("/v1/backups", &one).await;
    assert_eq!((again.status, again.problem()), (StatusCode::CONFLICT, "conflict"));
    assert!(again.detail().contains("one.sqlite` exists already"), "{again:?}");
    for name in ["../two.sqlite", "/tmp/two.sqlite", "two", ".two.sqlite", ""] {
        let refused = desk.post("/v1/backups", &json!({"name": name})).await;
        assert_eq!(refused.problem(), "invalid-request", "{name}");
    }
    let typo = desk.post("/v1/backups", &json!({"file": "two.sqlite"})).await;
    assert_eq!(typo.problem(), "invalid-request");
}

#[tokio::test]
async fn two_backups_are_never_made_at_once_and_the_folder_has_an_end() {
    let desk = Desk::open().await;
    let same = json!({"name": "same.sqlite"});
    let make = || desk.post("/v1/backups", &same);
    let (one, two) = tokio::join!(make(), make());
    let mut found = [one.status, two.status];
    found.sort();
    assert_eq!(found, [StatusCode::CREATED, StatusCode::CONFLICT], "{one:?} {two:?}");
    let loser = if one.status == StatusCode::CONFLICT { one } else { two };
    assert!(loser.detail().contains("another backup is being made"), "{loser:?}");

    for n in 1..100 {
        let file = desk.folder.path().join(format!("backups/{n}.sqlite"));
        std::fs::write(file, "old").expect("a file");
    }
    let full = desk.post("/v1/backups", &json!({})).await;
    assert_eq!(full.problem(), "conflict");
    assert!(full.detail().contains("holds 100 files"), "{full:?}");
}

#[tokio::test]
async fn a_supervisor_without_a_folder_says_so() {
    let desk = Desk::open().await;
    let limits = HttpLimits::default();
    let stopping = desk.stop.subscribe();
    let app = App::new(desk.supervisor.clone(), Rejections::default(), limits, stopping);
    let request = Request::post("/v1/backups").header("content-type", "application/json");
    let request = request.header("host", "localhost").body(Body::from("{}")).expect("a request");
    let answer = router(app).oneshot(request).await.expect("routes do not fail");
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}
