//! An open question, and what people said about others.

use amends_api::{
    AnswerView, QuestionId, QuestionView, StatementView, StrangerDecisionView, StrangerView,
};
use amends_engine::{CaseRow, FoundQuestion, FoundStranger, Question, QuestionAnswer};
use amends_protocol::Timestamp;

/// Statements that are listed.
const STATEMENTS: usize = 100;

/// An open question of a case that was read.
pub(crate) fn question(question: &Question, case: &CaseRow) -> QuestionView {
    let statements = question.statements.iter().take(STATEMENTS).map(|statement| StatementView {
        by: statement.by.to_string(),
        request_id: statement.request.as_deref().map(str::to_owned),
        says: statement.says.as_str().to_owned(),
        value: statement.says.value(),
    });
    QuestionView {
        statements: statements.collect(),
        saga_id: Some(case.saga.clone()),
        rulebook: case.rulebook.as_ref().map(|version| version.name.to_string()),
        ..shown(question, question.id(case.id), question.sentence(), case.updated_at)
    }
}

/// A question of a list; the case's row, if it was looked up.
pub(crate) fn found_question(found: &FoundQuestion, case: Option<&CaseRow>) -> QuestionView {
    let FoundQuestion { id, question, sentence, since } = found;
    QuestionView {
        saga_id: case.map(|case| case.saga.clone()),
        rulebook: case.and_then(|case| case.rulebook.as_ref()).map(|v| v.name.to_string()),
        ..shown(question, *id, sentence.to_string(), *since)
    }
}

fn shown(question: &Question, id: QuestionId, sentence: String, since: Timestamp) -> QuestionView {
    let field = question.field.as_ref();
    QuestionView {
        id,
        kind: question.kind,
        effect: question.effect,
        sentence,
        service: question.service.to_string(),
        action: question.action.clone(),
        request_id: field.and_then(|field| field.request.as_deref()).map(str::to_owned),
        field: field.map(|field| field.path.to_string()),
        case_id: id.case,
        saga_id: None,
        rulebook: None,
        statements: Vec::new(),
        may: question.may(),
        since,
    }
}

/// What a person said about a question.
pub(super) fn answer(answer: QuestionAnswer) -> AnswerView {
    AnswerView {
        id: answer.id,
        kind: answer.kind,
        act: answer.act,
        outcome: answer.outcome,
        value: answer.value,
        at: Timestamp(answer.at),
        by: answer.by.to_string(),
        reason: answer.reason.to_string(),
        sentence: answer.sentence,
    }
}

/// A name that a rulebook does not know.
pub(crate) fn stranger(found: FoundStranger) -> StrangerView {
    StrangerView {
        rulebook: found.rulebook.to_string(),
        declared: found.declared,
        waiting: found.waiting,
        group: found.group(),
        cases: found.cases,
        example: found.example,
        may: found.may(),
        decision: found.decision.as_ref().map(|said| StrangerDecisionView {
            act: said.act,
            at: Timestamp(said.decision.at),
            by: said.decision.by.to_string(),
            reason: said.decision.reason.to_string(),
        }),
        action: found.action,
    }
}
