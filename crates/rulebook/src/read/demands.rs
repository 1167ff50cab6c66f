//! What a rule asks for: `compensate`, `retry`, `notify`, and later stages under `then`.

use super::scope::{self, Scope};
use crate::fields::{self, Fields};
use crate::mistakes::{Diagnostics, closest, quote};
use crate::tree::Node;
use crate::{ActionClass, ActionId, Demand, Diagnostic, Span, StageDemand, Target, codes, plan};
use amends_protocol::Verb;

const STAGE_KEYS: &[&str] = &["compensate", "retry", "notify", "then"];
const GIVE_UP_STAGE_KEYS: &[&str] = &["compensate", "notify", "then"];

/// A demand and where its parts stand.
pub(crate) struct ReadDemand {
    pub(crate) demand: Demand,
    /// The first `retry`, if there is one.
    pub(crate) retry: Option<Span>,
}

/// Reads the demand whose top level stands in `top`. `empty` is reported if the top level asks for nothing.
pub(crate) fn read(
    top: &Fields<'_>,
    may_retry: bool,
    empty: Diagnostic,
    scope: &Scope,
    found: &mut Diagnostics,
) -> ReadDemand {
    let keys = if may_retry { STAGE_KEYS } else { GIVE_UP_STAGE_KEYS };
    let mut read = ReadDemand { demand: Demand::default(), retry: None };
    let mut backward = None;
    let mut stage = Some((*top, empty));
    // The tree's depth limits how many stages there are.
    while let Some((fields, empty)) = stage.take() {
        let before = (backward, read.retry);
        let asks = read_stage(&fields, &mut read, &mut backward, scope, found);
        if !asks {
            fields.tell_missing(empty, found);
        }
        if before != (backward, read.retry)
            && let (Some(undo), Some(again)) = (backward, read.retry)
            && (before.0.is_none() || before.1.is_none())
        {
            let mistake = Diagnostic::new(
                codes::RETRY_IN_BACKWARD_RULE,
                again,
                "a rule that undoes a saga runs nothing of it again",
            );
            found.add(mistake.with_place(undo, "undone here").with_help("keep one of the two; to undo after failed retries, use `give_up: { after: 10 attempts, then: … }`"));
        }
        if let Some(node) = fields.get("then") {
            let empty = Diagnostic::new(codes::EMPTY_STAGE, node.span, "`then` asks for nothing")
                .with_help("add `compensate:` or `notify:` to it, or leave it out");
            stage = Fields::open_or_empty(node, "`then`", keys, found).map(|f| (f, empty));
        }
    }
    read
}

/// False if nothing is asked for at all; targets with mistakes count as asked for.
fn read_stage(
    fields: &Fields<'_>,
    read: &mut ReadDemand,
    backward: &mut Option<Span>,
    scope: &Scope,
    found: &mut Diagnostics,
) -> bool {
    let mut asks = false;
    let mut targets = |verb: Verb, found: &mut Diagnostics| {
        let Some(entry) = fields.entry(verb.as_str()) else {
            return (Vec::new(), None);
        };
        let items = if entry.value.is_nothing() { &[] } else { fields::one_or_many(&entry.value) };
        asks |= !items.is_empty();
        fields::tell_repeated(items, &format!("`{verb}`"), found);
        let all = items.iter().filter_map(|item| read_target(item, verb, scope, found)).collect();
        (all, (!items.is_empty()).then_some(entry.key_span))
    };
    let (compensate, undo) = targets(Verb::Compensate, found);
    let (retry, again) = targets(Verb::Retry, found);
    let (notify, _) = targets(Verb::Notify, found);
    *backward = backward.or(undo);
    read.retry = read.retry.or(again);
    read.demand.stages.push(StageDemand { compensate, retry, notify });
    asks
}

fn read_target(node: &Node, verb: Verb, scope: &Scope, found: &mut Diagnostics) -> Option<Target> {
    let what = format!("`{verb}`");
    let text = fields::text(node, &what, found)?;
    let set = match text {
        "recorded" => Some(Target::Recorded),
        "all" => Some(Target::All),
        "downstream" => Some(Target::Downstream),
        _ => None,
    };
    if let Some(set) = set {
        if verb == Verb::Compensate {
            return Some(set);
        }
        let mistake = Diagnostic::new(
            codes::INVALID_WORD,
            node.span,
            format!("`{text}` cannot stand in {what}"),
        );
        found
            .add(mistake.with_help(format!(
                "name actions or tags here; `{text}` is a set to `compensate`"
            )));
        return None;
    }
    if scope::tell_several(text, node.span, found) {
        return None;
    }
    if let Some(tag) = text.strip_prefix("tag:") {
        let tag = scope.find_tag(tag.trim(), node.span, found)?;
        let members = scope.names.tags.get(&tag).map_or(&[][..], Vec::as_slice);
        if !members.iter().any(|id| scope.is_broken(*id) || plan::fits(verb, scope.action(*id))) {
            let message = format!("no action with the tag `{tag}` can be asked to {verb}");
            found.add(
                Diagnostic::new(mismatch(verb), node.span, message)
                    .with_help("give the tag to such an action, or name another tag"),
            );
            return None;
        }
        return Some(Target::Tag(tag));
    }
    let sets = ["recorded", "all", "downstream"];
    if verb == Verb::Compensate
        && !text.contains('.')
        && let Some(set) = closest(text, sets)
    {
        let message = format!("{} is not an action, nor a set of them", quote(text));
        let mistake = Diagnostic::new(codes::UNKNOWN_ACTION, node.span, message);
        found.add(mistake.with_help(format!("did you mean `{set}`?")));
        return None;
    }
    let id = scope.find_action(text, node.span, found)?;
    (scope.is_broken(id) || fits(id, verb, node.span, scope, found)).then_some(Target::Action(id))
}

fn mismatch(verb: Verb) -> &'static str {
    match verb {
        Verb::Compensate => codes::NOT_COMPENSABLE,
        Verb::Retry => codes::NOT_RETRIABLE,
        Verb::Notify => codes::NOT_A_NOTICE,
    }
}

fn fits(id: ActionId, verb: Verb, at: Span, scope: &Scope, found: &mut Diagnostics) -> bool {
    let action = scope.action(id);
    if plan::fits(verb, action) {
        return true;
    }
    let name = &action.name;
    let (message, help) = match verb {
        Verb::Compensate => (format!("`{name}` cannot be undone"), help_to_undo(id, scope)),
        Verb::Retry => (
            format!("`{name}` is a correcting message, not something to run again"),
            format!("write `notify: [{name}]`"),
        ),
        Verb::Notify => (
            format!("`{name}` is {}, not a message", in_words(action.class)),
            if action.class == ActionClass::Compensable {
                format!("write `compensate: [{name}]`")
            } else {
                "name a message here, e.g. the `correction` of one".to_owned()
            },
        ),
    };
    let label = format!("it is {}", in_words(action.class));
    found.add(
        Diagnostic::new(mismatch(verb), at, message)
            .with_label(label)
            .with_place(action.span, "declared here")
            .with_help(help),
    );
    false
}

fn in_words(class: ActionClass) -> &'static str {
    match class {
        ActionClass::Compensable => "compensable",
        ActionClass::Retriable => "retriable",
        ActionClass::Notice => "a notice",
        ActionClass::Pivot => "a pivot",
        ActionClass::Free => "without an effect",
    }
}

fn help_to_undo(id: ActionId, scope: &Scope) -> String {
    let action = scope.action(id);
    match (action.class, action.correction) {
        (ActionClass::Notice, Some(correction)) => {
            format!(
                "a message is followed by its correction: `notify: [{}]`",
                scope.action(correction).name
            )
        }
        (ActionClass::Notice, None) if action.correction_of.is_some() => {
            format!("a message is sent, not undone: `notify: [{}]`", action.name)
        }
        (ActionClass::Notice, None) => {
            "a message cannot be undone; give it a `correction:` and notify that".to_owned()
        }
        (ActionClass::Pivot, _) => {
            "a pivot cannot be undone: leave it out, and say with `past:` what is done with what came before it".to_owned()
        }
        _ => format!("leave it out, or give `{}` a `compensation:`", action.name),
    }
}
