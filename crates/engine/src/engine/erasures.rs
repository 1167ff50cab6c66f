//! Business data that goes, because somebody wants it gone: at once where a case is settled, else as soon as it is.

use super::Engine;
use crate::erase::{ERASE_LIMIT, audit_texts_that_go, erase_announced, is_in_store_alone};
use crate::{
    ActRow, Answer, DomainEvent, Erase, ErasedField, ErasedRow, Erasure, ErasureRow, Gone,
    SUPERVISOR, Ticket, Write,
};
use amends_api::AuditActName;
use amends_api::audit::ActDigest;
use amends_protocol::{CaseId, SagaId};
use amends_rulebook::SecretValues;
use serde_json::json;
use std::sync::Arc;

/// Sagas that a refusal names.
const NAMED: usize = 5;

impl Engine {
    pub(super) fn erase(&mut self, erase: Erase, ticket: Ticket) {
        let answer = match self.check_erase(&erase) {
            Ok(()) => Answer::Erased(self.apply_erase(erase)),
            Err(refusal) => refusal,
        };
        self.turn.answer(ticket, answer);
    }

    fn check_erase(&self, erase: &Erase) -> Result<(), Answer> {
        crate::act::check_reason(&erase.reason)?;
        let count = erase.sagas.len();
        if !(1..=ERASE_LIMIT).contains(&count) {
            let text = format!("an erasure is of 1 to {ERASE_LIMIT} sagas, not {count}");
            return Err(Answer::Invalid(text));
        }
        let (mut unknown, mut open) = (Vec::new(), Vec::new());
        for saga in &erase.sagas {
            match self.by_saga.get(saga) {
                Some(case) => {
                    if let Some(why) = self.refusal(*case) {
                        return Err(Answer::Conflict(why));
                    }
                    let is_settled = self.cases.get(case).is_some_and(|case| case.is_settled());
                    if !is_settled && !erase.when_settled {
                        open.push(saga);
                    }
                }
                None if self.sagas.contains_key(saga) => {
                    return Err(Answer::Conflict(format!(
                        "saga `{saga}` is under way: what it announced is needed if it misses its deadline; erase it when it has ended"
                    )));
                }
                None if self.ended_sagas.contains_key(saga) => {}
                None => unknown.push(saga),
            }
        }
        if !unknown.is_empty() {
            let text = format!("there is no case and no announcement of {}", named(&unknown));
            return Err(Answer::NotFound(text));
        }
        match open.is_empty() {
            true => Ok(()),
            false => Err(Answer::Conflict(format!(
                "not settled yet, so that its data are still needed: {}; with `whenSettled` (on the command line `--when-settled`) they go as soon as that is so",
                named(&open)
            ))),
        }
    }

    fn apply_erase(&mut self, erase: Erase) -> u64 {
        self.last_erasure += 1;
        let number = self.last_erasure;
        let nonce = self.turn.salt.nonce(&["erasure", &number.to_string()]);
        let field = erase.field.as_ref();
        self.turn.out.writes.push(Write::Erasure(Box::new(ErasureRow {
            number,
            at: self.turn.moment.wall,
            actor: erase.actor.clone(),
            reason: Arc::clone(&erase.reason),
            field: field.map(|(name, value)| ErasedField::of(name, value, nonce)),
        })));
        for saga in &erase.sagas {
            match self.by_saga.get(saga).copied() {
                Some(case) => self.want_erased(case, number, &erase),
                None => self.tell_erased(
                    None,
                    AuditActName::Erase,
                    &erase,
                    json!({ "erasure": erasure_id(number), "saga": saga }),
                ),
            }
            self.erase_announced(number, saga);
        }
        number
    }

    /// It goes with the output of this turn if the case is settled then.
    fn want_erased(&mut self, id: CaseId, number: u64, erase: &Erase) {
        let at = self.turn.moment.wall;
        let pending = self.with_case(id, |case, _| {
            let before = case.row.extra.erasure.take();
            let gone = before.map_or_else(Gone::default, |before| before.gone);
            case.row.extra.erasure = Some(Erasure {
                number,
                asked_at: at.0,
                by: Arc::clone(&erase.actor.name),
                done_at: None,
                gone,
            });
            case.row_changed = true;
            (!case.is_settled()).then(|| case.row.saga.clone())
        });
        let is_pending = matches!(pending, Some(Some(_)));
        let detail = json!({ "erasure": erasure_id(number), "whenSettled": is_pending });
        self.tell_erased(Some(id), AuditActName::Erase, erase, detail);
        if let Some(saga) = pending.flatten() {
            self.turn.out.writes.push(Write::Erased(Box::new(ErasedRow {
                erasure: number,
                saga,
                case: Some(id),
                done_at: None,
                gone: Gone::default(),
                values: SecretValues::default(),
            })));
        }
    }

    /// What a saga announced goes too, unless it is still under way.
    fn erase_announced(&mut self, number: u64, saga: &SagaId) {
        let Some(mut row) = self.ended_sagas.get(saga).cloned() else { return };
        let nonce = self.turn.salt.nonce(&["announced", saga.as_str()]);
        let (gone, values) = erase_announced(&mut row.data, nonce);
        if !gone.is_nothing() {
            self.turn.out.writes.push(Write::Saga(Box::new(row.clone())));
            self.ended_sagas.insert(saga.clone(), row);
        }
        if !self.by_saga.contains_key(saga) {
            let done_at = Some(self.turn.moment.wall);
            let saga = saga.clone();
            let row = ErasedRow { erasure: number, saga, case: None, done_at, gone, values };
            self.erased.push(row);
        }
    }

    fn tell_erased(
        &mut self,
        case: Option<CaseId>,
        act: AuditActName,
        erase: &Erase,
        detail: serde_json::Value,
    ) {
        self.turn.out.writes.push(Write::Act(Box::new(ActRow {
            at: self.turn.moment.wall,
            actor: erase.actor.clone(),
            act: act.as_str().into(),
            reason: Arc::clone(&erase.reason),
            case,
            step: None,
            detail,
        })));
        let actor = Arc::clone(&erase.actor.name);
        self.turn.publish(DomainEvent::Acted { case, step: None, act, actor });
    }

    /// Lets the data of a case go that is to be forgotten, if it is settled; before its rows are written. `others` are
    /// the writes of the turn that no case holds.
    pub(super) fn erase_if_settled(&mut self, id: CaseId, others: &[Write]) {
        let (salt, wall) = (self.turn.salt, self.turn.moment.wall);
        let Some(case) = self.cases.get_mut(&id) else { return };
        if case.row.extra.erasure.is_none() {
            return;
        }
        case.wall = wall;
        let nonce = |case: CaseId| salt.nonce(&["case", &case.to_string()]);
        let comes_along = others.iter().any(|write| holds_data(write, id));
        self.erased.extend(case.erase(comes_along, nonce));
    }

    /// The last writes of an output: nothing behind them may write anew what went.
    pub(super) fn write_erased(&mut self, out: &mut crate::Output) {
        for row in std::mem::take(&mut self.erased) {
            let Gone { fields, bytes, .. } = row.gone;
            let digest: ActDigest = row.gone.whole();
            let detail = json!({
                "erasure": erasure_id(row.erasure), "saga": row.saga, "fields": fields, "bytes": bytes,
                "digest": digest,
            });
            let case = row.case;
            out.writes.push(Write::Act(Box::new(ActRow {
                at: self.turn.moment.wall,
                actor: SUPERVISOR.into(),
                act: AuditActName::Erased.as_str().into(),
                reason: "asked for, and the case is settled".into(),
                case,
                step: None,
                detail,
            })));
            out.writes.push(Write::Erased(Box::new(row)));
            let what = DomainEvent::Acted {
                case,
                step: None,
                act: AuditActName::Erased,
                actor: SUPERVISOR.into(),
            };
            out.events.push(crate::Event { at: self.turn.moment.wall, what });
        }
    }
}

/// Whether a write that no case holds brings business data to a case, or texts that may be some.
fn holds_data(write: &Write, case: CaseId) -> bool {
    match write {
        Write::Report(row) => row.case == case && is_in_store_alone(row),
        Write::Attempt(row) => row.step.case == case && row.message.is_some(),
        Write::Act(row) => {
            let values = SecretValues::default();
            row.case.or(row.step.map(|step| step.case)) == Some(case)
                && audit_texts_that_go(&row.act, &row.reason, &values).1
                && !row.detail.is_null()
        }
        _ => false,
    }
}

/// How people name an erasure.
fn erasure_id(number: u64) -> String {
    format!("er-{number}")
}

fn named(sagas: &[&SagaId]) -> String {
    let names: Vec<String> = sagas.iter().take(NAMED).map(|saga| format!("`{saga}`")).collect();
    let more = sagas.len().saturating_sub(NAMED);
    match more {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}
