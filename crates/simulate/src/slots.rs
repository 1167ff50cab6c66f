//! The requests that one action may make, in order, and on which of them each depends: a call that may be made again
//! and again is two requests, and of several ways one is taken.

use amends_rulebook::{Answer, Flow as Calls, FlowStep, Times};

/// A request that an action may make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Which of the action's calls it is.
    pub(crate) position: usize,
    /// Not every saga that comes here makes it.
    pub(crate) optional: bool,
    /// Made only where this one is made, a position among the slots.
    pub(crate) only_with: Option<usize>,
    /// Made only where none of these is made.
    pub(crate) unless: Vec<usize>,
    /// Made at the same time as the others of the same number.
    pub(crate) together: Option<usize>,
}

/// All that an action may ask for; none if the play has no model of one of its steps.
pub(crate) fn slots(calls: &Calls) -> Option<Vec<Slot>> {
    let mut all = Vec::new();
    for (number, step) in calls.steps().iter().enumerate() {
        match step {
            FlowStep::Call(n) => add(calls, *n, Slot::default(), &mut all)?,
            FlowStep::Parallel(together) => {
                for n in together.clone() {
                    add(calls, n, Slot { together: Some(number), ..Slot::default() }, &mut all)?;
                }
            }
            FlowStep::OneOf(ways) => {
                let none = ways.iter().any(|way| way.is_empty());
                let ways: Vec<_> = ways.iter().filter(|way| !way.is_empty()).collect();
                let mut firsts = Vec::new();
                for (k, way) in ways.iter().enumerate() {
                    let plain = |n: usize| calls.get(n).map(|c| (c.times, c.answer));
                    if !(way.start..way.end)
                        .all(|n| plain(n) == Some((Times::Once, Answer::Strict)))
                    {
                        return None;
                    }
                    let first = all.len();
                    let optional = none || k + 1 < ways.len();
                    let unless = firsts.clone();
                    all.push(Slot { position: way.start, optional, unless, ..Slot::default() });
                    let rest = (way.start + 1)..way.end;
                    all.extend(rest.map(|position| Slot {
                        position,
                        only_with: Some(first),
                        ..Slot::default()
                    }));
                    firsts.push(first);
                }
            }
            FlowStep::Own => {}
        }
    }
    Some(all)
}

fn add(calls: &Calls, n: usize, slot: Slot, all: &mut Vec<Slot>) -> Option<()> {
    let times = calls.get(n)?.times;
    let first = Slot { position: n, optional: times.may_be_none(), ..slot };
    all.push(first.clone());
    if times.may_be_many() {
        if first.together.is_some() {
            return None;
        }
        let only_with = Some(all.len() - 1);
        all.push(Slot { optional: true, only_with, ..first });
    }
    Some(())
}
