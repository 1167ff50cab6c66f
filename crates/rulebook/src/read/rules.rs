//! `rules:`, the rules that follow from `on_failure: retry`, and the checks that look at all of them together.

use super::comparisons;
use super::conditions;
use super::demands;
use super::scope::Scope;
use crate::fields::{self, Fields};
use crate::mistakes::{Diagnostics, quote};
use crate::overlap::overlaps;
use crate::rule_index::RuleIndex;
use crate::tree::{Kind, Node};
use crate::{
    Action, ActionId, CodePattern, Condition, Demand, Diagnostic, Field, GiveUp, Matcher, Mode,
    Past, Pattern, ReportDecl, Rule, RuleId, SUPERVISOR, Scalar, Span, StageDemand, Target,
    UndoOrder, codes, duration, examples,
};
use rustc_hash::FxHashSet;
use sha2::{Digest, Sha256};
use std::sync::Arc;

const RULE_KEYS: &[&str] = &[
    "on",
    "when",
    "compensate",
    "retry",
    "notify",
    "then",
    "give_up",
    "mode",
    "undo_order",
    "past",
    "limit",
    "objective",
    "owner",
    "why",
];

/// A label is for people; longer ones end in a digest of the rest.
const LABEL_CHARS: usize = 160;

/// All rules, as written and then as implied, with their index.
pub(crate) fn read_all(
    top: &Fields<'_>,
    scope: &Scope,
    reports: &[ReportDecl],
    found: &mut Diagnostics,
) -> (Vec<Rule>, RuleIndex) {
    let mut rules = Vec::new();
    let codes_of = declared_codes(scope, reports);
    let above = top.get("undo_order").and_then(|node| read_undo_order(node, found));
    let above = above.unwrap_or_default();
    if let Some(node) = top.get("rules") {
        match &node.kind {
            Kind::List(items) => rules.extend(
                items.iter().filter_map(|item| read_one(item, above, scope, &codes_of, found)),
            ),
            _ if node.is_nothing() => {}
            _ => fields::wrong_type(node, "`rules`", "a list", found),
        }
    }
    if !top.may_mean("rules") {
        check_default(top, &rules, found);
    }
    let written = written_out(&rules);
    for (index, action) in scope.actions.iter().enumerate() {
        let id = ActionId(u32::try_from(index).unwrap_or(u32::MAX));
        let name = (action.name.service.clone(), action.name.action.clone());
        if action.on_failure_retry && !scope.is_broken(id) && !written.contains(&name) {
            rules.push(implied(id, action));
        }
    }
    for (n, rule) in (0u32..).zip(&mut rules) {
        rule.id = RuleId(n);
        rule.index_label = label(rule);
    }
    let index = RuleIndex::new(&rules);
    check_overlaps(&rules, &index, found);
    comparisons::check(&rules, scope, reports, found);
    (rules, index)
}

/// By service, the declared report codes, sorted.
type DeclaredCodes<'a> = Vec<Vec<&'a str>>;

fn declared_codes<'a>(scope: &Scope, reports: &'a [ReportDecl]) -> DeclaredCodes<'a> {
    let mut codes = vec![Vec::new(); scope.services.len()];
    for report in reports {
        codes[report.service.0 as usize].push(&*report.code);
    }
    codes.iter_mut().for_each(|c: &mut Vec<&str>| c.sort_unstable());
    codes
}

fn read_undo_order(node: &Node, found: &mut Diagnostics) -> Option<UndoOrder> {
    fields::word(node, "`undo_order`", &UndoOrder::ALL.map(|order| (order.as_str(), order)), found)
}

fn read_past(node: &Node, found: &mut Diagnostics) -> Option<Past> {
    fields::word(node, "`past`", &Past::ALL.map(|past| (past.as_str(), past)), found)
}

/// `above` is the order in which the rulebook undoes where a rule says nothing.
fn read_one(
    node: &Node,
    above: UndoOrder,
    scope: &Scope,
    codes_of: &DeclaredCodes<'_>,
    found: &mut Diagnostics,
) -> Option<Rule> {
    let fields = Fields::open(node, "a rule", RULE_KEYS, found)?;
    let on = read_pattern(&fields, scope, codes_of, found);
    let empty = Diagnostic::new(
        codes::EMPTY_RULE,
        on.as_ref().map_or(fields.span, |(_, _, span)| *span),
        "the rule asks for nothing",
    )
    .with_help("add `compensate: recorded`, `retry: service.action` or `notify: [service.action]`");
    let read = demands::read(&fields, true, empty, scope, found);
    let give_up = fields.entry("give_up");
    if let Some(entry) = give_up.filter(|_| read.retry.is_none()) {
        let mistake = Diagnostic::new(
            codes::GIVE_UP_WITHOUT_RETRY,
            entry.key_span,
            "`give_up` where nothing is retried",
        );
        let help = "add `retry: service.action`, or leave `give_up` out";
        fields.tell_missing(mistake.with_help(help), found);
    }
    let give_up = give_up.and_then(|entry| read_give_up(&entry.value, scope, found));
    let modes = [("auto", Mode::Auto), ("ask", Mode::Ask), ("shadow", Mode::Shadow)];
    let mode = fields.get("mode").and_then(|n| fields::word(n, "`mode`", &modes, found));
    let undo_order = fields.get("undo_order").and_then(|n| read_undo_order(n, found));
    let past = fields.get("past").and_then(|n| read_past(n, found));
    let limit_per_minute = fields.get("limit").and_then(|n| read_limit(n, found));
    if let Some(entry) = fields.entry("limit").filter(|_| mode == Some(Mode::Ask)) {
        found.add(idle_limit(entry.key_span));
    }
    let objective_ms =
        fields.get("objective").and_then(|n| fields::duration(n, "`objective`", 1, found));
    let mut line = |key: &str| {
        let node = fields.get(key)?;
        fields::text(node, &format!("`{key}`"), found).map(str::to_owned)
    };
    let (owner, why) = (line("owner"), line("why"));
    let pattern = on.as_ref().map(|(_, pattern, _)| pattern);
    let when = match fields.get("when") {
        Some(node) => conditions::read(node, pattern, scope, found),
        None => Some(Vec::new()),
    };
    let (on, pattern, span) = on?;
    Some(Rule {
        id: RuleId(0),
        on,
        pattern,
        when: when?,
        demand: read.demand,
        give_up,
        undo_order: undo_order.unwrap_or(above),
        past,
        mode: mode.unwrap_or_default(),
        limit_per_minute,
        objective_ms,
        owner,
        why,
        implied: false,
        span,
        index_label: String::new(),
    })
}

fn read_pattern(
    fields: &Fields<'_>,
    scope: &Scope,
    codes_of: &DeclaredCodes<'_>,
    found: &mut Diagnostics,
) -> Option<(String, Pattern, Span)> {
    let Some(node) = fields.get("on") else {
        let at = Span { end: fields.span.start, ..fields.span };
        let help = "begin the rule with `on: service/code`, or `on: \"*/*\"` for every report";
        fields.tell_missing(
            Diagnostic::new(codes::MISSING_KEY, at, "the rule doesn't say which reports it is for")
                .with_help(help),
            found,
        );
        return None;
    };
    if let Kind::List(items) = &node.kind {
        tell_several_patterns(items, node.span, found);
        return None;
    }
    let text = fields::text(node, "`on`", found)?;
    let invalid = |why: &str| {
        let message = format!("{} is not a pattern of reports: {why}", quote(text));
        let help = "write `service/code`, `service/prefix*`, `service/*` or `\"*/*\"`";
        Diagnostic::new(codes::INVALID_PATTERN, node.span, message).with_help(help)
    };
    let Some((service, code)) = text.split_once('/') else {
        found.add(invalid("it has no `/`"));
        return None;
    };
    let (code_text, is_prefix) =
        code.strip_suffix('*').map_or((code, false), |prefix| (prefix, true));
    if !(fields::valid_code(code_text) || (is_prefix && code_text.is_empty())) {
        found.add(invalid(
            "a code is printable ASCII without spaces, and `*` only stands at its end",
        ));
        return None;
    }
    let code = if is_prefix {
        CodePattern::Prefix(code_text.into())
    } else {
        CodePattern::Exact(code_text.into())
    };
    if service == "*" {
        if code != CodePattern::Prefix("".into()) {
            found.add(invalid("a code means nothing without its service"));
            return None;
        }
        return Some((text.to_owned(), Pattern { service: None, code }, node.span));
    }
    if service != SUPERVISOR {
        let id = scope.find_service(service, node.span, found)?;
        tell_undeclared(text, &code, &codes_of[id.0 as usize], node.span, found);
    }
    Some((text.to_owned(), Pattern { service: Some(service.into()), code }, node.span))
}

/// A service that declares its reports means all of them.
fn tell_undeclared(
    text: &str,
    code: &CodePattern,
    declared: &[&str],
    at: Span,
    found: &mut Diagnostics,
) {
    let (written, covered) = match code {
        CodePattern::Exact(code) => (code, declared.binary_search(&&**code).is_ok()),
        CodePattern::Prefix(prefix) => {
            let first = declared.partition_point(|code| *code < &**prefix);
            (prefix, declared.get(first).is_some_and(|code| code.starts_with(&**prefix)))
        }
    };
    if declared.is_empty() || covered {
        return;
    }
    let service = text.split('/').next().unwrap_or_default();
    let message = format!("service `{service}` declares no report {}", quote(text));
    let meant = found.did_you_mean(written, declared.iter().copied());
    let help =
        meant.unwrap_or_else(|| "declare it under `reports:`, or correct the code".to_owned());
    found.add(Diagnostic::new(codes::UNDECLARED_REPORT, at, message).with_help(help));
}

fn tell_several_patterns(patterns: &[Node], at: Span, found: &mut Diagnostics) {
    let help = if patterns.len() == 1 {
        "write the pattern alone, without brackets or `- `"
    } else {
        "write a rule for each, or one pattern for all of them: `service/prefix*` or `service/*`"
    };
    let message = "a rule is for one pattern of reports, not for a list";
    found.add(Diagnostic::new(codes::WRONG_TYPE, at, message).with_help(help));
}

fn read_give_up(node: &Node, scope: &Scope, found: &mut Diagnostics) -> Option<GiveUp> {
    let fields = Fields::open(node, "`give_up`", &["after", "then"], found)?;
    let mut missing = |key: &str, help: &str| {
        let mistake =
            Diagnostic::new(codes::MISSING_KEY, fields.span, format!("`give_up` has no `{key}`"));
        fields.tell_missing(mistake.with_help(help), found);
    };
    if fields.get("after").is_none() {
        missing("after", "add `after: 10 attempts`, `after: 2h`, or both in a list");
    }
    if fields.get("then").is_none() {
        missing("then", "add `then: { compensate: recorded }`");
    }
    let after = fields.get("after");
    if let Some(node) = after.filter(|n| matches!(&n.kind, Kind::List(all) if all.is_empty())) {
        let mistake =
            Diagnostic::new(codes::MISSING_KEY, node.span, "`after` of `give_up` names no limit");
        found.add(mistake.with_help("write `10 attempts`, `2h`, or both in the list"));
    }
    let mut limits = GiveUp { attempts: None, age_ms: None, then: Demand::default() };
    let items = fields.get("after").map_or(&[][..], fields::one_or_many);
    fields::tell_repeated(items, "`after` of `give_up`", found);
    for item in items {
        read_give_up_limit(item, &mut limits, found);
    }
    let then = fields.get("then")?;
    let empty = Diagnostic::new(codes::EMPTY_STAGE, then.span, "`then` asks for nothing")
        .with_help("add `compensate: recorded`");
    let stage = Fields::open_or_empty(
        then,
        "`then` of `give_up`",
        &["compensate", "notify", "then"],
        found,
    )?;
    limits.then = demands::read(&stage, false, empty, scope, found).demand;
    Some(limits)
}

fn read_give_up_limit(node: &Node, limits: &mut GiveUp, found: &mut Diagnostics) {
    let Some(text) = fields::text(node, "`after`", found) else {
        return;
    };
    let attempts =
        text.strip_suffix("attempts").or_else(|| text.strip_suffix("attempt")).map(str::trim);
    if let Some(n) = attempts.and_then(|n| n.parse::<u32>().ok()).filter(|n| *n > 0) {
        limits.attempts = Some(limits.attempts.map_or(n, |m| m.min(n)));
    } else if let Some(ms) = duration::parse_ms(text).ok().filter(|ms| *ms > 0) {
        limits.age_ms = Some(limits.age_ms.map_or(ms, |m| m.min(ms)));
    } else {
        let message =
            format!("{} is neither a number of attempts nor a length of time", quote(text));
        found.add(
            Diagnostic::new(codes::INVALID_DURATION, node.span, message)
                .with_help("write `10 attempts`, `2h`, or both in a list"),
        );
    }
}

/// More cases than the limit fall back to `ask`: where nothing goes without a yes, there is nothing to fall back from.
fn idle_limit(at: Span) -> Diagnostic {
    Diagnostic::new(codes::IDLE_SETTING, at, "`limit` does nothing in a rule with `mode: ask`")
        .with_label("it makes the cases beyond it ask, and here all of them do")
        .with_help("leave it out, or take `mode: ask` out")
}

fn read_limit(node: &Node, found: &mut Diagnostics) -> Option<u32> {
    let text = fields::text(node, "`limit`", found)?;
    let number = text
        .strip_suffix("per minute")
        .and_then(|n| n.trim().parse::<u32>().ok())
        .filter(|n| *n > 0);
    if number.is_none() {
        let mistake = Diagnostic::new(
            codes::INVALID_NUMBER,
            node.span,
            format!("{} is not a limit", quote(text)),
        );
        found.add(mistake.with_help("write for example `limit: 100 per minute`"));
    }
    number
}

/// `on_failure: retry` of an action means: when it fails and nothing more special is written, run it again.
fn implied(id: ActionId, action: &Action) -> Rule {
    let service = action.name.service.clone();
    let wanted = Matcher::Equals(Scalar::Text(action.name.action.clone()));
    Rule {
        id: RuleId(0),
        on: format!("{service}/*"),
        pattern: Pattern { service: Some(service), code: CodePattern::Prefix("".into()) },
        when: vec![Condition::new(Field::Action, vec![wanted], action.span)],
        demand: Demand {
            stages: vec![StageDemand { retry: vec![Target::Action(id)], ..StageDemand::default() }],
        },
        give_up: None,
        undo_order: UndoOrder::AtOnce,
        past: None,
        mode: Mode::Auto,
        limit_per_minute: None,
        objective_ms: None,
        owner: None,
        why: Some(format!("`{}` has `on_failure: retry`", action.name)),
        implied: true,
        span: action.span,
        index_label: String::new(),
    }
}

/// The actions whose failure some rule for `service/*` answers by the action alone: nothing is implied for them.
fn written_out(rules: &[Rule]) -> FxHashSet<(Arc<str>, Arc<str>)> {
    let whole_service = rules.iter().filter(|r| r.pattern.code == CodePattern::Prefix("".into()));
    let by_action =
        whole_service.filter_map(|rule| match (&rule.pattern.service, rule.when.as_slice()) {
            (Some(service), [only]) if only.field == Field::Action => {
                Some((service, only.accepts.listed()?))
            }
            _ => None,
        });
    by_action
        .flat_map(|(service, actions)| actions.into_iter().map(move |a| (service.clone(), a)))
        .filter_map(|(service, action)| match action {
            Scalar::Text(action) => Some((service, action)),
            Scalar::Number(_) | Scalar::Bool(_) => None,
        })
        .collect()
}

fn label(rule: &Rule) -> String {
    if rule.when.is_empty() {
        return rule.on.clone();
    }
    let conditions: Vec<_> = rule.when.iter().map(ToString::to_string).collect();
    let whole = format!("{} when {}", rule.on, conditions.join(" and "));
    if whole.chars().nth(LABEL_CHARS).is_none() {
        return whole;
    }
    let digest = Sha256::digest(whole.as_bytes());
    let short: String = whole.chars().take(LABEL_CHARS).collect();
    format!("{short}… #{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3])
}

fn check_default(top: &Fields<'_>, rules: &[Rule], found: &mut Diagnostics) {
    if rules.iter().any(|r| r.pattern.service.is_none() && r.when.is_empty()) {
        return;
    }
    let at = top.entry("rules").or_else(|| top.entry("rulebook")).map_or(top.span, |e| e.key_span);
    let mistake = Diagnostic::new(
        codes::NO_DEFAULT_RULE,
        at,
        "there is no rule for every report, so some can stay unanswered",
    );
    found.add(mistake.with_help(
        "add `- { on: \"*/*\", compensate: recorded }`; it only answers what no other rule does",
    ));
}

fn check_overlaps(rules: &[Rule], index: &RuleIndex, found: &mut Diagnostics) {
    let overlaps = overlaps(rules, index);
    for (a, b) in overlaps.pairs {
        let (first, second) = (&rules[a.0 as usize], &rules[b.0 as usize]);
        // The mistake is shown where something is written to be mended.
        let (at, other) = if second.implied { (first, second) } else { (second, first) };
        let message = format!("two rules of equal rank can both answer a report `{}`", at.on);
        // Of rules without conditions every report is one.
        let tells = found.may_search() && !(first.when.is_empty() && second.when.is_empty());
        let example = tells.then(|| examples::of_both(&first.when, &second.when)).flatten();
        let both = example.map_or(String::new(), |e| format!("; both take {}", e.shown(&at.on)));
        let mistake = Diagnostic::new(codes::OVERLAPPING_RULES, at.span, message)
            .with_label(format!("rule `{}`{both}", at.index_label));
        let (place, help) = if other.implied {
            (
                format!("`on_failure: retry` here means the rule `{}`", other.index_label),
                "exclude the action here with `when: { action: { not: … } }`, or write the rule for it out".to_owned(),
            )
        } else if at.when.is_empty() {
            ("the other one".to_owned(), "merge the two, or give one of them a `when:`".to_owned())
        } else {
            (format!("rule `{}`", other.index_label), "make the conditions exclude each other; which rule wins never depends on their order".to_owned())
        };
        found.add(mistake.with_place(other.span, place).with_help(help));
    }
    if let Some(id) = overlaps.gave_up_at {
        let rule = &rules[id.0 as usize];
        let message =
            format!("there are too many rules for `{}` to compare each with each", rule.on);
        let help = "let them compare one common field for equality, e.g. `data.country: DE`";
        found.add(
            Diagnostic::new(codes::CONDITIONS_TOO_ENTANGLED, rule.span, message).with_help(help),
        );
    }
}
