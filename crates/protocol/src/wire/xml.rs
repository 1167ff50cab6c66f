//! Text within XML, HTML and SVG.

/// Text as it may stand in an element, and in an attribute between double quotes. What XML can't hold at all becomes
/// U+FFFD.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push(c),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            // A quoted text of a condition can hold them.
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_ends_its_element_or_attribute() {
        assert_eq!(escape("a\u{0}<b>\"&\n\u{ffff}"), "a\u{fffd}&lt;b&gt;&quot;&amp;\n\u{fffd}");
    }
}
