//! Everything secret of a configuration comes back: in reports, in evidence, in what services say, each value in
//! several writings. Every answer of the API and every page is looked through for all of it.

use super::desk::{Desk, binary};
use super::secrets::addresses;
use crate::config::{Config, Layers};
use amends_engine::StepReading;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::path::Path;

/// What of each place of the configuration must never be shown.
struct Planted {
    config: Config,
    values: Vec<(&'static str, String)>,
}

fn planted(folder: &Path) -> Planted {
    let mut values = Vec::new();
    let mut plant = |what: &'static str, value: &str| {
        values.push((what, value.to_owned()));
        value.to_owned()
    };
    let key = |text: &str| format!("whsec_{}", STANDARD.encode(text));
    let keys = [
        plant("a signing key", &key("first-signing-key-of-thirty-two-b")),
        plant("its successor", &key("other-signing-key-of-thirty-two-b")),
        plant("a key in a file", &key("third-signing-key-of-thirty-two-b")),
    ];
    let write = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).expect("written");
        folder.join(name).display().to_string()
    };
    let key_file = write("key", &format!("{}\n", keys[2]));
    let token_file = write("token", &plant("a secret in a file", "sk_live/9f86+d081=884c"));
    let proxy_file = write("proxy", &plant("the proxy's credentials", "ops:proxy-pass-4711"));
    let slack =
        plant("an address of Slack", "https://hooks.slack.example/services/T0AB/B0CD/Zk3mQ9xT1vB7");
    let hook = plant("a token in a webhook's address", "0a1b2c3d4e5f60718293a4b5");
    let password = plant("a password in an address", "collector-pass-0815");
    let text = format!(
        r#"
[signing_keys]
orders = ["{}", "{}"]
shop = {{ file = "{key_file}" }}
[secrets]
pay = {{ file = "{token_file}", hosts = ["pay.example"] }}
proxy = {{ file = "{proxy_file}", hosts = ["proxy.example"] }}
[alerts]
slack = ["{slack}"]
webhooks = ["https://hooks.example/alerts?token={hook}"]
[traces]
endpoint = "https://otel:{password}@collector.example:4318"
"#,
        keys[0], keys[1]
    );
    let mut layers = Layers::defaults();
    layers.file(Path::new("amends.toml"), &text).expect("known keys");
    Planted { config: Config::from_layers(&layers).expect("valid"), values }
}

/// As it is, percent-encoded, and as a part of something in base64.
fn writings(value: &str) -> [String; 3] {
    let percent: String = value
        .bytes()
        .map(|byte| match byte.is_ascii_alphanumeric() {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect();
    [value.to_owned(), percent, STANDARD.encode(format!("user:{value}:x"))]
}

#[tokio::test]
async fn what_the_configuration_holds_is_in_no_answer_however_it_came_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let Planted { config, values } = planted(folder.path());
    let desk = Desk::open().await.withholding(config.withheld);
    let all: Vec<String> = values.iter().flat_map(|(_, value)| writings(value)).collect();
    desk.script.answer("payment.pay", StepReading::Refused);
    desk.script.say(&format!("no such key: {}", all.join(" | ")));
    let data = json!({
        "code": "failed", "action": "place", "message": all.join(", "),
        "data": { "echo": all, "iban": values[3].1 },
        "history": [
            { "service": "payment", "action": "pay", "requestId": "q-1", "state": "succeeded", "data": { "echo": all } },
        ],
    });
    let case = desk.send(binary("o-1", "r-1", &data)).await.body["caseId"]
        .as_str()
        .expect("a case")
        .to_owned();
    let step = desk.payment_step(&case, "stuck").await["id"].as_str().expect("an id").to_owned();
    let pause = json!({ "reason": format!("its key is {}", values[0].1) });
    desk.post("/v1/services/payment/pause", &pause).await;
    let mut shown = 0;
    for address in addresses(&case, &step) {
        let reply = desk.get(&address).await;
        let answer = format!("{} {:?}", reply.body, reply.headers);
        for (what, value) in &values {
            for writing in writings(value) {
                let escaped = serde_json::to_string(&writing).expect("JSON");
                let is_there =
                    answer.contains(&writing) || answer.contains(escaped.trim_matches('"'));
                assert!(!is_there, "{what} at {address}: {answer}");
            }
        }
        shown += answer.matches("[hidden]").count();
    }
    assert!(shown > 100, "it is looked for where it would be: {shown}");
    // What goes to services is what it was: the step's request has the value.
    assert_eq!(desk.script.asked_with(&step)["iban"], json!(values[3].1));
}
