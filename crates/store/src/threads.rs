//! A store as threads: one that writes and answers the loop, in the order of asking, and some that read for people.

use crate::{Batch, Committed, Partition, StoreError};
use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};
use tokio::sync::{mpsc, oneshot};

/// Where an answer goes. Nobody may be waiting any more; that changes nothing.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// Orders that may queue. The driver has one or two under way; the rest is upkeep.
const ORDERS: usize = 64;
/// Commits that share one transaction; more would let the first of them wait too long.
const GROUP: usize = 32;
/// Questions that may queue; whoever comes later waits for a place.
const QUESTIONS: usize = 256;

/// What works on the writing thread.
pub(crate) trait Writer: Sized + Send + 'static {
    /// Commits all, or those that can be, each whole or not at all. Whoever asked is answered.
    fn commit(&mut self, group: Vec<(Batch, Reply<Committed>)>);

    /// Ends the work, when nobody can ask any more.
    fn finish(self);
}

enum Order<W> {
    Commit(Batch, Reply<Committed>),
    Do(Box<dyn FnOnce(&mut W) + Send>),
}

/// The asking side of the writing thread. Dropped, it waits until all that was asked is done.
pub(crate) struct Writing<W> {
    orders: Option<mpsc::Sender<Order<W>>>,
    thread: Option<JoinHandle<()>>,
}

impl<W: Writer> Writing<W> {
    /// Starts the thread.
    pub(crate) fn start(writer: W) -> std::io::Result<Self> {
        let (orders, queue) = mpsc::channel(ORDERS);
        let thread = thread::Builder::new()
            .name("amends-write".to_owned())
            .spawn(move || obey_all(writer, queue))?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    /// Commits, after all that was asked before.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Order::Commit(batch, reply)).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Has something done on the thread, after all that was asked before. Once it is asked it is done, whether or not
    /// somebody still waits for it.
    pub(crate) async fn order<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut W) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let work = Box::new(move |writer: &mut W| {
            let _ = reply.send(work(writer));
        });
        self.send(Order::Do(work)).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    async fn send(&self, order: Order<W>) -> Result<(), StoreError> {
        let orders = self.orders.as_ref().ok_or(StoreError::Closed)?;
        orders.send(order).await.map_err(|_| StoreError::Closed)
    }
}

impl<W> Drop for Writing<W> {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Works until every sender is gone.
fn obey_all<W: Writer>(mut writer: W, mut orders: mpsc::Receiver<Order<W>>) {
    let mut next = orders.blocking_recv();
    while let Some(order) = next.take() {
        match order {
            Order::Do(work) => work(&mut writer),
            Order::Commit(batch, reply) => {
                let mut group = vec![(batch, reply)];
                while group.len() < GROUP {
                    match orders.try_recv() {
                        Ok(Order::Commit(batch, reply)) => group.push((batch, reply)),
                        Ok(other) => {
                            next = Some(other);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                writer.commit(group);
            }
        }
        if next.is_none() {
            next = orders.blocking_recv();
        }
    }
    writer.finish();
}

/// Writes a group together; if that fails, each alone: one of them is at fault, and the others must not suffer for it.
pub(crate) fn write_group(
    group: Vec<(Batch, Reply<Committed>)>,
    mut write: impl FnMut(&[&Batch]) -> Result<Committed, StoreError>,
) {
    let is_alone = group.len() == 1;
    let mut together = write(&group.iter().map(|(batch, _)| batch).collect::<Vec<_>>());
    for (batch, reply) in group {
        let written = match &together {
            Ok(Committed { lost, settings }) => {
                Ok(Committed { lost: of_batch(lost, &batch), settings: *settings })
            }
            Err(_) if is_alone => std::mem::replace(&mut together, Err(StoreError::Closed)),
            Err(_) => write(&[&batch]),
        };
        let _ = reply.send(written);
    }
}

/// What of it concerns one batch.
fn of_batch(lost: &[Partition], batch: &Batch) -> Vec<Partition> {
    let is_of_batch = |lost: &&Partition| batch.shares.iter().any(|s| s.partition == **lost);
    lost.iter().filter(is_of_batch).copied().collect()
}

/// A connection that only reads.
pub(crate) trait Reader: Send + 'static {
    /// What a question is asked of.
    type Snapshot;

    /// Lets all queries of a question see the same moment, and ends it when it takes too long.
    fn in_snapshot<T>(
        &mut self,
        question: impl FnOnce(&Self::Snapshot) -> Result<T, StoreError>,
    ) -> Result<T, StoreError>;
}

type Question<R> = Box<dyn FnOnce(&mut R) + Send>;

/// The asking side of a small pool of readers, each on its own thread. Dropped, it waits until all is answered.
pub(crate) struct Reading<R> {
    questions: Option<mpsc::Sender<Question<R>>>,
    threads: Vec<JoinHandle<()>>,
}

impl<R: Reader> Reading<R> {
    /// Starts a thread for each.
    pub(crate) fn start(readers: impl IntoIterator<Item = R>) -> std::io::Result<Self> {
        let (questions, queue) = mpsc::channel::<Question<R>>(QUESTIONS);
        let queue = Arc::new(Mutex::new(queue));
        let mut threads = Vec::new();
        for (mut reader, number) in readers.into_iter().zip(1..) {
            let queue = Arc::clone(&queue);
            let thread = thread::Builder::new()
                .name(format!("amends-read-{number}"))
                .spawn(move || answer_all(&mut reader, &queue))?;
            threads.push(thread);
        }
        Ok(Self { questions: Some(questions), threads })
    }

    /// Asks.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&R::Snapshot) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let boxed: Question<R> = Box::new(move |reader| {
            // Whoever asked may have gone while it queued.
            if !reply.is_closed() {
                let _ = reply.send(reader.in_snapshot(question));
            }
        });
        let questions = self.questions.as_ref().ok_or(StoreError::Closed)?;
        questions.send(boxed).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

impl<R> Drop for Reading<R> {
    fn drop(&mut self) {
        self.questions = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn answer_all<R: Reader>(reader: &mut R, queue: &Mutex<mpsc::Receiver<Question<R>>>) {
    loop {
        // The lock is held while waiting: whoever has it takes the next question, the others line up behind.
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        match next {
            Some(question) => question(reader),
            None => return,
        }
    }
}
