//! Plays the sagas of a rulebook with failures in every place, through the real engine, and finds what is left behind.
//!
//! Pure: no clock, no randomness (a seed is an argument), no IO. The supervisor is the production engine; the services
//! are models of the service kit: History, fence, once-only effects, reports with evidence and causes. What the model
//! takes for granted is written in `docs/concepts/simulation.md`. It proves nothing about services that break these rules.

pub mod agreement;
mod business;
mod check;
mod choices;
mod fault;
mod flow;
pub mod growth;
pub mod made_up;
pub mod oracle;
mod play;
mod proof;
mod schedule;
mod seeded_rng;
mod simulation;
mod slots;
mod story;
mod supervisor;
mod upgrade;
mod verdict;

pub use check::check_by_proof;
pub use fault::{Code, Fault, FaultKind, faults_of};
pub use flow::{Flow, Invocation, NODES_LIMIT, flows};
pub use proof::{NotProved, PLAYS_LIMIT, Proof, has_at_most, prove};
pub use schedule::{Disturbance, Order, Schedule, Spacing};
pub use seeded_rng::SeededRng;
pub use simulation::{Counterexample, Options, Simulation, simulate};
pub use upgrade::{PreviewGroup, PreviewQuestions, Previewed, UpgradePreview};
pub use verdict::{Finding, Leftover};
