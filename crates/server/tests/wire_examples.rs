//! `docs/reference/protocol.md` says what supervisor and service kit do: its exchanges take place, its examples are valid
//! and computed anew, its tables are those of the code.

mod wire;

use amends_api::ReportWay;
use amends_engine::StepReading;
use amends_protocol::schemas::SCHEMA_BASE;
use amends_protocol::wire::{baggage, percent};
use amends_protocol::{
    CASE_EVIDENCE_DATA_LIMIT, EVIDENCE_DATA_LIMIT, EVIDENCE_LIMIT, NAME_LIMIT, Outcome,
    REPORT_CAUSES_LIMIT, REPORT_MESSAGE_LIMIT, REPORT_SOURCE_LIMIT, StepRequest, Timestamp, Verb,
};
use amends_rulebook::RetryPolicy;
use amends_server::dispatch::{HttpOptions, Meaning, Signer, read_answer};
use amends_server::{Config, HttpLimits, Tried, TriedMessage};
use amends_service::KitConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use http::HeaderMap;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use wire::{Happened, KEY, Schemas, differences, fences, read_page, replay, spoilt};

const PAGE: &str = include_str!("../../../docs/reference/protocol.md");
const KIT_TABLE: &str = include_str!("../../service/src/history.rs");

/// A kind of body that the page shows, and its schema; none where the contents are a service's own business, or are
/// described by the OpenAPI document.
const KINDS: &[(&str, Option<&str>)] = &[
    ("answer", Some("step-answer")),
    ("batch", Some("report-batch")),
    ("body", None),
    ("business", None),
    ("event", Some("report-event")),
    ("history", Some("history-answer")),
    ("outcome", Some("step-outcome")),
    ("problem", Some("problem")),
    ("receipt", Some("report-receipt")),
    ("receipts", Some("[report-receipt]")),
    ("report", Some("report-data")),
    ("step", Some("step-request")),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exchanges_take_place_as_shown_and_no_otherwise() {
    let exchanges = read_page(PAGE);
    let parties: BTreeSet<&str> = exchanges.iter().map(|e| e.to.as_str()).collect();
    assert_eq!(parties.len(), 7, "the page tells of all parties: {parties:?}");
    let happened = replay(exchanges).await;
    assert!(happened.len() > 25, "the page has lost its exchanges");

    let schemas = Schemas::new();
    for one in &happened {
        what_was_sent_is_valid(&schemas, one);
        whatever_else_the_page_said_would_be_caught(one);
    }
}

/// A schema by name; in brackets, a list of them.
fn named(name: &str) -> Value {
    match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(item) => json!({ "type": "array", "items": named(item) }),
        None => json!({ "$ref": format!("{SCHEMA_BASE}{name}.json") }),
    }
}

/// The page may show a part of a message; what really went over the wire is valid as a whole.
fn what_was_sent_is_valid(schemas: &Schemas, one: &Happened) {
    let what = format!("line {}: {}", one.exchange.line, one.exchange.request.start);
    let path = one.exchange.request.start.split(' ').nth(1).expect("a path");
    let asked = path.split('/').collect::<Vec<_>>();
    let (question, answer) = match asked.as_slice() {
        ["", "v1", "reports"]
            if one.exchange.request.headers["content-type"] == "application/json" =>
        {
            (Some("report-data"), Some("report-receipt"))
        }
        ["", "v1", "reports"] => (Some("report-event"), Some("report-receipt")),
        ["", "v1", "reports:batch"] => (Some("report-batch"), Some("[report-receipt]")),
        ["", "v1", "steps", _, "outcome"] => (Some("step-outcome"), None),
        ["", "amends", "v1", "history", _] => (None, Some("history-answer")),
        ["", "amends", "v1", _, _] => (Some("step-request"), Some("step-answer")),
        ["", "returns", _] => (None, Some("step-answer")),
        _ => (None, None),
    };
    if let (Some(schema), Some(request)) = (question, &one.request) {
        schemas.check(&named(schema), &request.body, &what);
    }
    match (one.answer.start.as_str(), answer) {
        ("200", Some(schema)) => schemas.check(&named(schema), &one.answer.body, &what),
        ("202", Some(schema)) if path.starts_with("/v1/") => {
            schemas.check(&named(schema), &one.answer.body, &what);
        }
        (failed, _) if failed.starts_with(['4', '5']) => {
            schemas.check(&named("problem"), &one.answer.body, &what);
        }
        _ => {}
    }
}

fn whatever_else_the_page_said_would_be_caught(one: &Happened) {
    let exchange = &one.exchange;
    let request = one.request.as_ref().map(|sent| (&exchange.request, sent));
    let answer = exchange.answer.as_ref().map(|shown| (shown, &one.answer));
    for (shown, sent) in request.into_iter().chain(answer) {
        for (what, other) in spoilt(shown) {
            let found = differences(&other, sent, &mut one.names.clone());
            assert!(!found.is_empty(), "line {}: `{what}` may say anything", exchange.line);
        }
    }
}

#[test]
fn every_example_is_valid() {
    let schemas = Schemas::new();
    for exchange in read_page(PAGE) {
        for message in std::iter::once(&exchange.request).chain(&exchange.answer) {
            let Some((kind, body)) = &message.body else { continue };
            let known = KINDS.iter().find(|(name, _)| name == kind);
            let (_, schema) = known.unwrap_or_else(|| panic!("`json {kind}` is no kind"));
            if let Some(schema) = schema {
                schemas.check(
                    &named(schema),
                    body,
                    &format!("the example at line {}", exchange.line),
                );
            }
        }
    }
}

/// A message of a broker as the page shows it: headers, an empty line, the body.
fn message(way: &str) -> TriedMessage {
    let shown = fences(PAGE).into_iter().find(|fence| fence.tag.split(' ').next() == Some(way));
    let shown = shown.unwrap_or_else(|| panic!("the page shows no message of {way}"));
    let channel = shown.tag[way.len() + 1..].to_owned();
    let (head, body) = shown.text.split_once("\n\n").unwrap_or(("", &shown.text));
    let headers = head.lines().map(|line| line.split_once(": ").expect("name: value"));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    let (key, headers) = headers.partition::<Vec<_>, _>(|(name, _)| name == "key");
    let key = key.into_iter().next().map(|(_, key)| key);
    TriedMessage { channel, key, headers, body: body.as_bytes().to_vec() }
}

#[test]
fn one_report_is_the_same_on_all_three_ways() {
    let exchanges = read_page(PAGE);
    let over_http = exchanges.iter().find(|one| one.request.start == "POST /v1/reports");
    let request = &over_http.expect("the page reports").request;
    // A message of NATS with the headers of HTTP's binary mode is read as a request of HTTP is.
    let headers = request.headers.iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
    let channel = "amends.reports.payment".to_owned();
    let body = request.text.clone().into_bytes();
    let over_http = TriedMessage { channel, key: None, headers: headers.collect(), body };
    let channels = Config::defaults().channels;
    let read = |way, message: &TriedMessage| match channels.try_message(way, message) {
        Tried::Report { report, bridge: None, left_out } if left_out.is_empty() => report,
        other => panic!("{way}: {other:?}"),
    };
    let wanted = read(ReportWay::Nats, &over_http);
    assert_eq!(wanted.data.history.len(), 3, "{wanted:?}");
    assert_eq!(read(ReportWay::Nats, &message("nats")), wanted);
    let kafka = message("kafka");
    assert_eq!(read(ReportWay::Kafka, &kafka), wanted);
    assert_eq!(kafka.key.as_deref(), Some(wanted.saga_id.as_str().as_bytes()));
}

#[test]
fn the_life_of_a_request_is_that_of_the_kit() {
    // Under either word nothing is written.
    let cells = |row: &str| row.replace("stray", "lost");
    let page: BTreeSet<&str> = PAGE.lines().filter(|line| line.starts_with("| ")).collect();
    let kit: Vec<String> =
        KIT_TABLE.lines().filter_map(|line| line.strip_prefix("//! | ")).map(cells).collect();
    assert!(kit.len() > 8, "the kit has lost its table");
    for row in kit {
        let row = format!("| {row}");
        assert!(page.contains(row.as_str()), "protocol.md lacks the kit's row\n{row}");
    }
}

/// The second cell of the row that begins with this one.
fn cell<'p>(section: &str, name: &str) -> &'p str {
    let (_, rest) = PAGE.split_once(section).expect("the section is there");
    let start = format!("| {name} | ");
    let row = rest.lines().find_map(|line| line.strip_prefix(&start));
    let cell = row.and_then(|row| row.strip_suffix(" |")).unwrap_or_else(|| panic!("no `{name}`"));
    cell.trim_matches('`')
}

#[test]
fn the_derived_request_id_is_computed_anew() {
    let told = |name| cell("**Request ids of calls are derived", name);
    let hashed: String =
        ["r-1", "coupon.redeem", "1"].iter().map(|part| format!("{}:{part}", part.len())).collect();
    assert_eq!(told("hashed"), hashed);
    let digest = hex(&Sha256::digest(hashed.as_bytes()));
    assert_eq!(told("SHA-256"), digest);
    assert_eq!(told("request id"), &digest[..32]);
}

#[test]
fn the_signature_is_computed_anew() {
    let told = |name| cell("## Signatures", name);
    let key = STANDARD.decode(told("key").strip_prefix("whsec_").expect("a key")).expect("base64");
    assert_eq!(told("its bytes"), hex(&key));
    let signed =
        format!("{}.{}.{}", told("`webhook-id`"), told("`webhook-timestamp`"), told("body"));
    assert_eq!(told("signed"), signed);
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length");
    mac.update(signed.as_bytes());
    let code = mac.finalize().into_bytes();
    assert_eq!(told("HMAC-SHA256"), hex(&code));
    assert_eq!(told("`webhook-signature`"), format!("v1,{}", STANDARD.encode(code)));
}

#[test]
fn the_step_on_the_page_carries_its_own_signature() {
    let steps: Vec<_> = read_page(PAGE)
        .into_iter()
        .filter(|e| e.request.headers.contains_key("webhook-signature"))
        .collect();
    assert_eq!(steps.len(), 1);
    let text = |name: &str| steps[0].request.headers[name].to_str().expect("text").to_owned();
    let (_, body) = steps[0].request.body.as_ref().expect("a body");
    // As the supervisor writes it: the members in the order of the type, no white space.
    let step: StepRequest = serde_json::from_value(body.clone()).expect("a step");
    let sent = serde_json::to_vec(&step).expect("writes");
    let seconds = text("webhook-timestamp").parse().expect("seconds");
    let signature = Signer::new(&[KEY]).expect("a key").sign(&text("webhook-id"), seconds, &sent);
    assert_eq!(text("webhook-signature"), signature);
}

/// The rows of the table below a heading, without its head.
fn rows(heading: &str, head: &str) -> Vec<Vec<&'static str>> {
    let (_, rest) = PAGE.split_once(heading).expect("the heading is there");
    let (_, rest) = rest.split_once(head).expect("the table is there");
    let lines = rest.trim_start().lines().skip(1).take_while(|line| line.starts_with('|'));
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn a_saga_id_is_written_in_each_place_as_the_table_says() {
    let table = rows("A saga id may hold any printable ASCII", "| place | written | rule |");
    let told = |place: usize| table[place][1].trim_matches('`');
    let id = told(0);
    assert!(["/", "%", "\""].iter().all(|special| id.contains(special)), "{id}");
    assert_eq!(told(1), baggage::member("saga-id", id));
    assert_eq!(told(2), percent::part(id).to_string());
    assert_eq!(percent::decode(told(2)).as_deref(), Some(id));
    assert_eq!(told(3), percent::attribute(id).to_string());
    assert_eq!(told(4), Value::from(id).to_string());
}

#[test]
fn answers_are_read_as_the_table_says() {
    let table = rows(
        "### How the supervisor reads",
        "| status | with | read as | what the supervisor does |",
    );
    assert!(table.len() > 10, "{table:?}");
    let refused = json!({ "type": "https://amends.dev/problems/refused" });
    let mut told: BTreeSet<u16> = BTreeSet::new();
    let mut rest = Vec::new();
    for row in &table {
        let body = match row[1] {
            "" => Value::Null,
            "an outcome that the verb can have" => json!({ "outcome": "compensated" }),
            "the outcome `refused`" => json!({ "outcome": "refused" }),
            "a problem of the type `refused`" => refused.clone(),
            "any other problem of this protocol" => {
                json!({ "type": "https://amends.dev/problems/key-reused" })
            }
            "anything else" => json!({ "outcome": "retried" }),
            other => panic!("the table says `{other}`, of which the test knows nothing"),
        };
        let statuses: Vec<u16> = match row[0].split_once(" to ") {
            Some((from, to)) => {
                (from.parse().expect("a status")..=to.parse().expect("a status")).collect()
            }
            None if row[0].starts_with("any other") => {
                rest.push((row[0].ends_with("3xx or 4xx"), row[2]));
                continue;
            }
            None => row[0].split(", ").map(|status| status.parse().expect("a status")).collect(),
        };
        for status in statuses {
            if row[1].is_empty() {
                told.insert(status);
            }
            assert_eq!(word(status, &body), row[2], "{status} with {body}");
        }
    }
    assert_eq!(rest.len(), 2, "two rows are about all the others");
    for status in (201..=599).filter(|status| !told.contains(status)) {
        let is_of_caller = (300..=499).contains(&status);
        let reading = rest.iter().find(|(of_caller, _)| *of_caller == is_of_caller);
        assert_eq!(Some(word(status, &Value::Null)), reading.map(|(_, word)| *word), "{status}");
    }
}

fn word(status: u16, body: &Value) -> &'static str {
    let bytes = match body {
        Value::Null => Vec::new(),
        body => body.to_string().into_bytes(),
    };
    let read = read_answer(
        Verb::Compensate,
        status,
        &HeaderMap::new(),
        &bytes,
        Meaning::Protocol,
        Timestamp(0),
    );
    match read.answer {
        StepReading::Done(outcome) => {
            assert_eq!(outcome, Outcome::Compensated);
            "done"
        }
        StepReading::Accepted { .. } => "taken",
        StepReading::Refused => "refused",
        StepReading::Rejected => "rejected",
        StepReading::Definite => "definite",
        StepReading::Busy { overloaded: false, .. } => "not yet",
        StepReading::Busy { overloaded: true, .. } => "not now",
        StepReading::Unknown => "unknown",
        StepReading::Unsendable | StepReading::NotSent => "no answer",
    }
}

#[test]
fn times_and_bounds_are_those_of_the_code() {
    let told = |name| cell("## Times and bounds", name);
    let (limits, outbound) = (HttpLimits::default(), HttpOptions::default());
    let bytes = |count: usize| format!("{} bytes", thousands(count));
    let entries = |count: usize| format!("{} entries", thousands(count));
    assert_eq!(told("body of a report"), bytes(limits.report_bytes));
    let batch = format!("{}, {} events", bytes(limits.batch_bytes), thousands(limits.batch_events));
    assert_eq!(told("body of a batch, and its events"), batch);
    assert_eq!(told("`source` of a report"), bytes(REPORT_SOURCE_LIMIT));
    assert_eq!(told("`message` of a report"), bytes(REPORT_MESSAGE_LIMIT));
    assert_eq!(told("`causedBy` of a report"), entries(REPORT_CAUSES_LIMIT));
    assert_eq!(told("`history` of a report, an answer or an outcome"), entries(EVIDENCE_LIMIT));
    let json = |count: usize| format!("{} of JSON", bytes(count));
    assert_eq!(told("`data` of a piece of evidence"), json(EVIDENCE_DATA_LIMIT));
    let of_all = "`data` of all evidence in a report, and of all that a case keeps besides reports";
    assert_eq!(told(of_all), json(CASE_EVIDENCE_DATA_LIMIT));
    assert_eq!(told("names and ids"), bytes(NAME_LIMIT));
    assert_eq!(told("body of an answer"), bytes(outbound.answer_bytes));

    let begins = |name, text: String| {
        assert!(told(name).starts_with(&format!("{text} |")), "{name}: {text}, not {}", told(name));
    };
    let policy = RetryPolicy::DEFAULT;
    begins("an attempt", format!("{}s", policy.timeout_ms / 1_000));
    let pause = format!("{}ms to {}m", policy.first_ms, policy.cap_ms / 60_000);
    begins("the pause between attempts", pause);
    begins("a step", format!("{}h", policy.max_age_ms.expect("a limit") / 3_600_000));
    begins("a taken step", format!("{}h", policy.accepted_ms / 3_600_000));
    let kit = KitConfig::new("any");
    begins("a row left `started`", format!("{}s", kit.unfinished_after_ms / 1_000));
    let kept = kit.keep_history_for.expect("not for ever");
    begins("History", format!("{}d", kept.as_secs() / 86_400));
    let book = amends_rulebook::Rulebook::from_yaml(
        "rulebook: r\nservices: { a: { url: \"http://a\", actions: { x: { compensation: y } } } }\nrules: [{ on: \"*/*\", compensate: recorded }]\n",
    );
    begins("requests at once", book.expect("valid").services()[0].concurrency.to_string());
}

fn thousands(count: usize) -> String {
    let digits = count.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).expect("digits"))
        .collect();
    groups.join(",")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
