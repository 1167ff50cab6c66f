//! What stands before several supervisors, as a load balancer does: it gives each connection to one that says that it
//! is ready, in turns, and passes bytes on. It reads none of them.

use crate::client::Client;
use anyhow::Context;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How often each is asked whether it is ready, and how long it may take to say so.
const ASK_EVERY: Duration = Duration::from_millis(300);
const ASK_LIMIT: Duration = Duration::from_secs(1);

/// A balancer on a free port.
pub(crate) struct Balancer {
    url: String,
    /// It serves as long as these are there.
    _serving: JoinSet<()>,
}

struct Behind {
    url: String,
    /// `127.0.0.1:4711`.
    address: String,
    is_ready: AtomicBool,
}

impl Balancer {
    /// One before these base URLs.
    ///
    /// # Errors
    /// When there is no free port.
    pub(crate) async fn before(urls: &[String]) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for a balancer")?;
        let url = format!("http://{}", listener.local_addr()?);
        let behind = urls.iter().map(|url| Behind {
            url: url.clone(),
            address: url.trim_start_matches("http://").to_owned(),
            is_ready: AtomicBool::new(true),
        });
        let behind: Arc<[Behind]> = behind.collect();
        let mut serving = JoinSet::new();
        for n in 0..behind.len() {
            serving.spawn(ask(Arc::clone(&behind), n));
        }
        serving.spawn(serve(listener, behind));
        Ok(Self { url, _serving: serving })
    }

    /// Its base URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// Asks one of them again and again.
async fn ask(behind: Arc<[Behind]>, n: usize) {
    let client = Client::default();
    let url = format!("{}/readyz", behind[n].url);
    loop {
        let is_ready = client.get(&url, ASK_LIMIT).await.is_ok_and(|said| said.status.is_success());
        behind[n].is_ready.store(is_ready, Ordering::Relaxed);
        tokio::time::sleep(ASK_EVERY).await;
    }
}

async fn serve(listener: TcpListener, behind: Arc<[Behind]>) {
    let turn = AtomicUsize::new(0);
    let mut passing = JoinSet::new();
    loop {
        tokio::select! {
            came = listener.accept() => {
                let Ok((stream, _)) = came else {
                    tokio::time::sleep(ASK_EVERY).await;
                    continue;
                };
                let first = turn.fetch_add(1, Ordering::Relaxed);
                passing.spawn(pass(stream, Arc::clone(&behind), first));
            }
            Some(_) = passing.join_next() => {}
        }
    }
}

/// Passes a connection on to the first that takes it; nobody: it is closed, and whoever came tries again.
async fn pass(mut stream: TcpStream, behind: Arc<[Behind]>, first: usize) {
    let turns = (0..behind.len()).map(|n| &behind[(first + n) % behind.len()]);
    for one in turns.filter(|one| one.is_ready.load(Ordering::Relaxed)) {
        if let Ok(mut there) = TcpStream::connect(&one.address).await {
            // Whoever breaks it off has said all that is to be said.
            let _ = copy_bidirectional(&mut stream, &mut there).await;
            return;
        }
    }
}
