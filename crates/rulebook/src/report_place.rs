//! Where in the work of its action a report comes, by what it declares: after which calls, or at one whose answer never
//! came. Follows the declared calls; knows nothing of rules.

use crate::graph::Graph;
use crate::{Action, ActionId, Call, ReportDecl, Rulebook};
use std::collections::BTreeSet;

/// Where in its work an action fails. The numbers are positions in its calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Position {
    /// Before the first call; of an action without calls: anywhere.
    Start,
    /// The call was sent, and whether it took effect is unknown.
    Sent(usize),
    /// The call was answered.
    After(usize),
}

/// Who calls what.
#[derive(Clone, Copy)]
pub(crate) struct Work<'a> {
    pub(crate) actions: &'a [Action],
    pub(crate) graph: &'a Graph,
}

impl<'a> Work<'a> {
    pub(crate) fn of(book: &'a Rulebook) -> Self {
        Self { actions: &book.actions, graph: &book.graph }
    }

    pub(crate) fn calls(self, id: ActionId) -> &'a [Call] {
        &self.actions[id.0 as usize].calls
    }

    /// Whether `from` is one of these, or may call one, directly or through others.
    pub(crate) fn leads_to_any(self, from: ActionId, wanted: &[ActionId]) -> bool {
        let below = self.graph.downstream(from);
        wanted.iter().any(|w| *w == from || below.binary_search(w).is_ok())
    }

    /// The one of these that is called in every saga in which `from` is.
    pub(crate) fn surely_calls(self, from: ActionId, wanted: &[ActionId]) -> Option<ActionId> {
        let mut open = if wanted.is_empty() { Vec::new() } else { vec![from] };
        let mut seen = BTreeSet::new();
        while let Some(at) = open.pop() {
            if wanted.contains(&at) {
                return Some(at);
            }
            if seen.insert(at) {
                let surely = |c: &&Call| !c.optional && c.is_strict();
                open.extend(self.calls(at).iter().filter(surely).map(|c| c.action));
            }
        }
        None
    }

    /// The place of a report; none if it may come from several, or doesn't name its action.
    pub(crate) fn position(self, report: &ReportDecl) -> Option<Position> {
        let calls = self.calls(report.action?);
        let times = |id: ActionId| report.after.iter().filter(|a| **a == id).count();
        let of = |id: ActionId| {
            calls.iter().enumerate().filter(move |(_, c)| c.action == id).map(|(n, _)| n)
        };
        if let Some(sent) = report.sent {
            // An earlier call of the same action may have been answered, or left out.
            let made = |n: &usize| !(report.without.contains(&sent) && calls[*n].optional);
            let place = of(sent).filter(made).nth(times(sent));
            return place.or_else(|| of(sent).next_back()).map(Position::Sent);
        }
        if report.anywhere {
            return None;
        }
        let place = |made: &ActionId| {
            let direct = of(*made).take(times(*made)).last();
            direct.or_else(|| calls.iter().position(|c| self.leads_to_any(c.action, &[*made])))
        };
        Some(report.after.iter().filter_map(place).max().map_or(Position::Start, Position::After))
    }

    /// How many of its action's calls may have been made when a report comes from anywhere: a call that every saga makes
    /// and that was not made is where its work has ended.
    pub(crate) fn calls_at_most(self, report: &ReportDecl) -> usize {
        let calls = report.action.map_or(&[][..], |id| self.calls(id));
        let ends = |c: &Call| !c.optional && self.surely_calls(c.action, &report.without).is_some();
        calls.iter().position(ends).unwrap_or(calls.len())
    }

    /// A call that is declared as not made, though every saga that has come to the place of the report has made it.
    pub(crate) fn made_all_the_same(self, report: &ReportDecl) -> Option<ActionId> {
        let calls = self.calls(report.action?);
        let (answered, at) = match self.position(report)? {
            Position::Start => (0, None),
            Position::Sent(n) => (n, calls.get(n)),
            Position::After(n) => (n, calls.get(n)),
        };
        let left_out = |c: &&Call| report.without.contains(&c.action);
        if let Some(call) = at.filter(left_out).filter(|c| c.optional || report.sent.is_none()) {
            return Some(call.action);
        }
        let before = calls[..answered].iter().filter(|c| !c.optional).map(|c| c.action);
        let here = at.filter(|_| report.sent.is_none()).map(|c| c.action);
        let made = before.chain(here).chain(report.after.iter().copied());
        made.into_iter().find_map(|id| self.surely_calls(id, &report.without))
    }
}

impl ReportDecl {
    /// Where in its action's work it comes; none if it may come from several places, or doesn't name its action.
    #[must_use]
    pub fn position(&self, book: &Rulebook) -> Option<Position> {
        Work::of(book).position(self)
    }

    /// How many of its action's calls may have been made when it comes from anywhere: a call that every saga makes and
    /// that was not made is where its work has ended.
    #[must_use]
    pub fn calls_at_most(&self, book: &Rulebook) -> usize {
        Work::of(book).calls_at_most(self)
    }
}
