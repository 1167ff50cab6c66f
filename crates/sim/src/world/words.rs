//! Words from node to node, which may get lost: that something was left for a partition, what became of a letter, and
//! which version the settings have.

use super::nodes::Nodes;
use super::state::World;
use super::under_way::Waiter;
use crate::check::Seen;
use crate::event::WorldEvent;
use crate::node_event::Word;
use amends_engine::{Answer, LetterId, Partition, Ticket};

/// How long whoever came to the wrong node waits for the right one's word, in milliseconds.
const DOOR_MS: u64 = 1_000;

/// How long a word takes from one node to another, in milliseconds.
const WORD_MS: u64 = 3;

/// Of 100 words so many get lost.
const WORDS_LOST: usize = 30;

impl World<'_> {
    /// Whether words come to the machine that is looked at.
    fn hears(&self) -> bool {
        let now = self.queue.now();
        let reaches = |nodes: &Nodes| nodes.reaches(self.shell.name, now);
        self.shell.suspended(now).is_none() && self.nodes.as_ref().is_some_and(reaches)
    }

    pub(super) fn settings_stand(&mut self, node: usize, version: u64) {
        self.look_at(node);
        if !self.hears() {
            return;
        }
        if let Some(of_node) = &mut self.shell.node {
            of_node.settings_stand(version);
            self.turn();
        }
    }

    /// A word from node to node may get lost.
    pub(super) fn send_word(&mut self, letter: LetterId, event: WorldEvent) {
        let Some(nodes) = &self.nodes else { return };
        let at = self.queue.now().unsigned_abs();
        if !nodes.draw(&[3, letter.0 as u64, at]).chance(WORDS_LOST) {
            self.queue.after(WORD_MS, event);
        }
    }

    pub(super) fn notify(&mut self, partition: Partition) {
        let Some(node) = self.nodes.as_ref().and_then(|nodes| nodes.owner(partition)) else {
            return;
        };
        self.look_at(node);
        if !self.hears() {
            return;
        }
        if let Some(of_node) = &mut self.shell.node {
            of_node.mail(partition);
            self.turn();
        }
    }

    /// What became of letters is told where they were left.
    pub(super) fn answered(&mut self, answered: Vec<(LetterId, Answer)>) {
        for (letter, answer) in answered {
            self.seen(&Seen::LetterAnswered { letter });
            self.send_word(letter, WorldEvent::Answered(Box::new(Word { letter, answer })));
        }
    }

    /// Somebody waits for what becomes of a letter.
    pub(super) fn posted(&mut self, ticket: Ticket, letter: LetterId) {
        self.seen(&Seen::Posted { letter });
        if let Some((_, Waiter::Ended { saga })) = self.outside.waiters.get(&ticket) {
            self.was_told_of_end(*saga); // from now on it will not be forgotten
        }
        if let Some(nodes) = &mut self.nodes {
            nodes.doors.insert(letter, ticket);
            self.queue.after(DOOR_MS, WorldEvent::DoorCloses { letter });
        }
    }

    pub(super) fn word_came(&mut self, word: Word) {
        let ticket = self.nodes.as_mut().and_then(|nodes| nodes.answer_to(word.letter));
        if let Some(ticket) = ticket {
            self.replied(ticket, word.answer);
        }
    }

    /// No word came: what was left is taken all the same, and that is what whoever waits is told.
    pub(super) fn door_closes(&mut self, letter: LetterId) {
        let ticket = self.nodes.as_mut().and_then(|nodes| nodes.answer_to(letter));
        if let Some(ticket) = ticket {
            self.accepted(ticket);
        }
    }
}
