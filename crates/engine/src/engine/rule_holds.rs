//! People hold rulebooks and rules, and release them: kept by name and label, whatever the version, and heeded by all
//! cases.

use super::Engine;
use crate::act::{ActBy, check_reason};
use crate::timer::Timer;
use crate::{Answer, Decision, HoldScope, RuleHold, RuleHoldRow, Ticket, Write};
use amends_api::AuditActName;
use amends_protocol::CaseId;
use amends_rulebook::Rulebook;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Cases that are looked at in one turn, so that no turn is too large for a commit.
const LOOK_SLICE: usize = 1_000;

impl Engine {
    /// What people hold, by rulebook and rule.
    #[must_use]
    pub fn rule_holds(&self) -> Vec<Arc<RuleHold>> {
        self.turn.rule_holds.all().cloned().collect()
    }

    pub(super) fn hold_rule(
        &mut self,
        scope: &HoldScope,
        held: bool,
        by: ActBy<'_>,
        reason: &Arc<str>,
        ticket: Ticket,
    ) {
        let checked = check_reason(reason).and_then(|()| self.check_hold(scope, held));
        if let Err(refusal) = checked {
            return self.turn.answer(ticket, refusal);
        }
        let standing = self.turn.rule_holds.decision(scope);
        let is_said_again = standing.is_some_and(|decision| decision.is_by(&by.actor.name, reason));
        if held == standing.is_some() && (!held || is_said_again) {
            return self.turn.answer(ticket, Answer::Done); // it changes nothing, so nothing is kept of it
        }
        let decision = held.then(|| Decision {
            at: self.turn.moment.wall.0,
            by: Arc::clone(&by.actor.name),
            reason: Arc::clone(reason),
        });
        let row = RuleHoldRow { scope: scope.clone(), decision };
        self.turn.rule_holds.set(row.clone());
        self.turn.out.writes.push(Write::RuleHold(Box::new(row)));
        let detail = json!({ "rulebook": scope.rulebook, "rule": scope.rule });
        let act = if held { AuditActName::Hold } else { AuditActName::Release };
        self.audit(act, by.actor, reason, detail);
        self.look_at_those_held_by(scope);
        self.turn.answer(ticket, Answer::Done);
    }

    fn check_hold(&self, scope: &HoldScope, held: bool) -> Result<(), Answer> {
        let HoldScope { rulebook, rule } = scope;
        if self.turn.rule_holds.decision(scope).is_some() {
            return Ok(());
        }
        let mut versions = self.books.values().filter(|book| book.name() == &**rulebook).peekable();
        if versions.peek().is_none() {
            return Err(Answer::NotFound(format!("no rulebook `{rulebook}` is active")));
        }
        let Some(rule) = rule else { return Ok(()) };
        if !versions.any(|book| book.rules().iter().any(|known| *known.index_label == **rule)) {
            return Err(Answer::NotFound(self.no_such_rule(rulebook, rule)));
        }
        let whole = HoldScope { rulebook: Arc::clone(rulebook), rule: None };
        match self.turn.rule_holds.decision(&whole) {
            Some(_) if !held => {
                Err(Answer::Conflict(format!("{whole} is held as a whole; release that")))
            }
            _ => Ok(()),
        }
    }

    fn no_such_rule(&self, rulebook: &str, rule: &str) -> String {
        let known = self.active.get(rulebook).map(|book| labels(book).join(", "));
        let known = known.map_or(String::new(), |known| format!("; it has: {known}"));
        format!("rulebook `{rulebook}` has no rule `{rule}`{known}")
    }

    /// All cases with open steps that a hold concerns are looked at, wherever they are kept.
    pub(super) fn look_at_those_held_by(&mut self, scope: &HoldScope) {
        let concerned: Vec<CaseId> =
            self.open_case_ids().into_iter().filter(|id| self.is_concerned(*id, scope)).collect();
        let now = self.turn.moment.now;
        for (turn, slice) in (0..).zip(concerned.chunks(LOOK_SLICE)) {
            let at = now.plus_ms(turn);
            slice.iter().for_each(|id| self.turn.traffic.timers.set(at, Timer::Quiet(*id)));
        }
    }

    fn is_concerned(&self, id: CaseId, scope: &HoldScope) -> bool {
        let Some(brief) = self.brief(id) else { return false };
        let version = brief.version.as_ref();
        let answers = |rule: &Arc<str>| brief.rules.contains(rule);
        !brief.steps.is_empty()
            && version.is_some_and(|version| version.name == scope.rulebook)
            && scope.rule.as_ref().is_none_or(answers)
    }
}

fn labels(book: &Rulebook) -> Vec<&str> {
    let all: BTreeSet<&str> = book.rules().iter().map(|rule| &*rule.index_label).collect();
    all.into_iter().collect()
}
