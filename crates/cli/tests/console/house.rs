//! A supervisor with a shop and its old billing service, and a person who looks at its console.

use crate::accessibility::is_accessible;
use crate::browser::{Browser, WIDTHS};
use crate::plain_http::request;
use crate::support::{Legacy, Supervisor, eventually, scratch, shop_rules};
use serde_json::json;
use tempfile::TempDir;

/// Who acts in these tests.
pub const NAME: &str = "Ann Miller";

/// All of it; it ends with the test.
pub struct House {
    pub browser: Browser,
    pub supervisor: Supervisor,
    pub billing: Legacy,
    _folder: TempDir,
}

impl House {
    /// Billing answers with this status; the one rule has this mode.
    pub fn open(status: u16, mode: &str) -> Self {
        let folder = scratch();
        let billing = Legacy::start(status);
        let rules = shop_rules(folder.path(), &billing.address, mode);
        let supervisor = Supervisor::start(folder.path(), &["--rules", &rules, "--data", "data"]);
        Self { browser: Browser::start(), supervisor, billing, _folder: folder }
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
