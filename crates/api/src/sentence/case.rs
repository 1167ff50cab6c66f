//! The one sentence that heads a case: `payment failed after coupon and delivery: no rider; 3 of 4 undone; coupon
//! unreachable, next try 14:05:10 UTC`. It claims nothing: what was waived or had nothing to undo is not called undone.

use super::moments::{clock, minute};
use super::reason::stuck_sentence;
use crate::signs::Signed;
use crate::{CaseState, Cause, ClosedOn, StepStateName, StuckReason};
use amends_protocol::{ActionName, Outcome, Timestamp, Verb};

/// Longest message of a service that the sentence repeats, in characters.
const MESSAGE_LIMIT: usize = 80;
/// Pieces of open work that are named; of more, their number is told.
const NAMED: usize = 2;

/// What the sentence is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseFacts<'a> {
    /// Where the case stands.
    pub state: CaseState,
    /// On what evidence it was settled.
    pub closed_on: Option<ClosedOn>,
    /// The service of the first report.
    pub service: &'a str,
    /// Its code.
    pub code: &'a str,
    /// Its message.
    pub message: Option<&'a str>,
    /// Services that had done their part before, by the report's own word, in the order of the report.
    pub after: Vec<&'a str>,
    /// The plan.
    pub steps: Vec<StepFacts>,
    /// Histories that have not answered.
    pub histories: Vec<HistoryFacts<'a>>,
    /// If nothing happens, when it settles.
    pub quiet_at: Option<Timestamp>,
    /// Who settled it, if a person did.
    pub settled_by: Option<&'a str>,
    /// What may still stand, each action once.
    pub may_still_stand: Vec<ActionName>,
}

/// A step of the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct StepFacts {
    /// What is asked.
    pub verb: Verb,
    /// Of which action.
    pub action: ActionName,
    /// Where it stands.
    pub state: StepStateName,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Why it is stuck.
    pub reason: Option<StuckReason>,
    /// Why it is not done, as far as its tries tell.
    pub cause: Option<Cause>,
    /// When it is tried next.
    pub due_at: Option<Timestamp>,
    /// Its service took it and tells when it is done: there is no place to look.
    pub awaits_callback: bool,
}

/// A History that is waited for.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryFacts<'a> {
    /// Whose.
    pub service: &'a str,
    /// Why it has not answered.
    pub cause: Cause,
    /// Since when it is waited for, if that is known.
    pub since: Option<Timestamp>,
    /// When it is asked for next.
    pub due_at: Option<Timestamp>,
}

/// The sentence.
#[must_use]
pub fn case_sentence(case: &CaseFacts<'_>) -> String {
    let mut clauses = vec![failure(case)];
    if case.state == CaseState::Unmatched {
        clauses.push(format!("no rule answers {}/{}, pick a plan", case.service, case.code));
    }
    let is_stuck = |step: &StepFacts| step.state == StepStateName::Stuck;
    if case.state == CaseState::Stuck && !case.steps.iter().any(is_stuck) {
        clauses.push("a question waits for an answer".to_owned());
    }
    clauses.extend(progress(&case.steps));
    clauses.extend(open_work(&case.steps));
    clauses.extend(awaited(case));
    clauses.extend(ending(case));
    clauses.join("; ")
}

fn failure(case: &CaseFacts<'_>) -> String {
    let after = match case.after.as_slice() {
        [] => String::new(),
        [one] => format!(" after {one}"),
        [most @ .., last] => format!(" after {} and {last}", most.join(", ")),
    };
    let message = match case.message.filter(|m| !m.trim().is_empty()) {
        Some(message) => shortened(message.trim()),
        None => case.code.to_owned(),
    };
    format!("{} failed{after}: {message}", case.service)
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_LIMIT) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

/// `3 of 4 undone`, `order retried`, `1 of 2 messages sent`, `1 waived`.
fn progress(steps: &[StepFacts]) -> Vec<String> {
    let asked: Vec<&StepFacts> = steps
        .iter()
        .filter(|s| !matches!(s.state, StepStateName::Superseded | StepStateName::Shadow))
        .filter(|s| s.outcome != Some(Outcome::NotFenceable))
        .collect();
    let of = |verb: Verb| asked.iter().filter(move |s| s.verb == verb);
    let ended = |verb: Verb, outcomes: &[Outcome]| {
        of(verb).filter(|s| s.outcome.is_some_and(|o| outcomes.contains(&o))).count()
    };
    let mut clauses = Vec::new();
    let undone = ended(Verb::Compensate, &[Outcome::Compensated, Outcome::AlreadyCompensated]);
    let empty = ended(Verb::Compensate, &[Outcome::NothingToCompensate]);
    let to_undo = of(Verb::Compensate).count() - empty;
    match (to_undo, undone) {
        (0, _) => {}
        (all, done) if all == done => clauses.push(match all {
            1 => "undone".to_owned(),
            2 => "both undone".to_owned(),
            _ => format!("all {all} undone"),
        }),
        (all, done) => clauses.push(format!("{done} of {all} undone")),
    }
    if empty > 0 {
        clauses.push(format!("{empty} had nothing to undo"));
    }
    for (verb, outcome, word) in
        [(Verb::Retry, Outcome::Retried, "retried"), (Verb::Notify, Outcome::Notified, "told")]
    {
        match (of(verb).count(), ended(verb, &[outcome])) {
            (0, _) => {}
            (1, 1) => clauses.extend(of(verb).map(|s| format!("{} {word}", s.action.service))),
            (all, done) => clauses.push(format!("{done} of {all} {word}")),
        }
    }
    let waived = asked.iter().filter(|s| s.outcome == Some(Outcome::Waived)).count();
    if waived > 0 {
        clauses.push(format!("{waived} waived"));
    }
    clauses
}

/// What is not done, what needs a person first, then what is tried next.
fn open_work(steps: &[StepFacts]) -> Vec<String> {
    let (later, mut open): (Vec<&StepFacts>, Vec<_>) = steps
        .iter()
        .filter(|s| s.state.is_unfinished())
        .partition(|s| s.state == StepStateName::Waiting && s.cause.is_none());
    open.sort_by_key(|s| (s.state != StepStateName::Stuck, s.due_at));
    let mut clauses: Vec<String> = open.iter().take(NAMED).map(|s| one(s)).collect();
    let is_stuck = |step: &&&StepFacts| step.state == StepStateName::Stuck;
    let more = open.len().saturating_sub(NAMED);
    let stuck = open.iter().skip(NAMED).filter(is_stuck).count();
    for (number, word) in [(stuck, "stuck"), (more - stuck, "under way")] {
        if number > 0 {
            clauses.push(format!("{number} more {word}"));
        }
    }
    match later.len() {
        0 => {}
        1 => clauses.push("1 comes after that".to_owned()),
        later => clauses.push(format!("{later} come after that")),
    }
    clauses
}

fn one(step: &StepFacts) -> String {
    let service = &step.action.service;
    let next = step.due_at.map_or(String::new(), |at| format!(", next try {}", clock(at)));
    let asks_person = step.cause == Some(Cause::Question);
    if let Some(reason) = step.reason.filter(|_| step.state == StepStateName::Stuck && !asks_person)
    {
        return stuck_sentence(service, reason);
    }
    match (step.state, step.cause) {
        (StepStateName::Accepted, _) if step.awaits_callback => {
            let again = step.due_at.map(|at| format!(", asked again {} if it does not", clock(at)));
            format!("{service} works on it and tells when it is done{}", again.unwrap_or_default())
        }
        (StepStateName::Accepted, _) => {
            let next = step.due_at.map_or(String::new(), |at| format!(", next look {}", clock(at)));
            format!("{service} works on it{next}")
        }
        (StepStateName::InFlight, _) => format!("{service} is being asked"),
        (_, Some(Cause::Held)) => format!("{service} waits for the release of its rule"),
        (_, Some(Cause::Question)) => format!("{service} waits for an answer"),
        (_, Some(Cause::Callers)) => format!("{service} waits for whoever may still call it"),
        (_, Some(Cause::Unreachable)) => format!("{service} unreachable{next}"),
        (_, Some(Cause::NoAnswer)) => format!("{service} does not answer{next}"),
        (_, Some(Cause::Busy)) => format!("{service} is busy{next}"),
        (_, Some(Cause::Status)) => format!("{service} answers with an error{next}"),
        (_, Some(Cause::Rejecting)) => format!("{service} rejects whatever it is asked{next}"),
        (_, Some(Cause::Paused)) => format!("{service} is paused"),
        (_, Some(Cause::Refused)) => format!("{service} refused{next}"),
        (_, Some(Cause::Rejected)) => format!("{service} says the request is invalid{next}"),
        (_, Some(Cause::Unsendable)) => {
            format!("the request to {service} could not be built{next}")
        }
        (_, Some(Cause::History)) => format!("no History of {service} can be read{next}"),
        (_, Some(Cause::Approval)) => format!("{service} waits for approval"),
        (_, Some(Cause::Stage)) => format!("{service} comes after an earlier stage"),
        (_, Some(Cause::Accepted)) => format!("{service} works on it"),
        (_, Some(Cause::Asked)) => format!("{service} is being asked"),
        (_, Some(Cause::Queued | Cause::Unmatched) | None) => {
            format!("{service} waits for its turn")
        }
    }
}

/// `waits for the History of payment since 14:02 UTC, next try 14:05:10 UTC`.
fn awaited(case: &CaseFacts<'_>) -> Vec<String> {
    if case.state == CaseState::Settled {
        return Vec::new();
    }
    let one = |history: &HistoryFacts<'_>| {
        let HistoryFacts { service, cause, since, due_at } = history;
        let since = since.map_or(String::new(), |at| format!(" since {}", minute(at)));
        let next = due_at.map_or(String::new(), |at| format!(", next try {}", clock(at)));
        let why = match cause {
            Cause::Paused => format!(", {service} is paused"),
            Cause::Unreachable => format!(", {service} unreachable{next}"),
            Cause::Rejecting => format!(", {service} rejects whatever it is asked{next}"),
            Cause::Asked => ", which is being read".to_owned(),
            _ => next,
        };
        format!("waits for the History of {service}{since}{why}")
    };
    let mut clauses: Vec<String> = case.histories.iter().take(NAMED).map(one).collect();
    match case.histories.len().saturating_sub(NAMED) {
        0 => {}
        1 => clauses.push("waits for 1 more History".to_owned()),
        more => clauses.push(format!("waits for {more} more Histories")),
    }
    clauses
}

fn ending(case: &CaseFacts<'_>) -> Option<String> {
    if case.state == CaseState::Settled {
        let left = left(&case.may_still_stand);
        return Some(match case.closed_on {
            Some(ClosedOn::ByPerson) => {
                format!("settled by {}{left}", case.settled_by.unwrap_or("a person"))
            }
            Some(word) => format!("settled, {}: {}{left}", word.sign().word, word.meaning()),
            None => "settled".to_owned(),
        });
    }
    let at = case.quiet_at?;
    Some(format!("settles {} if there is no further activity", clock(at)))
}

/// `; payment.pay, coupon.redeem and 2 more may still stand`.
fn left(actions: &[ActionName]) -> String {
    let named: Vec<_> = actions.iter().take(NAMED).map(ToString::to_string).collect();
    match (actions.len(), actions.len().saturating_sub(NAMED)) {
        (0, _) => String::new(),
        (_, 0) => format!("; {} may still stand", named.join(" and ")),
        (_, more) => format!("; {} and {more} more may still stand", named.join(", ")),
    }
}

#[cfg(test)]
#[path = "case_tests.rs"]
mod tests;
