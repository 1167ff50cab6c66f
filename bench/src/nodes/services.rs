//! The services of a run on several nodes, all in this process. Each has a History of its own, a SQLite file that it
//! writes before it answers; what came of a run is read from those files alone. They do not wait for the disk: the
//! machine of a run is not switched off.

use crate::participant::{ANSWER, saga_number};
use crate::wire::Connection;
use anyhow::Context;
use rusqlite::{Connection as Sqlite, params};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

/// All of them. The last bears one request at a time.
pub const SERVICES: [&str; 5] = ["coupon", "delivery", "payment", "rider", "printer"];
/// Its place.
pub const PRINTER: usize = 4;
/// How long each of its requests takes, so that two at once are seen.
const PRINTS_FOR: Duration = Duration::from_millis(2);

/// Requests that wait for the file at once.
const WAITING: usize = 1_024;
/// Requests of one transaction.
const GROUP: usize = 256;

const TABLES: &str = "
    PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
    CREATE TABLE request (saga INTEGER NOT NULL, began INTEGER NOT NULL, ended INTEGER NOT NULL);
    CREATE TABLE effect (key TEXT PRIMARY KEY, saga INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;";

/// What is asked under one key takes effect once: that is what a History is for.
const TAKE_EFFECT: &str =
    "INSERT INTO effect (key, saga, at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";

/// A request, and who waits for its answer.
struct Asked {
    saga: usize,
    key: String,
    /// When it had come, in microseconds since the start of the run.
    began: u64,
    written: oneshot::Sender<()>,
}

/// The services of a run.
pub struct Services {
    /// Of each, in their order.
    pub urls: Vec<String>,
    files: Vec<PathBuf>,
    start: Instant,
    served: Vec<tokio::task::JoinHandle<()>>,
    writing: Vec<JoinHandle<anyhow::Result<()>>>,
}

/// What one of them did in a run.
#[derive(Debug, Default)]
pub struct Done {
    pub requests: u64,
    pub effects: u64,
    /// By saga: how often it took effect, and when first, in microseconds since the start of the run.
    pub of_sagas: Vec<(u32, u64)>,
    /// Most requests that were under way at one moment.
    pub most_at_once: u32,
}

impl Services {
    /// Starts them, with their files in this folder. Times count from `start`.
    pub async fn start(folder: &Path, start: Instant) -> anyhow::Result<Self> {
        let mut all = Self { urls: vec![], files: vec![], start, served: vec![], writing: vec![] };
        for (n, name) in SERVICES.iter().enumerate() {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            all.urls.push(format!("http://{}", listener.local_addr()?));
            let file = folder.join(format!("{name}.db"));
            let sqlite = Sqlite::open(&file)?;
            sqlite.execute_batch(TABLES)?;
            let (ask, asked) = mpsc::channel(WAITING);
            all.files.push(file);
            let takes = if n == PRINTER { PRINTS_FOR } else { Duration::ZERO };
            all.served.push(tokio::spawn(serve(listener, start, takes, ask)));
            all.writing.push(std::thread::spawn(move || write(sqlite, asked, start)));
        }
        Ok(all)
    }

    /// When the run began, as all times count.
    pub fn now_us(&self) -> u64 {
        micros(self.start)
    }

    /// How long after that a moment was.
    pub fn since_start(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.start)
    }

    /// What each of them has in its file, of so many sagas.
    pub fn done(&self, sagas: usize) -> anyhow::Result<Vec<Done>> {
        anyhow::ensure!(
            !self.writing.iter().any(JoinHandle::is_finished),
            "a service could not write its History"
        );
        self.files.iter().map(|file| read(file, sagas)).collect()
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.served.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
}

/// Answers until the runtime ends.
async fn serve(listener: TcpListener, start: Instant, takes: Duration, ask: mpsc::Sender<Asked>) {
    while let Ok((stream, _)) = listener.accept().await {
        let ask = ask.clone();
        tokio::spawn(async move {
            let Ok(mut connection) = Connection::new(stream) else { return };
            while let Ok(Some(request)) = connection.read().await {
                let began = micros(start);
                let named = saga_number(&request.body).zip(key_of(&request.head));
                // What names no saga and no key asks for no effect.
                if let Some((saga, key)) = named {
                    if !takes.is_zero() {
                        tokio::time::sleep(takes).await;
                    }
                    let (written, is_written) = oneshot::channel();
                    let key = key.to_owned();
                    if ask.send(Asked { saga, key, began, written }).await.is_err()
                        || is_written.await.is_err()
                    {
                        return;
                    }
                }
                if connection.send(ANSWER).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// The key that a request is made under.
fn key_of(head: &str) -> Option<&str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let (_, key) = lines.find(|(name, _)| name.eq_ignore_ascii_case("idempotency-key"))?;
    Some(key.trim())
}

/// Writes what waits, all of it at once, until nobody asks any more.
fn write(mut file: Sqlite, mut asked: mpsc::Receiver<Asked>, start: Instant) -> anyhow::Result<()> {
    let mut group = Vec::with_capacity(GROUP);
    while asked.blocking_recv_many(&mut group, GROUP) > 0 {
        let transaction = file.transaction()?;
        let mut request = transaction
            .prepare_cached("INSERT INTO request (saga, began, ended) VALUES (?1, ?2, ?3)")?;
        let mut effect = transaction.prepare_cached(TAKE_EFFECT)?;
        let now = micros(start).cast_signed();
        for Asked { saga, key, began, .. } in &group {
            let saga = i64::try_from(*saga)?;
            request.execute(params![saga, began.cast_signed(), now])?;
            effect.execute(params![key, saga, now])?;
        }
        drop((request, effect));
        transaction.commit()?;
        for one in group.drain(..) {
            let _ = one.written.send(()); // the node may have hung up
        }
    }
    Ok(())
}

fn read(file: &Path, sagas: usize) -> anyhow::Result<Done> {
    let file = Sqlite::open(file)?;
    let mut done = Done { of_sagas: vec![(0, 0); sagas], ..Done::default() };
    let mut effects = file.prepare("SELECT saga, count(*), min(at) FROM effect GROUP BY saga")?;
    let mut rows = effects.query([])?;
    while let Some(row) = rows.next()? {
        let (saga, times, at): (i64, u32, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let of = done.of_sagas.get_mut(usize::try_from(saga)?).context("an unknown saga")?;
        *of = (times, at.cast_unsigned());
        done.effects += u64::from(times);
    }
    let mut requests = file.prepare("SELECT began, ended FROM request")?;
    let spans = requests.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let spans: Vec<(i64, i64)> = spans.collect::<Result<_, _>>()?;
    done.requests = spans.len() as u64;
    done.most_at_once = most_at_once(&spans);
    Ok(done)
}

/// Of spans from their beginning to their end, most that have a moment in common.
fn most_at_once(spans: &[(i64, i64)]) -> u32 {
    // One that begins at the moment at which another ends came after its answer.
    let mut turns: Vec<(i64, i32)> = spans.iter().flat_map(|(b, e)| [(*b, 1), (*e, -1)]).collect();
    turns.sort_unstable();
    let (mut now, mut most) = (0, 0);
    for (_, turn) in turns {
        now += turn;
        most = most.max(now);
    }
    most.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_overlap_are_seen_and_those_that_follow_each_other_are_not() {
        assert_eq!(most_at_once(&[(0, 5), (5, 9), (10, 12)]), 1);
        assert_eq!(most_at_once(&[(0, 5), (4, 9), (8, 12)]), 2);
        assert_eq!(most_at_once(&[]), 0);
    }

    #[test]
    fn keys_are_told_apart_whatever_the_case_of_their_header() {
        let one = key_of("POST / HTTP/1.1\r\nIdempotency-Key: \"a\"\r\n");
        assert_eq!(one, key_of("POST / HTTP/1.1\r\nidempotency-key: \"a\""));
        assert_eq!((one, key_of("POST / HTTP/1.1\r\nhost: x")), (Some("\"a\""), None));
    }

    /// As the services of a run do it, without their doors.
    #[test]
    fn what_is_asked_under_one_key_takes_effect_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("one.db");
        let file = Sqlite::open(&path).expect("opens");
        file.execute_batch(TABLES).expect("makes");
        let (ask, asked) = mpsc::channel(8);
        for (saga, key) in [(0, "a"), (0, "a"), (1, "b"), (1, "c")] {
            let (written, _) = oneshot::channel();
            let asked = Asked { saga, key: key.to_owned(), began: 1, written };
            ask.try_send(asked).map_err(drop).expect("room");
        }
        drop(ask);
        write(file, asked, Instant::now()).expect("writes");
        let done = read(&path, 3).expect("reads");
        let times: Vec<u32> = done.of_sagas.iter().map(|(times, _)| *times).collect();
        assert_eq!((times, done.requests, done.effects), (vec![1, 2, 0], 4, 3));
    }
}
