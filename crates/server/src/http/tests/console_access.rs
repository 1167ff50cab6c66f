//! What the console offers to whom: acts that somebody may not do are absent, and refused all the same.

use super::access::Gate;
use super::desk::Reply;
use axum::body::Body;
use axum::http::{Request, StatusCode};

fn text(reply: &Reply) -> &str {
    reply.body.as_str().expect("a page")
}

/// What a page must have in it for who may, and must not have for who may not.
const ACTS: [(&str, &str); 9] = [
    ("/cases/{case}", "action=\"/steps/"),
    ("/cases/{case}", "action=\"/cases/"),
    ("/cases", "Retry selected"),
    ("/cases", "aria-label=\"Select"),
    ("/cases?view=causes", "/bulk/new"),
    ("/services", "action=\"/services/"),
    ("/rules/shop", "action=\"/rules/shop/holds\""),
    ("/rules/shop", "id=\"edit\""),
    ("/rules", "id=\"new\""),
];

#[tokio::test]
async fn acts_that_somebody_may_not_do_are_absent() {
    let (gate, case, _) = Gate::with_a_stuck_case().await;
    let (reader, operator) = (gate.token(&["read"]).await, gate.token(&["act", "rules"]).await);
    for (path, act) in ACTS {
        let path = path.replace("{case}", &case);
        let (seen, may) = (gate.get(&path, &reader).await, gate.get(&path, &operator).await);
        assert_eq!((seen.status, may.status), (StatusCode::OK, StatusCode::OK), "{path}");
        assert!(!text(&seen).contains(act), "{act} in {path}");
        assert!(text(&may).contains(act), "{act} not in {path}: {}", text(&may));
    }
    // Who acts changes no rules, and the other way round.
    let (act, rules) = (gate.token(&["act"]).await, gate.token(&["rules"]).await);
    let page = gate.get("/rules/shop", &act).await;
    assert!(text(&page).contains("/holds") && !text(&page).contains("id=\"edit\""));
    let page = gate.get("/rules/shop", &rules).await;
    assert!(!text(&page).contains("/holds\"") && text(&page).contains("id=\"edit\""));
}

#[tokio::test]
async fn what_is_absent_is_refused_with_what_is_missing() {
    let (gate, case, step) = Gate::with_a_stuck_case().await;
    let reader = gate.token(&["read"]).await;
    for path in [
        format!("/steps/{step}/acts"),
        format!("/cases/{case}/acts"),
        "/services/payment/acts".to_owned(),
        "/rules/shop/holds".to_owned(),
        "/rules/activate".to_owned(),
        "/bulk".to_owned(),
    ] {
        let reply = gate.form(&path, &reader, "act=retry&reason=why").await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{path}");
        let page = text(&reply);
        assert!(page.contains("needs the scope"), "{path}: {page}");
    }
}

#[tokio::test]
async fn who_acts_on_one_rulebook_is_offered_nothing_of_others() {
    let (gate, case, _) = Gate::with_a_stuck_case().await;
    let (own, other) = (gate.token(&["act@shop"]).await, gate.token(&["act@elsewhere"]).await);
    let page = gate.get(&format!("/cases/{case}"), &own).await;
    assert!(text(&page).contains("action=\"/steps/"));
    // What is of all rulebooks is not named in the navigation.
    for part in ["/services", "/audit", "/bulk"] {
        assert!(!text(&page).contains(&format!("<a href=\"{part}\"")), "{part}");
        assert_eq!(gate.get(part, &own).await.status, StatusCode::FORBIDDEN, "{part}");
    }
    assert_eq!(gate.get(&format!("/cases/{case}"), &other).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_login_leads_to_a_page_that_one_may_see() {
    let (gate, _, _) = Gate::with_a_stuck_case().await;
    for (grants, page) in [
        (&["read"][..], "/"),
        (&["act@shop"], "/cases"),
        (&["report:payment"], "/me"),
        (&["admin"], "/"),
    ] {
        let token = gate.token(grants).await;
        let entered = gate.form("/login", "", &format!("token={token}&next=%2F")).await;
        assert_eq!(entered.header("location"), page, "{grants:?}");
        let cookie = entered.header("set-cookie").split(';').next().expect("a pair").to_owned();
        let request = Request::get(page).header("cookie", cookie).body(Body::empty());
        let shown = gate.desk.send(request.expect("a request")).await;
        assert_eq!(shown.status, StatusCode::OK, "{grants:?}");
    }
}

#[tokio::test]
async fn a_login_with_a_token_for_emergencies_is_in_the_audit() {
    let (gate, _, _) = Gate::with_a_stuck_case().await;
    let (token, admin) = (gate.token_for_emergencies().await, gate.token(&["admin"]).await);
    let entered = gate.form("/login", "", &format!("token={token}")).await;
    assert_eq!(entered.status, StatusCode::SEE_OTHER, "{entered:?}");
    let acts = gate.get("/v1/acts", &admin).await;
    let newest = &acts.body["items"][0];
    assert_eq!(
        (&newest["act"], &newest["actor"]),
        (&"break_glass".into(), &"token:test".into()),
        "{acts:?}"
    );
}
