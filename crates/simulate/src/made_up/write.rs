//! Writes a drawn business and its reports as a rulebook does.

use super::business::{Class, Comes, Declared, Heed, Item, Made, Named};
use std::fmt::Write as _;

pub(super) fn name(actions: &[Made], action: usize) -> String {
    format!("s{}.a{action}", actions[action].service)
}

pub(super) fn services(actions: &[Made]) -> String {
    let mut text = "rulebook: made-up\nsettle: { quiet: 2s }\nservices:\n".to_owned();
    let last = actions.last().map_or(0, |made| made.service);
    for service in 0..=last {
        let own = (0..actions.len()).filter(|n| actions[*n].service == service);
        let own: Vec<String> = own.map(|n| action(actions, n)).collect();
        let own = own.join(", ");
        let _ =
            writeln!(text, "  s{service}: {{ url: \"http://s{service}\", actions: {{ {own} }} }}");
    }
    text
}

fn named(actions: &[Made], call: Named) -> String {
    let by = call.by.map_or_else(String::new, |by| name(actions, by) + ">");
    by + &name(actions, call.to)
}

fn action(actions: &[Made], n: usize) -> String {
    let notice = format!("on_failure: retry, correction: correct-{n}");
    let class = match actions[n].class {
        Class::Compensable => "compensation: undo",
        Class::Mapped => {
            "compensation: undo, endpoints: { compensate: { path: \"/undo/{sagaId}\", done: [2xx], nothing: [404] } }"
        }
        Class::Charged => {
            "compensation: undo, endpoints: { compensate: { path: \"/undo/{requestId}\", done: [2xx], nothing: [404] } }"
        }
        Class::Free => "effect: none",
        Class::Notice => &notice,
        Class::Retriable => "on_failure: retry",
        Class::RunAgain => "compensation: undo, on_failure: retry",
        Class::Pivot => "effect: pivot",
    };
    let fence = if actions[n].fence { "" } else { ", fence: false" };
    let items: Vec<String> = actions[n].items.iter().map(|item| written(actions, item)).collect();
    match items.is_empty() {
        true => format!("a{n}: {{ {class}{fence} }}"),
        false => format!("a{n}: {{ {class}{fence}, calls: [{}] }}", items.join(", ")),
    }
}

fn written(actions: &[Made], item: &Item) -> String {
    let name = |to: &usize| name(actions, *to);
    let list = |all: &[usize]| all.iter().map(name).collect::<Vec<_>>().join(", ");
    match item {
        Item::Own => "own".to_owned(),
        Item::Call { to, times, heed: Heed::Fails } => format!("\"{}{}\"", name(to), times.sign()),
        Item::Call { to, times, heed: Heed::Tolerates } => {
            format!("{{ call: \"{}{}\", tolerate: true }}", name(to), times.sign())
        }
        Item::Call { to, heed: Heed::Sends, .. } => format!("{{ event: {} }}", name(to)),
        Item::OneOf { ways } => {
            let way = |way: &Vec<usize>| match way.as_slice() {
                [] => "none".to_owned(),
                [one] => name(one),
                many => format!("[{}]", list(many)),
            };
            let ways: Vec<String> = ways.iter().map(way).collect();
            format!("{{ one_of: [{}] }}", ways.join(", "))
        }
        Item::Parallel { calls } => {
            let call = |(to, optional): &(usize, bool)| {
                format!("\"{}{}\"", name(to), if *optional { "?" } else { "" })
            };
            let calls: Vec<String> = calls.iter().map(call).collect();
            format!("{{ parallel: [{}] }}", calls.join(", "))
        }
    }
}

pub(super) fn reports(actions: &[Made], reports: &[Declared]) -> String {
    let mut text = String::new();
    if !reports.is_empty() {
        text.push_str("reports:\n");
    }
    for report in reports {
        let at = report.action;
        let name = |to: usize| {
            let by = Some(at).filter(|_| report.by_way);
            named(actions, Named { to, by })
        };
        let mut place = match report.from {
            Comes::Anywhere => String::new(),
            Comes::Start => ", after: []".to_owned(),
            Comes::After(to, times) => {
                format!(", after: [{}]", vec![name(to); times].join(", "))
            }
            Comes::Behind(call) => format!(", after: [{}]", named(actions, call)),
            Comes::Sent(to) => format!(", sent: {}", name(to)),
        };
        if let Some(call) = report.without {
            let _ = write!(place, ", without: [{}]", named(actions, call));
        }
        if report.keep {
            place += ", keep: true";
        }
        let (service, code) = (actions[at].service, &report.code);
        let _ = writeln!(text, "  s{service}/{code}: {{ in: a{at}{place} }}");
    }
    text
}
