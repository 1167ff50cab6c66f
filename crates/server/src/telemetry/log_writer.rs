//! Log lines on their way to standard error: written by a thread of their own, so that a reader who stops reading stops
//! nothing. What has no room meanwhile is dropped and counted, and told once lines can be written again.

use crate::withheld::{Withheld, without_credentials};
use amends_api::plain::{REPLACEMENT, steers_line};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Lines that wait, in bytes: some thousand, which is seconds of a busy supervisor.
const ROOM: usize = 1 << 20;

/// What no line shows: one process has one configuration.
static WITHHELD: OnceLock<Withheld> = OnceLock::new();

/// Lines dropped since the process began.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// A way to write lines without waiting; clones are the same one.
#[derive(Clone, Debug)]
pub struct LogWriter {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    has_lines: Condvar,
    is_empty: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// Dropped, and not told yet.
    dropped: u64,
    is_writing: bool,
}

impl LogWriter {
    /// The one of this process's standard error. Its thread begins with the first call.
    #[must_use]
    pub fn of_stderr() -> Self {
        static STDERR: OnceLock<LogWriter> = OnceLock::new();
        STDERR.get_or_init(|| Self::to(io::stderr())).clone()
    }

    /// No line of this process shows any of these values from now on.
    pub(crate) fn withhold(values: &Withheld) {
        // Of several supervisors in one process, which only tests have, the first one's.
        let _ = WITHHELD.set(values.clone());
    }

    fn to(out: impl Write + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let ours = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("log".to_owned());
        // Without a thread all lines are dropped and counted: logging is never a reason to fail.
        let _ = thread.spawn(move || ours.write_for_ever(out));
        Self { shared }
    }

    /// Waits until everything is written, but not longer than `patience`: for the end of the process.
    pub fn finish(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut queue = self.shared.lock();
        while !queue.lines.is_empty() || queue.is_writing {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.shared.is_empty.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Lines that this process has dropped.
pub(crate) fn lines_dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_for_ever(&self, mut out: impl Write) {
        loop {
            let mut queue = self.lock();
            while queue.lines.is_empty() {
                queue.is_writing = false;
                self.is_empty.notify_all();
                queue = self.has_lines.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            queue.is_writing = true;
            let lines = std::mem::take(&mut queue.lines);
            let dropped = std::mem::take(&mut queue.dropped);
            drop(queue);
            for line in lines {
                // A reader that is gone for good can't be told either.
                let _ = out.write_all(&line);
                self.lock().bytes -= line.len();
            }
            let _ = out.flush();
            if dropped > 0 {
                tracing::warn!(
                    lines = dropped,
                    "{dropped} log lines were dropped: nobody read standard error"
                );
            }
        }
    }
}

impl Write for LogWriter {
    /// Takes a whole line or nothing of it, and never waits.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = line.len();
        let line = &*without_secrets(line);
        let line = &*without_marks(line);
        let mut queue = self.shared.lock();
        // A line longer than all room still goes out when nothing else waits.
        if queue.bytes > 0 && queue.bytes + line.len() > ROOM {
            queue.dropped += 1;
            DROPPED.fetch_add(1, Ordering::Relaxed);
        } else {
            queue.bytes += line.len();
            queue.lines.push_back(line.into());
            self.shared.has_lines.notify_one();
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// In one piece: what `writeln!` would write piece by piece, another thread's line could come in between.
    fn write_fmt(&mut self, line: fmt::Arguments<'_>) -> io::Result<()> {
        self.write_all(line.to_string().as_bytes())
    }
}

/// A line without what is never shown, and without credentials of strangers.
fn without_secrets(line: &[u8]) -> Cow<'_, [u8]> {
    let hidden = WITHHELD.get().and_then(|withheld| withheld.hidden(line));
    let line = hidden.map_or(Cow::Borrowed(line), Cow::Owned);
    let text = std::str::from_utf8(&line).map(without_credentials);
    match text {
        Ok(Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
        Ok(Cow::Borrowed(_)) | Err(_) => line,
    }
}

/// A line without what turns its direction or ends it early for some viewers; control characters of strangers' texts
/// are escaped where the line is made.
fn without_marks(line: &[u8]) -> Cow<'_, [u8]> {
    let text = match std::str::from_utf8(line) {
        Ok(text) if text.contains(steers_line) => text,
        Ok(_) | Err(_) => return Cow::Borrowed(line),
    };
    let plain: String =
        text.chars().map(|c| if steers_line(c) { REPLACEMENT } else { c }).collect();
    Cow::Owned(plain.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Generous: it only matters when a test fails.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A reader that reads nothing until `go` is dropped.
    struct Stopped {
        go: mpsc::Receiver<()>,
        read: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Stopped {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.go.recv();
            self.read.lock().expect("not poisoned").extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_keeps_its_direction_and_its_end() {
        let line = "no card \u{202e}txt\u{2028}FAKE 가\n".as_bytes();
        assert_eq!(&*without_marks(line), "no card \u{fffd}txt\u{fffd}FAKE 가\n".as_bytes());
        assert!(matches!(without_marks("ü\n".as_bytes()), Cow::Borrowed(_)));
    }

    #[test]
    fn nothing_comes_in_between_the_pieces_of_a_line() {
        /// Keeps every piece that is written apart from the others.
        struct Pieces(mpsc::Sender<String>);
        impl Write for Pieces {
            fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
                let _ = self.0.send(String::from_utf8_lossy(piece).into_owned());
                Ok(piece.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (pieces, written) = mpsc::channel();
        let mut writer = LogWriter::to(Pieces(pieces));
        let (host, port) = ("127.0.0.1", 7_100);
        writeln!(writer, "listening on http://{host}:{port}").expect("never an error");
        writer.finish(PATIENCE);
        assert_eq!(written.recv().as_deref(), Ok("listening on http://127.0.0.1:7100\n"));
    }

    #[test]
    fn who_logs_never_waits_for_who_reads() {
        let (go, wait) = mpsc::channel();
        let read = Arc::<Mutex<Vec<u8>>>::default();
        let mut writer = LogWriter::to(Stopped { go: wait, read: Arc::clone(&read) });
        let line = [b'x'; 1_024];
        let before = lines_dropped();
        for _ in 0..4_096 {
            writer.write_all(&line).expect("never an error");
        }
        let dropped = lines_dropped() - before;
        assert!((3_000..4_096).contains(&dropped), "4 MiB into 1 MiB: {dropped}");
        writer.finish(Duration::from_millis(1)); // it gives up
        drop(go);
        writer.finish(PATIENCE);
        let kept = read.lock().expect("not poisoned").len();
        assert_eq!(kept, (4_096 - usize::try_from(dropped).expect("small")) * line.len());
    }
}
