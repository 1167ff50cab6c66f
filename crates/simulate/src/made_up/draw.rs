//! Draws a business: its actions, what they call and how, and what they report.

use super::business::{Class, Comes, Declared, Heed, Item, Made, Named, Size};
use crate::seeded_rng::SeededRng;
use amends_rulebook::Times;

/// How often an action is of each class.
const CLASSES: [(usize, Class); 8] = [
    (46, Class::Compensable),
    (8, Class::Mapped),
    (6, Class::Charged),
    (15, Class::Free),
    (10, Class::Notice),
    (8, Class::Retriable),
    (7, Class::RunAgain),
    (6, Class::Pivot),
];

/// Of 100 actions so many belong to a service that puts up no fence.
const WITHOUT_FENCE: usize = 6;

#[derive(Clone, Copy)]
enum Kind {
    Plain,
    Once,
    Many,
    OneOf,
    Parallel,
    Tolerated,
    Event,
}

/// How often an item of `calls:` is of each kind.
const KINDS: [(usize, Kind); 7] = [
    (42, Kind::Plain),
    (15, Kind::Once),
    (11, Kind::Many),
    (10, Kind::OneOf),
    (8, Kind::Parallel),
    (8, Kind::Tolerated),
    (6, Kind::Event),
];

fn drawn<T: Copy>(of: &[(usize, T)], otherwise: T, rng: &mut SeededRng) -> T {
    let mut drawn = rng.below(of.iter().map(|(share, _)| share).sum());
    for (share, what) in of {
        if drawn < *share {
            return *what;
        }
        drawn -= share;
    }
    otherwise
}

/// Actions that call only those behind them, so that calls form no circle. So many calls of those drawn are taken back.
pub(super) fn actions(size: Size, taken_back: usize, rng: &mut SeededRng) -> Vec<Made> {
    let count = usize::try_from(rng.between(2, size.actions)).unwrap_or(2);
    let mut made: Vec<Made> = Vec::new();
    for n in 0..count {
        let class = drawn(&CLASSES, Class::Compensable, rng);
        // Now and then a service has two actions.
        let before = made.last().map(|m| m.service).filter(|_| rng.chance(15));
        let service = before.unwrap_or_else(|| made.last().map_or(0, |m| m.service + 1));
        let mut items = Vec::new();
        if n + 1 < count {
            // Drawn in order; one may come twice.
            for _ in 0..rng.below(4) {
                items.push(item(n + 1, count, rng));
            }
        }
        if !items.is_empty() && class != Class::Free && rng.chance(25) {
            items.insert(rng.below(items.len()), Item::Own);
        }
        made.push(Made { service, class, items, fence: !rng.chance(WITHOUT_FENCE) });
    }
    bound_messages(&mut made);
    while requests(&made, 0) > size.requests {
        take_back(&mut made);
    }
    (0..taken_back).for_each(|_| take_back(&mut made));
    made
}

/// Takes back the last call of the action that makes most.
fn take_back(made: &mut [Made]) {
    let longest = made.iter_mut().rev().max_by_key(|m| m.callees().len());
    if let Some(longest) = longest {
        longest.items.pop();
    }
}

fn item(first: usize, end: usize, rng: &mut SeededRng) -> Item {
    let to = |rng: &mut SeededRng| first + rng.below(end - first);
    let heed = Heed::Fails;
    match drawn(&KINDS, Kind::Plain, rng) {
        Kind::Plain => Item::Call { to: to(rng), times: Times::Once, heed },
        Kind::Once => Item::Call { to: to(rng), times: Times::AtMostOnce, heed },
        Kind::Many => {
            let times = if rng.chance(60) { Times::AnyNumber } else { Times::AtLeastOnce };
            Item::Call { to: to(rng), times, heed }
        }
        Kind::Tolerated => {
            let times = if rng.chance(25) { Times::AtMostOnce } else { Times::Once };
            Item::Call { to: to(rng), times, heed: Heed::Tolerates }
        }
        Kind::Event => Item::Call { to: to(rng), times: Times::Once, heed: Heed::Sends },
        Kind::Parallel => {
            let calls = (0..2).map(|_| (to(rng), rng.chance(30))).collect();
            Item::Parallel { calls }
        }
        Kind::OneOf => {
            let mut ways: Vec<Vec<usize>> = Vec::new();
            for _ in 0..2 {
                let way = (0..=rng.below(2)).map(|_| to(rng)).collect();
                if !ways.contains(&way) {
                    ways.push(way);
                }
            }
            if ways.len() == 1 || rng.chance(30) {
                ways.push(Vec::new());
            }
            Item::OneOf { ways }
        }
    }
}

/// A service that is asked through endpoints of its own bars no message that comes late: it is called instead.
fn bound_messages(made: &mut [Made]) {
    let mapped: Vec<bool> = made.iter().map(Made::is_mapped).collect();
    for item in made.iter_mut().flat_map(|m| &mut m.items) {
        if let Item::Call { to, heed, .. } = item
            && *heed == Heed::Sends
            && mapped[*to]
        {
            *heed = Heed::Tolerates;
        }
    }
}

/// Requests of a saga that begins here and makes all calls, and those of any number twice.
fn requests(made: &[Made], at: usize) -> usize {
    let calls = made[at].items.iter().map(|item| match item {
        Item::Call { to, times, .. } if times.may_be_many() => 2 * requests(made, *to),
        Item::Call { to, .. } => requests(made, *to),
        Item::OneOf { ways } => ways.iter().flatten().map(|to| requests(made, *to)).sum(),
        Item::Parallel { calls } => calls.iter().map(|(to, _)| requests(made, *to)).sum(),
        Item::Own => 0,
    });
    1 + calls.sum::<usize>()
}

/// Reports of some actions, each with its code and its place.
pub(super) fn reports(actions: &[Made], rng: &mut SeededRng) -> Vec<Declared> {
    let mut all = Vec::new();
    for n in 0..rng.below(4) {
        let action = rng.below(actions.len());
        let mut one = place(actions, action, rng);
        one.code = format!("r{n}");
        all.push(one);
    }
    all
}

fn place(actions: &[Made], action: usize, rng: &mut SeededRng) -> Declared {
    let answered: Vec<(usize, bool)> = calls(&actions[action]);
    let from = match (rng.below(5), rng.pick(&answered)) {
        (0, _) | (_, None) => Comes::Anywhere,
        (1, _) => Comes::Start,
        (2, Some((to, many))) => Comes::After(*to, if *many && rng.chance(40) { 2 } else { 1 }),
        (3, Some(_)) => {
            let heeded = |made: &Made| calls(made).into_iter().map(|(to, _)| to).collect();
            named(actions, action, heeded, rng).map_or(Comes::Anywhere, Comes::Behind)
        }
        (_, Some((to, _))) => Comes::Sent(*to),
    };
    let without = named(actions, action, Made::callees, rng).filter(|_| rng.chance(30));
    let by_way = rng.chance(15);
    Declared { action, code: String::new(), from, without, by_way, keep: rng.chance(8) }
}

/// A call in the work of an action, now and then with the one who makes it.
fn named(
    actions: &[Made],
    from: usize,
    calls: impl Fn(&Made) -> Vec<usize>,
    rng: &mut SeededRng,
) -> Option<Named> {
    let at_work = below(actions, from, &calls);
    let to = rng.pick(&at_work).copied()?;
    let makers: Vec<usize> = std::iter::once(from)
        .chain(at_work.iter().copied())
        .filter(|n| calls(&actions[*n]).contains(&to))
        .collect();
    // Where there is one way alone, most people don't write it.
    let percent = if makers.len() > 1 { 60 } else { 15 };
    let by = rng.pick(&makers).copied().filter(|_| rng.chance(percent));
    Some(Named { to, by })
}

/// The calls that an action waits for, and whether each may come several times.
fn calls(made: &Made) -> Vec<(usize, bool)> {
    let of = |item: &Item| match item {
        Item::Own | Item::Call { heed: Heed::Sends, .. } => Vec::new(),
        Item::Call { to, times, .. } => vec![(*to, times.may_be_many())],
        Item::OneOf { ways } => ways.concat().into_iter().map(|to| (to, false)).collect(),
        Item::Parallel { calls } => calls.iter().map(|(to, _)| (*to, false)).collect(),
    };
    made.items.iter().flat_map(of).collect()
}

fn below(actions: &[Made], at: usize, calls: &impl Fn(&Made) -> Vec<usize>) -> Vec<usize> {
    let mut all = Vec::new();
    let mut open = calls(&actions[at]);
    while let Some(n) = open.pop() {
        if !all.contains(&n) {
            all.push(n);
            open.extend(calls(&actions[n]));
        }
    }
    all
}
