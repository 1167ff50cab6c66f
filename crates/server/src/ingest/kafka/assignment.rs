//! The partitions that are ours now, and what of them is in hand: taken by the supervisor at this moment, or waiting to
//! be tried again. Bounded, in all and by bytes; says which partitions pause. Pure: the time is an argument.

use super::watermark::Watermark;
use crate::ingest::delivery::{Delivery, Verdict, pause_after};
use std::collections::HashMap;
use std::time::Duration;

/// Most messages that are being taken at once: a commit takes many together.
pub(super) const IN_HAND: usize = 1_024;
/// Room for those that have ended and were not noted: with a full hand partitions pause, and few more come.
pub(super) const ROOM: usize = 2 * IN_HAND;
/// Most messages that wait to be tried again.
const WAITING: usize = 4_096;
/// Most bytes of both.
const BYTES: usize = 64 << 20;

/// A partition: its topic and its number.
pub(super) type Key = (String, i32);

/// A message in hand, and since when its partition has been ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) key: Key,
    round: u64,
    offset: i64,
    /// How often it could not be taken.
    tries: u32,
}

#[derive(Debug, Default)]
struct Partition {
    round: u64,
    mark: Watermark,
    /// Being taken.
    in_hand: usize,
    /// Messages in hand that could not be taken before: until they are, it brings no more.
    refused: usize,
    /// It was given to us while nothing could be taken.
    held: bool,
    is_paused: bool,
}

/// What is ours.
#[derive(Debug, Default)]
pub(super) struct Assignment {
    partitions: HashMap<Key, Partition>,
    waiting: Vec<(Duration, Token, Delivery)>,
    in_hand: usize,
    bytes: usize,
    rounds: u64,
    /// The last answer was that nothing can be taken now.
    was_refused: bool,
    /// Messages in hand that could not be taken before.
    refused: usize,
    /// Nothing has ended for a while, and no more fits into the hand.
    is_stalled: bool,
}

impl Assignment {
    /// Partitions are ours from now on.
    pub(super) fn given(&mut self, keys: impl IntoIterator<Item = Key>) {
        self.rounds += 1;
        for key in keys {
            let held = self.is_away();
            self.partitions
                .insert(key, Partition { round: self.rounds, held, ..Partition::default() });
        }
    }

    /// Partitions are ours no more: what of them is in hand ends without being counted, and comes to whoever has them.
    pub(super) fn taken_away(&mut self, keys: &[Key]) {
        for key in keys {
            self.partitions.remove(key);
        }
        let Self { waiting, bytes, refused, partitions, .. } = self;
        waiting.retain(|(_, token, delivery)| {
            let is_ours = partitions.contains_key(&token.key);
            if !is_ours {
                *bytes -= size(delivery);
                *refused -= 1;
            }
            is_ours
        });
    }

    /// A message has come; nothing if its partition is not ours any more.
    pub(super) fn received(&mut self, key: Key, offset: i64, delivery: &Delivery) -> Option<Token> {
        let partition = self.partitions.get_mut(&key)?;
        partition.mark.received(offset);
        partition.in_hand += 1;
        self.in_hand += 1;
        self.bytes += size(delivery);
        Some(Token { round: partition.round, key, offset, tries: 0 })
    }

    /// What has become of it.
    pub(super) fn ended(
        &mut self,
        token: Token,
        delivery: Delivery,
        verdict: Verdict,
        now: Duration,
    ) {
        self.in_hand -= 1;
        self.is_stalled &= self.in_hand >= IN_HAND / 2;
        self.was_refused = verdict == Verdict::Again;
        self.refused -= usize::from(token.tries > 0);
        let partition = self.partitions.get_mut(&token.key);
        let Some(partition) = partition.filter(|partition| partition.round == token.round) else {
            self.bytes -= size(&delivery);
            return;
        };
        partition.in_hand -= 1;
        partition.refused -= usize::from(token.tries > 0);
        if verdict == Verdict::Again {
            partition.refused += 1;
            self.refused += 1;
            let due = now + pause_after(token.tries.saturating_add(1));
            self.waiting.push((
                due,
                Token { tries: token.tries.saturating_add(1), ..token },
                delivery,
            ));
        } else {
            partition.mark.settled(token.offset);
            self.bytes -= size(&delivery);
        }
    }

    /// What is to be tried again now, as much as fits into the hand.
    pub(super) fn due(&mut self, now: Duration) -> Vec<(Token, Delivery)> {
        let mut due = Vec::new();
        let mut n = 0;
        while n < self.waiting.len() && self.in_hand < IN_HAND {
            if self.waiting[n].0 > now {
                n += 1;
                continue;
            }
            let (_, token, delivery) = self.waiting.swap_remove(n);
            if let Some(partition) = self.partitions.get_mut(&token.key) {
                partition.in_hand += 1;
            }
            self.in_hand += 1;
            due.push((token, delivery));
        }
        due
    }

    /// Whether nothing can be taken now, as far as is known: what was refused last is tried again.
    fn is_away(&self) -> bool {
        self.was_refused && self.refused > 0
    }

    /// Whether no more fits into the hand. What is in hand commonly ends at once: nobody pauses for it.
    pub(super) fn is_full(&self) -> bool {
        self.in_hand >= IN_HAND
    }

    /// Whether one more that ends would find room.
    pub(super) fn has_room(&self) -> bool {
        self.in_hand < ROOM
    }

    /// Nothing has ended for a while.
    pub(super) fn stalls(&mut self) {
        self.is_stalled = self.is_full();
    }

    /// Partitions that are to pause, and to go on, since this was asked last.
    pub(super) fn pauses(&mut self) -> (Vec<Key>, Vec<Key>) {
        let is_away = self.is_away();
        let all = self.is_stalled || self.waiting.len() >= WAITING || self.bytes >= BYTES;
        let (mut pause, mut resume) = (Vec::new(), Vec::new());
        for (key, partition) in &mut self.partitions {
            partition.held &= is_away;
            let wanted = all || partition.held || partition.refused > 0;
            if wanted != partition.is_paused {
                partition.is_paused = wanted;
                if wanted { &mut pause } else { &mut resume }.push(key.clone());
            }
        }
        (pause, resume)
    }

    /// Whether something of these partitions is being taken.
    pub(super) fn is_taking(&self, keys: &[Key]) -> bool {
        keys.iter()
            .filter_map(|key| self.partitions.get(key))
            .any(|partition| partition.in_hand > 0)
    }

    /// How many messages are in hand, or wait to be.
    pub(super) fn held(&self) -> u64 {
        (self.in_hand + self.waiting.len()) as u64
    }

    /// Partitions that pause: the library does not hear of what comes there.
    pub(super) fn paused(&self) -> Vec<Key> {
        let paused = self.partitions.iter().filter(|(_, partition)| partition.is_paused);
        paused.map(|(key, _)| key.clone()).collect()
    }

    /// All partitions that are ours.
    pub(super) fn keys(&self) -> Vec<Key> {
        self.partitions.keys().cloned().collect()
    }

    /// What the broker is to remember of these partitions, where it does not yet.
    pub(super) fn asks(&mut self, keys: &[Key]) -> Vec<(Key, i64)> {
        let mut asks = Vec::new();
        for key in keys {
            let position = self.partitions.get_mut(key).and_then(|partition| partition.mark.ask());
            asks.extend(position.map(|position| (key.clone(), position)));
        }
        asks
    }

    /// Those of these partitions of which the broker has yet to remember something, or to say that it does.
    pub(super) fn unsure(&self, keys: &[Key]) -> Vec<Key> {
        let is_unsure =
            |key: &&Key| self.partitions.get(*key).is_some_and(|one| one.mark.is_unsure());
        keys.iter().filter(is_unsure).cloned().collect()
    }

    /// What the broker remembers of a partition; says whether that can be.
    pub(super) fn read_back(&mut self, key: &Key, remembered: Option<i64>) -> bool {
        let partition = self.partitions.get_mut(key);
        partition.is_none_or(|partition| partition.mark.read_back(remembered))
    }

    /// The broker did not remember it.
    pub(super) fn refused(&mut self, key: &Key) {
        if let Some(partition) = self.partitions.get_mut(key) {
            partition.mark.refused();
        }
    }
}

fn size(delivery: &Delivery) -> usize {
    let headers = delivery.headers.iter().map(|(name, value)| name.len() + value.len());
    let key = delivery.key.as_ref().map_or(0, Vec::len);
    delivery.body.len() + key + headers.sum::<usize>()
}

#[cfg(test)]
#[path = "assignment_tests.rs"]
mod tests;
