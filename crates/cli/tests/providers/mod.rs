//! Services that know nothing of Amends, each on a port of its own: two payment providers, as their public
//! documentation describes them, and an old warehouse.

pub mod paypal;
pub mod stock;
pub mod stripe;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use paypal::PayPal;
use serde_json::Value;
use std::sync::{Arc, Mutex, MutexGuard};
use stock::Stock;
use stripe::Stripe;

/// A request as one of the services got it.
#[derive(Clone, Debug)]
pub struct Got {
    pub line: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Got {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

/// What a service answers; none is a connection that breaks when the work is done.
pub type Answered = Option<(StatusCode, Value)>;

pub fn answer(status: u16, body: Value) -> Answered {
    Some((StatusCode::from_u16(status).expect("a status"), body))
}

/// What the three have, and what was asked of them.
#[derive(Default)]
pub struct Books {
    got: Vec<Got>,
    pub stripe: Stripe,
    pub paypal: PayPal,
    pub stock: Stock,
}

pub struct Town {
    pub stripe: String,
    pub paypal: String,
    pub stock: String,
    books: Arc<Mutex<Books>>,
    _runtime: tokio::runtime::Runtime,
}

type Ask = fn(&mut Books, &Got) -> Answered;

impl Town {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let books: Arc<Mutex<Books>> = Arc::default();
        let serve = |ask: Ask| {
            let listener =
                runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
            let address = listener.local_addr().expect("bound").to_string();
            let router = Router::new().fallback(take).with_state((Arc::clone(&books), ask));
            runtime.spawn(async move { axum::serve(listener, router).await });
            address
        };
        let stripe = serve(|books, got| books.stripe.ask(got));
        let paypal = serve(|books, got| books.paypal.ask(got));
        let stock = serve(|books, got| books.stock.ask(got));
        Self { stripe, paypal, stock, books, _runtime: runtime }
    }

    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("not poisoned")
    }

    /// The requests about one saga, in their order.
    pub fn got(&self, saga: &str) -> Vec<Got> {
        self.books().got.iter().filter(|got| got.header("saga-id") == saga).cloned().collect()
    }
}

async fn take(State((books, ask)): State<(Arc<Mutex<Books>>, Ask)>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 16).await.expect("a short body");
    let got = Got {
        line: format!("{} {} HTTP/1.1", head.method, head.uri),
        headers: head.headers,
        body: String::from_utf8(bytes.to_vec()).expect("UTF-8"),
    };
    let mut books = books.lock().expect("not poisoned");
    books.got.push(got.clone());
    match ask(&mut books, &got) {
        Some((status, Value::Null)) => {
            Response::builder().status(status).body(Body::empty()).expect("plain")
        }
        Some((status, body)) => Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .expect("plain"),
        None => lost(),
    }
}

/// The work is done, and the connection breaks within the answer.
fn lost() -> Response {
    let broken = [Err::<Bytes, _>(std::io::Error::other("lost"))];
    Response::new(Body::from_stream(futures_util::stream::iter(broken)))
}
