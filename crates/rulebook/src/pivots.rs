//! Pivots: effects that nothing can undo or take back, after which a saga only goes forward. Here is what each of them
//! stands behind, by the declared calls; knows nothing of rules and cases.

use crate::graph::Graph;
use crate::{Action, ActionClass, ActionId, Flow, FlowStep};
use std::collections::BTreeSet;
use std::ops::Range;

/// A pivot, with what comes before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pivot {
    /// The action.
    pub action: ActionId,
    /// What a saga may have done on the way to it, sorted: what was called before it or at the same time, with all that
    /// this called, and whoever called the pivot, since their work is for what it completes.
    pub before: Vec<ActionId>,
}

impl Pivot {
    /// Every pivot among these actions.
    pub(crate) fn all(actions: &[Action], graph: &Graph) -> Box<[Self]> {
        let pivots = (0u32..).zip(actions).filter(|(_, action)| action.class == ActionClass::Pivot);
        let of = |(n, _)| Self { action: ActionId(n), before: before(actions, graph, ActionId(n)) };
        pivots.map(of).collect()
    }
}

fn before(actions: &[Action], graph: &Graph, pivot: ActionId) -> Vec<ActionId> {
    let calls_of = |id: ActionId| &actions[id.0 as usize].calls;
    let mut all = BTreeSet::new();
    let mut add = |id: ActionId| {
        if all.insert(id) {
            all.extend(graph.downstream(id).iter().copied());
        }
    };
    let calls = calls_of(pivot);
    calls[..calls.calls_before_own()].iter().for_each(|call| add(call.action));
    let mut open = vec![pivot];
    let mut callers = BTreeSet::new();
    while let Some(at) = open.pop() {
        for caller in graph.callers(at) {
            let calls = calls_of(*caller);
            for n in (0..calls.len()).filter(|n| calls[*n].action == at) {
                let excluded: BTreeSet<usize> = calls.excluded_by(n).collect();
                let made = begun_with(calls, n).filter(|m| *m != n && !excluded.contains(m));
                made.for_each(|m| add(calls[m].action));
            }
            if callers.insert(*caller) {
                open.push(*caller);
            }
        }
    }
    all.extend(callers);
    all.remove(&pivot);
    all.into_iter().collect()
}

/// The calls that may have been begun when the n-th is made: those before it, and those that are made at the same time.
fn begun_with(calls: &Flow, n: usize) -> Range<usize> {
    match calls.step_of(n) {
        Some(FlowStep::Parallel(together)) => 0..together.end,
        _ => 0..n,
    }
}
