//! The participants in other languages are what they say: each passes the conformance kit, and each survives `kill -9`
//! under a real supervisor. Needs `python3` with aiohttp, and what `npm ci` installs; without them it fails and says so.

mod support;

use axum::Router;
use axum::body::Bytes;
use axum::http::{StatusCode, Uri};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use support::process::{Process, Streams};
use support::{Supervisor, command, eventually, finish, scratch, unused_address, write};

/// A participant starts in well under a second; a loaded machine gets more.
const START_LIMIT: Duration = Duration::from_secs(30);
const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[derive(Clone, Copy, Debug)]
enum Language {
    Python,
    TypeScript,
}

impl Language {
    fn folder(self) -> PathBuf {
        let name = match self {
            Self::Python => "python",
            Self::TypeScript => "typescript",
        };
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../participants").join(name)
    }

    /// The command that runs it.
    fn command(self) -> Command {
        let mut command = match self {
            Self::Python => python(),
            Self::TypeScript => node(),
        };
        command.arg(self.folder().join(match self {
            Self::Python => "coupon.py",
            Self::TypeScript => "coupon.ts",
        }));
        command
    }
}

/// The first Python that has aiohttp: a Python of the user's own may not see the system's packages.
fn python() -> Command {
    let fits = "import sys, aiohttp; sys.exit(sys.version_info < (3, 11))";
    let of_the_system = "/usr/bin/python3";
    let found = ["python3", of_the_system].into_iter().find(|python| {
        let looked = Command::new(python).args(["-c", fits]).output();
        looked.is_ok_and(|output| output.status.success())
    });
    let mut python = Command::new(found.expect(
        "there is no Python 3.11 with aiohttp: install the packages `python3` and `python3-aiohttp`",
    ));
    python.arg("-B"); // leaves no compiled files in the tree
    python
}

/// The Node of the participant's own installation, or the system's where npm has none to give.
fn node() -> Command {
    let own = Language::TypeScript.folder().join("node_modules/.bin/node");
    let node = if own.exists() { own } else { PathBuf::from("node") };
    let looked = Command::new(&node).arg("--version").output();
    let version = looked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let major =
        version.ok().and_then(|text| text.trim_start_matches('v').split('.').next()?.parse().ok());
    assert!(
        major.is_some_and(|major: u32| major >= 24),
        "there is no Node 24: run `npm ci` in participants/typescript, or `cargo xtask test`, which does so"
    );
    Command::new(node)
}

/// A participant in a process of its own.
struct Participant {
    url: String,
    process: Process,
    log: PathBuf,
}

impl Participant {
    /// Starts it with its database in `folder`; returns when it listens. Its undos are done at once.
    fn start(
        language: Language,
        listen: &str,
        folder: &Path,
        supervisor: &str,
        printer: &str,
    ) -> Self {
        Self::start_slow("0", language, listen, folder, [supervisor, printer])
    }

    /// The same with undos that take so many seconds, which it answers 202.
    fn start_slow(
        undo_takes_s: &str,
        language: Language,
        listen: &str,
        folder: &Path,
        [supervisor, printer]: [&str; 2],
    ) -> Self {
        let log = folder.join("coupon.log");
        let errors = File::options().create(true).append(true).open(&log).expect("our folder");
        let mut command = language.command();
        command
            .env("COUPON_LISTEN", listen)
            .env("COUPON_DATABASE", folder.join("coupon.sqlite"))
            .env("SUPERVISOR_URL", supervisor)
            .env("PRINTER_URL", printer)
            .env("SIGNING_KEYS", KEY)
            .env("UNDO_TAKES_S", undo_takes_s);
        let streams = Streams { stdout: Stdio::piped(), stderr: errors.into(), ..Streams::none() };
        let mut process = Process::start(&mut command, streams, "it was there a moment ago");
        let stdout = process.stdout.take().expect("piped");
        let (found, listening) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some((_, url)) = line.split_once("listens on ") {
                    let _ = found.send(url.to_owned());
                }
            }
        });
        let mut participant = Self { url: String::new(), process, log };
        participant.url = listening.recv_timeout(START_LIMIT).expect("it says where it listens");
        participant
    }

    /// `kill -9`: no time for a last word.
    fn kill(&mut self) {
        self.process.kill();
    }

    /// A request of `shop.sell`, in a saga that began with `order.place`.
    fn post(&self, path: &str, saga: &str, request: &str, body: &Value) -> Answer {
        let headers = format!(
            "Saga-Id: {saga}\r\nRequest-Id: {request}\r\nAmends-Caller: shop.sell\r\n\
             baggage: saga-id={saga},amends-entry=order.place\r\n"
        );
        ask(&self.url, "POST", path, &headers, &body.to_string()).expect("it answers")
    }

    /// How often an effect is in force.
    fn count(&self, view: &str, saga: &str) -> Value {
        let answer = ask(&self.url, "GET", &format!("/{view}/{saga}"), "", "").expect("it answers");
        answer.body["count"].clone()
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        self.process.kill(); // before its log is read
        if std::thread::panicking() {
            eprintln!("{}", std::fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Value,
}

impl Answer {
    fn problem(&self) -> &str {
        let kind = self.body["type"].as_str().unwrap_or_default();
        kind.strip_prefix("https://amends.dev/problems/").unwrap_or(kind)
    }

    /// The report that the failed answer names.
    fn report(&self) -> String {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let found = lines.filter(|(name, _)| name.eq_ignore_ascii_case("amends-report"));
        found.map(|(_, value)| value.trim().to_owned()).next().expect("it names a report")
    }
}

/// One exchange on a connection of its own; `None` if the other side went away.
fn ask(url: &str, method: &str, path: &str, headers: &str, body: &str) -> Option<Answer> {
    let address = url.strip_prefix("http://").expect("plain HTTP");
    let mut stream = TcpStream::connect(address).ok()?;
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}");
    write!(stream, "{head}Content-Length: {length}\r\n\r\n{body}").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer {
        status,
        head: head.to_owned(),
        body: serde_json::from_str(body).unwrap_or_default(),
    })
}

/// The printer that the coupon service calls: takes an order and never answers it. It can undo.
struct Printer {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Printer {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener =
            runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let app = Router::new().fallback(async move |uri: Uri, _: Bytes| {
            seen.lock().expect("not poisoned").push(uri.path().to_owned());
            match uri.path() {
                "/print" => std::future::pending().await,
                "/amends/v1/compensate/print" => {
                    (StatusCode::OK, json!({ "outcome": "compensated" }).to_string())
                }
                _ => (StatusCode::NOT_FOUND, String::new()),
            }
        });
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { url, asked, _runtime: runtime }
    }

    fn was_asked(&self, path: &str) -> Option<()> {
        self.asked.lock().expect("not poisoned").iter().any(|asked| asked == path).then_some(())
    }
}

/// A supervisor at `address` whose rulebook has the coupon service and its printer.
fn supervisor_at(address: &str, folder: &Path, coupon: &str, printer: &str) -> Supervisor {
    let rules = format!(
        "rulebook: coupons
settle: {{ quiet: 200ms }}
services:
  coupon:
    url: \"http://{coupon}\"
    signing_key: coupon
    retry_policy: {{ first: 10ms, cap: 100ms }}
    actions:
      redeem: {{ compensation: restore, calls: [printer.print] }}
  printer:
    url: \"{printer}\"
    actions:
      print: {{ compensation: scrap }}
rules:
  - on: \"*/*\"
    compensate: recorded
"
    );
    let rules = write(folder, "coupons.yaml", &rules);
    let config = write(folder, "amends.toml", &format!("[signing_keys]\ncoupon = \"{KEY}\"\n"));
    Supervisor::start_at(
        address,
        folder,
        &["--config", &config, "--rules", &rules, "--data", "data"],
    )
}

#[test]
fn the_participant_in_python_passes_every_check() {
    passes_every_check(Language::Python, "0");
}

#[test]
fn the_participant_in_python_passes_every_check_when_its_undos_are_slow() {
    passes_every_check(Language::Python, "0.02");
}

#[test]
fn the_participant_in_typescript_passes_every_check() {
    passes_every_check(Language::TypeScript, "0");
}

#[test]
fn the_participant_in_typescript_passes_every_check_when_its_undos_are_slow() {
    passes_every_check(Language::TypeScript, "0.02");
}

/// Checks for which a service with one action, which calls another one once, has nothing to offer.
const NO_MEANS_FOR: [&str; 8] = [
    "call-after-fence",
    "call-ordinal",
    "call-stays-succeeded",
    "compensate-other-action",
    "fence-other-action",
    "fence-without-undo",
    "forward-other-action",
    "report-undone",
];

fn passes_every_check(language: Language, undo_takes_s: &str) {
    let folder = scratch();
    let (supervisor, printer) = (unused_address(), unused_address());
    let config = std::fs::read_to_string(language.folder().join("participant.yaml"))
        .expect("it has a configuration")
        .replace("127.0.0.1:7190", &supervisor)
        .replace("127.0.0.1:7191", &printer);
    let config = write(folder.path(), "participant.yaml", &config);
    let [supervisor, printer] = [supervisor, printer].map(|address| format!("http://{address}"));
    let participant = Participant::start_slow(
        undo_takes_s,
        language,
        "127.0.0.1:0",
        folder.path(),
        [&supervisor, &printer],
    );

    let arguments = ["conform", &participant.url, "--config", &config, "--json"];
    let done = finish(command().args(arguments).env("SIGNING_KEYS", KEY));
    let examined = done.json();
    let of = |verdict: &str| -> Vec<&Value> {
        let all = examined["checks"].as_array().expect("a list");
        all.iter().filter(|one| one["verdict"] == verdict).collect()
    };
    assert_eq!((of("failed"), of("blocked")), (vec![], vec![]));
    let with = |verdict: &str| -> BTreeSet<String> {
        of(verdict).iter().map(|one| one["check"].as_str().expect("text").to_owned()).collect()
    };
    let mut cannot_be_tried = NO_MEANS_FOR.map(str::to_owned).into_iter().collect::<BTreeSet<_>>();
    if undo_takes_s == "0" {
        cannot_be_tried.insert("step-accepted".to_owned()); // nobody needs to answer a step with 202
    }
    assert_eq!(with("skipped"), cannot_be_tried);
    let listed = finish(command().args(["conform", "--list", "--json"])).exits(0).json();
    let listed = listed.as_array().expect("a list").iter();
    let listed: BTreeSet<_> =
        listed.map(|one| one["check"].as_str().expect("text").to_owned()).collect();
    assert_eq!(with("passed"), &listed - &cannot_be_tried);
    done.exits(0);
}

#[test]
fn what_the_participant_in_python_left_when_it_was_killed_is_undone() {
    what_it_left_when_it_was_killed_is_undone(Language::Python);
}

#[test]
fn what_the_participant_in_typescript_left_when_it_was_killed_is_undone() {
    what_it_left_when_it_was_killed_is_undone(Language::TypeScript);
}

fn what_it_left_when_it_was_killed_is_undone(language: Language) {
    let folder = scratch();
    let (printer, address) = (Printer::start(), unused_address());
    let supervisor = supervisor_at("127.0.0.1:0", folder.path(), &address, &printer.url);
    let start =
        || Participant::start(language, &address, folder.path(), &supervisor.url, &printer.url);

    // It dies while the printer has its order and has not answered.
    let mut coupon = start();
    let (url, body) = (coupon.url.clone(), json!({ "coupon": "C-1", "copies": 3 }));
    let text = body.to_string();
    let caller = std::thread::spawn(move || {
        let headers = "Saga-Id: order-1\r\nRequest-Id: r-1\r\n";
        ask(&url, "POST", "/redeem", headers, &text)
    });
    eventually("the printer is called", || printer.was_asked("/print"));
    coupon.kill();
    assert!(caller.join().expect("no panic").is_none(), "nobody was answered");

    // The next start finds the row, and says that it doesn't know.
    let coupon = start();
    let case = eventually("the case settles", || {
        first_case(&supervisor).filter(|case| case["state"] == "settled")
    });
    assert_eq!(case["reports"][0]["data"]["code"], "crashed", "{case:#}");
    let told = case["reports"][0]["data"]["history"].as_array().expect("a list").iter();
    let told: Vec<_> =
        told.map(|entry| (entry["action"].as_str(), entry["state"].as_str())).collect();
    let unknown = Some("unknown");
    assert_eq!(told, [(Some("redeem"), unknown), (Some("print"), unknown)], "{case:#}");
    assert_eq!(outcome(&case, "coupon.redeem"), "nothing_to_compensate", "{case:#}");
    assert_eq!(outcome(&case, "printer.print"), "compensated", "{case:#}");

    // The caller that asks again is refused, and nothing has happened.
    let again = coupon.post("/redeem", "order-1", "r-1", &body);
    assert_eq!((again.status, again.problem()), (409, "saga-fenced"), "{again:?}");
    assert_eq!(coupon.count("redeemed", "order-1"), 0);
}

#[test]
fn a_report_of_the_participant_in_python_outlives_its_process() {
    a_report_outlives_its_process(Language::Python);
}

#[test]
fn a_report_of_the_participant_in_typescript_outlives_its_process() {
    a_report_outlives_its_process(Language::TypeScript);
}

fn a_report_outlives_its_process(language: Language) {
    let folder = scratch();
    let (printer, address, home) = (Printer::start(), unused_address(), unused_address());
    let away = format!("http://{home}");
    let start = || Participant::start(language, &address, folder.path(), &away, &printer.url);

    // A coupon is used twice while the supervisor is away, and then the process dies.
    let mut coupon = start();
    let body = json!({ "coupon": "C-1" });
    assert_eq!(coupon.post("/redeem", "order-1", "r-1", &body).status, 200);
    let failed = coupon.post("/redeem", "order-2", "r-2", &body);
    assert_eq!((failed.status, failed.problem()), (422, "action-failed"), "{failed:?}");
    coupon.kill();

    let coupon = start();
    let supervisor = supervisor_at(&home, folder.path(), &address, &printer.url);
    let case = eventually("the report arrives", || first_case(&supervisor));
    assert_eq!(case["sagaId"], "order-2", "{case:#}");
    let report = &case["reports"][0];
    assert_eq!((&report["id"], &report["data"]["code"]), (&json!(failed.report()), &json!("used")));
    let (entry, caller) = (&report["data"]["entry"], &report["data"]["caller"]);
    assert_eq!((entry, caller), (&json!("order.place"), &json!("shop.sell")), "{report:#}");
    let replayed = coupon.post("/redeem", "order-1", "r-1", &body);
    assert_eq!((replayed.status, &replayed.body["redeemed"]), (200, &json!("C-1")));
    assert_eq!(coupon.count("redeemed", "order-1"), 1);
}

#[test]
fn an_outcome_that_the_participant_in_python_owes_outlives_its_process() {
    an_owed_outcome_outlives_its_process(Language::Python);
}

#[test]
fn an_outcome_that_the_participant_in_typescript_owes_outlives_its_process() {
    an_owed_outcome_outlives_its_process(Language::TypeScript);
}

fn an_owed_outcome_outlives_its_process(language: Language) {
    let folder = scratch();
    let (printer, address) = (Printer::start(), unused_address());
    let supervisor = supervisor_at("127.0.0.1:0", folder.path(), &address, &printer.url);
    let start = |undo_takes_s: &str| {
        let others = [supervisor.url.as_str(), printer.url.as_str()];
        Participant::start_slow(undo_takes_s, language, &address, folder.path(), others)
    };

    // It dies while it is at work on an undo that it has taken with 202.
    let mut coupon = start("3600");
    assert_eq!(coupon.post("/redeem", "order-1", "r-1", &json!({ "coupon": "C-1" })).status, 200);
    assert_eq!(coupon.post("/redeem", "order-1", "r-2", &json!({ "coupon": "C-1" })).status, 422);
    eventually("the step is taken", || {
        let case = first_case(&supervisor)?;
        let steps = case["plan"].as_array()?;
        steps.iter().any(|step| step["state"] == "accepted").then_some(())
    });
    assert_eq!(coupon.count("redeemed", "order-1"), 1, "it is still at work");
    coupon.kill();

    // The next process knows what it owes, does it, and tells.
    let coupon = start("0.01");
    let case = eventually("the case settles", || {
        first_case(&supervisor).filter(|case| case["state"] == "settled")
    });
    assert_eq!(outcome(&case, "coupon.redeem"), "compensated", "{case:#}");
    assert_eq!(coupon.count("redeemed", "order-1"), 0);
}

/// The first case that the supervisor opened, if there is one yet.
fn first_case(supervisor: &Supervisor) -> Option<Value> {
    let shown = supervisor.run(&["cases", "show", "c-1", "--json"]);
    (shown.code == 0).then(|| shown.json())
}

fn outcome<'c>(case: &'c Value, action: &str) -> &'c str {
    let steps = case["plan"].as_array().expect("a list");
    let found = steps.iter().find(|step| step["action"] == action);
    found.and_then(|step| step["outcome"].as_str()).unwrap_or("none")
}

#[test]
fn the_participant_in_typescript_has_right_types() {
    let folder = Language::TypeScript.folder();
    let checker = folder.join("node_modules/typescript/bin/tsc");
    assert!(
        checker.exists(),
        "the type checker is missing: run `npm ci` in participants/typescript"
    );
    let Output { status, stdout, .. } =
        node().arg(checker).current_dir(&folder).output().expect("it runs");
    assert!(status.success(), "{}", String::from_utf8_lossy(&stdout));
}

#[test]
fn the_guide_shows_what_is_in_the_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let guide = include_str!("../../../docs/guides/participant-in-any-language.md");
    let mut shown = 0;
    for block in guide.split("\n```").skip(1).step_by(2) {
        let (about, text) = block.split_once('\n').expect("a block has a first line");
        let Some((_, file)) = about.split_once(' ') else { continue };
        let source = std::fs::read_to_string(root.join(file)).expect("the guide names a file");
        let source: Vec<&str> = source.lines().map(str::trim).collect();
        let mut rest = source.as_slice();
        // A line `…` stands for what was left out; what is shown is in the file, in this order.
        for part in text.split("\n…\n") {
            let part: Vec<&str> = part.lines().map(str::trim).collect();
            let at = rest.windows(part.len()).position(|lines| lines == part);
            let at = at.unwrap_or_else(|| panic!("{file} has no more:\n{}", part.join("\n")));
            rest = &rest[at + part.len()..];
        }
        shown += 1;
    }
    assert_eq!(shown, 10, "excerpts of the guide; one that is compared with no file may rot");
}

/// Whoever writes one in a further language reads it whole. All that is written by hand counts, tables included; what is
/// squeezed is not short.
#[test]
fn a_participant_is_short_enough_to_be_read() {
    for language in [Language::Python, Language::TypeScript] {
        let mut lines = 0;
        for entry in std::fs::read_dir(language.folder()).expect("a folder").flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|e| e == "py" || e == "ts" || e == "sql") {
                let text = std::fs::read_to_string(&path).expect("text");
                lines += text.lines().count();
                let wide = text.lines().find(|line| line.chars().count() > 120);
                assert_eq!(wide, None, "a line of {} is too long", path.display());
            }
        }
        assert!((100..400).contains(&lines), "{language:?} has {lines} lines");
    }
}
