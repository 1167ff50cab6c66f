//! `docs/reference/asyncapi.yaml` tells of the channels that there are, in words and schemas that there are.

#[path = "wire/schemas.rs"]
mod schemas;

use amends_api::ReportWay;
use amends_protocol::schemas::{SCHEMA_BASE, all};
use amends_protocol::{REPORT_TYPE, Verb, headers};
use amends_server::{Config, openapi_json};
use schemas::Schemas;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const DOCUMENT: &str = include_str!("../../../docs/reference/asyncapi.yaml");
const KIT_ROUTES: &str = include_str!("../../service/src/routes.rs");

/// The document; rulebooks are read with the same reader of YAML.
fn document() -> Value {
    amends_workbench::as_json(DOCUMENT).unwrap_or_else(|e| panic!("{}", e.message))
}

fn members<'v>(value: &'v Value, path: &str) -> impl Iterator<Item = (&'v str, &'v Value)> {
    let members = value.pointer(path).and_then(Value::as_object);
    members
        .unwrap_or_else(|| panic!("no `{path}`"))
        .iter()
        .map(|(key, value)| (key.as_str(), value))
}

/// What a reference within the document leads to.
fn follow<'v>(document: &'v Value, value: &'v Value) -> &'v Value {
    match value["$ref"].as_str() {
        Some(target) => {
            let path = target.strip_prefix('#').unwrap_or_else(|| panic!("`{target}`"));
            let found =
                document.pointer(path).unwrap_or_else(|| panic!("`{target}` leads nowhere"));
            follow(document, found)
        }
        None => value,
    }
}

fn every_reference<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|inner| every_reference(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| every_reference(inner, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    assert_eq!(document["asyncapi"], "3.0.0");
    let files: BTreeSet<String> =
        all().iter().map(|(name, _)| format!("./schemas/{name}.json")).collect();
    let mut found = BTreeSet::new();
    every_reference(&document, &mut found);
    let mut unused = files.clone();
    for target in found {
        match target.strip_prefix('#') {
            Some(path) => assert!(document.pointer(path).is_some(), "`{target}` leads nowhere"),
            None => assert!(files.contains(target), "`{target}` is no schema of ours"),
        }
        unused.remove(target);
    }
    // The event is referred to by the batch as well.
    assert_eq!(unused, BTreeSet::new(), "schemas that no message uses");
}

#[test]
fn whatever_is_declared_is_used() {
    let document = document();
    let mut found = BTreeSet::new();
    every_reference(&document, &mut found);
    for kind in ["components/messages", "components/securitySchemes", "servers", "channels"] {
        for (name, _) in members(&document, &format!("/{kind}")) {
            assert!(
                found.contains(format!("#/{kind}/{name}").as_str()),
                "{kind}: `{name}` is not used"
            );
        }
    }
}

#[test]
fn channels_are_the_routes_of_supervisor_and_kit() {
    let document = document();
    let api: Value = serde_json::from_str(&openapi_json()).expect("JSON");
    let kit: BTreeSet<&str> =
        KIT_ROUTES.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let methods: BTreeMap<&str, String> = members(&document, "/operations")
        .filter_map(|(_, operation)| {
            let channel = operation["channel"]["$ref"].as_str().expect("a channel");
            Some((channel, operation["bindings"]["http"]["method"].as_str()?.to_lowercase()))
        })
        .collect();
    let channels = Config::defaults().channels;
    for (name, channel) in members(&document, "/channels") {
        let Some(address) = channel["address"].as_str() else {
            assert_eq!(name, "answers", "an answer has no address of its own");
            continue;
        };
        let method = || &methods[format!("#/channels/{name}").as_str()];
        let is_default = |way| channels.of(way)[0].pattern == address.replace("{service}", "*");
        match channel["servers"][0]["$ref"].as_str() {
            Some("#/servers/kafka") => assert!(is_default(ReportWay::Kafka), "{address}"),
            Some("#/servers/nats") => assert!(is_default(ReportWay::Nats), "{address}"),
            Some("#/servers/supervisor") => {
                let method = method();
                assert!(
                    api["paths"][address][method].is_object(),
                    "the API has no {method} {address}"
                );
            }
            Some("#/servers/participant") => {
                assert!(methods.contains_key(format!("#/channels/{name}").as_str()), "{name}");
                assert!(kit.contains(address), "the kit has no {address}, but {kit:?}");
            }
            other => panic!("{name} is at {other:?}"),
        }
        let named: BTreeSet<&str> =
            address.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
        let told: BTreeSet<&str> = match channel.get("parameters") {
            Some(_) => members(channel, "/parameters").map(|(name, _)| name).collect(),
            None => BTreeSet::new(),
        };
        assert_eq!(named, told, "parameters of {address}");
    }
}

#[test]
fn an_operation_uses_messages_of_its_channels() {
    let document = document();
    for (name, operation) in members(&document, "/operations") {
        let is_in = operation["action"] == "receive";
        let at = follow(&document, &operation["channel"])["servers"][0]["$ref"].as_str();
        let protocols: Vec<&str> = members(operation, "/bindings").map(|(name, _)| name).collect();
        if let Some(broker @ ("#/servers/kafka" | "#/servers/nats")) = at {
            assert_eq!(protocols, [&broker["#/servers/".len()..]], "{name}");
            assert!(
                is_in && operation["reply"].is_null(),
                "{name}: nobody is answered by a broker"
            );
            continue;
        }
        assert_eq!(protocols, ["http"], "{name}");
        let wanted = if is_in { "#/servers/supervisor" } else { "#/servers/participant" };
        assert_eq!(at, Some(wanted), "{name}: the supervisor receives at its own server only");
        for message in operation["reply"]["messages"].as_array().expect("a reply") {
            let target = message["$ref"].as_str().expect("a reference");
            assert!(target.starts_with("#/channels/answers/messages/"), "{name}: {target}");
        }
    }
}

#[test]
fn the_words_are_those_of_the_protocol() {
    let document = document();
    let verbs: Vec<&str> = Verb::ALL.iter().map(|verb| verb.as_str()).collect();
    assert_eq!(document["channels"]["steps"]["parameters"]["verb"]["enum"], json!(verbs));
    let binary = &document["components"]["messages"]["reportBinary"];
    assert_eq!(binary["headers"]["properties"]["ce-type"]["const"], REPORT_TYPE);
    let kafka = &document["components"]["messages"]["reportByKafka"];
    let told = |message: &Value, prefix: &str| -> BTreeSet<String> {
        let headers = members(message, "/headers/properties").map(|(name, _)| name);
        headers.filter_map(|name| name.strip_prefix(prefix)).map(str::to_owned).collect()
    };
    assert_eq!(told(kafka, "ce_"), told(binary, "ce-"), "the same attributes on each way");
    assert_eq!(kafka["headers"]["properties"]["ce_type"]["const"], REPORT_TYPE);
    let signature = &document["components"]["securitySchemes"]["signature"];
    assert_eq!(signature["name"], headers::WEBHOOK_SIGNATURE);
    let known = [
        headers::SAGA_ID,
        headers::IDEMPOTENCY_KEY,
        headers::BAGGAGE,
        headers::TRACEPARENT,
        headers::WEBHOOK_ID,
        headers::WEBHOOK_TIMESTAMP,
    ];
    let step = &document["components"]["messages"]["step"];
    let told: BTreeSet<String> =
        members(step, "/headers/properties").map(|(name, _)| name.to_lowercase()).collect();
    assert_eq!(told, known.map(str::to_owned).into());
}

#[test]
fn the_examples_are_valid() {
    let document = document();
    let schemas = Schemas::new();
    let mut seen = 0;
    for (name, message) in members(&document, "/components/messages") {
        let examples = message["examples"].as_array().map_or(&[][..], Vec::as_slice);
        assert_eq!(
            message["payload"].is_null(),
            examples.is_empty(),
            "{name}: an example of each payload"
        );
        for example in examples {
            let payload = at_its_address(&message["payload"]);
            for (part, schema) in [("payload", payload), ("headers", message["headers"].clone())] {
                if schema.is_null() {
                    continue;
                }
                schemas.check(&schema, &example[part], &format!("{name}, {part}"));
                seen += 1;
            }
        }
    }
    assert!(seen > 10, "the document has lost its examples");
}

/// A schema whose references are addresses instead of files.
fn at_its_address(schema: &Value) -> Value {
    let text = schema.to_string().replace("\"./schemas/", &format!("\"{SCHEMA_BASE}"));
    serde_json::from_str(&text).expect("JSON")
}
