//! The services of a run on several nodes, and their books: what was asked of them when, under which keys, and what
//! took effect more than once.

use crate::participant::{ANSWER, saga_number};
use crate::supervisor::SERVICES;
use crate::wire::Connection;
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::net::TcpListener;

/// What is known of one saga, in microseconds since the start; 0 if it has not happened.
#[derive(Clone, Copy, Debug, Default)]
struct Saga {
    acknowledged: u64,
    /// When each service was asked first.
    asked: [u64; SERVICES.len()],
    /// Under which key that was.
    keys: [u64; SERVICES.len()],
}

/// All of them.
pub struct Books {
    start: Instant,
    sagas: Mutex<Vec<Saga>>,
    /// Compensations that were asked for under another key than before: they took effect twice.
    doubled: Mutex<u64>,
    /// Those that were asked for again under the same key, and changed nothing.
    again: Mutex<u64>,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Figures {
    pub acknowledged: usize,
    /// Acknowledged, and never asked of all services.
    pub lost: usize,
    pub doubled: u64,
    pub again: u64,
    /// From the acknowledgement until the last service was asked.
    pub until_asked: Waits,
}

/// Milliseconds.
#[derive(Debug, Default, Serialize)]
pub struct Waits {
    pub p50: u64,
    pub p99: u64,
    pub max: u64,
}

impl Books {
    pub fn new(sagas: usize) -> Self {
        Self {
            start: Instant::now(),
            sagas: Mutex::new(vec![Saga::default(); sagas]),
            doubled: Mutex::new(0),
            again: Mutex::new(0),
        }
    }

    pub fn sagas(&self) -> usize {
        held(&self.sagas).len()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    /// Its report is durable, somebody said.
    pub fn acknowledged(&self, saga: usize) {
        let now = self.now();
        if let Some(saga) = held(&self.sagas).get_mut(saga) {
            saga.acknowledged = now;
        }
    }

    fn asked(&self, saga: usize, service: usize, key: u64) {
        let now = self.now();
        let mut sagas = held(&self.sagas);
        let Some(saga) = sagas.get_mut(saga) else { return };
        if saga.asked[service] == 0 {
            saga.asked[service] = now;
            saga.keys[service] = key;
        } else if saga.keys[service] == key {
            *held(&self.again) += 1;
        } else {
            *held(&self.doubled) += 1;
        }
    }

    /// Sagas that are acknowledged and not asked of all services yet.
    pub fn unfinished(&self) -> usize {
        let is_left = |saga: &&Saga| saga.acknowledged > 0 && saga.asked.contains(&0);
        held(&self.sagas).iter().filter(is_left).count()
    }

    pub fn figures(&self) -> Figures {
        let sagas = held(&self.sagas);
        let acknowledged: Vec<&Saga> = sagas.iter().filter(|saga| saga.acknowledged > 0).collect();
        let done = acknowledged.iter().filter(|saga| !saga.asked.contains(&0));
        let mut waits: Vec<u64> = done
            .map(|saga| {
                saga.asked.iter().max().map_or(0, |at| at.saturating_sub(saga.acknowledged))
            })
            .collect();
        waits.sort_unstable();
        let at = |share: usize| {
            waits.get(waits.len().saturating_sub(1) * share / 100).copied().unwrap_or(0) / 1_000
        };
        Figures {
            acknowledged: acknowledged.len(),
            lost: acknowledged.len() - waits.len(),
            doubled: *held(&self.doubled),
            again: *held(&self.again),
            until_asked: Waits { p50: at(50), p99: at(99), max: at(100) },
        }
    }
}

fn held<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers as one of the services until the runtime ends.
pub async fn serve(listener: TcpListener, service: usize, books: Arc<Books>) {
    while let Ok((stream, _)) = listener.accept().await {
        let books = Arc::clone(&books);
        tokio::spawn(async move {
            let Ok(mut connection) = Connection::new(stream) else { return };
            while let Ok(Some(request)) = connection.read().await {
                if let (Some(saga), Some(key)) = (saga_number(&request.body), key_of(&request.head))
                {
                    books.asked(saga, service, key);
                }
                if connection.send(ANSWER).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// What stands in for the key that a request is made under: FNV-1a.
fn key_of(head: &str) -> Option<u64> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let (_, key) = lines.find(|(name, _)| name.eq_ignore_ascii_case("idempotency-key"))?;
    let hash = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    Some(key.trim().bytes().fold(0xcbf2_9ce4_8422_2325, hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_doubled_and_asked_again_is_told_apart() {
        let books = Books::new(3);
        for service in 0..SERVICES.len() {
            books.asked(0, service, 7);
        }
        books.acknowledged(0);
        books.acknowledged(1);
        books.asked(1, 0, 7);
        assert_eq!(books.unfinished(), 1);
        books.asked(0, 0, 7);
        books.asked(0, 1, 8);
        let figures = books.figures();
        assert_eq!((figures.acknowledged, figures.lost), (2, 1));
        assert_eq!((figures.doubled, figures.again), (1, 1));
    }

    #[test]
    fn keys_are_told_apart_whatever_the_case_of_their_header() {
        let key = |head| key_of(head);
        let one = key("POST / HTTP/1.1\r\nIdempotency-Key: \"a\"\r\n");
        assert!(one.is_some() && one == key("POST / HTTP/1.1\r\nidempotency-key: \"a\""));
        assert_ne!(one, key("POST / HTTP/1.1\r\nidempotency-key: \"b\""));
        assert_eq!(key("POST / HTTP/1.1\r\nhost: x"), None);
    }
}
