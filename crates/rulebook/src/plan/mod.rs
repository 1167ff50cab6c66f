//! The planner: from what is known of a case to what is wanted of whom. There is no other; the engine, table tests,
//! explanations, comparisons and replays all ask it.
//!
//! Pure and timeless: that a report has waited long enough for its cause, that a retry was given up, what a person has
//! planned, all of it is data of [`CaseFacts`]. Who asks merges the wants into the steps that stand already.
//! `roles` decides how each report is answered, `demand` resolves what one rule asks for, `wants` makes the union.

mod demand;
mod facts;
mod fences;
mod past;
mod roles;
mod wants;

pub use demand::{Known, PlannedStep, fits};
pub use facts::{CaseFacts, ReportFacts, SUPERVISOR, Undoing};
pub use roles::{Reported, Role, roles};
pub use wants::{Hold, Plan, Want};
