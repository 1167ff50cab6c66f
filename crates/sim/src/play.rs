//! Plays a scenario: once, telling it, or twice.

use crate::check::{DETERMINISTIC, Violation};
use crate::run::Run;
use crate::scenario::Scenario;
use crate::story::Story;
use crate::switches::Switches;
use crate::world::World;

/// Plays a scenario once.
#[must_use]
pub fn play(scenario: &Scenario, switches: Switches) -> Run {
    World::new(scenario, switches, Story::default()).play()
}

/// Plays a scenario once and tells it.
#[must_use]
pub fn tell(scenario: &Scenario, switches: Switches) -> Run {
    World::new(scenario, switches, Story::telling()).play()
}

/// Plays a scenario twice: a run that differs from itself is a violation of invariant 8.
#[must_use]
pub fn play_twice(scenario: &Scenario, switches: Switches) -> Run {
    let (first, second) = (play(scenario, switches), play(scenario, switches));
    let same = first == second;
    let violation = first.violation.clone().or_else(|| {
        (!same).then(|| Violation {
            checker: DETERMINISTIC,
            at: 0,
            text: format!(
                "one run has the hash {:016x}, the next {:016x}",
                first.hash, second.hash
            ),
        })
    });
    Run { violation, ..first }
}
