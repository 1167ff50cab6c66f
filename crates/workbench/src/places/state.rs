//! What has happened, and what may have happened, in a saga when one of its actions fails. Follows the declared calls;
//! knows nothing of rules.

use amends_protocol::Verb;
use amends_rulebook::{ActionClass, ActionId, Flow, FlowStep, Rulebook};
use std::collections::BTreeSet;
use std::ops::Range;

/// The effects of a saga in which an action fails. That action itself is in neither set, nor are its callers, unless
/// they were called on another way too, or go on all the same: whether a failed one took effect is told by its own
/// History, and the case sees to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SagaState {
    /// Actions that surely took effect.
    pub happened: BTreeSet<ActionId>,
    /// Actions that took effect in some such sagas.
    pub maybe: BTreeSet<ActionId>,
}

/// A step that a failure needs.
pub type NeededStep = (Verb, ActionId);

impl SagaState {
    /// All that happened or may have happened.
    #[must_use]
    pub fn effects(&self) -> BTreeSet<ActionId> {
        self.happened.union(&self.maybe).copied().collect()
    }

    /// What undoes it: a compensation for each compensable action, and the correction of each message that has one.
    #[must_use]
    pub fn undo(&self, book: &Rulebook) -> BTreeSet<NeededStep> {
        let all = self.happened.iter().chain(&self.maybe);
        all.filter_map(|id| undo_one(book, *id)).collect()
    }

    /// What may have happened around an action that fails: by the calls that its callers, and theirs, made before. A
    /// caller that fails because of it needs no rule of its own, so what it did before is the business of the rule that
    /// answers the failure.
    ///
    /// A call that is only run again doesn't make its caller fail: that one goes on, calls what comes after and may
    /// take effect, and so do its own callers.
    #[must_use]
    pub(crate) fn around(book: &Rulebook, failing: ActionId) -> Self {
        let mut state = Self::default();
        let mut open = vec![(failing, true)];
        let mut seen = BTreeSet::from([(failing, true)]);
        let mut comes_again = false;
        while let Some((at, failed)) = open.pop() {
            // Its callers go on whatever comes of it, so nothing above it is concerned.
            if book.is_detached(at) {
                continue;
            }
            let survives = !failed || book.get(at).on_failure_retry;
            for caller in book.callers(at) {
                let calls = &book.get(*caller).calls;
                // Of several calls of it each may be the one that failed.
                for (n, call) in calls.iter().enumerate().filter(|(_, c)| c.action == at) {
                    let goes_on = survives || !call.is_strict();
                    let made = if goes_on { 0..calls.len() } else { begun_before(calls, n) };
                    let made = made.filter(|m| !calls.excluded_by(n).any(|other| other == *m));
                    for other in made.filter_map(|m| calls.get(m)) {
                        state.expand(book, other.action, false, &|_| false);
                    }
                    if goes_on {
                        state.maybe.insert(*caller);
                    }
                    // What is called at the same time, and a message sent before, may come to it afterwards.
                    let together = own_step(calls, n).cloned().unwrap_or(n..n + 1);
                    let from = if call.times.may_be_many() { n } else { n + 1 };
                    let mut later = (0..calls.len()).filter(|m| {
                        (goes_on && *m >= from)
                            || (*m != n && together.contains(m))
                            || (*m < n && calls[*m].is_event())
                    });
                    comes_again |= later.any(|m| leads_to(book, calls[m].action, failing));
                    if seen.insert((*caller, !goes_on)) {
                        open.push((*caller, !goes_on));
                    }
                }
            }
        }
        // What it does after its report nobody tells with the report.
        if !comes_again {
            state.forget(failing);
        }
        state
    }

    /// Adds what may have happened elsewhere in the same saga.
    pub(crate) fn join(&mut self, other: &Self) {
        self.happened.extend(&other.happened);
        self.maybe.extend(&other.maybe);
        self.maybe.retain(|id| !self.happened.contains(id));
    }

    /// The failing action itself is the case's business.
    pub(crate) fn forget(&mut self, failing: ActionId) {
        self.happened.remove(&failing);
        self.maybe.remove(&failing);
    }

    /// Adds `from` and what it calls, but for those that are left out; `surely` if it is known to have answered.
    pub(crate) fn expand(
        &mut self,
        book: &Rulebook,
        from: ActionId,
        surely: bool,
        left_out: &dyn Fn(ActionId) -> bool,
    ) {
        let mut open = vec![(from, surely)];
        // What is known from elsewhere was perhaps called without what is called here.
        let mut seen = BTreeSet::new();
        while let Some((at, surely)) = open.pop() {
            if surely {
                self.maybe.remove(&at);
                self.happened.insert(at);
            } else if !self.happened.contains(&at) {
                self.maybe.insert(at);
            }
            if seen.insert((at, surely)) {
                let calls = book.get(at).calls.iter().filter(|c| !left_out(c.action));
                // Of one that is tolerated or not waited for, nothing is sure behind it.
                open.extend(calls.map(|c| (c.action, surely && !c.optional && c.is_strict())));
            }
        }
    }

    /// For people: `coupon.redeem, delivery.request and perhaps rider.match`.
    #[must_use]
    pub fn in_words(&self, book: &Rulebook) -> String {
        let names = |ids: &BTreeSet<ActionId>| {
            let few: Vec<_> =
                ids.iter().take(8).map(|id| format!("`{}`", book.get(*id).name)).collect();
            let more = ids.len().saturating_sub(few.len());
            let end = if more > 0 { format!(" and {more} more") } else { String::new() };
            few.join(", ") + &end
        };
        match (self.happened.is_empty(), self.maybe.is_empty()) {
            (true, true) => "nothing".to_owned(),
            (false, true) => names(&self.happened),
            (true, false) => format!("perhaps {}", names(&self.maybe)),
            (false, false) => {
                format!("{} and perhaps {}", names(&self.happened), names(&self.maybe))
            }
        }
    }
}

/// The calls that are made at the same time as the n-th.
pub(super) fn own_step(calls: &Flow, n: usize) -> Option<&Range<usize>> {
    match calls.step_of(n) {
        Some(FlowStep::Parallel(together)) => Some(together),
        _ => None,
    }
}

/// Whether an action is this one, or calls it, directly or through others.
pub(super) fn leads_to(book: &Rulebook, from: ActionId, to: ActionId) -> bool {
    from == to || book.downstream(from).binary_search(&to).is_ok()
}

/// Calls that may have been begun when the n-th fails: those before it, it itself if it is made again and again, and
/// those that are made at the same time.
pub(super) fn begun_before(calls: &Flow, n: usize) -> Range<usize> {
    let repeats = calls.get(n).is_some_and(|call| call.times.may_be_many());
    let end = match own_step(calls, n) {
        Some(together) => together.end,
        None if repeats => n + 1,
        None => n,
    };
    0..end
}

/// Who calls `action`, directly or through others.
pub(crate) fn callers(book: &Rulebook, action: ActionId) -> BTreeSet<ActionId> {
    let mut open = vec![action];
    let mut all = BTreeSet::new();
    while let Some(at) = open.pop() {
        open.extend(book.callers(at).iter().filter(|caller| all.insert(**caller)));
    }
    all
}

fn undo_one(book: &Rulebook, id: ActionId) -> Option<NeededStep> {
    let action = book.get(id);
    match action.class {
        ActionClass::Compensable => Some((Verb::Compensate, id)),
        ActionClass::Notice => action.correction.map(|c| (Verb::Notify, c)),
        ActionClass::Retriable | ActionClass::Pivot | ActionClass::Free => None,
    }
}

/// Whether `id` is the failing action or calls it, directly or through others.
pub(crate) fn is_caller(book: &Rulebook, id: ActionId, failing: Option<ActionId>) -> bool {
    failing.is_some_and(|f| f == id || book.downstream(id).binary_search(&f).is_ok())
}
