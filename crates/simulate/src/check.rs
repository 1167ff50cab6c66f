//! The check of a rulebook with nothing guessed: what would be left behind is what playing every single failure leaves
//! behind. Where that is too much to play, what can be seen without playing stays, and it is said that it is no proof.

use crate::proof::{NotProved, Proof};
use crate::simulation::Counterexample;
use crate::verdict::Finding;
use amends_rulebook::{ActionId, Diagnostic, Rule, Rulebook, Span, codes};
use amends_workbench::{CheckSettings, called_both_ways, check_with};
use std::collections::BTreeSet;

/// Everything that is wrong with a rulebook that loads, sorted by place.
#[must_use]
pub fn check_by_proof(book: &Rulebook, settings: &CheckSettings, proof: &Proof) -> Vec<Diagnostic> {
    let is_guess = |d: &Diagnostic| d.code == codes::UNDER_COMPENSATION;
    let (guesses, mut all): (Vec<_>, Vec<_>) =
        check_with(book, settings).into_iter().partition(is_guess);
    let rule = |label: &String| book.rules().iter().find(|r| r.index_label == *label);
    let spans = |labels: &mut dyn Iterator<Item = &String>| -> BTreeSet<Span> {
        labels.filter_map(rule).map(|r| r.span).collect()
    };
    let bad = spans(&mut proof.left_behind.iter().flat_map(|end| &end.rules));
    let guessed: BTreeSet<Span> = guesses.iter().map(|d| d.at).collect();
    // What is seen without playing says it with the places; it counts where playing bears it out or couldn't look. A
    // rule that nothing reaches leaves nothing.
    let stands = |d: &Diagnostic| !proof.is_whole() || bad.contains(&d.at);
    all.extend(guesses.into_iter().filter(stands));
    let mut told = BTreeSet::new();
    for end in &proof.left_behind {
        let is_told = spans(&mut end.rules.iter()).iter().any(|at| guessed.contains(at));
        let first = end.rules.iter().find_map(rule).or_else(|| book.rules().first());
        if let Some(first) = first.filter(|r| !is_told && told.insert(r.span)) {
            all.extend(settings.rated(played(book, first, end)));
        }
    }
    all.extend(proof.not_proved.and_then(|why| settings.rated(not_proved(book, why))));
    all.sort_by(|a, b| (a.at, a.code).cmp(&(b.at, b.code)));
    all
}

/// A bad end of a rule in which nothing looks wrong.
fn played(book: &Rulebook, rule: &Rule, end: &Counterexample) -> Diagnostic {
    let message = format!("played with rule `{}`, {}", rule.index_label, end.finding);
    let found = Diagnostic::new(codes::UNDER_COMPENSATION, rule.span, message)
        .with_label(format!("when {}", end.faults.join("; ")));
    // Such a call is undone together with the others, whatever a rule asks for.
    if let Some(action) = called_both_ways(book).first().map(|id| book.get(*id)) {
        return found
            .with_place(
                action.span,
                "called where its failure is nobody else's, and on another way as well",
            )
            .with_help(format!(
                "give the call of `{}` that is tolerated, or an event, an action of its own, so that it can be undone for itself",
                action.name
            ));
    }
    let is_forward = matches!(end.finding, Finding::Incomplete { .. });
    let keeps_none = |id: ActionId| {
        let action = book.get(id);
        action.compensation.is_some() && !book.keeps_history(action.service)
    };
    found.with_help(if book.action_ids().any(keeps_none) {
        "let the rule name what is left: of what a service without a History did, perhaps nobody tells; `amends rules simulate` tells the story"
    } else if rule.demand.uses_recorded() {
        "it asks for all that is told; what is left nobody tells in time, or nobody bars: `amends rules simulate` tells the story"
    } else if is_forward {
        "run again what failed because of it too, in stages from the inside out (`then: { retry: … }`); or `compensate: recorded`; `amends rules simulate` tells the story"
    } else {
        "let the rule ask for what is left; or `compensate: recorded`; `amends rules simulate` tells the story"
    })
}

fn not_proved(book: &Rulebook, why: NotProved) -> Diagnostic {
    let message = match why {
        NotProved::TooManyPlays => "its failures are too many to play all of them",
        NotProved::TooLong => "one of its sagas is too long to be played",
    };
    let at = book.name_span();
    Diagnostic::new(codes::NOT_PROVED, at, format!("that nothing is left behind is not proved: {message}"))
        .with_label("judged without playing")
        .with_help("`amends rules simulate` plays a sample; a rulebook for each business domain is small enough")
}
