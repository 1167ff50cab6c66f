//! Certificate, key and token are replaced under traffic, and no request fails.
#![cfg(feature = "tls")]

mod authority;

use amends_server::config::Layers;
use amends_server::{Config, Running, start};
use authority::{Authority, NAME, put};
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::RwLock;
use tokio_rustls::TlsConnector;

const PATIENCE: Duration = Duration::from_secs(30);
const ADMIN: &str = "admin-0123456789abcdef0123456789abcdef";
/// How often everything is replaced.
const TIMES: usize = 3;
/// Reports that must have come between two replacements, so that there is traffic.
const BETWEEN: usize = 10;

fn config(folder: &Path) -> Config {
    let path = |name: &str| folder.join(name).display().to_string();
    put(&folder.join("admin"), ADMIN);
    let mut layers = Layers::defaults();
    let tokens =
        format!("[tokens]\nadmin = {{ file = \"{}\", grants = [\"admin\"] }}\n", path("admin"));
    layers.file(Path::new("a.toml"), &tokens).expect("a file");
    layers.flag("listen", "listen", "127.0.0.1:0");
    layers.flag("data", "data", &path("data"));
    layers.flag("required", "access.required", "on");
    layers.flag("tls-certificate", "tls.certificate", &path("own.pem"));
    layers.flag("tls-key", "tls.key", &path("own.key"));
    Config::from_layers(&layers).expect("a valid configuration")
}

/// One request over a connection of its own: what is answered, and the certificate that was shown.
async fn call(
    to: SocketAddr,
    believer: &TlsConnector,
    request: &str,
    token: &str,
    body: &Value,
) -> std::io::Result<(u16, Value, CertificateDer<'static>)> {
    let socket = TcpStream::connect(to).await?;
    let name = ServerName::try_from(NAME).expect("a name");
    let mut stream = believer.connect(name, socket).await?;
    let shown = stream.get_ref().1.peer_certificates().expect("a certificate")[0].clone();
    let kind = match request.ends_with("/v1/reports") {
        true => "application/cloudevents+json",
        false => "application/json",
    };
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head = format!(
        "{request} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status, serde_json::from_str(body).unwrap_or(Value::Null), shown))
}

fn report(n: usize) -> Value {
    json!({
        "specversion": "1.0", "type": "dev.amends.report.v1", "source": "payment",
        "id": format!("r-{n}"), "subject": format!("o-{n}"), "data": { "code": "failed" }
    })
}

struct Rig {
    running: Running,
    believer: TlsConnector,
    token: RwLock<(String, String)>,
    taken: AtomicUsize,
    ends: AtomicBool,
}

impl Rig {
    async fn as_admin(&self, request: &str, body: &Value) -> (u16, Value) {
        let answer = call(self.running.address, &self.believer, request, ADMIN, body).await;
        let (status, body, _) = answer.expect("answered");
        (status, body)
    }

    /// A token for `payment`: its id and its text.
    async fn new_token(&self) -> (String, String) {
        let wanted = json!({ "name": "payment", "grants": ["report:payment"] });
        let (status, made) = self.as_admin("POST /v1/tokens", &wanted).await;
        assert_eq!(status, 201, "{made}");
        let text = |name: &str| made[name].as_str().expect("a text").to_owned();
        (text("id"), text("token"))
    }

    /// Sends reports without end, each over a connection of its own; every one of them must be taken.
    async fn traffic(&self) {
        while !self.ends.load(Ordering::Relaxed) {
            let token = self.token.read().await;
            let body = report(next_number());
            let sent =
                call(self.running.address, &self.believer, "POST /v1/reports", &token.1, &body);
            let (status, answer, _) = sent.await.expect("no connection fails");
            assert!(matches!(status, 200 | 202), "{status} {answer}");
            self.taken.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn more_traffic(&self) {
        let (began, before) = (Instant::now(), self.taken.load(Ordering::Relaxed));
        while self.taken.load(Ordering::Relaxed) < before + BETWEEN {
            assert!(began.elapsed() < PATIENCE, "no traffic");
            tokio::task::yield_now().await;
        }
    }

    /// Waits until a new connection is shown this certificate.
    async fn until_shown(&self, wanted: &CertificateDer<'static>) {
        let began = Instant::now();
        loop {
            let asked =
                call(self.running.address, &self.believer, "GET /livez", ADMIN, &Value::Null);
            if asked.await.expect("no connection fails").2 == *wanted {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "the new certificate is not shown");
        }
    }

    async fn rotate(&self, authority: &Authority, folder: &Path) {
        for _ in 0..TIMES {
            self.more_traffic().await;
            let next = authority.renew(folder);
            self.running.look_at_files();
            self.until_shown(&next).await;
            let new = self.new_token().await;
            // Whoever is under way ends with the old one.
            let old = std::mem::replace(&mut *self.token.write().await, new);
            let (status, _) =
                self.as_admin(&format!("DELETE /v1/tokens/{}", old.0), &Value::Null).await;
            assert!(matches!(status, 200 | 204), "{status}");
            let again = report(0);
            let sent =
                call(self.running.address, &self.believer, "POST /v1/reports", &old.1, &again);
            assert_eq!(sent.await.expect("answered").0, 401, "the old one opens nothing any more");
        }
        self.more_traffic().await;
        self.ends.store(true, Ordering::Relaxed);
    }
}

/// Another number each time.
fn next_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificate_key_and_token_are_replaced_under_traffic_and_no_request_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    authority.renew(folder.path());
    let running = start(config(folder.path())).await.expect("started");
    let rig = Rig {
        running,
        believer: authority.believer(None),
        token: RwLock::default(),
        taken: AtomicUsize::new(0),
        ends: AtomicBool::new(false),
    };
    *rig.token.write().await = rig.new_token().await;
    tokio::join!(
        rig.rotate(&authority, folder.path()),
        rig.traffic(),
        rig.traffic(),
        rig.traffic()
    );
    assert!(rig.taken.load(Ordering::Relaxed) >= BETWEEN * (TIMES + 1));
    rig.running.stop().await.expect("ended in order");
}
