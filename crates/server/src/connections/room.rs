//! Where newcomers wait when every seat is taken. The probes of an orchestrator need none: who can't see that a
//! supervisor lives, ends it. All others get a seat in time, or an answer that says when to come back.

use super::seats::{Seats, Taken};
use super::wire::Wire;
use amends_protocol::{Problem, ProblemCode};
use http::StatusCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
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
    Seated(Wire, Taken),
    /// It only wants to know how we are.
    Probe(Wire),
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
    pub(super) async fn wait(&self, mut wire: Wire, seats: &Arc<Seats>) -> Next {
        match tokio::time::timeout(FIRST_BYTES, is_probe(&mut wire)).await {
            Ok(Some(true)) => return Next::Probe(wire),
            Ok(Some(false)) => {}
            Ok(None) | Err(_) => return Next::Gone,
        }
        if let Ok(_place) = self.waiting.try_acquire()
            && let Some(seat) = seats.take(PATIENCE).await
        {
            return Next::Seated(wire, seat);
        }
        let why = "every connection is in use; try again shortly";
        refuse(wire, &Problem::new(ProblemCode::Unavailable, why)).await;
        Next::Gone
    }
}

/// Whether its first line asks for a probe; none if it has left.
async fn is_probe(wire: &mut Wire) -> Option<bool> {
    loop {
        let seen = wire.look(PEEKED).await?;
        let ends = |rest: &[u8]| matches!(rest.first(), Some(b' ' | b'?'));
        if PROBES.iter().any(|probe| seen.strip_prefix(*probe).is_some_and(ends)) {
            return Some(true);
        }
        if !PROBES.iter().any(|probe| probe.starts_with(seen) || *probe == seen) {
            return Some(false);
        }
    }
}

/// Says why there is no conversation. It may be gone already: then nobody misses the answer.
pub(super) async fn refuse(wire: Wire, why: &Problem) {
    let _ = tokio::time::timeout(FAREWELL, say(wire, why)).await;
}

async fn say(mut wire: Wire, why: &Problem) -> std::io::Result<()> {
    let body = serde_json::to_string(why).unwrap_or_default();
    let (status, length) = (why.status, body.len());
    let phrase = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let phrase = phrase.unwrap_or_default();
    let again = if why.retryable == Some(true) { "retry-after: 1\r\n" } else { "" };
    let answer = format!(
        "HTTP/1.1 {status} {phrase}\r\ncontent-type: application/problem+json\r\n{again}\
         connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    wire.write_all(answer.as_bytes()).await?;
    wire.shutdown().await?;
    // Closing with bytes unread would reset the connection, and with it the answer.
    let mut unread = [0; 4_096];
    while wire.read(&mut unread).await? > 0 {}
    Ok(())
}
