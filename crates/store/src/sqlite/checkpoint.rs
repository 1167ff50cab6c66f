//! Copies the WAL into the file without holding up commits: nearly all of it on a thread of its own.
//!
//! While the thread copies, the writer adds pages, so by itself it would never come to the end and the WAL would grow for
//! ever. So the writer copies the little that is left, between two commits: then the WAL starts over.

use super::{
    connection::{BUSY_TIMEOUT, open_checkpointer},
    scrub::{self, Scrubber},
};
use crate::StoreError;
use rusqlite::Connection;
use std::{
    cell::Cell,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Pages (of 4 KiB) in the WAL before it is copied: 16 MiB, little to read through after a crash.
const SOFT_PAGES: u32 = 4096;
/// Pages in the WAL from which on people are told that somebody holds on to it: 1 GiB; then at each doubling.
const HELD_PAGES: u32 = 1 << 18;
/// How long a commit with an erasure waits for whoever reads: questions of people take milliseconds.
const WIPE_WAIT: Duration = Duration::from_millis(200);
thread_local! {
    /// Pages in the WAL after the last commit of this thread, as SQLite tells it.
    static WAL_PAGES: Cell<u32> = const { Cell::new(0) };
}

/// The writer's side.
pub(crate) struct Checkpointer {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Set by the thread when it has copied what was there.
    copied: Arc<AtomicBool>,
    next_at: u32,
    /// Pages at which people are told next that the WAL grows.
    tell_at: u32,
    /// What was erased stands in the log or in gaps of the file still.
    wiping: bool,
    scrubber: Scrubber,
}

impl Checkpointer {
    /// Starts the thread and has `writer` count its WAL pages.
    pub(crate) fn start(path: &Path, writer: &Connection) -> Result<Self, StoreError> {
        let conn = open_checkpointer(path)?;
        // One wish may wait: a second would do the same work again.
        let (wake, wishes) = sync_channel::<()>(1);
        let copied = Arc::new(AtomicBool::new(false));
        let tell = Arc::clone(&copied);
        let thread = thread::Builder::new()
            .name("amends-checkpoint".to_owned())
            .spawn(move || {
                while wishes.recv().is_ok() {
                    checkpoint(&conn, "PASSIVE");
                    tell.store(true, Ordering::Release);
                }
            })
            .map_err(super::connection::file("start a thread for", path))?;
        writer.wal_hook(Some(|_, pages| {
            WAL_PAGES.set(u32::try_from(pages).unwrap_or(0));
            Ok(())
        }));
        let scrubber = Scrubber::open(path)?;
        let mut checkpointer = Self {
            wake: Some(wake),
            thread: Some(thread),
            copied,
            next_at: SOFT_PAGES,
            tell_at: HELD_PAGES,
            wiping: scrub::is_marked(writer)?,
            scrubber,
        };
        checkpointer.wipe_again(writer);
        Ok(checkpointer)
    }

    /// To be called on the writer's thread after a commit, once its answer is out.
    pub(crate) fn after_commit(&mut self, writer: &Connection) {
        let pages = WAL_PAGES.get();
        if pages >= self.tell_at {
            self.tell_at = self.tell_at.saturating_mul(2);
            let mib = pages / 256;
            tracing::warn!(
                mib,
                "the write-ahead log grows, because a reader of the store (a backup, another program) holds on to it; it is given back when the reader has gone"
            );
        } else if pages < SOFT_PAGES {
            self.tell_at = HELD_PAGES;
        }
        if self.copied.swap(false, Ordering::Acquire) {
            self.wipe_again(writer);
            checkpoint(writer, "PASSIVE");
            // If a reader holds on to the log, it doesn't start over: then the next copy waits for as much again.
            self.next_at = pages.saturating_add(SOFT_PAGES);
        } else if pages < SOFT_PAGES {
            self.next_at = SOFT_PAGES;
        } else if pages >= self.next_at {
            self.next_at = pages.saturating_add(SOFT_PAGES);
            if let Some(wake) = &self.wake {
                // Full means that a wish is waiting already.
                let _ = wake.try_send(());
            }
        }
    }

    /// Leaves nothing of what was erased in the log: it is put into the file and cut off. If somebody reads from it,
    /// that is tried again by [`wipe_again`](Self::wipe_again). On the writer's thread, before what was erased is
    /// answered.
    pub(crate) fn wipe(&mut self, writer: &Connection) {
        self.wiping = true;
        self.wipe_again(writer);
        if self.wiping {
            tracing::warn!(
                "what was erased is still in the write-ahead log, because a reader of the store (a backup, another program) holds on to it; it goes when the reader has gone"
            );
        }
    }

    /// Tries once more, if there is something to wipe.
    pub(crate) fn wipe_again(&mut self, writer: &Connection) {
        if !self.wiping {
            return;
        }
        // Commits must not wait for a reader.
        let truncated = writer.busy_timeout(WIPE_WAIT).and_then(|()| {
            writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
        });
        let restored = writer.busy_timeout(BUSY_TIMEOUT);
        match truncated.and_then(|busy| restored.map(|()| busy)) {
            Ok(0) => match self.scrubber.scrub(writer).and_then(|()| scrub::mark(writer, false)) {
                Ok(()) => self.wiping = false,
                Err(error) => {
                    tracing::warn!(%error, "what was erased could not be overwritten; it will be tried again");
                }
            },
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "the write-ahead log could not be cut off; it will be tried again");
            }
        }
    }

    /// Ends the thread and empties the WAL, so that the file alone holds everything.
    pub(crate) fn finish(&mut self, writer: &Connection) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        checkpoint(writer, "TRUNCATE");
    }
}

/// A failed checkpoint loses nothing: the WAL stays and is copied the next time.
fn checkpoint(conn: &Connection, mode: &str) {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    if let Err(error) = conn.query_row(&sql, [], |_| Ok(())) {
        tracing::warn!(%error, "the write-ahead log could not be copied into the store; it will be tried again");
    }
}
