//! Takes connections and answers on them: so many at most, and none that only trickles headers. Ends in order when it
//! is told to. Knows no route and reads no body.

use crate::http::HttpLimits;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Longest head of a request, in bytes; also what a connection may buffer. Long `baggage` and a filter with many words
/// fit.
const HEAD_BYTES: usize = 64 << 10;
/// Pause after the system could not give a connection, mostly because too many files are open: it needs time, and
/// asking at once again would only take the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves until `stopping` turns true (or its sender is gone), then lets the requests that are being answered end.
/// Dropping the future closes every connection at once.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: HttpLimits,
    mut stopping: watch::Receiver<bool>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout);
    http.max_buf_size(HEAD_BYTES);
    let (mut open, stops) = (JoinSet::new(), stopping.clone());
    loop {
        tokio::select! {
            () = told(&mut stopping) => break,
            // One that ended by a fault has been told of by its own panic.
            Some(_) = open.join_next() => {}
            accepted = listener.accept(), if open.len() < limits.connections => match accepted {
                Ok((socket, _)) => {
                    open.spawn(converse(http.clone(), socket, router.clone(), stops.clone()));
                }
                Err(error) => rest_after(&error).await,
            },
        }
    }
    drop(listener); // nobody new is kept waiting
    while open.join_next().await.is_some() {}
}

/// One connection, from its first request to its end.
async fn converse(
    http: http1::Builder,
    socket: TcpStream,
    router: Router,
    mut stopping: watch::Receiver<bool>,
) {
    // An answer is one small packet; waiting for more to send would only add latency. Without it things are only slower.
    let _ = socket.set_nodelay(true);
    let connection = http.serve_connection(TokioIo::new(socket), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = told(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // A client that broke off, was too slow or spoke no HTTP: its affair, and no news for an operator.
        tracing::debug!(%error, "a connection broke off");
    }
}

/// Returns when it is time to stop. An error means that nobody is left to tell: stop too.
async fn told(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

fn rest_after(error: &io::Error) -> impl Future<Output = ()> + use<> {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    // Such a client was gone before it was taken; the next one need not wait.
    let of_one = matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset);
    if !of_one {
        tracing::warn!(%error, "no connection can be taken at the moment");
    }
    tokio::time::sleep(if of_one { Duration::ZERO } else { ACCEPT_PAUSE })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;
    use tokio::task::JoinHandle;

    const HELLO: &[u8] = b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";
    /// Generous: it only matters when a test fails.
    const PATIENCE: Duration = Duration::from_secs(20);

    struct Door {
        address: SocketAddr,
        stop: watch::Sender<bool>,
        served: JoinHandle<()>,
    }

    async fn open(router: Router, limits: HttpLimits) -> Door {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopping) = watch::channel(false);
        let served = tokio::spawn(super::serve(listener, router, limits, stopping));
        Door { address, stop, served }
    }

    fn hello() -> Router {
        Router::new().route("/hello", get(|| async { "hello" }))
    }

    async fn send(to: SocketAddr, text: &[u8]) -> TcpStream {
        let mut socket = TcpStream::connect(to).await.expect("a connection");
        socket.write_all(text).await.expect("sent");
        socket
    }

    async fn until_hello(socket: &mut TcpStream) {
        let mut seen = Vec::new();
        while !seen.ends_with(b"hello") {
            let read = tokio::time::timeout(PATIENCE, socket.read_buf(&mut seen)).await;
            assert_ne!(read.expect("in time").expect("readable"), 0, "closed before the answer");
        }
    }

    /// Everything up to the end of the connection.
    async fn rest(mut socket: TcpStream) -> String {
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
}
