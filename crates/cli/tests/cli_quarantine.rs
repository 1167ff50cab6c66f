//! An operator at the command line meets a case that can't be read: sees it, takes its rows out, puts them back, or
//! gives it up.

mod support;

use serde_json::json;
use support::{Legacy, Supervisor, amends, eventually, scratch, shop_rules};

#[test]
fn a_broken_case_is_shown_exported_repaired_and_discarded() {
    let folder = scratch();
    let billing = Legacy::start(409);
    let rules = shop_rules(folder.path(), &billing.address, "auto");
    let arguments = ["--rules", &rules, "--data", "data"];
    let supervisor = Supervisor::start(folder.path(), &arguments);
    let cases = ["order-1", "order-2"].map(|saga| supervisor.report(saga));
    for case in &cases {
        eventually("it is stuck", || (supervisor.case(case)["state"] == "stuck").then_some(()));
    }
    let none = supervisor.run(&["quarantine"]).exits(0);
    assert!(none.stderr.contains("nothing is quarantined"), "{}", none.stderr);
    supervisor.stop();
    let file = folder.path().join("data/amends.sqlite");
    let conn = rusqlite::Connection::open(file).expect("opens");
    conn.execute_batch("UPDATE cases SET memo = '{\"notes\": 3}'").expect("damaged");
    drop(conn);
    let supervisor = Supervisor::start(folder.path(), &arguments);

    let list = supervisor.run(&["quarantine", "list"]).exits(0).stdout;
    assert!(cases.iter().all(|case| list.contains(case.as_str())), "{list}");
    let shown = supervisor.run(&["quarantine", "show", &cases[0]]).exits(0).stdout;
    assert!(shown.contains("of saga order-1 is quarantined since"), "{shown}");
    assert!(shown.contains("stored rows: 1 in cases, 1 in reports, "), "{shown}");
    supervisor.run(&["quarantine", "show", "c-99"]).exits(5);
    let doctor = amends(&["doctor", "--url", &supervisor.url, "--rules", &rules]).exits(1).stdout;
    assert!(
        doctor.contains("✗ fail  quarantine: 2 cases can't be worked on; the first is c-1"),
        "{doctor}"
    );

    let path = folder.path().join("rows.json");
    let to = path.to_str().expect("UTF-8");
    supervisor.run(&["quarantine", "export", &cases[0], "--to", to]).exits(0);
    let again = supervisor.run(&["quarantine", "export", &cases[0], "--to", to]).exits(6);
    assert!(again.stderr.contains("cannot create"), "never over a file: {}", again.stderr);
    let raw = supervisor.run(&["quarantine", "export", &cases[0], "--raw"]).exits(0).json();
    assert_eq!(raw["rows"][0]["columns"]["memo"], "{\"notes\": 3}");
    let repair = ["quarantine", "repair", &cases[0], to, "--reason", "a typo"];
    let refused = supervisor.run(&repair).exits(4);
    assert!(refused.stderr.contains("case `c-1` can't be read yet"), "{}", refused.stderr);
    let text = std::fs::read_to_string(&path).expect("written");
    let mut rows: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(rows["rows"][0]["columns"]["memo"], json!({"notes": 3}), "spelled out for people");
    rows["rows"][0]["columns"]["memo"] = json!({});
    std::fs::write(&path, rows.to_string()).expect("our folder");
    let done = supervisor.run(&repair).exits(0).stdout;
    assert!(done.contains("case c-1 goes on with the mended rows; 1 left"), "{done}");
    assert_eq!(supervisor.case(&cases[0])["state"], "stuck", "as it was");

    let discard = ["quarantine", "discard", &cases[1], "--reason", "undone by hand"];
    let done = supervisor.run(&discard).exits(0).stdout;
    assert!(done.contains("settled by hand"), "{done}");
    supervisor.run(&discard).exits(4);
    let doctor = amends(&["doctor", "--url", &supervisor.url, "--rules", &rules]).stdout;
    assert!(doctor.contains("✓ ok    quarantine: "), "{doctor}");
}
