//! Takes connections and answers on them: so many at most, none that only trickles headers, none whose other side does
//! not read. At the limit the probes are still answered, and whoever keeps a connection without asking anything makes
//! room. Ends in order when it is told to. Knows no route but the probes' and reads no body.

mod room;
mod seats;
mod unread;

use crate::http::HttpLimits;
use axum::Router;
use axum::body::{Body, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use room::Room;
use seats::{Seat, Seats, Taken};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use unread::Unread;

/// Longest head of a request, in bytes; also what a connection may buffer. Long `baggage` and a filter with many words
/// fit.
const HEAD_BYTES: usize = 64 << 10;
/// How long the other side may take none of its answer: longer than any pause of a network that is still there.
const UNREAD: Duration = Duration::from_secs(30);
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
    let door = Door { http, router, seats: Seats::new(limits.connections), room: Room::default() };
    let most = limits.connections.saturating_add(room::PLACES);
    let (mut open, stops) = (JoinSet::new(), stopping.clone());
    loop {
        tokio::select! {
            () = told(&mut stopping) => break,
            // One that ended by a fault has been told of by its own panic.
            Some(_) = open.join_next() => {}
            accepted = listener.accept(), if open.len() < most => match accepted {
                Ok((socket, _)) => {
                    open.spawn(door.clone().welcome(socket, stops.clone()));
                }
                Err(error) => rest_after(&error).await,
            },
        }
    }
    drop(listener); // nobody new is kept waiting
    while open.join_next().await.is_some() {}
}

/// What every connection needs.
#[derive(Clone)]
struct Door {
    http: http1::Builder,
    router: Router,
    seats: Arc<Seats>,
    room: Room,
}

impl Door {
    /// One connection, from its acceptance to its end.
    async fn welcome(self, socket: TcpStream, stopping: watch::Receiver<bool>) {
        // An answer is one small packet; waiting for more to send would only add latency. Without it things are only
        // slower.
        let _ = socket.set_nodelay(true);
        if let Some(seat) = self.seats.try_take() {
            return self.converse(socket, seat, stopping).await;
        }
        match self.room.wait(socket, &self.seats).await {
            room::Next::Seated(socket, seat) => self.converse(socket, seat, stopping).await,
            room::Next::Probe(socket) => self.answer_probe(socket).await,
            room::Next::Gone => {}
        }
    }

    /// A connection with a seat.
    async fn converse(self, socket: TcpStream, taken: Taken, mut stopping: watch::Receiver<bool>) {
        let service =
            Watched { inner: TowerToHyperService::new(self.router), seat: Arc::clone(&taken.seat) };
        let socket = TokioIo::new(Unread::new(socket, UNREAD));
        let mut connection = pin!(self.http.serve_connection(socket, service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = taken.seat.unseated() => return,
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

    /// One request without a seat, and the connection is closed.
    async fn answer_probe(mut self, socket: TcpStream) {
        let socket = TokioIo::new(Unread::new(socket, UNREAD));
        self.http.keep_alive(false);
        let service = TowerToHyperService::new(self.router);
        if let Err(error) = self.http.serve_connection(socket, service).await {
            tracing::debug!(%error, "a probe broke off");
        }
    }
}

/// Tells the seat when its connection asks and when it has been answered.
struct Watched {
    inner: TowerToHyperService<Router>,
    seat: Arc<Seat>,
}

impl Service<Request<Incoming>> for Watched {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let asked = Asked::begin(Arc::clone(&self.seat));
        let answered = self.inner.call(request);
        Box::pin(async move {
            let response = answered.await?;
            Ok(response.map(|body| Answer { body, _asked: asked }))
        })
    }
}

/// From a request to the last byte of its answer.
struct Asked(Arc<Seat>);

impl Asked {
    fn begin(seat: Arc<Seat>) -> Self {
        seat.asks();
        Self(seat)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.is_answered();
    }
}

/// The body of an answer; the request is over when it is dropped.
struct Answer {
    body: Body,
    _asked: Asked,
}

impl HttpBody for Answer {
    type Data = <Body as HttpBody>::Data;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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
        let (asked, told) =
            (std::sync::Arc::new(Notify::new()), std::sync::Arc::new(Notify::new()));
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
        assert!(
            answer.contains("retry-after: 1\r\n") && answer.contains("unavailable"),
            "{answer}"
        );
    }
}
