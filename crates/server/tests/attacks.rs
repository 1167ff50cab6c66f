//! What somebody would try who wants in: each request as it goes over the wire, against a supervisor that wants to know
//! who comes. None gets an answer that is not for them, none acts as another, and none makes it fail.

use amends_server::config::Layers;
use amends_server::{Config, Running, start};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ADMIN: &str = "0f6c1d2e3b4a59687786950a1b2c3d4e0f6c1d2e3b4a5968-admin";
const PAYMENT: &str = "0f6c1d2e3b4a59687786950a1b2c3d4e0f6c1d2e3b4a5968-payment";
const READER: &str = "0f6c1d2e3b4a59687786950a1b2c3d4e0f6c1d2e3b4a5968-reader";
/// Nobody waits so long, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

struct Target {
    running: Running,
    _folder: TempDir,
}

/// What came back, whole.
struct Said(String);

impl Said {
    /// The status of each answer, in order.
    fn statuses(&self) -> Vec<u16> {
        let lines = self.0.split("HTTP/1.").skip(1);
        lines.filter_map(|line| line.get(2..5)?.parse().ok()).collect()
    }

    fn status(&self) -> u16 {
        self.statuses().first().copied().unwrap_or_default()
    }
}

impl Target {
    async fn set() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let here = folder.path();
        let rules = "rulebook: food-order
services:
  order: { actions: { place: { effect: none, calls: [payment.pay] } } }
  payment: { url: \"http://127.0.0.1:1\", actions: { pay: { compensation: refund } } }
rules:
  - { on: \"*/*\", compensate: recorded }
";
        std::fs::write(here.join("rules.yaml"), rules).expect("a file");
        let token = |name: &str, grants: &str, text: &str| {
            let path = here.join(name);
            std::fs::write(&path, text).expect("a file");
            for_its_owner(&path);
            format!("{name} = {{ file = \"{}\", grants = {grants} }}\n", path.display())
        };
        let tokens = [
            token("boss", "[\"admin\"]", ADMIN),
            token("payment", "[\"report:payment\"]", PAYMENT),
            token("reader", "[\"read\"]", READER),
        ];
        let mut layers = Layers::defaults();
        let text = format!("[access]\nrequired = \"on\"\n\n[tokens]\n{}", tokens.concat());
        layers.file(Path::new("amends.toml"), &text).expect("a valid file");
        layers.flag("listen", "listen", "127.0.0.1:0");
        layers.flag("data", "data", &here.join("data").display().to_string());
        layers.flag("rules", "rules", &here.join("rules.yaml").display().to_string());
        layers.flag("grace", "shutdown.grace", "2s");
        let config = Config::from_layers(&layers).expect("a valid configuration");
        let running = start(config).await.expect("it starts");
        Self { running, _folder: folder }
    }

    /// Sends these bytes on one connection, and reads until the other end closes it.
    async fn send(&self, bytes: &[u8]) -> Said {
        let mut stream = TcpStream::connect(self.running.address).await.expect("it listens");
        // It may have refused before the end.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "no end after: {}", bytes.escape_ascii());
        Said(String::from_utf8_lossy(&answer).into_owned())
    }

    /// One request; `lines` are further headers, each with its end.
    async fn ask(&self, line: &str, lines: &str) -> Said {
        let text =
            format!("{line} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n{lines}\r\n");
        self.send(text.as_bytes()).await
    }

    async fn stop(self) {
        let fine = self.ask("GET /v1/cases", &bearer(READER)).await;
        assert_eq!(fine.status(), 200, "after all that it still answers: {}", fine.0);
        self.running.stop().await.expect("it ends in order");
    }
}

#[cfg(unix)]
fn for_its_owner(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("ours");
}

#[cfg(not(unix))]
fn for_its_owner(_: &Path) {}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

fn with_body(body: &str) -> String {
    format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Neither an answer that is for who is known, nor a failure.
#[track_caller]
fn refused(said: &Said, what: &str) {
    let all = said.statuses();
    assert!(all.iter().all(|status| (400..500).contains(status)), "{what}: {}", said.0);
}

#[tokio::test]
async fn a_token_counts_only_where_a_token_belongs() {
    let target = Target::set().await;
    let token = ADMIN;
    for path in ["access_token", "token", "bearer_token", "api_key", "authorization"] {
        let said = target.ask(&format!("GET /v1/cases?{path}={token}"), "").await;
        assert_eq!(said.status(), 401, "in the query: {path}");
        assert!(!said.0.contains(token), "it is repeated: {}", said.0);
    }
    for name in ["proxy-authorization: Bearer", "x-api-key:", "x-authorization: Bearer", "token:"] {
        let said = target.ask("GET /v1/cases", &format!("{name} {token}\r\n")).await;
        assert_eq!(said.status(), 401, "{name}");
    }
    for cookie in ["amends-session", "__Host-amends", "authorization", "token"] {
        let said = target.ask("GET /v1/cases", &format!("cookie: {cookie}={token}\r\n")).await;
        assert_eq!(said.status(), 401, "{cookie}");
    }
    let userinfo = format!("GET http://user:{token}@127.0.0.1/v1/cases");
    refused(&target.ask(&userinfo, "").await, "in the address");
    target.stop().await;
}

#[tokio::test]
async fn one_token_whole_and_as_it_was_told_is_a_token() {
    let target = Target::set().await;
    for fine in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        let said = target.ask("GET /v1/cases", &format!("authorization: {fine} {ADMIN}\r\n")).await;
        assert_eq!(said.status(), 200, "{fine}");
    }
    let cut = &ADMIN[..ADMIN.len() - 1];
    for wrong in [
        format!("Bearer {}", ADMIN.to_uppercase()),
        format!("Bearer {cut}"),
        format!("Bearer {ADMIN}x"),
        format!("Bearer {ADMIN} {ADMIN}"),
        format!("Bearer {ADMIN},{ADMIN}"),
        format!("Bearer {ADMIN}\u{e9}"),
        format!("Bearer \u{ff22}{ADMIN}"),
        format!("Bearer\u{a0}{ADMIN}"),
        format!("Bearer\t{ADMIN}"),
        format!("Bearer \"{ADMIN}\""),
        format!("Bearer {ADMIN}%00"),
        format!("Bearer token={ADMIN}"),
        format!("Token {ADMIN}"),
        format!("Basic {ADMIN}"),
        ADMIN.to_owned(),
        "Bearer".to_owned(),
        "Bearer null".to_owned(),
        "Bearer undefined".to_owned(),
        "Bearer boss".to_owned(),
        "Bearer token:boss".to_owned(),
        "Bearer amends_000000000000_x".to_owned(),
        "Bearer ".to_owned() + &"a".repeat(20_000),
    ] {
        let said = target.ask("GET /v1/cases", &format!("authorization: {wrong}\r\n")).await;
        refused(&said, &wrong);
        assert!(said.status() != 0, "{wrong}");
    }
    let twice = [bearer(ADMIN), bearer(READER)].concat();
    assert_eq!(target.ask("GET /v1/cases", &twice).await.status(), 400);
    let twice = [bearer(ADMIN), bearer(ADMIN)].concat();
    assert_eq!(target.ask("GET /v1/cases", &twice).await.status(), 400);
    target.stop().await;
}

#[tokio::test]
async fn a_service_speaks_as_nobody_else_however_it_writes_the_name() {
    let target = Target::set().await;
    let report = |source: &str, id: &str| {
        format!(
            "{}ce-specversion: 1.0\r\nce-type: dev.amends.report.v1\r\nce-source: {source}\r\nce-id: {id}\r\n\
             ce-subject: order-1\r\n{}",
            bearer(PAYMENT),
            with_body("{\"code\":\"report-1\"}")
        )
    };
    for (n, itself) in
        ["payment", "//shop.example/payment", "urn:service:payment"].iter().enumerate()
    {
        let said = target.ask("POST /v1/reports", &report(itself, &format!("r-{n}"))).await;
        assert_eq!(said.status(), 202, "{itself}: {}", said.0);
    }
    for another in [
        "order",
        "Payment",
        "PAYMENT",
        "payment.",
        "payment%00",
        "payment%20",
        "payment%E2%80%8B",
        "p%D0%B0yment",
        "payment/order",
        "payment:order",
        "//payment/order/",
        "payment?x=/order",
        "payment#/order",
        "order%2Fpayment%2Forder",
        "*",
        "payment,order",
        "supervisor",
    ] {
        let said = target.ask("POST /v1/reports", &report(another, "r-9")).await;
        refused(&said, another);
    }
    let two = report("payment", "r-9").replace("ce-id:", "ce-source: order\r\nce-id:");
    refused(&target.ask("POST /v1/reports", &two).await, "two sources");
    // The envelope counts in structured mode, the headers do not.
    let event = "{\"specversion\":\"1.0\",\"type\":\"dev.amends.report.v1\",\"source\":\"order\",\"id\":\"r-9\",\
                 \"subject\":\"order-1\",\"data\":{\"code\":\"report-1\"}}";
    let mixed = format!("{}ce-source: payment\r\n{}", bearer(PAYMENT), with_body(event));
    let mixed = mixed.replace("application/json", "application/cloudevents+json");
    refused(&target.ask("POST /v1/reports", &mixed).await, "another one in the envelope");
    let batch = format!("{}{}", bearer(PAYMENT), with_body(&format!("[{event}]")));
    let batch = batch.replace("application/json", "application/cloudevents-batch+json");
    refused(&target.ask("POST /v1/reports:batch", &batch).await, "another one in a batch");
    let cases = target.ask("GET /v1/cases", &bearer(ADMIN)).await.0;
    assert!(!cases.contains("r-9") && !cases.contains("\"order/report-1\""), "{cases}");
    target.stop().await;
}

#[tokio::test]
async fn who_acts_is_who_is_known_and_not_who_a_header_names() {
    let target = Target::set().await;
    let body = with_body("{\"reason\":\"tried\"}");
    let lines = format!(
        "{}amends-actor: the owner\r\nx-forwarded-for: 127.0.0.1, 10.0.0.1\r\nx-forwarded-for: ::1\r\n\
         x-real-ip: 127.0.0.1\r\nforwarded: for=127.0.0.1;proto=https\r\nx-forwarded-proto: https\r\n\
         x-forwarded-user: the owner\r\nx-remote-user: the owner\r\n{body}",
        bearer(ADMIN)
    );
    let said = target.ask("POST /v1/services/payment/pause", &lines).await;
    assert!((200..300).contains(&said.status()), "{}", said.0);
    let acts = target.ask("GET /v1/acts", &bearer(ADMIN)).await.0;
    assert!(acts.contains("token:boss") && !acts.contains("the owner"), "{acts}");
    let two = format!("{}amends-actor: a\r\namends-actor: b\r\n{body}", bearer(ADMIN));
    assert_eq!(target.ask("POST /v1/services/payment/resume", &two).await.status(), 400);
    for header in
        ["x-forwarded-user: boss", "x-remote-user: token:boss", "amends-actor: token:boss"]
    {
        let said = target.ask("GET /v1/cases", &format!("{header}\r\n")).await;
        assert_eq!(said.status(), 401, "{header}");
    }
    target.stop().await;
}

#[tokio::test]
async fn no_spelling_of_a_path_is_another_way_in() {
    let target = Target::set().await;
    for path in [
        "//v1/cases",
        "/v1//cases",
        "/v1/%63ases",
        "/%76%31/cases",
        "/v1/cases;a=b",
        "/v1;/cases",
        "/v1/cases/",
        "/./v1/cases",
        "/v1/./cases",
        "/livez/../v1/cases",
        "/livez/%2e%2e/v1/cases",
        "/livez/..%2fv1/cases",
        "/livez%2f..%2fv1%2fcases",
        "/login/../v1/cases",
        "/assets/../v1/cases",
        "/assets/x/..%2f..%2fv1%2fcases",
        "/V1/cases",
        "/v1/cases%00",
        "/v1/cases%0d%0aauthorization:%20Bearer%20x",
        "/v1/cases.json",
        "/v1/cases/.",
        "/v1/cases?/livez",
        "/v1/cases#/livez",
        "/livez?/../v1/cases",
        "/readyz/v1/cases",
        "/v1/cases/c-1/..",
        "\\v1\\cases",
        "*",
    ] {
        for (who, lines) in [("nobody", String::new()), ("a reporter", bearer(PAYMENT))] {
            let said = target.ask(&format!("GET {path}"), &lines).await;
            let is_probe = path.starts_with("/livez?");
            let told = said.0.contains("\"items\"");
            assert!(
                !told && (is_probe || (400..500).contains(&said.status())),
                "{who} {path}: {}",
                said.0
            );
        }
    }
    refused(&target.ask("GET http://127.0.0.1/v1/cases", "").await, "the whole address");
    refused(&target.ask("GET https://evil.example/v1/cases", &bearer(ADMIN)).await, "another host");
    target.stop().await;
}

#[tokio::test]
async fn no_method_is_another_way_in() {
    let target = Target::set().await;
    for method in
        ["HEAD", "OPTIONS", "TRACE", "PUT", "PATCH", "DELETE", "PROPFIND", "get", "GET2", "QUERY"]
    {
        for path in
            ["/v1/cases", "/v1/acts", "/v1/tokens", "/metrics", "/", "/cases", "/v1/backups"]
        {
            let said = target.ask(&format!("{method} {path}"), "").await;
            refused(&said, &format!("{method} {path}"));
        }
    }
    refused(&target.ask("CONNECT 127.0.0.1:22", "").await, "a tunnel");
    for header in ["x-http-method-override", "x-method-override", "x-http-method"] {
        let lines = format!("{}{header}: POST\r\n", bearer(READER));
        let said = target.ask("GET /v1/backups", &lines).await;
        refused(&said, header);
        let lines = format!("{}{header}: GET\r\n{}", bearer(READER), with_body("{}"));
        refused(&target.ask("POST /v1/backups", &lines).await, header);
    }
    let trace = target.ask("TRACE /v1/cases", &bearer(ADMIN)).await;
    assert!(trace.status() == 405 && !trace.0.contains(ADMIN), "{}", trace.0);
    target.stop().await;
}

#[tokio::test]
async fn we_are_asked_by_one_name_that_is_ours() {
    let target = Target::set().await;
    for host in [
        "127.0.0.1@evil.example",
        "evil.example@127.0.0.1",
        "user:pass@127.0.0.1",
        "127.0.0.1:7100@evil.example",
        "127.0.0.1:7100:80",
        "127.0.0.1.evil.example",
        "127.0.0.1#.evil.example",
        "127.0.0.1/evil.example",
        "evil.example#localhost",
        "127.0.0.1, evil.example",
        "evil.example, 127.0.0.1",
        "[::1].evil.example",
        "localhost.evil.example",
        "evil.example\t127.0.0.1",
        "",
    ] {
        let text = format!(
            "GET /v1/cases HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{}\r\n",
            bearer(ADMIN)
        );
        let said = target.send(text.as_bytes()).await;
        assert!([400, 403].contains(&said.status()), "`{host}`: {}", said.0);
    }
    for lines in [
        "GET /v1/cases HTTP/1.1\r\nconnection: close\r\n",
        "GET /v1/cases HTTP/1.1\r\nhost: 127.0.0.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n",
        "GET /v1/cases HTTP/1.1\r\nhost: 127.0.0.1\r\nhost: evil.example\r\nconnection: close\r\n",
        "GET /v1/cases HTTP/1.0\r\n",
    ] {
        let said = target.send(format!("{lines}{}\r\n", bearer(ADMIN)).as_bytes()).await;
        assert_eq!(said.status(), 400, "{lines}: {}", said.0);
    }
    let forwarded = format!("{}x-forwarded-host: evil.example\r\n", bearer(ADMIN));
    let said = target.ask("GET /v1", &forwarded).await;
    assert!(!said.0.contains("evil.example"), "it is believed: {}", said.0);
    target.stop().await;
}

#[tokio::test]
async fn a_connection_remembers_nobody() {
    let target = Target::set().await;
    let known = format!("GET /v1/cases HTTP/1.1\r\nhost: 127.0.0.1\r\n{}\r\n", bearer(ADMIN));
    let unknown = "GET /v1/cases HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    let last = "GET /v1/acts HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n";
    let said = target.send([&known, unknown, &known, last].concat().as_bytes()).await;
    assert_eq!(said.statuses(), [200, 401, 200, 401], "{}", said.0);
    target.stop().await;
}

#[tokio::test]
async fn a_connection_becomes_nothing_else() {
    let target = Target::set().await;
    let socket = "connection: upgrade, close\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let clear = "connection: upgrade, http2-settings, close\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n";
    for lines in [socket, clear] {
        for path in ["/v1/cases", "/v1/events", "/"] {
            let text = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{lines}\r\n");
            let said = target.send(text.as_bytes()).await;
            refused(&said, lines);
        }
    }
    let second = target.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    assert!(!second.0.contains("HTTP/2") && second.status() != 200, "{}", second.0);
    target.stop().await;
}

/// A request within another one, where somebody in front takes both for one.
#[tokio::test]
async fn no_request_hides_in_another() {
    let target = Target::set().await;
    let hidden = format!(
        "GET /v1/acts HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n{}\r\n",
        bearer(ADMIN)
    );
    let ended = format!("0\r\n\r\n{hidden}");
    for (what, lines) in [
        ("both lengths", "content-length: 5\r\ntransfer-encoding: chunked"),
        ("both lengths, the other way round", "transfer-encoding: chunked\r\ncontent-length: 5"),
        ("two lengths", "content-length: 5\r\ncontent-length: 6"),
        ("a list of lengths", "content-length: 5, 6"),
        ("a length with a sign", "content-length: +5"),
        ("a length in base 16", "content-length: 0x5"),
        ("a coding twice", "transfer-encoding: chunked\r\ntransfer-encoding: identity"),
        ("a coding that is none", "transfer-encoding: xchunked"),
        ("a coding before another", "transfer-encoding: chunked, identity"),
        ("a blank before the colon", "transfer-encoding : chunked"),
        ("a folded line", "transfer-encoding:\r\n chunked\r\ncontent-length: 5"),
        ("a tab within", "transfer-encoding:\tchunked\r\ncontent-length: 5"),
        ("a line that ends otherwise", "x: y\rtransfer-encoding: chunked"),
        ("a zero within", "transfer-encoding: chunked\0"),
    ] {
        let text = format!(
            "POST /v1/reports HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n{lines}\r\n\r\n{ended}"
        );
        let said = target.send(text.as_bytes()).await;
        assert!(!said.0.contains("\"items\""), "{what}: {}", said.0);
        assert!(said.statuses().len() <= 1, "{what} is two requests: {}", said.0);
        refused(&said, what);
    }
    target.stop().await;
}

/// What is told to nobody tells nothing: neither what there is, nor what is wrong with a token in a way that helps.
#[tokio::test]
async fn who_is_not_known_learns_nothing() {
    let target = Target::set().await;
    let mut told = Vec::new();
    for path in [
        "/v1/cases/c-1",
        "/v1/cases/c-999",
        "/v1/cases/junk",
        "/v1/rulebooks/food-order",
        "/v1/nothing",
    ] {
        let said = target.ask(&format!("GET {path}"), "").await;
        assert_eq!(said.status(), 401, "{path}");
        assert!(said.0.to_lowercase().contains("www-authenticate: bearer"), "{}", said.0);
        let body = said.0.split("\r\n\r\n").nth(1).unwrap_or_default();
        let problem: Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {body}"));
        told.push(problem["detail"].to_string());
    }
    told.dedup();
    assert_eq!(told.len(), 1, "answers differ: {told:?}");
    let document = target.ask("GET /openapi.json", "").await;
    assert!(!document.0.contains("food-order@"), "the description tells of this supervisor");
    target.stop().await;
}
