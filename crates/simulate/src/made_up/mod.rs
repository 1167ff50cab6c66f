//! Rulebooks made up from a seed, small and odd: every construct of the language, right and wrong rules. They show
//! whether those who judge a rulebook agree.

mod business;
mod draw;
mod rules;
mod write;

use crate::seeded_rng::SeededRng;
pub use business::Size;
pub(crate) use business::{Class, Comes, Declared, Heed, Item, Made};
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
    /// A whole rulebook: services, some of their reports, and rules that may or may not leave something behind.
    #[must_use]
    pub fn of(seed: u64, size: Size) -> Self {
        let mut rng = SeededRng::of(seed, &[1]);
        let actions = draw::actions(size, &mut rng);
        let reports = draw::reports(&actions, &mut rng);
        let mut text = write::services(&actions);
        text.push_str(&write::reports(&actions, &reports));
        text.push_str(&rules::rules(&actions, &reports, &mut rng));
        Self { actions, reports, text }
    }

    /// The same business without reports of its own, and with one rule.
    #[must_use]
    pub fn business(seed: u64, size: Size, compensate: &str) -> Self {
        let actions = draw::actions(size, &mut SeededRng::of(seed, &[1]));
        let rules = format!("rules:\n  - {{ on: \"*/*\", compensate: {compensate} }}\n");
        let text = write::services(&actions) + &rules;
        Self { actions, reports: Vec::new(), text }
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
