//! What has happened, and what may have happened, in a saga at the moment when one of its actions fails. Follows the
//! declared calls; knows nothing of rules.

use amends_protocol::Verb;
use amends_rulebook::{ActionClass, ActionId, Position, ReportDecl, Rulebook};
use std::collections::BTreeSet;

/// The effects of a saga at one moment. The failing action itself and its callers are in neither set: whether they took
/// effect is told by their own Histories, and the case sees to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SagaState {
    /// Actions that surely took effect.
    pub happened: BTreeSet<ActionId>,
    /// Actions that took effect in some such sagas.
    pub maybe: BTreeSet<ActionId>,
}

/// A step that a failure needs.
pub type NeededStep = (Verb, ActionId);

/// What is known of the calls that were made.
pub(crate) struct Calls<'a> {
    pub(crate) made: &'a [ActionId],
    pub(crate) not_made: &'a [ActionId],
}

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

    /// The state at the place that a report declares; none if it doesn't name its action.
    #[must_use]
    pub fn of_report(book: &Rulebook, report: &ReportDecl) -> Option<Self> {
        let action = report.action?;
        let calls = Calls { made: &report.after, not_made: &report.without };
        let mut state = Self::default();
        let position = report.position(book);
        let (answered, last, sent) = match position {
            None => (report.calls_at_most(book), None, None),
            Some(Position::Start) => (0, None, None),
            Some(Position::Sent(n)) => (n, None, Some(n)),
            Some(Position::After(n)) => (n + 1, Some(n), None),
        };
        let own = &book.get(action).calls;
        for (n, call) in own.iter().enumerate().take(answered) {
            if !report.without.contains(&call.action) {
                let surely = position.is_some()
                    && call.is_strict()
                    && (!call.optional
                        || last == Some(n)
                        || leads_to_any(book, call.action, &report.after));
                state.expand(book, call.action, surely, &calls);
            }
        }
        if let Some(call) = sent.and_then(|n| own.get(n)) {
            // What it called in its turn is as unknown as itself.
            let unknown = Calls { made: &[], not_made: &[] };
            state.expand(book, call.action, false, &unknown);
        }
        for id in &report.after {
            state.expand(book, *id, true, &calls);
        }
        state.add_upstream(book, action, &calls);
        state.leave_out_callers(book, action);
        Some(state)
    }

    /// The most that can have happened when `action` fails: all that it calls, and all that was called before it.
    #[must_use]
    pub fn at_most(book: &Rulebook, action: ActionId) -> Self {
        let calls = Calls { made: &[], not_made: &[] };
        let mut state = Self::default();
        for call in &book.get(action).calls {
            state.expand(book, call.action, false, &calls);
        }
        state.add_upstream(book, action, &calls);
        state.leave_out_callers(book, action);
        state
    }

    /// The least that has happened when `action` fails: nothing of its own calls, only what came before it.
    #[must_use]
    pub fn at_least(book: &Rulebook, action: ActionId) -> Self {
        let mut state = Self::default();
        state.add_upstream(book, action, &Calls { made: &[], not_made: &[] });
        state.leave_out_callers(book, action);
        state
    }

    /// Adds `from` and what it calls; `surely` if it is known to have answered.
    pub(crate) fn expand(
        &mut self,
        book: &Rulebook,
        from: ActionId,
        surely: bool,
        calls: &Calls<'_>,
    ) {
        let mut open = vec![(from, surely)];
        while let Some((at, surely)) = open.pop() {
            let news = if surely {
                self.maybe.remove(&at);
                self.happened.insert(at)
            } else {
                !self.happened.contains(&at) && self.maybe.insert(at)
            };
            if !news {
                continue;
            }
            for call in &book.get(at).calls {
                if !calls.not_made.contains(&call.action) {
                    let made = !call.optional || calls.made.contains(&call.action);
                    // Of one that is tolerated or not waited for, nothing is sure behind it.
                    open.push((call.action, surely && made && call.is_strict()));
                }
            }
        }
    }

    /// Adds what the callers of `action`, and theirs, called before. A caller that fails because of `action` needs no
    /// rule of its own, so what it did before is the business of the rule that answers `action`'s failure.
    pub(crate) fn add_upstream(&mut self, book: &Rulebook, action: ActionId, calls: &Calls<'_>) {
        let mut seen = BTreeSet::from([action]);
        let mut open = vec![action];
        while let Some(at) = open.pop() {
            // Its caller goes on whatever comes of it, so nothing above it is concerned.
            if book.is_detached(at) {
                continue;
            }
            for caller in book.callers(at) {
                let earlier = &book.get(*caller).calls;
                // A failing call that is only run again doesn't make its caller fail: what the caller did after it has
                // happened as well by the time that the retry is given up.
                let position = match book.get(at).on_failure_retry {
                    true => earlier.len(),
                    false => earlier.iter().rposition(|c| c.action == at).unwrap_or(0),
                };
                for call in &earlier[..position] {
                    if call.action != at && !calls.not_made.contains(&call.action) {
                        self.expand(book, call.action, false, calls);
                    }
                }
                if seen.insert(*caller) {
                    open.push(*caller);
                }
            }
        }
        self.happened.remove(&action);
        self.maybe.remove(&action);
    }

    /// Leaves out who is a caller by every way: its own failure tells of it. An action that a caller called earlier by
    /// another way is none in such a saga, so it stays.
    pub(crate) fn leave_out_callers(&mut self, book: &Rulebook, action: ActionId) {
        let callers = callers(book, action);
        let mut earlier = BTreeSet::new();
        for caller in &callers {
            let ways: Vec<ActionId> = book.get(*caller).calls.iter().map(|c| c.action).collect();
            let leads_on = |id: &ActionId| *id == action || callers.contains(id);
            let Some(last) = ways.iter().rposition(leads_on) else { continue };
            // The last way that isn't through the same action.
            let other = ways.iter().rposition(|id| leads_on(id) && *id != ways[last]).unwrap_or(0);
            let before = |n: usize| if ways[n] == ways[last] { n < other } else { n < last };
            earlier.extend((0..last).filter(|n| before(*n)).map(|n| ways[n]));
        }
        for caller in callers.iter().filter(|id| !earlier.contains(*id)) {
            self.maybe.remove(caller);
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

/// Whether `from` is one of these, or may call one, directly or through others.
fn leads_to_any(book: &Rulebook, from: ActionId, wanted: &[ActionId]) -> bool {
    let below = book.downstream(from);
    wanted.iter().any(|w| *w == from || below.binary_search(w).is_ok())
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
        ActionClass::Retriable | ActionClass::Free => None,
    }
}

/// Whether `id` is the failing action or calls it, directly or through others.
pub(crate) fn is_caller(book: &Rulebook, id: ActionId, failing: Option<ActionId>) -> bool {
    failing.is_some_and(|f| f == id || book.downstream(id).binary_search(&f).is_ok())
}
