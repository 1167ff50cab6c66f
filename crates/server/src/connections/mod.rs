//! Takes connections and answers on them: so many at most, and so many of each peer, encrypted if so configured; none
//! that only trickles headers, none whose other side does not read. At the limit the probes are still answered, and
//! whoever keeps a connection without asking anything makes room. Ends in order when it is told to. Knows no route but
//! the probes' and reads no body.

mod peers;
mod room;
mod seats;
mod unread;
mod wire;

use crate::access::Networks;
use crate::access::peer::Peer;
use crate::access::side::Side;
use crate::http::HttpLimits;
use crate::telemetry::Metrics;
use crate::tls::Offered;
use amends_protocol::{Problem, ProblemCode};
use axum::Router;
use axum::body::{Body, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use peers::Peers;
use room::Room;
use seats::{Seat, Seats, Taken};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use unread::Unread;
use wire::Wire;

/// Longest head of a request, in bytes; also what a connection may buffer. Long `baggage` and a filter with many words
/// fit.
const HEAD_BYTES: usize = 64 << 10;
/// How long the other side may take none of its answer: longer than any pause of a network that is still there.
const UNREAD: Duration = Duration::from_secs(30);
/// How long the handshake of TLS may take; longer than four ways around the world over a bad line.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The same for a newcomer without a seat: others want its place in the room.
const HANDSHAKE_IN_ROOM: Duration = Duration::from_secs(2);
/// What a record of TLS that begins a handshake begins with.
const TLS_HANDSHAKE: u8 = 22;
/// Connections of peers with too many that are told so at once; the others are closed without a word.
const FAREWELLS: usize = 64;
/// Pause after the system could not give a connection, mostly because too many files are open: it needs time, and
/// asking at once again would only take the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How one of our addresses is kept.
#[derive(Debug, Default)]
pub(crate) struct DoorOptions {
    pub(crate) limits: HttpLimits,
    /// None without encryption.
    pub(crate) tls: Option<Offered>,
    /// Who may have as many connections as there are.
    pub(crate) proxies: Networks,
    pub(crate) side: Side,
    pub(crate) metrics: Metrics,
}

/// Serves until `stopping` turns true (or its sender is gone), then lets the requests that are being answered end.
/// Dropping the future closes every connection at once.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    options: DoorOptions,
    mut stopping: watch::Receiver<bool>,
) {
    let limits = options.limits;
    let door = Door::new(router, options);
    let most = limits.connections.saturating_add(room::PLACES);
    let (mut open, stops) = (JoinSet::new(), stopping.clone());
    loop {
        tokio::select! {
            () = told(&mut stopping) => break,
            // One that ended by a fault has been told of by its own panic.
            Some(_) = open.join_next() => {}
            accepted = listener.accept(), if open.len() < most => match accepted {
                Ok((socket, from)) => {
                    open.spawn(door.clone().welcome(socket, from.ip(), stops.clone()));
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
    peers: Arc<Peers>,
    farewells: Arc<Semaphore>,
    room: Room,
    options: Arc<DoorOptions>,
}

impl Door {
    fn new(router: Router, options: DoorOptions) -> Self {
        let limits = options.limits;
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout);
        http.max_buf_size(HEAD_BYTES);
        Self {
            http,
            router,
            seats: Seats::new(limits.connections),
            peers: Peers::new(limits.connections_per_peer),
            farewells: Arc::new(Semaphore::new(FAREWELLS)),
            room: Room::default(),
            options: Arc::new(options),
        }
    }

    /// One connection, from its acceptance to its end.
    async fn welcome(self, socket: TcpStream, from: IpAddr, mut stopping: watch::Receiver<bool>) {
        // An answer is one small packet; waiting for more to send would only add latency. Without it things are only
        // slower.
        let _ = socket.set_nodelay(true);
        let from = from.to_canonical();
        let is_proxy = self.options.proxies.have(from);
        let entered = if is_proxy { None } else { self.peers.enter(from) };
        if !is_proxy && entered.is_none() {
            return self.turn_away(socket, from).await;
        }
        let Some(taken) = self.seats.try_take() else {
            return self.without_a_seat(socket, from, stopping).await;
        };
        let opened = tokio::select! {
            opened = self.open(socket, from, HANDSHAKE) => opened,
            () = taken.seat.unseated() => None,
            () = told(&mut stopping) => None,
        };
        if let Some((wire, peer)) = opened {
            self.converse(wire, peer, taken, stopping).await;
        }
    }

    async fn without_a_seat(
        self,
        socket: TcpStream,
        from: IpAddr,
        stopping: watch::Receiver<bool>,
    ) {
        let Some((wire, peer)) = self.open(socket, from, HANDSHAKE_IN_ROOM).await else { return };
        match self.room.wait(wire, &self.seats).await {
            room::Next::Seated(wire, seat) => self.converse(wire, peer, seat, stopping).await,
            room::Next::Probe(wire) => self.answer_probe(wire, peer).await,
            room::Next::Gone => {}
        }
    }

    /// Of a peer with too many connections.
    async fn turn_away(self, socket: TcpStream, from: IpAddr) {
        self.options.metrics.connection_turned_away();
        let Ok(_one) = self.farewells.try_acquire() else { return };
        if let Some((wire, _)) = self.open(socket, from, HANDSHAKE_IN_ROOM).await {
            let most = self.options.limits.connections_per_peer;
            let detail = format!(
                "{from} has {most} connections already, the most of one address (`limits.connections_per_peer`); keep connections open and use them again"
            );
            room::refuse(wire, &Problem::new(ProblemCode::Overloaded, detail)).await;
        }
    }

    /// What is said over a connection, encrypted if so configured, and who is at its other end; none if there is
    /// nothing to say.
    async fn open(&self, socket: TcpStream, from: IpAddr, limit: Duration) -> Option<(Wire, Peer)> {
        let mut peer = Peer::at(from);
        let Some(tls) = &self.options.tls else { return Some((Wire::plain(socket), peer)) };
        let shaken = async {
            let mut first = [0];
            socket.peek(&mut first).await?;
            if first[0] != TLS_HANDSHAKE {
                return Ok(Err(socket));
            }
            tls.shake(socket).await.map(Ok)
        };
        match tokio::time::timeout(limit, shaken).await {
            Ok(Ok(Ok((stream, certificate)))) => {
                (peer.secure, peer.certificate) = (true, certificate);
                return Some((Wire::secure(stream), peer));
            }
            Ok(Ok(Err(socket))) => {
                let detail = "this address speaks `https`; begin the address with `https://`";
                let why = Problem::new(ProblemCode::InvalidRequest, detail);
                room::refuse(Wire::plain(socket), &why).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, %from, "a handshake of TLS failed"),
            Err(_) => tracing::debug!(%from, "a handshake of TLS took too long"),
        }
        self.options.metrics.handshake_failed();
        None
    }

    /// A connection with a seat.
    async fn converse(
        self,
        wire: Wire,
        peer: Peer,
        taken: Taken,
        mut stopping: watch::Receiver<bool>,
    ) {
        let service = self.service(peer, Some(Arc::clone(&taken.seat)));
        let socket = TokioIo::new(Unread::new(wire, UNREAD));
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
    async fn answer_probe(mut self, wire: Wire, peer: Peer) {
        let service = self.service(peer, None);
        let socket = TokioIo::new(Unread::new(wire, UNREAD));
        self.http.keep_alive(false);
        if let Err(error) = self.http.serve_connection(socket, service).await {
            tracing::debug!(%error, "a probe broke off");
        }
    }

    fn service(&self, peer: Peer, seat: Option<Arc<Seat>>) -> Service {
        let inner = TowerToHyperService::new(self.router.clone());
        Service { inner, side: self.options.side, peer, seat }
    }
}

/// What answers on one connection: tells who asks, and tells the seat when it asks and when it has been answered.
struct Service {
    inner: TowerToHyperService<Router>,
    side: Side,
    peer: Peer,
    /// None for a probe without one.
    seat: Option<Arc<Seat>>,
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<CountedBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer.clone());
        request.extensions_mut().insert(self.side);
        let asked = self.seat.clone().map(Asked::begin);
        let answered = self.inner.call(request);
        Box::pin(async move {
            let response = answered.await?;
            Ok(response.map(|body| CountedBody { body, _asked: asked }))
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
struct CountedBody {
    body: Body,
    _asked: Option<Asked>,
}

impl HttpBody for CountedBody {
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
mod tests;
#[cfg(all(test, feature = "tls"))]
mod tls_tests;
