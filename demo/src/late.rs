//! Requests that are late: their caller has lost its connection, and they reach the service when its compensation has
//! been there before. It lets each of them through once, unless the process dies first; it answers nobody. Whoever
//! repeats a request until somebody takes it is held up no longer than the first time.

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::Request;
use http::request::Parts;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tower::ServiceExt;

/// Requests that one door holds at most. Each customer has one order under way, and there are at most 64 of them.
const HELD_LIMIT: usize = 64;
/// How long a request waits for its compensation before it gets through without. The report, the plan and a restart of
/// the supervisor in between take a few seconds on a busy machine.
const HOLD_LIMIT: Duration = Duration::from_secs(30);

/// Saga and action, as headers and path say.
pub(crate) type Key = (String, String);

/// The requests on their way to one service that are held up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Late {
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    requests: HashMap<Key, Vec<(Parts, Bytes)>>,
    /// When each was held up first.
    since: HashMap<Key, Instant>,
    /// Those whose compensation has been there.
    compensated: HashSet<Key>,
}

impl Late {
    /// Whether a request is still to be held up: not when its compensation has been there, nor half a minute after the
    /// first time.
    pub(crate) fn holds(&self, key: &Key) -> bool {
        let mut held = self.held();
        let first = *held.since.entry(key.clone()).or_insert_with(Instant::now);
        !held.compensated.contains(key) && first.elapsed() < HOLD_LIMIT
    }

    /// Holds a request up until [`Self::let_through`], or until nobody compensates it for half a minute. If too many are
    /// held up already, it gets through at once.
    pub(crate) async fn hold(&self, router: Router, key: Key, parts: Parts, body: Bytes) {
        let full = self.held().requests.values().map(Vec::len).sum::<usize>() >= HELD_LIMIT;
        if full {
            return arrive(&router, parts, body).await;
        }
        self.held().requests.entry(key.clone()).or_default().push((parts, body));
        let late = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(HOLD_LIMIT).await;
            late.arrive_all(&router, &key).await;
        });
    }

    /// Says that the compensation of an action in a saga has been there, and lets its requests through.
    pub(crate) async fn let_through(&self, router: &Router, key: &Key) {
        self.held().compensated.insert(key.clone());
        self.arrive_all(router, key).await;
    }

    /// Lets the requests of an action in a saga through, one after the other, and returns when the service has answered
    /// them all; nobody hears the answers.
    async fn arrive_all(&self, router: &Router, key: &Key) {
        let held = self.held().requests.remove(key).unwrap_or_default();
        for (parts, body) in held {
            arrive(router, parts, body).await;
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn arrive(router: &Router, parts: Parts, body: Bytes) {
    let request = Request::from_parts(parts, Body::from(body));
    let _ = router.clone().oneshot(request).await;
}
