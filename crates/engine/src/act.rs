//! What a person does to a step or a case, as far as the table in `transition/allowed.rs` lets them. Every act is written to the audit with who, when and why.

use crate::attempt::check_outcome;
use crate::case::Case;
use crate::transition::{self, CaseBooks, StepEvent};
use crate::turn::Turn;
use crate::{
    ActRow, Actor, Answer, AtPivot, DomainEvent, ReportRole, StepExtra, StepRow, StepState, Write,
};
use amends_api::{AuditActName, CaseAct, ClosedOn, StepAct};
use amends_protocol::{ActionName, Outcome, StepId, Timestamp, Verb, check_data};
use amends_rulebook::{Rulebook, Stage, fits};
use serde_json::{Value, json};
use std::sync::Arc;

/// Longest reason, in bytes; it is shown in full.
const REASON_LIMIT: usize = 2_000;

/// Longest plan by hand.
const HAND_PLAN_LIMIT: usize = 1_000;

/// Who acts, when, and in which bulk act.
#[derive(Clone, Copy)]
pub(crate) struct ActBy<'a> {
    pub(crate) actor: &'a Actor,
    pub(crate) bulk: Option<u64>,
    pub(crate) now: Timestamp,
}

impl Case {
    pub(crate) fn step_act(
        &mut self,
        id: StepId,
        act: StepAct,
        by: ActBy<'_>,
        turn: &mut Turn,
    ) -> Answer {
        let (word, reason) = (act.name().into(), act.reason().to_owned());
        let detail = self.shown_detail(step_act_detail(&act));
        let meant = check_reason(&reason).and_then(|()| self.rows_of_act(id, &act, by));
        let rows = match meant {
            Ok(rows) => rows,
            Err(refusal) => return refusal,
        };
        for row in rows {
            if let Err(refusal) = self.apply_step_act(row, act.clone(), by.actor, by.now, turn) {
                return refusal;
            }
        }
        self.audit(Some(id), word, reason, detail, by, turn);
        Answer::Done
    }

    /// The rows that an act is done to: that of the part which its id names, or all parts of a step that take it, those
    /// that have ended only where no other does. A bulk act names every part by itself.
    fn rows_of_act(&self, id: StepId, act: &StepAct, by: ActBy<'_>) -> Result<Vec<usize>, Answer> {
        let meant = match by.bulk {
            Some(_) => self.step_index(id).into_iter().collect(),
            None => self.rows_meant(id),
        };
        let checked = meant.iter().map(|row| {
            let step = &self.steps[*row];
            check_step_act(step, act).and_then(|()| self.check_new_key(step, act, by))
        });
        let checked: Vec<Result<(), Answer>> = checked.collect();
        if meant.len() > 1
            && let StepAct::Edit { .. } = act
        {
            let parts = meant.iter().filter_map(|row| self.steps[*row].part_id());
            let parts: Vec<String> = parts.map(|id| id.to_string()).collect();
            return Err(Answer::Conflict(format!(
                "the step has {} parts; edit one of them: {}",
                parts.len(),
                parts.join(", ")
            )));
        }
        let takes = |row: &&usize| {
            meant.iter().zip(&checked).any(|(other, check)| other == *row && check.is_ok())
        };
        let taking: Vec<usize> = meant.iter().filter(takes).copied().collect();
        let open = taking.iter().filter(|row| !self.steps[**row].state.is_terminal());
        let open: Vec<usize> = open.copied().collect();
        match (taking.is_empty(), open.is_empty()) {
            (false, false) => Ok(open),
            (false, true) => Ok(taking),
            (true, _) => {
                let refusal = checked.into_iter().find_map(Result::err);
                Err(refusal.unwrap_or_else(|| Answer::NotFound(format!("there is no step {id}"))))
            }
        }
    }

    fn apply_step_act(
        &mut self,
        index: usize,
        act: StepAct,
        actor: &Actor,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Result<(), Answer> {
        match self.with_secrets(index, act).map_err(Answer::Invalid)? {
            StepAct::Retry { new_key, .. } => {
                self.again(index, now, turn)?;
                if new_key {
                    self.ask_anew(index, turn.salt);
                }
                Ok(())
            }
            StepAct::Edit { data, .. } => {
                // Before its stage only the request changes; it goes out when its turn comes.
                if self.steps[index].state != StepState::Waiting {
                    self.again(index, now, turn)?;
                }
                let extra = &mut self.step_mut(index).extra;
                extra.edited = Some(Arc::new(data));
                extra.decided_by = Some(actor.to_string());
                if self.is_mapped(&self.steps[index]) {
                    self.ask_anew(index, turn.salt);
                }
                Ok(())
            }
            StepAct::Waive { .. } => self.decide(index, Outcome::Waived, actor, now, turn),
            StepAct::Record { outcome, .. } => self.decide(index, outcome, actor, now, turn),
            StepAct::Approve { .. } => {
                self.step_mut(index).extra.held = false;
                match self.steps[index].state {
                    StepState::Waiting => Ok(()),
                    _ => self.legal(index, StepEvent::Retry(now), now, turn),
                }
            }
        }
    }

    /// Try again now; the limits count from here. Whoever wants it sent has said yes to it.
    fn again(&mut self, index: usize, now: Timestamp, turn: &mut Turn) -> Result<(), Answer> {
        if self.steps[index].awaits_callers().is_some() {
            self.go_ahead_of_callers(index, now, turn);
        } else {
            self.legal(index, StepEvent::Retry(now), now, turn)?;
        }
        self.count_anew(index);
        let extra = &mut self.step_mut(index).extra;
        extra.held = false;
        extra.decided_by = None;
        extra.by_hand = false;
        if extra.pivot == Some(AtPivot::Kept) {
            extra.pivot = Some(AtPivot::Cleared);
        }
        Ok(())
    }

    /// Its limits start anew.
    fn count_anew(&mut self, index: usize) {
        let extra = &mut self.step_mut(index).extra;
        extra.counted = 0;
        extra.definite = None;
        extra.counting_since = None;
        extra.aged_ms = 0;
    }

    /// Whether an act that asks under a new key may: of what a person has to weigh up, they have said that they did.
    fn check_new_key(&self, step: &StepRow, act: &StepAct, by: ActBy<'_>) -> Result<(), Answer> {
        let (wants, weighed_up) = match act {
            StepAct::Retry { new_key, may_have_run, .. } => (*new_key, *may_have_run),
            StepAct::Edit { may_have_run, .. } => (self.is_mapped(step), *may_have_run),
            StepAct::Waive { .. } | StepAct::Record { .. } | StepAct::Approve { .. } => {
                return Ok(());
            }
        };
        if !wants {
            return Ok(());
        }
        if !self.is_mapped(step) {
            let why =
                "the step's id is its key, by the participant protocol; retry it without a new key";
            return Err(Answer::Conflict(why.to_owned()));
        }
        check_weighed_up(step, weighed_up, by)
    }

    /// The same where an endpoint is asked anew because evidence contradicts what it said.
    pub(crate) fn check_asked_anew(
        &self,
        index: usize,
        weighed_up: bool,
        by: ActBy<'_>,
    ) -> Result<(), Answer> {
        check_weighed_up(&self.steps[index], weighed_up, by)
    }

    /// Asks once more, under a new key, what an endpoint has answered with nothing to undo.
    pub(crate) fn ask_in_doubt(
        &mut self,
        index: usize,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Result<(), Answer> {
        self.legal(index, StepEvent::Doubt(now), now, turn)?;
        self.count_anew(index);
        self.step_mut(index).extra.said_nothing = false;
        self.ask_anew(index, turn.salt);
        Ok(())
    }

    pub(crate) fn decide(
        &mut self,
        index: usize,
        outcome: Outcome,
        actor: &Actor,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Result<(), Answer> {
        self.legal(index, StepEvent::Decide(outcome), now, turn)?;
        let extra = &mut self.step_mut(index).extra;
        extra.decided_by = Some(actor.to_string());
        extra.by_hand = true;
        Ok(())
    }

    fn legal(
        &mut self,
        index: usize,
        event: StepEvent,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Result<(), Answer> {
        self.change(index, event, now, turn)
            .map_err(|illegal| Answer::Conflict(illegal.to_string()))
    }

    /// `active` is the rulebook that new cases of this kind would be planned with; `several` are those of which nothing
    /// says which it is.
    pub(crate) fn case_act(
        &mut self,
        act: CaseAct,
        active: Option<Arc<Rulebook>>,
        several: &[&str],
        by: ActBy<'_>,
        turn: &mut Turn,
    ) -> Answer {
        let now = by.now;
        let (word, reason) = (act.name().into(), act.reason().to_owned());
        let detail = case_act_detail(&act);
        let books = CaseBooks {
            own: self.book.as_deref(),
            active: active.as_deref(),
            several: !several.is_empty(),
        };
        let facts = self.row.act_facts(&self.steps, books);
        let checked = check_reason(&reason).and_then(|()| {
            transition::check_on_case(facts, act.name())
                .map_err(|refusal| Answer::Conflict(refusal.to_string()))
        });
        if let Err(refusal) = checked {
            return refusal;
        }
        let done = match act {
            CaseAct::Replan { .. } if active.is_none() && !several.is_empty() => {
                Err(Answer::Conflict(format!(
                    "several rulebooks share the reporting service, and nothing says where the saga began: say with which (`rulebook`, on the command line `--with`): {}",
                    several.join(", ")
                )))
            }
            CaseAct::Replan { .. } => self.replan(active),
            CaseAct::Plan { compensate, retry, notify, .. } => {
                let asked =
                    [(Verb::Compensate, compensate), (Verb::Retry, retry), (Verb::Notify, notify)];
                self.plan_by_hand(asked, active, now, turn)
            }
            CaseAct::Settle { .. } => {
                self.settle_by_hand(by.actor, turn);
                Ok(())
            }
            CaseAct::Retry { .. } => self.retry_all(now, turn),
        };
        if let Err(answer) = done {
            return answer;
        }
        self.audit(None, word, reason, detail, by, turn);
        Answer::Done
    }

    /// Takes over the active rulebook; the caller then assigns roles and plans anew.
    fn replan(&mut self, active: Option<Arc<Rulebook>>) -> Result<(), Answer> {
        let book = active.ok_or_else(no_rulebook)?;
        self.row.extra.gave_up.clear();
        self.take_book(book);
        Ok(())
    }

    fn plan_by_hand(
        &mut self,
        asked: [(Verb, Vec<ActionName>); 3],
        active: Option<Arc<Rulebook>>,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Result<(), Answer> {
        let book = self.book.clone().or_else(|| active.clone()).ok_or_else(no_rulebook)?;
        check_hand_plan(&book, &asked)?;
        if self.book.is_none() {
            self.replan(active)?;
        }
        let mut added = 0;
        for (verb, names) in asked {
            for name in names {
                added += usize::from(self.add_by_hand(verb, name, now, turn));
            }
        }
        if added == 0 {
            return Err(Answer::Conflict(
                "every one of these steps is in the plan already".to_owned(),
            ));
        }
        self.answer_by_hand();
        self.reopen(turn);
        Ok(())
    }

    /// True if the plan has changed: a step was added, or one in shadow mode is now meant in earnest.
    fn add_by_hand(
        &mut self,
        verb: Verb,
        action: ActionName,
        now: Timestamp,
        turn: &mut Turn,
    ) -> bool {
        let known = self.steps.iter().position(|s| s.verb == verb && s.action == action);
        match known {
            Some(index) if self.steps[index].state == StepState::Shadow => {
                self.must_change(index, StepEvent::Retry(now), now, turn);
                true
            }
            Some(_) => false,
            None => {
                let stage = if verb == Verb::Notify { Stage::NOTICES.0 } else { 0 };
                self.push_step(
                    turn.salt,
                    verb,
                    action,
                    stage,
                    StepState::Waiting,
                    StepExtra::default(),
                );
                true
            }
        }
    }

    /// Reports without a rule are answered now, by a person.
    fn answer_by_hand(&mut self) {
        for index in 0..self.reports.len() {
            if self.reports[index].role == ReportRole::Unmatched {
                self.set_role(index, ReportRole::ByHand);
            }
        }
    }

    fn settle_by_hand(&mut self, actor: &Actor, turn: &mut Turn) {
        for query in self.row.extra.histories.iter_mut().filter(|w| !w.answered) {
            query.answered = true;
            query.due_at = None;
            query.message = Some("settled by hand before it answered".to_owned());
        }
        self.answer_by_hand();
        for index in 0..self.reports.len() {
            if matches!(self.reports[index].role, ReportRole::AwaitsRoot(_)) {
                self.set_role(index, ReportRole::ByHand);
            }
        }
        self.row.extra.settled_by = Some(actor.to_string());
        self.settle(ClosedOn::ByPerson, turn);
    }

    fn retry_all(&mut self, now: Timestamp, turn: &mut Turn) -> Result<(), Answer> {
        for index in 0..self.steps.len() {
            if self.steps[index].is_retried_with_its_case() {
                self.again(index, now, turn)?;
            }
        }
        Ok(())
    }

    pub(crate) fn audit(
        &mut self,
        step: Option<StepId>,
        act: AuditActName,
        reason: String,
        mut detail: Value,
        by: ActBy<'_>,
        turn: &mut Turn,
    ) {
        let ActBy { actor, bulk, .. } = by;
        if let Some(bulk) = bulk {
            if detail.is_null() {
                detail = json!({});
            }
            detail["bulk"] = format!("b-{bulk}").into();
        }
        turn.out.writes.push(Write::Act(Box::new(ActRow {
            at: self.wall,
            actor: actor.clone(),
            act: act.as_str().into(),
            reason: reason.into(),
            case: Some(self.row.id),
            step,
            detail,
        })));
        turn.publish(DomainEvent::Acted {
            case: Some(self.row.id),
            step,
            act,
            actor: Arc::clone(&actor.name),
        });
    }
}

/// Whether a step may be asked under a new key: one at a time, and what a try may have done was weighed up.
fn check_weighed_up(step: &StepRow, weighed_up: bool, by: ActBy<'_>) -> Result<(), Answer> {
    if by.bulk.is_some() {
        let why = "a new key is for one step at a time, not for a bulk act";
        return Err(Answer::Invalid(why.to_owned()));
    }
    if step.extra.may_have_run && !weighed_up {
        return Err(Answer::Conflict(format!(
            "a try of {} {} may have run, and under a new key it may run once more: make sure at {} that it did not, then say so (`mayHaveRun`, on the command line `--may-have-run`)",
            step.verb, step.action, step.action.service
        )));
    }
    Ok(())
}

pub(crate) fn check_reason(reason: &str) -> Result<(), Answer> {
    if reason.trim().is_empty() {
        return Err(Answer::Invalid("a reason is needed; it stands in the audit".to_owned()));
    }
    if reason.len() > REASON_LIMIT {
        return Err(Answer::Invalid(format!("the reason is longer than {REASON_LIMIT} bytes")));
    }
    Ok(())
}

/// Whether the act makes sense for this kind of step at all, and is possible in its state.
fn check_step_act(step: &StepRow, act: &StepAct) -> Result<(), Answer> {
    if let StepAct::Edit { data, .. } = act {
        check_data("data", data).map_err(|why| Answer::Invalid(why.to_string()))?;
    }
    if let StepAct::Record { outcome, .. } = act {
        if matches!(outcome, Outcome::Waived | Outcome::Refused) {
            let text = format!("`{outcome}` cannot be recorded; waive the step, or leave it stuck");
            return Err(Answer::Invalid(text));
        }
        check_outcome(step.verb, *outcome).map_err(Answer::Invalid)?;
    }
    transition::check(step.act_facts(), act.name())
        .map_err(|refusal| Answer::Conflict(refusal.to_string()))
}

fn check_hand_plan(book: &Rulebook, asked: &[(Verb, Vec<ActionName>); 3]) -> Result<(), Answer> {
    let count: usize = asked.iter().map(|(_, names)| names.len()).sum();
    if count == 0 || count > HAND_PLAN_LIMIT {
        return Err(Answer::Invalid(format!(
            "a plan names 1 to {HAND_PLAN_LIMIT} steps, not {count}"
        )));
    }
    for (verb, names) in asked {
        for name in names {
            let Some(id) = book.action(&name.service, &name.action) else {
                let text = format!("rulebook `{}` knows no action `{name}`", book.name());
                return Err(Answer::Invalid(text));
            };
            if !fits(*verb, book.get(id)) {
                let class = book.get(id).class.as_str();
                return Err(Answer::Invalid(format!(
                    "`{name}` is {class}: `{verb}` makes no sense for it"
                )));
            }
        }
    }
    Ok(())
}

/// The table has refused before; this is for the types.
fn no_rulebook() -> Answer {
    Answer::Conflict("no active rulebook claims this case's service".to_owned())
}

fn step_act_detail(act: &StepAct) -> Value {
    match act {
        StepAct::Retry { new_key: false, .. } | StepAct::Waive { .. } | StepAct::Approve { .. } => {
            Value::Null
        }
        StepAct::Retry { may_have_run, .. } => {
            json!({ "newKey": true, "mayHaveRun": may_have_run })
        }
        StepAct::Edit { data, may_have_run: false, .. } => json!({ "data": data }),
        StepAct::Edit { data, .. } => json!({ "data": data, "mayHaveRun": true }),
        StepAct::Record { outcome, .. } => json!({ "outcome": outcome }),
    }
}

fn case_act_detail(act: &CaseAct) -> Value {
    match act {
        CaseAct::Replan { rulebook: Some(name), .. } => json!({ "rulebook": name }),
        CaseAct::Replan { .. } | CaseAct::Settle { .. } | CaseAct::Retry { .. } => Value::Null,
        CaseAct::Plan { compensate, retry, notify, .. } => {
            json!({ "compensate": compensate, "retry": retry, "notify": notify })
        }
    }
}
