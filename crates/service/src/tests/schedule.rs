//! All schedules of a few tasks, one after the other: depth first over every choice, without randomness. Polls by hand, so
//! a schedule is a list of numbers and can be played again.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// More schedules than this are a mistake in the scenario, not a proof.
const SCHEDULES_LIMIT: u64 = 3_000_000;

/// The choices of one schedule: those that are given, then always the first.
#[derive(Clone, Default)]
pub struct Choices {
    path: Rc<RefCell<Path>>,
}

#[derive(Default)]
struct Path {
    /// What was chosen, of how many.
    chosen: Vec<(usize, usize)>,
    next: usize,
}

impl Choices {
    /// One of `0..of`.
    pub fn choose(&self, of: usize) -> usize {
        assert!(of > 0, "nothing to choose from");
        let mut path = self.path.borrow_mut();
        let next = path.next;
        path.next += 1;
        match path.chosen.get(next) {
            Some(&(choice, before)) => {
                assert_eq!(
                    of, before,
                    "the same choices lead elsewhere: the schedule isn't deterministic"
                );
                choice
            }
            None => {
                path.chosen.push((0, of));
                0
            }
        }
    }

    /// Moves on to the next schedule, if there is one.
    fn advance(&self) -> bool {
        let mut path = self.path.borrow_mut();
        path.next = 0;
        while let Some((choice, of)) = path.chosen.pop() {
            if choice + 1 < of {
                path.chosen.push((choice + 1, of));
                return true;
            }
        }
        false
    }

    fn played(&self) -> Vec<usize> {
        self.path.borrow().chosen.iter().map(|(choice, _)| *choice).collect()
    }
}

/// Plays every schedule; gives their number. A panic is told with the choices that led to it.
pub fn explore(what: &str, mut play: impl FnMut(&Choices)) -> u64 {
    let choices = Choices::default();
    let mut count = 0;
    loop {
        count += 1;
        assert!(count <= SCHEDULES_LIMIT, "{what}: more than {SCHEDULES_LIMIT} schedules");
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play(&choices)));
        if let Err(panic) = played {
            eprintln!("{what}: schedule {count} broke a promise: {:?}", choices.played());
            std::panic::resume_unwind(panic);
        }
        if !choices.advance() {
            return count;
        }
    }
}

/// A task that is polled by hand.
pub struct Task<T> {
    pub future: Pin<Box<dyn Future<Output = T>>>,
    /// The process that it runs in.
    pub process: usize,
    /// The number of releases at which it found its way blocked.
    blocked_at: Option<u64>,
}

impl<T> Task<T> {
    pub fn new(process: usize, future: impl Future<Output = T> + 'static) -> Self {
        Self { future: Box::pin(future), process, blocked_at: None }
    }
}

/// What a poll of a task has to say about its way, from the store.
pub trait Ways {
    /// Whether the task that was polled just now waits for another one; asking takes the answer away.
    fn take_blocked(&self) -> bool;
    /// How often somebody made way.
    fn releases(&self) -> u64;
}

/// What may happen to the processes, once, between any two polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// Nothing.
    None,
    /// The first process dies: its tasks are dropped, and nothing that it had not committed is there.
    Crash,
    /// The first process is taken for dead, and goes on all the same.
    Mistaken,
    /// So it is from the start.
    MistakenAtOnce,
}

/// Runs the tasks to their ends in the order that the choices say. A task that the mishap ended gives `None`.
pub fn run<T>(
    choices: &Choices,
    ways: &impl Ways,
    tasks: Vec<Task<T>>,
    mishap: Mishap,
    strike: impl Fn(),
) -> Vec<Option<T>> {
    let mut ended: Vec<Option<T>> = tasks.iter().map(|_| None).collect();
    let mut tasks: Vec<Option<Task<T>>> = tasks.into_iter().map(Some).collect();
    let mut may_strike = matches!(mishap, Mishap::Crash | Mishap::Mistaken);
    if mishap == Mishap::MistakenAtOnce {
        strike();
    }
    loop {
        let free = |task: &Task<T>| task.blocked_at.is_none_or(|at| at != ways.releases());
        let runnable: Vec<usize> =
            (0..tasks.len()).filter(|n| tasks[*n].as_ref().is_some_and(free)).collect();
        if runnable.is_empty() {
            assert!(tasks.iter().all(Option::is_none), "the tasks wait for each other");
            return ended;
        }
        let choice = choices.choose(runnable.len() + usize::from(may_strike));
        let Some(&number) = runnable.get(choice) else {
            may_strike = false;
            if mishap == Mishap::Crash {
                for task in &mut tasks {
                    if task.as_ref().is_some_and(|task| task.process == 0) {
                        *task = None;
                    }
                }
            }
            strike();
            continue;
        };
        let Some(task) = &mut tasks[number] else { continue };
        task.blocked_at = None;
        match task.future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => {
                ended[number] = Some(value);
                tasks[number] = None;
            }
            Poll::Pending if ways.take_blocked() => task.blocked_at = Some(ways.releases()),
            Poll::Pending => {}
        }
    }
}

/// Runs one future to its end, alone.
pub fn alone<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    // Longer than any transaction of the kit.
    for _ in 0..10_000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
    panic!("it waits for something that never comes");
}

/// Lets others go first, once.
pub async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|_| match std::mem::replace(&mut paused, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}
