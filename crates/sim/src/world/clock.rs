//! The supervisor's clocks and what goes by them: a wall clock that is set, a process that is stopped, and settled
//! cases that are removed when they are old.

use super::state::World;
use crate::check::Seen;
use crate::event::WorldEvent;
use crate::scenario::Item;
use amends_api::CaseState;
use amends_engine::{Trust, Write};
use amends_protocol::CaseId;

/// How often it is looked for old cases.
const PRUNE_EVERY_MS: u64 = 6 * 3_600_000;

/// For how long: past every report that comes once more.
const PRUNED_FOR_MS: u64 = 5 * 86_400_000;

impl World<'_> {
    /// The wall clock may be wrong from the start.
    pub(super) fn plan_clocks(&mut self) {
        for (_, item) in self.scenario.kept_items() {
            match item {
                Item::Clock { at, by_ms, for_ms } => {
                    match at {
                        0 => self.shell.skew_ms += by_ms,
                        _ => self.queue.at(*at, WorldEvent::SetClock { by_ms: *by_ms }),
                    }
                    if let Some(ms) = for_ms {
                        let back = at.saturating_add_unsigned(*ms);
                        self.queue.at(back, WorldEvent::SetClock { by_ms: -by_ms });
                    }
                }
                Item::Keep { ms } => self.plan_pruning(*ms),
                _ => {}
            }
        }
    }

    /// Looks every few hours, and in the moments in which the wall clock is wrong.
    fn plan_pruning(&mut self, keep_ms: u64) {
        for n in 1..=PRUNED_FOR_MS / PRUNE_EVERY_MS {
            self.queue.after(n * PRUNE_EVERY_MS, WorldEvent::Prune { keep_ms });
        }
        for (_, item) in self.scenario.kept_items() {
            if let Item::Clock { at, .. } = item {
                self.queue.at(at + 1_000, WorldEvent::Prune { keep_ms });
            }
        }
    }

    pub(super) fn set_clock(&mut self, by_ms: i64) {
        self.story.tell(|| format!("the wall clock is set by {by_ms} ms"));
        self.shell.moment(self.queue.now()); // it was read in the seconds before
        self.shell.skew_ms += by_ms;
        if self.shell.suspended(self.queue.now()).is_none() {
            self.turn();
        }
    }

    pub(super) fn suspend(&mut self, ms: u64) {
        if self.shell.node.is_none() {
            return;
        }
        self.story.tell(|| format!("the supervisor's process stops for {ms} ms"));
        self.seen(&Seen::Suspended);
        self.shell.suspend(self.queue.now(), ms);
    }

    /// Looks at the machine that an event is of. True if the process is gone that it was for.
    pub(super) fn is_of_the_gone(&mut self, event: &WorldEvent) -> bool {
        let process = match event {
            WorldEvent::Wake { process } | WorldEvent::StoreDone { process } => Some(*process),
            WorldEvent::Result { effect, .. } | WorldEvent::TimesOut { effect } => {
                self.outside.under_way.get(effect).map(|under_way| under_way.process)
            }
            _ => None,
        };
        self.nodes.is_some()
            && process.is_some_and(|process| {
                !self.look_at_process(process)
                    && matches!(event, WorldEvent::Wake { .. } | WorldEvent::StoreDone { .. })
            })
    }

    /// Whether an event waits until the process goes on; if so, it comes again then.
    pub(super) fn waits_for_process(&mut self, event: &WorldEvent) -> bool {
        let Some(until) = self.shell.suspended(self.queue.now()) else { return false };
        let of_process = matches!(
            event,
            WorldEvent::Wake { .. }
                | WorldEvent::StoreDone { .. }
                | WorldEvent::Result { .. }
                | WorldEvent::TimesOut { .. }
                | WorldEvent::Prune { .. }
        );
        if of_process {
            self.queue.at(until, event.clone());
        }
        of_process
    }

    /// Since when cases are settled, by the true time.
    pub(super) fn note_settled(&mut self, writes: &[Write]) {
        let now = self.queue.now();
        for write in writes {
            match write {
                Write::Case(row) if row.state == CaseState::Settled => {
                    self.settled.entry(row.id).or_insert(now);
                }
                Write::Case(row) => {
                    self.settled.remove(&row.id);
                }
                _ => {}
            }
        }
    }

    /// As the server does: only while the wall clock can be trusted. There are never as many cases as may go an hour.
    pub(super) fn prune(&mut self, keep_ms: u64) {
        if self.shell.node.is_none() {
            return;
        }
        let now = self.queue.now();
        let moment = self.shell.moment(now);
        if moment.trust != Trust::Agreed {
            return;
        }
        let old = |at: amends_protocol::Timestamp| moment.wall.ms_since(at) > keep_ms;
        let cases = self.store.rows.cases();
        let rows = &self.store.rows;
        let settled =
            cases.filter(|case| case.state == CaseState::Settled && !rows.has_unanswered(case.id));
        let gone: Vec<CaseId> =
            settled.filter(|case| case.settled_at.is_some_and(old)).map(|case| case.id).collect();
        for case in gone {
            self.story.tell(|| format!("{case} is removed, since it is old"));
            let since = self.settled.remove(&case).unwrap_or(now);
            let settled_for_ms = u64::try_from(now - since).unwrap_or(0);
            self.seen(&Seen::Pruned { case, settled_for_ms, keep_ms });
            self.store.prune(case);
        }
    }
}
