//! `kill -9` at the worst moments: what a process had promised is kept by the next one, or by its neighbour on the same
//! database.

use crate::rig::{Language, Played, Setting, Store, ask, case, outcome, settled, supervisor_at};
use crate::support::{eventually, scratch, unused_address};
use serde_json::{Value, json};

crate::in_each_language_on_each_database!(
    what_it_left_when_it_was_killed_is_undone,
    a_report_outlives_its_process,
    an_owed_outcome_outlives_its_process,
);

crate::stories_of!(
    two_in_python,
    Python,
    Postgres,
    the_other_process_keeps_what_the_killed_one_promised,
    the_other_process_ends_the_undo_of_the_killed_one,
    a_request_that_comes_to_both_takes_effect_once,
    who_was_taken_for_dead_and_comes_back_decides_nothing,
    a_slow_request_is_left_to_who_works_on_it
);
crate::stories_of!(
    two_in_typescript,
    TypeScript,
    Postgres,
    the_other_process_keeps_what_the_killed_one_promised,
    the_other_process_ends_the_undo_of_the_killed_one,
    a_request_that_comes_to_both_takes_effect_once,
    who_was_taken_for_dead_and_comes_back_decides_nothing,
    a_slow_request_is_left_to_who_works_on_it
);

/// Asks for a coupon with copies, which nobody answers: the printer hangs, and then the process is gone.
fn ask_in_vain(
    url: &str,
    saga: &str,
    request: &str,
    body: &Value,
) -> std::thread::JoinHandle<bool> {
    let (url, text) = (url.to_owned(), body.to_string());
    let headers = format!("Saga-Id: {saga}\r\nRequest-Id: {request}\r\n");
    std::thread::spawn(move || ask(&url, "POST", "/redeem", &headers, &text).is_none())
}

fn what_it_left_when_it_was_killed_is_undone(language: Language, store: Store) {
    let folder = scratch();
    let (printer, address) = (Played::hanging_printer(), unused_address());
    let supervisor = supervisor_at("127.0.0.1:0", folder.path(), &address, &printer.url);
    let mut setting = Setting::new(language, store, folder.path());
    setting.listen.clone_from(&address);
    setting.supervisor.clone_from(&supervisor.url);
    setting.printer.clone_from(&printer.url);

    // It dies while the printer has its order and has not answered.
    let mut coupon = setting.start();
    let body = json!({ "coupon": "C-1", "copies": 3 });
    let caller = ask_in_vain(&coupon.url, "order-1", "r-1", &body);
    eventually("the printer is called", || printer.was_asked("/print"));
    coupon.kill();
    assert!(caller.join().expect("no panic"), "nobody was answered");

    // The next start finds the row, and says that it doesn't know.
    let coupon = setting.start();
    let case = eventually("the case settles", || settled(&supervisor, 1));
    assert_eq!(case["reports"][0]["data"]["code"], "crashed", "{case:#}");
    let told = case["reports"][0]["data"]["history"].as_array().expect("a list").iter();
    let told: Vec<_> =
        told.map(|entry| (entry["action"].as_str(), entry["state"].as_str())).collect();
    let unknown = Some("unknown");
    assert_eq!(told, [(Some("redeem"), unknown), (Some("print"), unknown)], "{case:#}");
    assert_eq!(outcome(&case, "coupon.redeem"), "nothing_to_compensate", "{case:#}");
    assert_eq!(outcome(&case, "printer.print"), "compensated", "{case:#}");

    // The caller that asks again is refused, and nothing has happened.
    let again = coupon.post("/redeem", "order-1", "r-1", &body);
    assert_eq!((again.status, again.problem()), (409, "saga-fenced"), "{again:?}");
    assert_eq!(coupon.count("redeemed", "order-1"), 0);
}

fn a_report_outlives_its_process(language: Language, store: Store) {
    let folder = scratch();
    let (printer, address, home) = (Played::hanging_printer(), unused_address(), unused_address());
    let mut setting = Setting::new(language, store, folder.path());
    setting.listen.clone_from(&address);
    setting.supervisor = format!("http://{home}");

    // A coupon is used twice while the supervisor is away, and then the process dies.
    let mut coupon = setting.start();
    let body = json!({ "coupon": "C-1" });
    assert_eq!(coupon.post("/redeem", "order-1", "r-1", &body).status, 200);
    let failed = coupon.post("/redeem", "order-2", "r-2", &body);
    assert_eq!((failed.status, failed.problem()), (422, "action-failed"), "{failed:?}");
    coupon.kill();

    let coupon = setting.start();
    let supervisor = supervisor_at(&home, folder.path(), &address, &printer.url);
    let case = eventually("the report arrives", || case(&supervisor, 1));
    assert_eq!(case["sagaId"], "order-2", "{case:#}");
    let report = &case["reports"][0];
    assert_eq!((&report["id"], &report["data"]["code"]), (&json!(failed.report()), &json!("used")));
    let (entry, caller) = (&report["data"]["entry"], &report["data"]["caller"]);
    assert_eq!((entry, caller), (&json!("order.place"), &json!("shop.sell")), "{report:#}");
    let replayed = coupon.post("/redeem", "order-1", "r-1", &body);
    assert_eq!((replayed.status, &replayed.body["redeemed"]), (200, &json!("C-1")));
    assert_eq!(coupon.count("redeemed", "order-1"), 1);
}

fn an_owed_outcome_outlives_its_process(language: Language, store: Store) {
    let folder = scratch();
    let (printer, address) = (Played::hanging_printer(), unused_address());
    let supervisor = supervisor_at("127.0.0.1:0", folder.path(), &address, &printer.url);
    let mut setting = Setting::new(language, store, folder.path());
    setting.listen.clone_from(&address);
    setting.supervisor.clone_from(&supervisor.url);

    // It dies while it is at work on an undo that it has taken with 202.
    let mut coupon = Setting { undo_takes_s: "3600", ..setting.clone() }.start();
    assert_eq!(coupon.post("/redeem", "order-1", "r-1", &json!({ "coupon": "C-1" })).status, 200);
    assert_eq!(coupon.post("/redeem", "order-1", "r-2", &json!({ "coupon": "C-1" })).status, 422);
    eventually("the step is taken", || is_taken(case(&supervisor, 1)?));
    assert_eq!(coupon.count("redeemed", "order-1"), 1, "it is still at work");
    coupon.kill();

    // The next process knows what it owes, does it, and tells.
    let coupon = Setting { undo_takes_s: "0.01", ..setting }.start();
    let case = eventually("the case settles", || settled(&supervisor, 1));
    assert_eq!(outcome(&case, "coupon.redeem"), "compensated", "{case:#}");
    assert_eq!(coupon.count("redeemed", "order-1"), 0);
}

/// Whether a step of the case was answered 202.
fn is_taken(case: Value) -> Option<()> {
    let steps = case["plan"].as_array()?;
    steps.iter().any(|step| step["state"] == "accepted").then_some(())
}

/// Two processes on one database. The first is killed while it has a request in hand and reports in its outbox; the
/// supervisor comes when it is dead, and finds all that was promised, once.
fn the_other_process_keeps_what_the_killed_one_promised(language: Language, store: Store) {
    let folder = scratch();
    let (printer, address, home) = (Played::hanging_printer(), unused_address(), unused_address());
    let mut setting = Setting::new(language, store, folder.path());
    setting.supervisor = format!("http://{home}");
    setting.printer.clone_from(&printer.url);
    let mut first = setting.start();
    let second = Setting { listen: address.clone(), ..setting }.start();

    let (used, printed) = (json!({ "coupon": "C-1" }), json!({ "coupon": "C-3", "copies": 3 }));
    assert_eq!(first.post("/redeem", "order-1", "r-1", &used).status, 200);
    let failed = first.post("/redeem", "order-2", "r-2", &used);
    assert_eq!(failed.problem(), "action-failed", "{failed:?}");
    let caller = ask_in_vain(&first.url, "order-3", "r-3", &printed);
    eventually("the printer is called", || printer.was_asked("/print"));

    // What runs elsewhere is not run again; what has ended elsewhere is answered.
    let busy = second.post("/redeem", "order-3", "r-3", &printed);
    assert_eq!((busy.status, busy.problem()), (409, "in-progress"), "{busy:?}");
    assert_eq!(second.post("/redeem", "order-1", "r-1", &used).status, 200);
    assert_eq!(second.post("/redeem", "order-2", "r-2", &used).report(), failed.report());

    first.kill();
    assert!(caller.join().expect("no panic"), "nobody was answered");
    let supervisor = supervisor_at(&home, folder.path(), &address, &printer.url);
    let mut cases = [1, 2].map(|number| {
        eventually("the reports arrive, and all is undone", || settled(&supervisor, number))
    });
    cases.sort_by_key(|case| case["sagaId"].to_string());
    let told = cases.each_ref().map(|case| {
        assert_eq!(case["reports"].as_array().map(Vec::len), Some(1), "{case:#}");
        (case["sagaId"].as_str(), case["reports"][0]["data"]["code"].as_str())
    });
    assert_eq!(told, [(Some("order-2"), Some("used")), (Some("order-3"), Some("crashed"))]);
    assert_eq!(cases[0]["reports"][0]["id"], failed.report(), "under its id");
    assert_eq!(outcome(&cases[1], "printer.print"), "compensated", "{:#}", cases[1]);
    assert!(case(&supervisor, 3).is_none(), "there is nothing else to tell");

    let again = second.post("/redeem", "order-3", "r-3", &printed);
    assert_eq!((again.status, again.problem()), (409, "saga-fenced"), "{again:?}");
    let counts = ["order-1", "order-2", "order-3"].map(|saga| second.count("redeemed", saga));
    assert_eq!(counts, [json!(1), json!(0), json!(0)]);
}

fn the_other_process_ends_the_undo_of_the_killed_one(language: Language, store: Store) {
    let folder = scratch();
    let (printer, address) = (Played::hanging_printer(), unused_address());
    let supervisor = supervisor_at("127.0.0.1:0", folder.path(), &address, &printer.url);
    let mut setting = Setting::new(language, store, folder.path());
    setting.supervisor.clone_from(&supervisor.url);
    let second = Setting { undo_takes_s: "0.01", ..setting.clone() }.start();
    let mut first = Setting { undo_takes_s: "3600", listen: address, ..setting }.start();

    assert_eq!(first.post("/redeem", "order-1", "r-1", &json!({ "coupon": "C-1" })).status, 200);
    assert_eq!(second.post("/redeem", "order-1", "r-2", &json!({ "coupon": "C-1" })).status, 422);
    eventually("the step is taken", || is_taken(case(&supervisor, 1)?));
    assert_eq!(second.count("redeemed", "order-1"), 1, "the first is still at work");
    first.kill();

    let case = eventually("the case settles", || settled(&supervisor, 1));
    assert_eq!(outcome(&case, "coupon.redeem"), "compensated", "{case:#}");
    assert_eq!(second.count("redeemed", "order-1"), 0);
}

/// What a proxy in front of two processes does when it loses patience.
fn a_request_that_comes_to_both_takes_effect_once(language: Language, store: Store) {
    let folder = scratch();
    let setting = Setting::new(language, store, folder.path());
    let both = [setting.start(), setting.start()];
    for number in 0..20 {
        let (saga, request) = (format!("order-{number}"), format!("r-{number}"));
        let body = json!({ "coupon": format!("C-{number}") });
        let statuses = std::thread::scope(|scope| {
            let ask = |at: usize| {
                let (both, saga, request, body) = (&both, &saga, &request, &body);
                scope.spawn(move || both[at].post("/redeem", saga, request, body).status)
            };
            [ask(0), ask(1)].map(|asked| asked.join().expect("no panic"))
        });
        assert!(statuses.contains(&200), "{statuses:?}");
        assert!(statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
        assert_eq!(both[0].count("redeemed", &saga), 1);
    }
}

/// A process that has had no time for so long that the other took over what it had in hand.
fn who_was_taken_for_dead_and_comes_back_decides_nothing(language: Language, store: Store) {
    let folder = scratch();
    let supervisor = Played::start(|_, _| Some((202, vec![], json!({}))));
    // It answers the second call alone: that of the other process.
    let printer = Played::start(|_, before| {
        if before.is_empty() { None } else { Some((200, vec![], json!({ "pages": 3 }))) }
    });
    let mut setting = Setting::new(language, store, folder.path());
    setting.supervisor.clone_from(&supervisor.url);
    setting.printer.clone_from(&printer.url);
    setting.keys = "";
    let [first, second] = [setting.start(), setting.start()];

    let body = json!({ "coupon": "C-1", "copies": 3 });
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| first.post("/redeem", "order-1", "r-1", &body));
        eventually("the printer is called", || printer.was_asked("/print"));
        first.signal("-STOP");
        let report = eventually("it is taken for dead", || supervisor.was_asked("/v1/reports"));
        assert_eq!(report.body["data"]["code"], "crashed", "{report:?}");
        let retried = second.step(
            "retry",
            "redeem",
            &json!({ "sagaId": "order-1", "caseId": "c-1", "stepId": "s-1", "action": "coupon.redeem" }),
        );
        assert_eq!((retried.status, &retried.body["outcome"]), (200, &json!("retried")));

        // Its own call is answered by nobody; its caller hears what the other run came to.
        first.signal("-CONT");
        let answer = asked.join().expect("no panic");
        assert_eq!((answer.status, &answer.body["redeemed"]), (200, &json!("C-1")), "{answer:?}");
    });
    let history = second.get("/amends/v1/history/order-1").body;
    let states = history["entries"].as_array().expect("a list").iter().map(|e| e["state"].as_str());
    assert_eq!(states.collect::<Vec<_>>(), [Some("succeeded"), Some("succeeded")], "{history:#}");
    assert_eq!(second.count("redeemed", "order-1"), 1);
    assert_eq!(supervisor.came().len(), 1, "one report");
}

/// Its call hangs for longer than a lease. It is alive all the time, and both processes know that.
fn a_slow_request_is_left_to_who_works_on_it(language: Language, store: Store) {
    let folder = scratch();
    let supervisor = Played::start(|_, _| Some((202, vec![], json!({}))));
    let printer = Played::hanging_printer();
    let mut setting = Setting::new(language, store, folder.path());
    setting.supervisor.clone_from(&supervisor.url);
    setting.printer.clone_from(&printer.url);
    setting.keys = "";
    let [first, second] = [setting.start(), setting.start()];

    let body = json!({ "coupon": "C-1", "copies": 3 });
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| first.post("/redeem", "order-1", "r-1", &body));
        eventually("the printer is called", || printer.was_asked("/print"));
        let step = json!({ "sagaId": "order-1", "caseId": "c-1", "stepId": "s-1", "action": "coupon.redeem" });
        assert_eq!(second.step("retry", "redeem", &step).problem(), "in-progress");
        let answer = asked.join().expect("no panic");
        let code = answer.body["code"].as_str();
        assert_eq!((answer.problem(), code), ("action-failed", Some("downstream")), "{answer:?}");
    });
    let report = eventually("it is reported", || supervisor.was_asked("/v1/reports"));
    assert_eq!(report.body["data"]["code"], "downstream", "{report:?}");
    let told = report.body["data"]["history"].as_array().expect("a list").iter();
    let states: Vec<_> = told.map(|entry| entry["state"].as_str()).collect();
    assert_eq!(states, [Some("failed"), Some("unknown")], "{report:?}");
}
