//! Finds a value in a text of strangers, however it is written there: as it is, percent-encoded, escaped as in JSON or
//! HTML, in base64 or in hexadecimal digits. For whoever must not repeat it. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::ops::Range;

/// Characters of a value that give it away at the end of a text that was cut short.
const TELLING: usize = 4;

/// Where a value first stands in a text. A text that ends with `…` within the value holds it, too. An empty value
/// stands nowhere.
#[must_use]
pub fn find(text: &str, value: &str) -> Option<Range<usize>> {
    let first = value.chars().next()?;
    text.char_indices().find_map(|(at, c)| {
        let begins = c == first || matches!(c, '%' | '\\' | '&' | '+');
        let length = begins.then(|| length_of(value, &text[at..]))??;
        Some(at..at + length)
    })
}

/// How many bytes of the beginning of a text write down a value.
fn length_of(value: &str, text: &str) -> Option<usize> {
    let mut ends = vec![0];
    for (place, c) in value.chars().enumerate() {
        if place >= TELLING && ends.iter().any(|end| &text[*end..] == "…") {
            return Some(text.len());
        }
        let mut next: Vec<usize> = Vec::new();
        for end in ends {
            next.extend(spellings(c, &text[end..]).into_iter().map(|length| end + length));
        }
        next.sort_unstable();
        next.dedup();
        if next.is_empty() {
            return None;
        }
        ends = next;
    }
    ends.last().copied()
}

/// The lengths of all spellings of a character that a text begins with.
fn spellings(c: char, text: &str) -> Vec<usize> {
    let mut lengths: Vec<usize> = text.starts_with(c).then_some(c.len_utf8()).into_iter().collect();
    // Whoever writes more than the character itself begins with one of these.
    if !text.starts_with(['%', '\\', '&', '+']) {
        return lengths;
    }
    let named = match c {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '"' => "&quot;",
        '\'' => "&apos;",
        ' ' => "+",
        _ => "",
    };
    let (number, mut bytes) = (u32::from(c), [0; 4]);
    let bytes = c.encode_utf8(&mut bytes).bytes();
    let percent = |sign: &str| bytes.clone().map(|b| format!("{sign}{b:02x}")).collect::<String>();
    let escaped = if c.is_ascii_punctuation() { format!("\\{c}") } else { String::new() };
    // A text within a text: what escapes is escaped itself.
    let twice = match c {
        '"' | '\\' => format!("\\\\\\{c}"),
        c if c.is_ascii_punctuation() => format!("\\\\{c}"),
        _ => String::new(),
    };
    let all = [
        named.to_owned(),
        percent("%"),
        percent("%25"),
        format!("\\u{number:04x}"),
        format!("&#{number};"),
        format!("&#x{number:x};"),
        escaped,
        format!("\\\\u{number:04x}"),
        twice,
    ];
    let begins = |with: &&String| {
        let head = text.as_bytes().get(..with.len());
        head.is_some_and(|head| !with.is_empty() && head.eq_ignore_ascii_case(with.as_bytes()))
    };
    lengths.extend(all.iter().filter(begins).map(String::len));
    lengths
}

/// A value as base64 and in hexadecimal digits: none of its characters is left as it was.
#[must_use]
pub fn encodings(value: &[u8]) -> Vec<String> {
    let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut all = vec![hex.to_uppercase(), hex];
    // What stands before it moves its bits: three ways, and the digits that it shares with its neighbours are left out.
    for before in 0..3 {
        let padded = [&[0; 2][..before], value].concat();
        let whole_digits = padded.len() * 8 / 6;
        let shared = [0, 2, 3][before];
        for text in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            all.push(text[shared..whole_digits].to_owned());
        }
    }
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_however_it_is_written_down() {
        let value = "sk+x/Yz0\"a é==";
        for said in [
            "sk+x/Yz0\"a é==",
            "sk%2Bx%2FYz0%22a%20%C3%A9%3D%3D",
            "sk%2bx/Yz0%22a+%c3%a9%3d%3d",
            "sk%252Bx%252FYz0%2522a%2520%25C3%25A9%253D%253D",
            r#"sk\u002bx\/Yz0\"a \u00e9=="#,
            "sk&#43;x&#x2F;Yz0&quot;a &#233;==",
            r#"sk\\u002bx\\/Yz0\\\"a \\u00e9=="#,
        ] {
            let text = format!("재고: `{said}`.");
            let found = find(&text, value).map(|at| &text[at]);
            assert_eq!(found, Some(said));
        }
    }

    #[test]
    fn of_a_text_that_was_cut_the_beginning_of_a_value_is_enough() {
        let cut = "no: sk+x/Y…";
        assert_eq!(find(cut, "sk+x/Yz0"), Some(4..cut.len()));
        for plain in ["no: sk+…", "no: sk+x/Y", "a risk", "재고 sk…", ""] {
            assert_eq!(find(plain, "sk+x/Yz0"), None, "{plain}");
        }
        assert_eq!(find("anything", ""), None);
    }
}
