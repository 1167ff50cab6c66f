//! A gateway before a service, as an ingress stands before it in production: it passes everything on. While the service
//! is being deployed it answers for it, with a page of its own that says nothing about any saga.

use crate::client::{Pool, believes_nobody, pool};
use crate::secured::{GATEWAY, Secured};
use crate::serving;
use crate::tls::acceptor;
use amends_protocol::causes;
use anyhow::Context;
use axum::body::Body;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use http::uri::{Authority, Scheme, Uri};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A gateway before one service.
pub(crate) struct Gateway {
    url: String,
    door: Arc<Door>,
    /// It serves as long as these are there.
    _serving: (JoinSet<()>, watch::Sender<bool>),
}

struct Door {
    scheme: Scheme,
    service: Authority,
    pool: Pool<Body>,
    deploying: Mutex<Option<StatusCode>>,
    turned_away: Mutex<BTreeMap<u16, u64>>,
}

impl Gateway {
    /// A gateway on a free port before the service at `service_url`. In a secured run it knows who asks, and is known
    /// to the service, by certificate.
    ///
    /// # Errors
    /// When there is no free port, or its certificate can't be used.
    pub(crate) async fn before(
        service_url: &str,
        secured: Option<&Secured>,
    ) -> anyhow::Result<Self> {
        let service: Uri = service_url.parse().context("a service's address is none")?;
        let service = service.authority().context("a service's address names no host")?.clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for a gateway")?;
        let (scheme, tls, own) = match secured {
            Some(secured) => {
                let own = secured.certificates(GATEWAY).client_config()?;
                (Scheme::HTTPS, Some(acceptor(secured, GATEWAY)?), own)
            }
            None => (Scheme::HTTP, None, believes_nobody()),
        };
        let url = format!("{scheme}://{}", listener.local_addr()?);
        let door = Arc::new(Door {
            scheme,
            service,
            pool: pool(own),
            deploying: Mutex::default(),
            turned_away: Mutex::default(),
        });
        let (stop, stopped) = watch::channel(false);
        let passing = Arc::clone(&door);
        let answer = move |request| {
            let door = Arc::clone(&passing);
            async move { Ok::<_, Infallible>(pass(&door, request).await) }
        };
        let mut serving = JoinSet::new();
        serving.spawn(serving::serve(listener, tls, answer, stopped));
        Ok(Self { url, door, _serving: (serving, stop) })
    }

    /// Its base URL, which everybody takes for the service's.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// From now on it answers by itself, with this status; with none it passes everything on again. What it has passed
    /// on before ends as it does.
    pub(crate) fn deploy(&self, status: Option<StatusCode>) {
        *self.door.deploying.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    /// Requests that it answered itself, by status.
    pub(crate) fn turned_away(&self) -> BTreeMap<u16, u64> {
        self.door.turned_away.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn pass(door: &Door, request: Request<Incoming>) -> Response<Body> {
    let mut request = request.map(Body::new);
    let deploying = *door.deploying.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(status) = deploying {
        let mut counts = door.turned_away.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(status.as_u16()).or_default() += 1;
        return page(status, "the service is being deployed");
    }
    let mut to = std::mem::take(request.uri_mut()).into_parts();
    (to.scheme, to.authority) = (Some(door.scheme.clone()), Some(door.service.clone()));
    let Ok(to) = Uri::from_parts(to) else { return page(StatusCode::BAD_REQUEST, "no path") };
    *request.uri_mut() = to;
    // The connection on each side is that side's own.
    request.headers_mut().remove(HOST);
    request.headers_mut().remove(CONNECTION);
    match door.pool.request(request).await {
        Ok(answer) => {
            let mut answer = answer.map(Body::new);
            answer.headers_mut().remove(CONNECTION);
            answer
        }
        // The service is down or the connection broke in the middle: a gateway tells both by the same word.
        Err(error) => page(StatusCode::BAD_GATEWAY, &causes::in_one_line(&error)),
    }
}

/// An answer of the gateway itself: a page for people, with nothing that the service would say.
fn page(status: StatusCode, why: &str) -> Response<Body> {
    let mut answer = Response::new(Body::from(format!(
        "<html><head><title>{status}</title></head><body><h1>{status}</h1><p>gateway: {why}</p></body></html>\n"
    )));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    if status == StatusCode::UNAUTHORIZED {
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;
    use crate::food::FOOD_ORDER;
    use crate::secured::{CUSTOMER, STRANGER};
    use axum::Router;
    use axum::extract::Request;
    use serde_json::json;
    use std::time::Duration;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn what_it_does_not_answer_itself_it_passes_on_as_it_is() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let service = format!("http://{}", listener.local_addr().expect("bound"));
        let echo = Router::new().fallback(async |request: Request| {
            let (path, saga) = (request.uri().to_string(), request.headers()["saga-id"].clone());
            let body = axum::body::to_bytes(request.into_body(), 1_000).await.expect("short");
            let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            ([("saga-id", saga)], json!({"path": path, "body": body}).to_string())
        });
        let serving = tokio::spawn(async move { axum::serve(listener, echo).await });
        let statuses = [404, 401, 503].map(|n| StatusCode::from_u16(n).expect("a status"));
        let gateway = Gateway::before(&service, None).await.expect("a gateway");
        let client = Client::default();
        let url = format!("{}/pay?a=b", gateway.url());
        let body = json!({"n": 1});
        let ask = || client.post(&url, &[("saga-id", "s-1")], &body, LIMIT);

        let answer = ask().await.expect("an answer");
        assert_eq!(
            (answer.status, &answer.headers["saga-id"]),
            (StatusCode::OK, &"s-1".parse().expect("plain"))
        );
        assert_eq!(answer.body, json!({"path": "/pay?a=b", "body": {"n": 1}}));

        for status in statuses {
            gateway.deploy(Some(status));
            let answer = ask().await.expect("an answer");
            assert_eq!(
                (answer.status, &answer.headers[CONTENT_TYPE]),
                (status, &"text/html".parse().expect("plain"))
            );
        }
        gateway.deploy(None);
        assert_eq!(ask().await.expect("an answer").status, StatusCode::OK);
        assert_eq!(gateway.turned_away(), statuses.map(|s| (s.as_u16(), 1)).into_iter().collect());

        serving.abort();
        let _ = serving.await;
        assert_eq!(ask().await.expect("an answer").status, StatusCode::BAD_GATEWAY);
    }

    #[tokio::test]
    async fn in_a_secured_run_it_passes_on_what_shows_a_certificate_and_nothing_else() {
        let run = tempfile::tempdir().expect("a folder");
        let secured = Secured::make(run.path(), &FOOD_ORDER).expect("made");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let service = format!("https://{}", listener.local_addr().expect("bound"));
        let (_stop, stopped) = watch::channel(false);
        let hello =
            async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new(Body::from("1")));
        let tls = acceptor(&secured, "payment").expect("a certificate");
        tokio::spawn(serving::serve(listener, Some(tls), hello, stopped));
        let gateway = Gateway::before(&service, Some(&secured)).await.expect("a gateway");
        let ask = async |client: Client, url: &str| client.get(url, LIMIT).await.ok();
        let of = |name| Client::with_certificates(&secured.certificates(name)).expect("files");

        let answer = ask(of(CUSTOMER), gateway.url()).await.expect("an answer");
        assert_eq!((answer.status, answer.body), (StatusCode::OK, json!(1)));
        for url in [gateway.url(), &service] {
            assert!(ask(of(STRANGER), url).await.is_none(), "{url}");
            assert!(ask(Client::default(), url).await.is_none(), "{url}");
            assert!(ask(of(CUSTOMER), &url.replace("https", "http")).await.is_none(), "{url}");
        }
    }
}
