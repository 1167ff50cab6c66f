//! The one failure of a saga: where it strikes is left to chance, and what is reported is what was declared for that
//! very place, or what nobody declared.

use super::services::{Lasting, Move, Reply, Saga};
use crate::made_up::{Class, Comes, Declared, Heed, Item, Named, UNDECLARED};

/// Which way of several the n-th call of all of them stands in, and the how-manieth of that it is.
fn way_at(ways: &[Vec<usize>], n: usize) -> (usize, usize) {
    let mut within = n;
    for (way, calls) in ways.iter().enumerate() {
        if within < calls.len() {
            return (way, within);
        }
        within -= calls.len();
    }
    (ways.len(), 0)
}

/// Of so many places one is struck.
const RARITY: usize = 6;

impl Saga<'_> {
    /// Whether the one failure comes now.
    pub(super) fn strikes(&mut self) -> bool {
        let strikes = !self.is_struck && self.chance.once_in(RARITY);
        self.is_struck |= strikes;
        strikes
    }

    /// Whether a request fails at the place that its work has come to.
    pub(super) fn fails_here(&mut self, n: usize) -> bool {
        let (action, at) = (self.requests[n].action, self.requests[n].at);
        if let Some(again) = self.lasting.clone().filter(|l| l.request == n && l.at == at) {
            self.fail(n, &again.code, again.half, None);
            return true;
        }
        if !self.strikes() {
            return false;
        }
        let has_effect = self.made.actions[action].class != Class::Free;
        let half = has_effect && self.chance.once_in(2);
        match self.chance.below(6) {
            0 => {
                self.tell_of(n, if half { "crashes, its effect done" } else { "crashes" });
                self.requests[n].is_running = false;
                self.requests[n].effect |= half;
                self.late.push(Move::Sweep(n));
                self.reply(n, Reply::Nothing);
            }
            1 if self.requests[n].caller.is_some() => {
                self.tell_of(n, "is slow, and nobody waits for it");
                self.late.push(Move::Work(n));
                self.reply(n, Reply::Nothing);
            }
            _ => {
                let mut codes = self.declared_here(n);
                // One that nobody declared now and then, and always where there is no other.
                codes.push("failed".to_owned());
                codes.push(UNDECLARED.to_owned());
                let code = codes.swap_remove(self.chance.below(codes.len()));
                if self.chance.once_in(3) {
                    self.lasting = Some(Lasting { request: n, at, code: code.clone(), half });
                }
                self.fail(n, &code, half, None);
            }
        }
        true
    }

    fn declared_here(&self, n: usize) -> Vec<String> {
        let of = |d: &&Declared| d.action == self.requests[n].action && self.is_here(n, d);
        self.made.reports.iter().filter(of).map(|d| d.code.clone()).collect()
    }

    /// Whether a declared report may come from the place that a request's work has come to.
    fn is_here(&self, n: usize, declared: &Declared) -> bool {
        let request = &self.requests[n];
        let last = request.made.last().map(|call| self.requests[*call].position);
        let of = |position: usize| {
            request.made.iter().filter(|c| self.requests[**c].position == position).count()
        };
        let (is_place, before) = match declared.from {
            Comes::Anywhere => (true, request.made.len()),
            Comes::Start => (request.made.is_empty(), 0),
            Comes::After(to, times) => {
                let at = self.nth_place(n, to, times);
                let enough = at.is_some_and(|at| {
                    let all = self.positions(n, to);
                    all.iter().map(|p| of(*p)).sum::<usize>() >= times && of(at) > 0
                });
                (enough && self.is_at(n, last, at), request.made.len())
            }
            Comes::Behind(call) => {
                let at = self.first_place_of(n, call);
                let led = request.made.iter().any(|made| self.led_to(*made, call));
                (led && self.is_at(n, last, at), request.made.len())
            }
            Comes::Sent(to) => {
                let at = self.sent_at(n, to, declared);
                let is_last = last.is_some() && last == at;
                let before = request.made.len() - usize::from(is_last);
                (is_last || at.is_some_and(|at| self.may_be_next(n, at)), before)
            }
        };
        let left_out = |to: Named| !request.made[..before].iter().any(|c| self.led_to(*c, to));
        is_place && declared.without.is_none_or(left_out)
    }

    /// Whether the last call is the one at a position, or one that was made at the same time.
    fn is_at(&self, n: usize, last: Option<usize>, at: Option<usize>) -> bool {
        let together = |a: usize, b: usize| {
            let item = self.item_of(n, a);
            item == self.item_of(n, b)
                && matches!(
                    self.made.actions[self.requests[n].action].items.get(item),
                    Some(Item::Parallel { .. })
                )
        };
        last.zip(at).is_some_and(|(last, at)| last == at || together(last, at))
    }

    fn item_of(&self, n: usize, position: usize) -> usize {
        let items = &self.made.actions[self.requests[n].action].items;
        let mut before = 0;
        let behind = items.iter().position(|item| {
            before += item.width();
            position < before
        });
        behind.unwrap_or(items.len())
    }

    /// Where an action is among the calls of a request's action.
    fn positions(&self, n: usize, to: usize) -> Vec<usize> {
        let all = self.made.actions[self.requests[n].action].callees();
        (0..all.len()).filter(|p| all[*p] == to).collect()
    }

    /// Where an action is called for the n-th time, at most: of several ways one is taken.
    fn nth_place(&self, n: usize, to: usize, times: usize) -> Option<usize> {
        let (mut before, mut position, mut last) = (0, 0, None);
        for item in &self.made.actions[self.requests[n].action].items {
            let mut most = 0;
            for way in item.ways() {
                let mut within = 0;
                for called in way {
                    if called == to {
                        within += 1;
                        last = Some(position);
                    }
                    if called == to && before + within >= times {
                        return last;
                    }
                    position += 1;
                }
                most = most.max(within);
            }
            before += most;
        }
        last
    }

    /// Where a call stands by which a named one may have come about: the call itself, or the first that leads to it.
    fn first_place_of(&self, n: usize, call: Named) -> Option<usize> {
        let own = self.requests[n].action;
        let all = self.made.actions[own].callees();
        let is_own = call.by.is_none_or(|by| by == own);
        let direct = all.iter().position(|to| is_own && *to == call.to);
        let first = call.by.unwrap_or(call.to);
        direct.or_else(|| all.iter().position(|to| *to == first || self.leads_to(*to, first)))
    }

    /// Whether an action may call another one, directly or through others.
    fn leads_to(&self, from: usize, to: usize) -> bool {
        let all = self.made.actions[from].callees();
        all.contains(&to) || all.iter().any(|next| self.leads_to(*next, to))
    }

    /// The first call of an action that is not declared as left out.
    fn sent_at(&self, n: usize, to: usize, declared: &Declared) -> Option<usize> {
        let own = self.requests[n].action;
        let is_without = |to: usize| {
            declared.without.is_some_and(|w| w.to == to && w.by.is_none_or(|by| by == own))
        };
        let items = &self.made.actions[own].items;
        // A way of which an earlier call was not made was not taken.
        let is_taken = |p: &usize| {
            let at = self.item_of(n, *p);
            let first: usize = items[..at].iter().map(Item::width).sum();
            match items.get(at) {
                Some(Item::OneOf { ways }) => {
                    let (way, within) = way_at(ways, p - first);
                    !ways[way][..within].iter().any(|before| is_without(*before))
                }
                _ => true,
            }
        };
        let mut all = self.positions(n, to);
        if all.iter().any(is_taken) {
            all.retain(is_taken);
        }
        let is_optional = |p: &usize| match items.get(self.item_of(n, *p)) {
            Some(Item::Call { times, .. }) => times.may_be_none(),
            Some(Item::Parallel { calls }) => {
                calls.iter().any(|(other, optional)| *other == to && *optional)
            }
            Some(Item::OneOf { .. }) => true,
            Some(Item::Own) | None => false,
        };
        let made = |p: &usize| !is_without(to) || !is_optional(p);
        all.iter().copied().find(made).or_else(|| all.last().copied())
    }

    /// Whether the next call that is made may be the one at a position.
    fn may_be_next(&self, n: usize, position: usize) -> bool {
        let (at, within) = self.requests[n].at;
        let items = &self.made.actions[self.requests[n].action].items;
        let wanted = self.item_of(n, position);
        if wanted < at || within > 0 {
            return false;
        }
        let first: usize = items[..wanted].iter().map(Item::width).sum();
        let begins = match items.get(wanted) {
            Some(Item::OneOf { ways }) => {
                let mut before = first;
                ways.iter().any(|way| {
                    let is_first = !way.is_empty() && before == position;
                    before += way.len();
                    is_first
                })
            }
            _ => true,
        };
        let may_be_none = |item: &Item| match item {
            Item::Own => true,
            Item::Call { times, .. } => times.may_be_none(),
            Item::OneOf { ways } => ways.iter().any(Vec::is_empty),
            Item::Parallel { calls } => calls.iter().all(|(_, optional)| *optional),
        };
        begins && items[at..wanted].iter().all(may_be_none)
    }

    /// Whether a call is the named one, or has led to it.
    fn led_to(&self, call: usize, to: Named) -> bool {
        let request = &self.requests[call];
        let by = request.caller.map(|caller| self.requests[caller].action);
        let is_it = request.action == to.to && (to.by.is_none() || to.by == by);
        is_it || request.made.iter().any(|n| self.led_to(*n, to))
    }

    /// What is reported where an answer never came, if that is declared; else it is told as a call that failed.
    pub(super) fn code_of_sent(&mut self, caller: usize, call: usize) -> Option<String> {
        if self.requests[call].heed() != Heed::Fails {
            return None;
        }
        let position = self.requests[call].position;
        let of = |d: &&Declared| match d.from {
            Comes::Sent(to) => {
                d.action == self.requests[caller].action
                    && self.sent_at(caller, to, d) == Some(position)
                    && self.is_here(caller, d)
            }
            _ => false,
        };
        let codes: Vec<String> =
            self.made.reports.iter().filter(of).map(|d| d.code.clone()).collect();
        let n = self.chance.below(codes.len() + 1);
        codes.into_iter().nth(n)
    }
}
