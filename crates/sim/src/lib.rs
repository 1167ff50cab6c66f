//! A supervisor, its store, its services and its people in one process without time: whole days are played from one
//! seed, everything that can fail fails somewhere, and a checker for each invariant of `ARCHITECTURE.md` looks on.
//!
//! It is a second shell over the node core that `amends serve` runs: same loop, same engine; only clock, store and
//! network are models. The same seed plays the same run to the last bit. It does no IO and proves nothing about HTTP,
//! SQL or tokio; `docs/internals/simulator.md` says what is modelled and what is not.

pub mod check;
mod event;
mod node_event;
mod play;
mod queue;
mod run;
pub mod scenario;
mod services;
mod shrink;
pub mod small;
pub mod stored;
pub mod story;
mod switches;
mod world;

pub use event::BEGINNING;
pub use play::{play, play_twice, tell};
pub use run::Run;
pub use shrink::shrink;
pub use switches::Switches;
