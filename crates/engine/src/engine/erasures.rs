//! Business data that goes, because somebody wants it gone: at once where a case is settled, else as soon as it is.

use super::Engine;
use crate::erase::{
    ERASE_LIMIT, KeptFromErasing, UNDER_WAY, audit_texts_that_go, erase_announced,
    is_in_store_alone,
};
use crate::{
    ActRow, Actor, Answer, DomainEvent, Erase, ErasedField, ErasedRow, Erasure, ErasureRow, Gone,
    Input, Output, Partition, SUPERVISOR, Ticket, Write,
};
use amends_api::AuditActName;
use amends_api::audit::ActDigest;
use amends_protocol::{CaseId, SagaId};
use amends_rulebook::SecretValues;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Engine {
    pub(super) fn erase(&mut self, erase: Erase, ticket: Ticket) {
        let answer = match erase.number {
            Some(number) => self.erase_part(number, &erase),
            None => match self.check_erase(&erase) {
                Ok(()) => Answer::Erased(self.apply_erase(&erase)),
                Err(refusal) => refusal,
            },
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
        if self.holdings.is_some() {
            return Ok(()); // whoever holds a saga knows how it stands
        }
        let mut kept = KeptFromErasing::default();
        for saga in &erase.sagas {
            match self.by_saga.get(saga) {
                Some(case) => {
                    if let Some(why) = self.refusal(*case) {
                        return Err(Answer::Conflict(why));
                    }
                    let is_settled = self.cases.get(case).is_some_and(|case| case.is_settled());
                    if !is_settled && !erase.when_settled {
                        kept.open.push(saga.clone());
                    }
                }
                None if self.sagas.contains_key(saga) => kept.under_way.push(saga.clone()),
                None if self.ended_sagas.contains_key(saga) => {}
                None => kept.unknown.push(saga.clone()),
            }
        }
        kept.refusal().map_or(Ok(()), Err)
    }

    fn apply_erase(&mut self, erase: &Erase) -> u64 {
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
            sagas: erase.sagas.len() as u64,
        })));
        match self.holdings.is_some() {
            true => self.divide_erase(number, erase),
            false => erase.sagas.iter().for_each(|saga| self.erase_saga(number, saga, erase)),
        }
        number
    }

    /// Whoever holds a part of the sagas lets their data go, in a commit of its own.
    fn divide_erase(&mut self, number: u64, erase: &Erase) {
        let mut parts: BTreeMap<Partition, Vec<SagaId>> = BTreeMap::new();
        for saga in &erase.sagas {
            parts.entry(Partition::of(saga)).or_default().push(saga.clone());
        }
        for (partition, sagas) in parts {
            // The value itself is nobody else's to know.
            let part = Erase { number: Some(number), sagas, field: None, ..erase.clone() };
            self.send_elsewhere(partition, |ticket| Input::Erase { erase: Box::new(part), ticket });
        }
    }

    fn send_elsewhere(&mut self, partition: Partition, input: impl FnOnce(Ticket) -> Input) {
        self.turn.out.elsewhere.push((partition, input(Ticket::MAX))); // nobody waits
    }

    /// The sagas of one partition, of an erasure that was taken before. What became open again meanwhile goes as soon
    /// as it is settled; of what can't go, those who look at rejected reports hear.
    fn erase_part(&mut self, number: u64, erase: &Erase) -> Answer {
        let mut left = Vec::new();
        for saga in &erase.sagas {
            match self.keeps_from_erasing(saga) {
                Some(why) => left.push(format!("`{saga}`: {why}")),
                None => self.erase_saga(number, saga, erase),
            }
        }
        match left.is_empty() {
            true => Answer::Done,
            false => Answer::Conflict(format!(
                "of erasure {} these stay, to be erased anew: {}",
                erasure_id(number),
                left.join("; ")
            )),
        }
    }

    fn keeps_from_erasing(&self, saga: &SagaId) -> Option<String> {
        match self.by_saga.get(saga) {
            Some(case) => self.refusal(*case),
            None if self.sagas.contains_key(saga) => Some(UNDER_WAY.to_owned()),
            None if self.ended_sagas.contains_key(saga) => None,
            None => Some("there is no case and no announcement of it".to_owned()),
        }
    }

    fn erase_saga(&mut self, number: u64, saga: &SagaId, erase: &Erase) {
        match self.by_saga.get(saga).copied() {
            Some(case) => self.want_erased(case, number, erase),
            None => self.tell_erased(
                None,
                AuditActName::Erase,
                erase,
                json!({ "erasure": erasure_id(number), "saga": saga }),
            ),
        }
        self.erase_announced(number, saga);
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
        let mut out = std::mem::take(&mut self.turn.out);
        let (actor, reason) = (erase.actor.clone(), Arc::clone(&erase.reason));
        self.tell_in_audit(&mut out, case, act, (actor, reason), detail);
        self.turn.out = out;
    }

    /// The audit of what is of no case is kept by whoever holds the seat.
    fn tell_in_audit(
        &self,
        out: &mut Output,
        case: Option<CaseId>,
        act: AuditActName,
        (actor, reason): (Actor, Arc<str>),
        detail: serde_json::Value,
    ) {
        let name = Arc::clone(&actor.name);
        if case.is_none() && self.holdings.is_some() {
            let input = Input::Audit { act, actor, reason, detail, ticket: Ticket::MAX };
            return out.elsewhere.push((Partition::SEAT, input));
        }
        let at = self.turn.moment.wall;
        let word = act.as_str().into();
        let row = ActRow { at, actor, act: word, reason, case, step: None, detail };
        out.writes.push(Write::Act(Box::new(row)));
        let what = DomainEvent::Acted { case, step: None, act, actor: name };
        out.events.push(crate::Event { at, what });
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
            let said = (SUPERVISOR.into(), "asked for, and the case is settled".into());
            self.tell_in_audit(out, row.case, AuditActName::Erased, said, detail);
            out.writes.push(Write::Erased(Box::new(row)));
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
