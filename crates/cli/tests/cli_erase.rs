//! Business data that goes, at the command line: looked at first, gone from the file, confirmed, still wanted after
//! the supervisor was killed, and erased again after a restore.

mod support;

use serde_json::json;
use std::path::Path;
use support::{Legacy, Supervisor, amends, eventually, scratch, shop_rules, write};
use tempfile::TempDir;

/// What every report of these tests holds.
const VALUE: &str = "p-17";

/// A shop whose reports hold a declared field.
fn shop(status: u16) -> (TempDir, Legacy, String) {
    let folder = scratch();
    let billing = Legacy::start(status);
    let rules = shop_rules(folder.path(), &billing.address, "auto");
    let text = std::fs::read_to_string(&rules).expect("a file");
    let declared = "reports:\n  shop/out-of-stock: { in: sell, data: { paymentId: { role: customer }, amount: decimal } }\nrules:\n";
    std::fs::write(&rules, text.replace("rules:\n", declared)).expect("our folder");
    (folder, billing, rules)
}

fn serve(folder: &Path, rules: &str, data: &str) -> Supervisor {
    Supervisor::start(folder, &["--rules", rules, "--data", data])
}

fn settled(supervisor: &Supervisor, case: &str) {
    eventually("the case settles", || (supervisor.case(case)["state"] == "settled").then_some(()));
}

/// Whether a file of the store repeats the value.
fn holds(data: &Path) -> bool {
    let files = std::fs::read_dir(data).expect("a folder").map(|file| file.expect("a file").path());
    files.filter(|path| path.is_file()).any(|path| {
        let bytes = std::fs::read(path).expect("reads");
        bytes.windows(VALUE.len()).any(|window| window == VALUE.as_bytes())
    })
}

#[test]
fn a_customer_is_erased_after_a_look_and_what_went_can_be_confirmed() {
    let (folder, _billing, rules) = shop(200);
    let supervisor = serve(folder.path(), &rules, "data");
    let case = supervisor.report("order-1");
    settled(&supervisor, &case);
    let erase = ["erase", "--field", "customer=p-17", "--reason", "ticket 12"];
    let with = |more: &'static str| [&erase[..], &[more]].concat();
    let dry = supervisor.run(&with("--dry-run")).exits(0).stdout;
    assert!(dry.contains("order-1") && dry.contains("would go"), "{dry}");
    let unasked = supervisor.run(&erase).exits(2);
    assert!(unasked.stderr.contains("--yes"), "{}", unasked.stderr);
    assert!(holds(&folder.path().join("data")), "nothing has gone yet");

    let done = supervisor.run(&with("--yes")).exits(0).stdout;
    assert!(done.starts_with("er-1: ") && done.contains("of 1 saga went for good"), "{done}");
    assert!(!holds(&folder.path().join("data")));
    let shown = supervisor.run(&["cases", "show", &case]).exits(0).stdout;
    assert!(shown.contains("its business data were erased"), "{shown}");
    let proof = supervisor.run(&["cases", "proof", &case]).exits(0).stdout;
    assert!(proof.contains("erased") && proof.contains("billing.charge"), "{proof}");
    let list = supervisor.run(&["erase", "list"]).exits(0).stdout;
    assert!(list.contains("er-1") && list.contains("ticket 12"), "{list}");
    assert!(supervisor.run(&["erase", "show", "er-1"]).exits(0).stdout.contains("order-1"));

    let had = supervisor.run(&["erase", "confirm", "er-1", "--value", "p-17"]).exits(0).stdout;
    assert!(had.contains("it is what went: customer"), "{had}");
    let other = supervisor.run(&["erase", "confirm", "er-1", "--value", "p-18"]).exits(0).stdout;
    assert!(other.contains("it is not"), "{other}");
    let data = json!({
        "code": "out-of-stock", "action": "sell", "message": "the last one was broken",
        "data": { "paymentId": "p-17", "amount": 12 },
        "history": [{ "service": "billing", "action": "charge", "state": "succeeded" }],
    });
    let data = write(folder.path(), "data.json", &data.to_string());
    let had = supervisor.run(&["erase", "confirm", "er-1", "--report", &data]).exits(0).stdout;
    assert!(had.contains("order-1 report 0"), "{had}");
    supervisor.run(&["audit", "verify"]).exits(0);
    supervisor.run(&["erase", "show", "er-9"]).exits(5);
    supervisor.run(&["erase", "--saga", "nobody", "--reason", "x", "--yes"]).exits(5);
    supervisor.run(&["erase", "--reason", "x"]).exits(2);
}

#[test]
fn what_is_to_go_when_its_case_settles_goes_though_the_supervisor_was_killed() {
    let (folder, billing, rules) = shop(409);
    let mut supervisor = serve(folder.path(), &rules, "data");
    let case = supervisor.report("order-1");
    eventually("it is refused", || (supervisor.case(&case)["state"] == "stuck").then_some(()));
    let erase = ["erase", "--saga", "order-1", "--reason", "ticket 12", "--yes"];
    let refused = supervisor.run(&erase).exits(4);
    assert!(refused.stderr.contains("--when-settled"), "{}", refused.stderr);
    let later = supervisor.run(&[&erase[..], &["--when-settled"]].concat()).exits(0).stdout;
    assert!(later.contains("as soon as settled"), "{later}");
    supervisor.kill();
    drop(supervisor);

    billing.answer_with(200);
    let supervisor = serve(folder.path(), &rules, "data");
    assert!(
        supervisor
            .run(&["cases", "show", &case])
            .exits(0)
            .stdout
            .contains("as soon as it is settled")
    );
    supervisor.run(&["cases", "retry", &case, "--reason", "it works again", "--yes"]).exits(0);
    settled(&supervisor, &case);
    let last = billing.heard();
    assert!(last.iter().all(|one| one.path.contains("p-17")), "it was asked with its data");
    eventually("the bytes have gone", || (!holds(&folder.path().join("data"))).then_some(()));
    let shown = supervisor.run(&["erase", "show", "er-1", "--json"]).exits(0).json();
    assert_eq!(shown["waiting"], 0, "{shown}");
}

#[test]
fn a_restored_backup_is_erased_again_by_the_list_that_was_kept() {
    let (folder, _billing, rules) = shop(200);
    let supervisor = serve(folder.path(), &rules, "data");
    let case = supervisor.report("order-1");
    settled(&supervisor, &case);
    let backup = supervisor.run(&["backup"]).exits(0).stdout.trim().to_owned();
    supervisor.run(&["erase", "--saga", "order-1", "--reason", "ticket 12", "--yes"]).exits(0);
    let list = supervisor.run(&["erase", "list", "--all", "--json"]).exits(0).stdout;
    let list = write(folder.path(), "erasures.json", &list);
    supervisor.stop();

    let restored = folder.path().join("restored");
    std::fs::create_dir(&restored).expect("our folder");
    std::fs::copy(&backup, restored.join("amends.sqlite")).expect("copies");
    assert!(holds(&restored), "a backup holds what it held");
    let supervisor = serve(folder.path(), &rules, "restored");
    let replay = ["erase", "replay", &list, "--reason", "restored"];
    let done = supervisor.run(&replay).exits(0).stdout;
    assert!(done.contains("1 saga erased again; 0 sagas not in this store"), "{done}");
    assert!(!holds(&restored));
    let audit = amends(&["audit", "verify", "--data", restored.to_str().expect("a path")]);
    audit.exits(0);
}
