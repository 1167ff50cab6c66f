//! Acts on cases as a whole and on queues, with their audit.

use super::Engine;
use crate::act::ActBy;
use crate::transition::{claiming, sharing};
use crate::{
    ActRow, Actor, Answer, Decision, DomainEvent, Limits, NewLimits, ServiceRow, Ticket, Write,
};
use amends_api::{AuditActName, CaseAct, QuestionAct, QuestionId, StrangerAct};
use amends_protocol::{CaseId, StepId, Timestamp};
use std::sync::Arc;

impl Engine {
    pub(super) fn step_act(
        &mut self,
        id: StepId,
        act: amends_api::StepAct,
        by: ActBy<'_>,
        ticket: Ticket,
    ) {
        let answer = self.with_step(id, |case, _, engine| {
            let answer = case.step_act(id, act, by, &mut engine.turn);
            if answer == Answer::Done {
                engine.go_on(case, true, by.now);
            }
            answer
        });
        let answer = answer.or(self.refusal(id.case).map(Answer::Conflict));
        self.answer(ticket, answer, || format!("there is no step {id}"));
    }

    pub(super) fn case_act(&mut self, id: CaseId, act: CaseAct, by: ActBy<'_>, ticket: Ticket) {
        let now = by.now;
        let replans = matches!(act, CaseAct::Replan { .. });
        let answer = self.with_case(id, |case, engine| {
            let first = case.reports.first().map_or("", |r| r.report.service());
            let began = case.row.rulebook.as_ref().map(|r| &*r.name);
            let several = match began {
                None => sharing(engine.active.values(), first),
                Some(_) => Vec::new(),
            };
            let said = match &act {
                CaseAct::Replan { rulebook: Some(name), .. } => Some(name.clone()),
                _ => None,
            };
            if let Some(name) = &said
                && began.is_some_and(|began| *began != **name)
            {
                let text =
                    format!("the case belongs to another rulebook than `{name}`, and stays there");
                return Answer::Conflict(text);
            }
            if let Some(name) = &said {
                let declares = engine.active.get(name.as_str()).map(|b| b.service(first).is_some());
                match declares {
                    Some(true) => {}
                    Some(false) => {
                        let text = format!("rulebook `{name}` doesn't declare `{first}`");
                        return Answer::Conflict(text);
                    }
                    None => {
                        let text = format!("no active rulebook is named `{name}`");
                        return Answer::Conflict(text);
                    }
                }
            }
            let name = began.map(str::to_owned).or(said);
            let entry = case.began_with().map(str::to_owned);
            let books = engine.active.values();
            let active = claiming(books, name.as_deref(), first, entry.as_deref()).cloned();
            let several: Vec<String> = several.into_iter().map(|b| b.name().to_owned()).collect();
            let several: Vec<&str> = several.iter().map(String::as_str).collect();
            let answer = case.case_act(act, active, &several, by, &mut engine.turn);
            if answer != Answer::Done {
                return answer;
            }
            if replans {
                case.reopen(&mut engine.turn);
                case.forget_roles(now);
                case.assign_roles(None, now, &mut engine.limits, &mut engine.turn);
            }
            if !case.is_settled() {
                engine.go_on(case, true, now);
            }
            answer
        });
        let answer = answer.or(self.refusal(id).map(Answer::Conflict));
        self.answer(ticket, answer, || format!("there is no case {id}"));
    }

    pub(super) fn question_act(
        &mut self,
        id: QuestionId,
        act: QuestionAct,
        by: ActBy<'_>,
        ticket: Ticket,
    ) {
        let said = match &act {
            QuestionAct::Ignore { reason } => Some(StrangerAct::Ignore { reason: reason.clone() }),
            QuestionAct::Declare { reason } => {
                Some(StrangerAct::Declare { reason: reason.clone() })
            }
            _ => None,
        };
        if let Some(said) = said
            && let Some((rulebook, action)) =
                self.with_case(id.case, |case, _| case.stranger_in_question(id)).flatten()
        {
            return self.stranger_act(&rulebook, &action, &said, by, ticket);
        }
        let answer = self.with_case(id.case, |case, engine| {
            let answer = case.question_act(id, act, by, &mut engine.turn);
            if answer == Answer::Done {
                engine.go_on(case, true, by.now);
            }
            answer
        });
        let answer = answer.or(self.refusal(id.case).map(Answer::Conflict));
        self.answer(ticket, answer, || format!("there is no case {}", id.case));
    }

    pub(super) fn pause(
        &mut self,
        now: Timestamp,
        service: &Arc<str>,
        paused: bool,
        actor: &Actor,
        reason: &Arc<str>,
        ticket: Ticket,
    ) {
        if let Err(answer) = self.check_service(service, reason) {
            return self.turn.answer(ticket, answer);
        }
        let standing = self.turn.traffic.queue(service).settings.pause.as_ref();
        let is_said_again = standing.is_some_and(|pause| pause.is_by(&actor.name, reason));
        if paused == standing.is_some() && (!paused || is_said_again) {
            return self.turn.answer(ticket, Answer::Done); // it changes nothing, so nothing is kept of it
        }
        let decision = Decision {
            at: self.turn.moment.wall.0,
            by: Arc::clone(&actor.name),
            reason: Arc::clone(reason),
        };
        self.turn.traffic.queue(service).settings.set_pause(now, paused.then_some(decision));
        self.turn.traffic.watch_ages(service, now);
        self.keep_settings(service);
        let act = if paused { AuditActName::Pause } else { AuditActName::Resume };
        let detail = serde_json::json!({ "service": service });
        self.audit(act, actor, reason, detail);
        self.turn.answer(ticket, Answer::Done);
    }

    pub(super) fn limit(
        &mut self,
        service: &Arc<str>,
        new: NewLimits,
        actor: &Actor,
        reason: &Arc<str>,
        ticket: Ticket,
    ) {
        let checked = self.check_service(service, reason).and_then(|()| check_limits(new));
        if let Err(answer) = checked {
            return self.turn.answer(ticket, answer);
        }
        let NewLimits { concurrency, per_second } = new;
        let changes_nothing = match &self.turn.traffic.queue(service).settings.limits {
            None => new == NewLimits::default(),
            Some(standing) => {
                (standing.concurrency, standing.per_second) == (concurrency, per_second)
                    && standing.decision.is_by(&actor.name, reason)
            }
        };
        if changes_nothing {
            return self.turn.answer(ticket, Answer::Done);
        }
        let decision = Decision {
            at: self.turn.moment.wall.0,
            by: Arc::clone(&actor.name),
            reason: Arc::clone(reason),
        };
        self.turn.traffic.queue(service).settings.limits =
            (new != NewLimits::default()).then_some(Limits { concurrency, per_second, decision });
        self.keep_settings(service);
        let detail = serde_json::json!({
            "service": service, "concurrency": concurrency, "perSecond": per_second,
        });
        self.audit(AuditActName::Limit, actor, reason, detail);
        self.turn.answer(ticket, Answer::Done);
    }

    fn check_service(&self, service: &Arc<str>, reason: &str) -> Result<(), Answer> {
        let known = self.turn.traffic.queues.contains_key(service)
            || self.active.values().any(|book| book.service(service).is_some());
        if !known {
            let text = format!("no active rulebook knows a service `{service}`");
            return Err(Answer::NotFound(text));
        }
        crate::act::check_reason(reason)
    }

    /// What was set survives a restart, and holds from now on.
    pub(super) fn keep_settings(&mut self, service: &Arc<str>) {
        let settings = self.turn.traffic.queue(service).settings.clone();
        let row = ServiceRow { service: Arc::clone(service), settings };
        self.turn.out.writes.push(Write::Service(Box::new(row)));
        self.turn.traffic.stir(service);
    }

    pub(super) fn audit(
        &mut self,
        act: AuditActName,
        actor: &Actor,
        reason: &Arc<str>,
        detail: serde_json::Value,
    ) {
        self.turn.out.writes.push(Write::Act(Box::new(ActRow {
            at: self.turn.moment.wall,
            actor: actor.clone(),
            act: act.as_str().into(),
            reason: Arc::clone(reason),
            case: None,
            step: None,
            detail,
        })));
        self.turn.publish(DomainEvent::Acted {
            case: None,
            step: None,
            act,
            actor: Arc::clone(&actor.name),
        });
    }
}

/// Most requests at once that can be set: as many connections as one address can well have.
const MOST_AT_ONCE: u32 = 10_000;
/// Most requests a second that can be set; more is no limit.
const MOST_PER_SECOND: u32 = 100_000;

fn check_limits(new: NewLimits) -> Result<(), Answer> {
    let check = |name: &str, value: Option<u32>, most: u32| match value {
        Some(n) if !(1..=most).contains(&n) => Err(Answer::Invalid(format!(
            "`{name}` is {n}; it must be from 1 to {most}, or absent for the rulebook's"
        ))),
        _ => Ok(()),
    };
    check("concurrency", new.concurrency, MOST_AT_ONCE)?;
    check("perSecond", new.per_second, MOST_PER_SECOND)
}
