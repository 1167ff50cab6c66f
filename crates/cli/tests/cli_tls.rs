//! A supervisor behind https: whom a command believes, whom it shows a certificate, and that a token goes to nobody
//! else.
#![cfg(all(unix, feature = "tls"))]

mod support;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use support::{Done, command, finish, scratch};

const TOKEN: &str = "amends_7f3a_s3cr3tRandomPart";
const NOT_FOUND: &[u8] =
    b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// A certificate of the tests: `service` is for 127.0.0.1 and signed by `authority-a`, `client` by `authority-c`.
fn pem(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/src/dispatch/certificates");
    folder.join(format!("{name}.pem"))
}

/// Answers every request with 404, over TLS, and keeps what it heard.
struct Secure {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Secure {
    /// Whether clients must show a certificate.
    fn start(asks: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (config, copy) = (Arc::new(config(asks)), Arc::clone(&heard));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Whoever breaks off is the next one's business no more.
                if let Ok(request) = answer(stream, &config) {
                    copy.lock().expect("not poisoned").push(request);
                }
            }
        });
        Self { port, heard }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("not poisoned").clone()
    }

    /// Asks it with a token.
    fn ask(&self, more: &[&str]) -> Done {
        let url = format!("https://127.0.0.1:{}", self.port);
        run(&[&["services", "--url", &url][..], more].concat())
    }
}

fn config(asks: bool) -> ServerConfig {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().expect("TLS 1.2 and 1.3");
    let chain = vec![CertificateDer::from_pem_file(pem("service")).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(pem("service.key")).expect("a key");
    let builder = if asks {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(pem("authority-c")).expect("a certificate");
        roots.add(authority).expect("an authority");
        let known = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(known.build().expect("a verifier"))
    } else {
        builder.with_no_client_auth()
    };
    builder.with_single_cert(chain, key).expect("they belong together")
}

fn answer(stream: TcpStream, config: &Arc<ServerConfig>) -> std::io::Result<String> {
    let connection = ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
    let mut tls = StreamOwned::new(connection, stream);
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tls.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    tls.write_all(NOT_FOUND)?;
    tls.conn.send_close_notify();
    tls.flush()?;
    Ok(String::from_utf8_lossy(&request).into_owned())
}

fn run(arguments: &[&str]) -> Done {
    finish(command().args(arguments).env("AMENDS_TOKEN", TOKEN))
}

#[test]
fn a_token_goes_to_nobody_who_cannot_prove_their_name() {
    let secure = Secure::start(false);
    let (right, wrong) = (pem("authority-a"), pem("authority-b"));
    let (right, wrong) = (right.to_str().expect("UTF-8"), wrong.to_str().expect("UTF-8"));
    let by_wrong = secure.ask(&["--ca", wrong]).exits(3);
    assert!(by_wrong.stderr.contains("certificate"), "{}", by_wrong.stderr);
    let by_system = secure.ask(&[]);
    assert!(by_system.code == 3 || by_system.code == 6, "{by_system:?}");
    // Its certificate is for the address of digits.
    let other = format!("https://localhost:{}", secure.port);
    run(&["services", "--url", &other, "--ca", right]).exits(3);
    assert!(secure.heard().is_empty(), "nothing was sent");

    secure.ask(&["--ca", right]).exits(4);
    let heard = secure.heard();
    let bearer = format!("authorization: Bearer {TOKEN}");
    assert!(heard.len() == 1 && heard[0].contains(&bearer), "{heard:?}");
}

#[test]
fn a_client_certificate_is_shown_to_who_asks_and_its_key_is_for_its_owner() {
    let secure = Secure::start(true);
    let authority = pem("authority-a");
    let ca = ["--ca", authority.to_str().expect("UTF-8")];
    secure.ask(&ca).exits(3);
    assert!(secure.heard().is_empty(), "who shows nothing is not let in");

    let folder = scratch();
    let key = folder.path().join("client.key.pem");
    std::fs::copy(pem("client.key"), &key).expect("copied");
    let certificate = pem("client");
    let shown =
        ["--cert", certificate.to_str().expect("UTF-8"), "--key", key.to_str().expect("UTF-8")];
    let mode = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode));
    mode(0o644).expect("ours");
    let open = secure.ask(&[&ca[..], &shown].concat()).exits(6);
    assert!(open.stderr.contains("chmod 600"), "{}", open.stderr);
    mode(0o640).expect("ours");
    secure.ask(&[&ca[..], &shown].concat()).exits(4);
    assert_eq!(secure.heard().len(), 1);

    // One that belongs to another key proves nothing.
    let other = folder.path().join("other.key.pem");
    std::fs::copy(pem("client-next.key"), &other).expect("copied");
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o600)).expect("ours");
    let mixed = [shown[0], shown[1], shown[2], other.to_str().expect("UTF-8")];
    let refused = secure.ask(&[&ca[..], &mixed].concat()).exits(6);
    assert!(refused.stderr.contains("can't be used together"), "{}", refused.stderr);
}
