//! Actions of a service: what can be done about each, what it calls, and the corrections that are actions of their own.

use super::endpoints;
use super::flow;
use super::policy;
use super::scope::Scope;
use crate::fields::{self, Fields};
use crate::graph::Graph;
use crate::mistakes::{Diagnostics, quote};
use crate::tree::{Entry, Kind, Node};
use crate::{
    Action, ActionClass, ActionId, Diagnostic, Endpoints, Flow, RetryPolicy, ServiceId, Span, codes,
};
use amends_protocol::ActionName;
use std::sync::Arc;

const ACTION_KEYS: &[&str] = &[
    "compensation",
    "on_failure",
    "correction",
    "effect",
    "calls",
    "tags",
    "retry_policy",
    "endpoints",
    "fence",
];

/// Circles of calls beyond this many are surely one mess.
const CYCLES_SHOWN: usize = 20;

/// Gives every action, and every correction that isn't declared itself, its name.
pub(crate) fn declare<'n>(
    id: ServiceId,
    service: &str,
    entries: &'n [Entry],
    scope: &mut Scope,
    found: &mut Diagnostics,
) -> Vec<(ActionId, &'n Entry)> {
    let mut actions = Vec::new();
    for entry in entries {
        fields::valid_name(&entry.key, entry.key_span, "an action", found);
        let action = blank_action(ActionName::new(service, &entry.key), id, entry.key_span);
        actions.push((scope.add_action(action), entry));
    }
    for (of, entry) in &actions {
        declare_correction(id, service, *of, &entry.value, scope, found);
    }
    actions
}

/// `correction: x` of an action makes the action `x`, unless it is declared itself.
fn declare_correction(
    id: ServiceId,
    service: &str,
    of: ActionId,
    node: &Node,
    scope: &mut Scope,
    found: &mut Diagnostics,
) {
    let Kind::Map(entries) = &node.kind else {
        return;
    };
    let Some(value) = entries.iter().find(|e| e.key == "correction").map(|e| &e.value) else {
        return;
    };
    let Some(name) = fields::text(value, "`correction`", found) else {
        return;
    };
    if tell_full_name(name, service, "a correction", value, found)
        || !fields::valid_name(name, value.span, "an action", found)
    {
        return;
    }
    tell_word_as_name(name, "correction", value, found);
    let declared = scope.names.actions[id.0 as usize].get(name).copied();
    let correction = declared.unwrap_or_else(|| {
        let action = blank_action(ActionName::new(service, name), id, value.span);
        scope.add_action(Action { class: ActionClass::Notice, ..action })
    });
    let taken = scope.action(correction).correction_of;
    if correction == of || taken.is_some() {
        let message = match taken {
            Some(other) => {
                format!("`{service}.{name}` already corrects `{}`", scope.action(other).name)
            }
            None => format!("`{service}.{name}` cannot correct itself"),
        };
        found.add(
            Diagnostic::new(codes::CLASH_OF_CLASSES, value.span, message)
                .with_help("give each message its own correction"),
        );
        return;
    }
    scope.actions[correction.0 as usize].correction_of = Some(of);
    scope.actions[of.0 as usize].correction = Some(correction);
}

fn blank_action(name: ActionName, service: ServiceId, span: Span) -> Action {
    Action {
        name,
        service,
        class: ActionClass::Free,
        compensation: None,
        correction_of: None,
        correction: None,
        on_failure_retry: false,
        calls: Flow::default(),
        tags: Vec::new(),
        retry: RetryPolicy::DEFAULT,
        endpoints: Endpoints::default(),
        fence: true,
        span,
    }
}

/// A correction that isn't declared itself is asked for as the message that it corrects.
pub(crate) fn pass_on_to_correction(
    id: ActionId,
    declared: &[(ActionId, &Entry)],
    scope: &mut Scope,
) {
    let notice = scope.action(id);
    let implied = notice.correction.filter(|c| declared.iter().all(|(own, _)| own != c));
    if let Some(correction) = implied {
        let (retry, notify) = (notice.retry, notice.endpoints.notify.clone());
        let correction = &mut scope.actions[correction.0 as usize];
        correction.retry = retry;
        correction.endpoints.notify = notify;
    }
}

/// Reads everything about an action; `retry` is its service's policy.
pub(crate) fn define(
    id: ActionId,
    entry: &Entry,
    retry: RetryPolicy,
    scope: &mut Scope,
    found: &mut Diagnostics,
) {
    let index = id.0 as usize;
    let what = format!("action `{}`", scope.actions[index].name);
    let Some(fields) = Fields::open_or_empty(&entry.value, &what, ACTION_KEYS, found) else {
        scope.broken_actions[index] = true;
        return;
    };
    let class = read_class(id, entry, &fields, scope, found);
    scope.broken_actions[index] = class.is_none();
    scope.actions[index].class = class.unwrap_or(ActionClass::Compensable);
    if let Some(node) = fields.get("calls") {
        let before = found.count();
        scope.actions[index].calls = flow::read(node, class, scope, found);
        if found.count() > before {
            found.set_calls_incomplete();
        }
    }
    if let Some(node) = fields.get("tags") {
        fields::tell_repeated(fields::one_or_many(node), "`tags`", found);
        for item in fields::one_or_many(node) {
            let tag = fields::text(item, "`tags`", found);
            if let Some(tag) = tag.filter(|t| fields::valid_name(t, item.span, "a tag", found)) {
                add_tag(id, tag, scope);
            }
        }
    }
    if let Some(node) = fields.get("retry_policy") {
        scope.actions[index].retry = policy::retry_policy(node, retry, found);
    }
    if let Some(fence) = fields.get("fence").and_then(|n| fields::flag(n, "`fence`", found)) {
        scope.actions[index].fence = fence;
    }
    if let Some(node) = fields.get("endpoints") {
        scope.actions[index].endpoints =
            endpoints::read(node, scope.action(id), class.is_some(), found);
    }
}

fn add_tag(id: ActionId, tag: &str, scope: &mut Scope) {
    let known = scope.names.tags.get_key_value(tag).map(|(tag, _)| tag.clone());
    let tag: Arc<str> = known.unwrap_or_else(|| tag.into());
    let members = scope.names.tags.entry(tag.clone()).or_default();
    if members.last() != Some(&id) {
        members.push(id);
        scope.actions[id.0 as usize].tags.push(tag);
    }
}

/// What can be done about the action; none if it says nothing, or two things that exclude each other.
fn read_class(
    id: ActionId,
    entry: &Entry,
    fields: &Fields<'_>,
    scope: &mut Scope,
    found: &mut Diagnostics,
) -> Option<ActionClass> {
    let compensation = fields.get("compensation");
    let mut ok = true;
    if let Some(node) = compensation {
        let service = scope.action(id).name.service.clone();
        let name = fields::text(node, "`compensation`", found);
        let name = name.filter(|n| !tell_full_name(n, &service, "a compensation", node, found));
        let name = name.filter(|n| fields::valid_name(n, node.span, "a compensation", found));
        if let Some(name) = name {
            tell_word_as_name(name, "compensation", node, found);
        }
        ok &= name.is_some();
        scope.actions[id.0 as usize].compensation = name.map(Into::into);
    }
    let mut word = |key: &str, words: &[(&str, ActionClass)]| {
        let node = fields.get(key)?;
        let class = fields::word(node, &format!("`{key}`"), words, found);
        ok &= class.is_some();
        class
    };
    let on_failure = word("on_failure", &[("retry", ActionClass::Retriable)]);
    let effects = [
        ("none", ActionClass::Free),
        ("notice", ActionClass::Notice),
        ("pivot", ActionClass::Pivot),
    ];
    let effect = word("effect", &effects);
    scope.actions[id.0 as usize].on_failure_retry = on_failure.is_some();
    let notice = fields.get("correction").is_some() || scope.action(id).correction_of.is_some();
    let says = [
        (compensation.is_some(), ActionClass::Compensable),
        (notice, ActionClass::Notice),
        (effect.is_some(), effect.unwrap_or(ActionClass::Free)),
    ];
    let mut classes: Vec<ActionClass> =
        says.into_iter().filter(|(said, _)| *said).map(|(_, class)| class).collect();
    classes.dedup();
    if !ok {
        return None;
    }
    if classes.len() > 1 || (on_failure.is_some() && effect == Some(ActionClass::Free)) {
        classes.extend(on_failure);
        let names: Vec<_> = classes.iter().map(|c| c.as_str()).collect();
        let message =
            format!("`{}` is declared as {} at once", scope.action(id).name, names.join(" and "));
        let help = if effect == Some(ActionClass::Pivot) {
            "nothing undoes or corrects a pivot: leave the other one out; or leave out `effect: pivot`, if it can be undone"
        } else {
            "an action has one of `compensation:`, `correction:` and `effect:`; `on_failure: retry` may stand beside the first two"
        };
        found
            .add(Diagnostic::new(codes::CLASH_OF_CLASSES, entry.key_span, message).with_help(help));
        return None;
    }
    let class = classes.first().copied().or(on_failure);
    if class.is_none() {
        let message =
            format!("`{}` says nothing of what can be done about it", scope.action(id).name);
        let help = "give it `compensation: <name>`, `on_failure: retry`, `correction: <name>`, `effect: none`, or `effect: pivot` if nothing can undo it";
        let mistake = Diagnostic::new(codes::NO_UNDO, entry.key_span, message);
        fields.tell_missing(mistake.with_help(help), found);
    }
    class
}

/// A name of the service's own, written with its service in front.
fn tell_full_name(
    name: &str,
    service: &str,
    what: &str,
    node: &Node,
    found: &mut Diagnostics,
) -> bool {
    let Some((owner, own)) = name.split_once('.') else { return false };
    let message = format!("{} is not a name of {what}", quote(name));
    let help = if owner == service {
        format!("write `{own}`, without the service: it is always the service's own")
    } else {
        format!("it is an operation of `{service}` itself: write its name, without a service")
    };
    found.add(Diagnostic::new(codes::INVALID_NAME, node.span, message).with_help(help));
    true
}

/// Who writes `compensation: none` means that there is none, and would have an operation of this name asked for.
fn tell_word_as_name(name: &str, key: &str, node: &Node, found: &mut Diagnostics) {
    let words = ["none", "no", "nothing", "false", "off", "never", "n/a", "true", "yes"];
    if !words.iter().any(|word| name.eq_ignore_ascii_case(word)) {
        return;
    }
    let message = format!("an operation named `{name}` will be asked for");
    let help = match key {
        "correction" => {
            "leave `correction:` out and write `effect: notice`, if nothing follows the message"
        }
        _ => {
            "if there is nothing to undo, write `effect: none` instead; if it is only run again, `on_failure: retry`"
        }
    };
    found.add(
        Diagnostic::new(codes::WORD_AS_NAME, node.span, message)
            .with_label(format!("`{key}:` takes the name of an operation"))
            .with_help(help),
    );
}

/// Who calls whom; every circle is reported.
pub(crate) fn call_graph(scope: &Scope, found: &mut Diagnostics) -> Graph {
    let whole = Graph::of(&scope.actions);
    let mut circle = whole.cycle();
    let calls = |a: &Action| a.calls.iter().map(|c| c.action).collect();
    let mut callees: Vec<Vec<ActionId>> =
        if circle.is_some() { scope.actions.iter().map(calls).collect() } else { Vec::new() };
    for _ in 0..CYCLES_SHOWN {
        let Some(members) = circle else {
            break;
        };
        let [first, .., last] = [members[0], members[members.len() - 1]];
        callees[last.0 as usize].retain(|to| *to != first);
        let mut names: Vec<_> =
            members.iter().take(12).map(|id| format!("`{}`", scope.action(*id).name)).collect();
        names.push(format!("`{}`", scope.action(first).name));
        let mistake = Diagnostic::new(
            codes::CALL_CYCLE,
            scope.action(first).span,
            "actions call each other in a circle",
        );
        let mistake = mistake.with_label(names.join(" -> "));
        found.add(mistake.with_help("a saga is a tree of calls: leave out the call that only asks, or split the action in two"));
        circle = Graph::new(callees.clone()).cycle();
    }
    whole
}
