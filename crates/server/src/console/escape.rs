//! How texts get into pages: as HTML, and with nothing in them that turns the writing direction of what stands beside.
//! All templates are filled by this one escaper (askama.toml).

use amends_api::plain::{REPLACEMENT, steers};
use askama::filters::{Escaper, Html};
use std::fmt;

/// The escaper of all templates.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shown;

impl Escaper for Shown {
    fn write_escaped_str<W: fmt::Write>(&self, mut dest: W, text: &str) -> fmt::Result {
        // Texts of several lines are shown as such.
        let bad = |c: char| steers(c) && !matches!(c, '\n' | '\r' | '\t');
        let mut rest = text;
        while let Some(at) = rest.find(bad) {
            Html.write_escaped_str(&mut dest, &rest[..at])?;
            dest.write_char(REPLACEMENT)?;
            rest = &rest[at + rest[at..].chars().next().map_or(1, char::len_utf8)..];
        }
        Html.write_escaped_str(&mut dest, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_escaped_and_steers_nothing() {
        let mut out = String::new();
        let text = "<b>\u{202e}gnp.exe</b>\x1b[31m\n\u{9b}&가";
        Shown.write_escaped_str(&mut out, text).expect("a string takes all");
        assert_eq!(out, "&#60;b&#62;\u{fffd}gnp.exe&#60;/b&#62;\u{fffd}[31m\n\u{fffd}&#38;가");
    }
}
