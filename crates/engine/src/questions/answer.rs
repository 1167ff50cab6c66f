//! What people say about open questions: kept with the statements that they saw, so that another witness or another
//! request asks again.

use crate::act::{ActBy, check_reason};
use crate::agenda::Agenda;
use crate::case::Case;
use crate::{Answer, Question, QuestionAnswer, Statement};
use amends_protocol::resources::QuestionAct;
use amends_protocol::{Outcome, QuestionActName, QuestionId, QuestionKind};
use serde_json::json;
use std::sync::Arc;

impl Case {
    /// A person says something about an open question.
    pub(crate) fn question_act(
        &mut self,
        id: QuestionId,
        act: QuestionAct,
        by: ActBy<'_>,
        agenda: &mut Agenda,
    ) -> Answer {
        if let Err(refusal) = check_reason(act.reason()).and_then(|()| check_outcome(&act)) {
            return refusal;
        }
        let question = self.open_questions().into_iter().find(|question| question.tag() == id.tag);
        let Some(question) = question else {
            let text = format!(
                "case {} has no open question {id}; it was answered, or has ended by itself",
                id.case
            );
            return Answer::NotFound(text);
        };
        let may = question.may();
        if !may.contains(&act.name()) {
            let may: Vec<&str> = may.iter().map(|act| act.as_str()).collect();
            let text =
                format!("this question takes no `{}`; possible: {}", act.name(), may.join(", "));
            return Answer::Conflict(text);
        }
        let mut detail =
            json!({ "question": id, "kind": question.kind, "sentence": question.sentence() });
        if let QuestionAct::Record { outcome, .. } = &act {
            detail["outcome"] = json!(outcome);
        }
        let reason = act.reason().to_owned();
        match act {
            QuestionAct::AskAgain { .. } => match question.kind {
                QuestionKind::HistoryUnavailable => {
                    self.ask_history_now(&question.service, by.now, agenda);
                }
                _ => self.forget_recheck(&question),
            },
            QuestionAct::Accept { .. } => self.keep_answer(&question, id, None, &reason, by),
            QuestionAct::Record { outcome, .. } => {
                self.keep_answer(&question, id, Some(outcome), &reason, by);
            }
        }
        self.row_changed = true;
        self.audit(None, "answer", reason, detail, by, agenda);
        Answer::Done
    }

    fn keep_answer(
        &mut self,
        question: &Question,
        id: QuestionId,
        outcome: Option<Outcome>,
        reason: &str,
        by: ActBy<'_>,
    ) {
        if question.kind == QuestionKind::HistoryUnavailable {
            self.go_without_history(&question.service);
        }
        let answers = &mut self.row.detail.answers;
        answers.retain(|answer| answer.id != id); // it has seen less
        answers.push(QuestionAnswer {
            id,
            kind: question.kind,
            act: if outcome.is_some() { QuestionActName::Record } else { QuestionActName::Accept },
            outcome,
            seen: question.statements.iter().map(Statement::number).collect(),
            at: self.wall.0,
            by: Arc::clone(by.actor),
            reason: reason.into(),
            sentence: question.sentence(),
        });
    }

    /// The History that resolved nothing is read anew.
    fn forget_recheck(&mut self, question: &Question) {
        let walks = self.row.detail.walks.iter_mut();
        for walk in walks.filter(|walk| walk.service == question.service) {
            walk.recheck = None;
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
