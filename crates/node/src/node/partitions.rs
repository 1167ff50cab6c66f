//! Partitions of a store that several share: how they come and go, and what comes for those that are not here.

use super::{Node, Phase, Turn};
use crate::holdings::Holdings;
use crate::need::{Fault, Need, StoreFault, TurnedAway};
use amends_engine::{
    Adopted, Answer, Home, Input, Lease, Letter, LetterId, LettersRead, LettersWanted,
    LookupResult, NoLetter, OpenPlace, Partition, RefusedLetter, Ticket,
};
use amends_protocol::{CaseId, SagaId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Letters that may be here and wait for a turn, of all partitions together.
const LETTERS: usize = 256;
/// Those of the seat that are read at once: each may be a whole rulebook.
const LETTERS_OF_SEAT: usize = 8;

/// Tickets of letters have this bit, and those of whoever waits have not.
const OF_LETTERS: Ticket = 1 << 63;

impl Node {
    // What the driver says, at any time.

    /// All that is held now. What is missing is abandoned between two turns, what is new is adopted.
    pub fn claimed(&mut self, leases: Vec<Lease>) {
        if let Some(holdings) = &mut self.holdings {
            holdings.tell(leases);
        }
    }

    /// A partition is to be handed over: nothing new of it is sent, and once nothing of it is under way, or the grace
    /// is over, it is given back ([`Need::GiveBack`]).
    pub fn hand_over(&mut self, partition: Partition) {
        let until = self.moment.now.plus_ms(self.options.grace_ms);
        if self.holdings.as_mut().is_some_and(|holdings| holdings.leave(partition, until)) {
            self.engine.hold_back(partition);
        }
    }

    /// Something may have been left for a partition: its inbox is read. To be said at a word of whoever left it, and
    /// every few seconds without one, since words get lost.
    pub fn mail(&mut self, partition: Partition) {
        if let Some(held) = self.holdings.as_mut().and_then(|holdings| holdings.get_mut(partition))
        {
            held.inbox.look();
        }
    }

    /// The highest sequence of case numbers of all nodes: new ones go on after it.
    pub fn raise_numbers(&mut self, sequence: u64) {
        self.engine.raise_numbers(sequence);
    }

    // What comes and goes.

    /// Takes up what the driver has said, and gives back what is to be handed over.
    pub(super) fn give_back(&mut self) -> Option<Need> {
        let holdings = self.holdings.as_mut()?;
        let seat = holdings.new_epoch(Partition::SEAT);
        let gone = holdings.take_up();
        let seat_now = holdings.new_epoch(Partition::SEAT);
        gone.into_iter().for_each(|partition| self.abandon(partition));
        if seat_now.is_some_and(|now| Some(now) != seat) {
            self.read_settings_again();
        }
        let now = self.moment.now;
        let leaving: Vec<(Partition, Timestamp)> = self.holdings.as_ref()?.leaving().collect();
        let is_due = |(partition, until): &(Partition, Timestamp)| {
            *until <= now || !self.is_under_way(*partition)
        };
        let due: Vec<Partition> = leaving.into_iter().filter(is_due).map(|(one, _)| one).collect();
        due.iter().for_each(|partition| self.abandon(*partition));
        (!due.is_empty()).then_some(Need::GiveBack(due))
    }

    /// When results of what is to be handed over are waited for no longer.
    pub(super) fn gives_back_at(&self) -> Option<Timestamp> {
        self.holdings.as_ref()?.leaving().map(|(_, until)| until).min()
    }

    fn is_under_way(&self, partition: Partition) -> bool {
        let is_of_it = |input: &Input| self.engine.home(input) == Home::Partition(partition);
        self.under_way.is_any_of(partition) || self.queue.results().any(is_of_it)
    }

    /// What is to be read next: of partitions their inboxes, and by turns with those what has yet to be adopted and the
    /// open cases, however much mail comes.
    pub(super) fn read_on(&mut self) -> Option<Need> {
        self.hear();
        if self.reads_settings() {
            return Some(Need::Settings);
        }
        let letters_first = !self.has_read_letters;
        let letters = if letters_first { self.read_inboxes() } else { None };
        let next = letters.or_else(|| self.read_cases());
        next.or_else(|| if letters_first { None } else { self.read_inboxes() })
    }

    /// What has been read to its end, and taken, has been heard.
    fn hear(&mut self) {
        let mut heard = Vec::new();
        for (partition, held) in self.holdings.iter_mut().flat_map(Holdings::iter_mut) {
            if let Some(until) = held.inbox.heard_until() {
                self.engine.heard(partition, until);
                self.tick = true; // what has waited to hear of it may go
                heard.push((partition, until));
            }
        }
        for (partition, until) in heard {
            self.ask_again(|one, since| one == partition && since <= until);
        }
    }

    /// All in one go, so that one turn takes what has come: a turn for each would be a commit for each. Nothing while
    /// as many as may be here wait.
    fn read_inboxes(&mut self) -> Option<Need> {
        let (holdings, now) = (self.holdings.as_mut()?, self.moment.now);
        for partition in self.engine.waits_to_hear() {
            if let Some(held) = holdings.get_mut(partition) {
                held.inbox.look();
            }
        }
        let room = LETTERS.saturating_sub(holdings.letters());
        let due = holdings.by_turns().into_iter();
        let due = due.filter(|one| holdings.get(*one).is_some_and(|held| held.inbox.is_due()));
        let due: Vec<Partition> = due.take(room).collect();
        let of_each = room / due.len().max(1);
        let mut wanted = Vec::new();
        for partition in due {
            let most = if partition == Partition::SEAT { LETTERS_OF_SEAT } else { of_each };
            let after = holdings.get_mut(partition)?.inbox.read(now);
            wanted.push(LettersWanted { partition, after, most: most.min(of_each) });
        }
        (!wanted.is_empty()).then(|| {
            self.has_read_letters = true;
            self.phase = Phase::ReadingInboxes;
            Need::Letters(wanted)
        })
    }

    /// A partition that is new here, or else open cases.
    fn read_cases(&mut self) -> Option<Need> {
        let need = match self.holdings.as_mut().and_then(Holdings::next_new) {
            Some(lease) => {
                self.phase = Phase::Adopting(lease);
                Need::Adopt(lease)
            }
            None => {
                let (partition, from) = self.next_to_read()?;
                self.phase = Phase::Reading { partition, page: None };
                Need::Open(partition, from, self.options.open_page.max(1))
            }
        };
        self.has_read_letters = false;
        Some(need)
    }

    pub(super) fn adopt(&mut self, lease: Lease, adopted: Adopted) {
        let Some(holdings) = &mut self.holdings else { return };
        holdings.adopt(lease);
        self.engine.adopt(lease.partition, adopted);
        self.reading.insert(lease.partition, OpenPlace::default());
        self.has_read = true;
    }

    /// Forgets all of a partition. What is still under way of it touches nothing any more.
    pub(super) fn abandon(&mut self, partition: Partition) {
        let Some(holdings) = &mut self.holdings else { return };
        holdings.give_up(partition);
        let engine = &self.engine;
        self.queue.unhold(|input| engine.home(input) == Home::Partition(partition));
        self.engine.abandon(partition);
        self.reading.remove(&partition);
        self.ask_again(|one, _| one == partition);
    }

    /// The next partition of which open cases are read: what was left for it has been taken before.
    fn next_to_read(&self) -> Option<(Partition, OpenPlace)> {
        let may_be_read = |partition: Partition| match &self.holdings {
            None => true,
            Some(holdings) => holdings.get(partition).is_some_and(|held| held.inbox.was_read()),
        };
        let next = self.reading.iter().find(|(partition, _)| may_be_read(**partition));
        next.map(|(partition, place)| (*partition, *place))
    }

    pub(super) fn lease_of(&self, saga: &SagaId) -> Option<Lease> {
        let partition = Partition::of(saga);
        let epoch = self.holdings.as_ref()?.epoch(partition)?;
        Some(Lease { partition, epoch })
    }

    // Letters that were left for us.

    pub(super) fn has_letters(&self) -> bool {
        self.holdings.as_ref().is_some_and(Holdings::has_letters)
    }

    pub(super) fn letters_came(&mut self, read: LettersRead) {
        let partition = read.partition;
        self.has_read = true;
        for (id, why) in &read.unread {
            self.leave_unread(partition, *id, why.clone());
        }
        let refused = &self.refused_letters;
        if let Some(held) = self.holdings.as_mut().and_then(|holdings| holdings.get_mut(partition))
        {
            held.inbox.take(read, |id| refused.is_left(id));
        }
    }

    /// A letter that only a newer version can read stays where it is, and its partition is given back, so that a newer
    /// one may take it. If it comes back, all else of it is worked on here.
    fn leave_unread(&mut self, partition: Partition, id: LetterId, why: String) {
        if self.refused_letters.leave(id) {
            let fault = Fault::Unreadable(why);
            let told = TurnedAway { fault, tickets: Vec::new(), refused: true };
            self.next.push_back(Need::TurnAway(told));
            self.hand_over(partition);
        }
    }

    /// How many inputs of a turn are kept for letters, so that a full queue keeps none out: up to a quarter, or where
    /// one is taken at a time every other one.
    pub(super) fn room_for_letters(&mut self, most: usize) -> usize {
        let waiting = self.holdings.as_ref().map_or(0, Holdings::letters);
        self.letters_next = !self.letters_next;
        let room = if most == 1 { usize::from(self.letters_next) } else { most / 4 };
        waiting.min(room)
    }

    /// Takes letters into a turn, up to so many inputs. No report comes twice in it.
    pub(super) fn take_letters(&mut self, most: usize, inputs: &mut Vec<Input>, turn: &mut Turn) {
        let Some(holdings) = &mut self.holdings else { return };
        let mut seen: BTreeSet<_> = inputs.iter().filter_map(|i| i.about().report).collect();
        let mut unread = Vec::new();
        for partition in holdings.by_turns() {
            if inputs.len() >= most {
                break;
            }
            let Some(held) = holdings.get_mut(partition) else { continue };
            while inputs.len() < most
                && let Some(letter) = held.inbox.pop()
            {
                let ticket = OF_LETTERS | self.letters_taken;
                self.letters_taken += 1;
                if let Some(why) = self.refused_letters.given_up(letter.id) {
                    turn.given_up.push((ticket, Answer::Invalid(why.to_owned())));
                } else {
                    match letter.input(ticket) {
                        Ok(input) if input.about().report.is_some_and(|key| !seen.insert(key)) => {
                            held.inbox.put_back(letter);
                            break;
                        }
                        Ok(input) => inputs.push(input),
                        Err(why) => {
                            held.inbox.done_with(letter.id);
                            unread.push((partition, letter.id, why));
                            continue;
                        }
                    }
                }
                turn.taken.entry(partition).or_default().push(letter.id);
                turn.letters_in.insert(ticket, letter);
            }
            holdings.was_served(partition);
        }
        for (partition, id, why) in unread {
            self.leave_unread(partition, id, why);
        }
    }

    /// After the engine has answered: a letter that it can't take now stays where it is, one that it refuses is kept
    /// for people, and a repetition rests on nothing new.
    pub(super) fn settle_letters(&mut self, turn: &mut Turn) {
        if self.holdings.is_none() {
            return;
        }
        turn.output.answers.append(&mut turn.given_up);
        for (ticket, answer) in &turn.output.answers {
            match answer {
                Answer::Unavailable(_) => {
                    let Some(letter) = turn.letters_in.remove(ticket) else { continue };
                    if let Some(taken) = turn.taken.get_mut(&letter.partition) {
                        taken.retain(|one| *one != letter.id);
                    }
                    self.done_with(letter.partition, letter.id);
                }
                Answer::Received { duplicate: true, .. } => drop(turn.homes.remove(ticket)),
                answer => {
                    let letter = answer.refused().zip(turn.letters_in.get(ticket));
                    turn.refused.extend(letter.map(|(why, letter)| {
                        RefusedLetter::new(letter.clone(), why, self.moment.wall)
                    }));
                }
            }
        }
        turn.taken.retain(|_, letters| !letters.is_empty());
        self.wait_for_the_inbox(turn);
        turn.output.answers.append(&mut turn.replies);
    }

    fn done_with(&mut self, partition: Partition, id: LetterId) {
        if let Some(held) = self.holdings.as_mut().and_then(|holdings| holdings.get_mut(partition))
        {
            held.inbox.done_with(id);
        }
    }

    /// The letters of a turn have been taken for good: tells their answers apart from those that are waited for.
    #[allow(clippy::type_complexity)]
    pub(super) fn letters_answered(
        &mut self,
        turn: &mut Turn,
    ) -> (Vec<(Ticket, Answer)>, Vec<(LetterId, Answer)>) {
        let answers = std::mem::take(&mut turn.output.answers);
        for (partition, letters) in std::mem::take(&mut turn.taken) {
            for id in letters {
                self.done_with(partition, id);
                self.refused_letters.forget(id);
            }
        }
        if self.holdings.is_none() {
            return (answers, Vec::new());
        }
        let (of_letters, waited): (Vec<_>, Vec<_>) =
            answers.into_iter().partition(|(ticket, _)| ticket & OF_LETTERS != 0);
        let answered = of_letters.into_iter().filter_map(|(ticket, answer)| {
            turn.letters_in.get(&ticket).map(|letter| (letter.id, answer))
        });
        (waited, answered.collect())
    }

    /// The store has refused a turn of one letter.
    pub(super) fn letter_refused(&mut self, turn: &Turn, fault: &StoreFault) {
        let refused = &self.refused_letters;
        let mut tried = turn.letters_in.values().filter(|l| refused.given_up(l.id).is_none());
        if turn.inputs == 1
            && let Some(letter) = tried.next()
        {
            let why = Fault::Store(fault.clone()).to_string();
            let why = format!("the store refuses what it brings: {why}");
            self.refused_letters.refuse(letter.id, &why);
        }
    }

    // What comes for others.

    /// Takes out of a turn what is another's, as letters.
    pub(super) fn send_on(&mut self, inputs: &mut Vec<Input>, turn: &mut Turn) {
        if self.holdings.is_none() {
            return;
        }
        for input in std::mem::take(inputs) {
            if let Input::Unheld(result) = &input
                && let Home::Partition(partition) = self.engine.home(result)
            {
                turn.letters.extend(Letter::of(result, self.next_letter(), partition).ok());
            }
            match self.engine.home(&input) {
                Home::Partition(partition) => self.keep_or_post(input, partition, inputs, turn),
                Home::Here | Home::Case(_) => inputs.push(input),
            }
        }
    }

    /// What has been looked up of others is not ours to know; inputs about it are sent on.
    pub(super) fn keep_own(
        &mut self,
        inputs: &mut Vec<Input>,
        found: &mut LookupResult,
        turn: &mut Turn,
    ) {
        if self.holdings.is_none() {
            return;
        }
        let told = found.cases.iter().map(|stored| (stored.case.id, &stored.case.saga));
        let broken = found.broken.iter().filter_map(|rest| Some((rest.id, rest.saga.as_ref()?)));
        let places = told.chain(broken).map(|(id, saga)| (id, Partition::of(saga)));
        let places: BTreeMap<CaseId, Partition> = places.collect();
        let is_ours = |id: &CaseId| {
            let place = places.get(id).copied().or_else(|| self.engine.partition_of_case(*id));
            place.is_none_or(|partition| self.engine.holds_partition(partition))
        };
        found.cases.retain(|stored| is_ours(&stored.case.id));
        found.broken.retain(|rest| is_ours(&rest.id));
        for input in std::mem::take(inputs) {
            let place = match self.engine.home(&input) {
                Home::Case(id) => places.get(&id).copied(),
                Home::Here | Home::Partition(_) => None,
            };
            match place {
                Some(partition) => self.keep_or_post(input, partition, inputs, turn),
                None => inputs.push(input),
            }
        }
    }

    fn keep_or_post(
        &mut self,
        input: Input,
        partition: Partition,
        inputs: &mut Vec<Input>,
        turn: &mut Turn,
    ) {
        if self.engine.holds_partition(partition) {
            self.keep_early(&input, turn);
            self.note_what_sets(&input, turn);
            turn.homes.extend(input.ticket().map(|ticket| (ticket, partition)));
            return inputs.push(input);
        }
        self.post(&input, partition, turn);
    }

    /// Leaves it for whoever holds the partition.
    pub(super) fn post(&mut self, input: &Input, partition: Partition, turn: &mut Turn) {
        let id = self.next_letter();
        let answer = match Letter::of(input, id, partition) {
            Ok(letter) => {
                turn.letters.push(letter);
                match input {
                    // It is durable, and nothing can come of it but that.
                    Input::Audit { .. } => Answer::Done,
                    _ => Answer::Posted(id),
                }
            }
            Err(NoLetter::NotByLetter) => Answer::Unavailable(format!(
                "{partition} is held by another node, which alone can do this: ask that one (`amends cluster status` tells which)"
            )),
            Err(NoLetter::TooLong { bytes, most }) => Answer::Invalid(format!(
                "{partition} is held by another node, and this is too long to be handed on: {bytes} bytes, of {most} at most; hand it to that one (`amends cluster status` tells which)"
            )),
        };
        turn.reply(input, answer);
    }

    fn next_letter(&mut self) -> LetterId {
        self.letters_made += 1;
        LetterId(self.options.letters_from.wrapping_add(self.letters_made))
    }

    /// Leaves out of a turn what rests on partitions that are lost. Gives who waits for it.
    pub(super) fn leave_out(&mut self, lost: &[Partition], turn: &mut Turn) -> Option<TurnedAway> {
        let fault = Fault::Lost(*lost.first()?);
        let is_lost = |partition: Partition| lost.contains(&partition);
        let is_of_lost = |(ticket, _): &(Ticket, Answer)| {
            let letter = turn.letters_in.get(ticket).map(|letter| letter.partition);
            letter.or_else(|| turn.homes.get(ticket).copied()).is_some_and(is_lost)
        };
        let output = &mut turn.output;
        let (turned_away, stay): (Vec<_>, Vec<_>) =
            std::mem::take(&mut output.answers).into_iter().partition(is_of_lost);
        output.answers = stay;
        let (gone, stay): (Vec<_>, Vec<_>) = std::mem::take(&mut output.effects)
            .into_iter()
            .partition(|effect| is_lost(Partition::of(effect.saga())));
        output.effects = stay;
        self.tick |= !gone.is_empty(); // others may go in their places
        self.engine.not_performed(gone);
        let engine = &self.engine;
        output.events.retain(|event| !engine.partition_of_event(&event.what).is_some_and(is_lost));
        turn.taken.retain(|partition, _| !is_lost(*partition));
        let waits = turned_away.into_iter().map(|(ticket, _)| ticket);
        let tickets = waits.filter(|ticket| ticket & OF_LETTERS == 0).collect();
        Some(TurnedAway { fault, tickets, refused: false })
    }
}

impl Turn {
    /// Whether its commit would say nothing but what its writes say.
    pub(super) fn asks_nothing(&self) -> bool {
        self.letters.is_empty() && self.taken.is_empty() && self.homes.is_empty()
    }

    fn reply(&mut self, input: &Input, answer: Answer) {
        self.replies.extend(input.ticket().map(|ticket| (ticket, answer)));
    }
}
