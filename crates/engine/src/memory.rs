//! A store that is some maps: it applies the engine's writes, and answers look-ups and a loading as every store must.
//!
//! For whoever plays the engine without a disk: simulations, tests, a plan shown before anything has happened. Nothing
//! in it is durable.

use crate::{
    ActRow, ActivationRow, Adopted, AttemptRow, Batch, BrokenCase, CaseRow, Committed,
    EARLIER_VERSIONS, Engine, Epoch, ErasedRow, ErasureRow, HoldScope, Input, LetterId, Loaded,
    LookupRequest, LookupResult, Moment, OpenPage, OpenPlace, Partition, RefusedLetter, ReportRole,
    ReportRow, RuleHoldRow, RulebookRow, SagaRow, SagaState, ServiceRow, Settings, SettingsChange,
    SharedStore, StepRow, StoredCase, StrangerDecisionRow, UnreadableRow, Write,
    audit_texts_that_go, bare_report, is_in_store_alone,
};
use amends_api::CaseState;
use amends_protocol::{ActionName, CaseId, ReportKey, SagaId, Salt, StepId, Timestamp, Verb};
use amends_rulebook::{Rulebook, StillNeeded};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A write claims a key that belongs to another row; nothing of its batch was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryConflict {
    /// Which write.
    pub row: String,
    /// The case that it is of, if of one.
    pub case: Option<CaseId>,
}

/// All rows of one supervisor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    cases: BTreeMap<CaseId, CaseRow>,
    by_saga: BTreeMap<SagaId, CaseId>,
    reports: BTreeMap<(CaseId, u32), ReportRow>,
    by_report: BTreeMap<(String, String), CaseId>,
    steps: BTreeMap<(CaseId, u32), StepRow>,
    attempts: BTreeMap<(StepId, u32), AttemptRow>,
    acts: Vec<ActRow>,
    sagas: BTreeMap<SagaId, SagaRow>,
    services: BTreeMap<Arc<str>, ServiceRow>,
    strangers: BTreeMap<(Arc<str>, ActionName), StrangerDecisionRow>,
    rule_holds: BTreeMap<HoldScope, RuleHoldRow>,
    rulebooks: BTreeMap<Arc<str>, RulebookRow>,
    erasures: BTreeMap<u64, ErasureRow>,
    erased: BTreeMap<(u64, SagaId), ErasedRow>,
    /// Letters that were refused.
    refused: BTreeMap<LetterId, RefusedLetter>,
    last_case: u64,
    /// The highest sequence of the case numbers of each partition, if numbers tell it.
    sequences: BTreeMap<Partition, u64>,
    /// Cases that don't read back, and why.
    broken: BTreeMap<CaseId, String>,
    clock: Option<Timestamp>,
    /// The version of what belongs to no saga, of a store that several loops share, and with which of them the last
    /// version of a rulebook became active.
    settings: u64,
    books: u64,
}

impl Memory {
    /// Applies all writes, or none.
    ///
    /// # Errors
    /// When a report's `(source, id)`, a case's saga or a rulebook's hash already belongs to another row.
    pub fn commit(&mut self, batch: Batch) -> Result<Committed, MemoryConflict> {
        self.check(&batch)?;
        let change = batch.change_of_settings();
        self.settings += u64::from(change.is_some());
        if change == Some(SettingsChange::Rulebook) {
            self.books = self.settings;
        }
        for share in batch.shares {
            share.writes.into_iter().for_each(|write| self.apply(write));
            self.refused.extend(share.refused.into_iter().map(|one| (one.letter.id, one)));
        }
        self.clock = self.clock.max(batch.clock);
        Ok(Committed { settings: change.map(|_| self.settings), ..Committed::default() })
    }

    /// Whether a batch was planned before the last version of a rulebook became active, in a store that several share.
    #[must_use]
    pub fn is_outdated(&self, batch: &Batch) -> bool {
        !batch.shares.is_empty() && batch.settings < self.books
    }

    /// Looks for what a key belongs to, in the rows and in what the batch has claimed before.
    fn check(&self, batch: &Batch) -> Result<(), MemoryConflict> {
        let removed: BTreeSet<CaseId> = batch
            .writes()
            .filter_map(|write| if let Write::Remove(id) = write { Some(*id) } else { None })
            .collect();
        let stays = |id: CaseId| !removed.contains(&id);
        let mut cases: BTreeMap<CaseId, &CaseRow> = BTreeMap::new();
        let mut sagas: BTreeMap<&SagaId, CaseId> = BTreeMap::new();
        let mut reports: BTreeMap<(CaseId, u32), &ReportRow> = BTreeMap::new();
        let mut keys: BTreeMap<(&str, &str), (CaseId, u32)> = BTreeMap::new();
        let mut names: BTreeMap<&str, &str> = BTreeMap::new();
        for write in batch.writes() {
            match write {
                Write::Case(row) => {
                    let fixed =
                        |row: &CaseRow| (row.saga.clone(), row.report.clone(), row.opened_at);
                    let same = |was: &CaseRow| fixed(was) == fixed(row);
                    let stored = || self.cases.get(&row.id).filter(|row| stays(row.id));
                    let was = cases.get(&row.id).copied().or_else(stored);
                    let owner = || self.by_saga.get(&row.saga).copied().filter(|id| stays(*id));
                    let owner = sagas.get(&row.saga).copied().or_else(owner);
                    if !was.is_none_or(same) || owner.is_some_and(|case| case != row.id) {
                        let (case, saga) = (row.id, &row.saga);
                        let row = format!("case `{case}` of saga `{saga}`");
                        return Err(MemoryConflict { row, case: Some(case) });
                    }
                    cases.insert(row.id, row);
                    sagas.insert(&row.saga, row.id);
                }
                Write::Report(row) => {
                    let place = (row.case, row.position);
                    let key = (row.report.source.as_str(), row.report.id.as_str());
                    let stored = || self.reports.get(&place).filter(|row| stays(row.case));
                    let was = reports.get(&place).copied().or_else(stored);
                    let same = |was: &ReportRow| {
                        (was.report.source.as_str(), was.report.id.as_str()) == key
                    };
                    let owner = || self.place_of(key).filter(|(case, _)| stays(*case));
                    let owner = keys.get(&key).copied().or_else(owner);
                    if !was.is_none_or(same) || owner.is_some_and(|owner| owner != place) {
                        let case = row.case;
                        let row = format!("report `{}` of case `{case}`", row.report.key());
                        return Err(MemoryConflict { row, case: Some(case) });
                    }
                    reports.insert(place, row);
                    keys.insert(key, place);
                }
                Write::Activate(row) => {
                    let (hash, name) = (&*row.hash, &*row.name);
                    let stored = || self.rulebooks.get(hash).map(|version| &*version.name);
                    if names.get(hash).copied().or_else(stored).is_some_and(|was| was != name) {
                        let row = format!("version `{hash}` of rulebook `{name}`");
                        return Err(MemoryConflict { row, case: None });
                    }
                    names.insert(hash, name);
                }
                Write::Remove(_)
                | Write::Step(_)
                | Write::Attempt(_)
                | Write::Act(_)
                | Write::Saga(_)
                | Write::Service(_)
                | Write::Stranger(_)
                | Write::RuleHold(_)
                | Write::Erasure(_)
                | Write::Erased(_) => {}
            }
        }
        Ok(())
    }

    fn place_of(&self, (source, id): (&str, &str)) -> Option<(CaseId, u32)> {
        let case = *self.by_report.get(&(source.to_owned(), id.to_owned()))?;
        self.reports_of(case)
            .find(|row| row.report.source == source && row.report.id == id)
            .map(|row| (case, row.position))
    }

    fn apply(&mut self, write: Write) {
        match write {
            Write::Remove(id) => self.remove(id),
            Write::Case(row) => {
                self.last_case = self.last_case.max(row.id.0);
                let sequence = self.sequences.entry(Partition::of(&row.saga)).or_default();
                *sequence = (*sequence).max(row.id.0 / Partition::PARTS as u64);
                self.by_saga.insert(row.saga.clone(), row.id);
                self.cases.insert(row.id, *row);
            }
            Write::Report(row) => {
                let key = (row.report.source.clone(), row.report.id.clone());
                self.by_report.insert(key, row.case);
                self.reports.insert((row.case, row.position), *row);
            }
            Write::Step(row) => {
                self.steps.insert((row.id.case, row.id.ordinal), *row);
            }
            Write::Attempt(row) => {
                self.attempts.insert((row.step, row.attempt), *row);
            }
            Write::Act(row) => self.acts.push(*row),
            Write::Saga(row) => {
                self.sagas.insert(row.saga.clone(), *row);
            }
            Write::Service(row) => {
                self.services.insert(Arc::clone(&row.service), *row);
            }
            Write::Stranger(row) => {
                let key = (Arc::clone(&row.rulebook), row.action.clone());
                match row.decision {
                    Some(_) => drop(self.strangers.insert(key, *row)),
                    None => drop(self.strangers.remove(&key)),
                }
            }
            Write::RuleHold(row) => match row.decision {
                Some(_) => drop(self.rule_holds.insert(row.scope.clone(), *row)),
                None => drop(self.rule_holds.remove(&row.scope)),
            },
            Write::Activate(row) => self.activate(*row),
            Write::Erasure(row) => drop(self.erasures.insert(row.number, *row)),
            Write::Erased(row) => self.erase(*row),
        }
    }

    /// What no other write holds of a case whose business data went.
    fn erase(&mut self, mut row: ErasedRow) {
        let values = std::mem::take(&mut row.values);
        if let Some(case) = row.case.filter(|_| row.done_at.is_some()) {
            let tries = self.attempts.iter_mut().filter(|((step, _), _)| step.case == case);
            tries.for_each(|(_, attempt)| attempt.message = None);
            let reports = self.reports.range_mut((case, 0)..=(case, u32::MAX));
            for (_, report) in reports.filter(|(_, report)| is_in_store_alone(report)) {
                bare_report(report);
            }
            let is_about = |act: &&mut ActRow| act.case.or(act.step.map(|s| s.case)) == Some(case);
            for act in self.acts.iter_mut().filter(is_about) {
                let (reason, detail) = audit_texts_that_go(&act.act, &act.reason, &values);
                if reason {
                    act.reason = "".into();
                }
                if detail {
                    act.detail = serde_json::Value::Null;
                }
            }
        }
        self.erased.insert((row.erasure, row.saga.clone()), row);
    }

    fn remove(&mut self, id: CaseId) {
        self.broken.remove(&id);
        if let Some(row) = self.cases.remove(&id) {
            self.by_saga.remove(&row.saga);
        }
        self.by_report.retain(|_, case| *case != id);
        self.reports.retain(|(case, _), _| *case != id);
        self.steps.retain(|(case, _), _| *case != id);
    }

    /// From now on a case doesn't read back, as if a row of it had been damaged, until it is written anew.
    pub fn break_case(&mut self, id: CaseId, why: &str) {
        self.broken.insert(id, why.to_owned());
    }

    fn rest_of(&self, row: &CaseRow) -> Option<BrokenCase> {
        let why = self.broken.get(&row.id)?.clone();
        Some(BrokenCase {
            id: row.id,
            saga: Some(row.saga.clone()),
            settled: row.state == CaseState::Settled,
            next_report: self.reports_of(row.id).last().map_or(0, |row| row.position + 1),
            broken: UnreadableRow { row: format!("case `{}`", row.id), why },
        })
    }

    fn activate(&mut self, activation: ActivationRow) {
        let ActivationRow { at, name, hash, sources, from_file } = activation;
        for row in self.rulebooks.values_mut().filter(|row| row.name == name) {
            row.active = false;
            row.from_file &= !from_file;
        }
        let row = self.rulebooks.entry(Arc::clone(&hash)).or_insert_with(|| RulebookRow {
            name,
            hash,
            sources: sources.into_iter().map(|(path, text)| (path, text.to_string())).collect(),
            stored_at: at,
            active: true,
            from_file,
        });
        row.active = true;
        row.from_file |= from_file;
    }

    /// Keeps a version of a rulebook and makes it the active one of its name, as its activation would.
    pub fn put_active(&mut self, book: &Rulebook, at: Timestamp) {
        self.activate(ActivationRow::of(book, at, false));
    }

    /// Answers a look-up.
    #[must_use]
    pub fn find(&self, request: &LookupRequest) -> LookupResult {
        let by_key = |key: &ReportKey| {
            self.by_report.get(&(key.source.to_string(), key.id.to_string())).copied()
        };
        let of_sagas = request.sagas.iter().filter_map(|saga| self.by_saga.get(saga).copied());
        let wanted: BTreeSet<CaseId> = of_sagas.chain(request.cases.iter().copied()).collect();
        let announced: BTreeSet<&SagaId> = request.announced.iter().collect();
        let rulebooks = request.rulebooks.iter();
        let rows = wanted.iter().filter_map(|id| self.cases.get(id));
        let whole = wanted.iter().filter(|id| !self.broken.contains_key(id));
        LookupResult {
            reports: request.reports.iter().map(by_key).collect(),
            cases: whole.filter_map(|id| self.case(*id)).collect(),
            broken: rows.filter_map(|row| self.rest_of(row)).collect(),
            announced: announced.into_iter().filter_map(|s| self.sagas.get(s).cloned()).collect(),
            rulebooks: rulebooks.filter_map(|hash| self.rulebooks.get(hash).cloned()).collect(),
            needed: request.needed.iter().flat_map(|name| self.needed(name)).collect(),
            rule_minutes: None,
        }
    }

    /// What the open cases of a rulebook still have to ask for.
    fn needed(&self, rulebook: &Arc<str>) -> Vec<(Arc<str>, StillNeeded)> {
        let mut needed: BTreeMap<(Verb, &ActionName), u64> = BTreeMap::new();
        let open = self.cases.values().filter(|row| {
            row.state != CaseState::Settled
                && row.rulebook.as_ref().is_some_and(|book| book.name == *rulebook)
        });
        let steps = open.flat_map(|row| self.steps_of(row.id));
        for step in steps.filter(|step| !step.state.is_terminal()) {
            *needed.entry((step.verb, &step.action)).or_default() += 1;
        }
        let told = needed.into_iter().map(|((verb, action), cases)| {
            (Arc::clone(rulebook), StillNeeded { verb, action: action.clone(), cases })
        });
        told.collect()
    }

    /// Does for the inputs of a turn what a loop does before it steps the engine: asks, and lets the engine learn.
    pub fn inform(&self, engine: &mut Engine, inputs: &mut [Input]) {
        let mut found = self.find(&engine.look_up(&*inputs));
        let rulebooks = engine.missing_rulebooks(&found.cases);
        found.rulebooks =
            self.find(&LookupRequest { rulebooks, ..LookupRequest::default() }).rulebooks;
        engine.learn(found, inputs);
    }

    /// An engine that has read everything open, as a loop reads it page by page. `before` as in [`Engine::load`].
    #[must_use]
    pub fn start(&self, before: &mut Engine, moment: impl Into<Moment>) -> Engine {
        /// Few, so that whoever tests meets more than one.
        const PAGE: usize = 3;
        let mut engine = Engine::load(self.load(), before, moment);
        let mut next = Some(OpenPlace::default());
        while let Some(after) = next {
            let page = self.open(Partition::WHOLE, after, PAGE);
            next = page.next;
            let rulebooks = engine.missing_rulebooks(&page.cases);
            let wanted = LookupRequest { rulebooks, ..LookupRequest::default() };
            engine.learn_rulebooks(&self.find(&wanted).rulebooks);
            engine.take_open(Partition::WHOLE, page);
        }
        engine
    }

    /// Some of the cases of a partition that are not settled, or settled over an unanswered report, after a place.
    #[must_use]
    pub fn open(&self, partition: Partition, after: OpenPlace, most: usize) -> OpenPage {
        let OpenPlace([_, _, after]) = after;
        let is_of_it =
            |saga: &SagaId| partition == Partition::WHOLE || Partition::of(saga) == partition;
        let is_open = |row: &&CaseRow| {
            is_of_it(&row.saga) && (row.state != CaseState::Settled || self.has_unanswered(row.id))
        };
        let from = CaseId(u64::try_from(after).map_or(0, |after| after + 1));
        let mut rows = self.cases.range(from..).map(|(_, row)| row).filter(is_open);
        let mut page = OpenPage::default();
        let mut last = after;
        for row in rows.by_ref().take(most) {
            last = row.id.0.cast_signed();
            match self.rest_of(row) {
                Some(rest) => page.broken.push(rest),
                None => page.cases.extend(self.case(row.id)),
            }
        }
        page.next = rows.next().is_some().then_some(OpenPlace([0, 0, last]));
        page
    }

    /// Whether a report of the case has no answer.
    #[must_use]
    pub fn has_unanswered(&self, case: CaseId) -> bool {
        self.reports_of(case).any(|row| row.role == ReportRole::Unmatched)
    }

    /// What a store tells at a start.
    #[must_use]
    pub fn load(&self) -> Loaded {
        let begun = self.sagas.values().filter(|row| row.state == SagaState::Begun);
        let mut sagas: Vec<SagaRow> = begun.cloned().collect();
        sagas.sort_by_key(|row| row.deadline);
        let unsettled = self.cases.values().filter(|row| row.state != CaseState::Settled);
        Loaded {
            epoch: Epoch::default(),
            shared: None,
            last_case: self.last_case,
            salt: Salt::NONE,
            clock: self.clock.or_else(|| unsettled.map(|case| case.updated_at).max()),
            sagas,
            settings: self.settings(),
        }
    }

    /// The version of what belongs to no saga.
    #[must_use]
    pub fn settings_version(&self) -> u64 {
        self.settings
    }

    /// What belongs to no saga.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            version: self.settings,
            rulebooks: self.rulebooks.values().filter(|row| row.active).cloned().collect(),
            earlier: self.earlier_versions(),
            services: self.services.values().cloned().collect(),
            strangers: self.strangers.values().cloned().collect(),
            rule_holds: self.rule_holds.values().cloned().collect(),
            last_erasure: self.erasures.last_key_value().map_or(0, |(number, _)| *number),
            ..Settings::default()
        }
    }

    /// What a store that several loops share tells at a start.
    #[must_use]
    pub fn load_shared(&self, shared: SharedStore) -> Loaded {
        Loaded { shared: Some(shared), last_case: 0, sagas: Vec::new(), ..self.load() }
    }

    /// The highest sequence of all partitions.
    #[must_use]
    pub fn highest_sequence(&self) -> u64 {
        self.sequences.values().max().copied().unwrap_or_default()
    }

    /// What a partition has beside its open cases.
    #[must_use]
    pub fn adopt(&self, partition: Partition, orderly: bool) -> Adopted {
        let mut sagas = self.load().sagas;
        sagas.retain(|row| Partition::of(&row.saga) == partition);
        let last_sequence = self.sequences.get(&partition).copied().unwrap_or_default();
        Adopted { last_sequence, sagas, orderly }
    }

    fn earlier_versions(&self) -> Vec<RulebookRow> {
        let earlier = self.rulebooks.values().filter(|row| !row.active);
        let mut earlier: Vec<RulebookRow> = earlier.cloned().collect();
        earlier.sort_by(|a, b| (b.stored_at, &b.hash).cmp(&(a.stored_at, &a.hash)));
        earlier.truncate(EARLIER_VERSIONS as usize);
        earlier
    }

    /// One case with its rows, whatever its state.
    #[must_use]
    pub fn case(&self, id: CaseId) -> Option<StoredCase> {
        Some(StoredCase {
            case: self.cases.get(&id)?.clone(),
            reports: self.reports_of(id).cloned().collect(),
            steps: self.steps_of(id).cloned().collect(),
        })
    }

    /// All cases, by number.
    pub fn cases(&self) -> impl Iterator<Item = &CaseRow> {
        self.cases.values()
    }

    /// One case without its rows.
    #[must_use]
    pub fn case_row(&self, id: CaseId) -> Option<&CaseRow> {
        self.cases.get(&id)
    }

    /// The reports of a case, in the order of arrival.
    pub fn reports_of(&self, case: CaseId) -> impl Iterator<Item = &ReportRow> {
        self.reports.range((case, 0)..=(case, u32::MAX)).map(|(_, row)| row)
    }

    /// All reports, by case.
    pub fn reports(&self) -> impl Iterator<Item = &ReportRow> {
        self.reports.values()
    }

    /// The steps of a case, by ordinal.
    pub fn steps_of(&self, case: CaseId) -> impl Iterator<Item = &StepRow> {
        self.steps.range((case, 0)..=(case, u32::MAX)).map(|(_, row)| row)
    }

    /// All steps, by case.
    pub fn steps(&self) -> impl Iterator<Item = &StepRow> {
        self.steps.values()
    }

    /// One step.
    #[must_use]
    pub fn step(&self, id: StepId) -> Option<&StepRow> {
        self.steps.get(&(id.case, id.ordinal))
    }

    /// Tries that did not end their step, by step.
    pub fn attempts(&self) -> impl Iterator<Item = &AttemptRow> {
        self.attempts.values()
    }

    /// A letter that was refused.
    #[must_use]
    pub fn refused_letter(&self, id: LetterId) -> Option<&RefusedLetter> {
        self.refused.get(&id)
    }

    /// Letters that were refused.
    pub fn refused_letters(&self) -> impl Iterator<Item = &RefusedLetter> {
        self.refused.values()
    }

    /// The audit, oldest first.
    #[must_use]
    pub fn acts(&self) -> &[ActRow] {
        &self.acts
    }

    /// An erasure, with what became of its sagas.
    #[must_use]
    pub fn erasure(&self, number: u64) -> Option<(&ErasureRow, Vec<&ErasedRow>)> {
        let erased = self.erased.iter().filter(|((erasure, _), _)| *erasure == number);
        Some((self.erasures.get(&number)?, erased.map(|(_, row)| row).collect()))
    }

    /// What a saga announced.
    #[must_use]
    pub fn saga(&self, saga: &SagaId) -> Option<&SagaRow> {
        self.sagas.get(saga)
    }

    /// All announced sagas.
    pub fn sagas(&self) -> impl Iterator<Item = &SagaRow> {
        self.sagas.values()
    }

    /// What operators have set for a service.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&ServiceRow> {
        self.services.get(name)
    }

    /// All versions of all rulebooks, by content hash.
    pub fn rulebooks(&self) -> impl Iterator<Item = &RulebookRow> {
        self.rulebooks.values()
    }
}
