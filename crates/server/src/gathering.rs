//! Where nodes share a database, turns that bring much begin some time apart: a turn costs the database about as much
//! as five reports do, whatever it brings, and results that come together write their case once.

use amends_engine::Partition;
use std::time::Duration;

/// Inputs of a turn from which on the next one waits for more.
const MUCH: usize = 32;
/// The next one begins so long after its commit was asked for, or when that has ended.
const APART: Duration = Duration::from_millis(20);

/// When the next turn may begin.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    /// Partitions that are due to this node; with fewer than all, others share the database.
    due: usize,
    /// When the commit of the last turn was asked for.
    committed_at: Duration,
    next: Option<Duration>,
}

impl Gathering {
    /// So many partitions are due to this node.
    pub(crate) fn is_due(&mut self, partitions: usize) {
        self.due = partitions;
    }

    /// A turn's commit is asked for.
    pub(crate) fn commits(&mut self, now: Duration) {
        self.committed_at = now;
    }

    /// What came of so many inputs is released.
    pub(crate) fn released(&mut self, inputs: usize) {
        let is_alone = self.due > Partition::SEAT.0.into();
        self.next = (inputs >= MUCH && !is_alone).then(|| self.committed_at + APART);
    }

    /// How long the next turn waits; told once.
    pub(crate) fn pause(&mut self, now: Duration) -> Option<Duration> {
        let pause = self.next.take()?.saturating_sub(now);
        (pause > Duration::ZERO).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_that_bring_much_are_apart_where_others_share_the_database() {
        let ms = Duration::from_millis;
        let mut gathering = Gathering::default();
        gathering.is_due(33);
        gathering.commits(ms(1_000));
        gathering.released(MUCH);
        assert_eq!(gathering.pause(ms(1_004)), Some(ms(16)));
        assert_eq!(gathering.pause(ms(1_004)), None, "it has been waited for");
        gathering.released(MUCH);
        assert_eq!(gathering.pause(ms(1_020)), None, "so long it took by itself");
        gathering.released(MUCH - 1);
        assert_eq!(gathering.pause(ms(1_004)), None, "nobody waits for what does not come");
        gathering.is_due(65);
        gathering.released(MUCH);
        assert_eq!(gathering.pause(ms(1_004)), None, "it has the database for itself");
    }
}
