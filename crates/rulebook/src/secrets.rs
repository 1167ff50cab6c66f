//! Business fields that people never see. They go out in step requests, byte for byte; everything that is shown, logged
//! or told holds [`MASK`] in their place.
//!
//! A path that one report calls secret is secret in the whole rulebook: in every report, in evidence and in what people
//! edit, since the same field travels under one name. A superset is safe.

use crate::ReportDecl;
use amends_protocol::spelled;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What stands in place of a secret.
pub const MASK: &str = "••• (secret)";

/// Shorter values are not looked for in texts: they stand in too many words.
const SHORTEST: usize = 3;
/// Longer ones are found within words, too.
const LONG: usize = 8;

/// The paths of fields that are never shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretFields {
    paths: BTreeSet<Arc<str>>,
    everything: bool,
}

/// The values of secret fields, so that no text repeats them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretValues(BTreeSet<String>);

impl SecretFields {
    /// For data of which nobody can say any more what is secret.
    #[must_use]
    pub fn everything() -> Self {
        Self { paths: BTreeSet::new(), everything: true }
    }

    pub(crate) fn of(reports: &[ReportDecl]) -> Self {
        let fields = reports.iter().flat_map(|report| report.data.iter().flatten());
        let paths = fields.filter(|field| field.secret).map(|field| Arc::clone(&field.path));
        Self { paths: paths.collect(), everything: false }
    }

    /// Whether everything may be shown.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty() && !self.everything
    }

    /// What either of them hides.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        self.paths.extend(other.paths.iter().cloned());
        self.everything |= other.everything;
        self
    }

    /// The secret field that a path is, lies in or holds, if there is one.
    #[must_use]
    pub fn touched_by(&self, path: &str) -> Option<&str> {
        let inside = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let mut paths = self.paths.iter();
        paths.find(|secret| inside(path, secret) || inside(secret, path)).map(|secret| &**secret)
    }

    /// Puts the mask in place of what is secret.
    pub fn mask(&self, data: &mut Map<String, Value>) {
        if self.everything {
            data.values_mut().for_each(hide);
        }
        for path in &self.paths {
            mask_path(data, path);
        }
    }

    /// The same in every object of a JSON text whose shape is not known: a superset of what is secret.
    pub fn mask_deep(&self, value: &mut Value) {
        match value {
            Value::Object(members) => {
                for path in &self.paths {
                    mask_path(members, path);
                }
                // The `data` of an envelope hold a report, whose own `data` are the business's.
                let is_envelope = members.contains_key("sagaId");
                for name in
                    ["data", "edited"].into_iter().filter(|_| self.everything && !is_envelope)
                {
                    members.get_mut(name).map(hide_inside);
                }
                members.values_mut().for_each(|value| self.mask_deep(value));
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.mask_deep(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// The values of what is secret in these data.
    pub fn collect(&self, data: &Map<String, Value>, into: &mut SecretValues) {
        if self.everything {
            data.values().for_each(|value| into.add(value));
        }
        for path in &self.paths {
            collect_path(data, path, into);
        }
    }

    /// The same of every object of a JSON text whose shape is not known.
    pub fn collect_deep(&self, value: &Value, into: &mut SecretValues) {
        match value {
            Value::Object(members) => {
                self.paths.iter().for_each(|path| collect_path(members, path, into));
                members.values().for_each(|value| self.collect_deep(value, into));
            }
            Value::Array(items) => items.iter().for_each(|item| self.collect_deep(item, into)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

impl SecretValues {
    fn add(&mut self, value: &Value) {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Array(items) => return items.iter().for_each(|item| self.add(item)),
            Value::Object(members) => return members.values().for_each(|value| self.add(value)),
            Value::Null | Value::Bool(_) => return,
        };
        if text.chars().count() >= SHORTEST && text != MASK {
            self.0.insert(text);
        }
    }

    /// Whether there is nothing to look for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a text repeats one of them.
    #[must_use]
    pub fn are_in(&self, text: &str) -> bool {
        !self.is_empty() && self.scrub(text) != text
    }

    /// The text with the mask in place of every secret that it repeats: a service may well say `card 4111… declined`.
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        let mut out = text.to_owned();
        // The longest first: one may be a part of another.
        let mut values: Vec<&String> = self.0.iter().collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        for value in values {
            out = without(&out, value);
            // An encoding of a short value is short itself, and may stand in any word.
            if value.len() >= LONG {
                let encoded = spelled::encodings(value.as_bytes());
                out = encoded.iter().fold(out, |out, writing| out.replace(writing.as_str(), MASK));
            }
        }
        out
    }

    /// The same in place.
    pub fn scrub_in(&self, text: &mut Option<String>) {
        if let Some(text) = text.as_mut().filter(|_| !self.is_empty()) {
            *text = self.scrub(text);
        }
    }
}

/// Puts back what a person was not shown and has left as it was.
///
/// # Errors
/// The path of a mask with nothing behind it.
pub fn restore(edited: &mut Value, before: &Value) -> Result<(), String> {
    restore_at(edited, Some(before), "")
}

fn restore_at(edited: &mut Value, before: Option<&Value>, path: &str) -> Result<(), String> {
    match edited {
        Value::String(text) if text == MASK => match before {
            Some(before) if *before != Value::Null => *edited = before.clone(),
            _ => return Err(path.to_owned()),
        },
        Value::Object(members) => {
            for (name, value) in members {
                let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                restore_at(value, before.and_then(|before| before.get(name)), &inner)?;
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter_mut().enumerate() {
                restore_at(item, before.and_then(|before| before.get(n)), &format!("{path}.{n}"))?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    Ok(())
}

fn hide(value: &mut Value) {
    if !value.is_null() {
        *value = MASK.into();
    }
}

fn hide_inside(value: &mut Value) {
    match value {
        Value::Object(members) => members.values_mut().for_each(hide),
        other => hide(other),
    }
}

/// A key may hold dots itself, and what lies in a list is reached through each of its items.
fn mask_path(data: &mut Map<String, Value>, path: &str) {
    for (key, value) in data {
        let Some(rest) = path.strip_prefix(key.as_str()) else { continue };
        match (rest.strip_prefix('.'), rest.is_empty()) {
            (_, true) => hide(value),
            (Some(rest), _) => mask_inside(value, rest),
            (None, false) => {}
        }
    }
}

fn mask_inside(value: &mut Value, path: &str) {
    match value {
        Value::Object(members) => mask_path(members, path),
        Value::Array(items) => items.iter_mut().for_each(|item| mask_inside(item, path)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn collect_path(data: &Map<String, Value>, path: &str, into: &mut SecretValues) {
    for (key, value) in data {
        let Some(rest) = path.strip_prefix(key.as_str()) else { continue };
        match (rest.strip_prefix('.'), rest.is_empty()) {
            (_, true) => into.add(value),
            (Some(rest), _) => collect_inside(value, rest, into),
            (None, false) => {}
        }
    }
}

fn collect_inside(value: &Value, path: &str, into: &mut SecretValues) {
    match value {
        Value::Object(members) => collect_path(members, path, into),
        Value::Array(items) => items.iter().for_each(|item| collect_inside(item, path, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Without a value, wherever and however it stands there; a short one only where it is a word of its own.
fn without(text: &str, value: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = spelled::find(rest, value) {
        let (before, found, after) = (&rest[..at.start], &rest[at.clone()], &rest[at.end..]);
        let joins = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let is_part = value.len() < LONG
            && (joins(before.chars().next_back()) || joins(after.chars().next()));
        out.push_str(before);
        out.push_str(if is_part { found } else { MASK });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(paths: &[&str]) -> SecretFields {
        SecretFields { paths: paths.iter().map(|path| (*path).into()).collect(), everything: false }
    }

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(members) => members,
            other => panic!("an object: {other}"),
        }
    }

    #[test]
    fn secrets_are_hidden_at_any_depth_in_lists_and_under_keys_with_dots() {
        let mut data = object(json!({
            "card": { "number": "4111", "holder": "Kim" }, "card.number": "4111",
            "cards": [{ "number": "4222" }, "x"], "pin": 1234, "cardiac": "seen", "none": null,
        }));
        fields(&["card.number", "cards.number", "pin", "none"]).mask(&mut data);
        let shown = json!({
            "card": { "number": MASK, "holder": "Kim" }, "card.number": MASK,
            "cards": [{ "number": MASK }, "x"], "pin": MASK, "cardiac": "seen", "none": null,
        });
        assert_eq!(Value::Object(data), shown);
    }

    #[test]
    fn where_nobody_knows_what_is_secret_every_field_is() {
        let mut data = object(json!({ "a": 1, "b": { "c": 2 }, "d": null }));
        SecretFields::everything().mask(&mut data);
        assert_eq!(Value::Object(data), json!({ "a": MASK, "b": MASK, "d": null }));
    }

    #[test]
    fn a_text_repeats_no_secret_and_keeps_its_other_words() {
        let mut values = SecretValues::default();
        let data = object(json!({ "card": "4111111111111111", "cvv": 123, "short": "42" }));
        fields(&["card", "cvv", "short"]).collect(&data, &mut values);
        let said = "card 4111111111111111 (x4111111111111111y), cvv 123, order 91234, room 42";
        let shown = format!("card {MASK} (x{MASK}y), cvv {MASK}, order 91234, room 42");
        assert_eq!(values.scrub(said), shown);
        let said =
            "u:4111111111111111 is dTo0MTExMTExMTExMTExMTEx and 34313131313131313131313131313131";
        let shown = values.scrub(said);
        assert!(!shown.contains("MTExMTEx") && !shown.contains("3131"), "{shown}");
        let data = object(json!({ "card": "Main Street 5" }));
        fields(&["card"]).collect(&data, &mut values);
        assert_eq!(
            values.scrub("GET /at?street=Main+Street%205"),
            format!("GET /at?street={MASK}")
        );
    }

    #[test]
    fn what_was_not_shown_comes_back_through_an_edit() {
        let before = json!({ "amount": 1, "card": "4111", "list": [{ "pin": 7 }] });
        let mut edited = json!({ "amount": 2, "card": MASK, "list": [{ "pin": MASK }] });
        assert_eq!(restore(&mut edited, &before), Ok(()));
        assert_eq!(edited, json!({ "amount": 2, "card": "4111", "list": [{ "pin": 7 }] }));
        let mut new = json!({ "to": { "iban": MASK } });
        assert_eq!(restore(&mut new, &before), Err("to.iban".to_owned()));
    }

    #[test]
    fn a_path_touches_what_it_is_lies_in_or_holds() {
        let secret = fields(&["card.number"]);
        for path in ["card.number", "card", "card.number.last4"] {
            assert_eq!(secret.touched_by(path), Some("card.number"), "{path}");
        }
        for path in ["card.holder", "cardx", "card.numbers"] {
            assert_eq!(secret.touched_by(path), None, "{path}");
        }
    }
}
