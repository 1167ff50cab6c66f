//! Rulebooks made up from a seed, small and odd: every construct of the language, right and wrong rules. They show
//! whether those who judge a rulebook agree.

use crate::seeded_rng::SeededRng;
use std::fmt::Write as _;

/// How large a made-up business may be; more makes little that is new, and much to play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Actions at most; at least two.
    pub actions: u64,
    /// Requests of the longest saga; one that unfolds to more is cut back.
    pub requests: usize,
}

impl Size {
    /// Played in a moment.
    pub const SMALL: Self = Self { actions: 4, requests: 5 };
    /// For a long run.
    pub const LARGE: Self = Self { actions: 6, requests: 9 };
}

/// How often an action is of each class.
const CLASSES: [(usize, Class); 6] = [
    (50, Class::Compensable),
    (10, Class::Mapped),
    (15, Class::Free),
    (10, Class::Notice),
    (8, Class::Retriable),
    (7, Class::RunAgain),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Compensable,
    /// Its service knows nothing of the participant protocol.
    Mapped,
    Free,
    Notice,
    Retriable,
    /// Compensable, and run again when it fails itself.
    RunAgain,
}

struct Made {
    class: Class,
    /// Positions of actions behind it, and whether not every saga makes the call.
    calls: Vec<(usize, bool)>,
}

/// A whole rulebook: services, some of their reports, and rules that may or may not leave something behind.
#[must_use]
pub fn rulebook(seed: u64, size: Size) -> String {
    let mut rng = SeededRng::of(seed, &[1]);
    let actions = actions(size, &mut rng);
    let mut text = services(&actions);
    let reports = reports(&actions, &mut rng);
    if !reports.is_empty() {
        text.push_str("reports:\n");
    }
    for (action, code, place) in &reports {
        let _ = writeln!(text, "  s{action}/{code}: {{ in: do{place} }}");
    }
    text.push_str("rules:\n");
    for (action, code, _) in &reports {
        if rng.chance(75) {
            let demand = demand(&actions, *action, &mut rng);
            let _ = writeln!(text, "  - {{ on: s{action}/{code}, {demand} }}");
        }
    }
    if rng.chance(20) {
        let at = rng.below(actions.len());
        let demand = demand(&actions, at, &mut rng);
        let on = if rng.chance(50) { "*" } else { "odd" };
        let _ = writeln!(text, "  - {{ on: \"s{at}/{on}\", {demand} }}");
    }
    let everything = match rng.below(10) {
        0 => "all".to_owned(),
        1 => listed(&actions, 60, &mut rng).unwrap_or_else(|| "recorded".to_owned()),
        _ => "recorded".to_owned(),
    };
    let _ = writeln!(text, "  - {{ on: \"*/*\", compensate: {everything} }}");
    text
}

/// The same business without reports and rules of its own: everything is answered by `recorded`.
#[must_use]
pub fn business(seed: u64, size: Size) -> String {
    let mut rng = SeededRng::of(seed, &[1]);
    services(&actions(size, &mut rng)) + "rules:\n  - { on: \"*/*\", compensate: recorded }\n"
}

fn actions(size: Size, rng: &mut SeededRng) -> Vec<Made> {
    let count = usize::try_from(rng.between(2, size.actions)).unwrap_or(2);
    let mut made: Vec<Made> = Vec::new();
    for n in 0..count {
        let mut drawn = rng.below(100);
        let class = CLASSES.iter().find(|(share, _)| {
            let found = drawn < *share;
            drawn = drawn.saturating_sub(*share);
            found
        });
        let class = class.map_or(Class::Compensable, |(_, class)| *class);
        let mut calls = Vec::new();
        if n + 1 < count {
            // Drawn in order; one may come twice.
            for _ in 0..rng.below(4) {
                calls.push((n + 1 + rng.below(count - n - 1), rng.chance(35)));
            }
        }
        made.push(Made { class, calls });
    }
    while requests(&made, 0) > size.requests {
        let longest = (0..count).rev().max_by_key(|n| made[*n].calls.len()).unwrap_or(0);
        made[longest].calls.pop();
    }
    made
}

/// Requests of a saga that begins here and makes all calls.
fn requests(made: &[Made], at: usize) -> usize {
    1 + made[at].calls.iter().map(|(to, _)| requests(made, *to)).sum::<usize>()
}

fn services(actions: &[Made]) -> String {
    let mut text = "rulebook: made-up\nsettle: { quiet: 2s }\nservices:\n".to_owned();
    for (n, action) in actions.iter().enumerate() {
        let class = match action.class {
            Class::Compensable => "compensation: undo",
            Class::Mapped => {
                "compensation: undo, endpoints: { compensate: { path: \"/undo/{sagaId}\", done: [2xx], nothing: [404] } }"
            }
            Class::Free => "effect: none",
            Class::Notice => "on_failure: retry, correction: correct",
            Class::Retriable => "on_failure: retry",
            Class::RunAgain => "compensation: undo, on_failure: retry",
        };
        let calls: Vec<String> = action
            .calls
            .iter()
            .map(|(to, optional)| format!("\"s{to}.do{}\"", if *optional { "?" } else { "" }))
            .collect();
        let calls = match calls.is_empty() {
            true => String::new(),
            false => format!(", calls: [{}]", calls.join(", ")),
        };
        let _ = writeln!(
            text,
            "  s{n}: {{ url: \"http://s{n}\", actions: {{ do: {{ {class}{calls} }} }} }}"
        );
    }
    text
}

/// Reports of some actions, each with its code and its place.
fn reports(actions: &[Made], rng: &mut SeededRng) -> Vec<(usize, String, String)> {
    let mut all = Vec::new();
    for _ in 0..rng.below(4) {
        let at = rng.below(actions.len());
        all.push((at, format!("r{}", all.len()), place(actions, at, rng)));
    }
    all
}

fn place(actions: &[Made], at: usize, rng: &mut SeededRng) -> String {
    let calls = &actions[at].calls;
    let name = |n: usize| format!("s{n}.do");
    let below = below(actions, at);
    let mut place = String::new();
    match (rng.below(4), rng.pick(calls)) {
        (0, _) | (_, None) => {}
        (1, _) => place += ", after: []",
        (2, Some((to, _))) => {
            let _ = write!(place, ", after: [{}]", name(*to));
        }
        (_, Some((to, _))) => {
            let _ = write!(place, ", sent: {}", name(*to));
        }
    }
    if rng.chance(30)
        && let Some(to) = rng.pick(&below)
    {
        let _ = write!(place, ", without: [{}]", name(*to));
    }
    if rng.chance(8) {
        place += ", keep: true";
    }
    place
}

fn below(actions: &[Made], at: usize) -> Vec<usize> {
    let mut all = Vec::new();
    let mut open: Vec<usize> = actions[at].calls.iter().map(|(to, _)| *to).collect();
    while let Some(n) = open.pop() {
        if !all.contains(&n) {
            all.push(n);
            open.extend(actions[n].calls.iter().map(|(to, _)| *to));
        }
    }
    all
}

fn demand(actions: &[Made], at: usize, rng: &mut SeededRng) -> String {
    let again = |then: &str| {
        format!("retry: s{at}.do, give_up: {{ after: 3 attempts, then: {{ compensate: {then} }} }}")
    };
    match rng.below(10) {
        0 => "compensate: all".to_owned(),
        1 => "compensate: downstream".to_owned(),
        2 | 3 => "compensate: recorded".to_owned(),
        4 => again("recorded"),
        5 => again(&listed(actions, 70, rng).unwrap_or_else(|| "recorded".to_owned())),
        _ => {
            let list = listed(actions, 75, rng);
            let mut text = list.map_or_else(
                || "compensate: recorded".to_owned(),
                |list| format!("compensate: {list}"),
            );
            let notices: Vec<String> = (0..actions.len())
                .filter(|n| actions[*n].class == Class::Notice && rng.chance(75))
                .map(|n| format!("s{n}.correct"))
                .collect();
            if !notices.is_empty() {
                let _ = write!(text, ", notify: [{}]", notices.join(", "));
            }
            text
        }
    }
}

/// A list of compensable actions, each there with some chance.
fn listed(actions: &[Made], percent: usize, rng: &mut SeededRng) -> Option<String> {
    let can = |class| matches!(class, Class::Compensable | Class::Mapped | Class::RunAgain);
    let names: Vec<String> = (0..actions.len())
        .filter(|n| can(actions[*n].class) && rng.chance(percent))
        .map(|n| format!("s{n}.do"))
        .collect();
    (!names.is_empty()).then(|| format!("[{}]", names.join(", ")))
}
