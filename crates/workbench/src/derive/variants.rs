//! The ways that a call can go: which optional calls are made below it. Their number is a product, so it is counted
//! exactly and written out only up to a limit.

use amends_rulebook::{ActionId, Call, Flow, FlowStep, Position, Rulebook};
use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;

/// Ways of one call that are written out; eleven optional calls below one action already make more.
const WAYS_LIMIT: usize = 2_048;

/// Optional calls that were made, and those that were not. Both sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Variant {
    pub(crate) taken: Vec<ActionId>,
    pub(crate) not_taken: Vec<ActionId>,
}

impl Variant {
    pub(crate) fn taken(id: ActionId) -> Self {
        Self { taken: vec![id], not_taken: Vec::new() }
    }

    fn not_taken(id: ActionId) -> Self {
        Self { taken: Vec::new(), not_taken: vec![id] }
    }

    /// Both together. What one way calls was called, whatever the other one left out.
    pub(crate) fn and(&self, other: &Self) -> Self {
        let mut taken = [self.taken.as_slice(), &other.taken].concat();
        taken.sort_unstable();
        taken.dedup();
        let mut not_taken = [self.not_taken.as_slice(), &other.not_taken].concat();
        not_taken.sort_unstable();
        not_taken.dedup();
        not_taken.retain(|id| taken.binary_search(id).is_err());
        Self { taken, not_taken }
    }

    /// Whether this call was not made.
    pub(crate) fn leaves_out(&self, call: &Call) -> bool {
        call.optional && self.not_taken.binary_search(&call.action).is_ok()
    }
}

/// The ways in which the first calls of an action can have gone.
pub(crate) struct Prefixes {
    pub(crate) ways: Vec<Variant>,
    /// Actions that all of them have called. That one of these was also called, or not, by an optional call is no way of
    /// its own.
    sure: BTreeSet<ActionId>,
    /// Every way is in `ways`.
    whole: bool,
}

impl Prefixes {
    /// The ways up to the moment at which a call is under way.
    pub(crate) fn sent(&self, call: &Call) -> Vec<Variant> {
        let mut ways = self.ways.clone();
        if call.optional && !self.sure.contains(&call.action) {
            let made = Variant::taken(call.action);
            ways.iter_mut().for_each(|way| *way = way.and(&made));
            ways.sort_unstable();
            ways.dedup();
        }
        ways
    }

    /// Goes on to behind the call.
    pub(crate) fn make(&mut self, call: &Call, variants: &Variants) {
        let of_call = variants.of_call(call);
        self.whole &= variants.whole[call.action.0 as usize];
        self.whole &= self.ways.len().saturating_mul(of_call.len()) <= WAYS_LIMIT;
        self.ways = product(&self.ways, &of_call);
        if !call.optional {
            self.sure.extend(variants.surely_called(call.action));
        }
        self.forget_what_is_sure();
    }

    fn forget_what_is_sure(&mut self) {
        if self.sure.is_empty() {
            return;
        }
        for way in &mut self.ways {
            way.taken.retain(|id| !self.sure.contains(id));
            way.not_taken.retain(|id| !self.sure.contains(id));
        }
        self.ways.sort_unstable();
        self.ways.dedup();
    }

    /// The ways up to one of several between which a saga chooses: whoever takes it calls nobody of the others.
    fn taking(&self, calls: &Flow, one: &Range<usize>, others: &[Range<usize>]) -> Self {
        let of = |way: &Range<usize>| {
            let named = way.clone().filter_map(|n| calls.get(n));
            named.map(|call| call.action).collect::<BTreeSet<ActionId>>()
        };
        let own = of(one);
        let others: BTreeSet<ActionId> = others.iter().flat_map(of).collect();
        let not_taken = others.difference(&own).copied().collect();
        let choice = Variant { taken: Vec::new(), not_taken };
        let ways = product(&self.ways, &[choice]);
        let mut all = Self { ways, sure: self.sure.clone(), whole: self.whole };
        all.forget_what_is_sure();
        all
    }

    /// The ways behind several of which a saga has taken one.
    fn any_of(taken: Vec<Self>) -> Self {
        let mut taken = taken.into_iter();
        let Some(mut all) = taken.next() else { return Self::none() };
        for one in taken {
            all.sure.retain(|id| one.sure.contains(id));
            all.whole &= one.whole;
            all.ways.extend(one.ways);
        }
        all.ways.sort_unstable();
        all.ways.dedup();
        all.whole &= all.ways.len() <= WAYS_LIMIT;
        all.ways.truncate(WAYS_LIMIT);
        all
    }

    fn none() -> Self {
        Self { ways: vec![Variant::default()], sure: BTreeSet::new(), whole: true }
    }
}

/// By action: the ways below it, and how many there are.
pub(crate) struct Variants {
    ways: Vec<Rc<Vec<Variant>>>,
    counts: Vec<u128>,
    /// The ways below it are all written out, so two that come to the same are counted once. Else they are multiplied.
    whole: Vec<bool>,
    /// By action: it is called optionally by somebody.
    optional: Vec<bool>,
    /// Of those, what it calls in every saga. Sorted.
    sure: Vec<Vec<ActionId>>,
}

impl Variants {
    pub(crate) fn new(book: &Rulebook) -> Self {
        let one_way = Rc::new(vec![Variant::default()]);
        let actions = book.actions().len();
        let mut optional = vec![false; actions];
        for call in book.actions().iter().flat_map(|a| &a.calls).filter(|c| c.optional) {
            optional[call.action.0 as usize] = true;
        }
        let mut all = Self {
            ways: vec![one_way; actions],
            counts: vec![1; actions],
            whole: vec![true; actions],
            optional,
            sure: vec![Vec::new(); actions],
        };
        for id in book.callees_first() {
            let calls = &book.get(id).calls;
            if calls.is_empty() {
                continue;
            }
            let Prefixes { ways, sure, whole } = all.through(calls, &mut |_, _| {});
            let multiplied = all.counted(calls, &mut |_| {});
            all.counts[id.0 as usize] = if whole { ways.len() as u128 } else { multiplied };
            all.whole[id.0 as usize] = whole;
            all.ways[id.0 as usize] = Rc::new(ways);
            all.sure[id.0 as usize] = sure.into_iter().collect();
        }
        all
    }

    /// All ways through an action's work. Tells of each place in it, with each way that leads there.
    pub(crate) fn through(
        &self,
        calls: &Flow,
        tell: &mut dyn FnMut(Position, &Variant),
    ) -> Prefixes {
        let mut made = Prefixes::none();
        for step in calls.steps() {
            match step {
                FlowStep::Call(n) => self.make_all(calls, *n..n + 1, &mut made, tell),
                FlowStep::Parallel(together) => {
                    self.make_all(calls, together.clone(), &mut made, tell);
                }
                FlowStep::OneOf(ways) => {
                    let behind = ways.iter().map(|way| {
                        let mut taken = made.taking(calls, way, ways);
                        self.make_all(calls, way.clone(), &mut taken, tell);
                        taken
                    });
                    made = Prefixes::any_of(behind.collect());
                }
                FlowStep::Own => {}
            }
        }
        made
    }

    fn make_all(
        &self,
        calls: &Flow,
        range: Range<usize>,
        made: &mut Prefixes,
        tell: &mut dyn FnMut(Position, &Variant),
    ) {
        for (n, call) in range.filter_map(|n| Some((n, calls.get(n)?))) {
            made.sent(call).iter().for_each(|way| tell(Position::Sent(n), way));
            made.make(call, self);
            let answered = made.ways.iter().filter(|way| !way.leaves_out(call));
            answered.for_each(|way| tell(Position::After(n), way));
        }
    }

    /// How many ways through an action's work there are, multiplied out; tells of each call how many ways lead to it
    /// and are behind it.
    fn counted(&self, calls: &Flow, tell: &mut dyn FnMut(u128)) -> u128 {
        let mut along = |range: Range<usize>, mut at: u128| {
            for call in range.filter_map(|n| calls.get(n)) {
                let below = self.counts[call.action.0 as usize];
                tell(at.saturating_add(at.saturating_mul(below)));
                at = at.saturating_mul(self.count(call));
            }
            at
        };
        calls.steps().iter().fold(1u128, |at, step| match step {
            FlowStep::Call(n) => along(*n..n + 1, at),
            FlowStep::Parallel(together) => along(together.clone(), at),
            FlowStep::OneOf(ways) => {
                ways.iter().fold(0u128, |all, way| all.saturating_add(along(way.clone(), at)))
            }
            FlowStep::Own => at,
        })
    }

    /// What is called in every saga in which this is, as far as somebody else calls it optionally.
    fn surely_called(&self, id: ActionId) -> impl Iterator<Item = ActionId> {
        let own = self.optional[id.0 as usize].then_some(id);
        self.sure[id.0 as usize].iter().copied().chain(own)
    }

    /// The ways of one call, not made being one of them if it may be left out where it stands.
    fn of_call(&self, call: &Call) -> Vec<Variant> {
        let below = &self.ways[call.action.0 as usize];
        if !call.optional {
            return below.to_vec();
        }
        let mut taken: Vec<ActionId> = self.surely_called(call.action).collect();
        taken.sort_unstable();
        let made = Variant { taken, not_taken: Vec::new() };
        let left_out = call.times.may_be_none().then(|| Variant::not_taken(call.action));
        left_out.into_iter().chain(below.iter().map(|way| made.and(way))).collect()
    }

    fn count(&self, call: &Call) -> u128 {
        let left_out = u128::from(call.times.may_be_none());
        self.counts[call.action.0 as usize].saturating_add(left_out)
    }

    /// How many failure points an action has: one at the start, and at each call one for each way before it and one for
    /// each way in which it was made.
    pub(crate) fn points(&self, book: &Rulebook, action: ActionId) -> u128 {
        let calls = &book.get(action).calls;
        let mut sum = 1u128;
        if self.whole[action.0 as usize] {
            self.through(calls, &mut |_, _| sum = sum.saturating_add(1));
        } else {
            self.counted(calls, &mut |points| sum = sum.saturating_add(points));
        }
        sum
    }
}

/// Each way of the one with each way of the other, without doubles, up to the limit.
fn product(a: &[Variant], b: &[Variant]) -> Vec<Variant> {
    if let [only] = b
        && *only == Variant::default()
    {
        return a.to_vec();
    }
    let mut all: Vec<Variant> =
        a.iter().flat_map(|x| b.iter().map(move |y| x.and(y))).take(WAYS_LIMIT).collect();
    all.sort_unstable();
    all.dedup();
    all
}
