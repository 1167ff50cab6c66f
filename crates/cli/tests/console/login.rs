//! People who have to say who they are, in a browser and over TLS: they log in, see what they may do and nothing else,
//! end their sessions, log out; and what is over stays over.

use crate::browser::Browser;
use crate::house::{act, judge};
use crate::support::{Legacy, Supervisor, command, eventually, finish, scratch, shop_rules, write};
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use tempfile::TempDir;

/// Where the buttons of a step that needs a person are.
const ACTS: &str = "#needs form button";

/// A supervisor that lets in only who is known, with a case that needs a person.
struct Bank {
    supervisor: Supervisor,
    billing: Legacy,
    case: String,
    folder: TempDir,
}

impl Bank {
    fn open() -> Self {
        let folder = scratch();
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let params = CertificateParams::new(names).expect("names");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        write(folder.path(), "own.pem", &certificate.pem());
        let file = write(folder.path(), "own.key", &key.serialize_pem());
        private(&file);
        let mut create = command();
        create.current_dir(folder.path());
        create.args(["token", "create", "--admin", "--data", "data", "--to", "admin.token"]);
        finish(&mut create).exits(0);
        let billing = Legacy::start(409);
        let rules = shop_rules(folder.path(), &billing.address, "auto");
        let arguments = [
            "--rules",
            &rules,
            "--data",
            "data",
            "--tls-certificate",
            "own.pem",
            "--tls-key",
            "own.key",
        ];
        let environment = [("AMENDS_ACCESS_REQUIRED", "on")];
        let supervisor = Supervisor::start_with(&environment, folder.path(), &arguments);
        assert!(supervisor.url.starts_with("https://"), "{}", supervisor.url);
        let mut bank = Self { supervisor, billing, case: String::new(), folder };
        bank.token("shop", &["report:shop"]);
        bank.case = bank.report();
        bank.is_in_state("stuck");
        bank
    }

    /// Runs the binary against it, as somebody.
    fn run(&self, who: &str, arguments: &[&str]) -> crate::support::Done {
        let mut run = command();
        run.current_dir(self.folder.path()).args(arguments);
        run.args(["--url", &self.supervisor.url, "--ca", "own.pem"]);
        finish(run.args(["--token-file", &format!("{who}.token")]))
    }

    /// Makes a token, and gives its text.
    fn token(&self, name: &str, grants: &[&str]) -> String {
        let file = format!("{name}.token");
        let mut create = vec!["token", "create", name, "--to", &file];
        create.extend(grants.iter().flat_map(|grant| ["--grant", grant]));
        self.run("admin", &create).exits(0);
        let text = std::fs::read_to_string(self.folder.path().join(file)).expect("a token");
        text.trim().to_owned()
    }

    fn report(&self) -> String {
        let report = [
            "report",
            "send",
            "--source",
            "shop",
            "--saga",
            "order-1",
            "--code",
            "out-of-stock",
            "--action",
            "sell",
            "--data",
            "paymentId=p-17",
            "--data",
            "amount:=12",
            "--history",
            "billing.charge=succeeded",
        ];
        self.run("shop", &report).exits(0).stdout.trim().to_owned()
    }

    fn case(&self) -> Value {
        self.run("admin", &["cases", "show", &self.case, "--json"]).exits(0).json()
    }

    #[track_caller]
    fn is_in_state(&self, state: &str) {
        eventually(&format!("the case is {state}"), || {
            (self.case()["state"] == state).then_some(())
        });
    }

    fn page(&self) -> String {
        format!("/cases/{}", self.case)
    }

    #[track_caller]
    fn go(&self, browser: &Browser, path: &str) {
        browser.open(&format!("{}{path}", self.supervisor.url));
        browser.see("main h1");
    }

    /// Opens a page as nobody, and logs in where that leads to.
    #[track_caller]
    fn log_in(&self, browser: &Browser, path: &str, token: &str) {
        self.go(browser, path);
        browser.see_in("h1", "Log in");
        browser.fill("input[name=token]", token);
        browser.click_named("Log in");
    }
}

/// A key that others may read is refused.
fn private(file: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).expect("ours");
}

#[test]
fn a_person_logs_in_sees_what_they_may_do_and_logs_out() {
    let bank = Bank::open();
    let (reader, operator) =
        (bank.token("reader", &["read"]), bank.token("operator", &["act", "read:data"]));
    let browser = Browser::start();

    // Nobody sees anything, and is led back to where they wanted to go.
    bank.go(&browser, &bank.page());
    assert!(browser.address().starts_with("/login?next="), "{}", browser.address());
    assert_eq!(browser.count(".top nav a"), 0, "nothing is offered to nobody");
    judge(&browser, "login");
    browser.fill("input[name=token]", "amends_000000000000_wrong");
    browser.click_named("Log in");
    browser.see_in("[role=alert]", "this token is not known here");
    assert!(browser.complaints().iter().all(|said| said.contains("401")));
    assert!(browser.cookies().is_empty(), "{:?}", browser.cookies());

    // Who reads is offered no act at all.
    bank.log_in(&browser, &bank.page(), &reader);
    browser.see_in(".head", "stuck");
    assert_eq!(browser.address(), bank.page());
    assert_eq!(browser.count(ACTS), 0, "{}", browser.text("#needs"));
    browser.see_in("footer", "token:reader");

    // The browser keeps a session, not the token; no script, no other host, no plain connection has it.
    let cookies = browser.cookies();
    let [cookie] = cookies.as_slice() else { panic!("one cookie: {cookies:?}") };
    assert_eq!(cookie["name"], "__Host-amends");
    let marks = ["secure", "httpOnly"].map(|mark| cookie[mark].as_bool());
    assert_eq!(
        (marks, &cookie["sameSite"], &cookie["path"]),
        ([Some(true); 2], &"Lax".into(), &"/".into())
    );
    assert!(!reader.contains(cookie["value"].as_str().expect("text")));
    assert_eq!(browser.script("return document.cookie", &[]), "");

    // Logged out here, the session is over everywhere: who kept its cookie has nothing.
    browser.click_named("Log out");
    browser.see_in("[role=status]", "You are logged out");
    assert!(browser.cookies().is_empty(), "{:?}", browser.cookies());
    browser.keep_cookie(cookie);
    bank.go(&browser, &bank.page());
    browser.see_in("h1", "Log in");
    browser.forget_cookies();

    // Who may act is offered the acts, and the audit names them, whatever a form says.
    bank.log_in(&browser, &bank.page(), &operator);
    browser.see(ACTS);
    assert_eq!(browser.count("#needs input[name=actor]"), 0, "it is known who acts");
    bank.billing.answer_with(200);
    act(&browser, "#needs", "the bank says yes now", "Retry now");
    browser.see_in(".head", "settled");
    browser.see_in("#acts", "token:operator");
    let acts = bank.run("admin", &["audit", "--json"]).exits(0).stdout;
    assert!(acts.contains("token:operator") && acts.contains("the bank says yes now"), "{acts}");
}

#[test]
fn a_person_ends_a_session_that_was_left_open_elsewhere() {
    let bank = Bank::open();
    let token = bank.token("ann", &["read"]);
    let browser = Browser::start();
    bank.log_in(&browser, "/me", &token);
    browser.see_in("#sessions", "this one");
    assert_eq!(browser.count("#sessions tbody tr"), 1);
    let elsewhere = browser.cookies();
    browser.forget_cookies();

    bank.log_in(&browser, "/me", &token);
    browser.see_in("#sessions", "this one");
    assert_eq!(browser.count("#sessions tbody tr"), 2);
    judge(&browser, "me");
    browser.click_named_in("#sessions tbody", "End");
    browser.wait_script(
        "one session is left",
        "return document.querySelectorAll('#sessions tbody tr').length === 1",
        &[],
    );
    let own = browser.cookies();
    browser.forget_cookies();
    browser.keep_cookie(&elsewhere[0]);
    bank.go(&browser, "/me");
    browser.see_in("h1", "Log in");
    browser.forget_cookies();
    browser.keep_cookie(&own[0]);
    bank.go(&browser, "/me");
    browser.see_in("#sessions", "this one");

    // A token that is revoked ends what it began, in the page that is open as well.
    let id = token.split('_').nth(1).expect("an id");
    bank.run("admin", &["token", "revoke", id]).exits(0);
    bank.go(&browser, "/cases");
    browser.see_in("h1", "Log in");
}
