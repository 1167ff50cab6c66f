//! Tells an open page that there is news for it: at most once a second, whatever happens, and nothing of what happened.
//! The page then fetches itself again and takes over what differs. The first tick comes at once, since nobody knows what
//! happened between the making of the page and the opening of the stream.

use super::page::PageError;
use crate::all_nodes::{ToldEvent, Watching};
use crate::http::{App, Query};
use amends_api::{EventKind, EventView};
use amends_protocol::{CaseId, Problem, ProblemCode};
use amends_store::Store;
use axum::extract::State;
use axum::http::Uri;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

/// Pause between two ticks: what a person can follow, and what a page costs at the worst.
const PAUSE: Duration = Duration::from_secs(1);
/// How often an idle stream shows that it lives; proxies commonly close after 30 to 60 s of silence.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `GET /live`: events named `changed`, for the whole supervisor, for one `case`, or for events of one `kind`.
pub(super) async fn ticks<S: Store>(
    State(app): State<App<S>>,
    uri: Uri,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, PageError> {
    let mut query = Query::of(&uri)?;
    let case: Option<CaseId> = query.one("case")?;
    let kind: Option<EventKind> = query.one("kind")?;
    query.finish()?;
    let permit = Arc::clone(&app.streams).try_acquire_owned().map_err(|_| {
        let detail =
            format!("{} event streams are open already; close a page", app.limits.event_streams);
        Problem::new(ProblemCode::Overloaded, detail)
    })?;
    let watcher = Watcher {
        events: app.supervisor.watch(None).await?,
        case,
        kind,
        last: None,
        stopping: app.stopping.clone(),
        _permit: permit,
    };
    let ticks = stream::unfold(watcher, |mut watcher| async move {
        watcher.wait().await.then(|| (Ok(Event::default().event("changed").data("")), watcher))
    });
    Ok(Sse::new(ticks).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

struct Watcher {
    events: Watching,
    case: Option<CaseId>,
    /// Of this kind.
    kind: Option<EventKind>,
    /// The last tick.
    last: Option<Instant>,
    stopping: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

impl Watcher {
    /// Waits for the next tick; false when the supervisor stops. What happens during the pause is in that tick too,
    /// since the page is fetched after it.
    async fn wait(&mut self) -> bool {
        if let Some(last) = self.last {
            if !self.news().await {
                return false;
            }
            let mut stopping = self.stopping.clone();
            tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => return false,
                () = tokio::time::sleep_until(last + PAUSE) => {}
            }
        }
        self.last = Some(Instant::now());
        true
    }

    fn wants(&self, event: &EventView) -> bool {
        // What is of no case concerns each: a service that is paused, or back, or a new version of a rulebook.
        self.case.is_none_or(|case| event.case_id.is_none_or(|of| of == case))
            && self.kind.is_none_or(|kind| kind == event.kind)
    }

    async fn news(&mut self) -> bool {
        let mut stopping = self.stopping.clone();
        loop {
            let next = tokio::select! {
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => None,
                next = self.events.next() => next,
            };
            match next {
                None => return false,
                // Whatever was missed may have been of this page.
                Some(ToldEvent::Gap) => return true,
                Some(ToldEvent::Event(_, event)) if self.wants(&event) => return true,
                Some(ToldEvent::Event(..)) => {}
            }
        }
    }
}
