//! Where newcomers wait when every seat is taken. The probes of an orchestrator need none: who can't see that a
//! supervisor lives, ends it. All others get a seat in time, or an answer that says when to come back.

use super::seats::{Seats, Taken};
use amends_protocol::{Problem, ProblemCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Connections that may be in the room: a file descriptor each, and nothing is read for them but their first bytes.
pub(super) const PLACES: usize = 256;
/// Those of them that wait for a seat. The rest are places for who is just being looked at, so that a probe is seen
/// however many wait.
const WAITING: usize = 192;
/// How long one waits for a seat.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the first bytes may take, while others want the place.
const FIRST_BYTES: Duration = Duration::from_millis(500);
/// Pause before a first line is looked at again that is not whole yet.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How long a refused client may take to read why.
const FAREWELL: Duration = Duration::from_millis(500);
/// What needs no seat.
const PROBES: [&[u8]; 4] = [b"GET /livez", b"GET /readyz", b"GET /healthz", b"GET /metrics"];
/// The longest of them and one more byte.
const PEEKED: usize = 16;

/// The room; clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Room {
    waiting: Arc<Semaphore>,
}

/// What becomes of a newcomer.
pub(super) enum Next {
    /// It has a seat.
    Seated(TcpStream, Taken),
    /// It only wants to know how we are.
    Probe(TcpStream),
    /// It has left, or was told to.
    Gone,
}

impl Default for Room {
    fn default() -> Self {
        Self { waiting: Arc::new(Semaphore::new(WAITING)) }
    }
}

impl Room {
    /// Waits for a seat if it needs one.
    pub(super) async fn wait(&self, socket: TcpStream, seats: &Arc<Seats>) -> Next {
        match tokio::time::timeout(FIRST_BYTES, is_probe(&socket)).await {
            Ok(Some(true)) => return Next::Probe(socket),
            Ok(Some(false)) => {}
            Ok(None) | Err(_) => return Next::Gone,
        }
        if let Ok(_place) = self.waiting.try_acquire()
            && let Some(seat) = seats.take(PATIENCE).await
        {
            return Next::Seated(socket, seat);
        }
        // It may be gone already: then nobody misses the answer.
        let _ = tokio::time::timeout(FAREWELL, refuse(socket)).await;
        Next::Gone
    }
}

/// Whether its first line asks for a probe; none if it has left.
async fn is_probe(socket: &TcpStream) -> Option<bool> {
    let mut seen = [0; PEEKED];
    loop {
        let length = socket.peek(&mut seen).await.ok().filter(|length| *length > 0)?;
        let seen = &seen[..length];
        let ends = |rest: &[u8]| matches!(rest.first(), Some(b' ' | b'?'));
        if PROBES.iter().any(|probe| seen.strip_prefix(*probe).is_some_and(ends)) {
            return Some(true);
        }
        if !PROBES.iter().any(|probe| probe.starts_with(seen) || *probe == seen) {
            return Some(false);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn refuse(mut socket: TcpStream) -> std::io::Result<()> {
    let problem =
        Problem::new(ProblemCode::Unavailable, "every connection is in use; try again shortly");
    let body = serde_json::to_string(&problem).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(answer.as_bytes()).await?;
    socket.shutdown().await?;
    // Closing with bytes unread would reset the connection, and with it the answer.
    let mut unread = [0; 4_096];
    while socket.read(&mut unread).await? > 0 {}
    Ok(())
}
