//! Which cases are in memory, and how the others come back.
//!
//! A case that is not settled is *resident* or *spilled*. Resident are all that are being worked on, and of the others
//! as many as the budget allows: those that were changed longest ago leave first. A spilled case is in the store word
//! for word, and in memory in short ([`Brief`]); its timers and its places in queues stay as they are. Where one of
//! these comes to its turn, the case is *wanted*: it is looked up before the next turn, and that goes on from there.
//!
//! INVARIANT: a case leaves with the output that has its last change, so what is looked up later is all of it.

use super::Engine;
use crate::brief::{Brief, BriefStep, Standing};
use crate::case::Case;
use crate::residence::{BOOKS_KEPT, MemoryUse};
use crate::service_queue::EffectKey;
use crate::timer::Timer;
use crate::transition::StepEvent;
use crate::{OpenPage, Output, Partition, StepState, StoredCase};
use amends_protocol::{CaseId, StepId, Timestamp};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Cases that are wanted at once. More timers wait for the next turn.
const WANTED_MOST: usize = 512;

/// Jobs of one service whose cases are wanted together, in places of the service: those that can go now, and as many
/// that go next.
const AHEAD: usize = 2;

impl Engine {
    /// Sets how many bytes cases in memory may take; those that are being worked on are there whatever it is.
    pub fn set_budget(&mut self, bytes: usize) {
        self.residence.budget = bytes;
    }

    /// What open cases take in memory.
    #[must_use]
    pub fn memory_use(&self) -> MemoryUse {
        MemoryUse {
            resident_cases: self.cases.len(),
            resident_bytes: self.residence.bytes,
            spilled_cases: self.residence.spilled.len(),
            spilled_bytes: self.residence.spilled_bytes,
            waiting_bytes: self.turn.traffic.bytes(),
        }
    }

    /// Whether the case is open and in the store only.
    #[must_use]
    pub fn is_spilled(&self, id: CaseId) -> bool {
        self.residence.spilled.contains_key(&id)
    }

    /// Whether what is kept of a spilled case is what its rows say; for checks that memory and store tell the same.
    /// What is due earlier than the rows say, and when to look after an accepted step next, is in memory only.
    #[must_use]
    pub fn keeps_as_stored(&self, stored: &StoredCase) -> bool {
        let Some(kept) = self.residence.spilled.get(&stored.case.id) else { return false };
        let accepted = |step: &BriefStep| matches!(step.standing, Standing::Accepted { .. });
        let book = self.book_of(stored).ok().flatten();
        let brief = Brief::of(&Case::stored(stored.clone(), book), |text| text);
        kept.from_start || kept.expedited || kept.steps.iter().any(accepted) || **kept == brief
    }

    /// Whether something waits for cases that must be looked up first: another turn is due at once.
    #[must_use]
    pub fn wants_cases(&self) -> bool {
        !self.residence.wanted.is_empty() || !self.residence.held_up.is_empty()
    }

    /// Whether all open cases have been read since the start.
    #[must_use]
    pub fn knows_all_open(&self) -> bool {
        self.residence.reading.is_empty()
    }

    pub(super) fn wanted_cases(&self) -> impl Iterator<Item = CaseId> {
        self.residence.wanted.keys().copied()
    }

    /// An open case in short.
    pub(crate) fn brief(&self, id: CaseId) -> Option<Cow<'_, Brief>> {
        if let Some(brief) = self.residence.spilled.get(&id) {
            return Some(Cow::Borrowed(brief));
        }
        let case = self.cases.get(&id).filter(|case| !case.is_settled())?;
        Some(Cow::Owned(Brief::of(case, |text| text)))
    }

    /// All open cases, in order.
    pub(crate) fn open_case_ids(&self) -> Vec<CaseId> {
        let mut ids: Vec<CaseId> =
            self.cases.keys().chain(self.residence.spilled.keys()).copied().collect();
        ids.sort_unstable();
        ids
    }

    pub(super) fn spilled_briefs(&self) -> impl Iterator<Item = &Brief> {
        self.residence.spilled.values().map(|brief| &**brief)
    }

    /// Whether every open case is planned with a version that is known here.
    pub(super) fn knows_all_versions(&self) -> bool {
        self.residence.versions.keys().all(|hash| self.books.contains_key(hash))
    }

    // What leaves.

    /// Counts a case that has changed, and notes when.
    pub(super) fn count_resident(&mut self, id: CaseId) {
        let Some(case) = self.cases.get_mut(&id) else { return };
        let residence = &mut self.residence;
        let bytes = case.bytes();
        residence.bytes = residence.bytes - case.counted_bytes + bytes;
        case.counted_bytes = bytes;
        residence.idle.remove(&case.changed_as);
        residence.changes += 1;
        case.changed_as = residence.changes;
        if !case.is_under_way() {
            residence.idle.insert(case.changed_as, id);
        }
    }

    /// Lets cases go until the rest is within the budget, or all of it is under way.
    pub(super) fn spill(&mut self) {
        while self.residence.bytes > self.residence.budget
            && let Some((_, id)) = self.residence.idle.pop_first()
        {
            self.spill_one(id);
        }
        self.drop_books();
    }

    /// Nothing of the case has still to be written. None if it is not in memory.
    fn spill_one(&mut self, id: CaseId) -> Option<&mut Brief> {
        let case = self.cases.remove(&id)?;
        self.residence.left(&case);
        self.by_saga.remove(&case.row.saga);
        let brief = Brief::of(&case, |text| self.residence.texts.share(text));
        self.residence.insert(id, brief);
        self.residence.spilled.get_mut(&id).map(|brief| &mut **brief)
    }

    /// Forgets versions of rulebooks that neither are active nor plan a resident case; they come back with a case.
    fn drop_books(&mut self) {
        if self.books.len() <= self.residence.books_most {
            return;
        }
        let resident = self.cases.values().filter_map(|case| case.book.as_ref());
        let used: BTreeSet<Arc<str>> =
            resident.chain(self.active.values()).map(|book| book.hash().into()).collect();
        self.books.retain(|hash, _| used.contains(hash));
        self.residence.books_most = self.books.len() * 2 + BOOKS_KEPT;
    }

    // What comes in.

    /// Takes in a page of open cases of a partition after a start. What was under way counts as unanswered, timers are
    /// set, and all that waits has its place in its queue. The cases stay in the store until they are needed.
    pub fn take_open(&mut self, partition: Partition, page: OpenPage) {
        for case in page.broken {
            if !self.cases.contains_key(&case.id) {
                self.isolate(case);
            }
        }
        for stored in page.cases {
            self.take_open_case(stored);
        }
        if page.next.is_none() {
            self.residence.reading.remove(&partition);
        }
    }

    fn take_open_case(&mut self, stored: StoredCase) {
        let id = stored.case.id;
        let in_flight = stored.steps.iter().any(|step| step.state == StepState::InFlight)
            || stored.case.extra.histories.iter().any(|query| query.in_flight);
        let (state, steps) = (stored.case.state, stored.steps.len());
        let out = std::mem::take(&mut self.turn.out);
        let came = !self.is_spilled(id) && self.bring_in(stored);
        let said = std::mem::replace(&mut self.turn.out, out);
        let as_it_was = |case: &Case| {
            case.row.state == state && case.steps.len() == steps && case.reports_are_as_stored()
        };
        let is_orderly = self.was_handed_over(id);
        let has_changed = |case: &Case| is_orderly && case.has_unwritten();
        let stays = |case: &Case| !as_it_was(case) || has_changed(case);
        if !came || in_flight || self.cases.get(&id).is_none_or(|case| stays(case)) {
            self.turn.out.append(said);
            return;
        }
        // What changes with a start is written and told when the case is worked on.
        self.changed.remove(&id);
        if let Some(brief) = self.spill_one(id) {
            brief.from_start = !is_orderly;
        }
    }

    /// Brings an open case into memory, or a settled one that a start finds with an unanswered report. False if it is
    /// there, or can't be worked on.
    pub(super) fn bring_in(&mut self, stored: StoredCase) -> bool {
        let id = stored.case.id;
        if self.cases.contains_key(&id) || self.quarantine.contains_key(&id) {
            return false;
        }
        let brief = self.residence.remove(id);
        if !self.is_usable_with_its_book(&stored) {
            return false;
        }
        let book = self.book_of(&stored).ok().flatten();
        self.put_in(stored, book);
        if let Some(why) = self.residence.refused.remove(&id) {
            self.quarantine(id, &why);
            return false;
        }
        let now = self.turn.moment.now;
        if brief.as_ref().is_none_or(|brief| brief.from_start) {
            self.resume(now, id);
        } else if let Some(case) = self.cases.get_mut(&id) {
            case.recall_ages();
        }
        if let Some(brief) = brief.filter(|brief| brief.expedited) {
            self.catch_up(now, id, &brief);
        }
        true
    }

    /// A case whose writes the store refuses is quarantined, now or as soon as it is here.
    pub fn refuse(&mut self, id: CaseId, why: &str) {
        if !self.quarantine(id, why) {
            self.residence.refused.insert(id, why.to_owned());
        }
    }

    /// What was expedited while the case was away is due now.
    fn catch_up(&mut self, now: Timestamp, id: CaseId, brief: &Brief) {
        self.with_case(id, |case, engine| {
            for step in &brief.steps {
                let Some(index) = case.step_index(step.id(id)) else { continue };
                match (step.standing, &case.steps[index].state) {
                    (Standing::Due(expedited), StepState::Due(at)) if expedited < *at => {
                        let event = StepEvent::Expedite(now);
                        case.must_change(index, event, now, &mut engine.turn);
                    }
                    (
                        Standing::Accepted { poll_at: expedited, .. },
                        StepState::Accepted { poll_at, .. },
                    ) if expedited < *poll_at => {
                        case.expedite_poll(index, now);
                    }
                    _ => {}
                }
            }
            for query in brief.histories.iter().filter(|w| w.due_at.is_some_and(|at| at <= now)) {
                case.expedite_query(&query.service, now, &mut engine.turn);
            }
        });
    }

    // What is wanted.

    /// All wanted cases have been looked up: what waited for them goes on.
    pub(super) fn wanted_are_here(&mut self) {
        let now = self.turn.moment.now;
        for (id, timers) in std::mem::take(&mut self.residence.wanted) {
            // The store has been asked; what it does not know is not open.
            self.residence.remove(id);
            for (at, timer) in timers {
                // What was heard before it counts from when it was due.
                let at = if self.is_shared() { at } else { now };
                self.turn.traffic.timers.set(at, timer);
            }
        }
        for service in std::mem::take(&mut self.residence.held_up) {
            self.turn.traffic.stir(&service);
        }
    }

    /// Whether more cases may be wanted before some have come.
    pub(super) fn may_want_more(&self) -> bool {
        self.residence.wanted.len() < WANTED_MOST
    }

    /// The timer is due, and what it is about must be here first.
    pub(super) fn want(&mut self, id: CaseId, timer: (Timestamp, Timer)) {
        self.residence.wanted.entry(id).or_default().push(timer);
    }

    /// Where an unfinished step of a spilled case stands, and its service.
    pub(super) fn spilled_step(&self, id: StepId) -> Option<(Arc<str>, Standing)> {
        let step = self.residence.spilled.get(&id.case)?.step(id)?;
        Some((Arc::clone(&step.service), step.standing))
    }

    /// Hurries a key of a spilled case. False if the case is not spilled.
    pub(super) fn expedite_spilled(
        &mut self,
        now: Timestamp,
        service: &Arc<str>,
        key: EffectKey,
    ) -> bool {
        let Some(brief) = self.residence.spilled.get_mut(&key.case()) else { return false };
        if brief.expedite(key, service, now) {
            self.turn.traffic.enqueue(service, key);
        }
        true
    }

    /// Whether a query of a spilled case is due.
    pub(super) fn spilled_reading_is_due(&self, id: CaseId, service: &str, now: Timestamp) -> bool {
        let query = self.residence.spilled.get(&id).and_then(|brief| brief.query(service));
        query.is_some_and(|query| !query.in_flight && query.due_at.is_some_and(|at| at <= now))
    }

    /// Whether a key's case is spilled, and if so whether the key is still to be done.
    pub(super) fn spilled_awaits(
        &self,
        key: EffectKey,
        service: &str,
        now: Timestamp,
        probing: bool,
    ) -> Option<bool> {
        let brief = self.residence.spilled.get(&key.case())?;
        Some(brief.awaits(key, service, now, probing))
    }

    /// The next key of a service waits for its case: that is wanted, with those of the keys that go next.
    pub(super) fn want_for(&mut self, service: &Arc<str>, key: EffectKey, probing: bool) {
        self.residence.wanted.entry(key.case()).or_default();
        self.residence.held_up.insert(Arc::clone(service));
        let queue = self.turn.traffic.queue(service);
        let most = if probing { 0 } else { queue.concurrency() as usize * AHEAD };
        let next: Vec<EffectKey> = queue.upcoming().take(most.min(WANTED_MOST)).collect();
        for key in next {
            if self.is_spilled(key.case()) && self.may_want_more() {
                self.residence.wanted.entry(key.case()).or_default();
            }
        }
    }
}

impl Output {
    fn append(&mut self, other: Self) {
        self.writes.extend(other.writes);
        self.effects.extend(other.effects);
        self.answers.extend(other.answers);
        self.events.extend(other.events);
    }
}
