//! `when:` of a rule: fields of the report and what they must hold.

use super::scope::Scope;
use crate::fields::{self, Fields};
use crate::mistakes::{Diagnostics, quote};
use crate::tree::{Entry, Kind, Node};
use crate::{Condition, Diagnostic, Field, Matcher, Number, Pattern, Scalar, Span, codes, overlap};
use std::sync::Arc;

const MATCHERS: &[&str] = &["one_of", "prefix", "gt", "gte", "lt", "lte", "present", "not"];

/// Conditions of one rule. Each is looked at for each report of the pattern.
const CONDITION_LIMIT: usize = 64;

/// Reads `when:`, sorted by field. None if a condition is wrong: then nothing is known of what the rule matches.
pub(crate) fn read(
    node: &Node,
    pattern: Option<&Pattern>,
    scope: &Scope,
    found: &mut Diagnostics,
) -> Option<Vec<Condition>> {
    let entries = fields::entries(node, "`when`", found)?;
    if entries.len() > CONDITION_LIMIT {
        let message = format!("a rule has at most {CONDITION_LIMIT} conditions");
        found.add(
            Diagnostic::new(codes::TOO_LARGE, node.span, message)
                .with_help("divide it into several rules"),
        );
        return None;
    }
    if entries.is_empty() {
        let message = "`when` names no field, so the rule is for every report of its pattern";
        found.add(
            Diagnostic::new(codes::IDLE_SETTING, node.span, message)
                .with_help("leave it out, or name a field: `when: { data.kind: card }`"),
        );
    }
    let mut conditions = Vec::with_capacity(entries.len());
    let mut complete = true;
    for entry in entries {
        match read_one(entry, pattern, scope, found) {
            Some(condition) => conditions.push(condition),
            None => complete = false,
        }
    }
    if !complete {
        return None;
    }
    conditions.sort_by(|a: &Condition, b| a.field.cmp(&b.field));
    if let Some(condition) = overlap::contradiction(&conditions) {
        let message = format!("no report can meet the condition on `{}`", condition.field);
        let mistake = Diagnostic::new(codes::CONTRADICTORY_CONDITIONS, condition.span, message);
        let inner = conditions.iter().find(|c| condition.field.encloses(&c.field));
        let mistake = match inner.filter(|_| !condition.accepts.is_empty()) {
            Some(inner) => mistake.with_place(
                inner.span,
                format!(
                    "`{}` can only be there if `{}` is an object",
                    inner.field, condition.field
                ),
            ),
            None => mistake.with_label(format!("wants {}", condition.wanted())),
        };
        found.add(mistake.with_help(
            "what stands under one rule must hold all at once; make two rules of it for `or`",
        ));
        return None;
    }
    Some(conditions)
}

fn read_one(
    entry: &Entry,
    pattern: Option<&Pattern>,
    scope: &Scope,
    found: &mut Diagnostics,
) -> Option<Condition> {
    let field = read_field(&entry.key, entry.key_span, found)?;
    let what = format!("`{field}`");
    let matchers = match &entry.value.kind {
        Kind::Map(_) => read_matchers(&entry.value, &field, &what, found)?,
        Kind::Scalar { .. } if !entry.value.is_nothing() => {
            vec![Matcher::Equals(read_scalar(&entry.value, &field, &what, found)?)]
        }
        Kind::List(items) if !items.is_empty() => {
            vec![Matcher::OneOf(read_scalars(items, &field, &what, found)?)]
        }
        Kind::Scalar { .. } | Kind::List(_) => {
            let wanted =
                "a single value, a list of them, or a mapping such as `{ present: false }`";
            fields::wrong_type(&entry.value, &what, wanted, found);
            return None;
        }
    };
    let at = entry.value.span;
    let all_there = match field {
        Field::Action => actions_exist(&matchers, pattern, at, scope, found),
        Field::Entry | Field::Caller => {
            let of = |name: &str, found: &mut _| scope.find_action(name, at, found).is_some();
            named(&matchers).filter(|name| !of(name, found)).count() == 0
        }
        Field::Message | Field::Data(_) => true,
    };
    if !all_there {
        return None;
    }
    Some(Condition::new(field, matchers, entry.key_span))
}

fn read_field(key: &str, at: Span, found: &mut Diagnostics) -> Option<Field> {
    let path = key
        .strip_prefix("data.")
        .map(|path| path.split('.').map(Arc::from).collect::<Vec<Arc<str>>>());
    match (key, path) {
        ("action", _) => Some(Field::Action),
        ("message", _) => Some(Field::Message),
        ("entry", _) => Some(Field::Entry),
        ("caller", _) => Some(Field::Caller),
        (_, Some(path)) if path.iter().all(|part| !part.is_empty()) && path.len() <= 32 => {
            Some(Field::Data(path))
        }
        _ => {
            let message = format!("a report has no field {}", quote(key));
            let mistake = Diagnostic::new(codes::UNKNOWN_KEY, at, message)
                .with_help(help_to_field(key, found));
            found.add(mistake);
            None
        }
    }
}

fn help_to_field(key: &str, found: &Diagnostics) -> String {
    match key {
        "data" => {
            "a field is named by its path, in one key: `data.amount: { gte: 500 }`".to_owned()
        }
        "or" | "any" | "any_of" | "one_of" | "anyOf" | "oneOf" => {
            "write a rule for each, or several values of one field: `data.kind: [card, cash]`"
                .to_owned()
        }
        "and" | "all" | "all_of" | "allOf" => {
            "all fields under `when:` must hold anyway: write them one below the other".to_owned()
        }
        "not" => "write it at the field: `data.kind: { not: card }`".to_owned(),
        "code" | "report" | "service" => {
            format!(
                "a rule says it in `on: service/code`; a business field `{key}` is `data.{key}`"
            )
        }
        _ => match found.closest(key, ["action", "message", "entry", "caller"]) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!(
                "fields are `action`, `message`, `entry`, `caller` and `data.…`; did you mean {}?",
                quote(&format!("data.{key}"))
            ),
        },
    }
}

fn read_matchers(
    node: &Node,
    field: &Field,
    what: &str,
    found: &mut Diagnostics,
) -> Option<Vec<Matcher>> {
    let name = format!("the condition on {what}");
    let all = Fields::open_with_habits(node, &name, MATCHERS, comparison_elsewhere, found)?;
    let mut matchers = Vec::new();
    let (mut written, mut complete) = (0, true);
    for name in MATCHERS {
        let Some(value) = all.get(name) else {
            continue;
        };
        written += 1;
        let read = read_matcher(name, value, field, what, found);
        complete &= read.is_some();
        matchers.extend(read.unwrap_or_default());
    }
    if written == 0 && fields::entries(node, what, found).is_some_and(<[_]>::is_empty) {
        let mistake = Diagnostic::new(
            codes::WRONG_TYPE,
            node.span,
            format!("the condition on {what} says nothing"),
        );
        found.add(mistake.with_help("write for example `{ present: true }`"));
    }
    (written > 0 && complete).then_some(matchers)
}

/// What comparisons of other tools are called here.
fn comparison_elsewhere(key: &str) -> Option<&'static str> {
    Some(match key {
        "ge" | ">=" | "=>" | "min" | "from" | "at_least" | "minimum" => "did you mean `gte`?",
        "le" | "<=" | "=<" | "max" | "to" | "at_most" | "maximum" => "did you mean `lte`?",
        ">" | "above" | "greater" | "more_than" => "did you mean `gt`?",
        "<" | "below" | "less" | "less_than" => "did you mean `lt`?",
        "eq" | "=" | "==" | "is" | "equals" => "write the value itself, e.g. `data.kind: card`",
        "ne" | "neq" | "!=" | "<>" | "not_in" | "none_of" => "did you mean `not`?",
        "in" | "any_of" => "did you mean `one_of`?",
        "between" | "range" => "write both ends: `{ gte: 10, lt: 100 }`",
        "starts_with" | "startswith" | "startsWith" | "begins" => "did you mean `prefix`?",
        "exists" | "defined" | "is_present" => "did you mean `present`?",
        "absent" | "missing" => "write `present: false`",
        "matches" | "regex" | "like" | "pattern" | "contains" | "suffix" | "ends_with" => {
            "texts are compared as a whole or by how they begin: write `one_of` or `prefix`"
        }
        _ => return None,
    })
}

fn read_matcher(
    name: &str,
    node: &Node,
    field: &Field,
    what: &str,
    found: &mut Diagnostics,
) -> Option<Vec<Matcher>> {
    let what = format!("`{name}` of {what}");
    let one = match name {
        "one_of" => {
            let Kind::List(items) = &node.kind else {
                fields::wrong_type(node, &what, "a list", found);
                return None;
            };
            Matcher::OneOf(read_scalars(items, field, &what, found)?)
        }
        "prefix" => Matcher::Prefix(fields::text(node, &what, found)?.into()),
        "not" => match &node.kind {
            // None of these: each is excluded.
            Kind::List(items) if !items.is_empty() => {
                let all = read_scalars(items, field, &what, found)?;
                return Some(all.into_iter().map(Matcher::Not).collect());
            }
            _ => Matcher::Not(read_scalar(node, field, &what, found)?),
        },
        "present" => Matcher::Present(fields::flag(node, &what, found)?),
        "gt" => Matcher::Gt(read_number(node, &what, found)?),
        "gte" => Matcher::Gte(read_number(node, &what, found)?),
        "lt" => Matcher::Lt(read_number(node, &what, found)?),
        _ => Matcher::Lte(read_number(node, &what, found)?),
    };
    Some(vec![one])
}

fn read_scalars(
    items: &[Node],
    field: &Field,
    what: &str,
    found: &mut Diagnostics,
) -> Option<Vec<Scalar>> {
    fields::tell_repeated(items, what, found);
    // Each is read, so that each mistake is told.
    let all: Vec<_> = items.iter().map(|item| read_scalar(item, field, what, found)).collect();
    all.into_iter().collect()
}

/// All but business fields are always texts; in `data`, quotes make the difference between `"7"` and `7`.
fn read_scalar(node: &Node, field: &Field, what: &str, found: &mut Diagnostics) -> Option<Scalar> {
    if !matches!(field, Field::Data(_)) {
        return Some(Scalar::Text(fields::text(node, what, found)?.into()));
    }
    let scalar = fields::business_scalar(node, found);
    if scalar.is_none() {
        fields::wrong_type(node, what, "a text, a number, `true` or `false`", found);
    }
    scalar
}

fn read_number(node: &Node, what: &str, found: &mut Diagnostics) -> Option<Number> {
    if let Some(Scalar::Number(number)) = fields::number_scalar(node, found) {
        return Some(number);
    }
    let text = fields::text(node, what, found)?;
    let mistake = Diagnostic::new(
        codes::INVALID_NUMBER,
        node.span,
        format!("{} is not a number", quote(text)),
    );
    found.add(
        mistake
            .with_label(format!("for {what}"))
            .with_help("numbers are compared as written, without units and quotes"),
    );
    None
}

/// A misspelt action would make a rule that never matches.
fn actions_exist(
    matchers: &[Matcher],
    pattern: Option<&Pattern>,
    at: Span,
    scope: &Scope,
    found: &mut Diagnostics,
) -> bool {
    let Some(pattern) = pattern else { return true };
    let service = pattern.service.as_ref().map(|name| scope.names.services.get(name));
    let is_there = |name: &str, found: &mut _| match service {
        Some(Some(service)) => scope.find_own(*service, name, at, found).is_some(),
        // Reports of the supervisor itself, or of a service that is told already.
        Some(None) => true,
        None => scope.find_anywhere(name, at, found),
    };
    named(matchers).filter(|name| !is_there(name, found)).count() == 0
}

/// The texts that a condition names.
fn named(matchers: &[Matcher]) -> impl Iterator<Item = &str> {
    let scalars = matchers.iter().flat_map(|matcher| match matcher {
        Matcher::Equals(one) | Matcher::Not(one) => std::slice::from_ref(one),
        Matcher::OneOf(many) => many,
        _ => &[],
    });
    scalars.filter_map(|scalar| match scalar {
        Scalar::Text(name) => Some(&**name),
        Scalar::Number(_) | Scalar::Bool(_) => None,
    })
}
