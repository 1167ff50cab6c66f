//! Where in the work of its action a report comes, by what it declares: after which calls, or at one whose answer never
//! came. Follows the declared calls; knows nothing of rules.

use crate::graph::Graph;
use crate::{Action, ActionId, Call, Flow, FlowStep, NamedCall, ReportDecl, Rulebook};
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

    pub(crate) fn calls(self, id: ActionId) -> &'a Flow {
        &self.actions[id.0 as usize].calls
    }

    /// Whether a call of `to` by `from` is this one, or may lead to it.
    pub(crate) fn leads_to(self, from: ActionId, to: ActionId, wanted: &NamedCall) -> bool {
        match wanted.own_call_of(from) {
            Some(rest) => rest[0] == to,
            None => {
                let first = wanted.first();
                first == to || self.graph.downstream(to).binary_search(&first).is_ok()
            }
        }
    }

    /// The one of these that is made in every saga in which `from` calls `to`.
    pub(crate) fn surely_calls(
        self,
        from: ActionId,
        to: ActionId,
        wanted: &[NamedCall],
    ) -> Option<NamedCall> {
        let own = wanted.iter().find(|w| {
            let rest = w.own_call_of(from);
            rest.is_some_and(|rest| rest[0] == to && self.is_surely_so(rest))
        });
        if own.is_some() || wanted.is_empty() {
            return own.cloned();
        }
        let mut open = vec![to];
        let mut seen = BTreeSet::new();
        while let Some(at) = open.pop() {
            let is_it = |w: &&NamedCall| w.first() == at && self.is_surely_so(w.chain());
            if let Some(found) = wanted.iter().find(is_it) {
                return Some(found.clone());
            }
            if seen.insert(at) {
                open.extend(self.calls(at).iter().filter(is_sure).map(|c| c.action));
            }
        }
        None
    }

    /// The one of these that is made in every saga in which `from` is called.
    fn surely_calls_below(self, from: ActionId, wanted: &[NamedCall]) -> Option<NamedCall> {
        let plain = wanted.iter().find(|w| w.is_plain(from)).cloned();
        plain.or_else(|| {
            let mut calls = self.calls(from).iter().filter(is_sure);
            calls.find_map(|call| self.surely_calls(from, call.action, wanted))
        })
    }

    /// Whether each of these calls the next one in every saga.
    fn is_surely_so(self, chain: &[ActionId]) -> bool {
        chain.windows(2).all(|pair| {
            let mut calls = self.calls(pair[0]).iter().filter(is_sure);
            calls.any(|call| call.action == pair[1])
        })
    }

    /// The place of a report; none if it may come from several, or doesn't name its action.
    pub(crate) fn position(self, report: &ReportDecl) -> Option<Position> {
        let from = report.action?;
        let calls = self.calls(from);
        let times =
            |id: ActionId| report.after.iter().filter(|made| made.direct(from) == Some(id)).count();
        let of = |id: ActionId| {
            let all: Vec<usize> = (0..calls.len()).filter(|n| calls[*n].action == id).collect();
            let mut open = all.clone();
            open.retain(|n| !self.is_in_a_way_not_taken(from, *n, &report.without));
            if open.is_empty() { all } else { open }
        };
        if let Some(sent) = report.sent {
            // An earlier call of the same action may have been answered, or left out.
            let left_out = report.without.iter().any(|w| w.direct(from) == Some(sent));
            let made = |n: usize| !(left_out && calls[n].optional);
            let places = of(sent);
            let is_it = |n: &&usize| made(**n) && calls.time_of(**n, made) > times(sent);
            let place = places.iter().find(is_it).or(places.last());
            return place.copied().map(Position::Sent);
        }
        if report.anywhere {
            return None;
        }
        let place = |made: &NamedCall| {
            let direct = made.direct(from).and_then(|id| {
                let places = of(id);
                let enough = |n: &&usize| calls.time_of(**n, |_| true) >= times(id);
                places.iter().find(enough).or(places.last()).copied()
            });
            direct.or_else(|| calls.iter().position(|c| self.leads_to(from, c.action, made)))
        };
        Some(report.after.iter().filter_map(place).max().map_or(Position::Start, Position::After))
    }

    /// Whether a call stands in a way of `one_of` behind one that its saga would have made before, and has not.
    fn is_in_a_way_not_taken(self, from: ActionId, n: usize, not_made: &[NamedCall]) -> bool {
        let calls = self.calls(from);
        let Some(FlowStep::OneOf(ways)) = calls.step_of(n) else { return false };
        let before = ways.iter().find(|way| way.contains(&n)).map_or(n..n, |way| way.start..n);
        let mut sure = before.filter(|m| !calls[*m].times.may_be_none());
        sure.any(|m| self.surely_calls(from, calls[m].action, not_made).is_some())
    }

    /// How often an action calls another one itself in one saga, at most; none: any number of times.
    pub(crate) fn times_at_most(self, from: ActionId, to: ActionId) -> Option<usize> {
        let calls = self.calls(from);
        let of = || (0..calls.len()).filter(|n| calls[*n].action == to);
        let is_bounded = !of().any(|n| calls[n].times.may_be_many());
        let times = of().map(|n| calls.time_of(n, |_| true)).max().unwrap_or(0);
        is_bounded.then_some(times)
    }

    /// Two calls that a report names as made, though they were made on two ways of `one_of`, of which a saga takes one.
    pub(crate) fn on_two_ways(self, report: &ReportDecl) -> Option<(NamedCall, NamedCall)> {
        let from = report.action?;
        let calls = self.calls(from);
        let only_call_to = |named: &NamedCall| {
            let mut all = (0..calls.len()).filter(|n| self.leads_to(from, calls[*n].action, named));
            all.next().filter(|_| all.next().is_none())
        };
        let sent = report.sent.and_then(|sent| NamedCall::by_way(vec![from, sent]));
        let named = report.after.iter().chain(&sent).filter(|named| named.direct(from).is_some());
        let placed: Vec<(&NamedCall, usize)> =
            named.filter_map(|named| Some((named, only_call_to(named)?))).collect();
        placed.iter().enumerate().find_map(|(k, (first, n))| {
            let excludes = |(_, m): &&(&NamedCall, usize)| calls.excluded_by(*n).any(|x| x == *m);
            let (second, _) = placed[k + 1..].iter().find(excludes)?;
            Some(((*first).clone(), (*second).clone()))
        })
    }

    /// Whether no saga can come to where a report says that it comes from.
    fn is_contradictory(self, report: &ReportDecl) -> bool {
        let Some(from) = report.action else { return false };
        let is_too_often = |made: &NamedCall| {
            let named = report.after.iter().filter(|other| *other == made).count();
            let most = made.direct(from).and_then(|id| self.times_at_most(from, id));
            named > 1 && most.is_some_and(|most| named > most)
        };
        report.after.iter().any(|made| report.without.contains(made) || is_too_often(made))
            || self.on_two_ways(report).is_some()
            || self.made_all_the_same(report).is_some()
    }

    /// How many of its action's calls may have been made when a report comes from anywhere: a call that every saga makes
    /// and that was not made is where its work has ended.
    pub(crate) fn calls_at_most(self, report: &ReportDecl) -> usize {
        let Some(from) = report.action else { return 0 };
        let calls = self.calls(from);
        let ends =
            |c: &Call| !c.optional && self.surely_calls(from, c.action, &report.without).is_some();
        calls.iter().position(ends).unwrap_or(calls.len())
    }

    /// A call that is declared as not made, though every saga that has come to the place of the report has made it.
    pub(crate) fn made_all_the_same(self, report: &ReportDecl) -> Option<NamedCall> {
        let from = report.action?;
        let calls = self.calls(from);
        let (answered, at) = match self.position(report)? {
            Position::Start => (0, None),
            Position::Sent(n) => (n, calls.get(n)),
            Position::After(n) => (n, calls.get(n)),
        };
        let left_out = |c: &Call| {
            report.without.iter().find(|without| without.direct(from) == Some(c.action)).cloned()
        };
        if let Some(call) = at.filter(|c| c.optional || report.sent.is_none()).and_then(left_out) {
            return Some(call);
        }
        let before = calls[..answered].iter().filter(|c| !c.optional).map(|c| c.action);
        let here = at.filter(|_| report.sent.is_none()).map(|c| c.action);
        let own = before.chain(here).find_map(|to| self.surely_calls(from, to, &report.without));
        own.or_else(|| {
            let mut made = report.after.iter().map(|made| (made, made.action()));
            made.find_map(|(made, to)| {
                let same = report.without.iter().find(|without| *without == made);
                let below = || self.surely_calls_below(to, &report.without);
                same.cloned().or_else(below)
            })
        })
    }
}

/// Whether a call is made in every saga in which its caller succeeds.
fn is_sure(call: &&Call) -> bool {
    !call.optional && call.is_strict()
}

impl ReportDecl {
    /// Where in its action's work it comes; none if it may come from several places, or doesn't name its action.
    #[must_use]
    pub fn position(&self, book: &Rulebook) -> Option<Position> {
        Work::of(book).position(self)
    }

    /// Whether no saga can come to where it says that it comes from.
    #[must_use]
    pub fn is_contradictory(&self, book: &Rulebook) -> bool {
        Work::of(book).is_contradictory(self)
    }

    /// How many of its action's calls may have been made when it comes from anywhere: a call that every saga makes and
    /// that was not made is where its work has ended.
    #[must_use]
    pub fn calls_at_most(&self, book: &Rulebook) -> usize {
        Work::of(book).calls_at_most(self)
    }
}
