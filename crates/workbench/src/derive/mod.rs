//! From what the services declare to every failure point, each with the steps that it needs. Enumerates; what the rules
//! make of it is `check`'s business, and whether it is right is shown by running it.
//!
//! A failure point is a place in an action's work: before its first call, after a call was sent whose answer is unknown,
//! after a call that was answered; times the optional calls that were made until then, directly or by others.

mod kept;
mod point;
mod variants;
mod write;

pub use point::{Derived, FailurePoint};
pub use write::{ExplicitPart, explicit_rulebook};

use crate::places::{Place, SagaState};
use amends_protocol::Verb;
use amends_rulebook::{ActionId, Position, ReportDecl, Rulebook, ServiceId};
use rustc_hash::FxHashSet;
use std::collections::BTreeSet;
use variants::{Variant, Variants};

/// Points that are written out. The number of all of them is told exactly, however large; nobody reads more than this.
pub const POINTS_LIMIT: usize = 20_000;

/// Actions in the states of all points that are written out together: some hundred megabytes at worst.
const STATES_LIMIT: usize = 2_000_000;

/// Computes all failure points. Corrections have none: they are steps, not parts of a saga.
#[must_use]
pub fn derive(book: &Rulebook) -> Derived {
    let variants = Variants::new(book);
    let mut points = Vec::new();
    let mut total = 0u128;
    let mut room = STATES_LIMIT;
    let by_action = reports_by_action(book);
    for action in book.action_ids().filter(|id| book.get(*id).correction_of.is_none()) {
        let reports = &by_action[action.0 as usize];
        total = total.saturating_add(variants.points(book, action));
        points_of(book, action, reports, &variants, &mut points, &mut room);
    }
    give_codes(book, &mut points);
    Derived { points, total }
}

/// How many failure points there are, without writing them out. Saturates.
#[must_use]
pub fn count_failure_points(book: &Rulebook) -> u128 {
    let variants = Variants::new(book);
    let own = book.action_ids().filter(|id| book.get(*id).correction_of.is_none());
    own.fold(0u128, |sum, id| sum.saturating_add(variants.points(book, id)))
}

fn reports_by_action(book: &Rulebook) -> Vec<Vec<usize>> {
    let mut by_action = vec![Vec::new(); book.actions().len()];
    for (n, report) in book.reports().iter().enumerate() {
        if let Some(action) = report.action {
            by_action[action.0 as usize].push(n);
        }
    }
    by_action
}

fn points_of(
    book: &Rulebook,
    action: ActionId,
    reports: &[usize],
    variants: &Variants,
    points: &mut Vec<FailurePoint>,
    room: &mut usize,
) {
    let around = SagaState::around(book, action);
    let mut add = |position, variant: &Variant| {
        if points.len() < POINTS_LIMIT && *room > 0 {
            let point = point(book, action, position, variant, reports, &around);
            *room = room.saturating_sub(1 + point.state.happened.len() + point.state.maybe.len());
            points.push(point);
        }
    };
    add(Position::Start, &Variant::default());
    variants.through(&book.get(action).calls, &mut add);
}

fn point(
    book: &Rulebook,
    action: ActionId,
    position: Position,
    variant: &Variant,
    reports: &[usize],
    around: &SagaState,
) -> FailurePoint {
    // Of a call that was sent nobody knows whether it was made.
    let sent = match position {
        Position::Sent(n) => book.get(action).calls.get(n).map(|call| call.action),
        Position::Start | Position::After(_) => None,
    };
    let made: Vec<ActionId> =
        variant.taken.iter().copied().filter(|id| Some(*id) != sent).collect();
    let place = Place::at(action, position, &made, &variant.not_taken);
    let state = place.state_within(book, around);
    let needs = if book.get(action).on_failure_retry {
        BTreeSet::from([(Verb::Retry, action)])
    } else {
        state.undo(book)
    };
    let speaks = |n: &&usize| {
        let report = &book.reports()[**n];
        speaks_of(book, report, position)
            && variant.taken.iter().all(|id| !report.without.iter().any(|w| w.is_plain(*id)))
            && variant.not_taken.iter().all(|id| !report.after.iter().any(|a| a.is_plain(*id)))
    };
    FailurePoint {
        action,
        position,
        taken: variant.taken.clone(),
        not_taken: variant.not_taken.clone(),
        state,
        needs,
        reports: reports.iter().filter(speaks).copied().collect(),
        code: String::new(),
    }
}

/// Whether a report of the action may come from this place.
fn speaks_of(book: &Rulebook, report: &ReportDecl, position: Position) -> bool {
    match (report.position(book), position) {
        (Some(place), _) => place == position,
        (None, Position::Start) => true,
        (None, Position::Sent(n) | Position::After(n)) => n < report.calls_at_most(book),
    }
}

/// Longest code of a report, in bytes.
const CODE_LIMIT: usize = 128;

/// Gives each point a code that no other report of its service has.
fn give_codes(book: &Rulebook, points: &mut [FailurePoint]) {
    let declared = |r: &ReportDecl| (r.service, r.code.to_string());
    let mut taken: FxHashSet<(ServiceId, String)> = book.reports().iter().map(declared).collect();
    for point in points {
        let service = book.get(point.action).service;
        let mut stem = point.long_code(book);
        // Names are ASCII; room for a number is left.
        stem.truncate(CODE_LIMIT - 8);
        let mut code = stem.clone();
        let mut n = 1u32;
        while !taken.insert((service, code.clone())) {
            n += 1;
            code = format!("{stem}-{n}");
        }
        point.code = code;
    }
}
