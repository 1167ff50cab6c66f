//! Texts with `{field}` placeholders, for requests to services that don't speak the participant protocol. Filling one in
//! never fails silently: a field that is missing is named.

use amends_protocol::wire::percent;
use serde_json::{Map, Value};
use std::fmt;
use std::ops::Range;

/// What may stand between braces, besides `{data.…}`.
pub const PLACEHOLDERS: &[&str] = &[
    "sagaId",
    "stepId",
    "key",
    "caseId",
    "requestId",
    "attempt",
    "action",
    "report.code",
    "report.service",
    "report.id",
    "report.message",
    "callback.url",
    CALLBACK_PROOF,
];

/// Lets its receiver answer for the step.
const CALLBACK_PROOF: &str = "callback.proof";

/// Text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(String),
}

/// A JSON body with placeholders in its texts.
#[derive(Clone, Debug, PartialEq)]
pub enum BodyTemplate {
    /// Not a text: taken as it is.
    Constant(Value),
    /// A text; if it is exactly one placeholder, the field's JSON type is kept.
    Text(Template),
    /// A list.
    List(Vec<BodyTemplate>),
    /// An object.
    Object(Vec<(String, BodyTemplate)>),
}

/// What is wrong with a template, and where in its text (bytes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TemplateError {
    pub(crate) kind: TemplateErrorKind,
    pub(crate) at: Range<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TemplateErrorKind {
    /// A `{` without its `}`, or the other way round.
    Unbalanced,
    /// This is no placeholder.
    Unknown(String),
}

/// Where a filled-in value goes.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Slot {
    Path,
    Header,
    Body,
}

/// Gives the value of a placeholder, e.g. of `data.amount`.
pub(crate) type Fields<'a> = &'a dyn Fn(&str) -> Option<Value>;

impl Template {
    /// Reads `text`; `{{` and `}}` stand for the braces themselves.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        Self::parse_with(text, is_placeholder)
    }

    /// The same, of a template that is filled in when an answer has come: `{answer.id}` takes a field of it.
    pub(crate) fn parse_of_answer(text: &str) -> Result<Self, TemplateError> {
        Self::parse_with(text, |name| is_placeholder(name) || is_path_in("answer.", name))
    }

    fn parse_with(text: &str, is_known: impl Fn(&str) -> bool) -> Result<Self, TemplateError> {
        let unbalanced =
            |at: Range<usize>| TemplateError { kind: TemplateErrorKind::Unbalanced, at };
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut at = 0;
        while let Some(offset) = text[at..].find(['{', '}']) {
            let brace = at + offset;
            plain.push_str(&text[at..brace]);
            let rest = &text[brace..];
            if rest.starts_with("{{") || rest.starts_with("}}") {
                plain.push_str(&rest[..1]);
                at = brace + 2;
                continue;
            }
            let end = rest[1..].find(['{', '}']).map(|n| brace + 1 + n);
            let closed = end.filter(|end| rest.starts_with('{') && text[*end..].starts_with('}'));
            let Some(end) = closed else {
                return Err(unbalanced(brace..brace + 1));
            };
            let name = &text[brace + 1..end];
            if !is_known(name) {
                return Err(TemplateError {
                    kind: TemplateErrorKind::Unknown(name.to_owned()),
                    at: brace..end + 1,
                });
            }
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Field(name.to_owned()));
            at = end + 1;
        }
        plain.push_str(&text[at..]);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }

    /// The names between braces, in order.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Field(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// A secret in front of the query, if there is any: paths stand in the logs of everything on the way. A step's
    /// proof is one.
    pub(crate) fn secret_in_path(&self) -> Option<&str> {
        let mut path = self.parts.iter().take_while(|part| match part {
            Part::Text(text) => !text.contains('?'),
            Part::Field(_) => true,
        });
        path.find_map(|part| match part {
            Part::Field(name) if is_secret(name) || name == CALLBACK_PROOF => Some(name.as_str()),
            Part::Field(_) | Part::Text(_) => None,
        })
    }

    /// The text outside of braces, piece by piece.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Field(_) => None,
        })
    }

    pub(crate) fn fill(&self, fields: Fields<'_>, slot: Slot) -> Result<String, String> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Field(name) => {
                    let value = scalar_text(name, &lookup(name, fields)?)?;
                    match slot {
                        Slot::Path if value.is_empty() => {
                            return Err(format!(
                                "field `{name}` is empty, and it stands in the path"
                            ));
                        }
                        Slot::Path => out.push_str(&percent::part(&value).to_string()),
                        Slot::Header
                            if !value.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) =>
                        {
                            out.push_str(&percent::attribute(&value).to_string());
                        }
                        Slot::Header | Slot::Body => out.push_str(&value),
                    }
                }
            }
        }
        Ok(out)
    }

    fn fill_json(&self, fields: Fields<'_>) -> Result<Value, String> {
        match self.parts.as_slice() {
            [Part::Field(name)] => lookup(name, fields),
            _ => self.fill(fields, Slot::Body).map(Value::from),
        }
    }
}

impl BodyTemplate {
    /// Its placeholders. A body is at most as deep as the text that it was read from.
    pub(crate) fn fields_into<'b>(&'b self, all: &mut Vec<&'b str>) {
        match self {
            Self::Constant(_) => {}
            Self::Text(text) => all.extend(text.fields()),
            Self::List(items) => items.iter().for_each(|item| item.fields_into(all)),
            Self::Object(entries) => entries.iter().for_each(|(_, item)| item.fields_into(all)),
        }
    }

    pub(crate) fn fill(&self, fields: Fields<'_>) -> Result<Value, String> {
        match self {
            Self::Constant(value) => Ok(value.clone()),
            Self::Text(template) => template.fill_json(fields),
            Self::List(items) => items.iter().map(|item| item.fill(fields)).collect(),
            Self::Object(entries) => {
                let mut object = Map::new();
                for (key, value) in entries {
                    object.insert(key.clone(), value.fill(fields)?);
                }
                Ok(Value::Object(object))
            }
        }
    }
}

impl BodyTemplate {
    /// As the pairs of a form.
    pub(crate) fn fill_form(&self, fields: Fields<'_>) -> Result<Vec<(String, String)>, String> {
        let Self::Object(entries) = self else {
            return Err("the body of a form must be a mapping".to_owned());
        };
        let one = |(key, value): &(String, Self)| {
            let text = match value {
                Self::Text(template) => template.fill(fields, Slot::Body)?,
                other => scalar_text(key, &other.fill(fields)?)?,
            };
            Ok((key.clone(), text))
        };
        entries.iter().map(one).collect()
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(&text.replace('{', "{{").replace('}', "}}")),
            Part::Field(name) => write!(f, "{{{name}}}"),
        })
    }
}

impl fmt::Display for BodyTemplate {
    /// As JSON with its placeholders.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn value(body: &BodyTemplate) -> Value {
            match body {
                BodyTemplate::Constant(value) => value.clone(),
                BodyTemplate::Text(text) => Value::from(text.to_string()),
                BodyTemplate::List(all) => all.iter().map(value).collect(),
                BodyTemplate::Object(all) => {
                    all.iter().map(|(key, one)| (key.clone(), value(one))).collect()
                }
            }
        }
        value(self).fmt(f)
    }
}

/// A placeholder as other tools write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// Its name.
    pub(crate) name: String,
    /// What of it goes out as it stands.
    pub(crate) sent: String,
}

/// The first `{{data.id}}` of a text; or `${data.id}`, if it is all of the text or stands in a path. Elsewhere a `$`
/// may well be a currency.
pub(crate) fn foreign_placeholder(text: &str) -> Option<Foreign> {
    let doubled = text.match_indices("{{").find_map(|(at, _)| {
        let (name, _) = text[at + 2..].split_once("}}")?;
        let sent = format!("{{{name}}}");
        let name = name.trim();
        is_placeholder(name).then(|| Foreign { name: name.to_owned(), sent })
    });
    doubled.or_else(|| {
        let (before, rest) = text.split_once("${")?;
        let (name, after) = rest.split_once('}')?;
        let is_whole = before.is_empty() && after.is_empty();
        let is_meant = is_placeholder(name) && (is_whole || text.starts_with('/'));
        is_meant.then(|| Foreign { name: name.to_owned(), sent: "$".to_owned() })
    })
}

/// Whether a name may stand between braces.
pub(crate) fn is_placeholder(name: &str) -> bool {
    PLACEHOLDERS.contains(&name) || is_path_in("data.", name) || is_secret(name)
}

fn is_secret(name: &str) -> bool {
    name.strip_prefix("secret.").is_some_and(|name| {
        (1..=128).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    })
}

fn is_path_in(root: &str, name: &str) -> bool {
    name.strip_prefix(root).is_some_and(|path| path.split('.').all(|key| !key.is_empty()))
}

fn lookup(name: &str, fields: Fields<'_>) -> Result<Value, String> {
    fields(name).filter(|v| !v.is_null()).ok_or_else(|| format!("field `{name}` is missing"))
}

fn scalar_text(name: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(format!("field `{name}` is not a text, a number, true or false"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fill(text: &str, place: Slot) -> Result<String, String> {
        let fields = |name: &str| match name {
            "sagaId" => Some(json!("order 1/2")),
            "data.amount" => Some(json!(12.5)),
            "data.nothing" => Some(Value::Null),
            "data.list" => Some(json!([1])),
            "data.lines" => Some(json!("a\r\nb: c")),
            "data.empty" => Some(json!("")),
            "data.hangul" => Some(json!("재고")),
            _ => None,
        };
        Template::parse(text).expect("a template").fill(&fields, place)
    }

    #[test]
    fn values_are_encoded_for_their_place() {
        assert_eq!(
            fill("/s/{sagaId}?a={data.amount}", Slot::Path),
            Ok("/s/order%201%2F2?a=12.5".to_owned())
        );
        assert_eq!(fill("{sagaId}", Slot::Header), Ok("order 1/2".to_owned()));
        assert_eq!(fill("{data.lines}", Slot::Header), Ok("a%0D%0Ab:%20c".to_owned()));
        assert_eq!(fill("{data.hangul}", Slot::Header), Ok("%EC%9E%AC%EA%B3%A0".to_owned()));
        assert_eq!(fill("{{{sagaId}}}", Slot::Body), Ok("{order 1/2}".to_owned()));
    }

    #[test]
    fn what_cannot_be_filled_in_is_named() {
        for (text, place) in [
            ("{data.absent}", Slot::Body),
            ("{data.nothing}", Slot::Body),
            ("{data.list}", Slot::Body),
            ("/{data.empty}/x", Slot::Path),
        ] {
            let name = text.trim_matches(|c| c != '{' && c != '}').to_owned();
            let error = fill(text, place).expect_err(text);
            let field =
                Template::parse(&name).expect("one field").fields().next().map(str::to_owned);
            assert!(field.is_some_and(|f| error.contains(&format!("`{f}`"))), "{error}");
        }
    }

    #[test]
    fn a_body_text_that_is_one_placeholder_keeps_its_type() {
        let fields = |_: &str| Some(json!({ "won": 1 }));
        let body = BodyTemplate::Object(vec![
            ("whole".to_owned(), BodyTemplate::Text(Template::parse("{data.x}").expect("valid"))),
            ("n".to_owned(), BodyTemplate::Constant(json!(1))),
        ]);
        assert_eq!(body.fill(&fields), Ok(json!({ "whole": { "won": 1 }, "n": 1 })));
    }

    #[test]
    fn mistakes_are_found_when_the_template_is_read() {
        let kind = |text: &str| Template::parse(text).expect_err(text);
        assert_eq!(kind("a{sagaId").at, 1..2);
        assert_eq!(kind("a}").at, 1..2);
        assert_eq!(kind("{a{sagaId}}").kind, TemplateErrorKind::Unbalanced);
        assert_eq!(
            kind("x{sagaid}"),
            TemplateError { kind: TemplateErrorKind::Unknown("sagaid".to_owned()), at: 1..9 }
        );
        for unknown in ["{}", "{data}", "{data.}", "{data.a..b}", "{report}"] {
            assert!(matches!(kind(unknown).kind, TemplateErrorKind::Unknown(_)), "{unknown}");
        }
    }

    #[test]
    fn placeholders_of_other_tools_are_known() {
        let sent = |text: &str| foreign_placeholder(text).map(|foreign| foreign.sent);
        assert_eq!(sent("a {{ data.id }} b").as_deref(), Some("{ data.id }"));
        assert_eq!(sent("${data.id}").as_deref(), Some("$"));
        assert_eq!(sent("/pay/${data.id}/refund").as_deref(), Some("$"));
        for right in ["{data.id}", "{{literal}}", "{{{sagaId}}}", "you get ${data.amount} back"] {
            assert_eq!(sent(right), None, "{right}");
        }
    }

    #[test]
    fn a_template_survives_print_and_parse() {
        for text in ["", "a{{b}}c", "{sagaId}{data.a.b}x", "{{{attempt}}}"] {
            let template = Template::parse(text).expect(text);
            assert_eq!(template.to_string(), text);
        }
    }
}
