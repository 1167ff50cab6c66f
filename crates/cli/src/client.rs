//! A small client of the supervisor's REST API: JSON in, JSON out, problems as failures. What may have been done is
//! never tried again.

mod pool;
mod token_in_use;

use crate::failure::{Denied, Failure, Outcome};
use crate::output;
use crate::sealed::{self, Lines};
use crate::target::Target;
use amends_protocol::headers::AMENDS_ACTOR;
use amends_protocol::wire::percent;
use amends_protocol::{Problem, Timestamp, causes};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use pool::Pool;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::{Duration, UNIX_EPOCH};
use token_in_use::TokenInUse;

/// How long an answer may take: an act on 10,000 steps (the API's limit) is done long before.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);
/// Longest answer: a page of 500 cases has well under 1 MiB, a case with thousands of attempts a few.
const BODY_LIMIT_BYTES: usize = 64 << 20;

/// Talks to one supervisor. What identifies us goes to its address alone: a redirect is an answer like any other, and
/// is not followed.
pub struct Client {
    base: String,
    /// What every request has.
    headers: HeaderMap,
    token: Option<TokenInUse>,
    pool: Pool,
    answer_limit: Duration,
}

/// A query string that grows, each value encoded.
#[derive(Clone, Debug, Default)]
pub struct Query(String);

impl Query {
    /// Adds `name=value`.
    pub fn push(&mut self, name: &str, value: &str) {
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        self.0.push_str(name);
        self.0.push('=');
        self.0.push_str(&percent::part(value).to_string());
    }

    /// Adds `name=value` when there is a value.
    pub fn push_opt<T: ToString>(&mut self, name: &str, value: Option<&T>) {
        if let Some(value) = value {
            self.push(name, &value.to_string());
        }
    }

    /// `?a=b&c=d`, or nothing.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Client {
    /// A client of this supervisor, which acts as `actor` if that is said. Reads token and certificates now; connects
    /// when it is needed.
    pub fn new(target: &Target, actor: Option<&str>) -> Outcome<Self> {
        let read = |(source, said_by): &(_, String)| TokenInUse::read(source, said_by);
        let token = target.token.as_ref().map(read).transpose()?;
        let mut headers = target.headers.clone();
        if let Some(actor) = actor {
            let value = header::HeaderValue::from_str(actor).map_err(|_| {
                Failure::Usage(format!("`{actor}` can't be sent as the name of who acts"))
            })?;
            headers.insert(AMENDS_ACTOR, value);
        }
        let agent = concat!("amends-cli/", env!("CARGO_PKG_VERSION"));
        headers.entry(header::USER_AGENT).or_insert(header::HeaderValue::from_static(agent));
        let pool = Pool::of(&target.address, &target.tls)?;
        let base = target.address.as_str().to_owned();
        Ok(Self { base, headers, token, pool, answer_limit: ANSWER_LIMIT })
    }

    /// By what it identifies, as people may see it.
    pub fn identifies_by(&self) -> String {
        self.token.as_ref().map_or("no token".to_owned(), TokenInUse::shown)
    }

    /// Waits longer (or shorter) for answers than is usual.
    pub fn with_answer_limit(mut self, limit: Duration) -> Self {
        self.answer_limit = limit;
        self
    }

    /// `GET`, read as `T`, its texts sealed for being shown.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Outcome<T> {
        let request = self.request(Method::GET, path, "", Bytes::new())?;
        self.read(path, self.send(request).await?).await
    }

    /// The same with its texts as they were sent, for files and for what works with them.
    pub async fn get_as_sent<T: DeserializeOwned>(&self, path: &str) -> Outcome<T> {
        let request = self.request(Method::GET, path, "", Bytes::new())?;
        let body = self.body(self.send(request).await?).await?;
        serde_json::from_slice(&body).map_err(|e| self.no_supervisor(&e))
    }

    /// `POST` of a JSON body, the answer read as `T`.
    pub async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Outcome<T> {
        self.read(path, self.post_raw(path, "application/json", body).await?).await
    }

    /// `POST` with a content type of its own, the answer read as `T`.
    pub async fn post_as<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        content_type: &str,
        body: &B,
    ) -> Outcome<T> {
        self.read(path, self.post_raw(path, content_type, body).await?).await
    }

    /// `PUT` of a JSON body, the answer read as `T`.
    pub async fn put<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Outcome<T> {
        let body = serde_json::to_vec(body).map_err(anyhow::Error::from)?;
        let request = self.request(Method::PUT, path, "application/json", body.into())?;
        self.read(path, self.send(request).await?).await
    }

    /// `DELETE`, the answer read as `T`.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Outcome<T> {
        let request = self.request(Method::DELETE, path, "", Bytes::new())?;
        self.read(path, self.send(request).await?).await
    }

    /// `DELETE`, where nothing is answered.
    pub async fn delete_nothing(&self, path: &str) -> Outcome {
        let request = self.request(Method::DELETE, path, "", Bytes::new())?;
        match self.send(request).await?.status() {
            StatusCode::NO_CONTENT => Ok(()),
            other => Err(self.unreachable(format!("its answer, {other}, is none of a supervisor"))),
        }
    }

    /// `POST` of nothing, where nothing is answered.
    pub async fn post_nothing(&self, path: &str) -> Outcome {
        let request = self.request(Method::POST, path, "", Bytes::new())?;
        self.send(request).await.map(drop)
    }

    /// Opens a stream of server-sent events.
    pub async fn stream(&self, path: &str, last_id: Option<&str>) -> Outcome<Incoming> {
        let mut request = self.request(Method::GET, path, "", Bytes::new())?;
        request
            .headers_mut()
            .insert(header::ACCEPT, header::HeaderValue::from_static("text/event-stream"));
        if let Some(value) = last_id.and_then(|id| header::HeaderValue::from_str(id).ok()) {
            request.headers_mut().insert("last-event-id", value);
        }
        Ok(self.send(request).await?.into_body())
    }

    /// Asks whether somebody is there: the status of whatever answer, and the time that it tells.
    pub async fn probe(&self, path: &str, limit: Duration) -> Outcome<(u16, Option<Timestamp>)> {
        let request = self.request(Method::GET, path, "", Bytes::new())?;
        let answer = tokio::time::timeout(limit, self.pool.request(request))
            .await
            .map_err(|_| self.unreachable(format!("no answer within {} s", limit.as_secs())))?
            .map_err(|e| self.unreachable(causes::innermost(&e).to_string()))?;
        let date = answer.headers().get(header::DATE).and_then(|v| v.to_str().ok());
        Ok((answer.status().as_u16(), date.and_then(read_date)))
    }

    /// The failure that says that this supervisor gave no (whole) answer.
    pub fn unreachable(&self, why: impl Into<String>) -> Failure {
        Failure::Unreachable { url: self.base.clone(), why: why.into() }
    }

    async fn post_raw<B: Serialize>(
        &self,
        path: &str,
        content_type: &str,
        body: &B,
    ) -> Outcome<Response<Incoming>> {
        let body = serde_json::to_vec(body).map_err(anyhow::Error::from)?;
        self.send(self.request(Method::POST, path, content_type, body.into())?).await
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> Outcome<Request<Full<Bytes>>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = format!("{}{path}", self.base)
            .parse()
            .map_err(|e| Failure::Usage(format!("cannot make a request for `{path}`: {e}")))?;
        *request.headers_mut() = self.headers.clone();
        if let Some(token) = &self.token {
            token.put_into(request.headers_mut())?;
        }
        if !content_type.is_empty() {
            let value = header::HeaderValue::from_str(content_type).map_err(anyhow::Error::from)?;
            request.headers_mut().insert(header::CONTENT_TYPE, value);
        }
        Ok(request)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Outcome<Response<Incoming>> {
        tokio::time::timeout(self.answer_limit, self.pool.request(request))
            .await
            .map_err(|_| {
                self.unreachable(format!("no answer within {} s", self.answer_limit.as_secs()))
            })?
            .map_err(|e| self.unreachable(causes::innermost(&e).to_string()))
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Outcome<Response<Incoming>> {
        let lines = lines_of(request.uri().path());
        let mut again = request.clone();
        let mut answer = self.exchange(request).await?;
        let refused = answer.status() == StatusCode::UNAUTHORIZED;
        if let Some(token) = self.token.as_ref().filter(|token| refused && token.has_changed()) {
            token.put_into(again.headers_mut())?;
            answer = self.exchange(again).await?;
        }
        if answer.status().is_success() {
            tell_of_silent_nodes(&answer);
            tell_late(answer.headers());
            return Ok(answer);
        }
        Err(self.refusal(answer, lines).await)
    }

    /// What an answer that is no success says.
    async fn refusal(&self, answer: Response<Incoming>, lines: Lines) -> Failure {
        let status = answer.status();
        let elsewhere = answer.headers().get(header::LOCATION).and_then(|v| v.to_str().ok());
        let elsewhere = elsewhere.filter(|_| status.is_redirection()).map(redirect);
        let body = self.body(answer).await.unwrap_or_default();
        let mut problem = read_problem(status.as_u16(), &body, lines);
        if let Some(elsewhere) = elsewhere {
            problem.detail = Some(elsewhere);
        }
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let sent = self.token.as_ref().map(TokenInUse::shown);
            return Failure::Denied(Box::new(Denied { problem, sent }));
        }
        Failure::Problem(Box::new(problem))
    }

    async fn read<T: DeserializeOwned>(
        &self,
        path: &str,
        answer: Response<Incoming>,
    ) -> Outcome<T> {
        let body = self.body(answer).await?;
        sealed::read(&body, lines_of(path)).map_err(|e| self.no_supervisor(&e))
    }

    fn no_supervisor(&self, why: &serde_json::Error) -> Failure {
        self.unreachable(format!("its answer is none of a supervisor: {}", causes::of_json(why)))
    }

    async fn body(&self, answer: Response<Incoming>) -> Outcome<Bytes> {
        let whole = Limited::new(answer.into_body(), BODY_LIMIT_BYTES).collect();
        match tokio::time::timeout(self.answer_limit, whole).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(e)) => Err(self.unreachable(format!("the answer broke off: {e}"))),
            Err(_) => Err(self.unreachable("the answer did not end in time")),
        }
    }
}

/// What is missing in a list, since nodes did not answer whoever put it together.
fn tell_of_silent_nodes(answer: &Response<Incoming>) {
    let names = answer.headers().get("amends-silent-nodes").and_then(|names| names.to_str().ok());
    if let Some(names) = names {
        let names = sealed::seal(names, Lines::One);
        output::tell(&format!("no answer from {names}: what is of that node is missing here"));
    }
}

/// The moment that a header `Date` tells.
pub fn read_date(text: &str) -> Option<Timestamp> {
    let date = httpdate::parse_http_date(text).ok()?;
    let since = date.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(Timestamp)
}

/// Whether answers of this path hold texts of several lines.
fn lines_of(path: &str) -> Lines {
    if path.contains("/v1/rulebooks") { Lines::Many } else { Lines::One }
}

/// A redirect, in words. Only its host is told: what follows it may be secret.
fn redirect(location: &str) -> String {
    let uri: Option<Uri> = location.parse().ok();
    let place = uri.and_then(|uri| Some(format!("{}://{}", uri.scheme_str()?, uri.host()?)));
    let place = place.map_or("another place".to_owned(), |place| {
        format!("`{}`", sealed::seal(&place, Lines::One))
    });
    format!(
        "it redirects to {place}, and no redirect is followed; if the supervisor is there, name that address"
    )
}

/// Says which nodes have yet to read what was set.
fn tell_late(headers: &HeaderMap) {
    let late = headers.get(amends_api::NOT_SEEN_BY).and_then(|names| names.to_str().ok());
    if let Some(late) = late {
        output::tell(&format!(
            "these nodes had not read it after 3 s, and go by it as soon as they have: {late}"
        ));
    }
}

/// A problem as sent, or one made up from the status when something else answered (a proxy, another server).
fn read_problem(status: u16, body: &[u8], lines: Lines) -> Problem {
    let mut problem: Problem = sealed::read(body, lines).unwrap_or_else(|_| Problem {
        type_uri: "about:blank".to_owned(),
        title: String::new(),
        status,
        detail: None,
        instance: None,
        code: None,
        retryable: None,
        errors: Vec::new(),
    });
    problem.status = status;
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_values_are_encoded() {
        let mut query = Query::default();
        query.push("report", "payment/*");
        query.push("q", "a b&c=ü");
        query.push_opt::<String>("saga", None);
        assert_eq!(query.as_str(), "?report=payment%2F%2A&q=a%20b%26c%3D%C3%BC");
    }

    #[test]
    fn a_redirect_is_told_by_its_host_alone() {
        let told = redirect("https://kim:s3cr3t@evil.example/login?token=s3cr3t");
        assert!(told.contains("`https://evil.example`") && !told.contains("s3cr3t"), "{told}");
        assert!(redirect("/login?token=s3cr3t").contains("another place"));
    }

    #[test]
    fn an_answer_that_is_no_problem_still_names_its_status() {
        let problem = read_problem(502, b"<html>bad gateway</html>", Lines::One);
        assert_eq!((problem.status, problem.title.as_str()), (502, ""));
    }
}
