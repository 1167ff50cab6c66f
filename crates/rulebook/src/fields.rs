//! Takes single values out of the tree: mappings with known keys, texts, numbers, words, lengths of time. Each says what
//! is wrong with a value, once, and gives nothing then.

use crate::mistakes::{Diagnostics, quote};
use crate::tree::{Entry, Kind, Node};
use crate::{Diagnostic, Number, Scalar, Span, codes, duration, template, unquoted};
use rustc_hash::FxHashMap;
use serde_json::Value;
use std::ops::RangeInclusive;

/// A mapping whose keys are known.
#[derive(Clone, Copy)]
pub struct Fields<'n> {
    entries: &'n [Entry],
    /// For what is missing in it.
    pub span: Span,
    /// One of its keys is a slip, and may be the one that seems to be missing.
    has_unknown_key: bool,
}

impl<'n> Fields<'n> {
    /// Opens a mapping and names every key that isn't among `known`. `what` names the mapping in messages.
    pub fn open(
        node: &'n Node,
        what: &str,
        known: &[&str],
        found: &mut Diagnostics,
    ) -> Option<Self> {
        Self::open_with_habits(node, what, known, |_| None, found)
    }

    /// The same where other tools have other words: `habit` says what one of theirs is called here.
    pub(crate) fn open_with_habits(
        node: &'n Node,
        what: &str,
        known: &[&str],
        habit: impl Fn(&str) -> Option<&'static str>,
        found: &mut Diagnostics,
    ) -> Option<Self> {
        let entries = entries(node, what, found)?;
        let mut has_unknown_key = false;
        for entry in entries.iter().filter(|e| !known.contains(&e.key.as_str())) {
            has_unknown_key = true;
            let mut mistake = Diagnostic::new(
                codes::UNKNOWN_KEY,
                entry.key_span,
                format!("unknown key {} in {what}", quote(&entry.key)),
            );
            mistake.help = match habit(&entry.key) {
                Some(help) => Some(help.to_owned()),
                None => found.did_you_mean(&entry.key, known.iter().copied()),
            };
            found.add(mistake);
        }
        Some(Self { entries, span: node.span, has_unknown_key })
    }

    /// Tells of something that is not there, unless a slip may be what was meant by it.
    pub(crate) fn tell_missing(&self, mistake: Diagnostic, found: &mut Diagnostics) {
        if !self.has_unknown_key {
            found.add(mistake);
        }
    }

    /// Whether a slip among the keys may be this one, which isn't there.
    pub(crate) fn may_mean(&self, key: &str) -> bool {
        self.has_unknown_key && self.get(key).is_none()
    }

    /// A mapping that may be left out: nothing written counts as empty.
    pub(crate) fn open_or_empty(
        node: &'n Node,
        what: &str,
        known: &[&str],
        found: &mut Diagnostics,
    ) -> Option<Self> {
        if node.is_nothing() {
            return Some(Self { entries: &[], span: node.span, has_unknown_key: false });
        }
        Self::open(node, what, known, found)
    }

    /// The value of a key, if it is there.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|e| &e.value)
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|e| e.key == key)
    }
}

/// The entries of a mapping with free keys.
pub fn entries<'n>(node: &'n Node, what: &str, found: &mut Diagnostics) -> Option<&'n [Entry]> {
    match &node.kind {
        Kind::Map(entries) => Some(entries),
        Kind::Scalar { .. } | Kind::List(_) => {
            wrong_type(node, what, "a mapping", found);
            None
        }
    }
}

/// The entries of a mapping of which nothing may be written yet.
pub(crate) fn entries_if_any<'n>(
    node: &'n Node,
    what: &str,
    found: &mut Diagnostics,
) -> Option<&'n [Entry]> {
    if node.is_nothing() { Some(&[]) } else { entries(node, what, found) }
}

/// The items of a list; a single value counts as a list of one.
#[must_use]
pub fn one_or_many(node: &Node) -> &[Node] {
    match &node.kind {
        Kind::List(items) => items,
        Kind::Scalar { .. } | Kind::Map(_) => std::slice::from_ref(node),
    }
}

/// What a flag must be.
const FLAG: &str = "`true` or `false`";

pub(crate) fn wrong_type(node: &Node, what: &str, wanted: &str, found: &mut Diagnostics) {
    let is = node.describe();
    let mistake =
        Diagnostic::new(codes::WRONG_TYPE, node.span, format!("{what} must be {wanted}, not {is}"));
    let help = match wanted {
        "a mapping" => "indent its keys below it, or write `{ key: value }`",
        "a list" => "begin each item with `- `, or write `[a, b]`",
        FLAG => "write `true` or `false`, without quotes",
        _ if matches!(&node.kind, Kind::List(items) if items.len() == 1) => {
            "write the value alone, without brackets or `- `"
        }
        _ => "write one value after the `:`, in quotes if it holds special characters",
    };
    found.add(mistake.with_label(format!("{is} here")).with_help(help));
}

/// Any single value as text.
pub fn text<'n>(node: &'n Node, what: &str, found: &mut Diagnostics) -> Option<&'n str> {
    match &node.kind {
        Kind::Scalar { text, .. } if !node.is_nothing() => Some(text),
        _ => {
            match unquoted_placeholder(node) {
                Some(name) => tell_missing_quotes(name, node.span, found),
                None => wrong_type(node, what, "a text", found),
            }
            None
        }
    }
}

/// `true` or `false`.
pub fn flag(node: &Node, what: &str, found: &mut Diagnostics) -> Option<bool> {
    match scalar(node) {
        Some(Scalar::Bool(flag)) => Some(flag),
        Some(Scalar::Text(_) | Scalar::Number(_)) => {
            let Kind::Scalar { text, plain } = &node.kind else { return None };
            let written = if *plain { quote(text) } else { quote(&format!("\"{text}\"")) };
            let message = format!("{what} must be {FLAG}, not {written}");
            let meant = match text.to_ascii_lowercase().as_str() {
                "yes" | "y" | "on" | "true" | "1" => "write `true`, without quotes",
                "no" | "n" | "off" | "false" | "0" => "write `false`, without quotes",
                _ => "write `true` or `false`, without quotes",
            };
            found.add(Diagnostic::new(codes::WRONG_TYPE, node.span, message).with_help(meant));
            None
        }
        None => {
            wrong_type(node, what, FLAG, found);
            None
        }
    }
}

/// One of a few words.
pub fn word<T: Copy>(
    node: &Node,
    what: &str,
    words: &[(&str, T)],
    found: &mut Diagnostics,
) -> Option<T> {
    let text = text(node, what, found)?;
    let hit = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    if hit.is_none() {
        let mut mistake = Diagnostic::new(
            codes::INVALID_WORD,
            node.span,
            format!("{} cannot stand in {what}", quote(text)),
        );
        let known = words.iter().map(|(word, _)| *word);
        mistake.help = match word_elsewhere(text).filter(|meant| known.clone().any(|w| w == *meant))
        {
            Some(meant) => Some(format!("did you mean `{meant}`?")),
            None => found.did_you_mean(text, known),
        };
        found.add(mistake);
    }
    hit
}

/// What words of other tools are called here.
fn word_elsewhere(text: &str) -> Option<&'static str> {
    Some(match text.to_ascii_lowercase().as_str() {
        "string" | "str" | "varchar" => "text",
        "number" | "float" | "double" | "money" => "decimal",
        "int" | "long" => "integer",
        "bool" | "flag" => "boolean",
        "array" => "list",
        "map" | "mapping" | "json" => "object",
        "manual" | "approve" | "approval" | "confirm" => "ask",
        "dry-run" | "dry_run" | "dryrun" | "observe" | "watch" => "shadow",
        "automatic" => "auto",
        "message" | "notification" => "notice",
        _ => return None,
    })
}

/// A whole number within a range; `help` says what else may stand there.
pub(crate) fn whole(
    node: &Node,
    what: &str,
    range: RangeInclusive<u32>,
    help: &str,
    found: &mut Diagnostics,
) -> Option<u32> {
    let text = text(node, what, found)?;
    // In quotes it is a text, as everywhere.
    let number = match number_scalar(node, found) {
        Some(Scalar::Number(n)) => n.to_json().as_u64().and_then(|n| u32::try_from(n).ok()),
        _ => None,
    };
    let number = number.filter(|n| range.contains(n));
    if number.is_none() {
        let message = format!(
            "{} is not a whole number from {} to {}",
            quote(text),
            range.start(),
            range.end()
        );
        found.add(
            Diagnostic::new(codes::INVALID_NUMBER, node.span, message)
                .with_label(format!("for {what}"))
                .with_help(help),
        );
    }
    number
}

/// A length of time of at least `least_ms`, in milliseconds.
pub(crate) fn duration(
    node: &Node,
    what: &str,
    least_ms: u64,
    found: &mut Diagnostics,
) -> Option<u64> {
    duration_or(node, what, least_ms, "", found)
}

/// The same where something else may stand too, as `or` says.
pub(crate) fn duration_or(
    node: &Node,
    what: &str,
    least_ms: u64,
    or: &str,
    found: &mut Diagnostics,
) -> Option<u64> {
    let text = text(node, what, found)?;
    let ms = duration::parse_ms(text);
    let why = match ms {
        Ok(ms) if ms >= least_ms => return Some(ms),
        Ok(_) => "it must not be 0",
        Err(why) => why,
    };
    let message = format!("{} is not a length of time for {what}: {why}", quote(text));
    found.add(
        Diagnostic::new(codes::INVALID_DURATION, node.span, message)
            .with_help(format!("write for example `500ms`, `10s`, `5m`, `2h` or `7d`{or}")),
    );
    None
}

/// A text that keeps to the rule of names: 1 to 128 letters, digits, `-` and `_`.
pub(crate) fn valid_name(text: &str, span: Span, what: &str, found: &mut Diagnostics) -> bool {
    let ok = (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if !ok {
        let message = format!("{} is not a name of {what}", quote(text));
        let help = "a name is 1 to 128 letters (a-z, A-Z), digits, `-` and `_`";
        found.add(Diagnostic::new(codes::INVALID_NAME, span, message).with_help(help));
    }
    ok
}

/// A report code: 1 to 128 printable ASCII characters without spaces and `*`.
#[must_use]
pub fn valid_code(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b'*')
}

/// A single value by YAML's core schema; nothing, a list and a mapping are none.
#[must_use]
pub fn scalar(node: &Node) -> Option<Scalar> {
    match &node.kind {
        Kind::Scalar { .. } if node.is_nothing() => None,
        Kind::Scalar { text, plain: true } => Some(plain(text)),
        Kind::Scalar { text, plain: false } => Some(Scalar::Text(text.as_str().into())),
        Kind::List(_) | Kind::Map(_) => None,
    }
}

/// The same where a value of the business stands: one that YAML readers understand in different ways is told, since it
/// would be compared or sent as something else than was meant.
pub(crate) fn business_scalar(node: &Node, found: &mut Diagnostics) -> Option<Scalar> {
    let scalar = scalar(node);
    if let (Kind::Scalar { text, plain: true }, Some(read)) = (&node.kind, &scalar)
        && let Some(doubt) = unquoted::doubt(text, read)
    {
        tell_unquoted(text, &doubt, node.span, found);
    }
    scalar
}

/// The same where only a number can stand, so that nobody can have meant a text.
pub(crate) fn number_scalar(node: &Node, found: &mut Diagnostics) -> Option<Scalar> {
    let scalar = scalar(node);
    if let (Kind::Scalar { text, plain: true }, Some(Scalar::Number(_))) = (&node.kind, &scalar)
        && let Some(doubt) = unquoted::leading_zero(text)
    {
        tell_unquoted(text, &doubt, node.span, found);
    }
    scalar
}

fn tell_unquoted(text: &str, doubt: &unquoted::Doubt, at: Span, found: &mut Diagnostics) {
    let message = format!("{} means different things to different readers of YAML", quote(text));
    found.add(
        Diagnostic::new(codes::UNQUOTED_VALUE, at, message)
            .with_label(doubt.read_as.clone())
            .with_help(doubt.help.clone()),
    );
}

/// The placeholder that a mapping was meant to be: `{data.id}` without quotes is a mapping with an empty value.
pub(crate) fn unquoted_placeholder(node: &Node) -> Option<&str> {
    let Kind::Map(entries) = &node.kind else { return None };
    let [only] = entries.as_slice() else { return None };
    let named = only.value.is_nothing() && template::is_placeholder(&only.key);
    named.then_some(only.key.as_str())
}

/// Says that a placeholder has no quotes.
pub(crate) fn tell_missing_quotes(name: &str, at: Span, found: &mut Diagnostics) {
    let message = format!("the placeholder `{{{name}}}` has no quotes, and so is a mapping");
    found.add(
        Diagnostic::new(codes::MISSING_QUOTES, at, message)
            .with_help(format!("write `\"{{{name}}}\"`")),
    );
}

/// Names each entry of a list that stood in it before.
pub(crate) fn tell_repeated(items: &[Node], what: &str, found: &mut Diagnostics) {
    let mut seen: FxHashMap<(&str, bool), Span> = FxHashMap::default();
    for item in items {
        let Kind::Scalar { text, plain } = &item.kind else { continue };
        // `7` and `"7"` are two values.
        let is_text = !*plain || reads_as_text(text);
        if let Some(first) = seen.insert((text, is_text), item.span) {
            let message = format!("{} stands twice in {what}", quote(text));
            found.add(
                Diagnostic::new(codes::LISTED_TWICE, item.span, message)
                    .with_place(first, "first here")
                    .with_help("leave one of them out, or name what was meant"),
            );
        }
    }
}

/// Whether it is a text even without quotes.
#[must_use]
pub fn reads_as_text(text: &str) -> bool {
    !matches!(text, "" | "~" | "null" | "Null" | "NULL") && matches!(plain(text), Scalar::Text(_))
}

fn plain(text: &str) -> Scalar {
    match text {
        "true" | "True" | "TRUE" => Scalar::Bool(true),
        "false" | "False" | "FALSE" => Scalar::Bool(false),
        _ => number(text).map_or_else(|| Scalar::Text(text.into()), Scalar::Number),
    }
}

/// Core schema: decimal, `0x…`, `0o…`, with a fraction or an exponent.
fn number(text: &str) -> Option<Number> {
    let radix = |prefix, radix| {
        let digits: &str = text.strip_prefix(prefix)?;
        let plain = digits.bytes().all(|b| b.is_ascii_alphanumeric());
        u64::from_str_radix(digits, radix).ok().filter(|_| plain)
    };
    if let Some(n) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Some(Number::from(n));
    }
    Number::parse(text)
}

/// A single value as JSON.
#[must_use]
pub fn json(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Text(text) => Value::from(&**text),
        Scalar::Number(number) => number.to_json(),
        Scalar::Bool(flag) => Value::from(*flag),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_values_follow_the_core_schema() {
        for (text, number) in [
            ("0x1F", "31.0"),
            ("0o17", "15.0"),
            ("-3", "-3.0"),
            ("+3", "3.0"),
            ("1.50", "1.5"),
            (".5", "0.5"),
            ("1e3", "1000.0"),
            ("007", "7.0"),
        ] {
            assert_eq!(
                plain(text),
                Scalar::Number(Number::parse(number).expect("a number")),
                "{text}"
            );
        }
        for whole in [u64::MAX, 9_223_372_036_854_775_809, (1 << 53) + 1] {
            assert_eq!(plain(&whole.to_string()), Scalar::Number(Number::from(whole)));
            assert_eq!(plain(&format!("0x{whole:X}")), Scalar::Number(Number::from(whole)));
        }
        for text in ["1.2.3", "2026-11-23", "0x", "0x+1", "e3", "-", ".", "yes", "1_000", "1e999"] {
            let read = plain(text);
            assert!(matches!(read, Scalar::Text(_)), "{text}: {read}");
        }
    }

    fn read_as(text: &str) -> Option<String> {
        let kind = Kind::Scalar { text: text.to_owned(), plain: true };
        let read = scalar(&Node { span: Span::default(), kind })?;
        unquoted::doubt(text, &read).map(|doubt| doubt.read_as)
    }

    #[test]
    fn what_other_readers_take_for_something_else_is_doubtful() {
        for (text, says) in [
            ("010", "read as the number 10"),
            ("0x1F", "read as the number 31"),
            ("0o17", "read as the number 15"),
            ("49E3", "read as the number 49000"),
            ("+49", "read as the number 49"),
            ("NO", "read as a text, not as true or false"),
            ("2024-01-01", "read as a text, not as a date"),
            ("2024-1-1T10:00:00Z", "read as a text, not as a date"),
            ("1_000", "read as a text, not as a number"),
            ("12:30", "read as a text, not as a number"),
            ("1:00:00", "read as a text, not as a number"),
            (".inf", "read as a text, not as a number"),
            ("1e400", "read as a text, not as a number"),
            ("0b101", "read as a text, not as a number"),
        ] {
            assert_eq!(read_as(text).as_deref(), Some(says), "{text}");
        }
    }

    #[test]
    fn what_everybody_reads_alike_is_not() {
        for text in [
            "card",
            "7",
            "-1",
            "1.10",
            "0",
            "0.5",
            "00",
            "true",
            "12:99",
            "a:b",
            "10:30 Uhr",
            "v1_0",
            "2024-01",
            "1-2-3",
            "DE-1",
            "e3",
            "node",
            "2024-01-01-7",
            "1.2.3",
            "10.0.0.1",
            "12:",
            "08:30",
        ] {
            assert_eq!(read_as(text), None, "{text}");
        }
    }
}
