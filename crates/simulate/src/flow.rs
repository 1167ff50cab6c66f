//! One saga as a tree of requests: what calls what, with every optional call either made or not. Knows no failures.

use crate::seeded_rng::SeededRng;
use crate::slots::{Slot, slots};
use amends_protocol::ActionName;
use amends_rulebook::{ActionId, Call, FlowStep, ReportDecl, Rulebook, ServiceId};
use std::collections::{BTreeMap, BTreeSet};

/// Requests of one saga. Calls form no circle, but an action called on many ways unfolds once for each of them; past
/// this number a schedule takes too long to be worth playing, and the flow is cut off and said to be.
pub const NODES_LIMIT: usize = 1_000;

/// Flows listed for one entry action; where optional calls make more of them, a sample is taken.
const FLOWS_LIMIT: usize = 256;

/// Of calls that depend on no other, so many are made, or left out, together: what becomes of one of them the others
/// don't change, so all combinations of them show no more than any two do.
pub(crate) const TOGETHER: usize = 2;

/// One request of a saga.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// What is asked for.
    pub action: ActionId,
    /// The request that made this one; none for the first.
    pub parent: Option<usize>,
    /// The requests that it makes, in order.
    pub calls: Vec<usize>,
    /// Which of the calls of its caller's action this is, and on which others it depends, as positions among the
    /// nodes. Where that is decided it depends on none.
    pub(crate) slot: Slot,
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
    /// By request: whether it stands alone.
    alone: Vec<bool>,
}

impl Flow {
    /// The saga that begins with `entry` and takes the n-th optional call met if `take(n)` says so.
    pub(crate) fn unfold(
        book: &Rulebook,
        entry: ActionId,
        take: &mut dyn FnMut(usize) -> bool,
    ) -> Self {
        let mut optional = 0;
        Self::grow(book, entry, &mut |slots, skipped| {
            let mut made: Vec<bool> = Vec::with_capacity(slots.len());
            for slot in slots.iter() {
                let is_open =
                    slot.only_with.is_none_or(|n| made[n]) && !slot.unless.iter().any(|n| made[*n]);
                let mut makes = is_open;
                if is_open && slot.optional {
                    optional += 1;
                    makes = take(optional - 1);
                    if !makes {
                        skipped.push(slot.position);
                    }
                }
                made.push(makes);
            }
            let mut made = made.into_iter();
            slots.retain(|_| made.next().unwrap_or(false));
            for slot in slots {
                let Slot { position, together, way, .. } = *slot;
                *slot = Slot { position, together, way, ..Slot::default() };
            }
        })
    }

    /// All sagas that begin with `entry`: whether a call is made that not all of them make is left open.
    pub(crate) fn whole(book: &Rulebook, entry: ActionId) -> Self {
        let mut flow = Self::grow(book, entry, &mut |_, _| {});
        // A report that names several calls as made and several as not is met in just one combination.
        let tells_apart = |r: &ReportDecl| r.after.len() > TOGETHER && r.without.len() > TOGETHER;
        if !book.reports().iter().any(tells_apart) {
            flow.find_alone(book);
        }
        flow
    }

    /// Each action calls what `choose` leaves of its slots; it may name positions that are skipped.
    fn grow(
        book: &Rulebook,
        entry: ActionId,
        choose: &mut dyn FnMut(&mut Vec<Slot>, &mut Vec<usize>),
    ) -> Self {
        let mut flow = Self {
            nodes: vec![Invocation::of(entry)],
            skipped: Vec::new(),
            cut: false,
            alone: Vec::new(),
        };
        let mut at = 0;
        while at < flow.nodes.len() {
            let calls = &book.get(flow.nodes[at].action).calls;
            let (mut slots, mut skipped) = (slots(calls), Vec::new());
            choose(&mut slots, &mut skipped);
            let name = |n: usize| calls.get(n).map(|call| book.get(call.action).name.clone());
            flow.skipped.extend(skipped.into_iter().filter_map(name));
            if flow.nodes.len() + slots.len() > NODES_LIMIT {
                flow.cut = true;
                break;
            }
            let first = flow.nodes.len();
            for slot in slots {
                let Some(call) = calls.get(slot.position) else { continue };
                let slot = Slot {
                    only_with: slot.only_with.map(|n| first + n),
                    unless: slot.unless.iter().map(|n| first + n).collect(),
                    ..slot
                };
                let made = flow.nodes.len();
                flow.nodes[at].calls.push(made);
                flow.nodes.push(Invocation {
                    parent: Some(at),
                    slot,
                    ..Invocation::of(call.action)
                });
            }
            at += 1;
        }
        flow
    }

    /// Whether an optional request has nothing to do with any other decision: it depends on none, and neither it nor
    /// what lies below it shares a service with the rest of the saga.
    pub(crate) fn stands_alone(&self, node: usize) -> bool {
        self.alone.get(node).copied().unwrap_or(false)
    }

    fn find_alone(&mut self, book: &Rulebook) {
        // The first request below the entry that every one belongs to, as far as it can be told: callers come first.
        let mut branch: Vec<usize> = (0..self.nodes.len()).collect();
        let plain = |slot: &Slot| {
            slot.optional
                && slot.only_with.is_none()
                && slot.unless.is_empty()
                && slot.together.is_none()
        };
        let mut tops = vec![false; self.nodes.len()];
        for n in 1..self.nodes.len() {
            let parent = self.nodes[n].parent.unwrap_or(0);
            tops[n] = plain(&self.nodes[n].slot) && !tops[branch[parent]];
            branch[n] = if tops[n] { n } else { branch[parent] };
        }
        let mut branches: BTreeMap<ServiceId, BTreeSet<usize>> = BTreeMap::new();
        for (n, node) in self.nodes.iter().enumerate() {
            branches.entry(book.get(node.action).service).or_default().insert(branch[n]);
        }
        let mut shared: BTreeSet<usize> =
            branches.values().filter(|all| all.len() > 1).flatten().copied().collect();
        // One that others depend on doesn't stand alone either.
        for node in &self.nodes {
            shared.extend(node.slot.only_with.iter().chain(&node.slot.unless));
        }
        self.alone = (0..self.nodes.len()).map(|n| tops[n] && !shared.contains(&n)).collect();
    }

    /// The call by which a request was made.
    pub(crate) fn call_of(&self, book: &Rulebook, node: usize) -> Option<Call> {
        let caller = self.nodes[node].parent?;
        book.get(self.nodes[caller].action).calls.get(self.nodes[node].slot.position).copied()
    }

    /// After how many of its calls the effect of a request takes place, if that is not at the end of its work.
    pub(crate) fn own_effect(&self, book: &Rulebook, node: usize) -> Option<usize> {
        let calls = &book.get(self.nodes[node].action).calls;
        let is_written = calls.steps().contains(&FlowStep::Own);
        let before = calls.calls_before_own();
        let made = &self.nodes[node].calls;
        let behind = made.iter().position(|n| self.nodes[*n].slot.position >= before);
        behind.filter(|_| is_written)
    }

    /// Whether a request awaits several calls at once after so many of its calls, and so does nothing itself.
    pub(crate) fn is_awaiting(&self, node: usize, after: usize) -> bool {
        let calls = &self.nodes[node].calls;
        let group = |n: usize| calls.get(n).and_then(|call| self.nodes[*call].slot.together);
        after
            .checked_sub(1)
            .is_some_and(|last| group(last).is_some() && group(last) == group(after))
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
}

impl Invocation {
    /// The first request of a saga.
    fn of(action: ActionId) -> Self {
        Self { action, parent: None, calls: Vec::new(), slot: Slot::default() }
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
