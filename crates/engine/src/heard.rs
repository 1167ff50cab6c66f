//! What a case knows by evidence, put together as it comes: which requests of each action are known, who told of it and
//! what, so that no answer looks through everything that was told before it.
//!
//! It is derived: made of a case's rows when something is first asked of it, kept up from then on, and never stored.

use crate::{EvidenceRow, HistoryQuery, KnownRequests, ReportRow};
use amends_protocol::{ActionName, Evidence, HistoryState, Report};
use amends_rulebook::{ActionId, Rulebook};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A set of states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct States(u8);

impl States {
    fn of(state: HistoryState) -> Self {
        Self(1 << state as u8)
    }

    pub(crate) fn has(self, state: HistoryState) -> bool {
        self.0 & Self::of(state).0 != 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = HistoryState> {
        HistoryState::ALL.iter().copied().filter(move |state| self.has(*state))
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether some request may have an effect.
    pub(crate) fn may_have_effect(self) -> bool {
        self.iter().any(HistoryState::may_have_effect)
    }

    /// Those of it that speak for an effect.
    fn of_effects(self) -> Self {
        self.iter().filter(|state| state.may_have_effect()).fold(Self::default(), |mut all, one| {
            all.add(one);
            all
        })
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn add(&mut self, state: HistoryState) {
        self.0 |= Self::of(state).0;
    }
}

/// What is said by those whom a request did not go to. A third party takes nothing away.
fn words_of_others(by: &BTreeMap<Arc<str>, States>, is_caller: impl Fn(&str) -> bool) -> States {
    by.iter().fold(States::default(), |all, (who, said)| {
        all.with(if is_caller(who) { *said } else { said.of_effects() })
    })
}

/// Statements of equal standing about one request, joined into one.
pub(crate) fn joined(states: States) -> Option<HistoryState> {
    states.iter().max_by_key(|state| rank(*state))
}

/// How much a state says, as statements of equal standing are joined.
const fn rank(state: HistoryState) -> u8 {
    match state {
        HistoryState::Started => 0,
        HistoryState::Unknown => 1,
        HistoryState::Failed => 2,
        HistoryState::Fenced => 3,
        HistoryState::Succeeded => 4,
        HistoryState::Compensated => 5,
    }
}

/// All evidence of a case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    /// The place of each action in `actions`, by service and name.
    places: BTreeMap<Arc<str>, BTreeMap<Arc<str>, usize>>,
    actions: Vec<OfAction>,
    /// By report, in their order: what it says of each action.
    reports: Vec<BTreeMap<usize, States>>,
    /// Services that have reported.
    reporters: BTreeSet<Arc<str>>,
    /// Services that told of requests of their own.
    speakers: BTreeSet<Arc<str>>,
    /// Services that a report of another one calls failed or unknown and that have not reported themselves.
    unreported: BTreeSet<Arc<str>>,
    /// How much of the evidence that is kept besides reports and Histories each one told.
    kept: BTreeMap<Arc<str>, usize>,
    /// Actions that may have had an effect and of which it was not asked yet whether the rulebook knows them.
    unnoted: BTreeSet<usize>,
    /// Everybody who told something, so that a name is kept once.
    tellers: BTreeSet<Arc<str>>,
    pieces: usize,
}

/// What is known of one action.
#[derive(Clone, Debug)]
struct OfAction {
    name: ActionName,
    /// By request, then by who told of it.
    requests: BTreeMap<Arc<str>, BTreeMap<Arc<str>, States>>,
    /// What its own service says of each request, joined.
    own: BTreeMap<Arc<str>, HistoryState>,
    /// How many of those are in each state.
    own_counts: [usize; HistoryState::ALL.len()],
    /// Requests of which its own service says nothing.
    without_own: BTreeSet<Arc<str>>,
    /// What is known of no certain request, by who told of it.
    unnamed: BTreeMap<Arc<str>, States>,
    /// What undoing a request needs, as its tellers say; by request.
    data: BTreeMap<Arc<str>, Vec<DataTold>>,
    /// By who told of it.
    tellers: BTreeMap<Arc<str>, States>,
    by_anybody: States,
}

/// What undoing a request needs, with who said so.
type DataTold = (Arc<str>, Map<String, Value>);

impl OfAction {
    fn request(&mut self, id: &str) -> &mut BTreeMap<Arc<str>, States> {
        self.requests.entry(id.into()).or_default()
    }

    fn count(&mut self, id: &str, is_own: bool, state: HistoryState) {
        let before = self.own.get(id).copied();
        if !is_own {
            if before.is_none() {
                self.without_own.insert(id.into());
            }
            return;
        }
        self.without_own.remove(id);
        let after = before.map_or(state, |before| before.joined(state));
        if before == Some(after) {
            return;
        }
        if let Some(before) = before {
            self.own_counts[before as usize] -= 1;
        }
        self.own_counts[after as usize] += 1;
        self.own.insert(id.into(), after);
    }

    /// Who told what of the request that a piece of evidence is about.
    fn told_of(&self, evidence: &Evidence) -> Option<&BTreeMap<Arc<str>, States>> {
        match evidence.request_id.as_deref() {
            Some(id) => self.requests.get(id),
            None => Some(&self.unnamed),
        }
    }

    fn has_data(&self, id: &str, by: &str, data: &Map<String, Value>) -> bool {
        let told = self.data.get(id).into_iter().flatten();
        told.into_iter().any(|(who, said)| **who == *by && said == data)
    }
}

impl Heard {
    /// Everything that these rows tell.
    pub(crate) fn of(
        reports: &[ReportRow],
        histories: &[HistoryQuery],
        told: &[EvidenceRow],
    ) -> Self {
        let mut heard = Self::default();
        reports.iter().for_each(|row| heard.add_report(&row.report));
        for query in histories {
            query.entries.iter().for_each(|entry| heard.add_entry(&query.service, entry));
        }
        told.iter().for_each(|one| heard.add_told(&one.by, &one.evidence));
        heard
    }

    /// A further report of the case.
    pub(crate) fn add_report(&mut self, report: &Report) {
        let by = self.teller(report.service());
        self.unreported.remove(&by);
        self.reporters.insert(Arc::clone(&by));
        let mut says: BTreeMap<usize, States> = BTreeMap::new();
        for evidence in &report.data.history {
            says.entry(self.add(&by, evidence)).or_default().add(evidence.state);
            let is_blamed = matches!(evidence.state, HistoryState::Failed | HistoryState::Unknown);
            if is_blamed && !self.reporters.contains(&*evidence.service) {
                self.unreported.insert(evidence.service.as_str().into());
            }
        }
        self.reports.push(says);
    }

    /// An entry of a service's History.
    pub(crate) fn add_entry(&mut self, by: &Arc<str>, evidence: &Evidence) {
        self.add(by, evidence);
    }

    /// Evidence that is kept besides reports and Histories.
    pub(crate) fn add_told(&mut self, by: &Arc<str>, evidence: &Evidence) {
        self.add(by, evidence);
        *self.kept.entry(Arc::clone(by)).or_default() += 1;
    }

    fn add(&mut self, by: &str, evidence: &Evidence) -> usize {
        #[cfg(test)]
        tests::look(1);
        let place = match self.place(&evidence.service, &evidence.action) {
            Some(place) => place,
            None => self.add_action(ActionName::new(&evidence.service, &evidence.action)),
        };
        self.pieces += 1;
        let by = self.teller(by);
        if *by == *evidence.service && !self.speakers.contains(&by) {
            self.speakers.insert(Arc::clone(&by));
        }
        let action = &mut self.actions[place];
        let request = match evidence.request_id.as_deref() {
            Some(id) => action.request(id),
            None => &mut action.unnamed,
        };
        request.entry(Arc::clone(&by)).or_default().add(evidence.state);
        if let Some(id) = evidence.request_id.as_deref() {
            action.count(id, *by == *evidence.service, evidence.state);
        }
        if let Some(id) = evidence.request_id.as_deref()
            && !evidence.data.is_empty()
            && !action.has_data(id, &by, &evidence.data)
        {
            let told = (Arc::clone(&by), evidence.data.clone());
            action.data.entry(id.into()).or_default().push(told);
        }
        let told = action.tellers.entry(by).or_default();
        if evidence.state.may_have_effect() && !told.may_have_effect() {
            self.unnoted.insert(place);
        }
        told.add(evidence.state);
        action.by_anybody.add(evidence.state);
        place
    }

    fn add_action(&mut self, name: ActionName) -> usize {
        let place = self.actions.len();
        let of_service = self.places.entry(Arc::clone(&name.service)).or_default();
        of_service.insert(Arc::clone(&name.action), place);
        self.actions.push(OfAction {
            name,
            requests: BTreeMap::new(),
            own: BTreeMap::new(),
            own_counts: [0; HistoryState::ALL.len()],
            without_own: BTreeSet::new(),
            unnamed: BTreeMap::new(),
            data: BTreeMap::new(),
            tellers: BTreeMap::new(),
            by_anybody: States::default(),
        });
        place
    }

    fn teller(&mut self, by: &str) -> Arc<str> {
        if let Some(known) = self.tellers.get(by) {
            return Arc::clone(known);
        }
        let by: Arc<str> = by.into();
        self.tellers.insert(Arc::clone(&by));
        by
    }

    fn place(&self, service: &str, action: &str) -> Option<usize> {
        self.places.get(service)?.get(action).copied()
    }

    /// How much was told, for who counts memory.
    pub(crate) fn pieces(&self) -> usize {
        self.pieces
    }

    fn action(&self, name: &ActionName) -> Option<&OfAction> {
        self.place(&name.service, &name.action).map(|place| &self.actions[place])
    }

    /// Whether this one told exactly this before.
    pub(crate) fn has(&self, by: &str, evidence: &Evidence) -> bool {
        let Some(place) = self.place(&evidence.service, &evidence.action) else { return false };
        let action = &self.actions[place];
        let told = action.told_of(evidence).and_then(|tellers| tellers.get(by));
        let id = evidence.request_id.as_deref();
        told.is_some_and(|states| states.has(evidence.state))
            && (evidence.data.is_empty()
                || id.is_none_or(|id| action.has_data(id, by, &evidence.data)))
    }

    /// Whether this one told anything of the same request before.
    pub(crate) fn has_told_of(&self, by: &str, evidence: &Evidence) -> bool {
        let place = self.place(&evidence.service, &evidence.action);
        let tellers = place.and_then(|place| self.actions[place].told_of(evidence));
        tellers.is_some_and(|tellers| tellers.contains_key(by))
    }

    /// Whether anybody told of the same request, or, where none is named, of the action.
    pub(crate) fn knows(&self, evidence: &Evidence) -> bool {
        let Some(place) = self.place(&evidence.service, &evidence.action) else { return false };
        evidence.request_id.is_none()
            || self.actions[place].told_of(evidence).is_some_and(|tellers| !tellers.is_empty())
    }

    /// What undoing a request needs, with who said so: its own service before others.
    pub(crate) fn data_of(
        &self,
        name: &ActionName,
        request: &str,
    ) -> impl Iterator<Item = (&Arc<str>, &Map<String, Value>)> {
        let told = self.action(name).and_then(|action| action.data.get(request));
        let told = told.into_iter().flatten();
        let (own, others): (Vec<_>, Vec<_>) = told.partition(|(by, _)| *by == name.service);
        own.into_iter().chain(others).map(|(by, data)| (by, data))
    }

    /// Whether somebody tells of a request of an action that may have had an effect, and not of which.
    pub(crate) fn tells_of_unnamed(&self, name: &ActionName) -> bool {
        let tellers = self.action(name).into_iter().flat_map(|action| action.unnamed.values());
        tellers.into_iter().any(|states| states.may_have_effect())
    }

    /// How much of the evidence that is kept besides reports and Histories was told by those for whom `counts` holds.
    pub(crate) fn kept_of(&self, counts: impl Fn(&str) -> bool) -> usize {
        self.kept.iter().filter(|(by, _)| counts(by)).map(|(_, kept)| kept).sum()
    }

    /// The known requests of an action, each with what its service says of it, or else what others say. Who does not
    /// call it can only add that something may have happened.
    pub(crate) fn best_words(
        &self,
        action: &ActionName,
        is_caller: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = (&Arc<str>, States)> {
        let requests = self.action(action).into_iter().flat_map(|known| &known.requests);
        requests.map(move |(request, by)| {
            let own = by.get(&action.service).copied();
            (request, own.unwrap_or_else(|| words_of_others(by, &is_caller)))
        })
    }

    /// The known requests of an action, each with what everybody says of it.
    pub(crate) fn by_witness(
        &self,
        action: &ActionName,
    ) -> impl Iterator<Item = (&Arc<str>, &BTreeMap<Arc<str>, States>)> {
        self.action(action).into_iter().flat_map(|known| &known.requests)
    }

    /// What is known of one request of an action: what its own service says, or else what others say.
    pub(crate) fn best_word(
        &self,
        action: &ActionName,
        request: &str,
        is_caller: impl Fn(&str) -> bool,
    ) -> States {
        let by = self.action(action).and_then(|known| known.requests.get(request));
        by.map_or(States::default(), |by| {
            by.get(&action.service).copied().unwrap_or_else(|| words_of_others(by, is_caller))
        })
    }

    /// How many requests of an action are known.
    pub(crate) fn known_requests(&self, action: &ActionName) -> KnownRequests {
        let known = self.action(action);
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        known.map_or_else(KnownRequests::default, |known| KnownRequests {
            by_anybody: number(known.requests.len()),
            by_own: number(known.own.len()),
        })
    }

    /// Whether of any request of an action this is what its own service says.
    pub(crate) fn own_word_is(&self, action: &ActionName, state: HistoryState) -> bool {
        self.action(action).is_some_and(|known| known.own_counts[state as usize] > 0)
    }

    /// The known requests of an action.
    pub(crate) fn requests(&self, name: &ActionName) -> impl Iterator<Item = &Arc<str>> {
        #[cfg(test)]
        tests::look(self.action(name).map_or(0, |action| action.requests.len()));
        self.action(name).into_iter().flat_map(|action| action.requests.keys())
    }

    /// What is known of an action's requests by the word that counts: of each request what its own service says,
    /// joined, and of those that it says nothing of, what its callers say. The states that this gives.
    pub(crate) fn word_that_counts(
        &self,
        name: &ActionName,
        is_caller: impl Fn(&str) -> bool,
    ) -> States {
        let Some(action) = self.action(name) else { return States::default() };
        let mut all = States::default();
        let mut says_anything = false;
        for state in HistoryState::ALL.iter().copied() {
            if action.own_counts[state as usize] > 0 {
                all.add(state);
                says_anything = true;
            }
        }
        let own = |tellers: &BTreeMap<Arc<str>, States>| tellers.get(&name.service).copied();
        let of_callers = |tellers: &BTreeMap<Arc<str>, States>| {
            let callers = tellers.iter().filter(|(by, _)| is_caller(by));
            joined(callers.fold(States::default(), |all, (_, one)| States(all.0 | one.0)))
        };
        for tellers in action.without_own.iter().filter_map(|id| action.requests.get(id)) {
            of_callers(tellers).into_iter().for_each(|state| all.add(state));
        }
        if !says_anything {
            let unnamed = own(&action.unnamed).and_then(joined);
            let unnamed = unnamed.or_else(|| of_callers(&action.unnamed));
            unnamed.into_iter().for_each(|state| all.add(state));
        }
        all
    }

    /// What others say of those requests of an action of which its own service says nothing; of requests that they
    /// don't name, if it says nothing at all.
    pub(crate) fn untold_by_own(&self, name: &ActionName) -> States {
        let Some(action) = self.action(name) else { return States::default() };
        let untold = action.without_own.iter().filter_map(|id| action.requests.get(id));
        let is_silent = action.own.is_empty() && !action.unnamed.contains_key(&name.service);
        let unnamed = is_silent.then_some(&action.unnamed);
        let said = untold.chain(unnamed).flat_map(|tellers| tellers.values());
        said.fold(States::default(), |all, one| all.with(*one))
    }

    /// Whether a service takes part in the saga by its own word: it reported, or told of requests of its own.
    pub(crate) fn takes_part(&self, by: &str) -> bool {
        self.reporters.contains(by) || self.speakers.contains(by)
    }

    /// What anybody said of an action's requests.
    pub(crate) fn anybodys_word(&self, name: &ActionName) -> States {
        self.action(name).map_or(States::default(), |action| action.by_anybody)
    }

    /// What one said of an action's requests.
    pub(crate) fn word_of(&self, by: &str, name: &ActionName) -> States {
        let told = self.action(name).and_then(|action| action.tellers.get(by));
        told.copied().unwrap_or_default()
    }

    /// What a report says of an action's requests.
    pub(crate) fn word_of_report(&self, position: usize, name: &ActionName) -> States {
        let place = self.place(&name.service, &name.action);
        let says = self.reports.get(position).zip(place).and_then(|(says, p)| says.get(&p));
        says.copied().unwrap_or_default()
    }

    /// The rulebook's actions that may have had an effect, by anybody's word.
    pub(crate) fn effects(&self, book: &Rulebook) -> BTreeSet<ActionId> {
        #[cfg(test)]
        tests::look(self.actions.len().min(book.actions().len()));
        if book.actions().len() < self.actions.len() {
            let may = |id: &ActionId| self.anybodys_word(&book.get(*id).name).may_have_effect();
            return book.action_ids().filter(may).collect();
        }
        let told = self.actions.iter().filter(|action| action.by_anybody.may_have_effect());
        told.filter_map(|action| book.action(&action.name.service, &action.name.action)).collect()
    }

    /// What is known of an action without a certain request: what its service says of that, or else what others say.
    pub(crate) fn unnamed_word(
        &self,
        name: &ActionName,
        is_caller: impl Fn(&str) -> bool,
    ) -> States {
        let Some(action) = self.action(name) else { return States::default() };
        let own = action.unnamed.get(&name.service).copied();
        own.unwrap_or_else(|| words_of_others(&action.unnamed, is_caller))
    }

    /// What may have had an effect, by anybody's word, and that the rulebook does not know.
    pub(crate) fn effects_unknown_to(&self, book: &Rulebook) -> Vec<ActionName> {
        let told = self.actions.iter().filter(|action| action.by_anybody.may_have_effect());
        let names = told.map(|action| &action.name);
        let strange = |name: &&ActionName| book.action(&name.service, &name.action).is_none();
        names.filter(strange).cloned().collect()
    }

    /// What may have had an effect, by anybody's word.
    pub(crate) fn all_effects(&self) -> impl Iterator<Item = &ActionName> {
        let told = self.actions.iter().filter(|action| action.by_anybody.may_have_effect());
        told.map(|action| &action.name)
    }

    /// Services that failed or did not answer, by a caller's report, and have not reported themselves.
    pub(crate) fn unreported(&self) -> &BTreeSet<Arc<str>> {
        &self.unreported
    }

    /// Who told of what that may have had an effect and that the rulebook does not know; each is given once.
    pub(crate) fn new_strangers(&mut self, book: &Rulebook) -> Vec<(Arc<str>, ActionName)> {
        let mut strangers = Vec::new();
        for place in std::mem::take(&mut self.unnoted) {
            let action = &self.actions[place];
            if book.action(&action.name.service, &action.name.action).is_none() {
                let told = action.tellers.iter().filter(|(_, states)| states.may_have_effect());
                strangers.extend(told.map(|(by, _)| (Arc::clone(by), action.name.clone())));
            }
        }
        strangers
    }

    /// Another rulebook: what it does not know has to be asked anew.
    pub(crate) fn forget_what_is_noted(&mut self) {
        self.unnoted = (0..self.actions.len()).collect();
    }
}

#[cfg(test)]
#[path = "heard_tests.rs"]
mod tests;
