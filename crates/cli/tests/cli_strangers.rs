//! Whatever strangers write into the texts of a supervisor, or of what claims to be one: no command lets it steer a
//! terminal, or make up a line of ours. The API's own description says which texts there are.

mod support;

use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use support::{Done, command, finish, scratch, write};

const API: &str = include_str!("../../../docs/reference/openapi.json");
const COMMANDS: &str = include_str!("../../../docs/reference/cli.md");

/// Erases the screen, names the window, changes colour and direction, ends the line and makes up another.
const EVIL: &str =
    "\x1b[2J\x1b]0;owned\x07\u{9b}31m\u{202e}exe.\u{2066}\0x\r\nFAKE c-9 is settled\u{2028}FAKE\t";

/// How deep lists go that are within themselves.
const DEEPEST: usize = 20;

/// How a supervisor of strangers answers.
#[derive(Clone, Copy)]
enum Answers {
    /// As the API describes it, with all texts planted.
    Planted,
    /// With a problem whose texts are planted.
    Refusing,
    /// With something else.
    Garbage,
}

struct Strangers {
    url: String,
    _runtime: tokio::runtime::Runtime,
}

impl Strangers {
    fn start(answers: Answers) -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let listener =
            runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let api: Arc<Value> = Arc::new(serde_json::from_str(API).expect("JSON"));
        let app = Router::new().fallback(answer).with_state((answers, api));
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { url, _runtime: runtime }
    }

    fn run(&self, line: &str) -> Done {
        finish(command().args(line.split_whitespace()).env("AMENDS_URL", &self.url))
    }
}

async fn answer(
    State((answers, api)): State<(Answers, Arc<Value>)>,
    method: Method,
    uri: Uri,
) -> Response {
    match answers {
        Answers::Planted => planted(&api, &method, uri.path()),
        Answers::Refusing => {
            let problem = json!({ "type": EVIL, "title": EVIL, "status": 409, "detail": EVIL, "code": EVIL, "errors": [EVIL] });
            (StatusCode::CONFLICT, problem.to_string()).into_response()
        }
        Answers::Garbage => format!("<html>{EVIL}</html>").into_response(),
    }
}

fn planted(api: &Value, method: &Method, path: &str) -> Response {
    if path == "/v1/events" {
        let event = |kind: &str, state: &str| json!({ "at": "2026-11-24T08:30:00.000Z", "kind": kind, "caseId": "c-17", "subject": EVIL, "state": state, "message": EVIL });
        let events = [event(EVIL, EVIL), json!({ "message": EVIL }), event("case", "settled")];
        let events = events.iter().map(|event| format!("id: 1\ndata: {event}\n\n"));
        let events: String = events.collect();
        return ([(header::CONTENT_TYPE, "text/event-stream")], events).into_response();
    }
    if path == "/v1/cases:export" {
        // Its lines are its own; within one, nothing steers.
        let evil = EVIL.replace('\n', "");
        return format!("{evil}\nid,{evil},{evil}\r\n").into_response();
    }
    let operation = &api["paths"][template(api, path)][method.as_str().to_lowercase()];
    let responses = operation["responses"].as_object().expect("described");
    let (status, good) =
        responses.iter().find(|(status, _)| status.starts_with('2')).expect("one goes well");
    let status = StatusCode::from_bytes(status.as_bytes()).expect("a status");
    let content = good["content"].as_object().and_then(|content| content.values().next());
    let body = content.map(|content| made_up(api, &content["schema"], "", "", 0));
    (status, body.unwrap_or_default().to_string()).into_response()
}

/// The description's path that this one is of.
fn template(api: &Value, path: &str) -> String {
    let fits = |template: &str| {
        let (mut wanted, mut given) = (template.split('/'), path.split('/'));
        wanted.by_ref().zip(given.by_ref()).all(|(w, g)| w == g || w.starts_with('{'))
            && template.split('/').count() == path.split('/').count()
    };
    let paths = api["paths"].as_object().expect("paths");
    let mut fitting: Vec<&String> = paths.keys().filter(|template| fits(template)).collect();
    fitting.sort_by_key(|template| template.matches('{').count());
    (*fitting.first().unwrap_or_else(|| panic!("the API has no `{path}`"))).clone()
}

/// A value of a schema, with all texts planted that may be any.
fn made_up(api: &Value, schema: &Value, of: &str, name: &str, deep: usize) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        let of = reference.rsplit('/').next().expect("a name");
        return made_up(api, &api["components"]["schemas"][of], of, name, deep + 1);
    }
    for several in ["oneOf", "anyOf"] {
        if let Some(some) = schema[several].as_array() {
            let real = some.iter().find(|one| one["type"] != "null").expect("one is real");
            return made_up(api, real, of, name, deep + 1);
        }
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut whole = Map::new();
        for part in parts {
            if let Value::Object(members) = made_up(api, part, of, name, deep + 1) {
                whole.extend(members);
            }
        }
        if let Value::Object(members) = members_of(api, schema, of, name, deep) {
            whole.extend(members);
        }
        return whole.into();
    }
    if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
        return first.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null").unwrap_or(&Value::Null),
        kind => kind,
    };
    match kind.as_str() {
        Some("string") => text(schema, of, name).into(),
        Some("integer" | "number") => 3.into(),
        Some("boolean") => true.into(),
        // Some are within themselves.
        Some("array") if deep > DEEPEST => json!([]),
        Some("array") => json!([made_up(api, &schema["items"], of, name, deep + 1)]),
        _ => members_of(api, schema, of, name, deep),
    }
}

fn members_of(api: &Value, schema: &Value, of: &str, within: &str, deep: usize) -> Value {
    let mut members = Map::new();
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        members.insert(name.clone(), made_up(api, inner, of, name, deep + 1));
    }
    let more = &schema["additionalProperties"];
    if more.is_object() || schema["properties"].is_null() {
        // What is counted are states or kinds, which are words of a list.
        let counts = more["type"] == "integer" || more["$ref"].is_string();
        let is_kind = within.to_lowercase().contains("question");
        let key = match (counts, is_kind) {
            // Of acts that are not possible.
            _ if within == "mayNot" => "retry",
            (true, true) => "contradiction",
            (true, false) => "stuck",
            (false, _) => EVIL,
        };
        let value =
            if more.is_object() { made_up(api, more, of, key, deep + 1) } else { EVIL.into() };
        members.insert(key.to_owned(), value);
    }
    members.into()
}

/// A planted text, or one of the few kinds of texts that a client reads.
fn text(schema: &Value, of: &str, name: &str) -> String {
    let known = match (of, name) {
        (_, "caseId" | "exampleCase" | "example") => "c-17",
        (_, "stepId" | "exampleStep" | "ids") => "s-17-3-9f86d081884c7d65",
        (_, "sagaId") => "order-4711",
        (_, "lastCase") => "c-17",
        ("BulkView", "id") => "b-3",
        ("AnswerView", "id") | ("QuestionAnswered", _) => "q-17-9f86d081884c7d65",
        (_, "grants") => "act@food-order",
        (_, "amount") => "12.50",
        (_, "currency") => "EUR",
        (_, "verb") => "compensate",
        ("GroupView", _) => "",
        (_, "id" | "action") => schema["example"].as_str().unwrap_or_default(),
        _ => "",
    };
    match (known, schema["format"].as_str()) {
        ("", Some("date-time")) => "2026-11-24T08:30:00.000Z".to_owned(),
        ("", _) => EVIL.to_owned(),
        (known, _) => known.to_owned(),
    }
}

/// Every command that asks a supervisor and prints, with the exit code that it has when all is answered.
const PRINTING: &[(&str, i32)] = &[
    ("cases list", 0),
    ("cases list -o wide", 0),
    ("cases list -o yaml", 0),
    ("cases list -o csv", 0),
    ("cases list -o json", 0),
    ("cases groups", 0),
    ("cases groups --all -o wide", 0),
    ("cases show c-17 --attempts", 0),
    ("cases show order-4711 -o yaml", 0),
    ("cases show c-17 -o csv", 0),
    ("cases show c-17 --json", 0),
    ("cases proof c-17", 0),
    ("cases proof c-17 --json", 0),
    ("cases proof c-17 -o yaml", 0),
    ("cases proof c-17 -o csv", 0),
    ("cases watch c-17", 0),
    ("cases watch c-17 --json", 0),
    ("cases wait c-17 --for open,stuck,settled,unmatched", 0),
    ("cases retry s-17-3-9f86d081884c7d65 --reason x", 0),
    ("cases retry --service a --yes --at-once --reason x", 0),
    ("cases waive c-17 --dry-run --reason x", 0),
    ("cases waive c-17 --dry-run --json --reason x", 0),
    ("cases resolve s-17-3-9f86d081884c7d65 --outcome compensated --reason x", 0),
    ("cases approve s-17-3-9f86d081884c7d65 --reason x --json", 0),
    ("cases plan c-17 --again --reason x", 0),
    ("cases replan c-17 --dry-run --reason x", 0),
    ("cases replan c-17 --with shop --reason x", 0),
    ("cases settle c-17 --reason x", 0),
    ("questions", 0),
    ("questions list -o wide", 0),
    ("questions list -o yaml", 0),
    ("questions list -o csv", 0),
    ("questions show q-17-9f86d081884c7d65", 0),
    ("questions show q-17-9f86d081884c7d65 --json", 0),
    ("questions answer q-17-9f86d081884c7d65 --accept --reason x", 0),
    ("questions answer --kind dropped --accept --dry-run --reason x", 0),
    ("questions answer q-17-9f86d081884c7d65 --choose x --reason x", 2),
    ("questions strangers", 0),
    ("questions strangers -o csv", 0),
    ("questions stranger shop a.b --ignore --reason x", 0),
    ("quarantine", 0),
    ("quarantine list -o yaml", 0),
    ("quarantine list -o csv", 0),
    ("quarantine show c-17", 0),
    ("quarantine export c-17", 0),
    ("quarantine export c-17 --raw", 0),
    ("quarantine discard c-17 --reason x", 0),
    ("quarantine repair c-17 rows.json --reason x", 0),
    ("bulk list", 0),
    ("bulk list -o wide", 0),
    ("bulk list -o csv", 0),
    ("bulk watch b-3", 0),
    ("bulk stop b-3", 0),
    ("bulk start b-3 --json", 0),
    ("sagas show order-4711", 0),
    ("sagas show order-4711 -o yaml", 0),
    ("sagas end order-4711", 0),
    ("services", 0),
    ("services list -o wide", 0),
    ("services list -o yaml", 0),
    ("services list -o csv", 0),
    ("services show nobody", 5),
    ("services pause a --reason x", 0),
    ("services resume a --reason x --json", 0),
    ("services limit a --reason x", 0),
    ("audit", 0),
    ("audit -o wide", 0),
    ("audit -o csv", 0),
    // A stranger's digest is none.
    ("audit verify", 3),
    ("top --once", 0),
    ("export", 0),
    ("export --format csv", 0),
    ("report rejected", 0),
    ("report rejected list -o wide", 0),
    ("report rejected list -o yaml", 0),
    ("report rejected list -o csv", 0),
    ("reports rejected show r-9f86d081884c7d65", 0),
    ("report rejected show r-9f86d081884c7d65 -o yaml", 0),
    ("report rejected show r-9f86d081884c7d65 --json", 0),
    ("report rejected retry r-9f86d081884c7d65 --reason x", 0),
    ("report rejected retry --all --yes --reason x", 0),
    ("report rejected retry --all --dry-run --reason x", 0),
    ("report rejected discard r-9f86d081884c7d65 r-0000000000000000 --reason x --json", 0),
    ("report send --source a --saga o --code c", 0),
    ("erase --saga order-4711 --reason x --dry-run", 0),
    ("erase --field customer=x --reason x --dry-run --json", 0),
    // A stranger answers as to a dry run.
    ("erase --saga order-4711 --reason x --yes --json", 3),
    ("erase list", 0),
    ("erase list -o csv", 0),
    ("erase show er-3", 0),
    ("erase show er-3 -o yaml", 0),
    ("erase confirm er-3 --value x", 0),
    ("erase replay erasures.json --reason x", 3),
    ("backup", 0),
    ("backup --json", 0),
    ("rules list", 0),
    ("rules list -o csv", 0),
    ("rules status shop", 0),
    ("rules status shop --json", 0),
    ("rules status shop -o yaml", 0),
    ("rules status shop -o csv", 0),
    // Its rulebook is a text of strangers, and none.
    ("rules drift", 6),
    ("rules hits", 6),
    ("rules rollback shop --reason x --yes", 2),
    ("rules hold shop --reason x", 0),
    ("rules hold shop a/b --reason x --json", 0),
    ("rules release shop a/b --reason x", 0),
    ("rules activate shop.yaml --reason x", 0),
    ("whoami", 0),
    ("whoami -o yaml", 0),
    ("token list --all -o wide", 0),
    ("token list --all -o csv", 0),
    ("token show 9f86d0818840", 0),
    ("token create planted --grant read", 0),
    ("token create --admin --json", 0),
    ("token revoke 9f86d0818840", 0),
    ("session list -o wide", 0),
    ("session list -o csv", 0),
    ("session end 9f86d0818840", 0),
    // It finds something in whatever answers like that.
    ("doctor", 1),
];

/// Commands that ask no supervisor, with what they print instead.
const ALONE: &[&str] = &[
    "serve",
    "demo",
    "rules check",
    "rules matrix",
    "rules derive",
    "rules graph",
    "rules diff",
    "rules simulate",
    "rules test",
    "rules fmt",
    "rules schema",
    "rules show",
    "rules explain",
    "conform",
    "upgrade preview",
    "config show",
    "config check",
    "config default",
    "completions",
    // They ask a broker, and no supervisor.
    "kafka check",
    "kafka lag",
    "nats init",
    "nats check",
    "nats lag",
    // They look at a store of their own.
    "store status",
    "cluster status",
    "cluster drain",
    "cluster resume",
    "migrate",
    // They ask nobody.
    "nats try",
    "kafka try",
    "context list",
    "context show",
    "context use",
    "context set",
    "context delete",
    // Endless; `cases watch` prints with the same code.
    "events",
];

#[track_caller]
fn steers_nothing(line: &str, done: &Done) {
    let all = format!("{}{}", done.stdout, done.stderr);
    let is_bad = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t' | '\r'))
            || "\u{202e}\u{2066}\u{2028}".contains(c)
    };
    let bad: Vec<char> = all.chars().filter(|c| is_bad(*c)).collect();
    assert!(bad.is_empty(), "amends {line}: {bad:?} in\n{all:?}");
    let lone = all.replace("\r\n", "\n").contains('\r');
    assert!(!lone, "amends {line}: a line can be written over:\n{all:?}");
    assert!(!all.lines().any(|line| line.starts_with("FAKE")), "amends {line}:\n{all}");
}

#[test]
fn planted_texts_steer_nothing_and_no_command_is_forgotten() {
    let all: Vec<&str> =
        COMMANDS.lines().filter_map(|line| line.strip_prefix("## amends ")).collect();
    let leaves = all.iter().filter(|name| {
        let deeper = format!("{name} ");
        !all.iter().any(|other| other.starts_with(&deeper))
    });
    for leaf in leaves {
        let is_run = PRINTING.iter().any(|(line, _)| {
            line.strip_prefix(leaf).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        });
        assert!(is_run || ALONE.contains(leaf), "`amends {leaf}` is not tried");
    }

    let strangers = Strangers::start(Answers::Planted);
    let folder = scratch();
    write(folder.path(), "rows.json", &json!({ "id": "c-17", "rows": [] }).to_string());
    let erased = json!([{ "erased": [{ "sagaId": "order-4711" }] }]);
    write(folder.path(), "erasures.json", &erased.to_string());
    write(
        folder.path(),
        "shop.yaml",
        "rulebook: shop\nservices:\n  pay: { url: \"http://pay:1\", actions: { charge: { compensation: refund } } }\nrules:\n  - { on: \"*/*\", compensate: recorded }\n",
    );
    let mut planted = 0;
    for (line, code) in PRINTING {
        let mut command = command();
        command.args(line.split_whitespace()).env("AMENDS_URL", &strangers.url);
        let done = finish(command.current_dir(folder.path()));
        steers_nothing(line, &done);
        assert_eq!(done.code, *code, "amends {line}:\n{}\n{}", done.stdout, done.stderr);
        planted += usize::from(format!("{}{}", done.stdout, done.stderr).contains("owned"));
    }
    assert!(planted > PRINTING.len() / 2, "only {planted} commands have shown a planted text");
}

#[test]
fn problems_and_what_is_no_answer_steer_nothing() {
    for (answers, code) in [(Answers::Refusing, 4), (Answers::Garbage, 3)] {
        let strangers = Strangers::start(answers);
        for (line, _) in PRINTING.iter().filter(|(line, _)| !line.starts_with("doctor")) {
            // What needs files fails before it asks; that is tried above.
            if line.contains(".json") || line.contains(".yaml") || line.starts_with("export") {
                continue;
            }
            let done = strangers.run(line);
            steers_nothing(line, &done);
            let is_told = done.code == code
                || line.starts_with("cases watch")
                || line.starts_with("sagas end");
            assert!(
                is_told,
                "amends {line} exits {}:\n{}\n{}",
                done.code, done.stdout, done.stderr
            );
        }
    }
}

#[test]
fn names_of_this_machine_steer_nothing() {
    let folder = scratch();
    let text =
        format!("rulebook: shop\nservices: {{ {EVIL}: 1 }}\nrules: [{EVIL}]\n").replace('\0', "");
    let path = write(folder.path(), "shop.yaml", &text);
    for line in ["rules check", "rules show", "rules matrix", "rules fmt --check", "rules test"] {
        let arguments: Vec<&str> = line.split(' ').chain([path.as_str()]).collect();
        let done = finish(command().args(&arguments));
        let all = format!("{}{}", done.stdout, done.stderr);
        let bad = |c: char| c.is_control() && !matches!(c, '\n' | '\t') || c == '\u{202e}';
        assert!(!all.contains(bad), "amends {line}:\n{all:?}");
    }
    let mut show = command();
    let evil = EVIL.replace('\0', "");
    show.args(["config", "show", "-o", "wide"]).env("AMENDS_ALERTS_PUBLIC_URL", &evil);
    let done = finish(&mut show).exits(0);
    assert!(done.stdout.contains("owned"), "{}", done.stdout);
    assert!(!done.stdout.contains(['\x1b', '\u{202e}', '\x07']), "{:?}", done.stdout);
}
