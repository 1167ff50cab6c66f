//! Requests that are late: their caller has lost its connection, and they reach the service when its compensation has
//! been there before. It lets each of them through once, unless the process dies first; it answers nobody.

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::Request;
use http::request::Parts;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tower::ServiceExt;

/// Requests that one door holds at most. Each customer has one order under way, and there are at most 64 of them.
const HELD_LIMIT: usize = 64;
/// How long a request waits for its compensation before it gets through without. The report, the plan and a restart of
/// the supervisor in between take a few seconds on a busy machine.
const HOLD_LIMIT: Duration = Duration::from_secs(30);

/// Saga and action, as headers and path say.
pub(crate) type Key = (String, String);

type Requests = HashMap<Key, Vec<(Parts, Bytes)>>;

/// The requests on their way to one service that are held up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Late {
    held: Arc<Mutex<Requests>>,
}

impl Late {
    /// Holds a request up until [`Self::let_through`], or until nobody compensates it for half a minute. If too many are
    /// held up already, it gets through at once.
    pub(crate) async fn hold(&self, router: Router, key: Key, parts: Parts, body: Bytes) {
        let full = self.held().values().map(Vec::len).sum::<usize>() >= HELD_LIMIT;
        if full {
            return arrive(&router, parts, body).await;
        }
        self.held().entry(key.clone()).or_default().push((parts, body));
        let late = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(HOLD_LIMIT).await;
            late.let_through(&router, &key).await;
        });
    }

    /// Lets the requests of an action in a saga through, one after the other, and returns when the service has answered
    /// them all; nobody hears the answers.
    pub(crate) async fn let_through(&self, router: &Router, key: &Key) {
        let held = self.held().remove(key).unwrap_or_default();
        for (parts, body) in held {
            arrive(router, parts, body).await;
        }
    }

    fn held(&self) -> MutexGuard<'_, Requests> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn arrive(router: &Router, parts: Parts, body: Bytes) {
    let request = Request::from_parts(parts, Body::from(body));
    let _ = router.clone().oneshot(request).await;
}
