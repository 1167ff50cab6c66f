//! What the tests of the binary share: running it, a real supervisor on a free port, and a service of the old kind.
#![allow(dead_code)] // every test file uses its own part

pub mod brokers;
pub mod page;
pub mod process;
#[cfg(unix)]
pub mod relay;
#[cfg(feature = "postgres")]
pub mod shop;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use process::{Process, Streams};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A supervisor starts in well under a second; a loaded machine gets more.
const START_LIMIT: Duration = Duration::from_secs(30);
/// What a test waits for happens within milliseconds; a loaded machine gets more.
const WAIT_LIMIT: Duration = Duration::from_secs(30);

/// A folder that goes away with the test.
pub fn scratch() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// What a run of the binary brought.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    /// The standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("no JSON ({e}):\n{}\n{}", self.stdout, self.stderr))
    }

    /// Fails the test with everything that was printed, unless the exit code is this one.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// The binary, without anything that this machine's environment, or its user's contexts, say to it.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AMENDS_") {
            command.env_remove(name);
        }
    }
    command.env("USER", "tester").env("XDG_CONFIG_HOME", "/nonexistent").stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub fn amends(arguments: &[&str]) -> Done {
    finish(command().args(arguments))
}

/// Runs a command to its end.
pub fn finish(command: &mut Command) -> Done {
    let output = command.output().expect("the binary runs");
    Done {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// Writes a file of the test's folder and gives its path as text.
pub fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("the folder is ours");
    path.to_str().expect("UTF-8").to_owned()
}

/// An address where nobody listens.
pub fn unused_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").to_string()
}

/// Asks again until the answer is there.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + WAIT_LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A real supervisor in a process of its own; it ends with the test.
pub struct Supervisor {
    pub url: String,
    process: Process,
    log: Arc<Mutex<String>>,
}

impl Supervisor {
    /// `amends serve` with these arguments on a free port; returns when it listens.
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", folder, arguments)
    }

    /// The same at a known address: for one that comes back.
    pub fn start_at(address: &str, folder: &Path, arguments: &[&str]) -> Self {
        Self::launch(address, &[], folder, arguments)
    }

    /// The same on a free port with these variables in its environment.
    pub fn start_with(environment: &[(&str, &str)], folder: &Path, arguments: &[&str]) -> Self {
        Self::launch("127.0.0.1:0", environment, folder, arguments)
    }

    fn launch(
        address: &str,
        environment: &[(&str, &str)],
        folder: &Path,
        arguments: &[&str],
    ) -> Self {
        let mut command = command();
        command.envs(environment.iter().copied());
        command.arg("serve").args(arguments).args(["--listen", address, "--exit-with-parent"]);
        let streams = Streams { stdin: Stdio::piped(), stderr: Stdio::piped(), ..Streams::none() };
        let mut process = Process::start(command.current_dir(folder), streams, "the binary runs");
        let stderr = process.stderr.take().expect("piped");
        let log = Arc::new(Mutex::new(String::new()));
        let (found, listening) = mpsc::channel();
        let copy = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some((_, url)) = line.split_once("listening on ") {
                    let _ = found.send(url.trim().to_owned());
                }
                let mut log = copy.lock().expect("not poisoned");
                log.push_str(&line);
                log.push('\n');
            }
        });
        let url = listening.recv_timeout(START_LIMIT).unwrap_or_else(|_| {
            panic!("the supervisor does not listen:\n{}", log.lock().expect("not poisoned"))
        });
        Self { url, process, log }
    }

    /// Runs the binary against this supervisor.
    pub fn run(&self, arguments: &[&str]) -> Done {
        finish(command().args(arguments).env("AMENDS_URL", &self.url))
    }

    /// The JSON of `amends cases show`.
    pub fn case(&self, id: &str) -> serde_json::Value {
        self.run(&["cases", "show", id, "--json"]).exits(0).json()
    }

    /// Sends a report about a charge that has to be undone; gives the case's id.
    pub fn report(&self, saga: &str) -> String {
        let sent = self.run(&[
            "report",
            "send",
            "--source",
            "shop",
            "--saga",
            saga,
            "--code",
            "out-of-stock",
            "--action",
            "sell",
            "--message",
            "the last one was broken",
            "--data",
            "paymentId=p-17",
            "--data",
            "amount:=12",
            "--history",
            "billing.charge=succeeded",
        ]);
        sent.exits(0).stdout.trim().to_owned()
    }

    /// What it has written to its standard error.
    pub fn log(&self) -> String {
        self.log.lock().expect("not poisoned").clone()
    }

    /// Ends it without a last word.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Sends it a signal, e.g. `STOP`.
    pub fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status();
        assert!(sent.expect("`kill` runs").success());
    }

    /// Ends it in order, as a person would.
    pub fn stop(mut self) {
        drop(self.process.stdin.take());
        let status = self.process.wait().expect("it is our child");
        assert!(status.success(), "{}", self.log.lock().expect("not poisoned"));
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Path and query.
    pub path: String,
    pub headers: BTreeMap<String, String>,
    /// Null if it is no JSON.
    pub body: serde_json::Value,
    text: String,
}

/// A billing service that knows nothing of Amends and answers every request with one status.
pub struct Legacy {
    pub address: String,
    pub status: Arc<AtomicU16>,
    requests: Arc<Mutex<Vec<Heard>>>,
    work: Arc<Work>,
    _runtime: tokio::runtime::Runtime,
}

/// What a service has to do for each request.
#[derive(Default)]
struct Work {
    takes_ms: AtomicU64,
    under_way: AtomicU32,
    most_at_once: AtomicU32,
}

impl Legacy {
    /// Listens on a free port.
    pub fn start(status: u16) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let status = Arc::new(AtomicU16::new(status));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let listener =
            runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let work = Arc::new(Work::default());
        let state = (Arc::clone(&status), Arc::clone(&requests), Arc::clone(&work));
        let app = Router::new().fallback(answer).with_state(state);
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { address, status, requests, work, _runtime: runtime }
    }

    /// From now on each request takes so long.
    pub fn takes(&self, each: Duration) {
        let ms = u64::try_from(each.as_millis()).expect("short");
        self.work.takes_ms.store(ms, Ordering::SeqCst);
    }

    /// Most requests that were under way at one moment.
    pub fn most_at_once(&self) -> u32 {
        self.work.most_at_once.load(Ordering::SeqCst)
    }

    /// From now on every answer has this status.
    pub fn answer_with(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// `PATH BODY` of every request so far.
    pub fn requests(&self) -> Vec<String> {
        self.heard().iter().map(|one| format!("{} {}", one.path, one.text)).collect()
    }

    /// Every request so far, whole.
    pub fn heard(&self) -> Vec<Heard> {
        self.requests.lock().expect("not poisoned").clone()
    }
}

type Shared = (Arc<AtomicU16>, Arc<Mutex<Vec<Heard>>>, Arc<Work>);

async fn answer(
    State((status, requests, work)): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    requests.lock().expect("not poisoned").push(Heard {
        path: uri.to_string(),
        headers: headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
        text: String::from_utf8_lossy(&body).into_owned(),
    });
    let at_once = work.under_way.fetch_add(1, Ordering::SeqCst) + 1;
    work.most_at_once.fetch_max(at_once, Ordering::SeqCst);
    let takes = Duration::from_millis(work.takes_ms.load(Ordering::SeqCst));
    if !takes.is_zero() {
        tokio::time::sleep(takes).await;
    }
    work.under_way.fetch_sub(1, Ordering::SeqCst);
    StatusCode::from_u16(status.load(Ordering::SeqCst)).expect("a status")
}

/// The rulebook of these tests: a shop that charges through the legacy service at `address`.
pub fn shop_rules(folder: &Path, address: &str, mode: &str) -> String {
    let text = format!(
        "rulebook: shop
settle: {{ quiet: 200ms }}
services:
  shop:
    actions:
      sell: {{ effect: none, calls: [billing.charge] }}
  billing:
    url: \"http://{address}\"
    actions:
      charge:
        compensation: refund
        # Longer than a test waits: a slow answer must not count as a try of unknown end.
        retry_policy: {{ first: 10ms, cap: 50ms, attempts: 3, timeout: 60s }}
        endpoints:
          compensate:
            method: POST
            path: \"/payments/{{data.paymentId}}/refund\"
            body: {{ amount: \"{{data.amount}}\" }}
            done: [200, 204]
            nothing: [404]
            refused: [409]
rules:
  - on: \"*/*\"
    compensate: recorded
    mode: {mode}
"
    );
    write(folder, "shop.yaml", &text)
}

/// Feeds a command's standard input and runs it to its end.
pub fn feed(command: &mut Command, input: &str) -> Done {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    Done {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}
