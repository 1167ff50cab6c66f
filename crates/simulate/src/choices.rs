//! Which of the calls that not every saga makes are made: decided only when they are met, so that sagas that differ in
//! what never mattered are played once.

use crate::flow::{Flow, TOGETHER};
use amends_rulebook::ActionId;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// A call that was made, by its position among those of the action, with the ways to all requests that it led to.
pub(crate) type Made = (usize, Vec<Vec<ActionId>>);

/// Decisions by request: made or left out.
pub(crate) type Decided = BTreeMap<usize, bool>;

/// What becomes of a call while another one fails that was made at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meanwhile {
    Ends,
    IsUnderWay,
    NeverBegins,
}

/// What was decided before, and what was met besides.
#[derive(Debug, Default)]
pub(crate) struct Choices {
    decided: Decided,
    met: RefCell<Vec<usize>>,
}

impl Choices {
    pub(crate) fn new(decided: Decided) -> Self {
        Self { decided, met: RefCell::default() }
    }

    /// Whether a request is made; one that nobody decided about is, and that it was met is kept.
    pub(crate) fn makes(&self, flow: &Flow, node: usize) -> bool {
        let slot = &flow.nodes[node].slot;
        slot.only_with.is_none_or(|first| self.makes(flow, first))
            && !slot.unless.iter().any(|other| self.makes(flow, *other))
            && (!slot.optional || self.is_so(node))
    }

    /// Whether a request that was not met yet may still be made.
    pub(crate) fn may_make(&self, flow: &Flow, node: usize) -> bool {
        let slot = &flow.nodes[node].slot;
        let is_decided = |n: &usize, made: bool| self.decided.get(n) == Some(&made);
        !is_decided(&node, false)
            && !slot.only_with.is_some_and(|first| is_decided(&first, false))
            && !slot.unless.iter().any(|other| is_decided(other, true))
    }

    /// Of calls that are made at once, while another one of them fails: whether this one ends before that, else
    /// whether it is under way or was never begun.
    pub(crate) fn meanwhile(&self, flow: &Flow, node: usize) -> Meanwhile {
        let many = flow.nodes.len();
        match (self.is_so(node + many), self.decided.get(&(node + many)) == Some(&false)) {
            (true, _) => Meanwhile::Ends,
            (false, true) if self.is_so(node + 2 * many) => Meanwhile::IsUnderWay,
            (false, _) => Meanwhile::NeverBegins,
        }
    }

    fn is_so(&self, decision: usize) -> bool {
        self.decided.get(&decision).copied().unwrap_or_else(|| {
            let mut met = self.met.borrow_mut();
            if !met.contains(&decision) {
                met.push(decision);
            }
            true
        })
    }

    /// Requests that are left out for sure, with all below them.
    pub(crate) fn left_out(&self, flow: &Flow) -> Vec<bool> {
        let mut out = vec![false; flow.nodes.len()];
        for n in 0..flow.nodes.len() {
            let node = &flow.nodes[n];
            out[n] = node.parent.is_some_and(|parent| out[parent])
                || node.slot.only_with.is_some_and(|first| out[first])
                || node.slot.unless.iter().any(|other| !out[*other])
                || self.decided.get(&n) == Some(&false);
        }
        out
    }

    /// How far a request has come after so many of its calls: those that were made, each with the ways to all requests
    /// that it led to, and the calls that may come next. Calls are named by their positions among those of the action.
    pub(crate) fn progress(
        &self,
        flow: &Flow,
        node: usize,
        after: usize,
    ) -> (Vec<Made>, Vec<usize>) {
        let calls = &flow.nodes[node].calls;
        let position = |n: &usize| flow.nodes[*n].slot.position;
        let made = calls.iter().take(after).filter(|n| self.makes(flow, **n));
        let own = flow.nodes[node].action;
        let made = made.map(|n| (position(n), self.ways_from(flow, own, *n))).collect();
        let mut next = Vec::new();
        // The rest of a way comes behind its first call.
        let begins = |n: &usize| {
            let first = flow.nodes[*n].slot.only_with;
            first.is_none_or(|first| calls[..after].contains(&first))
        };
        let open = calls.iter().skip(after).filter(|n| begins(n) && self.may_make(flow, **n));
        for call in open {
            next.push(position(call));
            // What lies behind one that every saga makes comes later.
            if !flow.nodes[*call].slot.optional {
                break;
            }
        }
        (made, next)
    }

    /// The ways from an action to a request that it makes, and to those below that.
    fn ways_from(&self, flow: &Flow, caller: ActionId, node: usize) -> Vec<Vec<ActionId>> {
        let mut found: Vec<Vec<ActionId>> = Vec::new();
        let mut open = vec![(node, vec![caller])];
        while let Some((n, mut way)) = open.pop() {
            way.push(flow.nodes[n].action);
            let calls = flow.nodes[n].calls.iter().filter(|n| self.makes(flow, **n));
            open.extend(calls.map(|call| (*call, way.clone())));
            found.push(way);
        }
        found
    }

    /// What was met without a decision, in order.
    pub(crate) fn into_met(self) -> Vec<usize> {
        self.met.into_inner()
    }
}

/// Runs with each combination of decisions that makes a difference: `run` is told what is decided and says what it met
/// besides, and whether to go on.
pub(crate) fn each_choice(
    flow: &Flow,
    decided: Decided,
    run: &mut dyn FnMut(&Decided) -> Option<Vec<usize>>,
) -> bool {
    let given = decided.clone();
    let adds = |decided: &Decided| {
        let open = decided.iter().filter(|(n, _)| !given.contains_key(n) && flow.stands_alone(**n));
        let made = open.clone().filter(|(_, made)| **made).count();
        made <= TOGETHER || open.count() - made <= TOGETHER
    };
    let mut open = vec![decided];
    while let Some(decided) = open.pop() {
        let Some(met) = run(&decided) else { return false };
        let mut made = decided;
        for node in met {
            let mut other = made.clone();
            other.insert(node, false);
            if adds(&other) {
                open.push(other);
            }
            made.insert(node, true);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::{Decided, each_choice};
    use crate::flow::Flow;
    use amends_rulebook::{ActionId, Rulebook};

    /// A saga with so many optional calls, of services of their own or all of one.
    fn flow(calls: usize, apart: bool) -> Flow {
        let service = |n: usize| if apart { n } else { 0 };
        let name = |n: usize| format!("o{}.a{n}", service(n));
        let calls_of: Vec<String> = (0..calls).map(|n| format!("'{}?'", name(n))).collect();
        let mut text = format!(
            "rulebook: r\nservices:\n  s: {{ url: 'http://s', actions: {{ a: {{ compensation: undo, calls: [{}] }} }} }}\n",
            calls_of.join(", ")
        );
        for s in 0..=service(calls - 1) {
            let own = (0..calls).filter(|n| service(*n) == s);
            let own: Vec<String> = own.map(|n| format!("a{n}: {{ compensation: undo }}")).collect();
            text += &format!("  o{s}: {{ url: 'http://o', actions: {{ {} }} }}\n", own.join(", "));
        }
        text += "rules: [{ on: '*/*', compensate: recorded }]\n";
        let book = Rulebook::from_yaml(&text).unwrap_or_else(|found| panic!("{found:#?}"));
        Flow::whole(&book, ActionId(0))
    }

    /// How many combinations are run of a saga that meets all its calls.
    fn combinations(flow: &Flow) -> usize {
        let mut seen = std::collections::BTreeSet::new();
        each_choice(flow, Decided::new(), &mut |decided| {
            let made = |n: &usize| decided.get(n).copied().unwrap_or(true);
            seen.insert((1..flow.nodes.len()).map(|n| made(&n)).collect::<Vec<_>>());
            Some((1..flow.nodes.len()).filter(|n| !decided.contains_key(n)).collect())
        });
        seen.len()
    }

    #[test]
    fn calls_that_depend_on_no_other_are_combined_in_twos() {
        assert_eq!(combinations(&flow(5, true)), 32, "of a few all are run");
        assert!(combinations(&flow(12, true)) < 500, "and not 4096");
        assert_eq!(combinations(&flow(8, false)), 256, "one service may mix them up");
    }

    #[test]
    fn each_combination_that_is_met_comes_once() {
        // The second call is only met where the first is made.
        let mut seen = Vec::new();
        each_choice(&flow(2, true), Decided::new(), &mut |decided| {
            let first = decided.get(&1).copied();
            let mut met: Vec<usize> = (first.is_none()).then_some(1).into_iter().collect();
            if first != Some(false) && !decided.contains_key(&2) {
                met.push(2);
            }
            seen.push((first.unwrap_or(true), decided.get(&2).copied().unwrap_or(true)));
            Some(met)
        });
        seen.sort_unstable();
        // Left out, the first hides the second, of which nothing is said.
        assert_eq!(seen, [(false, true), (true, false), (true, true)]);
    }
}
