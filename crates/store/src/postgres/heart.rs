//! Shows once a second that this node lives, on a connection and a thread of its own: neither a long commit nor a busy
//! loop makes it look dead.

use super::{
    lease::Me,
    session::{self, Session, breaks},
};
use crate::{Beat, StoreError, threads::Reply};
use sqlx::postgres::PgConnectOptions;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

const EVERY: Duration = Duration::from_secs(1);
/// A loop that has not asked for a beat for this long has no say any more.
const LOOP_LIMIT: Duration = Duration::from_secs(3);
/// Beats that may be asked for and not yet be answered.
const ASKED: usize = 16;

/// The asking side of the thread, which ends when this is dropped.
pub(super) struct Heart {
    asked: Option<mpsc::SyncSender<Reply<Beat>>>,
    settings_seen: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Heart {
    /// Starts the thread.
    pub(super) fn start(connects: PgConnectOptions, me: Me) -> io::Result<Self> {
        let (asked, orders) = mpsc::sync_channel(ASKED);
        let settings_seen = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&settings_seen);
        let beating = Beating { connects, me, session: None, offset_ms: None, settings_seen: seen };
        let thread = thread::Builder::new()
            .name("amends-beat".to_owned())
            .spawn(move || beating.run(&orders))?;
        Ok(Self { asked: Some(asked), settings_seen, thread: Some(thread) })
    }

    /// Each beat says from now on that this version of the settings is known, the first one at once.
    pub(super) fn saw_settings(&self, version: u64) {
        self.settings_seen.store(version, Relaxed);
        // Somebody waits for it. Full: as many beats are under way already.
        let (reply, _) = oneshot::channel();
        let _ = self.asked.as_ref().map(|asked| asked.try_send(reply));
    }

    /// Has it beat now.
    pub(super) async fn beat(&self) -> Result<Beat, StoreError> {
        let (reply, answer) = oneshot::channel();
        let asked = self.asked.as_ref().ok_or(StoreError::Closed)?;
        // Full: as many beats are under way already, and the database does not answer.
        asked.try_send(reply).map_err(|_| StoreError::TooSlow { seconds: ASKED as u64 })?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.asked = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Beating {
    connects: PgConnectOptions,
    me: Me,
    session: Option<Session>,
    /// As the last beat has measured it; the next one writes it down.
    offset_ms: Option<i64>,
    settings_seen: Arc<AtomicU64>,
}

impl Beating {
    fn run(mut self, asked: &mpsc::Receiver<Reply<Beat>>) {
        let (mut next, mut asked_at, mut failed) = (Instant::now(), None::<Instant>, false);
        loop {
            match asked.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(reply) => {
                    asked_at = Some(Instant::now());
                    let _ = reply.send(self.beat());
                }
                // Before the first one that is asked for, nobody's work is missed.
                Err(RecvTimeoutError::Timeout) if asked_at.is_none_or(is_recent) => {
                    let beaten = self.beat();
                    if let Err(error) = &beaten
                        && !failed
                    {
                        tracing::warn!(%error, "this node can't be shown as living; tried again every second");
                    }
                    failed = beaten.is_err();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            next = Instant::now() + EVERY;
        }
        if let Some(session) = self.session.take() {
            session.close();
        }
    }

    fn beat(&mut self) -> Result<Beat, StoreError> {
        let session = match self.session.take() {
            Some(session) => session,
            None => session::reach(&self.connects, "of the store", session::BEATING)?,
        };
        let beaten = self.me.beat_with(&session, self.offset_ms, self.settings_seen.load(Relaxed));
        if let Ok(beat) = &beaten {
            self.offset_ms = beat.offset_ms.or(self.offset_ms);
        }
        if !beaten.as_ref().is_err_and(breaks) {
            self.session = Some(session);
        }
        beaten
    }
}

fn is_recent(at: Instant) -> bool {
    at.elapsed() < LOOP_LIMIT
}
