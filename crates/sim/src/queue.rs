//! What happens when: the events of a run in the order of their times, and of their making where times are equal.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A queue of events with a clock that stands at the last one taken.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    now: i64,
    made: u64,
    heap: BinaryHeap<Reverse<Entry<E>>>,
}

#[derive(Debug)]
struct Entry<E> {
    at: i64,
    number: u64,
    event: E,
}

impl<E> Queue<E> {
    pub(crate) const fn new() -> Self {
        Self { now: 0, made: 0, heap: BinaryHeap::new() }
    }

    /// Milliseconds since the beginning of the run.
    pub(crate) const fn now(&self) -> i64 {
        self.now
    }

    /// Lets `event` happen so much later.
    pub(crate) fn after(&mut self, ms: u64, event: E) {
        self.at(self.now.saturating_add_unsigned(ms), event);
    }

    /// Lets `event` happen at a moment; at once if it has passed.
    pub(crate) fn at(&mut self, at: i64, event: E) {
        self.made += 1;
        self.heap.push(Reverse(Entry { at: at.max(self.now), number: self.made, event }));
    }

    /// When the next event happens.
    pub(crate) fn next_at(&self) -> Option<i64> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// The next event; the clock goes on to its time.
    pub(crate) fn pop(&mut self) -> Option<E> {
        let Reverse(entry) = self.heap.pop()?;
        self.now = entry.at;
        Some(entry.event)
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
