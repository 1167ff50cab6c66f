//! What a node holds of a store that several share: under which epochs, how far each partition has come, and the
//! letters that wait in its inbox.

use amends_engine::{Epoch, Lease, Letter, LetterId, LetterMark, LettersRead, Partition};
use amends_protocol::Timestamp;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Longest time in which only what came last is read of an inbox, in milliseconds.
const WHOLE_EVERY_MS: u64 = 60_000;

/// The partitions of a node.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    held: BTreeMap<Partition, Held>,
    /// What the driver has said last, until it is looked at.
    told: Option<Vec<Lease>>,
    /// What has yet to be adopted.
    new: BTreeMap<Partition, Epoch>,
    /// The epochs in which partitions were given up: an old word does not bring them back.
    given_up: BTreeMap<Partition, Epoch>,
    /// The partition whose letters were taken last.
    served: Option<Partition>,
}

/// A partition that was adopted.
#[derive(Debug)]
pub(crate) struct Held {
    epoch: Epoch,
    pub(crate) inbox: Inbox,
    /// Nothing new of it is sent, and results are waited for until then.
    leaving: Option<Timestamp>,
}

impl Holdings {
    /// As a store tells it at a start. What was held before is given up in its epoch.
    pub(crate) fn loaded(leases: Vec<Lease>, before: Option<Self>) -> Self {
        let mut given_up = BTreeMap::new();
        if let Some(before) = before {
            given_up = before.given_up;
            given_up.extend(before.held.iter().map(|(partition, held)| (*partition, held.epoch)));
        }
        Self { told: Some(leases), given_up, ..Self::default() }
    }

    /// The driver says what is held.
    pub(crate) fn tell(&mut self, leases: Vec<Lease>) {
        self.told = Some(leases);
    }

    /// Takes up what the driver has said: tells what is not held any more, in the epoch in which it was.
    pub(crate) fn take_up(&mut self) -> Vec<Partition> {
        let Some(told) = self.told.take() else { return Vec::new() };
        let (held, given_up) = (&self.held, &self.given_up);
        let is_news = |lease: &&Lease| {
            let given_up = given_up.get(&lease.partition);
            given_up.is_none_or(|given_up| *given_up < lease.epoch)
        };
        // An old word of what is held under a higher epoch by now says nothing.
        let told: BTreeMap<Partition, Epoch> = told
            .iter()
            .filter(is_news)
            .map(|Lease { partition, epoch }| {
                let known = held.get(partition).map(|held| held.epoch);
                (*partition, known.map_or(*epoch, |known| known.max(*epoch)))
            })
            .collect();
        let is_kept = |partition, epoch| told.get(partition) == Some(epoch);
        let gone = held.iter().filter(|(one, held)| !is_kept(one, &held.epoch));
        let gone = gone.map(|(partition, _)| *partition).collect();
        let is_new = |(partition, epoch): &(&Partition, &Epoch)| {
            held.get(partition).is_none_or(|held| held.epoch != **epoch)
        };
        self.new = told.iter().filter(is_new).map(|(one, epoch)| (*one, *epoch)).collect();
        gone
    }

    /// The next partition to adopt.
    pub(crate) fn next_new(&mut self) -> Option<Lease> {
        let (partition, epoch) = self.new.pop_first()?;
        Some(Lease { partition, epoch })
    }

    /// The epoch of what has yet to be adopted.
    pub(crate) fn new_epoch(&self, partition: Partition) -> Option<Epoch> {
        self.new.get(&partition).copied()
    }

    /// Whether all that is held has been adopted.
    pub(crate) fn is_settled(&self) -> bool {
        self.new.is_empty() && self.told.is_none()
    }

    /// It is here now; its inbox has yet to be read.
    pub(crate) fn adopt(&mut self, Lease { partition, epoch }: Lease) {
        self.held.insert(partition, Held { epoch, inbox: Inbox::unread(), leaving: None });
    }

    /// It is not here any more. The letters that were in hand are in the store.
    pub(crate) fn give_up(&mut self, partition: Partition) {
        if let Some(held) = self.held.remove(&partition) {
            self.given_up.insert(partition, held.epoch);
        }
    }

    /// The epoch of a partition that is here.
    pub(crate) fn epoch(&self, partition: Partition) -> Option<Epoch> {
        self.held.get(&partition).map(|held| held.epoch)
    }

    /// Whether it is here in the very epoch.
    pub(crate) fn holds(&self, lease: Lease) -> bool {
        self.epoch(lease.partition) == Some(lease.epoch)
    }

    pub(crate) fn has_letters(&self) -> bool {
        self.held.values().any(|held| !held.inbox.waiting.is_empty())
    }

    /// Letters that are here and wait for a turn.
    pub(crate) fn letters(&self) -> usize {
        self.held.values().map(|held| held.inbox.waiting.len()).sum()
    }

    /// What is held, in the order in which letters are read and taken: first what concerns all sagas, then the others
    /// round after round, so that none waits for ever where there is not room for all.
    pub(crate) fn by_turns(&self) -> Vec<Partition> {
        let held = self.held.keys().copied();
        let (seat, parts): (Vec<_>, Vec<_>) = held.partition(|one| *one == Partition::SEAT);
        let (later, next): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|one| Some(*one) <= self.served);
        [seat, next, later].concat()
    }

    /// Letters of it were taken.
    pub(crate) fn was_served(&mut self, partition: Partition) {
        if partition != Partition::SEAT {
            self.served = Some(partition);
        }
    }

    pub(crate) fn get(&self, partition: Partition) -> Option<&Held> {
        self.held.get(&partition)
    }

    pub(crate) fn get_mut(&mut self, partition: Partition) -> Option<&mut Held> {
        self.held.get_mut(&partition)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Partition, &mut Held)> {
        self.held.iter_mut().map(|(partition, held)| (*partition, held))
    }

    /// It is to be handed over. False if it is not here, or on its way already.
    pub(crate) fn leave(&mut self, partition: Partition, until: Timestamp) -> bool {
        let Some(held) = self.held.get_mut(&partition).filter(|held| held.leaving.is_none()) else {
            return false;
        };
        held.leaving = Some(until);
        true
    }

    /// Partitions that are to be handed over, and until when results are waited for.
    pub(crate) fn leaving(&self) -> impl Iterator<Item = (Partition, Timestamp)> {
        self.held.iter().filter_map(|(partition, held)| Some((*partition, held.leaving?)))
    }
}

/// The inbox of a partition, as far as it has been read.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// It is to be read.
    due: bool,
    /// Where the next reading begins; none: at its beginning.
    mark: Option<LetterMark>,
    /// When it was read from its beginning last.
    whole_at: Option<Timestamp>,
    /// When the reading began whose letters are here, and whether it has come to its end.
    began: Option<(Timestamp, bool)>,
    waiting: VecDeque<Letter>,
    /// Those that wait, and those of the turn: they may be read once more before they are deleted.
    known: BTreeSet<LetterId>,
}

impl Inbox {
    fn unread() -> Self {
        Self {
            due: true,
            mark: None,
            whole_at: None,
            began: None,
            waiting: VecDeque::new(),
            known: BTreeSet::new(),
        }
    }

    /// Something may have come.
    pub(crate) fn look(&mut self) {
        self.due = true;
    }

    /// Whether it was read to its end at least once, and all that was there was taken.
    pub(crate) fn was_read(&self) -> bool {
        self.whole_at.is_some()
    }

    /// Whether it is to be read now: what was read before is taken first.
    pub(crate) fn is_due(&self) -> bool {
        let is_taken = self.waiting.is_empty() && self.known.is_empty();
        is_taken && self.began.map_or(self.due, |(_, has_ended)| !has_ended)
    }

    /// Reads on, or begins to: where.
    pub(crate) fn read(&mut self, now: Timestamp) -> Option<LetterMark> {
        if self.began.is_none() {
            self.due = false;
            self.began = Some((now, false));
            if self.whole_at.is_none_or(|at| now.ms_since(at) >= WHOLE_EVERY_MS) {
                self.mark = None;
            }
        }
        self.mark
    }

    /// Letters have come; some are left where they are.
    pub(crate) fn take(&mut self, read: LettersRead, is_left: impl Fn(LetterId) -> bool) {
        let LettersRead { letters, next, ended, .. } = read;
        let mut came = self.mark.replace(next) != Some(next);
        for letter in letters {
            if !is_left(letter.id) && self.known.insert(letter.id) {
                came = true;
                self.waiting.push_back(letter);
            }
        }
        match &mut self.began {
            Some((_, has_ended)) if came || ended => *has_ended |= ended,
            // Nothing but what is left there, and what may yet change: it is read on when something comes.
            began => *began = None,
        }
    }

    /// The next letter to be taken.
    pub(crate) fn pop(&mut self) -> Option<Letter> {
        self.waiting.pop_front()
    }

    /// It comes first again: it must wait for another turn.
    pub(crate) fn put_back(&mut self, letter: Letter) {
        self.waiting.push_front(letter);
    }

    /// The letter was taken for good, or has been left to a later reading.
    pub(crate) fn done_with(&mut self, id: LetterId) {
        self.known.remove(&id);
    }

    /// When the reading began whose last letter has been taken now; told once.
    pub(crate) fn heard_until(&mut self) -> Option<Timestamp> {
        let (began, _) = self.began.filter(|(_, ended)| *ended)?;
        if !self.known.is_empty() {
            return None;
        }
        self.began = None;
        if self.whole_at.is_none_or(|at| began.ms_since(at) >= WHOLE_EVERY_MS) {
            self.whole_at = Some(began);
        }
        Some(began)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Partition = Partition(7);

    fn read(next: i64, ended: bool) -> LettersRead {
        let next = LetterMark([0, next]);
        LettersRead { partition: HERE, letters: Vec::new(), unread: Vec::new(), next, ended }
    }

    #[test]
    fn an_inbox_is_read_past_what_is_left_there() {
        let (now, mut inbox) = (Timestamp(0), Inbox::unread());
        assert!(inbox.is_due());
        assert_eq!(inbox.read(now), None, "from its beginning");
        inbox.take(read(8, false), |_| true);
        assert!(inbox.is_due());
        assert_eq!(inbox.read(now), Some(LetterMark([0, 8])));
        inbox.take(read(8, false), |_| true);
        assert!(!inbox.is_due(), "it goes no further before something comes");
        inbox.look();
        assert!(inbox.is_due());
    }

    #[test]
    fn the_seat_comes_first_and_the_others_by_turns() {
        let mut holdings = Holdings::default();
        for part in [3, 12, 64, 40] {
            holdings.adopt(Lease { partition: Partition(part), epoch: Epoch(1) });
        }
        let by_turns = |holdings: &Holdings| {
            holdings.by_turns().into_iter().map(|Partition(part)| part).collect::<Vec<_>>()
        };
        assert_eq!(by_turns(&holdings), [64, 3, 12, 40]);
        holdings.was_served(Partition(12));
        holdings.was_served(Partition::SEAT);
        assert_eq!(by_turns(&holdings), [64, 40, 3, 12]);
    }
}
