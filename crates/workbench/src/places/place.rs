//! A place in the work of one action: which requests can report from it, and what may have happened by then. Both are
//! read from the same three things, so that nobody who plays requests can meet what is not told here.

use super::state::{SagaState, begun_before, own_step};
use amends_rulebook::{ActionId, Call, NamedCall, Position, ReportDecl, Rulebook};
use std::collections::BTreeSet;

/// Where a failure strikes, and what is known there of the calls of the failing action.
#[derive(Clone, Debug)]
pub struct Place {
    action: ActionId,
    /// None: anywhere in its work.
    position: Option<Position>,
    /// Own calls that were answered, at most.
    answered: usize,
    /// Calls in its work that were made, directly or through others.
    made: Vec<NamedCall>,
    /// Calls in its work that were not made.
    not_made: Vec<NamedCall>,
}

impl Place {
    /// Where a declared report comes from; none if it doesn't name its action.
    #[must_use]
    pub fn of_report(book: &Rulebook, report: &ReportDecl) -> Option<Self> {
        let action = report.action?;
        let position = report.position(book);
        let answered = position.map_or_else(|| report.calls_at_most(book), answered);
        let (made, not_made) = (report.after.clone(), report.without.clone());
        Some(Self { action, position, answered, made, not_made })
    }

    /// Where a report comes from of which nobody has said more than its action.
    #[must_use]
    pub fn anywhere(book: &Rulebook, action: ActionId) -> Self {
        let answered = book.get(action).calls.len();
        Self { action, position: None, answered, made: Vec::new(), not_made: Vec::new() }
    }

    /// One position, with the calls that were made and not made by then.
    pub(crate) fn at(
        action: ActionId,
        position: Position,
        made: &[ActionId],
        not_made: &[ActionId],
    ) -> Self {
        let named = |ids: &[ActionId]| ids.iter().map(|id| NamedCall::of(*id)).collect();
        let (made, not_made) = (named(made), named(not_made));
        Self { action, position: Some(position), answered: answered(position), made, not_made }
    }

    /// Whether a request can report from here that has made these of its action's calls, each named by its position
    /// among them, with the way to every request that it led to, from the action itself down to that request; `next`
    /// are the calls that it may make next.
    #[must_use]
    pub fn admits(
        &self,
        book: &Rulebook,
        made: &[(usize, Vec<Vec<ActionId>>)],
        next: &[usize],
    ) -> bool {
        let last = made.last().map(|(n, _)| *n);
        let calls = &book.get(self.action).calls;
        // Of calls that are made at once any may be the last.
        let is_last = |n: usize| match own_step(calls, n) {
            Some(together) => {
                last.is_some_and(|last| together.contains(&last))
                    && made.iter().any(|(made, _)| *made == n)
            }
            None => last == Some(n),
        };
        let before = match self.position {
            None => made.len(),
            Some(Position::Start) if last.is_none() => 0,
            Some(Position::After(n)) if is_last(n) => made.len(),
            // A call whose answer never came may have arrived or not.
            Some(Position::Sent(n)) if last == Some(n) || next.contains(&n) => {
                made.iter().take_while(|(m, _)| *m < n).count()
            }
            Some(_) => return false,
        };
        let called = |call: &NamedCall| {
            let ways = made[..before].iter().flat_map(|(_, ways)| ways);
            ways.filter(|way| call.means(way)).count()
        };
        let named = |call: &NamedCall| self.made.iter().filter(|made| *made == call).count();
        self.made.iter().all(|call| called(call) >= named(call))
            && self.not_made.iter().all(|call| called(call) == 0)
    }

    /// What may have happened in the whole saga: by the calls of the failing action, and by whoever called it.
    #[must_use]
    pub fn state(&self, book: &Rulebook) -> SagaState {
        self.state_within(book, &SagaState::around(book, self.action))
    }

    /// The same where it is at hand what may have happened around the failing action.
    pub(crate) fn state_within(&self, book: &Rulebook, around: &SagaState) -> SagaState {
        let mut state = self.below(book);
        state.join(around);
        state
    }

    /// What may have happened by the calls of the failing action itself.
    fn below(&self, book: &Rulebook) -> SagaState {
        let own = &book.get(self.action).calls;
        let left_out = LeftOut::of(book, self.action, &self.not_made);
        let mut state = SagaState::default();
        let at = match self.position {
            Some(Position::Sent(n) | Position::After(n)) => Some(n),
            Some(Position::Start) | None => None,
        };
        let begun = at.map_or(self.answered, |n| begun_before(own, n).end.max(self.answered));
        // Of several ways the one that is named excludes the others.
        let named = self.made.iter().filter_map(|call| only_call_to(book, own, call));
        let excluded: BTreeSet<usize> =
            at.into_iter().chain(named).flat_map(|n| own.excluded_by(n)).collect();
        for (n, call) in own.iter().enumerate().take(begun) {
            if !excluded.contains(&n) && !left_out.contains(call.action) {
                let surely = self.surely_made(book, n, call, &left_out);
                state.expand(book, call.action, surely, &|id| left_out.contains(id));
            }
        }
        if let Some(Position::Sent(n)) = self.position
            && let Some(call) = own.get(n)
        {
            // What it called in its turn is as unknown as itself.
            state.expand(book, call.action, false, &|_| false);
        }
        for call in &self.made {
            state.expand(book, call.action(), true, &|id| left_out.contains(id));
        }
        state.forget(self.action);
        state
    }

    /// Whether every request that reports from here has made its n-th call.
    fn surely_made(&self, book: &Rulebook, n: usize, call: &Call, left_out: &LeftOut) -> bool {
        let Some(position) = self.position else { return false };
        let leads = |call: &Call, to: &NamedCall| match to.direct(self.action) {
            Some(direct) if !to.is_plain(direct) => call.action == direct,
            _ => {
                let first = to.first_below(self.action);
                call.action == first || book.downstream(call.action).binary_search(&first).is_ok()
            }
        };
        let own = &book.get(self.action).calls[..self.answered];
        let only_way = |to: &NamedCall| {
            let mut ways =
                (0..).zip(own).filter(|(_, c)| !left_out.contains(c.action) && leads(c, to));
            ways.next().map(|(n, _)| n) == Some(n) && ways.next().is_none()
        };
        let is_over = match own_step(&book.get(self.action).calls, n) {
            Some(together) => {
                !matches!(position, Position::Sent(at) | Position::After(at) if together.contains(&at))
            }
            None => true,
        };
        let written = !call.optional && is_over && n < self.answered;
        call.is_strict()
            && (written || position == Position::After(n) || self.made.iter().any(only_way))
    }
}

/// The one call of an action that can have led to what is named, if it is the call of that itself.
fn only_call_to(book: &Rulebook, own: &[Call], named: &NamedCall) -> Option<usize> {
    let id = named.action();
    let leads =
        |call: &Call| call.action == id || book.downstream(call.action).binary_search(&id).is_ok();
    let mut ways = (0..).zip(own).filter(|(_, call)| leads(call));
    let (n, call) = ways.next()?;
    (call.action == id && ways.next().is_none()).then_some(n)
}

const fn answered(position: Position) -> usize {
    match position {
        Position::Start => 0,
        Position::Sent(n) => n,
        Position::After(n) => n + 1,
    }
}

/// Actions that cannot have been called, because they are declared as not called or surely call one that is.
struct LeftOut(BTreeSet<ActionId>);

/// The action that cannot have been called in the work of `from` if this call was not made; none if it may have been on
/// another way.
fn left_out(book: &Rulebook, from: ActionId, call: &NamedCall) -> Option<ActionId> {
    let is_at_work = |id: &ActionId| *id == from || book.downstream(from).binary_search(id).is_ok();
    let is_only_way = |chain: &[ActionId]| {
        chain.windows(2).all(|pair| {
            let mut callers = book.callers(pair[1]).iter().filter(|id| is_at_work(id));
            callers.all(|id| *id == pair[0])
        })
    };
    let mut chain = call.chain();
    while let [way @ .., called] = chain {
        if is_only_way(chain) {
            return Some(*called);
        }
        // Whoever calls it in every saga was not called on this way either.
        let caller = way.last().filter(|caller| **caller != from)?;
        let mut calls = book.get(*caller).calls.iter();
        if !calls.any(|c| c.action == *called && !c.optional && c.is_strict()) {
            return None;
        }
        chain = way;
    }
    None
}

impl LeftOut {
    fn of(book: &Rulebook, from: ActionId, not_made: &[NamedCall]) -> Self {
        let not_made = not_made.iter().filter_map(|call| left_out(book, from, call));
        let mut all: BTreeSet<ActionId> = not_made.collect();
        let mut open: Vec<ActionId> = all.iter().copied().collect();
        while let Some(at) = open.pop() {
            for caller in book.callers(at) {
                let mut calls = book.get(*caller).calls.iter();
                let surely = |c: &Call| c.action == at && !c.optional && c.is_strict();
                if calls.any(surely) && all.insert(*caller) {
                    open.push(*caller);
                }
            }
        }
        Self(all)
    }

    fn contains(&self, id: ActionId) -> bool {
        self.0.contains(&id)
    }
}
