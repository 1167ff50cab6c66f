//! The schemas take whatever the types write, refuse it once it is spoilt, and are the files under `docs/reference`.

use amends_protocol::ReportReceipt;
use amends_protocol::schemas::{SCHEMA_BASE, all};
use amends_protocol::{
    ActionName, Callback, CallbackProof, CaseId, EVIDENCE_LIMIT, Evidence, HistoryAnswer,
    HistoryEntry, HistoryState, Outcome, OutcomeCallback, Problem, ProblemCode,
    REPORT_CAUSES_LIMIT, REPORT_MESSAGE_LIMIT, REPORT_SOURCE_LIMIT, REPORT_TYPE, ReportData,
    ReportRef, SagaId, StepAnswer, StepId, StepRequest, Verb,
};
use jsonschema::{Registry, Validator};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

fn validators() -> BTreeMap<&'static str, Validator> {
    let resources =
        all().into_iter().map(|(name, schema)| (format!("{SCHEMA_BASE}{name}.json"), schema));
    let mut registry = Registry::new();
    for (address, schema) in resources {
        registry = registry.add(address, schema).expect("an address");
    }
    let registry = registry.prepare().expect("schemas that refer to each other");
    let validator = |schema: &Value| {
        jsonschema::draft202012::options()
            .with_registry(&registry)
            .should_validate_formats(true)
            .build(schema)
            .expect("a valid schema")
    };
    all().into_iter().map(|(name, schema)| (name, validator(&schema))).collect()
}

fn json<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).expect("writes")
}

fn fields() -> Map<String, Value> {
    json!({ "amount": 30, "customer": { "country": "DE" } }).as_object().expect("an object").clone()
}

fn evidence(state: HistoryState) -> Evidence {
    Evidence {
        service: "coupon".to_owned(),
        action: "redeem".to_owned(),
        request_id: Some("8c9d7b5b1d06ddd9dd610ccdc3fd7b9e".to_owned()),
        state,
        data: fields(),
    }
}

fn full_report() -> ReportData {
    ReportData {
        code: "report-1".to_owned(),
        action: Some("pay".to_owned()),
        request_id: Some("r-1".to_owned()),
        entry: Some("order.place".to_owned()),
        caller: Some("order.place".to_owned()),
        message: Some("the ledger is locked".to_owned()),
        caused_by: vec!["0198c5f2-7d1e-7a63-9f0c-3a1f5f1f7a10".to_owned()],
        history: vec![evidence(HistoryState::Started), evidence(HistoryState::Unknown)],
        data: fields(),
    }
}

/// Whole messages as the types write them, without `..`: whoever adds a member must add it here, and then the schema
/// must know it.
fn samples() -> Vec<(&'static str, Value)> {
    let saga = SagaId::new("order-4711").expect("valid");
    let action = ActionName::new("coupon", "redeem");
    let step = StepRequest {
        saga_id: saga.clone(),
        case_id: CaseId(17),
        step_id: StepId::derive(CaseId(17), 3, &saga, Verb::Compensate.as_str(), &action),
        attempt: 1,
        action,
        request_ids: vec!["8c9d7b5b1d06ddd9dd610ccdc3fd7b9e".to_owned()],
        report: ReportRef {
            service: "payment".to_owned(),
            code: "report-1".to_owned(),
            id: "0198c5f2-7d1e-7a63-9f0c-3a1f5f1f7a10".to_owned(),
            message: Some("the ledger is locked".to_owned()),
        },
        data: fields(),
        callback: Some(Callback {
            proof: CallbackProof::new("p-0c3f8e4b5a9d7261f0c3f8e4b5a9d726"),
            url: Some("https://amends.example/v1/steps/s-17-3-9f86d081884c7d65/outcome".to_owned()),
        }),
    };
    let answer = StepAnswer {
        outcome: Outcome::Compensated,
        message: Some("two coupons".to_owned()),
        history: vec![evidence(HistoryState::Succeeded)].into(),
    };
    let entry = |service: Option<&str>, state| HistoryEntry {
        service: service.map(str::to_owned),
        action: "match".to_owned(),
        request_id: Some("r-2".to_owned()),
        state,
        data: fields(),
    };
    let mut entries: Vec<HistoryEntry> =
        HistoryState::ALL.iter().map(|state| entry(Some("rider"), *state)).collect();
    entries.push(entry(None, HistoryState::Succeeded));
    let mut problem = Problem::new(ProblemCode::InvalidReport, "`data.code` is missing");
    problem.instance = Some("/v1/reports".to_owned());
    problem.errors = vec!["event 1: `data.code` is missing".to_owned()];
    let event = json!({
        "specversion": "1.0", "type": REPORT_TYPE, "source": "payment", "id": "e-1", "subject": "order-4711",
        "time": "2026-11-23T08:30:00.000Z", "datacontenttype": "application/json",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "data": full_report()
    });
    vec![
        (
            "history-answer",
            json(&HistoryAnswer { saga_id: saga, entries, next: Some("3".to_owned()) }),
        ),
        ("problem", json(&problem)),
        ("report-batch", json!([event.clone(), event.clone()])),
        ("report-data", json(&full_report())),
        ("report-event", event),
        (
            "report-receipt",
            json(&ReportReceipt { case_id: Some(CaseId(17)), duplicate: false, letter: None }),
        ),
        ("step-answer", json(&answer)),
        ("step-outcome", json(&outcome(answer))),
        ("step-request", json(&step)),
    ]
}

/// The same said later.
fn outcome(answer: StepAnswer) -> OutcomeCallback {
    OutcomeCallback {
        outcome: answer.outcome,
        proof: Some(CallbackProof::new("p-0c3f8e4b5a9d7261f0c3f8e4b5a9d726")),
        message: answer.message,
        history: answer.history,
    }
}

#[test]
fn the_committed_files_are_up_to_date() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/schemas");
    let mut written: BTreeSet<String> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".json"))
        .collect();
    for (name, schema) in all() {
        let text = std::fs::read_to_string(format!("{folder}/{name}.json")).unwrap_or_default();
        let committed: Value = serde_json::from_str(&text).unwrap_or_default();
        assert_eq!(committed, schema, "{name}.json is out of date; run `cargo xtask schemas`");
        written.remove(&format!("{name}.json"));
    }
    assert_eq!(written, BTreeSet::new(), "files that no schema writes");
}

#[test]
fn what_the_types_write_is_valid_and_every_member_is_described() {
    let validators = validators();
    let schemas: BTreeMap<_, _> = all().into_iter().collect();
    let samples = samples();
    assert!(samples.iter().map(|(name, _)| name).eq(schemas.keys()), "a sample of each");
    for (name, sample) in &samples {
        if let Err(error) = validators[name].validate(sample) {
            panic!("{name}: {error} at {}", error.instance_path());
        }
        if let (Some(members), Some(known)) =
            (sample.as_object(), schemas[name]["properties"].as_object())
        {
            let members: BTreeSet<_> = members.keys().collect();
            // In place of `data`, and of `caseId`.
            let instead = ["data_base64", "letter"];
            let known: BTreeSet<_> =
                known.keys().filter(|key| !instead.contains(&key.as_str())).collect();
            assert_eq!(members, known, "{name}: members of the type and of its schema");
        }
    }
    let least = json(&ReportData { code: "c".to_owned(), ..ReportData::default() });
    assert!(validators["report-data"].is_valid(&least), "what is optional may be left out");
    for code in ProblemCode::ALL {
        assert!(
            validators["problem"].is_valid(&json(&Problem::new(*code, "why"))),
            "{}",
            code.as_str()
        );
    }
    for outcome in Outcome::ALL {
        let answer = StepAnswer { outcome: *outcome, message: None, history: Vec::new().into() };
        let is_theirs = outcome.is_said_by_services();
        assert_eq!(validators["step-answer"].is_valid(&json(&answer)), is_theirs, "{outcome}");
    }
}

/// A path into a sample, and what to put there; nothing takes the member away.
type Spoilt = (&'static str, &'static str, Option<Value>);

fn spoilt() -> Vec<Spoilt> {
    let long = |bytes: usize| Some(Value::from("x".repeat(bytes)));
    let many = |item: Value, count: usize| Some(Value::from(vec![item; count]));
    let told = json(&evidence(HistoryState::Failed));
    vec![
        ("history-answer", "/sagaId", None),
        ("history-answer", "/entries", None),
        ("history-answer", "/entries", Some(json!({}))),
        ("history-answer", "/entries/0/action", None),
        ("history-answer", "/entries/0/data", Some(json!(["a"]))),
        ("history-answer", "/entries/0/requestId", Some(json!("a b"))),
        ("history-answer", "/entries/0/state", Some(json!("done"))),
        ("problem", "/type", None),
        ("problem", "/type", Some(json!("not a uri"))),
        ("problem", "/status", Some(json!(200))),
        ("problem", "/status", Some(json!("400"))),
        ("problem", "/retryable", Some(json!("no"))),
        ("problem", "/errors", Some(json!("one"))),
        ("report-batch", "/0/type", Some(json!("dev.amends.report.v2"))),
        ("report-batch", "/0", Some(json!([]))),
        ("report-data", "/code", None),
        ("report-data", "/code", Some(json!("payment/report-1"))),
        ("report-data", "/code", Some(json!("report-*"))),
        ("report-data", "/code", Some(json!(""))),
        ("report-data", "/code", long(129)),
        ("report-data", "/action", Some(json!("pay now"))),
        ("report-data", "/action", Some(Value::Null)),
        ("report-data", "/requestId", Some(json!(7))),
        ("report-data", "/requestId", long(129)),
        ("report-data", "/message", long(REPORT_MESSAGE_LIMIT + 1)),
        ("report-data", "/causedBy", Some(json!("e-1"))),
        ("report-data", "/causedBy", many(json!("e-1"), REPORT_CAUSES_LIMIT + 1)),
        ("report-data", "/causedBy/0", Some(json!("naïve"))),
        ("report-data", "/history", many(told, EVIDENCE_LIMIT + 1)),
        ("report-data", "/history/0/service", None),
        ("report-data", "/history/0/data", Some(json!("a"))),
        ("report-data", "/history/0/state", None),
        ("report-data", "/history/0/state", Some(json!("compensated"))),
        ("report-data", "/data", Some(json!([]))),
        ("report-event", "/specversion", Some(json!("0.3"))),
        ("report-event", "/source", None),
        ("report-event", "/source", Some(json!(""))),
        ("report-event", "/source", long(REPORT_SOURCE_LIMIT + 1)),
        ("report-event", "/id", None),
        ("report-event", "/id", Some(json!("a b"))),
        ("report-event", "/subject", None),
        ("report-event", "/time", Some(json!("yesterday"))),
        ("report-event", "/datacontenttype", Some(json!("text/xml"))),
        ("report-event", "/data", None),
        ("report-event", "/data/code", None),
        ("report-event", "/data_base64", Some(json!("eyJjb2RlIjoiYyJ9"))),
        ("report-receipt", "/caseId", Some(json!(17))),
        ("report-receipt", "/caseId", Some(json!("17"))),
        ("report-receipt", "/duplicate", None),
        ("step-answer", "/outcome", None),
        ("step-answer", "/outcome", Some(json!("done"))),
        ("step-answer", "/outcome", Some(json!("waived"))),
        ("step-answer", "/message", Some(json!(1))),
        ("step-answer", "/history/0/action", None),
        ("step-request", "/sagaId", None),
        ("step-request", "/sagaId", Some(json!(""))),
        ("step-request", "/caseId", Some(json!("s-17"))),
        ("step-request", "/stepId", None),
        ("step-request", "/stepId", Some(json!("s-17-3"))),
        ("step-request", "/attempt", Some(json!(0))),
        ("step-request", "/attempt", Some(json!(1.5))),
        ("step-request", "/action", Some(json!("redeem"))),
        ("step-request", "/requestIds", Some(json!("r-1"))),
        ("step-request", "/report", None),
        ("step-request", "/report/id", None),
        ("step-request", "/data", Some(json!("amount=30"))),
    ]
}

fn spoilt_callbacks_and_pages() -> [Spoilt; 8] {
    [
        ("history-answer", "/next", Some(json!(""))),
        ("history-answer", "/next", Some(json!("a b"))),
        ("step-outcome", "/outcome", None),
        ("step-outcome", "/outcome", Some(json!("waived"))),
        ("step-outcome", "/proof", Some(json!(7))),
        ("step-request", "/callback", Some(json!("p-1"))),
        ("step-request", "/callback/proof", None),
        ("step-request", "/callback/url", Some(json!(7))),
    ]
}

#[test]
fn what_is_spoilt_is_refused() {
    let validators = validators();
    let samples: BTreeMap<_, _> = samples().into_iter().collect();
    let mut spoilt = spoilt();
    spoilt.extend(spoilt_callbacks_and_pages());
    for name in samples.keys() {
        assert!(spoilt.iter().any(|(of, ..)| of == name), "{name} is never spoilt");
    }
    for (name, path, with) in spoilt {
        let mut message = samples[name].clone();
        let (above, last) = path.rsplit_once('/').expect("a path");
        match (message.pointer_mut(above), with.clone()) {
            (Some(Value::Object(members)), Some(value)) => {
                drop(members.insert(last.to_owned(), value))
            }
            (Some(Value::Object(members)), None) => {
                members.remove(last).unwrap_or_else(|| panic!("{name} has no {path}"));
            }
            (Some(Value::Array(items)), Some(value)) => {
                items[last.parse::<usize>().expect("a place")] = value;
            }
            (found, _) => panic!("{name}{path}: nothing to spoil in {found:?}"),
        }
        assert!(!validators[name].is_valid(&message), "{name}: {path} as {with:?} must be refused");
    }
}

#[test]
fn the_data_of_an_event_may_be_base64() {
    let (_, mut event) =
        samples().into_iter().find(|(name, _)| *name == "report-event").expect("there");
    let members = event.as_object_mut().expect("an object");
    members.remove("data");
    members.insert("data_base64".to_owned(), json!("eyJjb2RlIjoiYyJ9"));
    assert!(validators()["report-event"].is_valid(&event));
}
