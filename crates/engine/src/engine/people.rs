//! Acts on cases as a whole, on lanes and on rulebooks, with their audit.

use super::Engine;
use crate::{ActRow, Answer, Happening, Ticket, Write};
use amends_protocol::{CaseId, Timestamp};
use amends_rulebook::Rulebook;
use std::sync::Arc;

impl Engine {
    pub(super) fn case_act(
        &mut self,
        now: Timestamp,
        id: CaseId,
        act: amends_protocol::resources::CaseAct,
        actor: &Arc<str>,
        ticket: Ticket,
    ) {
        let replans = matches!(act, amends_protocol::resources::CaseAct::Replan { .. });
        let answer = self.with_case(id, |case, engine| {
            let first =
                case.reports.first().map(|r| r.report.service().to_owned()).unwrap_or_default();
            let named =
                case.row.rulebook.as_ref().and_then(|r| engine.active.get(&r.name)).cloned();
            let active = named.or_else(|| engine.book_for(&first, &case.row.saga));
            let answer = case.case_act(act, active, actor, now, &mut engine.agenda);
            if answer != Answer::Done {
                return answer;
            }
            if replans {
                case.reopen(now, &mut engine.agenda);
                case.forget_roles(now);
                case.assign_roles(None, now, &mut engine.limits, &mut engine.agenda);
            }
            if !case.is_settled() {
                engine.go_on(case, true, now);
            }
            answer
        });
        self.answer(ticket, answer, || format!("there is no case {id}"));
    }

    pub(super) fn pause(
        &mut self,
        now: Timestamp,
        service: &Arc<str>,
        paused: bool,
        actor: &Arc<str>,
        reason: &Arc<str>,
        ticket: Ticket,
    ) {
        let known = self.agenda.lanes.contains_key(service)
            || self.active.values().any(|book| book.service(service).is_some());
        if !known {
            let text = format!("no active rulebook knows a service `{service}`");
            return self.agenda.answer(ticket, Answer::NotFound(text));
        }
        if let Err(answer) = crate::act::check_reason(reason) {
            return self.agenda.answer(ticket, answer);
        }
        self.agenda.lane(service).paused = paused;
        self.agenda.stir(service);
        let act = if paused { "pause" } else { "resume" };
        let detail = serde_json::json!({ "service": service });
        self.audit(now, act, actor, reason, detail);
        self.agenda.answer(ticket, Answer::Done);
    }

    pub(super) fn audit(
        &mut self,
        now: Timestamp,
        act: &'static str,
        actor: &Arc<str>,
        reason: &Arc<str>,
        detail: serde_json::Value,
    ) {
        self.agenda.out.writes.push(Write::Act(Box::new(ActRow {
            at: now,
            actor: Arc::clone(actor),
            act,
            reason: Arc::clone(reason),
            case: None,
            step: None,
            detail,
        })));
        self.agenda
            .tell(now, Happening::Acted { case: None, step: None, act, actor: Arc::clone(actor) });
    }

    pub(super) fn activate(
        &mut self,
        now: Timestamp,
        book: Arc<Rulebook>,
        actor: &Arc<str>,
        reason: &Arc<str>,
        ticket: Ticket,
    ) {
        let taken =
            self.active.values().filter(|other| other.name() != book.name()).find_map(|other| {
                let service = book.services().iter().find(|s| other.service(&s.name).is_some())?;
                Some(format!(
                    "service `{}` already belongs to rulebook `{}`",
                    service.name,
                    other.name()
                ))
            });
        if let Some(why) = taken {
            return self.agenda.answer(ticket, Answer::Conflict(why));
        }
        let (name, hash): (Arc<str>, Arc<str>) = (book.name().into(), book.hash().into());
        self.restore_active(book);
        let detail = serde_json::json!({ "rulebook": name, "hash": hash });
        self.audit(now, "activate", actor, reason, detail);
        self.agenda.tell(now, Happening::Rulebook { name, hash });
        self.agenda.answer(ticket, Answer::Done);
    }

    pub(super) fn set_limits(&mut self, book: &Rulebook) {
        for service in book.services() {
            self.agenda.lane(&service.name).limit = service.concurrency.max(1);
        }
    }
}
