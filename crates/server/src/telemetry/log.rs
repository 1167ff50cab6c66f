//! A log line for each change of state, once it is durable, with the ids of saga, case and step as fields. At `info`
//! what a person may want to read of a quiet day; at `debug` every step; at `warn` what needs somebody.

use amends_api::{BreakerState, CaseState, ClosedOn, QuestionId, QuestionKind};
use amends_engine::{DomainEvent, Event, StepState, UnreadableRow};
use amends_protocol::CaseId;

/// Writes the lines. Costs nothing while nobody listens: a supervisor under load is told `warn`.
pub(crate) fn observe(events: &[Event]) {
    if !tracing::event_enabled!(target: "amends", tracing::Level::WARN) {
        return;
    }
    for event in events {
        one(event);
    }
}

fn one(event: &Event) {
    match &event.what {
        DomainEvent::Reported { case, report } => tracing::info!(
            target: "amends",
            %case, saga = %report.saga_id, report = %report.id, service = report.service(),
            code = report.data.code, "report received"
        ),
        DomainEvent::Planned { case, report, steps } => tracing::info!(
            target: "amends", %case, saga = %report.saga_id, report = %report.id, steps, "planned"
        ),
        DomainEvent::Step { step, verb, action, state, message } => {
            let message = message.as_deref().unwrap_or_default();
            let case = step.case;
            match state {
                StepState::Stuck(reason) => tracing::warn!(
                    target: "amends", %case, %step, %verb, %action, %reason, message, "step stuck"
                ),
                StepState::Done(outcome) => tracing::info!(
                    target: "amends", %case, %step, %verb, %action, %outcome, "step ended"
                ),
                StepState::Superseded => tracing::info!(
                    target: "amends", %case, %step, %verb, %action, "step superseded"
                ),
                StepState::Shadow
                | StepState::Waiting
                | StepState::Due(_)
                | StepState::InFlight
                | StepState::Accepted { .. } => tracing::debug!(
                    target: "amends",
                    %case, %step, %verb, %action, state = %state.name(), message, "step"
                ),
            }
        }
        DomainEvent::Case { case, saga, state, closed_on, .. } => match state {
            CaseState::Stuck | CaseState::Unmatched => {
                tracing::warn!(target: "amends", %case, %saga, %state, "case needs a person");
            }
            CaseState::Open | CaseState::Settled => {
                let closed_on = closed_on.map(ClosedOn::as_str);
                tracing::info!(target: "amends", %case, %saga, %state, closed_on, "case");
            }
        },
        DomainEvent::Walked { case, service, entries } => {
            tracing::debug!(target: "amends", %case, %service, entries, "history read");
        }
        DomainEvent::Acted { case, step, act, actor } => tracing::info!(
            target: "amends",
            case = case.map(tracing::field::display),
            step = step.map(tracing::field::display),
            %act, %actor, "a person acted"
        ),
        DomainEvent::Question { question, kind, sentence, .. } => asked(*question, *kind, sentence),
        DomainEvent::Breaker { service, state, message } => {
            breaker(service, *state, message.as_deref().unwrap_or_default());
        }
        DomainEvent::Histories { service, available, message } => {
            histories(service, *available, message.as_deref().unwrap_or_default());
        }
        DomainEvent::Quarantined { case, broken } => quarantined(*case, broken),
        DomainEvent::Rulebook { name, hash } => {
            tracing::info!(target: "amends", rulebook = %name, %hash, "rulebook active");
        }
    }
}

fn asked(question: QuestionId, kind: QuestionKind, sentence: &str) {
    let case = question.case;
    tracing::warn!(target: "amends", %case, %question, %kind, sentence, "a question holds the case");
}

fn breaker(service: &str, state: BreakerState, message: &str) {
    match state {
        BreakerState::Open => {
            tracing::warn!(target: "amends", %service, message, "service out of reach");
        }
        BreakerState::Rejecting => {
            tracing::warn!(target: "amends", %service, message, "service rejects all steps");
        }
        BreakerState::Closed | BreakerState::Probing => {
            tracing::info!(target: "amends", %service, state = state.as_str(), "breaker");
        }
    }
}

fn histories(service: &str, available: bool, message: &str) {
    match available {
        true => tracing::info!(target: "amends", service, "histories are read again"),
        false => tracing::warn!(target: "amends", service, message, "histories unavailable"),
    }
}

fn quarantined(case: Option<CaseId>, UnreadableRow { row, why }: &UnreadableRow) {
    match case {
        Some(case) => tracing::error!(target: "amends", %case, row, why, "case quarantined"),
        None => tracing::error!(target: "amends", row, why, "stored row can't be read"),
    }
}
