//! The requests that one action may make, in order, and on which of them each depends: a call that may be made again
//! and again is two requests, and of several ways one is taken.

use amends_rulebook::{Flow as Calls, FlowStep, Times};
use std::ops::Range;

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
    /// In the same way of `one_of` as the others of the same number.
    pub(crate) way: Option<usize>,
}

/// All that an action may ask for.
pub(crate) fn slots(calls: &Calls) -> Vec<Slot> {
    let mut all = Vec::new();
    for (number, step) in calls.steps().iter().enumerate() {
        match step {
            FlowStep::Call(n) => add(calls, *n, &Slot::default(), &mut all),
            FlowStep::Parallel(together) => {
                let like = Slot { together: Some(number), ..Slot::default() };
                together.clone().for_each(|n| add(calls, n, &like, &mut all));
            }
            FlowStep::OneOf(ways) => add_ways(calls, ways, &mut all),
            FlowStep::Own => {}
        }
    }
    all
}

fn add(calls: &Calls, n: usize, like: &Slot, all: &mut Vec<Slot>) {
    let times = times(calls, n);
    let first = all.len();
    all.push(Slot { position: n, optional: times.may_be_none(), ..like.clone() });
    if times.may_be_many() {
        all.push(Slot { position: n, optional: true, only_with: Some(first), ..like.clone() });
    }
}

/// Ways of which one is taken: each is known by its first request, which excludes those of the others.
fn add_ways(calls: &Calls, ways: &[Range<usize>], all: &mut Vec<Slot>) {
    let begun: Vec<Range<usize>> = ways.iter().flat_map(|way| beginnings(calls, way)).collect();
    let some_is_none = begun.iter().any(Range::is_empty);
    let last = begun.iter().rposition(|way| !way.is_empty());
    let mut firsts = Vec::new();
    for (k, way) in begun.iter().enumerate().filter(|(_, way)| !way.is_empty()) {
        let first = all.len();
        let optional = some_is_none || last != Some(k);
        let unless = firsts.clone();
        let way_of = Some(first);
        all.push(Slot { position: way.start, optional, unless, way: way_of, ..Slot::default() });
        let rest = Slot { only_with: Some(first), way: way_of, ..Slot::default() };
        if times(calls, way.start).may_be_many() {
            all.push(Slot { position: way.start, optional: true, ..rest.clone() });
        }
        (way.start + 1..way.end).for_each(|n| add(calls, n, &rest, all));
        firsts.push(first);
    }
}

/// A way as one that surely makes its first call, as often as it may begin with another one; an empty one if it may
/// come to nothing.
fn beginnings(calls: &Calls, way: &Range<usize>) -> Vec<Range<usize>> {
    let sure = way.clone().find(|n| !times(calls, *n).may_be_none());
    let last = sure.unwrap_or(way.end);
    (way.start..=last).map(|start| start..way.end).collect()
}

fn times(calls: &Calls, n: usize) -> Times {
    calls.get(n).map_or(Times::Once, |call| call.times)
}

#[cfg(test)]
mod tests {
    use super::{Slot, slots};
    use amends_rulebook::Rulebook;

    fn slots_of(calls: &str) -> Vec<Slot> {
        let text = format!(
            "rulebook: r\nservices:\n  s: {{ url: 'http://s', actions: {{ go: {{ compensation: u, calls: [{calls}] }}, a: {{ compensation: u }}, b: {{ compensation: u }}, c: {{ compensation: u }} }} }}\nrules: [{{ on: '*/*', compensate: recorded }}]\n"
        );
        let book = Rulebook::from_yaml(&text).unwrap_or_else(|found| panic!("{found:#?}"));
        slots(&book.get(book.action("s", "go").expect("there")).calls)
    }

    /// Each request as `position`, with what it depends on.
    fn drawn(calls: &str) -> String {
        let one = |slot: &Slot| {
            let optional = if slot.optional { "?" } else { "" };
            let with = slot.only_with.map_or(String::new(), |n| format!(" with {n}"));
            let unless = match slot.unless.as_slice() {
                [] => String::new(),
                others => format!(" unless {others:?}"),
            };
            let together = slot.together.map_or("", |_| " together");
            format!("{}{optional}{with}{unless}{together}", slot.position)
        };
        slots_of(calls).iter().map(one).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn of_several_ways_the_first_request_excludes_the_other_ways() {
        assert_eq!(drawn("{ one_of: [s.a, [s.b, s.c]] }"), "0?, 1 unless [0], 2 with 1");
        assert_eq!(drawn("{ one_of: [s.a, s.b, none] }"), "0?, 1? unless [0]");
    }

    #[test]
    fn a_way_that_may_leave_its_first_call_out_begins_with_any_that_may_come_first() {
        assert_eq!(
            drawn("{ one_of: [['s.a?', s.b], s.c] }"),
            "0?, 1 with 0, 1? unless [0], 2 unless [0, 2]"
        );
        // One that may come to nothing is `none` as well.
        assert_eq!(drawn("{ one_of: ['s.a?', s.b] }"), "0?, 1? unless [0]");
    }

    #[test]
    fn what_is_called_again_and_again_is_two_requests_in_every_group() {
        assert_eq!(drawn("{ one_of: ['s.a+', s.b] }"), "0?, 0? with 0, 1 unless [0]");
        assert_eq!(
            drawn("{ parallel: ['s.a+', 's.b*'] }"),
            "0 together, 0? with 0 together, 1? together, 1? with 2 together"
        );
        assert_eq!(drawn("{ one_of: [[s.a, 's.b*'], none] }"), "0?, 1? with 0, 1? with 1");
    }
}
