//! Where in the work of an action a failure may strike, and what may have happened in its saga by then. The one model
//! of this: `check`, `derive`, the matrix, comparisons and the simulated play ask it. Knows nothing of rules.
//!
//! It speaks of *calls*, not of actions: one that is called on two ways, or twice, may have happened on one of them and
//! not on the other. What a report says of calls it says of those that its own action made, directly or through others.

mod both_ways;
mod place;
mod state;

pub use both_ways::called_both_ways;
pub use place::Place;
pub use state::{NeededStep, SagaState};
pub(crate) use state::{callers, is_caller};
