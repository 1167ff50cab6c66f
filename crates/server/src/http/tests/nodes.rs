//! Nodes that share a store, over the API, in the console and in the metrics: who holds what, and how one is drained.

use super::desk::{Desk, send_form};
use crate::nodes::Nodes;
use crate::nodes::tests::{Pretended, node, three};
use amends_store::ClusterSeen;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

type Shared = Arc<Mutex<ClusterSeen>>;

/// One that is `b`.
async fn desk(seen: ClusterSeen) -> (Desk, Shared) {
    let shared = Arc::new(Mutex::new(seen));
    let nodes = Nodes::of(Pretended(Arc::clone(&shared)), "b", true);
    (Desk::open().await.among(nodes), shared)
}

fn post(path: &str, body: &Value) -> Request<Body> {
    let request = Request::post(path).header("amends-actor", "ann");
    let request = request.header("content-type", "application/json");
    request.body(Body::from(body.to_string())).expect("a request")
}

fn is_leaving(shared: &Shared, name: &str) -> bool {
    let seen = shared.lock().expect("no panic");
    seen.nodes.iter().any(|node| node.name == name && node.leaving)
}

#[tokio::test]
async fn who_holds_what_is_told_alike_by_api_console_and_metrics() {
    let (desk, shared) = desk(three()).await;
    let told = desk.get("/v1/nodes").await;
    assert_eq!(told.status, StatusCode::OK);
    let (body, nodes) = (&told.body, &told.body["nodes"]);
    assert_eq!((&body["shared"], &body["withoutOwner"]), (&json!(true), &json!(0)));
    let states: Vec<_> = (0..3).map(|n| nodes[n]["state"].clone()).collect();
    assert_eq!(states, [json!("alive"), json!("alive"), json!("silent")]);
    assert_eq!((&nodes[0]["seat"], &nodes[1]["answering"]), (&json!(true), &json!(true)));
    assert_eq!(nodes[0]["parts"].as_array().map(Vec::len), Some(32));

    let page = desk.get("/nodes").await;
    let page = page.body.as_str().expect("a page");
    for part in [
        "32 of 64 parts and <b>the seat</b>",
        "(32–63)",
        "shows you this page",
        "-12 ms to that of the database",
        "It has not shown itself for 1m 30s",
        "2 letters wait between nodes, the oldest for 70 ms",
        "node <a href=\"/nodes\">b</a>",
        "action=\"/nodes/a/acts\"",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("action=\"/nodes/c/acts\""), "nobody there hears it: {page}");
    assert!(!page.contains("held by nobody") && !page.contains("two versions"), "{page}");

    let scraped = desk.get("/metrics").await;
    let scraped = scraped.body.as_str().expect("text");
    assert!(scraped.contains("\namends_node_partitions{node=\"b\"} 32\n"), "{scraped}");

    let mut newer = node("b", 40..60);
    newer.version = 5;
    *shared.lock().expect("no panic") =
        ClusterSeen { nodes: vec![node("a", 0..40), newer], ..ClusterSeen::default() };
    let page = desk.get("/nodes").await;
    let page = page.body.as_str().expect("a page");
    assert!(page.contains("5 of 65 are held by nobody"), "{page}");
    assert!(page.contains("two versions"), "{page}");
}

#[tokio::test]
async fn a_node_is_drained_and_resumed_with_a_reason_that_stands_in_the_audit() {
    let (desk, shared) = desk(three()).await;
    let (drain, why) = ("/v1/nodes/a/drain", json!({"reason": "a new kernel"}));
    let nameless = desk.send(post(drain, &json!({"reason": " "}))).await;
    assert_eq!(nameless.problem(), "invalid-request");
    assert!(!is_leaving(&shared, "a"));
    let told = desk.send(post(drain, &why)).await;
    assert_eq!((told.status, &told.body["state"]), (StatusCode::OK, &json!("draining")));
    assert!(is_leaving(&shared, "a"));
    let acts = desk.get("/v1/acts").await.body;
    let act = &acts["items"][0];
    assert_eq!((&act["act"], &act["actor"]), (&json!("node_drain"), &json!("ann")), "{acts}");
    assert_eq!(act["detail"]["node"], "a", "{acts}");

    // Now the other one is the last that works.
    let last = desk.send(post("/v1/nodes/b/drain", &why)).await;
    assert!(last.problem() == "conflict" && last.detail().contains("`last: true`"), "{last:?}");
    let page = desk.get("/nodes").await;
    let page = page.body.as_str().expect("a page");
    assert!(page.contains("It is the last node that works"), "{page}");
    let anyhow = json!({"reason": "all of it goes", "last": true});
    assert_eq!(desk.send(post("/v1/nodes/b/drain", &anyhow)).await.status, StatusCode::OK);

    let told = desk.send(post("/v1/nodes/a/resume", &why)).await;
    assert_eq!((told.status, &told.body["state"]), (StatusCode::OK, &json!("alive")));
    assert!(!is_leaving(&shared, "a"));
    assert_eq!(desk.get("/v1/acts").await.body["items"][0]["act"], "node_resume");

    assert_eq!(desk.send(post("/v1/nodes/c/drain", &why)).await.problem(), "conflict");
    assert_eq!(desk.send(post("/v1/nodes/d/drain", &why)).await.problem(), "not-found");
}

#[tokio::test]
async fn the_console_drains_as_the_api_does() {
    let (desk, shared) = desk(three()).await;
    let form = |act| [("act", act), ("actor", "ann"), ("reason", "a new kernel"), ("last", "")];
    let seen = send_form(&desk, "/nodes/a/acts", &form("drain")).await;
    assert_eq!((seen.status, seen.header("location")), (StatusCode::SEE_OTHER, "/nodes#node-a"));
    assert!(is_leaving(&shared, "a"));
    let last = send_form(&desk, "/nodes/b/acts", &form("drain")).await;
    assert_eq!(last.status, StatusCode::CONFLICT);
    let anyhow = [("act", "drain"), ("actor", "ann"), ("reason", "all of it"), ("last", "yes")];
    let seen = send_form(&desk, "/nodes/b/acts", &anyhow).await;
    assert_eq!(seen.status, StatusCode::SEE_OTHER);
    let seen = send_form(&desk, "/nodes/a/acts", &form("resume")).await;
    assert_eq!((seen.status, is_leaving(&shared, "a")), (StatusCode::SEE_OTHER, false));
    let wrong = send_form(&desk, "/nodes/a/acts", &form("stop")).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn one_that_keeps_its_cases_in_a_file_is_alone() {
    let desk = Desk::open().await;
    assert!(desk.get("/v1/overview").await.body["silentNodes"].is_null());
    assert!(!desk.get("/").await.body.as_str().expect("a page").contains("silent-nodes"));
    let told = desk.get("/v1/nodes").await.body;
    assert_eq!((&told["shared"], &told["nodes"]), (&json!(false), &json!([])));
    let page = desk.get("/nodes").await;
    assert!(page.body.as_str().is_some_and(|page| page.contains("keeps its cases alone")));
    let overview = desk.get("/").await;
    assert!(!overview.body.as_str().expect("a page").contains("href=\"/nodes\""), "not offered");
    let drain = post("/v1/nodes/a/drain", &json!({"reason": "x"}));
    assert_eq!(desk.send(drain).await.problem(), "not-found");
}

#[tokio::test]
async fn one_that_holds_all_is_stopped_and_not_drained() {
    let shared = Arc::new(Mutex::new(three()));
    let desk = Desk::open().await.among(Nodes::of(Pretended(Arc::clone(&shared)), "a", false));
    let refused = desk.send(post("/v1/nodes/a/drain", &json!({"reason": "x"}))).await;
    assert!(refused.problem() == "conflict" && refused.detail().contains("`cluster.share`"));
    assert!(!is_leaving(&shared, "a"));
    let page = desk.get("/nodes").await;
    let page = page.body.as_str().expect("a page");
    assert!(page.contains("One node holds all") && !page.contains("/acts\""), "{page}");
}
