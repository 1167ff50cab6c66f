//! Rulebooks made up from a seed, small and odd: every construct of the language, right and wrong rules. They show
//! whether those who judge a rulebook agree.

mod business;
mod draw;
mod rules;
mod write;

use crate::seeded_rng::SeededRng;
use std::fmt::Write as _;

pub use business::Size;
pub(crate) use business::{Class, Comes, Declared, Heed, Item, Made, Named};
pub(crate) use rules::UNDECLARED;

/// A made-up rulebook, as it was drawn.
#[derive(Clone, Debug)]
pub struct MadeUp {
    pub(crate) actions: Vec<Made>,
    pub(crate) reports: Vec<Declared>,
    /// Its text.
    pub text: String,
}

impl MadeUp {
    /// A whole rulebook: services, some of their reports, and rules that may or may not leave something behind. So many
    /// of the calls that were drawn are taken back.
    #[must_use]
    pub fn of(seed: u64, size: Size, taken_back: usize) -> Self {
        let mut rng = SeededRng::of(seed, &[1]);
        let actions = draw::actions(size, taken_back, &mut rng);
        let reports = draw::reports(&actions, &mut rng);
        let mut text = write::services(&actions);
        text.push_str(&write::reports(&actions, &reports));
        text.push_str(&rules::rules(&actions, &reports, &mut rng));
        Self { actions, reports, text }
    }

    /// The same business and reports with one rule for all.
    #[must_use]
    pub fn with_one_rule(&self, compensate: &str) -> Self {
        let mut text = write::services(&self.actions);
        text.push_str(&write::reports(&self.actions, &self.reports));
        let _ = writeln!(text, "rules:\n  - {{ on: \"*/*\", compensate: {compensate} }}");
        Self { text, ..self.clone() }
    }

    /// Whether there is nothing left of its calls that could be taken back.
    pub(crate) fn calls_nobody(&self) -> bool {
        self.actions.iter().all(|made| made.items.is_empty())
    }

    /// Whether something is undone by the id of a request that nobody tells: whoever calls it keeps no History.
    pub(crate) fn has_untold_charges(&self) -> bool {
        let charges = (0..self.actions.len()).filter(|n| self.actions[*n].class == Class::Charged);
        let keeps = |n: &usize| {
            let service = self.actions[*n].service;
            let own = self.actions.iter().filter(|made| made.service == service);
            own.into_iter().any(|made| !made.is_mapped())
        };
        let calls = |of: usize| {
            (0..self.actions.len()).filter(move |n| self.actions[*n].callees().contains(&of))
        };
        charges.into_iter().any(|n| {
            !keeps(&n) && (calls(n).next().is_none() || !calls(n).all(|caller| keeps(&caller)))
        })
    }

    /// Its name in the rulebook.
    pub(crate) fn name(&self, action: usize) -> String {
        write::name(&self.actions, action)
    }

    /// Actions that nobody calls.
    pub(crate) fn entries(&self) -> Vec<usize> {
        let called: Vec<usize> = self.actions.iter().flat_map(Made::callees).collect();
        (0..self.actions.len()).filter(|n| !called.contains(n)).collect()
    }
}
