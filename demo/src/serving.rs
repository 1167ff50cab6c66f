//! Takes connections, encrypted or not, and has what comes over them answered, until it is told to stop. What is
//! answered is others' business.

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// How long requests under way may take when it stops. The longest call between services is below it.
const DRAIN: Duration = Duration::from_secs(5);
/// How long a handshake of TLS may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Serves until `stop` turns true, then lets the requests under way end. With an acceptor nobody is heard who doesn't
/// encrypt.
pub(crate) async fn serve<A, F, E>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    answer: A,
    mut stop: watch::Receiver<bool>,
) where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, E>> + Send + 'static,
    E: Error + Send + Sync + 'static,
{
    let mut connections = JoinSet::new();
    let for_connections = stop.clone();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    let stop = for_connections.clone();
                    connections.spawn(open(stream, tls.clone(), answer.clone(), stop));
                }
                // Out of file handles, or the peer is gone already: give the others time to end.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            () = told_to_stop(&mut stop) => break,
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN, async { while connections.join_next().await.is_some() {} })
        .await;
}

async fn open<A, F, E>(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    answer: A,
    mut stop: watch::Receiver<bool>,
) where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, E>> + Send + 'static,
    E: Error + Send + Sync + 'static,
{
    let Some(tls) = tls else { return converse(stream, answer, stop).await };
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(HANDSHAKE, tls.accept(stream)) => shaken,
        () = told_to_stop(&mut stop) => return,
    };
    // Whoever fails to shake hands is told by the alert of TLS.
    if let Ok(Ok(stream)) = shaken {
        converse(stream, answer, stop).await;
    }
}

async fn converse<A, F, E, S>(stream: S, answer: A, mut stop: watch::Receiver<bool>)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, E>> + Send + 'static,
    E: Error + Send + Sync + 'static,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let connection =
        http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
    tokio::pin!(connection);
    // A broken conversation is the peer's to notice; the kit has what happened in its History.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = told_to_stop(&mut stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Waits until the process is to end, which it also is when nobody is left to say so.
pub(crate) async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopped| *stopped).await;
}
