//! Credentials that nobody has told us, known by their shape: our own tokens, JWTs, what follows `Bearer` and `Basic`,
//! a password within an address. For texts of strangers that are kept, logged or sent on; never for data that goes back
//! to a service, which must stay as it is.

use aho_corasick::AhoCorasick;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

/// Where a credential begins. A new one gets its end in `Shape::end`, and a line in the test.
const BEGINNINGS: [(&str, Shape); 5] = [
    ("amends_", Shape::Token),
    ("eyJ", Shape::Jwt),
    ("bearer ", Shape::Word),
    ("basic ", Shape::Word),
    ("://", Shape::Address),
];

/// Shortest credential behind `Bearer` and `Basic`: shorter ones are words.
const SHORTEST: usize = 12;

/// What stands over what is hidden, as far as it reaches.
const HIDDEN: &[u8] = b"[hidden]";
/// What stands over the rest of it.
const FILLER: u8 = b'*';

#[derive(Clone, Copy)]
enum Shape {
    /// `amends_<id>_<random>`.
    Token,
    /// Three parts in base64, with points between them; the first two begin as JSON objects do.
    Jwt,
    /// One long word behind the name of its scheme.
    Word,
    /// `user:password@` behind `://`.
    Address,
}

static FOUND: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let beginnings = BEGINNINGS.iter().map(|(text, _)| text);
    AhoCorasick::builder().ascii_case_insensitive(true).build(beginnings).ok()
});

/// A text without credentials.
pub(crate) fn without_credentials(text: &str) -> Cow<'_, str> {
    looked_through(FOUND.as_ref(), text)
}

/// Where nothing can be looked for, nothing is shown.
fn looked_through<'t>(found: Option<&AhoCorasick>, text: &'t str) -> Cow<'t, str> {
    let Some(found) = found else {
        return Cow::Owned(String::from_utf8_lossy(HIDDEN).into_owned());
    };
    let mut out: Option<Vec<u8>> = None;
    let mut until = 0;
    for place in found.find_iter(text) {
        let (_, shape) = BEGINNINGS[place.pattern().as_usize()];
        if place.start() < until {
            continue;
        }
        if let Some(secret) = shape.secret(text, place.range()) {
            until = secret.end;
            write_over(&mut out.get_or_insert_with(|| text.as_bytes().to_vec())[secret]);
        }
    }
    match out {
        Some(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        None => Cow::Borrowed(text),
    }
}

/// Hides these bytes, and keeps their number.
pub(super) fn write_over(bytes: &mut [u8]) {
    bytes.fill(FILLER);
    let length = HIDDEN.len().min(bytes.len());
    bytes[..length].copy_from_slice(&HIDDEN[..length]);
}

impl Shape {
    /// What of the text is secret, behind a beginning; none if it only looks like one.
    fn secret(self, text: &str, beginning: Range<usize>) -> Option<Range<usize>> {
        let (start, end) = (beginning.start, beginning.end);
        let run = |from: usize, is_part: fn(char) -> bool| {
            let rest = &text[from..];
            from + rest.find(|c| !is_part(c)).unwrap_or(rest.len())
        };
        match self {
            Self::Token => {
                let until = run(end, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
                (until - end >= 2 * SHORTEST && text[end..until].contains('_'))
                    .then_some(start..until)
            }
            Self::Jwt => {
                let until =
                    run(start, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
                let mut parts = text[start..until].split('.');
                let is_object =
                    |part: Option<&str>| part.is_some_and(|part| part.starts_with("eyJ"));
                let is_jwt =
                    is_object(parts.next()) && is_object(parts.next()) && parts.next().is_some();
                is_jwt.then_some(start..until)
            }
            Self::Word => {
                let until = run(end, |c| {
                    c.is_ascii_graphic() && !matches!(c, '"' | '\'' | ',' | '<' | '\\' | '`')
                });
                (until - end >= SHORTEST).then_some(end..until)
            }
            Self::Address => {
                let until = run(end, |c| {
                    !c.is_whitespace() && !matches!(c, '/' | '?' | '#' | '"' | '<' | '`')
                });
                let at = text[end..until].rfind('@')?;
                (at > 0).then_some(end..end + at)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shape_is_written_over_and_the_rest_stays() {
        for (said, secret) in [
            (
                "token amends_7f3a_Zk3mQ9xT1vB7nR5yL2wP0aSd refused",
                "amends_7f3a_Zk3mQ9xT1vB7nR5yL2wP0aSd",
            ),
            (
                "jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl.",
                "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl.",
            ),
            ("sent `Authorization: Bearer 0123456789abcdef`", "0123456789abcdef"),
            ("Basic dXNlcjpwYXNzd29yZA== is wrong", "dXNlcjpwYXNzd29yZA=="),
            ("cannot reach https://ops:pass@word@db.example/x", "ops:pass@word"),
        ] {
            let shown = without_credentials(said);
            assert!(!shown.contains(secret) && shown.contains("[hidden]"), "{shown}");
            assert_eq!(shown.len(), said.len());
            let (before, after) = said.split_once(secret).expect("it is there");
            assert!(shown.starts_with(before) && shown.ends_with(after), "{shown}");
        }
    }

    #[test]
    fn without_a_way_to_look_for_them_nothing_is_shown() {
        assert_eq!(looked_through(None, "Bearer 0123456789abcdef"), "[hidden]");
        assert_eq!(looked_through(None, "nothing of it"), "[hidden]");
    }

    #[test]
    fn what_only_looks_like_one_stays() {
        for plain in [
            "amends_reports_total 12",
            "the bearer of bad news, basic as ever",
            "eyJ is how it begins; eyJhbGciOiJIUzI1NiJ9.and.more",
            "see https://docs.example/a@b?c=d@e and mailto:kim@example.org",
            "재고 없음",
        ] {
            assert!(matches!(without_credentials(plain), Cow::Borrowed(_)), "{plain}");
        }
    }
}
