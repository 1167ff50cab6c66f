//! Texts that come from elsewhere, sealed where they come in and opened where they go out, so that no place between has
//! to think of it. A sealed text says the same, but holds no character that steers a terminal: each is a mark, one
//! place wide, that only the ways out know. People see U+FFFD for it (a blank for the end of a line), JSON has its
//! escape.

use amends_api::plain::{REPLACEMENT, steers};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The mark of a character is so far above it, in a private area of Unicode. All that steers lies below `SPAN`.
const OFFSET: u32 = 0xf_0000;
const SPAN: u32 = 0x3000;
/// Stands before a character that means itself although it looks like a mark.
const SELF: char = '\u{fdef}';

/// Which texts may have several lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// None: whoever wrote it could make up lines of ours.
    One,
    /// Those that are sources of rulebooks, or say what is wrong in one: `text`, `detail` and `errors`.
    Many,
}

/// Members that may have several lines.
const OF_SEVERAL_LINES: [&str; 3] = ["text", "detail", "errors"];

/// Reads JSON with all its texts sealed.
pub fn read<T: DeserializeOwned>(json: &[u8], lines: Lines) -> serde_json::Result<T> {
    let value: Value = serde_json::from_slice(json)?;
    // By way of text: numbers of any length pass into every type like that.
    serde_json::from_slice(&serde_json::to_vec(&seal_value(value, Lines::One, lines))?)
}

/// `here` is what this value's own texts may have, `members` what some of its members may.
fn seal_value(value: Value, here: Lines, members: Lines) -> Value {
    match value {
        Value::String(text) => Value::String(seal(&text, here)),
        Value::Array(items) => {
            items.into_iter().map(|item| seal_value(item, here, members)).collect()
        }
        Value::Object(map) => {
            let member = |(key, value): (String, Value)| {
                let several = OF_SEVERAL_LINES.contains(&key.as_str());
                let here = if several { members } else { Lines::One };
                (seal(&key, Lines::One), seal_value(value, here, members))
            };
            Value::Object(map.into_iter().map(member).collect::<Map<_, _>>())
        }
        other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => other,
    }
}

/// Seals one text.
pub fn seal(text: &str, lines: Lines) -> String {
    let mut sealed = String::with_capacity(text.len());
    for c in text.chars() {
        let stays = lines == Lines::Many && matches!(c, '\n' | '\t');
        match char::from_u32(OFFSET + u32::from(c)).filter(|_| steers(c) && !stays) {
            Some(mark) => sealed.push(mark),
            None => {
                if c == SELF || is_mark(c) {
                    sealed.push(SELF);
                }
                sealed.push(c);
            }
        }
    }
    sealed
}

/// A text as people may see it: sealed or not, nothing in it steers but ends of lines and our own colours.
pub fn for_people(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            SELF => out.extend(rest.next()),
            '\n' | '\t' => out.push(c),
            '\x1b' => match color(rest.as_str()) {
                Some(code) => {
                    out.push(c);
                    out.push_str(code);
                    rest = rest.as_str()[code.len()..].chars();
                }
                None => out.push(REPLACEMENT),
            },
            c => match marked(c) {
                Some('\n' | '\r' | '\t') => out.push(' '),
                Some(_) => out.push(REPLACEMENT),
                None if steers(c) => out.push(REPLACEMENT),
                None => out.push(c),
            },
        }
    }
    out
}

/// The rest of a sequence that sets a colour, e.g. `[31m`.
fn color(rest: &str) -> Option<&str> {
    let end = rest.find('m')?;
    let codes = rest[..end].strip_prefix('[')?;
    codes.bytes().all(|b| b.is_ascii_digit() || b == b';').then_some(&rest[..=end])
}

/// A JSON text, sealed or not, that means what was sent and steers nothing.
pub fn for_programs(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json.chars();
    while let Some(c) = rest.next() {
        match c {
            SELF => out.extend(rest.next()),
            '\n' => out.push(c),
            c => match marked(c).or_else(|| steers(c).then_some(c)) {
                Some(c) => out.push_str(&format!("\\u{:04x}", u32::from(c))),
                None => out.push(c),
            },
        }
    }
    out
}

/// The character that a mark stands for.
fn marked(c: char) -> Option<char> {
    u32::from(c).checked_sub(OFFSET).filter(|c| *c < SPAN).and_then(char::from_u32)
}

fn is_mark(c: char) -> bool {
    marked(c).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const EVIL: &str =
        "\x1b]0;pwned\x07 \u{9b}31m \u{202e}gnp.exe \0end\r\nFAKE c-9 settled \u{fdef}\u{f001b}";

    #[test]
    fn json_comes_out_as_it_was_sent_and_steers_nothing() {
        let sent = json!({ "message": EVIL, "\x1b[2J": [12.50, EVIL, { "deep": "가\t😀" }] });
        let read: Value = read(sent.to_string().as_bytes(), Lines::One).expect("JSON");
        let out = for_programs(&serde_json::to_string_pretty(&read).expect("JSON"));
        assert!(!out.contains(|c| c != '\n' && steers(c)), "{out}");
        assert_eq!(serde_json::from_str::<Value>(&out).expect("JSON"), sent);
    }

    #[test]
    fn only_sources_and_what_is_wrong_in_them_have_several_lines() {
        let sent = json!({ "name": "a\nb", "errors": ["c\nd"], "sources": [{ "text": "e\nf", "path": "g\nh" }] });
        let seen = |lines| {
            let read: Value = read(sent.to_string().as_bytes(), lines).expect("JSON");
            for_people(&format!("{read}")).replace("\\n", "/")
        };
        let wanted = r#"{"errors":["c/d"],"name":"a b","sources":[{"path":"g h","text":"e/f"}]}"#;
        assert_eq!(seen(Lines::Many), wanted);
        assert_eq!(seen(Lines::One), wanted.replace('/', " "));
    }

    #[test]
    fn people_see_one_line_with_a_sign_where_something_would_have_steered() {
        let out = for_people(&seal(EVIL, Lines::One));
        assert_eq!(
            out,
            "\u{fffd}]0;pwned\u{fffd} \u{fffd}31m \u{fffd}gnp.exe \u{fffd}end  FAKE c-9 settled \u{fdef}\u{f001b}"
        );
        assert_eq!(for_people(&seal("a\n\tb\r", Lines::Many)), "a\n\tb ");
    }

    #[test]
    fn our_own_colours_pass_and_no_other_sequence_does() {
        assert_eq!(for_people("\x1b[31mred\x1b[0m\n"), "\x1b[31mred\x1b[0m\n");
        assert_eq!(for_people("\x1b[2Jm\x07\r"), "\u{fffd}[2Jm\u{fffd}\u{fffd}");
        assert_eq!(for_people(&seal("\x1b[31m", Lines::One)), "\u{fffd}[31m");
    }
}
