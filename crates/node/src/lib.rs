//! The supervisor's loop as a state machine without IO: it takes inputs, says what it needs of a store, and gives out
//! what may be done once that is durable.
//!
//! No clock, no thread, no channel, no database: whoever drives it hands in the time and performs what it needs. The
//! server drives it with tokio (`shell.rs`), a simulator with a clock that is a number.
//!
//! ```text
//!  take(input), ended(effect, result), lost(effect), stop()      at any time
//!         │
//!         ▼
//!  need(now) ─▶ Load | Open | Lookup | Commit ── done(now, …) ─▶ need(now) ─▶ Release | TurnAway | Sleep | End
//! ```
//!
//! **How to drive it.** Call [`Node::need`] and do what it says, until it says [`Need::Sleep`]; then wait for an input,
//! a result or the moment, hand it in, and call it again. One of `Load`, `Open`, `Lookup` and `Commit` is under way at
//! a time, and each is answered by one [`Node::done`]. Times may repeat, and a time that goes back counts as the latest
//! one known.
//!
//! INVARIANT: nothing of a turn leaves the node before its writes are durable. A failed commit is followed by nothing:
//! the engine is thrown away and loaded from the store.

mod effect;
mod line;
mod need;
mod node;
mod queue;

pub use effect::{EffectId, EffectResult, LaunchedEffect};
pub use line::{JUMP_MS, Jump, Line, STRIDE_MS};
pub use need::{Done, Fault, Need, Released, StoreFault, TurnedAway};
pub use node::{Node, NodeOptions};
pub use queue::NotTaken;
