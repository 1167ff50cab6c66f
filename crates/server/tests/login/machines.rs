//! Services show a JWT of their platform in place of a token of ours.

use crate::browser::Browser;
use crate::issuer::IssuerKey;
use crate::liar::{Liar, now_s};
use crate::stage::Stage;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

async fn stage() -> Stage {
    let liar = Liar::start().await;
    let (issuer, at) = (liar.issuer(), liar.issuer());
    let more = format!(
        "[access.jwt.cluster]
        issuer = 'https://cluster.example'
        audience = 'amends'
        jwks = '{at}/keys'
        grants = [
          {{ claim = 'sub', is = 'system:serviceaccount:shop:*', grants = ['report:{{*}}'] }},
          {{ claim = 'groups', is = 'watchers', grants = ['read'] }},
        ]"
    );
    assert_ne!(issuer, "https://cluster.example");
    Stage::with(liar, &more).await
}

fn pod(account: &str) -> Value {
    let now = now_s();
    json!({
        "iss": "https://cluster.example", "aud": ["amends"], "sub": format!("system:serviceaccount:{account}"),
        "exp": now + 3_600, "iat": now, "nbf": now,
    })
}

async fn ask(
    stage: &Stage,
    method: &str,
    path: &str,
    token: &str,
    body: &str,
) -> (StatusCode, Value) {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", stage.running.address))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .header("ce-specversion", "1.0")
        .header("ce-type", "dev.amends.report")
        .header("ce-source", "/payment")
        .header("ce-id", "r-1")
        .header("ce-sagaid", "order-1")
        .header("ce-service", "payment");
    let request = request.body(Full::new(bytes::Bytes::from(body.to_owned()))).expect("a request");
    let answer = client.request(request).await.expect("an answer");
    let status = answer.status();
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_service_is_who_its_platform_says() {
    let stage = stage().await;
    let token = stage.liar.key().token(&pod("shop:payment"));
    let (status, who) = ask(&stage, "GET", "/v1/whoami", &token, "").await;
    assert_eq!(status, 200, "{who}");
    assert_eq!(who["name"], "service:cluster/system:serviceaccount:shop:payment");
    assert_eq!((&who["kind"], &who["grants"]), (&json!("service"), &json!(["report:payment"])));
    // It may report, and nothing else.
    assert_eq!(ask(&stage, "GET", "/v1/cases", &token, "").await.0, 403);
    let mut watcher = pod("shop:grafana");
    watcher["groups"] = json!(["watchers"]);
    let watcher = stage.liar.key().token(&watcher);
    assert_eq!(ask(&stage, "GET", "/v1/cases", &watcher, "").await.0, 200);
}

#[tokio::test]
async fn a_token_of_a_platform_is_checked_like_any_other() {
    let stage = stage().await;
    let key = stage.liar.key();
    let with = |name: &str, value: Value| {
        let mut claims = pod("shop:payment");
        claims[name] = value;
        claims
    };
    let now = now_s();
    for (token, told, what) in [
        (key.token(&with("aud", json!("vault"))), "another audience", "a token for somebody else"),
        (key.token(&with("iss", json!("https://evil.example"))), "no issuer", "a stranger's token"),
        (key.token(&with("exp", json!(now - 120))), "has expired", "an old token"),
        (key.token(&with("nbf", json!(now + 600))), "not valid yet", "a token of tomorrow"),
        (
            IssuerKey::new("ES256", "key-1").token(&pod("shop:payment")),
            "does not fit",
            "a token of another key",
        ),
        (format!("{}x", key.token(&pod("shop:payment"))), "does not fit", "a changed token"),
        (
            key.token_with(&json!({ "alg": "none" }), &pod("shop:payment")),
            "not allowed",
            "no signature",
        ),
    ] {
        let (status, problem) = ask(&stage, "GET", "/v1/whoami", &token, "").await;
        assert_eq!(status, 401, "{what}: {problem}");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(told), "{what}: {detail}");
    }
    // One of another namespace is known, and may nothing.
    let other = key.token(&pod("other:payment"));
    let (status, who) = ask(&stage, "GET", "/v1/whoami", &other, "").await;
    assert_eq!((status, &who["grants"]), (StatusCode::OK, &json!([])));
    assert_eq!(ask(&stage, "GET", "/v1/cases", &other, "").await.0, 403);
}

#[tokio::test]
async fn what_tells_who_logged_in_lets_no_program_in() {
    let stage = stage().await;
    // The provider of people is no issuer of services, however good its signature is.
    let mut claims = pod("shop:payment");
    claims["iss"] = stage.liar.issuer().into();
    let token = stage.liar.key().token(&claims);
    let (status, _) = ask(&stage, "GET", "/v1/whoami", &token, "").await;
    assert_eq!(status, 401);
    // And a JWT is no token for the login of a person.
    let token = stage.liar.key().token(&pod("shop:payment"));
    let fields = [("token".to_owned(), token)];
    let page = stage.browser().post(&Browser::at("/login"), &fields).await;
    assert_eq!(page.status, 401, "{}", page.body);
}
