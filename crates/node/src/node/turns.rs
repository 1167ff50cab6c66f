//! A turn: which inputs make it, what must be known of them, and what follows its commit.

use super::{Node, Phase, Turn};
use crate::need::{Fault, Need, Released, StoreFault, TurnedAway};
use crate::queue::tickets;
use amends_engine::{
    Batch, Committed, Input, LookupRequest, LookupResult, Output, Partition, Share, Write,
};
use amends_protocol::Timestamp;
use std::collections::BTreeMap;

/// Longest time between two commits that keep supervisor time while timers run, in milliseconds: so much of it may be
/// lost by a crash.
const CLOCK_EVERY_MS: u64 = 60_000;
/// Shortest time between two of them, where commits follow each other: it is a row more for the store.
pub(super) const CLOCK_APART_MS: u64 = 1_000;

impl Node {
    /// Takes what has queued and says what must be known of it.
    pub(super) fn begin_turn(&mut self) -> Need {
        let due = self.is_turn_due();
        self.has_read = false;
        if self.queue.is_empty() && !self.has_letters() {
            if self.stopping {
                return self.wait_for_results();
            }
            if !due {
                return self.sleep();
            }
        }
        // What time brings must not be taken for the fault of an input; but it must not keep inputs out either.
        let is_times_turn = self.one_by_one > 0 && due && !self.was_times_turn;
        self.was_times_turn = is_times_turn;
        let most = match self.one_by_one {
            0 => self.options.batch.max(1),
            _ => usize::from(!is_times_turn),
        };
        self.one_by_one = self.one_by_one.saturating_sub(1);
        if self.one_by_one == 0 {
            self.suspects.clear();
        }
        let mut turn = Turn::default();
        let of_letters = self.room_for_letters(most);
        let mut inputs = self.queue.take_turn(most - of_letters);
        turn.tickets = tickets(&inputs);
        if inputs.len() > 1 || self.holdings.is_some() {
            turn.again.clone_from(&inputs);
        }
        self.take_letters(most, &mut inputs, &mut turn);
        turn.inputs = inputs.len();
        self.send_on(&mut inputs, &mut turn);
        if inputs.is_empty() {
            inputs.push(Input::Tick);
        }
        self.tick = false;
        let request = self.engine.look_up(&inputs);
        if request == LookupRequest::default() {
            self.step(inputs, turn, LookupResult::default());
            return self.need(self.moment);
        }
        self.phase = Phase::LookingUp { inputs, turn: Box::new(turn), found: None };
        Need::Lookup(request)
    }

    /// Nothing is to be done now.
    fn sleep(&mut self) -> Need {
        // Where nothing waits for a time, none needs to be kept.
        let wakeup = [self.engine.next_wakeup(), self.gives_back_at()].into_iter().flatten().min();
        let Some(wakeup) = wakeup else { return Need::Sleep { until: None } };
        let keep_at = self.kept.plus_ms(CLOCK_EVERY_MS);
        if keep_at <= self.moment.now {
            return self.commit(Turn::default(), Vec::new());
        }
        Need::Sleep { until: Some(wakeup.min(keep_at)) }
    }

    /// Everything that was taken is durable and answered; results may still come.
    fn wait_for_results(&mut self) -> Need {
        let now = self.moment.now;
        let until = *self.grace_until.get_or_insert_with(|| now.plus_ms(self.options.grace_ms));
        if self.under_way.len() > 0 && now < until {
            return Need::Sleep { until: Some(until) };
        }
        if self.engine.next_wakeup().is_some() && self.kept < self.moment.now {
            return self.commit(Turn::default(), Vec::new());
        }
        self.phase = Phase::Ended;
        Need::End { under_way: self.under_way.len() }
    }

    /// A case may need a version of a rulebook that nobody has needed lately.
    pub(super) fn found(&mut self, inputs: Vec<Input>, turn: Box<Turn>, found: LookupResult) {
        let rulebooks = self.engine.missing_rulebooks(&found.cases);
        if rulebooks.is_empty() {
            return self.step(inputs, *turn, found);
        }
        self.phase = Phase::LookingUp { inputs, turn, found: Some(found) };
        self.next.push_back(Need::Lookup(LookupRequest { rulebooks, ..LookupRequest::default() }));
    }

    /// Steps the engine for each input.
    pub(super) fn step(&mut self, mut inputs: Vec<Input>, mut turn: Turn, mut found: LookupResult) {
        self.keep_own(&mut inputs, &mut found, &mut turn);
        if let Some(minutes) = found.rule_minutes.take() {
            self.engine.learn_rule_minutes(minutes, self.moment);
        }
        self.engine.learn(found, &mut inputs);
        self.keep_refused_out();
        for input in inputs {
            if let Input::Mend { mend, .. } = &input {
                self.refused_cases.remove(&mend.case);
            }
            self.engine.handle(self.moment, input);
        }
        turn.output = self.engine.take_output(self.moment);
        let writes = std::mem::take(&mut turn.output.writes);
        self.send_elsewhere(&mut turn);
        self.settle_letters(&mut turn);
        if writes.is_empty() && turn.asks_nothing() {
            return self.release(turn);
        }
        let commit = self.commit(turn, writes);
        self.next.push_back(commit);
    }

    /// Keeps supervisor time now and then: a crash loses so little that nobody has to write it each time. What writes
    /// nothing else is asked for by it, also whether the store is still held.
    fn keep_time(&mut self, writes: &[Write]) -> Option<Timestamp> {
        let now = self.moment.now;
        let is_due = writes.is_empty() || self.kept.plus_ms(CLOCK_APART_MS) <= now;
        is_due.then(|| {
            self.kept = now;
            now
        })
    }

    pub(super) fn commit(&mut self, mut turn: Turn, writes: Vec<Write>) -> Need {
        let clock = self.keep_time(&writes);
        let batch = match &self.holdings {
            None => Batch::whole(self.epoch, writes, clock),
            Some(_) => Batch {
                shares: self.shares(&mut turn, writes),
                letters: std::mem::take(&mut turn.letters),
                clock,
                settings: self.settings_seen(),
            },
        };
        self.phase = Phase::Committing(Box::new(turn));
        Need::Commit(batch)
    }

    /// What each partition has to write, take, and answer for. What is not held here is not written by us: settings
    /// that are learned here alone stay here.
    fn shares(&self, turn: &mut Turn, writes: Vec<Write>) -> Vec<Share> {
        let mut shares: BTreeMap<Partition, Share> = BTreeMap::new();
        for write in writes {
            let partition = self.engine.partition_of_write(&write);
            match partition.and_then(|one| self.share_of(&mut shares, one)) {
                Some(share) => share.writes.push(write),
                None => debug_assert_eq!(partition, Some(Partition::SEAT), "{write:?}"),
            }
        }
        for (partition, letters) in &turn.taken {
            if let Some(share) = self.share_of(&mut shares, *partition) {
                share.taken.extend(letters);
            }
        }
        for refused in std::mem::take(&mut turn.refused) {
            if let Some(share) = self.share_of(&mut shares, refused.letter.partition) {
                share.refused.push(refused);
            }
        }
        for (partition, cases) in &turn.output.rule_cases {
            if let Some(share) = self.share_of(&mut shares, *partition) {
                share.rule_cases.push(cases.clone());
            }
        }
        for partition in turn.homes.values() {
            // Nobody is refused by a loop that has lost its place.
            self.share_of(&mut shares, *partition);
        }
        shares.into_values().collect()
    }

    fn share_of<'s>(
        &self,
        shares: &'s mut BTreeMap<Partition, Share>,
        partition: Partition,
    ) -> Option<&'s mut Share> {
        let epoch = self.holdings.as_ref()?.epoch(partition)?;
        let empty = || Share { partition, epoch, ..Share::default() };
        Some(shares.entry(partition).or_insert_with(empty))
    }

    /// What the store holds of a turn is durable.
    pub(super) fn committed(&mut self, mut turn: Turn, done: Committed) {
        let Committed { lost, settings } = done;
        if self.holdings.is_none() && !lost.is_empty() {
            let why = "it has been taken over by another node".to_owned();
            return self.refused(StoreFault::Failed(why), turn);
        }
        self.refused = 0;
        if let Some(version) = settings {
            self.have_set(version, &mut turn);
        }
        let turned_away = self.leave_out(&lost, &mut turn);
        self.release(turn);
        self.next.extend(turned_away.map(Need::TurnAway));
        lost.into_iter().for_each(|partition| self.abandon(partition));
    }

    /// All writes of a turn are durable, or it had none.
    pub(super) fn release(&mut self, mut turn: Turn) {
        let (answers, answered) = self.letters_answered(&mut turn);
        let Output { effects, events, .. } = turn.output;
        let mut launched = Vec::with_capacity(effects.len());
        for effect in effects {
            let lease = self.lease_of(effect.saga());
            launched.push(self.under_way.launch(self.generation, effect, lease));
        }
        self.ready = true;
        self.phase = Phase::Idle;
        let mut released = Released::after_commit(answers, launched, events, turn.inputs);
        released.answered = answered;
        released.settings = turn.made;
        self.next.push_back(Need::Release(released));
    }

    /// The store took nothing of a turn. If one of its writes is at fault, none of the others is turned away: all are
    /// taken again one by one, so that the bad one fails alone.
    pub(super) fn refused(&mut self, fault: StoreFault, turn: Turn) {
        let is_of_one_write = match fault {
            StoreFault::Conflict { .. } | StoreFault::Unstorable { .. } => true,
            StoreFault::Outdated => return self.take_again(turn),
            StoreFault::Failed(_) => false,
        };
        if is_of_one_write {
            self.one_by_one = self.options.batch;
        }
        if is_of_one_write && turn.inputs > 1 {
            self.queue.put_back(turn.again);
            return self.turn_away(TurnedAway::of(fault, Vec::new()), 0);
        }
        let is_told = is_of_one_write && !turn.tickets.is_empty();
        let is_letter = is_of_one_write && !turn.taken.is_empty();
        let is_case = self.refused_alone(&fault, &turn);
        if is_letter && !is_case {
            self.letter_refused(&turn, &fault);
        }
        // The next loading goes without it, or it has few tries left: there is nothing to wait out.
        if is_case || is_told || is_letter {
            let refused = matches!(fault, StoreFault::Unstorable { .. });
            let fault = Fault::Store(fault);
            self.turn_away(TurnedAway { fault, tickets: turn.tickets, refused }, 0);
        } else {
            self.start_over(fault, turn.tickets);
        }
    }

    /// What the turn rests on is another's to say, and has changed. Nobody is at fault, and nobody has to ask again.
    fn take_again(&mut self, turn: Turn) {
        self.queue.put_back(turn.again);
        self.phase = Phase::Unloaded { at: self.moment.now };
    }
}
