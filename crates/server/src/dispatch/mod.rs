//! Performs effects over HTTP: sends steps, polls accepted ones, reads Histories. Decides neither when nor how often,
//! limits no concurrency and breaks no circuit: the engine does.
//!
//! No redirect is ever followed, and no host is ever taken from a report or an answer.

mod allowed;
mod answer;
mod authorities;
mod connect;
mod exchange;
mod findings;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod guarded;
mod history;
mod identities;
mod lacks;
mod line;
mod names;
mod options;
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
pub use identities::Identities;
pub use options::HttpOptions;
pub use probe::Probe;
pub use proxy::{OF_ENVIRONMENT, Proxies};
pub use route::Destinations;
pub use secrets::Secrets;
pub(crate) use shown::{ShownRoutes, Try, redacted, shown_request, unredacted};
pub use sign::{MOST_KEYS_OF_A_NAME, Signer};
pub(crate) use trace::trace_id;
pub(crate) use web::WebClient;

use crate::clock::{Clock, SystemClock};
use crate::open_files::open_files;
use crate::outbound::{Outbound, Permit};
use amends_engine::{
    Effect, HistoryResult, PollStep, ReadHistory, SendStep, StepReading, StepResult,
};
use amends_node::EffectResult;
use amends_protocol::{Testimony, Verb};
use amends_rulebook::RetryPolicy;
use answer::shortened;
use exchange::{Answered, Ended, Exchange, Unanswered};
use http::Uri;
use route::{Route, RouteTable};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Pages of a History that are read: far more than what a case keeps of one.
const HISTORY_PAGES: usize = 64;
/// Bytes of all of them, at most; a last page may go beyond.
const HISTORY_BYTES: usize = 32 << 20;
/// Time for all of them; each page has the time of an answer.
const HISTORY_TIME: Duration = Duration::from_secs(60);

/// Effects over HTTP/1.1 with pooled connections. Clones share the pool.
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

    /// What an answer means.
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
        result
    }

    async fn send(&self, send: &SendStep, may: &Permit) -> StepResult {
        let routes = self.inner.routes.of(&send.rulebook);
        let request = match request::of_step(send, &routes, SystemClock.now()) {
            Ok(request) => request,
            Err(why) => return unsendable(&why),
        };
        let action = send.rulebook.get(send.action_id);
        let endpoint = action.endpoints.get(send.verb);
        let asked = request.uri().clone();
        let answered = match self.inner.exchange.ask(request, action.retry.timeout_ms, may).await {
            Ok(answered) => answered,
            Err(none) => return unanswered(none),
        };
        let mut result = self.read(&answered, send.verb, Meaning::of_step(endpoint));
        result.message = result.message.map(|text| send.proof.hide_in(text));
        if let StepReading::Accepted { location, .. } = &mut result.answer {
            without_user(location);
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

    async fn poll(&self, poll: &PollStep, may: &Permit) -> StepResult {
        let routes = self.inner.routes.of(&poll.rulebook);
        let request = match request::of_poll(poll, &routes, SystemClock.now()) {
            Ok(request) => request,
            // The step was taken; that its `Location` leads nowhere says neither how it ends nor how the service is.
            Err(why) => return unsendable(&why),
        };
        let action = poll.rulebook.get(poll.action_id);
        let asked = request.uri().clone();
        let answered = match self.inner.exchange.ask(request, action.retry.timeout_ms, may).await {
            Ok(answered) => answered,
            Err(none) => return unanswered(none),
        };
        let meaning = Meaning::of_look(action.endpoints.get(poll.verb));
        let mut result = self.read(&answered, poll.verb, meaning);
        if let StepReading::Accepted { location, .. } = &mut result.answer {
            without_user(location);
            if let Ok(route) = routes.service(action.service.0 as usize) {
                stay(location, route, &asked);
            }
        }
        result
    }

    async fn walk(&self, walk: &ReadHistory, may: &Permit) -> HistoryResult {
        let Some(service) = walk.rulebook.service(&walk.service) else {
            return HistoryResult::NoHistory;
        };
        if walk.rulebook.services()[service.0 as usize].url.is_none() {
            return HistoryResult::NoHistory;
        }
        let routes = self.inner.routes.of(&walk.rulebook);
        let route = match routes.service(service.0 as usize) {
            Ok(route) if route.without_history => return HistoryResult::NoHistory,
            Ok(route) => route,
            Err(why) => return history::failed(why),
        };
        match tokio::time::timeout(HISTORY_TIME, self.pages(walk, route, may)).await {
            Ok(read) => read,
            Err(_) => history::failed(format!(
                "its History did not end within {} s",
                HISTORY_TIME.as_secs()
            )),
        }
    }

    /// A History, page by page; one that never ends is none.
    async fn pages(&self, walk: &ReadHistory, route: &Route, may: &Permit) -> HistoryResult {
        let mut told = Testimony::default();
        let (mut after, mut bytes): (Option<String>, usize) = (None, 0);
        for _ in 0..HISTORY_PAGES {
            let now = SystemClock.now();
            let request = match request::of_walk(walk, after.as_deref(), route, now) {
                Ok(request) => request,
                Err(why) => return history::failed(why),
            };
            let asked =
                self.inner.exchange.ask(request, RetryPolicy::DEFAULT.timeout_ms, may).await;
            let answered = match asked {
                Ok(answered) => answered,
                Err(none) => return history::unanswered(&none),
            };
            bytes += answered.body.len();
            let page = match history::read(walk, &answered, after.is_some()) {
                Ok(page) => page,
                Err(result) => return result,
            };
            told.append(page.told);
            match page.next {
                None => return HistoryResult::Told(told),
                Some(next) if after.as_ref() == Some(&next) => {
                    return history::failed(format!("its page after `{next}` leads to itself"));
                }
                Some(_) if bytes > HISTORY_BYTES => break,
                next => after = next,
            }
        }
        history::failed(format!(
            "its History has more than {HISTORY_PAGES} pages or {HISTORY_BYTES} bytes"
        ))
    }
}

impl Outbound for HttpOutbound {
    async fn perform(&self, effect: Effect, may: Permit) -> EffectResult {
        // Never closed. Before the request is made, whose signature tells the time.
        let _place = self.inner.places.acquire().await.ok();
        match effect {
            Effect::Send(send) => {
                let mut result = self.send(&send, &may).await;
                result.message = result.message.map(|text| self.inner.secrets.hide(text));
                // Before anybody is told of it: spans are, without asking the engine.
                send.veil.text(&mut result.message);
                EffectResult::Step(result)
            }
            Effect::Poll(poll) => {
                let mut result = self.poll(&poll, &may).await;
                result.message = result.message.map(|text| self.inner.secrets.hide(text));
                EffectResult::Step(result)
            }
            Effect::ReadHistory(walk) => {
                let result = self.walk(&walk, &may).await;
                EffectResult::History(history::saying(result, |text| self.inner.secrets.hide(text)))
            }
        }
    }
}

/// A `Location` without the name and password that may stand in it: it is kept and shown, and what proves us to a
/// service stands in the configuration.
fn without_user(location: &mut Option<String>) {
    let Some(text) = location else { return };
    let Some(begin) = text.find("://").map(|at| at + 3) else { return };
    let end = text[begin..].find(['/', '?', '#']).map_or(text.len(), |at| begin + at);
    if let Some(at) = text[begin..end].rfind('@') {
        text.replace_range(begin..=begin + at, "");
    }
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
