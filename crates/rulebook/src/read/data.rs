//! The business fields of a report: paths alone, or each with its type, whether it is secret, and its role.

use super::scope::Scope;
use crate::book::Roles;
use crate::data_field::is_currency;
use crate::fields::{self, Fields};
use crate::mistakes::{Diagnostics, quote};
use crate::tree::{Entry, Kind, Node};
use crate::{
    Currency, DataField, DataRole, DataType, Diagnostic, ReportDecl, SecretFields, Span, codes,
};
use amends_protocol::Verb;
use std::sync::Arc;

const FIELD_KEYS: &[&str] = &["type", "secret", "role", "currency"];

/// The role as it is written: an amount's currency is known once all fields are.
struct Written<'n> {
    field: DataField,
    role: Option<(&'static str, Span)>,
    currency: Option<(&'n str, Span)>,
}

/// `data:` as a list of paths, or as a mapping of paths to what is known of each. `data.` in front of a path may be
/// left out.
pub(super) fn read(node: &Node, found: &mut Diagnostics) -> Vec<DataField> {
    let Kind::Map(entries) = &node.kind else {
        let items = fields::one_or_many(node);
        fields::tell_repeated(items, "`data`", found);
        let mut all = Vec::new();
        for item in items {
            let path = fields::text(item, "`data`", found)
                .and_then(|text| read_path(text, item.span, found));
            all.extend(path.map(|path| plain(path, item.span)));
        }
        return all;
    };
    let written: Vec<Written<'_>> =
        entries.iter().filter_map(|entry| read_one(entry, found)).collect();
    with_roles(written, found)
}

fn plain(path: Arc<str>, span: Span) -> DataField {
    DataField { path, kind: None, secret: false, role: None, span }
}

fn read_one<'n>(entry: &'n Entry, found: &mut Diagnostics) -> Option<Written<'n>> {
    let path = read_path(&entry.key, entry.key_span, found)?;
    let field = plain(path, entry.key_span);
    let mut written = Written { field, role: None, currency: None };
    match &entry.value.kind {
        Kind::Map(_) => read_details(entry, &mut written, found),
        // Nothing written says only that it is carried.
        _ if entry.value.is_nothing() => {}
        _ => written.field.kind = read_type(&entry.value, &entry.key, found),
    }
    Some(written)
}

fn read_type(node: &Node, of: &str, found: &mut Diagnostics) -> Option<DataType> {
    let words = DataType::ALL.map(|kind| (kind.as_str(), kind));
    fields::word(node, &format!("`{of}`"), &words, found)
}

fn read_details<'n>(entry: &'n Entry, written: &mut Written<'n>, found: &mut Diagnostics) {
    let what = format!("field `{}`", entry.key);
    let Some(keys) = Fields::open(&entry.value, &what, FIELD_KEYS, found) else { return };
    if let Some(node) = keys.get("type") {
        written.field.kind = read_type(node, "type", found);
    }
    if let Some(node) = keys.get("secret") {
        written.field.secret = fields::flag(node, "`secret`", found).unwrap_or(false);
    }
    if let Some(node) = keys.get("role") {
        let words = DataRole::WORDS.map(|word| (word, word));
        let word = fields::word(node, "`role`", &words, found);
        written.role = word.map(|word| (word, node.span));
    }
    if let Some(node) = keys.get("currency") {
        let text = fields::text(node, "`currency`", found);
        written.currency = text.map(|text| (text, node.span));
    }
}

/// Gives each field the role that is written, if it can have it.
fn with_roles(written: Vec<Written<'_>>, found: &mut Diagnostics) -> Vec<DataField> {
    let all: Vec<DataField> = written.iter().map(|one| one.field.clone()).collect();
    let mut taken: Vec<(&str, Span)> = Vec::new();
    let mut fields = Vec::with_capacity(all.len());
    for one in written {
        let Written { mut field, role, currency } = one;
        if let Some((word, at)) = role {
            let first = taken.iter().find(|(other, _)| *other == word).map(|(_, at)| *at);
            taken.push((word, at));
            field.role = match first {
                Some(first) => {
                    let message = format!("a second field with the role `{word}`");
                    let help = "a report has one field of each role: take the role from the others";
                    bad(at, message, help, Some((first, "the first here")), found);
                    None
                }
                None => role_of(&field, (word, at), currency, &all, found),
            };
        }
        if let (Some((_, at)), None | Some(("key" | "customer", _))) = (currency, role) {
            let message = format!("`{}` has a currency and is no amount", field.path);
            bad(at, message, "say `role: amount` beside it, or leave `currency` out", None, found);
        }
        fields.push(field);
    }
    fields
}

fn role_of(
    field: &DataField,
    (word, at): (&'static str, Span),
    currency: Option<(&str, Span)>,
    all: &[DataField],
    found: &mut Diagnostics,
) -> Option<DataRole> {
    let role = match word {
        "key" => DataRole::Key,
        "customer" => DataRole::Customer,
        _ => DataRole::Amount(currency_of(field, at, currency, all, found)?),
    };
    if field.secret {
        let message = format!("`{}` is secret and has a role", field.path);
        let help = "what has a role is shown in lists and sums: leave out `role`, or `secret`";
        bad(at, message, help, None, found);
        return None;
    }
    if let Some(kind) = field.kind.filter(|kind| !role.fits(*kind)) {
        let message =
            format!("`{}` is declared as `{}`, so it is no {word}", field.path, kind.as_str());
        let help = match role {
            DataRole::Amount(_) => "an amount is a `decimal` or an `integer`",
            DataRole::Key | DataRole::Customer => "a key or a customer is a `text` or an `integer`",
        };
        bad(at, message, help, None, found);
        return None;
    }
    Some(role)
}

fn currency_of(
    field: &DataField,
    at: Span,
    currency: Option<(&str, Span)>,
    all: &[DataField],
    found: &mut Diagnostics,
) -> Option<Currency> {
    let Some((text, span)) = currency else {
        let message = format!("nothing says of what currency the amount `{}` is", field.path);
        let help = "name the field that says it, `currency: currency`, or the one that it always is, `currency: EUR`";
        bad(at, message, help, None, found);
        return None;
    };
    let path = text.strip_prefix("data.").unwrap_or(text);
    let named = all.iter().find(|other| *other.path == *path);
    let problem = match named {
        Some(other) if other.path == field.path => "is the amount itself",
        Some(other) if other.secret => "is secret, so no sum could say what it is of",
        Some(other) if other.kind.is_some_and(|kind| kind != DataType::Text) => "is no text",
        Some(other) => return Some(Currency::Field(Arc::clone(&other.path))),
        None if is_currency(path) => return Some(Currency::Fixed(path.into())),
        None => "is no field of this report",
    };
    let close = found.did_you_mean(path, all.iter().map(|other| &*other.path));
    let help = close.filter(|_| named.is_none()).unwrap_or_else(|| {
        "name a text of the same `data`, or the currency itself in capitals, e.g. `EUR`".to_owned()
    });
    bad(span, format!("the currency {} {problem}", quote(path)), &help, None, found);
    None
}

fn bad(
    at: Span,
    message: String,
    help: &str,
    other: Option<(Span, &str)>,
    found: &mut Diagnostics,
) {
    let mut mistake = Diagnostic::new(codes::BAD_ROLE, at, message).with_help(help);
    if let Some((span, label)) = other {
        mistake = mistake.with_place(span, label);
    }
    found.add(mistake);
}

fn read_path(text: &str, at: Span, found: &mut Diagnostics) -> Option<Arc<str>> {
    let path = text.strip_prefix("data.").unwrap_or(text);
    if path.split('.').any(str::is_empty) {
        let message = format!("{} is not a field of a report", quote(text));
        let help = "name it with dots between nested objects, e.g. `customer.country`";
        found.add(Diagnostic::new(codes::INVALID_NAME, at, message).with_help(help));
        return None;
    }
    Some(path.into())
}

/// The roles that the reports of each service declare.
pub(super) fn roles(reports: &[ReportDecl]) -> Roles {
    let mut roles = Roles::default();
    for report in reports {
        for field in report.data.iter().flatten() {
            let Some(role) = &field.role else { continue };
            let of_service = roles.entry(report.service).or_default();
            let one = (Arc::clone(&field.path), role.clone());
            if !of_service.contains(&one) {
                of_service.push(one);
            }
        }
    }
    roles
}

/// Secret fields in addresses of requests: those stand in the logs of everything on the way.
pub(super) fn check_secrets(scope: &Scope, reports: &[ReportDecl], found: &mut Diagnostics) {
    let secrets = SecretFields::of(reports);
    if secrets.is_empty() {
        return;
    }
    let declared = |path: &str| {
        let mut fields = reports.iter().flat_map(|report| report.data.iter().flatten());
        fields.find(|field| field.secret && *field.path == *path).map(|field| field.span)
    };
    for action in &scope.actions {
        for verb in Verb::ALL {
            let Some(endpoint) = action.endpoints.get(*verb) else { continue };
            let poll = endpoint.poll.as_ref().and_then(|poll| poll.path.as_ref());
            let addresses = std::iter::once(&endpoint.path).chain(poll);
            let named = addresses.flat_map(|path| path.fields());
            let hit = named.filter_map(|name| name.strip_prefix("data.")).find_map(|path| {
                secrets.touched_by(path).map(|secret| (path.to_owned(), secret.to_owned()))
            });
            let Some((path, secret)) = hit else { continue };
            let message = format!(
                "the secret field `data.{path}` stands in the address of the request to {verb} `{}`",
                action.name
            );
            let mut mistake = Diagnostic::new(codes::SECRET_IN_ADDRESS, action.span, message)
                .with_label("its `endpoints:` name the field")
                .with_help("put it into the body or a header, and something else into path and query: addresses are logged on the way");
            if let Some(span) = declared(&secret) {
                mistake = mistake.with_place(span, "declared as secret here");
            }
            found.add(mistake);
        }
    }
}
