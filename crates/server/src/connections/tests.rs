//! Connections by real sockets: seats, limits, slow clients, probes, the orderly end.

use super::*;
use axum::routing::get;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

pub(super) const HELLO: &[u8] = b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";
/// Generous: it only matters when a test fails.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Door {
    pub(super) address: SocketAddr,
    stop: watch::Sender<bool>,
    served: JoinHandle<()>,
}

async fn open(router: Router, limits: HttpLimits) -> Door {
    open_as(router, DoorOptions { limits, ..DoorOptions::default() }).await
}

pub(super) async fn open_as(router: Router, options: DoorOptions) -> Door {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopping) = watch::channel(false);
    let served = tokio::spawn(super::serve(listener, router, options, stopping));
    Door { address, stop, served }
}

pub(super) fn hello() -> Router {
    Router::new().route("/hello", get(|| async { "hello" }))
}

pub(super) async fn send(to: SocketAddr, text: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(to).await.expect("a connection");
    socket.write_all(text).await.expect("sent");
    socket
}

#[tokio::test]
async fn every_request_says_from_where_it_comes() {
    let tell = |peer: axum::Extension<Peer>| async move {
        assert!(!peer.secure && peer.certificate.is_none());
        peer.address.map(|address| address.to_string()).unwrap_or_default()
    };
    let door = open(Router::new().route("/from", get(tell)), HttpLimits::default()).await;
    let ask = b"GET /from HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = rest(send(door.address, ask).await).await;
    assert!(answer.ends_with("\r\n127.0.0.1"), "{answer}");
}

async fn until_hello(socket: &mut TcpStream) {
    let mut seen = Vec::new();
    while !seen.ends_with(b"hello") {
        let read = tokio::time::timeout(PATIENCE, socket.read_buf(&mut seen)).await;
        assert_ne!(read.expect("in time").expect("readable"), 0, "closed before the answer");
    }
}

/// Everything up to the end of the connection.
pub(super) async fn rest(mut socket: TcpStream) -> String {
    let mut seen = Vec::new();
    let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut seen)).await;
    let _ = read.expect("the connection ends"); // closed or reset: both are an end
    String::from_utf8_lossy(&seen).into_owned()
}

#[tokio::test]
async fn a_client_that_trickles_its_headers_is_not_waited_for() {
    let header_timeout = Duration::from_millis(50);
    let limits = HttpLimits { header_timeout, ..HttpLimits::default() };
    let door = open(hello(), limits).await;
    let slow = send(door.address, b"GET /hello HTTP/1.1\r\nho").await;
    assert!(!rest(slow).await.contains("200"), "it never asked");
    let silent = send(door.address, b"").await;
    assert_eq!(rest(silent).await, "");
}

#[tokio::test]
async fn one_connection_too_many_waits_until_another_closes() {
    let door = open(hello(), HttpLimits { connections: 1, ..HttpLimits::default() }).await;
    let mut first = send(door.address, HELLO).await;
    until_hello(&mut first).await;
    let mut second = send(door.address, HELLO).await;
    let early = tokio::time::timeout(Duration::from_millis(50), second.readable()).await;
    assert!(early.is_err(), "the first one is still open");
    drop(first);
    until_hello(&mut second).await;
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let door = open(hello(), HttpLimits::default()).await;
    let mut socket = send(door.address, b"GET /hello HTTP/1.1\r\nlong: ").await;
    let _ = socket.write_all(&vec![b'x'; 2 * HEAD_BYTES]).await; // it may be closed meanwhile
    let answer = rest(socket).await;
    assert!(answer.is_empty() || answer.contains(" 431 "), "{answer}");
}

#[tokio::test]
async fn who_is_being_answered_is_answered_and_nobody_else() {
    let (asked, go) = (std::sync::Arc::new(Notify::new()), std::sync::Arc::new(Notify::new()));
    let (told, wait) = (asked.clone(), go.clone());
    let slow = move || {
        let (told, wait) = (told.clone(), wait.clone());
        async move {
            told.notify_one();
            wait.notified().await;
            "hello"
        }
    };
    let router = hello().route("/slow", get(slow));
    let door = open(router, HttpLimits::default()).await;
    let mut idle = send(door.address, HELLO).await;
    until_hello(&mut idle).await;
    let busy = send(door.address, b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    asked.notified().await;

    door.stop.send_replace(true);
    assert_eq!(rest(idle).await, "", "an idle connection is closed");
    go.notify_one();
    assert!(rest(busy).await.ends_with("hello"));
    tokio::time::timeout(PATIENCE, door.served).await.expect("it ends").expect("without fault");
    assert!(TcpStream::connect(door.address).await.is_err());
}

#[tokio::test]
async fn at_the_limit_a_silent_connection_makes_room_for_one_that_asks() {
    let door = open(hello(), HttpLimits { connections: 2, ..HttpLimits::default() }).await;
    let silent = send(door.address, b"GET /hello HTTP/1.1\r\nho").await;
    let other = send(door.address, b"").await;
    let mut newcomer = send(door.address, HELLO).await;
    until_hello(&mut newcomer).await;
    // The other one may have to go as well, but only for somebody who asks.
    assert_eq!(rest(silent).await, "", "it made room");
    drop(other);
}

#[tokio::test]
async fn probes_are_answered_while_every_seat_is_being_answered() {
    let (asked, told) = (std::sync::Arc::new(Notify::new()), std::sync::Arc::new(Notify::new()));
    let tell = told.clone();
    let never = move || {
        let tell = tell.clone();
        async move {
            tell.notify_one();
            asked.notified().await;
        }
    };
    let router = hello().route("/never", get(never)).route("/livez", get(|| async { "hello" }));
    let door = open(router, HttpLimits { connections: 1, ..HttpLimits::default() }).await;
    let _busy = send(door.address, b"GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await;
    told.notified().await;
    for _ in 0..3 {
        // In two pieces: what a request is for is told by its whole first line.
        let mut probe = send(door.address, b"GET /li").await;
        probe.write_all(b"vez HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
        let answer = rest(probe).await;
        assert!(answer.contains(" 200 ") && answer.ends_with("hello"), "{answer}");
    }
}

#[tokio::test]
async fn who_gets_no_seat_in_time_is_told_so() {
    let told = std::sync::Arc::new(Notify::new());
    let tell = told.clone();
    let never = move || {
        let tell = tell.clone();
        async move {
            tell.notify_one();
            std::future::pending::<()>().await;
        }
    };
    let router = hello().route("/never", get(never));
    let door = open(router, HttpLimits { connections: 1, ..HttpLimits::default() }).await;
    let _busy = send(door.address, b"GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await;
    told.notified().await;
    let answer = rest(send(door.address, HELLO).await).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("retry-after: 1\r\n") && answer.contains("unavailable"), "{answer}");
}

#[tokio::test]
async fn a_peer_with_too_many_connections_is_told_so_and_hurts_nobody_else() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let limits = HttpLimits { connections_per_peer: 2, ..HttpLimits::default() };
    let proxies = Networks::read(&["192.0.2.99".to_owned()]).expect("a proxy");
    let options = DoorOptions { limits, proxies, ..DoorOptions::default() };
    let door = super::Door::new(hello(), options);
    let (_stop, stopping) = watch::channel(false);
    let come = async |from: &str| {
        let ours = TcpStream::connect(address).await.expect("a connection");
        let (theirs, _) = listener.accept().await.expect("accepted");
        let from = from.parse().expect("an address");
        tokio::spawn(door.clone().welcome(theirs, from, stopping.clone()));
        ours
    };
    let ask = async |mut socket: TcpStream| {
        socket.write_all(HELLO).await.expect("sent");
        let mut seen = vec![0; 15];
        socket.read_exact(&mut seen).await.expect("answered");
        (String::from_utf8(seen).expect("text"), socket)
    };
    let (first, held) = ask(come("192.0.2.7").await).await;
    let _also_held = come("192.0.2.7").await;
    assert_eq!(first, "HTTP/1.1 200 OK");
    let flood = come("192.0.2.7").await;
    let answer = rest(flood).await;
    assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("retry-after: 1"), "{answer}");
    assert!(answer.contains("limits.connections_per_peer"), "{answer}");
    // Others come as ever, a proxy with as many as it needs.
    for other in ["192.0.2.8", "192.0.2.99", "192.0.2.99", "192.0.2.99", "127.0.0.1"] {
        let (answer, socket) = ask(come(other).await).await;
        assert_eq!(answer, "HTTP/1.1 200 OK", "{other}");
        std::mem::forget(socket);
    }
    drop(held);
}
