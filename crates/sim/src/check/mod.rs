//! What must never break, one checker each. A checker sees everything that passes between the supervisor, its store and
//! the world, keeps its own books, and says in one sentence what is wrong.
//!
//! The numbers are those of the table in `ARCHITECTURE.md`.

mod acknowledged;
mod ages;
mod answered;
mod callbacks;
mod ending;
mod fences;
mod first;
mod letters;
mod limits;
mod memory;
mod nodes;
mod parts;
mod plan;
mod proven;
mod refused;
mod requests;
mod rows;
mod seen;
mod settings;
#[cfg(test)]
mod tests;
mod time;
mod waiting;

pub use seen::{Check, End, Seen, Violation};

use crate::scenario::Scenario;
use crate::stored::Stored;
use amends_protocol::Timestamp;

/// The word that a run is filed under that differs from itself.
pub const DETERMINISTIC: &str = "8 deterministic";

/// Checkers that know the memory or the time of one supervisor, or limits that nodes do not share yet.
const OF_ONE: [&str; 13] = [
    "ages",
    "callbacks",
    "concurrency",
    "give up",
    "limit per minute",
    "memory as stored",
    "own answers",
    "paused",
    "reloads alike",
    "steps before readings",
    "time",
    "wall clock",
    "7 waiting",
];

/// All checkers, and the first finding.
pub struct Checks {
    all: Vec<Box<dyn Check>>,
    violation: Option<Violation>,
}

impl Checks {
    /// Fresh ones for a run.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let mut all = every(scenario.seed);
        all.push(Box::new(time::WallClock::new(scenario)));
        if scenario.nodes > 1 {
            all.retain(|check| !OF_ONE.contains(&check.name()));
            all.push(Box::new(limits::PerMinuteOfAll::default()));
            all.push(Box::new(nodes::Deadlines::default()));
            all.push(Box::new(nodes::NoRestart::default()));
            all.push(Box::new(nodes::OwnersAlone::default()));
            all.push(Box::new(refused::Refusals));
            all.push(Box::new(settings::Obeyed::default()));
            all.push(Box::new(nodes::MemoryOfNodes::default()));
            all.push(Box::new(letters::Letters::default()));
            all.push(Box::new(settings::KnownFirst));
            all.push(Box::new(settings::Active));
        }
        Self { all, violation: None }
    }

    /// Lets all of them see it.
    pub fn see(&mut self, at: i64, now: Timestamp, seen: &Seen<'_>, store: &Stored) {
        for check in &mut self.all {
            if self.violation.is_some() {
                return;
            }
            if let Err(text) = check.see(now, seen, store) {
                self.violation = Some(Violation { checker: check.name(), at, text });
            }
        }
    }

    /// A finding of the run itself.
    pub fn fail(&mut self, checker: &'static str, at: i64, text: String) {
        self.violation.get_or_insert(Violation { checker, at, text });
    }

    /// Whether anything was found.
    #[must_use]
    pub const fn failed(&self) -> bool {
        self.violation.is_some()
    }

    /// The first finding.
    #[must_use]
    pub fn into_violation(self) -> Option<Violation> {
        self.violation
    }
}

/// Every checker that needs no plan of the run, in the order of the invariants. The seed decides what is sampled.
#[must_use]
pub fn every(seed: u64) -> Vec<Box<dyn Check>> {
    vec![
        Box::new(acknowledged::Acknowledged::default()),
        Box::new(plan::Named),
        Box::new(parts::Parts::default()),
        Box::new(fences::Fences::default()),
        Box::new(rows::OutcomesStay),
        Box::new(answered::OwnAnswers::default()),
        Box::new(callbacks::Callbacks::default()),
        Box::new(requests::OnceDone),
        Box::new(requests::DurableFirst),
        Box::new(requests::OneKey::default()),
        Box::new(requests::Stages),
        Box::new(requests::Backward),
        Box::new(requests::Paused),
        Box::new(rows::Roles),
        Box::new(plan::OrderOfReports::new(seed)),
        Box::new(waiting::Waiting::default()),
        Box::new(time::SupervisorTime::default()),
        Box::new(ages::Ages::default()),
        Box::new(first::StepsFirst::default()),
        Box::new(limits::Concurrency::default()),
        Box::new(limits::PerMinute::default()),
        Box::new(limits::GiveUp::default()),
        Box::new(memory::SameAsStored::default()),
        Box::new(memory::ReloadsAlike::new(seed)),
        Box::new(rows::StateOfCases),
        Box::new(ending::Ends),
        Box::new(ending::NothingLeft),
        Box::new(proven::Proven::default()),
    ]
}
