//! What people say about open questions: kept with the statements that they saw, so that another witness or another
//! request asks again.

use super::data_conflict::check_choice;
use crate::act::{ActBy, check_reason};
use crate::attempt::check_outcome as check_outcome_of;
use crate::case::Case;
use crate::turn::Turn;
use crate::{Answer, Question, QuestionAnswer, Statement};
use amends_api::{AuditActName, QuestionAct, QuestionId, QuestionKind};
use amends_protocol::{Outcome, Verb};
use serde_json::json;
use std::sync::Arc;

impl Case {
    /// A person says something about an open question.
    pub(crate) fn question_act(
        &mut self,
        id: QuestionId,
        act: QuestionAct,
        by: ActBy<'_>,
        turn: &mut Turn,
    ) -> Answer {
        if let Err(refusal) = check_reason(act.reason()).and_then(|()| check_outcome(&act)) {
            return refusal;
        }
        let question = self.open_questions().into_iter().find(|question| question.tag() == id.tag);
        let Some(question) = question else { return self.is_over(id) };
        let may = question.may();
        if !may.contains(&act.name()) {
            let may: Vec<&str> = may.iter().map(|act| act.as_str()).collect();
            let text =
                format!("this question takes no `{}`; possible: {}", act.name(), may.join(", "));
            return Answer::Conflict(text);
        }
        let mut detail =
            json!({ "question": id, "kind": question.kind, "sentence": question.sentence() });
        let reason = act.reason().to_owned();
        let done = match &act {
            QuestionAct::AskAgain { may_have_run, .. } => match question.kind {
                QuestionKind::PastThePivot => {
                    self.read_again_at(&question, by, turn);
                    Ok(())
                }
                QuestionKind::HistoryUnavailable => {
                    self.ask_history_now(&question.service, by.now, turn);
                    Ok(())
                }
                _ => self.ask_doubted_again(&question, *may_have_run, by, turn),
            },
            QuestionAct::Accept { .. } => self.take_as_ended(&question, None, by, turn),
            QuestionAct::Record { outcome, .. } => {
                detail["outcome"] = json!(outcome);
                self.take_as_ended(&question, Some(*outcome), by, turn)
            }
            QuestionAct::Choose { value, .. } => {
                detail["value"] = value.clone();
                check_choice(&question, value)
            }
            // Said of the stranger in all cases, not of this question; the engine has taken it before.
            QuestionAct::Ignore { .. } | QuestionAct::Declare { .. } => Ok(()),
        };
        if let Err(refusal) = done {
            return refusal;
        }
        self.keep_answer(&question, id, &act, &reason, by);
        self.row_changed = true;
        self.audit(None, AuditActName::Answer, reason, detail, by, turn);
        Answer::Done
    }

    /// Why a question that is not open takes no answer: somebody was quicker, or better evidence was.
    fn is_over(&self, id: QuestionId) -> Answer {
        let answered = self.row.extra.answers.iter().find(|answer| answer.id == id);
        match answered {
            Some(QuestionAnswer { by, act, .. }) => Answer::Conflict(format!(
                "{by} has answered question {id} already, by `{act}`; nothing was changed"
            )),
            None => Answer::NotFound(format!(
                "case {} has no open question {id}; it has ended by itself, or never was",
                id.case
            )),
        }
    }

    /// What goes on without the question's answer from outside: by this outcome, or as it is.
    fn take_as_ended(
        &mut self,
        question: &Question,
        outcome: Option<Outcome>,
        by: ActBy<'_>,
        turn: &mut Turn,
    ) -> Result<(), Answer> {
        match question.kind {
            QuestionKind::HistoryUnavailable => self.go_without_history(&question.service),
            QuestionKind::DataConflict => {
                let outcome = outcome.unwrap_or(Outcome::Waived);
                return self.end_in_conflict(question, outcome, by, turn);
            }
            // Its steps are held back by the question, and heed the answer.
            QuestionKind::PastThePivot => {
                if let Some(outcome) = outcome {
                    check_outcome_of(Verb::Compensate, outcome).map_err(Answer::Invalid)?;
                }
            }
            QuestionKind::Contradiction | QuestionKind::Stranger | QuestionKind::Dropped => {}
        }
        Ok(())
    }

    fn keep_answer(
        &mut self,
        question: &Question,
        id: QuestionId,
        act: &QuestionAct,
        reason: &str,
        by: ActBy<'_>,
    ) {
        let (outcome, value) = match act {
            // What comes of it is the answer.
            QuestionAct::AskAgain { .. }
            | QuestionAct::Ignore { .. }
            | QuestionAct::Declare { .. } => return,
            QuestionAct::Accept { .. } => (None, None),
            QuestionAct::Record { outcome, .. } => (Some(*outcome), None),
            QuestionAct::Choose { value, .. } => (None, Some(value.clone())),
        };
        let answers = &mut self.row.extra.answers;
        answers.retain(|answer| answer.id != id); // it has seen less
        answers.push(QuestionAnswer {
            id,
            kind: question.kind,
            act: act.name(),
            outcome,
            value,
            seen: question.statements.iter().map(Statement::number).collect(),
            at: self.wall.0,
            by: Arc::clone(&by.actor.name),
            reason: reason.into(),
            sentence: question.sentence(),
        });
    }

    /// What said that there was nothing is asked once more: a History, or an endpoint of the service's own.
    fn ask_doubted_again(
        &mut self,
        question: &Question,
        may_have_run: bool,
        by: ActBy<'_>,
        turn: &mut Turn,
    ) -> Result<(), Answer> {
        let rows = self.contradicted_endpoints(question);
        if rows.is_empty() {
            self.forget_recheck(question);
        }
        rows.iter().try_for_each(|row| self.check_asked_anew(*row, may_have_run, by))?;
        rows.into_iter().try_for_each(|row| self.ask_in_doubt(row, by.now, turn))
    }

    /// Those who can tell of a pivot are read anew.
    fn read_again_at(&mut self, question: &Question, by: ActBy<'_>, turn: &mut Turn) {
        let (Some(book), Some(name)) = (self.book.clone(), &question.action) else { return };
        if let Some(id) = book.action(&name.service, &name.action) {
            self.read_pivot_again(&book, id, by.now, turn);
        }
    }

    /// The History that resolved nothing is read anew.
    fn forget_recheck(&mut self, question: &Question) {
        let histories = self.row.extra.histories.iter_mut();
        for query in histories.filter(|query| query.service == question.service) {
            query.recheck = None;
        }
    }
}

fn check_outcome(act: &QuestionAct) -> Result<(), Answer> {
    match act {
        QuestionAct::Record { outcome: Outcome::Waived | Outcome::Refused, .. } => {
            let text = "`record` is for how it ended; `accept` it if it goes without";
            Err(Answer::Invalid(text.to_owned()))
        }
        _ => Ok(()),
    }
}
