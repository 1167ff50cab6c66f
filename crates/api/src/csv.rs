//! Rows of CSV (RFC 4180) whose cells run nothing in a spreadsheet and steer no terminal. Only writes.

use crate::plain::{REPLACEMENT, steers};

/// One row with its end.
pub fn row<T: AsRef<str>>(cells: impl IntoIterator<Item = T>) -> String {
    let cells: Vec<String> = cells.into_iter().map(|text| cell(text.as_ref())).collect();
    cells.join(",") + "\r\n"
}

/// One cell. Texts come from outside: what a spreadsheet would take for a formula gets a quote in front, also where it
/// cuts the line at other places than we do; what steers a terminal is replaced.
fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    if text.starts_with(['\t', '\r', '\n']) {
        out.push('\'');
    }
    let mut at_start = true;
    for c in text.chars() {
        if at_start && is_formula(c) {
            out.push('\'');
        }
        let separates = matches!(c, ';' | '\t' | '\r' | '\n');
        at_start = separates || (at_start && is_skipped(c));
        out.push(if steers(c) && !separates { REPLACEMENT } else { c });
    }
    if out.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", out.replace('"', "\"\""))
    } else {
        out
    }
}

/// What formulas begin with, full width too.
const fn is_formula(c: char) -> bool {
    matches!(c, '=' | '+' | '-' | '@' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}')
}

/// What a spreadsheet may drop in front of a formula.
fn is_skipped(c: char) -> bool {
    c == '"' || c == '\u{feff}' || c.is_whitespace() || steers(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_hold_any_text_and_run_nothing() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"no\"", "\"say \"\"no\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
            ("\t=1", "'\t'=1"),
            ("\n=1", "\"'\n'=1\""),
            ("\u{ff1d}1", "'\u{ff1d}1"),
            ("\u{feff} =1", "\u{feff} '=1"),
            ("a;\"=1", "\"a;\"\"'=1\""),
            ("a; b=c-d", "a; b=c-d"),
            ("\x1b[31m\u{202e}", "\u{fffd}[31m\u{fffd}"),
            ("", ""),
        ] {
            assert_eq!(cell(text), expected);
        }
    }

    #[test]
    fn a_row_ends_as_the_standard_wants() {
        assert_eq!(row(["c-1", "a,b", ""]), "c-1,\"a,b\",\r\n");
    }
}
