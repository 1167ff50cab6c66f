//! What happens, as it happens: `GET /v1/events`, server-sent events with ids. A reader that falls behind, or comes
//! back after too long, is told of it by an event `gap` and reads the lists again; nothing waits for readers.

use super::filters::{Asked, questions};
use super::openapi::{Answered, Taken, Told};
use super::parameters::Text;
use super::{ApiError, App};
use crate::access::Caller;
use crate::all_nodes::{LastEventId, ToldEvent, Watching};
use amends_api::{EventKind, EventView};
use amends_protocol::{CaseId, Problem, ProblemCode, UnknownWord};
use amends_store::Store;
use axum::extract::{FromRequestParts, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};

/// How often an idle stream shows that it lives; proxies commonly close after 30 to 60 s of silence.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

questions! {
    /// Which events.
    pub(crate) struct OfEvents {
        /// Of this case.
        case: Option<CaseId>,
        /// Of these kinds.
        kind: Vec<EventKind>,
    }
}

/// `GET /v1/events`
pub(crate) async fn stream<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
    Asked(wanted): Asked<OfEvents>,
    LastEvent(last): LastEvent,
) -> Result<EventStreamed, ApiError> {
    let permit = Arc::clone(&app.streams).try_acquire_owned().map_err(|_| {
        let detail =
            format!("{} event streams are open already; close one", app.limits.event_streams);
        Problem::new(ProblemCode::Overloaded, detail)
    })?;
    let reader = Reader {
        events: app.supervisor.watch(last).await?,
        wanted,
        with_data: caller.sees_data(),
        stopping: app.stopping.clone(),
        _permit: permit,
    };
    let events = stream::unfold(reader, |mut reader| async move {
        reader.next().await.map(|e| (Ok::<_, Infallible>(e), reader))
    });
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    Ok(EventStreamed(events.into_response()))
}

/// Server-sent events.
pub(crate) struct EventStreamed(Response);

impl IntoResponse for EventStreamed {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Answered for EventStreamed {
    fn told(told: &mut Told) {
        let event = told.schema::<EventView>();
        let text = json!({
            "type": "string", "contentMediaType": "text/event-stream",
            "description": "Lines of server-sent events; each `data` is JSON as `x-event` says.",
            "x-event": event,
        });
        told.answer(200, "text/event-stream", text);
        told.problems(&[ProblemCode::Overloaded, ProblemCode::Unavailable]);
    }
}

/// The event after which to go on.
pub(crate) struct LastEvent(Option<LastEventId>);

impl<S: Send + Sync> FromRequestParts<S> for LastEvent {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        last_event_id(&parts.headers).map(Self)
    }
}

impl Taken for LastEvent {
    fn told(told: &mut Told) {
        let meaning = "Go on after this event, if it is still kept.";
        told.header(
            "Last-Event-ID",
            false,
            meaning,
            json!({ "type": "string", "pattern": LastEventId::PATTERN }),
        );
        told.problems(&[ProblemCode::InvalidRequest]);
    }
}

impl Text for EventKind {
    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|wrong: UnknownWord| wrong.to_string())
    }

    fn schema(told: &mut Told) -> Value {
        told.schema::<Self>()
    }
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<LastEventId>, ApiError> {
    match headers.get("last-event-id").map(|v| v.to_str().unwrap_or_default()) {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            ApiError::invalid(format!(
                "the header `Last-Event-ID` is `{text}`; send the id of the last event, or nothing"
            ))
        }),
    }
}

impl OfEvents {
    /// No kind means all.
    fn has(&self, event: &EventView) -> bool {
        self.case.is_none_or(|case| event.case_id == Some(case))
            && (self.kind.is_empty() || self.kind.contains(&event.kind))
    }
}

struct Reader {
    events: Watching,
    wanted: OfEvents,
    /// Whether what reports and services say is shown.
    with_data: bool,
    stopping: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    /// The next event that is wanted; none when the supervisor stops.
    async fn next(&mut self) -> Option<Event> {
        loop {
            let next = tokio::select! {
                biased;
                _ = self.stopping.wait_for(|stopping| *stopping) => None,
                next = self.events.next() => next,
            };
            let (id, event) = match next? {
                ToldEvent::Gap => return Some(gap()),
                ToldEvent::Event(id, event) => (id, event),
            };
            if self.wanted.has(&event) {
                let event =
                    if self.with_data { event } else { EventView { message: None, ..event } };
                let data = serde_json::to_string(&event).unwrap_or_default();
                return Some(Event::default().id(id).event(event.kind.as_str()).data(data));
            }
        }
    }
}

fn gap() -> Event {
    Event::default().event("gap").data("{\"message\":\"events were missed; read the lists again\"}")
}
