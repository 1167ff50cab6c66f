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
            let all = items.iter().map(|item| read_scalar(item, &field, &what, found));
            vec![Matcher::OneOf(all.collect::<Vec<_>>().into_iter().collect::<Option<_>>()?)]
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
            let mut mistake = Diagnostic::new(
                codes::UNKNOWN_KEY,
                at,
                format!("a report has no field {}", quote(key)),
            );
            mistake.help = Some(
                match found.closest(key, ["action", "message", "entry", "caller"]) {
                    Some(close) => format!("did you mean `{close}`?"),
                    None => format!(
                        "fields are `action`, `message`, `entry`, `caller` and `data.…`; did you mean {}?",
                        quote(&format!("data.{key}"))
                    ),
                },
            );
            found.add(mistake);
            None
        }
    }
}

fn read_matchers(
    node: &Node,
    field: &Field,
    what: &str,
    found: &mut Diagnostics,
) -> Option<Vec<Matcher>> {
    let all = Fields::open(node, &format!("the condition on {what}"), MATCHERS, found)?;
    let mut matchers = Vec::new();
    let mut written = 0;
    for name in MATCHERS {
        let Some(value) = all.get(name) else {
            continue;
        };
        written += 1;
        matchers.extend(read_matcher(name, value, field, what, found));
    }
    if written == 0 && fields::entries(node, what, found).is_some_and(<[_]>::is_empty) {
        let mistake = Diagnostic::new(
            codes::WRONG_TYPE,
            node.span,
            format!("the condition on {what} says nothing"),
        );
        found.add(mistake.with_help("write for example `{ present: true }`"));
    }
    (written > 0 && matchers.len() == written).then_some(matchers)
}

fn read_matcher(
    name: &str,
    node: &Node,
    field: &Field,
    what: &str,
    found: &mut Diagnostics,
) -> Option<Matcher> {
    let what = format!("`{name}` of {what}");
    Some(match name {
        "one_of" => {
            let Kind::List(items) = &node.kind else {
                fields::wrong_type(node, &what, "a list", found);
                return None;
            };
            let all: Vec<_> =
                items.iter().map(|item| read_scalar(item, field, &what, found)).collect();
            Matcher::OneOf(all.into_iter().collect::<Option<Vec<_>>>()?)
        }
        "prefix" => Matcher::Prefix(fields::text(node, &what, found)?.into()),
        "not" => Matcher::Not(read_scalar(node, field, &what, found)?),
        "present" => Matcher::Present(fields::flag(node, &what, found)?),
        "gt" => Matcher::Gt(read_number(node, &what, found)?),
        "gte" => Matcher::Gte(read_number(node, &what, found)?),
        "lt" => Matcher::Lt(read_number(node, &what, found)?),
        _ => Matcher::Lte(read_number(node, &what, found)?),
    })
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
    if let Some(Scalar::Number(number)) = fields::business_scalar(node, found) {
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
    let Some(service) = pattern.and_then(|p| scope.names.services.get(p.service.as_ref()?)) else {
        return true;
    };
    let of = |name: &str, found: &mut _| scope.find_in_service(*service, name, at, found).is_some();
    named(matchers).filter(|name| !of(name, found)).count() == 0
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
