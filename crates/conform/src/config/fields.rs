//! Takes single values out of the tree: mappings with known keys, texts, names, lengths of time, templates. Each says
//! what is wrong with a value, once, and gives nothing then.

use super::mistakes::{Mistakes, quote};
use crate::template::{BodyTemplate, NoTemplate, SLOTS, Template};
use amends_protocol::is_opaque_name;
use amends_rulebook::Span;
use amends_rulebook::tree::{Entry, Kind, Node};
use serde_json::{Number, Value};
use std::time::Duration;

/// A mapping whose keys are known.
pub(super) struct Fields<'n> {
    entries: &'n [Entry],
    what: String,
    span: Span,
}

impl<'n> Fields<'n> {
    /// Opens a mapping and names every key that isn't among `known`. `what` names the mapping in messages.
    pub(super) fn open(
        node: &'n Node,
        what: &str,
        known: &[&str],
        found: &mut Mistakes,
    ) -> Option<Self> {
        let entries = entries(node, what, found)?;
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let message = format!("unknown key {} in {what}", quote(&entry.key));
            let help = found.did_you_mean(&entry.key, known);
            found.add("unknown-key", entry.key_span, message, help);
        }
        Some(Self { entries, what: what.to_owned(), span: node.span })
    }

    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub(super) fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// A value that must be there.
    pub(super) fn needed(&self, key: &str, found: &mut Mistakes) -> Option<&'n Node> {
        let node = self.get(key);
        if node.is_none() {
            let at = Span { end: self.span.start, ..self.span };
            let message = format!("{} needs `{key}`", self.what);
            found.add("missing-key", at, message, format!("add `{key}:`"));
        }
        node
    }
}

/// The entries of a mapping with free keys.
pub(super) fn entries<'n>(node: &'n Node, what: &str, found: &mut Mistakes) -> Option<&'n [Entry]> {
    match &node.kind {
        Kind::Map(entries) => Some(entries),
        Kind::Scalar { .. } | Kind::List(_) => {
            let help = "indent its keys below it, or write `{ key: value }`";
            wrong_type(node, what, "a mapping", help, found);
            None
        }
    }
}

fn wrong_type(node: &Node, what: &str, wanted: &str, help: &str, found: &mut Mistakes) {
    let message = format!("{what} must be {wanted}, not {}", node.describe());
    found.add("wrong-type", node.span, message, help);
}

/// Any single value as text.
pub(super) fn text<'n>(node: &'n Node, what: &str, found: &mut Mistakes) -> Option<&'n str> {
    match &node.kind {
        Kind::Scalar { text, .. } if !node.is_nothing() => Some(text),
        _ => {
            let help = "write one value after the `:`, in quotes if it holds special characters";
            wrong_type(node, what, "a text", help, found);
            None
        }
    }
}

/// The name of a service, action or notice: it becomes a part of a path and of `service.action`.
pub(super) fn name<'n>(
    text: &'n str,
    at: Span,
    what: &str,
    found: &mut Mistakes,
) -> Option<&'n str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let fits = (1..=128).contains(&text.len()) && text.bytes().all(plain);
    if !fits {
        let message = format!("{} is not a name of {what}", quote(text));
        let help = "a name is 1 to 128 letters (a-z, A-Z), digits, `-` and `_`";
        found.add("invalid-name", at, message, help);
    }
    fits.then_some(text)
}

/// A report's code.
pub(super) fn code<'n>(node: &'n Node, found: &mut Mistakes) -> Option<&'n str> {
    let text = text(node, "`code`", found)?;
    let fits = is_opaque_name(text) && !text.contains(['/', '*']);
    if !fits {
        let message = format!("{} is not the code of a report", quote(text));
        let help = "it is 1 to 128 printable ASCII characters without spaces, `/` and `*`";
        found.add("invalid-name", node.span, message, help);
    }
    fits.then_some(text)
}

/// A length of time.
pub(super) fn duration(node: &Node, what: &str, found: &mut Mistakes) -> Option<Duration> {
    let text = text(node, what, found)?;
    match parse_duration(text) {
        Ok(time) => Some(time),
        Err(why) => {
            let message = format!("{} is not a length of time for {what}: {why}", quote(text));
            let help = "write for example `500ms`, `10s` or `2m`";
            found.add("invalid-duration", node.span, message, help);
            None
        }
    }
}

/// Longest time to wait for anything; a person watches.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// A whole number and a unit: `500ms`, `10s`, `2m`.
///
/// # Errors
/// Says what is wrong with the text.
pub fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor_ms = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "" => return Err("its unit is missing"),
        _ => return Err("its unit is not one of ms, s, m"),
    };
    if number.is_empty() {
        return Err("it does not begin with a whole number");
    }
    let ms = number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor_ms));
    match ms.map(Duration::from_millis) {
        Some(Duration::ZERO) => Err("it must not be 0"),
        Some(time) if time <= LONGEST_WAIT => Ok(time),
        _ => Err("it is longer than an hour"),
    }
}

/// A text with placeholders.
pub(super) fn template(node: &Node, what: &str, found: &mut Mistakes) -> Option<Template> {
    let text = text(node, what, found)?;
    match Template::parse(text) {
        Ok(template) => Some(template),
        Err(NoTemplate::Unknown(name)) => {
            let known: Vec<&str> = SLOTS.iter().map(|(name, _)| *name).collect();
            let message = format!("{} is no placeholder", quote(&format!("{{{name}}}")));
            let help = format!("{}; write `{{{{` for a brace", found.did_you_mean(&name, &known));
            found.add("unknown-placeholder", node.span, message, help);
            None
        }
        Err(NoTemplate::LoneBrace) => {
            let message = format!("a brace in {what} has no partner");
            let help = "write `{{` or `}}` for a brace that belongs to the text";
            found.add("unknown-placeholder", node.span, message, help);
            None
        }
    }
}

/// The same for a path below the participant's URL.
pub(super) fn path(node: &Node, what: &str, found: &mut Mistakes) -> Option<Template> {
    let text = text(node, what, found)?;
    let can_be_one = text.starts_with('/')
        && !text.starts_with("//")
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if !can_be_one {
        let message = format!("{} is not a path for {what}", quote(text));
        let help = "a path begins with one `/` and holds printable ASCII without spaces and `#`";
        found.add("bad-endpoint", node.span, message, help);
        return None;
    }
    template(node, what, found)
}

/// A JSON body with placeholders in its texts.
pub(super) fn body(node: &Node, what: &str, found: &mut Mistakes) -> Option<BodyTemplate> {
    match &node.kind {
        Kind::Scalar { .. } if node.is_nothing() => Some(BodyTemplate::Fixed(Value::Null)),
        Kind::Scalar { text, plain: true } => match plain(text) {
            Some(value) => Some(BodyTemplate::Fixed(value)),
            None => template(node, what, found).map(BodyTemplate::Text),
        },
        Kind::Scalar { .. } => template(node, what, found).map(BodyTemplate::Text),
        // Every item is read, so that all mistakes are found.
        Kind::List(items) => {
            let items: Vec<_> = items.iter().map(|item| body(item, what, found)).collect();
            items.into_iter().collect::<Option<_>>().map(BodyTemplate::List)
        }
        Kind::Map(members) => {
            let members: Vec<_> = members
                .iter()
                .map(|m| Some((m.key.clone(), body(&m.value, what, found)?)))
                .collect();
            members.into_iter().collect::<Option<_>>().map(BodyTemplate::Map)
        }
    }
}

/// A JSON value; braces in its texts are braces.
pub(super) fn json(node: &Node) -> Value {
    match &node.kind {
        Kind::Scalar { .. } if node.is_nothing() => Value::Null,
        Kind::Scalar { text, plain: true } => {
            plain(text).unwrap_or_else(|| Value::from(text.as_str()))
        }
        Kind::Scalar { text, .. } => Value::from(text.as_str()),
        Kind::List(items) => items.iter().map(json).collect(),
        Kind::Map(members) => {
            Value::Object(members.iter().map(|m| (m.key.clone(), json(&m.value))).collect())
        }
    }
}

/// YAML's core schema, as far as people write it in bodies: `true`, `false`, decimal numbers.
fn plain(text: &str) -> Option<Value> {
    match text {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        _ if text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
            serde_json::from_str::<Number>(text).ok().map(Value::Number)
        }
        _ => None,
    }
}
