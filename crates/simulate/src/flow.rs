//! One saga as a tree of requests: what calls what, with every optional call either made or not. Knows no failures.

use crate::choices::Choices;
use crate::seeded_rng::SeededRng;
use amends_protocol::ActionName;
use amends_rulebook::{ActionId, Rulebook};

/// Requests of one saga. Calls form no circle, but an action called on many ways unfolds once for each of them; past
/// this number a schedule takes too long to be worth playing, and the flow is cut off and said to be.
pub const NODES_LIMIT: usize = 1_000;

/// Flows listed for one entry action; where optional calls make more of them, a sample is taken.
const FLOWS_LIMIT: usize = 256;

/// One request of a saga.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// What is asked for.
    pub action: ActionId,
    /// The request that made this one; none for the first.
    pub parent: Option<usize>,
    /// The requests that it makes, in order.
    pub calls: Vec<usize>,
    /// Which of the calls of its caller's action this is.
    pub(crate) position: usize,
    /// Whether it is made is decided when it is met.
    pub(crate) optional: bool,
}

/// A saga without failures.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The requests; a caller stands before those that it calls. The first is the entry.
    pub nodes: Vec<Invocation>,
    /// Optional calls that this saga leaves out.
    pub skipped: Vec<ActionName>,
    /// It would have been longer than [`NODES_LIMIT`].
    pub cut: bool,
}

impl Flow {
    /// The saga that begins with `entry` and takes the n-th optional call met if `take(n)` says so.
    pub(crate) fn unfold(
        book: &Rulebook,
        entry: ActionId,
        take: &mut dyn FnMut(usize) -> bool,
    ) -> Self {
        let mut flow = Self { nodes: vec![Invocation::of(entry)], skipped: Vec::new(), cut: false };
        let mut optional = 0;
        let mut at = 0;
        while at < flow.nodes.len() {
            for (position, call) in book.get(flow.nodes[at].action).calls.iter().enumerate() {
                if call.optional {
                    optional += 1;
                    if !take(optional - 1) {
                        flow.skipped.push(book.get(call.action).name.clone());
                        continue;
                    }
                }
                if flow.nodes.len() >= NODES_LIMIT {
                    flow.cut = true;
                    break;
                }
                let child = flow.nodes.len();
                let parent = Some(at);
                flow.nodes.push(Invocation { parent, position, ..Invocation::of(call.action) });
                flow.nodes[at].calls.push(child);
            }
            at += 1;
        }
        flow
    }

    /// All sagas that begin with `entry`: whether a call is made that not all of them make is left open.
    pub(crate) fn whole(book: &Rulebook, entry: ActionId) -> Self {
        let mut flow = Self::unfold(book, entry, &mut |_| true);
        for n in 1..flow.nodes.len() {
            let Some(caller) = flow.nodes[n].parent.map(|p| flow.nodes[p].action) else { continue };
            let call = book.get(caller).calls.get(flow.nodes[n].position);
            flow.nodes[n].optional = call.is_some_and(|call| call.optional);
        }
        flow
    }

    /// `order.place`, or `order.place without coupon.redeem`.
    #[must_use]
    pub fn label(&self, book: &Rulebook) -> String {
        let entry = &book.get(self.nodes[0].action).name;
        if self.skipped.is_empty() {
            return entry.to_string();
        }
        let skipped: Vec<String> = self.skipped.iter().map(ToString::to_string).collect();
        format!("{entry} without {}", skipped.join(", "))
    }

    /// How far a request has come after so many of its calls: those that were made, each with all actions that it led
    /// to, and the calls that may come next. Calls are named by their positions among those of the action.
    pub(crate) fn progress(
        &self,
        node: usize,
        after: usize,
        choices: &Choices,
    ) -> (Vec<(usize, Vec<ActionId>)>, Vec<usize>) {
        let calls = &self.nodes[node].calls;
        let position = |n: &usize| self.nodes[*n].position;
        let made = calls.iter().take(after).filter(|n| choices.makes(self, **n));
        let made = made.map(|n| (position(n), self.led_to(*n, choices))).collect();
        let mut next = Vec::new();
        for call in calls.iter().skip(after) {
            next.push(position(call));
            // What lies behind one that every saga makes comes later.
            if !self.nodes[*call].optional {
                break;
            }
        }
        (made, next)
    }

    /// The action of a request, and those below it.
    fn led_to(&self, node: usize, choices: &Choices) -> Vec<ActionId> {
        let mut found = Vec::new();
        let mut open = vec![node];
        while let Some(n) = open.pop() {
            found.push(self.nodes[n].action);
            open.extend(self.nodes[n].calls.iter().filter(|n| choices.makes(self, **n)));
        }
        found
    }
}

impl Invocation {
    /// The first request of a saga.
    const fn of(action: ActionId) -> Self {
        Self { action, parent: None, calls: Vec::new(), position: 0, optional: false }
    }
}

/// Actions that nobody calls, in the rulebook's order; without corrections.
pub(crate) fn entries(book: &Rulebook) -> Vec<ActionId> {
    let mut called = vec![false; book.actions().len()];
    for action in book.actions() {
        for call in &action.calls {
            called[call.action.0 as usize] = true;
        }
    }
    (0u32..)
        .map(ActionId)
        .zip(book.actions())
        .filter(|(id, a)| !called[id.0 as usize] && a.correction_of.is_none())
        .map(|(id, _)| id)
        .collect()
}

/// The sagas of a rulebook, and whether these are all of them.
#[must_use]
pub fn flows(book: &Rulebook, rng: &mut SeededRng) -> (Vec<Flow>, bool) {
    let mut all = Vec::new();
    let mut complete = true;
    for entry in entries(book) {
        complete &= flows_of(book, entry, rng, &mut all);
    }
    (all, complete)
}

/// Walks the choices like a counter whose digits are the optional calls met on the way.
fn flows_of(book: &Rulebook, entry: ActionId, rng: &mut SeededRng, all: &mut Vec<Flow>) -> bool {
    let mut choices: Vec<bool> = Vec::new();
    for _ in 0..FLOWS_LIMIT {
        let mut met = 0;
        let flow = Flow::unfold(book, entry, &mut |n| {
            met = n + 1;
            if choices.len() <= n {
                choices.push(true);
            }
            choices[n]
        });
        choices.truncate(met);
        all.push(flow);
        while choices.last() == Some(&false) {
            choices.pop();
        }
        match choices.last_mut() {
            Some(last) => *last = false,
            None => return true,
        }
    }
    let first = all.len() - FLOWS_LIMIT;
    for flow in &mut all[first + 1..] {
        *flow = Flow::unfold(book, entry, &mut |_| rng.chance(50));
    }
    false
}
