//! Somebody whose rights are for one rulebook: they see all of it, and nothing of another, whatever they ask for.

use super::access::{Gate, tried};
use super::desk::{Desk, Reply};
use crate::access::{About, Needs, ROUTES};
use axum::http::StatusCode;
use serde_json::{Value, json};

/// Words that only the other team's rulebook, case and evidence have.
const FOREIGN: [&str; 8] =
    ["bazaar", "kiosk", "cashbox", "basket", "melted", "icecream", "whisper", "unvend"];

/// A gate before two rulebooks with a stuck case each: the own case and its step, and the other's.
struct TwoTeams {
    gate: Gate,
    own: (String, String),
    other: (String, String),
    /// The group of the other's trouble.
    group: String,
}

impl TwoTeams {
    async fn open() -> Self {
        let desk = Desk::open().await;
        let own = desk.stuck("o-1").await;
        let case = desk.with_a_market().await;
        let shown = desk.get(&format!("/v1/cases/{case}")).await.body;
        let step = shown["plan"][0]["id"].as_str().expect("a step").to_owned();
        let groups = desk.get("/v1/groups").await.body;
        let groups = groups.as_array().expect("a list").clone();
        let theirs = groups.iter().find(|group| group["service"] == "cashbox");
        let group = theirs.and_then(|group| group["id"].as_str()).expect("a group").to_owned();
        let gate = Gate::before(desk);
        Self { gate, own, other: (case, step), group }
    }

    /// Everything that can be asked for, with what somebody who is curious would put into it.
    fn questions(&self) -> Vec<String> {
        let queries = [
            String::new(),
            "?view=causes".to_owned(),
            format!("?group={}", self.group),
            format!("?case={}", self.other.0),
            "?saga=basket-1".to_owned(),
            "?service=cashbox".to_owned(),
            "?q=icecream".to_owned(),
            "?act=retry&service=cashbox".to_owned(),
            format!("?act=retry&group={}", self.group),
            format!("?act=replan&of=cases&saga={}", "basket-1"),
            "?act=accept".to_owned(),
        ];
        let mut all = Vec::new();
        for (_, path, needs) in ROUTES.iter().filter(|(method, _, _)| *method == "GET") {
            let ids = match needs {
                Needs::The(_, About::Step) => vec![&self.own.1, &self.other.1],
                _ => vec![&self.own.0, &self.other.0],
            };
            for name in ["shop", "bazaar"] {
                for id in &ids {
                    let path = path.replace("{id}", id).replace("{name}", name);
                    let path = tried(&path.replace("{position}", "0"));
                    all.extend(queries.iter().map(|query| format!("{path}{query}")));
                }
            }
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// What an answer tells beside what was asked for.
fn told(asked: &str, reply: &Reply) -> String {
    let text = reply.body.as_str().map_or_else(|| reply.body.to_string(), str::to_owned);
    // The page repeats its own address, and what stood in its form.
    let query = asked.split_once('?').map_or("", |(_, query)| query);
    let words = query.split('&').filter_map(|pair| Some(pair.split_once('=')?.1));
    words.filter(|word| !word.is_empty()).fold(text, |text, word| text.replace(word, ""))
}

#[tokio::test]
async fn nothing_of_another_rulebook_is_told_on_any_route() {
    let teams = TwoTeams::open().await;
    let grants = ["read:data@shop", "act@shop", "rules@shop"];
    let token = teams.gate.token(&grants).await;
    let mut answered = 0;
    for asked in teams.questions() {
        // Streams have no end; they need a right for everything.
        let path = asked.split('?').next().unwrap_or_default();
        let is_endless = ["/live", "/v1/events"].contains(&path);
        if is_endless {
            assert_eq!(teams.gate.status("GET", &asked, &token).await, StatusCode::FORBIDDEN);
            continue;
        }
        let reply = teams.gate.get(&asked, &token).await;
        if !reply.status.is_success() {
            continue; // a refusal names what was asked for, and says no more than that
        }
        answered += 1;
        let told = told(&asked, &reply);
        for word in FOREIGN {
            assert!(!told.contains(word), "{asked} tells of `{word}`: {told}");
        }
    }
    assert!(answered > 50, "{answered}: who asks for their own is answered");
    // The words are those of the other team: who sees everything meets each.
    let all = teams.gate.token(&["admin"]).await;
    let mut seen = String::new();
    for path in ["/v1/cases", "/questions", "/rules/bazaar", "/v1/rulebooks", "/v1/groups"] {
        seen.push_str(&teams.gate.get(path, &all).await.body.to_string());
    }
    let case = teams.gate.get(&format!("/cases/{}", teams.other.0), &all).await;
    seen.push_str(&case.body.to_string());
    let missing: Vec<_> = FOREIGN.iter().filter(|word| !seen.contains(**word)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test]
async fn who_has_several_rulebooks_sees_each_of_them() {
    let teams = TwoTeams::open().await;
    let both = teams.gate.token(&["read@shop", "act@bazaar"]).await;
    let ids = |reply: Reply| -> Vec<Value> {
        let items = reply.body["items"].as_array().expect("items").clone();
        items.into_iter().map(|case| case["id"].clone()).collect()
    };
    let (own, other) = (json!(teams.own.0), json!(teams.other.0));
    assert_eq!(ids(teams.gate.get("/v1/cases", &both).await), [other.clone(), own.clone()]);
    assert_eq!(ids(teams.gate.get("/v1/cases?rulebook=shop", &both).await), [own]);
    assert_eq!(ids(teams.gate.get("/v1/cases?rulebook=bazaar", &both).await), [other]);
    let third = teams.gate.get("/v1/cases?rulebook=shop,third", &both).await;
    assert_eq!(third.status, StatusCode::FORBIDDEN, "{third:?}");
    let page = teams.gate.get("/cases", &both).await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    let start = teams.gate.get("/", &both).await;
    assert_eq!((start.status, start.header("location")), (StatusCode::SEE_OTHER, "/cases"));
}

#[tokio::test]
async fn a_filter_acts_on_ones_own_alone() {
    let teams = TwoTeams::open().await;
    let own = teams.gate.token(&["act@shop"]).await;
    let all = json!({"act": {"act": "retry", "reason": "again"}, "filter": {"state": "stuck"}, "dryRun": true});
    let found = teams.gate.ask("POST", "/v1/steps:act", &own, Some(all)).await;
    assert_eq!(found.body["ids"], json!([teams.own.1]), "{found:?}");
    let bulk = |filter: Value| json!({"act": "retry", "reason": "again", "filter": filter, "dryRun": true});
    let theirs = bulk(json!({"rulebook": "bazaar"}));
    let refused = teams.gate.ask("POST", "/v1/bulk", &own, Some(theirs)).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");
    // What somebody may not see, they can't find out by counting what a filter matches.
    let guess = bulk(json!({"q": "as told"}));
    let refused = teams.gate.ask("POST", "/v1/bulk", &own, Some(guess)).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");
    assert!(refused.detail().contains("read:data"), "{}", refused.detail());
}

#[tokio::test]
async fn a_case_is_moved_only_to_a_rulebook_that_is_ones_own() {
    let teams = TwoTeams::open().await;
    let own = teams.gate.token(&["act@shop"]).await;
    let path = format!("/v1/cases/{}/acts", teams.own.0);
    let act = json!({"act": "replan", "reason": "theirs", "rulebook": "bazaar"});
    let moved = teams.gate.ask("POST", &path, &own, Some(act.clone())).await;
    assert_eq!(moved.status, StatusCode::FORBIDDEN, "{moved:?}");
    let both = teams.gate.token(&["act@shop", "act@bazaar"]).await;
    let moved = teams.gate.ask("POST", &path, &both, Some(act)).await;
    assert_ne!(moved.status, StatusCode::FORBIDDEN, "{moved:?}");
}
