//! Business fields: compared as one thing in all rules, and said to be carried by somebody.

use super::findings::Findings;
use amends_protocol::Verb;
use amends_rulebook::mistakes::closest;
use amends_rulebook::{
    Condition, Diagnostic, Endpoint, Field, Matcher, Rulebook, Scalar, Span, codes,
};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(book: &Rulebook, found: &mut Findings<'_>) {
    mixed_types(book, found);
    undeclared_fields(book, found);
}

/// What a condition takes a field for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Text,
    Number,
    Flag,
}

impl Kind {
    const fn in_words(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Number => "a number",
            Self::Flag => "`true` or `false`",
        }
    }

    const fn of(scalar: &Scalar) -> Self {
        match scalar {
            Scalar::Text(_) => Self::Text,
            Scalar::Number(_) => Self::Number,
            Scalar::Bool(_) => Self::Flag,
        }
    }
}

fn kinds(condition: &Condition) -> BTreeSet<Kind> {
    let one = |matcher: &Matcher| -> Vec<Kind> {
        match matcher {
            Matcher::Equals(scalar) | Matcher::Not(scalar) => vec![Kind::of(scalar)],
            Matcher::OneOf(all) => all.iter().map(Kind::of).collect(),
            Matcher::Prefix(_) => vec![Kind::Text],
            Matcher::Gt(_) | Matcher::Gte(_) | Matcher::Lt(_) | Matcher::Lte(_) => {
                vec![Kind::Number]
            }
            Matcher::Present(_) => Vec::new(),
        }
    };
    condition.matchers.iter().flat_map(one).collect()
}

/// The service whose reports a rule answers, none for any, and a field of theirs.
type FieldOfService<'b> = (Option<&'b str>, &'b Field);

/// A text and a number are never equal, so one of two rules that take a field for both never holds.
fn mixed_types(book: &Rulebook, found: &mut Findings<'_>) {
    let mut first: BTreeMap<FieldOfService<'_>, (BTreeSet<Kind>, Span)> = BTreeMap::new();
    let mut told = BTreeSet::new();
    for rule in book.rules() {
        for condition in &rule.when {
            let own = kinds(condition);
            if !matches!(condition.field, Field::Data(_)) || own.is_empty() {
                continue;
            }
            let place = (rule.pattern.service.as_deref(), &condition.field);
            let (before, at) =
                first.entry(place).or_insert_with(|| (own.clone(), condition.span)).clone();
            if before.intersection(&own).next().is_some() || !told.insert(place) {
                continue;
            }
            let (Some(here), Some(there)) = (own.first(), before.first()) else { continue };
            let (here, there) = (here.in_words(), there.in_words());
            let field = &condition.field;
            let message =
                format!("`{field}` is compared with {here} here, and with {there} elsewhere");
            found.add(
                Diagnostic::new(codes::MIXED_TYPES, condition.span, message)
                    .with_label("a text and a number are never equal")
                    .with_place(at, format!("with {there} here"))
                    .with_help("write numbers without quotes and texts with them, as the service sends the field"),
            );
        }
    }
}

/// A field that nothing is said to carry is mostly a slip; a History may carry it too, but then nobody checks its name.
fn undeclared_fields(book: &Rulebook, found: &mut Findings<'_>) {
    if book.reports().is_empty() {
        return;
    }
    let carried: BTreeSet<&str> =
        book.reports().iter().flat_map(|r| r.data.iter().flatten()).map(|d| &*d.path).collect();
    let mut told = BTreeSet::new();
    for action in book.actions() {
        for endpoint in Verb::ALL.iter().filter_map(|verb| action.endpoints.get(*verb)) {
            for field in missing(endpoint, &carried) {
                let at = (action.span, field);
                let place = endpoint.place_of(&format!("data.{field}"));
                if found.names_field(codes::UNSUPPLIED_FIELD, field) || !told.insert(at) {
                    continue;
                }
                let message = format!(
                    "no report is said to carry `data.{field}`, which `{}` needs",
                    action.name
                );
                let help = match closest(field, carried.iter().copied()) {
                    Some(close) => format!("did you mean `{{data.{close}}}`?"),
                    None => format!(
                        "name it in `data:` of the reports that carry it, e.g. `data: [{field}]`"
                    ),
                };
                found.add(
                    Diagnostic::new(codes::UNDECLARED_FIELD, place, message)
                        .with_label("the request needs it")
                        .with_help(help),
                );
            }
        }
    }
}

fn missing<'e>(endpoint: &'e Endpoint, carried: &BTreeSet<&str>) -> Vec<&'e str> {
    let is_inside = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
    };
    let named = |field: &str| {
        carried.iter().any(|d| *d == field || is_inside(d, field) || is_inside(field, d))
    };
    let fields = endpoint.placeholders().into_iter().filter_map(|p| p.strip_prefix("data."));
    fields.filter(|field| !named(field)).collect()
}
