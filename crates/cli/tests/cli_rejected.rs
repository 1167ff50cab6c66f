//! An operator at the command line meets messages of a broker that could not be taken: sees them, has them read once
//! more, or removes them.

mod support;

use amends_api::RejectedWay;
use amends_protocol::{ProblemCode, REPORT_TYPE, Timestamp};
use amends_store::{Rejected, RejectedLimits, RejectedRow, SqliteOptions, SqliteStore};
use serde_json::json;
use std::path::Path;
use support::{Legacy, Supervisor, amends, scratch, shop_rules};

fn row(number: u32, body: String) -> RejectedRow {
    RejectedRow {
        id: format!("nats/REPORTS/{number}/amends.reports.order"),
        way: RejectedWay::Nats,
        place: format!("message {number} of the stream `REPORTS`"),
        source: Some("order".to_owned()),
        event_id: Some(format!("r-{number}")),
        saga: None,
        code: ProblemCode::InvalidReport,
        detail: "the event has no `data`".to_owned(),
        headers: vec![("Nats-Msg-Id".to_owned(), "4711".to_owned())],
        body: body.into_bytes(),
        cut: false,
        rejected_at: Timestamp(1_000),
        sent_at: None,
    }
}

fn event(number: u32, code: &str) -> String {
    json!({
        "specversion": "1.0", "type": REPORT_TYPE, "source": "order", "id": format!("r-{number}"),
        "subject": format!("order-{number}"), "data": { "code": code },
    })
    .to_string()
}

/// As a reader of the broker leaves them, while no supervisor runs.
fn plant(folder: &Path, rows: Vec<RejectedRow>) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let store =
        SqliteStore::open(&folder.join("data"), &SqliteOptions::default()).expect("a store");
    for row in rows {
        runtime.block_on(store.reject(row, RejectedLimits::default())).expect("kept");
    }
}

#[test]
fn rejected_messages_are_shown_read_once_more_and_discarded() {
    let folder = scratch();
    let billing = Legacy::start(409);
    let rules = shop_rules(folder.path(), &billing.address, "auto");
    let rows = [event(1, "failed"), event(2, "failed"), event(3, ""), "no JSON".to_owned()];
    let rows: Vec<_> = rows.into_iter().zip(1..).map(|(body, number)| row(number, body)).collect();
    let ids: Vec<String> = rows.iter().map(|row| row.name().to_string()).collect();
    plant(folder.path(), rows);
    let arguments = ["--rules", &rules, "--data", "data"];
    let supervisor = Supervisor::start(folder.path(), &arguments);

    let list = supervisor.run(&["report", "rejected"]).exits(0).stdout;
    let places: Vec<_> = ids.iter().map(|id| list.find(id.as_str()).expect("listed")).collect();
    assert!(places.is_sorted_by(|a, b| a > b), "newest first: {list}");
    assert!(list.contains("invalid-report") && list.contains("the event has no"), "{list}");
    let json = supervisor.run(&["reports", "rejected", "--source", "order", "--json"]).exits(2);
    assert!(json.stderr.contains("--source"), "filters are of `list`: {}", json.stderr);
    let filtered = ["reports", "rejected", "list", "--way", "kafka"];
    assert!(supervisor.run(&filtered).exits(0).stderr.contains("nothing is rejected"));
    let shown = supervisor.run(&["report", "rejected", "show", &ids[3]]).exits(0).stdout;
    assert!(shown.contains("message 4 of the stream") && shown.contains("no JSON"), "{shown}");
    assert!(shown.contains("Nats-Msg-Id") && shown.contains("nobody has proved it"), "{shown}");
    supervisor.run(&["report", "rejected", "show", "r-0000000000000000"]).exits(5);
    let doctor = amends(&["doctor", "--url", &supervisor.url, "--rules", &rules]).exits(1).stdout;
    assert!(doctor.contains("✗ fail  rejected reports: "), "{doctor}");
    assert!(supervisor.run(&["top", "--once"]).exits(0).stdout.contains("4 rejected reports"));

    let why = ["--reason", "it can be read by now"];
    let retry = |more: &[&str]| {
        supervisor.run(&[&["report", "rejected", "retry"], more, &why[..]].concat())
    };
    retry(&[]).exits(2);
    let unasked = retry(&["--all"]).exits(2);
    assert!(unasked.stderr.contains("have 4 rejected messages read once more"), "{unasked:?}");
    let meant = retry(&["--all", "--dry-run"]).exits(0).stdout;
    assert_eq!(meant.lines().collect::<Vec<_>>(), ids, "the oldest first");
    let done = retry(&[&ids[0]]).exits(0).stdout;
    assert_eq!(done, format!("{} is taken, in case c-1; 3 left\n", ids[0]));
    let done = retry(&["--all", "--yes"]).exits(4);
    assert!(done.stdout.contains(&format!("{} is taken, in case c-2", ids[1])), "{done:?}");
    let stays = done.stderr.matches("it can't be taken still, and stays").count();
    assert_eq!(stays, 2, "one that stays holds up no other: {}", done.stderr);

    let discard = ["report", "rejected", "discard", &ids[2], &ids[3], "--reason", "a test"];
    let done = supervisor.run(&[&discard[..], &["--json"]].concat()).exits(0).json();
    assert_eq!(done[1]["done"]["left"], 0, "{done}");
    supervisor.run(&["report", "rejected", "discard", &ids[2], "--reason", "again"]).exits(5);
    assert!(
        supervisor.run(&["report", "rejected"]).exits(0).stderr.contains("nothing is rejected")
    );
    let acts = supervisor.run(&["audit", "--json"]).exits(0).stdout;
    assert_eq!(acts.matches("reject_retry").count(), 4, "{acts}");
    assert_eq!(acts.matches("reject_discard").count(), 2, "{acts}");
}
