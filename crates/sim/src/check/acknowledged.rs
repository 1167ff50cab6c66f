//! Invariant 1: a report that was acknowledged is never lost. From the moment of the reply it is in exactly one case,
//! and it is the case that the reply named.

use super::seen::{Check, Seen, when};
use crate::stored::Stored;
use amends_engine::LetterAbout;
use amends_protocol::{CaseId, ReportKey, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Keeps the acknowledgements, and looks for their reports in the store.
#[derive(Default)]
pub(super) struct Acknowledged {
    given: BTreeMap<ReportKey, CaseId>,
    /// Those of which no case was told.
    accepted: BTreeSet<ReportKey>,
}

impl Acknowledged {
    fn look(store: &Stored, key: &ReportKey, case: CaseId) -> Result<(), String> {
        let found: Vec<CaseId> = store
            .rows
            .reports()
            .filter(|r| *r.report.id == *key.id && *r.report.source == *key.source)
            .map(|r| r.case)
            .collect();
        when(found != [case], || {
            format!("report {key} was acknowledged as part of {case}, and is stored in {found:?}")
        })
    }
}

/// How the node begins what it says of a letter that the store refuses.
const REFUSED_BY_STORE: &str = "the store refuses";

fn is_stored(store: &Stored, key: &ReportKey) -> Result<(), String> {
    let is_it = |id: &str, source: &str| *id == *key.id && *source == *key.source;
    let of_it = store.rows.reports().filter(|row| is_it(&row.report.id, &row.report.source));
    let times = of_it.count();
    // What a store calls contradictory time and again is kept for people.
    let is_it = |of: &LetterAbout| {
        of.event_id.as_deref() == Some(&*key.id) && of.source.as_deref() == Some(&*key.source)
    };
    let mut refused = store.rows.refused_letters().filter(|letter| is_it(&letter.about));
    let is_kept = refused.any(|letter| letter.detail.starts_with(REFUSED_BY_STORE));
    when(times != 1 && !(times == 0 && is_kept), || {
        format!("report {key} was accepted, and is stored {times} times")
    })
}

impl Check for Acknowledged {
    fn name(&self) -> &'static str {
        "1 acknowledged"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        match seen {
            Seen::Acknowledged { report, case } => {
                let before = *self.given.entry(report.key()).or_insert(*case);
                when(before != *case, || {
                    format!("report {} was said to be in {before}, and now in {case}", report.key())
                })?;
                Self::look(store, &report.key(), *case)
            }
            Seen::Accepted { report } => {
                self.accepted.insert(report.key());
                Ok(())
            }
            Seen::Pruned { case, .. } => {
                self.given.retain(|_, given| given != case);
                Ok(())
            }
            Seen::Loaded | Seen::End(_) => {
                if let Seen::End(_) = seen {
                    self.accepted.iter().try_for_each(|key| is_stored(store, key))?;
                }
                self.given.iter().try_for_each(|(key, case)| Self::look(store, key, *case))
            }
            _ => Ok(()),
        }
    }
}
