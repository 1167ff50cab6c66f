//! A small pool of read-only connections, each on its own thread, for everything that people ask.

use super::{
    connection::open_reader,
    rows::{READ_LIMIT_SECONDS, read_error},
};
use crate::StoreError;
use rusqlite::Connection;
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};

/// Questions that may queue; whoever comes later waits for a place.
const QUEUE: usize = 256;
/// Steps of SQLite's machine between two looks at the clock, some hundred microseconds.
const STEPS_BETWEEN_LOOKS: i32 = 20_000;

type Question = Box<dyn FnOnce(&Connection) + Send>;

/// The asking side of the pool.
pub(crate) struct Readers {
    questions: Option<mpsc::Sender<Question>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Opens `count` connections.
    pub(crate) fn start(path: &Path, count: usize) -> Result<Self, StoreError> {
        let (questions, queue) = mpsc::channel::<Question>(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        let mut threads = Vec::with_capacity(count);
        for number in 1..=count {
            let (conn, queue) = (open_reader(path)?, Arc::clone(&queue));
            let thread = thread::Builder::new()
                .name(format!("amends-read-{number}"))
                .spawn(move || answer_all(&conn, &queue))
                .map_err(super::connection::file("start a thread for", path))?;
            threads.push(thread);
        }
        Ok(Self { questions: Some(questions), threads })
    }

    /// Asks, with the usual time limit. All queries of one question see the same moment.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask_for(Some(Duration::from_secs(READ_LIMIT_SECONDS)), question).await
    }

    /// Asks, with a time limit or none.
    pub(crate) async fn ask_for<T: Send + 'static>(
        &self,
        limit: Option<Duration>,
        question: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let boxed: Question = Box::new(move |conn| {
            // Whoever asked may have gone while it queued.
            if !reply.is_closed() {
                let _ = reply.send(in_snapshot(conn, limit, question));
            }
        });
        let questions = self.questions.as_ref().ok_or(StoreError::Closed)?;
        questions.send(boxed).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.questions = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn answer_all(conn: &Connection, queue: &Mutex<mpsc::Receiver<Question>>) {
    loop {
        // The lock is held while waiting: whoever has it takes the next question, the others line up behind.
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        match next {
            Some(question) => question(conn),
            None => return,
        }
    }
}

fn in_snapshot<T>(
    conn: &Connection,
    limit: Option<Duration>,
    question: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let began = Instant::now();
    let watch = limit.map(|limit| move || began.elapsed() > limit);
    conn.progress_handler(STEPS_BETWEEN_LOOKS, watch).map_err(read_error)?;
    let snapshot = conn.unchecked_transaction().map_err(read_error)?;
    question(&snapshot)
}
