//! What belongs to no saga is changed by whoever holds the seat, and read again by all others; and what was planned
//! before a rulebook became active is planned again.

use super::{Node, Phase, Turn};
use amends_engine::{Answer, Input, Settings};

impl Node {
    // What the driver says and asks, at any time.

    /// The settings of the store have this version, or a later one: they are read if that is news.
    pub fn settings_stand(&mut self, version: u64) {
        self.settings.stand(version);
    }

    /// The version of the settings that this node goes by: to be said along with its signs of life.
    #[must_use]
    pub fn settings_seen(&self) -> u64 {
        self.settings.seen()
    }

    // What is made of it.

    /// Whether what belongs to no saga is to be read now.
    pub(super) fn reads_settings(&mut self) -> bool {
        let is_due = self.holdings.is_some() && self.settings.is_due();
        if is_due {
            self.phase = Phase::ReadingSettings;
        }
        is_due
    }

    /// Before the seat is adopted, whatever was set before is learned.
    pub(super) fn read_settings_again(&mut self) {
        self.settings.doubt();
    }

    /// Nothing that is in flight, or waits, is touched by it.
    pub(super) fn learn_settings(&mut self, settings: Settings) {
        self.settings.loaded(settings.version);
        self.engine.learn_settings(settings, self.moment);
        self.has_read = true;
        self.tick = true; // what may go now goes, and what is told of it goes out
    }

    /// Of what is kept here: it may change what belongs to no saga.
    pub(super) fn note_what_sets(&self, input: &Input, turn: &mut Turn) {
        let sets = matches!(
            input,
            Input::StrangerAct { .. }
                | Input::Pause { .. }
                | Input::HoldRule { .. }
                | Input::Limit { .. }
                | Input::Activate { .. }
                | Input::QuestionAct { .. }
        );
        turn.sets.extend(input.ticket().filter(|_| sets));
    }

    /// A commit has made a version of the settings: whoever has set something is told which.
    pub(super) fn have_set(&mut self, version: u64, turn: &mut Turn) {
        self.settings.made(version);
        turn.made = Some(version);
        for (ticket, answer) in &mut turn.output.answers {
            if *answer == Answer::Done && turn.sets.contains(ticket) {
                *answer = Answer::Set(version);
            }
        }
    }

    /// What came of an input and is another partition's goes there.
    pub(super) fn send_elsewhere(&mut self, turn: &mut Turn) {
        for (partition, input) in std::mem::take(&mut turn.output.elsewhere) {
            self.post(&input, partition, turn);
        }
    }
}
