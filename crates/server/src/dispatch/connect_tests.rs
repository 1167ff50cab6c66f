//! The way out against real sockets: addresses that are refused after the look-up, proxies, own authorities, and the
//! one resend on a dead connection.

use super::*;
use crate::dispatch::exchange::{Answered, Ended, Exchange, SENT_TWICE, Unanswered};
use crate::dispatch::request::Outgoing;
use crate::dispatch::{AllowedHosts, Proxies};
use crate::outbound::Permit;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

/// Long enough for any machine; nothing here waits for it.
const LIMIT_MS: u64 = 20_000;

/// Every name leads to these addresses.
fn leading_to(addresses: &'static [&'static str]) -> Names {
    let found = move |_: &str| {
        Ok(addresses.iter().map(|ip| SocketAddr::new(ip.parse().expect("an ip"), 0)).collect())
    };
    Names::by(Duration::from_secs(20), Arc::new(found))
}

fn options() -> HttpOptions {
    HttpOptions { connect_timeout_ms: LIMIT_MS, ..HttpOptions::default() }
}

fn exchange(options: &HttpOptions, addresses: &'static [&'static str]) -> Exchange {
    Exchange::by(options, Connector::with_names(options, leading_to(addresses)))
}

async fn get(exchange: &Exchange, url: &str) -> Result<Answered, Unanswered> {
    let mut request = Outgoing::default();
    *request.uri_mut() = url.parse().expect("an address");
    let host = request.uri().authority().expect("a host").to_string();
    request.headers_mut().insert(http::header::HOST, host.parse().expect("a value"));
    exchange.ask(request, LIMIT_MS, &Permit::default()).await
}

async fn refused(exchange: &Exchange, url: &str) -> String {
    match get(exchange, url).await {
        Err(none) if none.end == Ended::Refused => none.message,
        Err(none) => panic!("{url}: {:?}: {}", none.end, none.message),
        Ok(answered) => panic!("{url} answered {}", answered.status),
    }
}

/// Reads the head of one request; none at the end of the connection.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        read.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(read).expect("text"))
}

async fn answer(stream: &mut (impl AsyncWrite + Unpin), text: &str) {
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    stream.write_all(answer.as_bytes()).await.expect("written");
    stream.flush().await.expect("written");
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

#[tokio::test]
async fn a_name_that_leads_where_nothing_goes_is_refused_and_says_why() {
    for address in
        [&["169.254.169.254"][..], &["fe80::1"], &["::ffff:169.254.169.254"], &["0.0.0.0"]]
    {
        let message = refused(&exchange(&options(), address), "http://pay.test/x").await;
        assert!(message.contains("`pay.test`") && message.contains("allow_hosts"), "{message}");
    }
    // Spelled out there is nothing to look up.
    let nobody = exchange(&options(), &[]);
    for url in ["http://169.254.169.254/x", "http://0xa9fea9fe/x", "http://[fd00:ec2::254]/x"] {
        refused(&nobody, url).await;
    }
}

#[tokio::test]
async fn of_several_addresses_those_that_are_refused_are_left_out() {
    let (listener, port) = listener().await;
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        head(&mut stream).await.expect("a request");
        answer(&mut stream, "here").await;
    });
    let mixed = exchange(&options(), &["169.254.169.254", "127.0.0.1"]);
    let answered = get(&mixed, &format!("http://pay.test:{port}/")).await;
    assert_eq!(answered.map(|a| a.body).ok().as_deref(), Some(&b"here"[..]));
    served.await.expect("it ended");
}

#[tokio::test]
async fn a_list_of_networks_judges_names_by_where_they_lead() {
    let allow_hosts = AllowedHosts::read(&["10.0.0.0/8".to_owned()]).expect("a network");
    let mut options = options();
    options.destinations.allow_hosts = allow_hosts;
    let message = refused(&exchange(&options, &["127.0.0.1"]), "http://pay.test/").await;
    assert!(message.contains("`pay.test:80` is not in `dispatch.allow_hosts`"), "{message}");
}

/// A proxy that answers whatever it is asked, and tells what that was.
async fn proxy(answers: &'static str) -> (u16, tokio::task::JoinHandle<String>) {
    let (listener, port) = listener().await;
    let seen = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let asked = head(&mut stream).await.expect("a request");
        stream.write_all(answers.as_bytes()).await.expect("written");
        asked
    });
    (port, seen)
}

fn through(port: u16, secret: &str) -> HttpOptions {
    let mut options = options();
    options.proxies =
        Proxies::of_configuration(&format!("http://127.0.0.1:{port}"), secret).expect("a proxy");
    if !secret.is_empty() {
        let mut secrets = Secrets::default();
        secrets.add(secret, "ann:letmein", vec![format!("127.0.0.1:{port}")]).expect("a secret");
        options.destinations.secrets = Arc::new(secrets);
    }
    options
}

#[tokio::test]
async fn a_plain_request_is_given_to_the_proxy_whole_with_who_asks() {
    let (port, seen) = proxy("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let out = Exchange::new(&through(port, "corp"));
    assert_eq!(get(&out, "http://far.example/a?b=c").await.map(|a| a.status).ok(), Some(200));
    let asked = seen.await.expect("it was asked").to_ascii_lowercase();
    assert!(asked.starts_with("get http://far.example/a?b=c http/1.1\r\n"), "{asked}");
    assert!(asked.contains("proxy-authorization: basic yw5uomxldg1law4=\r\n"), "{asked}");
}

#[tokio::test]
async fn no_proxy_is_asked_for_a_metadata_name() {
    let out = Exchange::new(&through(1, ""));
    refused(&out, "http://metadata.google.internal/x").await;
    refused(&out, "http://2852039166/x").await;
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn what_a_proxy_says_of_a_tunnel_is_told() {
    for (answers, told) in [
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "answers 403 to `CONNECT far.example:443`"),
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "`dispatch.proxy_secret`"),
        ("SSH-2.0-x\r\n\r\n", "it speaks no HTTP/1.1"),
    ] {
        let (port, seen) = proxy(answers).await;
        let none = get(&Exchange::new(&through(port, "")), "https://far.example/").await;
        let none = none.err().expect("no tunnel");
        assert_eq!(none.end, Ended::NotSent, "{}", none.message);
        assert!(none.message.contains(told), "{}", none.message);
        assert!(none.message.contains(&format!("127.0.0.1:{port}")), "{}", none.message);
        assert!(seen.await.expect("asked").starts_with("CONNECT far.example:443 HTTP/1.1\r\n"));
    }
}

#[tokio::test]
async fn a_proxy_that_is_away_is_told_as_the_proxy() {
    let (listener, port) = listener().await;
    drop(listener);
    let none = get(&Exchange::new(&through(port, "")), "http://far.example/").await;
    let none = none.err().expect("no answer");
    assert_eq!(none.end, Ended::NotSent);
    assert!(
        none.message.starts_with(&format!("the proxy `127.0.0.1:{port}`: ")),
        "{}",
        none.message
    );
}

/// Answers the first request of each connection; the second one finds it closed. Tells how many requests came.
async fn closing_after_one() -> (u16, Arc<AtomicUsize>) {
    let (listener, port) = listener().await;
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                if head(&mut stream).await.is_some() {
                    counted.fetch_add(1, Ordering::SeqCst);
                    answer(&mut stream, "first").await;
                }
                if head(&mut stream).await.is_some() {
                    counted.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    (port, seen)
}

#[tokio::test]
async fn a_kept_connection_that_ends_without_an_answer_has_the_request_sent_once_more() {
    let (port, seen) = closing_after_one().await;
    let (out, url) = (Exchange::new(&options()), format!("http://127.0.0.1:{port}/"));
    let first = get(&out, &url).await.ok().expect("an answer");
    assert!(!first.sent_twice);
    let second = get(&out, &url).await.ok().expect("an answer");
    assert!(second.sent_twice, "the kept connection was dead");
    assert_eq!(seen.load(Ordering::SeqCst), 3, "the second request came twice");
}

#[tokio::test]
async fn a_new_connection_that_ends_without_an_answer_is_told_and_nothing_more_is_sent() {
    let (listener, port) = listener().await;
    let seen = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            head(&mut stream).await;
            *counted.lock().expect("not poisoned") += 1;
        }
    });
    let none = get(&Exchange::new(&options()), &format!("http://127.0.0.1:{port}/")).await;
    let none = none.err().expect("no answer");
    assert_eq!((none.end, none.sent_twice), (Ended::Unknown, false), "{}", none.message);
    assert_eq!(*seen.lock().expect("not poisoned"), 1);
}

#[tokio::test]
async fn an_answer_that_has_begun_is_waited_for_and_not_asked_for_again() {
    let (listener, port) = listener().await;
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        head(&mut stream).await;
        answer(&mut stream, "first").await;
        head(&mut stream).await;
        counted.fetch_add(1, Ordering::SeqCst);
        stream.write_all(b"HTTP/1.1 2").await.expect("written");
    });
    let (out, url) = (Exchange::new(&options()), format!("http://127.0.0.1:{port}/"));
    assert!(get(&out, &url).await.is_ok());
    let none = get(&out, &url).await.err().expect("no whole answer");
    assert_eq!((none.end, none.sent_twice), (Ended::Unknown, false), "{}", none.message);
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_second_sending_that_finds_nobody_may_have_run_too() {
    let (listener, port) = listener().await;
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        head(&mut stream).await;
        answer(&mut stream, "first").await;
        head(&mut stream).await;
        drop(listener);
    });
    let (out, url) = (Exchange::new(&options()), format!("http://127.0.0.1:{port}/"));
    assert!(get(&out, &url).await.is_ok());
    let none = get(&out, &url).await.err().expect("no answer");
    assert_eq!((none.end, none.sent_twice), (Ended::Unknown, true), "{}", none.message);
    assert!(none.message.contains(SENT_TWICE), "{}", none.message);
    served.await.expect("it ended");
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use crate::dispatch::{Authorities, Identities};
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use std::fs;
    use std::path::{Path, PathBuf};
    use tokio_rustls::TlsAcceptor;

    fn file(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dispatch/certificates").join(name)
    }

    fn acceptor() -> TlsAcceptor {
        let chain = CertificateDer::from_pem_file(file("service.pem")).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(file("service.key.pem")).expect("a key");
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .expect("they fit");
        TlsAcceptor::from(Arc::new(config))
    }

    /// A service that speaks TLS and answers each connection once.
    async fn service() -> u16 {
        let (listener, port) = listener().await;
        let acceptor = acceptor();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    if head(&mut stream).await.is_some() {
                        answer(&mut stream, "secure").await;
                    }
                });
            }
        });
        port
    }

    fn trusting(file: &Path, hosts: Option<&[String]>, only: bool) -> HttpOptions {
        let mut authorities = Authorities::default();
        authorities.add("test", file, hosts, only).expect("certificates");
        HttpOptions { authorities, ..options() }
    }

    #[tokio::test]
    async fn a_service_with_a_certificate_of_an_own_authority_is_believed_where_that_is_for_it() {
        let port = service().await;
        let url = format!("https://pay.test:{port}/");
        let ours = file("authority-a.pem");
        let hosts = |name: &str| vec![format!("{name}:{port}")];
        for (believed, options) in [
            (true, trusting(&ours, None, false)),
            (true, trusting(&ours, Some(&hosts("pay.test")), true)),
            (true, trusting(&ours, Some(&hosts("*.test")), false)),
            (false, trusting(&ours, Some(&hosts("other.test")), true)),
            (false, trusting(&file("authority-b.pem"), None, false)),
            (false, options()),
        ] {
            let answered = get(&exchange(&options, &["127.0.0.1"]), &url).await;
            match answered {
                Ok(answered) => assert!(believed, "HTTP {}", answered.status),
                Err(none) => {
                    assert!(!believed, "{}", none.message);
                    assert_eq!(none.end, Ended::NotSent, "{}", none.message);
                    assert!(none.message.contains("`[ca]`"), "{}", none.message);
                }
            }
        }
    }

    #[tokio::test]
    async fn a_file_of_certificates_that_changes_is_read_anew_and_a_broken_one_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ca.pem");
        let mut hours = 0;
        let mut write = |text: &[u8]| {
            // A clock of the file system may be too coarse to tell two writes of a test apart.
            hours += 1;
            let at = std::time::SystemTime::now() + Duration::from_secs(hours * 3_600);
            fs::write(&path, text).expect("written");
            fs::File::options()
                .append(true)
                .open(&path)
                .and_then(|f| f.set_modified(at))
                .expect("set");
        };
        write(&fs::read(file("authority-b.pem")).expect("a file"));
        let port = service().await;
        let url = format!("https://pay.test:{port}/");
        let out = exchange(&trusting(&path, None, false), &["127.0.0.1"]);
        assert!(get(&out, &url).await.is_err(), "signed by nobody it knows");
        write(&fs::read(file("authority-a.pem")).expect("a file"));
        assert!(get(&out, &url).await.is_ok(), "read anew");
        write(b"no certificate");
        assert!(get(&out, &url).await.is_ok(), "the ones before stay");
    }

    /// A service that asks who calls, and answers with which certificate it was shown.
    async fn asking() -> u16 {
        let (listener, port) = listener().await;
        let mut roots = rustls::RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(file("authority-c.pem")).expect("a file");
        roots.add(authority).expect("an authority");
        let judge = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).build();
        let chain = CertificateDer::from_pem_file(file("service.pem")).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(file("service.key.pem")).expect("a key");
        let config = rustls::ServerConfig::builder()
            .with_client_cert_verifier(judge.expect("a verifier"))
            .with_single_cert(vec![chain], key)
            .expect("they fit");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let shown =
                        stream.get_ref().1.peer_certificates().expect("it asked")[0].clone();
                    let of = |name: &str| CertificateDer::from_pem_file(file(name)).expect("one");
                    let which = ["client.pem", "client-next.pem"].into_iter();
                    let which = which.filter(|name| of(name) == shown).collect::<String>();
                    if head(&mut stream).await.is_some() {
                        answer(&mut stream, &which).await;
                    }
                });
            }
        });
        port
    }

    /// Believes the service, and shows these to these hosts.
    fn showing(all: &[(&Path, &Path, Option<&[String]>)]) -> HttpOptions {
        let mut identities = Identities::default();
        for (file, key, hosts) in all {
            identities.add("own", (file, key), *hosts).expect("a certificate with its key");
        }
        HttpOptions { identities, ..trusting(&file("authority-a.pem"), None, false) }
    }

    async fn shown(options: &HttpOptions, port: u16) -> Result<String, Unanswered> {
        let url = format!("https://pay.test:{port}/");
        let answered = get(&exchange(options, &["127.0.0.1"]), &url).await?;
        Ok(String::from_utf8(answered.body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn who_asks_is_shown_a_certificate_where_one_is_for_it() {
        let port = asking().await;
        let (one, key) = (file("client.pem"), file("client.key.pem"));
        let (next, next_key) = (file("client-next.pem"), file("client-next.key.pem"));
        let hosts = |name: &str| vec![format!("{name}:{port}")];
        let (pay, other) = (hosts("pay.test"), hosts("other.test"));
        let for_all = showing(&[(&one, &key, None)]);
        assert_eq!(shown(&for_all, port).await.ok().as_deref(), Some("client.pem"));
        let both = showing(&[(&one, &key, None), (&next, &next_key, Some(&pay))]);
        assert_eq!(shown(&both, port).await.ok().as_deref(), Some("client-next.pem"));
        for nothing in [showing(&[(&one, &key, Some(&other))]), showing(&[])] {
            let none = shown(&nothing, port).await.expect_err("no answer");
            assert!(none.message.contains("`[client_certificates]`"), "{}", none.message);
        }
        // Whoever asks for nothing is shown nothing, and answers.
        let url = format!("https://pay.test:{}/", service().await);
        assert!(get(&exchange(&for_all, &["127.0.0.1"]), &url).await.is_ok());
    }

    #[tokio::test]
    async fn a_certificate_that_changes_is_read_anew_and_one_that_fits_no_key_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, key) = (folder.path().join("own.pem"), folder.path().join("own.key"));
        let mut hours = 0;
        let mut write = |to: &Path, from: &str| {
            // A clock of the file system may be too coarse to tell two writes of a test apart.
            hours += 1;
            let at = std::time::SystemTime::now() + Duration::from_secs(hours * 3_600);
            fs::copy(file(from), to).expect("written");
            let opened = fs::File::options().append(true).open(to);
            opened.and_then(|file| file.set_modified(at)).expect("set");
        };
        write(&path, "client.pem");
        write(&key, "client.key.pem");
        let port = asking().await;
        let options = showing(&[(&path, &key, None)]);
        let out = exchange(&options, &["127.0.0.1"]);
        let url = format!("https://pay.test:{port}/");
        let mut seen = Vec::new();
        for step in 0..3 {
            match step {
                0 => {}
                1 => write(&path, "client-next.pem"),
                _ => write(&key, "client-next.key.pem"),
            }
            let body = get(&out, &url).await.map_err(|none| none.message).expect("an answer").body;
            seen.push(String::from_utf8(body.to_vec()).expect("text"));
        }
        assert_eq!(seen, ["client.pem", "client.pem", "client-next.pem"]);
        let wrong = Identities::default().add("x", (&file("client.pem"), &key), None);
        let wrong = wrong.expect_err("another's key").join(" ");
        assert!(wrong.contains("client.pem") && wrong.contains("own.key"), "{wrong}");
    }

    #[tokio::test]
    async fn one_time_limit_holds_for_the_connection_and_the_whole_answer() {
        let (listener, port) = listener().await;
        let acceptor = acceptor();
        // It begins an answer, and never ends it.
        let served = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a connection");
            // A machine that is slow may be at its limit before that.
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let Some(_) = head(&mut stream).await else { return };
            let begun = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
            let _ = stream.write_all(begun).await;
            let _ = stream.flush().await;
            assert_eq!(head(&mut stream).await, None, "nothing more comes");
        });
        let out = exchange(&trusting(&file("authority-a.pem"), None, false), &["127.0.0.1"]);
        let mut request = Outgoing::default();
        *request.uri_mut() = format!("https://pay.test:{port}/").parse().expect("an address");
        let none =
            out.ask(request, 1_000, &Permit::default()).await.err().expect("no whole answer");
        assert_eq!((none.end, none.message.as_str()), (Ended::Unknown, "no answer within 1000 ms"));
        served.await.expect("the connection is closed");
    }

    #[tokio::test]
    async fn a_secure_request_goes_through_a_tunnel_that_the_proxy_opens() {
        let far = service().await;
        let (listener, port) = listener().await;
        let seen = tokio::spawn(async move {
            let (mut near, _) = listener.accept().await.expect("a connection");
            let asked = head(&mut near).await.expect("a request");
            near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.expect("written");
            let mut beyond = TcpStream::connect(("127.0.0.1", far)).await.expect("the service");
            let _ = tokio::io::copy_bidirectional(&mut near, &mut beyond).await;
            asked
        });
        let mut options = through(port, "corp");
        options.authorities = trusting(&file("authority-a.pem"), None, false).authorities;
        let out = Exchange::new(&options);
        let answered = get(&out, &format!("https://pay.test:{far}/")).await;
        assert_eq!(answered.map_err(|none| none.message).map(|a| a.body), Ok("secure".into()));
        drop(out);
        let asked = seen.await.expect("it was asked");
        assert!(asked.starts_with(&format!("CONNECT pay.test:{far} HTTP/1.1\r\n")), "{asked}");
        assert!(asked.contains("Proxy-Authorization: Basic YW5uOmxldG1laW4=\r\n"), "{asked}");
    }

    #[test]
    fn a_file_without_certificates_is_refused_with_its_name() {
        for (name, told) in
            [("service.key.pem", "BEGIN CERTIFICATE"), ("none.pem", "cannot be read")]
        {
            let wrong = Authorities::default().add("x", &file(name), None, false);
            let wrong = wrong.expect_err(name).join(" ");
            assert!(wrong.contains(told) && wrong.contains(name), "{wrong}");
        }
        let hosts = ["a b".to_owned(), "pay.example".to_owned()];
        let wrong = Authorities::default().add("x", &file("none.pem"), Some(&hosts), false);
        assert_eq!(wrong.expect_err("two mistakes").len(), 2, "all at once");
    }
}
