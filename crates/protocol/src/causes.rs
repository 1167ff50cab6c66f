//! What an error says about its causes, in words for whoever has to mend it. The outermost error of an HTTP client
//! alone says only `client error`, and one about JSON names types of this program.

use std::error::Error;

/// The error that began it.
#[must_use]
pub fn innermost<'e>(error: &'e (dyn Error + 'static)) -> &'e (dyn Error + 'static) {
    let mut cause = error;
    while let Some(beneath) = cause.source() {
        cause = beneath;
    }
    cause
}

/// An error and all that caused it, in one line.
#[must_use]
pub fn in_one_line(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(beneath) = cause {
        text.push_str(": ");
        text.push_str(&beneath.to_string());
        cause = beneath.source();
    }
    text
}

/// What is wrong with a JSON text, with its line and column, and without names of our types.
#[must_use]
pub fn of_json(error: &serde_json::Error) -> String {
    /// How a type is announced, and what it is for whoever writes JSON.
    const TYPES: [(&str, &str); 6] = [
        ("expected internally tagged enum ", "expected an object"),
        ("expected adjacently tagged enum ", "expected an object"),
        ("expected tuple struct ", "expected a list"),
        ("expected unit struct ", "expected null"),
        ("expected struct ", "expected an object"),
        ("expected enum ", "expected one of its words"),
    ];
    let text = error.to_string();
    let found = TYPES.iter().find_map(|(said, meant)| Some((text.find(said)?, said, meant)));
    let Some((at, said, meant)) = found else { return text };
    let (before, after) = (&text[..at], &text[at + said.len()..]);
    let rest =
        after.find(|c: char| !c.is_alphanumeric() && c != '_').map_or("", |end| &after[end..]);
    format!("{before}{meant}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_in_json_is_told_without_names_of_our_types() {
        let answer = serde_json::from_str::<crate::StepAnswer>("null").expect_err("no object");
        assert_eq!(of_json(&answer), "invalid type: null, expected an object at line 1 column 4");
        let verb = serde_json::from_str::<crate::StepAnswer>("[]").expect_err("no object");
        assert!(!of_json(&verb).contains("StepAnswer"), "{}", of_json(&verb));
        let broken = serde_json::from_str::<serde_json::Value>("{").expect_err("no JSON");
        assert_eq!(of_json(&broken), broken.to_string());
    }
}
