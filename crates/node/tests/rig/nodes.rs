//! Nodes that share a store in memory. No threads, no sleeps.

#![allow(dead_code)] // each test file uses its own part

use super::{TWO, report, success};
use amends_api::CaseState;
use amends_engine::{
    Answer, Batch, Committed, Epoch, Input, Lease, Letter, LetterId, LetterMark, LettersRead,
    LettersWanted, LookupRequest, LookupResult, Memory, Partition, RuleMinutes, SharedStore,
    Ticket, Write,
};
use amends_node::{
    Done, EffectResult, LaunchedEffect, Need, Node, NodeOptions, StoreFault, TurnedAway,
};
use amends_protocol::{SagaId, Timestamp};
use amends_rulebook::Rulebook;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Their partitions are 12 and 53.
pub const ONE: &str = "order-1";
pub const OTHER: &str = "order-2";
pub const HERE: Partition = Partition(12);
pub const THERE: Partition = Partition(53);

/// That of a saga.
pub fn partition(saga: &str) -> Partition {
    Partition::of(&SagaId::new(saga).expect("valid"))
}

/// What nodes share.
#[derive(Default)]
pub struct Store {
    pub rows: Memory,
    pub leases: BTreeMap<Partition, (usize, Epoch)>,
    pub letters: BTreeMap<i64, Letter>,
    pub last: i64,
    /// The next commit fails, and what is in it lands later.
    pub lands_late: Option<Option<(usize, Batch)>>,
    /// Writes of this saga's reports can't be stored.
    pub refuses: Option<&'static str>,
    /// A letter that only a newer version can read.
    pub unread: Option<(Partition, LetterId)>,
    pub minutes: RuleMinutes,
    /// Look-ups tell no minutes of limited rules: as if all that counts had come right after them.
    pub hides_minutes: bool,
    pub now: Timestamp,
}

impl Store {
    pub fn new() -> Self {
        Self::with(TWO)
    }

    pub fn with(rulebook: &str) -> Self {
        let mut store = Self { now: Timestamp(1_700_000_000_000), ..Self::default() };
        let book = Rulebook::from_yaml(rulebook).unwrap_or_else(|found| panic!("{found:#?}"));
        store.rows.put_active(&book, Timestamp(0));
        store
    }

    pub fn give(&mut self, partition: Partition, node: usize) {
        let epoch = self.leases.get(&partition).map_or(1, |(_, epoch)| epoch.0 + 1);
        self.leases.insert(partition, (node, Epoch(epoch)));
    }

    pub fn held_by(&self, node: usize) -> Vec<Lease> {
        let held = self.leases.iter().filter(|(_, (owner, _))| *owner == node);
        held.map(|(partition, (_, epoch))| Lease { partition: *partition, epoch: *epoch }).collect()
    }

    pub fn commit(&mut self, node: usize, batch: Batch) -> Result<Committed, StoreFault> {
        if let Some(late @ None) = &mut self.lands_late {
            *late = Some((node, batch));
            return Err(StoreFault::Failed("the line is broken".to_owned()));
        }
        if batch.writes().any(|write| self.refuses_write(write)) {
            return Err(StoreFault::Unstorable { why: "it is too deep".to_owned(), case: None });
        }
        let outdated = self.rows.is_outdated(&batch);
        let (held, lost): (Vec<_>, Vec<_>) = batch
            .shares
            .into_iter()
            .partition(|share| self.leases.get(&share.partition) == Some(&(node, share.epoch)));
        if outdated || lost.iter().any(|share| share.partition == Partition::SEAT) {
            return Err(StoreFault::Outdated);
        }
        let cases = held.iter().flat_map(|share| &share.rule_cases);
        if !self.minutes.count(cases, self.now) {
            return Err(StoreFault::Outdated);
        }
        for share in &held {
            self.letters.retain(|_, letter| !share.taken.contains(&letter.id));
        }
        for letter in batch.letters {
            self.last += 1;
            self.letters.insert(self.last, letter);
        }
        let rest = Batch { shares: held, clock: batch.clock, ..Batch::default() };
        let done = self.rows.commit(rest).expect("no conflict");
        Ok(Committed { lost: lost.into_iter().map(|share| share.partition).collect(), ..done })
    }

    fn refuses_write(&self, write: &Write) -> bool {
        let Write::Report(row) = write else { return false };
        Some(row.report.saga_id.as_str()) == self.refuses
    }

    fn find(&self, request: &LookupRequest) -> LookupResult {
        let is_told = request.rule_minutes && !self.hides_minutes;
        let rule_minutes = is_told.then(|| self.minutes.told(self.now));
        LookupResult { rule_minutes, ..self.rows.find(request) }
    }

    pub fn read(&self, wanted: LettersWanted) -> LettersRead {
        let LettersWanted { partition, after, most } = wanted;
        let after = after.map_or(0, |mark| mark.0[1]);
        let later = self.letters.range(after + 1..);
        let mut later = later.filter(|(_, letter)| letter.partition == partition);
        let some: Vec<_> = later.by_ref().take(most).collect();
        LettersRead {
            partition,
            next: LetterMark([0, some.last().map_or(after, |(seq, _)| **seq)]),
            letters: some.into_iter().map(|(_, letter)| letter.clone()).collect(),
            unread: self
                .unread
                .filter(|(of, _)| *of == partition)
                .map(|(_, id)| (id, "of a newer version".to_owned()))
                .into_iter()
                .collect(),
            ended: later.next().is_none(),
        }
    }

    pub fn state_of(&self, saga: &str) -> Option<CaseState> {
        self.rows.cases().find(|case| case.saga.as_str() == saga).map(|case| case.state)
    }
}

/// A node and what has come out of it.
pub struct Machine {
    pub number: usize,
    pub node: Node,
    pub answers: BTreeMap<Ticket, Answer>,
    pub answered: Vec<(LetterId, Answer)>,
    pub turned_away: Vec<TurnedAway>,
    pub gave_back: Vec<Partition>,
    pub under_way: Vec<LaunchedEffect>,
    /// Versions of the settings that it has made.
    pub made: Vec<u64>,
    /// How often it has loaded.
    pub loads: usize,
    pub commits: usize,
    ticket: Ticket,
}

impl Machine {
    pub fn started(number: usize, store: &mut Store) -> Self {
        let options = NodeOptions {
            queue: 100,
            resident_bytes: usize::MAX,
            open_page: 2,
            batch: 10,
            grace_ms: 10_000,
            letters_from: (number as u128) << 64,
        };
        let mut machine = Self {
            number,
            node: Node::new(options),
            answers: BTreeMap::new(),
            answered: Vec::new(),
            turned_away: Vec::new(),
            gave_back: Vec::new(),
            under_way: Vec::new(),
            made: Vec::new(),
            loads: 0,
            commits: 0,
            ticket: 0,
        };
        machine.run(store);
        machine
    }

    /// Goes on until nothing more is to be done now.
    pub fn run(&mut self, store: &mut Store) -> Option<Timestamp> {
        for _ in 0..10_000 {
            let need = self.node.need(store.now);
            if let ControlFlow::Break(until) = self.answer(need, store) {
                return until;
            }
        }
        panic!("it never rests");
    }

    /// Does what the node needs; until when it rests, if it does.
    pub fn answer(&mut self, need: Need, store: &mut Store) -> ControlFlow<Option<Timestamp>> {
        let done = match need {
            Need::Load => {
                for (_, epoch) in store.leases.values_mut().filter(|(n, _)| *n == self.number) {
                    epoch.0 += 1;
                }
                self.loads += 1;
                let leases = store.held_by(self.number);
                let rule_minutes = store.minutes.told(store.now);
                let shared = SharedStore { leases, rule_minutes, ..SharedStore::default() };
                Done::Loaded(Ok(store.rows.load_shared(shared)))
            }
            Need::Settings => Done::Settings(Ok(store.rows.settings())),
            Need::Adopt(lease) => Done::Adopted(Ok(store.rows.adopt(lease.partition, true))),
            Need::Letters(wanted) => {
                Done::Letters(Ok(wanted.into_iter().map(|one| store.read(one)).collect()))
            }
            Need::Open(partition, after, most) => {
                Done::Open(Ok(store.rows.open(partition, after, most)))
            }
            Need::Lookup(request) => Done::Found(Ok(store.find(&request))),
            Need::Commit(batch) => {
                self.commits += 1;
                Done::Committed(store.commit(self.number, batch))
            }
            Need::Release(released) => {
                self.answers.extend(released.replies);
                self.answered.extend(released.answered);
                self.under_way.extend(released.effects);
                self.made.extend(released.settings);
                return ControlFlow::Continue(());
            }
            Need::GiveBack(partitions) => {
                self.gave_back.extend(partitions);
                return ControlFlow::Continue(());
            }
            Need::TurnAway(turned_away) => {
                self.turned_away.push(turned_away);
                return ControlFlow::Continue(());
            }
            Need::Sleep { until } => return ControlFlow::Break(until),
            Need::End { .. } => return ControlFlow::Break(None),
        };
        self.node.done(store.now, done);
        ControlFlow::Continue(())
    }

    /// Is told what it holds now.
    pub fn learns(&mut self, store: &mut Store) {
        self.node.claimed(store.held_by(self.number));
        self.run(store);
    }

    pub fn give(&mut self, input: impl FnOnce(Ticket) -> Input) -> Ticket {
        self.ticket += 1;
        self.node.take(input(self.ticket)).expect("there is room");
        self.ticket
    }

    pub fn report(&mut self, saga: &str, id: &str, store: &mut Store) -> Option<Answer> {
        let report = Arc::new(report(saga, id));
        let ticket = self.give(|ticket| Input::Report { report, known_in: None, ticket });
        self.run(store);
        self.answers.remove(&ticket)
    }

    pub fn end(&mut self, effect: &LaunchedEffect, result: EffectResult, store: &mut Store) {
        self.node.ended(effect.id, result);
        self.run(store);
    }

    /// Lets all succeed that is under way, and what follows from it. The clock is kept once a minute of a day of ages.
    pub fn settle(&mut self, store: &mut Store) {
        for _ in 0..10_000 {
            let until = self.run(store);
            match (self.under_way.pop(), until) {
                (Some(effect), _) => self.node.ended(effect.id, success(&effect)),
                (None, Some(at)) => store.now = store.now.max(at),
                (None, None) => return,
            }
        }
        panic!("it never settles");
    }
}

/// Two nodes, each with one of the partitions.
pub fn two() -> (Store, Machine, Machine) {
    two_on(Store::new())
}

pub fn two_on(mut store: Store) -> (Store, Machine, Machine) {
    store.give(HERE, 1);
    store.give(THERE, 2);
    let one = Machine::started(1, &mut store);
    let two = Machine::started(2, &mut store);
    (store, one, two)
}
