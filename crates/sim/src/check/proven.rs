//! What `proven` claims: while a case is settled on it, nothing that could be undone takes effect in its saga.

use super::seen::{Check, End, Seen, when};
use crate::stored::Stored;
use amends_api::{CaseState, ClosedOn};
use amends_engine::Write;
use amends_protocol::{CaseId, Timestamp};
use amends_rulebook::ActionClass;
use std::collections::BTreeMap;

/// Notes when cases are settled as proven, by the true time, and until when.
#[derive(Default)]
pub(super) struct Proven {
    since: BTreeMap<CaseId, i64>,
    spans: Vec<(CaseId, i64, i64)>,
}

impl Proven {
    fn look(
        end: &End<'_>,
        store: &Stored,
        (case, from, to): (CaseId, i64, i64),
    ) -> Result<(), String> {
        let Some(row) = store.rows.case_row(case) else { return Ok(()) };
        let Some(number) = end.services.saga_number(&row.saga) else { return Ok(()) };
        let (saga, book) = (&end.services.sagas[number], &end.services.book);
        let decided = store.rows.acts().iter().any(|act| act.case == Some(case));
        if saga.lied_to || decided {
            return Ok(());
        }
        let undoable = |action: amends_rulebook::ActionId| {
            let known = book.get(action);
            known.class == ActionClass::Compensable && known.endpoints.compensate.is_none()
        };
        let late = saga
            .effects
            .iter()
            .find(|(action, at)| (from + 1..to).contains(at) && undoable(*action));
        when(late.is_some(), || {
            let (name, at) = late
                .map(|(action, at)| (book.get(*action).name.to_string(), *at))
                .unwrap_or_default();
            format!(
                "{case} is settled on `proven` at {from} ms, and {name} takes effect at {at} ms"
            )
        })
    }
}

impl Check for Proven {
    fn name(&self) -> &'static str {
        "proven"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        match seen {
            Seen::Committed { writes, at } => {
                for write in *writes {
                    let Write::Case(row) = write else { continue };
                    let proven =
                        row.state == CaseState::Settled && row.closed_on == Some(ClosedOn::Proven);
                    if proven {
                        self.since.entry(row.id).or_insert(*at);
                    } else if let Some(from) = self.since.remove(&row.id) {
                        self.spans.push((row.id, from, *at));
                    }
                }
                Ok(())
            }
            Seen::End(end) => {
                let open = self.since.iter().map(|(case, from)| (*case, *from, i64::MAX));
                open.chain(self.spans.iter().copied())
                    .try_for_each(|span| Self::look(end, store, span))
            }
            _ => Ok(()),
        }
    }
}
