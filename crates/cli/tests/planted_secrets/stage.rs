//! A supervisor whose configuration, reports, services and people are full of secrets.

use crate::planted::{Origin, Secret};
use crate::support::{Done, Supervisor, command, finish, scratch, write};
use crate::town::Town;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// Longest time for one answer. It only matters when a test fails, and for answers without an end.
const PATIENCE: Duration = Duration::from_secs(20);

const RULES: &str = r#"
rulebook: shop
settle: { quiet: 1h }
services:
  order: { url: "http://TOWN/order", actions: { place: { compensation: cancel, calls: [payment.pay, bank.wire, parcel.send] } } }
  payment:
    url: "http://TOWN/payment"
    signing_key: orders
    actions:
      pay: { compensation: refund, retry_policy: { first: 1ms, cap: 10ms, attempts: 1000, timeout: 20s } }
  bank:
    url: "http://TOWN/bank"
    actions:
      wire:
        compensation: recall
        retry_policy: { first: 1ms, cap: 10ms, attempts: 1000, timeout: 20s }
        endpoints:
          compensate:
            path: "/recalls"
            headers: { authorization: "Bearer {secret.pay}", x-card: "{data.card}" }
            body: { card: "{data.card}", amount: "{data.amount}" }
            done: [200]
            refused: [422]
  parcel:
    url: "http://TOWN/parcel"
    actions: { send: { compensation: fetch } }
reports:
  order/failed:
    in: place
    data:
      card: { secret: true }
      payer.iban: { secret: true }
      items.serial: { secret: true }
      pin: { secret: true }
      amount: decimal
rules:
  - { on: order/failed, when: { data.card: { prefix: "4" } }, compensate: [payment.pay, bank.wire, parcel.send] }
  - { on: order/unclear, compensate: recorded }
"#;

/// The values of one shape that no other secret holds a part of.
fn configured() -> Vec<Secret> {
    let secret = |what, value: &str| Secret::new(Origin::Configuration, what, value);
    let key = |text: &str| format!("whsec_{}", STANDARD.encode(text));
    vec![
        secret("a signing key", &key("first-signing-key-of-32-bytes-aa")),
        secret("its successor", &key("other-signing-key-of-32-bytes-bb")),
        secret("a signing key in a file", &key("third-signing-key-of-32-bytes-cc")),
        secret("a secret in a file", "sk_live/9f86+d081=884c"),
        secret("a secret in the environment", "bank\"token&4711+0815"),
        secret("a secret as a credential", "courier-credential-9.7.5.3"),
        secret("the proxy's password", "proxy-pass/2718=281"),
        secret("what proves us to the identity provider", "client~secret~of~amends~31415"),
        secret("what shows us the keys of an issuer", "jwks-reader-token-16180339"),
        secret("the password of a database", "database#pass-27182818"),
        secret("the private key of a client certificate", private_key_line()),
        secret("a token in the address of a webhook", "0a1b2c3d4e5f60718293a4b5"),
        secret("the address of a chat", "/services/T0AB/B0CD/Zk3mQ9xT1vB7"),
        secret("a password in the address of the collector", "collector-pass-0815"),
        secret("a password in the address of a proxy of the environment", "environment-pass-1123"),
        secret("a token of the configuration", "watcher0123456789watcher0123456789abc"),
    ]
}

fn private_key_line() -> &'static str {
    let text = include_str!("../../../server/src/dispatch/certificates/client.key.pem");
    text.lines().nth(1).expect("its first line")
}

/// What reports and people bring that the rulebook calls secret.
fn business() -> Vec<Secret> {
    let secret = |what, value: &str| Secret::new(Origin::Business, what, value);
    vec![
        secret("a field of a report", "4111222233334444"),
        secret("a field within a field", "DE89370400440532013000"),
        secret("a field of each item of a list", "serial-of-the-item-60221"),
        secret("a number", "73519264"),
        secret("a field that evidence alone holds", "4999000011112222"),
        secret("a field that a person has edited", "4000123412341234"),
    ]
}

/// What services repeat that nobody told us of.
fn strangers() -> Vec<Secret> {
    let secret = |what, value: &str| Secret::new(Origin::Strangers, what, value);
    vec![
        secret("a bearer token in an error", "Bearer strangers-token-57721566"),
        secret(
            "a JWT",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzdHJhbmdlciJ9.c2lnbmF0dXJlLW9mLWEtc3RyYW5nZXI",
        ),
        secret("credentials of Basic", "Basic c3RyYW5nZXI6cGFzc3dvcmQtMTQxNDIx"),
        secret("a password in an address", "https://stranger:password-in-an-address@db.example/x"),
        secret(
            "a token of another supervisor",
            "amends_7f3a09bc11de_Zk3mQ9xT1vB7nR5yL2wP0aSdZk3mQ9xT1vB7nR5yL2w",
        ),
    ]
}

/// The supervisor and what is around it.
pub struct Stage {
    pub folder: TempDir,
    pub town: Town,
    pub secrets: Vec<Secret>,
    pub supervisor: Supervisor,
    pub admin: String,
}

impl Stage {
    pub fn open() -> Self {
        let (folder, town) = (scratch(), Town::start());
        let here = folder.path();
        let mut secrets = [configured(), business(), strangers()].concat();
        configure(here, &town, &secrets);
        let first = ["token", "create", "--admin", "--data", "data"];
        let made = finish(command().args(first).current_dir(here)).exits(0);
        let admin = made.stdout.trim().to_owned();
        secrets.push(Secret::new(Origin::Ours, "the first administrator's token", &admin));
        secrets.push(Secret::new(
            Origin::Strangers,
            "a password where a service says to look",
            "http://ops:location-pass-5150@127.0.0.1:1/",
        ));
        let supervisor = serve(here, "json", &secrets);
        Self { folder, town, secrets, supervisor, admin }
    }

    /// The same folder again, its log as people read it. The one before is killed, so its files are as a crash leaves
    /// them.
    pub fn restart(&mut self) {
        self.supervisor.kill();
        self.supervisor = serve(self.folder.path(), "human", &self.secrets);
    }

    pub fn address(&self) -> String {
        self.supervisor.url.trim_start_matches("http://").to_owned()
    }

    pub fn get(&self, path: &str, token: &str) -> String {
        self.ask("GET", path, &[("authorization", &format!("Bearer {token}"))], "")
    }

    pub fn post(&self, path: &str, body: &Value) -> Value {
        let headers =
            [("authorization", &*format!("Bearer {}", self.admin)), ("content-type", JSON)];
        let answer = self.ask("POST", path, &headers, &body.to_string());
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        serde_json::from_str(body).unwrap_or_default()
    }

    /// The whole answer, head and all, until its end.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
        ask(&self.address(), method, path, headers, body)
    }

    /// A report of the order service.
    pub fn report(&self, saga: &str, id: &str, data: &Value) -> Value {
        let token = format!("Bearer {}", self.token("reporter"));
        let headers = [
            ("authorization", token.as_str()),
            ("content-type", JSON),
            ("ce-specversion", "1.0"),
            ("ce-type", "dev.amends.report.v1"),
            ("ce-source", "order"),
            ("ce-id", id),
            ("ce-subject", saga),
            ("ce-traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ];
        let answer = self.ask("POST", "/v1/reports", &headers, &data.to_string());
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        serde_json::from_str(body).unwrap_or_default()
    }

    /// What is planted under this name.
    pub fn secret(&self, what: &str) -> &str {
        &self.secrets.iter().find(|secret| secret.what == what).expect(what).value
    }

    fn token(&self, name: &str) -> String {
        let what = format!("the token of {name}");
        self.secrets.iter().find(|s| s.what == what).expect("made").value.clone()
    }

    /// Makes a token by the API and plants it.
    pub fn make_token(&mut self, what: &'static str, grants: &[&str]) {
        let wanted = json!({ "name": "planted", "grants": grants });
        let made = self.post("/v1/tokens", &wanted);
        let token = made["token"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
        self.secrets.push(Secret::new(Origin::Ours, what, token));
    }

    /// Logs a browser in and plants its cookie.
    pub fn log_in(&mut self) -> String {
        let form = form_of(&[("token", &self.admin)]);
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        let answer = self.ask("POST", "/login", &kind, &form);
        let cookie = answer.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("set-cookie").then_some(value)
        });
        let cookie = cookie.unwrap_or_else(|| panic!("no session: {answer}"));
        let cookie = cookie.split(';').next().expect("a pair").to_owned();
        let value = cookie.split_once('=').expect("a pair").1.to_owned();
        self.secrets.push(Secret::new(Origin::Ours, "the cookie of a session", value));
        cookie
    }

    /// Runs a command with the administrator's token.
    pub fn run(&self, line: &[&str]) -> Done {
        let mut command = command();
        command
            .args(line)
            .current_dir(self.folder.path())
            .envs(environment(self.folder.path(), &self.secrets));
        finish(command.env("AMENDS_URL", &self.supervisor.url).env("AMENDS_TOKEN", &self.admin))
    }

    pub fn store_files(&self) -> Vec<PathBuf> {
        let all = std::fs::read_dir(self.folder.path().join("data")).expect("a folder");
        all.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file()).collect()
    }
}

pub const JSON: &str = "application/json";

pub fn form_of(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

pub fn ask(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time");
    let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        head.push_str(&format!("host: {address}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(head.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    // An answer without an end is read for as long as the test is patient; closed or reset are both an end.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads all events until the supervisor ends.
pub fn listen(address: &str, token: &str) -> std::thread::JoinHandle<String> {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE * 6)).expect("a time");
    let head = format!(
        "GET /v1/events HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    std::thread::spawn(move || {
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard);
        String::from_utf8_lossy(&heard).into_owned()
    })
}

fn of<'s>(secrets: &'s [Secret], what: &str) -> &'s str {
    &secrets.iter().find(|secret| secret.what == what).expect(what).value
}

fn configure(here: &Path, town: &Town, secrets: &[Secret]) {
    let of = |what: &'static str| of(secrets, what);
    let file = |name: &str, text: &str| {
        let path = write(here, name, text);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&path, mode).expect("ours");
        }
        path
    };
    let certificates =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/src/dispatch/certificates");
    let (client, key) = (certificates.join("client.pem"), certificates.join("client.key.pem"));
    let keys = file("keys", &format!("{}\n", of("a signing key in a file")));
    let pay = file("pay", of("a secret in a file"));
    let proxy = file("proxy", &format!("ops:{}", of("the proxy's password")));
    let idp = file("idp", of("what proves us to the identity provider"));
    let jwks = file("jwks", of("what shows us the keys of an issuer"));
    let database = file("database", &format!("{}\n", of("the password of a database")));
    let watcher = file("watcher", of("a token of the configuration"));
    let text =
        settings(&Files { keys, pay, proxy, idp, jwks, database, watcher, client, key }, town, &of);
    file("amends.toml", &text);
    file("rules.yaml", &RULES.replace("TOWN", &town.address));
    std::fs::create_dir(here.join("credentials")).expect("a folder");
    file("credentials/courier", of("a secret as a credential"));
}

/// Where the files are that hold secrets.
struct Files {
    keys: String,
    pay: String,
    proxy: String,
    idp: String,
    jwks: String,
    database: String,
    watcher: String,
    client: PathBuf,
    key: PathBuf,
}

/// The configuration file.
fn settings<'s>(files: &Files, town: &Town, of: &impl Fn(&'static str) -> &'s str) -> String {
    let Files { keys, pay, proxy, idp, jwks, database, watcher, client, key } = files;
    format!(
        r#"
[cluster]
password_file = "{database}"
[signing_keys]
orders = ["{first}", "{next}"]
hooks = {{ file = "{keys}" }}
[secrets]
pay = {{ file = "{pay}", hosts = ["127.0.0.1"] }}
bank = {{ env = "PLANTED_BANK", hosts = ["bank.example"] }}
courier = {{ credential = "courier", hosts = ["courier.example"] }}
proxy = {{ file = "{proxy}", hosts = ["proxy.example"] }}
idp = {{ file = "{idp}", hosts = ["127.0.0.1:1"] }}
jwks = {{ file = "{jwks}", hosts = ["127.0.0.1:1"] }}
[dispatch]
proxy = "http://proxy.example:3128"
proxy_secret = "proxy"
[client_certificates]
shop = {{ file = "{client}", key = "{key}", hosts = ["mutual.example"] }}
[alerts]
webhooks = ["http://{town}/hook?token={hook}"]
slack = ["http://{town}{chat}"]
signing_key = "hooks"
group_wait = "0s"
every = "1s"
public_url = "http://127.0.0.1:7100"
[traces]
endpoint = "http://otel:{collector}@{town}"
[tokens]
watcher = {{ file = "{watcher}", grants = ["read:data"] }}
[access]
required = "on"
[access.oidc]
issuer = "https://127.0.0.1:1/realm"
client_id = "amends"
client_secret = "idp"
[access.oidc.roles]
viewers = ["read"]
[access.jwt.platform]
issuer = "https://127.0.0.1:1/platform"
audience = "amends"
jwks = "https://127.0.0.1:1/keys"
jwks_secret = "jwks"
algorithms = ["RS256"]
grants = [{{ claim = "sub", is = "shop:*", grants = ["report:{{*}}"] }}]
"#,
        first = of("a signing key"),
        next = of("its successor"),
        client = client.display(),
        key = key.display(),
        town = town.address,
        hook = of("a token in the address of a webhook"),
        chat = of("the address of a chat"),
        collector = of("a password in the address of the collector"),
    )
}

/// What a supervisor, and whoever looks at its configuration, finds in the environment.
fn environment(here: &Path, secrets: &[Secret]) -> Vec<(String, String)> {
    let password = of(secrets, "a password in the address of a proxy of the environment");
    let credentials = here.join("credentials").display().to_string();
    [
        ("PLANTED_BANK", of(secrets, "a secret in the environment").to_owned()),
        ("CREDENTIALS_DIRECTORY", credentials),
        ("HTTPS_PROXY", format!("http://ops:{password}@proxy.example:3128")),
        ("NO_PROXY", "127.0.0.1".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

fn serve(here: &Path, format: &str, secrets: &[Secret]) -> Supervisor {
    let environment = environment(here, secrets);
    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Supervisor::start_with(
        &environment,
        here,
        &[
            "--config",
            "amends.toml",
            "--rules",
            "rules.yaml",
            "--data",
            "data",
            "--log",
            "trace",
            "--log-format",
            format,
        ],
    )
}
