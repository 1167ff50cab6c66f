//! `calls:` of an action: what it calls, in which order, and what the answers mean to it.

use super::scope::Scope;
use crate::fields::{self, Fields};
use crate::mistakes::{Diagnostics, quote};
use crate::tree::{Entry, Kind, Node};
use crate::{ActionClass, Call, Coupling, Diagnostic, Flow, Times, codes};

/// A mapping says one of these.
const KINDS: [&str; 4] = ["call", "event", "one_of", "parallel"];
const KEYS: &[&str] = &["call", "event", "one_of", "parallel", "tolerate", "within"];
const OWN: &str = "own";
const NONE: &str = "none";

/// Reads `calls:` of an action of this class; none if its class is not known.
pub(crate) fn read(
    node: &Node,
    class: Option<ActionClass>,
    scope: &Scope,
    found: &mut Diagnostics,
) -> Flow {
    let mut flow = Flow::default();
    let mut own: Option<&Node> = None;
    for item in fields::one_or_many(node) {
        match &item.kind {
            Kind::Map(entries) => match misread_call(entries) {
                Some(help) => bad(item, "a call is written as a mapping", &help, found),
                None => read_mapping(item, &mut flow, scope, found),
            },
            Kind::List(items) => {
                let help = match items.len() {
                    1 => "write the call alone, without brackets",
                    _ => {
                        "make an item of each; or say how they go together: `{ parallel: [a.b, c.d] }` or `{ one_of: [a.b, c.d] }`"
                    }
                };
                bad(item, "a list as an item of `calls`", help, found);
            }
            _ if is_word(item, OWN) => {
                check_own(item, own, class, found);
                if own.replace(item).is_none() {
                    flow.push_own();
                }
            }
            _ => {
                if let Some(call) = read_call(item, "`calls`", scope, found) {
                    flow.push_call(call);
                }
            }
        }
    }
    flow
}

fn bad(node: &Node, message: impl Into<String>, help: &str, found: &mut Diagnostics) {
    found.add(Diagnostic::new(codes::BAD_CALL, node.span, message).with_help(help));
}

/// What was meant by the name of an action that is a key: a `:` too many, or more said of it than fits behind it.
fn misread_call(entries: &[Entry]) -> Option<String> {
    let entry = entries.iter().find(|e| e.key.contains('.') && !KEYS.contains(&e.key.as_str()))?;
    let name = &entry.key;
    Some(if entries.len() == 1 && entry.value.is_nothing() {
        format!("leave out the `:` behind it: `- {name}`")
    } else {
        format!("name it under `call`: `- {{ call: {name}, tolerate: true }}`")
    })
}

fn check_own(
    item: &Node,
    before: Option<&Node>,
    class: Option<ActionClass>,
    found: &mut Diagnostics,
) {
    if let Some(first) = before {
        let mistake = Diagnostic::new(codes::BAD_CALL, item.span, "`own` stands twice in `calls`");
        found.add(
            mistake
                .with_place(first.span, "first here")
                .with_help("an action takes effect once: leave it where its effect is there"),
        );
    } else if class == Some(ActionClass::Free) {
        let message = "`own` in an action with `effect: none`";
        found.add(Diagnostic::new(codes::BAD_CALL, item.span, message).with_help(
            "leave `own` out, or say how the action's own effect is undone: `compensation: <name>`",
        ));
    }
}

/// An item that says more than a name.
fn read_mapping(node: &Node, flow: &mut Flow, scope: &Scope, found: &mut Diagnostics) {
    let Some(fields) = Fields::open(node, "an item of `calls`", KEYS, found) else { return };
    let mut said = KINDS.iter().filter_map(|kind| Some((*kind, fields.get(kind)?)));
    let (Some((kind, value)), None) = (said.next(), said.next()) else {
        let message =
            "an item of `calls` says exactly one of `call`, `event`, `one_of` and `parallel`";
        found.add(Diagnostic::new(codes::BAD_CALL, node.span, message).with_help(
            "make an item of its own of each, e.g. `- { call: email.send, tolerate: true }`",
        ));
        return;
    };
    let coupling = read_coupling(kind, &fields, found);
    match kind {
        "one_of" => {
            let ways = read_ways(value, coupling, scope, found);
            flow.push_one_of(ways);
        }
        "parallel" => {
            let calls = items(value, "`parallel`", found);
            let calls =
                calls.iter().filter_map(|item| read_plain(item, "`parallel`", scope, found));
            let calls = calls.map(|call| Call { coupling, ..call }).collect();
            flow.push_parallel(calls);
        }
        _ => {
            if let Some(call) = read_call(value, &format!("`{kind}`"), scope, found) {
                flow.push_call(Call { coupling, ..call });
            }
        }
    }
}

/// What the answer means: `tolerate` goes with all but an event, `within` with an event alone.
fn read_coupling(kind: &str, fields: &Fields<'_>, found: &mut Diagnostics) -> Coupling {
    let (tolerate, within) = (fields.get("tolerate"), fields.get("within"));
    let tolerated = tolerate.and_then(|node| fields::flag(node, "`tolerate`", found));
    let within_ms = within.and_then(|node| fields::duration(node, "`within`", 1, found));
    let mut misplaced = |node: &Node, message: &str, help: &str| {
        found.add(Diagnostic::new(codes::BAD_CALL, node.span, message).with_help(help));
    };
    if kind == "event" {
        if let Some(node) = tolerate {
            misplaced(
                node,
                "`tolerate` beside `event`",
                "leave it out: nobody waits for an event, so its failure is nobody else's",
            );
        }
        return Coupling::Event { within_ms };
    }
    if let Some(node) = within {
        misplaced(
            node,
            "`within` beside a call that is answered",
            "it says how long an event may be under way: write `{ event: …, within: 1h }`",
        );
    }
    if tolerated == Some(true) { Coupling::Tolerated } else { Coupling::Strict }
}

/// The ways of `one_of`: a call, a list of calls one after another, or `none`.
fn read_ways(
    node: &Node,
    coupling: Coupling,
    scope: &Scope,
    found: &mut Diagnostics,
) -> Vec<Vec<Call>> {
    let mut ways = Vec::new();
    let all = items(node, "`one_of`", found);
    fields::tell_repeated(all, "`one_of`", found);
    for item in all {
        let calls = match &item.kind {
            Kind::List(calls) if !calls.is_empty() => calls.as_slice(),
            _ if is_word(item, NONE) => &[],
            _ => std::slice::from_ref(item),
        };
        let way = calls.iter().filter_map(|call| read_plain(call, "`one_of`", scope, found));
        ways.push(way.map(|call| Call { coupling, ..call }).collect());
    }
    ways
}

/// The items of a group: there are several, or it isn't one.
fn items<'n>(node: &'n Node, what: &str, found: &mut Diagnostics) -> &'n [Node] {
    let Kind::List(items) = &node.kind else {
        fields::wrong_type(node, what, "a list", found);
        return &[];
    };
    if items.len() < 2 {
        let message = format!("{what} of a single call says nothing");
        let help = match what {
            "`one_of`" => {
                "write the call alone, with `?` if it may be left out; or add the other ways"
            }
            _ => "write the call alone, or add what is called at the same time",
        };
        found.add(Diagnostic::new(codes::BAD_CALL, node.span, message).with_help(help));
    }
    items
}

/// A call within a group.
fn read_plain(node: &Node, what: &str, scope: &Scope, found: &mut Diagnostics) -> Option<Call> {
    let within = match &node.kind {
        Kind::Map(_) => Some("a mapping"),
        Kind::List(_) => Some("a list"),
        Kind::Scalar { .. } if is_word(node, OWN) => Some("`own`"),
        Kind::Scalar { .. } if is_word(node, NONE) => Some("`none`"),
        Kind::Scalar { .. } => None,
    };
    let Some(within) = within else { return read_call(node, what, scope, found) };
    let help = match within {
        "`own`" => "write `own` as an item of `calls` of its own, before or behind the group",
        "`none`" => "`none` is one of the ways of `one_of`; elsewhere write the call with `?`",
        _ => "groups don't nest: give the inner one to an action of its own that is called here",
    };
    let message = format!("{within} within {what}, where only names of actions can stand");
    found.add(Diagnostic::new(codes::BAD_CALL, node.span, message).with_help(help));
    None
}

/// `service.action` with its sign.
fn read_call(node: &Node, what: &str, scope: &Scope, found: &mut Diagnostics) -> Option<Call> {
    let text = fields::text(node, what, found)?;
    let times = Times::ALL.into_iter().rev().find(|times| text.ends_with(times.sign()))?;
    let name = &text[..text.len() - times.sign().len()];
    if !times.sign().is_empty() && name.ends_with(['?', '*', '+']) {
        let plain = name.trim_end_matches(['?', '*', '+']);
        let help = format!(
            "write one: `\"{plain}?\"` may be left out, `\"{plain}*\"` comes any number of times, `\"{plain}+\"` at least once"
        );
        bad(node, format!("{} has more than one sign", quote(text)), &help, found);
        return None;
    }
    let action = scope.find_action(name, node.span, found)?;
    Some(Call { action, times, optional: times.may_be_none(), coupling: Coupling::Strict })
}

fn is_word(node: &Node, word: &str) -> bool {
    matches!(&node.kind, Kind::Scalar { text, .. } if text == word)
}
