//! Thirty secrets are planted: in the configuration, in reports, in what services answer, in what people write, and by
//! the supervisor itself; each in several writings. Then everything that the product writes or shows is looked through
//! for all of them. `docs/internals/secrets.md` has the table of where, and what is in the store by design.

#[path = "../support/mod.rs"]
mod support;

mod planted;
mod stage;
mod town;

use planted::{Origin, Secret};
use serde_json::{Value, json};
use stage::{JSON, Stage, form_of, listen};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use support::eventually;

/// What a person writes into a request in place of a secret.
const EDITED: &str = "a field that a person has edited";

/// What was looked at, by the name that the page has for it.
#[derive(Default)]
struct Seen(BTreeMap<&'static str, String>);

impl Seen {
    fn add(&mut self, place: &'static str, text: &str) {
        let _ = writeln!(self.0.entry(place).or_default(), "{text}"); // a text takes everything
    }

    /// Everything that should not be there.
    fn found(&self, secrets: &[Secret], may: impl Fn(&str, &Secret) -> bool) -> Vec<String> {
        let mut found = Vec::new();
        for (place, text) in &self.0 {
            for secret in secrets.iter().filter(|secret| !may(place, secret)) {
                let mut writings = secret.gives_away().into_iter();
                if let Some(writing) = writings.find(|writing| text.contains(writing.as_str())) {
                    let at = text.find(&writing).expect("it is there");
                    let begin = text[..at].char_indices().rev().nth(300).map_or(0, |(at, _)| at);
                    let end = (at + writing.len() + 60).min(text.len());
                    let around = text.get(begin..end).unwrap_or(&text[begin..at]);
                    found.push(format!("{} in {place}: …{around}…", secret.what));
                }
            }
        }
        found
    }
}

/// What all those around it bring, in several writings, within the bounds of one text each.
fn texts(secrets: &[Secret], longest: usize) -> Vec<String> {
    let mut texts = vec![String::new()];
    for told in secrets.iter().flat_map(Secret::as_told) {
        let last = texts.last_mut().expect("there is one");
        if !last.is_empty() && last.len() + told.len() + 3 > longest {
            texts.push(told);
        } else {
            last.push_str(&format!(" | {told}"));
        }
    }
    texts
}

/// The same at the end of a text that is cut short where it is kept.
fn cut_short(secrets: &[Secret]) -> Vec<String> {
    let known = secrets.iter().filter(|secret| secret.origin == Origin::Configuration);
    known
        .map(|secret| format!("{}{}", "x".repeat(500 - 3 - secret.value.len() + 2), secret.value))
        .collect()
}

fn business(stage: &Stage) -> Value {
    let of = |what| stage.secret(what);
    json!({
        "card": of("a field of a report"), "payer": { "iban": of("a field within a field") },
        "items": [{ "serial": of("a field of each item of a list"), "n": 1 }],
        "pin": of("a number").parse::<u64>().expect("a number"), "amount": 12.5,
    })
}

/// Reports, answers, acts, callbacks, alerts: until all of it was said and heard. Gives case and step.
fn play(stage: &mut Stage, run: &str) -> (String, String) {
    let saga = format!("order-{run}");
    // Nobody can know yet what a person will write.
    let secrets = &stage.secrets;
    let secrets: Vec<_> = secrets.iter().filter(|one| one.what != EDITED).cloned().collect();
    let told = [texts(&secrets, 480), cut_short(&secrets)].concat();
    let all: Vec<String> = secrets.iter().flat_map(Secret::as_told).collect();
    stage.town.say(told, &all[..12].join(" "));
    let evidence =
        json!({ "card": stage.secret("a field that evidence alone holds"), "amount": 1 });
    let mut case = String::new();
    for (n, message) in texts(&secrets, 7_000).into_iter().enumerate() {
        let data = json!({
            "code": "failed", "action": "place", "message": message, "data": business(stage),
            "history": [{ "service": "payment", "action": "pay", "requestId": "q-1",
                          "state": "succeeded", "data": evidence }],
        });
        let taken = stage.report(&saga, &format!("{run}-{n}"), &data);
        case = taken["caseId"].as_str().unwrap_or_else(|| panic!("{taken}")).to_owned();
    }
    let unclear =
        json!({ "code": "unclear", "action": "place", "message": all[3], "data": business(stage) });
    stage.report(&format!("unclear-{run}"), &format!("{run}-u"), &unclear);
    let unknown = json!({ "code": "never-heard-of", "message": all[0], "data": business(stage) });
    stage.report(&format!("unmatched-{run}"), &format!("{run}-n"), &unknown);
    eventually("services have said all of it", || stage.town.has_said_all().then_some(()));
    let step = eventually("a step is stuck", || {
        let shown = stage.supervisor_case(&case);
        let stuck = shown["plan"].as_array()?.iter().find(|step| step["state"] == "stuck")?.clone();
        stuck["id"].as_str().map(str::to_owned)
    });
    (case, step)
}

/// What people do, with secrets in what they write.
fn act(stage: &mut Stage, case: &str, step: &str, cookie: &str) {
    let new_card = stage.secret(EDITED).to_owned();
    let written = format!("it said: {}, {}", stage.secrets[3].value, stage.secret("a JWT"));
    stage.town.say([], &format!("no such card: {new_card}"));
    let data = json!({ "card": new_card, "amount": 13 });
    let edit = json!({ "act": "edit", "reason": written, "data": data, "mayHaveRun": true });
    let edited = stage.post(&format!("/v1/steps/{step}/acts"), &edit);
    assert_eq!(edited["id"], *step, "{edited}");
    stage.post("/v1/services/bank/pause", &json!({ "reason": written }));
    stage.post(&format!("/v1/cases/{case}/acts"), &json!({ "act": "retry", "reason": written }));
    let bulk = json!({ "act": "retry", "reason": written, "filter": { "state": "stuck" } });
    stage.post("/v1/bulk", &bulk);
    let form = form_of(&[("act", "retry"), ("reason", &written), ("data", &written)]);
    let origin = stage.supervisor.url.clone();
    let kind = "application/x-www-form-urlencoded";
    let head = [("cookie", cookie), ("content-type", kind), ("origin", origin.as_str())];
    stage.ask("POST", &format!("/steps/{step}/acts"), &head, &form);
    // A late outcome, with a proof that is somebody's and with one that is nobody's.
    let sent = stage.town.heard("/payment/amends/v1/compensate");
    let asked: Value =
        serde_json::from_str(&sent.last().expect("it was asked").body).expect("JSON");
    if let Some(proof) = asked["callback"]["proof"].as_str() {
        stage.secrets.push(Secret::new(Origin::Ours, "the proof of a callback", proof));
    }
    for proof in ["nobodys", asked["callback"]["proof"].as_str().unwrap_or_default()] {
        let late = json!({ "outcome": "refused", "message": written, "proof": proof });
        stage.post(&format!("/v1/steps/{step}/outcome"), &late);
    }
}

/// Every GET of the table of routes, as each of several people, and as nobody.
fn look_at_all_routes(stage: &Stage, seen: &mut Seen, case: &str, step: &str, tokens: &[&str]) {
    let table = include_str!("../../../../docs/reference/access.md");
    let routes = table.lines().filter_map(|line| line.strip_prefix("| `GET ")?.split('`').next());
    let routes: Vec<&str> = routes.collect();
    assert!(routes.len() > 60, "the table has all routes: {routes:?}");
    for path in routes.into_iter().filter(|path| !["/v1/events", "/live"].contains(path)) {
        let id = match path {
            path if path.contains("steps") => step,
            path if path.contains("bulk") => "b-1",
            path if path.contains("sagas") => "order-1",
            _ => case,
        };
        let hash = stage.book_hash();
        let path = path.replace("{id}", id).replace("{position}", "0").replace("{name}", "shop");
        let path = path.replace("{hash}", &hash).replace("{rulebook}", "shop");
        let place = if path.starts_with("/v1") { "answers of the API" } else { "pages" };
        let place = if path == "/metrics" { "metrics" } else { place };
        for token in tokens {
            let answer = stage.get(&path, token);
            assert!(!answer.starts_with("HTTP/1.1 500"), "{path}: {answer}");
            seen.add(place, &answer);
        }
        seen.add("errors", &stage.ask("GET", &path, &[], ""));
    }
    for more in [
        "/v1/cases:export?format=csv",
        "/v1/steps?state=stuck",
        "/v1/cases?q=card&sort=oldest",
        "/cases?view=causes",
        "/bulk/new?act=retry&state=stuck",
    ] {
        let place = if more.contains("export") { "exports" } else { "pages" };
        seen.add(place, &stage.get(more, tokens[0]));
    }
    let group = stage.get("/v1/groups", tokens[0]);
    seen.add("answers of the API", &group);
}

/// Requests that are wrong, with each secret wherever a client may put it by mistake.
fn ask_wrongly(stage: &Stage, seen: &mut Seen) {
    let bearer = format!("Bearer {}", stage.admin);
    for secret in &stage.secrets {
        let value: String = url::form_urlencoded::byte_serialize(secret.value.as_bytes()).collect();
        let escaped = serde_json::to_string(&secret.value).expect("a text");
        let known = [("authorization", bearer.as_str()), ("content-type", JSON)];
        let json = |body: &str| stage.ask("POST", "/v1/steps:act", &known, body);
        let mut answers = vec![
            json(&format!("{{\"act\": {escaped}}}")),
            json(&format!("{{{escaped}: 1}}")),
            json(&escaped),
        ];
        // Of an address nobody can know what it is, but by its value or by its shape.
        if secret.is_known_anywhere() {
            for path in [
                format!("/v1/{value}"),
                format!("/v1/cases/{value}"),
                format!("/v1/cases?access_token={value}"),
                format!("/v1/cases?{value}=1"),
                format!("/v1/cases?cursor={value}"),
                format!("/login?next=%2F{value}"),
                format!("/login/callback?state={value}&code={value}"),
            ] {
                answers.push(stage.ask("GET", &path, &known, ""));
            }
        }
        // What is no header's value can't be sent as one.
        if secret.value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            for (name, text) in [
                ("authorization", format!("Bearer {}", secret.value)),
                ("authorization", format!("Basic {}", secret.value)),
                ("cookie", format!("amends-session={}", secret.value)),
                ("host", secret.value.clone()),
                ("amends-actor", secret.value.clone()),
                ("traceparent", secret.value.clone()),
                ("origin", format!("https://{}", secret.value)),
            ] {
                answers.push(stage.ask("GET", "/v1/overview", &[(name, &text)], ""));
            }
        }
        for answer in answers {
            // Whoever is known by what they show is answered as themselves.
            if answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5") {
                seen.add("errors", &answer);
            }
        }
    }
}

/// Commands that people run, and programs that read what they print.
fn run_commands(stage: &Stage, seen: &mut Seen, case: &str) {
    let lines: Vec<Vec<&str>> = vec![
        vec!["config", "show", "--config", "amends.toml"],
        vec!["config", "show", "--config", "amends.toml", "--json"],
        vec!["config", "check", "--config", "amends.toml"],
        vec!["doctor"],
        vec!["whoami"],
        vec!["token", "list", "--json"],
        vec!["session", "list"],
        vec!["cases", "list", "-o", "wide"],
        vec!["cases", "list", "--json"],
        vec!["cases", "show", case],
        vec!["cases", "show", case, "--json"],
        vec!["cases", "proof", case],
        vec!["cases", "groups"],
        vec!["rules", "list"],
        vec!["rules", "status"],
        vec!["rules", "drift"],
        vec!["rules", "explain", "--case", case],
        vec!["services", "list"],
        vec!["services", "show", "payment"],
        vec!["questions", "list"],
        vec!["quarantine", "list"],
        vec!["quarantine", "export", case],
        vec!["bulk", "list"],
        vec!["audit"],
        vec!["audit", "--json"],
        vec!["audit", "verify"],
        vec!["export"],
        vec!["export", "--format", "csv"],
        vec!["context", "list"],
    ];
    for line in lines {
        let done = stage.run(&line);
        let place = if line[0] == "export" { "exports" } else { "commands" };
        seen.add(place, &format!("{}{}", done.stdout, done.stderr));
        assert!(done.code != 101, "{line:?} panicked: {}", done.stderr);
    }
}

#[test]
fn thirty_secrets_are_planted_and_found_nowhere() {
    let (mut stage, mut seen) = (Stage::open(), Seen::default());
    stage.make_token("the token of reporter", &["report:*"]);
    stage.make_token("a token that may read", &["read"]);
    stage.make_token("a token that may read data", &["read:data"]);
    stage.make_token("a token that was revoked", &["read"]);
    let revoked = stage.secret("a token that was revoked").to_owned();
    let id = revoked.split('_').nth(1).expect("an id").to_owned();
    stage.run(&["token", "revoke", &id]).exits(0);
    let cookie = stage.log_in();
    let events = listen(&stage.address(), &stage.admin);

    let (case, step) = play(&mut stage, "1");
    act(&mut stage, &case, &step, &cookie);
    eventually("alerts have come", || (!stage.town.heard("/hook").is_empty()).then_some(()));
    eventually("spans have come", || (!stage.town.heard("/v1/traces").is_empty()).then_some(()));
    assert!(stage.secrets.len() >= 30, "{} secrets", stage.secrets.len());
    services_get_what_they_need(&stage);

    let readers = [stage.admin.clone(), stage.secret("a token that may read").to_owned()];
    let data = stage.secret("a token that may read data").to_owned();
    let tokens = [readers[0].as_str(), &readers[1], &data];
    look_at_all_routes(&stage, &mut seen, &case, &step, &tokens);
    seen.add("pages", &stage.ask("GET", "/me", &[("cookie", &cookie)], ""));
    seen.add("errors", &stage.get("/v1/cases", &revoked));
    ask_wrongly(&stage, &mut seen);
    run_commands(&stage, &mut seen, &case);
    let made = stage.post("/v1/backups", &json!({ "name": "planted.sqlite" }));
    assert!(made.to_string().contains("planted"), "{made}");
    seen.add("the log as JSON", &stage.supervisor.log());

    // The same again, after an end without a last word, with a log for people.
    stage.restart();
    let (case, _) = play(&mut stage, "2");
    run_commands(&stage, &mut seen, &case);
    let log = {
        let mut log = String::new();
        eventually("the log tells of it", || {
            log = stage.supervisor.log();
            log.contains("step stuck").then_some(())
        });
        log
    };
    seen.add("the log for people", &log);
    stage.supervisor.kill();
    seen.add("events", &events.join().expect("it reads"));
    for heard in [stage.town.heard("/hook"), stage.town.heard("/services/")].concat() {
        seen.add("alerts", &heard.body);
    }
    for heard in stage.town.heard("/v1/traces") {
        seen.add("spans", &heard.body);
    }
    for file in [stage.store_files(), stage.backups()].concat() {
        let bytes = std::fs::read(&file).expect("readable");
        seen.add("the store's files and a backup", &String::from_utf8_lossy(&bytes));
    }
    judge(&stage, &seen);
}

/// The grep would find them: services get what they need, byte for byte.
fn services_get_what_they_need(stage: &Stage) {
    let bank = stage.town.heard("/bank");
    let asked = bank.first().expect("it was asked");
    assert!(asked.body.contains(stage.secret("a field of a report")), "{asked:?}");
    assert!(asked.head.contains(stage.secret("a secret in a file")), "{asked:?}");
    let heard = Seen(BTreeMap::from([("a request", format!("{asked:?}"))]));
    assert_eq!(heard.found(&stage.secrets, |_, _| false).len(), 2, "found where they are");
}

fn judge(stage: &Stage, seen: &Seen) {
    let page = include_str!("../../../../docs/internals/secrets.md");
    for (place, text) in &seen.0 {
        assert!(text.len() > 1_000, "hardly anything was seen of {place}: {text}");
        assert!(page.contains(&format!("| {place} |")), "the page says nothing of `{place}`");
    }
    let shown: usize = seen.0.values().map(|text| text.matches("[hidden]").count()).sum();
    assert!(shown > 100, "they were there to be seen: {shown}");
    // By design: what services are sent is stored, or nothing could be asked again after a crash.
    let may = |place: &str, secret: &Secret| {
        place == "the store's files and a backup" && secret.origin == Origin::Business
    };
    let found = seen.found(&stage.secrets, may);
    assert!(found.is_empty(), "{} found:\n{}", found.len(), found.join("\n\n"));
}

impl Stage {
    fn supervisor_case(&self, case: &str) -> Value {
        let answer = self.get(&format!("/v1/cases/{case}"), &self.admin);
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        serde_json::from_str(body).unwrap_or_default()
    }

    fn book_hash(&self) -> String {
        let answer = self.get("/v1/rulebooks/shop", &self.admin);
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        let book: Value = serde_json::from_str(body).unwrap_or_default();
        book["hash"].as_str().unwrap_or("none").to_owned()
    }

    fn backups(&self) -> Vec<std::path::PathBuf> {
        let folder = self.folder.path().join("data/backups");
        let all = std::fs::read_dir(folder).expect("a backup was made");
        all.map(|entry| entry.expect("an entry").path()).collect()
    }
}
