//! A moment: what the clocks say when a turn begins.

use amends_protocol::Timestamp;

/// The readings of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Supervisor time: all timers run on it. It never goes back, no setting of a clock moves it, and it stands still
    /// while the supervisor is down.
    pub now: Timestamp,
    /// The wall clock. Stamps are made of it; they decide nothing.
    pub wall: Timestamp,
    /// How far the wall clock can be trusted.
    pub trust: Trust,
}

/// How far the wall clock can be trusted. What is decided by it waits until both clocks have agreed for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// It has run along with supervisor time for a while.
    #[default]
    Agreed,
    /// The supervisor has not run for long enough to tell.
    Started,
    /// It has been set, or was wrong, not long ago.
    Jumped,
}

impl Moment {
    /// When a moment of supervisor time will be on the wall, or was.
    #[must_use]
    pub fn on_the_wall(self, at: Timestamp) -> Timestamp {
        Timestamp(at.0.saturating_add(self.wall.0.saturating_sub(self.now.0)))
    }
}

/// Before all moments.
impl Default for Moment {
    fn default() -> Self {
        Timestamp(0).into()
    }
}

/// A moment at which both clocks say the same.
impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        Self { now: at, wall: at, trust: Trust::Agreed }
    }
}
