//! The ways that a call can go: which optional calls are made below it. Their number is a product, so it is counted
//! exactly and written out only up to a limit.

use amends_rulebook::{ActionId, Call, Rulebook};
use std::collections::BTreeSet;
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
        let mut ways = product(&self.ways, &of_call);
        if !call.optional {
            self.sure.extend(variants.surely_called(call.action));
        }
        if !self.sure.is_empty() {
            for way in &mut ways {
                way.taken.retain(|id| !self.sure.contains(id));
                way.not_taken.retain(|id| !self.sure.contains(id));
            }
            ways.sort_unstable();
            ways.dedup();
        }
        self.ways = ways;
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
            let mut made = all.start();
            calls.iter().for_each(|call| made.make(call, &all));
            let Prefixes { ways, sure, whole } = made;
            let multiplied = calls.iter().fold(1u128, |n, call| n.saturating_mul(all.count(call)));
            all.counts[id.0 as usize] = if whole { ways.len() as u128 } else { multiplied };
            all.whole[id.0 as usize] = whole;
            all.ways[id.0 as usize] = Rc::new(ways);
            all.sure[id.0 as usize] = sure.into_iter().collect();
        }
        all
    }

    /// Before any call.
    pub(crate) fn start(&self) -> Prefixes {
        Prefixes { ways: vec![Variant::default()], sure: BTreeSet::new(), whole: true }
    }

    /// What is called in every saga in which this is, as far as somebody else calls it optionally.
    fn surely_called(&self, id: ActionId) -> impl Iterator<Item = ActionId> {
        let own = self.optional[id.0 as usize].then_some(id);
        self.sure[id.0 as usize].iter().copied().chain(own)
    }

    /// The ways of one call, not made being one of them if it is optional.
    fn of_call(&self, call: &Call) -> Vec<Variant> {
        let below = &self.ways[call.action.0 as usize];
        if !call.optional {
            return below.to_vec();
        }
        let mut taken: Vec<ActionId> = self.surely_called(call.action).collect();
        taken.sort_unstable();
        let made = Variant { taken, not_taken: Vec::new() };
        let mut ways = vec![Variant::not_taken(call.action)];
        ways.extend(below.iter().map(|way| made.and(way)));
        ways
    }

    fn count(&self, call: &Call) -> u128 {
        self.counts[call.action.0 as usize].saturating_add(u128::from(call.optional))
    }

    /// How many failure points an action has.
    pub(crate) fn points(&self, book: &Rulebook, action: ActionId) -> u128 {
        if self.whole[action.0 as usize] {
            return self.written_points(book, action) as u128;
        }
        let mut sum = 1u128;
        let mut before = 1u128;
        for call in &book.get(action).calls {
            let below = self.counts[call.action.0 as usize];
            let here = before.saturating_add(before.saturating_mul(below));
            sum = sum.saturating_add(here);
            before = before.saturating_mul(self.count(call));
        }
        sum
    }

    /// The same, counted as they are written out: one at the start, and at each call one for each way before it and one
    /// for each way in which it was made.
    fn written_points(&self, book: &Rulebook, action: ActionId) -> usize {
        let mut sum = 1;
        let mut made = self.start();
        for call in &book.get(action).calls {
            sum += made.sent(call).len();
            made.make(call, self);
            sum += made.ways.iter().filter(|way| !way.leaves_out(call)).count();
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
