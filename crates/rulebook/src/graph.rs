//! Who calls whom. Answers what a saga could have reached; knows nothing of rules. The calls form no cycle (checked at
//! load).

use crate::{Action, ActionId};
use std::sync::OnceLock;

/// The call graph of a rulebook, with its two closures computed once per action, on first use.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    callees: Vec<Vec<ActionId>>,
    callers: Vec<Vec<ActionId>>,
    /// By action: somebody calls it and goes on whatever comes of it.
    detached: Vec<bool>,
    /// Who sends a message to whom that nobody waits for.
    events: Vec<(ActionId, ActionId)>,
    reach: Vec<OnceLock<Box<[ActionId]>>>,
    below: Vec<OnceLock<Box<[ActionId]>>>,
}

impl Graph {
    /// The graph of these actions, whatever circles they form.
    pub(crate) fn of(actions: &[Action]) -> Self {
        let callees = actions.iter().map(|a| a.calls.iter().map(|c| c.action).collect());
        let mut graph = Self::new(callees.collect());
        for (from, action) in (0u32..).zip(actions) {
            for call in action.calls.iter().filter(|call| !call.is_strict()) {
                graph.detached[call.action.0 as usize] = true;
                if call.is_event() {
                    graph.events.push((ActionId(from), call.action));
                }
            }
        }
        graph
    }

    /// `callees[i]` are the actions that action `i` calls and waits for.
    pub(crate) fn new(callees: Vec<Vec<ActionId>>) -> Self {
        let mut callers = vec![Vec::new(); callees.len()];
        for (from, called) in (0u32..).zip(&callees) {
            for to in called {
                callers[to.0 as usize].push(ActionId(from));
            }
        }
        let empty = || callees.iter().map(|_| OnceLock::new()).collect();
        let detached = vec![false; callees.len()];
        Self { reach: empty(), below: empty(), detached, events: Vec::new(), callers, callees }
    }

    /// Everything reachable from every entry action (one that nobody calls) from which `action` is reachable.
    pub(crate) fn saga_reach(&self, action: ActionId) -> &[ActionId] {
        self.reach[action.0 as usize].get_or_init(|| {
            let above = closure(&self.callers, vec![action]);
            let entries =
                above.into_iter().filter(|a| self.callers[a.0 as usize].is_empty()).collect();
            closure(&self.callees, entries).into()
        })
    }

    /// Transitive callees of `action`, without itself.
    pub(crate) fn downstream(&self, action: ActionId) -> &[ActionId] {
        self.below[action.0 as usize].get_or_init(|| {
            let mut all = closure(&self.callees, vec![action]);
            all.retain(|a| *a != action);
            all.into()
        })
    }

    /// Whether somebody calls it and goes on whatever comes of it: the call is tolerated, or an event.
    pub(crate) fn is_detached(&self, action: ActionId) -> bool {
        self.detached[action.0 as usize]
    }

    /// Who sends a message to whom that nobody waits for.
    pub(crate) fn events(&self) -> &[(ActionId, ActionId)] {
        &self.events
    }

    /// What a failure of `action` concerns, if that is not the whole saga: everything at and below the nearest calls
    /// above it whose callers go on whatever comes. Sorted.
    pub(crate) fn concerned_by(&self, action: ActionId) -> Option<Vec<ActionId>> {
        if self.detached.iter().all(|detached| !detached) {
            return None;
        }
        let (mut open, mut seen, mut tops) = (vec![action], vec![action], Vec::new());
        while let Some(at) = open.pop() {
            if self.is_detached(at) {
                tops.push(at);
                continue;
            }
            for caller in self.callers(at) {
                if !seen.contains(caller) {
                    seen.push(*caller);
                    open.push(*caller);
                }
            }
        }
        (!tops.is_empty()).then(|| closure(&self.callees, tops))
    }

    /// Who calls `action` directly; one that calls it twice stands there twice.
    pub(crate) fn callers(&self, action: ActionId) -> &[ActionId] {
        &self.callers[action.0 as usize]
    }

    /// Every action after all that it calls.
    pub(crate) fn callees_first(&self) -> Vec<ActionId> {
        let mut waits_for: Vec<usize> = self.callees.iter().map(Vec::len).collect();
        let mut order: Vec<ActionId> = (0u32..)
            .zip(&waits_for)
            .filter(|(_, calls)| **calls == 0)
            .map(|(n, _)| ActionId(n))
            .collect();
        let mut next = 0;
        while let Some(done) = order.get(next).copied() {
            next += 1;
            for caller in &self.callers[done.0 as usize] {
                let left = &mut waits_for[caller.0 as usize];
                *left -= 1;
                if *left == 0 {
                    order.push(*caller);
                }
            }
        }
        order
    }

    /// One cycle, as the actions on it in call order, if there is any.
    pub(crate) fn cycle(&self) -> Option<Vec<ActionId>> {
        let mut state = vec![Visit::New; self.callees.len()];
        for start in 0..self.callees.len() {
            let mut path: Vec<(usize, usize)> = Vec::new();
            if state[start] == Visit::New {
                state[start] = Visit::Open;
                path.push((start, 0));
            }
            while let Some((node, next)) = path.last_mut() {
                let Some(to) = self.callees[*node].get(*next).map(|a| a.0 as usize) else {
                    state[*node] = Visit::Done;
                    path.pop();
                    continue;
                };
                *next += 1;
                match state[to] {
                    Visit::New => {
                        state[to] = Visit::Open;
                        path.push((to, 0));
                    }
                    Visit::Open => {
                        let from = path.iter().position(|(n, _)| *n == to).unwrap_or(0);
                        return Some(path[from..].iter().map(|(n, _)| id(*n)).collect());
                    }
                    Visit::Done => {}
                }
            }
        }
        None
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Visit {
    New,
    Open,
    Done,
}

fn id(index: usize) -> ActionId {
    ActionId(u32::try_from(index).unwrap_or(u32::MAX))
}

/// `from` and all that follows along `edges`, sorted.
fn closure(edges: &[Vec<ActionId>], from: Vec<ActionId>) -> Vec<ActionId> {
    let mut seen = vec![false; edges.len()];
    for a in &from {
        seen[a.0 as usize] = true;
    }
    let mut open = from;
    while let Some(at) = open.pop() {
        for to in &edges[at.0 as usize] {
            if !std::mem::replace(&mut seen[to.0 as usize], true) {
                open.push(*to);
            }
        }
    }
    (0u32..).zip(&seen).filter(|(_, seen)| **seen).map(|(n, _)| ActionId(n)).collect()
}
