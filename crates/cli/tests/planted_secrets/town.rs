//! Everybody around the supervisor in one server: services that repeat what they should not, a collector of spans, and
//! the hooks that alerts go to.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Heard {
    pub path: String,
    pub head: String,
    pub body: String,
}

#[derive(Default)]
struct Inner {
    heard: Vec<Heard>,
    /// What the next answers of services say, each once.
    says: VecDeque<String>,
    /// What they say when they have said all that.
    at_last: String,
}

/// The town. Its clones are the same.
#[derive(Clone)]
pub struct Town {
    pub address: String,
    inner: Arc<Mutex<Inner>>,
    _runtime: Arc<tokio::runtime::Runtime>,
}

impl Town {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener =
            runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let inner = Arc::<Mutex<Inner>>::default();
        let app = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { address, inner, _runtime: Arc::new(runtime) }
    }

    /// From now on answers say these texts, one after the other, and at last this.
    pub fn say(&self, texts: impl IntoIterator<Item = String>, at_last: &str) {
        let mut inner = self.inner.lock().expect("not poisoned");
        inner.says.extend(texts);
        at_last.clone_into(&mut inner.at_last);
    }

    /// Whether all of it was said.
    pub fn has_said_all(&self) -> bool {
        self.inner.lock().expect("not poisoned").says.is_empty()
    }

    /// What came to paths that begin so.
    pub fn heard(&self, path: &str) -> Vec<Heard> {
        let inner = self.inner.lock().expect("not poisoned");
        inner.heard.iter().filter(|heard| heard.path.starts_with(path)).cloned().collect()
    }
}

async fn answer(
    State(inner): State<Arc<Mutex<Inner>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.to_string();
    let body = String::from_utf8_lossy(&body).into_owned();
    let head = format!("{headers:?}");
    let asked: Value = serde_json::from_str(&body).unwrap_or_default();
    let mut inner = inner.lock().expect("not poisoned");
    inner.heard.push(Heard { path: path.clone(), head: head.clone(), body });
    if !path.starts_with("/payment") && !path.starts_with("/bank") && !path.starts_with("/parcel") {
        return Json(StatusCode::OK, json!({})).into_response();
    }
    if path.contains("/history") {
        let said = json!({ "message": format!("no History: {}", inner.at_last) });
        return Json(StatusCode::INTERNAL_SERVER_ERROR, said).into_response();
    }
    if path.starts_with("/parcel") && path.contains("/compensate/") {
        // Taken, and to be looked at where a name and a password stand in the address.
        let at = format!("http://ops:location-pass-5150@{}/parcel/looks", "127.0.0.1:1");
        return (StatusCode::ACCEPTED, [(header::LOCATION, at)]).into_response();
    }
    match inner.says.pop_front() {
        Some(text) => Json(StatusCode::CONFLICT, json!({ "message": text })).into_response(),
        None => {
            // It knows what came with the request and repeats it.
            let proof = asked["callback"]["proof"].as_str().unwrap_or_default();
            let detail = format!("{proof} {}", inner.at_last);
            let problem = json!({
                "type": "https://amends.dev/problems/refused", "title": "refused", "status": 422,
                "detail": detail,
            });
            Json(StatusCode::UNPROCESSABLE_ENTITY, problem).into_response()
        }
    }
}

struct Json(StatusCode, Value);

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        (self.0, [(header::CONTENT_TYPE, "application/problem+json")], self.1.to_string())
            .into_response()
    }
}
