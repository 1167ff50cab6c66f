//! Whether a saga has ended as all or nothing: what is there, against what it should have done.

use super::services::Saga;
use crate::made_up::{Class, Heed, Item};
use amends_protocol::HistoryState;
use amends_rulebook::Past;
use std::collections::BTreeSet;

impl Saga<'_> {
    /// What stands though not all of the saga does; none if all is well. `past`: what the rules say of what came before
    /// a pivot.
    pub(super) fn left(&self, past: Past) -> Option<String> {
        let passed = |n: &usize| {
            let request = &self.requests[*n];
            request.effect && self.made.actions[request.action].class == Class::Pivot
        };
        let pivots: BTreeSet<usize> =
            (0..self.requests.len()).filter(passed).map(|n| self.requests[n].action).collect();
        let came_before = |n: usize| {
            let action = self.requests[n].action;
            pivots.iter().any(|pivot| self.comes_before(*pivot).contains(&action))
        };
        let stays = |n: usize| past == Past::Keep && came_before(n);
        let stands_alone = |n: usize| {
            let action = self.requests[n].action;
            past != Past::Undo && pivots.contains(&action) && self.lacks(action)
        };
        let left = (0..self.requests.len())
            .filter(|n| (self.stands(*n) && !stays(*n)) || stands_alone(*n));
        let left: Vec<usize> = left.collect();
        if left.is_empty() {
            return None;
        }
        let (missing, wrongly) = (self.is_missing(0), self.is_wrongly_corrected(0));
        let names: Vec<String> = left.iter().map(|n| self.name(*n)).collect();
        (missing || wrongly).then(|| format!("in the end there is {}", names.join(", ")))
    }

    /// Whether anything is not there that a request and those below it should have done.
    fn is_missing(&self, n: usize) -> bool {
        let request = &self.requests[n];
        let action = &self.made.actions[request.action];
        if !request.effect && action.class != Class::Free {
            return true;
        }
        action.items.iter().enumerate().any(|(at, item)| {
            let made = self.made_at(n, at).unwrap_or_default();
            let heeds = !matches!(item, Item::Call { heed: Heed::Tolerates | Heed::Sends, .. });
            made.iter().any(|call| !self.is_spared(*call) && self.is_missing(*call))
                || (heeds
                    && self.still_to_make(n, at, item).iter().any(|to| self.does_anything(*to)))
        })
    }

    /// Whether a correction went out for something that is there, and belongs to a saga that stands.
    fn is_wrongly_corrected(&self, n: usize) -> bool {
        let request = &self.requests[n];
        let mut below = (0..self.requests.len()).filter(|m| self.requests[*m].caller == Some(n));
        (request.effect && self.corrected[request.action])
            || below.any(|m| !self.is_spared(m) && self.is_wrongly_corrected(m))
    }

    /// A call whose failure its caller bears, and of which nothing stands.
    fn is_spared(&self, n: usize) -> bool {
        if self.requests[n].heed() == Heed::Fails {
            return false;
        }
        let below = self.below(n);
        let is = |so: &dyn Fn(usize) -> bool| below.iter().any(|m| so(*m));
        let failed =
            |m: usize| self.requests[m].state.is_some_and(|state| state != HistoryState::Succeeded);
        let is_corrected =
            |m: usize| self.requests[m].effect && self.corrected[self.requests[m].action];
        // What a message said stands unless it is corrected because the call failed.
        !is(&|m| self.stands(m)) && (!is(&is_corrected) || is(&failed))
    }

    /// A request and those below it.
    fn below(&self, n: usize) -> Vec<usize> {
        let mut all = vec![n];
        let own = (0..self.requests.len()).filter(|m| self.requests[*m].caller == Some(n));
        all.extend(own.flat_map(|m| self.below(m)));
        all
    }

    /// Whether something that came before a pivot was undone.
    fn lacks(&self, pivot: usize) -> bool {
        let before = self.comes_before(pivot);
        let mut undone =
            self.requests.iter().filter(|r| r.state == Some(HistoryState::Compensated));
        undone.any(|request| before.contains(&request.action))
    }

    /// Actions of which a saga may have called some on its way to a pivot: whatever was called before it or at the same
    /// time, by itself or by those who led to it, and they themselves.
    fn comes_before(&self, pivot: usize) -> BTreeSet<usize> {
        let actions = &self.made.actions;
        let mut before = BTreeSet::new();
        let own = actions[pivot].items.iter().take_while(|item| **item != Item::Own);
        before.extend(own.flat_map(Item::ways).flatten());
        let (mut way, mut callers) = (vec![pivot], BTreeSet::new());
        while let Some(at) = way.pop() {
            for (caller, made) in actions.iter().enumerate() {
                for (n, item) in made.items.iter().enumerate() {
                    for taken in item.ways().iter().filter(|way| way.contains(&at)) {
                        before.extend(made.items[..n].iter().flat_map(Item::ways).flatten());
                        let is_parallel = matches!(item, Item::Parallel { .. });
                        let last = taken.iter().rposition(|to| *to == at).unwrap_or(0);
                        let with = taken.iter().enumerate();
                        let with = with.filter(|(k, _)| *k < last || (is_parallel && *k != last));
                        before.extend(with.map(|(_, to)| *to));
                        if callers.insert(caller) {
                            way.push(caller);
                        }
                    }
                }
            }
        }
        let mut open: Vec<usize> = before.iter().copied().collect();
        while let Some(at) = open.pop() {
            open.extend(actions[at].callees().into_iter().filter(|to| before.insert(*to)));
        }
        before.extend(callers);
        before.remove(&pivot);
        before
    }

    /// Whether something of a request is there that could be undone.
    fn stands(&self, n: usize) -> bool {
        let request = &self.requests[n];
        let action = &self.made.actions[request.action];
        let is_message = action.class == Class::Notice && !self.corrected[request.action];
        request.effect && (is_message || action.is_undoable())
    }

    /// Whether an action, or one that it calls, would have an effect.
    fn does_anything(&self, action: usize) -> bool {
        let made = &self.made.actions[action];
        made.class != Class::Free || made.callees().iter().any(|to| self.does_anything(*to))
    }
}
