//! What waits for its turn: results of effects first, then inputs in the order in which they came.

use amends_engine::{Input, Ticket};
use amends_protocol::ReportKey;
use std::collections::{BTreeSet, VecDeque};

/// An input was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// The queue is full.
    Overloaded,
    /// The store can't be loaded, or is being left alone for a while after it has refused several turns.
    StoreAway,
}

/// Who waits for inputs.
pub(crate) fn tickets(inputs: &[Input]) -> Vec<Ticket> {
    inputs.iter().filter_map(Input::ticket).collect()
}

#[derive(Debug)]
pub(crate) struct Queue {
    limit: usize,
    inputs: VecDeque<Input>,
    /// Bounded by the effects under way, and those by the services' limits.
    results: VecDeque<Input>,
    /// New versions of rulebooks that wait until all open cases are known; none if they need not wait.
    held: Option<Vec<Input>>,
}

impl Queue {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), inputs: VecDeque::new(), results: VecDeque::new(), held: None }
    }

    /// Inputs that may still come.
    pub(crate) fn room(&self) -> usize {
        let held = self.held.as_ref().map_or(0, Vec::len);
        self.limit.saturating_sub(self.inputs.len() + held)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inputs.is_empty() && self.results.is_empty()
    }

    pub(crate) fn push(&mut self, input: Input) -> Result<(), NotTaken> {
        if self.room() == 0 {
            return Err(NotTaken::Overloaded);
        }
        match &mut self.held {
            Some(held) if matches!(input, Input::Activate { .. }) => held.push(input),
            _ => self.inputs.push_back(input),
        }
        Ok(())
    }

    /// From now on new versions of rulebooks wait.
    pub(crate) fn hold_activations(&mut self) {
        let is_activation = |input: &Input| matches!(input, Input::Activate { .. });
        let (held, inputs): (VecDeque<_>, VecDeque<_>) =
            self.inputs.drain(..).partition(is_activation);
        self.inputs = inputs;
        self.held.get_or_insert_default().extend(held);
    }

    /// They wait no longer.
    pub(crate) fn let_in(&mut self) {
        self.inputs.extend(self.held.take().unwrap_or_default());
    }

    pub(crate) fn push_result(&mut self, input: Input) {
        self.results.push_back(input);
    }

    /// These results are of what has gone elsewhere.
    pub(crate) fn unhold(&mut self, is_gone: impl Fn(&Input) -> bool) {
        for result in &mut self.results {
            if !matches!(result, Input::Unheld(_)) && is_gone(result) {
                *result = Input::Unheld(Box::new(std::mem::replace(result, Input::Tick)));
            }
        }
    }

    /// Puts the inputs of a turn that came to nothing back where they were.
    pub(crate) fn put_back(&mut self, turn: Vec<Input>) {
        for input in turn.into_iter().rev() {
            match input {
                Input::StepEnded { .. } | Input::HistoryEnded { .. } | Input::Unheld(_) => {
                    self.results.push_front(input)
                }
                Input::Tick => {}
                input => self.inputs.push_front(input),
            }
        }
    }

    /// Takes what somebody waits for; results stay.
    pub(crate) fn take_inputs(&mut self) -> Vec<Input> {
        let held = self.held.iter_mut().flat_map(|held| held.drain(..));
        self.inputs.drain(..).chain(held).collect()
    }

    /// Results that wait.
    pub(crate) fn results(&self) -> impl Iterator<Item = &Input> {
        self.results.iter()
    }

    /// Takes all that waits.
    pub(crate) fn take_all(&mut self) -> Vec<Input> {
        let held = self.held.take().unwrap_or_default();
        self.results.drain(..).chain(self.inputs.drain(..)).chain(held).collect()
    }

    /// Takes at most `most` for one turn. No report comes twice in it: the store must know the
    /// first before the second is looked up. The second one is the first of the next turn.
    pub(crate) fn take_turn(&mut self, most: usize) -> Vec<Input> {
        let some = self.results.len().min(most);
        let mut turn: Vec<Input> = self.results.drain(..some).collect();
        let mut seen: BTreeSet<ReportKey> = BTreeSet::new();
        let mut repeated = Vec::new();
        while turn.len() < most
            && let Some(input) = self.inputs.pop_front()
        {
            if input.about().report.is_none_or(|key| seen.insert(key)) {
                turn.push(input);
            } else {
                repeated.push(input);
            }
        }
        for input in repeated.into_iter().rev() {
            self.inputs.push_front(input);
        }
        turn
    }
}
