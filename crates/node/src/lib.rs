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
//!               (Adopt | Letters)                                             (GiveBack)
//! ```
//!
//! **How to drive it.** Call [`Node::need`] and do what it says, until it says [`Need::Sleep`]; then wait for an input,
//! a result or the moment, hand it in, and call it again. One of `Load`, `Open`, `Lookup`, `Commit`, `Adopt` and
//! `Letters` is under way at a time, and each is answered by one [`Node::done`]. Times may repeat, and a time that goes
//! back counts as the latest one known.
//!
//! **A store that several nodes share** comes in partitions. The driver says what this node holds of them
//! ([`Node::claimed`], at any time); what it does not hold is not touched: inputs about it are left as letters for
//! whoever holds it, and so is what still comes of its effects. A partition begins with what was left for it.
//!
//! INVARIANT: nothing of a turn leaves the node before its writes are durable. A failed commit is followed by nothing:
//! the engine is thrown away and loaded from the store.

mod effect;
mod holdings;
mod line;
mod need;
mod node;
mod queue;
mod refused;
mod settings_seen;

pub use effect::{EffectId, EffectResult, LaunchedEffect};
pub use line::{JUMP_MS, Jump, Line, STRIDE_MS};
pub use need::{Done, Fault, Need, Released, StoreFault, TurnedAway};
pub use node::{Node, NodeOptions};
pub use queue::NotTaken;
