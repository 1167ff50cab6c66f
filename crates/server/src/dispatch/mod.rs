//! Performs errands over HTTP: sends steps, polls accepted ones, reads Histories. Decides neither when nor how often,
//! limits no concurrency and breaks no circuit: the engine does.
//!
//! No redirect is ever followed, and no host is ever taken from a report or an answer.

mod allowed;
mod answer;
mod authorities;
mod connect;
mod exchange;
mod findings;
mod line;
mod names;
mod options;
#[cfg(feature = "tls")]
mod pem;
mod probe;
mod proxy;
mod request;
mod retry_after;
mod route;
mod secrets;
mod shown;
mod sign;
pub(crate) mod trace;
#[cfg(feature = "tls")]
mod trust;
mod tunnel;
mod web;

pub use allowed::{AllowedHosts, Refusal};
pub use answer::{Meaning, read_answer};
pub use authorities::Authorities;
pub use options::HttpOptions;
pub use probe::Probe;
pub use proxy::{OF_ENVIRONMENT, Proxies};
pub use route::Destinations;
pub use secrets::Secrets;
pub(crate) use shown::{ShownRoutes, redacted, shown_request, unredacted};
pub use sign::{MOST_KEYS_OF_A_NAME, Signer};
pub(crate) use web::WebClient;

use crate::clock::{Clock, SystemClock};
use crate::open_files::open_files;
use crate::outbound::Outbound;
use amends_engine::{Errand, PollStep, SendStep, StepReading, StepResult, WalkHistory, WalkResult};
use amends_node::EffectResult;
use amends_protocol::{SagaId, Testimony, Verb, headers};
use amends_rulebook::RetryPolicy;
use answer::{message_of, problem, shortened};
use exchange::{Answered, Ended, Exchange, Unanswered};
use http::Uri;
use retry_after::retry_after_ms;
use route::{Route, RouteTable};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Errands over HTTP/1.1 with pooled connections. Clones share the pool.
#[derive(Clone, Debug)]
pub struct HttpOutbound {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    exchange: Exchange,
    routes: RouteTable,
    secrets: Arc<Secrets>,
    places: Semaphore,
}

impl HttpOutbound {
    /// A client that has no connection yet.
    #[must_use]
    pub fn new(options: HttpOptions) -> Self {
        let exchange = Exchange::new(&options);
        let secrets = Arc::clone(&options.destinations.secrets);
        let routes = RouteTable::new(options.destinations);
        let places = Semaphore::new(options.at_once.clamp(1, (open_files() / 2).max(1)));
        Self { inner: Arc::new(Inner { exchange, routes, secrets, places }) }
    }

    /// What an answer means, without secrets that it may hold.
    fn read(&self, a: &Answered, verb: Verb, meaning: Meaning<'_>) -> StepResult {
        let mut result =
            read_answer(verb, a.status, &a.headers, &a.body, meaning, SystemClock.now());
        if a.sent_twice {
            result.sent_twice = true;
            result.message = Some(match result.message {
                Some(message) => shortened(&format!("{message}; {}", exchange::SENT_TWICE)),
                None => exchange::SENT_TWICE.to_owned(),
            });
        }
        result.message = result.message.map(|text| self.inner.secrets.hide(text));
        result
    }

    async fn send(&self, send: &SendStep) -> StepResult {
        let routes = self.inner.routes.of(&send.rulebook);
        let request = match request::of_step(send, &routes, SystemClock.now()) {
            Ok(request) => request,
            Err(why) => return unsendable(&why),
        };
        let action = send.rulebook.get(send.action_id);
        let endpoint = action.endpoints.get(send.verb);
        let asked = request.uri().clone();
        let answered = match self.inner.exchange.ask(request, action.retry.timeout_ms).await {
            Ok(answered) => answered,
            Err(none) => return unanswered(none),
        };
        let mut result = self.read(&answered, send.verb, Meaning::of_step(endpoint));
        result.message = result.message.map(|text| send.proof.hide_in(text));
        if let StepReading::Accepted { location, .. } = &mut result.answer {
            let poll = endpoint.and_then(|endpoint| endpoint.poll.as_ref());
            let mapped =
                poll.map_or(Ok(None), |poll| request::place_to_look(send, poll, &answered.body));
            match (mapped, routes.service(action.service.0 as usize)) {
                (Ok(Some(path)), Ok(route)) => {
                    *location = route.at(&path).ok().map(|uri| uri.to_string());
                }
                (Ok(_), Ok(route)) => stay(location, route, &asked),
                (Err(why), _) | (_, Err(why)) => result.message = Some(shortened(&why)),
            }
        }
        result
    }

    async fn poll(&self, poll: &PollStep) -> StepResult {
        let routes = self.inner.routes.of(&poll.rulebook);
        let request = match request::of_poll(poll, &routes, SystemClock.now()) {
            Ok(request) => request,
            // The step was taken; that its `Location` leads nowhere says neither how it ends nor how the service is.
            Err(why) => return unsendable(&why),
        };
        let action = poll.rulebook.get(poll.action_id);
        let asked = request.uri().clone();
        let answered = match self.inner.exchange.ask(request, action.retry.timeout_ms).await {
            Ok(answered) => answered,
            Err(none) => return unanswered(none),
        };
        let meaning = Meaning::of_look(action.endpoints.get(poll.verb));
        let mut result = self.read(&answered, poll.verb, meaning);
        if let StepReading::Accepted { location, .. } = &mut result.answer
            && let Ok(route) = routes.service(action.service.0 as usize)
        {
            stay(location, route, &asked);
        }
        result
    }

    async fn walk(&self, walk: &WalkHistory) -> WalkResult {
        let failed = |message: String| WalkResult::Failed {
            message,
            unreachable: false,
            retry_after_ms: None,
        };
        let Some(service) = walk.rulebook.service(&walk.service) else {
            return WalkResult::NoHistory;
        };
        if walk.rulebook.services()[service.0 as usize].url.is_none() {
            return WalkResult::NoHistory;
        }
        let routes = self.inner.routes.of(&walk.rulebook);
        let route = match routes.service(service.0 as usize) {
            Ok(route) if route.without_history => return WalkResult::NoHistory,
            Ok(route) => route,
            Err(why) => return failed(why),
        };
        let request = match request::of_walk(walk, route, SystemClock.now()) {
            Ok(request) => request,
            Err(why) => return failed(why),
        };
        match self.inner.exchange.ask(request, RetryPolicy::DEFAULT.timeout_ms).await {
            Ok(answered) => read_history(walk, &answered),
            Err(none) => {
                let unreachable = none.status.is_none() && none.end != Ended::Refused;
                WalkResult::Failed {
                    message: shortened(&none.message),
                    unreachable,
                    retry_after_ms: None,
                }
            }
        }
    }
}

impl Outbound for HttpOutbound {
    async fn perform(&self, errand: Errand) -> EffectResult {
        // Never closed. Before the request is made, whose signature tells the time.
        let _place = self.inner.places.acquire().await.ok();
        match errand {
            Errand::Send(send) => {
                let result = self.send(&send).await;
                EffectResult::Step(result)
            }
            Errand::Poll(poll) => {
                let result = self.poll(&poll).await;
                EffectResult::Step(result)
            }
            Errand::Walk(walk) => {
                let result = self.walk(&walk).await;
                EffectResult::History(result)
            }
        }
    }
}

/// A History as it came: an entry that cannot be read costs itself alone.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    saga_id: SagaId,
    entries: Vec<serde_json::Value>,
}

fn read_history(walk: &WalkHistory, answered: &Answered) -> WalkResult {
    let failed = |message: String, retry_after_ms| WalkResult::Failed {
        message,
        unreachable: false,
        retry_after_ms,
    };
    match answered.status {
        200 => match serde_json::from_slice::<Told>(&answered.body) {
            Ok(told) if told.saga_id != walk.saga => failed(
                format!("the History is of saga `{}`, not of the one asked for", told.saga_id),
                None,
            ),
            Ok(told) => WalkResult::Told(Testimony::read(told.entries, Some(&walk.service))),
            Err(e) => failed(shortened(&format!("HTTP 200 without a readable History: {e}")), None),
        },
        // Whatever stands before a service answers 404, too, while it is deployed.
        204 | 404 if is_its_own(walk, answered) => WalkResult::Told(Testimony::default()),
        status @ (204 | 404) => WalkResult::Unproven { status },
        status => {
            let message = message_of(status, &answered.headers, &answered.body).unwrap_or_default();
            failed(message, retry_after_ms(&answered.headers, SystemClock.now()))
        }
    }
}

/// Whether an answer without a History is of somebody who knows what was asked: it repeats the saga, or is a problem of
/// ours.
fn is_its_own(walk: &WalkHistory, answered: &Answered) -> bool {
    let said = answered.headers.get(headers::SAGA_ID).and_then(|v| v.to_str().ok());
    said == Some(walk.saga.as_str()) || problem(&answered.body).is_some_and(|p| p.is_ours())
}

/// Makes a `Location` absolute. One that leaves the service stays as it is: the look will say so.
fn stay(location: &mut Option<String>, route: &Route, asked: &Uri) {
    if let Some(place) = location.as_deref().and_then(|text| route.resolve(asked, text).ok()) {
        *location = Some(place);
    }
}

fn unsendable(why: &str) -> StepResult {
    StepResult::new(StepReading::Unsendable, None).saying(shortened(why))
}

fn unanswered(none: Unanswered) -> StepResult {
    let answer = match none.end {
        Ended::Refused => StepReading::Unsendable,
        Ended::NotSent => StepReading::NotSent,
        Ended::Unknown => StepReading::Unknown,
    };
    let result = StepResult::new(answer, none.status).saying(shortened(&none.message));
    StepResult { sent_twice: none.sent_twice, ..result }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
