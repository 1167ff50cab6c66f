//! What cases share: the lanes to the services, the timers, and the output that is being put together.

use crate::lane::{Job, Lane};
use crate::rule_holds::RuleHolds;
use crate::strangers::StrangersHeard;
use crate::timer::{Timer, Timers};
use crate::{Answer, Errand, Event, Happening, Moment, Ticket, Write};
use amends_protocol::{Salt, Timestamp};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What came of the inputs since the last [`crate::Engine::take_output`].
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// To be made durable first, all together.
    pub writes: Vec<Write>,
    /// To be done after that.
    pub errands: Vec<Errand>,
    /// To be handed out after that.
    pub answers: Vec<(Ticket, Answer)>,
    /// To be told after that.
    pub events: Vec<Event>,
}

/// A service's concurrency limit where no rulebook says one.
const DEFAULT_CONCURRENCY: u32 = 16;

#[derive(Clone, Debug, Default)]
pub(crate) struct Agenda {
    /// Of the turn.
    pub(crate) moment: Moment,
    /// Of the store: in every id and key that is made.
    pub(crate) salt: Salt,
    pub(crate) timers: Timers,
    pub(crate) out: Output,
    pub(crate) lanes: FxHashMap<Arc<str>, Lane>,
    /// Names that versions of rulebooks know or knew, and strangers that evidence has told of.
    pub(crate) strangers: StrangersHeard,
    /// Rules that people hold.
    pub(crate) rule_holds: RuleHolds,
    /// Lanes in which something may now go.
    stirred: BTreeSet<Arc<str>>,
}

impl Agenda {
    pub(crate) fn lane(&mut self, service: &Arc<str>) -> &mut Lane {
        self.lanes.entry(Arc::clone(service)).or_insert_with(|| Lane::new(DEFAULT_CONCURRENCY))
    }

    /// Something wants to go to a service.
    pub(crate) fn enqueue(&mut self, service: &Arc<str>, job: Job) {
        self.lane(service).push(job);
        self.stir(service);
    }

    /// Sets the timer for the next step that will be too old, unless one comes before it. There is one for a service,
    /// whatever the number of its steps.
    pub(crate) fn watch_ages(&mut self, service: &Arc<str>, now: Timestamp) {
        let lane = self.lane(service);
        let Some((end, _)) = lane.ages.first().filter(|_| !lane.paused()) else { return };
        let at = now.plus_ms(end.ms_since(lane.own_time(now)).max(1));
        if lane.ages_at.is_none_or(|known| at < known || known <= now) {
            lane.ages_at = Some(at);
            self.timers.set(at, Timer::Ages(Arc::clone(service)));
        }
    }

    /// Bytes that timers and queues take.
    pub(crate) fn bytes(&self) -> usize {
        self.timers.bytes() + self.lanes.values().map(Lane::bytes).sum::<usize>()
    }

    pub(crate) fn stir(&mut self, service: &Arc<str>) {
        self.stirred.insert(Arc::clone(service));
    }

    pub(crate) fn next_stirred(&mut self) -> Option<Arc<str>> {
        self.stirred.pop_first()
    }

    pub(crate) fn tell(&mut self, what: Happening) {
        self.out.events.push(Event { at: self.moment.wall, what });
    }

    pub(crate) fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.out.answers.push((ticket, answer));
    }
}
