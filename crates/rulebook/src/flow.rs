//! What an action does, in order: the calls that it makes, how they hang together, and where its own effect stands.
//! Data only; what may have happened at a place of it is told by whoever folds over it.

use crate::{ActionId, length_of_time};
use std::ops::{Deref, Range};

/// What an action does, in order. It reads as the list of its calls in the order written; a plain list of calls, one
/// after another, is its simplest form. How they hang together is told by [`Self::steps`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    calls: Vec<Call>,
    steps: Vec<FlowStep>,
}

/// One step of a flow; the numbers are positions in its calls. Steps come one after another, and together they cover
/// every call once, in order. What may have happened at a later place, and whose failure ends the flow:
///
/// | step | at a later place | failure |
/// | --- | --- | --- |
/// | call | as its `times` and `answer` say | by its `answer` |
/// | one of | exactly one way, its calls one after another | of the way taken |
/// | parallel | any subset while they are under way, then all of them | of any strict one; others may go on |
/// | own | it stands from here on | at its own place |
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowStep {
    /// One call.
    Call(usize),
    /// Exactly one of these ways is taken; an empty one is `none`.
    OneOf(Vec<Range<usize>>),
    /// All are begun at once, and awaited.
    Parallel(Range<usize>),
    /// The action's own effect takes place here. Where it isn't written it comes behind the last call.
    Own,
}

/// A call that an action makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// What is called.
    pub action: ActionId,
    /// How often, in a saga that comes to its place.
    pub times: Times,
    /// Not every saga makes this call: by its `times`, or because it stands in one of several ways.
    pub optional: bool,
    /// What its answer means for the caller.
    pub coupling: Coupling,
}

/// How often a call is made, one time after another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Times {
    /// Written as it is.
    #[default]
    Once,
    /// `?`: once, or not at all.
    AtMostOnce,
    /// `*`: any number of times, or not at all.
    AnyNumber,
    /// `+`: once or more.
    AtLeastOnce,
}

impl Times {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Once, Self::AtMostOnce, Self::AnyNumber, Self::AtLeastOnce];

    /// The sign at the end of the name.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Once => "",
            Self::AtMostOnce => "?",
            Self::AnyNumber => "*",
            Self::AtLeastOnce => "+",
        }
    }

    /// Whether the call may be left out.
    #[must_use]
    pub const fn may_be_none(self) -> bool {
        matches!(self, Self::AtMostOnce | Self::AnyNumber)
    }

    /// Whether it may be made more than once.
    #[must_use]
    pub const fn may_be_many(self) -> bool {
        matches!(self, Self::AnyNumber | Self::AtLeastOnce)
    }
}

/// What the answer to a call means for its caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coupling {
    /// Its failure is the caller's failure; behind it, all of it has happened.
    #[default]
    Strict,
    /// The caller goes on whatever comes; behind it, none, a part or all of it has happened. In a way of several calls
    /// the rest of the way is left out after a failure.
    Tolerated,
    /// A message that nobody waits for: it arrives never or at any time, also when the caller has ended.
    Event {
        /// How long it may be under way at most, if that is known.
        within_ms: Option<u64>,
    },
}

impl Call {
    /// Whether its failure is its caller's, and what lies behind it shows that it succeeded.
    #[must_use]
    pub const fn is_strict(&self) -> bool {
        matches!(self.coupling, Coupling::Strict)
    }

    /// Whether nobody waits for it.
    #[must_use]
    pub const fn is_event(&self) -> bool {
        matches!(self.coupling, Coupling::Event { .. })
    }
}

impl Flow {
    /// The steps, one after another.
    #[must_use]
    pub fn steps(&self) -> &[FlowStep] {
        &self.steps
    }

    /// How many calls stand before the action's own effect.
    #[must_use]
    pub fn calls_before_own(&self) -> usize {
        let mut before = 0;
        for step in &self.steps {
            match step {
                FlowStep::Own => return before,
                FlowStep::Call(n) => before = n + 1,
                FlowStep::Parallel(calls) => before = calls.end,
                FlowStep::OneOf(ways) => {
                    before = ways.iter().map(|w| w.end).fold(before, usize::max)
                }
            }
        }
        self.calls.len()
    }

    /// The step in which a call stands.
    #[must_use]
    pub fn step_of(&self, call: usize) -> Option<&FlowStep> {
        self.steps.iter().find(|step| match step {
            FlowStep::Call(n) => *n == call,
            FlowStep::Parallel(calls) => calls.contains(&call),
            FlowStep::OneOf(ways) => ways.iter().any(|way| way.contains(&call)),
            FlowStep::Own => false,
        })
    }

    /// Calls that are surely not made in a saga that makes this one: those of the other ways.
    pub fn excluded_by(&self, call: usize) -> impl Iterator<Item = usize> {
        let ways = match self.step_of(call) {
            Some(FlowStep::OneOf(ways)) => ways.as_slice(),
            _ => &[],
        };
        ways.iter().filter(move |way| !way.contains(&call)).flat_map(Range::clone)
    }

    /// The how-manieth call of its action this one is, at most, in a saga that makes it and, of those before it, the
    /// ones that `counts` lets pass: of several ways a saga takes one.
    #[must_use]
    pub fn time_of(&self, call: usize, counts: impl Fn(usize) -> bool) -> usize {
        let Some(action) = self.calls.get(call).map(|c| c.action) else { return 0 };
        let is_one =
            |n: &usize| *n == call || (*n < call && self.calls[*n].action == action && counts(*n));
        let within = |calls: &Range<usize>| calls.clone().filter(is_one).count();
        let times = self.steps.iter().map(|step| match step {
            FlowStep::Own => 0,
            FlowStep::Call(n) => within(&(*n..n + 1)),
            FlowStep::Parallel(calls) => within(calls),
            FlowStep::OneOf(ways) => match ways.iter().find(|way| way.contains(&call)) {
                Some(taken) => within(taken),
                None => ways.iter().map(within).max().unwrap_or(0),
            },
        });
        times.sum()
    }

    /// Adds one call as a step of its own.
    pub(crate) fn push_call(&mut self, call: Call) {
        self.steps.push(FlowStep::Call(self.calls.len()));
        self.calls.push(call);
    }

    /// Adds the place of the action's own effect.
    pub(crate) fn push_own(&mut self) {
        self.steps.push(FlowStep::Own);
    }

    /// Adds ways of which one is taken.
    pub(crate) fn push_one_of(&mut self, ways: Vec<Vec<Call>>) {
        let several = ways.len() > 1;
        let mut ranges = Vec::with_capacity(ways.len());
        for way in ways {
            let calls = way.into_iter().map(|c| Call { optional: c.optional || several, ..c });
            ranges.push(self.extend(calls));
        }
        self.steps.push(FlowStep::OneOf(ranges));
    }

    /// Adds calls that are made at once.
    pub(crate) fn push_parallel(&mut self, calls: Vec<Call>) {
        let range = self.extend(calls);
        self.steps.push(FlowStep::Parallel(range));
    }

    fn extend(&mut self, calls: impl IntoIterator<Item = Call>) -> Range<usize> {
        let start = self.calls.len();
        self.calls.extend(calls);
        start..self.calls.len()
    }

    /// The steps as a rulebook writes them, each as one item of `calls:`; `of` gives the actions' names.
    #[must_use]
    pub fn written(&self, of: impl Fn(ActionId) -> String) -> Vec<String> {
        let name = |n: &usize| {
            self.calls.get(*n).map_or_else(String::new, |call| of(call.action) + call.times.sign())
        };
        let tolerated = |mut calls: Range<usize>| {
            let is =
                |n: usize| self.calls.get(n).is_some_and(|c| c.coupling == Coupling::Tolerated);
            if calls.any(is) { ", tolerate: true" } else { "" }
        };
        let item = |n: usize| match self.calls.get(n).map(|c| c.coupling) {
            Some(Coupling::Event { within_ms: Some(ms) }) => {
                format!("{{ event: {}, within: {} }}", name(&n), length_of_time(ms))
            }
            Some(Coupling::Event { within_ms: None }) => format!("{{ event: {} }}", name(&n)),
            Some(Coupling::Tolerated) => format!("{{ call: {}, tolerate: true }}", name(&n)),
            Some(Coupling::Strict) | None => name(&n),
        };
        let list =
            |calls: &Range<usize>| calls.clone().map(|n| name(&n)).collect::<Vec<_>>().join(", ");
        let way = |way: &Range<usize>| match way.len() {
            0 => "none".to_owned(),
            1 => list(way),
            _ => format!("[{}]", list(way)),
        };
        let step = |step: &FlowStep| match step {
            FlowStep::Call(n) => item(*n),
            FlowStep::Own => "own".to_owned(),
            FlowStep::Parallel(calls) => {
                format!("{{ parallel: [{}]{} }}", list(calls), tolerated(calls.clone()))
            }
            FlowStep::OneOf(ways) => {
                let all: Vec<String> = ways.iter().map(way).collect();
                let end = ways.iter().map(|w| tolerated(w.clone())).max().unwrap_or_default();
                format!("{{ one_of: [{}]{end} }}", all.join(", "))
            }
        };
        self.steps.iter().map(step).collect()
    }
}

impl Deref for Flow {
    type Target = [Call];

    fn deref(&self) -> &[Call] {
        &self.calls
    }
}

impl<'f> IntoIterator for &'f Flow {
    type Item = &'f Call;
    type IntoIter = std::slice::Iter<'f, Call>;

    fn into_iter(self) -> Self::IntoIter {
        self.calls.iter()
    }
}
