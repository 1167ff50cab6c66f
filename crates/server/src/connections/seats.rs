//! Seats for connections: so many at most. When all are taken, a newcomer gets the seat of whoever has kept one longest
//! without asking for anything. Whoever is being answered keeps its seat.

use rustc_hash::FxHashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How long a connection that never asked for anything keeps its seat against a newcomer: a head on a bad line is there
/// by then.
const SILENT: Duration = Duration::from_secs(1);
/// The same for one that has asked before and may ask again: its client would rather not meet the closing.
const IDLE: Duration = Duration::from_secs(5);
/// How often a newcomer looks again for somebody to unseat.
const LOOK: Duration = Duration::from_millis(100);

/// All seats of one door.
#[derive(Debug)]
pub(super) struct Seats {
    free: Arc<Semaphore>,
    taken: Mutex<FxHashMap<u64, Arc<Seat>>>,
    numbers: AtomicU64,
    began: Instant,
}

/// One connection's seat, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) seat: Arc<Seat>,
    seats: Arc<Seats>,
    _permit: OwnedSemaphorePermit,
}

/// What is known of a connection.
#[derive(Debug)]
pub(super) struct Seat {
    number: u64,
    began: Instant,
    /// Milliseconds after `began` since when it has not asked for anything; [`ANSWERED`] while it is being answered.
    silent_since: AtomicU64,
    has_asked: AtomicBool,
    is_unseated: AtomicBool,
    unseated: Notify,
}

const ANSWERED: u64 = u64::MAX;

impl Seats {
    pub(super) fn new(seats: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(seats.min(Semaphore::MAX_PERMITS))),
            taken: Mutex::default(),
            numbers: AtomicU64::new(0),
            began: Instant::now(),
        })
    }

    /// A seat, if one is free.
    pub(super) fn try_take(self: &Arc<Self>) -> Option<Taken> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        Some(self.give(permit))
    }

    /// A seat as soon as one is free or can be freed; none after `patience`.
    pub(super) async fn take(self: &Arc<Self>, patience: Duration) -> Option<Taken> {
        let freed = async {
            let mut free = std::pin::pin!(Arc::clone(&self.free).acquire_owned());
            loop {
                match tokio::time::timeout(LOOK, free.as_mut()).await {
                    Ok(permit) => return permit.ok(),
                    Err(_) => self.unseat_one(),
                }
            }
        };
        self.unseat_one();
        let permit = tokio::time::timeout(patience, freed).await.ok().flatten()?;
        Some(self.give(permit))
    }

    fn give(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Taken {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let seat = Arc::new(Seat {
            number,
            began: self.began,
            silent_since: AtomicU64::new(ms_since(self.began)),
            has_asked: AtomicBool::new(false),
            is_unseated: AtomicBool::new(false),
            unseated: Notify::new(),
        });
        self.lock().insert(number, Arc::clone(&seat));
        Taken { seat, seats: Arc::clone(self), _permit: permit }
    }

    /// Asks one connection to go that has been silent for long enough: first who never asked, then who asked longest
    /// ago.
    fn unseat_one(&self) {
        let now = ms_since(self.began);
        let taken = self.lock();
        let candidate = taken.values().filter_map(|seat| {
            let since = seat.silent_since.load(Ordering::Acquire);
            let has_asked = seat.has_asked.load(Ordering::Relaxed);
            let grace = if has_asked { IDLE } else { SILENT };
            let is_due = since != ANSWERED && now.saturating_sub(since) >= ms(grace);
            let may_go = is_due && !seat.is_unseated.load(Ordering::Relaxed);
            may_go.then_some((has_asked, since, seat))
        });
        if let Some((_, _, seat)) =
            candidate.min_by_key(|(has_asked, since, _)| (*has_asked, *since))
        {
            seat.is_unseated.store(true, Ordering::Relaxed);
            seat.unseated.notify_one();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, FxHashMap<u64, Arc<Seat>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.seats.lock().remove(&self.seat.number);
    }
}

impl Seat {
    /// It asks for something and is to be answered.
    pub(super) fn asks(&self) {
        self.has_asked.store(true, Ordering::Relaxed);
        self.silent_since.store(ANSWERED, Ordering::Release);
    }

    /// It has been answered.
    pub(super) fn is_answered(&self) {
        self.silent_since.store(ms_since(self.began), Ordering::Release);
    }

    /// Returns when it is to go. Never while it is being answered.
    pub(super) async fn unseated(&self) {
        loop {
            self.unseated.notified().await;
            if self.silent_since.load(Ordering::Acquire) != ANSWERED {
                return;
            }
            // It asked at the last moment; another one may be asked to go.
            self.is_unseated.store(false, Ordering::Relaxed);
        }
    }
}

fn ms_since(began: Instant) -> u64 {
    ms(began.elapsed())
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Generous: the clock of these tests only moves when nothing else can.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn who_never_asked_goes_before_who_asked_and_who_is_answered_stays() {
        let seats = Seats::new(3);
        let take = || seats.try_take().expect("a free seat");
        let (asked, silent, busy) = (take(), take(), take());
        asked.seat.asks();
        asked.seat.is_answered();
        busy.seat.asks();
        assert!(seats.try_take().is_none());

        let newcomer = {
            let (seats, leaves) = (Arc::clone(&seats), silent);
            tokio::spawn(async move {
                leaves.seat.unseated().await;
                drop(leaves);
            });
            tokio::spawn(async move { seats.take(PATIENCE).await })
        };
        let first = newcomer.await.expect("no fault").expect("the silent one goes");
        first.seat.asks();
        let next = {
            let (seats, leaves) = (Arc::clone(&seats), asked);
            tokio::spawn(async move {
                leaves.seat.unseated().await;
                drop(leaves);
            });
            tokio::spawn(async move { seats.take(PATIENCE).await })
        };
        let second = next.await.expect("no fault").expect("then the idle one");
        second.seat.asks();
        assert!(seats.take(PATIENCE).await.is_none(), "all others are being answered");
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_at_the_last_moment_keeps_its_seat() {
        let seats = Seats::new(1);
        let only = seats.try_take().expect("a free seat");
        tokio::time::advance(SILENT).await;
        seats.unseat_one();
        only.seat.asks();
        let gone = tokio::time::timeout(SILENT, only.seat.unseated()).await;
        assert!(gone.is_err(), "it is being answered");
        only.seat.is_answered();
        tokio::time::advance(IDLE).await;
        seats.unseat_one();
        only.seat.unseated().await;
    }
}
