//! What cases share during a turn: its moment, the output that is being put together, and the traffic to services.

use crate::rule_holds::RuleHolds;
use crate::strangers::StrangersHeard;
use crate::traffic::Traffic;
use crate::{
    Answer, DomainEvent, Effect, Event, Input, Moment, Partition, RuleCases, Ticket, Write,
};
use amends_protocol::{Salt, Timestamp};

/// What came of the inputs since the last [`crate::Engine::take_output`].
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// To be made durable first, all together.
    pub writes: Vec<Write>,
    /// To be done after that.
    pub effects: Vec<Effect>,
    /// To be handed out after that.
    pub answers: Vec<(Ticket, Answer)>,
    /// To be told after that.
    pub events: Vec<Event>,
    /// What only whoever holds another partition can take, and came of what belongs here: to be sent there along with
    /// the writes.
    pub elsewhere: Vec<(Partition, Input)>,
    /// Cases that limited rules have answered, by partition: for the commit of a store that several share to count.
    pub rule_cases: Vec<(Partition, RuleCases)>,
}

/// One turn of the engine; only its traffic outlasts it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turn {
    /// Of the turn.
    pub(crate) moment: Moment,
    /// Of the case that is worked on: all that was left for its partition before this moment has been taken. None if
    /// nothing can be left for it.
    pub(crate) heard: Option<Timestamp>,
    /// Of the store: in every id and key that is made.
    pub(crate) salt: Salt,
    pub(crate) out: Output,
    pub(crate) traffic: Traffic,
    /// Names that versions of rulebooks know or knew, and strangers that evidence has told of.
    pub(crate) strangers: StrangersHeard,
    /// Rules that people hold.
    pub(crate) rule_holds: RuleHolds,
}

impl Turn {
    pub(crate) fn publish(&mut self, what: DomainEvent) {
        self.out.events.push(Event { at: self.moment.wall, what });
    }

    pub(crate) fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.out.answers.push((ticket, answer));
    }
}
