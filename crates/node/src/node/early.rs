//! What is not known here may have been left in an inbox that has yet to be read. Whoever asks for it is refused only
//! once that has been done.

use super::{Node, Turn};
use amends_engine::{Answer, Input, Partition};
use amends_protocol::Timestamp;

impl Node {
    /// Keeps an input of a turn as long as it may have to be asked once more.
    pub(super) fn keep_early(&mut self, input: &Input, turn: &mut Turn) {
        let Some(ticket) = input.ticket() else { return };
        let has_waited = self.waited.remove(&ticket);
        if !has_waited && names_what_may_be_unknown(input) && !turn.letters_in.contains_key(&ticket)
        {
            turn.early.insert(ticket, input.clone());
        }
    }

    /// Whoever asked for what is not known here waits until the inbox of its partition has been read.
    pub(super) fn wait_for_the_inbox(&mut self, turn: &mut Turn) {
        if turn.early.is_empty() {
            return;
        }
        let (now, early) = (self.moment.now, &mut turn.early);
        let mut waits = Vec::new();
        turn.output.answers.retain(|(ticket, answer)| {
            let is_early = matches!(answer, Answer::NotFound(_));
            let input = if is_early { early.remove(ticket) } else { None };
            let stays = input.is_none();
            waits.extend(input.map(|input| (*ticket, input)));
            stays
        });
        for (ticket, input) in waits {
            turn.tickets.retain(|one| *one != ticket);
            // Should the turn come to nothing, it is not to be taken twice.
            turn.again.retain(|one| one.ticket() != Some(ticket));
            let Some(partition) = turn.homes.remove(&ticket) else { continue };
            self.mail(partition);
            self.early.push((partition, now, input));
        }
    }

    /// Asks once more for some of what has waited, by its partition and since when.
    pub(super) fn ask_again(&mut self, is_due: impl Fn(Partition, Timestamp) -> bool) {
        let all = std::mem::take(&mut self.early).into_iter();
        let (due, rest) = all.partition(|(partition, since, _)| is_due(*partition, *since));
        self.early = rest;
        let due: Vec<(Partition, Timestamp, Input)> = due;
        let inputs: Vec<Input> = due.into_iter().map(|(_, _, input)| input).collect();
        self.waited.extend(inputs.iter().filter_map(Input::ticket));
        self.queue.put_back(inputs);
    }
}

/// Whether it is about something that must be known already.
fn names_what_may_be_unknown(input: &Input) -> bool {
    matches!(
        input,
        Input::SagaEnded { .. }
            | Input::StepCalledBack { .. }
            | Input::StepAct { .. }
            | Input::CaseAct { .. }
            | Input::QuestionAct { .. }
    )
}
