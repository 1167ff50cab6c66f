//! Cases that can't be worked on, as people meet them: planted in the file of the store, found at a start and while
//! running, shown, repaired and discarded over the API and in the console, while everything else goes on.

use super::desk::{BOOK, Desk, Reply, binary, send_form};
use amends_api::EventKind;
use amends_engine::StepReading;
use amends_protocol::Outcome;
use amends_store::FILE_NAME;
use axum::http::StatusCode;
use rusqlite::Connection;
use serde_json::{Value, json};

/// Damages the file of the store, behind the back of a supervisor that may be running.
fn damage(desk: &Desk, sql: &str) {
    let conn = Connection::open(desk.folder.path().join(FILE_NAME)).expect("opens");
    conn.busy_timeout(std::time::Duration::from_secs(20)).expect("a number");
    conn.execute_batch(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
}

async fn quarantined(desk: &Desk) -> Value {
    desk.get("/v1/quarantine").await.body["cases"].clone()
}

async fn answer_well(desk: &Desk, case: &str) {
    desk.script.answer("payment.pay", StepReading::Done(Outcome::Compensated));
    let retry = json!({"act": "retry", "reason": "the bank is back"});
    let reply = desk.post(&format!("/v1/cases/{case}/acts"), &retry).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    desk.until(&format!("/v1/cases/{case}"), |case| case["state"] == "settled").await;
}

/// Of case 1, in each table, with what is said of it.
const DAMAGE: &[(&str, &str)] = &[
    ("UPDATE cases SET memo = 'cut of' WHERE id = 1", "case `c-1`"),
    ("UPDATE cases SET state = 77 WHERE id = 1", "case `c-1`"),
    ("UPDATE cases SET opened_at = 9000000000000000000 WHERE id = 1", "case `c-1`"),
    ("UPDATE cases SET rulebook_hash = 'of nobody' WHERE id = 1", "rulebook `shop` (of nobody)"),
    ("UPDATE reports SET body = '{}' WHERE key >> 20 = 1", "report 0 of case `c-1`"),
    ("UPDATE reports SET role = 77 WHERE key >> 20 = 1", "report 0 of case `c-1`"),
    ("DELETE FROM reports WHERE key >> 20 = 1", "case `c-1`"),
    ("UPDATE steps SET memo = '3' WHERE key >> 20 = 1", "step `s-1-1-"),
    ("UPDATE steps SET verb = 77 WHERE key >> 20 = 1", "step `s-1-1-"),
    ("UPDATE steps SET planned_at = -9000000000000000000 WHERE key >> 20 = 1", "step `s-1-1-"),
];

#[tokio::test]
async fn a_broken_row_of_any_table_stops_its_own_case_alone() {
    for (sql, row) in DAMAGE {
        let desk = Desk::open().await;
        let (broken, step) = desk.stuck("o-1").await;
        let (other, _) = desk.stuck("o-2").await;
        assert_eq!(quarantined(&desk).await, json!([]), "nothing yet");
        damage(&desk, sql);
        let desk = desk.restart().await;

        let found = quarantined(&desk).await;
        assert_eq!(found.as_array().map(Vec::len), Some(1), "{sql}: {found}");
        assert_eq!((&found[0]["caseId"], &found[0]["sagaId"]), (&json!(broken), &json!("o-1")));
        assert!(found[0]["row"].as_str().expect("text").starts_with(row), "{sql}: {found}");
        let overview = desk.get("/v1/overview").await.body;
        // It counts by its state as well, as long as that can be read.
        let stuck = if sql.contains("state = 77") { 1 } else { 2 };
        assert_eq!(
            (&overview["quarantined"], &overview["cases"]["stuck"]),
            (&json!(1), &json!(stuck)),
            "{sql}"
        );
        let metrics = desk.get("/metrics").await;
        let metrics = metrics.body.as_str().expect("text");
        assert!(metrics.contains("\namends_quarantined_cases 1\n"), "{metrics}");

        // What belongs to it is still known as its own.
        assert_eq!(desk.report("o-1", "r-late").await, broken, "{sql}");
        let late = json!({"code": "failed", "action": "place"});
        let again = desk.send(binary("o-1", "r-late", &late)).await;
        assert_eq!(
            (again.status, &again.body["duplicate"]),
            (StatusCode::OK, &json!(true)),
            "{sql}"
        );
        let outcome = json!({"outcome": "compensated"});
        let refused = desk.post(&format!("/v1/steps/{step}/outcome"), &outcome).await;
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{sql}: {refused:?}");
        assert!(refused.detail().contains("is quarantined"), "{refused:?}");
        let waive = json!({"act": "waive", "reason": "x"});
        let refused = desk.post(&format!("/v1/steps/{step}/acts"), &waive).await;
        assert_eq!(refused.problem(), "conflict", "{sql}");

        // Everybody else goes on.
        answer_well(&desk, &other).await;
        let new = desk.report("o-3", "r-3").await;
        desk.until(&format!("/v1/cases/{new}"), |case| case["state"] == "settled").await;
        assert_eq!(desk.get("/v1/cases").await.status, StatusCode::OK, "{sql}");

        let gone = json!({"act": "discard", "reason": "undone by hand"});
        let left = desk.post(&format!("/v1/quarantine/{broken}/acts"), &gone).await;
        assert_eq!(
            (left.status, &left.body["cases"]),
            (StatusCode::OK, &json!([])),
            "{sql}: {left:?}"
        );
        let settled = desk.get(&format!("/v1/cases/{broken}")).await.body;
        assert_eq!(
            (&settled["state"], &settled["closedOn"]),
            (&json!("settled"), &json!("by_person")),
            "{sql}"
        );
        let desk = desk.restart().await;
        assert_eq!(quarantined(&desk).await, json!([]), "{sql}: for good");
        let again = desk.send(binary("o-1", "r-late", &late)).await;
        assert_eq!(again.body, json!({"caseId": broken, "duplicate": true}), "{sql}: still known");
    }
}

#[tokio::test]
async fn a_repair_says_what_is_still_wrong_and_then_the_case_goes_on() {
    let desk = Desk::open().await;
    let (case, _) = desk.stuck("o-1").await;
    damage(
        &desk,
        "UPDATE steps SET memo = 'cut of' WHERE key >> 20 = 1; UPDATE cases SET memo = 'x' WHERE id = 1",
    );
    let desk = desk.restart().await;
    let refused = desk.get(&format!("/v1/cases/{case}")).await;
    assert_eq!((refused.status, refused.problem()), (StatusCode::CONFLICT, "conflict"));
    assert!(refused.detail().contains(&format!("`GET /v1/quarantine/{case}`")), "{refused:?}");

    let mut rows = desk.get(&format!("/v1/quarantine/{case}")).await.body["rows"].clone();
    let path = format!("/v1/quarantine/{case}/acts");
    let repair = |rows: &Value| json!({"act": "repair", "reason": "was cut off", "rows": rows});
    // As JSON or as its text, as one likes.
    rows[0]["columns"]["memo"] = json!({});
    let refused = desk.post(&path, &repair(&rows)).await;
    assert_eq!(refused.problem(), "invalid-request");
    assert!(
        refused.detail().starts_with("step `s-1-1-")
            && refused.detail().contains("can't be read yet"),
        "{refused:?}"
    );
    let nameless = desk.post(&path, &json!({"act": "repair", "reason": " ", "rows": rows})).await;
    assert_eq!(nameless.problem(), "invalid-request", "an act needs a reason");
    desk.report("o-1", "r-2").await;
    for row in rows.as_array_mut().expect("rows") {
        if row["table"] == "steps" {
            row["columns"]["memo"] = json!("{}");
        }
    }
    let old = desk.post(&path, &repair(&rows)).await;
    assert_eq!(old.problem(), "conflict");
    assert!(
        old.detail().contains("has 2 reports by now, and these rows 1; export it again"),
        "{old:?}"
    );
    let all = desk.get(&format!("/v1/quarantine/{case}")).await.body["rows"].clone();
    let newer = all.as_array().expect("rows").iter().filter(|row| row["table"] == "reports").nth(1);
    rows.as_array_mut().expect("rows").push(newer.expect("it was stored").clone());
    let done = desk.post(&path, &repair(&rows)).await;
    assert_eq!((done.status, &done.body["cases"]), (StatusCode::OK, &json!([])), "{done:?}");

    let acts = desk.get(&format!("/v1/acts?case={case}")).await.body;
    assert_eq!(
        (&acts["items"][0]["act"], &acts["items"][0]["actor"]),
        (&json!("repair"), &json!("ann"))
    );
    assert!(
        acts["items"][0]["detail"].to_string().contains("cut of"),
        "the rows of before: {acts}"
    );
    let case_now = desk.get(&format!("/v1/cases/{case}")).await.body;
    assert_eq!(case_now["reports"].as_array().map(Vec::len), Some(2), "{case_now}");
    answer_well(&desk, &case).await;
}

#[tokio::test]
async fn a_settled_case_is_found_broken_when_somebody_asks_for_it() {
    let desk = Desk::open().await;
    let case = desk.report("o-1", "r-1").await;
    desk.until(&format!("/v1/cases/{case}"), |case| case["state"] == "settled").await;
    damage(&desk, "UPDATE cases SET memo = 'x' WHERE id = 1");
    assert_eq!(quarantined(&desk).await, json!([]), "nobody has asked");
    assert_eq!(desk.report("o-1", "r-2").await, case, "a late report is stored with it");
    let found = desk.until("/v1/quarantine", |q| q["cases"][0]["reports"] == 2).await;
    assert_eq!(found["cases"][0]["caseId"], case.as_str(), "{found}");
    let events = desk.supervisor.events();
    let mut events = events.since(Some(0));
    loop {
        let (_, event) = events.next().await.expect("it was told");
        if event.kind == EventKind::Quarantine {
            assert_eq!(
                (event.case_id.map(|c| c.to_string()), event.state.as_str()),
                (Some(case), "quarantined")
            );
            break;
        }
    }
    let other = desk.report("o-2", "r-3").await;
    desk.until(&format!("/v1/cases/{other}"), |case| case["state"] == "settled").await;
}

#[tokio::test]
async fn a_version_that_cannot_be_read_is_mended_by_activating_its_text_again() {
    let desk = Desk::open().await;
    let (case, _) = desk.stuck("o-1").await;
    damage(&desk, "UPDATE rulebooks SET sources = '[[\"a.yaml\", \"no rulebook\"]]'");
    let desk = desk.restart().await;
    let found = desk.get("/v1/quarantine").await.body;
    assert_eq!(found["cases"][0]["caseId"], case.as_str(), "{found}");
    assert!(
        found["rows"][0]["row"].as_str().expect("text").starts_with("rulebook `shop` ("),
        "{found}"
    );
    let waiting = desk.report("o-2", "r-2").await;
    let waiting = desk.get(&format!("/v1/cases/{waiting}")).await.body;
    assert_eq!(waiting["state"], "unmatched", "no version is active, and nothing is guessed");

    let book = amends_rulebook::Rulebook::from_yaml(BOOK).expect("a rulebook");
    desk.supervisor.activate(book, "ann", "the same again").await.expect("activated");
    let desk = desk.restart().await;
    assert_eq!(desk.get("/v1/quarantine").await.body, json!({"cases": [], "rows": []}));
    answer_well(&desk, &case).await;
}

#[tokio::test]
async fn settings_and_announcements_that_cannot_be_read_are_shown_and_stop_nobody_else() {
    let desk = Desk::open().await;
    let pause = json!({"reason": "maintenance"});
    assert_eq!(desk.post("/v1/services/payment/pause", &pause).await.status, StatusCode::OK);
    let begin = json!({"sagaId": "o-9", "service": "order", "deadline": "2099-01-01T00:00:00Z"});
    assert!(desk.post("/v1/sagas", &begin).await.status.is_success());
    damage(&desk, "UPDATE services SET settings = '{\"pause\": 1}'; UPDATE sagas SET data = 'x'");
    let desk = desk.restart().await;
    let found = desk.get("/v1/quarantine").await.body;
    let rows: Vec<_> = found["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| row["row"].as_str().expect("text"))
        .collect();
    assert_eq!(rows.len(), 2, "{found}");
    assert!(
        rows.iter().any(|row| row.contains("`o-9`"))
            && rows.iter().any(|row| row.contains("`payment`")),
        "{found}"
    );
    let services = desk.get("/v1/services").await.body;
    let payment = services.as_array().expect("services").iter().find(|s| s["name"] == "payment");
    assert_eq!(payment.expect("payment")["paused"], true, "a pause may have been among them");
    assert!(page(&desk.get("/").await).contains("2 other stored rows can't be read"));
    assert!(page(&desk.get("/quarantine").await).contains("announced saga `o-9`"));
}

/// A page, with its texts as a person reads them.
fn page(reply: &Reply) -> String {
    assert_eq!(reply.header("content-type"), "text/html; charset=utf-8", "{reply:?}");
    let text = reply.body.as_str().expect("a page").replace("&#34;", "\"").replace("&#39;", "'");
    text.replace("&#60;", "<").replace("&#62;", ">").replace("&#38;", "&")
}

/// What stands in the text field of a page, as a browser would send it.
fn field(page: &str) -> String {
    let (_, rest) = page.split_once("<textarea").expect("a text field");
    let (_, rest) = rest.split_once('>').expect("its end");
    let (text, _) = rest.split_once("</textarea></label>").expect("its end");
    text.to_owned()
}

#[tokio::test]
async fn the_console_shows_the_quarantine_while_there_is_one_and_repairs_it() {
    let desk = Desk::open().await;
    desk.script.answer("payment.pay", StepReading::Refused);
    let data = json!({"code": "failed", "action": "place", "data": {"apiToken": "very-secret", "note": "</textarea><b>"}});
    let reply = desk.send(binary("o-1", "r-1", &data)).await;
    let case = reply.body["caseId"].as_str().expect("a case").to_owned();
    desk.payment_step(&case, "stuck").await;
    let link = "<a href=\"/quarantine\"";
    assert!(!page(&desk.get("/").await).contains(link), "nothing to see");
    assert!(page(&desk.get("/quarantine").await).contains("Nothing is quarantined"));
    damage(&desk, "UPDATE cases SET memo = '{\"notes\": 3}' WHERE id = 1");
    let desk = desk.restart().await;

    let overview = desk.get("/").await;
    assert!(
        page(&overview).contains("1 case is quarantined") && page(&overview).contains(link),
        "{overview:?}"
    );
    assert!(page(&desk.get("/audit").await).contains(link), "on every page");
    let list = desk.get("/quarantine").await;
    assert!(
        page(&list).contains("case `c-1`") && page(&list).contains("/quarantine/c-1"),
        "{list:?}"
    );
    assert_eq!(desk.get("/cases/c-1").await.header("location"), "/quarantine/c-1");
    let shown = desk.get("/quarantine/c-1").await;
    assert!(!shown.body.as_str().expect("a page").contains("</textarea><b>"), "text is text");
    assert!(!page(&shown).contains("very-secret"), "{shown:?}");

    let acts = "/quarantine/c-1/acts";
    let wrong = field(&page(&shown)).replace("\"notes\": 3", "\"notes\": 4");
    let fields = |rows: &str| {
        [("act", "repair"), ("reason", "a typo"), ("actor", "ann"), ("rows", rows)]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
    };
    let refused = send_form(&desk, acts, &fields(&wrong)).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(page(&refused).contains("case `c-1` can't be read yet"), "{refused:?}");
    assert!(field(&page(&refused)).contains("\"notes\": 4"), "what was typed is not lost");
    let broken = send_form(&desk, acts, &fields("[")).await;
    assert!(page(&broken).contains("the rows are no JSON"), "{broken:?}");
    let right = field(&page(&shown)).replace("\"notes\": 3", "\"notes\": []");
    let done = send_form(&desk, acts, &fields(&right)).await;
    assert_eq!(
        (done.status, done.header("location")),
        (StatusCode::SEE_OTHER, "/cases/c-1"),
        "{done:?}"
    );
    assert!(!page(&desk.get("/").await).contains(link), "it is over");
    let report = desk.get("/v1/cases/c-1/reports/0").await.body;
    assert_eq!(
        report["data"]["data"]["apiToken"], "very-secret",
        "what was not shown stayed: {report}"
    );
}

#[tokio::test]
async fn the_console_discards_a_quarantined_case_with_a_reason() {
    let desk = Desk::open().await;
    desk.stuck("o-1").await;
    damage(&desk, "UPDATE cases SET memo = 'x' WHERE id = 1");
    let desk = desk.restart().await;
    let fields = |reason: &str| {
        [("act", "discard"), ("reason", reason), ("actor", "ann")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
    };
    let acts = "/quarantine/c-1/acts";
    assert_eq!(send_form(&desk, acts, &fields("")).await.status, StatusCode::BAD_REQUEST);
    let done = send_form(&desk, acts, &fields("by hand")).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{done:?}");
    assert!(page(&desk.get("/audit").await).contains("discard"));
    let again = send_form(&desk, acts, &fields("by hand")).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{again:?}");
    assert_eq!(desk.get("/quarantine/c-1").await.header("location"), "/cases/c-1");
}
