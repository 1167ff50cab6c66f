//! The commands of pages and help texts, run as their reader would run them: in a folder with the files that they name,
//! against a supervisor of the food business that has something of everything. It prints what it has run, and what not.

#[path = "support/commands.rs"]
mod commands;
mod support;

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::response::IntoResponse;
use commands::{Shown, of_help, of_pages};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use support::page::run_for;
use support::{Supervisor, command, eventually, finish, scratch, write};

const COMMANDS: &str = include_str!("../../../docs/reference/cli.md");
const RULES: &str = include_str!("../../../demo/rulebook/food-order.yaml");
const TESTS: &str = include_str!("../../../demo/rulebook/food-order.test.yaml");

/// Pages that have a test of their own which runs all they show.
const ELSEWHERE: &[&str] = &[
    "docs/start.md",
    "docs/guides/calling-outside.md",
    "docs/guides/legacy-service.md",
    "docs/guides/from-five-rules-to-one.md",
];

/// What is not run, and why. The longest beginning counts.
const NOT_RUN: &[(&str, &str)] = &[
    ("serve", "endless; the tests themselves start supervisors like that"),
    ("demo", "has tests of its own"),
    ("kafka", "no Kafka runs here; `cli_kafka.rs` has one"),
    ("nats", "no NATS runs here; `cli_nats.rs` has one"),
    ("migrate", "no PostgreSQL runs here; `cli_migrate.rs` has one"),
    ("store status", "the same"),
    ("cluster", "no PostgreSQL runs here; `cli_postgres.rs` has one"),
    ("report rejected show", "nothing was rejected here; `cli_rejected.rs` has such messages"),
    ("report rejected retry r-", "nothing was rejected here; `cli_rejected.rs` has such messages"),
    ("report rejected discard", "nothing was rejected here; `cli_rejected.rs` has such messages"),
    ("erase", "nobody has asked for that here; `cli_erase.rs` has who does"),
    ("conform", "needs a participant; `cli_conform.rs` and `participants.rs` have some"),
    ("conform --list", ""),
    ("top", "endless"),
    ("top --once", ""),
    ("events", "endless; `cli_lists.rs` follows it"),
    ("cases watch", "endless while the case is stuck; `cli_cases.rs` follows some"),
    ("cases wait", "would wait for somebody to mend the case; `cli_lists.rs` has that"),
    ("cases show c-17 --watch", "endless; `cli_lists.rs` watches a list"),
    ("rules test rules.test.yaml --watch", "endless; `rules_watch.rs` follows it"),
    ("rules simulate", "takes minutes without optimization; `simulate` has tests of its own"),
    ("token", "nobody needs to identify here; `cli_tokens.rs` has them"),
    ("session", "the same"),
    ("whoami --context prod", "there is no context here"),
    ("context", "writes into the reader's home; `cli_contexts.rs` has it"),
    ("cases list --context prod", "the same"),
    ("cases list --ca", "no demonstration with TLS runs here; `demo_secure.rs` has one"),
    ("completions", "writes into the reader's home; `cli_config.rs` has it"),
    (
        "cases settle",
        "its case settles by itself meanwhile, sooner or later; `cli_cases.rs` closes one",
    ),
    ("quarantine repair", "nothing is broken here; `cli_quarantine.rs` breaks something"),
    ("quarantine discard", "the same"),
    ("quarantine show", "the same"),
    ("questions answer q-", "no question is open here; `cli_questions.rs` has some"),
    ("questions show", "the same"),
    ("sagas", "nothing has announced itself here; `cli_cases.rs` has that"),
    ("bulk watch b-3", "would watch what other commands leave behind"),
    ("bulk stop b-3", "the same"),
];

/// Exit codes other than 0, and why.
const OTHERWISE: &[(&str, i32, &str)] = &[
    ("questions stranger", 5, "no rulebook `shop` here"),
    ("rules status shop", 5, "the same"),
    ("cases show order-1003", 5, "no such saga here"),
    ("cases retry c-17 --reason payment is back --yes", 4, "the services go on refusing"),
    ("cases retry --service payment --reason payment is back --yes", 4, "the same"),
    ("cases plan c-17 --compensate", 4, "its rule has planned that already"),
    ("cases retry --group", 2, "it asks first"),
    ("rules rollback food-order --reason", 2, "the same"),
    ("rules diff old.yaml new.yaml --exit-code", 1, "so it says that they differ"),
    ("audit verify --anchor", 1, "an entry 1204 is not there yet"),
    ("backup --data", 6, "that is for a supervisor that doesn't run"),
];

struct Place {
    folder: tempfile::TempDir,
    supervisor: Supervisor,
    /// What is printed, and what it is here.
    own: Vec<(&'static str, String)>,
    _services: tokio::runtime::Runtime,
}

/// Services that have no History and refuse to undo anything.
async fn refuse(method: Method) -> impl IntoResponse {
    let (status, body) = match method {
        Method::GET => (StatusCode::OK, json!({ "sagaId": "order-1", "entries": [] })),
        _ => (
            StatusCode::UNPROCESSABLE_ENTITY,
            json!({ "type": "https://amends.dev/problems/refused", "title": "refused", "status": 422, "detail": "the books are closed", "code": "refused" }),
        ),
    };
    (status, [("content-type", "application/json")], body.to_string())
}

impl Place {
    fn prepare() -> Self {
        let services = tokio::runtime::Runtime::new().expect("a runtime");
        let listener = services.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let app = Router::new().fallback(refuse);
        services.spawn(async move { axum::serve(listener, app).await });

        let folder = scratch();
        let here = folder.path();
        let mut rules = RULES.to_owned();
        for port in 7101..=7106 {
            rules = rules.replace(&format!("127.0.0.1:{port}"), &address);
        }
        files(here, &rules);
        let supervisor =
            Supervisor::start(here, &["--rules", "rules.yaml", "--data", "amends-data"]);
        let report = |n: usize, saga: &str| {
            let id = format!("r-{n}");
            let report =
                ["report", "send", "--source", "payment", "--code", "report-1", "--action", "pay"];
            let what =
                ["--saga", saga, "--id", &id, "--data", "customer=c-7", "--data", "total:=120"];
            let past = ["--history", "coupon.redeem=succeeded", "--data", "currency=EUR"];
            supervisor.run(&[&report[..], &what, &past].concat()).exits(0);
        };
        for n in 1..=20 {
            report(n, &if n == 17 { "order-4711".to_owned() } else { format!("order-{n}") });
        }
        let step = eventually("a step is stuck", || {
            let case = supervisor.case("c-16");
            let plan = case["plan"].as_array()?;
            let stuck = plan.iter().find(|step| step["state"] == "stuck")?;
            Some(stuck["id"].as_str().expect("an id").to_owned())
        });
        let groups: Value = supervisor.run(&["cases", "groups", "--json"]).exits(0).json();
        let group = groups[0]["id"].as_str().expect("something is held up").to_owned();
        // A version of before, to go back to: the first page makes `rules.yaml` active again.
        let next = here.join("next.yaml");
        let next = next.to_str().expect("UTF-8");
        supervisor.run(&["rules", "activate", next, "--reason", "x"]).exits(0);
        let books: Value = supervisor.run(&["rules", "list", "--json"]).exits(0).json();
        let version = books[0]["hash"].as_str().expect("a hash")[..6].to_owned();
        let copy = supervisor.run(&["backup"]).exits(0).stdout;
        std::fs::copy(copy.trim(), here.join("copied/amends.sqlite")).expect("a copy");
        let own = vec![
            ("s-17-3-9f86d081884c7d65", step),
            ("g-9f86d081884c7d65", group),
            ("4be1f0", version),
            ("http://127.0.0.1:7100", supervisor.url.clone()),
            ("/etc/amends/", "./".to_owned()),
            ("/var/lib/amends", "copied".to_owned()),
            ("target/release/amends", "amends".to_owned()),
            ("/usr/local/bin/amends", "amends".to_owned()),
        ];
        Self { folder, supervisor, own, _services: services }
    }

    /// Runs it as a shell would; gives its exit code and what it said.
    fn run(&self, shown: &Shown) -> (i32, String) {
        let mut text = shown.text.clone();
        for (printed, own) in &self.own {
            text = text.replace(printed, own);
        }
        let url = Some(self.supervisor.url.as_str());
        let output = run_for(Duration::from_secs(20), &text, self.folder.path(), url);
        (output.code, format!("{text}\n{}", output.text))
    }
}

/// What the commands read.
fn files(here: &Path, rules: &str) {
    let file = |name: &str, text: &str| {
        let path = here.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("ours");
        write(here, name, text);
    };
    let other = rules.replace("quiet: 2s", "quiet: 3s");
    for name in ["rules.yaml", "old.yaml", "rules/food-order.yaml"] {
        file(name, rules);
    }
    for name in ["next.yaml", "new.yaml", "short.yaml"] {
        file(name, &other);
    }
    file("shop.yaml", &rules.replace("rulebook: food-order", "rulebook: shop"));
    file("rules.test.yaml", &TESTS.replace("food-order.yaml", "rules.yaml"));
    file("rules/food-order.test.yaml", TESTS);
    file("manifests/mail.yaml", "service: mail\nactions:\n  send: { compensation: recall }\n");
    file("amends.toml", "listen = \"127.0.0.1:0\"\ndata = \"amends-data\"\n");
    let report =
        json!({ "source": "payment", "sagaId": "order-1", "code": "report-1", "id": "r-1" });
    file("report.json", &report.to_string());
    std::fs::create_dir_all(here.join("copied")).expect("ours");
}

/// The commands of all pages that have no test of their own, and of all help texts; each once.
fn shown() -> Vec<Shown> {
    let is_elsewhere = |one: &Shown| ELSEWHERE.iter().any(|page| one.place.starts_with(page));
    let mut all: Vec<Shown> = of_pages();
    all.retain(|one| one.is_whole && !one.place.starts_with("deploy/") && !is_elsewhere(one));
    for name in COMMANDS.lines().filter_map(|line| line.strip_prefix("## amends")) {
        let mut help = command();
        // Wide enough for every example to be one line.
        help.args(name.split_whitespace()).arg("--help").env("COLUMNS", "1000");
        all.extend(of_help(name.trim(), &finish(&mut help).exits(0).stdout));
    }
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|one| seen.insert(one.text.clone()));
    all
}

fn longest<'t, T>(all: &'t [T], line: &str, key: impl Fn(&T) -> &'static str) -> Option<&'t T> {
    let fits = all.iter().filter(|one| {
        line == key(one)
            || line.starts_with(&format!("{} ", key(one)))
            || (key(one).ends_with('-') && line.starts_with(key(one)))
    });
    fits.max_by_key(|one| key(one).len())
}

#[test]
fn shown_commands_do_what_is_shown() {
    let place = Place::prepare();
    let (mut ran, mut left, mut wrong) = (0, 0, Vec::new());
    for one in shown() {
        let line = one.words.join(" ");
        if let Some((_, why)) =
            longest(NOT_RUN, &line, |(key, _)| key).filter(|(_, why)| !why.is_empty())
        {
            println!("not run: amends {line}: {why}");
            left += 1;
            continue;
        }
        let (code, said) = place.run(&one);
        let wanted = longest(OTHERWISE, &line, |(key, ..)| key).map_or(0, |(_, code, _)| *code);
        println!("{code} amends {line}");
        if code != wanted {
            wrong.push(format!("{}: exits {code} rather than {wanted}: {said}", one.place));
        }
        ran += 1;
    }
    println!("{ran} commands were run, {left} were not");
    assert!(wrong.is_empty(), "{} of {ran}:\n{}", wrong.len(), wrong.join("\n----\n"));
    assert!(ran > 100, "only {ran} commands were run");
}
