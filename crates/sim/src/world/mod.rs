//! One run from its first saga to its last timer: the services, the supervisor's process with its store, the people,
//! and the queue of events that moves them all. Nothing here waits, and nothing is random.

mod clock;
mod fleet;
mod nodes;
mod outside;
mod people;
mod process;
mod shared;
mod shell;
mod state;
mod under_way;
mod words;

pub(crate) use state::World;
