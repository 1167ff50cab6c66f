//! What people ask about open work: it is in the engine's memory, so the loop answers between two batches, a slice of
//! cases at a time. A survey is shared by all who ask within a moment. Nothing here changes anything.

use crate::clock::Clock;
use amends_engine::{
    Engine, FoundQuestions, FoundStranger, GroupScan, Lateness, Members, QuestionFilter,
    QuestionScan, StrangerScan, Survey, SurveyScan,
};
use amends_protocol::Timestamp;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long cases are looked at between two batches: a report waits so much longer, while somebody looks.
const TURN: Duration = Duration::from_millis(3);
/// Cases looked at between two looks at the clock.
const SLICE: usize = 200;
/// Questions that may wait; each is a page that somebody looks at.
pub(crate) const QUESTIONS: usize = 64;

/// A question about open work.
pub(crate) enum OpenCaseQuery {
    /// All of it.
    Survey(oneshot::Sender<Arc<Survey>>),
    /// What belongs to one group, at most so much.
    Members { group: String, limit: usize, reply: oneshot::Sender<Members> },
    /// What evidence leaves in doubt, at most so much.
    Open { filter: QuestionFilter, limit: usize, reply: oneshot::Sender<FoundQuestions> },
    /// Names that rulebooks don't know.
    Strangers(oneshot::Sender<Vec<FoundStranger>>),
}

/// The questions that are being answered.
pub(crate) struct OpenCaseQueries {
    /// The objective of cases whose rules state none.
    objective_ms: Option<u64>,
    survey: Option<(SurveyScan, Vec<oneshot::Sender<Arc<Survey>>>)>,
    /// Asked while a survey was under way: what it has seen already may have changed before they asked.
    next: Vec<oneshot::Sender<Arc<Survey>>>,
    groups: VecDeque<(GroupScan, oneshot::Sender<Members>)>,
    doubts: VecDeque<(QuestionScan, oneshot::Sender<FoundQuestions>)>,
    strangers: VecDeque<(StrangerScan, oneshot::Sender<Vec<FoundStranger>>)>,
}

impl OpenCaseQueries {
    pub(crate) fn new(objective: Option<Duration>) -> Self {
        let objective_ms =
            objective.map(|objective| u64::try_from(objective.as_millis()).unwrap_or(u64::MAX));
        Self {
            objective_ms,
            survey: None,
            next: Vec::new(),
            groups: VecDeque::new(),
            doubts: VecDeque::new(),
            strangers: VecDeque::new(),
        }
    }

    fn lateness(&self, now: Timestamp) -> Lateness {
        Lateness { now, default_ms: self.objective_ms }
    }

    /// Takes a question.
    pub(crate) fn take(&mut self, question: OpenCaseQuery, engine: &Engine, now: Timestamp) {
        match question {
            OpenCaseQuery::Survey(reply) if self.survey.is_some() => self.next.push(reply),
            OpenCaseQuery::Survey(reply) => {
                self.survey = Some((engine.survey(self.lateness(now)), vec![reply]));
            }
            OpenCaseQuery::Members { group, limit, reply } => {
                let walk = engine.members(&group, limit, self.lateness(now));
                self.groups.push_back((walk, reply));
            }
            OpenCaseQuery::Open { filter, limit, reply } => {
                self.doubts.push_back((engine.questions(filter, limit), reply));
            }
            OpenCaseQuery::Strangers(reply) => {
                self.strangers.push_back((engine.strangers(), reply))
            }
        }
    }

    /// Whether somebody waits.
    pub(crate) fn is_busy(&self) -> bool {
        self.survey.is_some()
            || !self.groups.is_empty()
            || !self.doubts.is_empty()
            || !self.strangers.is_empty()
    }

    /// Looks at one slice of cases. Gives a survey that is whole now.
    pub(crate) fn look(&mut self, engine: &Engine, clock: &impl Clock) -> Option<Arc<Survey>> {
        if let Some((walk, reply)) = self.groups.front_mut() {
            if reply.is_closed() || for_a_turn(clock, || walk.look(engine, SLICE)) {
                let answered = self.groups.pop_front();
                if let Some((walk, reply)) = answered {
                    let _ = reply.send(walk.finish()); // the one who asked has gone away
                }
            }
            return None;
        }
        if let Some((walk, reply)) = self.doubts.front_mut() {
            if reply.is_closed() || for_a_turn(clock, || walk.look(engine, SLICE)) {
                let answered = self.doubts.pop_front();
                if let Some((walk, reply)) = answered {
                    let _ = reply.send(walk.finish()); // as above
                }
            }
            return None;
        }
        if let Some((walk, reply)) = self.strangers.front_mut() {
            if reply.is_closed() || for_a_turn(clock, || walk.look(engine, SLICE)) {
                let answered = self.strangers.pop_front();
                if let Some((walk, reply)) = answered {
                    let _ = reply.send(walk.finish()); // as above
                }
            }
            return None;
        }
        let (walk, _) = self.survey.as_mut()?;
        if !for_a_turn(clock, || walk.look(engine, SLICE)) {
            return None;
        }
        let (walk, replies) = self.survey.take()?;
        let survey = Arc::new(walk.finish());
        for reply in replies {
            let _ = reply.send(Arc::clone(&survey));
        }
        let waiting = std::mem::take(&mut self.next);
        if !waiting.is_empty() {
            self.survey = Some((engine.survey(self.lateness(clock.now())), waiting));
        }
        Some(survey)
    }
}

/// Repeats `look` until it has seen everything, or the turn is over. True if it has.
fn for_a_turn(clock: &impl Clock, mut look: impl FnMut() -> bool) -> bool {
    let began = clock.monotonic();
    loop {
        if look() {
            return true;
        }
        if clock.monotonic().saturating_sub(began) >= TURN {
            return false;
        }
    }
}
