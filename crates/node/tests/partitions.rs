//! Nodes that share a store: what each holds, what it leaves for others, and what of it counts.

mod rig;

use amends_api::CaseState;
use amends_engine::{
    Answer, Batch, Committed, Epoch, Input, Lease, Letter, LetterId, LetterMark, LettersRead,
    Memory, Partition, SagaState, SharedStore, Ticket,
};
use amends_node::{
    Done, EffectResult, LaunchedEffect, Need, Node, NodeOptions, StoreFault, TurnedAway,
};
use amends_protocol::{SagaBegin, SagaId, Timestamp};
use amends_rulebook::Rulebook;
use rig::{TWO, report, success};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Their partitions are 12 and 53.
const ONE: &str = "order-1";
const OTHER: &str = "order-2";
const HERE: Partition = Partition(12);
const THERE: Partition = Partition(53);

/// What nodes share.
#[derive(Default)]
struct Store {
    rows: Memory,
    leases: BTreeMap<Partition, (usize, Epoch)>,
    letters: BTreeMap<i64, Letter>,
    last: i64,
    /// The next commit fails, and what is in it lands later.
    lands_late: Option<Option<(usize, Batch)>>,
    now: Timestamp,
}

impl Store {
    fn new() -> Self {
        let mut store = Self { now: Timestamp(1_700_000_000_000), ..Self::default() };
        let book = Rulebook::from_yaml(TWO).unwrap_or_else(|found| panic!("{found:#?}"));
        store.rows.put_active(&book, Timestamp(0));
        store
    }

    fn give(&mut self, partition: Partition, node: usize) {
        let epoch = self.leases.get(&partition).map_or(1, |(_, epoch)| epoch.0 + 1);
        self.leases.insert(partition, (node, Epoch(epoch)));
    }

    fn held_by(&self, node: usize) -> Vec<Lease> {
        let held = self.leases.iter().filter(|(_, (owner, _))| *owner == node);
        held.map(|(partition, (_, epoch))| Lease { partition: *partition, epoch: *epoch }).collect()
    }

    fn commit(&mut self, node: usize, batch: Batch) -> Result<Committed, StoreFault> {
        if let Some(late @ None) = &mut self.lands_late {
            *late = Some((node, batch));
            return Err(StoreFault::Failed("the line is broken".to_owned()));
        }
        let (held, lost): (Vec<_>, Vec<_>) = batch
            .shares
            .into_iter()
            .partition(|share| self.leases.get(&share.partition) == Some(&(node, share.epoch)));
        for share in &held {
            self.letters.retain(|_, letter| !share.taken.contains(&letter.id));
        }
        for letter in batch.letters {
            self.last += 1;
            self.letters.insert(self.last, letter);
        }
        let rest = Batch { shares: held, clock: batch.clock, ..Batch::default() };
        self.rows.commit(rest).expect("no conflict");
        Ok(Committed { lost: lost.into_iter().map(|share| share.partition).collect() })
    }

    fn read(&self, partition: Partition, after: Option<LetterMark>, most: usize) -> LettersRead {
        let after = after.map_or(0, |mark| mark.0[1]);
        let later = self.letters.range(after + 1..);
        let mut later = later.filter(|(_, letter)| letter.partition == partition);
        let some: Vec<_> = later.by_ref().take(most).collect();
        LettersRead {
            next: LetterMark([0, some.last().map_or(after, |(seq, _)| **seq)]),
            letters: some.into_iter().map(|(_, letter)| letter.clone()).collect(),
            ended: later.next().is_none(),
        }
    }

    fn state_of(&self, saga: &str) -> Option<CaseState> {
        self.rows.cases().find(|case| case.saga.as_str() == saga).map(|case| case.state)
    }
}

/// A node and what has come out of it.
struct Machine {
    number: usize,
    node: Node,
    answers: BTreeMap<Ticket, Answer>,
    answered: Vec<(LetterId, Answer)>,
    turned_away: Vec<TurnedAway>,
    gave_back: Vec<Partition>,
    under_way: Vec<LaunchedEffect>,
    ticket: Ticket,
}

impl Machine {
    fn started(number: usize, store: &mut Store) -> Self {
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
            ticket: 0,
        };
        machine.run(store);
        machine
    }

    /// Goes on until nothing more is to be done now.
    fn run(&mut self, store: &mut Store) -> Option<Timestamp> {
        for _ in 0..10_000 {
            let done = match self.node.need(store.now) {
                Need::Load => {
                    for (_, epoch) in store.leases.values_mut().filter(|(n, _)| *n == self.number) {
                        epoch.0 += 1;
                    }
                    let leases = store.held_by(self.number);
                    let shared = SharedStore { first_number: 0, leases };
                    Done::Loaded(Ok(store.rows.load_shared(shared)))
                }
                Need::Adopt(lease) => Done::Adopted(Ok(store.rows.adopt(lease.partition, true))),
                Need::Letters(partition, after, most) => {
                    Done::Letters(Ok(store.read(partition, after, most)))
                }
                Need::Open(partition, after, most) => {
                    Done::Open(Ok(store.rows.open(partition, after, most)))
                }
                Need::Lookup(request) => Done::Found(Ok(store.rows.find(&request))),
                Need::Commit(batch) => Done::Committed(store.commit(self.number, batch)),
                Need::Release(released) => {
                    self.answers.extend(released.replies);
                    self.answered.extend(released.answered);
                    self.under_way.extend(released.effects);
                    continue;
                }
                Need::GiveBack(partitions) => {
                    self.gave_back.extend(partitions);
                    continue;
                }
                Need::TurnAway(turned_away) => {
                    self.turned_away.push(turned_away);
                    continue;
                }
                Need::Sleep { until } => return until,
                Need::End { .. } => return None,
            };
            self.node.done(store.now, done);
        }
        panic!("it never rests");
    }

    /// Is told what it holds now.
    fn learns(&mut self, store: &mut Store) {
        self.node.claimed(store.held_by(self.number));
        self.run(store);
    }

    fn give(&mut self, input: impl FnOnce(Ticket) -> Input) -> Ticket {
        self.ticket += 1;
        self.node.take(input(self.ticket)).expect("there is room");
        self.ticket
    }

    fn report(&mut self, saga: &str, id: &str, store: &mut Store) -> Option<Answer> {
        let report = Arc::new(report(saga, id));
        let ticket = self.give(|ticket| Input::Report { report, known_in: None, ticket });
        self.run(store);
        self.answers.remove(&ticket)
    }

    fn end(&mut self, effect: &LaunchedEffect, result: EffectResult, store: &mut Store) {
        self.node.ended(effect.id, result);
        self.run(store);
    }

    /// Lets all succeed that is under way, and what follows from it. The clock is kept once a minute of a day of ages.
    fn settle(&mut self, store: &mut Store) {
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
fn two() -> (Store, Machine, Machine) {
    let mut store = Store::new();
    store.give(HERE, 1);
    store.give(THERE, 2);
    let one = Machine::started(1, &mut store);
    let two = Machine::started(2, &mut store);
    (store, one, two)
}

#[test]
fn each_takes_what_it_holds_and_leaves_the_rest_for_the_other() {
    let (mut store, mut one, mut two) = two();
    assert!(matches!(one.report(ONE, "1", &mut store), Some(Answer::Received { .. })));
    assert!(store.letters.is_empty());
    let posted = one.report(OTHER, "2", &mut store);
    let Some(Answer::Posted(letter)) = posted else { panic!("{posted:?}") };
    assert_eq!(store.letters.len(), 1);
    assert_eq!(store.state_of(OTHER), None, "it is not this node's to open");

    two.run(&mut store);
    assert_eq!(store.state_of(OTHER), None, "nobody has told it");
    two.node.mail(THERE);
    two.run(&mut store);
    assert_eq!(store.state_of(OTHER), Some(CaseState::Open));
    assert!(store.letters.is_empty(), "what was taken is gone with the commit that took it");
    let [(id, Answer::Received { duplicate: false, .. })] = two.answered[..] else {
        panic!("{:?}", two.answered)
    };
    assert_eq!(id, letter);
    one.settle(&mut store);
    two.settle(&mut store);
    for saga in [ONE, OTHER] {
        assert_eq!(store.state_of(saga), Some(CaseState::Settled), "{saga}");
    }
}

#[test]
fn what_was_left_before_a_node_came_is_taken_first() {
    let (mut store, mut one, mut two) = two();
    two.report(ONE, "1", &mut store);
    two.report(ONE, "1", &mut store);
    assert_eq!(store.letters.len(), 2);
    store.give(HERE, 2);
    two.learns(&mut store);
    assert!(store.letters.is_empty());
    let told: Vec<bool> = two
        .answered
        .iter()
        .map(|(_, answer)| matches!(answer, Answer::Received { duplicate: true, .. }))
        .collect();
    assert_eq!(told, [false, true], "the second one is known");
    assert_eq!(one.report(ONE, "3", &mut store), None, "who has lost it says nothing");
    let lost = one.turned_away.pop().expect("turned away").fault.to_string();
    assert_eq!(lost, "partition 12 has been taken over by another node");
}

#[test]
fn a_lost_partition_takes_nothing_along_of_the_others() {
    let (mut store, mut one, _) = two();
    store.give(THERE, 1);
    one.learns(&mut store);
    let (mine, other) = (Arc::new(report(ONE, "1")), Arc::new(report(OTHER, "2")));
    let mine = one.give(|ticket| Input::Report { report: mine, known_in: None, ticket });
    let other = one.give(|ticket| Input::Report { report: other, known_in: None, ticket });
    store.give(THERE, 2); // and nobody has told node 1
    one.run(&mut store);
    assert!(matches!(one.answers.get(&mine), Some(Answer::Received { .. })));
    assert_eq!(one.answers.get(&other), None);
    assert_eq!(one.turned_away[0].tickets, [other]);
    assert_eq!((store.state_of(ONE), store.state_of(OTHER)), (Some(CaseState::Open), None));
    let of_other = |launched: &&LaunchedEffect| launched.effect.saga().as_str() == OTHER;
    assert!(!one.under_way.is_empty() && !one.under_way.iter().any(|e| of_other(&e)));
    one.settle(&mut store);
    assert_eq!(store.state_of(ONE), Some(CaseState::Settled));
}

#[test]
fn what_comes_of_a_request_after_its_partition_has_gone_is_told_to_its_new_owner() {
    let (mut store, mut one, mut two) = two();
    one.report(ONE, "1", &mut store);
    let under_way = std::mem::take(&mut one.under_way);
    assert_eq!(under_way.len(), 2);
    store.give(HERE, 2);
    one.learns(&mut store);
    two.learns(&mut store);
    for effect in std::mem::take(&mut two.under_way) {
        two.node.lost(effect.id); // what it has asked anew gets no answer
    }
    two.run(&mut store);
    for effect in &under_way {
        one.end(effect, success(effect), &mut store);
    }
    assert_eq!(store.letters.len(), 2, "final outcomes");
    two.node.mail(HERE);
    two.run(&mut store);
    assert!(
        store.rows.steps().all(|step| step.state.is_terminal()),
        "{:#?}",
        store.rows.steps().collect::<Vec<_>>()
    );
    let engine = one.node.engine().expect("at rest");
    assert!(engine.queues().iter().all(|queue| queue.in_flight == 0), "each has freed its place");
}

#[test]
fn a_commit_that_lands_after_a_reload_changes_nothing() {
    let (mut store, mut one, _) = two();
    store.lands_late = Some(None);
    assert_eq!(one.report(ONE, "1", &mut store), None);
    let Some(Some((node, late))) = store.lands_late.take() else { panic!("it was tried") };
    assert!(matches!(one.report(ONE, "1", &mut store), Some(Answer::Received { .. })));
    one.settle(&mut store);
    let before = store.rows.clone();
    let landed = store.commit(node, late).expect("it is judged");
    assert_eq!(landed.lost, [HERE]);
    assert_eq!(store.rows.case_row(before.cases().next().expect("one").id), before.cases().next());
    assert_eq!(store.rows.steps().count(), before.steps().count());
}

#[test]
fn a_partition_is_given_back_once_nothing_of_it_is_under_way() {
    let (mut store, mut one, mut two) = two();
    one.report(ONE, "1", &mut store);
    one.node.hand_over(HERE);
    one.run(&mut store);
    assert_eq!(one.gave_back, [], "two requests are under way");
    let (first, second) = (one.under_way.remove(0), one.under_way.remove(0));
    one.end(&first, success(&first), &mut store);
    assert_eq!(one.gave_back, []);
    one.end(&second, success(&second), &mut store);
    assert_eq!(one.gave_back, [HERE]);
    assert!(one.under_way.is_empty(), "nothing new was sent");
    one.node.claimed(store.held_by(1)); // an old word
    one.run(&mut store);
    assert!(!one.node.engine().expect("at rest").holds_partition(HERE));
    store.give(HERE, 2);
    two.learns(&mut store);
    two.settle(&mut store);
    assert_eq!(store.state_of(ONE), Some(CaseState::Settled));
    assert_eq!(store.rows.attempts().count(), 0, "no try is counted");
}

#[test]
fn a_hand_over_waits_no_longer_than_its_grace() {
    let (mut store, mut one, _) = two();
    one.report(ONE, "1", &mut store);
    one.node.hand_over(HERE);
    store.now = store.now.plus_ms(9_999);
    let until = one.run(&mut store).expect("it looks again");
    assert_eq!((one.gave_back.len(), until.ms_since(store.now)), (0, 1));
    store.now = until;
    one.run(&mut store);
    assert_eq!(one.gave_back, [HERE]);
}

#[test]
fn a_deadline_is_missed_only_after_all_that_was_left_before_it_has_been_taken() {
    let (mut store, mut one, mut two) = two();
    let begin = SagaBegin {
        saga_id: SagaId::new(ONE).expect("valid"),
        service: "a".to_owned(),
        action: Some("x".to_owned()),
        deadline: store.now.plus_ms(5_000),
        data: serde_json::Map::new(),
    };
    one.give(|ticket| Input::SagaBegan { begin, ticket });
    one.run(&mut store);
    let saga = SagaId::new(ONE).expect("valid");
    let ended = two.give(|ticket| Input::SagaEnded { saga: saga.clone(), ticket });
    two.run(&mut store);
    assert!(matches!(two.answers.get(&ended), Some(Answer::Posted(_))), "it is taken");
    store.now = store.now.plus_ms(6_000); // no word of it has come to the first node
    one.run(&mut store);
    let row = store.rows.saga(&saga).expect("announced");
    assert_eq!((row.state, store.rows.cases().count()), (SagaState::Ended, 0));
}

#[test]
fn nobody_is_refused_before_what_was_left_has_been_read() {
    let (mut store, mut one, mut two) = two();
    assert!(matches!(two.report(ONE, "1", &mut store), Some(Answer::Posted(_))));
    let saga = SagaId::new(ONE).expect("valid");
    let ended = one.give(|ticket| Input::SagaEnded { saga, ticket });
    one.run(&mut store); // no word of the report has come
    assert_eq!(one.answers.get(&ended), Some(&Answer::Done));
    let nothing = SagaId::new("order-1-1").expect("valid");
    store.give(Partition::of(&nothing), 1);
    one.learns(&mut store);
    let ended = one.give(|ticket| Input::SagaEnded { saga: nothing, ticket });
    one.run(&mut store);
    assert!(matches!(one.answers.get(&ended), Some(Answer::NotFound(_))), "{:?}", one.answers);
}

#[test]
fn what_concerns_all_sagas_is_taken_by_who_holds_them_all() {
    let (mut store, mut one, _) = two();
    let pause = |ticket| Input::Pause {
        service: "a".into(),
        paused: true,
        actor: "kim".into(),
        reason: "maintenance".into(),
        ticket,
    };
    let ticket = one.give(pause);
    one.run(&mut store);
    assert!(matches!(one.answers.get(&ticket), Some(Answer::Unavailable(_))));
    for partition in Partition::parts().chain([Partition::SEAT]) {
        store.give(partition, 1);
    }
    one.learns(&mut store);
    assert!(one.node.is_ready());
    let ticket = one.give(pause);
    one.run(&mut store);
    assert_eq!(one.answers.get(&ticket), Some(&Answer::Done));
    assert!(store.rows.service("a").expect("written").settings.pause.is_some());
}
