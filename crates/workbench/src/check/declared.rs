//! What services declare, taken together: compensations in a circle, retries that never end or outlive the memory of
//! the service that is asked.

use super::findings::Findings;
use amends_protocol::Verb;
use amends_rulebook::{
    Action, ActionId, Diagnostic, Field, GiveUp, RetryPolicy, Rule, Rulebook, Target, codes,
    value_set::Found,
};
use std::collections::BTreeSet;

pub(super) fn check(book: &Rulebook, found: &mut Findings<'_>) {
    compensation_cycles(book, found);
    for id in book.action_ids() {
        retry_outlives_history(book, book.get(id), found);
    }
    for rule in book.rules() {
        endless_retry(book, rule, found);
    }
    dead_actions(book, found);
}

/// Three actions or more that undo each other in a circle: one of them was meant to undo another one.
fn compensation_cycles(book: &Rulebook, found: &mut Findings<'_>) {
    let undone_by = |id: ActionId| {
        let action = book.get(id);
        let name = action.compensation.as_deref()?;
        book.action(&action.name.service, name)
    };
    let mut done: BTreeSet<ActionId> = BTreeSet::new();
    for start in book.action_ids() {
        let mut path = Vec::new();
        let mut at = Some(start);
        while let Some(id) = at.filter(|id| !done.contains(id)) {
            if let Some(from) = path.iter().position(|p| *p == id) {
                // Following and unfollowing undo each other, and a switch undoes itself.
                if path.len() - from <= 2 {
                    break;
                }
                let names: Vec<_> =
                    path[from..].iter().map(|p| format!("`{}`", book.get(*p).name)).collect();
                let mistake = Diagnostic::new(
                    codes::COMPENSATION_CYCLE,
                    book.get(id).span,
                    "these actions undo each other in a circle",
                );
                found.add(mistake.with_label(format!("{} -> `{}`", names.join(" -> "), book.get(id).name)).with_help("two actions may undo each other; of more, one names the wrong `compensation:`"));
                break;
            }
            path.push(id);
            at = undone_by(id);
        }
        done.extend(path);
    }
}

/// How long the steps of an action may be tried; none if for ever.
fn horizon_ms(policy: &RetryPolicy) -> Option<u64> {
    let by_attempts = policy.max_attempts.map(|n| {
        let n = u64::from(n);
        n.saturating_mul(policy.timeout_ms)
            .saturating_add(n.saturating_sub(1).saturating_mul(policy.cap_ms))
    });
    match (by_attempts, policy.max_age_ms) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    }
}

fn retry_outlives_history(book: &Rulebook, action: &Action, found: &mut Findings<'_>) {
    let service = &book.services()[action.service.0 as usize];
    let Some(kept) = service.history_ms else {
        return;
    };
    let horizon = horizon_ms(&action.retry);
    if horizon.is_some_and(|ms| ms <= kept) || action.class == amends_rulebook::ActionClass::Free {
        return;
    }
    let tried = horizon.map_or("for ever".to_owned(), |ms| format!("for {}", in_words(ms)));
    let message = format!(
        "steps of `{}` are tried {tried}, and `{}` remembers only {}",
        action.name,
        service.name,
        in_words(kept)
    );
    found.add(
        Diagnostic::new(codes::RETRY_OUTLIVES_HISTORY, action.span, message)
            .with_label("an attempt after that could do its work twice")
            .with_place(service.span, format!("`history: {}`", in_words(kept)))
            .with_help(format!(
                "give it `retry_policy: {{ age: {} }}` or less, or let the service remember longer",
                in_words(kept)
            )),
    );
}

fn in_words(ms: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let unit = units.into_iter().find(|(size, _)| ms.is_multiple_of(*size) && ms >= *size);
    match unit {
        // A long time to the second says less than one in days.
        Some((1_000, _)) if ms > 2 * 86_400_000 => format!("about {}d", ms / 86_400_000),
        Some((size, name)) => format!("{}{name}", ms / size),
        None => format!("{ms}ms"),
    }
}

/// What a rule runs again.
fn retried(book: &Rulebook, rule: &Rule) -> Vec<ActionId> {
    let named = rule.demand.stages.iter().flat_map(|s| &s.retry);
    let actions = named.flat_map(|target| match target {
        Target::Action(id) => vec![*id],
        Target::Tag(tag) => book
            .tagged(tag)
            .filter(|id| amends_rulebook::fits(Verb::Retry, book.get(*id)))
            .collect(),
        Target::Recorded | Target::All | Target::Downstream => Vec::new(),
    });
    actions.collect()
}

/// What ends the retries of an action before the limit of a rule, as the retry policy writes it. Attempts are compared
/// with attempts and age with age: how long an attempt waits for the service's return has no bound.
fn ended_before(
    policy: &RetryPolicy,
    attempts: Option<u32>,
    age_ms: Option<u64>,
) -> Option<String> {
    let fewer = attempts.and_then(|limit| policy.max_attempts.filter(|max| *max < limit));
    let sooner = age_ms.and_then(|limit| policy.max_age_ms.filter(|age| *age < limit));
    let by_age = sooner.map(|ms| format!("age: {}", in_words(ms)));
    fewer.map(|n| format!("attempts: {n}")).or(by_age)
}

/// `give_up` names a limit that the retry policy of every action that is run again reaches before.
fn late_give_up(book: &Rulebook, rule: &Rule, give_up: &GiveUp, found: &mut Findings<'_>) {
    let actions = retried(book, rule);
    let limits = [
        give_up.attempts.map(|n| (Some(n), None, format!("{n} attempts"))),
        give_up.age_ms.map(|ms| (None, Some(ms), in_words(ms))),
    ];
    for (attempts, age_ms, after) in limits.into_iter().flatten() {
        let ended = |id: &ActionId| ended_before(&book.get(*id).retry, attempts, age_ms);
        let all: Option<Vec<String>> = actions.iter().map(ended).collect();
        let (Some(first), Some(id)) = (all.and_then(|all| all.first().cloned()), actions.first())
        else {
            continue;
        };
        let message =
            format!("rule `{}` gives up after {after}, and never comes to it", rule.index_label);
        found.add(
            Diagnostic::new(codes::GIVE_UP_TOO_LATE, rule.span, message)
                .with_label(format!("it gives up when the retry policy ends: `{first}`"))
                .with_place(book.get(*id).span, "its `retry_policy`")
                .with_help("lower the limit in `give_up`, or raise that of the `retry_policy`"),
        );
    }
}

/// `give_up` ends a retry by its age before one attempt must have been answered.
fn hasty_give_up(book: &Rulebook, rule: &Rule, give_up: &GiveUp, found: &mut Findings<'_>) {
    let Some(age_ms) = give_up.age_ms else { return };
    let slow = |id: &ActionId| book.get(*id).retry.timeout_ms >= age_ms;
    let Some(id) = retried(book, rule).into_iter().find(slow) else { return };
    let action = book.get(id);
    let timeout = in_words(action.retry.timeout_ms);
    let message = format!("rule `{}` gives up after {}", rule.index_label, in_words(age_ms));
    found.add(
        Diagnostic::new(codes::GIVE_UP_TOO_SOON, rule.span, message)
            .with_label(format!("one attempt of `{}` may take {timeout}", action.name))
            .with_place(action.span, format!("its `timeout` is {timeout}"))
            .with_help("raise the limit in `give_up`, or lower `timeout` of the `retry_policy`"),
    );
}

/// Declared, and nothing leads to it: mostly a call that somebody forgot to write. A rulebook without calls declares
/// none of its flows, so nothing is known there.
fn dead_actions(book: &Rulebook, found: &mut Findings<'_>) {
    if book.actions().iter().all(|action| action.calls.is_empty()) {
        return;
    }
    let mut named: BTreeSet<ActionId> = book.reports().iter().filter_map(|r| r.action).collect();
    for rule in book.rules().iter().filter(|rule| !rule.implied) {
        named.extend(named_by_condition(book, rule));
        named.extend(only_action(book, rule));
        let given_up = rule.give_up.as_ref().map(|give_up| &give_up.then);
        for stage in std::iter::once(&rule.demand).chain(given_up).flat_map(|d| &d.stages) {
            let targets = stage.compensate.iter().chain(&stage.retry).chain(&stage.notify);
            named.extend(targets.flat_map(|target| match target {
                Target::Action(id) => vec![*id],
                Target::Tag(tag) => book.tagged(tag).collect(),
                Target::Recorded | Target::All | Target::Downstream => Vec::new(),
            }));
        }
    }
    for id in book.action_ids() {
        let action = book.get(id);
        let stands_alone = action.calls.is_empty()
            && book.callers(id).is_empty()
            && action.correction_of.is_none()
            && !undoes_another(book, action);
        if stands_alone && !named.contains(&id) {
            let message =
                format!("nothing calls `{}`, and no report or rule names it", action.name);
            found.add(
                Diagnostic::new(codes::DEAD_ACTION, action.span, message)
                    .with_label("it calls nothing either")
                    .with_help("add it to the `calls` of its caller; if it is a saga of its own, declare a report `in` it"),
            );
        }
    }
}

/// The one action of the service whose reports a rule answers: it is a saga of its own.
fn only_action(book: &Rulebook, rule: &Rule) -> Option<ActionId> {
    let service = rule.pattern.service.as_deref()?;
    let mut own = book.action_ids().filter(|id| *book.get(*id).name.service == *service);
    own.next().filter(|_| own.next().is_none())
}

/// The actions that `when: { action: … }` of a rule names.
fn named_by_condition<'b>(book: &'b Rulebook, rule: &'b Rule) -> impl Iterator<Item = ActionId> {
    let service = rule.pattern.service.as_deref().and_then(|name| book.service(name));
    let of_service = service.map(|id| &book.services()[id.0 as usize].actions);
    let conditions = rule.when.iter().filter(|c| c.field == Field::Action);
    conditions.flat_map(move |condition| {
        let all = of_service.into_iter().flatten().copied();
        all.filter(|id| condition.accepts().contains(Found::Text(&book.get(*id).name.action)))
    })
}

/// Whether it is the compensation of another action of its service.
fn undoes_another(book: &Rulebook, action: &Action) -> bool {
    let of_service = &book.services()[action.service.0 as usize].actions;
    of_service.iter().any(|id| book.get(*id).compensation.as_deref() == Some(&*action.name.action))
}

/// A retry ends by the rule's `give_up`, or by the policy's attempts or age.
fn endless_retry(book: &Rulebook, rule: &Rule, found: &mut Findings<'_>) {
    if let Some(give_up) = &rule.give_up {
        hasty_give_up(book, rule, give_up, found);
        return late_give_up(book, rule, give_up, found);
    }
    let actions = retried(book, rule);
    let endless = |id: &&ActionId| horizon_ms(&book.get(**id).retry).is_none();
    if let Some(id) = actions.iter().find(endless).copied() {
        let name = &book.get(id).name;
        let message = format!("rule `{}` runs `{name}` again without an end", rule.index_label);
        found.add(
            Diagnostic::new(codes::ENDLESS_RETRY, rule.span, message)
                .with_label("the saga stands still for as long as it fails")
                .with_place(
                    book.get(id).span,
                    "its `retry_policy` has neither `attempts` nor `age`",
                )
                .with_help(
                    "add `give_up: { after: 10 attempts, then: … }`, or give the policy an `age`",
                ),
        );
        return;
    }
    no_give_up(book, rule, &actions, found);
}

/// Running a compensable action again takes the place of undoing its saga. When that fails for good, somebody must have
/// said what then; an action that is only ever run again (`on_failure: retry`) waits for a person by design.
fn no_give_up(book: &Rulebook, rule: &Rule, actions: &[ActionId], found: &mut Findings<'_>) {
    let forward = |id: &&ActionId| {
        let action = book.get(**id);
        action.compensation.is_some() && !action.on_failure_retry
    };
    if let Some(id) = actions.iter().find(forward) {
        let name = &book.get(*id).name;
        let message = format!(
            "rule `{}` runs `{name}` again and doesn't say what comes when that fails for good",
            rule.index_label
        );
        found.add(
            Diagnostic::new(codes::NO_GIVE_UP, rule.span, message)
                .with_label("the saga then stays half done until a person acts")
                .with_help("add `give_up: { after: 10 attempts, then: { compensate: recorded } }`"),
        );
    }
}
