//! How evidence enters a case besides by reports that it keeps: from answers, callbacks, Histories and reports beyond
//! its limit. What has no room or did not arrive whole is kept as a fact.

use crate::case::Case;
use crate::{Dropped, EvidenceRow};
use amends_api::Source;
use amends_protocol::{
    ActionName, CASE_EVIDENCE_DATA_LIMIT, EVIDENCE_LIMIT, Evidence, Loss, Lost, Testimony,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Pieces of evidence that one case keeps of one service's answers and excess reports. What the rulebook does not
/// declare counts as one service: anybody can make up names.
const TOLD_LIMIT: usize = EVIDENCE_LIMIT;

/// Facts of dropped evidence that one case keeps: a person looks at the services that they name.
const DROPPED_LIMIT: usize = 100;

impl Case {
    /// Adds evidence from an answer; true if any was new.
    pub(crate) fn record_evidence(
        &mut self,
        by: &Arc<str>,
        within: Source,
        told: &Testimony,
    ) -> bool {
        let news = self.record_entries(by, within, told.entries());
        self.drop_lost(by, told.lost());
        news
    }

    /// Adds evidence from a report that is not kept in memory; true if any was new.
    pub(crate) fn record_excess(&mut self, by: &str, history: &[Evidence]) -> bool {
        self.record_entries(&by.into(), Source::Report, history)
    }

    fn record_entries(&mut self, by: &Arc<str>, within: Source, history: &[Evidence]) -> bool {
        if history.is_empty() {
            return false;
        }
        let is_stranger =
            |who: &str| self.book.as_ref().is_none_or(|book| book.service(who).is_none());
        let counts_as = |who: &str| who == &**by || (is_stranger(who) && is_stranger(by));
        let heard = self.heard();
        let mut room = TOLD_LIMIT.saturating_sub(heard.kept_of(counts_as));
        let mut fresh: BTreeSet<&Evidence> = BTreeSet::new();
        let (mut requests, mut had_no_room) = (BTreeSet::new(), false);
        let (mut told, mut lost) = (Vec::new(), Vec::new());
        for evidence in history {
            if heard.has(by, evidence) || !fresh.insert(evidence) {
                continue;
            }
            // What it says of a request that it told of before takes no room: there are few states.
            let is_held = requests.contains(&about(evidence)) || heard.has_told_of(by, evidence);
            if room == 0 && !is_held {
                had_no_room = true;
                lost.extend(self.loss(evidence));
                continue;
            }
            requests.insert(about(evidence));
            room = room.saturating_sub(1);
            told.push(EvidenceRow {
                by: Arc::clone(by),
                at: Some(self.wall.0),
                within: Some(within),
                evidence: evidence.clone(),
            });
        }
        self.fit_data(told.iter_mut().map(|one| &mut one.evidence), &mut lost);
        if had_no_room {
            self.note(format!(
                "{by} told more than the {TOLD_LIMIT} requests that are kept; look into its History"
            ));
        }
        self.drop_lost(by, &lost);
        let news = !told.is_empty();
        if let Some(heard) = self.heard_mut() {
            told.iter().for_each(|one| heard.add_told(&one.by, &one.evidence));
        }
        if news {
            self.row.extra.told.append(&mut told);
            self.row_changed = true;
        }
        news
    }

    /// Adds what a History tells to the entries of its reading; true if any was new.
    pub(crate) fn record_history(&mut self, service: &Arc<str>, told: Testimony) -> bool {
        let (told, mut lost) = told.into_parts();
        let Some(place) = self.row.extra.histories.iter().position(|w| w.service == *service)
        else {
            return false;
        };
        let held = &self.row.extra.histories[place].entries;
        let known: BTreeSet<&Evidence> = held.iter().collect();
        let mut seen = BTreeSet::new();
        let is_fresh = |e: &Evidence| !known.contains(e) && seen.insert(e.clone());
        let mut fresh: Vec<Evidence> = told.into_iter().filter(is_fresh).collect();
        let room = EVIDENCE_LIMIT.saturating_sub(held.len());
        if fresh.len() > room {
            lost.extend(fresh[room..].iter().filter_map(|evidence| self.loss(evidence)));
            fresh.truncate(room);
        }
        self.fit_data(fresh.iter_mut(), &mut lost);
        if let Some(heard) = self.heard_mut() {
            fresh.iter().for_each(|entry| heard.add_entry(service, entry));
        }
        self.drop_lost(service, &lost);
        let news = !fresh.is_empty();
        if news {
            self.row.extra.histories[place].entries.append(&mut fresh);
            self.row_changed = true;
        }
        news
    }

    /// Leaves out data for which the case has no room.
    fn fit_data<'a>(&self, told: impl Iterator<Item = &'a mut Evidence>, lost: &mut Vec<Lost>) {
        let detail = &self.row.extra;
        let kept = detail.histories.iter().flat_map(|query| &query.entries);
        let kept = kept.chain(detail.told.iter().map(|one| &one.evidence));
        let mut room = None;
        for evidence in told.filter(|evidence| !evidence.data.is_empty()) {
            let room = room.get_or_insert_with(|| {
                let held: usize = kept.clone().map(Evidence::data_bytes).sum();
                CASE_EVIDENCE_DATA_LIMIT.saturating_sub(held)
            });
            match room.checked_sub(evidence.data_bytes()) {
                Some(left) => *room = left,
                None => {
                    evidence.data.clear();
                    lost.push(Lost { action: Some(evidence.name()), why: Loss::Data });
                }
            }
        }
    }

    /// What is missing without this piece: an action that may have had an effect and is not known, or a request of one
    /// whose requests are undone one by one. All else says nothing new.
    fn loss(&self, evidence: &Evidence) -> Option<Lost> {
        let name = evidence.name();
        let by_request = || self.is_undone_by_request(&name) && !self.heard().knows(evidence);
        let is_known = self.heard().anybodys_word(&name).may_have_effect();
        let is_missed = evidence.state.may_have_effect() && (!is_known || by_request());
        is_missed.then_some(Lost { action: Some(name), why: Loss::Limit })
    }

    fn is_undone_by_request(&self, name: &ActionName) -> bool {
        let action = self.book.as_deref().and_then(|book| {
            let action = book.action(&name.service, &name.action)?;
            Some(book.get(action))
        });
        action.is_some_and(|action| action.endpoints.compensate.is_some())
    }

    /// Whether what was lost on its way says nothing new: another request of an action that is undone as a whole
    /// anyway.
    fn is_redundant(&self, lost: &Lost) -> bool {
        lost.why == Loss::Limit
            && lost.action.as_ref().is_some_and(|name| {
                self.heard().anybodys_word(name).may_have_effect()
                    && !self.is_undone_by_request(name)
            })
    }

    /// Keeps as facts what was lost. What is left of the same testimony must have been heard before.
    fn drop_lost(&mut self, by: &Arc<str>, lost: &[Lost]) {
        for lost in lost {
            if self.is_redundant(lost) {
                continue;
            }
            let one = Dropped { by: Arc::clone(by), lost: lost.clone() };
            let dropped = &mut self.row.extra.dropped;
            if dropped.len() < DROPPED_LIMIT && !dropped.contains(&one) {
                dropped.push(one);
                self.row_changed = true;
            }
        }
    }
}

fn about(evidence: &Evidence) -> (&str, &str, Option<&str>) {
    (&evidence.service, &evidence.action, evidence.request_id.as_deref())
}
