//! Services that are known by their certificates (`[access.certificates]`), with real handshakes against a real
//! supervisor: who is taken for whom, who is turned away and where, and what counts beside a token.
#![cfg(feature = "tls")]

mod authority;

use amends_server::config::Layers;
use amends_server::{Config, Running, start};
use authority::{Authority, NAME, Pair, put};
use rcgen::string::Ia5String;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, SanType};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The token of the service `order`.
const ORDERS_TOKEN: &str = "order-0123456789abcdef0123456789abcdef";
const WRONG_TOKEN: &str = "wrong-0123456789abcdef0123456789abcdef";
/// Years in which a certificate of these tests is valid, unless it is about that.
const VALID: (i32, i32) = (2_000, 2_100);

/// A supervisor that knows two services: `payment` by certificate, `order` by token.
struct Rig {
    ours: Authority,
    running: Running,
    _folder: TempDir,
}

/// How somebody comes.
#[derive(Clone, Copy, Default)]
struct Comes<'p> {
    certificate: Option<&'p Pair>,
    token: Option<&'static str>,
}

impl Rig {
    async fn new(clients: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let ours = Authority::new();
        ours.renew(folder.path());
        let config = config(folder.path(), &ours, clients);
        Self { ours, running: start(config).await.expect("started"), _folder: folder }
    }

    /// One request over a connection of its own; none if there is no answer.
    async fn ask(
        &self,
        comes: Comes<'_>,
        request: &str,
        body: Option<&Value>,
    ) -> Option<(u16, Value)> {
        let socket = TcpStream::connect(self.running.address).await.expect("somebody listens");
        let name = ServerName::try_from(NAME).expect("a name");
        let believer = self.ours.believer(comes.certificate);
        let mut stream = believer.connect(name, socket).await.ok()?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let token =
            comes.token.map(|t| format!("authorization: Bearer {t}\r\n")).unwrap_or_default();
        let head = format!(
            "{request} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{token}\
             content-type: application/cloudevents+json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
    }

    /// The status of a report in the name of a service.
    async fn report(&self, comes: Comes<'_>, service: &str) -> Option<u16> {
        let report = json!({
            "specversion": "1.0", "type": "dev.amends.report.v1", "source": service,
            "id": "r-1", "subject": format!("of-{service}"), "data": { "code": "failed" }
        });
        Some(self.ask(comes, "POST /v1/reports", Some(&report)).await?.0)
    }

    /// As whom somebody is known.
    async fn name(&self, comes: Comes<'_>) -> Option<String> {
        let (status, body) = self.ask(comes, "GET /v1/whoami", None).await?;
        (status == 200).then(|| body["name"].as_str().expect("a name").to_owned())
    }

    /// Known by certificate.
    fn issue(&self, names: Vec<SanType>) -> Pair {
        self.ours.sign(params(names), VALID)
    }

    async fn end(self) {
        self.running.stop().await.expect("ended in order");
    }
}

fn config(folder: &Path, ours: &Authority, clients: &str) -> Config {
    let path = |name: &str| folder.join(name).display().to_string();
    put(&folder.join("order.token"), ORDERS_TOKEN);
    put(&folder.join("clients.pem"), &ours.0.pem());
    let text = format!(
        "[tokens]\norder = {{ file = \"{}\", grants = [\"report:order\"] }}\n\
         [access.certificates]\n\"dns:payment.shop.svc\" = [\"report:payment\"]\n\
         \"uri:spiffe://shop/ns/*\" = [\"report:stock\"]\n",
        path("order.token")
    );
    let mut layers = Layers::defaults();
    layers.file(Path::new("a.toml"), &text).expect("a file");
    layers.flag("listen", "listen", "127.0.0.1:0");
    layers.flag("data", "data", &path("data"));
    layers.flag("required", "access.required", "on");
    layers.flag("certificate", "tls.certificate", &path("own.pem"));
    layers.flag("key", "tls.key", &path("own.key"));
    layers.flag("authorities", "tls.client_authorities", &path("clients.pem"));
    layers.flag("clients", "tls.client_certificates", clients);
    Config::from_layers(&layers).expect("a valid configuration")
}

fn params(names: Vec<SanType>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names;
    params
}

fn text(text: &str) -> Ia5String {
    text.try_into().expect("ASCII")
}

/// The name of the service `payment`.
fn payment() -> Vec<SanType> {
    vec![SanType::DnsName(text("payment.shop.svc"))]
}

const fn by(certificate: &Pair) -> Comes<'_> {
    Comes { certificate: Some(certificate), token: None }
}

#[tokio::test]
async fn a_service_reports_as_its_certificate_says_and_as_nobody_else() {
    let rig = Rig::new("optional").await;
    let pair = rig.issue(payment());
    assert_eq!(rig.name(by(&pair)).await.as_deref(), Some("certificate:dns:payment.shop.svc"));
    assert_eq!(rig.report(by(&pair), "payment").await, Some(202));
    for other in ["order", "stock", "Payment", "payment.shop.svc"] {
        assert_eq!(rig.report(by(&pair), other).await, Some(403), "{other}");
    }
    let (status, _) = rig.ask(by(&pair), "GET /v1/cases", None).await.expect("an answer");
    assert_eq!(status, 403, "it reports, and reads nothing");
    let spiffe = rig.issue(vec![SanType::URI(text("spiffe://shop/ns/stock"))]);
    assert_eq!(rig.report(by(&spiffe), "stock").await, Some(202));
    assert_eq!(rig.report(by(&spiffe), "payment").await, Some(403));
    rig.end().await;
}

#[tokio::test]
async fn what_no_believed_authority_signed_or_is_out_of_its_time_ends_in_the_handshake() {
    let rig = Rig::new("optional").await;
    let mut for_servers = params(payment());
    for_servers.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    for (what, pair) in [
        ("of another authority", Authority::new().sign(params(payment()), VALID)),
        ("expired", rig.ours.sign(params(payment()), (2_000, 2_001))),
        ("not valid yet", rig.ours.sign(params(payment()), (2_090, 2_100))),
        ("for servers alone", rig.ours.sign(for_servers, VALID)),
    ] {
        assert_eq!(rig.report(by(&pair), "payment").await, None, "{what}");
        // Nor does a good token help whoever shows it.
        let both = Comes { token: Some(ORDERS_TOKEN), ..by(&pair) };
        assert_eq!(rig.report(both, "order").await, None, "{what}");
    }
    assert_eq!(rig.report(by(&rig.issue(payment())), "payment").await, Some(202), "the right one");
    rig.end().await;
}

#[tokio::test]
async fn a_certificate_of_which_nothing_is_said_is_nobodys() {
    let rig = Rig::new("optional").await;
    let mut named_in_its_subject = params(Vec::new());
    let name = rcgen::DnType::CommonName;
    named_in_its_subject.distinguished_name.push(name, "payment.shop.svc");
    for (what, pair) in [
        ("without a name", rig.issue(Vec::new())),
        ("with the name in its subject", rig.ours.sign(named_in_its_subject, VALID)),
        ("of somebody unknown", rig.issue(vec![SanType::DnsName(text("evil.shop.svc"))])),
        ("of a longer name", rig.issue(vec![SanType::DnsName(text("payment.shop.svc.evil"))])),
        ("of a deeper path", rig.issue(vec![SanType::URI(text("spiffe://shop/ns/a/stock"))])),
    ] {
        assert_eq!(rig.name(by(&pair)).await, None, "{what}");
        for service in ["payment", "stock"] {
            assert_eq!(rig.report(by(&pair), service).await, Some(401), "{what}");
        }
    }
    assert_eq!(rig.report(Comes::default(), "payment").await, Some(401), "without one");
    rig.end().await;
}

#[tokio::test]
async fn beside_a_token_a_certificate_says_nothing() {
    let rig = Rig::new("optional").await;
    let pair = rig.issue(payment());
    let both = |token| Comes { token: Some(token), ..by(&pair) };
    assert_eq!(rig.name(both(ORDERS_TOKEN)).await.as_deref(), Some("token:order"));
    assert_eq!(rig.report(both(ORDERS_TOKEN), "order").await, Some(202));
    assert_eq!(rig.report(both(ORDERS_TOKEN), "payment").await, Some(403), "they don't add up");
    assert_eq!(rig.report(both(WRONG_TOKEN), "payment").await, Some(401), "no way around it");
    rig.end().await;
}

#[tokio::test]
async fn where_one_must_be_shown_a_token_alone_opens_no_connection() {
    let rig = Rig::new("required").await;
    let token = Comes { token: Some(ORDERS_TOKEN), certificate: None };
    assert_eq!(rig.report(token, "order").await, None);
    let probe = rig.ask(Comes::default(), "GET /livez", None).await;
    assert!(probe.is_none(), "nor a probe");
    let pair = rig.issue(payment());
    assert_eq!(rig.report(by(&pair), "payment").await, Some(202));
    assert_eq!(
        rig.report(Comes { token: Some(ORDERS_TOKEN), ..by(&pair) }, "order").await,
        Some(202)
    );
    rig.end().await;
}
