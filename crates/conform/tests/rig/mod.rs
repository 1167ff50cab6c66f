//! What the tests of the conformance kit share: listeners on free ports, the configuration for them, and a run that tells
//! how each check ended.
#![allow(dead_code)] // every test file uses its own part

use amends_conform::{CHECKS, Config, Examination, Stands, Verdict, run};
use axum::Router;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The key that kit and participants share.
pub const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Longest wait for what always comes; reached only when something is broken.
pub const PATIENT: Duration = Duration::from_secs(30);

/// The kit's own listeners, and the addresses that a participant is told.
pub struct Ports {
    pub stands: Stands,
    pub supervisor: String,
    pub downstream: String,
}

impl Ports {
    pub async fn free() -> Self {
        let supervisor = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let downstream = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = |listener: &TcpListener| listener.local_addr().expect("bound").to_string();
        Self {
            supervisor: address(&supervisor),
            downstream: address(&downstream),
            stands: Stands { supervisor: Some(supervisor), downstream: Some(downstream) },
        }
    }

    /// The configuration of the coupon service that all tests use, with everything that it may have.
    pub fn config(&self) -> String {
        let Self { supervisor, downstream, .. } = self;
        format!(
            "\
service: coupon
actions:
  redeem:
    body: {{ coupon: \"C-{{unique}}\" }}
    fails_with: {{ body: {{ coupon: \"C-{{unique}}\", fail: expired }}, code: expired }}
    refuses_with: {{ body: {{ coupon: \"C-{{unique}}\", final: true }} }}
    calls: {{ body: {{ coupon: \"C-{{unique}}\", call: \"{{downstream}}\" }}, service: payment, action: pay, twice: {{ body: {{ coupon: \"C-{{unique}}\", call: \"{{downstream}}\", calls: 2 }} }} }}
    observe: {{ get: \"/effects?saga={{saga}}\", count: /count }}
fences:
  relay: {{ body: {{ coupon: \"C-{{unique}}\" }}, fails_with: {{ body: {{ fail: no-paper }}, code: no-paper }} }}
notices:
  send-receipt:
    observe: {{ get: \"/receipts?saga={{saga}}\", count: /count }}
signing: {{ secret: {KEY} }}
supervisor: {{ listen: \"{supervisor}\" }}
downstream: {{ listen: \"{downstream}\" }}
"
        )
    }
}

/// What the configuration says of a participant that is a test of this file, run in a process of its own.
pub fn process(test: &str, env: &[(&str, &str)]) -> String {
    let program = std::env::current_exe().expect("this file's binary");
    let arguments = ["--ignored", "--exact", test, "--nocapture"];
    let command: Vec<&str> =
        std::iter::once(program.to_str().expect("UTF-8")).chain(arguments).collect();
    let env: HashMap<&str, &str> = env.iter().copied().collect();
    // JSON is YAML.
    format!("process: {}\n", serde_json::json!({ "command": command, "env": env }))
}

/// An address at which nobody listens, for a participant that is started later.
pub async fn unused_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("bound").to_string()
}

/// The checks that need a participant which the kit starts itself.
pub fn of_restarts() -> BTreeSet<&'static str> {
    CHECKS.iter().map(|check| check.id).filter(|id| id.starts_with("restart-")).collect()
}

/// Reads a configuration that is right.
pub fn config(text: &str) -> Config {
    Config::read(text, &|source| match source {
        amends_conform::KeySource::Secret(key) => Ok(key.clone()),
        other => Err(format!("there is no {other:?}")),
    })
    .unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

/// Tries all checks, or those named.
pub async fn examine(url: &str, config: Config, stands: Stands, only: &[&str]) -> Examination {
    let only: Vec<String> = only.iter().map(|id| (*id).to_owned()).collect();
    run(url, config, stands, &only, |_| {}).await.expect("the participant is there")
}

/// The checks that ended so.
pub fn ended(examination: &Examination, verdict: &str) -> BTreeSet<&'static str> {
    let so = examination.results.iter().filter(|result| result.verdict.as_str() == verdict);
    so.map(|result| result.check.id).collect()
}

/// Every finding in full, for the message of a test that fails.
pub fn story(examination: &Examination) -> String {
    let mut out = String::new();
    for result in &examination.results {
        let id = result.check.id;
        match &result.verdict {
            Verdict::Failed(finding) => {
                out.push_str(&format!("{id}\n  {}\n", finding.lines().join("\n  ")));
            }
            Verdict::Skipped(lack) => out.push_str(&format!("{id}: {lack:?}\n")),
            Verdict::Blocked { by } => out.push_str(&format!("{id}: blocked by {by}\n")),
            Verdict::Passed => {}
        }
    }
    out
}

/// Serves at an address, for ever.
pub async fn serve_at(address: &str, router: Router) {
    let listener = TcpListener::bind(address).await.expect("a port that was free a moment ago");
    axum::serve(listener, router).await.expect("serves");
}

/// Serves on a port that the system picks.
pub async fn serve(router: Router) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
    (url, server)
}
