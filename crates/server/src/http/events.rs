//! What happens, as it happens: `GET /v1/events`, server-sent events with ids. A reader that falls behind, or comes
//! back after too long, is told of it by an event `gap` and reads the lists again; nothing waits for readers.

use super::query::Query;
use super::{ApiError, App};
use crate::feed::EventStream;
use amends_api::EventView;
use amends_protocol::{CaseId, Problem, ProblemCode};
use amends_store::Store;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};

/// How often an idle stream shows that it lives; proxies commonly close after 30 to 60 s of silence.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The kinds that can be asked for, as `EventView::kind` has them.
const KINDS: [&str; 8] = ["report", "plan", "step", "case", "walk", "act", "breaker", "rulebook"];

/// `GET /v1/events`
pub(crate) async fn stream<S: Store>(
    State(app): State<App<S>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let mut query = Query::of(&uri)?;
    let wanted = Wanted { case: query.one("case")?, kinds: query.many("kind")? };
    query.finish()?;
    if let Some(kind) = wanted.kinds.iter().find(|k| !KINDS.contains(&k.as_str())) {
        return Err(ApiError::filter(format!(
            "`kind`: unknown kind `{kind}`; one of: {}",
            KINDS.join(", ")
        )));
    }
    let last = last_event_id(&headers)?;
    let permit = Arc::clone(&app.streams).try_acquire_owned().map_err(|_| {
        let detail =
            format!("{} event streams are open already; close one", app.limits.event_streams);
        Problem::new(ProblemCode::Overloaded, detail)
    })?;
    let reader = Reader {
        events: app.supervisor.events().since(last),
        last,
        held: None,
        wanted,
        stopping: app.stopping.clone(),
        _permit: permit,
    };
    let events =
        stream::unfold(
            reader,
            |mut reader| async move { reader.next().await.map(|e| (Ok(e), reader)) },
        );
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    match headers.get("last-event-id").map(|v| v.to_str().unwrap_or_default()) {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            ApiError::invalid(format!(
                "the header `Last-Event-ID` is `{text}`; send the id of the last event, or nothing"
            ))
        }),
    }
}

struct Wanted {
    case: Option<CaseId>,
    /// Empty means all.
    kinds: Vec<String>,
}

impl Wanted {
    fn has(&self, event: &EventView) -> bool {
        self.case.is_none_or(|case| event.case_id == Some(case))
            && (self.kinds.is_empty() || self.kinds.contains(&event.kind))
    }
}

struct Reader {
    events: EventStream,
    /// Id of the last event that was seen, wanted or not.
    last: Option<u64>,
    /// An event that a gap comes before.
    held: Option<(u64, EventView)>,
    wanted: Wanted,
    stopping: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    /// The next event that is wanted; none when the supervisor stops.
    async fn next(&mut self) -> Option<Event> {
        loop {
            let (id, event) = match self.held.take() {
                Some(held) => held,
                None => {
                    let next = tokio::select! {
                        biased;
                        _ = self.stopping.wait_for(|stopping| *stopping) => None,
                        next = self.events.next() => next,
                    };
                    let (id, event) = next?;
                    // Ids count up by one; after a restart of the supervisor they begin anew.
                    let missed = self.last.is_some_and(|last| id != last.wrapping_add(1));
                    self.last = Some(id);
                    if missed {
                        self.held = Some((id, event));
                        return Some(gap());
                    }
                    (id, event)
                }
            };
            if self.wanted.has(&event) {
                let data = serde_json::to_string(&event).unwrap_or_default();
                return Some(Event::default().id(id.to_string()).event(&event.kind).data(data));
            }
        }
    }
}

fn gap() -> Event {
    Event::default().event("gap").data("{\"message\":\"events were missed; read the lists again\"}")
}
