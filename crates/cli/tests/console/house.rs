//! A supervisor with a shop and its old billing service, and a person who looks at its console.

use crate::accessibility::is_accessible;
use crate::browser::{Browser, WIDTHS};
use crate::plain_http::request;
use crate::support::{Legacy, Supervisor, eventually, scratch, shop_rules};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

/// Who acts in these tests.
pub const NAME: &str = "Ann Miller";

/// All of it; it ends with the test.
pub struct House {
    pub browser: Browser,
    pub supervisor: Supervisor,
    pub billing: Legacy,
    rules: String,
    folder: TempDir,
}

impl House {
    /// Billing answers with this status; the one rule has this mode.
    pub fn open(status: u16, mode: &str) -> Self {
        Self::with_rules(status, mode, |text| text)
    }

    /// The same with a rulebook that is a little different.
    pub fn with_rules(status: u16, mode: &str, change: impl FnOnce(String) -> String) -> Self {
        let folder = scratch();
        let billing = Legacy::start(status);
        let rules = shop_rules(folder.path(), &billing.address, mode);
        change_file(&rules, change);
        let supervisor = Supervisor::start(folder.path(), &["--rules", &rules, "--data", "data"]);
        Self { browser: Browser::start(), supervisor, billing, rules, folder }
    }

    /// The supervisor is killed, and starts again with what it had stored; at another address.
    pub fn restart(&mut self) {
        self.restart_after(|_| {});
    }

    /// The same, with something done to what is stored in between.
    pub fn restart_after(&mut self, change: impl FnOnce(&Path)) {
        self.supervisor.kill();
        change(&self.folder.path().join("data"));
        let arguments = ["--rules", &self.rules, "--data", "data"];
        self.supervisor = Supervisor::start(self.folder.path(), &arguments);
    }

    /// Changes the file of the rulebook, which the supervisor watches.
    pub fn change_rules(&self, change: impl FnOnce(String) -> String) {
        change_file(&self.rules, change);
    }

    /// The file of the rulebook.
    pub fn rules(&self) -> &str {
        &self.rules
    }

    /// What the API says.
    #[track_caller]
    pub fn api(&self, path: &str) -> Value {
        let address = self.supervisor.url.trim_start_matches("http://");
        let (_, body) = request(address, "GET", path, "application/json", "").expect("it answers");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }

    /// Has something done over the API; says why not.
    pub fn post(&self, path: &str, body: &Value) -> Result<(), String> {
        let address = self.supervisor.url.trim_start_matches("http://");
        let body = body.to_string();
        let (status, answer) =
            request(address, "POST", path, "application/json", &body).expect("it answers");
        if (200..300).contains(&status) { Ok(()) } else { Err(format!("{status}: {answer}")) }
    }

    /// Reports that something failed at a caller, with what it knows; gives the case.
    #[track_caller]
    pub fn tell(&self, source: &str, saga: &str, history: Value) -> String {
        self.report((source, "out-of-stock"), saga, history)
    }

    /// The same of the shop, with a code of its own.
    #[track_caller]
    pub fn tell_of(&self, code: &str, saga: &str, history: Value) -> String {
        self.report(("shop", code), saga, history)
    }

    /// The same of a charge, within a trace.
    #[track_caller]
    pub fn tell_in_trace(&self, traceparent: &str, saga: &str) -> String {
        let history = json!([{
            "service": "billing", "action": "charge", "requestId": "q-1", "state": "succeeded",
            "data": { "paymentId": "p-1", "amount": 12 },
        }]);
        self.send(("shop", "out-of-stock"), saga, history, Some(traceparent))
    }

    #[track_caller]
    fn report(&self, whose: (&str, &str), saga: &str, history: Value) -> String {
        self.send(whose, saga, history, None)
    }

    #[track_caller]
    fn send(
        &self,
        (source, code): (&str, &str),
        saga: &str,
        history: Value,
        traceparent: Option<&str>,
    ) -> String {
        let mut event = json!({
            "specversion": "1.0", "type": "dev.amends.report.v1", "source": source,
            "id": format!("{source}-{saga}"), "subject": saga, "datacontenttype": "application/json",
            "data": { "code": code, "history": history },
        });
        if let Some(traceparent) = traceparent {
            event["traceparent"] = traceparent.into();
        }
        let address = self.supervisor.url.trim_start_matches("http://");
        let kind = "application/cloudevents+json";
        let (status, answer) =
            request(address, "POST", "/v1/reports", kind, &event.to_string()).expect("it answers");
        assert_eq!(status, 202, "{answer}");
        let receipt: Value = serde_json::from_str(&answer).expect("JSON");
        receipt["caseId"].as_str().expect("a case").to_owned()
    }

    /// Opens a page of the console.
    #[track_caller]
    pub fn go(&self, path: &str) {
        go(&self.browser, &self.supervisor.url, path);
    }

    /// A case whose refund the billing service refused, so that it is stuck.
    #[track_caller]
    pub fn stuck(&self, saga: &str) -> String {
        self.billing.answer_with(409);
        let case = self.supervisor.report(saga);
        self.is_in_state(&case, "stuck");
        case
    }

    /// Waits until the case is in this state.
    #[track_caller]
    pub fn is_in_state(&self, case: &str, state: &str) {
        eventually(&format!("{case} is {state}"), || {
            (self.supervisor.case(case)["state"] == state).then_some(())
        });
    }

    /// Fills the reason, and the name where it is asked for, of the form within this place, and presses a button.
    #[track_caller]
    pub fn act(&self, place: &str, reason: &str, button: &str) {
        act(&self.browser, place, reason, button);
    }
}

fn change_file(path: &str, change: impl FnOnce(String) -> String) {
    let text = std::fs::read_to_string(path).expect("a file of ours");
    std::fs::write(path, change(text)).expect("our folder");
}

/// Opens a page.
#[track_caller]
pub fn go(browser: &Browser, url: &str, path: &str) {
    browser.open(&format!("{url}{path}"));
    browser.see("main h1");
}

/// Fills the form within this place and presses a button.
#[track_caller]
pub fn act(browser: &Browser, place: &str, reason: &str, button: &str) {
    browser.see(place);
    let name = format!("{place} input[name=actor]");
    if browser.count(&name) > 0 {
        browser.fill(&name, NAME);
    }
    if !reason.is_empty() {
        browser.fill(&format!("{place} input[name=reason]"), reason);
    }
    browser.click_named_in(place, button);
}

/// What holds for every page: it fits both widths, everybody can use it, nothing complains; and pictures are kept.
#[track_caller]
pub fn judge(browser: &Browser, name: &str) {
    for width in WIDTHS {
        browser.width(width);
        browser.fits();
    }
    browser.pictures(name);
    browser.is_content();
    is_accessible(browser);
}

/// So many reports about sagas of this name, in one batch.
#[track_caller]
pub fn report_many(supervisor: &Supervisor, saga: &str, count: usize) {
    let event = |n: usize| {
        json!({
            "specversion": "1.0", "type": "dev.amends.report.v1", "source": "shop",
            "id": format!("{saga}-{n}"), "subject": format!("{saga}-{n}"),
            "datacontenttype": "application/json",
            "data": {
                "code": "out-of-stock", "action": "sell", "message": "the last one was broken",
                "history": [{
                    "service": "billing", "action": "charge", "requestId": format!("r-{n}"), "state": "succeeded"
                }],
                "data": { "paymentId": format!("p-{n}"), "amount": 12 },
            },
        })
    };
    let batch = json!((1..=count).map(event).collect::<Vec<_>>()).to_string();
    let address = supervisor.url.trim_start_matches("http://");
    let kind = "application/cloudevents-batch+json";
    let (status, answer) =
        request(address, "POST", "/v1/reports", kind, &batch).expect("it answers");
    assert!(status < 300, "{status}: {answer}");
}
