//! Connections with TLS, by real sockets: who is let in, who is not, and what a renewed certificate changes.

use super::tests::{Door, HELLO, PATIENCE, hello, open_as, rest, send};
use super::*;
use crate::renewed::Look;
use crate::tls::test_authority::{Issued, TestAuthority, put};
use crate::tls::{AskClients, TlsOptions};
use axum::routing::get;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const NAME: &str = "amends.test";
const WHO: &[u8] = b"GET /who HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// Somebody who is asked by TLS, with an authority that both sides believe.
struct Rig {
    authority: TestAuthority,
    options: TlsOptions,
    offered: Offered,
    door: Door,
    _folder: TempDir,
}

impl Rig {
    async fn open(ask: fn(std::path::PathBuf) -> AskClients, limits: HttpLimits) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let authority = TestAuthority::new();
        let mut options = authority.issue(&[NAME]).write(folder.path());
        options.clients = ask(authority.write(folder.path()));
        let offered = Offered::new(options.clone()).expect("it can be used");
        let tls = Some(offered.clone());
        let door = open_as(router(), DoorOptions { limits, tls, ..DoorOptions::default() }).await;
        Self { authority, options, offered, door, _folder: folder }
    }

    async fn connect(&self, shown: Option<&Issued>) -> io::Result<TlsStream<TcpStream>> {
        connect(&self.door, &self.authority, shown).await
    }
}

fn router() -> Router {
    let who = |peer: axum::Extension<Peer>| async move {
        let names = peer.certificate.as_ref().map(|shown| shown.names.join(" "));
        format!("secure {}, shown {}", peer.secure, names.as_deref().unwrap_or("nothing"))
    };
    hello().route("/who", get(who)).route("/livez", get(|| async { "hello" }))
}

async fn connect(
    door: &Door,
    believes: &TestAuthority,
    shown: Option<&Issued>,
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(believes.certificate()).expect("an authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().expect("versions");
    let config = config.with_root_certificates(roots);
    let config = match shown {
        Some(own) => config.with_client_auth_cert(vec![own.certificate.clone()], own.key()),
        None => Ok(config.with_no_client_auth()),
    };
    let connector = TlsConnector::from(Arc::new(config.expect("a configuration")));
    let socket = TcpStream::connect(door.address).await?;
    let name = ServerName::try_from(NAME).expect("a name");
    tokio::time::timeout(PATIENCE, connector.connect(name, socket)).await.expect("in time")
}

/// What is answered; an error if the other side breaks off. In TLS 1.3 a client hears only then that it is refused.
async fn ask(mut stream: TlsStream<TcpStream>, request: &[u8]) -> io::Result<String> {
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello") {
        let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut answer)).await;
        if read.expect("in time")? == 0 {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

async fn who(rig: &Rig, shown: Option<&Issued>) -> io::Result<String> {
    let answer = ask(rig.connect(shown).await?, WHO).await?;
    Ok(answer.rsplit("\r\n").next().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn what_comes_encrypted_is_told_as_such() {
    let rig = Rig::open(|_| AskClients::Never, HttpLimits::default()).await;
    assert_eq!(who(&rig, None).await.expect("answered"), "secure true, shown nothing");
    let strangers = TestAuthority::new();
    let refused = connect(&rig.door, &strangers, None).await;
    assert!(refused.is_err(), "who does not believe our authority does not connect");
}

#[tokio::test]
async fn who_asks_without_encryption_is_told_how() {
    let rig = Rig::open(|_| AskClients::Never, HttpLimits::default()).await;
    let answer = rest(send(rig.door.address, HELLO).await).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https://"), "{answer}");
    assert!(!answer.contains("hello"), "{answer}");
}

#[tokio::test]
async fn a_client_that_shows_a_certificate_is_known_by_its_names() {
    let rig = Rig::open(AskClients::MayShow, HttpLimits::default()).await;
    let payment = rig.authority.issue_for_uri("spiffe://shop/payment", 2_100);
    let told = who(&rig, Some(&payment)).await.expect("answered");
    assert_eq!(told, "secure true, shown uri:spiffe://shop/payment");
    let two = rig.authority.issue(&["payment.shop.svc", "Payment.Shop.Example"]);
    let told = who(&rig, Some(&two)).await.expect("answered");
    assert_eq!(told, "secure true, shown dns:payment.shop.svc dns:payment.shop.example");
    assert_eq!(who(&rig, None).await.expect("answered"), "secure true, shown nothing");
}

#[tokio::test]
async fn what_nobody_believes_is_refused() {
    for ask in [AskClients::MayShow as fn(_) -> _, AskClients::MustShow] {
        let rig = Rig::open(ask, HttpLimits::default()).await;
        let of_others = TestAuthority::new().issue_for_uri("spiffe://shop/payment", 2_100);
        assert!(who(&rig, Some(&of_others)).await.is_err(), "signed by another authority");
        let ended = rig.authority.issue_for_uri("spiffe://shop/payment", 2_020);
        assert!(who(&rig, Some(&ended)).await.is_err(), "ended in 2020");
    }
    let rig = Rig::open(AskClients::MustShow, HttpLimits::default()).await;
    assert!(who(&rig, None).await.is_err(), "it must show one");
    let payment = rig.authority.issue_for_uri("spiffe://shop/payment", 2_100);
    assert!(who(&rig, Some(&payment)).await.is_ok());
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_from_then_on_and_a_broken_one_never() {
    let rig = Rig::open(|_| AskClients::Never, HttpLimits::default()).await;
    let shown = |stream: &TlsStream<TcpStream>| {
        stream.get_ref().1.peer_certificates().expect("a certificate")[0].clone()
    };
    let before = rig.connect(None).await.expect("connected");
    let next = rig.authority.issue(&[NAME]);
    next.put(&rig.options);
    assert_eq!(rig.offered.look(), Look::Renewed);
    let after = rig.connect(None).await.expect("connected");
    assert_eq!(shown(&after), next.certificate);
    assert_ne!(shown(&before), next.certificate);
    assert!(ask(before, HELLO).await.expect("answered").ends_with("hello"), "it goes on as it is");

    put(&rig.options.key, "-----BEGIN PRIVATE KEY-----\nnone\n-----END PRIVATE KEY-----\n");
    assert!(matches!(rig.offered.look(), Look::Broken(_)));
    let other = rig.authority.issue(&[NAME]);
    // Only one file of a new pair is there yet.
    put(&rig.options.key, "");
    other.put(&TlsOptions { key: rig.options.key.with_extension("other"), ..rig.options.clone() });
    assert!(matches!(rig.offered.look(), Look::Broken(_)));
    let still = rig.connect(None).await.expect("connected");
    assert_eq!(shown(&still), next.certificate);
    other.put(&rig.options);
    assert_eq!(rig.offered.look(), Look::Renewed);
    assert_eq!(shown(&rig.connect(None).await.expect("connected")), other.certificate);
}

#[tokio::test]
async fn who_hangs_in_the_handshake_makes_room_for_one_that_asks() {
    let limits = HttpLimits { connections: 1, ..HttpLimits::default() };
    let rig = Rig::open(|_| AskClients::Never, limits).await;
    let hanging = send(rig.door.address, &[TLS_HANDSHAKE, 3, 1, 2, 0]).await;
    let answer = ask(rig.connect(None).await.expect("connected"), HELLO).await;
    assert!(answer.expect("answered").ends_with("hello"));
    assert_eq!(rest(hanging).await, "", "it made room");
}

#[tokio::test]
async fn a_probe_is_answered_by_tls_too_while_every_seat_is_being_answered() {
    let (asked, never) = (Arc::new(tokio::sync::Notify::new()), std::future::pending::<()>);
    let tell = Arc::clone(&asked);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let authority = TestAuthority::new();
    let options = authority.issue(&[NAME]).write(folder.path());
    let tls = Some(Offered::new(options).expect("it can be used"));
    let limits = HttpLimits { connections: 1, ..HttpLimits::default() };
    let busy = move || {
        let tell = Arc::clone(&tell);
        async move {
            tell.notify_one();
            never().await;
        }
    };
    let router = router().route("/never", get(busy));
    let door = open_as(router, DoorOptions { limits, tls, ..DoorOptions::default() }).await;
    let mut first = connect(&door, &authority, None).await.expect("connected");
    first.write_all(b"GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    asked.notified().await;
    let probe = connect(&door, &authority, None).await.expect("connected");
    let answer = ask(probe, b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("answered");
    assert!(answer.contains(" 200 ") && answer.ends_with("hello"), "{answer}");
    let other = connect(&door, &authority, None).await.expect("connected");
    let answer = ask(other, HELLO).await.expect("answered");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[test]
fn a_key_that_everybody_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = TestAuthority::new().issue(&[NAME]).write(folder.path());
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&options.key, open).expect("set");
    let why = Offered::new(options).expect_err("everybody may read it");
    assert!(why.contains("644") && why.contains("chmod 600"), "{why}");
}
