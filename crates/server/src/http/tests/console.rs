//! The console's pages and forms, without a browser: what they show, what they do, and what they refuse.

use super::desk::{BOOK, Desk, Reply, binary, send_form};
use amends_api::ReportWay;
use amends_engine::StepReading;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;

async fn send(desk: &Desk, path: &str, fields: &[(&str, &str)]) -> Reply {
    send_form(desk, path, fields).await
}

fn text(reply: &Reply) -> &str {
    reply.body.as_str().expect("a page")
}

/// INVARIANT: nothing runs in a page that was written into it, and no page may be framed or sent elsewhere.
#[track_caller]
fn is_a_page(reply: &Reply) {
    assert_eq!(reply.header("content-type"), "text/html; charset=utf-8", "{reply:?}");
    let policy = reply.header("content-security-policy");
    for part in
        ["default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'"]
    {
        assert!(policy.contains(part), "{policy}");
    }
    let page = text(reply);
    assert!(page.starts_with("<!doctype html>"), "{page}");
    for inline in [" style=", " onclick=", " onload=", "javascript:"] {
        assert!(!page.contains(inline), "{inline} in {page}");
    }
    assert!(page.split("<script").skip(1).all(|s| s.starts_with(" src=\"/assets/")), "{page}");
}

#[tokio::test]
async fn every_page_is_whole_with_and_without_work() {
    let desk = Desk::open().await;
    let empty = desk.get("/").await;
    is_a_page(&empty);
    assert!(text(&empty).contains("No report has come yet"), "an empty console teaches");
    let (case, step) = desk.stuck("o-1").await;
    let hash =
        desk.get("/v1/rulebooks/shop").await.body["hash"].as_str().expect("a hash").to_owned();
    for (path, shows) in [
        ("/".to_owned(), "1 case needs a person"),
        ("/cases".to_owned(), case.as_str()),
        ("/cases?state=stuck&service=payment".to_owned(), case.as_str()),
        ("/cases?q=nobody".to_owned(), "No case fits this filter"),
        ("/cases?view=causes".to_owned(), "payment refuses"),
        (format!("/cases/{case}"), step.as_str()),
        ("/rules".to_owned(), "shop"),
        ("/rules/new".to_owned(), "See what would change"),
        ("/rules/shop".to_owned(), "At a glance"),
        (format!("/rules/shop/versions/{hash}/edit"), "See what would change"),
        (format!("/rules/shop/versions/{hash}"), "At a glance"),
        ("/services".to_owned(), "payment"),
        ("/bulk".to_owned(), "None yet"),
        ("/bulk/new?act=retry&state=stuck".to_owned(), "Freeze this set"),
        ("/audit".to_owned(), "activate"),
    ] {
        let reply = desk.get(&path).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {reply:?}");
        is_a_page(&reply);
        assert!(text(&reply).contains(shows), "{path} shows `{shows}`: {}", text(&reply));
    }
}

#[tokio::test]
async fn how_reports_come_is_shown_beside_the_services() {
    let desk = Desk::open().await;
    assert!(text(&desk.get("/services").await).contains("Over HTTP alone"));
    let ways = desk.supervisor.metrics().ways();
    ways.know(ReportWay::Nats);
    let page = desk.get("/services").await;
    is_a_page(&page);
    assert!(text(&page).contains("don't come"), "{}", text(&page));
    ways.connected(ReportWay::Nats, true);
    ways.waiting(ReportWay::Nats, 17);
    for result in ["taken", "duplicate", "skipped", "rejected", "again"] {
        ways.delivered(ReportWay::Nats, result);
    }
    let why = "the bridge `payment`: no rule answers `payment/failed`";
    ways.unheard(ReportWay::Nats, vec![why.to_owned()]);
    desk.report("o-1", "r-1").await;
    let page = desk.get("/services").await;
    let (http, row) = text(&page).split_once("id=\"way-nats\"").expect("a row");
    let http = http.split("id=\"way-http\"").nth(1).expect("a row");
    assert!(http.contains("\"taken\">1<") && http.contains("\"rejected\">0<"), "{http}");
    assert!(row.contains("no rule answers"), "{row}");
    for shown in ["come since", "\"waiting there\">17<", "\"taken\">2<", "/rejected?way=nats"] {
        assert!(row.contains(shown), "{shown}: {row}");
    }
    let overview = desk.get("/v1/overview").await.body;
    let (http, way) = (&overview["overHttp"], &overview["ways"][0]);
    assert_eq!((&http["taken"], &way["unheard"]), (&json!(1), &json!([why])));
    assert_eq!(
        (&way["way"], &way["connected"], &way["waiting"]),
        (&json!("nats"), &json!(true), &json!(17))
    );
    assert_eq!(
        (&way["taken"], &way["skipped"], &way["rejected"]),
        (&json!(2), &json!(1), &json!(1))
    );
}

#[tokio::test]
async fn a_form_waives_a_step_and_the_audit_says_who_and_why() {
    let desk = Desk::open().await;
    let (case, step) = desk.stuck("o-1").await;
    let path = format!("/steps/{step}/acts");
    let nameless = send(&desk, &path, &[("act", "waive"), ("reason", "cash")]).await;
    assert_eq!(nameless.status, StatusCode::BAD_REQUEST);
    is_a_page(&nameless);
    assert!(text(&nameless).contains(&format!("/cases/{case}#{step}")), "there is a way back");
    let done = send(&desk, &path, &[("act", "waive"), ("reason", "cash"), ("actor", "Jörg")]).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{done:?}");
    assert_eq!(done.header("location"), format!("/cases/{case}#{step}"));
    assert!(done.header("set-cookie").starts_with("amends-actor=J%C3%B6rg; "), "{done:?}");
    let page = desk.get("/audit").await;
    for shown in ["Jörg", "waive", "cash", step.as_str()] {
        assert!(text(&page).contains(shown), "{shown}: {}", text(&page));
    }
    let again = send(&desk, &path, &[("act", "waive"), ("reason", "cash"), ("actor", "ann")]).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "what is decided stays");
}

/// How a browser and a program say where a request comes from, and whether it may change something.
const SENDERS: [(&[(&str, &str)], bool); 8] = [
    (&[("sec-fetch-site", "same-origin")], true),
    (&[("sec-fetch-site", "none")], true),
    (&[("sec-fetch-site", "cross-site")], false),
    (&[("sec-fetch-site", "same-site")], false),
    (&[("origin", "http://127.0.0.1:7100")], true),
    (&[("origin", "http://evil.example")], false),
    (&[("origin", "null")], false),
    (&[], true),
];

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let desk = Desk::open().await;
    let (_, step) = desk.stuck("o-1").await;
    for (sender, ours) in SENDERS {
        for path in [format!("/steps/{step}/acts"), "/v1/sagas/o-7/end".to_owned()] {
            let request = Request::post(&path).header("content-type", "text/plain");
            let request = sender.iter().fold(request, |r, (name, value)| r.header(*name, *value));
            let reply = desk.send(request.body(Body::from("act=nothing")).expect("plain")).await;
            assert_eq!(reply.status != StatusCode::FORBIDDEN, ours, "{path} {sender:?}: {reply:?}");
        }
    }
    assert_eq!(desk.get(&format!("/v1/steps/{step}")).await.body["state"], "stuck");
}

#[tokio::test]
async fn a_site_that_points_its_name_at_us_reads_nothing() {
    let desk = Desk::open().await;
    desk.stuck("o-1").await;
    for path in ["/", "/cases/c-1", "/v1/cases/c-1", "/v1/cases:export", "/metrics"] {
        let of = |host| Request::get(path).header("host", host).body(Body::empty()).expect("plain");
        let reply = desk.send(of("evil.example:7100")).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{path}: {reply:?}");
        assert_eq!(desk.send(of("localhost:7100")).await.status, StatusCode::OK, "{path}");
        let reply = desk.get(path).await;
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.header("cache-control"), "no-store", "{path}");
    }
}

#[tokio::test]
async fn what_comes_from_outside_is_text_and_secrets_are_not_shown() {
    let desk = Desk::open().await;
    desk.script.answer("payment.pay", StepReading::Refused);
    let evil = "<script>alert(1)</script>";
    let data = json!({
        "code": "failed", "action": "place", "message": evil,
        "data": { "note": "<img src=x>", "apiToken": "very-secret" },
    });
    let case = desk.send(binary("o-1", "r-1", &data)).await.body["caseId"]
        .as_str()
        .expect("a case")
        .to_owned();
    desk.payment_step(&case, "stuck").await;
    for path in ["/".to_owned(), "/cases".to_owned(), format!("/cases/{case}")] {
        let page = desk.get(&path).await;
        is_a_page(&page);
        assert!(!text(&page).contains(evil) && !text(&page).contains("<img src=x>"), "{path}");
    }
    let page = desk.get(&format!("/cases/{case}")).await;
    assert!(text(&page).contains("(not shown)"), "{}", text(&page));
    let step = desk.payment_step(&case, "stuck").await["id"].as_str().expect("an id").to_owned();
    let edited = [
        ("act", "edit"),
        ("reason", "no note"),
        ("actor", "ann"),
        ("data", r#"{"note": "", "apiToken": "(not shown)"}"#),
    ];
    let done = send(&desk, &format!("/steps/{step}/acts"), &edited).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{done:?}");
    let step = desk.get(&format!("/v1/steps/{step}")).await.body;
    let wanted = json!({"note": "", "apiToken": "very-secret"});
    assert_eq!(step["edited"], wanted, "what was not shown keeps its value");
    for path in [format!("/cases/{case}"), "/audit".to_owned()] {
        let page = desk.get(&path).await;
        assert!(!text(&page).contains("very-secret"), "{path}: {}", text(&page));
    }
    let page = desk.get(&format!("/cases/{case}")).await;
    assert!(
        text(&page).contains("POST http://127.0.0.1:1/amends/v1/compensate/pay"),
        "the request is shown"
    );
}

#[tokio::test]
async fn selected_cases_become_a_frozen_bulk_act_that_is_started_by_hand() {
    let desk = Desk::open().await;
    let (first, step) = desk.stuck("o-1").await;
    let (second, _) = desk.stuck("o-2").await;
    let (third, untouched) = desk.stuck("o-3").await;
    let none = desk.get("/bulk/new?act=retry&of=cases").await;
    assert_eq!(none.status, StatusCode::BAD_REQUEST, "nothing selected is not everything");
    let proposal =
        desk.get(&format!("/bulk/new?of=cases&act=waive&case={first}&case={second}")).await;
    assert!(text(&proposal).contains("waive 2 steps?"), "{}", text(&proposal));
    let fields = [
        ("act", "waive"),
        ("reason", "shop closed"),
        ("actor", "ann"),
        ("filter.case", first.as_str()),
        ("filter.case", second.as_str()),
        ("filter.of", "cases"),
    ];
    let made = send(&desk, "/bulk", &fields).await;
    assert_eq!(
        (made.status, made.header("location")),
        (StatusCode::SEE_OTHER, "/bulk/b-1"),
        "{made:?}"
    );
    assert_eq!(
        desk.get(&format!("/v1/steps/{step}")).await.body["state"],
        "stuck",
        "only looked at"
    );
    let page = desk.get("/bulk/b-1").await;
    assert!(text(&page).contains("Nothing has been done yet"));
    let started = send(&desk, "/bulk/b-1/acts", &[("act", "start"), ("actor", "ann")]).await;
    assert_eq!(started.status, StatusCode::SEE_OTHER, "{started:?}");
    desk.until("/v1/bulk/b-1", |bulk| bulk["state"] == "done").await;
    assert_eq!(desk.get(&format!("/v1/steps/{step}")).await.body["outcome"], "waived");
    assert_eq!(desk.get(&format!("/v1/steps/{untouched}")).await.body["state"], "stuck", "{third}");
}

#[tokio::test]
async fn within_a_group_only_what_the_list_shows_is_meant() {
    let desk = Desk::open().await;
    desk.stuck("o-1").await;
    desk.stuck("p-2").await;
    let groups = desk.get("/v1/groups").await.body;
    let refused = groups.as_array().expect("a list").iter().find(|g| g["cause"] == "refused");
    let group = refused.expect("a group")["id"].as_str().expect("an id").to_owned();
    let all = desk.get(&format!("/bulk/new?group={group}&act=retry")).await;
    assert!(text(&all).contains("retry 2 steps?"), "{}", text(&all));
    let one = desk.get(&format!("/bulk/new?of=cases&group={group}&q=p-&act=retry")).await;
    assert!(text(&one).contains("retry 1 step?"), "{}", text(&one));
    let sorted = desk.get("/bulk/new?of=cases&act=retry&sort=oldest").await;
    assert_eq!(sorted.status, StatusCode::BAD_REQUEST, "an order narrows nothing");
}

#[tokio::test]
async fn a_browser_that_was_led_here_by_another_name_is_turned_away() {
    let desk = Desk::open().await;
    for (path, name) in [("/", "evil.example"), ("/v1/cases", "evil.example")] {
        let request = Request::get(path).header("host", name).header("sec-fetch-site", "none");
        let reply = desk.send(request.body(Body::empty()).expect("a request")).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn what_was_waived_is_never_shown_as_done() {
    let desk = Desk::open().await;
    desk.script.answer("order.place", StepReading::Refused);
    let (case, step) = desk.stuck("o-1").await;
    let refused = |body: &serde_json::Value| {
        body["plan"].as_array().is_some_and(|plan| plan.iter().all(|s| s["state"] == "stuck"))
    };
    desk.until(&format!("/v1/cases/{case}"), refused).await;
    let fields = [("act", "waive"), ("reason", "cash"), ("actor", "ann")];
    send(&desk, &format!("/steps/{step}/acts"), &fields).await;
    let overview = desk.get("/v1/overview").await.body;
    let services = overview["services"].as_array().expect("a list").iter();
    let count = |what| services.clone().filter_map(|s| s["progress"][what].as_u64()).sum::<u64>();
    assert_eq!((count("done"), count("waived"), count("stuck")), (0, 1, 1), "{overview}");
}

#[tokio::test]
async fn all_that_a_list_shows_can_be_acted_on() {
    let desk = Desk::open().await;
    desk.stuck("o-1").await;
    desk.stuck("p-2").await;
    let page = desk.get("/bulk/new?of=cases&act=retry&q=p-&state=stuck").await;
    assert!(text(&page).contains("retry 1 step?"), "{}", text(&page));
    let cases = desk.get("/bulk/new?of=cases&act=replan&state=stuck").await;
    assert!(text(&cases).contains("replan 2 cases?"), "{}", text(&cases));
}

#[tokio::test]
async fn a_service_is_paused_limited_and_resumed() {
    let desk = Desk::open().await;
    let act = |act: &'static str| {
        [("act", act), ("reason", "maintenance"), ("actor", "ann"), ("concurrency", "2")]
    };
    for (word, field, value) in [
        ("pause", "paused", json!(true)),
        ("resume", "paused", json!(false)),
        ("limit", "concurrency", json!(2)),
        ("unlimit", "concurrency", json!(16)),
    ] {
        let reply = send(&desk, "/services/payment/acts", &act(word)).await;
        assert_eq!(reply.header("location"), "/services#payment", "{reply:?}");
        let services = desk.get("/v1/services").await.body;
        let payment = services.as_array().expect("a list").iter().find(|s| s["name"] == "payment");
        assert_eq!(payment.expect("known")[field], value, "{word}");
    }
    let wrong = send(
        &desk,
        "/services/payment/acts",
        &[("act", "limit"), ("reason", "x"), ("actor", "a"), ("concurrency", "two")],
    )
    .await;
    assert!(text(&wrong).contains("`concurrency` is `two`"), "{}", text(&wrong));
}

#[tokio::test]
async fn a_new_version_is_looked_at_before_it_is_activated() {
    let desk = Desk::open().await;
    let next = BOOK.replace("compensate: [payment.pay]", "compensate: recorded");
    let looked = send(&desk, "/rules/preview", &[("path", "shop.yaml"), ("text", &next)]).await;
    is_a_page(&looked);
    assert!(
        text(&looked).contains("order/failed") && text(&looked).contains("Activate"),
        "{}",
        text(&looked)
    );
    assert_ne!(
        desk.get("/v1/rulebooks/shop").await.body["sources"][0]["text"],
        next,
        "nothing is stored"
    );
    let broken = next.replace("payment.pay", "payment.pey");
    let wrong = send(&desk, "/rules/preview", &[("path", "shop.yaml"), ("text", &broken)]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        text(&wrong).contains("shop.yaml:") && !text(&wrong).contains(">Activate<"),
        "{}",
        text(&wrong)
    );
    let base =
        desk.get("/v1/rulebooks/shop").await.body["hash"].as_str().expect("a hash").to_owned();
    let windows = next.replace('\n', "\r\n");
    let fields = [
        ("path", "shop.yaml"),
        ("text", windows.as_str()),
        ("reason", "one rule"),
        ("actor", "ann"),
        ("base", base.as_str()),
    ];
    let done = send(&desk, "/rules/activate", &fields).await;
    assert_eq!(done.header("location"), "/rules/shop", "{done:?}");
    assert_eq!(
        desk.get("/v1/rulebooks/shop").await.body["sources"][0]["text"],
        next,
        "lines as written"
    );
    let late = send(&desk, "/rules/activate", &fields).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "another version is active by now");
    assert!(text(&late).contains("one rule"), "what was typed is not lost");
}

#[tokio::test]
async fn a_case_that_no_rule_answers_is_planned_by_hand() {
    let desk = Desk::open().await;
    let without_default = BOOK.split("  - on: \"*/*\"").next().expect("the rules before it");
    let base =
        desk.get("/v1/rulebooks/shop").await.body["hash"].as_str().expect("a hash").to_owned();
    let fields = [
        ("path", "shop.yaml"),
        ("text", without_default),
        ("reason", "no default"),
        ("actor", "ann"),
        ("base", base.as_str()),
    ];
    assert_eq!(send(&desk, "/rules/activate", &fields).await.header("location"), "/rules/shop");
    let report = binary("o-1", "r-1", &json!({"code": "other", "action": "place"}));
    let case = desk.send(report).await.body["caseId"].as_str().expect("a case").to_owned();
    let path = format!("/cases/{case}");
    let page = desk.get(&path).await;
    assert!(text(&page).contains("No rule answers this report"), "{}", text(&page));
    let acts = format!("{path}/acts");
    let plan =
        |action| [("act", "plan"), ("reason", "paid"), ("actor", "ann"), ("compensate", action)];
    let wrong = send(&desk, &acts, &plan("payment.pey")).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "{wrong:?}");
    let reply = send(&desk, &acts, &plan("payment.pay")).await;
    assert_eq!((reply.status, reply.header("location")), (StatusCode::SEE_OTHER, path.as_str()));
    desk.payment_step(&case, "done").await;
    assert!(text(&desk.get(&path).await).contains("compensate payment.pay"));
}

#[tokio::test]
async fn an_address_without_a_page_is_told_in_the_reader_s_language() {
    let desk = Desk::open().await;
    let browser = Request::get("/nowhere").header("accept", "text/html,*/*").body(Body::empty());
    let page = desk.send(browser.expect("a request")).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    is_a_page(&page);
    assert_eq!(desk.get("/nowhere").await.problem(), "not-found");
    for path in ["/cases/c-999", "/cases/nonsense", "/bulk/b-7", "/rules/none"] {
        let reply = desk.get(path).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
        is_a_page(&reply);
    }
}

#[tokio::test]
async fn empty_fields_of_a_filter_leave_the_address() {
    let desk = Desk::open().await;
    let reply = desk.get("/cases?q=&state=stuck&service=").await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (StatusCode::SEE_OTHER, "/cases?state=stuck")
    );
    let edit = desk.get("/rules/shop/edit").await;
    assert!(edit.header("location").ends_with("/edit"), "{edit:?}");
    let wrong = desk.get("/cases?older_than=yesterday").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(text(&wrong).contains("write e.g. 90s"), "{}", text(&wrong));
}
