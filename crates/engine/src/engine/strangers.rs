//! What people say of names that a rulebook does not know: kept for the rulebook, whatever its version, and heeded by
//! all its cases.

use super::Engine;
use crate::act::{ActBy, check_reason};
use crate::timer::Timer;
use crate::{
    Answer, Decision, Input, Partition, StrangerDecision, StrangerDecisionRow, Ticket, Write,
};
use amends_api::{QuestionKind, StrangerAct, StrangerActName};
use amends_protocol::{ActionName, CaseId, Timestamp};
use amends_rulebook::Rulebook;
use serde_json::json;
use std::sync::Arc;

impl Engine {
    pub(super) fn stranger_act(
        &mut self,
        rulebook: &Arc<str>,
        action: &ActionName,
        act: &StrangerAct,
        by: ActBy<'_>,
        ticket: Ticket,
    ) {
        if !self.holds_partition(Partition::SEAT) {
            let (rulebook, action) = (Arc::clone(rulebook), action.clone());
            let (act, actor) = (act.clone(), by.actor.clone());
            let input = Input::StrangerAct { rulebook, action, act, actor, ticket };
            return self.turn.out.elsewhere.push((Partition::SEAT, input));
        }
        let answer = match self.check_stranger(rulebook, action, act) {
            Err(refusal) => refusal,
            Ok(()) => {
                self.decide_stranger(rulebook, action, act, by);
                Answer::Done
            }
        };
        self.turn.answer(ticket, answer);
    }

    fn check_stranger(
        &self,
        rulebook: &str,
        action: &ActionName,
        act: &StrangerAct,
    ) -> Result<(), Answer> {
        check_reason(act.reason())?;
        if !self.active.contains_key(rulebook) {
            return Err(Answer::NotFound(format!("no rulebook `{rulebook}` is active")));
        }
        if act.name() == StrangerActName::Reconsider {
            let text = || format!("nobody has said anything of {action} for rulebook `{rulebook}`");
            let decided = self.turn.strangers.decision(rulebook, action);
            return decided.map(|_| ()).ok_or_else(|| Answer::NotFound(text()));
        }
        if self.declares(rulebook, action) {
            return Err(Answer::Conflict(format!(
                "rulebook `{rulebook}` declares {action}, so it is no stranger; replan the cases that wait for it"
            )));
        }
        Ok(())
    }

    fn decide_stranger(
        &mut self,
        rulebook: &Arc<str>,
        action: &ActionName,
        act: &StrangerAct,
        by: ActBy<'_>,
    ) {
        let reason: Arc<str> = act.reason().into();
        let decision = Decision {
            at: self.turn.moment.wall.0,
            by: Arc::clone(&by.actor.name),
            reason: Arc::clone(&reason),
        };
        let decision = match act {
            StrangerAct::Reconsider { .. } => None,
            StrangerAct::Ignore { .. } | StrangerAct::Declare { .. } => {
                Some(StrangerDecision { act: act.name(), decision })
            }
        };
        self.keep_decision(StrangerDecisionRow {
            rulebook: Arc::clone(rulebook),
            action: action.clone(),
            decision,
        });
        let detail = json!({ "rulebook": rulebook, "action": action });
        self.audit(act.name().into(), by.actor, &reason, detail);
        self.look_at_those_who_know(rulebook, action, by.now);
    }

    fn keep_decision(&mut self, row: StrangerDecisionRow) {
        self.turn.strangers.decide(row.clone());
        self.turn.out.writes.push(Write::Stranger(Box::new(row)));
    }

    /// All cases that a stranger holds, or that would be held by it, are looked at, wherever they are kept.
    pub(super) fn look_at_those_who_know(
        &mut self,
        rulebook: &str,
        action: &ActionName,
        now: Timestamp,
    ) {
        let knows = |id: &CaseId| self.knows_stranger(*id, rulebook, action);
        let known: Vec<CaseId> = self.open_case_ids().into_iter().filter(knows).collect();
        known.into_iter().for_each(|id| self.turn.traffic.timers.set(now, Timer::Quiet(id)));
    }

    fn knows_stranger(&self, id: CaseId, rulebook: &str, action: &ActionName) -> bool {
        let Some(brief) = self.brief(id) else { return false };
        let is_of_it = brief.version.as_ref().is_some_and(|version| *version.name == *rulebook);
        let mut questions = brief.questions.iter().map(|asked| &asked.question);
        let is_asked = questions.any(|question| {
            question.kind == QuestionKind::Stranger && question.action.as_ref() == Some(action)
        });
        is_of_it && (is_asked || brief.ignored.contains(action))
    }

    /// What a version declares is no stranger any more: what was said of it is over, so that it is asked again if a
    /// later version forgets it.
    pub(super) fn end_decisions(&mut self, book: &Rulebook) {
        let rulebook: Arc<str> = book.name().into();
        for action in self.turn.strangers.decided_of(&rulebook) {
            if book.action(&action.service, &action.action).is_some() {
                let rulebook = Arc::clone(&rulebook);
                self.keep_decision(StrangerDecisionRow { rulebook, action, decision: None });
            }
        }
    }
}
