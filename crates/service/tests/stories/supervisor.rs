//! A supervisor that writes down what it is told.

use crate::rig::{listen, until};
use amends_service::axum::body::Bytes;
use amends_service::axum::extract::{Path, State};
use amends_service::axum::routing::post;
use amends_service::axum::{Router, serve};
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// Writes down reports, and answers as it is told to (202 when nothing is said).
pub struct FakeSupervisor {
    pub url: String,
    pub told: Arc<Received>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
pub struct Received {
    pub reports: Mutex<Vec<(HeaderMap, Value)>>,
    /// Of steps that were answered 202, each by the step's id.
    pub outcomes: Mutex<Vec<(String, Value)>>,
    pub answers: Mutex<VecDeque<u16>>,
    /// What each report and outcome showed of who sends it.
    pub shown: Mutex<Vec<Option<String>>>,
    /// Every try, also those that were turned away.
    pub tries: Mutex<Vec<String>>,
}

impl FakeSupervisor {
    pub async fn start() -> Self {
        let told = Arc::new(Received::default());
        let (url, server) = listen(Self::router(told.clone())).await;
        Self { url, told, server }
    }

    /// Listens where another supervisor did.
    pub async fn at(url: &str) -> Self {
        let told = Arc::new(Received::default());
        let address = url.strip_prefix("http://").expect("plain").to_owned();
        let listener = TcpListener::bind(address).await.expect("the port is free again");
        let router = Self::router(told.clone());
        let server = tokio::spawn(async move { serve(listener, router).await.expect("serves") });
        Self { url: url.to_owned(), told, server }
    }

    fn router(told: Arc<Received>) -> Router {
        Router::new()
            .route("/v1/reports", post(take_report))
            .route("/v1/steps/{id}/outcome", post(take_outcome))
            .with_state(told)
    }

    pub fn stop(self) {
        self.server.abort();
    }

    /// Waits for this many outcomes.
    pub async fn outcomes(&self, count: usize) -> Vec<(String, Value)> {
        until("outcomes arrive", async || self.told.outcomes.lock().expect("whole").len() >= count)
            .await;
        self.told.outcomes.lock().expect("whole").clone()
    }

    /// Waits for this many reports.
    pub async fn reports(&self, count: usize) -> Vec<(HeaderMap, Value)> {
        until("reports arrive", async || self.told.reports.lock().expect("whole").len() >= count)
            .await;
        self.told.reports.lock().expect("whole").clone()
    }
}

impl Received {
    fn note(&self, headers: &HeaderMap) {
        let shown =
            headers.get("authorization").map(|value| value.to_str().expect("text").to_owned());
        self.shown.lock().expect("whole").push(shown);
    }
}

async fn take_outcome(
    State(told): State<Arc<Received>>,
    Path(step): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    told.note(&headers);
    let status = told.answers.lock().expect("whole").pop_front().unwrap_or(204);
    if status < 300 {
        let word = serde_json::from_slice(&body).expect("JSON");
        told.outcomes.lock().expect("whole").push((step, word));
    }
    StatusCode::from_u16(status).expect("a status")
}

async fn take_report(
    State(told): State<Arc<Received>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    told.note(&headers);
    let id = headers["ce-id"].to_str().expect("text").to_owned();
    told.tries.lock().expect("whole").push(id);
    let status = told.answers.lock().expect("whole").pop_front().unwrap_or(202);
    if status < 300 {
        let data = serde_json::from_slice(&body).expect("JSON");
        told.reports.lock().expect("whole").push((headers, data));
    }
    StatusCode::from_u16(status).expect("a status")
}
