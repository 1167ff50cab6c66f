//! A rule's limit and its mode `shadow`, from the rulebook to the request that goes out or doesn't: a real supervisor, a
//! real service. When a limit's minute ends is the engine's business, and tested there with a clock of its own.

mod support;

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use support::{Legacy, Supervisor, eventually, scratch, shop_rules};
use tempfile::TempDir;

/// A shop whose one rule has these lines besides.
fn shop(more: &str) -> (TempDir, Legacy, Supervisor) {
    let folder = scratch();
    let billing = Legacy::start(200);
    let rules = shop_rules(folder.path(), &billing.address, more);
    let supervisor = Supervisor::start(folder.path(), &["--rules", &rules, "--data", "data"]);
    (folder, billing, supervisor)
}

/// Sends reports about these sagas in one request, so that nothing comes between them, and gives their cases. Two of
/// one saga are two reports of the same charge.
fn report_together(supervisor: &Supervisor, sagas: &[&str]) -> Vec<String> {
    static SENT: AtomicU32 = AtomicU32::new(0);
    let events: Vec<Value> = sagas
        .iter()
        .map(|saga| {
            let id = SENT.fetch_add(1, Ordering::Relaxed).to_string();
            let charged = json!({ "service": "billing", "action": "charge", "requestId": "r", "state": "succeeded" });
            json!({
                "specversion": "1.0", "type": "dev.amends.report.v1", "source": "shop", "id": id, "subject": saga,
                "data": { "code": "out-of-stock", "history": [charged], "data": { "paymentId": saga, "amount": 1 } },
            })
        })
        .collect();
    let body = Value::from(events).to_string();
    let address = supervisor.url.strip_prefix("http://").expect("an http address");
    let mut socket = TcpStream::connect(address).expect("it listens");
    let head = format!(
        "POST /v1/reports:batch HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/cloudevents-batch+json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all((head + &body).as_bytes()).expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
    assert!(head.starts_with("HTTP/1.1 202"), "{answer}");
    let receipts: Value = serde_json::from_str(body).expect("JSON");
    let case = |receipt: &Value| receipt["caseId"].as_str().expect("a case").to_owned();
    receipts.as_array().expect("one receipt per report").iter().map(case).collect()
}

/// The case's one step, once it is or has ended so.
fn step(supervisor: &Supervisor, case: &str, wanted: &str) -> Value {
    eventually(wanted, || {
        let step = supervisor.case(case)["plan"][0].clone();
        (step["state"] == wanted || step["outcome"] == wanted).then_some(step)
    })
}

fn until_settled(supervisor: &Supervisor, case: &str) {
    eventually("the case settles", || (supervisor.case(case)["state"] == "settled").then_some(()));
}

#[test]
fn past_its_limit_a_rule_asks_first_and_goes_on_after_a_yes() {
    let (_folder, billing, supervisor) = shop("auto\n    limit: 2 per minute");
    let cases = report_together(&supervisor, &["order-1", "order-2", "order-3"]);
    for case in &cases[..2] {
        step(&supervisor, case, "compensated");
        until_settled(&supervisor, case);
    }
    let third = &cases[2];
    assert_eq!(step(&supervisor, third, "stuck")["reason"], "awaits_approval");

    // Whoever looks is told what is asked for, and why nobody has done it.
    let waiting = supervisor.run(&["cases", "list", "--state", "stuck"]).exits(0).stdout;
    assert!(waiting.contains(third) && !waiting.contains(&cases[0]), "{waiting}");
    let story = supervisor.run(&["cases", "show", third]).exits(0).stdout;
    for part in
        ["stuck: awaits approval", "more than 2 cases a minute for rule `*/*`: waits for approval"]
    {
        assert!(story.contains(part), "`{part}` is missing in\n{story}");
    }
    let refund = |order: &str| format!("/payments/{order}/refund {{\"amount\":1}}");
    let mut sent = billing.requests();
    sent.sort();
    assert_eq!(sent, [refund("order-1"), refund("order-2")]);

    supervisor.run(&["cases", "approve", third, "--yes", "--reason", "looked at it"]).exits(0);
    step(&supervisor, third, "compensated");
    until_settled(&supervisor, third);
    assert_eq!(billing.requests().last(), Some(&refund("order-3")));
    let act = supervisor.case(third)["acts"][0].clone();
    assert_eq!((&act["act"], &act["reason"]), (&json!("approve"), &json!("looked at it")));
}

#[test]
fn a_limit_counts_cases_and_not_their_reports() {
    let (_folder, billing, supervisor) = shop("auto\n    limit: 1 per minute");
    let first = report_together(&supervisor, &["order-1"]).remove(0);
    step(&supervisor, &first, "compensated");
    // The same saga fails once more: nobody has to be asked about it again.
    assert_eq!(report_together(&supervisor, &["order-1"]), [first.as_str()]);
    until_settled(&supervisor, &first);
    let again = supervisor.case(&first);
    assert_eq!(again["reports"].as_array().map(Vec::len), Some(2), "{again}");
    assert_eq!(billing.requests().len(), 1);
}

#[test]
fn a_shadow_rule_records_its_plan_and_sends_nothing() {
    let (folder, billing, supervisor) = shop("shadow");
    let case = report_together(&supervisor, &["order-1"]).remove(0);
    assert_eq!(step(&supervisor, &case, "shadow")["action"], "billing.charge");
    until_settled(&supervisor, &case);
    let story = supervisor.run(&["cases", "show", &case]).exits(0).stdout;
    assert!(story.contains("compensate billing.charge  shadow"), "{story}");
    assert!(story.contains("nothing was sent, since the rule"), "{story}");
    let counted = supervisor.run(&["cases", "list"]).exits(0).stdout;
    assert!(counted.contains("1 shadow"), "{counted}");

    // Nothing goes out later either: the same rule in earnest answers the next saga, and only that.
    let rules = shop_rules(folder.path(), &billing.address, "auto");
    let text = std::fs::read_to_string(rules).expect("written");
    drop(supervisor);
    let earnest = support::write(folder.path(), "earnest.yaml", &text);
    let supervisor = Supervisor::start(folder.path(), &["--rules", &earnest, "--data", "data"]);
    let next = report_together(&supervisor, &["order-2"]).remove(0);
    until_settled(&supervisor, &next);
    assert_eq!(billing.requests(), ["/payments/order-2/refund {\"amount\":1}"]);
    assert_eq!(supervisor.case(&case)["plan"][0]["state"], "shadow");
}
