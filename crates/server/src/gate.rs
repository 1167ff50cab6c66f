//! The gate: every request is asked who sends it, and let through if the table says that they may. Handlers judge only
//! what stands in bodies.

use crate::access::proxies::behind;
use crate::access::{
    About, Asker, Caller, Known, Needs, Peer, Shown, Stay, TooOften, is_probe, needs, shown,
    unauthorized, waits_in_line,
};
use crate::clock::{Clock, SystemClock};
use crate::console;
use crate::http::{ApiError, App, actor_told, within_case};
use crate::identity::{Machines, Refused, is_jwt};
use amends_api::QuestionId;
use amends_api::access::{Principal, Right, Within};
use amends_protocol::{CaseId, Problem, ProblemCode, StepId};
use amends_store::Store;
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// What is acted as when nobody says.
const NOBODY: &str = "api";

/// Puts [`Caller`] into a request. Whoever shows something wrong is refused, whatever they ask for, but for the probes.
pub(crate) async fn identify<S: Store>(
    State(app): State<App<S>>,
    mut request: Request,
    next: Next,
) -> Response {
    let connected = request.extensions().get::<Peer>().cloned().unwrap_or_default();
    let route = request.extensions().get::<MatchedPath>();
    let in_line = route.is_some_and(|path| waits_in_line(request.method().as_str(), path.as_str()));
    match caller(&app, request.headers(), connected.clone()).await {
        Ok(caller) => {
            let asker = Asker::of(&caller).filter(|_| !is_probe(request.uri().path()));
            if let Err(error) = keeps_pace(&app, asker.as_ref(), in_line) {
                return refused(&app, Asked::of(&request), error);
            }
            let stay = caller.stay.clone();
            request.extensions_mut().insert(caller);
            let answer = next.run(request).await;
            // What was refused has cost as much as any question, and nothing of it waits in a line.
            if in_line && answer.status().is_client_error() {
                let _ = keeps_pace(&app, asker.as_ref(), false); // the next one is told
            }
            match stay {
                Some(stay) => stay.bounds(answer),
                None => answer,
            }
        }
        Err(_) if is_probe(request.uri().path()) => next.run(request).await,
        Err(error) => {
            let peer = behind(&app.access.trusted_proxies, connected, request.headers());
            let paced = keeps_pace(&app, Asker::at(peer.address).as_ref(), false);
            refused(&app, Asked::of(&request), paced.err().unwrap_or(error))
        }
    }
}

/// That somebody does not ask too often. What waits in a line is only looked at.
fn keeps_pace<S: Store>(
    app: &App<S>,
    asker: Option<&Asker>,
    in_line: bool,
) -> Result<(), ApiError> {
    let (Some(asker), now) = (asker, SystemClock.monotonic()) else { return Ok(()) };
    let paced = if in_line { app.pace.look(asker, now) } else { app.pace.take(asker, now) };
    paced.map_err(|TooOften { per_second }| {
        let detail = format!(
            "you ask more often than {per_second} times a second (`limits.requests`); wait a second and ask again"
        );
        Problem::new(ProblemCode::Overloaded, detail).into()
    })
}

async fn caller<S: Store>(
    app: &App<S>,
    headers: &HeaderMap,
    connected: Peer,
) -> Result<Caller, ApiError> {
    // What is wrong with it is told to who may do what they ask for.
    let told = actor_told(headers).unwrap_or_default();
    let is_controlled = app.access.is_required;
    let proxies = &app.access.trusted_proxies;
    let trusted = connected.address.is_some_and(|address| proxies.have(address))
        || (!is_controlled && connected.is_local());
    let told = told.filter(|_| trusted);
    let peer = behind(proxies, connected, headers);
    if !is_controlled {
        let actor = told.unwrap_or(NOBODY).to_owned();
        return Ok(Caller {
            principal: Some(Principal::anybody()),
            actor,
            is_told: told.is_some(),
            expires_at: None,
            session: None,
            stay: None,
            peer,
        });
    }
    let known = known(app, headers, &peer).await?;
    let stay = known.as_ref().map(|known| Stay {
        until: known.expires_at,
        shown: known.digest.map(|digest| (app.access.keys.clone(), digest)),
    });
    let (principal, expires_at, session) = match known {
        Some(Known { principal, expires_at, session, .. }) => {
            (Some(principal), expires_at, session)
        }
        None => (None, None, None),
    };
    let actor = match (&principal, told) {
        (Some(principal), Some(told)) => format!("{told} via {}", principal.name),
        (Some(principal), None) => principal.name.clone(),
        (None, _) => NOBODY.to_owned(),
    };
    let is_told = principal.is_some();
    Ok(Caller { principal, actor, is_told, expires_at, session, stay, peer })
}

/// Who shows something that is known. Showing nothing is no mistake; showing something wrong is one.
async fn known<S: Store>(
    app: &App<S>,
    headers: &HeaderMap,
    peer: &Peer,
) -> Result<Option<Known>, ApiError> {
    let now = SystemClock.now();
    let found = match shown(headers, app.access.is_secure(peer))? {
        Shown::Token(token) => match &app.access.believed.machines {
            Some(machines) if is_jwt(token) => return service(machines, token).await.map(Some),
            _ => app.access.keys.token(token, now),
        },
        // A session that is over is as none: the login comes next, not an error.
        Shown::Session(session) => return Ok(app.access.keys.session(session, now).ok()),
        Shown::Nothing => return Ok(by_certificate(app, peer)),
    };
    let known = found.map_err(|why| unauthorized(why.sentence()))?;
    if known.break_glass {
        let who = &known.principal.name;
        app.supervisor.alerts().break_glass(now, who, peer.address);
    }
    Ok(Some(known))
}

/// A service, by the word of its platform.
async fn service(machines: &Machines, token: &str) -> Result<Known, ApiError> {
    let found = machines.principal(token, SystemClock.now()).await;
    let (principal, expires_at) = found.map_err(|why| match why {
        // The token may be good: whoever shows it tries again.
        Refused::KeysAway(_) => Problem::new(ProblemCode::Unavailable, why.to_string()).into(),
        _ => unauthorized(why.to_string()),
    })?;
    // Its issuer can't take it back: it holds until it expires, which platforms make soon.
    let (session, token, break_glass, digest) = (None, None, false, None);
    Ok(Known { principal, expires_at, session, token, break_glass, digest })
}

/// Who shows nothing but a certificate, if something is allowed by it.
fn by_certificate<S: Store>(app: &App<S>, peer: &Peer) -> Option<Known> {
    let shown = peer.certificate.as_ref()?;
    app.access.certificates.principal(shown).map(Known::by_certificate)
}

/// Lets a request through if its route's line in the table is kept.
pub(crate) async fn check<S: Store>(
    State(app): State<App<S>>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let (mut head, body) = request.into_parts();
    let judged = match path.as_ref().and_then(|path| needs(head.method.as_str(), path.as_str())) {
        Some(needs) => judge(&app, &mut head, needs).await,
        // Of a path that is not there, and of a method that it does not take, only who is known hears so.
        None => known_at_all(&mut head).await,
    };
    match judged.and_then(|()| actor_told(&head.headers).map(drop)) {
        Ok(()) => next.run(Request::from_parts(head, body)).await,
        Err(error) => {
            let Parts { method, headers, uri, .. } = &head;
            refused(&app, Asked { method, headers, uri }, error)
        }
    }
}

async fn known_at_all(head: &mut Parts) -> Result<(), ApiError> {
    let Ok(caller) = Caller::from_request_parts(head, &()).await;
    match caller.principal {
        Some(_) => Ok(()),
        None => Err(unauthorized(
            "show who you are: `Authorization: Bearer amends_…`, or log in at `/login`",
        )
        .into()),
    }
}

async fn judge<S: Store>(app: &App<S>, head: &mut Parts, needs: Needs) -> Result<(), ApiError> {
    let (right, about) = match needs {
        Needs::Nothing => return Ok(()),
        Needs::Known => return known_at_all(head).await,
        Needs::The(right, about) => (right, about),
    };
    known_at_all(head).await?;
    let Ok(caller) = Caller::from_request_parts(head, &()).await;
    // Whoever has it for everything needs no look at what it is for.
    if caller.may(right, Within::Everywhere) {
        return Ok(());
    }
    caller.must(right, Within::Somewhere)?;
    match about {
        About::Sent | About::Each => Ok(()),
        About::All => Ok(caller.must(right, Within::Everywhere)?),
        About::Found => narrow(head, &caller, right),
        About::Rulebook(name) => match parameter(head, name).await {
            Some(name) => Ok(caller.must(right, Within::Rulebook(&name))?),
            None => Ok(caller.must(right, Within::Everywhere)?),
        },
        About::Case | About::Step | About::Question => {
            let id = parameter(head, "id").await.unwrap_or_default();
            match case_of(about, &id) {
                Some(case) => within_case(app, &caller, right, case).await,
                None => Ok(()), // it names nothing, and its handler says so
            }
        }
    }
}

fn case_of(about: About, id: &str) -> Option<CaseId> {
    match about {
        About::Step => id.parse::<StepId>().ok().map(|step| step.case),
        About::Question => id.parse::<QuestionId>().ok().map(|question| question.case),
        _ => id.parse().ok(),
    }
}

/// A list of what belongs to rulebooks: those that are named, or else all of theirs. What they don't name is written
/// into the query, so that the handler finds it as if they had.
fn narrow(head: &mut Parts, caller: &Caller, right: Right<'_>) -> Result<(), ApiError> {
    let query = head.uri.query().unwrap_or_default().to_owned();
    let named = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "rulebook");
    let named: Vec<String> = named
        .flat_map(|(_, value)| {
            value.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>()
        })
        .filter(|name| !name.is_empty())
        .collect();
    let is_named = !named.is_empty();
    let rulebooks = caller.narrowed(right, named)?;
    if !is_named {
        let mut more = form_urlencoded::Serializer::new(query);
        more.append_pair("rulebook", &rulebooks.join(","));
        let address = format!("{}?{}", head.uri.path(), more.finish());
        head.uri = address.parse().map_err(|_| ApiError::filter("the query can't be read"))?;
    }
    Ok(())
}

async fn parameter(head: &mut Parts, name: &str) -> Option<String> {
    let all = RawPathParams::from_request_parts(head, &()).await.ok()?;
    let found = all.iter().find(|(key, _)| *key == name);
    found.map(|(_, value)| value.to_owned())
}

/// What is known of a refused request.
struct Asked<'a> {
    method: &'a Method,
    headers: &'a HeaderMap,
    uri: &'a Uri,
}

impl<'a> Asked<'a> {
    fn of(request: &'a Request) -> Self {
        Self { method: request.method(), headers: request.headers(), uri: request.uri() }
    }
}

/// People see a page, programs a problem that says how to be known (RFC 9110, section 11.6.1).
fn refused<S: Store>(app: &App<S>, head: Asked<'_>, error: ApiError) -> Response {
    let Asked { method, headers, uri } = head;
    app.supervisor.metrics().access_refused(error.status());
    let accepted = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let is_unknown = error.status() == ProblemCode::Unauthorized.status();
    let is_page = accepted.contains("text/html") && !uri.path().starts_with("/v1");
    if is_page && is_unknown && *method == Method::GET {
        return console::login_for(uri);
    }
    let mut answer = if is_page { console::refusal(error) } else { error.into_response() };
    if is_unknown {
        let challenge = HeaderValue::from_static("Bearer realm=\"amends\"");
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    answer
}
