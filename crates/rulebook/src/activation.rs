//! Whether a rulebook can take the place of another while cases are open. Open cases keep the rulebook that they began
//! with; but their steps go to services that now declare something else.

use crate::{Diagnostic, Rulebook, Span, codes, fits};
use amends_protocol::{ActionName, Verb};

/// A step that open cases still have to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StillNeeded {
    /// What.
    pub verb: Verb,
    /// Of what.
    pub action: ActionName,
    /// In how many cases.
    pub cases: u64,
}

/// Whether `new` can ask for everything that `old` can: then no open case loses anything, whatever it needs.
#[must_use]
pub fn asks_for_all_of(new: &Rulebook, old: &Rulebook) -> bool {
    old.actions().iter().all(|action| {
        let now = new.action(&action.name.service, &action.name.action);
        let asked = Verb::ALL.iter().filter(|verb| fits(**verb, action));
        now.is_some()
            && asked.into_iter().all(|verb| now.is_some_and(|id| fits(*verb, new.get(id))))
    })
}

/// Steps of open cases that `new` could not ask for any more. The spans point into the sources of `new`.
#[must_use]
pub fn check_activation(new: &Rulebook, needed: &[StillNeeded]) -> Vec<Diagnostic> {
    needed.iter().filter_map(|step| dropped(new, step)).collect()
}

fn dropped(new: &Rulebook, step: &StillNeeded) -> Option<Diagnostic> {
    let StillNeeded { verb, action, cases } = step;
    let known = new.action(&action.service, &action.action);
    if known.is_some_and(|id| fits(*verb, new.get(id))) {
        return None;
    }
    let service = new.service(&action.service).map(|id| new.services()[id.0 as usize].span);
    let (at, label): (Span, &str) = match known {
        Some(id) => (new.get(id).span, "it no longer can"),
        None => (service.unwrap_or(new.name_span), "it is no longer declared"),
    };
    let plural = if *cases == 1 { "open case needs" } else { "open cases need" };
    let message =
        format!("{cases} {plural} to {verb} `{action}`, which this rulebook cannot ask for");
    let help = "keep it declared until those cases are settled, or settle them first";
    Some(
        Diagnostic::new(codes::DROPPED_COMPENSATION, at, message).with_label(label).with_help(help),
    )
}
