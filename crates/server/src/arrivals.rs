//! Inputs on their way to the loop: those who ask put them in, each source into a line of its own, and the loop takes
//! them out in turns.

use crate::fair_queue::{FairQueue, NoRoom};
use crate::source::Source;
use amends_engine::{Answer, Input};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, oneshot};

/// An input, and who waits for the answer. A reply that is dropped says that nothing was taken.
pub(crate) struct Arrival {
    pub(crate) input: Input,
    pub(crate) reply: oneshot::Sender<Answer>,
}

/// Inputs that wait for the loop, each source's in a line of its own; clones are the same queue.
#[derive(Clone)]
pub(crate) struct Arrivals(Arc<Waiting>);

struct Waiting {
    queue: Mutex<Queue>,
    came: Notify,
}

struct Queue {
    lines: FairQueue<Source, Arrival>,
    is_closed: bool,
}

/// Why an input can't wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    NoRoom(NoRoom),
    /// The loop takes nothing more.
    Closed,
}

impl Arrivals {
    /// A queue for at most so many, and its other side.
    pub(crate) fn open(most: usize) -> (Self, ArrivalsOfLoop) {
        let queue = Queue { lines: FairQueue::new(most), is_closed: false };
        let arrivals = Self(Arc::new(Waiting { queue: Mutex::new(queue), came: Notify::new() }));
        (arrivals.clone(), ArrivalsOfLoop(arrivals))
    }

    /// Puts one into its source's line.
    pub(crate) fn send(&self, source: &Source, arrival: Arrival) -> Result<(), NotTaken> {
        let mut queue = self.queue();
        if queue.is_closed {
            return Err(NotTaken::Closed);
        }
        queue.lines.push(source, arrival).map_err(NotTaken::NoRoom)?;
        drop(queue);
        self.0.came.notify_one();
        Ok(())
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.queue().lines.len()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arrivals").field("waiting", &self.len()).finish()
    }
}

/// The one who takes them out. Once it is gone nobody waits: the replies are dropped.
pub(crate) struct ArrivalsOfLoop(Arrivals);

impl ArrivalsOfLoop {
    /// The next one, if one waits.
    pub(crate) fn try_recv(&mut self) -> Option<Arrival> {
        self.0.queue().lines.pop()
    }

    /// The next one. May be given up at any time; nothing is lost by it.
    pub(crate) async fn recv(&mut self) -> Arrival {
        loop {
            if let Some(arrival) = self.try_recv() {
                return arrival;
            }
            self.0.0.came.notified().await;
        }
    }

    /// Nothing more comes in; what waits can still be taken.
    pub(crate) fn close(&mut self) {
        self.0.queue().is_closed = true;
    }
}

impl Drop for ArrivalsOfLoop {
    fn drop(&mut self) {
        self.close();
        let left = self.0.queue().lines.drain();
        drop(left); // not under the lock: whoever waited may look at the queue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival() -> (Arrival, oneshot::Receiver<Answer>) {
        let (reply, answer) = oneshot::channel();
        (Arrival { input: Input::Tick, reply }, answer)
    }

    #[tokio::test]
    async fn whoever_waits_is_told_when_nobody_takes_any_more() {
        let (arrivals, mut of_loop) = Arrivals::open(10);
        let (first, _answer) = arrival();
        arrivals.send(&Source::Outcomes("".into()), first).expect("room");
        assert!(matches!(of_loop.recv().await.input, Input::Tick));
        let (second, answer) = arrival();
        arrivals.send(&Source::Outcomes("".into()), second).expect("room");
        of_loop.close();
        let (third, _) = arrival();
        assert_eq!(arrivals.send(&Source::Outcomes("".into()), third), Err(NotTaken::Closed));
        assert_eq!(arrivals.len(), 1, "what came before the end can still be taken");
        drop(of_loop);
        assert!(answer.await.is_err() && arrivals.len() == 0);
    }

    #[tokio::test]
    async fn who_waits_for_the_next_one_hears_of_it() {
        let (arrivals, mut of_loop) = Arrivals::open(10);
        let taker = tokio::spawn(async move { of_loop.recv().await.input });
        tokio::task::yield_now().await;
        let (one, _answer) = arrival();
        arrivals.send(&Source::Strangers, one).expect("room");
        assert!(matches!(taker.await.expect("no fault"), Input::Tick));
    }
}
