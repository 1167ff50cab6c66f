//! What the stories of the participants share: a participant in a process of its own, on either database, and those
//! whom it talks to.

use crate::support::process::{Process, Streams};
use crate::support::{Supervisor, write};
use amends_private_server::PostgresServer;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::IntoResponse;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// A participant starts in well under a second; a loaded machine gets more.
const START_LIMIT: Duration = Duration::from_secs(30);
pub const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[derive(Clone, Copy, Debug)]
pub enum Language {
    Python,
    TypeScript,
}

/// Where it keeps its tables.
#[derive(Clone, Copy, Debug)]
pub enum Store {
    Sqlite,
    Postgres,
}

impl Language {
    pub fn folder(self) -> PathBuf {
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

/// The Python of the participant's own environment, or one of the system's that has what it needs.
fn python() -> Command {
    let fits = "import sys, aiohttp, psycopg; sys.exit(sys.version_info < (3, 11))";
    let own = Language::Python.folder().join(".venv/bin/python");
    let candidates = [own, PathBuf::from("python3"), PathBuf::from("/usr/bin/python3")];
    let found = candidates.into_iter().find(|python| {
        let looked = Command::new(python).args(["-c", fits]).output();
        looked.is_ok_and(|output| output.status.success())
    });
    let mut python = Command::new(found.expect(
        "there is no Python 3.11 with aiohttp and psycopg: run `cargo xtask install`, or do as \
         participants/python/README.md says",
    ));
    python.arg("-B"); // leaves no compiled files in the tree
    python
}

/// The Node of the participant's own installation, or the system's where npm has none to give.
pub fn node() -> Command {
    let own = Language::TypeScript.folder().join("node_modules/.bin/node");
    let node = if own.exists() { own } else { PathBuf::from("node") };
    let looked = Command::new(&node).arg("--version").output();
    let version = looked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let major =
        version.ok().and_then(|text| text.trim_start_matches('v').split('.').next()?.parse().ok());
    assert!(
        major.is_some_and(|major: u32| major >= 24),
        "there is no Node 24: run `cargo xtask install`, or `npm ci` in participants/typescript"
    );
    Command::new(node)
}

/// How a participant is started; its database is there before and after.
#[derive(Clone, Debug)]
pub struct Setting {
    pub language: Language,
    pub database: String,
    pub listen: String,
    pub supervisor: String,
    /// A broker that takes its reports instead; none if empty.
    pub reports_to: String,
    pub printer: String,
    /// Its undos are done at once, or take so many seconds; then it answers 202.
    pub undo_takes_s: &'static str,
    /// Keys of the supervisor's signatures; without one, anybody may ask for steps.
    pub keys: &'static str,
    pub log: PathBuf,
}

impl Setting {
    /// With a new database, on a free port, and nobody there to talk to.
    pub fn new(language: Language, store: Store, folder: &Path) -> Self {
        let database = match store {
            Store::Sqlite => folder.join("coupon.sqlite").display().to_string(),
            Store::Postgres => PostgresServer::shared().new_database(),
        };
        Self {
            language,
            database,
            listen: "127.0.0.1:0".to_owned(),
            supervisor: "http://127.0.0.1:9".to_owned(),
            reports_to: String::new(),
            printer: "http://127.0.0.1:9".to_owned(),
            undo_takes_s: "0",
            keys: KEY,
            log: folder.join("coupon.log"),
        }
    }

    /// The command that starts it.
    pub fn command(&self) -> Command {
        let mut command = self.language.command();
        command
            .env("COUPON_LISTEN", &self.listen)
            .env("COUPON_DATABASE", &self.database)
            .env("SUPERVISOR_URL", &self.supervisor)
            .env("REPORTS_TO", &self.reports_to)
            .env("PRINTER_URL", &self.printer)
            .env("SIGNING_KEYS", self.keys)
            .env("UNDO_TAKES_S", self.undo_takes_s)
            // Short, so that the dead are soon known; who is wrongly taken for dead loses no more than work in hand.
            .env("LEASE_S", "3");
        command
    }

    /// Starts it; returns when it listens.
    pub fn start(&self) -> Participant {
        let errors = File::options().create(true).append(true).open(&self.log).expect("our folder");
        let mut command = self.command();
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
        // Made before the wait, so that its log is shown if that is in vain.
        let mut participant = Participant { url: String::new(), process, log: self.log.clone() };
        participant.url = listening.recv_timeout(START_LIMIT).expect("it says where it listens");
        participant
    }
}

/// A participant in a process of its own.
pub struct Participant {
    pub url: String,
    process: Process,
    log: PathBuf,
}

impl Participant {
    /// `kill -9`: no time for a last word.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Stops it where it is, or lets it go on: as a machine does that has no time for it.
    pub fn signal(&self, signal: &str) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().expect("`kill` runs");
        assert!(sent.success(), "{signal}");
    }

    /// What it has written to standard error.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A request of `shop.sell`, in a saga that began with `order.place`.
    pub fn post(&self, path: &str, saga: &str, request: &str, body: &Value) -> Answer {
        let headers = format!(
            "Saga-Id: {saga}\r\nRequest-Id: {request}\r\nAmends-Caller: shop.sell\r\n\
             baggage: saga-id={saga},amends-entry=order.place\r\n"
        );
        ask(&self.url, "POST", path, &headers, &body.to_string()).expect("it answers")
    }

    /// A step, as the supervisor asks for it, unsigned.
    pub fn step(&self, verb: &str, action: &str, body: &Value) -> Answer {
        let path = format!("/amends/v1/{verb}/{action}");
        ask(&self.url, "POST", &path, "", &body.to_string()).expect("it answers")
    }

    pub fn get(&self, path: &str) -> Answer {
        ask(&self.url, "GET", path, "", "").expect("it answers")
    }

    /// How often an effect is in force.
    pub fn count(&self, view: &str, saga: &str) -> Value {
        self.get(&format!("/{view}/{saga}")).body["count"].clone()
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        self.process.kill(); // before its log is read
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: Value,
}

impl Answer {
    pub fn problem(&self) -> &str {
        let kind = self.body["type"].as_str().unwrap_or_default();
        kind.strip_prefix("https://amends.dev/problems/").unwrap_or(kind)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    /// The report that the failed answer names.
    pub fn report(&self) -> String {
        self.header("amends-report").expect("it names a report").to_owned()
    }
}

/// One exchange on a connection of its own; `None` if the other side went away.
pub fn ask(url: &str, method: &str, path: &str, headers: &str, body: &str) -> Option<Answer> {
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

/// What came to one of the played ones.
#[derive(Clone, Debug)]
pub struct Came {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Came {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Status, headers, body.
pub type Reply = (u16, Vec<(&'static str, String)>, Value);

/// Somebody whom the participant talks to, played.
pub struct Played {
    pub url: String,
    came: Arc<Mutex<Vec<Came>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Played {
    /// Answers by what came and what had come before; `None` is never answered.
    pub fn start(
        answer: impl Fn(&Came, &[Came]) -> Option<Reply> + Clone + Send + Sync + 'static,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener =
            runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let came = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&came);
        let app = Router::new().fallback(async move |uri: Uri, headers: HeaderMap, body: Bytes| {
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let one = Came { path: uri.path().to_owned(), headers, body };
            let reply = {
                let mut seen = seen.lock().expect("not poisoned");
                let reply = answer(&one, &seen);
                seen.push(one);
                reply
            };
            match reply {
                Some(reply) => written(reply),
                None => std::future::pending().await,
            }
        });
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { url, came, _runtime: runtime }
    }

    /// A printer that takes an order and never answers it. It can undo.
    pub fn hanging_printer() -> Self {
        Self::start(|came, _| match came.path.as_str() {
            "/print" => None,
            "/amends/v1/compensate/print" => {
                Some((200, vec![], serde_json::json!({ "outcome": "compensated" })))
            }
            _ => Some((404, vec![], Value::Null)),
        })
    }

    /// All that came so far.
    pub fn came(&self) -> Vec<Came> {
        self.came.lock().expect("not poisoned").clone()
    }

    /// What came to a path, if anything has.
    pub fn was_asked(&self, path: &str) -> Option<Came> {
        self.came().into_iter().find(|came| came.path == path)
    }
}

fn written((status, headers, body): Reply) -> axum::response::Response {
    let status = StatusCode::from_u16(status).expect("a status");
    let mut answer = (status, body.to_string()).into_response();
    for (name, value) in headers {
        let value = HeaderValue::from_str(&value).expect("printable");
        answer.headers_mut().insert(HeaderName::from_static(name), value);
    }
    answer
}

/// A supervisor at `address` whose rulebook has the coupon service and its printer.
pub fn supervisor_at(address: &str, folder: &Path, coupon: &str, printer: &str) -> Supervisor {
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

/// The case that the supervisor opened with this number, if there is one yet.
pub fn case(supervisor: &Supervisor, number: u32) -> Option<Value> {
    let shown = supervisor.run(&["cases", "show", &format!("c-{number}"), "--json"]);
    (shown.code == 0).then(|| shown.json())
}

/// The same when nothing is left to do in it.
pub fn settled(supervisor: &Supervisor, number: u32) -> Option<Value> {
    case(supervisor, number).filter(|case| case["state"] == "settled")
}

pub fn outcome<'c>(case: &'c Value, action: &str) -> &'c str {
    let steps = case["plan"].as_array().expect("a list");
    let found = steps.iter().find(|step| step["action"] == action);
    found.and_then(|step| step["outcome"].as_str()).unwrap_or("none")
}
